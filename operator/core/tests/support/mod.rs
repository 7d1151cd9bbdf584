//! What the tests of the core share: objects from YAML, and everything that a core says as text.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Fact, Object, Spec};
use portico_core::delta::{Delta, Output};
use portico_core::key::{Kind, Name, ObjectKey};
use serde::Deserialize;

/// The documents of a YAML text.
pub fn objects(text: &str) -> Vec<Object> {
    serde_yaml::Deserializer::from_str(text)
        .filter_map(|document| {
            let value = serde_yaml::Value::deserialize(document).expect("YAML");
            (!value.is_null()).then(|| object(value))
        })
        .collect()
}

fn object(value: serde_yaml::Value) -> Object {
    fn spec<S: serde::de::DeserializeOwned>(value: serde_yaml::Value) -> Box<S> {
        Box::new(serde_yaml::from_value(value).expect("a spec"))
    }
    let text = |path: &[&str]| {
        let found = path.iter().try_fold(&value, |value, field| value.get(field));
        found.and_then(serde_yaml::Value::as_str).map(str::to_owned)
    };
    let kind: Kind = text(&["kind"]).expect("kind").parse().expect("a kind of ours");
    let name = text(&["metadata", "name"]).expect("a name");
    let namespace = text(&["metadata", "namespace"]).unwrap_or_else(|| "default".to_owned());
    let created = text(&["metadata", "creationTimestamp"]).map(|at| at.parse().expect("a time"));
    let body = value.get("spec").cloned().expect("a spec");
    let spec = match kind {
        Kind::Portal => Spec::Portal(spec(body)),
        Kind::Environment => Spec::Environment(spec(body)),
        Kind::ApiProduct => Spec::ApiProduct(spec(body)),
        Kind::Plan => Spec::Plan(spec(body)),
        Kind::Team => Spec::Team(spec(body)),
        Kind::Developer => Spec::Developer(spec(body)),
        Kind::Application => Spec::Application(spec(body)),
        Kind::Subscription => Spec::Subscription(spec(body)),
        Kind::Approval => Spec::Approval(spec(body)),
        Kind::Credential => Spec::Credential(spec(body)),
    };
    Object { name: Name::new(namespace, name), generation: None, created, spec }
}

/// A core with a secret store that makes what is wished, and a gateway that confirms at once.
pub struct World {
    pub core: Core,
    pub made: BTreeMap<(Name, i64), Timestamp>,
    pub now: Timestamp,
}

impl World {
    pub fn new(now: Timestamp) -> Self {
        World { core: Core::new(), made: BTreeMap::new(), now }
    }

    /// Applies changes and everything that follows from them; all deltas, in order.
    pub fn apply(&mut self, changes: Vec<Change>) -> Vec<Delta> {
        let mut deltas = Vec::new();
        let (mut changes, mut facts) = (changes, Vec::new());
        loop {
            let delta = self.core.apply(Batch { now: self.now, changes, facts });
            facts = self.follow(&delta);
            changes = Vec::new();
            deltas.push(delta);
            if facts.is_empty() {
                return deltas;
            }
            assert!(deltas.len() < 10, "does not settle");
        }
    }

    fn follow(&mut self, delta: &Delta) -> Vec<Fact> {
        let mut facts = Vec::new();
        for wish in &delta.keys {
            let stored: Vec<i64> = self
                .made
                .keys()
                .filter(|(name, _)| *name == wish.credential)
                .map(|(_, generation)| *generation)
                .collect();
            let gone: Vec<i64> = stored.iter().copied().filter(|one| !wish.generations.contains(one)).collect();
            for generation in &gone {
                self.made.remove(&(wish.credential.clone(), *generation));
            }
            if !gone.is_empty() {
                facts.push(Fact::KeysGone { credential: wish.credential.clone(), generations: gone });
            }
            for generation in wish.generations.iter().filter(|one| !stored.contains(one)) {
                self.made.insert((wish.credential.clone(), *generation), self.now);
                facts.push(made(&wish.credential, *generation, self.now));
            }
        }
        let changed = delta.removals.iter().map(|removal| (&removal.key, removal.serial));
        for (key, serial) in changed.chain(delta.puts.iter().map(|put| (&put.key, put.serial))) {
            facts.push(Fact::Confirmed { environment: key.environment().clone(), serial });
        }
        facts
    }

    /// A core that was told the same things at once.
    pub fn afresh(&self, objects: impl IntoIterator<Item = Object>) -> World {
        let mut world = World { core: Core::new(), made: self.made.clone(), now: self.now };
        let facts = self.made.iter().map(|((name, generation), at)| made(name, *generation, *at)).collect();
        let changes = objects.into_iter().map(Change::Put).collect();
        let delta = world.core.apply(Batch { now: self.now, changes, facts });
        let facts = world.follow(&delta);
        world.core.apply(Batch { now: self.now, changes: Vec::new(), facts });
        world
    }
}

pub fn made(credential: &Name, generation: i64, at: Timestamp) -> Fact {
    Fact::KeyMade {
        credential: credential.clone(),
        generation,
        at,
        fingerprint: format!("{credential}#{generation}").into(),
    }
}

/// Outputs, statuses and diagnostics, ordered.
pub fn dump(core: &Core) -> String {
    let mut text = String::new();
    let mut outputs: Vec<_> = core.outputs().map(|(key, output, _)| (format!("{key:?}"), show(output))).collect();
    outputs.sort();
    for (key, output) in outputs {
        let _ = writeln!(text, "{key}\n{output}");
    }
    let mut keys: Vec<ObjectKey> = core.objects().collect();
    keys.sort();
    for key in keys {
        let _ = writeln!(text, "{key}: {:?}", core.status(&key));
    }
    for row in core.access() {
        let _ = writeln!(text, "{row:?}");
    }
    text
}

fn show(output: &Output) -> String {
    match output {
        Output::Gateway(gateway) => serde_yaml::to_string(gateway),
        Output::Api(api) => serde_yaml::to_string(api),
        Output::Client(client) => serde_yaml::to_string(client),
    }
    .expect("plain data")
}

/// What one step did, for a person to read.
pub fn tell(deltas: &[Delta], core: &Core) -> String {
    let mut text = String::new();
    for (round, delta) in deltas.iter().enumerate() {
        for removal in &delta.removals {
            let _ = writeln!(text, "{round} - {:?}", removal.key);
        }
        for wish in &delta.keys {
            let _ = writeln!(text, "{round} key {} {:?}", wish.credential, wish.generations);
        }
        for put in &delta.puts {
            match &put.output {
                Output::Client(client) => {
                    let scopes: Vec<_> = client.scopes.iter().map(|scope| &*scope.scope).collect();
                    let _ = writeln!(
                        text,
                        "{round} + Client {} generations {:?} plans {:?} scopes {scopes:?}",
                        client.credential, client.generations, client.plans
                    );
                }
                other => {
                    let _ = writeln!(text, "{round} + {:?}", put.key);
                    for line in show(other).lines() {
                        let _ = writeln!(text, "      {line}");
                    }
                }
            }
        }
        if let Some(wake) = delta.wake {
            let _ = writeln!(text, "{round} wake {wake}");
        }
    }
    let mut keys: Vec<ObjectKey> = core.objects().collect();
    keys.sort();
    for key in keys {
        let Some(status) = core.status(&key) else { continue };
        let conditions: Vec<_> = status
            .conditions
            .iter()
            .map(|condition| format!("{}{}", if condition.status { "" } else { "!" }, condition.r#type))
            .collect();
        let _ = writeln!(text, "{key}: {}", conditions.join(" "));
        if let Some(ready) = status.condition("Ready").filter(|ready| !ready.status) {
            let _ = writeln!(text, "    {}: {}", ready.reason, ready.message);
        }
        for problem in core.diagnostics_of(&key) {
            let _ = writeln!(text, "    {:?} {} at {}: {problem}", problem.severity, problem.code, problem.path);
        }
    }
    text
}
