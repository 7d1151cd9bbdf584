//! How far a wish is: written down, read, enforced.

use std::time::Duration;

use futures::stream::{self, Stream};
use portico_core::Core;
use portico_core::key::{Kind, ObjectKey};
use portico_crds::Phase;

use crate::clock;
use crate::error::Oops;
use crate::gather::state;
use crate::may::{Action, may};
use crate::people::Person;
use crate::portal::{Portal, Visitor};
use crate::tokens;

/// How often it is looked at in any case: a commit may be read that changes nothing here.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reached {
    /// It is a commit.
    Written,
    /// The commit was read.
    Read,
    /// And gateways have confirmed what it changes.
    Done,
    /// The commit was read, and what it is about is not there, or not for whoever looks.
    Unseen,
}

impl Reached {
    /// Whether nothing comes after it.
    pub(crate) fn is_last(self) -> bool {
        matches!(self, Reached::Done | Reached::Unseen)
    }
}

/// How far a commit is that is about an object.
pub(crate) async fn reached(
    portal: &Portal,
    person: Option<&Person>,
    commit: &str,
    about: &ObjectKey,
) -> Result<Reached, Oops> {
    let is_read = portal.host.has_read(commit).await.map_err(|error| Oops::Unavailable(error.to_string()))?;
    if !is_read {
        return Ok(Reached::Written);
    }
    Ok(portal.reading.look(|core| {
        if !may(core, person, Action::See, about) {
            return Reached::Unseen;
        }
        match is_done(core, about) {
            None => Reached::Unseen,
            Some(true) => Reached::Done,
            Some(false) => Reached::Read,
        }
    }))
}

/// Whether gateways have confirmed what an object says; `None` where it is not there.
fn is_done(core: &Core, about: &ObjectKey) -> Option<bool> {
    let name = &about.name;
    match about.kind {
        Kind::Subscription => {
            let standing = state::subscription(core, name)?;
            let has_access = matches!(standing.phase, Phase::Active | Phase::PendingCancellation);
            let credentials = core.credentials_of(name).filter_map(|name| state::credential(core, name));
            // Whoever waits for somebody need not wait here.
            Some(!has_access || (standing.works && credentials.into_iter().all(|one| !one.is_being_made())))
        }
        Kind::Credential => state::credential(core, name).map(|credential| !credential.is_being_made()),
        // Nothing of it is enforced.
        _ => core.has(about).then_some(true),
    }
}

/// Who somebody is now who came a while ago: nobody, where the session has ended, or the token does not hold any more.
pub(crate) async fn still(portal: &Portal, visitor: &Visitor) -> Option<Person> {
    let Some(token) = &visitor.token else {
        return portal.reading.look(|core| portal.again(core, visitor)).person;
    };
    let known = tokens::of(portal, &token.who.mail).await.ok()?;
    known.iter().find(|(_, one)| one == token && !one.has_ended(clock::now()))?;
    portal.reading.look(|core| portal.look_up(core, &token.who))?.ok()
}

/// Every step from now on, as it is reached, for as long as somebody may know.
pub(crate) fn steps(portal: Portal, visitor: Visitor, commit: String, about: ObjectKey) -> impl Stream<Item = Reached> {
    let changes = portal.reading.changes();
    let start = (portal, visitor, changes, None::<Reached>);
    stream::unfold(start, move |(portal, visitor, mut changes, before)| {
        let (commit, about) = (commit.clone(), about.clone());
        async move {
            if before.is_some_and(Reached::is_last) {
                return None;
            }
            loop {
                let person = still(&portal, &visitor).await?;
                let now = reached(&portal, Some(&person), &commit, &about).await.ok()?;
                if Some(now) != before {
                    return Some((now, (portal, visitor, changes, Some(now))));
                }
                tokio::select! {
                    changed = changes.changed() => changed.ok()?,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    })
}
