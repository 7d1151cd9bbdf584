//! The time and chance that sessions need.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::error::Oops;

/// Now, in seconds.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Now, as files have it: to the second.
pub(crate) fn moment() -> Result<Timestamp, Oops> {
    Timestamp::from_second(now()).map_err(|_| Oops::Unavailable("The clock is wrong.".to_owned()))
}

/// 128 bits that nobody guesses, as a word; `None` where the system has no randomness.
pub(crate) fn word() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}
