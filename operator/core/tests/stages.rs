//! A search like that of `model.rs` through another small world: the way to production, in a sandbox and a production environment
//! whose gateways are late each on its own, and come back after a crash with what they were told before.
//!
//! The world: a subscription to a plan that begins in the sandbox or not, with an approval or without; answers of all sorts;
//! two credentials, one in each environment.

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Fact, Object};
use portico_core::delta::{Delta, OutputKey};
use portico_core::key::{Kind, Name};
use portico_core::life::{self, Step};
use portico_core::status::Detail;
use portico_crds::SubscriptionStage;

/// What files and the key store say at a moment: each field a number of a few values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Now {
    /// Not there, asks, asks to go live.
    asks: u8,
    suspended: bool,
    /// None, denied, changes requested, granted for the sandbox, granted for production.
    answer: u8,
    /// Begins in the sandbox, begins there with an approval, does not.
    plan: u8,
    /// Whether the keys are made, of the sandbox and of production.
    made: [bool; 2],
}

/// What is so, and what gateways may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    before: Now,
    now: Now,
    /// Whether the gateway of the sandbox, of production, may still do what it did before.
    may: [bool; 2],
    /// Whether the core was told that it does what is so now.
    told: [bool; 2],
    /// Whether the core had been told so of what was before.
    told_before: [bool; 2],
    /// Whether the core began anew since: it never heard of what was before.
    anew: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Set(Now),
    Confirm(usize),
    Crash,
}

const ALWAYS: &str = "
{kind: Environment, metadata: {namespace: own, name: try}, spec: {stage: Sandbox, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}}
---
{kind: Environment, metadata: {namespace: own, name: live}, spec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 81}]}}}}
---
{kind: ApiProduct, metadata: {namespace: own, name: m}, spec: {title: T, consumers: {from: All}, endpoints: [{environment: {name: try}, upstream: {url: 'http://t'}}, {environment: {name: live}, upstream: {url: 'http://l'}}]}}
---
{kind: Application, metadata: {namespace: us, name: x}, spec: {title: T}}
---
{kind: Credential, metadata: {namespace: us, name: try}, spec: {subscription: {name: s}, environment: {namespace: own, name: try}}}
---
{kind: Credential, metadata: {namespace: us, name: live}, spec: {subscription: {name: s}, environment: {namespace: own, name: live}}}
";

const PLACES: [&str; 2] = ["try", "live"];

impl Now {
    /// Read once.
    fn objects(self) -> Arc<[Object]> {
        static READ: LazyLock<Mutex<HashMap<Now, Arc<[Object]>>>> = LazyLock::new(Mutex::default);
        let says = Now { made: [false; 2], ..self };
        READ.lock().expect("whole").entry(says).or_insert_with(|| says.read().into()).clone()
    }

    fn read(self) -> Vec<Object> {
        let plan = ["sandbox: {required: true}", "sandbox: {required: true}, approval: {mode: Manual}", "version: '1'"];
        let mut text = format!(
            "{{kind: Plan, metadata: {{namespace: own, name: p}}, spec: {{title: T, products: [{{name: m}}], {}}}}}\n",
            plan[usize::from(self.plan)]
        );
        if self.asks > 0 {
            text.push_str(&format!(
                "---\n{{kind: Subscription, metadata: {{namespace: us, name: s}}, spec: {{application: {{name: x}}, plan: {{namespace: own, name: p}}, goLive: {}, suspend: {}}}}}\n",
                self.asks == 2, self.suspended
            ));
        }
        let answer = match self.answer {
            1 => "decision: Denied, reason: no",
            2 => "decision: ChangesRequested, reason: mend",
            3 => "decision: Granted, grant: {plan: {name: p}, stage: Sandbox}",
            4 => "decision: Granted, grant: {plan: {name: p}, stage: Production}",
            _ => return support::objects(&text),
        };
        text.push_str(&format!(
            "---\n{{kind: Approval, metadata: {{namespace: own, name: s}}, spec: {{subscription: {{namespace: us, name: s}}, {answer}}}}}\n"
        ));
        support::objects(&text)
    }

    /// What could be so next: somebody writes something else.
    fn edits(self) -> Vec<Now> {
        let mut all: Vec<Now> = (0..3).map(|asks| Now { asks, ..self }).collect();
        all.extend((0..5).map(|answer| Now { answer, ..self }));
        all.extend((0..3).map(|plan| Now { plan, ..self }));
        all.push(Now { suspended: !self.suspended, ..self });
        all.retain(|next| *next != self);
        all
    }

    /// What is right: whether it passes in the sandbox, and in production.
    fn right(self) -> [bool; 2] {
        let granted = match (self.plan, self.answer) {
            (_, 3 | 4) => true,
            (1, _) | (_, 1) => false,
            _ => true,
        };
        let passes = self.asks > 0 && !self.suspended && granted;
        let live = self.answer == 4 || (self.plan == 2 && self.answer != 3);
        [passes && self.made[0], passes && live && self.made[1]]
    }
}

fn time() -> Timestamp {
    Timestamp::from_second(1_767_225_600).expect("in range")
}

/// From one moment to another.
fn batch(before: Option<Now>, after: Now) -> Batch {
    let mut changes = Vec::new();
    if before.is_none() {
        static ALL: LazyLock<Vec<Object>> = LazyLock::new(|| support::objects(ALWAYS));
        changes.extend(ALL.iter().cloned().map(Change::Put));
    }
    let (old, new) = (before.map_or_else(|| Vec::new().into(), Now::objects), after.objects());
    let is_gone = |old: &&Object| !new.iter().any(|new| new.key() == old.key());
    changes.extend(old.iter().filter(is_gone).map(|old| Change::Remove(old.key())));
    changes.extend(new.iter().filter(|new| !old.contains(new)).cloned().map(Change::Put));
    let mut facts = Vec::new();
    let made = before.unwrap_or_default().made;
    for (place, name) in PLACES.into_iter().enumerate() {
        let credential = Name::new("us", name);
        match (made[place], after.made[place]) {
            (false, true) => facts.push(support::made(&credential, 1, time())),
            (true, false) => facts.push(Fact::KeysGone { credential, generations: vec![1] }),
            _ => {}
        }
    }
    Batch { now: time(), changes, facts }
}

fn confirm(core: &mut Core, place: usize, serial: u64) {
    let facts = vec![Fact::Confirmed { environment: Name::new("own", PLACES[place]), serial }];
    core.apply(Batch { now: time(), changes: Vec::new(), facts });
}

fn last(delta: &Delta) -> u64 {
    let removals = delta.removals.iter().map(|removal| removal.serial);
    removals.chain(delta.puts.iter().map(|put| put.serial)).max().unwrap_or(0)
}

/// The core in a state, and the serial that it is at.
fn core_of(state: &State) -> (Core, u64) {
    let mut core = Core::new();
    let mut serial = 0;
    if !state.anew {
        serial = last(&core.apply(batch(None, state.before)));
        for place in (0..2).filter(|place| state.told_before[*place]) {
            confirm(&mut core, place, serial);
        }
    }
    let before = (!state.anew).then_some(state.before);
    serial = serial.max(last(&core.apply(batch(before, state.now))));
    for place in (0..2).filter(|place| state.told[*place]) {
        confirm(&mut core, place, serial);
    }
    (core, serial)
}

fn stage(core: &Core) -> Option<SubscriptionStage> {
    match core.status(&Name::new("us", "s").of(Kind::Subscription))?.detail? {
        Detail::Subscription { stage, plan: Some(_), .. } => Some(stage),
        _ => None,
    }
}

/// The steps that one edit can be.
fn steps(before: Now, after: Now) -> Vec<Step> {
    let mut steps = Vec::new();
    if before.asks != after.asks {
        steps.extend([Step::Asks, Step::AsksNoMore]);
    }
    if before.answer != after.answer {
        steps.extend([Step::LetGoLive, Step::ToldToChange, Step::TurnedDown, Step::TakenBack]);
    }
    if before.plan != after.plan {
        steps.extend([Step::LetGoLive, Step::TakenBack]);
    }
    steps
}

/// What is wrong in a state, if anything; and how often each rule had something to say.
fn wrong(state: &State, core: &mut Core, used: &mut [usize; 5]) -> Option<String> {
    let right = state.now.right();
    for (place, name) in PLACES.into_iter().enumerate() {
        let credential = Name::new("us", name);
        let output = OutputKey::Client { environment: Name::new("own", name), credential: credential.clone() };
        let wants = core.outputs().any(|(key, ..)| *key == output);
        if wants != right[place] {
            return Some(format!("{name}: it may pass is {wants}, and should be {}", right[place]));
        }
        used[0] += usize::from(wants);
        // What its gateway may do now.
        let mut may = vec![right[place]];
        may.extend(state.may[place].then(|| state.before.right()[place]));
        let all_same = may.iter().all(|one| *one == right[place]);
        let status = core.status(&credential.of(Kind::Credential)).expect("it is there");
        if status.condition("Programmed").is_some_and(|condition| condition.status) {
            used[1] += 1;
            if !all_same {
                return Some(format!("{name} says that it is programmed, and its gateway may do otherwise"));
            }
        }
        let ready = status.condition("Ready").expect("it says so");
        if ready.status && matches!(ready.reason, "Suspended" | "Cancelled" | "Expired") {
            used[2] += 1;
            if may.contains(&true) {
                return Some(format!("{name} is said to be off, and its gateway may let it pass"));
            }
        }
    }
    if state.told == [true; 2] {
        used[3] += 1;
        for delta in [core.apply(Batch { now: time(), changes: Vec::new(), facts: Vec::new() }), core.rebuild()] {
            if !delta.puts.is_empty() || !delta.removals.is_empty() {
                return Some("it does not come to rest".to_owned());
            }
        }
    }
    used[4] += usize::from(state.anew && state.may.contains(&true));
    None
}

#[test]
fn the_way_to_production_whatever_happens() {
    let nothing = Now::default();
    let start =
        State { before: nothing, now: nothing, may: [false; 2], told: [true; 2], told_before: [true; 2], anew: false };
    let mut seen = HashSet::from([start]);
    let mut open = vec![start];
    let mut used = [0; 5];
    while let Some(state) = open.pop() {
        let (mut core, serial) = core_of(&state);
        if let Some(wrong) = wrong(&state, &mut core, &mut used) {
            panic!("{wrong}\n  in {state:#?}");
        }
        let mut events = vec![Event::Crash];
        events.extend((0..2).filter(|place| !state.told[*place]).map(Event::Confirm));
        if state.may == [false; 2] {
            let mut next = state.now.edits();
            for (place, name) in PLACES.into_iter().enumerate() {
                // What was wished is made, and what is no longer wished goes.
                let wished = core.wished(&Name::new("us", name)).contains(&1);
                if wished != state.now.made[place] {
                    let mut now = state.now;
                    now.made[place] = wished;
                    next.push(now);
                }
            }
            events.extend(next.into_iter().map(Event::Set));
        }
        for event in events {
            let next = match event {
                Event::Crash => State { told: [false; 2], anew: true, ..state },
                Event::Confirm(place) => {
                    let mut next = state;
                    (next.told[place], next.may[place]) = (true, false);
                    next
                }
                Event::Set(now) => {
                    let before = stage(&core);
                    let mut core = core.clone();
                    core.apply(batch(Some(state.now), now));
                    let after = stage(&core);
                    if let (Some(before), Some(after)) = (before, after)
                        && before != after
                    {
                        let steps = steps(state.now, now);
                        let leads = life::STAGES
                            .iter()
                            .any(|(from, step, to)| *from == before && steps.contains(step) && to.contains(&after));
                        assert!(leads, "it goes from {before:?} to {after:?} by {now:?} in {state:#?}");
                    }
                    let told_before = state.told;
                    State { before: state.now, now, may: [true; 2], told: [false; 2], told_before, anew: false }
                }
            };
            if seen.insert(next) {
                open.push(next);
            }
        }
        assert!(serial > 0, "there is something to confirm");
    }
    println!("{} states", seen.len());
    assert!(used.iter().all(|times| *times > 0), "{used:?}");
    assert!(seen.len() > 10_000, "{}", seen.len());
}
