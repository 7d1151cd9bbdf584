//! The catalogue.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use super::sent::{List, Listed};
use super::view::{Product, ProductSummary};
use crate::error::Oops;
use crate::gather::catalog::{Wanted, catalog};
use crate::pages::{Named, name};
use crate::portal::{Portal, Visitor};
use crate::search;

/// Which products.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sought {
    /// Words that are all in its name, description, tags or documentation; the best match comes first.
    #[schemars(length(max = 200))]
    q: Option<String>,
    /// A tag that it has.
    #[schemars(length(max = 200))]
    tag: Option<String>,
}

/// Products that whoever asks sees.
pub(super) async fn list(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    Listed { sought: Sought { q, tag }, part }: Listed<Sought>,
) -> Result<Response, Oops> {
    if [&q, &tag].into_iter().flatten().any(|text| text.chars().count() > 200) {
        return Err(Oops::Malformed("`q` and `tag` have at most 200 characters.".to_owned()));
    }
    let from = part.from()?;
    let query = search::Query::new(q.as_deref().unwrap_or_default());
    let in_docs = portal.search.in_docs(&portal, &query).await;
    let found = portal.reading.look(|core| {
        let tag = tag.as_deref().filter(|tag| !tag.is_empty());
        let wanted = Wanted { query: &query, tag, from, most: part.limit };
        catalog(core, visitor.person.as_ref(), wanted, &in_docs)
    });
    let next = part.next_of(from, found.found);
    let items: Vec<ProductSummary> = found.cards.into_iter().map(ProductSummary::from).collect();
    Ok(List { items, next }.answer(&uri))
}

/// A product.
pub(super) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Json<Product>, Oops> {
    let product = portal.reading.look(|core| Product::of(core, visitor.person.as_ref(), &name(&named)));
    product.map(Json).ok_or(Oops::NotFound)
}
