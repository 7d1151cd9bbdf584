//! Links that sign somebody in: sealed, for one browser, for a while, and once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::seal::SealingKey;
use crate::session::Session;

/// What it is sealed as.
const NAME: &str = "portico-mail-link";

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    id: String,
    /// The run of Portico that made it: only that one knows whether it was used.
    run: String,
    /// Whom it signs in.
    pub(super) mail: String,
    /// The session of the browser that asked for it.
    session: String,
    until: i64,
    /// Where to go afterwards.
    pub(super) to: String,
}

/// Why a link signs nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It was not made here.
    Forged,
    /// Portico was started anew since it was made.
    FromBefore,
    /// It is too old.
    Expired,
    /// It was used.
    Used,
    /// Another browser asked for it.
    Elsewhere,
}

impl Refused {
    /// In a sentence for whoever has opened it.
    pub(super) fn says(self) -> &'static str {
        match self {
            Refused::Forged => {
                "This link was not sent by this portal, or a part of it is missing. Copy it whole, or ask for another one."
            }
            Refused::FromBefore => "The portal was started anew since it sent this link. Ask for another one.",
            Refused::Expired => "This link is too old. Ask for another one.",
            Refused::Used => "This link was used, and works once only. Ask for another one.",
            Refused::Elsewhere => {
                "This link was asked for in another browser, and works only there. Open it in that one, or ask for another \
                 one here. If you did not ask for it, somebody else gave your address: nobody was signed in."
            }
        }
    }
}

/// Makes links, and remembers which were used.
#[derive(Debug)]
pub(super) struct Links {
    key: SealingKey,
    /// `None` where the system had no randomness: then no link is made.
    run: Option<String>,
    /// Links that were used, until when they would have worked.
    used: Mutex<HashMap<String, i64>>,
}

impl Links {
    pub(super) fn new(key: SealingKey) -> Links {
        Links { key, run: clock::word(), used: Mutex::default() }
    }

    /// A link for whoever has this session, as a word that stands in an address; `None` where the system has no randomness.
    pub(super) fn make(&self, mail: &str, session: &Session, until: i64, to: &str) -> Option<String> {
        let link = Link {
            id: clock::word()?,
            run: self.run.clone()?,
            mail: mail.to_owned(),
            session: session.id.clone(),
            until,
            to: to.to_owned(),
        };
        let sealed = self.key.seal(NAME, &link)?;
        Some(sealed.trim_end_matches('=').replace('+', "-").replace('/', "_"))
    }

    /// What a link says, if it works in the browser with this session.
    pub(super) fn open(&self, word: &str, session: Option<&Session>) -> Result<Link, Refused> {
        let mut sealed = word.trim().replace('-', "+").replace('_', "/");
        while !sealed.len().is_multiple_of(4) {
            sealed.push('=');
        }
        let link: Link = self.key.open(NAME, &sealed).ok_or(Refused::Forged)?;
        if self.run.as_ref() != Some(&link.run) {
            return Err(Refused::FromBefore);
        }
        if link.until <= clock::now() {
            return Err(Refused::Expired);
        }
        if self.used.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&link.id) {
            return Err(Refused::Used);
        }
        if session.is_none_or(|session| session.id != link.session) {
            return Err(Refused::Elsewhere);
        }
        Ok(link)
    }

    /// Uses a link. Of several who use it at the same time one is answered `Ok`.
    pub(super) fn spend(&self, word: &str, session: Option<&Session>) -> Result<Link, Refused> {
        let link = self.open(word, session)?;
        let now = clock::now();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, until| *until > now);
        match used.insert(link.id.clone(), link.until) {
            None => Ok(link),
            Some(_) => Err(Refused::Used),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once_for_a_while_in_one_browser() {
        let links = Links::new(SealingKey::new(&[1; 64]));
        let (mine, other) = (Session::begin().unwrap(), Session::begin().unwrap());
        let later = clock::now() + 60;
        let word = links.make("ada@acme.example", &mine, later, "/applications").unwrap();
        assert!(word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{word}");

        assert_eq!(links.open(&word, None), Err(Refused::Elsewhere));
        assert_eq!(links.spend(&word, Some(&other)), Err(Refused::Elsewhere));
        assert_eq!(links.open(&word, Some(&mine)).unwrap().mail, "ada@acme.example", "looking does not use it");
        assert_eq!(links.spend(&word, Some(&mine)).unwrap().to, "/applications");
        assert_eq!(links.spend(&word, Some(&mine)), Err(Refused::Used));
        assert_eq!(links.open(&word, None), Err(Refused::Used));

        let old = links.make("ada@acme.example", &mine, clock::now(), "/").unwrap();
        assert_eq!(links.open(&old, Some(&mine)), Err(Refused::Expired));
        for forged in ["", "abc", &word[1..], &format!("{}A", &word[..word.len() - 1])] {
            let said = links.open(forged, Some(&mine));
            assert!(matches!(said, Err(Refused::Forged | Refused::Used)), "{forged}: {said:?}");
        }
        let restarted = Links::new(SealingKey::new(&[1; 64]));
        assert_eq!(restarted.open(&word, Some(&mine)), Err(Refused::FromBefore));
        let stranger = Links::new(SealingKey::new(&[2; 64]));
        assert_eq!(stranger.open(&word, Some(&mine)), Err(Refused::Forged));
        let cookie = SealingKey::new(&[1; 64]).seal("portico", &mine).unwrap();
        assert_eq!(links.open(&cookie, Some(&mine)), Err(Refused::Forged), "what is sealed as something else");
    }
}
