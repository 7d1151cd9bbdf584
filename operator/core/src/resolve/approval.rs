//! Approvals: whether an answer counts.
//!
//! Who decided is whoever wrote what the approval says now, where the front end can tell: the author of the commit, or the
//! user of the API server. `spec.by` may repeat it, and is believed only where nobody knows better.
//!
//! To say no is held to the same rules as to say yes: it must be said by one who may decide, in their own name. Only that
//! nobody decides about their own request is a rule for yes alone: to turn down one's own request harms nobody.

use std::sync::Arc;

use portico_crds::{Approver, ApproverKind, Decision, PortalGit, TeamSpec};

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
    let asked: Vec<Name> = world.asked(&subscription).filter(|plan| plan.namespace() == name.namespace()).collect();
    if asked.is_empty() {
        let message = format!("no Subscription {subscription} asks for a plan of namespace `{}`", name.namespace());
        problems.push(
            Diagnostic::warning("missing-reference", &key, "spec.subscription.name", message)
                .help("correct the name, or delete this when it is no longer needed"),
        );
    }
    let grant = spec.grant.as_ref().filter(|_| spec.decision == Decision::Granted);
    let named = grant.map(|grant| &grant.plan).or(spec.about.as_ref());
    let plans: Vec<Name> = match named {
        Some(plan) => vec![World::resolve_local(plan, name)],
        None => asked.clone(),
    };
    let plan = plans.first().filter(|_| grant.is_some());
    let application = world.subscriptions.get(&subscription);
    let application = application.map(|entry| World::resolve_local(&entry.spec.application, &subscription));
    if let (Some(plan), [first, ..], Some(application)) = (plan, &asked[..], application)
        && !asked.iter().any(|asked| asked == plan || scene.is_copy(plan, asked, &application))
        && scene.views.plans.contains_key(plan)
    {
        let message = format!("Subscription {subscription} asks for Plan {first}, not for Plan {plan}");
        problems.push(
            Diagnostic::warning("not-asked", &key, "spec.grant.plan.name", message)
                .help("nobody is given what they did not ask for; grant what it asks, or delete this"),
        );
    }

    let author = entry.meta.author.as_deref();
    let mut waiting = None;
    let person = match (author, &spec.by) {
        (Some(Author::Commit { mail, .. }), _) => Some(Person { name: mail, groups: None }),
        (Some(Author::User { name, groups }), _) => Some(Person { name, groups: Some(groups) }),
        (Some(Author::Unknown(_)), _) => None,
        (None, by) => by.as_deref().map(|by| Person { name: by, groups: None }),
    };
    let against = if let Some(Author::Unknown(why)) = author {
        waiting = Some(why.clone());
        let message = format!("it is not known who wrote this: {why}");
        let warning = Diagnostic::warning("author-unknown", &key, "", message);
        Some(warning.help("it has no effect until that is known"))
    } else {
        pretended(&key, person, spec.by.as_deref(), author)
            .or_else(|| unsigned(world, &key, author))
            .or_else(|| own_request(scene, &key, person?, &subscription).filter(|_| grant.is_some()))
            .or_else(|| plans.iter().find_map(|plan| unauthorised(world, &key, person, plan, author)))
    };
    let stands = against.is_none();
    problems.extend(against);

    if let (Some(grant), Some(plan)) = (grant, plan) {
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

/// What is against it where it claims to be somebody else's.
fn pretended(
    key: &ObjectKey,
    person: Option<Person<'_>>,
    by: Option<&str>,
    author: Option<&Author>,
) -> Option<Diagnostic> {
    let (person, by) = (person?, by?);
    if author.is_none() || person.is(by) {
        return None;
    }
    let message = format!("this says that `{by}` decided, and {} is `{}`", wrote(author), person.name);
    let help = "let the one who is named there write it, or name nobody; this has no effect";
    Some(Diagnostic::error("not-who-it-says", key, "spec.by", message).help(help))
}

/// What is against it where a portal demands a good signature of its author, and its commit has none.
fn unsigned(world: &World, key: &ObjectKey, author: Option<&Author>) -> Option<Diagnostic> {
    let Some(Author::Commit { mail, commit, signature, portal }) = author else { return None };
    let concerned = world.portals.iter().filter(|(name, _)| portal.as_ref().is_none_or(|portal| portal == *name));
    let gits = concerned.filter_map(|(_, entry)| entry.spec.git.as_ref());
    let demanding: Vec<&PortalGit> = gits.filter(|git| git.signed_commits).collect();
    if demanding.is_empty() {
        return None;
    }
    let commit = short(commit);
    let (code, message, help) = match signature {
        Signature::None => (
            "unsigned-commit",
            format!("commit {commit} by `{mail}` is not signed, and the portal wants signed commits"),
            "take it away, and add it again in a commit that is signed (`git commit -S`); this has no effect",
        ),
        Signature::Bad(why) => (
            "bad-signature",
            format!("the signature of commit {commit} by `{mail}` does not count: {why}"),
            "take it away, and add it again in a commit with a good signature; this has no effect",
        ),
        Signature::Good(used) => {
            let owns = |git: &&PortalGit| {
                git.signers.iter().any(|signer| signer.mail.eq_ignore_ascii_case(mail) && same_key(&signer.key, used))
            };
            if demanding.iter().any(owns) {
                return None;
            }
            (
                "unknown-signer",
                format!("commit {commit} is signed with a key that is not known as that of `{mail}`"),
                "a Portal lists who signs with which key in `spec.git.signers`; this has no effect",
            )
        }
    };
    Some(Diagnostic::error(code, key, "", message).help(help))
}

/// Whether two public keys are the same, leaving their comments aside.
fn same_key(one: &str, other: &str) -> bool {
    let key = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    key(one) == key(other)
}

/// What is against it where it is about one's own request: whoever wrote that does not decide about it, nor does the team that
/// it is for.
fn own_request(scene: Scene<'_>, key: &ObjectKey, person: Person<'_>, subscription: &Name) -> Option<Diagnostic> {
    let world = scene.world;
    let asking = world.subscriptions.get(subscription)?;
    let requester = match asking.meta.author.as_deref() {
        Some(Author::Commit { mail, .. }) => Some(mail),
        Some(Author::User { name, .. }) => Some(name),
        Some(Author::Unknown(_)) | None => None,
    };
    let application = World::resolve_local(&asking.spec.application, subscription);
    let team = scene.views.applications.get(&application).and_then(|view| view.team.as_ref());
    let message = if requester.is_some_and(|requester| person.is(requester)) {
        format!("`{}` wrote Subscription {subscription}, and nobody approves their own request", person.name)
    } else if team.is_some_and(|team| world.teams.get(team).is_some_and(|entry| has(&entry.spec, person))) {
        format!("`{}` belongs to the team that asks, and nobody approves their own request", person.name)
    } else {
        return None;
    };
    let error = Diagnostic::error("own-request", key, "spec.by", message);
    Some(error.help("let somebody else decide; this has no effect"))
}

/// What is against it where the plan does not let this person decide. Who is in a group only the identity provider knows: a
/// user of the API server comes with groups, the author of a commit has none.
fn unauthorised(
    world: &World,
    key: &ObjectKey,
    person: Option<Person<'_>>,
    plan: &Name,
    author: Option<&Author>,
) -> Option<Diagnostic> {
    let approvers = &world.plans.get(plan)?.spec.approval.approvers;
    if approvers.is_empty()
        || person.is_some_and(|person| approvers.iter().any(|one| is_meant(world, one, plan, person)))
    {
        return None;
    }
    let see = "see `spec.approval.approvers` of the plan; this has no effect";
    let group = approvers.iter().find(|approver| approver.kind == ApproverKind::Group);
    let (message, help) = match (person, group) {
        (None, _) => (format!("Plan {plan} names who may approve, and this does not say who decided"), see),
        (Some(Person { name, groups: None }), Some(group)) => {
            let from = if matches!(author, Some(Author::Commit { .. })) { "a commit" } else { "`spec.by`" };
            let group = &group.name;
            (
                format!("Plan {plan} lets group `{group}` approve, and {from} does not tell whether `{name}` is in it"),
                "name people or a Team in `spec.approval.approvers` of the plan; this has no effect",
            )
        }
        (Some(Person { name, .. }), _) => (format!("`{name}` is not among those who may approve for Plan {plan}"), see),
    };
    Some(Diagnostic::error("not-an-approver", key, "spec.by", message).help(help))
}

fn is_meant(world: &World, approver: &Approver, plan: &Name, person: Person<'_>) -> bool {
    match approver.kind {
        ApproverKind::User => person.is(&approver.name),
        ApproverKind::Group => person.groups.is_some_and(|groups| groups.iter().any(|group| **group == approver.name)),
        ApproverKind::Team => {
            let team = plan.beside(&approver.name);
            world.teams.get(&team).is_some_and(|entry| has(&entry.spec, person))
        }
    }
}

fn has(team: &TeamSpec, person: Person<'_>) -> bool {
    team.members.iter().any(|member| person.is(&member.mail))
}
