//! Whatever happens in whatever order, the core says what it would say had it been told all at once.

mod support;

use std::collections::BTreeMap;

use jiff::Timestamp;
use portico_core::batch::{Batch, Change, Deletion, Document, Fact, Object, Payment};
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Kind, Name, ObjectKey};
use proptest::prelude::*;

const START: i64 = 1_767_225_600;

fn pick(options: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(options)
}

/// Up to three of these lines.
fn some(options: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::subsequence(options, 0..=options.len().min(3)).prop_map(|lines| lines.concat())
}

fn namespace() -> impl Strategy<Value = &'static str> {
    pick(&["a", "b"])
}

fn head(kind: &str, namespace: &str, name: &str, age: u8) -> String {
    let created = Timestamp::from_second(START - i64::from(age) * 60).expect("in range");
    format!("kind: {kind}\nmetadata: {{namespace: {namespace}, name: {name}, creationTimestamp: '{created}'}}\nspec:\n")
}

/// Whoever wrote it, besides what it says.
fn authored(head: &str, author: &str) -> String {
    head.replace("}\nspec:", &format!(", annotations: {{{author}}}}}\nspec:"))
}

fn author() -> impl Strategy<Value = &'static str> {
    pick(&[
        "",
        "",
        "",
        "author: me@x",
        "author: you@x",
        "author: me@x, signed: ssh-ed25519 AAAA",
        "user: me@x, groups: g",
        "unknown: why",
    ])
}

fn stage() -> impl Strategy<Value = &'static str> {
    pick(&[
        "Published",
        "Published",
        "Published",
        "Draft",
        "Retired",
        "Deprecated, deprecatedAt: '2025-12-31T23:55:00Z', sunsetAt: '2026-01-01T00:03:00Z'",
    ])
}

fn version() -> impl Strategy<Value = &'static str> {
    pick(&[
        "",
        "",
        ", openapi: {inline: 'openapi: 3.1.0\n\n\n\npaths: {/x: {get: {operationId: get}}}'}",
        ", openapi: {inline: 'openapi: [3.1'}",
        ", lifecycle: {stage: Deprecated, sunsetAt: '2026-01-01T00:03:30Z'}",
    ])
}

/// An object of a small world in which everything is near everything else.
fn object() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => (namespace(), pick(&["Sandbox", "Production"]), pick(&["envoy: {listeners: [{name: http, port: 80}]}", "kong: {gateway: {name: k}}"]))
            .prop_map(|(ns, stage, gateway)| format!("{}  stage: {stage}\n  gateway: {{{gateway}}}\n", head("Environment", ns, "e", 0))),
        3 => (namespace(), pick(&["m", "n"]), stage(), pick(&["from: All", "from: All", "from: Same", "from: Selected, namespaces: [b]"]), namespace(), pick(&["Active", "Optional", "Restricted"]), pick(&["Public", "Public", "Teams, teams: [{name: t, namespace: b}]", "Teams, groups: [g]"]), version())
            .prop_map(|(ns, name, stage, consumers, env, mode, audience, version)| format!(
                "{}  title: T\n  lifecycle: {{stage: {stage}}}\n  consumers: {{{consumers}}}\n  visibility: {{audience: {audience}}}\n  scopes: [{{name: read, mode: {mode}, operations: [get]}}]\n  versions: [{{name: v1{version}}}]\n  endpoints: [{{environment: {{namespace: {env}, name: e}}, upstream: {{url: 'http://u'}}}}]\n",
                head("ApiProduct", ns, name, 0))),
        3 => (namespace(), pick(&["p", "q"]), stage(), namespace(), pick(&["m", "n"]), pick(&["Automatic", "Manual", "Manual", "Manual, approvers: [{kind: Team, name: t}]", "Manual, approvers: [{kind: Group, name: g}]"]), (pick(&["", "", "  maxSubscriptions: 1\n", "  maxSubscriptions: 2\n", "  maxSubscriptions: 0\n"]), some(&["  duration: 5m\n", "  terms: {version: '2'}\n", "  sandbox: {required: true}\n", "  properties: [{name: cost, title: C, required: true}]\n", "  credentials: {max: 1, rotationOverlap: 2m, lifetime: 4m}\n", "  customFor: {namespace: b, name: x}\n"])).prop_map(|(one, more)| format!("{one}{more}")), pick(&["ApiKey", "ApiKey", "ApiKey", "PrivateKeyJwt"]), 0..3u8)
            .prop_map(|(ns, name, stage, product_ns, product, approval, extra, security, requests)| format!(
                "{}  title: T\n  lifecycle: {{stage: {stage}}}\n  products: [{{namespace: {product_ns}, name: {product}}}, {{name: m, operations: [get]}}]\n  security: {{type: {security}}}\n  approval: {{mode: {approval}}}\n  limits: [{{requests: {requests}, per: Minute}}, {{requests: 1, per: Second, operations: [get]}}]\n{extra}",
                head("Plan", ns, name, 0))),
        2 => (namespace(), pick(&["x", "y"]), some(&["  referenceId: r\n", "  team: {name: t}\n"]), pick(&["ApiKey", "ApiKey", "ApiKey", "PrivateKeyJwt"]), 0..3u8)
            .prop_map(|(ns, name, extra, authentication, age)| format!("{}  title: T\n  authentication: {authentication}\n{extra}", head("Application", ns, name, age))),
        2 => (namespace(), pick(&["", "{mail: me@x}"])).prop_map(|(ns, member)| format!("{}  title: T\n  members: [{member}]\n", head("Team", ns, "t", 0))),
        5 => (namespace(), pick(&["s", "r", "o"]), pick(&["x", "y"]), namespace(), pick(&["p", "q"]), some(&["  suspend: true\n", "  goLive: true\n", "  cancelAt: '2026-01-01T00:02:00Z'\n", "  acceptedTerms: '2'\n", "  properties: {cost: '1'}\n", "  scopes: [{name: read, reason: work}]\n", "  change: {plan: {namespace: a, name: q}, acceptedTerms: '2'}\n"]), 0..8u8, author())
            .prop_map(|(ns, name, application, plan_ns, plan, extra, age, author)| format!(
                "{}  application: {{name: {application}}}\n  plan: {{namespace: {plan_ns}, name: {plan}}}\n{extra}",
                authored(&head("Subscription", ns, name, age), author))),
        1 => pick(&["", "", ", signedCommits: true", ", signedCommits: true, signers: [{mail: me@x, key: ssh-ed25519 AAAA}]"]).prop_map(|git| format!(
            "{}  title: T\n  git: {{repository: /r{git}}}\n", head("Portal", "a", "w", 0))),
        2 => pick(&["", ", approvers: [{kind: User, name: me@x}]", ", approvers: [{kind: User, name: you@x}]"]).prop_map(|approvers| format!(
            "{}  title: T\n  products: [{{name: m}}]\n  approval: {{mode: Manual{approvers}}}\n", head("Plan", "b", "q", 0))),
        2 => (pick(&["g", "h"]), pick(&["p", "q"]), pick(&["s", "r"]), 0..3u8).prop_map(|(name, plan, sub, age)| format!(
            "{}  subscription: {{name: {sub}}}\n  decision: Granted\n  grant: {{plan: {{name: {plan}}}}}\n  by: me@x\n", head("Approval", "b", name, age))),
        2 => (namespace(), pick(&["s", "r", "o"]), pick(&["p", "q"]), 0..8u8).prop_map(|(ns, name, plan, age)| format!(
            "{}  application: {{name: x}}\n  plan: {{namespace: a, name: {plan}}}\n  change: {{plan: {{namespace: a, name: q}}}}\n", head("Subscription", ns, name, age))),
        2 => (pick(&["p", "q"]), pick(&["", "  maxSubscriptions: 1\n"]), pick(&["", "  price: {currency: EUR, amount: '1'}\n", "  price: {currency: EUR}\n  trial: 2m\n"]), pick(&["Direct", "None", "Request", "Card", "RequestWithCard"]), pick(&["", "  customFor: {namespace: b, name: x}\n  replaces: {name: p}\n", "  customFor: {namespace: a, name: x}\n  replaces: {name: p}\n"])).prop_map(|(name, most, price, mode, copy)| format!(
            "{}  title: T\n  products: [{{name: m}}]\n  changeMode: {mode}\n{most}{price}{copy}", head("Plan", "a", name, 0))),
        3 => (namespace(), pick(&["s", "r", "o"]), pick(&["p", "q"]), pick(&["", "", "  suspend: true\n", "  cancelAt: '2026-01-01T00:00:00Z'\n"]), 0..8u8).prop_map(|(ns, name, plan, extra, age)| format!(
            "{}  application: {{name: x}}\n  plan: {{namespace: a, name: {plan}}}\n{extra}", head("Subscription", ns, name, age))),
        3 => (namespace(), pick(&["g", "h"]), namespace(), pick(&["s", "r", "o"]), pick(&["p", "q"]), pick(&["Granted, stage: Production", "Granted, stage: Sandbox", "Granted, stage: Production", "Denied", "ChangesRequested"]), pick(&["", "  by: me@x\n"]), 0..3u8, author())
            .prop_map(|(ns, name, sub_ns, sub, plan, decision, by, age, author)| {
                let (decision, rest) = match decision.split_once(", ") {
                    Some((decision, stage)) => (decision, format!("grant: {{plan: {{name: {plan}}}, scopes: [read], {stage}}}")),
                    None => (decision, "reason: no".to_owned()),
                };
                let head = authored(&head("Approval", ns, name, age), author);
                format!("{head}  subscription: {{namespace: {sub_ns}, name: {sub}}}\n  decision: {decision}\n  {rest}\n{by}")
            }),
        5 => (namespace(), pick(&["c", "d", "k"]), pick(&["subscription: {name: s}", "subscription: {name: r}", "application: {name: x}"]), namespace(), 1..3i64, some(&["  disabled: true\n", "  expiresAt: '2026-01-01T00:04:00Z'\n", "  overlap: 0s\n", "  rotateEvery: 3m\n"]), 0..3u8)
            .prop_map(|(ns, name, subject, env, generation, extra, age)| format!(
                "{}  {subject}\n  environment: {{namespace: {env}, name: e}}\n  generation: {generation}\n{extra}",
                head("Credential", ns, name, age))),
    ]
}

/// Where every story begins, so that most of what happens concerns somebody.
const SEED: &str = "
{kind: Environment, metadata: {namespace: a, name: e}, spec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}}
---
{kind: ApiProduct, metadata: {namespace: a, name: m}, spec: {title: T, consumers: {from: All}, scopes: [{name: read, mode: Restricted}], endpoints: [{environment: {name: e}, upstream: {url: 'http://u'}}]}}
---
{kind: ApiProduct, metadata: {namespace: b, name: m}, spec: {title: T, consumers: {from: All}, endpoints: [{environment: {namespace: a, name: e}, upstream: {url: 'http://u'}}]}}
---
{kind: Plan, metadata: {namespace: a, name: p}, spec: {title: T, products: [{name: m}], security: {type: ApiKey}, maxSubscriptions: 1, credentials: {max: 1}}}
---
{kind: Plan, metadata: {namespace: a, name: q}, spec: {title: T, products: [{name: m}], security: {type: ApiKey}, maxSubscriptions: 1, credentials: {max: 1}}}
---
{kind: Plan, metadata: {namespace: b, name: q}, spec: {title: T, products: [{name: m}], security: {type: ApiKey}, approval: {mode: Manual}}}
---
{kind: Application, metadata: {namespace: a, name: x}, spec: {title: T}}
---
{kind: Application, metadata: {namespace: b, name: x}, spec: {title: T}}
---
{kind: Subscription, metadata: {namespace: a, name: s}, spec: {application: {name: x}, plan: {name: p}}}
---
{kind: Subscription, metadata: {namespace: b, name: s}, spec: {application: {name: x}, plan: {name: q}}}
---
{kind: Credential, metadata: {namespace: a, name: c}, spec: {subscription: {name: s}, environment: {name: e}}}
---
{kind: Credential, metadata: {namespace: b, name: c}, spec: {application: {name: x}, environment: {namespace: a, name: e}}}
";

#[derive(Clone, Debug)]
enum Event {
    Put(String),
    Remove(prop::sample::Index),
    Delete(prop::sample::Index, Deletion, bool),
    Document(&'static str, Option<&'static str>),
    Finding(prop::sample::Index, bool),
    Provider(bool),
    Payment(&'static str, &'static str, Option<Payment>),
    Wait(u16),
}

/// In a cluster at some moment, or in files before some others.
fn deletion() -> impl Strategy<Value = Deletion> {
    let later = |names: Vec<(&'static str, &'static str)>| {
        let kind = |name| if name == "p" || name == "q" { Kind::Plan } else { Kind::Subscription };
        Deletion::Before(names.into_iter().map(|(ns, name)| ObjectKey::new(kind(name), ns, name)).collect())
    };
    prop_oneof![
        (0..10i64).prop_map(|age| Deletion::At(Timestamp::from_second(START - age * 60).expect("in range"))),
        prop::collection::vec((namespace(), pick(&["s", "r", "o", "p", "q"])), 0..3).prop_map(later),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (object(), pick(&["", "", "  deletionPolicy: Orphan\n", "  deletionPolicy: Cascade\n"])).prop_map(|(text, policy)| {
            let has_policy = text.starts_with("kind: ApiProduct\n") || text.starts_with("kind: Plan\n");
            Event::Put(if has_policy { text + policy } else { text })
        }),
        3 => any::<prop::sample::Index>().prop_map(Event::Remove),
        3 => (any::<prop::sample::Index>(), deletion(), any::<bool>()).prop_map(|(index, deletion, says)| Event::Delete(index, deletion, says)),
        1 => (namespace(), prop::option::of(pick(&["openapi: 3.1.0\npaths: {/x: {get: {operationId: get}}}", "hello"])))
            .prop_map(|(ns, text)| Event::Document(ns, text)),
        1 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(index, there)| Event::Finding(index, there)),
        1 => any::<bool>().prop_map(Event::Provider),
        1 => (namespace(), pick(&["s", "r", "o"]), prop::sample::select(vec![None, Some(Payment::Card), Some(Payment::Paid), Some(Payment::Failed)]))
            .prop_map(|(ns, name, state)| Event::Payment(ns, name, state)),
        1 => (1..120u16).prop_map(Event::Wait),
    ]
}

/// How many worlds; `PROPTEST_CASES` says otherwise.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn increment_is_rebuild(batches in prop::collection::vec(prop::collection::vec(event(), 1..5), 1..40)) {
        let mut world = support::World::new(Timestamp::from_second(START).expect("in range"));
        let mut objects: BTreeMap<ObjectKey, Object> = BTreeMap::new();
        let mut deleted: BTreeMap<ObjectKey, Deletion> = BTreeMap::new();
        let mut documents = BTreeMap::new();
        let mut findings = BTreeMap::new();
        let (mut provider, mut payments) = (false, BTreeMap::new());
        for object in support::objects(SEED) {
            objects.insert(object.key(), object.clone());
            world.apply(vec![Change::Put(object)]);
        }
        for batch in batches {
            let (mut changes, mut facts) = (Vec::new(), Vec::new());
            for event in batch {
                match event {
                    Event::Put(text) => {
                        let mut object = support::objects(&text).remove(0);
                        // As in a cluster: an object keeps its age for as long as it is there.
                        object.created = objects.get(&object.key()).map_or(object.created, |old| old.created);
                        deleted.remove(&object.key());
                        objects.insert(object.key(), object.clone());
                        changes.push(Change::Put(object));
                    }
                    Event::Delete(index, deletion, says) => {
                        let concerned = |key: &&ObjectKey| matches!(key.kind, Kind::ApiProduct | Kind::Plan);
                        let keys: Vec<ObjectKey> = objects.keys().filter(concerned).cloned().collect();
                        if keys.is_empty() {
                            continue;
                        }
                        let key = index.get(&keys).clone();
                        let says = says.then(|| objects[&key].clone());
                        deleted.insert(key.clone(), deletion.clone());
                        changes.push(Change::Delete { key, said: says, deletion });
                    }
                    Event::Remove(index) if !objects.is_empty() => {
                        let key = objects.keys().nth(index.index(objects.len())).expect("there").clone();
                        objects.remove(&key);
                        deleted.remove(&key);
                        changes.push(Change::Remove(key));
                    }
                    Event::Document(ns, text) => {
                        let product = ObjectKey::new(Kind::ApiProduct, ns, "m").name;
                        let document = text.map(|text| Document::new(Ok(text.into())));
                        documents.insert(product.clone(), document.clone());
                        changes.push(Change::Document { product, version: "v1".into(), document });
                    }
                    Event::Finding(index, there) if !objects.is_empty() => {
                        // As front ends do: what is said about an object that goes is taken back.
                        let key = objects.keys().nth(index.index(objects.len())).expect("there").clone();
                        let said = there.then(|| Diagnostic::error("unknown-field", &key, "spec.x", "there is no such field"));
                        findings.insert(key.clone(), said.iter().cloned().collect::<Vec<_>>());
                        changes.push(Change::Findings(key, said.into_iter().collect()));
                    }
                    Event::Remove(_) | Event::Finding(..) => {}
                    Event::Provider(set) => {
                        provider = set;
                        facts.push(Fact::PaymentProvider { set });
                    }
                    Event::Payment(ns, name, state) => {
                        let subscription = Name::new(ns, name);
                        payments.insert(subscription.clone(), state);
                        facts.push(Fact::Payment { subscription, state });
                    }
                    Event::Wait(seconds) => world.now += jiff::SignedDuration::from_secs(i64::from(seconds)),
                }
            }
            world.apply_with(changes, facts);
        }
        let mut facts = vec![Fact::PaymentProvider { set: provider }];
        facts.extend(payments.into_iter().map(|(subscription, state)| Fact::Payment { subscription, state }));
        let told = objects.iter().map(|(key, object)| match deleted.get(key) {
            Some(deletion) => {
                Change::Delete { key: key.clone(), said: Some(object.clone()), deletion: deletion.clone() }
            }
            None => Change::Put(object.clone()),
        });
        let mut afresh = world.afresh_told(told.collect(), facts);
        let documents = documents.into_iter().map(|(product, document)| Change::Document { product, version: "v1".into(), document });
        let findings = findings.into_iter().map(|(key, said)| Change::Findings(key, said));
        afresh.apply(documents.chain(findings).collect());
        let (dump, expected) = (support::dump(&world.core), support::dump(&afresh.core));
        prop_assert!(dump == expected, "it says (+), and should say (-):\n{}", support::difference(&expected, &dump));
        for key in world.core.objects() {
            prop_assert_eq!(world.told.get(&key).cloned(), world.core.status(&key), "a change of {} was not told", key);
        }

        for key in objects.keys() {
            let now = (world.core.guard(key), world.core.is_taken(key));
            prop_assert_eq!(world.guards.get(key), Some(&now), "what the deletion of {} waits for was not told", key);
        }

        let again = world.core.apply(Batch { now: world.now, changes: Vec::new(), facts: Vec::new() });
        prop_assert!(again.puts.is_empty() && again.removals.is_empty() && again.keys.is_empty() && again.statuses.is_empty());
        let rebuilt = world.core.rebuild();
        prop_assert!(rebuilt.puts.is_empty() && rebuilt.removals.is_empty() && rebuilt.keys.is_empty());
    }
}
