//! Changing a document in place: of its text nothing is touched but what has to say something else.
//!
//! The crates that edit YAML were looked at for this. They bring a second parser, which reads some texts in another way than
//! the one that files are read with here, or know neither documents of other line ends nor inline maps in all places. So the
//! spans of the parser that is there are used, and what comes of it is read again: it says what was meant, or is not taken.

mod emit;
mod ops;
mod path;
mod span;
mod splice;

use serde_json::Value as Json;

pub(crate) use emit::block;
pub(crate) use ops::{Op, at, difference, performed};
pub use path::{FieldPath, NotAPath, Step};

/// Why a document cannot be changed in place. Lines are those of the document, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unable {
    /// It cannot be read as it is.
    Broken { line: u32, message: String },
    /// What would change is used in several places.
    Shared { line: u32 },
    /// The path leads through something that has no fields.
    NoSuch { line: u32, path: String },
    /// It is written in a form of which no part can be changed alone.
    Form { line: u32 },
}

/// What the text says, without regard to how.
pub(crate) fn said(text: &str, json: bool) -> Result<Json, Unable> {
    if json {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        serde_json::from_str(text).map_err(|error| Unable::Broken {
            line: u32::try_from(error.line()).unwrap_or(1),
            message: error.to_string(),
        })
    } else {
        serde_yaml::from_str(text).map_err(|error| Unable::Broken {
            line: error.location().map_or(1, |place| u32::try_from(place.line()).unwrap_or(1)),
            message: error.to_string(),
        })
    }
}

/// The text of a document after these changes, one after the other.
///
/// # Errors
///
/// When a change cannot be made in place. What comes back always says what was meant.
pub(crate) fn edited(text: &str, ops: &[Op], json: bool) -> Result<String, Unable> {
    let mut wanted = said(text, json)?;
    let mut text = text.to_owned();
    for op in ops {
        let (next, line) = splice::apply(&text, op, json)?;
        wanted = performed(wanted, op).ok_or(Unable::NoSuch { line, path: op.path().to_string() })?;
        if said(&next, json).as_ref() != Ok(&wanted) {
            return Err(Unable::Form { line });
        }
        text = next;
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
