//! Whether so much changes now that what can wait should.

use std::time::{Duration, Instant};

/// What a change adds to the rush: two hundred a second are none.
const WEIGHT: Duration = Duration::from_millis(5);
/// How much may come at once before it is one.
const ALLOWED: Duration = Duration::from_millis(500);
/// How much counts at most, so that it is over soon after the last change.
const MOST: Duration = Duration::from_secs(1);

/// A bucket that changes fill and time empties.
#[derive(Debug, Default)]
pub struct Rush {
    /// When it would be empty.
    empty: Option<Instant>,
}

impl Rush {
    /// Something changed.
    pub fn one_more(&mut self, now: Instant) {
        let from = self.empty.map_or(now, |empty| empty.max(now));
        self.empty = Some((from + WEIGHT).min(now + MOST));
    }

    /// When the rush will be over, if there is one.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        let over = self.empty?.checked_sub(ALLOWED)?;
        (over > now).then_some(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_are_a_rush_and_it_ends() {
        let now = Instant::now() + MOST;
        let mut rush = Rush::default();
        for _ in 0..100 {
            rush.one_more(now);
        }
        assert_eq!(rush.until(now), None, "a hundred may come at once");
        for _ in 0..100_000 {
            rush.one_more(now);
        }
        let over = rush.until(now).expect("now it is one");
        assert_eq!(over + ALLOWED, now + MOST);
        assert_eq!(rush.until(over), None);
    }
}
