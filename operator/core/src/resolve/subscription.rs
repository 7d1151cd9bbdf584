//! Subscriptions: from a wish to a grant.
//!
//! Two steps, since a subscription can depend on others: a [`Candidate`] is what it would get by itself;
//! [`super::settle`] adds what others leave for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{
    ApprovalSpec, ChangeMode, Decision, FieldKind, LifecycleStage, Phase, PlanProperty, ScopeMode, Stage,
    SubscriptionSpec, SubscriptionStage,
};

use super::application::ApplicationView;
use super::deletion::missed;
use super::plan::PlanTerms;
use super::{Scene, sooner};
use crate::batch::Payment;
use crate::diagnostic::{Diagnostic, Severity};
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
    /// Nearly always what it gets.
    pub(crate) alone: Arc<SubscriptionView>,
    pub(crate) wake: Option<Timestamp>,
    /// Where the grant is that of the plan it changes to: the field that asks for that.
    pub(crate) changed: Option<&'static str>,
    /// Where it is: what serves if it gets no place on that plan.
    pub(crate) old: Option<Box<Old>>,
}

/// Whether a subscription went with what was deleted. Its keys go too then, and it counts as not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Left {
    #[default]
    Stays,
    /// It went with a plan that it was never to see: nobody tells it that there was one.
    Unseen,
    /// It went with its plan.
    Taken,
}

/// What a subscription has on the plan that it wants to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Old {
    pub(crate) phase: Phase,
    pub(crate) stage: SubscriptionStage,
    pub(crate) grant: Grant,
    /// See [`SubscriptionView::on`].
    pub(crate) on: Option<Name>,
}

/// An owner's word against a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Against {
    pub(crate) decision: Decision,
    /// Where it stands.
    pub(crate) approval: Name,
}

/// What holds for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionView {
    pub(crate) phase: Phase,
    pub(crate) stage: SubscriptionStage,
    /// What is granted; in force only in some phases, see [`SubscriptionView::in_force`].
    pub(crate) grant: Option<Grant>,
    /// What was asked for and is not granted, in a sentence.
    pub(crate) waiting: Option<Box<str>>,
    /// The owner's word against what is asked for.
    pub(crate) against: Option<Against>,
    /// The plan that it has a place on, where that is not the one that its file names as its own.
    pub(crate) on: Option<Name>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) left: Left,
}

impl SubscriptionView {
    /// The grant, where a gateway should let it pass now.
    pub(crate) fn in_force(&self) -> Option<&Grant> {
        matches!(self.phase, Phase::Active | Phase::PendingCancellation).then_some(self.grant.as_ref()).flatten()
    }

    /// Whether it waits for somebody's answer: it has something to ask, reads well, and was not answered.
    pub(crate) fn asks(&self) -> bool {
        let is_over = self.ended() || matches!(self.phase, Phase::PendingPayment | Phase::PaymentFailed);
        let is_broken = self.problems.iter().any(|problem| problem.severity == Severity::Error);
        self.waiting.is_some() && self.against.is_none() && !is_over && !is_broken
    }

    /// Whether its owner has said no to what it asks for, or not yet, and could say otherwise.
    pub(crate) fn refused(&self) -> bool {
        self.against.is_some() && !matches!(self.phase, Phase::Cancelled | Phase::Expired)
    }

    /// Over for good: its keys are destroyed.
    pub(crate) fn ended(&self) -> bool {
        is_over(self.phase)
    }

    /// The plan that it has a place on, in use or not.
    pub(crate) fn held(&self) -> Option<&Name> {
        holds(self.phase).then_some(self.grant.as_ref()).flatten().map(|grant| &grant.plan.name)
    }
}

impl Candidate {
    /// The plans that it would have a place on.
    pub(crate) fn plans(&self) -> impl Iterator<Item = &Name> {
        let old = self.old.iter().map(|old| &old.grant);
        old.chain(&self.alone.grant).map(|grant| &grant.plan.name)
    }

    /// When it was cancelled, if it was.
    pub(crate) fn ended(&self, entry: &Entry<SubscriptionSpec>) -> Option<Timestamp> {
        (self.alone.phase == Phase::Cancelled).then_some(entry.spec.cancel_at).flatten().map(|at| *at)
    }

    pub(super) fn holds(&self) -> bool {
        self.alone.grant.is_some() && holds(self.alone.phase)
    }
}

/// Whether it is in use, or could be if its subscriber wanted.
fn serves(phase: Phase) -> bool {
    matches!(phase, Phase::Active | Phase::PendingCancellation | Phase::Suspended)
}

fn is_over(phase: Phase) -> bool {
    matches!(phase, Phase::Cancelled | Phase::Expired | Phase::Rejected)
}

/// Whether a place is kept for it: in use, at rest, or until it is paid.
fn holds(phase: Phase) -> bool {
    serves(phase) || matches!(phase, Phase::PendingPayment | Phase::PaymentFailed)
}

pub(crate) fn candidate(scene: Scene<'_>, name: &Name) -> Option<Candidate> {
    let entry = scene.world.subscriptions.get(name)?;
    let spec = &*entry.spec;
    let key = name.clone().of(Kind::Subscription);
    let ask = Ask {
        plan: World::resolve(&spec.plan, name),
        field: "spec.plan.name",
        accepted: spec.accepted_terms.as_deref(),
        accepting: "spec.acceptedTerms",
        answers: Some(&spec.properties),
    };
    let created = entry.meta.created;
    let mut case = Case { scene, name, key, spec, ask, comes: false, created, leaves: false, problems: Vec::new() };
    Some(case.decide())
}

/// When a subscription that is so old has been on a plan for as long as it may.
pub(crate) fn time_is_over(plan: &PlanTerms, created: Option<Timestamp>) -> Option<Timestamp> {
    plan.duration.zip(created).map(|(term, created)| term.after(created))
}

/// When a subscription ends or ended: by its own word, or because its time on the plan that it is granted is over.
pub(crate) fn ends_at(
    entry: &Entry<SubscriptionSpec>,
    ended: Option<Timestamp>,
    granted: Option<&PlanTerms>,
) -> Option<Timestamp> {
    let over = granted.and_then(|plan| time_is_over(plan, entry.meta.created));
    sooner(ended.or(entry.spec.cancel_at.map(|at| *at)), over)
}

/// What is asked for: the plan itself, or the change to another.
#[derive(Clone)]
struct Ask<'a> {
    plan: Name,
    /// Where that stands.
    field: &'static str,
    /// The version of its terms that is accepted, and where that stands.
    accepted: Option<&'a str>,
    accepting: &'static str,
    /// What is said about its properties; `None` where nobody need say any more.
    answers: Option<&'a BTreeMap<String, String>>,
}

/// Why a change of plan has to wait, in a sentence, and the owner's word against it.
struct Waits {
    text: Box<str>,
    against: Option<Against>,
    wake: Option<Timestamp>,
}

struct Case<'a> {
    scene: Scene<'a>,
    name: &'a Name,
    key: ObjectKey,
    spec: &'a SubscriptionSpec,
    ask: Ask<'a>,
    /// Whether it comes to the plan that is asked for from another one.
    comes: bool,
    created: Option<Timestamp>,
    /// Whether the plan that it asks for was deleted together with it.
    leaves: bool,
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
    against: Option<Against>,
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
            return self.own(&application, consumer);
        }
        let own = self.ask.plan.clone();
        let on = self.scene.world.on(self.name);
        let change = self.spec.change.as_ref().map(|change| Ask {
            plan: World::resolve(&change.plan, self.name),
            field: "spec.change.plan.name",
            accepted: change.accepted_terms.as_deref(),
            accepting: "spec.change.acceptedTerms",
            answers: Some(&self.spec.properties),
        });
        let is = |on: &Name, named: &Name| on == named || self.scene.is_copy(on, named, &application);
        // What it has by a change that stands in its file it has by that.
        let left = on.filter(|on| !is(on, &own) && change.as_ref().is_none_or(|change| !is(on, &change.plan)));
        let left = left.and_then(|left| self.left(left, &application, consumer));
        let (mut base, wish) = match left {
            Some(left) => (left, change.unwrap_or_else(|| self.ask.clone())),
            None => match (self.own(&application, consumer), change) {
                (base, Some(change)) => (base, change),
                (base, None) => return base,
            },
        };
        let had = base.alone.on.as_ref().unwrap_or(&own).clone();
        if wish.plan == had || base.alone.phase == Phase::Cancelled {
            return base;
        }
        self.comes = on.is_none_or(|on| !(*on == wish.plan || self.scene.is_copy(on, &wish.plan, &application)));
        self.ask = wish;
        match self.change(&application, consumer, base.alone.phase, &had) {
            Ok(mut changed) => {
                let SubscriptionView { phase, stage, grant, on, .. } = Arc::unwrap_or_clone(base.alone);
                changed.old = grant.filter(|_| holds(phase)).map(|grant| Box::new(Old { phase, stage, grant, on }));
                changed.wake = sooner(changed.wake, base.wake);
                changed.changed = Some(self.ask.field);
                Arc::make_mut(&mut changed.alone).on = (self.ask.plan != own).then(|| self.ask.plan.clone());
                changed
            }
            Err(Waits { text, against, wake }) => {
                let view = Arc::make_mut(&mut base.alone);
                view.problems.append(&mut self.problems);
                view.waiting = Some(match view.waiting.take() {
                    // The same answer to both.
                    Some(_) if against.is_some() && against == view.against => text,
                    Some(waiting) => format!("{waiting}; {text}").into(),
                    None => text,
                });
                view.against = view.against.take().or(against);
                base.wake = sooner(base.wake, wake);
                base
            }
        }
    }

    /// What it has of a plan that its file no longer names, if that is in use. Nobody need mend what it leaves, and nobody can
    /// accept its terms any more.
    fn left(&mut self, plan: &Name, application: &Name, consumer: &ApplicationView) -> Option<Candidate> {
        let terms = self.scene.views.plans.get(plan).and_then(|view| view.terms.terms_version.as_deref());
        let ask = Ask { plan: plan.clone(), accepted: terms, answers: None, ..self.ask };
        let asked = std::mem::replace(&mut self.ask, ask);
        let mut base = self.request(application, consumer);
        self.ask = asked;
        let view = Arc::make_mut(&mut base.alone);
        view.problems.clear();
        view.on = Some(plan.clone());
        let keeps = serves(view.phase) || view.phase == Phase::Cancelled;
        keeps.then_some(base)
    }

    /// What comes of the plan that its file names as its own.
    fn own(&mut self, application: &Name, consumer: &ApplicationView) -> Candidate {
        let terms = self.scene.views.plans.get(&self.ask.plan).map(|view| &view.terms);
        self.leaves = terms.is_some_and(|plan| plan.cascades && missed(self.scene.world, self.name, plan).is_none());
        let mut base = if consumer.refused {
            self.pending(format!("Application {application} is refused; its own status says why").into())
        } else {
            self.request(application, consumer)
        };
        if std::mem::take(&mut self.leaves) {
            self.leave(&mut base, consumer, application);
        }
        base
    }

    /// What comes of the plan itself.
    fn request(&mut self, application: &Name, consumer: &ApplicationView) -> Candidate {
        let requested = self.ask.plan.clone();
        let plan = self.offered(&requested, application, consumer.team.as_ref());
        if plan.is_none() {
            self.not_there();
        }
        let (granted, against) = self.answers(application);
        let mut outcome = match granted {
            Some(answer) => self.granted(plan, &answer, application, consumer.team.as_ref()),
            None => self.unanswered(plan),
        };
        if let Some(against) = against {
            outcome = weigh(outcome, &against);
        }
        let granted = outcome.grant.as_ref().map(|grant| &grant.plan);
        if let Some(unfit) = granted.or(plan).filter(|plan| plan.security != consumer.authentication) {
            self.misfit(unfit, consumer, application);
            return self.pending("its plan needs another authentication strategy".into());
        }
        self.time(outcome)
    }

    /// Its plan was deleted, and it goes with it, unless it is over already.
    fn leave(&mut self, base: &mut Candidate, consumer: &ApplicationView, application: &Name) {
        if is_over(base.alone.phase) {
            return;
        }
        let view = Arc::make_mut(&mut base.alone);
        let plan = self.scene.views.plans.get(&self.ask.plan).map(|view| &view.terms);
        let seen = plan.filter(|plan| plan.open_to(application, consumer.team.as_ref()));
        (view.phase, view.grant, view.against, view.left) = (Phase::Pending, None, None, Left::Unseen);
        let Some(plan) = seen else { return };
        let product = plan.products.iter().find(|product| product.cascades);
        let deleted = match product.filter(|_| !self.scene.world.deleted_plans.contains_key(&plan.name)) {
            Some(product) => format!("ApiProduct {} of its plan", product.name),
            None => format!("Plan {}", plan.name),
        };
        let message = format!("{deleted} was deleted, and this subscription and its keys with it");
        let help = "remove it and its credentials; where the plan comes back, a new key is made";
        self.error("deleted-with-plan", "spec.plan.name", message.clone(), help);
        view.problems = std::mem::take(&mut self.problems);
        (view.waiting, view.left) = (Some(message.into()), Left::Taken);
    }

    /// What comes of the wish to change to another plan: the grant there, or why what it has serves on.
    fn change(
        &mut self,
        application: &Name,
        consumer: &ApplicationView,
        phase: Phase,
        had: &Name,
    ) -> Result<Candidate, Waits> {
        let wanted = self.ask.plan.clone();
        let serves = serves(phase);
        let until = if serves { format!("; Plan {had} serves until then") } else { String::new() };
        let waits = |text: String| Waits { text: text.into(), against: None, wake: None };
        let Some(plan) = self.offered(&wanted, application, consumer.team.as_ref()) else {
            self.not_there();
            return Err(waits(format!("asks to change to Plan {wanted}, which is not there")));
        };
        if plan.change == ChangeMode::None {
            let message = format!("one cannot change to Plan {wanted}");
            let help = "make another Subscription to it, and cancel this one";
            self.error("change-not-allowed", self.ask.field, message.clone(), help);
            return Err(waits(message));
        }
        if plan.security != consumer.authentication {
            self.misfit(plan, consumer, application);
            return Err(waits(format!("Plan {wanted} needs another authentication strategy")));
        }
        let (granted, against) = self.answers(application);
        let by_request = matches!(plan.change, ChangeMode::Request | ChangeMode::RequestWithCard);
        if granted.is_none() && (plan.manual || by_request) {
            let owner = wanted.namespace();
            let asks =
                format!("asks for Plan {wanted}: waits for an Approval in namespace `{owner}` that grants it{until}");
            return Err(match against {
                Some(against) => Waits {
                    text: format!("asks for Plan {wanted}: {}{until}", against.says()).into(),
                    against: Some(against.refusal()),
                    wake: None,
                },
                None => waits(asks),
            });
        }
        let is_there = self.offered(had, application, consumer.team.as_ref()).is_some();
        if granted.is_none() && is_there && !serves && phase != Phase::Expired {
            let message =
                format!("a plan is changed while it is in use; to ask for Plan {wanted} instead, write it as `plan`");
            return Err(waits(message));
        }
        let payment = self.scene.world.payments.get(self.name);
        let by_card = matches!(plan.change, ChangeMode::Card | ChangeMode::RequestWithCard);
        let has_card = matches!(payment, Some(Payment::Card | Payment::Paid));
        if by_card && plan.priced && self.scene.world.charges && !has_card {
            return Err(waits(format!("asks for Plan {wanted}: waits for a payment card{until}")));
        }
        let mut outcome = match granted {
            Some(answer) => self.granted(Some(plan), &answer, application, consumer.team.as_ref()),
            None => self.unanswered(Some(plan)),
        };
        if let Some(against) = against {
            outcome = weigh(outcome, &against);
        }
        let changed = self.time(outcome);
        if changed.alone.grant.is_some() && self::serves(changed.alone.phase) {
            return Ok(changed);
        }
        let SubscriptionView { waiting, against, problems, .. } = Arc::unwrap_or_clone(changed.alone);
        self.problems = problems;
        let text = waiting.unwrap_or_else(|| "it is not granted".into());
        Err(Waits { text: format!("asks for Plan {wanted}: {text}{until}").into(), against, wake: changed.wake })
    }

    /// The plan, if it may be subscribed to from here. Whether it exists is nobody else's business.
    fn offered(&self, plan: &Name, application: &Name, team: Option<&Name>) -> Option<&'a Arc<PlanTerms>> {
        let terms = &self.scene.views.plans.get(plan)?.terms;
        let is_there = !terms.cascades || self.leaves && *plan == self.ask.plan;
        (is_there && terms.open_to(application, team)).then_some(terms)
    }

    fn not_there(&mut self) {
        let message =
            format!("there is no Plan {} that namespace `{}` may subscribe to", self.ask.plan, self.name.namespace());
        let help = "correct the name; if the plan exists, its products must admit this namespace in `spec.consumers`";
        self.error("missing-reference", self.ask.field, message, help);
    }

    fn misfit(&mut self, plan: &PlanTerms, consumer: &ApplicationView, application: &Name) {
        let (needs, has) = (plan.security, consumer.authentication);
        let message = format!("Plan {} needs {needs:?}, Application {application} uses {has:?}", plan.name);
        let help = "an application has one authentication strategy; use another application for this plan";
        self.error("strategy-mismatch", self.ask.field, message, help);
    }

    /// The newest grant of what is asked for, by the plan's owner, and what that owner said since then against it.
    ///
    /// A grant of anything else gives nothing: nobody is given what they did not ask for. Only the approval that grants can take
    /// its grant away, by going or by saying something else; so nobody loses access by asking for more.
    fn answers(&self, application: &Name) -> (Option<Answer<'a>>, Option<Answer<'a>>) {
        let world = self.scene.world;
        let asked = &self.ask.plan;
        let concerns = |name: &Name, spec: &ApprovalSpec| {
            let plan = spec.grant.as_ref().map(|grant| &grant.plan).or(spec.about.as_ref());
            name.namespace() == asked.namespace()
                && match plan.map(|plan| World::resolve_local(plan, name)) {
                    Some(plan) => plan == *asked || self.scene.is_copy(&plan, asked, application),
                    // A refusal that names no plan is about whatever is asked of this owner.
                    None => spec.decision != Decision::Granted,
                }
        };
        let standing = world.approvals_of_subscription.of(self.name).filter_map(|name| {
            let (name, entry) = world.approvals.get_key_value(name)?;
            let stands = self.scene.views.approvals.get(name).is_some_and(|view| view.stands);
            (stands && concerns(name, &entry.spec)).then_some(((entry.meta.created, name), &*entry.spec))
        });
        let (mut granted, mut against) = (None, None);
        for (rank, spec) in standing {
            let best = if spec.decision == Decision::Granted { &mut granted } else { &mut against };
            if best.as_ref().is_none_or(|(other, _)| *other < rank) {
                *best = Some((rank, spec));
            }
        }
        let against = against.filter(|(rank, _)| granted.as_ref().is_none_or(|(other, _)| other < rank));
        let answer = |((_, name), spec)| Answer { name, spec };
        (granted.map(answer), against.map(answer))
    }

    /// What comes of a request that nobody has granted.
    fn unanswered(&mut self, requested: Option<&'a Arc<PlanTerms>>) -> Outcome<'a> {
        let (grant, phase, waiting) = match requested {
            None => (None, Phase::Pending, Some("its plan is not there".into())),
            Some(plan) if plan.manual => {
                self.scopes(plan, None);
                let owner = plan.name.namespace();
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

    /// What an approval grants: the plan that is asked for, or the copy of it that was made for this application.
    fn granted(
        &mut self,
        requested: Option<&'a Arc<PlanTerms>>,
        answer: &Answer<'a>,
        application: &Name,
        team: Option<&Name>,
    ) -> Outcome<'a> {
        let Some(given) = &answer.spec.grant else { return self.unanswered(requested) };
        let named = World::resolve_local(&given.plan, answer.name);
        // Approvals of a plan that needs none say something of scopes and of how far it may go.
        let Some(plan) = self.offered(&named, application, team) else { return self.unanswered(requested) };
        let (scopes, waiting) = self.scopes(plan, Some(&given.scopes));
        let waiting = self.outdated(plan, given, answer.name).or(waiting);
        let grant = Grant { plan: plan.clone(), scopes, approval: Some(answer.name.clone()) };
        let requested = Some(plan);
        Outcome { grant: Some(grant), phase: Phase::Active, waiting, against: None, requested, given: Some(given) }
    }

    /// What the plan says now that an approval has not granted: in a sentence, where it says what it grants.
    fn outdated(&self, plan: &PlanTerms, given: &portico_crds::Grant, approval: &Name) -> Option<Box<str>> {
        let digest = self.scene.views.plans.get(&plan.name).map(|view| &*view.digest)?;
        let now = match (&given.terms, &given.terms_version, &plan.terms_version) {
            (Some(terms), ..) if terms != digest => format!("`terms: {digest}`"),
            (_, Some(granted), Some(version)) if **granted != **version => format!("`termsVersion: {version:?}`"),
            _ => return None,
        };
        let text = format!(
            "the terms of Plan {} are no longer those that Approval {approval} grants: access goes on, and the new terms wait \
             until it says {now}",
            plan.name
        );
        Some(text.into())
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
            let owner = plan.name.namespace();
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
            if let Some(why) = over {
                phase = Phase::Expired;
                waiting = Some(why.into());
            }
        }
        if let Some(Grant { plan, .. }) = &grant {
            stage = self.stage(plan, given, against.as_ref().map(|against| against.decision));
            if stage == SubscriptionStage::InReview && waiting.is_none() {
                let (owner, plan) = (plan.name.namespace(), &plan.name);
                let text = format!(
                    "asks to go live: waits for an Approval in namespace `{owner}` that grants Plan {plan} with stage Production"
                );
                waiting = Some(text.into());
            }
        }
        if let Some(plan) = requested
            && matches!(phase, Phase::Pending | Phase::Active)
            && let Some(text) = self.blocked(plan)
        {
            phase = Phase::Pending;
            waiting = Some(text);
            grant = None;
        }
        if let Some(Grant { plan, .. }) = &grant
            && phase == Phase::Active
        {
            let free_until = plan.trial.zip(self.created).map(|(trial, created)| trial.after(created));
            match self.owed(plan) {
                Some(_) if free_until.is_some_and(|end| end > now) => wake = sooner(wake, free_until),
                Some((unpaid, text)) => {
                    phase = unpaid;
                    waiting = Some(text);
                }
                None => {}
            }
        }
        if self.spec.suspend && phase == Phase::Active {
            phase = Phase::Suspended;
        }
        let ended = self.scene.world.ended.get(self.name).copied();
        let end = self.spec.cancel_at.map(|at| *at);
        if let Some(at) = ended.or(end.filter(|end| *end <= now)) {
            phase = Phase::Cancelled;
            waiting = Some(format!("it was cancelled on {at}").into());
        } else if let Some(end) = end {
            wake = sooner(wake, Some(end));
            if phase == Phase::Active {
                phase = Phase::PendingCancellation;
            }
        }
        if matches!(phase, Phase::Cancelled | Phase::Expired) {
            // Nobody need mend what is over.
            self.problems.clear();
        }
        if let Some(at) = ended.filter(|at| end.is_none_or(|end| end > *at)) {
            let message = format!("it was cancelled on {at}, and does not begin again");
            let help = "make another Subscription by another name, or say here that it has ended";
            self.error("cancelled-for-good", "spec.cancelAt", message, help);
        }
        let problems = std::mem::take(&mut self.problems);
        let left = Left::Stays;
        let alone = Arc::new(SubscriptionView { phase, stage, grant, waiting, against, on: None, problems, left });
        Candidate { alone, wake, changed: None, old: None }
    }

    /// What has to be paid before there is access: the phase that this is, and a sentence.
    fn owed(&self, plan: &PlanTerms) -> Option<(Phase, Box<str>)> {
        if !plan.priced || !self.scene.world.charges {
            return None;
        }
        match self.scene.world.payments.get(self.name) {
            Some(Payment::Paid) => None,
            Some(Payment::Failed) => {
                Some((Phase::PaymentFailed, format!("Plan {} could not be charged", plan.name).into()))
            }
            Some(Payment::Card) | None => {
                Some((Phase::PendingPayment, format!("Plan {} has to be paid", plan.name).into()))
            }
        }
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
        let (created, comes, now) = (self.created, self.comes, self.scene.now);
        let new = |stage, since: Option<Timestamp>| {
            let is_after = |since| if comes { since <= now } else { created.is_some_and(|created| created > since) };
            stage == LifecycleStage::Deprecated && since.is_some_and(is_after)
        };
        if plan.stage == LifecycleStage::Retired {
            let message = format!("Plan {} is retired", plan.name);
            self.error("retired-plan", self.ask.field, message.clone(), "choose another plan");
            return Some(message.into());
        }
        if new(plan.stage, plan.deprecated_at) {
            let message = format!("Plan {} is deprecated and takes no new subscriptions", plan.name);
            self.error("deprecated-plan", self.ask.field, message.clone(), "choose another plan");
            return Some(message.into());
        }
        if let Some(product) = plan.products.iter().find(|product| new(product.stage, product.deprecated_at)) {
            let message = format!(
                "ApiProduct {} of Plan {} is deprecated and takes no new subscriptions",
                product.name, plan.name
            );
            self.error("deprecated-product", self.ask.field, message.clone(), "choose a plan without it");
            return Some(message.into());
        }
        if let Some(deleted) = missed(self.scene.world, self.name, plan) {
            let code = if deleted.kind == Kind::Plan { "deleted-plan" } else { "deleted-product" };
            let message = format!("{deleted} is deleted and takes no new subscriptions");
            self.error(code, self.ask.field, message.clone(), "choose another plan");
            return Some(message.into());
        }
        if let Some(text) = self.unsaid(plan) {
            return Some(text);
        }
        let version = plan.terms_version.as_deref()?;
        if self.ask.accepted == Some(version) {
            return None;
        }
        let message = format!("the terms of Plan {} in version {version} must be accepted", plan.name);
        let help = format!("read them, then set `acceptedTerms: {version:?}`");
        self.error("terms-not-accepted", self.ask.accepting, message.clone(), help);
        Some(message.into())
    }

    /// What the plan wants to know and is not told, or not well, in a sentence.
    fn unsaid(&mut self, plan: &PlanTerms) -> Option<Box<str>> {
        let answers = self.ask.answers?;
        let mut unsaid = None;
        for property in &plan.properties {
            let PlanProperty { name, title, kind, required, choices } = property;
            let answer = answers.get(name).map(|answer| answer.trim()).filter(|answer| !answer.is_empty());
            let path = format!("spec.properties.{name}");
            let (code, message, help) = match (kind, answer) {
                (_, None) if *required => {
                    let message = format!("Plan {} wants to know `{name}`: {title}", plan.name);
                    ("missing-property", message, format!("give it in `spec.properties`, by the name `{name}`"))
                }
                (FieldKind::Checkbox, Some("false")) if *required => {
                    let message = format!("Plan {} wants a yes to `{name}`: {title}", plan.name);
                    ("missing-property", message, "say `\"true\"`".to_owned())
                }
                (FieldKind::Choice, Some(answer)) if !choices.iter().any(|choice| choice == answer) => {
                    let message = format!("`{answer}` is not one of the answers to `{name}` of Plan {}", plan.name);
                    ("invalid-property", message, format!("say one of: {}", choices.join(", ")))
                }
                (FieldKind::Checkbox, Some(answer)) if !matches!(answer, "true" | "false") => {
                    let message = format!("`{answer}` is neither yes nor no to `{name}` of Plan {}", plan.name);
                    ("invalid-property", message, "say `\"true\"` or `\"false\"`".to_owned())
                }
                _ => continue,
            };
            self.error(code, &path, message.clone(), help);
            unsaid = unsaid.or(Some(message.into()));
        }
        unsaid
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

impl Answer<'_> {
    fn refusal(&self) -> Against {
        Against { decision: self.spec.decision, approval: self.name.clone() }
    }

    /// What an answer that is not a grant says, in a sentence.
    fn says(&self) -> String {
        let ApprovalSpec { decision, reason, .. } = self.spec;
        let reason = reason.as_deref().unwrap_or("no reason is given").trim_end().trim_end_matches('.');
        let says = if *decision == Decision::Denied { "denies it" } else { "asks for changes" };
        format!("Approval {} {says}: {reason}", self.name)
    }
}

/// What an answer that is not a grant makes of a request. What is granted already goes on.
fn weigh<'a>(outcome: Outcome<'a>, against: &Answer<'a>) -> Outcome<'a> {
    let refusal = against.refusal();
    let said = against.says();
    let approval = outcome.grant.as_ref().and_then(|grant| grant.approval.as_ref());
    let text = match approval {
        Some(approval) => format!("{said}; what Approval {approval} grants goes on until that is taken away"),
        None => said,
    };
    let (grant, phase) = match refusal.decision {
        Decision::Denied if approval.is_none() => (None, Phase::Rejected),
        _ => (outcome.grant, outcome.phase),
    };
    Outcome { grant, phase, waiting: Some(text.into()), against: Some(refusal), ..outcome }
}
