//! Whatever goes wrong between the operator and the API server: in the end there is what there would be had nothing gone wrong.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use portico_tests::life::{Keys, Life, STEPS};
use portico_tests::proxy::{Fault, Write};

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
