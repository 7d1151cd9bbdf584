//! Waiting for something to become so.

use std::thread;
use std::time::{Duration, Instant};

/// How long tests wait for what should take far less. Shared machines are slow at times.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until there is an answer, and returns it.
///
/// # Panics
///
/// After [`PATIENCE`], with `what` was waited for.
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, ask).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Asks until there is an answer, or `None` after `patience`.
pub fn within<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if begun.elapsed() > patience {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
