//! What an owner can say about a subscription, on its page.

use maud::{Markup, html};
use portico_core::Core;
use portico_core::key::Name;
use portico_crds::{ApprovalMode, ScopeMode};

use super::inbox::{How, card};
use crate::act::answer::scopes_granted;
use crate::gather::inbox::{Request, request};
use crate::gather::{address, plans, state};
use crate::may::decides_about;
use crate::people::Person;
use crate::ui::Frame;

/// What may be answered.
#[derive(Clone, Debug)]
pub(super) struct Answerable {
    name: Name,
    /// What waits for an answer, or was told no and can be answered again.
    request: Option<Request>,
    /// The title of the plan that can be taken back.
    granted: Option<String>,
    /// Scopes that can be taken back by themselves: names and titles.
    scopes: Vec<(String, String)>,
}

/// What somebody can say about a subscription as its owner; `None` if nothing.
pub(super) fn answerable(core: &Core, person: Option<&Person>, name: &Name) -> Option<Answerable> {
    let person = person?;
    let can_answer = core.asks(name) || core.is_refused(name);
    let asked = can_answer.then(|| request(core, person, name)).flatten();
    let asked = asked.filter(|request| request.undecided.is_none());
    let standing = state::subscription(core, name)?;
    let granted =
        standing.plan.filter(|plan| state::holds(standing.phase) && decides_about(core, person, name, plan).is_ok());
    let mut scopes = Vec::new();
    if let Some((plan, spec)) = granted.as_ref().and_then(|plan| Some((plan, core.plan(plan)?))) {
        let by_answer = scopes_granted(core, name, plan);
        let is_manual = spec.approval.mode == ApprovalMode::Manual;
        for scope in plans::scopes(core, plan, spec) {
            let needs_answer = scope.mode == ScopeMode::Restricted || (is_manual && scope.mode == ScopeMode::Optional);
            let has = standing.scopes.iter().any(|(_, granted)| *granted == scope.name);
            if needs_answer && has && by_answer.contains(&scope.name) {
                scopes.push((scope.name, scope.title));
            }
        }
    }
    let granted = granted.and_then(|plan| Some(core.plan(&plan)?.title.clone()));
    (asked.is_some() || granted.is_some()).then(|| Answerable { name: name.clone(), request: asked, granted, scopes })
}

/// The forms for it.
pub(super) fn section(frame: &Frame, answerable: &Answerable, once: &str) -> Markup {
    let Answerable { name, request, granted, scopes } = answerable;
    let how = How { once, writes: true, picks: false, from: "subscription" };
    html! {
        @if let Some(request) = request {
            section.stack aria-labelledby="answer" {
                h2 #answer { @if request.standing.is_refused { "You can answer again" } @else { "It waits for your answer" } }
                (card(frame, request, 0, &how))
            }
        }
        @if !scopes.is_empty() {
            section.card aria-labelledby="scopes-back" {
                h2 #scopes-back { "Take scopes back" }
                p.muted { "All else goes on, with the same keys." }
                details.more {
                    summary.button { "Choose scopes" }
                    form.stack method="post" action=(format!("{}/refuse", address("subscriptions", name))) {
                        (frame.csrf())
                        input type="hidden" name="once" value=(format!("{once}-fewer"));
                        input type="hidden" name="from" value="subscription";
                        fieldset {
                            legend.hidden-visually { "Scopes" }
                            @for (name, title) in scopes {
                                label.choice {
                                    input type="checkbox" name="scope" value=(name);
                                    span { span.strong { (title) } code.small { (name) } }
                                }
                            }
                        }
                        div.field {
                            label for="reason-fewer" { "Why they go, for whoever uses them" }
                            textarea #reason-fewer name="reason" maxlength="4096" required {}
                        }
                        div { button.button.danger type="submit" name="decision" value="fewer" { "Take them back" } }
                    }
                }
            }
        }
        @if let Some(plan) = granted {
            section.card aria-labelledby="take-back" {
                h2 #take-back { "Take access back" }
                p.muted { "What it has on plan " (plan) " ends at once, and its keys are destroyed. Granted anew, it gets new ones." }
                details.more {
                    summary.button.danger { "Take it back" }
                    form.stack method="post" action=(format!("{}/refuse", address("subscriptions", name))) {
                        (frame.csrf())
                        input type="hidden" name="once" value=(format!("{once}-revoke"));
                        input type="hidden" name="from" value="subscription";
                        div.field {
                            label for="reason-revoke" { "Why, for whoever uses it" }
                            textarea #reason-revoke name="reason" maxlength="4096" required {}
                        }
                        div { button.button.danger type="submit" name="decision" value="revoke" { "End its access" } }
                    }
                }
            }
        }
    }
}
