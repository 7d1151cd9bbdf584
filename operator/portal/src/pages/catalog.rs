//! The catalogue.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use crate::gather::address;
use crate::gather::catalog::{Card, Catalog, Wanted, catalog};
use crate::markdown;
use crate::portal::{Portal, Visitor};
use crate::search;
use crate::ui::{Frame, Place, badge, empty, page, pages_of};
use crate::words;

/// What is looked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Sought {
    #[serde(default)]
    q: String,
    #[serde(default)]
    tag: String,
    page: Option<usize>,
}

/// How many products a page shows.
const PART: usize = 48;
/// Tags that are offered before the rest is left to searching.
const TAGS: usize = 16;

/// Shows the products that match.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Query(Sought { q, tag, page: part }): Query<Sought>,
) -> Response {
    let query = search::Query::new(&q);
    let in_docs = portal.search.in_docs(&portal, &query).await;
    let part = part.unwrap_or(1).max(1);
    let tag = Some(tag.as_str()).filter(|tag| !tag.is_empty());
    let (frame, found) = portal.reading.look(|core| {
        let wanted = Wanted { query: &query, tag, from: (part - 1).saturating_mul(PART), most: PART };
        let found = catalog(core, visitor.person.as_ref(), wanted, &in_docs);
        (Frame::of(&portal, core, &visitor), found)
    });
    let body = body(&frame, &found, &q, tag, part);
    page(&frame, Place::Catalog, if q.is_empty() { "" } else { "Search" }, &body)
}

fn body(frame: &Frame, found: &Catalog, q: &str, tag: Option<&str>, part: usize) -> Markup {
    let Catalog { cards, found, tags, all } = found;
    let is_sought = !q.is_empty() || tag.is_some();
    html! {
        div.hero {
            h1 { (frame.title) }
            @if let Some(description) = &frame.description { div.lead { (markdown::render(description)) } }
            form.search role="search" method="get" action="/" {
                label.hidden-visually for="q" { "Search the APIs and their documentation" }
                input #q type="search" name="q" value=(q) placeholder="Search APIs and documentation" maxlength="200";
                @if let Some(tag) = tag { input type="hidden" name="tag" value=(tag); }
                button.button.first type="submit" { "Search" }
            }
            @if !tags.is_empty() {
                nav aria-label="Tags" { ul.tags {
                    @for (name, count) in tags.iter().take(TAGS) {
                        @let is_here = tag == Some(name);
                        li { a.tag href=(with(q, (!is_here).then_some(name))) aria-current=[is_here.then_some("true")] {
                            (name) span.hidden-visually { ", " (words::count(*count, "API")) }
                        } }
                    }
                } }
            }
        }
        section.stack aria-labelledby="found" {
            h2 #found {
                @if is_sought { (words::count(*found, "API")) " found" } @else { "All APIs" }
            }
            @if cards.is_empty() && is_sought {
                (empty("Nothing matches", &html! {
                    p { "Every word has to be in an API's name, description, tags or documentation. Try fewer or shorter words." }
                    a.button href="/" { "Show all APIs" }
                }))
            } @else if *all == 0 {
                (empty("There is nothing here yet", &html! {
                    @if frame.person.is_some() {
                        p { "No API is published for you. Owners publish one with a file of kind ApiProduct." }
                    } @else {
                        p { "No API is published for everyone. There may be more once you have signed in." }
                        a.button.first href="/sign-in" { "Sign in" }
                    }
                }))
            } @else {
                div.grid { @for card in cards { (one(card, q)) } }
                (pages_of(&more(q, tag), part, found.div_ceil(PART)))
                @if frame.person.is_none() && !is_sought {
                    p.muted { a href="/sign-in" { "Sign in" } " to see APIs that are not for everyone." }
                }
            }
        }
    }
}

fn one(card: &Card, q: &str) -> Markup {
    html! {
        article.card.link {
            div.row.between {
                h3 { a href=(address("apis", &card.name)) { (card.title) } }
                @if let Some(stage) = words::lifecycle(card.stage) { (badge(stage)) }
            }
            @if !card.summary.is_empty() { p.muted.clip { (card.summary) } }
            @if let Some(title) = &card.page { p.small { "“" (q) "” is in its documentation: " (title) } }
            @if !card.tags.is_empty() {
                ul.tags aria-label="Tags" { @for tag in &card.tags { li { span.tag { (tag) } } } }
            }
            p.small.muted.foot {
                @if let Some(owner) = &card.owner { (owner) " · " }
                @if card.plans == 0 { "No plan yet" } @else { (words::count(card.plans, "plan")) }
            }
        }
    }
}

/// The beginning of an address of another part of the same.
fn more(q: &str, tag: Option<&str>) -> String {
    let address = with(q, tag.map(str::to_owned).as_ref());
    if address.contains('?') { format!("{address}&") } else { format!("{address}?") }
}

/// The catalogue with these words and this tag.
fn with(q: &str, tag: Option<&String>) -> String {
    let pairs = [("q", q), ("tag", tag.map_or("", String::as_str))];
    let query = serde_urlencoded::to_string(pairs.iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>());
    match query {
        Ok(query) if !query.is_empty() => format!("/?{query}"),
        _ => "/".to_owned(),
    }
}
