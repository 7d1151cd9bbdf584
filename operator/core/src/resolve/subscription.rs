//! Subscriptions: from a wish to a grant.
//!
//! Two steps, since a subscription can depend on others: a [`Candidate`] is what it would get by itself; [`settle`] adds
//! what others leave for it (a limited number of places, one subscription per product and application).

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{
    ApprovalSpec, Decision, LifecycleStage, Phase, ScopeMode, Stage, SubscriptionSpec, SubscriptionStage,
};

use super::plan::PlanTerms;
use super::{Scene, after, sooner};
use crate::diagnostic::Diagnostic;
use crate::gateway::GrantedScope;
use crate::key::{Kind, Name, ObjectKey};
use crate::table::Set;
use crate::world::World;

/// What a subscription may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) plan: Arc<PlanTerms>,
    pub(crate) scopes: Arc<[GrantedScope]>,
    /// Who let them, on a manual plan.
    pub(crate) approval: Option<Name>,
}

/// What a subscription would get if it were alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) phase: Phase,
    pub(crate) stage: SubscriptionStage,
    /// What is granted; in force only in some phases, see [`SubscriptionView::in_force`].
    pub(crate) grant: Option<Grant>,
    /// What was asked for and is not granted, in a sentence.
    pub(crate) waiting: Option<Box<str>>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) wake: Option<Timestamp>,
}

/// Who has a place on a plan with a limited number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) taken: Set<Name>,
}

/// What holds for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionView {
    pub(crate) phase: Phase,
    pub(crate) stage: SubscriptionStage,
    pub(crate) grant: Option<Grant>,
    pub(crate) waiting: Option<Box<str>>,
    pub(crate) problems: Vec<Diagnostic>,
}

impl SubscriptionView {
    /// The grant, where a gateway should let it pass now.
    pub(crate) fn in_force(&self) -> Option<&Grant> {
        matches!(self.phase, Phase::Active | Phase::PendingCancellation).then_some(self.grant.as_ref()).flatten()
    }

    /// Over for good: its keys are destroyed.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.phase, Phase::Cancelled | Phase::Expired | Phase::Rejected)
    }
}

impl Candidate {
    fn holds(&self) -> bool {
        self.grant.is_some() && matches!(self.phase, Phase::Active | Phase::PendingCancellation | Phase::Suspended)
    }
}

pub(crate) fn candidate(scene: Scene<'_>, name: &Name) -> Option<Candidate> {
    let entry = scene.world.subscriptions.get(name)?;
    let key = name.clone().of(Kind::Subscription);
    let mut case = Case { scene, name, key, spec: &entry.spec, created: entry.created, problems: Vec::new() };
    Some(case.decide())
}

struct Case<'a> {
    scene: Scene<'a>,
    name: &'a Name,
    key: ObjectKey,
    spec: &'a SubscriptionSpec,
    created: Option<Timestamp>,
    problems: Vec<Diagnostic>,
}

/// What the plan's owner said last.
struct Answer<'a> {
    name: &'a Name,
    spec: &'a ApprovalSpec,
}

impl<'a> Case<'a> {
    fn decide(&mut self) -> Candidate {
        let application = World::resolve_local(&self.spec.application, self.name);
        let Some(consumer) = self.scene.views.applications.get(&application) else {
            let message = format!("there is no Application {application}");
            self.error("missing-reference", "spec.application.name", message, "create it, or correct the name");
            return self.pending("its application does not exist");
        };
        if consumer.refused {
            return self.pending("its application is refused");
        }
        let requested = World::resolve(&self.spec.plan, self.name);
        let plan = self.offered(&requested, consumer.team.as_ref());
        if plan.is_none() {
            let message =
                format!("there is no Plan {requested} that namespace `{}` may subscribe to", self.name.namespace);
            let help =
                "correct the name; if the plan exists, its products must admit this namespace in `spec.consumers`";
            self.error("missing-reference", "spec.plan.name", message, help);
        }
        let answer = self.answer(&requested);
        let (grant, phase, waiting) = self.grant(plan, answer.as_ref(), consumer.team.as_ref());

        if let Some(grant) = &grant
            && grant.plan.security != consumer.authentication
        {
            let (plan, needs, has) = (&grant.plan.name, grant.plan.security, consumer.authentication);
            let message = format!("Plan {plan} needs {needs:?}, Application {application} uses {has:?}");
            let help = "an application has one authentication strategy; use another application for this plan";
            self.error("strategy-mismatch", "spec.plan.name", message, help);
            return self.pending("its plan needs another authentication strategy");
        }
        self.time(grant, phase, waiting, answer.as_ref())
    }

    /// The plan, if it may be subscribed to from here. Whether it exists is nobody else's business.
    fn offered(&self, plan: &Name, team: Option<&Name>) -> Option<&'a Arc<PlanTerms>> {
        let terms = &self.scene.views.plans.get(plan)?.terms;
        terms.open_to(&self.name.namespace, team).then_some(terms)
    }

    /// The newest answer of the owner of the requested plan, else the newest grant of any other owner: while a
    /// subscription asks somebody new, what it had goes on.
    fn answer(&self, requested: &Name) -> Option<Answer<'a>> {
        let world = self.scene.world;
        let answers = world.approvals_of_subscription.of(self.name).filter_map(|name| {
            let entry = world.approvals.get_key_value(name)?;
            let own = name.namespace == requested.namespace;
            (own || entry.1.spec.decision == Decision::Granted).then_some((
                own,
                entry.1.created,
                entry.0,
                &entry.1.spec,
            ))
        });
        let (_, _, name, spec) = answers.max_by_key(|(own, created, name, _)| (*own, *created, *name))?;
        Some(Answer { name, spec })
    }

    fn grant(
        &mut self,
        requested: Option<&'a Arc<PlanTerms>>,
        answer: Option<&Answer<'a>>,
        team: Option<&Name>,
    ) -> (Option<Grant>, Phase, Option<Box<str>>) {
        let Some(answer) = answer else {
            return match requested {
                None => (None, Phase::Pending, Some("its plan is not there".into())),
                Some(plan) if plan.manual => {
                    self.scopes(plan, None);
                    let owner = &plan.name.namespace;
                    let text = format!("waits for an Approval in namespace `{owner}` that grants Plan {}", plan.name);
                    (None, Phase::Pending, Some(text.into()))
                }
                Some(plan) => {
                    let (scopes, waiting) = self.scopes(plan, None);
                    (Some(Grant { plan: plan.clone(), scopes, approval: None }), Phase::Active, waiting)
                }
            };
        };
        let reason = answer.spec.reason.as_deref().unwrap_or("no reason is given");
        match answer.spec.decision {
            Decision::Denied => {
                (None, Phase::Rejected, Some(format!("Approval {} denies it: {reason}", answer.name).into()))
            }
            Decision::ChangesRequested => {
                let text: Box<str> = format!("Approval {} asks for changes: {reason}", answer.name).into();
                match requested {
                    Some(plan) if !plan.manual => {
                        let (scopes, _) = self.scopes(plan, None);
                        (Some(Grant { plan: plan.clone(), scopes, approval: None }), Phase::Active, Some(text))
                    }
                    _ => (None, Phase::Pending, Some(text)),
                }
            }
            Decision::Granted => self.granted(requested, answer, team),
        }
    }

    /// What an approval grants. On a manual plan that is what is enforced, whatever the subscription asks meanwhile.
    fn granted(
        &mut self,
        requested: Option<&'a Arc<PlanTerms>>,
        answer: &Answer<'a>,
        team: Option<&Name>,
    ) -> (Option<Grant>, Phase, Option<Box<str>>) {
        let Some(given) = &answer.spec.grant else {
            return (None, Phase::Pending, Some(format!("Approval {} grants nothing", answer.name).into()));
        };
        let granted_name = World::resolve_local(&given.plan, answer.name);
        let granted = self.offered(&granted_name, team);
        let plan = match (requested, granted) {
            (Some(requested), _) if !requested.manual => requested,
            (_, Some(granted)) => granted,
            (requested, None) => {
                let text = match requested {
                    Some(_) => format!("Approval {} grants Plan {granted_name}, which is not there", answer.name),
                    None => "its plan is not there".to_owned(),
                };
                return (None, Phase::Pending, Some(text.into()));
            }
        };
        let (scopes, mut waiting) = self.scopes(plan, Some(&given.scopes));
        if requested.is_some_and(|requested| requested.name != plan.name) {
            let asked = World::resolve(&self.spec.plan, self.name);
            waiting = Some(format!("asks for Plan {asked}; Plan {} serves until that is approved", plan.name).into());
        }
        let grant = Grant { plan: plan.clone(), scopes, approval: Some(answer.name.clone()) };
        (Some(grant), Phase::Active, waiting)
    }

    /// The scopes that come with the plan and those that were asked for and may be had, and what must wait. The plan is
    /// the ceiling; on a manual plan so is the approval, for all but those that come with the plan.
    fn scopes(&mut self, plan: &PlanTerms, approved: Option<&[String]>) -> (Arc<[GrantedScope]>, Option<Box<str>>) {
        if self.spec.scopes.is_empty() {
            return (plan.active.clone(), None);
        }
        let mut scopes: Vec<GrantedScope> = plan.active.to_vec();
        let mut waiting = Vec::new();
        for (index, asked) in self.spec.scopes.iter().enumerate() {
            let approves = approved.is_some_and(|approved| approved.contains(&asked.name));
            let mut known = false;
            for (scope, mode) in plan.scope(&asked.name) {
                known = true;
                match mode {
                    ScopeMode::Active => {}
                    ScopeMode::Optional if approves || !plan.manual => scopes.push(scope),
                    ScopeMode::Restricted if approves => scopes.push(scope),
                    ScopeMode::Optional | ScopeMode::Restricted => waiting.push(asked.name.as_str()),
                }
                let reason = asked.reason.as_deref().unwrap_or_default();
                if mode == ScopeMode::Restricted && reason.trim().is_empty() {
                    let message = format!("scope `{}` is restricted and needs a reason", asked.name);
                    let help = "say in `reason` what you need it for; its owner decides on that";
                    self.error("missing-reason", &format!("spec.scopes[{index}]"), message, help);
                }
            }
            if !known {
                let all: Vec<&str> =
                    plan.products.iter().flat_map(|product| product.scopes.iter().map(|(scope, _)| &**scope)).collect();
                let help = match super::nearest(&asked.name, all.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if all.is_empty() => "its products have no scopes; remove this".to_owned(),
                    None => format!("its scopes are {}", all.join(", ")),
                };
                let message = format!("Plan {} has no scope `{}`", plan.name, asked.name);
                self.error("unknown-scope", &format!("spec.scopes[{index}].name"), message, help);
            }
        }
        scopes.sort();
        scopes.dedup();
        let waiting =
            (!waiting.is_empty()).then(|| format!("scopes {} wait for an Approval", waiting.join(", ")).into());
        (scopes.into(), waiting)
    }

    /// What time, terms and the subscriber's own wishes make of it.
    fn time(
        &mut self,
        grant: Option<Grant>,
        mut phase: Phase,
        mut waiting: Option<Box<str>>,
        answer: Option<&Answer<'a>>,
    ) -> Candidate {
        let now = self.scene.now;
        let mut wake = None;
        let mut stage = SubscriptionStage::Production;
        if let Some(grant) = &grant {
            let plan = &grant.plan;
            if plan.sandbox {
                let live = answer
                    .and_then(|answer| answer.spec.grant.as_ref())
                    .is_some_and(|grant| grant.stage == Stage::Production);
                let changes = answer.is_some_and(|answer| answer.spec.decision == Decision::ChangesRequested);
                stage = match (self.spec.go_live, live) {
                    (_, true) => SubscriptionStage::Production,
                    (true, false) if changes => SubscriptionStage::ChangesRequested,
                    (true, false) => SubscriptionStage::InReview,
                    (false, false) => SubscriptionStage::Sandbox,
                };
            }
            if let Some(version) = &plan.terms_version
                && self.spec.accepted_terms.as_deref() != Some(version)
            {
                phase = Phase::Pending;
                let text = format!("the terms of Plan {} in version {version} must be accepted", plan.name);
                let help = format!("read them, then set `acceptedTerms: {version:?}`");
                self.error("terms-not-accepted", "spec.acceptedTerms", text.clone(), help);
                waiting = Some(text.into());
            }
            let new = plan.deprecated_at.zip(self.created).is_some_and(|(deprecated, created)| created > deprecated);
            if plan.stage == LifecycleStage::Deprecated && new {
                phase = Phase::Pending;
                let message = format!("Plan {} is deprecated and takes no new subscriptions", plan.name);
                self.error("deprecated-plan", "spec.plan.name", message.clone(), "choose another plan");
                waiting = Some(message.into());
            }
            if let Some((span, created)) = plan.duration.zip(self.created) {
                let end = after(created, span);
                if end <= now {
                    phase = Phase::Expired;
                    waiting = Some(format!("it ended on {end}, as its plan says").into());
                } else {
                    wake = sooner(wake, Some(end));
                }
            }
            if plan.stage == LifecycleStage::Retired {
                phase = Phase::Expired;
                waiting = Some(format!("Plan {} is retired", plan.name).into());
            }
        }
        if self.spec.suspend && phase == Phase::Active {
            phase = Phase::Suspended;
        }
        if let Some(at) = self.spec.cancel_at {
            if *at <= now {
                phase = Phase::Cancelled;
                waiting = Some(format!("it was cancelled on {}", *at).into());
            } else {
                wake = sooner(wake, Some(*at));
                if phase == Phase::Active {
                    phase = Phase::PendingCancellation;
                }
            }
        }
        Candidate { phase, stage, grant, waiting, problems: std::mem::take(&mut self.problems), wake }
    }

    fn pending(&mut self, why: &str) -> Candidate {
        Candidate {
            phase: Phase::Pending,
            stage: SubscriptionStage::Production,
            grant: None,
            waiting: Some(why.into()),
            problems: std::mem::take(&mut self.problems),
            wake: None,
        }
    }

    fn error(&mut self, code: &'static str, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Diagnostic::error(code, &self.key, path, message).help(help));
    }
}

/// Who came first: those whose age nobody knows, then by age, then by name.
fn seniority(world: &World, name: &Name) -> (Option<Timestamp>, Name) {
    (world.subscriptions.get(name).and_then(|entry| entry.created), name.clone())
}

/// Who gets the places of a plan that has a limited number of them.
pub(crate) fn places(scene: Scene<'_>, plan: &Name) -> Option<Places> {
    let most = scene.views.plans.get(plan)?.terms.max_subscriptions?;
    let world = scene.world;
    let granted = world.approvals_of_plan.of(plan).filter_map(|approval| {
        let entry = world.approvals.get(approval)?;
        Some(World::resolve(&entry.spec.subscription, approval))
    });
    let contenders: Set<Name> = world.subscriptions_to_plan.of(plan).cloned().chain(granted).collect();
    let mut queue: Vec<_> = contenders
        .into_iter()
        .filter(|name| {
            scene.views.candidates.get(name).is_some_and(|candidate| {
                candidate.holds() && candidate.grant.as_ref().is_some_and(|grant| grant.plan.name == *plan)
            })
        })
        .map(|name| seniority(world, &name))
        .collect();
    queue.sort();
    Some(Places { taken: queue.into_iter().take(most).map(|(_, name)| name).collect() })
}

/// What holds, now that the others are known.
pub(crate) fn settle(scene: Scene<'_>, name: &Name) -> Option<SubscriptionView> {
    let candidate = scene.views.candidates.get(name)?;
    let Candidate { phase, stage, grant, waiting, problems, wake: _ } = candidate;
    let mut view = SubscriptionView {
        phase: *phase,
        stage: *stage,
        grant: grant.clone(),
        waiting: waiting.clone(),
        problems: problems.clone(),
    };
    let Some(grant) = grant.as_ref().filter(|_| candidate.holds()) else { return Some(view) };
    let key = name.clone().of(Kind::Subscription);
    let mut refuse = |code, message: String, help: &str| {
        view.phase = Phase::Pending;
        view.grant = None;
        view.waiting = Some(message.clone().into());
        view.problems.push(Diagnostic::error(code, &key, "spec.plan.name", message).help(help));
    };
    if let Some(rival) = rival(scene, name, grant) {
        let message = format!(
            "Subscription {rival} of the same application already covers a product of Plan {}",
            grant.plan.name
        );
        refuse(
            "duplicate-subscription",
            message,
            "change the plan of that subscription instead, or use another application",
        );
    } else if let Some(places) = scene.views.places.get(&grant.plan.name)
        && !places.taken.contains(name)
    {
        let most = places.taken.len();
        let message = format!("Plan {} takes at most {most} subscriptions, and has them", grant.plan.name);
        refuse("plan-is-full", message, "it is granted when one of them ends; or ask the plan's owner for more places");
    }
    Some(view)
}

/// An older subscription of the same application to one of the same products: a request could not tell which counts.
fn rival(scene: Scene<'_>, name: &Name, grant: &Grant) -> Option<Name> {
    let spec = &scene.world.subscriptions.get(name)?.spec;
    let application = World::resolve_local(&spec.application, name);
    if scene.world.subscriptions_of_application.count(&application) < 2 {
        return None;
    }
    let mine = seniority(scene.world, name);
    scene
        .world
        .subscriptions_of_application
        .of(&application)
        .filter(|other| {
            scene.views.candidates.get(*other).filter(|candidate| candidate.holds()).is_some_and(|candidate| {
                candidate.grant.as_ref().is_some_and(|theirs| {
                    theirs.plan.products.iter().any(|one| grant.plan.products.iter().any(|two| one.name == two.name))
                })
            }) && seniority(scene.world, other) < mine
        })
        .min()
        .cloned()
}
