//! The schemas of the definitions, made ready to walk a document with.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use portico_core::key::Kind;
use regex_lite::Regex;
use serde_json::Value as Json;

/// What a value may be.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) form: Form,
    pub(crate) fields: BTreeMap<String, Schema>,
    /// Of a map with free keys: what its values may be.
    pub(crate) values: Option<Box<Schema>>,
    pub(crate) entries: Option<Box<Schema>>,
    pub(crate) required: Vec<String>,
    pub(crate) options: Vec<String>,
    pub(crate) number: (Option<i64>, Option<i64>),
    /// Of a text in characters, of a list in entries, of a map in fields.
    pub(crate) length: (Option<usize>, Option<usize>),
    pub(crate) pattern: Option<Regex>,
    /// The field that no two entries of a list may share.
    pub(crate) unique: Option<String>,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Any,
    Map,
    List,
    Text,
    Moment,
    Span,
    Term,
    Integer,
    Number,
    Bool,
}

impl Form {
    /// In words, for a message.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Form::Any => "a value",
            Form::Map => "a map",
            Form::List => "a list",
            Form::Text => "a text",
            Form::Moment => "a moment such as `2026-07-01T00:00:00Z`",
            Form::Span => "a span of time such as `90s`, `15m`, `24h`, `30d` or `1h30m`",
            Form::Term => "a length of time such as `1y`, `6mo`, `30d` or `1y6mo`",
            Form::Integer => "a whole number",
            Form::Number => "a number",
            Form::Bool => "`true` or `false`",
        }
    }
}

/// The schema of a kind's `spec`.
pub(crate) fn of(kind: Kind) -> Option<&'static Schema> {
    static ALL: LazyLock<BTreeMap<String, Schema>> = LazyLock::new(|| {
        let definitions = serde_json::to_value(portico_crds::all()).unwrap_or_default();
        let definitions = definitions.as_array().map(Vec::as_slice).unwrap_or_default();
        let schema = |definition: &Json| {
            let kind = definition.pointer("/spec/names/kind")?.as_str()?.to_owned();
            let spec = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")?;
            Some((kind, Schema::read(spec)))
        };
        definitions.iter().filter_map(schema).collect()
    });
    ALL.get(kind.as_str())
}

impl Schema {
    fn read(json: &Json) -> Schema {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let number = |name: &str| json.get(name).and_then(Json::as_f64).map(whole);
        let texts = |name: &str| -> Vec<String> {
            let list = json.get(name).and_then(Json::as_array);
            list.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let pattern = text("pattern");
        let form = match (text("type"), text("format"), pattern) {
            (Some("object"), ..) => Form::Map,
            (Some("array"), ..) => Form::List,
            (Some("string"), Some("date-time"), _) => Form::Moment,
            (Some("string"), _, Some(pattern)) if pattern.starts_with("^([0-9]{1,5}d)?") => Form::Span,
            (Some("string"), _, Some(pattern)) if pattern.starts_with("^([0-9]{1,3}y)?") => Form::Term,
            (Some("string"), ..) => Form::Text,
            (Some("integer"), ..) => Form::Integer,
            (Some("number"), ..) => Form::Number,
            (Some("boolean"), ..) => Form::Bool,
            _ => Form::Any,
        };
        let lengths = match form {
            Form::Map => ("minProperties", "maxProperties"),
            Form::List => ("minItems", "maxItems"),
            _ => ("minLength", "maxLength"),
        };
        let length = |name: &str| number(name).and_then(|length| usize::try_from(length).ok());
        let fields = json.get("properties").and_then(Json::as_object);
        Schema {
            form,
            fields: fields.into_iter().flatten().map(|(name, field)| (name.clone(), Schema::read(field))).collect(),
            values: json.get("additionalProperties").filter(|values| values.is_object()).map(boxed),
            entries: json.get("items").map(boxed),
            required: texts("required"),
            options: texts("enum"),
            number: (number("minimum"), number("maximum")),
            length: (length(lengths.0), length(lengths.1)),
            pattern: pattern.and_then(|pattern| Regex::new(pattern).ok()),
            unique: texts("x-kubernetes-list-map-keys").into_iter().next(),
        }
    }
}

fn boxed(json: &Json) -> Box<Schema> {
    Box::new(Schema::read(json))
}

/// Bounds are whole numbers in all our schemas.
#[expect(clippy::cast_possible_truncation, reason = "bounds are small whole numbers")]
fn whole(bound: f64) -> i64 {
    bound as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema_and_every_pattern_is_understood() {
        fn patterns(json: &Json) {
            if let Some(pattern) = json.get("pattern").and_then(Json::as_str) {
                Regex::new(pattern).expect(pattern);
            }
            json.as_object().into_iter().flatten().for_each(|(_, value)| patterns(value));
            json.as_array().into_iter().flatten().for_each(patterns);
        }
        for kind in Kind::ALL {
            assert_eq!(of(kind).expect("a schema").form, Form::Map);
        }
        patterns(&serde_json::to_value(portico_crds::all()).expect("JSON"));
    }
}
