//! How subscriptions and credentials stand, in words.

use jiff::Timestamp;
use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_core::status::Detail;
use portico_crds::{ApprovalMode, Decision, Phase, Stage, SubscriptionStage};

use crate::may::asked;
use crate::words::{self, Tone};

/// How something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) label: &'static str,
    pub(crate) tone: Tone,
    /// More about it, where there is more to say.
    pub(crate) text: Option<String>,
}

/// How a subscription stands.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) state: State,
    pub(crate) phase: Phase,
    pub(crate) stage: SubscriptionStage,
    /// The plan that is granted.
    pub(crate) plan: Option<Name>,
    /// Scopes that are granted, with their product.
    pub(crate) scopes: Vec<(Name, String)>,
    pub(crate) approval: Option<Name>,
    pub(crate) ends_at: Option<Timestamp>,
    /// Whether it is granted and every gateway has confirmed it.
    pub(crate) works: bool,
    /// Whether its owner has said no to what it asks for, or not yet.
    pub(crate) is_refused: bool,
}

impl Standing {
    /// How to tell what there is to say about it: what works may still wait for something.
    pub(crate) fn note(&self) -> Tone {
        match self.state.tone {
            Tone::Good if self.is_refused => Tone::Warn,
            Tone::Good => Tone::Info,
            other => other,
        }
    }
}

/// How a subscription stands; `None` where there is none.
pub(crate) fn subscription(core: &Core, name: &Name) -> Option<Standing> {
    let status = core.status(&name.clone().of(Kind::Subscription))?;
    let Some(Detail::Subscription { phase, stage, plan, scopes, approval, ends_at }) = status.detail.clone() else {
        return None;
    };
    let (label, tone) = words::phase(phase);
    let against = answer_against(core, name);
    let is_enforced =
        status.condition("Programmed").is_none_or(|condition| condition.status || condition.reason == "Nothing");
    let waiting = core.waiting(name);
    let (label, tone, text) = match (phase, &against, waiting) {
        (Phase::Rejected, Some((_, reason)), _) => (label, tone, Some(reason.clone())),
        (Phase::Pending, Some((Decision::ChangesRequested, reason)), _) => {
            ("Changes asked for", Tone::Warn, Some(reason.clone()))
        }
        (Phase::Pending, _, Some(_)) if asks_owner(core, name) => {
            ("Waiting for approval", tone, Some(waits_for(core, name)))
        }
        (Phase::Active | Phase::PendingCancellation, Some((Decision::ChangesRequested, reason)), Some(_)) => {
            (label, tone, Some(format!("The owner asks for changes before granting more: {reason}")))
        }
        (Phase::Active | Phase::PendingCancellation, Some((_, reason)), Some(_)) => {
            (label, tone, Some(format!("What else it asks for was not granted: {reason}")))
        }
        (Phase::Active | Phase::PendingCancellation, None, Some(waiting)) => {
            let has = |scope: &str| scopes.iter().any(|granted| *granted.scope == *scope);
            let asks = asks_for(core, name, plan.as_ref(), stage, has);
            (label, tone, Some(asks.unwrap_or_else(|| format!("Something waits: {waiting}."))))
        }
        (Phase::Active, _, None) if !is_enforced => {
            ("Being enforced", Tone::Info, Some("The gateway has not confirmed it yet.".to_owned()))
        }
        (Phase::Suspended, ..) => (label, tone, Some("Its keys are kept, and work again once it goes on.".to_owned())),
        (_, _, waiting) => (label, tone, waiting.map(sentence)),
    };
    let works = matches!(phase, Phase::Active | Phase::PendingCancellation) && is_enforced;
    let scopes = scopes.into_iter().map(|scope| (scope.product, scope.scope.to_string())).collect();
    let (state, is_refused) = (State { label, tone, text }, core.is_refused(name));
    Some(Standing { state, phase, stage, plan, scopes, approval, ends_at, works, is_refused })
}

/// How far a subscription may go on a plan once somebody grants it what it asks for. What is live there stays so.
pub(crate) fn would_reach(core: &Core, name: &Name, standing: &Standing, plan: &Name) -> Stage {
    let begins = core.plan(plan).and_then(|plan| plan.sandbox.as_ref()).is_some_and(|sandbox| sandbox.required);
    let asks = core.subscription(name).is_some_and(|spec| spec.go_live);
    let is_live = standing.plan.as_ref() == Some(plan) && standing.stage == SubscriptionStage::Production;
    if begins && !asks && !is_live { Stage::Sandbox } else { Stage::Production }
}

/// Whether a subscription in this phase has something that its owner could take away.
pub(crate) fn holds(phase: Phase) -> bool {
    match phase {
        Phase::Active
        | Phase::PendingCancellation
        | Phase::Suspended
        | Phase::PendingPayment
        | Phase::PaymentFailed => true,
        Phase::Pending | Phase::Rejected | Phase::Cancelled | Phase::Expired => false,
    }
}

/// Whether the plan that is asked for is granted by somebody.
fn asks_owner(core: &Core, name: &Name) -> bool {
    core.asks(name)
        && asked(core, name)
            .iter()
            .any(|plan| core.plan(plan).is_some_and(|plan| plan.approval.mode == ApprovalMode::Manual))
}

/// Whose answer it waits for.
fn waits_for(core: &Core, name: &Name) -> String {
    format!("{} looks at it. You need not do anything.", owner(core, name))
}

/// What to call whoever answers what a subscription asks for.
fn owner(core: &Core, name: &Name) -> String {
    let owner = asked(core, name).into_iter().rev().find_map(|plan| {
        let spec = core.plan(&plan)?;
        let product = look::resolve_product(spec.products.first()?, &plan);
        Some(core.product(&product)?.owner.as_ref()?.name.clone())
    });
    owner.unwrap_or_else(|| "The owner".to_owned())
}

/// What else a subscription that has something asks its owner for, in sentences.
fn asks_for(
    core: &Core,
    name: &Name,
    granted: Option<&Name>,
    stage: SubscriptionStage,
    has: impl Fn(&str) -> bool,
) -> Option<String> {
    if !core.asks(name) {
        return None;
    }
    let spec = core.subscription(name)?;
    let owner = owner(core, name);
    let title = |plan: &Name| core.plan(plan).map_or_else(|| plan.to_string(), |plan| plan.title.clone());
    let (granted, wanted) = (granted?, asked(core, name).pop()?);
    let is_copy = core.plan(granted).is_some_and(|plan| plan.custom_for.is_some());
    if *granted != wanted && !is_copy {
        let (wanted, granted) = (title(&wanted), title(granted));
        return Some(format!("It asks for plan {wanted}. {owner} looks at it, and plan {granted} serves until then."));
    }
    if stage == SubscriptionStage::InReview {
        return Some(format!("It asks to go live. {owner} looks at it, and the sandbox goes on meanwhile."));
    }
    let asks = spec.scopes.iter().any(|scope| !has(&scope.name));
    asks.then(|| format!("It asks for more scopes. {owner} looks at that, and what it has goes on meanwhile."))
}

/// The newest answer that counts and is not a grant, and its reason.
fn answer_against(core: &Core, name: &Name) -> Option<(Decision, String)> {
    let answers = core.approvals_of(name).filter(|answer| core.approval_stands(answer));
    let newest = answers.max_by_key(|answer| (core.created(&(*answer).clone().of(Kind::Approval)), *answer))?;
    let spec = core.approval(newest)?;
    let reason = spec.reason.clone().unwrap_or_else(|| "No reason is given.".to_owned());
    (spec.decision != Decision::Granted).then_some((spec.decision, reason))
}

/// A sentence that begins like one and ends like one.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

/// How a credential stands.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) name: Name,
    pub(crate) title: String,
    pub(crate) environment: String,
    pub(crate) state: State,
    pub(crate) fingerprint: Option<String>,
    pub(crate) generation: Option<i64>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) previous_until: Option<Timestamp>,
    /// What its own file says: which generation is asked for, and whether it is off.
    pub(crate) asked: i64,
    pub(crate) is_off: bool,
    /// Whether its own file says that the old key ends at once.
    pub(crate) ends_at_once: bool,
}

impl Credential {
    /// Whether its key is on its way.
    pub(crate) fn is_being_made(&self) -> bool {
        self.state.tone == Tone::Info
    }
}

/// How a credential stands; `None` where there is none.
pub(crate) fn credential(core: &Core, name: &Name) -> Option<Credential> {
    let spec = core.credential(name)?;
    let status = core.status(&name.clone().of(Kind::Credential))?;
    let ready = status.condition("Ready")?;
    let (label, tone, text) = match (ready.status, ready.reason) {
        (true, "Ready") => ("Works", Tone::Good, None),
        (true, "ExpiresSoon") => ("Ends soon", Tone::Warn, None),
        (_, "Suspended") => ("Paused", Tone::Plain, Some("Its subscription is paused.".to_owned())),
        (_, "Disabled") => ("Off", Tone::Plain, Some("It works again once it is switched on.".to_owned())),
        (_, "Cancelled" | "Expired") => ("Over", Tone::Plain, None),
        (_, "Rejected") => ("Turned down", Tone::Bad, None),
        (_, "Pending") => ("Waiting", Tone::Warn, Some(sentence(&ready.message))),
        (_, "Programming" | "Issuing") => ("Being made", Tone::Info, None),
        _ => ("Does not work", Tone::Bad, Some(sentence(&ready.message))),
    };
    let (generations, fingerprint, previous_until, expires_at) = match status.detail.clone() {
        Some(Detail::Credential { generations, fingerprint, previous_valid_until, expires_at }) => {
            (generations, fingerprint, previous_valid_until, expires_at)
        }
        _ => (Vec::new(), None, None, None),
    };
    let environment = look::resolve(&spec.environment, name);
    let environment = core.environment(&environment).and_then(|spec| spec.title.clone());
    Some(Credential {
        name: name.clone(),
        title: spec.title.unwrap_or_else(|| name.name().to_string()),
        environment: environment.unwrap_or_else(|| spec.environment.name.clone()),
        state: State { label, tone, text },
        fingerprint,
        generation: generations.last().copied(),
        expires_at,
        previous_until,
        asked: spec.generation,
        is_off: spec.disabled,
        ends_at_once: spec.overlap.is_some_and(|overlap| overlap.seconds == 0),
    })
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn sentences_are_sentences() {
        assert_eq!(sentence("it was cancelled on Monday"), "It was cancelled on Monday.");
        assert_eq!(sentence("Why?"), "Why?");
        assert_eq!(sentence(""), ".");
    }
}
