//! Golden cases: `tests/golden/<case>/in.yaml` is desired state as people write it, and `out.yaml` what an Envoy is given
//! for it. `UPDATE=1` writes them anew. A first line `# show: clusters, routes` leaves the other types out, and a line
//! `# then: …` begins the next state of the same repository; what is shown is the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Fact, Object, Spec};
use portico_core::delta::{Delta, Output, OutputKey};
use portico_core::key::{Kind, Name, ObjectKey};
use portico_envoy::render::render;
use serde::Deserialize as _;
use serde_json::{Value, json};

#[test]
fn golden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    let mut failed = Vec::new();
    for folder in folders {
        let case = folder.file_name().unwrap().to_string_lossy().into_owned();
        let shown = translated(&fs::read_to_string(folder.join("in.yaml")).unwrap());
        let golden = folder.join("out.yaml");
        if env::var_os("UPDATE").is_some() {
            fs::write(&golden, &shown).unwrap();
        }
        let same = fs::read_to_string(&golden).is_ok_and(|text| text == shown);
        println!("case {case} ... {}", if same { "ok" } else { "FAILED" });
        if !same {
            println!("{shown}");
            failed.push(case);
        }
    }
    assert!(failed.is_empty(), "differ: {failed:?}; UPDATE=1 accepts them");
}

fn translated(text: &str) -> String {
    let mut core = Core::new();
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut before: BTreeSet<ObjectKey> = BTreeSet::new();
    for state in text.split("# then:") {
        // What follows on the line of a mark is for people.
        let state = state.split_once('\n').map_or("", |(_, state)| state);
        let objects = objects(state);
        let after: BTreeSet<ObjectKey> = objects.iter().map(Object::key).collect();
        let gone = before.difference(&after).cloned().map(Change::Remove);
        let changes = gone.chain(objects.into_iter().map(Change::Put)).collect();
        let mut delta = core.apply(Batch { now, changes, facts: Vec::new() });
        // Keys are made as they are wished for.
        while !delta.keys.is_empty() {
            delta = core.apply(Batch { now, changes: Vec::new(), facts: made(&delta, now) });
        }
        before = after;
    }
    let outputs: Vec<(OutputKey, Output)> =
        core.outputs().map(|(key, output, _)| (key.clone(), output.clone())).collect();
    let environments: BTreeSet<Name> = outputs.iter().map(|(key, _)| key.environment().clone()).collect();
    let only: Option<Vec<&str>> = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# show: "))
        .map(|types| types.split(',').map(str::trim).collect());
    let mut shown = BTreeMap::new();
    for environment in environments {
        let rendered = render(&environment, outputs.iter().cloned()).unwrap();
        let Value::Object(mut types) = rendered.resources else { panic!("types") };
        types.retain(|kind, _| only.as_ref().is_none_or(|only| only.contains(&kind.as_str())));
        let mut resources = Value::Object(types);
        shorten(&mut resources);
        if !rendered.refused.is_empty() {
            let refused = rendered.refused.into_iter().map(|(objects, message)| {
                let objects: Vec<_> = objects.iter().map(ToString::to_string).collect();
                json!({ "objects": objects, "message": message })
            });
            resources["refused"] = refused.collect();
        }
        shown.insert(environment.to_string(), sorted(resources));
    }
    serde_yaml::to_string(&shown).unwrap()
}

fn made(delta: &Delta, at: Timestamp) -> Vec<Fact> {
    let wishes = delta.keys.iter().flat_map(|wish| wish.generations.iter().map(move |generation| (wish, *generation)));
    let made = wishes.map(|(wish, generation)| {
        let fingerprint = format!("{}#{generation}", wish.credential).into();
        wish.fulfilled(generation, at, fingerprint)
    });
    made.collect()
}

/// A thousand shards are all alike; one is enough to look at.
fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => {
            if fields.len() > 1000 {
                let count = fields.len();
                let first = fields.keys().min().cloned().unwrap();
                fields.retain(|name, _| *name == first);
                fields.insert("…".to_owned(), format!("and {} more", count - 1).into());
            }
            fields.values_mut().for_each(shorten);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// In an order that does not depend on how maps are kept.
fn sorted(value: Value) -> serde_yaml::Value {
    match value {
        Value::Array(items) => serde_yaml::Value::Sequence(items.into_iter().map(sorted).collect()),
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> = fields.into_iter().collect();
            serde_yaml::Value::Mapping(fields.into_iter().map(|(name, value)| (name.into(), sorted(value))).collect())
        }
        plain => serde_yaml::to_value(plain).unwrap(),
    }
}

fn objects(text: &str) -> Vec<Object> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let values = documents.map(|document| serde_yaml::Value::deserialize(document).unwrap());
    values.filter(|value| !value.is_null()).map(|value| object(&value)).collect()
}

fn object(value: &serde_yaml::Value) -> Object {
    fn spec<S: serde::de::DeserializeOwned>(value: &serde_yaml::Value) -> S {
        serde_yaml::from_value(value.clone()).unwrap()
    }
    let text = |value: &serde_yaml::Value| value.as_str().unwrap().to_owned();
    let metadata = &value["metadata"];
    let name = Name::new(text(&metadata["namespace"]), text(&metadata["name"]));
    let kind: Kind = value["kind"].as_str().unwrap().parse().unwrap();
    let body = &value["spec"];
    let spec = match kind {
        Kind::Portal => Spec::Portal(Box::new(spec(body))),
        Kind::Environment => Spec::Environment(Box::new(spec(body))),
        Kind::ApiProduct => Spec::ApiProduct(Box::new(spec(body))),
        Kind::Plan => Spec::Plan(Box::new(spec(body))),
        Kind::Team => Spec::Team(Box::new(spec(body))),
        Kind::Developer => Spec::Developer(Box::new(spec(body))),
        Kind::Application => Spec::Application(Box::new(spec(body))),
        Kind::Subscription => Spec::Subscription(Box::new(spec(body))),
        Kind::Approval => Spec::Approval(Box::new(spec(body))),
        Kind::Credential => Spec::Credential(Box::new(spec(body))),
    };
    Object { name, generation: None, created: None, author: None, spec }
}
