//! Every example is understood, keeps the rules, and has the files that it refers to.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rules::broken;
use crate::*;

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

/// The object as it was understood, with defaults; whatever was not understood is missing.
fn understood<T: DeserializeOwned + Serialize>(path: &Path, object: &Value) -> Value {
    let read: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::to_value(read).unwrap()
}

fn check(path: &Path, object: &Value) {
    assert_eq!(object["apiVersion"], format!("{GROUP}/{VERSION}"), "{}", path.display());
    for field in ["name", "namespace"] {
        assert!(object["metadata"][field].is_string(), "{} has no {field}", path.display());
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    let read = match kind {
        "Portal" => understood::<Portal>(path, object),
        "Environment" => understood::<Environment>(path, object),
        "ApiProduct" => understood::<ApiProduct>(path, object),
        "Plan" => understood::<Plan>(path, object),
        "Team" => understood::<Team>(path, object),
        "Developer" => understood::<Developer>(path, object),
        "Application" => understood::<Application>(path, object),
        "Subscription" => understood::<Subscription>(path, object),
        "Credential" => understood::<Credential>(path, object),
        "Approval" => understood::<Approval>(path, object),
        _ => panic!("{}: there is no kind {kind}", path.display()),
    };
    assert_eq!(broken(kind, &read["spec"], None), Vec::<String>::new(), "{}", path.display());

    let spec = &read["spec"];
    let documents = spec["versions"].as_array().into_iter().flatten().map(|version| &version["openapi"]["path"]);
    let pages = spec["docs"].as_array().into_iter().flatten().map(|page| &page["path"]);
    for file in documents.chain(pages).filter_map(Value::as_str) {
        assert!(path.with_file_name(file).is_file(), "{}: there is no {file}", path.display());
    }
}

#[test]
fn examples_are_understood() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for example in ["minimal", "acme"] {
        let mut files = Vec::new();
        yaml_files(&examples.join(example), &mut files);
        let mut objects = 0;
        for path in files {
            let text = fs::read_to_string(&path).unwrap();
            for document in serde_yaml::Deserializer::from_str(&text) {
                let document = Value::deserialize(document).unwrap();
                if document["openapi"].is_null() && document["kind"] != "Kustomization" {
                    check(&path, &document);
                    objects += 1;
                }
            }
        }
        assert!(objects >= 6, "{example} has only {objects} objects");
    }
}
