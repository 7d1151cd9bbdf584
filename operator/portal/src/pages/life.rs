//! What its team may do with a subscription: pause it, let it end, ask to go live. Each writes a field or two of its file.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_crds::{ScopeMode, SubscriptionStage, Terms};
use serde::Deserialize;
use serde_json::json;

use super::Named;
use crate::act::refer;
use crate::error::Oops;
use crate::form::Posted;
use crate::gather::address;
use crate::gather::change::change as other_plans;
use crate::gather::life::{Life, Step};
use crate::gather::plans;
use crate::host::Edit;
use crate::markdown;
use crate::people::Person;
use crate::portal::{Portal, Visitor};
use crate::ui::{Frame, when};
use crate::wish;

/// What a subscription's page needs to know to offer it.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    name: Name,
    life: Life,
    /// The titles of the plan that it has or asks for, and of the one that it wants to go to.
    plan: String,
    wanted: Option<String>,
    /// Whether there is another plan to go to.
    has_others: bool,
    /// Whether there are scopes to be asked for.
    has_scopes: bool,
}

impl Offered {
    /// Whether it can be ended at once.
    pub(super) fn may_cancel(&self) -> bool {
        self.life.may(Step::Cancel)
    }
}

/// What a subscription's team may do with it.
pub(super) fn offered(core: &Core, person: Option<&Person>, name: &Name) -> Option<Offered> {
    let found = other_plans(core, person, name)?;
    let here = found.life.granted.as_ref().unwrap_or(&found.life.own);
    let scopes = core.plan(here).map(|plan| plans::scopes(core, here, plan)).unwrap_or_default();
    let can_ask = scopes.iter().any(|scope| scope.mode != ScopeMode::Active);
    Some(Offered {
        name: name.clone(),
        plan: found.subject.plan,
        wanted: found.wanted,
        has_others: !found.others.is_empty(),
        has_scopes: can_ask || !found.life.spec.scopes.is_empty(),
        life: found.life,
    })
}

/// What was chosen.
#[derive(Debug, Deserialize)]
pub(crate) struct Chosen {
    once: String,
    what: String,
    day: Option<String>,
    version: Option<String>,
}

fn step(what: &str) -> Option<Step> {
    Some(match what {
        "keep-plan" => Step::KeepPlan,
        "go-live" => Step::GoLive,
        "stay-in-sandbox" => Step::StayInSandbox,
        "pause" => Step::Pause,
        "resume" => Step::Resume,
        "end-later" => Step::EndLater,
        "go-on" => Step::GoOn,
        "accept-terms" => Step::AcceptTerms,
        _ => return None,
    })
}

/// Takes a step, if it may be taken as the subscription stands.
pub(crate) async fn change(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(chosen): Posted<Chosen>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let step = step(&chosen.what).ok_or_else(|| Oops::Bad("That cannot be done with a subscription.".to_owned()))?;
    let (summary, edits) = portal.reading.look(|core| {
        let life = Life::of(core, &name).ok_or(Oops::NotFound)?;
        life.allows(step).map_err(Oops::Bad)?;
        let (does, edits) = edits(core, &name, &life, step, &chosen)?;
        let about = other_plans(core, Some(&person), &name).ok_or(Oops::NotFound)?;
        Ok::<_, Oops>((format!("{}: {does} {}", about.application_title, about.subject.product), edits))
    })?;
    wish::carry_out(&portal, &person, &chosen.once, summary, edits).await?;
    Ok(Redirect::to(&address("subscriptions", &name)).into_response())
}

/// What a step is called, and what it writes.
fn edits(
    core: &Core,
    name: &Name,
    life: &Life,
    step: Step,
    chosen: &Chosen,
) -> Result<(&'static str, Vec<Edit>), Oops> {
    let key = || name.clone().of(Kind::Subscription);
    let set = |path, value| Edit::Set { key: key(), path, value };
    let unset = |path| Edit::Unset { key: key(), path };
    Ok(match step {
        Step::Pause => ("pause", vec![set("spec.suspend", json!(true))]),
        Step::Resume => ("go on with", vec![unset("spec.suspend")]),
        Step::GoLive => ("ask to go live with", vec![set("spec.goLive", json!(true))]),
        Step::StayInSandbox => ("stay in the sandbox of", vec![unset("spec.goLive")]),
        Step::GoOn => ("take back the end of", vec![unset("spec.cancelAt")]),
        Step::EndLater => {
            let end = last_moment(chosen.day.as_deref().unwrap_or_default(), core.now())?;
            ("set an end to", vec![set("spec.cancelAt", json!(end.to_string()))])
        }
        Step::AcceptTerms => {
            let (field, terms) = life.terms.as_ref().ok_or(Oops::NotFound)?;
            if chosen.version.as_ref() != Some(&terms.version) {
                return Err(Oops::Bad(
                    "The terms have changed since, or were not accepted. Load the page anew, and read them.".to_owned(),
                ));
            }
            ("accept the terms of", vec![set(field, json!(terms.version))])
        }
        Step::KeepPlan if life.spec.change.is_some() => ("keep the plan of", vec![unset("spec.change")]),
        Step::KeepPlan => {
            let kept = life.granted.as_ref().ok_or(Oops::NotFound)?;
            let plan = json!(refer(kept, name.namespace()));
            // What it is on was accepted, or it would not be on it.
            let accepted = core.plan(kept).and_then(|plan| plan.terms.as_ref()).map(|terms| terms.version.clone());
            let accepted = match accepted {
                Some(version) => set("spec.acceptedTerms", json!(version)),
                None => unset("spec.acceptedTerms"),
            };
            ("keep the plan of", vec![set("spec.plan", plan), accepted])
        }
        Step::ChangePlan | Step::Scopes | Step::Cancel => return Err(Oops::NotFound),
    })
}

/// The last second of a day that is to come.
fn last_moment(day: &str, now: Timestamp) -> Result<Timestamp, Oops> {
    let day: Date = day.parse().map_err(|_| Oops::Bad("Choose a day.".to_owned()))?;
    let end = TimeZone::UTC.to_timestamp(day.at(23, 59, 59, 0));
    match end {
        Ok(end) if end > now => Ok(end),
        _ => Err(Oops::Bad("Choose a day that is to come. To end it now, cancel it.".to_owned())),
    }
}

/// Terms that have to be accepted before there is access.
pub(super) fn terms(frame: &Frame, offered: &Offered, once: &str) -> Markup {
    let Some((_, Terms { version, url, text })) = offered.life.terms.as_ref() else { return html! {} };
    html! {
        section.card.asks aria-labelledby="accept-terms" {
            h2 #accept-terms { "Accept the terms, version " (version) }
            p.muted { "What it asks for waits until your team has accepted them." }
            @if let Some(text) = text { div.prose { (markdown::render(text)) } }
            @if let Some(url) = url { p { a href=(url) target="_blank" rel="noopener noreferrer" { "Read the terms (in a new tab)" } } }
            (form(frame, offered, once, "accept-terms", &html! {
                label.choice {
                    input type="checkbox" name="version" value=(version) required;
                    span.strong { "I accept these terms for my team" }
                }
                div { button.button.first type="submit" { "Accept" } }
            }))
        }
    }
}

fn form(frame: &Frame, offered: &Offered, once: &str, what: &str, body: &Markup) -> Markup {
    html! {
        form.stack method="post" action=(format!("{}/life", address("subscriptions", &offered.name))) {
            (frame.csrf())
            input type="hidden" name="once" value=(format!("{once}-{what}"));
            input type="hidden" name="what" value=(what);
            (body)
        }
    }
}

/// Everything that may be done with a subscription as it stands, a row each.
pub(super) fn section(frame: &Frame, offered: &Offered, once: &str) -> Markup {
    let life = &offered.life;
    let button =
        |what: &str, text: &str| form(frame, offered, once, what, &html! { button.button type="submit" { (text) } });
    let to = address("subscriptions", &offered.name);
    let mut rows = Vec::new();
    rows.extend(plan_row(offered, &to, button));
    if offered.has_scopes && life.may(Step::Scopes) {
        let link = html! { a.button href=(format!("{to}/scopes")) { "Change scopes" } };
        rows.push(row("Scopes", &html! { "Ask for more of what the plan has, or give some up." }, &link));
    }
    rows.extend(live_row(life, button));
    if life.may(Step::Pause) {
        let text = html! { "Calls are answered with 401 until it goes on. Its keys are kept." };
        rows.push(row("Pause", &text, &button("pause", "Pause")));
    }
    if life.may(Step::Resume) {
        let text = html! { "It is paused. The same keys work again as soon as it goes on." };
        rows.push(row("Paused", &text, &button("resume", "Resume")));
    }
    if let Some(end) = life.ends().filter(|_| life.may(Step::GoOn)) {
        let text = html! { "It works until " (when(end)) ", and is over for good then." };
        rows.push(row("It ends", &text, &button("go-on", "Let it go on")));
    } else if life.may(Step::EndLater) {
        let day = html! {
            details.more {
                summary.button { "Set an end" }
                (form(frame, offered, once, "end-later", &html! {
                    div.field {
                        label for="day" { "The last day" }
                        input #day type="date" name="day" required;
                        p.hint { "It ends with that day, in UTC. Until then that can be taken back." }
                    }
                    div { button.button.first type="submit" { "End it then" } }
                }))
            }
        };
        rows.push(row("End on a day", &html! { "It works until then, and is over for good afterwards." }, &day));
    }
    html! {
        @if !rows.is_empty() {
            section.stack aria-labelledby="deeds" {
                h2 #deeds { "What you can do" }
                ul.card.flush.deeds { @for row in &rows { (row) } }
            }
        }
    }
}

fn row(title: &str, text: &Markup, control: &Markup) -> Markup {
    html! { li { div.stack-tight { h3 { (title) } p.muted { (text) } } div.control { (control) } } }
}

fn plan_row(offered: &Offered, to: &str, button: impl Fn(&str, &str) -> Markup) -> Option<Markup> {
    let life = &offered.life;
    let link = html! { a.button href=(format!("{to}/plan")) { "Change plan" } };
    match &offered.wanted {
        Some(wanted) => {
            let text = html! {
                "It asks for plan " span.strong { (wanted) } ". "
                @if life.is_live() { "Plan " (offered.plan) " serves until that is granted." }
            };
            let keep = button("keep-plan", &format!("Stay on {}", offered.plan));
            let control = html! {
                @if life.may(Step::KeepPlan) { (keep) }
                @if offered.has_others { (link) }
            };
            Some(row("Another plan", &text, &control))
        }
        None if offered.has_others => {
            let text = html! { "It has plan " span.strong { (offered.plan) } ". Keys stay the same on another one." };
            Some(row("Plan", &text, &link))
        }
        None => None,
    }
}

fn live_row(life: &Life, button: impl Fn(&str, &str) -> Markup) -> Option<Markup> {
    if life.may(Step::GoLive) {
        let text = html! {
            "It is in the sandbox, for trying out. The API's owner looks at it, and then it is open for real traffic."
        };
        return Some(row("Go live", &text, &button("go-live", "Ask to go live")));
    }
    if !life.may(Step::StayInSandbox) {
        return None;
    }
    let text = match life.stage {
        SubscriptionStage::InReview => "It waits for the API's owner, who looks at it. You need not do anything.",
        SubscriptionStage::ChangesRequested => {
            "The owner asks for changes first, as it says above. Once they are made, the owner can let it go live."
        }
        _ => "The owner has turned that down. They may answer again, and meanwhile the sandbox goes on.",
    };
    let control = button("stay-in-sandbox", "Take that back");
    Some(row("Going live", &html! { (text) }, &control))
}

#[cfg(test)]
mod tests {
    use super::last_moment;
    use jiff::Timestamp;

    #[test]
    fn an_end_is_the_end_of_a_day_that_is_to_come() {
        let now: Timestamp = "2026-03-03T12:00:00Z".parse().unwrap();
        assert_eq!(last_moment("2026-03-03", now).unwrap().to_string(), "2026-03-03T23:59:59Z");
        for bad in ["", "2026-03-02", "tomorrow", "2026-02-30", "99999-01-01"] {
            assert!(last_moment(bad, now).is_err(), "{bad}");
        }
    }
}
