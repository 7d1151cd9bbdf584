//! Who uses what somebody looks after.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::Named;
use crate::error::Oops;
use crate::gather::address;
use crate::gather::inbox::{self, Overseen};
use crate::gather::subscribers::{Subscribers, find, to_plan, to_product};
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Place, badge, crumbs, empty, lines, page, pages_of, when};
use crate::words;

/// How many subscribers a page lists.
const PART: usize = 50;

/// The plans that somebody looks after.
pub(crate) async fn plans(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Oops> {
    let person = visitor.person.as_ref().ok_or(Oops::NotFound)?;
    let (frame, plans) =
        portal.reading.look(|core| (Frame::of(&portal, core, &visitor), inbox::plans_of(core, person)));
    let rows: Vec<Vec<Markup>> = plans
        .iter()
        .map(|Overseen { name, title, product, subscriptions }| {
            vec![
                html! { (product) },
                html! { a href=(address("subscribers", name)) { (title) } },
                html! { (words::count(*subscriptions, "subscription")) },
            ]
        })
        .collect();
    let body = html! {
        div.head {
            h1 { "Subscribers" }
            p.lead { "Who uses the plans that you look after." }
        }
        @if rows.is_empty() {
            (empty("You look after no plan", &html! {
                p { "Owners are members of a team in the namespace of an API, and those whom a plan names as approvers." }
            }))
        } @else {
            div.card.flush { (lines("Plans", &["API", "Plan", "Subscriptions"], &rows)) }
        }
    };
    Ok(page(&frame, Place::Subscribers, "Subscribers", &body))
}

/// Whom to list, and which part of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Sought {
    #[serde(default)]
    q: String,
    page: Option<usize>,
}

impl Sought {
    fn part(&self) -> usize {
        self.page.unwrap_or(1).max(1)
    }

    fn span(&self) -> (usize, usize) {
        ((self.part() - 1).saturating_mul(PART), PART)
    }
}

/// Who uses a plan.
pub(crate) async fn of_plan(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Query(sought): Query<Sought>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let (frame, title, names) = portal.reading.look(|core| {
        let title = core.plan(&name).map(|plan| plan.title.clone()).ok_or(Oops::NotFound)?;
        Ok::<_, Oops>((Frame::of(&portal, core, &visitor), title, to_plan(core, &name)))
    })?;
    let found = find(&portal.reading, visitor.person.as_ref(), &names, &sought.q, sought.span());
    let shown =
        List { found: &found, all: names.len(), sought: &sought, base: &address("subscribers", &name), plans: false };
    let body = html! {
        (crumbs(&[Crumb::new("Subscribers", "/subscribers")]))
        div.head { h1 { (title) } p.lead { (words::count(names.len(), "subscription")) } }
        (list(&shown))
    };
    Ok(page(&frame, Place::Subscribers, &title, &body))
}

/// Who uses a product, on whichever plan.
pub(crate) async fn of_product(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Query(sought): Query<Sought>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let (frame, title, names) = portal.reading.look(|core| {
        let title = core.product(&name).map(|product| product.title.clone()).ok_or(Oops::NotFound)?;
        let names = to_product(core, visitor.person.as_ref(), &name);
        Ok::<_, Oops>((Frame::of(&portal, core, &visitor), title, names))
    })?;
    let found = find(&portal.reading, visitor.person.as_ref(), &names, &sought.q, sought.span());
    let base = format!("{}/subscribers", address("apis", &name));
    let shown = List { found: &found, all: names.len(), sought: &sought, base: &base, plans: true };
    let body = html! {
        (crumbs(&[Crumb::new("APIs", "/"), Crumb::new(title.as_str(), address("apis", &name))]))
        div.head {
            h1 { "Who uses " (title) }
            p.lead { (words::count(names.len(), "subscription")) " to the plans that you look after." }
        }
        (list(&shown))
    };
    Ok(page(&frame, Place::Subscribers, &format!("Who uses {title}"), &body))
}

/// A list of subscribers with a search above it.
struct List<'a> {
    found: &'a Subscribers,
    /// How many there are without a search.
    all: usize,
    sought: &'a Sought,
    base: &'a str,
    /// Whether they are on several plans.
    plans: bool,
}

fn list(shown: &List<'_>) -> Markup {
    let List { found, all, sought, base, plans } = shown;
    let mut heads = vec!["Application", "Team", "State", "Since"];
    if *plans {
        heads.insert(2, "Plan");
    }
    let rows: Vec<Vec<Markup>> = found
        .part
        .iter()
        .map(|one| {
            let mut row = vec![
                html! { a href=(address("subscriptions", &one.subscription)) { (one.application) } },
                html! { @if let Some(team) = &one.team { (team) } },
                html! {
                    (badge((one.standing.state.label, one.standing.state.tone)))
                    @if let Some(stage) = words::stage(one.standing.stage) { " " (badge(stage)) }
                },
                html! { @if let Some(since) = one.since { (when(since)) } },
            ];
            if *plans {
                row.insert(2, html! { (one.plan) });
            }
            row
        })
        .collect();
    let query = serde_urlencoded::to_string([("q", &sought.q)]).unwrap_or_default();
    let more = if sought.q.is_empty() { format!("{base}?") } else { format!("{base}?{query}&") };
    html! {
        @if *all == 0 {
            (empty("Nobody uses it yet", &html! { p { "Whoever subscribes turns up here." } }))
        } @else {
            div.stack {
                form.search role="search" method="get" action=(base) {
                    label.hidden-visually for="q" { "Search by application or team" }
                    input #q type="search" name="q" value=(sought.q) placeholder="Search by application or team" maxlength="200";
                    button.button type="submit" { "Search" }
                }
                @if !sought.q.is_empty() {
                    p.muted role="status" { (words::count(found.all, "subscription")) " found. " a href=(base) { "Show all" } }
                }
                @if !rows.is_empty() { div.card.flush { (lines("Subscribers", &heads, &rows)) } }
                (pages_of(&more, sought.part(), found.all.div_ceil(PART)))
            }
        }
    }
}
