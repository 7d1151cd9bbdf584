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
    /// When it ends in any case.
    pub(crate) until: i64,
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
    /// By a link that was sent to their address.
    Mail,
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
        Some(Session { id, token, began: now, until: now + SIGNING_IN, seen: now, who: None, pending: None })
    }

    /// A session of somebody who has just signed in. Nothing of the one before is kept, so that nobody can have planted it.
    pub(crate) fn of(who: Who) -> Option<Session> {
        let session = Session::begin()?;
        Some(Session { who: Some(who), until: session.began + LONGEST, ..session })
    }

    /// The same, of somebody who is expected back until then.
    pub(crate) fn waiting(self, until: i64) -> Session {
        Session { until: self.until.max(until), ..self }
    }

    fn holds(&self, now: i64) -> bool {
        self.began <= now && now < self.until && now < self.seen + IDLE
    }

    fn is_fresh(&self, now: i64) -> bool {
        now < self.seen + FRESH
    }
}

/// Opens and seals sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    key: SealingKey,
    /// What was ended before its time.
    ended: Mutex<HashMap<Ended, Ending>>,
}

/// What can be ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Ended {
    /// One session.
    Session(String),
    /// All that began with this session at the identity provider.
    AtProvider { issuer: String, session: String },
    /// All of this person of the identity provider.
    Person { issuer: String, subject: String },
}

/// When it was ended: what begins afterwards is not concerned.
#[derive(Clone, Copy, Debug)]
struct Ending {
    at: i64,
    /// When all that is concerned would have ended by itself.
    until: i64,
}

/// Whom the identity provider has signed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedOut {
    pub(crate) issuer: String,
    /// The provider's name for the person.
    pub(crate) subject: Option<String>,
    /// The provider's name for its own session. Where it is said, that one only.
    pub(crate) session: Option<String>,
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
        (!self.is_ended(&session)).then_some(session)
    }

    /// Whether a session that was opened before still holds.
    pub(crate) fn still(&self, session: &Session) -> bool {
        session.holds(clock::now()) && !self.is_ended(session)
    }

    fn is_ended(&self, session: &Session) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ended = |what: &Ended| ended.get(what).is_some_and(|ending| session.began <= ending.at);
        if is_ended(&Ended::Session(session.id.clone())) {
            return true;
        }
        let Some(Who { way: Way::Oidc { issuer, subject, session }, .. }) = &session.who else { return false };
        let at_provider =
            session.as_ref().map(|session| Ended::AtProvider { issuer: issuer.clone(), session: session.clone() });
        let person = Ended::Person { issuer: issuer.clone(), subject: subject.clone() };
        at_provider.is_some_and(|session| is_ended(&session)) || is_ended(&person)
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
        self.note(Ended::Session(session.id.clone()), session.until);
        format!("{}=; Max-Age=0; {}", Sessions::cookie(secure), attributes(secure))
    }

    /// Ends what the identity provider says is over.
    pub(crate) fn end_there(&self, signed_out: SignedOut) {
        let until = clock::now() + LONGEST + 1;
        match signed_out {
            SignedOut { issuer, session: Some(session), subject: _ } => {
                self.note(Ended::AtProvider { issuer, session }, until);
            }
            SignedOut { issuer, session: None, subject: Some(subject) } => {
                self.note(Ended::Person { issuer, subject }, until);
            }
            SignedOut { issuer: _, session: None, subject: None } => {}
        }
    }

    fn note(&self, what: Ended, until: i64) {
        let at = clock::now();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, ending| ending.until > at);
        ended.insert(what, Ending { at, until });
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
            let (began, seen) = (now - began, now - seen);
            let session = Session { began, until: began + LONGEST, seen, ..session.clone() };
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
        let now = clock::now();
        let session = Session { until: now - 1, began: now - SIGNING_IN - 1, ..Session::begin().unwrap() };
        let cookie = value(&sessions.set(&session, false).unwrap());
        assert_eq!(sessions.open(&cookie, false), None);
        let cookie = value(&sessions.set(&session.waiting(now + 60), false).unwrap());
        assert!(sessions.open(&cookie, false).is_some(), "somebody is expected back");
    }

    #[test]
    fn what_the_provider_ends_is_over_and_what_begins_afterwards_is_not() {
        let sessions = Sessions::new(SealingKey::new(&[1; 64]));
        let of = |subject: &str, session: Option<&str>, began: i64| {
            let (issuer, session) = ("https://id.example".to_owned(), session.map(str::to_owned));
            let way = Way::Oidc { issuer, subject: subject.to_owned(), session };
            Session { began: clock::now() - began, ..Session::of(Who { way, ..who() }).unwrap() }
        };
        let end = |subject: Option<&str>, session: Option<&str>| {
            let (issuer, subject) = ("https://id.example".to_owned(), subject.map(str::to_owned));
            sessions.end_there(SignedOut { issuer, subject, session: session.map(str::to_owned) });
        };
        let (one, other, nameless) = (of("ada", Some("1"), 9), of("ada", Some("2"), 9), of("ada", None, 9));
        let bob = of("bob", Some("3"), 9);
        end(Some("ada"), Some("1"));
        assert_eq!([&one, &other, &nameless, &bob].map(|one| sessions.still(one)), [false, true, true, true]);
        end(Some("ada"), None);
        assert_eq!([&one, &other, &nameless, &bob].map(|one| sessions.still(one)), [false, false, false, true]);
        let later = Session { seen: clock::now(), ..of("ada", Some("1"), -2) };
        assert!(!sessions.is_ended(&later), "signed in again");
        let elsewhere =
            Way::Oidc { issuer: "https://other.example".into(), subject: "ada".into(), session: Some("1".into()) };
        assert!(sessions.still(&Session::of(Who { way: elsewhere, ..who() }).unwrap()), "another provider's person");
    }
}
