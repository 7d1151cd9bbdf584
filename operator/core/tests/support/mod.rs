//! What the tests of the core share: objects from YAML, and everything that a core says as text.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Author, Batch, Change, Fact, Object, Signature, Spec};
use portico_core::deletion::Guard;
use portico_core::delta::{Delta, Output, OutputKey};
use portico_core::diagnostic::Severity;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_core::status::{Detail, Status};
use serde::Deserialize;

/// The objects of a YAML text.
pub fn objects(text: &str) -> Vec<Object> {
    documents(text).iter().map(object).collect()
}

/// The documents of a YAML text.
pub fn documents(text: &str) -> Vec<serde_yaml::Value> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| serde_yaml::Value::deserialize(document).expect("YAML"))
        .filter(|document| !document.is_null())
        .collect()
}

/// The object that a document is.
pub fn object(value: &serde_yaml::Value) -> Object {
    fn spec<S>(value: serde_yaml::Value) -> S
    where
        S: serde::de::DeserializeOwned,
    {
        serde_yaml::from_value(value).expect("a spec")
    }
    let text = |path: &[&str]| {
        let found = path.iter().try_fold(value, |value, field| value.get(field));
        found.and_then(serde_yaml::Value::as_str).map(str::to_owned)
    };
    let kind: Kind = text(&["kind"]).expect("kind").parse().expect("a kind of ours");
    let name = text(&["metadata", "name"]).expect("a name");
    let namespace = text(&["metadata", "namespace"]).unwrap_or_else(|| "default".to_owned());
    let created = text(&["metadata", "creationTimestamp"]).map(|at| at.parse().expect("a time"));
    let body = value.get("spec").cloned().expect("a spec");
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
    let author = author(&value["metadata"]["annotations"]);
    Object { name: Name::new(namespace, name), generation: None, created, author, spec }
}

/// Who wrote it, as a front end would have found: the annotation `author`, with `signed` (a key, or why the signature is bad)
/// and `portal`; or `user` with `groups`; or `unknown`.
fn author(annotations: &serde_yaml::Value) -> Option<Arc<Author>> {
    let text = |name: &str| annotations[name].as_str();
    if let Some(mail) = text("author") {
        let signature = match text("signed") {
            None => Signature::None,
            Some(key) if key.starts_with("ssh-") => Signature::Good(key.into()),
            Some(why) => Signature::Bad(why.into()),
        };
        let portal = text("portal").map(|portal| Name::new("platform", portal));
        let commit = "1234567890123456789012345678901234567890".into();
        return Some(Arc::new(Author::Commit { mail: mail.into(), commit, signature, portal }));
    }
    if let Some(name) = text("user") {
        let groups = text("groups").unwrap_or_default().split_whitespace().map(Arc::from).collect();
        return Some(Arc::new(Author::User { name: name.into(), groups }));
    }
    text("unknown").map(|why| Arc::new(Author::Unknown(why.into())))
}

/// A core with a secret store that makes what is wished, and a gateway that confirms at once.
pub struct World {
    pub core: Core,
    pub made: BTreeMap<(Name, i64), Fact>,
    /// What was told to be remembered of cancelled subscriptions that are still there.
    pub ended: BTreeMap<Name, Timestamp>,
    /// The same of the plans that subscriptions are on.
    pub on: BTreeMap<Name, Name>,
    pub now: Timestamp,
    /// What a front end would have written, that asks for a status only when it is told to.
    pub told: BTreeMap<ObjectKey, Status>,
    /// What it would know of deletions then.
    pub guards: BTreeMap<ObjectKey, (Guard, bool)>,
}

impl World {
    pub fn new(now: Timestamp) -> Self {
        World {
            core: Core::new(),
            made: BTreeMap::new(),
            ended: BTreeMap::new(),
            on: BTreeMap::new(),
            now,
            told: BTreeMap::new(),
            guards: BTreeMap::new(),
        }
    }

    /// Applies changes and everything that follows from them; all deltas, in order.
    pub fn apply(&mut self, changes: Vec<Change>) -> Vec<Delta> {
        self.apply_with(changes, Vec::new())
    }

    /// The same with facts.
    pub fn apply_with(&mut self, changes: Vec<Change>, facts: Vec<Fact>) -> Vec<Delta> {
        let mut deltas = Vec::new();
        let (mut changes, mut facts) = (changes, facts);
        for change in &changes {
            if let Change::Remove(key) = change
                && key.kind == Kind::Subscription
            {
                self.ended.remove(&key.name);
                self.on.remove(&key.name);
            }
        }
        loop {
            let delta = self.core.apply(Batch { now: self.now, changes, facts });
            facts = self.follow(&delta);
            for key in &delta.statuses {
                self.guards.insert(key.clone(), (self.core.guard(key), self.core.is_taken(key)));
                match self.core.status(key) {
                    Some(status) => _ = self.told.insert(key.clone(), status),
                    None => _ = self.told.remove(key),
                }
            }
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
        self.ended.extend(delta.ended.iter().cloned());
        self.on.extend(delta.on.iter().cloned());
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
                let fingerprint = format!("{}#{generation}", wish.credential).into();
                let fact = wish.fulfilled(*generation, self.now, fingerprint);
                self.made.insert((wish.credential.clone(), *generation), fact.clone());
                facts.push(fact);
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
        self.afresh_with(objects, Vec::new())
    }

    /// The same with facts.
    pub fn afresh_with(&self, objects: impl IntoIterator<Item = Object>, facts: Vec<Fact>) -> World {
        self.afresh_told(objects.into_iter().map(Change::Put).collect(), facts)
    }

    /// The same of any changes.
    pub fn afresh_told(&self, changes: Vec<Change>, facts: Vec<Fact>) -> World {
        let (made, ended, on) = (self.made.clone(), self.ended.clone(), self.on.clone());
        let mut world = World { made, ended, on, ..World::new(self.now) };
        let made = self.made.values().cloned();
        let ended = self.ended.iter().map(|(name, at)| Fact::Ended { subscription: name.clone(), at: *at });
        let on = self.on.iter().map(|(name, plan)| Fact::On { subscription: name.clone(), plan: plan.clone() });
        let facts = made.chain(ended).chain(on).chain(facts).collect();
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
        asked: generation,
        at,
        expires: None,
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

/// What was told before, so that only what is different now is told again.
#[derive(Default)]
pub struct Memory {
    outputs: BTreeMap<OutputKey, String>,
    objects: BTreeMap<ObjectKey, String>,
}

impl Memory {
    /// What one step did, for a person to read: what was asked of gateways (`-` takes, `+` gives,
    /// `~` changes) and of the key store in
    /// each round, then every object whose status is different now.
    pub fn tell(&mut self, deltas: &[Delta], core: &Core) -> String {
        let mut text = String::new();
        for (round, delta) in deltas.iter().enumerate() {
            for removal in &delta.removals {
                self.outputs.remove(&removal.key);
                let _ = writeln!(text, "{round} - {}", named(&removal.key));
            }
            for wish in &delta.keys {
                let from = wish.import.as_ref().map(|secret| format!(", the first one from {}", secret.name));
                let from = from.unwrap_or_default();
                let _ = writeln!(text, "{round} keys of {}: {:?}{from}", wish.credential, wish.generations);
            }
            for put in &delta.puts {
                if let Output::Client(client) = &put.output {
                    let _ = writeln!(text, "{round} {} {}", sign(put.replaces), named(&put.key));
                    let scopes: Vec<_> = client.scopes.iter().map(|scope| &*scope.scope).collect();
                    let (generations, plans) = (&client.generations, &client.plans);
                    let _ = writeln!(text, "    generations {generations:?} plans {plans:?} scopes {scopes:?}");
                    continue;
                }
                let now = show(&put.output);
                let before = self.outputs.insert(put.key.clone(), now.clone());
                let _ = writeln!(text, "{round} {} {}", sign(put.replaces), named(&put.key));
                text.push_str(&difference(before.as_deref().unwrap_or_default(), &now));
            }
        }
        if let Some(wake) = deltas.last().and_then(|delta| delta.wake) {
            let _ = writeln!(text, "wake {wake}");
        }
        let mut keys: Vec<ObjectKey> = core.objects().collect();
        keys.extend(core.diagnostics().iter().filter_map(|problem| problem.object.clone()));
        keys.sort();
        keys.dedup();
        let now: BTreeMap<_, _> = keys.into_iter().map(|key| (key.clone(), state(core, &key))).collect();
        for (key, state) in &now {
            if self.objects.get(key) != Some(state) {
                text.push_str(state);
            }
        }
        for key in self.objects.keys().filter(|key| !now.contains_key(*key)) {
            let _ = writeln!(text, "{key}: gone");
        }
        self.objects = now;
        text
    }
}

fn sign(replaces: bool) -> char {
    if replaces { '~' } else { '+' }
}

fn named(key: &OutputKey) -> String {
    match key {
        OutputKey::Gateway { environment } => format!("Gateway {environment}"),
        OutputKey::Api { environment, product, index } => format!("Api {product} [{index}] at {environment}"),
        OutputKey::Client { environment, credential } => format!("Client {credential} at {environment}"),
    }
}

/// The lines between those that begin and those that end both texts.
pub fn difference(before: &str, now: &str) -> String {
    let (before, now): (Vec<_>, Vec<_>) = (before.lines().collect(), now.lines().collect());
    let same = before.iter().zip(&now).take_while(|(one, two)| one == two).count();
    let (before, now) = (&before[same..], &now[same..]);
    let same = before.iter().rev().zip(now.iter().rev()).take_while(|(one, two)| one == two).count();
    let mut text = String::new();
    for line in &before[..before.len() - same] {
        let _ = writeln!(text, "    - {line}");
    }
    for line in &now[..now.len() - same] {
        let _ = writeln!(text, "    + {line}");
    }
    text
}

/// An object's status and what is wrong with it.
fn state(core: &Core, key: &ObjectKey) -> String {
    let mut text = String::new();
    let Some(status) = core.status(key) else { return text };
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|condition| format!("{}{}", if condition.status { "" } else { "!" }, condition.r#type))
        .collect();
    let _ = writeln!(text, "{key}: {}", conditions.join(" "));
    match &status.detail {
        Some(Detail::Subscription { phase, stage, plan: Some(plan), scopes, approval, ends_at }) => {
            let by = approval.as_ref().map(|approval| format!(" by Approval {approval}")).unwrap_or_default();
            let scopes: Vec<_> = scopes.iter().map(|scope| &*scope.scope).collect();
            let with = if scopes.is_empty() { String::new() } else { format!(" with {}", scopes.join(", ")) };
            let until = ends_at.map(|at| format!(" until {at}")).unwrap_or_default();
            let _ = writeln!(text, "    {phase:?} ({stage:?}): Plan {plan}{with}{by}{until}");
        }
        Some(Detail::Subscription { phase, plan: None, .. }) => {
            let _ = writeln!(text, "    {phase:?}: nothing is granted");
        }
        Some(Detail::Credential { generations, previous_valid_until, expires_at, .. }) => {
            let until = previous_valid_until.map(|until| format!(", the old one until {until}")).unwrap_or_default();
            let end = expires_at.map(|end| format!(", ends {end}")).unwrap_or_default();
            let _ = writeln!(text, "    keys {generations:?}{until}{end}");
        }
        Some(Detail::ApiProduct { affected, plans: _, subscriptions: _ }) if !affected.is_empty() => {
            let affected: Vec<_> = affected.iter().map(Name::to_string).collect();
            let _ = writeln!(text, "    affected: {}", affected.join(", "));
        }
        Some(Detail::Plan { subscriptions, limits, affected, terms: _ }) => {
            if *subscriptions > 0 {
                let _ = writeln!(text, "    subscriptions: {subscriptions}");
            }
            if !affected.is_empty() {
                let affected: Vec<_> = affected.iter().map(Name::to_string).collect();
                let _ = writeln!(text, "    affected: {}", affected.join(", "));
            }
            for limit in limits {
                let portico_crds::Limit { requests, per, product, operations, methods } = limit;
                let of = [operations.as_slice(), methods.as_slice()].concat().join(" + ");
                let of = if of.is_empty() { of } else { format!(" of {of}") };
                let at = product.as_ref().map(|product| format!(" at {product} alone")).unwrap_or_default();
                let _ = writeln!(text, "    enforced: {requests} per {per:?}{of}{at}");
            }
        }
        _ => {}
    }
    let problems: Vec<_> = core.diagnostics_of(key).collect();
    if let Some(ready) = status.condition("Ready").filter(|ready| !ready.status || ready.reason != "Ready")
        && !problems.iter().any(|problem| problem.severity == Severity::Error && problem.to_string() == ready.message)
    {
        let _ = writeln!(text, "    {}: {}", ready.reason, ready.message);
    }
    for problem in problems {
        let _ = writeln!(text, "    {:?} {} at {}: {problem}", problem.severity, problem.code, problem.path);
    }
    text
}
