//! A document as a tree that knows its places. It is built only when something is wrong or a place is asked for.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

/// How deep values may be nested.
pub(crate) const MAX_DEPTH: usize = 64;

/// A line and column from 1, within the chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// In characters; 0 where unknown.
    pub(crate) length: u32,
}

/// A value and where it begins.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) spot: Spot,
    pub(crate) value: Value,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Value {
    Scalar {
        text: String,
        /// Whether it stands without quotes, so that `1` is a number.
        plain: bool,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

/// What a scalar is taken for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool,
    Integer(i128),
    Float,
    String,
}

impl Node {
    /// The fields of a map, by their names.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Rc<Node>, &Rc<Node>)> {
        let fields = match &self.value {
            Value::Map(fields) => fields.as_slice(),
            Value::Scalar { .. } | Value::List(_) => &[],
        };
        fields.iter().filter_map(|(key, value)| Some((key.text()?, key, value)))
    }

    /// The value of a field.
    pub(crate) fn get(&self, field: &str) -> Option<&Rc<Node>> {
        self.fields().find(|(name, ..)| *name == field).map(|(.., value)| value)
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What a scalar is taken for.
    pub(crate) fn scalar(&self) -> Option<Scalar> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(plain(text)),
            Value::Scalar { .. } => Some(Scalar::String),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// In words, for a message.
    pub(crate) fn described(&self) -> String {
        match (&self.value, self.scalar()) {
            (Value::List(_), _) => "a list".to_owned(),
            (Value::Map(_), _) => "a map".to_owned(),
            (_, Some(Scalar::Null)) => "nothing".to_owned(),
            (_, Some(Scalar::Bool)) => format!("the truth value `{}`", self.short()),
            (_, Some(Scalar::Integer(_) | Scalar::Float)) => format!("the number `{}`", self.short()),
            _ => format!("the text `{}`", self.short()),
        }
    }

    /// A scalar's text, cut so that a message stays readable.
    pub(crate) fn short(&self) -> String {
        let text = self.text().unwrap_or_default();
        match text.char_indices().nth(60) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        }
    }
}

fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return Scalar::Bool,
        _ => {}
    }
    let (digits, sign) = match text.strip_prefix('-') {
        Some(digits) => (digits, -1),
        None => (text.strip_prefix('+').unwrap_or(text), 1),
    };
    let based = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, base)| i128::from_str_radix(digits.strip_prefix(prefix)?, base).ok());
    let decimal = || digits.starts_with(|c: char| c.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    if let Some(number) = based.or_else(decimal) {
        return Scalar::Integer(sign * number);
    }
    let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.parse::<f64>().is_ok();
    if number || matches!(text, ".inf" | "-.inf" | "+.inf" | ".nan") { Scalar::Float } else { Scalar::String }
}

/// Why there is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Syntax { spot: Spot, message: String },
    TooDeep { spot: Spot },
    Duplicate { spot: Spot, key: String },
    Empty,
}

/// A tree, or what could be read of it before it broke.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The scalars at the top and in `metadata`, as far as they could be read: they tell what the document is about.
    pub(crate) header: HashMap<String, String>,
    pub(crate) root: Result<Rc<Node>, Broken>,
}

/// Reads one document.
pub(crate) fn parse(text: &str) -> Parsed {
    let mut builder = Builder::default();
    let root = builder.run(text);
    Parsed { header: builder.header, root }
}

#[derive(Default)]
struct Builder {
    header: HashMap<String, String>,
    anchors: HashMap<usize, Rc<Node>>,
    stack: Vec<Open>,
    duplicate: Option<Broken>,
}

/// A list or map that has not ended yet.
struct Open {
    spot: Spot,
    anchor: usize,
    list: Option<Vec<Rc<Node>>>,
    fields: Vec<(Rc<Node>, Rc<Node>)>,
    names: HashSet<String>,
    key: Option<Rc<Node>>,
}

impl Builder {
    fn run(&mut self, text: &str) -> Result<Rc<Node>, Broken> {
        let mut parser = Parser::new_from_str(text);
        loop {
            let (event, span) = match parser.next_event() {
                None => return Err(Broken::Empty),
                Some(Err(error)) => return Err(syntax(&error)),
                Some(Ok(event)) => event,
            };
            let spot = spot(&span);
            let done = match event {
                Event::StreamEnd => return Err(Broken::Empty),
                Event::SequenceStart(anchor, _) => self.open(spot, anchor, true)?,
                Event::MappingStart(anchor, _) => self.open(spot, anchor, false)?,
                Event::SequenceEnd | Event::MappingEnd => self.close(),
                Event::Scalar(text, style, anchor, tag) => {
                    let plain = style == ScalarStyle::Plain && tag.is_none();
                    self.note(&text);
                    let node = Rc::new(Node { spot, value: Value::Scalar { text: text.into_owned(), plain } });
                    self.add(node, anchor)
                }
                Event::Alias(anchor) => {
                    let shared = self.anchors.get(&anchor).cloned();
                    let node = shared.ok_or(Broken::Syntax { spot, message: "unknown alias".to_owned() })?;
                    self.add(node, 0)
                }
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => None,
            };
            if let Some(root) = done {
                // The rest is read for its errors only.
                for event in parser {
                    event.map_err(|error| syntax(&error))?;
                }
                return match self.duplicate.take() {
                    Some(duplicate) => Err(duplicate),
                    None => Ok(root),
                };
            }
        }
    }

    fn open(&mut self, spot: Spot, anchor: usize, list: bool) -> Result<Option<Rc<Node>>, Broken> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Broken::TooDeep { spot });
        }
        let list = list.then(Vec::new);
        self.stack.push(Open { spot, anchor, list, fields: Vec::new(), names: HashSet::new(), key: None });
        Ok(None)
    }

    fn close(&mut self) -> Option<Rc<Node>> {
        let Open { spot, anchor, list, fields, .. } = self.stack.pop()?;
        let value = list.map_or(Value::Map(fields), Value::List);
        self.add(Rc::new(Node { spot, value }), anchor)
    }

    /// Puts a value where it belongs; returns it if it is the whole document.
    fn add(&mut self, node: Rc<Node>, anchor: usize) -> Option<Rc<Node>> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.stack.last_mut() else { return Some(node) };
        if let Some(list) = &mut open.list {
            list.push(node);
        } else if let Some(key) = open.key.take() {
            open.fields.push((key, node));
        } else {
            let name = node.text().unwrap_or_default();
            if !open.names.insert(name.to_owned()) && self.duplicate.is_none() {
                self.duplicate = Some(Broken::Duplicate { spot: node.spot, key: name.to_owned() });
            }
            open.key = Some(node);
        }
        None
    }

    /// Remembers a scalar that tells what the document is about.
    fn note(&mut self, text: &str) {
        let keys: Vec<&str> = self.stack.iter().filter_map(|open| open.key.as_ref()?.text()).collect();
        // A key is only complete when it has no value yet, which is so for every open map but a new one.
        let name = match (self.stack.len(), keys.as_slice()) {
            (1, [name]) => (*name).to_owned(),
            (2, ["metadata", name]) => format!("metadata.{name}"),
            _ => return,
        };
        self.header.entry(name).or_insert_with(|| text.to_owned());
    }
}

fn syntax(error: &ScanError) -> Broken {
    let spot = Spot { length: 0, ..at(error.marker()) };
    Broken::Syntax { spot, message: error.info().to_owned() }
}

fn at(marker: &Marker) -> Spot {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Spot { line: number(marker.line()), column: number(marker.col() + 1), length: 0 }
}

fn spot(span: &Span) -> Spot {
    let one_line = span.start.line() == span.end.line();
    let length = if one_line { span.end.index().saturating_sub(span.start.index()) } else { 0 };
    Spot { length: u32::try_from(length).unwrap_or(0), ..at(&span.start) }
}
