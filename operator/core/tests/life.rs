//! Payments, trials and clocks: what files alone do not tell.

mod support;

use std::fmt::Write as _;

use jiff::Timestamp;
use portico_core::batch::{Change, Fact, Payment};
use portico_core::key::{Kind, Name};
use portico_core::status::Detail;
use portico_crds::Phase;

const BASE: &str = "
{kind: Environment, metadata: {namespace: pay, name: e}, spec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}}
---
{kind: ApiProduct, metadata: {namespace: pay, name: m}, spec: {title: T, consumers: {from: All}, endpoints: [{environment: {name: e}, upstream: {url: 'http://u'}}]}}
---
{kind: Plan, metadata: {namespace: pay, name: free}, spec: {title: T, products: [{name: m}]}}
---
{kind: Plan, metadata: {namespace: pay, name: paid}, spec: {title: T, products: [{name: m}], price: {currency: EUR, amount: '5'}}}
---
{kind: Plan, metadata: {namespace: pay, name: trial}, spec: {title: T, products: [{name: m}], trial: 1mo, price: {currency: EUR, amount: '5'}}}
---
{kind: Plan, metadata: {namespace: pay, name: card}, spec: {title: T, products: [{name: m}], changeMode: Card, trial: 1y, price: {currency: EUR, amount: '5'}}}
---
{kind: Plan, metadata: {namespace: pay, name: both}, spec: {title: T, products: [{name: m}], changeMode: RequestWithCard, trial: 1y, price: {currency: EUR, amount: '5'}}}
---
{kind: Plan, metadata: {namespace: pay, name: card-free}, spec: {title: T, products: [{name: m}], changeMode: Card}}
---
{kind: Application, metadata: {namespace: shop, name: x}, spec: {title: T}}
---
{kind: Credential, metadata: {namespace: shop, name: c}, spec: {subscription: {name: s}, environment: {namespace: pay, name: e}}}
";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn name() -> Name {
    Name::new("shop", "s")
}

struct Case {
    world: support::World,
    facts: Vec<Fact>,
    texts: Vec<String>,
    wake: Option<Timestamp>,
}

impl Case {
    fn new(now: &str) -> Case {
        let mut case = Case { world: support::World::new(at(now)), facts: Vec::new(), texts: Vec::new(), wake: None };
        case.apply(BASE, Vec::new());
        case
    }

    fn apply(&mut self, text: &str, facts: Vec<Fact>) {
        self.texts.push(text.to_owned());
        self.facts.extend(facts.iter().cloned());
        let changes = support::objects(text).into_iter().map(Change::Put).collect();
        self.wake = self.world.apply_with(changes, facts).pop().expect("one").wake;
        // A restart changes nothing.
        let mut objects = std::collections::BTreeMap::new();
        for object in self.texts.iter().flat_map(|text| support::objects(text)) {
            objects.insert(object.key(), object);
        }
        let afresh = self.world.afresh_with(objects.into_values(), self.facts.clone());
        assert_eq!(support::dump(&self.world.core), support::dump(&afresh.core));
    }

    fn subscribe(&mut self, created: &str, rest: &str) {
        let mut text =
            format!("kind: Subscription\nmetadata: {{namespace: shop, name: s, creationTimestamp: '{created}'}}\n");
        let _ = writeln!(text, "spec: {{application: {{name: x}}, {rest}}}");
        self.apply(&text, Vec::new());
    }

    fn pay(&mut self, state: Option<Payment>) {
        self.apply("", vec![Fact::Payment { subscription: name(), state }]);
    }

    fn at(&mut self, now: &str) {
        self.world.now = at(now);
        self.apply("", Vec::new());
    }

    /// The phase, the plan that is granted, and whether a key opens anything.
    fn is(&self) -> (Phase, String, bool) {
        let status = self.world.core.status(&name().of(Kind::Subscription)).expect("it is there");
        let Some(Detail::Subscription { phase, plan, .. }) = status.detail else { panic!("no subscription") };
        let plan = plan.map(|plan| plan.name().to_owned()).unwrap_or_default();
        (phase, plan, !self.world.core.access().is_empty())
    }
}

fn provider(set: bool) -> Vec<Fact> {
    vec![Fact::PaymentProvider { set }]
}

#[test]
fn what_has_a_price_is_paid_first_where_there_is_a_payment_provider() {
    let mut case = Case::new("2026-01-01T00:00:00Z");
    case.subscribe("2026-01-01T00:00:00Z", "plan: {namespace: pay, name: paid}");
    assert_eq!(case.is(), (Phase::Active, "paid".into(), true));
    case.apply("", provider(true));
    assert_eq!(case.is(), (Phase::PendingPayment, "paid".into(), false));
    case.pay(Some(Payment::Card));
    assert_eq!(case.is(), (Phase::PendingPayment, "paid".into(), false));
    case.pay(Some(Payment::Failed));
    assert_eq!(case.is(), (Phase::PaymentFailed, "paid".into(), false));
    case.pay(Some(Payment::Paid));
    assert_eq!(case.is(), (Phase::Active, "paid".into(), true));
    case.pay(None);
    assert_eq!(case.is(), (Phase::PendingPayment, "paid".into(), false));
    case.apply("", provider(false));
    assert_eq!(case.is(), (Phase::Active, "paid".into(), true));
    case.apply("", provider(true));
    case.subscribe("2026-01-01T00:00:00Z", "plan: {namespace: pay, name: free}");
    assert_eq!(case.is(), (Phase::Active, "free".into(), true));
}

#[test]
fn a_trial_ends_at_its_moment() {
    let mut case = Case::new("2026-01-31T00:00:00Z");
    case.apply("", provider(true));
    case.subscribe("2026-01-31T00:00:00Z", "plan: {namespace: pay, name: trial}");
    assert_eq!(case.is(), (Phase::Active, "trial".into(), true));
    assert_eq!(case.wake, Some(at("2026-02-28T00:00:00Z")));
    case.at("2026-02-27T23:59:59Z");
    assert_eq!(case.is(), (Phase::Active, "trial".into(), true));
    case.at("2026-02-28T00:00:00Z");
    assert_eq!(case.is(), (Phase::PendingPayment, "trial".into(), false));
    case.pay(Some(Payment::Paid));
    assert_eq!(case.is(), (Phase::Active, "trial".into(), true));
    case.apply("", provider(false));
    assert_eq!(case.is(), (Phase::Active, "trial".into(), true), "nothing is to be paid");
}

#[test]
fn a_change_with_a_card_needs_one_and_a_free_plan_does_not() {
    let mut case = Case::new("2026-01-01T00:00:00Z");
    let to = |plan: &str| {
        format!("plan: {{namespace: pay, name: free}}, change: {{plan: {{namespace: pay, name: {plan}}}}}")
    };
    case.subscribe("2026-01-01T00:00:00Z", &to("card"));
    assert_eq!(case.is(), (Phase::Active, "card".into(), true), "there is no payment provider");
    case.apply("", provider(true));
    assert_eq!(case.is(), (Phase::Active, "free".into(), true));
    case.pay(Some(Payment::Card));
    assert_eq!(case.is(), (Phase::Active, "card".into(), true));
    case.subscribe("2026-01-01T00:00:00Z", &to("both"));
    assert_eq!(case.is(), (Phase::Active, "card".into(), true), "it takes an approval too, and what it has serves");
    case.apply(
        "{kind: Approval, metadata: {namespace: pay, name: s}, spec: {subscription: {namespace: shop, name: s}, decision: Granted, grant: {plan: {name: both}}}}",
        Vec::new(),
    );
    assert_eq!(case.is(), (Phase::Active, "both".into(), true));
    case.pay(None);
    assert_eq!(case.is(), (Phase::Active, "free".into(), true));
    case.subscribe("2026-01-01T00:00:00Z", &to("card-free"));
    assert_eq!(case.is(), (Phase::Active, "card-free".into(), true));
    // What is to be paid first leaves it where it is.
    case.subscribe("2026-01-01T00:00:00Z", &to("paid"));
    assert_eq!(case.is(), (Phase::Active, "card-free".into(), true));
    case.pay(Some(Payment::Paid));
    assert_eq!(case.is(), (Phase::Active, "paid".into(), true));
}

#[test]
fn clocks_that_jump_end_things_once() {
    let mut case = Case::new("2026-01-01T00:00:00Z");
    case.subscribe("2026-01-01T00:00:00Z", "plan: {namespace: pay, name: free}, cancelAt: '2026-02-01T00:00:00Z'");
    assert_eq!((case.is().0, case.wake), (Phase::PendingCancellation, Some(at("2026-02-01T00:00:00Z"))));
    // Far beyond all moments at once.
    case.at("2030-01-01T00:00:00Z");
    assert_eq!(case.is(), (Phase::Cancelled, "free".into(), false));
    // Back before them, in the running core.
    case.world.now = at("2026-01-15T00:00:00Z");
    let deltas = case.world.apply(Vec::new());
    assert!(deltas.iter().all(|delta| delta.puts.is_empty() && delta.removals.is_empty() && delta.statuses.is_empty()));
    assert_eq!(case.is().0, Phase::Cancelled);
    // And in one that begins then: it is remembered.
    let objects = case.texts.iter().flat_map(|text| support::objects(text));
    let afresh = case.world.afresh_with(objects.collect::<Vec<_>>(), case.facts.clone());
    let status = afresh.core.status(&name().of(Kind::Subscription)).expect("there");
    assert!(matches!(status.detail, Some(Detail::Subscription { phase: Phase::Cancelled, .. })));
}
