//! Approvals: whether an answer counts.
//!
//! Who decided is whoever wrote what the approval says now, where the front end can tell: the author of the commit, or the
//! user of the API server. `spec.by` may repeat it, and is believed only where nobody knows better.
//!
//! To say no is held to the same rules as to say yes: it must be said by one who may decide, in their own name. Only that
//! nobody decides about their own request is a rule for yes alone: to turn down one's own request harms nobody.

use std::sync::Arc;

use portico_crds::{Approver, ApproverKind, Decision, PlanSpec, PortalGit, TeamSpec};

use super::{Scene, nearest};
use crate::batch::{Author, Signature};
use crate::diagnostic::Diagnostic;
use crate::key::{Kind, Name, ObjectKey};
use crate::world::World;

/// An approval as subscriptions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApprovalView {
    /// Whether whoever wrote it may decide.
    pub(crate) stands: bool,
    /// Why it cannot be told yet who wrote it.
    pub(crate) waiting: Option<Arc<str>>,
    pub(crate) problems: Vec<Diagnostic>,
}

/// Somebody who decides or asks.
#[derive(Clone, Copy)]
struct Person<'a> {
    name: &'a str,
    /// `None` where nobody knows.
    groups: Option<&'a [Arc<str>]>,
}

impl Person<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

pub(crate) fn approval(scene: Scene<'_>, name: &Name) -> Option<ApprovalView> {
    let world = scene.world;
    let entry = world.approvals.get(name)?;
    let spec = &entry.spec;
    let key = name.clone().of(Kind::Approval);
    let mut problems = Vec::new();

    let subscription = World::resolve(&spec.subscription, name);
    // Of subscriptions to others' plans this owner learns nothing.
    let asking = world.subscriptions.get(&subscription);
    if asking.is_none_or(|asking| World::resolve(&asking.spec.plan, &subscription).namespace != name.namespace) {
        let message = format!("no Subscription {subscription} asks for a plan of namespace `{}`", name.namespace);
        problems.push(
            Diagnostic::warning("missing-reference", &key, "spec.subscription.name", message)
                .help("correct the name, or delete this when it is no longer needed"),
        );
    }
    let grant = spec.grant.as_ref().filter(|_| spec.decision == Decision::Granted);
    let plan = match (grant, asking) {
        (Some(grant), _) => Some(World::resolve_local(&grant.plan, name)),
        (None, Some(asking)) => Some(World::resolve(&asking.spec.plan, &subscription)),
        (None, None) => None,
    };
    let plan = plan.filter(|plan| plan.namespace == name.namespace);

    let author = entry.meta.author.as_deref();
    let mut waiting = None;
    let decided = match (author, &spec.by) {
        (Some(Author::Unknown(why)), _) => {
            waiting = Some(why.clone());
            let message = format!("it is not known who wrote this: {why}");
            Err(Diagnostic::warning("author-unknown", &key, "", message).help("it has no effect until that is known"))
        }
        (Some(Author::Commit { mail, .. }), _) => Ok(Some(Person { name: mail, groups: None })),
        (Some(Author::User { name, groups }), _) => Ok(Some(Person { name, groups: Some(groups) })),
        (None, by) => Ok(by.as_deref().map(|by| Person { name: by, groups: None })),
    };
    let decided = decided.and_then(|person| {
        if let (Some(person), Some(by)) = (person, spec.by.as_deref().filter(|_| author.is_some())) {
            truthful(&key, person, by, author)?;
        }
        signed(world, &key, author)?;
        if let (Some(person), Decision::Granted) = (person, spec.decision) {
            disinterested(scene, &key, person, &subscription)?;
        }
        match plan.as_ref().and_then(|plan| Some((plan, world.plans.get(plan)?))) {
            Some((plan, entry)) => authorised(world, &key, person, plan, &entry.spec, author),
            None => Ok(()),
        }
    });
    let stands = decided.is_ok();
    problems.extend(decided.err());

    if let (Some(grant), Some(plan)) = (grant, &plan) {
        match scene.views.plans.get(plan) {
            Some(view) => {
                for (index, scope) in grant.scopes.iter().enumerate() {
                    if view.terms.scope(scope).next().is_none() {
                        let known = view.terms.products.iter().flat_map(|product| &product.scopes);
                        let help = match nearest(scope, known.map(|(scope, _)| &**scope)) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => "a plan has the scopes of its products; this one is not granted".to_owned(),
                        };
                        let message = format!("Plan {plan} has no scope `{scope}`");
                        let path = format!("spec.grant.scopes[{index}]");
                        problems.push(Diagnostic::error("unknown-scope", &key, path, message).help(help));
                    }
                }
            }
            None => problems.push(
                Diagnostic::error(
                    "missing-reference",
                    &key,
                    "spec.grant.plan.name",
                    format!("there is no Plan {plan}"),
                )
                .help("an approval grants a plan of its own namespace; correct the name"),
            ),
        }
    }
    Some(ApprovalView { stands, waiting, problems })
}

/// The commit that speaks for the author, for messages.
fn wrote(author: Option<&Author>) -> String {
    match author {
        Some(Author::Commit { commit, .. }) => format!("the author of commit {}", short(commit)),
        Some(Author::User { .. }) => "who wrote this at the API server".to_owned(),
        Some(Author::Unknown(_)) | None => "who decided".to_owned(),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// It does not claim to be somebody else's.
fn truthful(key: &ObjectKey, person: Person<'_>, by: &str, author: Option<&Author>) -> Result<(), Diagnostic> {
    if person.is(by) {
        return Ok(());
    }
    let message = format!("this says that `{by}` decided, and {} is `{}`", wrote(author), person.name);
    let help = "let the one who is named there write it, or name nobody; this has no effect";
    Err(Diagnostic::error("not-who-it-says", key, "spec.by", message).help(help))
}

/// Where a portal demands it, its commit has a good signature of its author.
fn signed(world: &World, key: &ObjectKey, author: Option<&Author>) -> Result<(), Diagnostic> {
    let Some(Author::Commit { mail, commit, signature, portal }) = author else { return Ok(()) };
    let concerned = world.portals.iter().filter(|(name, _)| portal.as_ref().is_none_or(|portal| portal == *name));
    let gits = concerned.filter_map(|(_, entry)| entry.spec.git.as_ref());
    let demanding: Vec<&PortalGit> = gits.filter(|git| git.signed_commits).collect();
    if demanding.is_empty() {
        return Ok(());
    }
    let (commit, error) = (short(commit), |code, message, help| Err(Diagnostic::error(code, key, "", message).help(help)));
    let listed = "a Portal lists who signs with which key in `spec.git.signers`; this has no effect";
    match signature {
        Signature::None => error(
            "unsigned-commit",
            format!("commit {commit} by `{mail}` is not signed, and the portal wants signed commits"),
            "take it away, and add it again in a commit that is signed (`git commit -S`); this has no effect",
        ),
        Signature::Bad(why) => error(
            "bad-signature",
            format!("the signature of commit {commit} by `{mail}` does not count: {why}"),
            "take it away, and add it again in a commit with a good signature; this has no effect",
        ),
        Signature::Good(used) => {
            let owns = |git: &&PortalGit| {
                git.signers.iter().any(|signer| signer.mail.eq_ignore_ascii_case(mail) && same_key(&signer.key, used))
            };
            if demanding.iter().any(owns) {
                return Ok(());
            }
            error("unknown-signer", format!("commit {commit} is signed with a key that is not known as that of `{mail}`"), listed)
        }
    }
}

/// Whether two public keys are the same, leaving their comments aside.
fn same_key(one: &str, other: &str) -> bool {
    let key = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    key(one) == key(other)
}

/// Nobody decides about their own request: neither who wrote it, nor the team that it is for.
fn disinterested(
    scene: Scene<'_>,
    key: &ObjectKey,
    person: Person<'_>,
    subscription: &Name,
) -> Result<(), Diagnostic> {
    let world = scene.world;
    let Some(asking) = world.subscriptions.get(subscription) else { return Ok(()) };
    let own = |message: String| {
        let error = Diagnostic::error("own-request", key, "spec.by", message);
        Err(error.help("let somebody else decide; this has no effect"))
    };
    let requester = match asking.meta.author.as_deref() {
        Some(Author::Commit { mail, .. }) => Some(mail),
        Some(Author::User { name, .. }) => Some(name),
        Some(Author::Unknown(_)) | None => None,
    };
    if requester.is_some_and(|requester| person.is(requester)) {
        let message = format!("`{}` wrote Subscription {subscription}, and nobody approves their own request", person.name);
        return own(message);
    }
    let application = World::resolve_local(&asking.spec.application, subscription);
    let team = scene.views.applications.get(&application).and_then(|view| view.team.as_ref());
    if team.is_some_and(|team| world.teams.get(team).is_some_and(|entry| has(&entry.spec, person))) {
        let message = format!("`{}` belongs to the team that asks, and nobody approves their own request", person.name);
        return own(message);
    }
    Ok(())
}

/// The plan lets this person decide. Who is in a group only the identity provider knows: a user of the API server comes with
/// groups, the author of a commit has none.
fn authorised(
    world: &World,
    key: &ObjectKey,
    person: Option<Person<'_>>,
    plan: &Name,
    spec: &PlanSpec,
    author: Option<&Author>,
) -> Result<(), Diagnostic> {
    let approvers = &spec.approval.approvers;
    if approvers.is_empty() || person.is_some_and(|person| approvers.iter().any(|one| is_meant(world, one, plan, person))) {
        return Ok(());
    }
    let error = |message: String, help: &str| Err(Diagnostic::error("not-an-approver", key, "spec.by", message).help(help));
    let Some(person) = person else {
        let message = format!("Plan {plan} names who may approve, and this does not say who decided");
        return error(message, "see `spec.approval.approvers` of the plan; this has no effect");
    };
    let group = approvers.iter().find(|approver| approver.kind == ApproverKind::Group && person.groups.is_none());
    match group {
        Some(group) => {
            let from = if matches!(author, Some(Author::Commit { .. })) { "a commit" } else { "`spec.by`" };
            let message = format!(
                "Plan {plan} lets group `{}` approve, and {from} does not tell whether `{}` is in it",
                group.name, person.name
            );
            error(message, "name people or a Team in `spec.approval.approvers` of the plan; this has no effect")
        }
        None => error(
            format!("`{}` is not among those who may approve for Plan {plan}", person.name),
            "see `spec.approval.approvers` of the plan; this has no effect",
        ),
    }
}

fn is_meant(world: &World, approver: &Approver, plan: &Name, person: Person<'_>) -> bool {
    match approver.kind {
        ApproverKind::User => person.is(&approver.name),
        ApproverKind::Group => person.groups.is_some_and(|groups| groups.iter().any(|group| **group == approver.name)),
        ApproverKind::Team => {
            let team = Name { namespace: plan.namespace.clone(), name: approver.name.as_str().into() };
            world.teams.get(&team).is_some_and(|entry| has(&entry.spec, person))
        }
    }
}

fn has(team: &TeamSpec, person: Person<'_>) -> bool {
    team.members.iter().any(|member| person.is(&member.mail))
}
