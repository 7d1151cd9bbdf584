//! Everything that a document's text has against its schema, all at once.

use std::collections::HashSet;

use super::node::{Node, Scalar, Spot, Value};
use super::schema::{Form, Schema};
use super::suggest::suggestion;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) spot: Spot,
}

/// Aliases can make a small text a big value; past this many values nobody wants more messages.
const MAX_VALUES: usize = 200_000;

/// What is wrong with `node`, which stands at `path` under the name at `key`.
pub(crate) fn walk(schema: &Schema, node: &Node, path: &str, key: Spot) -> Vec<Fault> {
    let mut walk = Walk { faults: Vec::new(), left: MAX_VALUES };
    walk.value(schema, node, path, key);
    walk.faults
}

struct Walk {
    faults: Vec<Fault>,
    left: usize,
}

impl Walk {
    fn say(&mut self, code: &'static str, path: &str, spot: Spot, message: String, help: Option<String>) {
        self.faults.push(Fault { code, path: path.to_owned(), message, help, spot });
    }

    fn value(&mut self, schema: &Schema, node: &Node, path: &str, key: Spot) {
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        if left == 0 {
            self.say("too-large", path, node.spot, "aliases make this too many values".to_owned(), None);
        }
        match (&node.value, schema.form) {
            (_, Form::Any) => {}
            (Value::Map(_), Form::Map) => self.map(schema, node, path, key),
            (Value::List(entries), Form::List) => {
                self.length(schema, entries.len(), "entries", path, key);
                self.unique(schema, entries, path);
                for (index, entry) in entries.iter().enumerate() {
                    if let Some(schema) = &schema.entries {
                        self.value(schema, entry, &format!("{path}[{index}]"), entry.spot);
                    }
                }
            }
            (Value::Scalar { text, .. }, form) => self.scalar(schema, form, node, text, path),
            (Value::Map(_) | Value::List(_), form) => self.wrong_type(form, node, path, key),
        }
    }

    fn wrong_type(&mut self, form: Form, node: &Node, path: &str, spot: Spot) {
        let spot = if matches!(node.value, Value::Scalar { .. }) && node.spot.length > 0 { node.spot } else { spot };
        let message = format!("`{}`: expected {}, found {}", last(path), form.described(), node.described());
        let help = match (form, node.scalar()) {
            (
                Form::Text | Form::Moment | Form::Span | Form::Term,
                Some(Scalar::Integer(_) | Scalar::Float | Scalar::Bool),
            ) => Some(format!("put it in quotes: \"{}\"", node.short())),
            _ => None,
        };
        self.say("wrong-type", path, spot, message, help);
    }

    fn map(&mut self, schema: &Schema, node: &Node, path: &str, key: Spot) {
        let mut given = HashSet::new();
        let mut count = 0;
        for (name, key, value) in node.fields() {
            count += 1;
            given.insert(name);
            let below = format!("{path}.{name}");
            if let Some(field) = schema.fields.get(name) {
                // Nothing at all is the same as leaving an optional field out.
                if value.scalar() != Some(Scalar::Null) || schema.required.iter().any(|field| field == name) {
                    self.value(field, value, &below, key.spot);
                }
            } else if let Some(values) = &schema.values {
                self.value(values, value, &below, key.spot);
            } else {
                let help = suggestion(name, schema.fields.keys().map(String::as_str));
                self.say("unknown-field", &below, key.spot, format!("there is no field `{name}` here"), help);
            }
        }
        for field in schema.required.iter().filter(|field| !given.contains(field.as_str())) {
            let form = schema.fields.get(field).map_or(Form::Any, |field| field.form);
            let message = format!("`{field}` is missing");
            let help = Some(format!("give `{field}`, {}", form.described()));
            self.say("missing-field", &format!("{path}.{field}"), key, message, help);
        }
        self.length(schema, count, "fields", path, key);
    }

    fn scalar(&mut self, schema: &Schema, form: Form, node: &Node, text: &str, path: &str) {
        let kind = node.scalar();
        let fits = match form {
            Form::Any => true,
            Form::Map | Form::List => false,
            Form::Text | Form::Moment | Form::Span | Form::Term => kind == Some(Scalar::String),
            Form::Integer => matches!(kind, Some(Scalar::Integer(_))),
            Form::Number => matches!(kind, Some(Scalar::Integer(_) | Scalar::Float)),
            Form::Bool => kind == Some(Scalar::Bool),
        };
        if !fits {
            self.wrong_type(form, node, path, node.spot);
            return;
        }
        if !schema.options.is_empty() {
            if !schema.options.iter().any(|option| option == text) {
                self.option(schema, node, path);
            }
            return;
        }
        match (form, kind) {
            (Form::Moment, _) if text.parse::<portico_crds::Timestamp>().is_err() => self.unlike(form, node, path),
            (Form::Span, _) if text.parse::<portico_crds::Span>().is_err() => self.unlike(form, node, path),
            (Form::Term, _) if text.parse::<portico_crds::Term>().is_err() => self.unlike(form, node, path),
            (Form::Text, _) => {
                let length = if text.len() < 2 { text.len() } else { text.chars().count() };
                let before = self.faults.len();
                self.length(schema, length, "characters", path, node.spot);
                if self.faults.len() > before {
                    return;
                }
                let pattern = schema.pattern.as_ref().filter(|pattern| !pattern.is_match(text));
                if let Some(pattern) = pattern {
                    let message = format!("`{}` does not have the right form", node.short());
                    let help = Some(format!("it must match `{}`", pattern.as_str()));
                    self.say("invalid-value", path, node.spot, message, help);
                }
            }
            (_, Some(Scalar::Integer(number))) => {
                let (min, max) = schema.number;
                if min.is_some_and(|min| number < i128::from(min)) || max.is_some_and(|max| number > i128::from(max)) {
                    let bounds = match (min, max) {
                        (Some(min), Some(max)) => format!("from {min} to {max}"),
                        (Some(min), None) => format!("{min} or more"),
                        (_, max) => format!("{} or less", max.unwrap_or_default()),
                    };
                    let message = format!("`{}` is out of range: it must be {bounds}", node.short());
                    self.say("invalid-value", path, node.spot, message, None);
                }
            }
            _ => {}
        }
    }

    fn unlike(&mut self, form: Form, node: &Node, path: &str) {
        let message = format!("`{}`: expected {}, found `{}`", last(path), form.described(), node.short());
        self.say("invalid-value", path, node.spot, message, None);
    }

    fn option(&mut self, schema: &Schema, node: &Node, path: &str) {
        let options: Vec<String> = schema.options.iter().map(|option| format!("`{option}`")).collect();
        let message = format!("`{}` is none of {}", node.short(), options.join(", "));
        let help = suggestion(node.text().unwrap_or_default(), schema.options.iter().map(String::as_str));
        self.say("invalid-value", path, node.spot, message, help);
    }

    fn length(&mut self, schema: &Schema, length: usize, what: &str, path: &str, spot: Spot) {
        let (min, max) = schema.length;
        if let Some(max) = max.filter(|max| length > *max) {
            let message = format!("it has {length} {what}, and at most {max} are allowed");
            self.say("invalid-value", path, spot, message, None);
        } else if let Some(min) = min.filter(|min| length < *min) {
            let message = if length == 0 {
                "it is empty".to_owned()
            } else {
                format!("it has {length} {what}, and at least {min} are needed")
            };
            self.say("invalid-value", path, spot, message, None);
        }
    }

    fn unique(&mut self, schema: &Schema, entries: &[std::rc::Rc<Node>], path: &str) {
        let Some(field) = &schema.unique else { return };
        let mut seen = HashSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let Some(value) = entry.get(field) else { continue };
            let Some(text) = value.text() else { continue };
            if !seen.insert(text) {
                let path = format!("{path}[{index}].{field}");
                self.say("duplicate-item", &path, value.spot, format!("`{}` is there twice", value.short()), None);
            }
        }
    }
}

/// The end of a path: what a person calls the field.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
