//! Approvals: whether an answer counts.

use portico_crds::{ApproverKind, Decision, PlanSpec, TeamSpec};

use super::{Scene, nearest};
use crate::diagnostic::Diagnostic;
use crate::key::{Kind, Name};
use crate::world::World;

/// An approval as subscriptions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApprovalView {
    /// Whether whoever wrote it may decide.
    pub(crate) stands: bool,
    pub(crate) problems: Vec<Diagnostic>,
}

pub(crate) fn approval(scene: Scene<'_>, name: &Name) -> Option<ApprovalView> {
    let world = scene.world;
    let spec = &world.approvals.get(name)?.spec;
    let key = name.clone().of(Kind::Approval);
    let mut problems = Vec::new();
    let mut stands = true;

    let subscription = World::resolve(&spec.subscription, name);
    // Of subscriptions to others' plans this owner learns nothing.
    let asking = world.subscriptions.get(&subscription).map(|entry| &entry.spec);
    if asking.is_none_or(|asking| World::resolve(&asking.plan, &subscription).namespace != name.namespace) {
        let message = format!("no Subscription {subscription} asks for a plan of namespace `{}`", name.namespace);
        problems.push(
            Diagnostic::warning("missing-reference", &key, "spec.subscription.name", message)
                .help("correct the name, or delete this when it is no longer needed"),
        );
    }

    let grants = spec.decision == Decision::Granted;
    if let (true, Some(asking), Some(by)) = (grants, asking, &spec.by) {
        let application = World::resolve_local(&asking.application, &subscription);
        let team = scene.views.applications.get(&application).and_then(|view| view.team.as_ref());
        if team.is_some_and(|team| world.teams.get(team).is_some_and(|entry| has(&entry.spec, by))) {
            stands = false;
            let message = format!("`{by}` belongs to the team that asks, and nobody approves their own request");
            problems.push(
                Diagnostic::error("own-request", &key, "spec.by", message)
                    .help("let somebody else decide; this has no effect"),
            );
        }
    }

    if let Some(grant) = spec.grant.as_ref().filter(|_| grants) {
        let plan = World::resolve_local(&grant.plan, name);
        match (world.plans.get(&plan), scene.views.plans.get(&plan)) {
            (Some(entry), Some(view)) => {
                if stands && !may_approve(world, &entry.spec, name, spec.by.as_deref()) {
                    stands = false;
                    let message = match &spec.by {
                        Some(by) => format!("`{by}` is not among those who may approve for Plan {plan}"),
                        None => format!("Plan {plan} names who may approve, and this does not say who decided"),
                    };
                    problems.push(
                        Diagnostic::error("not-an-approver", &key, "spec.by", message)
                            .help("see `spec.approval.approvers` of the plan; this has no effect"),
                    );
                }
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
            _ => problems.push(
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
    Some(ApprovalView { stands, problems })
}

fn has(team: &TeamSpec, mail: &str) -> bool {
    team.members.iter().any(|member| member.mail.eq_ignore_ascii_case(mail))
}

/// Whether the plan lets this person approve. Who is in a group only the identity provider knows; there the front end that
/// writes the approval has to see to it.
fn may_approve(world: &World, plan: &PlanSpec, approval: &Name, by: Option<&str>) -> bool {
    let approvers = &plan.approval.approvers;
    approvers.is_empty()
        || approvers.iter().any(|approver| match approver.kind {
            ApproverKind::Group => true,
            ApproverKind::User => by.is_some_and(|by| by.eq_ignore_ascii_case(&approver.name)),
            ApproverKind::Team => by.is_some_and(|by| {
                let team = Name { namespace: approval.namespace.clone(), name: approver.name.as_str().into() };
                world.teams.get(&team).is_some_and(|entry| has(&entry.spec, by))
            }),
        })
}
