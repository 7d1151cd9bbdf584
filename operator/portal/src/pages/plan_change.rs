//! Going to another plan: which there are, what is different there, and the wish itself.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{PlanChange, RequestedScope, Terms};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Named;
use crate::act::refer;
use crate::error::Oops;
use crate::form::Posted;
use crate::gather::address;
use crate::gather::change::{self, Change, Other};
use crate::gather::compare::Comparison;
use crate::gather::life::Step;
use crate::host::Edit;
use crate::markdown;
use crate::people::Person;
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Icon, Place, crumbs, empty, icon, notice, page};
use crate::wish;
use crate::words::{self, Tone};

fn look(portal: &Portal, visitor: &Visitor, name: &Name) -> Result<(Frame, Person, Change), Oops> {
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    portal.reading.look(|core| {
        let change = change::change(core, Some(&person), name).ok_or(Oops::NotFound)?;
        change.life.allows(Step::ChangePlan).map_err(Oops::Bad)?;
        Ok((Frame::of(portal, core, visitor), person.clone(), change))
    })
}

/// Which plan is looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Chosen {
    to: Option<String>,
}

/// The plans that there are, or a last look at one of them.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Query(Chosen { to }): Query<Chosen>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let once = wish::form(&portal).await?;
    let (frame, _, change) = look(&portal, &visitor, &name)?;
    let Some(to) = to else { return Ok(draw(&frame, &name, &change, &list(&name, &change))) };
    let other = find(&change, &to)?;
    Ok(draw(&frame, &name, &change, &last_look(&frame, &name, &change, other, &once)))
}

fn find<'a>(change: &'a Change, to: &str) -> Result<&'a Other, Oops> {
    let found = change.others.iter().find(|other| other.card.name.to_string() == to);
    found.ok_or_else(|| Oops::Bad("One cannot go to that plan from here.".to_owned()))
}

/// The wish.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    once: String,
    plan: String,
    /// The version of its terms that is accepted.
    terms: Option<String>,
}

/// Asks for another plan, or goes there.
pub(crate) async fn ask(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(Wanted { once, plan, terms }): Posted<Wanted>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let (_, person, change) = look(&portal, &visitor, &name)?;
    let other = find(&change, &plan)?;
    if change.life.wanted.as_ref() == Some(&other.card.name) {
        return Err(Oops::Bad(format!("It asks for plan {} already.", other.card.title)));
    }
    let version = other.card.terms.as_ref().map(|terms| &terms.version);
    if version.is_some() && version != terms.as_ref() {
        return Err(Oops::Bad(format!("The terms of plan {} have to be accepted.", other.card.title)));
    }
    let edits = edits(&name, &change, other);
    let from = &change.subject.plan;
    let summary = format!(
        "{}: change {} from plan {from} to {}",
        change.application_title, change.subject.product, other.card.title
    );
    wish::carry_out(&portal, &person, &once, summary, edits).await?;
    Ok(Redirect::to(&address("subscriptions", &name)).into_response())
}

/// The fields that say so. What serves is left as it is: the other plan stands beside it, under `change`.
fn edits(name: &Name, change: &Change, other: &Other) -> Vec<Edit> {
    let key = || name.clone().of(Kind::Subscription);
    let set = |path, value: Value| Edit::Set { key: key(), path, value };
    let unset = |path| Edit::Unset { key: key(), path };
    let maybe = |path, value: Option<&String>| value.map_or_else(|| unset(path), |value| set(path, json!(value)));
    let spec = &change.life.spec;
    let plan = refer(&other.card.name, name.namespace());
    let version = other.card.terms.as_ref().map(|terms| &terms.version);
    let mut edits = Vec::new();
    if change.serves() {
        let settled = spec
            .change
            .as_deref()
            .filter(|there| change.life.granted.as_ref() == Some(&look::resolve(&there.plan, name)));
        if let Some(there) = settled {
            // The change before this one was granted, so that is its plan now.
            edits.push(set("spec.plan", json!(there.plan)));
            edits.push(maybe("spec.acceptedTerms", there.accepted_terms.as_ref()));
        }
        let wish = PlanChange { plan, accepted_terms: version.cloned() };
        edits.push(set("spec.change", json!(wish)));
    } else {
        edits.push(set("spec.plan", json!(plan)));
        edits.push(maybe("spec.acceptedTerms", version));
        if spec.change.is_some() {
            edits.push(unset("spec.change"));
        }
    }
    // Until it is granted, what is not to be had there is needed here.
    let are_needed = change.serves() && other.by_request;
    if !other.lost.is_empty() && !are_needed {
        let kept: Vec<&RequestedScope> = spec.scopes.iter().filter(|scope| !other.lost.contains(&scope.name)).collect();
        edits.push(if kept.is_empty() { unset("spec.scopes") } else { set("spec.scopes", json!(kept)) });
    }
    edits
}

fn draw(frame: &Frame, name: &Name, change: &Change, body: &Markup) -> Response {
    let title = format!("{} for {}", change.subject.product, change.application_title);
    let whole = html! {
        (crumbs(&[Crumb::new("My applications", "/applications"), Crumb::new(title.as_str(), address("subscriptions", name))]))
        (body)
    };
    page(frame, Place::Applications, &format!("Change plan · {title}"), &whole)
}

fn list(name: &Name, change: &Change) -> Markup {
    let to = address("subscriptions", name);
    html! {
        div.stack-wide {
            div.head {
                h1 { "Change plan" }
                p.lead { "It has plan " (change.subject.plan) ". Keys stay the same on another plan." }
                @if let Some(wanted) = &change.wanted {
                    (notice(Tone::Info, &html! { p { "It asks for plan " (wanted) " already. Another choice takes the place of that wish." } }))
                }
            }
            @if change.others.is_empty() {
                (empty("There is no other plan for it", &html! {
                    p { "No other plan of this API takes " (change.application_title) " from here." }
                    a.button href=(to) { "Back" }
                }))
            } @else {
                div.plans { @for other in &change.others { (card(&to, other)) } }
            }
        }
    }
}

fn card(to: &str, other: &Other) -> Markup {
    let query = serde_urlencoded::to_string([("to", other.card.name.to_string())]).unwrap_or_default();
    html! {
        article.card.plan {
            div.stack-tight {
                h2 { (other.card.title) }
                @if let Some(description) = &other.card.description { p.muted { (description) } }
            }
            div.price { (other.card.price) @if let Some(note) = &other.card.price_note { " " small { (note) } } }
            (differences(&other.differs))
            p.small.muted { (next(other, "the plan before")) }
            a.button.foot href=(format!("{to}/plan?{query}")) { "Choose " (other.card.title) }
        }
    }
}

/// What is different, in lists.
pub(super) fn differences(differs: &Comparison) -> Markup {
    let list = |label: &str, class: &str, kind: Icon, items: &[String]| {
        html! {
            @if !items.is_empty() {
                div.stack-tight.differs {
                    h3 { (label) }
                    ul.points { @for item in items { li class=(class) { (icon(kind)) span { (item) } } } }
                }
            }
        }
    };
    html! {
        (list("New", "", Icon::Check, &differs.gains))
        (list("No longer", "no", Icon::Dash, &differs.loses))
        (list("As before", "", Icon::Check, &differs.stays))
    }
}

/// What happens next, in a sentence.
fn next(other: &Other, here: &str) -> String {
    if other.by_request {
        format!("Its owner looks at it first. Until they grant it, {here} serves.")
    } else {
        "It changes at once.".to_owned()
    }
}

fn last_look(frame: &Frame, name: &Name, change: &Change, other: &Other, once: &str) -> Markup {
    let to = address("subscriptions", name);
    let here = format!("plan {}", change.subject.plan);
    let happens = match (change.serves(), other.by_request) {
        (true, _) => next(other, &here),
        (false, true) => "It asks for this plan instead, and its owner looks at it.".to_owned(),
        (false, false) => "It asks for this plan instead.".to_owned(),
    };
    html! {
        div.narrow.stack-wide {
            div.head {
                h1 { "From " (change.subject.plan) " to " (other.card.title) }
                p.lead { (happens) }
            }
            section.card { h2 { "What is different" } (differences(&other.differs)) }
            @if !other.lost.is_empty() {
                (notice(Tone::Warn, &html! { p {
                    "Plan " (other.card.title) " has no " (words::listed(&other.lost)) ". "
                    @if change.serves() && other.by_request { "Once it is granted, take that away under Scopes." }
                    @else { "It is no longer asked for then." }
                } }))
            }
            form.stack method="post" action=(format!("{to}/plan")) {
                (frame.csrf())
                input type="hidden" name="once" value=(once);
                input type="hidden" name="plan" value=(other.card.name);
                @if let Some(Terms { version, url, text }) = &other.card.terms {
                    h2 { "Terms, version " (version) }
                    @if let Some(text) = text { div.card { div.prose { (markdown::render(text)) } } }
                    @if let Some(url) = url { p { a href=(url) target="_blank" rel="noopener noreferrer" { "Read the terms (in a new tab)" } } }
                    label.choice {
                        input type="checkbox" name="terms" value=(version) required;
                        span.strong { "I accept these terms for my team" }
                    }
                }
                div.row {
                    button.button.first type="submit" { @if other.by_request { "Ask for it" } @else { "Change the plan" } }
                    a.button href=(format!("{to}/plan")) { "Back" }
                }
            }
        }
    }
}
