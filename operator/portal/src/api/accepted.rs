//! What is answered to a write: the commit that it became, and where to follow it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portico_core::Core;
use portico_core::key::ObjectKey;

use super::changes::{self, Change};
use super::sent::Once;
use crate::act::Deed;
use crate::clock;
use crate::error::Oops;
use crate::host::Landed;
use crate::people::Person;
use crate::portal::Portal;
use crate::wish;

/// How long answers are kept, in seconds, and how many.
const KEPT: i64 = 24 * 3600;
const MOST: usize = 10_000;

/// What was answered to writes that had a key. A write that is sent again gets the same answer and does nothing. After a restart
/// the key is in the commit still: then it does nothing either, and is told so.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    known: HashMap<String, Answer>,
    order: VecDeque<String>,
}

#[derive(Clone, Debug)]
struct Answer {
    said: [u8; 32],
    at: i64,
    made: Made,
}

/// What a write became.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    commit: String,
    about: ObjectKey,
    /// By which it is followed, where it waits for a review.
    waits: Option<String>,
}

impl Answers {
    /// What was answered before; `Err` where it said something else then.
    fn find(&self, word: &str, said: [u8; 32], now: i64) -> Result<Option<Made>, Oops> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.known.get(word).filter(|answer| now < answer.at + KEPT) {
            Some(answer) if answer.said == said => Ok(Some(answer.made.clone())),
            Some(_) => Err(Oops::Conflict(
                "This key was sent with another request before. Use a new `Idempotency-Key` for each.".to_owned(),
            )),
            None => Ok(None),
        }
    }

    fn keep(&self, word: String, said: [u8; 32], at: i64, made: Made) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.known.insert(word.clone(), Answer { said, at, made }).is_none() {
            kept.order.push_back(word);
        }
        while kept.order.len() > MOST {
            let Some(oldest) = kept.order.pop_front() else { break };
            kept.known.remove(&oldest);
        }
    }
}

/// Carries something out, or answers what was answered when it was sent before.
pub(super) async fn carry(
    portal: &Portal,
    person: &Person,
    once: &Once,
    deed: impl FnOnce(&Core) -> Result<Deed, Oops>,
) -> Result<Response, Oops> {
    let word = once.word(person);
    let known = if word.is_empty() { None } else { portal.answers.find(&word, once.said, clock::now())? };
    let is_known = known.is_some();
    let made = if let Some(known) = known {
        known
    } else {
        let deed = portal.reading.look(deed)?;
        let about = deed.about.clone();
        let Landed { commit, waits } = deed.submit(portal, person, &word).await?;
        let made = Made { commit, about, waits };
        if !word.is_empty() {
            portal.answers.keep(word, once.said, clock::now(), made.clone());
        }
        made
    };
    let Made { commit, about, waits } = &made;
    let change = match waits {
        Some(id) if !is_known => Change::waiting(commit, about, id),
        _ => {
            if !is_known {
                wish::settle(portal, commit).await;
            }
            changes::change(portal, person, commit, about, waits.as_deref()).await?
        }
    };
    let location = changes::address(commit, about, waits.as_deref());
    let mut response = (StatusCode::ACCEPTED, Json(change)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&location) {
        headers.insert(header::LOCATION, location);
    }
    if is_known {
        headers.insert(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portico_core::key::Kind;

    #[test]
    fn the_same_again_is_answered_the_same_and_another_is_refused() {
        let answers = Answers::default();
        let about = ObjectKey::new(Kind::Credential, "shop", "web");
        let made = Made { commit: "c".to_owned(), about, waits: Some("r1".to_owned()) };
        answers.keep("one".to_owned(), [1; 32], 10, made.clone());
        assert_eq!(answers.find("one", [1; 32], 20).unwrap(), Some(made));
        assert!(answers.find("one", [2; 32], 20).is_err());
        assert_eq!(answers.find("two", [1; 32], 20).unwrap(), None);
        assert_eq!(answers.find("one", [2; 32], 10 + KEPT).unwrap(), None, "it is forgotten");
    }
}
