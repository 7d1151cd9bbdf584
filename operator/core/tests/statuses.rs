//! What statuses say while gateways have not confirmed yet, and what they count.

mod support;

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Fact};
use portico_core::delta::Delta;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_core::status::{Detail, Status};
use portico_crds::{Limit, Period};

const WORLD: &str = "
{kind: Environment, metadata: {namespace: a, name: e}, spec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}}
---
{kind: ApiProduct, metadata: {namespace: a, name: m}, spec: {title: T, endpoints: [{environment: {name: e}, upstream: {url: 'http://u'}}]}}
---
{kind: Plan, metadata: {namespace: a, name: p}, spec: {title: T, products: [{name: m}], limits: [{requests: 5, per: Minute}]}}
---
{kind: Team, metadata: {namespace: a, name: t}, spec: {title: T, members: [{mail: me@x}, {mail: you@x}]}}
---
{kind: Application, metadata: {namespace: a, name: x}, spec: {title: T, team: {name: t}}}
---
{kind: Subscription, metadata: {namespace: a, name: s}, spec: {application: {name: x}, plan: {name: p}}}
---
{kind: Credential, metadata: {namespace: a, name: c}, spec: {subscription: {name: s}, environment: {name: e}}}
---
{kind: Credential, metadata: {namespace: a, name: d}, spec: {application: {name: x}, environment: {name: e}}}
";

/// A core whose gateway confirms only when it is told to.
struct Case {
    core: Core,
    now: Timestamp,
    serial: u64,
}

impl Case {
    fn new() -> Case {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let mut case = Case { core: Core::new(), now, serial: 0 };
        let delta = case.apply(support::objects(WORLD).into_iter().map(Change::Put).collect(), Vec::new());
        let made = delta.keys.iter().map(|wish| support::made(&wish.credential, 1, now));
        case.apply(Vec::new(), made.collect());
        case
    }

    fn apply(&mut self, changes: Vec<Change>, facts: Vec<Fact>) -> Delta {
        let delta = self.core.apply(Batch { now: self.now, changes, facts });
        let serials = delta.removals.iter().map(|one| one.serial).chain(delta.puts.iter().map(|one| one.serial));
        self.serial = serials.max().unwrap_or(self.serial);
        delta
    }

    /// Changes objects; each is the first of the world with a text in place of another.
    fn change(&mut self, kind: &str, old: &str, new: &str) -> Delta {
        let text = WORLD.split("---").find(|text| text.contains(kind) && text.contains(old)).expect("there is one");
        let objects = support::objects(&text.replacen(old, new, 1));
        self.apply(objects.into_iter().map(Change::Put).collect(), Vec::new())
    }

    fn confirm(&mut self) -> Delta {
        let fact = Fact::Confirmed { environment: Name::new("a", "e"), serial: self.serial };
        self.apply(Vec::new(), vec![fact])
    }

    fn status(&self, kind: Kind, name: &str) -> Status {
        self.core.status(&ObjectKey::new(kind, "a", name)).expect("it is there")
    }

    fn ready(&self, kind: Kind, name: &str) -> (bool, &'static str) {
        let status = self.status(kind, name);
        let ready = status.condition("Ready").expect("it says whether it is");
        (ready.status, ready.reason)
    }

    fn limits(&self) -> Vec<i64> {
        let Some(Detail::Plan { limits, .. }) = self.status(Kind::Plan, "p").detail else { panic!("no plan") };
        limits.iter().map(|limit| limit.requests).collect()
    }
}

#[test]
fn what_rests_is_ready_once_gateways_know_that_it_does() {
    let mut case = Case::new();
    assert_eq!(case.ready(Kind::Subscription, "s"), (false, "Programming"));
    case.confirm();
    assert_eq!(case.ready(Kind::Subscription, "s"), (true, "Ready"));

    case.change("Subscription", "spec: {", "spec: {suspend: true, ");
    assert_eq!(case.ready(Kind::Subscription, "s"), (false, "Programming"), "it may be let in still");
    assert_eq!(case.ready(Kind::Credential, "c"), (false, "Programming"));
    let told = case.confirm().statuses;
    assert!(told.contains(&ObjectKey::new(Kind::Subscription, "a", "s")), "{told:?}");
    assert!(told.contains(&ObjectKey::new(Kind::Credential, "a", "c")), "{told:?}");
    assert_eq!(case.ready(Kind::Subscription, "s"), (true, "Suspended"));
    assert_eq!(case.ready(Kind::Credential, "c"), (true, "Suspended"));
    assert_eq!(case.ready(Kind::Credential, "d"), (true, "Suspended"), "all that the application has");

    // It comes back before anybody has confirmed that it was gone.
    case.change("Subscription", "spec: {", "spec: {");
    case.confirm();
    case.change("Credential, metadata: {namespace: a, name: c}", "spec: {", "spec: {disabled: true, ");
    case.change("Credential, metadata: {namespace: a, name: c}", "spec: {", "spec: {");
    case.confirm();
    assert_eq!(case.ready(Kind::Credential, "c"), (true, "Ready"));
}

#[test]
fn a_key_that_is_being_made_is_not_one_that_rests() {
    let mut case = Case::new();
    case.confirm();
    case.change("name: c}", "name: c}", "name: new}");
    assert_eq!(case.ready(Kind::Credential, "new"), (false, "Issuing"));
    assert!(case.status(Kind::Credential, "new").condition("Reconciling").is_some());
}

#[test]
fn limits_are_those_that_gateways_have() {
    let mut case = Case::new();
    assert_eq!(case.limits(), [0; 0]);
    assert_eq!(case.ready(Kind::Plan, "p"), (false, "Programming"));
    case.confirm();
    assert_eq!((case.limits().as_slice(), case.ready(Kind::Plan, "p")), ([5].as_slice(), (true, "Ready")));

    case.change("Plan", "requests: 5", "requests: 7");
    assert_eq!((case.limits().as_slice(), case.ready(Kind::Plan, "p")), ([5].as_slice(), (false, "Programming")));
    let (environment, objects) = (Name::new("a", "e"), vec![ObjectKey::new(Kind::ApiProduct, "a", "m")]);
    let message = "no".to_owned();
    let refused = Fact::Refused { environment: environment.clone(), objects: objects.clone(), message };
    let told = case.apply(Vec::new(), vec![refused]).statuses;
    assert!(told.contains(&ObjectKey::new(Kind::Plan, "a", "p")), "{told:?}");
    case.confirm();
    assert_eq!((case.limits().as_slice(), case.ready(Kind::Plan, "p")), ([5].as_slice(), (false, "Refused")));
    let told = case.apply(Vec::new(), vec![Fact::Accepted { environment, objects }]).statuses;
    assert!(told.contains(&ObjectKey::new(Kind::Plan, "a", "p")), "{told:?}");
    assert_eq!((case.limits().as_slice(), case.ready(Kind::Plan, "p")), ([7].as_slice(), (true, "Ready")));

    case.apply(vec![Change::Remove(ObjectKey::new(Kind::ApiProduct, "a", "m"))], Vec::new());
    case.confirm();
    assert_eq!(case.limits(), [0; 0]);

    let mut case = Case::new();
    let limit =
        "{requests: 5, per: Minute, product: m, operations: ['post /x', /y]}, {requests: 1, per: Day, methods: [PUT]}";
    case.change("Plan", "{requests: 5, per: Minute}", limit);
    case.confirm();
    let Some(Detail::Plan { limits, .. }) = case.status(Kind::Plan, "p").detail else { panic!("no plan") };
    let only = |requests, per| Limit { requests, per, product: None, operations: Vec::new(), methods: Vec::new() };
    let operations = vec!["/y".to_owned(), "POST /x".to_owned()];
    let one = Limit { product: Some("m".to_owned()), operations, ..only(5, Period::Minute) };
    assert_eq!(limits, [one, Limit { methods: vec!["PUT".to_owned()], ..only(1, Period::Day) }]);
}

#[test]
fn counts_are_of_what_is_there_and_told_when_they_change() {
    let mut case = Case::new();
    let counts = |case: &Case| {
        let kinds = [
            (Kind::Environment, "e"),
            (Kind::ApiProduct, "m"),
            (Kind::Plan, "p"),
            (Kind::Team, "t"),
            (Kind::Application, "x"),
        ];
        kinds.map(|(kind, name)| match case.status(kind, name).detail {
            Some(Detail::Environment { clients, endpoints }) => [clients, endpoints],
            Some(Detail::ApiProduct { plans, subscriptions, affected: _ }) => [plans, subscriptions],
            Some(Detail::Plan { subscriptions, .. }) => [subscriptions, 0],
            Some(Detail::Team { members, applications }) => [members, applications],
            Some(Detail::Application { subscriptions, credentials }) => [subscriptions, credentials],
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(counts(&case), [[2, 1], [1, 1], [1, 0], [2, 1], [1, 2]]);
    let delta = case.apply(vec![Change::Remove(ObjectKey::new(Kind::Subscription, "a", "s"))], Vec::new());
    assert_eq!(counts(&case), [[0, 1], [1, 0], [0, 0], [2, 1], [0, 1]]);
    let kinds: Vec<Kind> = delta.statuses.iter().map(|key| key.kind).collect();
    for kind in [Kind::Environment, Kind::ApiProduct, Kind::Plan, Kind::Application] {
        assert!(kinds.contains(&kind), "{kind:?} was not told: {kinds:?}");
    }
    assert!(!kinds.contains(&Kind::Team), "nothing of it changed");
    case.apply(vec![Change::Remove(ObjectKey::new(Kind::Application, "a", "x"))], Vec::new());
    let Some(Detail::Team { applications, .. }) = case.status(Kind::Team, "t").detail else { panic!("no team") };
    assert_eq!(applications, 0);
}

#[test]
fn a_subscription_says_when_it_ends() {
    let mut case = Case::new();
    let ends = |case: &Case| match case.status(Kind::Subscription, "s").detail {
        Some(Detail::Subscription { ends_at, .. }) => ends_at.map(|at| at.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(ends(&case), None);
    case.change("Subscription", "spec: {", "spec: {cancelAt: '2026-03-01T00:00:00Z', ");
    assert_eq!(ends(&case).as_deref(), Some("2026-03-01T00:00:00Z"));
    case.change("Plan", "title: T", "title: T, duration: 10d");
    assert_eq!(ends(&case).as_deref(), Some("2026-03-01T00:00:00Z"), "nobody knows how old it is");
    let new = "name: s, creationTimestamp: '2026-01-01T00:00:00Z'}, spec: {cancelAt: '2026-03-01T00:00:00Z', ";
    case.change("Subscription", "name: s}, spec: {", new);
    assert_eq!(ends(&case).as_deref(), Some("2026-01-11T00:00:00Z"), "its time is over before");
}

#[test]
fn what_happens_to_one_subscription_is_no_news_to_others() {
    let mut case = Case::new();
    case.apply(
        support::objects(
            "
{kind: Application, metadata: {namespace: a, name: y}, spec: {title: T}}
---
{kind: Subscription, metadata: {namespace: a, name: other}, spec: {application: {name: y}, plan: {name: p}}}
---
{kind: Credential, metadata: {namespace: a, name: other}, spec: {subscription: {name: other}, environment: {name: e}}}
",
        )
        .into_iter()
        .map(Change::Put)
        .collect(),
        Vec::new(),
    );
    case.confirm();
    let delta = case.change("Subscription", "spec: {", "spec: {suspend: true, ");
    assert!(delta.recomputed <= 5, "{} nodes", delta.recomputed);
    let confirmed = case.confirm();
    assert_eq!(confirmed.recomputed, 0);
    for told in delta.statuses.iter().chain(&confirmed.statuses) {
        assert!(told.name.name() != "other" && told.name.name() != "y", "{told} was told");
    }
}
