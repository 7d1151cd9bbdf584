//! Applications: the consumers of APIs.

use portico_crds::Security;

use super::Scene;
use crate::diagnostic::Diagnostic;
use crate::key::{Kind, Name};
use crate::world::World;

/// An application as its subscriptions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApplicationView {
    pub(crate) authentication: Security,
    pub(crate) team: Option<Name>,
    /// Refused as a whole: its subscriptions grant nothing.
    pub(crate) refused: bool,
    pub(crate) problems: Vec<Diagnostic>,
}

pub(crate) fn application(scene: Scene<'_>, name: &Name) -> Option<ApplicationView> {
    let entry = scene.world.applications.get(name)?;
    let spec = &entry.spec;
    let key = name.clone().of(Kind::Application);
    let mut problems = Vec::new();
    let mut refused = false;

    if let Some(reference) = &spec.reference_id {
        let id = World::reference(reference);
        let rank =
            |name: &Name| (scene.world.applications.get(name).and_then(|entry| entry.meta.created), name.clone());
        let mine = rank(name);
        if let Some(first) = scene.world.applications_by_reference.of(&id).filter(|other| rank(other) < mine).min() {
            refused = true;
            problems.push(
                Diagnostic::error(
                    "duplicate-reference-id",
                    &key,
                    "spec.referenceId",
                    if first.namespace() == name.namespace() {
                        format!("Application {first} already has the reference id `{reference}`")
                    } else {
                        format!("another application already has the reference id `{reference}`")
                    },
                )
                .help("choose another; this application has no access until then"),
            );
        }
    }
    let team = spec.team.as_ref().map(|team| World::resolve_local(team, name));
    if let Some(team) = &team
        && !scene.world.teams.contains_key(team)
    {
        let message = format!("there is no Team {team}");
        problems.push(Diagnostic::warning("missing-reference", &key, "spec.team.name", message));
    }
    Some(ApplicationView { authentication: spec.authentication, team, refused, problems })
}
