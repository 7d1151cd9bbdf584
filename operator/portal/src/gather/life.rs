//! What the team of a subscription may do with it as it stands, and why not.

use jiff::Timestamp;
use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{Phase, SubscriptionSpec, SubscriptionStage, Terms};

use super::state;

/// Something that its team may do with a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask for another plan.
    ChangePlan,
    /// Take that wish back.
    KeepPlan,
    /// Ask for other scopes, or give some up.
    Scopes,
    /// Ask to leave the sandbox.
    GoLive,
    /// Take that wish back.
    StayInSandbox,
    /// Rest for a while.
    Pause,
    /// Go on after that.
    Resume,
    /// End at once.
    Cancel,
    /// End on a day.
    EndLater,
    /// Not end after all.
    GoOn,
    /// Accept terms as they are now.
    AcceptTerms,
}

/// A subscription, as far as what may be done with it goes.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) spec: SubscriptionSpec,
    pub(crate) phase: Phase,
    pub(crate) stage: SubscriptionStage,
    /// The plan that its file names as its own.
    pub(crate) own: Name,
    /// The plan that is granted.
    pub(crate) granted: Option<Name>,
    /// The plan that it asks to go to from there.
    pub(crate) wanted: Option<Name>,
    /// Terms that have to be accepted first, and the field that says so.
    pub(crate) terms: Option<(&'static str, Terms)>,
    now: Timestamp,
}

impl Life {
    /// How a subscription stands; `None` where there is none.
    pub(crate) fn of(core: &Core, name: &Name) -> Option<Life> {
        let spec = core.subscription(name)?;
        let standing = state::subscription(core, name)?;
        let own = look::resolve(&spec.plan, name);
        let asked = spec.change.as_ref().map_or_else(|| own.clone(), |change| look::resolve(&change.plan, name));
        let granted = standing.plan;
        let is_other = |granted: &Name| {
            // A copy that was made for this application is what was asked for.
            let is_copy = core.plan(granted).is_some_and(|plan| {
                plan.custom_for.is_some() && plan.replaces.as_ref().is_some_and(|of| granted.beside(&of.name) == asked)
            });
            *granted != asked && !is_copy
        };
        let wanted = match &granted {
            Some(granted) => is_other(granted).then(|| asked.clone()),
            None => spec.change.as_ref().map(|_| asked.clone()),
        };
        let key = name.clone().of(Kind::Subscription);
        let unaccepted = core.diagnostics_of(&key).find(|problem| problem.code == "terms-not-accepted");
        let terms = unaccepted.and_then(|problem| {
            let (field, plan) = match problem.path.as_str() {
                "spec.change.acceptedTerms" => ("spec.change.acceptedTerms", &asked),
                _ => ("spec.acceptedTerms", &own),
            };
            Some((field, core.plan(plan)?.terms.clone()?))
        });
        let (phase, stage) = (standing.phase, standing.stage);
        Some(Life { phase, stage, own, granted, wanted, terms, now: core.now(), spec })
    }

    /// Whether it is in use, or could be if its team wanted.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Active | Phase::PendingCancellation | Phase::Suspended)
    }

    /// When its file says that it ends, if that is still to come.
    pub(crate) fn ends(&self) -> Option<Timestamp> {
        self.spec.cancel_at.map(|at| *at).filter(|at| *at > self.now)
    }

    /// Whether a step may be taken now; why not, in a sentence.
    pub(crate) fn allows(&self, step: Step) -> Result<(), String> {
        let over = match self.phase {
            Phase::Cancelled => Some("It was cancelled, and what was cancelled does not begin again: subscribe anew."),
            Phase::Expired => Some("Its time is over."),
            _ => None,
        };
        let refuse = |holds: bool, why: &str| if holds { Ok(()) } else { Err(why.to_owned()) };
        match (step, over) {
            // Going to another plan makes it live again.
            (Step::ChangePlan, _) if self.phase == Phase::Expired => Ok(()),
            (_, Some(over)) => Err(over.to_owned()),
            (Step::ChangePlan, None) => {
                let unpaid = matches!(self.phase, Phase::PendingPayment | Phase::PaymentFailed);
                refuse(!unpaid, "Its plan has to be paid before it can be changed.")
            }
            (Step::KeepPlan, None) => refuse(self.wanted.is_some(), "It asks for no other plan."),
            (Step::Scopes | Step::Cancel, None) => Ok(()),
            (Step::GoLive, None) => match self.stage {
                SubscriptionStage::Production => Err("It is live already.".to_owned()),
                SubscriptionStage::Sandbox if self.spec.go_live => {
                    Err("It has asked to go live, and was turned down. Its owner may answer again.".to_owned())
                }
                SubscriptionStage::Sandbox => refuse(self.is_live(), "Only what is in use can go live."),
                SubscriptionStage::InReview | SubscriptionStage::ChangesRequested => {
                    Err("It has asked to go live already.".to_owned())
                }
            },
            (Step::StayInSandbox, None) => {
                let asks = self.spec.go_live && self.stage != SubscriptionStage::Production;
                refuse(asks, "It does not ask to go live.")
            }
            (Step::Pause, None) => {
                let runs = matches!(self.phase, Phase::Active | Phase::PendingCancellation);
                refuse(runs && !self.spec.suspend, "Only what is active can be paused.")
            }
            (Step::Resume, None) => refuse(self.spec.suspend, "It is not paused."),
            (Step::EndLater, None) => refuse(self.is_live(), "Only what is in use has an end that can be set."),
            (Step::GoOn, None) => refuse(self.ends().is_some(), "No end was set for it."),
            (Step::AcceptTerms, None) => refuse(self.terms.is_some(), "There are no terms to accept."),
        }
    }

    /// Whether a step may be taken now.
    pub(crate) fn may(&self, step: Step) -> bool {
        self.allows(step).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portico_core::life::ALL_PHASES;
    use serde_json::json;

    fn life(phase: Phase, spec: &serde_json::Value) -> Life {
        let mut said = json!({ "application": { "name": "web" }, "plan": { "name": "one" } });
        said.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        Life {
            spec: serde_json::from_value(said).unwrap(),
            phase,
            stage: SubscriptionStage::Sandbox,
            own: Name::new("a", "one"),
            granted: Some(Name::new("a", "one")),
            wanted: None,
            terms: None,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_was_cancelled_stays_so() {
        use Step::{
            AcceptTerms, Cancel, ChangePlan, EndLater, GoLive, GoOn, KeepPlan, Pause, Resume, Scopes, StayInSandbox,
        };
        let everything = json!({ "suspend": true, "goLive": true, "cancelAt": "2030-01-01T00:00:00Z" });
        let cancelled = life(Phase::Cancelled, &everything);
        let all =
            [ChangePlan, KeepPlan, Scopes, GoLive, StayInSandbox, Pause, Resume, Cancel, EndLater, GoOn, AcceptTerms];
        for step in all {
            assert!(cancelled.allows(step).unwrap_err().contains("cancelled"), "{step:?}");
        }
        assert!(life(Phase::Expired, &everything).may(ChangePlan), "another plan gives it more time");
        assert!(!life(Phase::Expired, &everything).may(Resume));
    }

    #[test]
    fn one_pauses_what_is_active_and_resumes_what_is_paused() {
        for phase in ALL_PHASES {
            let runs = matches!(phase, Phase::Active | Phase::PendingCancellation);
            assert_eq!(life(phase, &json!({})).may(Step::Pause), runs, "{phase:?}");
            assert!(!life(phase, &json!({})).may(Step::Resume), "{phase:?}");
        }
        let paused = life(Phase::Suspended, &json!({ "suspend": true }));
        assert!(paused.may(Step::Resume) && !paused.may(Step::Pause));
    }

    #[test]
    fn an_end_that_is_to_come_can_be_taken_back() {
        let ends = life(Phase::PendingCancellation, &json!({ "cancelAt": "2030-01-01T00:00:00Z" }));
        assert!(ends.may(Step::GoOn) && ends.may(Step::EndLater) && ends.may(Step::Cancel));
        let past = life(Phase::Pending, &json!({ "cancelAt": "1969-01-01T00:00:00Z" }));
        assert!(!past.may(Step::GoOn) && !past.may(Step::EndLater));
    }

    #[test]
    fn one_asks_to_go_live_once_and_from_the_sandbox() {
        let sandbox = life(Phase::Active, &json!({}));
        assert!(sandbox.may(Step::GoLive) && !sandbox.may(Step::StayInSandbox));
        let refused = life(Phase::Active, &json!({ "goLive": true }));
        assert!(!refused.may(Step::GoLive) && refused.may(Step::StayInSandbox));
        for stage in [SubscriptionStage::InReview, SubscriptionStage::ChangesRequested, SubscriptionStage::Production] {
            let asks = Life { stage, ..refused.clone() };
            assert!(!asks.may(Step::GoLive), "{stage:?}");
            assert_eq!(asks.may(Step::StayInSandbox), stage != SubscriptionStage::Production, "{stage:?}");
        }
    }
}
