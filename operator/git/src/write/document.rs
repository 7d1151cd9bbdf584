//! One document among those of a file.

use portico_core::batch::{Object, Spec};
use portico_core::diagnostic::{Diagnostic, Place};
use portico_core::key::ObjectKey;
use serde::Serialize;
use serde_json::Value as Json;
use serde_yaml::Value as Yaml;

use super::answer::Refused;
use super::apply::{Found, by_hand};
use crate::text::edit::{Op, Unable, at, block, edited, said};
use crate::text::{FieldPath, chunks, is_json};

/// Where a document stands in its file: its first byte, its end, and its first line, from 1.
fn range(file: &str, text: &str, document: u32) -> Option<(usize, usize, u32)> {
    let mark = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    if is_json(file) {
        return (document == 0).then_some((mark, text.len(), 1));
    }
    let chunk = chunks(text).into_iter().find(|chunk| chunk.index == document)?;
    // The chunk is a part of the text.
    let start = chunk.text.as_ptr() as usize - text.as_ptr() as usize;
    Some((start, start + chunk.text.len(), chunk.line))
}

/// The line that a document begins with.
pub(crate) fn line(file: &str, text: &str, document: u32) -> u32 {
    range(file, text, document).map_or(1, |(.., line)| line)
}

/// What a field of a document says.
pub(crate) fn value(file: &str, text: &str, document: u32, path: &FieldPath) -> Option<Json> {
    let (start, end, _) = range(file, text, document)?;
    let whole = said(&text[start..end], is_json(file)).ok()?;
    at(&whole, path).cloned()
}

/// The text of the file after changes of the document.
pub(crate) fn changed(key: &ObjectKey, found: &Found, ops: &[Op]) -> Result<String, Refused> {
    let Found { file, document, text } = found;
    let Some((start, end, first)) = range(file, text, *document) else { return Err(by_hand(key, found, 1)) };
    let there = |line: u32| first + line.saturating_sub(1);
    match edited(&text[start..end], ops, is_json(file)) {
        Ok(new) => Ok(format!("{}{new}{}", &text[..start], &text[end..])),
        Err(unable) => {
            let (line, code, path, message, help) = match unable {
                Unable::Form { line } => return Err(by_hand(key, found, there(line))),
                Unable::Broken { line, message } => (
                    line,
                    "yaml-syntax",
                    String::new(),
                    format!("{key} cannot be read as it is: {message}"),
                    "mend the file by hand first",
                ),
                Unable::Shared { line } => (
                    line,
                    "shared-value",
                    String::new(),
                    format!("what would change in {key} is used in several places, by an anchor and its aliases"),
                    "change the file by hand",
                ),
                Unable::NoSuch { line, path } => {
                    let message = format!("there is no `{path}` in {key}, and it cannot be made");
                    (line, "not-found", path, message, "look at what the object says now")
                }
            };
            let mut refused = Diagnostic::error(code, key, path, message).help(help);
            refused.place = Some(Place { file: file.clone(), line: there(line), column: 1, length: 0 });
            Err(Refused::Invalid(vec![refused]))
        }
    }
}

/// The text of the file without the document; `None` where no other is left.
pub(crate) fn without(found: &Found) -> Option<String> {
    let Found { file, document, text } = found;
    let (start, end, _) = range(file, text, *document)?;
    let rest = format!("{}{}", &text[..start], &text[end..]);
    (!is_json(file) && !chunks(&rest).is_empty()).then_some(rest)
}

/// The text of a new document.
pub(crate) fn new(object: &Object) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Document<'a> {
        api_version: String,
        kind: &'a str,
        metadata: Metadata<'a>,
        spec: Yaml,
    }
    #[derive(Serialize)]
    struct Metadata<'a> {
        name: &'a str,
        namespace: &'a str,
    }
    let document = Document {
        api_version: format!("{}/{}", portico_crds::GROUP, portico_crds::VERSION),
        kind: object.spec.kind().as_str(),
        metadata: Metadata { name: object.name.name(), namespace: object.name.namespace() },
        spec: ordered(&object.spec),
    };
    // Nothing in these types fails to be written; what comes of it is read again before it lands.
    let whole = serde_yaml::to_value(document).unwrap_or_default();
    format!("{}\n", block(&whole, 0, "\n"))
}

/// What an object says, in the order of its fields.
fn ordered(spec: &Spec) -> Yaml {
    serde_yaml::to_value(spec).unwrap_or_default()
}
