//! Whatever goes wrong between the operator and the API server: in the end there is what there would be had nothing gone wrong.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use portico_tests::life::{Keys, Life, OBJECTS, STEPS};
use portico_tests::proxy::{Fault, Write};
use serde_json::Value;

/// How many lives go on at the same time. They wait most of the time.
const AT_ONCE: usize = 14;

/// What there is after each step when nothing goes wrong, and how many writes that took.
fn undisturbed() -> &'static [(String, usize)] {
    static PICTURES: OnceLock<Vec<(String, usize)>> = OnceLock::new();
    PICTURES.get_or_init(|| {
        let life = Life::new();
        let mut seen = Keys::default();
        let operator = life.operator();
        operator.wait_ready();
        let pictures = STEPS.iter().map(|(name, take)| {
            life.proxy.plan(|_| Fault::Pass);
            take(&life);
            let picture = life.rest(&operator, &mut seen);
            let writes = life.proxy.writes().len();
            println!("undisturbed: {name}: {writes} writes");
            (picture, writes)
        });
        pictures.collect()
    })
}

/// Goes through work on several threads.
fn in_parallel<T: Send>(work: impl IntoIterator<Item = T>, act: impl Fn(T) + Sync) {
    let work = Mutex::new(work.into_iter().collect::<VecDeque<T>>());
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(item) = next() {
                    act(item);
                }
            });
        }
    });
}

#[test]
fn it_is_killed_at_every_write_and_goes_on() {
    let begun = Instant::now();
    let pictures = undisturbed();
    // One more than in the undisturbed life: the order differs, and so may how much is in one write.
    let most = pictures.iter().map(|(_, writes)| writes + 1).max().unwrap_or_default();
    let crashes = (1..=most).flat_map(|number| [(number, Fault::Cut), (number, Fault::CutAfter)]);
    let total = Mutex::new(0);
    in_parallel(crashes, |(number, fault)| {
        let life = Life::new();
        let mut seen = Keys::default();
        let mut operator = Some(life.operator());
        let mut line = format!("write {number}, {fault:?}:");
        // One step more than the last with so many writes: the rest would be as in any other life.
        let last = pictures.iter().rposition(|(_, writes)| number <= writes + 1).unwrap_or_default();
        for ((name, take), (wanted, writes)) in STEPS.iter().zip(pictures).take(last + 2) {
            if number > writes + 1 {
                // It would be the undisturbed life.
                life.proxy.plan(|_| Fault::Pass);
            } else {
                life.proxy.plan(move |write| if write.number == number { fault } else { Fault::Pass });
            }
            take(&life);
            let mut crash = None;
            life.wait(&format!("write {number}, {fault:?}, {name}"), wanted, &mut seen, || {
                if life.proxy.is_cut() {
                    crash = life.proxy.writes().get(number - 1).map(ToString::to_string);
                    operator.take().expect("it runs").kill();
                    life.proxy.mend();
                    operator = Some(life.operator());
                }
            });
            if let Some(crash) = crash {
                write!(line, " [{name}: {crash}]").expect("memory takes all");
                *total.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
        }
        println!("{line}");
    });
    println!("{} crashes, {:?}", total.lock().unwrap_or_else(PoisonError::into_inner), begun.elapsed());
}

/// Lives through all steps with a plan, and says how often the same was tried at most within a step.
fn live_with(name: &str, plan: impl Fn(&Write) -> Fault + Clone + Send + Sync + 'static) -> usize {
    let begun = Instant::now();
    let life = Life::new();
    let mut seen = Keys::default();
    let operator = life.operator();
    operator.wait_ready();
    let (mut most, mut total) = (0, 0);
    for ((step, take), (wanted, _)) in STEPS.iter().zip(undisturbed()) {
        life.proxy.plan(plan.clone());
        take(&life);
        life.wait(&format!("{name}: {step}"), wanted, &mut seen, || {});
        let writes = life.proxy.writes();
        total += writes.len();
        most = writes.iter().map(|write| write.tries + 1).max().unwrap_or_default().max(most);
    }
    println!("{name}: {total} writes, the same {most} times at most, {:?}", begun.elapsed());
    most
}

#[test]
fn refusals_and_lost_answers_are_survived() {
    undisturbed();
    let share = |fault: Fault, of: usize| {
        move |write: &Write| if write.number.is_multiple_of(of) { fault } else { Fault::Pass }
    };
    let first = |fault: Fault, tries: usize| move |write: &Write| if write.tries < tries { fault } else { Fault::Pass };
    let mut lives: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for code in [409, 410, 429, 500, 503] {
        lives.push(Box::new(move || {
            live_with(&format!("{code} for one of two"), share(Fault::Answer(code), 2));
        }));
    }
    for fault in [Fault::Lost, Fault::AnswerLost] {
        lives.push(Box::new(move || {
            live_with(&format!("{fault:?} for one of two"), share(fault, 2));
        }));
        lives.push(Box::new(move || {
            live_with(&format!("{fault:?} three times each"), first(fault, 3));
        }));
    }
    lives.push(Box::new(move || {
        live_with("503 three times each", first(Fault::Answer(503), 3));
    }));
    lives.push(Box::new(move || {
        live_with("one of five is held", share(Fault::Held, 5));
    }));
    in_parallel(lives, |live| live());
}

#[test]
fn what_is_refused_for_long_is_not_asked_for_without_pause() {
    let life = Life::new();
    let operator = life.operator();
    operator.wait_ready();
    life.proxy.plan(|_| Fault::Answer(500));
    (STEPS[0].1)(&life);
    thread::sleep(Duration::from_secs(6));
    let writes = life.proxy.writes();
    let most = writes.iter().map(|write| write.tries + 1).max().unwrap_or_default();
    // After 0, 1/4, 1/2, 1, 2 and 4 seconds.
    assert!((3..=6).contains(&most), "{most} times the same within 6 s");
}

#[test]
fn idle_it_writes_nothing() {
    let pictures = undisturbed();
    let life = Life::new();
    let mut seen = Keys::default();
    let operator = life.operator();
    for ((name, take), (wanted, _)) in STEPS.iter().zip(pictures).take(5) {
        take(&life);
        life.wait(name, wanted, &mut seen, || {});
    }
    let nothing = |what: &str, seconds: u64| {
        thread::sleep(Duration::from_secs(seconds));
        let writes: Vec<String> = life.proxy.writes().iter().map(ToString::to_string).collect();
        assert!(writes.is_empty(), "{what}: {writes:?}");
    };
    thread::sleep(Duration::from_secs(2));
    life.proxy.plan(|_| Fault::Pass);
    nothing("idle", 5);
    life.proxy.break_watches(0);
    nothing("after broken watches", 4);
    life.proxy.break_watches(1000);
    thread::sleep(Duration::from_secs(1));
    life.proxy.break_watches(0);
    nothing("after everything was listed again", 6);
    assert!(operator.stop().success());
    let operator = life.operator();
    operator.wait_ready();
    operator.wait_leads();
    nothing("after a restart", 6);
    // It is not deaf.
    let ((_, take), (wanted, _)) = (STEPS[5], &pictures[5]);
    take(&life);
    life.wait("after all", wanted, &mut seen, || {});
}

#[test]
fn a_leader_without_a_connection_stops_to_lead() {
    let pictures = undisturbed();
    let life = Life::new();
    let mut seen = Keys::default();
    let one = life.operator();
    one.wait_leads();
    let second = life.second();
    let two = second.ready();
    // In the middle of writing, nothing comes through any more, and nobody says so.
    life.proxy.plan(|write| if write.number > 4 { Fault::Held } else { Fault::Pass });
    (STEPS[0].1)(&life);
    portico_tests::wait::until("four writes", || (life.proxy.writes().len() >= 4).then_some(()));
    life.proxy.freeze();
    let begun = Instant::now();
    let leads = |operator: &portico_tests::operator::Operator| operator.metric("portico_leader", &[]) > 0.5;
    let found = portico_tests::wait::within(Duration::from_secs(40), || {
        assert!(!(leads(&two) && leads(&one)), "two lead");
        leads(&two).then_some(())
    });
    assert!(found.is_some(), "nobody takes over:\n{}", two.output());
    assert!(!leads(&one), "two lead");
    println!("the other one leads after {:?}", begun.elapsed());
    life.proxy.mend();
    life.wait("both again", &pictures[0].0, &mut seen, || assert!(!(leads(&one) && leads(&two)), "two lead"));
    assert!(life.proxy.writes().is_empty(), "it writes and does not lead: {:?}", life.proxy.writes());
    for ((name, take), (wanted, _)) in STEPS.iter().zip(pictures).skip(1) {
        take(&life);
        life.wait(name, wanted, &mut seen, || {});
    }
}

#[test]
fn a_list_that_is_never_answered_is_asked_for_again() {
    let pictures = undisturbed();
    let life = Life::new();
    let mut seen = Keys::default();
    life.proxy.swallow_lists(3);
    let operator = life.operator();
    operator.wait_ready();
    assert_eq!(life.proxy.to_swallow(), 0, "no list was swallowed");
    (STEPS[0].1)(&life);
    life.wait("after the first lists", &pictures[0].0, &mut seen, || {});
    // Again when everything has to be listed anew.
    life.proxy.swallow_lists(3);
    life.proxy.break_watches(1000);
    portico_tests::wait::until("lists to be swallowed", || (life.proxy.to_swallow() == 0).then_some(()));
    life.proxy.break_watches(0);
    (STEPS[1].1)(&life);
    life.wait("after other lists", &pictures[1].0, &mut seen, || {});
    assert!(operator.output().contains("did not answer in time"), "nobody says why:\n{}", operator.output());
}

/// Some order out of all, the same for the same seed.
fn shuffled<T: Clone>(items: &[T], mut seed: u64) -> Vec<T> {
    let mut items = items.to_vec();
    for last in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, usize::try_from(seed >> 33).expect("31 bits") % (last + 1));
    }
    items
}

/// What may be deleted with `Orphan` alone while somebody has it, and then be made again at once: the object, the picture's name
/// for it, and how its text gets that policy.
const ORPHANS: [(&str, &str, [&str; 2]); 2] = [
    ("product", "ApiProduct echo", ["spec:\n", "spec:\n  deletionPolicy: Orphan\n"]),
    ("gold", "Plan gold", ["spec: {", "spec: { deletionPolicy: Orphan,"]),
];

fn put(life: &Life, name: &str) {
    match ORPHANS.iter().find(|(known, ..)| *known == name) {
        Some((_, _, [old, new])) => life.put_with(name, old, new),
        None => life.put(name),
    }
}

/// The picture when nothing holds up the deletion of those.
fn orphaned(picture: &str) -> String {
    let mut picture: Value = serde_json::from_str(picture).expect("a picture is JSON");
    for (_, name, _) in ORPHANS {
        picture["objects"][name]["held"] = Value::Null;
    }
    serde_json::to_string_pretty(&picture).expect("a value is JSON")
}

#[test]
fn in_whatever_order_it_is_deleted_and_made_again() {
    let pictures = undisturbed();
    let graph = ["environment", "product", "gold", "partner", "gold subscription", "gold credential", "approval"];
    in_parallel(0..6, |worker: u64| {
        let life = Life::new();
        let mut seen = Keys::default();
        seen.may_change = true;
        let _operator = life.operator();
        life.put_documents();
        for (name, _) in &OBJECTS {
            put(&life, name);
        }
        let wanted = orphaned(&pictures[1].0);
        life.wait("declare and approve", &wanted, &mut seen, || {});
        // What the keys that are gone get is in the picture from the first deletion on.
        let wanted = wanted.replace("\"keys that are gone\": []", "\"keys that are gone\": [\n    401\n  ]");
        for round in 0..5 {
            let seed = worker * 100 + round;
            let mut gone = shuffled(&graph, seed);
            // Alone, too, and with the key's own object always among them.
            gone.truncate(if round == 0 { 1 } else { usize::try_from(seed % 7).expect("a small number") + 1 });
            if !gone.contains(&"gold credential") {
                gone.push("gold credential");
            }
            let back = shuffled(&gone, seed + 7);
            for name in &gone {
                life.take(name);
                if seed.is_multiple_of(3) {
                    thread::sleep(Duration::from_millis(seed % 5 * 40));
                }
            }
            if seed.is_multiple_of(2) {
                thread::sleep(Duration::from_millis(700));
            }
            for name in &back {
                put(&life, name);
            }
            life.wait(&format!("{gone:?} deleted, {back:?} made"), &wanted, &mut seen, || {});
        }
        println!("worker {worker}: 5 orders");
    });
}

#[test]
fn consent_is_granted_used_and_withdrawn() {
    let pictures = undisturbed();
    let life = Life::new();
    let mut seen = Keys::default();
    let operator = life.operator();
    (STEPS[0].1)(&life);
    life.wait("declare", &pictures[0].0, &mut seen, || {});
    let keys: Vec<String> = life.keys().into_values().collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(life.status(&keys[0]), 200);
    // Withdrawn: nobody is named any more.
    let team = life.namespace("team");
    life.put_with("product", &format!("namespaces: [{team}]"), "namespaces: [somebody-else]");
    portico_tests::wait::until("the key to be denied", || (life.status(&keys[0]) == 401).then_some(()));
    let picture = life.rest(&operator, &mut seen);
    assert!(picture.contains("no plan") || picture.contains("there is no"), "{picture}");
    // Granted again: the same key, since nobody gave it up.
    life.put("product");
    portico_tests::wait::until("the key to be good", || (life.status(&keys[0]) == 200).then_some(()));
    assert_eq!(life.keys().into_values().collect::<Vec<_>>(), keys);
}
