//! The API of the portal, described as any other.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::html;

use super::reference::{groups, operations};
use crate::api;
use crate::error::Oops;
use crate::openapi;
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Place, crumbs, page};

/// Shows the document of the API.
pub(crate) async fn show(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Oops> {
    let reference = openapi::read(api::document()).map_err(Oops::Unavailable)?;
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    let body = html! {
        (crumbs(&[Crumb::new("APIs", "/")]))
        div.head {
            h1 { "The API of this portal" }
            p.lead { "What people do on these pages, programs do with a " a href="/tokens" { "token" } ", by the same rules." }
        }
        div.aside {
            nav.side aria-label="Operations" { (groups(&reference)) }
            div.stack-wide {
                div.row.between {
                    p.muted { "Version 1" }
                    a.button.small href="/api/v1/openapi.json" { "OpenAPI document" }
                }
                (operations(&reference, false))
            }
        }
    };
    Ok(page(&frame, Place::Elsewhere, "API", &body))
}
