//! A product: what it is, its plans side by side, and its documentation.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use portico_crds::{Lifecycle, LifecycleStage, ScopeMode};

use super::Named;
use crate::error::Oops;
use crate::gather::address;
use crate::gather::plans;
use crate::gather::product::{Page, Product, product};
use crate::markdown;
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Icon, Place, Tab, badge, crumbs, empty, icon, notice, page, tabs, when};
use crate::words::{self, Tone};

/// Takes a product out of the core, with the frame around it.
pub(super) fn look(portal: &Portal, visitor: &Visitor, named: &(String, String)) -> Result<(Frame, Product), Oops> {
    let name = super::name(named);
    portal.reading.look(|core| {
        let product = product(core, visitor.person.as_ref(), &name).ok_or(Oops::NotFound)?;
        Ok((Frame::of(portal, core, visitor), product))
    })
}

/// The first sheet: what it is, and its plans.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Response, Oops> {
    let (frame, product) = look(&portal, &visitor, &named)?;
    let writes = portal.host.writes();
    let body = html! {
        (head(&product, &Sheet::Overview))
        div.aside.right {
            div.stack-wide {
                @if let Some(description) = &product.description { div.prose { (markdown::render(description)) } }
                section.stack aria-labelledby="plans" {
                    h2 #plans { "Plans" }
                    @if product.plans.is_empty() {
                        (empty("There is no plan for you yet", &html! {
                            p {
                                "Without a plan nobody can subscribe. "
                                @if frame.person.is_none() { "There may be more once you have signed in." }
                                @else if let Some(owner) = &product.owner { "Ask " (owner.name) "." }
                            }
                        }))
                    } @else {
                        div.plans { @for plan in &product.plans { (card(plan, writes)) } }
                    }
                }
            }
            aside.stack aria-label="About this API" { (about(&product)) }
        }
    };
    Ok(page(&frame, Place::Catalog, &product.title, &body))
}

/// A page of its documentation.
pub(crate) async fn docs(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path((namespace, name, slug)): Path<(String, String, String)>,
) -> Result<Response, Oops> {
    let (frame, product) = look(&portal, &visitor, &(namespace, name))?;
    let shown = product.docs.iter().find(|one| one.slug == slug).ok_or(Oops::NotFound)?;
    let text = match portal.host.file(&product.name, &shown.path).await {
        Ok(Some(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Ok(None) => Err("The file of this page is not in the repository.".to_owned()),
        Err(error) => Err(format!("The page cannot be read now: {error}")),
    };
    // A page that begins with its own title need not have it twice.
    let begins_with_title = text.as_ref().is_ok_and(|text| {
        text.trim_start()
            .strip_prefix("# ")
            .and_then(|rest| rest.lines().next())
            .is_some_and(|line| line.trim() == shown.title)
    });
    let body = html! {
        (head(&product, &Sheet::Docs))
        div.aside {
            (menu(&product, shown))
            article.prose {
                @if !begins_with_title { h2 { (shown.title) } }
                @if shown.is_for_subscribers { p.small.muted { "For subscribers" } }
                @match &text {
                    Ok(text) => (markdown::render(text)),
                    Err(why) => (notice(Tone::Warn, &html! { p { (why) } })),
                }
            }
        }
    };
    Ok(page(&frame, Place::Catalog, &format!("{} · {}", shown.title, product.title), &body))
}

/// The pages of a product's documentation.
fn menu(product: &Product, here: &Page) -> Markup {
    html! {
        nav.side aria-label="Documentation" {
            ul {
                @for one in &product.docs {
                    li {
                        a class=(format!("depth-{}", one.depth.min(4))) href=(docs_address(product, one))
                          aria-current=[(one == here).then_some("page")] { (one.title) }
                    }
                }
            }
        }
    }
}

fn docs_address(product: &Product, page: &Page) -> String {
    format!("{}/docs/{}", address("apis", &product.name), page.slug)
}

/// Which sheet of a product is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sheet {
    Overview,
    Docs,
    Reference,
}

/// What stands above all sheets of a product.
pub(super) fn head(product: &Product, sheet: &Sheet) -> Markup {
    let base = address("apis", &product.name);
    let mut all = vec![Tab { text: "Overview".to_owned(), to: base.clone(), is_here: *sheet == Sheet::Overview }];
    if let Some(first) = product.docs.first() {
        let to = docs_address(product, first);
        all.push(Tab { text: "Documentation".to_owned(), to, is_here: *sheet == Sheet::Docs });
    }
    if let Some(version) = product.versions.iter().find(|version| version.has_document) {
        let to = format!("{base}/reference/{}", version.name);
        all.push(Tab { text: "API reference".to_owned(), to, is_here: *sheet == Sheet::Reference });
    }
    html! {
        (crumbs(&[Crumb::new("APIs", "/")]))
        div.head {
            div.row { h1 { (product.title) } @if let Some(stage) = words::lifecycle(product.stage) { (badge(stage)) } }
            @if !product.tags.is_empty() {
                ul.tags aria-label="Tags" {
                    @for tag in &product.tags {
                        li { a.tag href=(format!("/?{}", serde_urlencoded::to_string([("tag", tag)]).unwrap_or_default())) { (tag) } }
                    }
                }
            }
            @if let Some(text) = ends("This API", product.stage, &product.lifecycle) {
                (notice(Tone::Warn, &html! {
                    p {
                        (text)
                        @if let Some((title, name)) = &product.replaced_by {
                            " Use " a href=(address("apis", name)) { (title) } " instead."
                        }
                    }
                    @if let Some(url) = &product.lifecycle.url { p { a href=(url) rel="noopener noreferrer" { "What to do" } } }
                }))
            }
        }
        @if all.len() > 1 { (tabs("Parts of this API", &all)) }
    }
}

/// That something ends, and when.
fn ends(what: &str, stage: LifecycleStage, lifecycle: &Lifecycle) -> Option<String> {
    match (stage, &lifecycle.sunset_at) {
        (LifecycleStage::Draft, _) => Some(format!("{what} is a draft: only its owner sees it.")),
        (LifecycleStage::Retired, _) => Some(format!("{what} is retired: nothing is served any more.")),
        (LifecycleStage::Deprecated, Some(sunset)) => {
            Some(format!("{what} is deprecated, takes nobody new, and ends on {}.", words::day(**sunset)))
        }
        (LifecycleStage::Deprecated, None) => Some(format!("{what} is deprecated and takes nobody new.")),
        (LifecycleStage::Published, _) => None,
    }
}

/// What one has to know beside the plans.
fn about(product: &Product) -> Markup {
    html! {
        div.card {
            h2 { "Where to call it" }
            @if product.addresses.is_empty() { p.muted { "It is not served anywhere yet." } }
            @for place in &product.addresses {
                div.stack-tight {
                    div.small.muted { (place.version) " · " (place.environment) ", " (words::environment(place.stage)) }
                    code { (place.url) }
                }
            }
        }
        div.card {
            h2 { "Versions" }
            @for version in &product.versions {
                @let stage = version.lifecycle.as_ref().map_or(LifecycleStage::Published, |lifecycle| lifecycle.stage);
                div.stack-tight {
                    div.row {
                        span.strong { (version.name) }
                        @match words::lifecycle(stage) {
                            Some(stage) => (badge(stage)),
                            None => (badge(("Current", Tone::Good))),
                        }
                    }
                    @if let Some(sunset) = version.lifecycle.as_ref().and_then(|lifecycle| lifecycle.sunset_at) {
                        div.small.muted { "Ends on " (when(*sunset)) }
                    }
                    @if version.has_document {
                        div.small { a href=(format!("{}/reference/{}", address("apis", &product.name), version.name)) { "Reference" } }
                    }
                }
            }
        }
        @if let Some(owner) = &product.owner {
            div.card {
                h2 { "Whom to ask" }
                p { (owner.name) @if let Some(mail) = &owner.mail { br; a href=(format!("mailto:{mail}")) { (mail) } } }
            }
        }
        @if product.oversees {
            div.card {
                h2 { "You look after it" }
                p { a href=(format!("{}/subscribers", address("apis", &product.name))) { "Who uses it" } }
                p { a href=(format!("{}/history", address("apis", &product.name))) { "Who did what with it" } }
            }
        }
    }
}

/// A plan, beside the others.
fn card(plan: &plans::Card, writes: bool) -> Markup {
    let of = |mode: ScopeMode| plan.scopes.iter().filter(move |scope| scope.mode == mode);
    let scopes = |label: &str, mode: ScopeMode| {
        html! {
            @if of(mode).next().is_some() {
                div.stack-tight {
                    h4 { (label) }
                    ul.points {
                        @for scope in of(mode) {
                            li { (icon(if mode == ScopeMode::Active { Icon::Check } else { Icon::Dash })) span {
                                (scope.title)
                                @if let Some(description) = &scope.description { span.small.muted { " – " (description) } }
                            } }
                        }
                    }
                }
            }
        }
    };
    html! {
        section.card.plan aria-label=(format!("Plan {}", plan.title)) {
            div.stack-tight {
                div.row.between { h3 { (plan.title) } @if let Some(stage) = words::lifecycle(plan.stage) { (badge(stage)) } }
                div.price { (plan.price) @if let Some(note) = &plan.price_note { " " small { (note) } } }
                @if let Some(description) = &plan.description { div.muted { (markdown::render(description)) } }
            }
            ul.points {
                li { (icon(Icon::Check)) span { (plan.approval) } }
                @for point in &plan.points { li { (icon(Icon::Check)) span { (point) } } }
                @for without in &plan.without { li.no { (icon(Icon::Dash)) span { (without) } } }
                @if !plan.also.is_empty() { li { (icon(Icon::Check)) span { "Also opens " (words::listed(&plan.also)) } } }
            }
            (scopes("Comes with", ScopeMode::Active))
            (scopes("Can be asked for", ScopeMode::Optional))
            (scopes("Has to be granted", ScopeMode::Restricted))
            @if let Some(terms) = &plan.terms {
                details {
                    summary { "Terms, version " (terms.version) }
                    @if let Some(text) = &terms.text { div.prose.small { (markdown::render(text)) } }
                    @if let Some(url) = &terms.url { p { a href=(url) rel="noopener noreferrer" { "Read the terms" } } }
                }
            }
            @if plan.contract.is_none() && writes && matches!(plan.stage, LifecycleStage::Published | LifecycleStage::Draft) {
                a.button.first.wide.foot href=(address("subscribe", &plan.name)) {
                    "Subscribe" span.hidden-visually { " to plan " (plan.title) }
                }
            }
            @if let Some(contract) = &plan.contract {
                a.button.first.wide href=(contract.url) rel="noopener noreferrer" { (contract.call_to_action) }
            }
        }
    }
}
