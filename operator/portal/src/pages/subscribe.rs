//! From a plan to access, a step at a time. The steps keep what was said in the form itself, so they need no script and no
//! memory; steps that do not apply are left out.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use portico_crds::{FieldKind, ScopeMode};

use super::Named;
use crate::act::subscribe::{Draft, Step, is_open, steps};
use crate::error::Oops;
use crate::form::Posted;
use crate::gather::address;
use crate::gather::offer::{Offer, offer};
use crate::markdown;
use crate::people::Person;
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Icon, Place, crumbs, empty, facts, icon, notice, page};
use crate::wish;
use crate::words::{self, Tone};

/// What a step is called.
fn called(step: Step) -> &'static str {
    match step {
        Step::Application => "Application",
        Step::Properties => "Details",
        Step::Scopes => "Scopes",
        Step::Terms => "Terms",
        Step::Review => "Review",
    }
}

/// What the form of another step carries along.
fn carried(draft: &Draft, step: Step) -> Markup {
    let hidden =
        |name: &str, value: &str| html! { @if !value.is_empty() { input type="hidden" name=(name) value=(value); } };
    html! {
        (hidden("once", &draft.once))
        input type="hidden" name="step" value=(step.word());
        @if step != Step::Application {
            (hidden("application", &draft.application))
            (hidden("team", &draft.team))
            (hidden("title", &draft.title))
            (hidden("description", &draft.description))
        }
        @if step != Step::Properties {
            @for (name, value) in &draft.properties { (hidden(&format!("property:{name}"), value)) }
        }
        @if step != Step::Scopes {
            @for scope in &draft.scopes { (hidden("scope", scope)) }
            @for (scope, reason) in &draft.reasons { (hidden(&format!("reason:{scope}"), reason)) }
        }
        @if step != Step::Terms { (hidden("terms", &draft.terms)) }
        @if step != Step::Review { (hidden("environment", &draft.environment)) }
    }
}

fn look(portal: &Portal, visitor: &Visitor, named: &(String, String)) -> Result<(Frame, Person, Offer), Oops> {
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let name = super::name(named);
    portal.reading.look(|core| {
        let offer = offer(core, &person, &name).ok_or(Oops::NotFound)?;
        Ok((Frame::of(portal, core, visitor), person.clone(), offer))
    })
}

/// The first step.
pub(crate) async fn begin(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Response, Oops> {
    let once = wish::form(&portal).await?;
    let (frame, _, offer) = look(&portal, &visitor, &named)?;
    let mut draft = Draft { once, ..Draft::default() };
    draft.application = match offer.applications.first() {
        Some((name, _)) => name.to_string(),
        None => "new".to_owned(),
    };
    Ok(show(&frame, &offer, &draft, Step::Application, None))
}

/// Another step, or the end.
pub(crate) async fn go_on(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(pairs): Posted<Vec<(String, String)>>,
) -> Result<Response, Oops> {
    let (frame, person, offer) = look(&portal, &visitor, &named)?;
    is_open(&offer)?;
    let mut draft = Draft::read(&pairs);
    draft.scopes.retain(|scope| offer.scopes.iter().any(|known| known.name == *scope));
    draft.properties.retain(|name, _| offer.properties.iter().any(|known| known.name == *name));
    let said = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let steps = steps(&offer);
    let at = steps.iter().position(|step| said("step") == Some(step.word())).unwrap_or_default();
    if said("go") == Some("back") {
        return Ok(show(&frame, &offer, &draft, steps[at.saturating_sub(1)], None));
    }
    // Whatever the form says of the steps before, they are looked at again.
    let missing = steps[..=at].iter().find_map(|step| Some((*step, draft.missing(&offer, *step)?)));
    if let Some((step, text)) = missing {
        return Ok(show(&frame, &offer, &draft, step, Some(&text)));
    }
    if let Some(next) = steps.get(at + 1) {
        return Ok(show(&frame, &offer, &draft, *next, None));
    }
    let name = super::name(&named);
    let deed = portal.reading.look(|core| draft.finish(core, &offer, &name))?;
    let subscription = deed.about.name.clone();
    let landed = deed.submit(&portal, &person, &draft.once).await?;
    if let Some(id) = &landed.waits {
        return Ok(Redirect::to(&super::review::address(id)).into_response());
    }
    Ok(Redirect::to(&super::landed::address(&landed.commit, &subscription)).into_response())
}

fn show(frame: &Frame, offer: &Offer, draft: &Draft, step: Step, missing: Option<&str>) -> Response {
    let steps = steps(offer);
    let at = steps.iter().position(|one| *one == step).unwrap_or_default();
    let is_last = at + 1 == steps.len();
    let action = address("subscribe", &offer.card.name);
    let title = offer.product.as_ref().map_or(offer.card.title.as_str(), |(_, title)| title);
    let mut way = vec![Crumb::new("APIs", "/")];
    if let Some((product, title)) = &offer.product {
        way.push(Crumb::new(title.as_str(), address("apis", product)));
    }
    let can = !offer.applications.is_empty() || !offer.teams.is_empty();
    let body = html! {
        (crumbs(&way))
        div.narrow.stack-wide {
            div.head { h1 { "Subscribe to " (title) } p.lead { "Plan " (offer.card.title) ". " (offer.card.approval) "." } }
            @if let Some(closed) = &offer.closed {
                (empty("It cannot be subscribed to", &html! { p { (closed) } }))
            } @else if !can && !offer.have.is_empty() {
                (already(offer))
            } @else if !can {
                (empty("You cannot subscribe for any team", &html! {
                    p { "It takes a team with full access for you, in a namespace that the owner of this API admits." }
                }))
            } @else {
                ol.steps aria-label="Steps" {
                    @for (index, one) in steps.iter().enumerate() {
                        li class=[(index < at).then_some("done")] aria-current=[(index == at).then_some("step")] { (called(*one)) }
                    }
                }
                @if let Some(missing) = missing { div role="alert" { (notice(Tone::Bad, &html! { p #missing { (missing) } })) } }
                form.stack-wide method="post" action=(action) {
                    (frame.csrf())
                    (carried(draft, step))
                    @match step {
                        Step::Application => (application_step(offer, draft)),
                        Step::Properties => (properties_step(offer, draft)),
                        Step::Scopes => (scopes_step(offer, draft)),
                        Step::Terms => (terms_step(offer, draft)),
                        Step::Review => (review_step(offer, draft)),
                    }
                    div.row {
                        @if is_last { button.button.first type="submit" name="go" value="finish" {
                            @if offer.is_manual { "Send the request" } @else { "Subscribe" }
                        } }
                        @else { button.button.first type="submit" name="go" value="next" { "Go on" } }
                        @if at > 0 { button.button type="submit" name="go" value="back" formnovalidate { "Back" } }
                    }
                }
            }
        }
    };
    page(frame, Place::Catalog, &format!("Subscribe to {title}"), &body)
}

fn already(offer: &Offer) -> Markup {
    empty(
        "You have it already",
        &html! {
            @for (_, title, subscription) in &offer.have {
                p { a href=(address("subscriptions", subscription)) { (title) } " subscribes to it." }
            }
        },
    )
}

fn application_step(offer: &Offer, draft: &Draft) -> Markup {
    html! {
        fieldset {
            legend { h2 { "Which application calls it?" } }
            @for (name, title) in &offer.applications {
                label.choice {
                    input type="radio" name="application" value=(name) required checked[draft.application == name.to_string()];
                    span { span.strong { (title) } code.small { (name) } }
                }
            }
            @if !offer.teams.is_empty() {
                label.choice {
                    input type="radio" name="application" value="new" required checked[draft.application == "new"];
                    span { span.strong { "A new one" } span.small.muted { "A program that calls APIs. It has keys of its own." } }
                }
            }
        }
        @if !offer.teams.is_empty() {
            fieldset.when-new {
                legend { h2 { "The new application" } }
                div.field {
                    label for="title" { "Name" }
                    input #title type="text" name="title" value=(draft.title) maxlength="128" autocomplete="off" aria-describedby="title-hint";
                    p.hint #title-hint { "What people call it, for example “Web shop”. At least 3 characters." }
                }
                div.field {
                    label for="description" { "What it does" }
                    textarea #description name="description" maxlength="4096" aria-describedby="description-hint" { (draft.description) }
                    p.hint #description-hint { "A sentence or two. Whoever approves requests reads it." }
                }
                @if offer.teams.len() > 1 {
                    div.field {
                        label for="team" { "Team" }
                        select #team name="team" {
                            @for (name, title) in &offer.teams { option value=(name) selected[draft.team == name.to_string()] { (title) } }
                        }
                    }
                }
            }
        }
        @for (_, title, subscription) in &offer.have {
            p.small.muted { (title) " subscribes to it already: " a href=(address("subscriptions", subscription)) { "look at it" } }
        }
    }
}

fn properties_step(offer: &Offer, draft: &Draft) -> Markup {
    html! {
        section.stack {
            h2 { "What the owner of this API wants to know" }
            @for (index, property) in offer.properties.iter().enumerate() {
                @let id = format!("property-{index}");
                @let name = format!("property:{}", property.name);
                @let answer = draft.properties.get(&property.name).map_or("", String::as_str);
                @match property.kind {
                    FieldKind::Checkbox => label.choice {
                        input type="checkbox" name=(name) value="true" required[property.required] checked[answer == "true"];
                        span.strong { (property.title) }
                    },
                    FieldKind::Choice => div.field {
                        label for=(id) { (property.title) @if !property.required { " (optional)" } }
                        select id=(id) name=(name) required[property.required] {
                            option value="" selected[answer.is_empty()] { "" }
                            @for choice in &property.choices { option value=(choice) selected[answer == choice.as_str()] { (choice) } }
                        }
                    },
                    FieldKind::Text => div.field {
                        label for=(id) { (property.title) @if !property.required { " (optional)" } }
                        input id=(id) type="text" name=(name) value=(answer) maxlength="1024" required[property.required] autocomplete="off";
                    },
                }
            }
        }
    }
}

fn scopes_step(offer: &Offer, draft: &Draft) -> Markup {
    html! {
        fieldset {
            legend { h2 { "What should it be able to do?" } }
            p.muted { "Ask for no more than you need. You can ask for more later." }
            @for (index, scope) in offer.scopes.iter().enumerate() {
                label.choice {
                    input type="checkbox" name="scope" value=(scope.name) checked[draft.scopes.contains(&scope.name)];
                    span {
                        span.row { span.strong { (scope.title) } code.small { (scope.name) } }
                        @if let Some(description) = &scope.description { span.small.muted { (description) } }
                        @if scope.mode == ScopeMode::Restricted { span.small.muted { "Somebody has to grant it." } }
                    }
                }
                @if scope.mode == ScopeMode::Restricted || offer.is_manual {
                    div.field {
                        label for=(format!("reason-{index}")) { "What “" (scope.title) "” is needed for" }
                        input id=(format!("reason-{index}")) type="text" name=(format!("reason:{}", scope.name)) maxlength="4096"
                              value=(draft.reasons.get(&scope.name).map_or("", String::as_str));
                    }
                }
            }
        }
    }
}

fn terms_step(offer: &Offer, draft: &Draft) -> Markup {
    let Some(terms) = &offer.card.terms else { return html! {} };
    html! {
        section.stack {
            h2 { "Terms, version " (terms.version) }
            @if let Some(text) = &terms.text { div.card { div.prose { (markdown::render(text)) } } }
            @if let Some(url) = &terms.url { p { a href=(url) target="_blank" rel="noopener noreferrer" { "Read the terms (in a new tab)" } } }
            label.choice {
                input type="checkbox" name="terms" value=(terms.version) required checked[draft.terms == terms.version];
                span.strong { "I accept these terms for my team" }
            }
        }
    }
}

fn review_step(offer: &Offer, draft: &Draft) -> Markup {
    let application = draft.existing(offer).map_or(draft.title.as_str(), |(_, title)| title);
    let is_new = draft.existing(offer).is_none();
    let scopes: Vec<&str> = offer
        .scopes
        .iter()
        .filter(|scope| draft.scopes.contains(&scope.name))
        .map(|scope| scope.title.as_str())
        .collect();
    html! {
        section.stack {
            h2 { "Is this right?" }
            div.card {
                (facts(&[
                    ("Application", html! { (application) @if is_new { " (new)" } }),
                    ("Plan", html! { (offer.card.title) }),
                    ("Price", html! { (offer.card.price) @if let Some(note) = &offer.card.price_note { " " (note) } }),
                    ("Details", html! {
                        @if draft.properties.is_empty() { "None" }
                        @for property in &offer.properties {
                            @if let Some(answer) = draft.properties.get(&property.name) { p { (property.title) ": " (answer) } }
                        }
                    }),
                    ("Scopes", html! { @if scopes.is_empty() { "Those that come with it" } @else { (scopes.join(", ")) } }),
                ]))
                ul.points { @for point in &offer.card.points { li { (icon(Icon::Check)) span { (point) } } } }
            }
            @if offer.environments.len() > 1 {
                div.field {
                    label for="environment" { "Where the first key is for" }
                    select #environment name="environment" {
                        @for (name, title) in &offer.environments { option value=(name) selected[draft.environment == name.to_string()] { (title) } }
                    }
                }
            }
            p.muted {
                @if offer.is_manual { "What happens next: the request is written down in your name, and its owner looks at it." }
                @else { "What happens next: it is written down in your name, and enforced a moment later. Then you see your key." }
            }
            @if !offer.card.without.is_empty() { p.small.muted { "Mind: " (words::listed(&offer.card.without)) "." } }
        }
    }
}
