//! Who is signed in: a sealed cookie says it, and every request looks the person up anew.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::seal::SealingKey;

/// So long after the last request a session ends.
const IDLE: i64 = 12 * 3600;
/// So long after signing in a session ends in any case.
const LONGEST: i64 = 7 * 24 * 3600;
/// How long signing in may take.
const SIGNING_IN: i64 = 15 * 60;
/// A session is written anew when its last request was so long ago.
const FRESH: i64 = 300;

/// A session, as the cookie keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    /// What forms have to carry, so that no other site can send them.
    pub(crate) token: String,
    pub(crate) began: i64,
    pub(crate) seen: i64,
    /// Who it is, once somebody has signed in.
    pub(crate) who: Option<Who>,
    /// Where somebody is who is signing in elsewhere.
    pub(crate) pending: Option<Pending>,
}

/// What is known from signing in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) mail: String,
    pub(crate) name: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) way: Way,
}

/// How somebody has signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    /// By saying so, at this machine.
    Local,
    /// Through this OpenID Connect provider.
    Oidc {
        /// The issuer.
        issuer: String,
        /// The provider's name for the person.
        subject: String,
        /// The provider's name for its own session.
        session: Option<String>,
    },
}

/// What a browser has to bring back from the identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    /// Where to go afterwards.
    pub(crate) to: String,
}

impl Session {
    /// A session of somebody who has not signed in; `None` where the system has no randomness.
    pub(crate) fn begin() -> Option<Session> {
        let now = clock::now();
        let (id, token) = (clock::word()?, clock::word()?);
        Some(Session { id, token, began: now, seen: now, who: None, pending: None })
    }

    /// A session of somebody who has just signed in. Nothing of the one before is kept, so that nobody can have planted it.
    pub(crate) fn of(who: Who) -> Option<Session> {
        Some(Session { who: Some(who), ..Session::begin()? })
    }

    /// How long it may last.
    fn longest(&self) -> i64 {
        if self.who.is_some() { LONGEST } else { SIGNING_IN }
    }

    fn holds(&self, now: i64) -> bool {
        self.began <= now && now < self.began + self.longest() && now < self.seen + IDLE
    }

    fn is_fresh(&self, now: i64) -> bool {
        now < self.seen + FRESH
    }
}

/// Opens and seals sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    key: SealingKey,
    /// Sessions that were ended before their time, until when they would have lasted.
    ended: Mutex<HashMap<String, i64>>,
}

impl Sessions {
    pub(crate) fn new(key: SealingKey) -> Sessions {
        Sessions { key, ended: Mutex::default() }
    }

    /// The cookie's name. One that begins with `__Host-` a browser takes over TLS and from this host only.
    pub(crate) fn cookie(secure: bool) -> &'static str {
        if secure { "__Host-portico" } else { "portico" }
    }

    /// The session that a `Cookie` header holds, if it is one that still holds.
    pub(crate) fn open(&self, cookies: &str, secure: bool) -> Option<Session> {
        let name = Sessions::cookie(secure);
        let now = clock::now();
        let values = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
        let session = values
            .filter(|(known, _)| *known == name)
            .find_map(|(_, value)| self.key.open::<Session>(name, value))
            .filter(|session| session.holds(now))?;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        (!ended.contains_key(&session.id)).then_some(session)
    }

    /// A `Set-Cookie` header with the session as it is now.
    pub(crate) fn set(&self, session: &Session, secure: bool) -> Option<String> {
        let session = Session { seen: clock::now(), ..session.clone() };
        let name = Sessions::cookie(secure);
        let sealed = self.key.seal(name, &session)?;
        Some(format!("{name}={sealed}; {}", attributes(secure)))
    }

    /// The same, if it is time for that.
    pub(crate) fn renew(&self, session: &Session, secure: bool) -> Option<String> {
        if session.is_fresh(clock::now()) { None } else { self.set(session, secure) }
    }

    /// Ends a session everywhere, and answers the `Set-Cookie` header that takes it away.
    pub(crate) fn end(&self, session: &Session, secure: bool) -> String {
        let now = clock::now();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, until| *until > now);
        ended.insert(session.id.clone(), session.began + session.longest());
        format!("{}=; Max-Age=0; {}", Sessions::cookie(secure), attributes(secure))
    }
}

fn attributes(secure: bool) -> &'static str {
    if secure { "Path=/; HttpOnly; SameSite=Lax; Secure" } else { "Path=/; HttpOnly; SameSite=Lax" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> Who {
        Who { mail: "ada@acme.example".to_owned(), name: None, groups: Vec::new(), way: Way::Local }
    }

    fn value(set: &str) -> String {
        set.split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_session_ends_by_itself_and_when_it_is_told_to() {
        let sessions = Sessions::new(SealingKey::new(&[1; 64]));
        let session = Session::of(who()).unwrap();
        let cookie = value(&sessions.set(&session, true).unwrap());
        assert!(cookie.starts_with("__Host-portico="));
        assert_eq!(sessions.open(&cookie, true).unwrap().who, session.who);
        assert_eq!(sessions.open(&format!("a=b; {cookie}"), true).unwrap().id, session.id);
        assert_eq!(sessions.open(&cookie, false), None, "another name");

        let old = |began: i64, seen: i64| {
            let now = clock::now();
            let session = Session { began: now - began, seen: now - seen, ..session.clone() };
            let sealed = sessions.key.seal("portico", &session).unwrap();
            sessions.open(&format!("portico={sealed}"), false).is_some()
        };
        assert!(old(LONGEST - 10, 10));
        assert!(!old(LONGEST + 10, 10), "too old");
        assert!(!old(IDLE + 20, IDLE + 10), "idle");

        sessions.end(&session, true);
        assert_eq!(sessions.open(&cookie, true), None, "it is over for whoever has a copy of the cookie");
    }

    #[test]
    fn signing_in_does_not_take_for_ever() {
        let sessions = Sessions::new(SealingKey::new(&[1; 64]));
        let session = Session { began: clock::now() - SIGNING_IN - 1, ..Session::begin().unwrap() };
        let cookie = value(&sessions.set(&session, false).unwrap());
        assert_eq!(sessions.open(&cookie, false), None);
    }
}
