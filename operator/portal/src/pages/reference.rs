//! The reference of an API: its operations, as its OpenAPI document describes them.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use portico_core::key::Name;

use super::explorer;
use super::product::{Sheet, head, look};
use crate::documents::Read;
use crate::error::Oops;
use crate::gather::address;
use crate::gather::product::Address;
use crate::guard::{AskedHost, Secure};
use crate::markdown;
use crate::openapi::{self, Field, Operation, Reference};
use crate::portal::{Portal, Visitor};
use crate::ui::{Place, lines, notice, page};
use crate::words::Tone;

/// A version's document: its text, or why there is none. `None`: the version has none.
pub(super) async fn text(portal: &Portal, product: &Name, version: &str) -> Option<Result<String, String>> {
    let source = portal.reading.look(|core| {
        let spec = core.product(product)?;
        spec.versions.iter().find(|one| one.name == version)?.openapi.clone()
    })?;
    if let Some(inline) = source.inline {
        return Some(Ok(inline));
    }
    let path = match (source.path, source.config_map) {
        (Some(path), _) => path,
        (None, Some(map)) => format!("{}/{}", map.name, map.key),
        (None, None) => return None,
    };
    Some(match portal.host.file(product, &path).await {
        Ok(Some(bytes)) if bytes.len() > openapi::MOST => Err("it is longer than 4 MiB".to_owned()),
        Ok(Some(bytes)) => String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned()),
        Ok(None) => Err(format!("there is no file {path}")),
        Err(error) => Err(error.to_string()),
    })
}

/// What a version's document says; else why it does not read. `None`: the version has none.
pub(super) async fn reference(portal: &Portal, product: &Name, version: &str) -> Option<Read> {
    // Asked first, so that what is kept is never older than it is said to be.
    let revision = portal.host.revision().await;
    let known = revision.as_ref().and_then(|revision| portal.documents.known(revision, product, version));
    if known.is_some() {
        return known;
    }
    let text = text(portal, product, version).await?;
    Some(portal.documents.read(revision, product, version, text).await)
}

/// The reference of a version.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Extension(host): Extension<AskedHost>,
    Extension(secure): Extension<Secure>,
    Path((namespace, name, version)): Path<(String, String, String)>,
) -> Result<Response, Oops> {
    let origin = explorer::Origin::of(&host, secure);
    let (frame, product) = look(&portal, &visitor, &(namespace, name))?;
    let read = reference(&portal, &product.name, &version).await.ok_or(Oops::NotFound)?;
    let raw = format!("{}/openapi/{version}", address("apis", &product.name));
    let versions: Vec<&str> =
        product.versions.iter().filter(|one| one.has_document).map(|one| one.name.as_str()).collect();
    let places: Vec<&Address> = product.addresses.iter().filter(|place| place.version == version).collect();
    let base = format!("{}/reference", address("apis", &product.name));
    let body = html! {
        (head(&product, &Sheet::Reference))
        div.aside {
            nav.side aria-label="Operations" {
                @if versions.len() > 1 {
                    div.row {
                        @for one in &versions {
                            a.tag href=(format!("{base}/{one}")) aria-current=[(*one == version).then_some("true")] { (one) }
                        }
                    }
                }
                @if let Ok(reference) = &*read {
                    (groups(reference))
                }
            }
            div.stack-wide {
                div.row.between {
                    p.muted { "Version " (version) }
                    a.button.small href=(raw) { "OpenAPI document" }
                }
                @if let Some(problem) = product.versions.iter().find(|one| one.name == version).and_then(|one| one.problem.as_ref()) {
                    (notice(Tone::Warn, &html! { strong { "The document has a mistake" } p { (problem) } }))
                }
                @match &*read {
                    Ok(reference) => {
                        (explorer::panel(&origin, &spots(&places), &reference.operations(), None, "h2"))
                        (operations(reference, !places.is_empty()))
                    },
                    Err(why) => (notice(Tone::Warn, &html! {
                        strong { "The document cannot be shown" }
                        p { (why) }
                    })),
                }
            }
        }
        @if !places.is_empty() { (explorer::script()) }
    };
    let answer = page(&frame, Place::Catalog, &format!("Reference · {}", product.title), &body);
    Ok(explorer::connected(answer, places.iter().map(|place| place.url.as_str())))
}

/// Where operations can be tried out.
fn spots<'a>(places: &[&'a Address]) -> Vec<explorer::Spot<'a>> {
    let spot = |place: &&'a Address| explorer::Spot {
        label: &place.environment,
        url: &place.url,
        header: &place.header,
        cors: place.cors.as_ref(),
    };
    places.iter().map(spot).collect()
}

/// The document itself, as it stands.
pub(crate) async fn document(
    State(portal): State<Portal>,
    Path((namespace, name, version)): Path<(String, String, String)>,
) -> Result<Response, Oops> {
    let product = Name::new(namespace, name);
    match text(&portal, &product, &version).await {
        Some(Ok(text)) => {
            let file = format!("attachment; filename=\"{}-{version}.yaml\"", product.name());
            let headers = [
                (header::CONTENT_TYPE, "application/vnd.oai.openapi".to_owned()),
                (header::CONTENT_DISPOSITION, file),
                (header::CACHE_CONTROL, "no-store".to_owned()),
            ];
            Ok((headers, text).into_response())
        }
        Some(Err(why)) => Err(Oops::Unavailable(format!("The document cannot be had: {why}."))),
        None => Err(Oops::NotFound),
    }
}

fn title(group: &str) -> &str {
    if group.is_empty() { "Operations" } else { group }
}

/// Links to the groups of operations.
pub(super) fn groups(reference: &Reference) -> Markup {
    html! {
        ul { @for (index, group) in reference.groups.iter().enumerate() {
            li { a href=(format!("#group-{index}")) { (title(&group.name)) } }
        } }
    }
}

/// Operations in their groups.
pub(super) fn operations(reference: &Reference, can_try: bool) -> Markup {
    let mut number = 0..;
    html! {
        @if let Some(description) = &reference.description { div.prose { (markdown::render(description)) } }
        @if reference.groups.is_empty() { p.muted { "The document describes no operation." } }
        @for (index, group) in reference.groups.iter().enumerate() {
            section.stack {
                h2 id=(format!("group-{index}")) { (title(&group.name)) }
                @if let Some(description) = &group.description { div.prose.muted { (markdown::render(description)) } }
                div.card.flush { @for operation in &group.operations { (one(operation, number.next().filter(|_| can_try))) } }
            }
        }
        @if reference.is_cut { p.muted { "There are more than are shown: the OpenAPI document has them all." } }
    }
}

/// An operation; with its number, it can be tried out.
fn one(operation: &Operation, number: Option<usize>) -> Markup {
    html! {
        details.operation {
            summary {
                span class=(format!("method {}", operation.method.to_lowercase())) { (operation.method) }
                code { (operation.path) }
                @if let Some(summary) = &operation.summary { span.muted { (summary) } }
                @if operation.deprecated { span.badge.warn { "Deprecated" } }
            }
            div.stack {
                @if let Some(description) = &operation.description { div.prose { (markdown::render(description)) } }
                @if let Some(number) = number {
                    div { button.button.small type="button" hidden data-try=(number) {
                        "Try it" span.hidden-visually { ": " (operation.method) " " (operation.path) }
                    } }
                }
                @if let Some(id) = &operation.id { p.small.muted { "Operation " code { (id) } } }
                @if !operation.parameters.is_empty() { h3 { "Parameters" } (fields("Parameters", &operation.parameters)) }
                @if let Some((media, body)) = &operation.body {
                    h3 { "Body" }
                    p.small.muted { (media) }
                    @if !body.is_empty() { (fields("Body", body)) }
                }
                @if !operation.responses.is_empty() {
                    h3 { "Answers" }
                    @for answer in &operation.responses {
                        div.stack-tight {
                            p { strong { (answer.status) } " " (answer.description) }
                            @if !answer.fields.is_empty() { (fields(&format!("Answer {}", answer.status), &answer.fields)) }
                        }
                    }
                }
            }
        }
    }
}

fn fields(label: &str, fields: &[Field]) -> Markup {
    let rows: Vec<Vec<Markup>> = fields
        .iter()
        .map(|field| {
            let name = html! {
                code { (field.name) }
                @if field.required { " " span.small.muted { "required" } }
            };
            let kind =
                html! { (field.kind) @if let Some(place) = &field.place { " " span.small.muted { "in " (place) } } };
            let text = html! { @if let Some(description) = &field.description { (markdown::render(description)) } };
            vec![name, kind, text]
        })
        .collect();
    lines(label, &["Name", "Type", "What it is"], &rows)
}
