//! What is to be different, and what a value says after that.

use serde_json::{Map, Value as Json};

use super::path::{FieldPath, Step};

/// One change of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    /// The field says this. What is missing on the way to it is made.
    Set(FieldPath, Json),
    /// The field, or the entry, is not there.
    Unset(FieldPath),
    /// A new entry stands at this place of a list; those behind it move on.
    Insert(FieldPath, Json),
}

impl Op {
    pub(crate) fn path(&self) -> &FieldPath {
        match self {
            Op::Set(path, _) | Op::Unset(path) | Op::Insert(path, _) => path,
        }
    }
}

/// What takes one value to the other, in as few and as small steps as is simple. Each step counts on those before it.
pub(crate) fn difference(at: &FieldPath, old: &Json, new: &Json) -> Vec<Op> {
    let mut ops = Vec::new();
    compare(at, old, new, &mut ops);
    ops
}

fn compare(at: &FieldPath, old: &Json, new: &Json, ops: &mut Vec<Op>) {
    match (old, new) {
        _ if old == new => {}
        (Json::Object(old), Json::Object(new))
            if !new.is_empty() && (old.is_empty() || old.keys().any(|name| new.contains_key(name))) =>
        {
            for name in old.keys().filter(|name| !new.contains_key(*name)) {
                ops.push(Op::Unset(at.clone().field(name)));
            }
            for (name, value) in new {
                let at = at.clone().field(name);
                match old.get(name) {
                    Some(before) => compare(&at, before, value, ops),
                    None => ops.push(Op::Set(at, value.clone())),
                }
            }
        }
        (Json::Array(old), Json::Array(new)) if !old.is_empty() && !new.is_empty() => entries(at, old, new, ops),
        _ => ops.push(Op::Set(at.clone(), new.clone())),
    }
}

/// What is the same at both ends stays; what is between is changed one by one.
fn entries(at: &FieldPath, old: &[Json], new: &[Json], ops: &mut Vec<Op>) {
    let shorter = old.len().min(new.len());
    let first = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let last = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let last = last.min(shorter - first);
    let (old_end, new_end) = (old.len() - last, new.len() - last);
    for index in first..old_end.min(new_end) {
        compare(&at.clone().entry(index), &old[index], &new[index], ops);
    }
    for index in (new_end..old_end).rev() {
        ops.push(Op::Unset(at.clone().entry(index)));
    }
    for (index, value) in new.iter().enumerate().take(new_end).skip(old_end) {
        ops.push(Op::Insert(at.clone().entry(index), value.clone()));
    }
}

/// What a value says after a change; `None` where the path leads through something else than maps and lists.
pub(crate) fn performed(mut value: Json, op: &Op) -> Option<Json> {
    let (last, way) = op.path().steps().split_last()?;
    let mut node = &mut value;
    for step in way {
        node = enter(node, step, matches!(op, Op::Set(..)))?;
    }
    match (op, last) {
        (Op::Set(_, new), step) => *enter(node, step, true)? = new.clone(),
        (Op::Unset(_), Step::Field(name)) => drop(node.as_object_mut()?.remove(name)?),
        (Op::Unset(_), Step::Entry(index)) => {
            let list = node.as_array_mut().filter(|list| *index < list.len())?;
            list.remove(*index);
        }
        (Op::Insert(_, new), Step::Entry(index)) => {
            let list = node.as_array_mut().filter(|list| *index <= list.len())?;
            list.insert(*index, new.clone());
        }
        (Op::Insert(..), Step::Field(_)) => return None,
    }
    Some(value)
}

fn enter<'a>(node: &'a mut Json, step: &Step, make: bool) -> Option<&'a mut Json> {
    if node.is_null() && make {
        *node = match step {
            Step::Field(_) => Json::Object(Map::new()),
            Step::Entry(_) => Json::Array(Vec::new()),
        };
    }
    match (node, step) {
        (Json::Object(map), Step::Field(name)) => {
            if make {
                return Some(map.entry(name.as_str()).or_insert(Json::Null));
            }
            map.get_mut(name)
        }
        (Json::Array(list), Step::Entry(index)) => {
            if make && *index == list.len() {
                list.push(Json::Null);
            }
            list.get_mut(*index)
        }
        _ => None,
    }
}

/// What the value says at a path.
pub(crate) fn at<'a>(mut value: &'a Json, path: &FieldPath) -> Option<&'a Json> {
    for step in path.steps() {
        value = match step {
            Step::Field(name) => value.get(name)?,
            Step::Entry(index) => value.get(*index)?,
        };
    }
    Some(value)
}
