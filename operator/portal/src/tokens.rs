//! Tokens for programs. A token acts as whoever made it, and does no more than its scopes say: what that person may not do any
//! more, it does not do any more either.
//!
//! `ppt_` + 56 random characters + 7 of checksum, in the form of API keys. What is kept is the SHA-256 of a token, which needs no
//! salt and no stretching: nobody tries 280 random bits.

use jiff::Timestamp;
use portico_core::api_key::{read, spell};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::error::Oops;
use crate::host::HostError;
use crate::portal::Portal;
use crate::session::Who;

/// What every token begins with.
const PREFIX: &str = "ppt_";
/// Random bytes of a token, and the characters that they become.
const BYTES: usize = 35;
const RANDOM: usize = 56;
/// Where they are remembered.
const KIND: &str = "tokens";
/// How many one person may have.
pub(crate) const MOST: usize = 32;
/// How long one is good at most, in days.
pub(crate) const LONGEST: i64 = 365;
const DAY: i64 = 24 * 3600;

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Read whatever its person sees.
    Read,
    /// Change what its person may change, and see keys.
    Write,
    /// Answer requests.
    Decide,
}

impl Scope {
    /// As people and programs write it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Decide => "decide",
        }
    }
}

/// What is remembered of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// What its person calls it.
    pub(crate) name: String,
    /// Whose it is, as they had signed in.
    pub(crate) who: Who,
    pub(crate) scopes: Vec<Scope>,
    /// When it was made and when it ends, in seconds.
    pub(crate) made: i64,
    pub(crate) ends: i64,
}

impl Token {
    /// Whether it is over.
    pub(crate) fn has_ended(&self, now: i64) -> bool {
        now < self.made || now >= self.ends
    }

    /// When it ends.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.ends).ok()
    }
}

/// What a token is known by.
fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unavailable(error: &HostError) -> Oops {
    Oops::Unavailable(format!("Tokens cannot be had now: {error}."))
}

/// Makes a token for somebody who has signed in, and answers what it says. That is told once.
pub(crate) async fn make(
    portal: &Portal,
    who: &Who,
    name: &str,
    scopes: Vec<Scope>,
    days: i64,
) -> Result<String, Oops> {
    let name = name.trim();
    if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Oops::Bad("A name has between 1 and 64 characters.".to_owned()));
    }
    if !(1..=LONGEST).contains(&days) {
        return Err(Oops::Bad(format!("A token is good for 1 to {LONGEST} days.")));
    }
    let now = clock::now();
    let mut live = 0;
    for (id, token) in of(portal, &who.mail).await? {
        if token.has_ended(now) {
            portal.host.remember(KIND, &id, None).await.map_err(|error| unavailable(&error))?;
        } else {
            live += 1;
        }
    }
    if live >= MOST {
        return Err(Oops::Bad(format!("You have {MOST} tokens already: revoke one that nobody needs.")));
    }
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| crate::sign_in::no_randomness())?;
    let text = spell(PREFIX, &bytes);
    // Groups are what the identity provider said at sign-in. Nobody asks it again for a program, so a token has none.
    let who = Who { groups: Vec::new(), ..who.clone() };
    let token = Token { name: name.to_owned(), who, scopes, made: now, ends: now + days * DAY };
    let said = serde_json::to_string(&token).map_err(|error| Oops::Unavailable(error.to_string()))?;
    portal.host.remember(KIND, &digest(&text), Some(said)).await.map_err(|error| unavailable(&error))?;
    tracing::info!(by = token.who.mail, ends = token.ends, "a token was made");
    Ok(text)
}

/// The token that says this, if it is one that holds.
pub(crate) async fn find(portal: &Portal, text: &str) -> Result<Option<Token>, Oops> {
    if read(PREFIX, RANDOM, text).is_err() {
        return Ok(None);
    }
    let known = portal.host.recall(KIND).await.map_err(|error| unavailable(&error))?;
    let token = known.get(&digest(text)).and_then(|said| serde_json::from_str::<Token>(said).ok());
    let now = clock::now();
    Ok(token.filter(|token| !token.has_ended(now)))
}

/// Somebody's tokens by what they are known by, those that end last first.
pub(crate) async fn of(portal: &Portal, mail: &str) -> Result<Vec<(String, Token)>, Oops> {
    let known = portal.host.recall(KIND).await.map_err(|error| unavailable(&error))?;
    let read = known.iter().filter_map(|(id, said)| Some((id.clone(), serde_json::from_str::<Token>(said).ok()?)));
    let mut found: Vec<(String, Token)> = read.filter(|(_, token)| token.who.mail.eq_ignore_ascii_case(mail)).collect();
    found.sort_by(|(one_id, one), (other_id, other)| (other.ends, one_id).cmp(&(one.ends, other_id)));
    Ok(found)
}

/// Ends one of somebody's tokens.
pub(crate) async fn revoke(portal: &Portal, mail: &str, id: &str) -> Result<(), Oops> {
    if !of(portal, mail).await?.iter().any(|(known, _)| known == id) {
        return Err(Oops::NotFound);
    }
    portal.host.remember(KIND, id, None).await.map_err(|error| unavailable(&error))?;
    tracing::info!(by = mail, "a token was revoked");
    Ok(())
}
