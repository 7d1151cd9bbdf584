//! Whether two changes of the same object go together.

use std::sync::Arc;

use portico_core::key::ObjectKey;
use serde_json::Value as Json;

use super::apply::text_of;
use super::document;
use super::request::Person;
use crate::commit::{CommitId, Repository};
use crate::text::edit::{Op, difference, performed};
use crate::text::{FieldPath, Step, heads};

/// How many commits are looked through for the one that changed something.
const MAX_COMMITS: usize = 1_000;

/// What comes of changing `before` both to `now` and to `wanted`, all of which stand at the path `at`.
///
/// # Errors
///
/// The field that both change, to something different.
pub(crate) fn merged(at: &FieldPath, before: &Json, now: &Json, wanted: &Json) -> Result<Json, FieldPath> {
    let root = FieldPath::root();
    let (theirs, ours) = (difference(&root, before, now), difference(&root, before, wanted));
    let below = |path: &FieldPath| {
        path.steps().iter().fold(at.clone(), |path, step| match step {
            Step::Field(name) => path.field(name),
            Step::Entry(index) => path.entry(*index),
        })
    };
    let mut merged = now.clone();
    for op in &ours {
        if theirs.contains(op) {
            continue;
        }
        if let Some(other) = theirs.iter().find(|other| scope(other).overlaps(&scope(op))) {
            let both = if scope(op).steps().len() > scope(other).steps().len() { scope(op) } else { scope(other) };
            return Err(below(&both));
        }
        merged = match op {
            // What `before` did not say at all is set as a whole.
            Op::Set(path, value) if path.steps().is_empty() => value.clone(),
            op => performed(merged, op).ok_or_else(|| below(op.path()))?,
        };
    }
    Ok(merged)
}

/// What a change is about: where entries come or go, that is the whole list.
fn scope(op: &Op) -> FieldPath {
    let whole = |path: &FieldPath| {
        let (_, way) = path.steps().split_last().unwrap_or((&Step::Entry(0), &[]));
        way.iter().fold(FieldPath::root(), |path, step| match step {
            Step::Field(name) => path.field(name),
            Step::Entry(index) => path.entry(*index),
        })
    };
    match (op, op.path().steps().last()) {
        (Op::Insert(path, _) | Op::Unset(path), Some(Step::Entry(_))) => whole(path),
        (op, _) => op.path().clone(),
    }
}

/// The newest commit after `base` that changed a field of an object in a file, and its author.
pub(crate) fn who(
    repository: &Repository,
    tip: CommitId,
    base: CommitId,
    file: &Arc<str>,
    key: &ObjectKey,
    path: &FieldPath,
) -> Option<(CommitId, Person)> {
    let mut commit = tip;
    let mut now = value(repository, commit, file, key, path);
    for _ in 0..MAX_COMMITS {
        if commit == base {
            return None;
        }
        let parent = repository.parent(commit).ok()??;
        let before = value(repository, parent, file, key, path);
        if before != now {
            let info = repository.info(commit).ok()?;
            return Some((commit, Person { name: info.author, mail: info.mail }));
        }
        (commit, now) = (parent, before);
    }
    None
}

fn value(
    repository: &Repository,
    commit: CommitId,
    file: &Arc<str>,
    key: &ObjectKey,
    path: &FieldPath,
) -> Option<Json> {
    let tree = repository.tree(commit).ok()?;
    let text = text_of(repository, &tree, file).ok()??;
    let (_, document) = heads(file, text.as_bytes()).into_iter().find(|(there, _)| there == key)?;
    document::value(file, &text, document, path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check([before, now, wanted]: [Json; 3], expected: Result<Json, &str>) {
        let found = merged(&FieldPath::root().field("spec"), &before, &now, &wanted);
        assert_eq!(found, expected.map_err(|path| path.parse().expect("a path")));
    }

    #[test]
    fn different_fields_go_together_and_the_same_one_does_not() {
        let one = |a: u32, b: u32| json!({"a": a, "b": b});
        check([one(1, 1), one(2, 1), one(1, 2)], Ok(one(2, 2)));
        check([one(1, 1), one(2, 1), one(2, 1)], Ok(one(2, 1)));
        check([one(1, 1), one(2, 1), one(3, 1)], Err("spec.a"));
        check([one(1, 1), json!({"b": 1}), one(3, 1)], Err("spec.a"));
        check([json!({"l": [1, 2]}), json!({"l": [1, 2, 3]}), json!({"l": [0, 2]})], Err("spec.l[0]"));
        check([json!({"l": [1, 2]}), json!({"l": [1, 3]}), json!({"l": [0, 2]})], Ok(json!({"l": [0, 3]})));
        check([json!({}), json!({"a": 1}), json!({"b": 1})], Ok(json!({"a": 1, "b": 1})));
        check([json!({"c": 0}), json!({"a": 1, "c": 0}), json!({"b": 1, "c": 0})], Ok(json!({"a": 1, "b": 1, "c": 0})));
    }
}
