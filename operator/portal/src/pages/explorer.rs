//! Trying operations out from a page: `assets/explorer.js` makes a form of what stands here, and asks the gateway straight from the
//! browser. Portico is not in the way of a request, and never in the way of a key.

use axum::response::Response;
use maud::{Markup, html};
use portico_crds::Cors;
use serde_json::{Map, Value, json};

use crate::assets;
use crate::guard::{AskedHost, Connects, Secure};
use crate::openapi::{Field, Operation};

/// How many operations can be chosen.
const MOST: usize = 500;

/// Where the portal itself is, as the browser has it: what gateways have to let in.
#[derive(Clone, Debug)]
pub(super) struct Origin(String);

impl Origin {
    pub(super) fn of(AskedHost(host): &AskedHost, Secure(secure): Secure) -> Origin {
        Origin(format!("{}://{host}", if secure { "https" } else { "http" }))
    }

    fn is_let_in(&self, cors: Option<&Cors>) -> bool {
        cors.is_some_and(|cors| cors.allow_origins.iter().any(|origin| origin == "*" || *origin == self.0))
    }
}

/// A place where something can be called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    pub(super) label: &'a str,
    pub(super) url: &'a str,
    pub(super) header: &'a str,
    pub(super) cors: Option<&'a Cors>,
}

/// The panel. With `key`, which somebody sees right now, it is filled in.
pub(super) fn panel(
    origin: &Origin,
    places: &[Spot<'_>],
    operations: &[&Operation],
    key: Option<&str>,
    level: &str,
) -> Markup {
    if places.is_empty() || operations.is_empty() {
        return html! {};
    }
    let places: Vec<Value> = places.iter().map(|spot| place(origin, spot)).collect();
    let operations: Vec<Value> = operations.iter().take(MOST).map(|one| operation(one)).collect();
    html! {
        section.card.explorer hidden data-places=(Value::from(places)) data-operations=(Value::from(operations)) data-key=[key]
          aria-label="Try it" {
            @if level == "h2" { h2 { "Try it" } } @else { h3 { "Try it here" } }
        }
    }
}

/// What a page with panels needs besides them.
pub(super) fn script() -> Markup {
    html! { script type="module" src=(assets::address("explorer.js")) {} }
}

/// Lets the scripts of a page ask these places.
pub(super) fn connected<'a>(mut response: Response, urls: impl Iterator<Item = &'a str>) -> Response {
    let mut origins: Vec<String> = urls.filter_map(origin).collect();
    origins.sort_unstable();
    origins.dedup();
    response.extensions_mut().insert(Connects(origins));
    response
}

/// `http://host:port` of an address.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    Some(format!("{scheme}://{}", rest.split('/').next()?))
}

fn place(origin: &Origin, spot: &Spot<'_>) -> Value {
    let Spot { label, url, header, cors } = spot;
    let list = |list: Option<&Vec<String>>| list.cloned().unwrap_or_default();
    json!({
        "label": label, "url": url, "header": header, "open": origin.is_let_in(*cors),
        "methods": list(cors.map(|cors| &cors.allow_methods)), "headers": list(cors.map(|cors| &cors.allow_headers)),
    })
}

fn operation(operation: &Operation) -> Value {
    let parameters: Vec<Value> = operation
        .parameters
        .iter()
        .filter(|field| matches!(field.place.as_deref(), Some("path" | "query" | "header")))
        .map(
            |field| json!({ "name": field.name, "place": field.place, "kind": field.kind, "required": field.required }),
        )
        .collect();
    let mut said = json!({ "method": operation.method, "path": operation.path, "parameters": parameters });
    if let Some((media, fields)) = &operation.body {
        said["media"] = media.as_str().into();
        if media.contains("json") {
            said["example"] = example(fields).into();
        }
    }
    said
}

/// A body to begin with: the fields at the top that have to be there.
fn example(fields: &[Field]) -> String {
    let top = fields.iter().filter(|field| field.required && !field.name.contains(['.', '[']));
    let value = |kind: &str| match kind.split([' ', '(']).next().unwrap_or_default() {
        "integer" | "number" => json!(0),
        "boolean" => json!(false),
        "list" => json!([]),
        "object" => json!({}),
        "one" => kind.trim_start_matches("one of ").split(", ").next().unwrap_or_default().into(),
        _ => json!(""),
    };
    let body: Map<String, Value> = top.map(|field| (field.name.clone(), value(&field.kind))).collect();
    serde_json::to_string_pretty(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_let_origins_in_by_their_names() {
        let origin = Origin::of(&AskedHost("portal.example".to_owned()), Secure(true));
        let cors = |origins: &[&str]| Cors {
            allow_origins: origins.iter().map(|&one| one.to_owned()).collect(),
            ..Cors::default()
        };
        assert!(origin.is_let_in(Some(&cors(&["*"]))));
        assert!(origin.is_let_in(Some(&cors(&["https://portal.example"]))));
        assert!(!origin.is_let_in(Some(&cors(&["http://portal.example"]))));
        assert!(!origin.is_let_in(None));
    }

    #[test]
    fn addresses_have_origins() {
        assert_eq!(origin("http://a.example:1/x/y").as_deref(), Some("http://a.example:1"));
        assert_eq!(origin("a.example"), None);
    }

    #[test]
    fn bodies_begin_with_what_has_to_be_there() {
        let field = |name: &str, kind: &str, required| Field {
            name: name.to_owned(),
            kind: kind.to_owned(),
            required,
            ..Field::default()
        };
        let fields = [
            field("amount", "integer (int64)", true),
            field("currency", "one of EUR, USD", true),
            field("note", "string", false),
            field("to", "object", true),
            field("to.name", "string", true),
        ];
        let body: Value = serde_json::from_str(&example(&fields)).unwrap();
        assert_eq!(body, json!({ "amount": 0, "currency": "EUR", "to": {} }));
    }
}
