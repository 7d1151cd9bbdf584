//! The operations of an OpenAPI document, which is all that access needs of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::batch::Document;
use crate::gateway::Operation;

/// The operations that a document describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Operations {
    /// Ordered by path, then method.
    list: Vec<Described>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Described {
    id: Option<String>,
    operation: Operation,
}

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    openapi: Option<serde_yaml::Value>,
    #[serde(default)]
    swagger: Option<serde_yaml::Value>,
    #[serde(default)]
    paths: BTreeMap<String, BTreeMap<String, PathEntry>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PathEntry {
    Operation {
        #[serde(rename = "operationId")]
        id: Option<String>,
    },
    Other(IgnoredAny),
}

/// Why it is not known what a document describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// There is none where the product says.
    Absent(String),
    /// It is no OpenAPI document.
    Invalid(String),
}

/// What is known of a document's operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// What it describes, or did when it last read well; `None` if it never did.
    pub(crate) operations: Option<Operations>,
    /// Why it does not read now.
    pub(crate) unread: Option<Unread>,
}

impl Read {
    pub(crate) fn new(document: &Document) -> Read {
        let now = match &document.text {
            Ok(text) => parse(text),
            Err(why) => Err(Unread::Absent(why.clone())),
        };
        match now {
            Ok(operations) => Read { operations: Some(operations), unread: None },
            Err(unread) => {
                let last = document.last.as_ref().and_then(|text| parse(text).ok());
                Read { operations: last, unread: Some(unread) }
            }
        }
    }
}

/// Whether a text is an OpenAPI document.
pub fn is_openapi(text: &str) -> bool {
    parse(text).is_ok()
}

/// Reads a document in YAML or JSON.
pub(crate) fn parse(text: &str) -> Result<Operations, Unread> {
    let document: Outline = serde_yaml::from_str(text).map_err(|error| Unread::Invalid(error.to_string()))?;
    if document.openapi.is_none() && document.swagger.is_none() {
        return Err(Unread::Invalid("it has neither `openapi` nor `swagger` at its top".to_owned()));
    }
    let mut list = Vec::new();
    for (path, entries) in document.paths {
        for (method, entry) in entries {
            if METHODS.contains(&method.as_str()) {
                let id = match entry {
                    PathEntry::Operation { id } => id,
                    PathEntry::Other(IgnoredAny) => None,
                };
                let operation = Operation { method: Some(method.to_ascii_uppercase()), path: path.clone() };
                list.push(Described { id, operation });
            }
        }
    }
    Ok(Operations { list })
}

impl Operations {
    /// The operation that an owner names: an `operationId`, or `GET /path/{id}`, which needs no document.
    pub(crate) fn find(&self, name: &str) -> Option<Operation> {
        if let Some(operation) = written_out(name) {
            return Some(operation);
        }
        self.list.iter().find(|described| described.id.as_deref() == Some(name)).map(|found| found.operation.clone())
    }

    /// Every `operationId`, for a suggestion.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter_map(|described| described.id.as_deref())
    }
}

/// `GET /path`, `/path` (any method).
pub(crate) fn written_out(name: &str) -> Option<Operation> {
    if name.starts_with('/') {
        return Some(Operation { method: None, path: name.to_owned() });
    }
    let (method, path) = name.split_once(' ')?;
    let path = path.trim();
    if !path.starts_with('/') || !METHODS.contains(&method.to_ascii_lowercase().as_str()) {
        return None;
    }
    Some(Operation { method: Some(method.to_ascii_uppercase()), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_found_by_id_and_by_method_and_path() {
        let text = "openapi: 3.1.0\npaths:\n  /pets/{id}:\n    parameters: []\n    summary: One pet\n    get: {operationId: getPet}\n    delete: {}\n";
        let operations = parse(text).expect("valid");
        let get = Operation { method: Some("GET".into()), path: "/pets/{id}".into() };
        assert_eq!(operations.find("getPet"), Some(get.clone()));
        assert_eq!(operations.find("get /pets/{id}"), Some(get));
        assert_eq!(operations.find("/pets"), Some(Operation { method: None, path: "/pets".into() }));
        assert_eq!(operations.find("dropPet"), None);
        assert_eq!(operations.list.len(), 2);
    }

    #[test]
    fn what_is_not_openapi_is_said() {
        assert!(
            parse("hello: world").is_err_and(|error| matches!(error, Unread::Invalid(why) if why.contains("openapi")))
        );
        assert!(parse("openapi: 3.1.0\npaths: [1").is_err());
    }
}
