//! What has to be written, and when: a queue of keys. What is written is looked up when its turn comes, so that the newest
//! value is written, however often it changed in between. No I/O and no clock: time comes in.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// The pause after a first failure; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A key of something that is written.
pub trait Task: Clone + Ord + Hash {
    /// Whether it goes before all that does not.
    fn is_urgent(&self) -> bool;
}

/// How many may be written at once.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// In all.
    pub all: usize,
    /// Of those that are not urgent.
    pub unurgent: usize,
}

/// The queue. A key is being written once at most.
#[derive(Debug)]
pub struct Outbox<K> {
    /// Urgent ones, then the others; by when they are due.
    waiting: [BTreeSet<(Instant, K)>; 2],
    due: HashMap<K, Instant>,
    /// Being written now; and when it has to be written again after that.
    busy: HashMap<K, Option<Instant>>,
    /// How many of those are not urgent.
    unurgent: usize,
    failures: HashMap<K, u32>,
}

impl<K: Task> Default for Outbox<K> {
    fn default() -> Self {
        Outbox {
            waiting: [BTreeSet::new(), BTreeSet::new()],
            due: HashMap::new(),
            busy: HashMap::new(),
            unurgent: 0,
            failures: HashMap::new(),
        }
    }
}

impl<K: Task> Outbox<K> {
    /// Something has to be written, not before a moment. What waits already keeps the earlier one.
    pub fn want(&mut self, key: K, at: Instant) {
        if let Some(again) = self.busy.get_mut(&key) {
            *again = Some(again.map_or(at, |known| known.min(at)));
            return;
        }
        // What failed has its pause, whoever asks for it.
        if self.failures.contains_key(&key) && self.due.contains_key(&key) {
            return;
        }
        match self.due.get(&key) {
            Some(known) if *known <= at => {}
            known => {
                if let Some(known) = known.copied() {
                    self.queue(&key).remove(&(known, key.clone()));
                }
                self.due.insert(key.clone(), at);
                self.queue(&key).insert((at, key));
            }
        }
    }

    /// The next one that is due; it counts as being written until [`Outbox::done`].
    pub fn next(&mut self, now: Instant, places: Places) -> Option<K> {
        let open = self.open(places);
        for queue in &mut self.waiting[..open] {
            if queue.first().is_some_and(|(at, _)| *at <= now)
                && let Some((_, key)) = queue.pop_first()
            {
                self.due.remove(&key);
                self.unurgent += usize::from(!key.is_urgent());
                self.busy.insert(key.clone(), None);
                return Some(key);
            }
        }
        None
    }

    /// How many of the queues may go on: none, the urgent one, both.
    fn open(&self, places: Places) -> usize {
        match (self.busy.len() < places.all, self.unurgent < places.unurgent) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        }
    }

    /// It was written, or failed and will be tried again.
    pub fn done(&mut self, key: &K, well: bool, now: Instant) {
        if let Some(again) = self.busy.remove(key) {
            self.unurgent -= usize::from(!key.is_urgent());
            self.settle(key, well, again, now);
        }
    }

    fn settle(&mut self, key: &K, well: bool, again: Option<Instant>, now: Instant) {
        if well {
            self.failures.remove(key);
            if let Some(at) = again {
                self.want(key.clone(), at);
            }
            return;
        }
        let failures = self.failures.entry(key.clone()).or_insert(0);
        let pause = (FIRST_PAUSE * 2u32.saturating_pow((*failures).min(16))).min(LONGEST_PAUSE);
        *failures += 1;
        let at = now + pause;
        self.due.insert(key.clone(), at);
        self.queue(key).insert((at, key.clone()));
    }

    /// When something is due next that has a place.
    pub fn wake(&self, places: Places) -> Option<Instant> {
        self.waiting[..self.open(places)].iter().filter_map(|queue| queue.first().map(|(at, _)| *at)).min()
    }

    /// Whether anything urgent is due or being written.
    pub fn is_pressed(&self, now: Instant) -> bool {
        self.busy.len() > self.unurgent || self.waiting[0].first().is_some_and(|(at, _)| *at <= now)
    }

    /// How many are being written.
    pub fn busy(&self) -> usize {
        self.busy.len()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.due.len()
    }

    /// Whether this one waits or is being written.
    pub fn has(&self, key: &K) -> bool {
        self.busy.contains_key(key) || self.due.contains_key(key)
    }

    /// Forgets all that waits: somebody else writes now.
    pub fn clear(&mut self) {
        self.waiting.iter_mut().for_each(BTreeSet::clear);
        self.due.clear();
        self.failures.clear();
        self.busy.values_mut().for_each(|again| *again = None);
    }

    fn queue(&mut self, key: &K) -> &mut BTreeSet<(Instant, K)> {
        &mut self.waiting[usize::from(!key.is_urgent())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: Places = Places { all: 100, unurgent: 100 };

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Number(i32);

    impl Task for Number {
        fn is_urgent(&self) -> bool {
            self.0 < 0
        }
    }

    #[test]
    fn the_urgent_go_first_and_each_only_once() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        for number in [2, 1, -1, 2, 1] {
            outbox.want(Number(number), now);
        }
        let order: Vec<i32> = std::iter::from_fn(|| outbox.next(now, MANY)).map(|number| number.0).collect();
        assert_eq!(order, [-1, 1, 2]);
        assert_eq!((outbox.busy(), outbox.waiting()), (3, 0));
    }

    #[test]
    fn what_changes_while_it_is_written_is_written_again() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.want(Number(1), now);
        let key = outbox.next(now, MANY).expect("it is due");
        outbox.want(Number(1), now);
        assert_eq!(outbox.next(now, MANY), None, "never twice at once");
        outbox.done(&key, true, now);
        assert_eq!(outbox.next(now, MANY), Some(Number(1)));
        outbox.done(&key, true, now);
        assert_eq!(outbox.next(now, MANY), None);
    }

    #[test]
    fn failures_wait_longer_and_longer_and_hold_nobody_up() {
        let mut now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.want(Number(1), now);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let key = outbox.next(now, MANY).expect("it is due");
            outbox.done(&key, false, now);
            // Asking again does not shorten the pause.
            outbox.want(Number(1), now);
            outbox.want(Number(2), now);
            assert_eq!(outbox.next(now, MANY), Some(Number(2)));
            outbox.done(&Number(2), true, now);
            let due = outbox.wake(MANY).expect("it waits");
            pauses.push(due - now);
            now = due;
        }
        assert_eq!(pauses[0], FIRST_PAUSE);
        assert!(pauses.is_sorted());
        assert_eq!(pauses[11], LONGEST_PAUSE);
        let key = outbox.next(now, MANY).expect("it is due");
        outbox.done(&key, true, now);
        outbox.want(Number(1), now);
        assert_eq!(outbox.next(now, MANY), Some(Number(1)), "after a success there is no pause");
    }

    #[test]
    fn later_is_not_now() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut outbox = Outbox::default();
        outbox.want(Number(1), later);
        assert_eq!(outbox.next(now, MANY), None);
        outbox.want(Number(1), now);
        assert_eq!(outbox.next(now, MANY), Some(Number(1)), "the earlier moment counts");
    }

    #[test]
    fn what_is_not_urgent_leaves_room() {
        let now = Instant::now();
        let few = Places { all: 3, unurgent: 1 };
        let mut outbox = Outbox::default();
        for number in [1, 2, -1, -2, -3] {
            outbox.want(Number(number), now);
        }
        assert!(outbox.is_pressed(now));
        let begun: Vec<i32> = std::iter::from_fn(|| outbox.next(now, few)).map(|number| number.0).collect();
        assert_eq!(begun, [-3, -2, -1], "urgent ones first, and no more than there are places");
        assert_eq!(outbox.wake(few), None);
        outbox.done(&Number(-3), true, now);
        outbox.done(&Number(-2), true, now);
        let begun: Vec<i32> = std::iter::from_fn(|| outbox.next(now, few)).map(|number| number.0).collect();
        assert_eq!(begun, [1]);
        assert_eq!(outbox.wake(few), None, "2 waits for a place and not for a moment");
        assert!(outbox.is_pressed(now));
        outbox.done(&Number(-1), true, now);
        assert!(!outbox.is_pressed(now));
        assert_eq!(outbox.next(now, MANY), Some(Number(2)));
    }
}
