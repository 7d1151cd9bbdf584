//! A user's mistake, said so that the user can mend it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::key::ObjectKey;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Works, but is probably not what was meant.
    Warning,
    /// The object, or the part of it that is named, has no effect.
    Error,
}

/// Where in a file: 1-based line and column, as editors count them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The path from the root of the tree, with `/`.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// How many characters are meant; 0 where unknown.
    pub length: u32,
}

/// One mistake.
///
/// `path` names the field (`spec.plan.name`, `spec.limits[0].requests`); a front end that knows
/// files turns it into a [`Place`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// A stable name, such as `missing-reference`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The object it is about, where one could be made out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    /// The field, in the notation of `kubectl explain` with list indices; empty for the whole object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The place in a file, where a front end knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

impl Diagnostic {
    /// An error about `object` (its field `path`).
    pub fn error(code: &'static str, object: &ObjectKey, path: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            object: Some(object.clone()),
            path: path.into(),
            message: message.into(),
            help: None,
            place: None,
        }
    }

    /// A warning about `object` (its field `path`).
    pub fn warning(
        code: &'static str,
        object: &ObjectKey,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, object, path, message) }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}
