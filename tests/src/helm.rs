//! The chart, as Helm makes it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use serde::Deserialize;
use serde_json::Value;

use crate::scripts;

/// The Helm to test with: `PORTICO_HELM`, or what `scripts/helm` prints.
///
/// # Panics
///
/// When there is none and none can be had.
pub fn binary() -> &'static Path {
    scripts::path("helm")
}

/// The folder of the chart.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/portico")
}

/// Runs Helm, and returns what it prints; or what it complains about. Values are a YAML text.
///
/// # Errors
///
/// When Helm fails: all that it printed.
///
/// # Panics
///
/// When Helm does not start.
pub fn helm(arguments: &[&str], values: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("values.yaml");
    fs::write(&file, values).expect("a file in it");
    let mut command = Command::new(binary());
    command.args(arguments);
    if !values.is_empty() {
        command.arg("--values").arg(&file);
    }
    let output = command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder.path())
        .output()
        .expect("Helm starts");
    let Output { status, stdout, stderr } = output;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(stdout.into_owned()) } else { Err(format!("{stdout}{stderr}")) }
}

/// What a release `portico` in the namespace `portico-system` consists of, as text, or why there is no such thing.
///
/// # Errors
///
/// When Helm fails: all that it printed.
///
/// # Panics
///
/// When Helm does not start.
pub fn template(values: &str) -> Result<String, String> {
    let chart = chart();
    helm(&["template", "portico", &chart.to_string_lossy(), "--namespace", "portico-system"], values)
}

/// The same, as objects.
///
/// # Panics
///
/// When Helm fails.
pub fn objects(values: &str) -> Vec<Value> {
    parse(&template(values).unwrap_or_else(|complaint| panic!("{complaint} with:\n{values}")))
}

/// The documents of a YAML text.
///
/// # Panics
///
/// When it is none.
pub fn parse(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{error} in:\n{yaml}")))
        .filter(|document| !document.is_null())
        .collect()
}

/// The one object of this kind and name among them.
///
/// # Panics
///
/// When there is none.
pub fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("there is no {kind} {name}"))
}
