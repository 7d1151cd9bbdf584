//! A search through everything that can happen in a small world, in every order: the shipped core is run through all of it,
//! and at each step an independent and simple statement of what is right is held against it.
//!
//! The world: two subscriptions of two teams, two plans of which one has one place and needs an approval and the other may be
//! deleted, a gateway that hears late, a key store that answers late, a clock, and a crash at any time. A state is what files say, which keys there are and
//! what time it is, for the newest batch and for those that the gateway has not confirmed yet. A core is made anew for each
//! state, from nothing but that.

mod support;

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::Mutex;

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Deletion, Fact, Object, Payment};
use portico_core::delta::{Delta, Output, OutputKey};
use portico_core::key::{Kind, Name};
use portico_core::life;
use portico_core::status::Detail;
use portico_crds::{Phase, SubscriptionStage};

/// When it begins.
const START: i64 = 1_767_225_600;
/// The clock moves by so much, this often at most.
const HOUR: i64 = 3600;
const HOURS: u64 = 1;
/// How many batches a gateway can be behind.
const BEHIND: usize = 2;

/// Fields of a state, as numbers of a few values each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Field {
    /// Of team one: not there, asks for `open`, asks for `gold`, has `open` and wants `gold`.
    One,
    /// It has accepted its plans' terms, is suspended, ends in an hour.
    OneIs,
    /// An approval of `gold` for it, a refusal, one of a stranger for the stranger's own plan; and none.
    OneAnswer,
    /// Of team two: not there, asks for `gold`, for `gold` and is suspended.
    Two,
    /// An approval of `gold` for it.
    TwoAnswer,
    /// The product admits both teams, or none.
    Consent,
    /// Which of the two credentials' keys are made.
    Made,
    Hours,
    /// Whether the first subscription was ever cancelled, and is still there.
    Ended,
    /// There is no payment provider, or there is one that was not paid for the first subscription.
    Paid,
    /// Which plan the first subscription is on, where its file names another one as its own: none, `open`, `gold`. It follows from
    /// what happened to the others.
    On,
    /// The plan `open` is there; or was deleted, when team one asked for it, or when it did not.
    Open,
}

/// Each field's place in a state, and how many values it has.
const FIELDS: [(Field, u32, u64); 12] = [
    (Field::One, 0, 4),
    (Field::OneIs, 2, 3),
    (Field::OneAnswer, 4, 4),
    (Field::Two, 6, 3),
    (Field::TwoAnswer, 8, 2),
    (Field::Consent, 10, 2),
    (Field::Made, 12, 4),
    (Field::Hours, 14, HOURS + 1),
    (Field::Ended, 16, 2),
    (Field::Paid, 18, 2),
    (Field::On, 20, 3),
    (Field::Open, 22, 3),
];

/// What is so at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Now(u32);

impl Now {
    fn get(self, field: Field) -> u64 {
        u64::from(self.0 >> FIELDS[field as usize].1 & 3)
    }

    fn with(self, field: Field, value: u64) -> Now {
        let place = FIELDS[field as usize].1;
        Now(self.0 & !(3 << place) | u32::try_from(value).expect("small") << place)
    }

    fn time(self) -> Timestamp {
        Timestamp::from_second(START + i64::try_from(self.get(Field::Hours)).expect("small") * HOUR).expect("in range")
    }
}

/// What is so, newest last; the gateway has confirmed the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct State {
    moments: [Now; BEHIND + 1],
    length: u8,
}

impl State {
    fn settled(now: Now) -> State {
        State { moments: [now, Now::default(), Now::default()], length: 1 }
    }

    fn moments(&self) -> &[Now] {
        &self.moments[..usize::from(self.length)]
    }

    fn newest(&self) -> Now {
        self.moments[usize::from(self.length) - 1]
    }

    fn then(mut self, now: Now) -> State {
        self.moments[usize::from(self.length)] = now;
        self.length += 1;
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// Somebody writes something else, a key is made or destroyed, a payment is told, the clock moves.
    Set(Field, u64),
    /// The gateway confirms the oldest that it has not.
    Confirm,
    /// The core begins anew, and the gateway hears everything again.
    Crash,
}

/// The plans, as `Field::On` has them.
const OPEN: u64 = 1;
const GOLD: u64 = 2;

fn one() -> Name {
    Name::new("one", "s")
}

fn two() -> Name {
    Name::new("two", "s")
}

const ALWAYS: &str = "
{kind: Environment, metadata: {namespace: own, name: e}, spec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}}
---
{kind: Plan, metadata: {namespace: own, name: gold}, spec: {title: T, products: [{name: m}], approval: {mode: Manual}, maxSubscriptions: 1, price: {currency: EUR, amount: '1'}}}
---
{kind: ApiProduct, metadata: {namespace: odd, name: n}, spec: {title: T, consumers: {from: All}, endpoints: [{environment: {namespace: own, name: e}, basePath: /n, upstream: {url: 'http://u'}}]}}
---
{kind: Plan, metadata: {namespace: odd, name: lure}, spec: {title: T, products: [{name: n}], approval: {mode: Manual}}}
---
{kind: Application, metadata: {namespace: one, name: x}, spec: {title: T}}
---
{kind: Application, metadata: {namespace: two, name: x}, spec: {title: T}}
---
{kind: Credential, metadata: {namespace: one, name: c}, spec: {subscription: {name: s}, environment: {namespace: own, name: e}}}
---
{kind: Credential, metadata: {namespace: two, name: c}, spec: {subscription: {name: s}, environment: {namespace: own, name: e}}}
";

/// What may be deleted, in the default way.
const OPEN_PLAN: &str = "{kind: Plan, metadata: {namespace: own, name: open}, spec: {title: T, products: [{name: m}]}}";

/// Every object that a field's value puts there.
fn text(field: Field, value: u64, other: u64) -> String {
    let asks = |namespace: &str, rest: &str, created: &str| {
        format!(
            "kind: Subscription\nmetadata: {{namespace: {namespace}, name: s, creationTimestamp: '{created}'}}\nspec:\n  application: {{name: x}}\n{rest}"
        )
    };
    let answer = |from: &str, of: &str, says: &str| {
        format!(
            "kind: Approval\nmetadata: {{namespace: {from}, name: {of}}}\nspec:\n  subscription: {{namespace: {of}, name: s}}\n{says}"
        )
    };
    let (open, gold) = ("  plan: {namespace: own, name: open}\n", "  plan: {namespace: own, name: gold}\n");
    let granted = "  decision: Granted\n  grant: {plan: {name: gold}}\n";
    match (field, value) {
        (Field::One, value) => {
            let plan = match value {
                1 => open.to_owned(),
                2 => gold.to_owned(),
                3 => format!("{open}  change: {{plan: {{namespace: own, name: gold}}}}\n"),
                _ => return String::new(),
            };
            let is = ["", "  suspend: true\n", "  cancelAt: '2026-01-01T01:00:00Z'\n"];
            asks("one", &format!("{plan}{}", is[usize::try_from(other).expect("small")]), "2025-12-01T00:00:00Z")
        }
        (Field::OneAnswer, 1) => answer("own", "one", granted),
        (Field::OneAnswer, 2) => answer("own", "one", "  decision: Denied\n  reason: no\n"),
        (Field::OneAnswer, 3) => answer("odd", "one", "  decision: Granted\n  grant: {plan: {name: lure}}\n"),
        (Field::Two, 1) => asks("two", gold, "2025-12-02T00:00:00Z"),
        (Field::Two, 2) => asks("two", &format!("{gold}  suspend: true\n"), "2025-12-02T00:00:00Z"),
        (Field::TwoAnswer, 1) => answer("own", "two", granted),
        (Field::Consent, value) => {
            let from = if value == 0 { "All" } else { "Same" };
            format!(
                "kind: ApiProduct\nmetadata: {{namespace: own, name: m}}\nspec:\n  title: T\n  consumers: {{from: {from}}}\n  endpoints: [{{environment: {{name: e}}, upstream: {{url: 'http://u'}}}}]\n"
            )
        }
        _ => String::new(),
    }
}

/// The objects that a moment has, read once.
struct Files {
    always: Vec<Object>,
    open: Object,
    parts: Vec<Option<Object>>,
}

const KINDS: [Field; 5] = [Field::One, Field::OneAnswer, Field::Two, Field::TwoAnswer, Field::Consent];

impl Files {
    fn new() -> Files {
        let mut parts = Vec::new();
        for field in KINDS {
            for value in 0..4 {
                for other in 0..3 {
                    parts.push(support::objects(&text(field, value, other)).pop());
                }
            }
        }
        Files { always: support::objects(ALWAYS), open: support::objects(OPEN_PLAN).remove(0), parts }
    }

    fn of(&self, field: Field, now: Now) -> Option<&Object> {
        let kind = KINDS.iter().position(|kind| *kind == field).expect("of files");
        let (value, other) = (now.get(field), if field == Field::One { now.get(Field::OneIs) } else { 0 });
        self.parts[kind * 12 + usize::try_from(value * 3 + other).expect("small")].as_ref()
    }

    /// From one moment to another, as a front end and neighbours would tell.
    fn batch(&self, before: Option<Now>, after: Now) -> Batch {
        let mut changes = Vec::new();
        let mut facts = Vec::new();
        if before.is_none() {
            changes.extend(self.always.iter().cloned().map(Change::Put));
        }
        for field in KINDS {
            let (old, new) = (before.and_then(|before| self.of(field, before)), self.of(field, after));
            if let Some(old) = old.filter(|old| new.is_none_or(|new| new.key() != old.key())) {
                changes.push(Change::Remove(old.key()));
            }
            if let Some(new) = new.filter(|_| old != new) {
                changes.push(Change::Put(new.clone()));
            }
        }
        let open = after.get(Field::Open);
        if before.is_none_or(|before| before.get(Field::Open) != open) {
            let later = (open == 2).then(|| one().of(Kind::Subscription));
            changes.push(match open {
                0 => Change::Put(self.open.clone()),
                _ => Change::Delete {
                    key: self.open.key(),
                    said: before.is_none().then(|| self.open.clone()),
                    deletion: Deletion::Before(later.into_iter().collect()),
                },
            });
        }
        let made = |now: Now| now.get(Field::Made);
        let was = before.map_or(0, made);
        for (bit, namespace) in [(1, "one"), (2, "two")] {
            let credential = Name::new(namespace, "c");
            if made(after) & bit > was & bit {
                let at = Timestamp::from_second(START).expect("in range");
                facts.push(support::made(&credential, 1, at));
            } else if made(after) & bit < was & bit {
                facts.push(Fact::KeysGone { credential, generations: vec![1] });
            }
        }
        if before.is_none() && after.get(Field::Ended) == 1 {
            let at = "2026-01-01T01:00:00Z".parse().expect("a time");
            facts.push(Fact::Ended { subscription: one(), at });
        }
        if before.is_none() && after.get(Field::On) != 0 {
            let plan = Name::new("own", if after.get(Field::On) == GOLD { "gold" } else { "open" });
            facts.push(Fact::On { subscription: one(), plan });
        }
        if before.is_none_or(|before| before.get(Field::Paid) != after.get(Field::Paid)) {
            facts.push(Fact::PaymentProvider { set: after.get(Field::Paid) > 0 });
            facts.push(Fact::Payment {
                subscription: two(),
                state: (after.get(Field::Paid) > 0).then_some(Payment::Paid),
            });
        }
        Batch { now: after.time(), changes, facts }
    }
}

/// Who may pass on which plan: what is right, said again in as few words as can be.
///
/// Consent stands; the subscription is there, neither suspended nor ended; `open` is for everybody that its owner does not turn
/// down, and once it was deleted for whoever asked for it then; `gold` for whom its owner grants it and, where there is a payment
/// provider, who has paid; of two who may have `gold` the first has it, except that whoever changes to it comes last. Who has a
/// plan in use and names another one has the first until the other may be had.
fn right(now: Now) -> BTreeSet<(Name, Name)> {
    let plans = ["", "open", "gold"].map(|plan| Name::new("own", plan));
    let mut passes = BTreeSet::new();
    let held = held(now);
    if held.serves && now.get(Field::OneIs) != 1 {
        passes.insert((Name::new("one", "c"), plans[usize::try_from(held.plan).expect("small")].clone()));
    }
    let is_taken = held.plan == GOLD && !held.comes_late;
    let consent = now.get(Field::Consent) == 0;
    if consent && two_claims(now) && !is_taken && now.get(Field::Two) == 1 {
        passes.insert((Name::new("two", "c"), plans[2].clone()));
    }
    passes
}

fn two_claims(now: Now) -> bool {
    now.get(Field::Two) > 0 && now.get(Field::TwoAnswer) == 1
}

/// The plan that the file of the first subscription names as its own.
fn own(now: Now) -> u64 {
    [0, OPEN, GOLD, OPEN][usize::try_from(now.get(Field::One)).expect("small")]
}

/// What the first subscription has a place on.
#[derive(Clone, Copy, Default)]
struct Held {
    /// 0 is nothing.
    plan: u64,
    /// What is not paid yet keeps its place, and does not serve.
    serves: bool,
    comes_late: bool,
}

fn held(now: Now) -> Held {
    let over = now.get(Field::Ended) == 1;
    if now.get(Field::One) == 0 || now.get(Field::Consent) != 0 || over {
        return Held::default();
    }
    let paid = now.get(Field::Paid) == 0;
    let late = now.get(Field::Open) == 2;
    let granted = |plan| match now.get(Field::OneAnswer) {
        answer if plan == GOLD => answer == 1,
        answer => answer != 2 && !late,
    };
    let serves = |plan| granted(plan) && (plan == OPEN || paid);
    let (on, changes) = (now.get(Field::On), now.get(Field::One) == 3);
    let is_left = on != 0 && !(changes && on == GOLD) && serves(on);
    let base = if is_left { on } else { own(now) };
    let wish = if changes { GOLD } else { own(now) };
    if wish != base && serves(wish) && (wish == OPEN || !two_claims(now)) {
        return Held { plan: wish, serves: true, comes_late: true };
    }
    if granted(base) { Held { plan: base, serves: serves(base), comes_late: false } } else { Held::default() }
}

/// Which plan it is on then, as far as its file does not say so.
fn on(now: Now) -> u64 {
    if now.get(Field::Ended) == 1 {
        // What is over stays as it was.
        let by_change = now.get(Field::One) == 3 && now.get(Field::On) == GOLD;
        return if by_change { 0 } else { now.get(Field::On) };
    }
    let plan = held(now).plan;
    if plan == own(now) { 0 } else { plan }
}

/// Who passes on which plan by these outputs.
fn enforced(core: &Core) -> BTreeSet<(Name, Name)> {
    let mut passes = BTreeSet::new();
    for (key, output, _) in core.outputs() {
        if let (OutputKey::Client { credential, .. }, Output::Client(client)) = (key, output) {
            passes.extend(client.plans.iter().map(|plan| (credential.clone(), plan.clone())));
        }
    }
    passes
}

/// Who would pass: only whose key is made.
fn with_keys(passes: BTreeSet<(Name, Name)>, now: Now) -> BTreeSet<(Name, Name)> {
    let bit = |name: &Name| if name.namespace() == "one" { 1 } else { 2 };
    passes.into_iter().filter(|(name, _)| now.get(Field::Made) & bit(name) != 0).collect()
}

fn phase(core: &Core, subscription: &Name) -> Option<(Phase, SubscriptionStage)> {
    match core.status(&subscription.clone().of(Kind::Subscription))?.detail? {
        Detail::Subscription { phase, stage, .. } => Some((phase, stage)),
        _ => None,
    }
}

fn environment() -> Name {
    Name::new("own", "e")
}

fn confirm(core: &mut Core, serial: u64, now: Timestamp) -> Delta {
    let facts = vec![Fact::Confirmed { environment: environment(), serial }];
    core.apply(Batch { now, changes: Vec::new(), facts })
}

/// The newest serial of a delta.
fn last(delta: &Delta) -> u64 {
    delta
        .removals
        .iter()
        .map(|removal| removal.serial)
        .chain(delta.puts.iter().map(|put| put.serial))
        .max()
        .unwrap_or(0)
}

/// A core in a state, and the serials that each of its moments ended with.
fn core_of(files: &Files, state: &State) -> (Core, Vec<u64>) {
    let mut core = Core::new();
    let mut serials = Vec::new();
    let mut before = None;
    for now in state.moments() {
        let delta = core.apply(files.batch(before, *now));
        serials.push(last(&delta).max(serials.last().copied().unwrap_or(0)));
        if before.is_none() {
            confirm(&mut core, serials[0], now.time());
        }
        before = Some(*now);
    }
    (core, serials)
}

/// What key store and files do by themselves: what was wished may be made, what is no longer wished may go.
fn events(state: &State, core: &Core) -> Vec<Event> {
    let now = state.newest();
    let mut events = vec![Event::Crash];
    if state.length > 1 {
        events.push(Event::Confirm);
    }
    if state.moments().len() > BEHIND {
        return events;
    }
    let is_deleted = now.get(Field::Open) > 0;
    let is_quiet = now.get(Field::Two) == 0 && now.get(Field::TwoAnswer) == 0;
    for (field, _, values) in FIELDS {
        match field {
            // Team two has nothing to do with that plan, and who has another one than its file names has what it had: not all at
            // once, so that it does not take all day.
            Field::Open if is_quiet && (is_deleted || now.get(Field::On) == 0) => {
                events.push(Event::Set(field, u64::from(!is_deleted)));
            }
            Field::Two | Field::TwoAnswer if is_deleted => {}
            Field::Open | Field::Ended | Field::On => {}
            Field::Hours => {
                let hours = now.get(field);
                if hours < HOURS {
                    events.push(Event::Set(field, hours + 1));
                }
            }
            Field::Made => {
                for (bit, namespace) in [(1, "one"), (2, "two")] {
                    let wished = core.wished(&Name::new(namespace, "c")).contains(&1);
                    let is = now.get(field) & bit != 0;
                    if wished != is {
                        events.push(Event::Set(field, now.get(field) ^ bit));
                    }
                }
            }
            _ => {
                let others = (0..values).filter(|value| *value != now.get(field));
                events.extend(others.map(|value| Event::Set(field, value)));
            }
        }
    }
    events
}

/// What is so after an event.
fn after(now: Now, field: Field, value: u64) -> Now {
    let asks = matches!(now.get(Field::One), 1 | 3);
    let value = if field == Field::Open && value > 0 && !asks { 2 } else { value };
    let next = now.with(field, value);
    let is_there = next.get(Field::One) > 0;
    let ends = next.get(Field::OneIs) == 2 && next.get(Field::Hours) > 0;
    // Another by the same name has not ended.
    let ended = is_there && (ends || next.get(Field::Ended) == 1);
    let mut next = next.with(Field::Ended, u64::from(ended));
    if matches!(field, Field::One | Field::OneIs) {
        // What it has it keeps, whatever its file says now.
        let had = if now.get(Field::On) == 0 { own(now) } else { now.get(Field::On) };
        let keeps = is_there && now.get(Field::One) > 0 && held(now).plan != 0 && had != own(next);
        next = next.with(Field::On, if keeps { had } else { 0 });
    }
    while on(next) != next.get(Field::On) {
        next = next.with(Field::On, on(next));
    }
    next
}

/// The ways that one event can lead a subscription.
fn causes(field: Field) -> &'static [life::Cause] {
    use life::Cause::{
        Denied, Due, EndSet, EndTaken, Ended, Failed, Granted, Paid, Renewed, Resumed, Suspended, Withdrawn,
    };
    match field {
        // It asks for another plan, or wants to change.
        Field::One => &[Granted, Renewed, Withdrawn, Due, Denied],
        Field::OneIs => &[Suspended, Resumed, EndSet, EndTaken, Ended, Granted],
        Field::OneAnswer | Field::TwoAnswer => &[Granted, Denied, Withdrawn, Renewed, Due],
        Field::Consent => &[Granted, Withdrawn, Denied],
        // Where one ends, the other has its place.
        Field::Hours => &[Ended, Granted],
        // One that waits to change, and has nothing meanwhile, is granted what it need not pay.
        Field::Paid => &[Due, Paid, Failed, Renewed, Granted],
        // The other one takes or leaves a place.
        Field::Two => &[Granted, Withdrawn, Suspended, Resumed, Renewed, Due],
        // It is restored. Its deletion does nothing to anybody.
        Field::Open => &[Granted],
        Field::Made | Field::Ended | Field::On => &[],
    }
}

struct Search {
    files: Files,
    seen: Vec<Mutex<HashSet<State>>>,
    wrong: Mutex<Vec<String>>,
    /// How often each rule had something to say.
    used: Mutex<[usize; 4]>,
}

impl Search {
    /// Whether a state is new.
    fn add(&self, state: State) -> bool {
        let shard = state.moments().iter().fold(usize::from(state.length), |sum, now| sum * 31 + now.0 as usize);
        self.seen[shard % self.seen.len()].lock().expect("whole").insert(state)
    }

    fn wrong(&self, state: &State, event: Option<Event>, what: &str) {
        let mut text = format!("{what}\n  after {event:?} in");
        for now in state.moments() {
            let said: Vec<String> = FIELDS.iter().map(|(field, ..)| format!("{field:?}={}", now.get(*field))).collect();
            let _ = write!(text, "\n    {}", said.join(" "));
        }
        self.wrong.lock().expect("whole").push(text);
    }

    /// Everything that can happen in a state: it is checked, and what is new comes out.
    fn expand(&self, state: &State) -> Vec<State> {
        let (core, serials) = core_of(&self.files, state);
        let now = state.newest();
        let mut used = [0; 4];

        // What is wanted is right, no more and no less.
        let (wants, should) = (enforced(&core), with_keys(right(now), now));
        used[0] += usize::from(!should.is_empty());
        if wants != should {
            self.wrong(state, None, &format!("{wants:?} may pass, and {should:?} should"));
        }
        self.told(state, &core, &mut used);

        let mut found = Vec::new();
        for event in events(state, &core) {
            match event {
                Event::Crash => found.push(State::settled(now)),
                Event::Confirm => {
                    let mut core = core.clone();
                    confirm(&mut core, serials[1], now.time());
                    let mut next = *state;
                    next.moments.rotate_left(1);
                    next.moments[BEHIND] = Now::default();
                    next.length -= 1;
                    if next.length == 1 && now.get(Field::Made) != 0 {
                        // It has reached what is wanted, and nothing is left to do.
                        self.still(state, event, &mut core, now, &mut used);
                    }
                    self.told(&next, &core, &mut used);
                    found.push(next);
                }
                Event::Set(field, value) => {
                    let mut core = core.clone();
                    let next = after(now, field, value);
                    let before = [phase(&core, &one()), phase(&core, &two())];
                    let delta = core.apply(self.files.batch(Some(now), next));
                    if (now.get(Field::Ended) < next.get(Field::Ended)) == delta.ended.is_empty() {
                        self.wrong(state, Some(event), &format!("ended: {:?}", delta.ended));
                    }
                    self.lived(state, event, field, before, &core);
                    self.ordered(state, event, &delta);
                    let (wants, should) = (enforced(&core), with_keys(right(next), next));
                    if wants != should {
                        self.wrong(state, Some(event), &format!("{wants:?} may pass, and {should:?} should"));
                    }
                    found.push(state.then(next));
                }
            }
        }
        let mut sum = self.used.lock().expect("whole");
        sum.iter_mut().zip(used).for_each(|(sum, used)| *sum += used);
        found.retain(|state| self.add(*state));
        found
    }

    /// What is said to be enforced is, and what is said to be gone is: a gateway may still do what it did at any moment from the
    /// first that it has not left for certain.
    fn told(&self, state: &State, core: &Core, used: &mut [usize; 4]) {
        for (subscription, credential) in [(one(), Name::new("one", "c")), (two(), Name::new("two", "c"))] {
            let Some(status) = core.status(&credential.clone().of(Kind::Credential)) else { continue };
            let programmed = status.condition("Programmed").expect("a credential says so");
            let may = |now: &Now| {
                let passes = with_keys(right(*now), *now);
                passes.into_iter().filter(|(name, _)| *name == credential).map(|(_, plan)| plan).collect::<Vec<_>>()
            };
            let newest = may(&state.newest());
            let all_same = state.moments().iter().all(|now| may(now) == newest);
            used[1] += usize::from(!all_same);
            if programmed.status && !all_same {
                self.wrong(
                    state,
                    None,
                    &format!("{credential} says that it is programmed, and gateways may do otherwise"),
                );
            }
            let rests = core.status(&subscription.of(Kind::Subscription));
            let over = rests
                .as_ref()
                .and_then(|status| status.condition("Ready"))
                .filter(|ready| ready.status && matches!(ready.reason, "Cancelled" | "Suspended" | "Expired"));
            used[2] += usize::from(over.is_some());
            if over.is_some() && state.moments().iter().any(|now| !may(now).is_empty()) {
                self.wrong(state, None, &format!("{credential} still opens what is said to be off"));
            }
        }
    }

    /// Where nothing more happens, nothing more is asked of gateways.
    fn still(&self, state: &State, event: Event, core: &mut Core, now: Now, used: &mut [usize; 4]) {
        used[3] += 1;
        let again = core.apply(Batch { now: now.time(), changes: Vec::new(), facts: Vec::new() });
        let rebuilt = core.rebuild();
        for delta in [again, rebuilt] {
            if !delta.puts.is_empty() || !delta.removals.is_empty() || !delta.ended.is_empty() {
                self.wrong(state, Some(event), "it does not come to rest");
            }
        }
    }

    /// Each event leads where the table of life says that it can.
    fn lived(
        &self,
        state: &State,
        event: Event,
        field: Field,
        before: [Option<(Phase, SubscriptionStage)>; 2],
        core: &Core,
    ) {
        for (name, before) in [one(), two()].iter().zip(before) {
            let (Some((from, _)), Some((to, _))) = (before, phase(core, name)) else { continue };
            let leads = causes(field).iter().any(|cause| life::leads(from, *cause).contains(&to));
            if from != to && !leads {
                self.wrong(state, Some(event), &format!("{name} goes from {from:?} to {to:?}"));
            }
        }
    }

    /// What takes access away comes before what gives it.
    fn ordered(&self, state: &State, event: Event, delta: &Delta) {
        let takes = delta.removals.iter().map(|removal| removal.serial).max().unwrap_or(0);
        if delta.puts.iter().any(|put| put.serial < takes) {
            self.wrong(state, Some(event), "something is given before something is taken away");
        }
    }
}

#[test]
fn whatever_happens_in_whatever_order() {
    let start = State::settled(Now::default());
    let search = Search {
        files: Files::new(),
        seen: (0..64).map(|_| Mutex::default()).collect(),
        wrong: Mutex::default(),
        used: Mutex::default(),
    };
    search.add(start);
    let mut open = vec![start];
    let mut depth = 0;
    while !open.is_empty() && search.wrong.lock().expect("whole").is_empty() {
        depth += 1;
        let halves = open.chunks(open.len().div_ceil(2));
        open = std::thread::scope(|scope| {
            let expand = |half: &[State]| half.iter().flat_map(|state| search.expand(state)).collect::<Vec<_>>();
            let running: Vec<_> = halves.map(|half| scope.spawn(move || expand(half))).collect();
            running.into_iter().flat_map(|half| half.join().expect("no panic")).collect()
        });
    }
    let states: usize = search.seen.iter().map(|shard| shard.lock().expect("whole").len()).sum();
    println!("{states} states, {depth} steps deep");
    let mut wrong = search.wrong.into_inner().expect("whole");
    wrong.sort_by_key(String::len);
    assert!(wrong.is_empty(), "{} are wrong; the first: {}", wrong.len(), wrong[..wrong.len().min(3)].join("\n"));
    // Each rule had something to say.
    let used = search.used.into_inner().expect("whole");
    assert!(used.iter().all(|times| *times > 0), "{used:?}");
    assert!(states > 1_000_000, "{states}");
}
