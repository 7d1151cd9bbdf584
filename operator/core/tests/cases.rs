//! Golden cases: each folder of `tests/cases` is a story. `base.yaml`, if there is one, stands from the beginning and in
//! every step. `1.yaml`, `2.yaml` and on are the rest of the desired state, step by step: what a step leaves out is gone,
//! and an object that is in both is as the step says.
//! `out.txt` says what the core made of each step; `UPDATE=1` writes it anew.
//!
//! A step may begin with `# now: <time>`; stories begin on 2026-01-01. An object with the annotation `broken` is one whose
//! file does not read, with what its front end says of that. The annotation `document` of a product is the OpenAPI
//! document of its version `v1` as a front end found it, and `last` what that was when it last read well.
//!
//! A product or a plan that a step leaves out was deleted, as in a repository: who is in no step before that one came later.
//! The annotation `deleted` of one that is there is since when, as in a cluster; left out after that, it is gone.
//! The annotations `author`, `user` and `unknown` say who wrote it.
//!
//! All stories together show each rule by which somebody has no access, and `explain` names it and the object to change.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Deletion, Document, Fact, Object, Payment};
use portico_core::delta::OutputKey;
use portico_core::diagnostic::Diagnostic;
use portico_core::explain::RULES;
use portico_core::key::{Kind, Name, ObjectKey};

#[test]
fn cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<_> = fs::read_dir(&root).expect("cases").map(|entry| entry.expect("entry").path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    let mut failed = Vec::new();
    let mut rules = BTreeSet::new();
    for folder in folders {
        let name = folder.file_name().expect("named").to_string_lossy().into_owned();
        let told = story(&folder, &mut rules);
        let golden = folder.join("out.txt");
        if env::var_os("UPDATE").is_some() {
            fs::write(&golden, &told).expect("golden file");
        }
        let same = fs::read_to_string(&golden).is_ok_and(|text| text == told);
        println!("case {name} ... {}", if same { "ok" } else { "FAILED" });
        if !same {
            println!("{told}");
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "differ: {failed:?}; UPDATE=1 accepts them");
    facts(&mut rules);
    let unseen: Vec<_> = RULES.iter().filter(|rule| !rules.contains(*rule)).collect();
    assert!(unseen.is_empty(), "no story shows these rules: {unseen:?}");
}

/// Whoever has no access is told by which rule, and which object to change.
fn explained(core: &Core, rules: &mut BTreeSet<&'static str>) {
    for key in core.objects().filter(|key| matches!(key.kind, Kind::Subscription | Kind::Credential)) {
        let steps = core.explain(&key);
        let has_access = match key.kind {
            Kind::Subscription => core.granted(&key.name).is_some(),
            _ => core
                .outputs()
                .any(|(output, ..)| matches!(output, OutputKey::Client { credential, .. } if *credential == key.name)),
        };
        let decides = steps.iter().any(|step| !step.passes && step.rule.is_some());
        assert!(has_access || decides, "{key} has no access, and nothing says why: {steps:#?}");
        for step in steps {
            let Some(rule) = step.rule else { continue };
            assert!(RULES.contains(&rule), "{rule} is in no list");
            assert!(step.object.as_ref().is_some_and(|object| core.has(object)), "what decides is there: {step:?}");
            if key.kind == Kind::Subscription && rule == "denied" {
                let says = step.object.as_ref().is_some_and(|object| step.text.contains(&format!(": {object} ")));
                assert!(says, "the answer that is told is the one that decides: {step:?}");
            }
            rules.insert(rule);
        }
    }
}

/// What no file says: payments, keys and gateways.
fn facts(rules: &mut BTreeSet<&'static str>) {
    let now = "2026-01-01T00:00:00Z".parse().expect("time");
    let text = "
{kind: Environment, metadata: {namespace: a, name: e}, spec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}}
---
{kind: ApiProduct, metadata: {namespace: a, name: m}, spec: {title: T, endpoints: [{environment: {name: e}, upstream: {url: 'http://u'}}]}}
---
{kind: Plan, metadata: {namespace: a, name: p}, spec: {title: T, products: [{name: m}], price: {currency: EUR, amount: '1'}}}
---
{kind: Application, metadata: {namespace: a, name: x}, spec: {title: T}}
---
{kind: Subscription, metadata: {namespace: a, name: s}, spec: {application: {name: x}, plan: {name: p}}}
---
{kind: Credential, metadata: {namespace: a, name: c}, spec: {subscription: {name: s}, environment: {name: e}, import: {name: old}}}
";
    let mut core = Core::new();
    let mut apply = |changes, facts| {
        core.apply(Batch { now, changes, facts });
        explained(&core, rules);
    };
    let (subscription, credential) = (Name::new("a", "s"), Name::new("a", "c"));
    apply(support::objects(text).into_iter().map(Change::Put).collect(), Vec::new());
    apply(Vec::new(), vec![Fact::NotImported { credential: credential.clone(), why: "no".into() }]);
    apply(Vec::new(), vec![support::made(&credential, 1, now)]);
    apply(Vec::new(), vec![Fact::PaymentProvider { set: true }]);
    apply(Vec::new(), vec![Fact::Payment { subscription, state: Some(Payment::Failed) }]);
}

fn story(folder: &Path, rules: &mut BTreeSet<&'static str>) -> String {
    let mut world = support::World::new("2026-01-01T00:00:00Z".parse().expect("time"));
    let mut memory = support::Memory::default();
    let base = fs::read_to_string(folder.join("base.yaml")).unwrap_or_default();
    let mut before = State::default();
    let mut told = String::new();
    for step in 0.. {
        let text = match fs::read_to_string(folder.join(format!("{step}.yaml"))) {
            Ok(text) => text,
            Err(_) if step == 0 => String::new(),
            Err(_) => break,
        };
        if let Some(now) = text.strip_prefix("# now: ").and_then(|rest| rest.lines().next()) {
            world.now = now.trim().parse().expect("a time");
        }
        let after = state(&[&base, &text], &before);
        let before_that = before.objects.keys().chain(before.leaving.keys());
        let removed = before_that.filter(|key| !after.speaks_of(key)).cloned().map(Change::Remove);
        let changed = after.objects.values().filter(|object| before.objects.get(&object.key()) != Some(object));
        let mended = before.broken.keys().map(|key| Change::Findings(key.clone(), Vec::new()));
        let changes = removed
            .chain(changed.cloned().map(Change::Put))
            .chain(after.deletions())
            .chain(mended)
            .chain(after.findings());
        let forgotten = before.documents.keys().filter(|product| !after.documents.contains_key(*product));
        let forgotten = forgotten.map(|product| found(product, None));
        let changes = changes.chain(forgotten).chain(after.documents());
        let deltas = world.apply(changes.collect());
        let text = memory.tell(&deltas, &world.core);
        explained(&world.core, rules);
        if step > 0 {
            let _ = write!(told, "=== step {step}, {}\n{text}", world.now);
        }
        let put = after.objects.values().cloned().map(Change::Put);
        let mut afresh = world.afresh_told(put.chain(after.deletions()).collect(), Vec::new());
        afresh.apply(after.findings().chain(after.documents()).collect());
        assert_eq!(support::dump(&world.core), support::dump(&afresh.core), "step {step} of {}", folder.display());
        before = after;
    }
    told
}

/// Desired state, as a front end has it.
#[derive(Default)]
struct State {
    objects: BTreeMap<ObjectKey, Object>,
    broken: BTreeMap<ObjectKey, String>,
    documents: BTreeMap<Name, Document>,
    /// What was deleted, and what there was then.
    deleted: BTreeMap<ObjectKey, (Object, BTreeSet<ObjectKey>)>,
    /// What is deleted in a cluster, and since when.
    leaving: BTreeMap<ObjectKey, (Object, Timestamp)>,
}

fn found(product: &Name, document: Option<Document>) -> Change {
    Change::Document { product: product.clone(), version: "v1".to_owned(), document }
}

impl State {
    fn speaks_of(&self, key: &ObjectKey) -> bool {
        self.objects.contains_key(key) || self.deleted.contains_key(key) || self.leaving.contains_key(key)
    }

    fn deletions(&self) -> impl Iterator<Item = Change> {
        let deleted = self.deleted.iter().map(|(key, (object, known))| {
            // A subscription needs the products of its plan.
            let plan = |key: &ObjectKey| self.objects.get(key).or_else(|| self.deleted.get(key).map(|(plan, _)| plan));
            let by_plan = |one: &ObjectKey| plan(one).is_some_and(|plan| plan.relies_on().contains(key));
            let needs = |other: &&Object| other.relies_on().iter().any(|one| one == key || by_plan(one));
            let referring = self.objects.values().filter(needs);
            let later = referring.map(Object::key).filter(|other| !known.contains(other)).collect();
            Change::Delete { key: key.clone(), said: Some(object.clone()), deletion: Deletion::Before(later) }
        });
        let leaving = self.leaving.iter().map(|(key, (object, at))| Change::Delete {
            key: key.clone(),
            said: Some(object.clone()),
            deletion: Deletion::At(*at),
        });
        deleted.chain(leaving)
    }

    fn documents(&self) -> impl Iterator<Item = Change> {
        self.documents.iter().map(|(product, document)| found(product, Some(document.clone())))
    }

    fn findings(&self) -> impl Iterator<Item = Change> {
        self.broken.iter().map(|(key, message)| {
            let finding = Diagnostic::error("syntax", key, "", message);
            Change::Findings(key.clone(), vec![finding])
        })
    }
}

/// What files say. An object whose file does not read says what it said before.
fn state(texts: &[&str], before: &State) -> State {
    let mut state = State::default();
    for document in texts.iter().flat_map(|text| support::documents(text)) {
        let object = support::object(&document);
        let key = object.key();
        let text = |name: &str| document["metadata"]["annotations"][name].as_str().map(Into::into);
        if let Some(found) = text("document") {
            state.documents.insert(key.name.clone(), Document { text: Ok(found), last: text("last") });
        }
        if let Some(at) = text("deleted").map(|at: std::sync::Arc<str>| at.parse().expect("a time")) {
            state.leaving.insert(key, (object, at));
            continue;
        }
        match document["metadata"]["annotations"]["broken"].as_str() {
            None => _ = state.objects.insert(key, object),
            Some(message) => {
                if let Some(object) = before.objects.get(&key) {
                    state.objects.insert(key.clone(), object.clone());
                }
                state.broken.insert(key, message.to_owned());
            }
        }
    }
    let known: BTreeSet<ObjectKey> = before.objects.keys().cloned().collect();
    let left = before.objects.iter().filter(|(key, _)| matches!(key.kind, Kind::ApiProduct | Kind::Plan));
    let left = left.map(|(key, object)| (key.clone(), (object.clone(), known.clone())));
    state.deleted.extend(before.deleted.clone().into_iter().chain(left));
    let State { objects, leaving, broken: _, documents: _, deleted } = &mut state;
    deleted.retain(|key, _| !objects.contains_key(key) && !leaving.contains_key(key));
    state
}
