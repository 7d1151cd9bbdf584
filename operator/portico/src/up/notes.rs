//! What the store has to remember of subscriptions. What it could not write down is kept, and tried again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portico_core::key::Name;
use portico_secrets::{Store, StoreError};

/// How soon it is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What writes it down.
pub(super) trait Remembers {
    /// See [`Store::record_ended`].
    fn record_ended(&mut self, ended: &[(Name, Timestamp)]) -> Result<(), StoreError>;

    /// See [`Store::record_on`].
    fn record_on(&mut self, on: &[(Name, Name)]) -> Result<(), StoreError>;
}

impl Remembers for Store {
    fn record_ended(&mut self, ended: &[(Name, Timestamp)]) -> Result<(), StoreError> {
        Store::record_ended(self, ended)
    }

    fn record_on(&mut self, on: &[(Name, Name)]) -> Result<(), StoreError> {
        Store::record_on(self, on)
    }
}

/// What came of writing.
#[derive(Debug)]
pub(super) enum Written {
    /// As before: well, or not yet again.
    AsBefore,
    /// Well again, after it had failed.
    Again,
    /// It fails from now on.
    Fails(StoreError),
}

/// What is not written down yet.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Subscriptions that were cancelled, and when: what was cancelled does not begin again.
    ended: BTreeMap<Name, Timestamp>,
    /// Plans that subscriptions came to be on: what they have serves on after a restart too.
    moved: BTreeMap<Name, Name>,
    retry_at: Option<Instant>,
}

impl Notes {
    /// More of it.
    pub(super) fn take(&mut self, ended: Vec<(Name, Timestamp)>, moved: Vec<(Name, Name)>) {
        self.ended.extend(ended);
        self.moved.extend(moved);
    }

    /// A subscription is gone: another one by its name has another life.
    pub(super) fn forget(&mut self, subscription: &Name) {
        self.ended.remove(subscription);
        self.moved.remove(subscription);
    }

    /// When it is tried again, where it failed.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Writes down what was cancelled, which waits for nothing else.
    pub(super) fn write_ended(&mut self, store: &mut impl Remembers, now: Instant) -> Written {
        if self.retry_at.is_some_and(|at| at > now) || self.ended.is_empty() {
            return Written::AsBefore;
        }
        let ended: Vec<_> = self.ended.iter().map(|(name, at)| (name.clone(), *at)).collect();
        match store.record_ended(&ended) {
            Ok(()) => {
                self.ended.clear();
                self.came(Ok(()), now)
            }
            Err(error) => self.came(Err(error), now),
        }
    }

    /// Writes down all of it.
    pub(super) fn write(&mut self, store: &mut impl Remembers, now: Instant) -> Written {
        if self.retry_at.is_some_and(|at| at > now) || self.ended.is_empty() && self.moved.is_empty() {
            return Written::AsBefore;
        }
        let ended: Vec<_> = self.ended.iter().map(|(name, at)| (name.clone(), *at)).collect();
        let moved: Vec<_> = self.moved.iter().map(|(name, plan)| (name.clone(), plan.clone())).collect();
        let written = store.record_ended(&ended).and_then(|()| {
            self.ended.clear();
            store.record_on(&moved)
        });
        if written.is_ok() {
            self.moved.clear();
        }
        self.came(written, now)
    }

    fn came(&mut self, written: Result<(), StoreError>, now: Instant) -> Written {
        match (written, self.retry_at) {
            (Ok(()), before) => {
                self.retry_at = None;
                if before.is_some() { Written::Again } else { Written::AsBefore }
            }
            (Err(error), before) => {
                self.retry_at = Some(now + RETRY);
                if before.is_some() { Written::AsBefore } else { Written::Fails(error) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that can be out of order.
    #[derive(Default)]
    struct Disk {
        broken: bool,
        ended: BTreeMap<Name, Timestamp>,
        on: BTreeMap<Name, Name>,
    }

    impl Remembers for Disk {
        fn record_ended(&mut self, ended: &[(Name, Timestamp)]) -> Result<(), StoreError> {
            if self.broken {
                return Err(StoreError::Random);
            }
            self.ended.extend(ended.iter().cloned());
            Ok(())
        }

        fn record_on(&mut self, on: &[(Name, Name)]) -> Result<(), StoreError> {
            if self.broken {
                return Err(StoreError::Random);
            }
            self.on.extend(on.iter().cloned());
            Ok(())
        }
    }

    #[test]
    fn what_could_not_be_written_is_tried_again_and_the_newest_of_it_is_written() {
        let (one, two, plan) = (Name::new("a", "one"), Name::new("a", "two"), |name| Name::new("p", name));
        let mut disk = Disk { broken: true, ..Disk::default() };
        let mut notes = Notes::default();
        let start = Instant::now();
        notes.take(vec![(one.clone(), Timestamp::UNIX_EPOCH)], vec![(two.clone(), plan("silver"))]);
        assert!(matches!(notes.write_ended(&mut disk, start), Written::Fails(_)));
        assert!(matches!(notes.write(&mut disk, start), Written::AsBefore), "it is told once");
        notes.take(Vec::new(), vec![(two.clone(), plan("gold"))]);
        assert!(matches!(notes.write(&mut disk, start + RETRY), Written::AsBefore));
        disk.broken = false;
        assert!(matches!(notes.write(&mut disk, start + RETRY), Written::AsBefore), "not at every occasion");
        assert!(disk.ended.is_empty() && disk.on.is_empty());
        assert!(matches!(notes.write(&mut disk, start + 2 * RETRY), Written::Again));
        assert_eq!(disk.ended, BTreeMap::from([(one, Timestamp::UNIX_EPOCH)]));
        assert_eq!(disk.on, BTreeMap::from([(two, plan("gold"))]));
        assert_eq!(notes.retry_at(), None);
    }

    #[test]
    fn of_one_that_is_gone_nothing_is_written() {
        let gone = Name::new("a", "gone");
        let mut notes = Notes::default();
        notes.take(vec![(gone.clone(), Timestamp::UNIX_EPOCH)], vec![(gone.clone(), gone.clone())]);
        notes.forget(&gone);
        let mut disk = Disk::default();
        notes.write(&mut disk, Instant::now());
        assert!(disk.ended.is_empty() && disk.on.is_empty());
    }
}
