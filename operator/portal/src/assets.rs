//! Files that pages need, as they are in the program. An address names the content, so a browser need never ask twice.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::color::Color;
use crate::error::Oops;
use crate::portal::{Portal, this_portal};

/// A file.
#[derive(Debug)]
pub(crate) struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

const ASSETS: &[Asset] = &[
    Asset { name: "portal.css", kind: STYLE, bytes: include_bytes!("../assets/portal.css") },
    Asset { name: "copy.js", kind: JAVASCRIPT, bytes: include_bytes!("../assets/copy.js") },
    Asset { name: "explorer.js", kind: JAVASCRIPT, bytes: include_bytes!("../assets/explorer.js") },
    Asset { name: "follow.js", kind: JAVASCRIPT, bytes: include_bytes!("../assets/follow.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../assets/icon.svg") },
    Asset { name: "menu.js", kind: JAVASCRIPT, bytes: include_bytes!("../assets/menu.js") },
];

static DIGESTS: LazyLock<Vec<String>> = LazyLock::new(|| ASSETS.iter().map(|asset| digest(asset.bytes)).collect());

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Where a file is.
pub(crate) fn address(name: &str) -> String {
    let found = ASSETS.iter().zip(DIGESTS.iter()).find(|(asset, _)| asset.name == name);
    let digest = found.map_or("", |(_, digest)| digest.as_str());
    format!("/assets/{digest}/{name}")
}

/// Where the sheet with a portal's own colours is.
pub(crate) fn brand_address(color: Color) -> String {
    format!("/assets/{}/brand.css", digest(color.sheet().as_bytes()))
}

/// A portal's own colour.
pub(crate) fn brand(color: Option<&str>) -> Color {
    color.and_then(Color::parse).unwrap_or(Color::DEFAULT)
}

/// Serves a file under the digest of what it says.
pub(crate) async fn serve(
    State(portal): State<Portal>,
    Path((wanted, name)): Path<(String, String)>,
) -> Result<Response, Oops> {
    if name == "brand.css" {
        let color = portal.reading.look(|core| {
            let branding = this_portal(core).and_then(|(_, spec)| spec.branding);
            brand(branding.and_then(|branding| branding.primary_color).as_deref())
        });
        let sheet = color.sheet();
        // The colour may have changed since the page was made: then that page has the new one, for now.
        let keep = digest(sheet.as_bytes()) == wanted;
        return Ok(answer(STYLE, keep, sheet.into_bytes()));
    }
    let found = ASSETS.iter().zip(DIGESTS.iter()).find(|(asset, digest)| asset.name == name && **digest == wanted);
    let (asset, _) = found.ok_or(Oops::NotFound)?;
    Ok(answer(asset.kind, true, asset.bytes.to_vec()))
}

fn answer(kind: &'static str, keep: bool, bytes: Vec<u8>) -> Response {
    let caching = if keep { "public, max-age=31536000, immutable" } else { "no-store" };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, caching)], bytes).into_response()
}
