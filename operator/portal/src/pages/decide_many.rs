//! Several answers at once. Each is a commit of its own: one that cannot be given holds up no other.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use futures::future::join_all;
use maud::{Markup, html};
use portico_core::key::{Kind, Name};

use crate::act::answer::{Answer, Say, answer};
use crate::error::Oops;
use crate::form::Posted;
use crate::gather::address;
use crate::may::{Action, may};
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Place, badge, crumbs, lines, page};
use crate::wish;
use crate::words::{self, Tone};

/// So many are answered at once.
pub(super) const MOST: usize = 100;

/// What became of one answer.
struct Outcome {
    name: Name,
    about: String,
    /// The commit that it became, or why there is none.
    came: Result<String, String>,
}

/// Gives the same answer to several requests, and lists what became of each.
pub(crate) async fn answers(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Posted(pairs): Posted<Vec<(String, String)>>,
) -> Result<Response, Oops> {
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let said = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let say = Say::read(said("decision").unwrap_or_default(), said("reason"), &[])?;
    if matches!(say, Say::NoLonger(_) | Say::Fewer(..)) {
        return Err(Oops::Bad("What is granted is taken back one at a time.".to_owned()));
    }
    let mut picked: Vec<Name> = Vec::new();
    for (_, value) in pairs.iter().filter(|(name, _)| name == "pick") {
        let (namespace, name) = value.split_once('/').unwrap_or_default();
        let name = Name::new(namespace, name);
        if !picked.contains(&name) {
            picked.push(name);
        }
    }
    match picked.len() {
        0 => return Err(Oops::Bad("Choose at least one request.".to_owned())),
        1..=MOST => {}
        _ => return Err(Oops::Bad(format!("At most {MOST} requests are answered at once."))),
    }
    let once = said("once").unwrap_or_default();
    let answers: Vec<(Name, Result<Answer, Oops>)> = portal.reading.look(|core| {
        let mut others = BTreeSet::new();
        let answers = picked.into_iter().map(|name| {
            // Whether there is such a request is the business of those who look after it.
            let sees = may(core, Some(&person), Action::Oversee, &name.clone().of(Kind::Subscription));
            let saw = said(&format!("seen:{name}"));
            let answer = if sees { answer(core, &person, &name, &say, saw, &mut others) } else { Err(Oops::NotFound) };
            (name, answer)
        });
        answers.collect()
    });
    let sent = answers.into_iter().enumerate().map(|(index, (name, answer))| {
        let (portal, person, once) = (&portal, &person, format!("{once}-{index}"));
        async move {
            let Answer { called: about, deed } = match answer {
                Ok(answer) => answer,
                Err(Oops::NotFound) => {
                    let came = Err("There is no such request.".to_owned());
                    return Outcome { about: name.to_string(), name, came };
                }
                Err(oops) => return Outcome { about: name.to_string(), name, came: Err(oops.text()) },
            };
            let landed = deed.submit(portal, person, &once).await;
            Outcome { name, about, came: landed.map(|landed| landed.commit).map_err(|oops| oops.text()) }
        }
    });
    // They land together, as far as they can.
    let outcomes = join_all(sent).await;
    let landed = outcomes.iter().filter_map(|outcome| outcome.came.as_ref().ok());
    join_all(landed.map(|commit| wish::settle(&portal, commit))).await;
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    Ok(page(&frame, Place::Requests, "Answers", &results(&outcomes)))
}

fn results(outcomes: &[Outcome]) -> Markup {
    let went = outcomes.iter().filter(|outcome| outcome.came.is_ok()).count();
    let rows: Vec<Vec<Markup>> = outcomes
        .iter()
        .map(|Outcome { name, about, came }| {
            vec![
                html! {
                    @if about == &name.to_string() { code { (name) } }
                    @else { a href=(address("subscriptions", name)) { (about) } }
                },
                match came {
                    Ok(_) => badge(("Answered", Tone::Good)),
                    Err(_) => badge(("Not answered", Tone::Bad)),
                },
                match came {
                    Ok(commit) => html! { "Commit " code.small { (commit.chars().take(12).collect::<String>()) } },
                    Err(why) => html! { (why) },
                },
            ]
        })
        .collect();
    html! {
        (crumbs(&[Crumb::new("Requests", "/requests")]))
        div.stack-wide {
            div.head {
                h1 { "Answers" }
                p.lead role="status" {
                    @if went == outcomes.len() { (words::count(went, "request")) " answered." }
                    @else { (words::number(i64::try_from(went).unwrap_or_default())) " of " (words::count(outcomes.len(), "request")) " answered. The others are as they were." }
                }
            }
            div.card.flush { (lines("Answers", &["Request", "Answer", "What came of it"], &rows)) }
            div { a.button.first href="/requests" { "Back to the requests" } }
        }
    }
}
