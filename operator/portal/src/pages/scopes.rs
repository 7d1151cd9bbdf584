//! Asking for more scopes, and giving some up.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_crds::{ApprovalMode, RequestedScope, ScopeMode};
use serde_json::json;

use super::Named;
use crate::error::Oops;
use crate::form::Posted;
use crate::gather::address;
use crate::gather::consumer::{Subject, subject};
use crate::gather::life::{Life, Step};
use crate::gather::plans::{self, Scope};
use crate::gather::state;
use crate::host::Edit;
use crate::people::Person;
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Place, badge, crumbs, empty, notice, page};
use crate::wish;
use crate::words::{self, Tone};

/// A scope that the plan has.
#[derive(Clone, Debug)]
struct Choice {
    scope: Scope,
    has: bool,
    asked: bool,
    reason: String,
}

/// What the page shows.
#[derive(Clone, Debug)]
struct Shown {
    name: Name,
    life: Life,
    application_title: String,
    subject: Subject,
    choices: Vec<Choice>,
    /// Scopes that it asks for and that the plan has not.
    unknown: Vec<String>,
    is_manual: bool,
}

fn gather(core: &Core, person: &Person, name: &Name) -> Result<Shown, Oops> {
    let life = Life::of(core, name).ok_or(Oops::NotFound)?;
    life.allows(Step::Scopes).map_err(Oops::Bad)?;
    let standing = state::subscription(core, name).ok_or(Oops::NotFound)?;
    let plan_name = life.granted.clone().unwrap_or_else(|| life.own.clone());
    let subject = subject(core, Some(person), name).ok_or(Oops::NotFound)?;
    // Of a plan that it may not have, nothing is told.
    let plan = core.plan(&plan_name).filter(|_| subject.to.is_some());
    let known = plan.map(|plan| plans::scopes(core, &plan_name, plan)).unwrap_or_default();
    let asked = |scope: &str| life.spec.scopes.iter().find(|asked| asked.name == scope);
    let choice = |scope: Scope| Choice {
        has: standing.scopes.iter().any(|(_, granted)| *granted == scope.name),
        asked: asked(&scope.name).is_some(),
        reason: asked(&scope.name).and_then(|asked| asked.reason.clone()).unwrap_or_default(),
        scope,
    };
    let unknown = life.spec.scopes.iter().map(|asked| &asked.name);
    let unknown = unknown.filter(|asked| !known.iter().any(|scope| scope.name == **asked)).cloned().collect();
    let application = core.application(&name.beside(&life.spec.application.name));
    Ok(Shown {
        name: name.clone(),
        application_title: application.map_or_else(|| life.spec.application.name.clone(), |spec| spec.title.clone()),
        is_manual: plan.is_some_and(|plan| plan.approval.mode == ApprovalMode::Manual),
        choices: known.into_iter().filter(|scope| scope.mode != ScopeMode::Active).map(choice).collect(),
        unknown,
        subject,
        life,
    })
}

fn look(portal: &Portal, visitor: &Visitor, named: &(String, String)) -> Result<(Frame, Person, Shown), Oops> {
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    portal.reading.look(|core| {
        let shown = gather(core, &person, &super::name(named))?;
        Ok((Frame::of(portal, core, visitor), person.clone(), shown))
    })
}

/// The form.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Response, Oops> {
    let once = wish::form(&portal).await?;
    let (frame, _, shown) = look(&portal, &visitor, &named)?;
    Ok(draw(&frame, &shown, &once, None))
}

/// Writes down which scopes it asks for.
pub(crate) async fn change(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(pairs): Posted<Vec<(String, String)>>,
) -> Result<Response, Oops> {
    let (frame, person, mut shown) = look(&portal, &visitor, &named)?;
    let once = pairs.iter().find(|(name, _)| name == "once").map(|(_, value)| value.clone()).unwrap_or_default();
    let mut chosen: Vec<&str> = Vec::new();
    let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in &pairs {
        match name.strip_prefix("reason:") {
            Some(scope) => {
                reasons.insert(scope, value.trim());
            }
            None if name == "scope" && !chosen.contains(&value.as_str()) => chosen.push(value),
            None => {}
        }
    }
    for choice in &mut shown.choices {
        choice.asked = chosen.contains(&choice.scope.name.as_str());
        if let Some(reason) = reasons.get(choice.scope.name.as_str()) {
            (*reason).clone_into(&mut choice.reason);
        }
    }
    if let Some(missing) = missing(&shown.choices) {
        return Ok(draw(&frame, &shown, &once, Some(&missing)));
    }
    let asked = asked(&shown);
    if asked != shown.life.spec.scopes {
        let key = shown.name.clone().of(Kind::Subscription);
        let path = "spec.scopes";
        let edit =
            if asked.is_empty() { Edit::Unset { key, path } } else { Edit::Set { key, path, value: json!(asked) } };
        let summary = format!("{}: change scopes of {}", shown.application_title, shown.subject.product);
        wish::carry_out(&portal, &person, &once, summary, vec![edit]).await?;
    }
    Ok(Redirect::to(&address("subscriptions", &shown.name)).into_response())
}

/// What is missing, in a sentence.
fn missing(choices: &[Choice]) -> Option<String> {
    let asked = || choices.iter().filter(|choice| choice.asked);
    let unreasoned = asked().find(|choice| choice.scope.mode == ScopeMode::Restricted && choice.reason.is_empty());
    let long = asked().find(|choice| choice.reason.chars().count() > 4096);
    match (unreasoned, long) {
        (Some(choice), _) => Some(format!("Say what you need “{}” for: somebody decides by that.", choice.scope.title)),
        (None, Some(choice)) => Some(format!("What “{}” is needed for is too long.", choice.scope.title)),
        (None, None) => None,
    }
}

/// The scopes that are asked for then: those of before stay where they are.
fn asked(shown: &Shown) -> Vec<RequestedScope> {
    let before = |choice: &Choice| shown.life.spec.scopes.iter().position(|asked| asked.name == choice.scope.name);
    let mut asked: Vec<&Choice> = shown.choices.iter().filter(|choice| choice.asked).collect();
    asked.sort_by_key(|choice| before(choice).unwrap_or(usize::MAX));
    let scope = |choice: &Choice| RequestedScope {
        name: choice.scope.name.clone(),
        reason: Some(choice.reason.clone()).filter(|reason| !reason.is_empty()),
    };
    asked.into_iter().map(scope).collect()
}

fn draw(frame: &Frame, shown: &Shown, once: &str, missing: Option<&str>) -> Response {
    let to = address("subscriptions", &shown.name);
    let title = format!("{} for {}", shown.subject.product, shown.application_title);
    let body = html! {
        (crumbs(&[Crumb::new("My applications", "/applications"), Crumb::new(title.as_str(), to.as_str())]))
        div.narrow.stack-wide {
            div.head {
                h1 { "Scopes" }
                p.lead { "What " (shown.application_title) " may do with " (shown.subject.product) ", besides what everybody on plan " (shown.subject.plan) " may." }
            }
            @if let Some(missing) = missing { div role="alert" { (notice(Tone::Bad, &html! { p { (missing) } })) } }
            @if shown.choices.is_empty() && shown.unknown.is_empty() {
                (empty("There is nothing to ask for", &html! { p { "Everything that this plan has comes with it." } a.button href=(to) { "Back" } }))
            } @else {
                form.stack-wide method="post" action=(format!("{to}/scopes")) {
                    (frame.csrf())
                    input type="hidden" name="once" value=(once);
                    fieldset {
                        legend.hidden-visually { "Scopes" }
                        @for (index, choice) in shown.choices.iter().enumerate() { (one(shown, choice, index)) }
                    }
                    @if !shown.unknown.is_empty() {
                        (notice(Tone::Warn, &html! { p {
                            "This plan has no " (words::listed(&shown.unknown)) ". It is no longer asked for once you save."
                        } }))
                    }
                    p.muted { "What is given up is gone at once. What is new waits where it says so, and all else goes on meanwhile." }
                    div.row { button.button.first type="submit" { "Save" } a.button href=(to) { "Back" } }
                }
            }
        }
    };
    page(frame, Place::Applications, &format!("Scopes · {title}"), &body)
}

fn one(shown: &Shown, choice: &Choice, index: usize) -> Markup {
    let Choice { scope, has, asked, reason } = choice;
    let waits = scope.mode == ScopeMode::Restricted || shown.is_manual;
    html! {
        div.stack-tight {
            label.choice {
                input type="checkbox" name="scope" value=(scope.name) checked[*asked];
                span {
                    span.row {
                        span.strong { (scope.title) }
                        @if *has { (badge(("Granted", Tone::Good))) }
                        @else if *asked && shown.life.spec.scopes.iter().any(|one| one.name == scope.name) { (badge(("Asked for", Tone::Warn))) }
                    }
                    code.small { (scope.name) }
                    @if let Some(description) = &scope.description { span.small { (description) } }
                    span.small.muted {
                        @if waits { "The API's owner has to grant it." } @else { "You have it at once." }
                    }
                }
            }
            @if waits {
                div.field {
                    label for=(format!("reason-{index}")) { "What “" (scope.title) "” is needed for" @if scope.mode != ScopeMode::Restricted { " (optional)" } }
                    input id=(format!("reason-{index}")) type="text" name=(format!("reason:{}", scope.name)) maxlength="4096" value=(reason);
                }
            }
        }
    }
}
