//! The life of a subscription, written down once: its phases and stages, and what leads from one to another.
//!
//! What phase it is in follows from desired state and facts alone. This is what must be true of it nevertheless: the core
//! asserts that it goes only where [`may_become`] lets it, tests check each single event against [`PHASES`] and [`STAGES`], and
//! `docs/life.md` is drawn from them.

use std::fmt;
use std::fmt::Write as _;

use portico_crds::{Phase, SubscriptionStage};

/// What happens to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// What it asks for is granted: by the plan itself, by an Approval, or because what was in the way is gone.
    Granted,
    /// An Approval turns it down.
    Denied,
    /// An answer is taken away, or something that it needs: its Application, its plan, consent, its place, accepted terms.
    Withdrawn,
    /// A payment is due.
    Due,
    /// The payment provider says that it is paid, or nothing is to be paid any more.
    Paid,
    /// The payment provider says that it could not charge.
    Failed,
    /// Its file says `suspend: true`.
    Suspended,
    /// Its file no longer says that.
    Resumed,
    /// Its file says when it ends, and that is still to come.
    EndSet,
    /// Its file no longer says that.
    EndTaken,
    /// The moment comes that its file says.
    Ended,
    /// Its time on the plan is over, or the plan is retired.
    Over,
    /// It goes to another plan, or the plan's owner gives it more time.
    Renewed,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 13] = [
        Cause::Granted,
        Cause::Denied,
        Cause::Withdrawn,
        Cause::Due,
        Cause::Paid,
        Cause::Failed,
        Cause::Suspended,
        Cause::Resumed,
        Cause::EndSet,
        Cause::EndTaken,
        Cause::Ended,
        Cause::Over,
        Cause::Renewed,
    ];
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Cause::Granted => "granted",
            Cause::Denied => "denied",
            Cause::Withdrawn => "withdrawn",
            Cause::Due => "payment due",
            Cause::Paid => "paid",
            Cause::Failed => "payment failed",
            Cause::Suspended => "suspend",
            Cause::Resumed => "resume",
            Cause::EndSet => "cancelAt set",
            Cause::EndTaken => "cancelAt taken away",
            Cause::Ended => "cancelAt comes",
            Cause::Over => "time over",
            Cause::Renewed => "renewed",
        })
    }
}

/// Every phase.
pub const ALL_PHASES: [Phase; 9] = [
    Phase::Pending,
    Phase::PendingPayment,
    Phase::PaymentFailed,
    Phase::Active,
    Phase::Suspended,
    Phase::Rejected,
    Phase::PendingCancellation,
    Phase::Cancelled,
    Phase::Expired,
];

/// Where a subscription can go from a phase by one cause. What is not here is not possible. Nothing leads out of `Cancelled`.
pub const PHASES: &[(Phase, Cause, &[Phase])] = {
    use Cause::{
        Denied, Due, EndSet, EndTaken, Ended, Failed, Granted, Over, Paid, Renewed, Resumed, Suspended, Withdrawn,
    };
    use Phase::{Active, Cancelled, Expired, PaymentFailed, Pending, PendingCancellation, PendingPayment, Rejected};
    &[
        (Pending, Granted, &[Active, Phase::Suspended, PendingCancellation, PendingPayment, PaymentFailed]),
        (Pending, Denied, &[Rejected]),
        (Pending, Ended, &[Cancelled]),
        (Pending, Over, &[Expired]),
        (Rejected, Withdrawn, &[Pending, Active, Phase::Suspended, PendingCancellation, PendingPayment, PaymentFailed]),
        (Rejected, Granted, &[Active, Phase::Suspended, PendingCancellation, PendingPayment, PaymentFailed, Expired]),
        (Rejected, Renewed, &[Pending, Active, Phase::Suspended, PendingCancellation, PendingPayment, PaymentFailed]),
        (Rejected, Ended, &[Cancelled]),
        (PendingPayment, Paid, &[Active, Phase::Suspended, PendingCancellation]),
        (PendingPayment, Failed, &[PaymentFailed]),
        (PendingPayment, Denied, &[Rejected]),
        (PendingPayment, Withdrawn, &[Pending]),
        (PendingPayment, Renewed, &[Active, Phase::Suspended, PendingCancellation, Pending]),
        (PendingPayment, Ended, &[Cancelled]),
        (PendingPayment, Over, &[Expired]),
        (PaymentFailed, Paid, &[Active, Phase::Suspended, PendingCancellation]),
        (PaymentFailed, Due, &[PendingPayment]),
        (PaymentFailed, Denied, &[Rejected]),
        (PaymentFailed, Withdrawn, &[Pending]),
        (PaymentFailed, Renewed, &[Active, Phase::Suspended, PendingCancellation, Pending]),
        (PaymentFailed, Ended, &[Cancelled]),
        (PaymentFailed, Over, &[Expired]),
        (Active, Suspended, &[Phase::Suspended]),
        (Active, EndSet, &[PendingCancellation]),
        (Active, Ended, &[Cancelled]),
        (Active, Over, &[Expired]),
        (Active, Due, &[PendingPayment]),
        (Active, Failed, &[PaymentFailed]),
        (Active, Withdrawn, &[Pending]),
        (Active, Denied, &[Rejected]),
        (Active, Renewed, &[Pending, PendingPayment, PaymentFailed]),
        (PendingCancellation, EndTaken, &[Active]),
        (PendingCancellation, Suspended, &[Phase::Suspended]),
        (PendingCancellation, Ended, &[Cancelled]),
        (PendingCancellation, Over, &[Expired]),
        (PendingCancellation, Due, &[PendingPayment]),
        (PendingCancellation, Failed, &[PaymentFailed]),
        (PendingCancellation, Withdrawn, &[Pending]),
        (PendingCancellation, Denied, &[Rejected]),
        (PendingCancellation, Renewed, &[Pending, PendingPayment, PaymentFailed]),
        (Phase::Suspended, Resumed, &[Active, PendingCancellation]),
        (Phase::Suspended, Ended, &[Cancelled]),
        (Phase::Suspended, Over, &[Expired]),
        (Phase::Suspended, Due, &[PendingPayment]),
        (Phase::Suspended, Failed, &[PaymentFailed]),
        (Phase::Suspended, Withdrawn, &[Pending]),
        (Phase::Suspended, Denied, &[Rejected]),
        (Phase::Suspended, Renewed, &[Pending, PendingPayment, PaymentFailed]),
        (Expired, Renewed, &[Active, Phase::Suspended, PendingCancellation, Pending, PendingPayment, PaymentFailed]),
        (Expired, Withdrawn, &[Pending]),
        (Expired, Denied, &[Rejected]),
        (Expired, Ended, &[Cancelled]),
    ]
};

/// What moves a subscription on its way to production.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Its file says `goLive: true`.
    Asks,
    /// Its file no longer says that.
    AsksNoMore,
    /// An Approval lets it go live, or its plan no longer begins in the sandbox.
    LetGoLive,
    /// An Approval asks for changes first.
    ToldToChange,
    /// An Approval says no to going live: it stays in the sandbox.
    TurnedDown,
    /// The owner takes an answer back: that it may go live, or that it may not yet.
    TakenBack,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Step::Asks => "goLive set",
            Step::AsksNoMore => "goLive taken away",
            Step::LetGoLive => "let go live",
            Step::ToldToChange => "changes requested",
            Step::TurnedDown => "turned down",
            Step::TakenBack => "answer taken back",
        })
    }
}

/// Where a subscription can go from a stage by one step.
pub const STAGES: &[(SubscriptionStage, Step, &[SubscriptionStage])] = {
    use Step::{Asks, AsksNoMore, LetGoLive, TakenBack, ToldToChange, TurnedDown};
    use SubscriptionStage::{ChangesRequested, InReview, Production, Sandbox};
    &[
        (Sandbox, Asks, &[InReview, ChangesRequested]),
        (Sandbox, LetGoLive, &[Production]),
        (Sandbox, TakenBack, &[InReview]),
        (Sandbox, ToldToChange, &[ChangesRequested]),
        (InReview, AsksNoMore, &[Sandbox]),
        (InReview, LetGoLive, &[Production]),
        (InReview, ToldToChange, &[ChangesRequested]),
        (InReview, TurnedDown, &[Sandbox]),
        (ChangesRequested, AsksNoMore, &[Sandbox]),
        (ChangesRequested, TakenBack, &[InReview]),
        (ChangesRequested, TurnedDown, &[Sandbox]),
        (ChangesRequested, LetGoLive, &[Production]),
        (Production, TakenBack, &[Sandbox, InReview, ChangesRequested]),
    ]
};

/// Where it can go by one cause.
pub fn leads(from: Phase, cause: Cause) -> &'static [Phase] {
    let found = PHASES.iter().find(|(phase, known, _)| *phase == from && *known == cause);
    found.map_or(&[], |(_, _, to)| to)
}

/// Whether it can have gone there since, whatever and however much happened.
pub fn may_become(from: Phase, to: Phase) -> bool {
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(phase) = reached.get(next).copied() {
        if phase == to {
            return true;
        }
        let there = PHASES.iter().filter(|(from, ..)| *from == phase).flat_map(|(_, _, to)| *to);
        let new: Vec<Phase> = there.copied().filter(|phase| !reached.contains(phase)).collect();
        reached.extend(new);
        next += 1;
    }
    false
}

/// The page that shows it: two diagrams in Mermaid.
pub fn page() -> String {
    let mut text = String::from(
        "# The life of a subscription\n\n<!-- Made from operator/core/src/life.rs by scripts/generate. -->\n\n\
         What phase and stage a subscription is in follows from files and facts alone; its status says it. These are the ways \
         that it can go, and there are no others. Only `Active` and `PendingCancellation` have access.\n\n## Phases\n\n\
         Nothing leads out of `Cancelled`: its keys are destroyed, and what was cancelled does not begin again. `renewed`: it \
         goes to another plan, or the plan's owner gives it more time. `withdrawn`: an answer is taken away, or something that \
         it needs.\n\n```mermaid\nstateDiagram-v2\n    [*] --> Pending\n",
    );
    let mut arrows: Vec<(Phase, Phase, Vec<String>)> = Vec::new();
    for (from, cause, to) in PHASES {
        for to in *to {
            match arrows.iter_mut().find(|(one, other, _)| one == from && other == to) {
                Some((_, _, causes)) => causes.push(cause.to_string()),
                None => arrows.push((*from, *to, vec![cause.to_string()])),
            }
        }
    }
    for (from, to, causes) in arrows {
        let _ = writeln!(text, "    {from:?} --> {to:?}: {}", causes.join(", "));
    }
    text.push_str(
        "    Cancelled --> [*]\n```\n\n## Stages\n\nOn a plan with `sandbox.required` it begins in `Sandbox`, on others in `Production`. \
         A stage before `Production` opens environments of stage `Sandbox` only.\n\n```mermaid\nstateDiagram-v2\n    \
         [*] --> Sandbox\n    [*] --> Production\n",
    );
    for (from, step, to) in STAGES {
        for to in *to {
            let _ = writeln!(text, "    {from:?} --> {to:?}: {step}");
        }
    }
    text.push_str("```\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_reached_and_only_cancelled_is_final() {
        for phase in ALL_PHASES {
            assert!(may_become(Phase::Pending, phase), "{phase:?}");
            let leaves = Cause::ALL.iter().any(|cause| !leads(phase, *cause).is_empty());
            assert_eq!(leaves, phase != Phase::Cancelled, "{phase:?}");
        }
        for to in ALL_PHASES {
            assert_eq!(may_become(Phase::Cancelled, to), to == Phase::Cancelled, "{to:?}");
        }
    }

    #[test]
    fn each_way_is_written_once_and_goes_somewhere_else() {
        for (index, (from, cause, to)) in PHASES.iter().enumerate() {
            assert!(!to.is_empty() && !to.contains(from), "{from:?} by {cause}");
            assert!(
                !PHASES[..index].iter().any(|(one, other, _)| one == from && other == cause),
                "{from:?} by {cause}"
            );
        }
        for (index, (from, step, to)) in STAGES.iter().enumerate() {
            assert!(!to.is_empty() && !to.contains(from), "{from:?} by {step}");
            assert!(!STAGES[..index].iter().any(|(one, other, _)| one == from && other == step), "{from:?} by {step}");
        }
    }

    #[test]
    fn the_page_shows_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/life.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page(), "scripts/generate writes it anew");
    }
}
