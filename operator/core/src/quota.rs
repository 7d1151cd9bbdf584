//! Counting against limits of an hour and more.
//!
//! Windows are those of the calendar in UTC, the same for everybody: an hour, a day, a month with as many days as it has. Which
//! limits count for a request, and how many it allows, comes with the question, so a limit that is changed keeps what was
//! counted, and nothing has to be known here before the first request.

use std::mem;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use portico_crds::Period;

use crate::key::Name;
use crate::table::{Map, Set};

/// A limit that counts for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What is counted: the name of a plan's limit, without how many it allows.
    pub limit: Box<str>,
    /// Whose request it is.
    pub application: Box<str>,
    /// How many requests.
    pub requests: u64,
    /// In how long.
    pub per: Period,
}

/// What became of an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether this limit does not allow the request.
    pub is_over: bool,
    /// How many more it would allow in this window.
    pub remaining: u64,
    /// When the next window begins.
    pub resets_at: Timestamp,
}

/// A counter, as it is kept where it survives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The environment.
    pub environment: Name,
    /// See [`Ask::limit`].
    pub limit: Box<str>,
    /// See [`Ask::application`].
    pub application: Box<str>,
    /// When the window began.
    pub begins: Timestamp,
    /// When it is over.
    pub ends: Timestamp,
    /// How many requests were allowed in it.
    pub used: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    environment: Name,
    limit: Box<str>,
    application: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    window: Window,
    used: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    begins: Timestamp,
    ends: Timestamp,
}

/// The counters of all environments.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Map<Key, Count>,
    /// Those that are not kept yet as they are.
    changed: Set<Key>,
}

impl Counters {
    /// Counts so many requests at once against all limits, or against none of them if one does not allow it.
    pub fn count(&mut self, environment: &Name, asks: &[Ask], hits: u64, now: Timestamp) -> Vec<Answer> {
        let found: Vec<(Key, Count)> = asks
            .iter()
            .map(|ask| {
                let (limit, application) = (ask.limit.clone(), ask.application.clone());
                let key = Key { environment: environment.clone(), limit, application };
                let count = running(self.counts.get(&key), window(ask.per, now));
                (key, count)
            })
            .collect();
        let fits = |ask: &Ask, count: &Count| count.used.saturating_add(hits) <= ask.requests;
        let is_allowed = asks.iter().zip(&found).all(|(ask, (_, count))| fits(ask, count));
        let mut answers = Vec::with_capacity(asks.len());
        for (ask, (key, mut count)) in asks.iter().zip(found) {
            let is_over = !fits(ask, &count);
            if is_allowed {
                count.used = count.used.saturating_add(hits);
                self.changed.insert(key.clone());
                self.counts.insert(key, count);
            }
            let remaining = ask.requests.saturating_sub(count.used);
            answers.push(Answer { is_over, remaining, resets_at: count.window.ends });
        }
        answers
    }

    /// What has to be kept and is not yet. It counts as kept from now on; see [`Counters::not_kept`]. Counters whose window
    /// is over are forgotten.
    pub fn take_changed(&mut self, now: Timestamp) -> Vec<Record> {
        self.counts.retain(|_, count| count.window.ends > now);
        let mut keys: Vec<Key> = mem::take(&mut self.changed).into_iter().collect();
        keys.sort();
        keys.into_iter().filter_map(|key| self.counts.get(&key).map(|count| record(&key, count))).collect()
    }

    /// It could not be kept.
    pub fn not_kept(&mut self, records: Vec<Record>) {
        self.changed.extend(records.into_iter().map(|record| key(record).0));
    }

    /// All counters, in order.
    pub fn all(&self) -> Vec<Record> {
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_by_key(|(key, _)| *key);
        counts.into_iter().map(|(key, count)| record(key, count)).collect()
    }

    /// Takes over what was kept. What was counted here meanwhile comes on top.
    pub fn restore(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            let (key, kept) = key(record);
            match self.counts.get_mut(&key) {
                Some(count) if count.window == kept.window => {
                    count.used = count.used.saturating_add(kept.used);
                    self.changed.insert(key);
                }
                Some(count) if count.window.begins > kept.window.begins => {}
                _ => _ = self.counts.insert(key, kept),
            }
        }
    }

    /// Forgets everything: somebody else counts.
    pub fn clear(&mut self) {
        *self = Counters::default();
    }
}

fn record(key: &Key, count: &Count) -> Record {
    Record {
        environment: key.environment.clone(),
        limit: key.limit.clone(),
        application: key.application.clone(),
        begins: count.window.begins,
        ends: count.window.ends,
        used: count.used,
    }
}

fn key(record: Record) -> (Key, Count) {
    let Record { environment, limit, application, begins, ends, used } = record;
    (Key { environment, limit, application }, Count { window: Window { begins, ends }, used })
}

/// The count that goes on in the present window. Where the clock was put back over the end of a window, the one after it
/// goes on: nobody gets a window twice. Where it was put back by more, it was wrong before.
fn running(known: Option<&Count>, present: Window) -> Count {
    match known {
        Some(known) if known.window == present || known.window.begins == present.ends => *known,
        _ => Count { window: present, used: 0 },
    }
}

/// The window of the calendar that a moment is in.
fn window(per: Period, now: Timestamp) -> Window {
    let seconds = match per {
        Period::Second => 1,
        Period::Minute => 60,
        Period::Hour => 60 * 60,
        Period::Day => 24 * 60 * 60,
        Period::Month => return month(now),
    };
    let begins = now.as_second().div_euclid(seconds) * seconds;
    Window { begins: moment(begins), ends: moment(begins + seconds) }
}

fn month(now: Timestamp) -> Window {
    let first = now.to_zoned_datetime(TimeZone::UTC).date().first_of_month();
    let next = first.saturating_add(1.month());
    let start = |date: jiff::civil::Date| {
        date.to_zoned_datetime(TimeZone::UTC).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
    };
    Window { begins: start(first), ends: start(next) }
}

/// A moment that no clock shows becomes the last one.
fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
