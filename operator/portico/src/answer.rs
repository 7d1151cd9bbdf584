//! Answers, as JSON, to what a person asks: the same from a running `portico up` and from a folder.

use anyhow::bail;
use portico_core::Core;
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_git::Reader;
use portico_secrets::Made;
use serde_json::{Value, json};

/// How many objects there are of each kind, and how each of them is.
pub fn status(core: &Core) -> Value {
    let mut keys: Vec<ObjectKey> = core.objects().collect();
    keys.sort();
    let mut kinds = Vec::new();
    for kind in Kind::ALL {
        let of_kind = || keys.iter().filter(|key| key.kind == kind);
        let ready = of_kind().filter(|key| core.status(key).is_some_and(|status| status.is_ready())).count();
        if of_kind().next().is_some() {
            kinds.push(json!({ "kind": kind, "objects": of_kind().count(), "ready": ready }));
        }
    }
    let objects: Vec<Value> = keys
        .iter()
        .filter_map(|key| {
            let status = core.status(key)?;
            Some(json!({ "kind": key.kind, "name": key.name, "ready": status.is_ready(), "status": status }))
        })
        .collect();
    json!({ "kinds": kinds, "objects": objects })
}

/// Why an object is enforced or not, each step with its place.
pub fn explain(core: &Core, reader: &Reader, key: &ObjectKey) -> anyhow::Result<Value> {
    let steps = core.explain(key);
    if steps.is_empty() && core.status(key).is_none() {
        bail!("there is no {key}");
    }
    let steps: Vec<Value> = steps
        .iter()
        .map(|step| {
            let place = step.object.as_ref().and_then(|object| place(reader, object, &step.path));
            let mut said = json!(step);
            said["place"] = json!(place);
            said
        })
        .collect();
    Ok(json!({ "object": key, "status": core.status(key), "steps": steps }))
}

/// The file and line where a field of an object stands, or the object where it does not.
fn place(reader: &Reader, object: &ObjectKey, path: &str) -> Option<String> {
    let mut field = Diagnostic::error("", object, path, "");
    if !path.is_empty() && reader.resolve(&mut field).is_ok() {
        let place = field.place?;
        return Some(format!("{}:{}", place.file, place.line));
    }
    let place = reader.place(object)?;
    Some(format!("{}:{}", place.file, place.line))
}

/// The keys of a credential, newest first. This is the one place where Portico prints them.
pub fn reveal(credential: &Name, made: &[Made]) -> anyhow::Result<Value> {
    if made.is_empty() {
        bail!("Credential {credential} has no key; `portico explain credential/{credential}` says why");
    }
    let keys: Vec<Value> = made
        .iter()
        .map(|made| json!({ "generation": made.generation, "key": made.key.expose(), "madeAt": made.at }))
        .collect();
    Ok(json!({ "credential": credential, "keys": keys }))
}
