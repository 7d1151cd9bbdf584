//! From the path of a field to its place in the text.

use std::sync::Arc;

use portico_core::diagnostic::Place;

use super::chunk::chunks;
use super::node::{Node, Spot, Value, parse};

/// Which part of a field is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the field says.
    Value,
    /// Its name.
    Key,
}

/// Where the field `path` of the document `index` stands in `text`, or the nearest field around it that is there.
///
/// `None` where there is no such document or it cannot be read.
pub fn locate(file: &Arc<str>, text: &str, index: u32, path: &str, part: Part) -> Option<Place> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let found = chunks(text);
    let chunk = found.iter().find(|chunk| chunk.index == index)?;
    let root = parse(chunk.text).root.ok()?;
    let spot = spot(&root, path, part);
    Some(place(file, chunk.line, spot))
}

/// A spot of a chunk that begins at `line` as a place in the file.
pub(crate) fn place(file: &Arc<str>, line: u32, spot: Spot) -> Place {
    Place {
        file: file.clone(),
        line: line + spot.line.saturating_sub(1),
        column: spot.column.max(1),
        length: spot.length,
    }
}

/// Where the field `path` stands below `root`.
pub(crate) fn spot(root: &Node, path: &str, part: Part) -> Spot {
    let mut node = root;
    // The name of the field that we are in; a list entry has none of its own.
    let mut key = None;
    let mut rest = path;
    while !rest.is_empty() {
        let Some((name, value, tail)) = step(node, rest) else {
            // It is not there: its surroundings are named instead.
            return key.unwrap_or_else(|| start(node));
        };
        key = name.or(key);
        node = value;
        rest = tail;
    }
    match (part, &node.value) {
        (Part::Key, _) => key.unwrap_or_else(|| start(node)),
        (Part::Value, Value::Scalar { .. }) if node.spot.length > 0 => node.spot,
        // A map, a list, a text of several lines or nothing at all: its name says it better than its first line.
        (Part::Value, _) if path.ends_with(']') => start(node),
        (Part::Value, _) => key.unwrap_or_else(|| start(node)),
    }
}

/// The first thing that a reader sees of a value.
fn start(node: &Node) -> Spot {
    match &node.value {
        Value::Map(fields) => fields.first().map_or(node.spot, |(key, _)| key.spot),
        Value::List(_) => Spot { length: 1, ..node.spot },
        Value::Scalar { .. } => node.spot,
    }
}

/// Goes into the first field or entry of `path`: its name's spot, its value and the rest of the path.
fn step<'a, 'p>(node: &'a Node, path: &'p str) -> Option<(Option<Spot>, &'a Node, &'p str)> {
    if let Some(index) = path.strip_prefix('[') {
        let (index, rest) = index.split_once(']')?;
        let Value::List(entries) = &node.value else { return None };
        let entry = entries.get(index.parse::<usize>().ok()?)?;
        return Some((None, entry, rest.strip_prefix('.').unwrap_or(rest)));
    }
    // Names may have dots in them, so the longest one that fits is taken.
    let fits = |name: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let (name, key, value) = node.fields().filter(|(name, ..)| fits(name)).max_by_key(|(name, ..)| name.len())?;
    let rest = &path[name.len()..];
    Some((Some(key.spot), value, rest.strip_prefix('.').unwrap_or(rest)))
}
