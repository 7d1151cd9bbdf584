//! The OpenAPI document of the API, made of the table of its addresses and of the types that it takes and gives.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use portico_core::key::Kind;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::changes::Change;
use super::problem::{self, Problem};
use super::table::{Answers, Endpoint, table};
use crate::may::Action;
use crate::routes::Reach;

const JSON: &str = "application/json";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let text = serde_json::to_string_pretty(&whole()).unwrap_or_default();
    format!("{text}\n")
});

/// The OpenAPI document of the API.
pub fn document() -> &'static str {
    &DOCUMENT
}

/// Serves it.
pub(super) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, JSON)], document()).into_response()
}

fn whole() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in table() {
        let operation = operation(&mut generator, &endpoint);
        let item = paths.entry(endpoint.route.path).or_insert_with(|| json!({}));
        item[endpoint.route.method.to_lowercase()] = operation;
    }
    let problem = generator.subschema_for::<Problem>();
    let schemas = generator.take_definitions(true);
    let tags = ["API", "Products", "Plans", "Applications", "Subscriptions", "Credentials", "Requests", "Changes"];
    let tags = tags.map(|name| json!({ "name": name }));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portico",
            "version": "1",
            "description": "What people do on the pages of the portal, for programs, by the same rules. \
                Every write becomes a commit in the name of whoever asks, and answers with a change that can be followed.\n\n\
                A program shows a token that somebody made on the page Tokens. What one may not see answers 404.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This portal" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "A token of somebody." } },
            "responses": { "Problem": {
                "description": "What went wrong (RFC 9457)",
                "content": { problem::MEDIA: { "schema": problem } },
            } },
            "schemas": schemas,
        },
    })
}

fn operation(generator: &mut SchemaGenerator, endpoint: &Endpoint) -> Value {
    let (route, told) = (&endpoint.route, &endpoint.told);
    let is_write = route.method != "GET";
    let mut parameters: Vec<Value> = in_path(route.path).map(path_parameter).collect();
    if let Some(query) = told.query {
        parameters.extend(query_parameters(query(generator)));
    }
    if is_write {
        parameters.push(header(
            "Idempotency-Key",
            "By which a write is known when it is sent again: it is done once.",
            &json!({
                "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$",
            }),
        ));
    }
    if told.is_conditional {
        let text = "The `ETag` of what is changed, as it was read: refused with 412 where it is another now.";
        parameters.push(header("If-Match", text, &json!({ "type": "string" })));
    }
    if !is_write && matches!(told.answers, Answers::Json(_) | Answers::Document) {
        let text = "An `ETag` that is known: answered with 304 where it is the same still.";
        parameters.push(header("If-None-Match", text, &json!({ "type": "string" })));
    }
    let mut operation = json!({
        "operationId": told.id,
        "tags": [told.tag],
        "summary": told.summary,
        "security": if is_open(route.reach) { json!([{}, { "token": [] }]) } else { json!([{ "token": [] }]) },
        "x-scope": route.scope().word(),
        "responses": responses(generator, endpoint),
    });
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some((media, body)) = told.body {
        let schema = body(generator);
        operation["requestBody"] = json!({ "required": true, "content": { media: { "schema": schema } } });
    }
    operation
}

/// Whether there may be something for whoever shows nothing.
fn is_open(reach: Reach) -> bool {
    matches!(reach, Reach::Everyone | Reach::Object(Kind::ApiProduct | Kind::Plan, Action::See))
}

fn responses(generator: &mut SchemaGenerator, endpoint: &Endpoint) -> Value {
    let (route, told) = (&endpoint.route, &endpoint.told);
    let is_write = route.method != "GET";
    let mut responses = Map::new();
    let tag = json!({ "ETag": { "description": "Which version it is.", "schema": { "type": "string" } } });
    match told.answers {
        Answers::Json(shape) => {
            let mut good = json!({ "description": told.summary, "content": { JSON: { "schema": shape(generator) } } });
            if !is_write {
                good["headers"] = tag;
                responses.insert("304".to_owned(), json!({ "description": "It is what is known already" }));
            }
            responses.insert("200".to_owned(), good);
        }
        Answers::Document => {
            let good = json!({ "description": told.summary, "headers": tag, "content": { JSON: { "schema": { "type": "object" } } } });
            responses.insert("200".to_owned(), good);
            responses.insert("304".to_owned(), json!({ "description": "It is what is known already" }));
        }
        Answers::Accepted => {
            let schema = generator.subschema_for::<Change>();
            responses.insert("202".to_owned(), json!({
                "description": "It is a commit, and can be followed",
                "headers": { "Location": { "description": "Where the change is followed.", "schema": { "type": "string" } } },
                "content": { JSON: { "schema": schema } },
            }));
        }
        Answers::Events(shape) => {
            let schema = shape(generator);
            responses.insert(
                "200".to_owned(),
                json!({
                    "description": told.summary,
                    "content": { "text/event-stream": { "schema": { "type": "string", "contentSchema": schema } } },
                }),
            );
        }
    }
    let mut problems = vec!["503"];
    if told.query.is_some() || is_write {
        problems.push("400");
    }
    // Whatever is shown has to hold, also where nothing needs to be shown.
    problems.extend(["401", "403"]);
    if !matches!(route.reach, Reach::Everyone) {
        problems.push("404");
    }
    if is_write {
        problems.extend(["409", "413", "422"]);
    }
    if told.body.is_some() {
        problems.push("415");
    }
    if told.is_conditional {
        problems.push("412");
    }
    for status in problems {
        responses.insert(status.to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    responses.sort_keys();
    Value::Object(responses)
}

fn header(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "header", "description": description, "schema": schema })
}

/// The names in braces.
fn in_path(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "commit" => json!({ "type": "string", "pattern": "^[0-9a-f]{40}$" }),
        _ => json!({ "type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// The fields of a query. One that may be left out is left out: there is no other way to say nothing.
fn query_parameters(query: Schema) -> Vec<Value> {
    let query = query.to_value();
    let required: Vec<&str> = query["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut parameters = Vec::new();
    for (name, schema) in query["properties"].as_object().into_iter().flatten() {
        let mut schema = something(schema);
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({ "name": name, "in": "query", "schema": schema });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        if required.contains(&name.as_str()) {
            parameter["required"] = Value::Bool(true);
        }
        parameters.push(parameter);
    }
    parameters
}

/// A schema without `null`.
fn something(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let Some(object) = schema.as_object_mut() else { return schema };
    object.remove("default");
    if let Some(Value::Array(types)) = object.get("type") {
        let mut types: Vec<Value> = types.iter().filter(|one| *one != "null").cloned().collect();
        if let (1, Some(only)) = (types.len(), types.pop()) {
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.remove("anyOf") {
        let described = object.remove("description");
        let mut choices: Vec<Value> = choices.into_iter().filter(|one| one["type"] != "null").collect();
        if let (1, Some(only)) = (choices.len(), choices.pop()) {
            schema = only;
            if let (Some(object), Some(described)) = (schema.as_object_mut(), described) {
                object.insert("description".to_owned(), described);
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                for value in object.values() {
                    references(value, found);
                }
            }
            Value::Array(values) => {
                for value in values {
                    references(value, found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_document_in_the_docs_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, document()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written == document(), "docs/openapi.json is not current: run scripts/generate");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(document()).unwrap();
        let mut names = BTreeSet::new();
        for endpoint in table() {
            assert!(names.insert(endpoint.told.id), "{}", endpoint.told.id);
            let method = endpoint.route.method.to_lowercase();
            assert!(document["paths"][endpoint.route.path][method].is_object(), "{}", endpoint.route.path);
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "there are references");
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
