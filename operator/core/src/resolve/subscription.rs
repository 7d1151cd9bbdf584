//! Subscriptions: from a wish to a grant.
//!
//! Two steps, since a subscription can depend on others: a [`Candidate`] is what it would get by itself;
//! [`super::settle`] adds what others leave for it.

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
use crate::world::{Entry, World};

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
    /// The owner's word against what is asked for.
    pub(crate) against: Option<Decision>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) wake: Option<Timestamp>,
}

/// What holds for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionView {
    pub(crate) phase: Phase,
    pub(crate) stage: SubscriptionStage,
    pub(crate) grant: Option<Grant>,
    pub(crate) waiting: Option<Box<str>>,
    pub(crate) against: Option<Decision>,
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

    /// The plan that it has a place on, in use or not.
    pub(crate) fn held(&self) -> Option<&Name> {
        holds(self.phase).then_some(self.grant.as_ref()).flatten().map(|grant| &grant.plan.name)
    }
}

impl Candidate {
    pub(super) fn holds(&self) -> bool {
        self.grant.is_some() && holds(self.phase)
    }
}

fn holds(phase: Phase) -> bool {
    matches!(phase, Phase::Active | Phase::PendingCancellation | Phase::Suspended)
}

pub(crate) fn candidate(scene: Scene<'_>, name: &Name) -> Option<Candidate> {
    let entry = scene.world.subscriptions.get(name)?;
    let key = name.clone().of(Kind::Subscription);
    let mut case = Case { scene, name, key, spec: &entry.spec, created: entry.meta.created, problems: Vec::new() };
    Some(case.decide())
}

/// When a subscription that is so old has been on a plan for as long as it may.
fn time_is_over(plan: &PlanTerms, created: Option<Timestamp>) -> Option<Timestamp> {
    plan.duration.zip(created).map(|(span, created)| after(created, span))
}

/// When a subscription ends or ended: by its own word, or because its time on the plan that it is granted is over.
pub(crate) fn ends_at(entry: &Entry<SubscriptionSpec>, granted: Option<&PlanTerms>) -> Option<Timestamp> {
    let over = granted.and_then(|plan| time_is_over(plan, entry.meta.created));
    sooner(entry.spec.cancel_at.map(|at| *at), over)
}

struct Case<'a> {
    scene: Scene<'a>,
    name: &'a Name,
    key: ObjectKey,
    spec: &'a SubscriptionSpec,
    created: Option<Timestamp>,
    problems: Vec<Diagnostic>,
}

/// An answer of a plan's owner.
struct Answer<'a> {
    name: &'a Name,
    spec: &'a ApprovalSpec,
}

/// What comes of the request itself, before time and terms are looked at.
struct Outcome<'a> {
    grant: Option<Grant>,
    phase: Phase,
    waiting: Option<Box<str>>,
    against: Option<Decision>,
    /// The plan that is asked for, where it may be had from here.
    requested: Option<&'a Arc<PlanTerms>>,
    /// What an approval says of the plan that is granted.
    given: Option<&'a portico_crds::Grant>,
}

impl<'a> Case<'a> {
    fn decide(&mut self) -> Candidate {
        let application = World::resolve_local(&self.spec.application, self.name);
        let Some(consumer) = self.scene.views.applications.get(&application) else {
            let message = format!("there is no Application {application}");
            self.error("missing-reference", "spec.application.name", message, "create it, or correct the name");
            return self.pending("its application does not exist".into());
        };
        if consumer.refused {
            return self.pending(format!("Application {application} is refused; its own status says why").into());
        }
        let requested = World::resolve(&self.spec.plan, self.name);
        let plan = self.offered(&requested, &application, consumer.team.as_ref());
        if plan.is_none() {
            let message =
                format!("there is no Plan {requested} that namespace `{}` may subscribe to", self.name.namespace);
            let help =
                "correct the name; if the plan exists, its products must admit this namespace in `spec.consumers`";
            self.error("missing-reference", "spec.plan.name", message, help);
        }
        let (granted, against) = self.answers(&requested);
        let mut outcome = match granted {
            Some(answer) => self.granted(plan, &answer, &application, consumer.team.as_ref()),
            None => self.unanswered(plan),
        };
        if let Some(against) = against {
            outcome = weigh(outcome, &against);
        }
        let granted = outcome.grant.as_ref().map(|grant| &grant.plan);
        let misfit = |plan: &&Arc<PlanTerms>| plan.security != consumer.authentication;
        if let Some(unfit) = granted.into_iter().chain(plan).find(misfit) {
            let (needs, has) = (unfit.security, consumer.authentication);
            let message = format!("Plan {} needs {needs:?}, Application {application} uses {has:?}", unfit.name);
            let help = "an application has one authentication strategy; use another application for this plan";
            self.error("strategy-mismatch", "spec.plan.name", message, help);
            if granted.is_none_or(|granted| granted.name == unfit.name) {
                return self.pending("its plan needs another authentication strategy".into());
            }
        }
        self.time(outcome)
    }

    /// The plan, if it may be subscribed to from here. Whether it exists is nobody else's business.
    fn offered(&self, plan: &Name, application: &Name, team: Option<&Name>) -> Option<&'a Arc<PlanTerms>> {
        let terms = &self.scene.views.plans.get(plan)?.terms;
        terms.open_to(application, team).then_some(terms)
    }

    /// The newest grant of the requested plan's owner, else of any other: while a subscription asks somebody new, what it
    /// had goes on. And what the owner said since then against what is asked.
    ///
    /// Only the approval that grants can take its grant away, by going or by saying something else; so nobody loses access
    /// by asking for more.
    fn answers(&self, requested: &Name) -> (Option<Answer<'a>>, Option<Answer<'a>>) {
        let world = self.scene.world;
        let standing = world.approvals_of_subscription.of(self.name).filter_map(|name| {
            let (name, entry) = world.approvals.get_key_value(name)?;
            let own = name.namespace == requested.namespace;
            let stands = self.scene.views.approvals.get(name).is_some_and(|view| view.stands);
            stands.then_some(((own, entry.meta.created, name), &*entry.spec))
        });
        let (mut granted, mut against) = (None, None);
        for (rank, spec) in standing {
            let best = if spec.decision == Decision::Granted { &mut granted } else { &mut against };
            if best.as_ref().is_none_or(|(other, _)| *other < rank) {
                *best = Some((rank, spec));
            }
        }
        let against = against.filter(|(rank, _)| rank.0 && granted.as_ref().is_none_or(|(other, _)| other < rank));
        let answer = |((_, _, name), spec)| Answer { name, spec };
        (granted.map(answer), against.map(answer))
    }

    /// What comes of a request that nobody has granted.
    fn unanswered(&mut self, requested: Option<&'a Arc<PlanTerms>>) -> Outcome<'a> {
        let (grant, phase, waiting) = match requested {
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
        Outcome { grant, phase, waiting, against: None, requested, given: None }
    }

    /// What an approval grants. On a manual plan that is what is enforced, whatever the subscription asks meanwhile.
    fn granted(
        &mut self,
        requested: Option<&'a Arc<PlanTerms>>,
        answer: &Answer<'a>,
        application: &Name,
        team: Option<&Name>,
    ) -> Outcome<'a> {
        let Some(given) = &answer.spec.grant else { return self.unanswered(requested) };
        let named = World::resolve_local(&given.plan, answer.name);
        let plan = match (requested, self.offered(&named, application, team)) {
            // It needs no approval, and one for another plan says nothing of it.
            (Some(requested), _) if !requested.manual && requested.name != named => {
                return self.unanswered(Some(requested));
            }
            (Some(requested), _) if !requested.manual => requested,
            (_, Some(plan)) => plan,
            (Some(_), None) => {
                let text = format!("Approval {} grants Plan {named}, which is not there", answer.name);
                return Outcome { waiting: Some(text.into()), ..self.unanswered(requested) };
            }
            (None, None) => return self.unanswered(None),
        };
        let (scopes, waiting) = if requested.is_some_and(|requested| requested.name == plan.name) {
            self.scopes(plan, Some(&given.scopes))
        } else {
            let asked = World::resolve(&self.spec.plan, self.name);
            let text = format!("asks for Plan {asked}; Plan {} serves until that is approved", plan.name);
            (plan.with_scopes(&given.scopes), Some(text.into()))
        };
        let grant = Grant { plan: plan.clone(), scopes, approval: Some(answer.name.clone()) };
        Outcome { grant: Some(grant), phase: Phase::Active, waiting, against: None, requested, given: Some(given) }
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
            let reasoned = asked.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
            let mut known = false;
            for (scope, mode) in plan.scope(&asked.name) {
                known = true;
                match mode {
                    ScopeMode::Active => {}
                    ScopeMode::Restricted if !reasoned => {
                        let message = format!("scope `{}` is restricted and needs a reason", asked.name);
                        let help = "say in `reason` what you need it for; its owner decides on that";
                        self.error("missing-reason", &format!("spec.scopes[{index}]"), message, help);
                    }
                    ScopeMode::Optional if approves || !plan.manual => scopes.push(scope),
                    ScopeMode::Restricted if approves => scopes.push(scope),
                    ScopeMode::Optional | ScopeMode::Restricted => waiting.push(format!("`{}`", asked.name)),
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
        waiting.dedup();
        let text = || {
            let owner = &plan.name.namespace;
            format!("scope {} waits for an Approval in namespace `{owner}` that grants it", waiting.join(", ")).into()
        };
        (scopes.into(), (!waiting.is_empty()).then(text))
    }

    /// What time, terms and the subscriber's own wishes make of it.
    fn time(&mut self, outcome: Outcome<'a>) -> Candidate {
        let Outcome { mut grant, mut phase, mut waiting, against, requested, given } = outcome;
        let now = self.scene.now;
        let mut wake = None;
        let mut stage = SubscriptionStage::Production;
        if let Some(Grant { plan, .. }) = &grant {
            let end = time_is_over(plan, self.created);
            let over = match end {
                _ if plan.stage == LifecycleStage::Retired => Some(format!("Plan {} is retired", plan.name)),
                Some(end) if end <= now => Some(format!("it ended on {end}, as Plan {} says", plan.name)),
                _ => plan.retired_product().map(|product| format!("ApiProduct {product} is retired")),
            };
            // Even what is over for another reason says so differently then.
            wake = sooner(wake, end.filter(|end| *end > now));
            let asked = World::resolve(&self.spec.plan, self.name) == plan.name;
            match over {
                Some(why) if asked => {
                    phase = Phase::Expired;
                    waiting = Some(why.into());
                }
                Some(why) => {
                    // What it had is over, what it asks for is still to come.
                    phase = Phase::Pending;
                    let text = self.unanswered(requested).waiting.unwrap_or_default();
                    waiting = Some(format!("{text}; what it had is over: {why}").into());
                    grant = None;
                }
                None => {}
            }
        }
        if let Some(Grant { plan, .. }) = &grant {
            stage = self.stage(plan, given, against);
            if stage == SubscriptionStage::InReview && waiting.is_none() {
                let (owner, plan) = (&plan.name.namespace, &plan.name);
                let text = format!(
                    "asks to go live: waits for an Approval in namespace `{owner}` that grants Plan {plan} with stage Production"
                );
                waiting = Some(text.into());
            }
        }
        if let Some(plan) = requested
            && matches!(phase, Phase::Pending | Phase::Active)
            && let Some(text) = self.blocked(plan)
            && grant.as_ref().is_none_or(|grant| grant.plan.name == plan.name)
        {
            phase = Phase::Pending;
            waiting = Some(text);
            grant = None;
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
        let mut problems = std::mem::take(&mut self.problems);
        if matches!(phase, Phase::Cancelled | Phase::Expired) {
            // Nobody need mend what is over.
            problems.clear();
        }
        Candidate { phase, stage, grant, waiting, against, problems, wake }
    }

    /// How far it may go: as far as the approval says, and without one to production unless the plan begins in the sandbox.
    fn stage(
        &self,
        plan: &PlanTerms,
        given: Option<&portico_crds::Grant>,
        against: Option<Decision>,
    ) -> SubscriptionStage {
        match given.map_or(if plan.sandbox { Stage::Sandbox } else { Stage::Production }, |given| given.stage) {
            Stage::Production => SubscriptionStage::Production,
            Stage::Sandbox if !self.spec.go_live => SubscriptionStage::Sandbox,
            Stage::Sandbox if against == Some(Decision::ChangesRequested) => SubscriptionStage::ChangesRequested,
            Stage::Sandbox if against.is_some() => SubscriptionStage::Sandbox,
            Stage::Sandbox => SubscriptionStage::InReview,
        }
    }

    /// Why a plan that may be had is not had for now, in a sentence: what the subscriber has to do first.
    fn blocked(&mut self, plan: &PlanTerms) -> Option<Box<str>> {
        let created = self.created;
        let new = |stage, since: Option<Timestamp>| {
            let since = since.zip(created);
            stage == LifecycleStage::Deprecated && since.is_some_and(|(since, created)| created > since)
        };
        if plan.stage == LifecycleStage::Retired {
            let message = format!("Plan {} is retired", plan.name);
            self.error("retired-plan", "spec.plan.name", message.clone(), "choose another plan");
            return Some(message.into());
        }
        if new(plan.stage, plan.deprecated_at) {
            let message = format!("Plan {} is deprecated and takes no new subscriptions", plan.name);
            self.error("deprecated-plan", "spec.plan.name", message.clone(), "choose another plan");
            return Some(message.into());
        }
        if let Some(product) = plan.products.iter().find(|product| new(product.stage, product.deprecated_at)) {
            let message = format!(
                "ApiProduct {} of Plan {} is deprecated and takes no new subscriptions",
                product.name, plan.name
            );
            self.error("deprecated-product", "spec.plan.name", message.clone(), "choose a plan without it");
            return Some(message.into());
        }
        let version = plan.terms_version.as_deref()?;
        if self.spec.accepted_terms.as_deref() == Some(version) {
            return None;
        }
        let message = format!("the terms of Plan {} in version {version} must be accepted", plan.name);
        let help = format!("read them, then set `acceptedTerms: {version:?}`");
        self.error("terms-not-accepted", "spec.acceptedTerms", message.clone(), help);
        Some(message.into())
    }

    fn pending(&mut self, why: Box<str>) -> Candidate {
        self.time(Outcome {
            grant: None,
            phase: Phase::Pending,
            waiting: Some(why),
            against: None,
            requested: None,
            given: None,
        })
    }

    fn error(&mut self, code: &'static str, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Diagnostic::error(code, &self.key, path, message).help(help));
    }
}

/// What an answer that is not a grant makes of a request. What is granted already goes on.
fn weigh<'a>(outcome: Outcome<'a>, against: &Answer<'a>) -> Outcome<'a> {
    let ApprovalSpec { decision, reason, .. } = against.spec;
    let reason = reason.as_deref().unwrap_or("no reason is given").trim_end().trim_end_matches('.');
    let says = if *decision == Decision::Denied { "denies it" } else { "asks for changes" };
    let name = against.name;
    let approval = outcome.grant.as_ref().and_then(|grant| grant.approval.as_ref());
    let text = match approval {
        Some(approval) => {
            format!(
                "Approval {name} {says}: {reason}; what Approval {approval} grants goes on until that is taken away"
            )
        }
        None => format!("Approval {name} {says}: {reason}"),
    };
    let (grant, phase) = match decision {
        Decision::Denied if approval.is_none() => (None, Phase::Rejected),
        _ => (outcome.grant, outcome.phase),
    };
    Outcome { grant, phase, waiting: Some(text.into()), against: Some(*decision), ..outcome }
}
