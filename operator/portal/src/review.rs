//! Wishes that somebody else has to look at first: which those are, and who may let them in.
//!
//! Where the Portal's `git.write` is `PullRequest`, what would give anybody anything waits on a branch. What only takes away,
//! what puts a new key in an old one's place, and the answers of owners wait for nobody: a revocation must not, and an answer
//! is a review itself.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Object, Spec};
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{CredentialSpec, GitWrite, SubscriptionSpec};
use serde_json::json;

use crate::error::Oops;
use crate::host::Edit;
use crate::may::{answers_for, asked};
use crate::past::Changed;
use crate::people::Person;
use crate::portal::{Portal, this_portal};
use crate::waiting::{Fate, Waiting};

/// How long a repository may take to tell what waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a wish that waited.
pub(crate) async fn fate(portal: &Portal, id: &str) -> Result<Fate, Oops> {
    let unavailable = |why: String| Oops::Unavailable(format!("It cannot be told now: {why}."));
    match tokio::time::timeout(PATIENCE, portal.host.fate(id)).await {
        Ok(fate) => fate.map_err(|error| unavailable(error.to_string())),
        Err(_) => Err(unavailable("the repository does not answer".to_owned())),
    }
}

/// Whether wishes wait for a review here.
pub(crate) fn is_asked(core: &Core) -> bool {
    this_portal(core).and_then(|(_, spec)| spec.git).is_some_and(|git| git.write == GitWrite::PullRequest)
}

/// Whether edits could give somebody something.
pub(crate) fn gives(core: &Core, edits: &[Edit]) -> bool {
    edits.iter().any(|edit| match edit {
        Edit::Put(object) => object.spec.kind() != Kind::Approval,
        Edit::Delete(key) => {
            !matches!(key.kind, Kind::Approval | Kind::Credential | Kind::Subscription | Kind::Application)
        }
        Edit::Set { key, path, value } => match (key.kind, *path) {
            (Kind::Approval, _)
            | (Kind::Application, "spec.title" | "spec.description")
            | (Kind::Credential, "spec.generation" | "spec.title") => false,
            (Kind::Credential, "spec.disabled") | (Kind::Subscription, "spec.suspend") => *value != json!(true),
            (Kind::Credential, "spec.overlap") => *value != json!("0s"),
            (Kind::Subscription, "spec.goLive") => *value != json!(false),
            (Kind::Subscription, "spec.cancelAt") => {
                // Another end than the one that is set is given if it is later.
                let now = core.subscription(&key.name).and_then(|spec| spec.cancel_at);
                let wanted = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
                wanted.is_none_or(|wanted| now.is_some_and(|now| now.0 < wanted))
            }
            _ => true,
        },
        Edit::Unset { key, path } => !matches!(
            (key.kind, *path),
            (Kind::Approval, _) | (Kind::Credential, "spec.overlap") | (Kind::Subscription, "spec.change")
        ),
    })
}

/// Why somebody may not let a wish in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untaken {
    /// It would change what is not for the portal to change.
    ByHand,
    /// It is about plans that others answer for.
    NotYours,
    /// It is their own, or their team's.
    Own,
}

impl Untaken {
    /// In a sentence.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Untaken::ByHand => "It changes more than a portal does: whoever may, merges or deletes its branch by hand.",
            Untaken::NotYours => "The owners of what it is about look at it.",
            Untaken::Own => "It is your own or your team's, and nobody lets their own wishes in.",
        }
    }
}

/// Whether somebody may let a wish in, or turn it down: it takes whoever answers for every plan that it is about. What is about no
/// plan is for others of its team.
pub(crate) fn takes_in(core: &Core, person: &Person, waiting: &Waiting) -> Result<(), Untaken> {
    if person.is(&waiting.mail) {
        return Err(Untaken::Own);
    }
    let is_ours = |kind| matches!(kind, Kind::Application | Kind::Subscription | Kind::Credential);
    if waiting.has_more || waiting.changed.is_empty() || !waiting.changed.iter().all(|one| is_ours(one.key.kind)) {
        return Err(Untaken::ByHand);
    }
    let Concerned { plans, applications } = Concerned::by(core, &waiting.changed);
    let teams: BTreeSet<Name> = applications.iter().flat_map(|one| teams(core, &waiting.changed, one)).collect();
    let is_of = |team: &Name| person.teams.iter().any(|membership| membership.team == *team);
    if plans.is_empty() {
        let full = |team: &Name| person.access(team).teams >= portico_crds::AccessLevel::Full;
        return if !teams.is_empty() && teams.iter().all(full) { Ok(()) } else { Err(Untaken::NotYours) };
    }
    if !plans.iter().all(|plan| answers_for(core, person, plan)) {
        return Err(Untaken::NotYours);
    }
    if teams.iter().any(is_of) { Err(Untaken::Own) } else { Ok(()) }
}

/// Whether somebody may know of a wish: whoever has it, whoever may let it in, and the teams that it is about.
pub(crate) fn sees(core: &Core, person: &Person, waiting: &Waiting) -> bool {
    person.is(&waiting.mail) || !matches!(takes_in(core, person, waiting), Err(Untaken::NotYours | Untaken::ByHand))
}

/// What a wish is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Concerned {
    /// Plans of subscriptions that it changes, or has keys for.
    pub(crate) plans: BTreeSet<Name>,
    /// Applications that get something.
    pub(crate) applications: BTreeSet<Name>,
}

impl Concerned {
    pub(crate) fn by(core: &Core, changed: &[Changed]) -> Concerned {
        let mut concerned = Concerned::default();
        for Changed { key, before, was_unread: _, after } in changed {
            // A plan that is left concerns nobody but who leaves it.
            let said = after.as_ref().or(before.as_ref()).map(|object| &object.spec);
            match said {
                Some(Spec::Application(_)) => concerned.application(core, &key.name),
                Some(Spec::Subscription(spec)) => concerned.subscription(&key.name, spec),
                Some(Spec::Credential(spec)) => concerned.credential(core, changed, &key.name, spec),
                _ => {}
            }
        }
        concerned
    }

    fn application(&mut self, core: &Core, name: &Name) {
        self.applications.insert(name.clone());
        for subscription in core.subscriptions_by(name) {
            self.plans.extend(asked(core, subscription));
        }
    }

    fn subscription(&mut self, name: &Name, spec: &SubscriptionSpec) {
        self.applications.insert(name.beside(&spec.application.name));
        self.plans.insert(look::resolve(&spec.plan, name));
        self.plans.extend(spec.change.as_ref().map(|change| look::resolve(&change.plan, name)));
    }

    fn credential(&mut self, core: &Core, changed: &[Changed], name: &Name, spec: &CredentialSpec) {
        if let Some(application) = &spec.application {
            self.application(core, &name.beside(&application.name));
        }
        if let Some(subscription) = &spec.subscription {
            let subscription = name.beside(&subscription.name);
            match new(changed, Kind::Subscription, &subscription) {
                Some(Object { spec: Spec::Subscription(spec), .. }) => self.subscription(&subscription, spec),
                _ => {
                    if let Some(spec) = core.subscription(&subscription) {
                        self.subscription(&subscription, &spec);
                    }
                }
            }
        }
    }
}

/// An object as a wish would have it.
pub(crate) fn new<'a>(changed: &'a [Changed], kind: Kind, name: &Name) -> Option<&'a Object> {
    changed.iter().find(|one| one.key.kind == kind && one.key.name == *name)?.after.as_ref()
}

/// The teams of an application: the one that it has, and the one that it would have.
fn teams(core: &Core, changed: &[Changed], application: &Name) -> Vec<Name> {
    let would = match new(changed, Kind::Application, application) {
        Some(Object { spec: Spec::Application(spec), .. }) => spec.team.clone(),
        _ => None,
    };
    let has = core.application(application).and_then(|spec| spec.team.clone());
    has.into_iter().chain(would).map(|team| application.beside(&team.name)).collect()
}

#[cfg(test)]
mod tests {
    use portico_core::key::ObjectKey;

    use super::*;

    #[test]
    fn what_takes_away_waits_for_nobody() {
        let core = Core::new();
        let set = |kind, path, value| Edit::Set { key: ObjectKey::new(kind, "shop", "web"), path, value };
        let waits = |edit: Edit| gives(&core, &[edit]);
        assert!(!waits(set(Kind::Credential, "spec.disabled", json!(true))));
        assert!(waits(Edit::Unset { key: ObjectKey::new(Kind::Credential, "shop", "web"), path: "spec.disabled" }));
        assert!(!waits(set(Kind::Credential, "spec.generation", json!(2))));
        assert!(!waits(set(Kind::Credential, "spec.overlap", json!("0s"))));
        assert!(waits(set(Kind::Credential, "spec.overlap", json!("365d"))));
        assert!(!waits(set(Kind::Subscription, "spec.cancelAt", json!("2026-01-01T00:00:00Z"))));
        assert!(waits(set(Kind::Subscription, "spec.cancelAt", json!("soon"))));
        assert!(waits(set(Kind::Subscription, "spec.goLive", json!(true))));
        assert!(waits(set(Kind::Subscription, "spec.scopes", json!([]))));
        assert!(!waits(Edit::Delete(ObjectKey::new(Kind::Credential, "shop", "web"))));
        assert!(waits(Edit::Delete(ObjectKey::new(Kind::Plan, "shop", "web"))));
    }
}
