//! OpenAPI documents, as far as a reader needs them: operations with what they take and give.
//!
//! The document is its owner's, whom we need not trust: references are followed within it and not far, and everything has
//! an end.

use serde_json::{Map, Value};

/// The longest document that is read, in bytes.
pub(crate) const MOST: usize = 4 * 1024 * 1024;
/// How many operations are shown.
const OPERATIONS: usize = 500;
/// How many fields of a body are shown, and how deep.
const FIELDS: usize = 60;
const DEPTH: usize = 4;

const METHODS: [&str; 8] = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];

/// What a document describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) title: String,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    /// By tag, in the document's order.
    pub(crate) groups: Vec<Group>,
    /// Whether there are more than are shown.
    pub(crate) is_cut: bool,
}

/// Operations with one tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) operations: Vec<Operation>,
}

/// An operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) id: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) deprecated: bool,
    pub(crate) parameters: Vec<Field>,
    /// Media type and fields.
    pub(crate) body: Option<(String, Vec<Field>)>,
    pub(crate) responses: Vec<Answer>,
}

/// What an operation answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: String,
    pub(crate) description: String,
    pub(crate) fields: Vec<Field>,
}

/// A parameter, or a field of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Where a parameter is: `path`, `query`, `header`, `cookie`.
    pub(crate) place: Option<String>,
    pub(crate) kind: String,
    pub(crate) required: bool,
    pub(crate) description: Option<String>,
}

/// Reads a document in YAML or JSON; `Err` is why not, in a sentence.
pub(crate) fn read(text: &str) -> Result<Reference, String> {
    let document: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    if document.get("openapi").is_none() && document.get("swagger").is_none() {
        return Err("it has neither `openapi` nor `swagger` at its top".to_owned());
    }
    let info = document.get("info");
    let said = |name: &str| info.and_then(|info| string(info, name));
    let mut reference = Reference {
        title: said("title").unwrap_or_default(),
        version: said("version"),
        description: said("description"),
        groups: declared_tags(&document),
        is_cut: false,
    };
    let mut count = 0;
    for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        // What comes after an address has to be a path: `@elsewhere` would be another host.
        if !path.starts_with('/') {
            continue;
        }
        let item = follow(&document, item);
        let shared = item.get("parameters");
        for method in METHODS {
            let Some(operation) = item.get(method).filter(|operation| operation.is_object()) else { continue };
            if count == OPERATIONS {
                reference.is_cut = true;
                break;
            }
            count += 1;
            let tag = operation.get("tags").and_then(|tags| tags.get(0)).and_then(Value::as_str).unwrap_or_default();
            let read = read_operation(&document, method, path, shared, operation);
            match reference.groups.iter_mut().find(|group| group.name == tag) {
                Some(group) => group.operations.push(read),
                None => {
                    reference.groups.push(Group { name: tag.to_owned(), description: None, operations: vec![read] });
                }
            }
        }
    }
    reference.groups.retain(|group| !group.operations.is_empty());
    Ok(reference)
}

impl Reference {
    /// All operations, in the order in which they are shown.
    pub(crate) fn operations(&self) -> Vec<&Operation> {
        self.groups.iter().flat_map(|group| &group.operations).collect()
    }

    /// An operation to begin with: one that reads and needs nothing that one would have to know. `allows` says which may be called.
    pub(crate) fn first(&self, allows: impl Fn(&Operation) -> bool) -> Option<&Operation> {
        let all = || self.groups.iter().flat_map(|group| &group.operations).filter(|operation| allows(operation));
        let is_simple = |operation: &&Operation| {
            operation.method == "GET" && operation.parameters.iter().all(|field| !field.required)
        };
        all().find(is_simple).or_else(|| all().find(|operation| operation.method == "GET"))
    }
}

fn declared_tags(document: &Value) -> Vec<Group> {
    let tags = document.get("tags").and_then(Value::as_array).into_iter().flatten();
    let group = |tag: &Value| {
        let description = string(tag, "description");
        Some(Group { name: string(tag, "name")?, description, operations: Vec::new() })
    };
    tags.take(100).filter_map(group).collect()
}

fn read_operation(document: &Value, method: &str, path: &str, shared: Option<&Value>, operation: &Value) -> Operation {
    let own = operation.get("parameters");
    let parameters = [own, shared].into_iter().flatten().filter_map(Value::as_array).flatten().take(FIELDS);
    let mut fields: Vec<Field> = Vec::new();
    for parameter in parameters {
        let parameter = follow(document, parameter);
        let Some(name) = string(parameter, "name") else { continue };
        let place = string(parameter, "in");
        if fields.iter().any(|field| field.name == name && field.place == place) {
            continue;
        }
        let schema = parameter.get("schema").unwrap_or(parameter);
        fields.push(Field {
            kind: kind(document, schema),
            required: parameter.get("required").and_then(Value::as_bool).unwrap_or_default(),
            description: string(parameter, "description"),
            name,
            place,
        });
    }
    let body = operation.get("requestBody").map(|body| follow(document, body)).and_then(|body| content(document, body));
    let responses = operation.get("responses").and_then(Value::as_object).into_iter().flatten().take(FIELDS);
    let responses = responses.map(|(status, response)| {
        let response = follow(document, response);
        Answer {
            status: status.clone(),
            description: string(response, "description").unwrap_or_default(),
            fields: content(document, response).map(|(_, fields)| fields).unwrap_or_default(),
        }
    });
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        id: string(operation, "operationId"),
        summary: string(operation, "summary"),
        description: string(operation, "description"),
        deprecated: operation.get("deprecated").and_then(Value::as_bool).unwrap_or_default(),
        parameters: fields,
        body,
        responses: responses.collect(),
    }
}

/// The first media type of a body or an answer, and its fields.
fn content(document: &Value, of: &Value) -> Option<(String, Vec<Field>)> {
    let (media, said) = of.get("content")?.as_object()?.iter().next()?;
    let mut found = Vec::new();
    if let Some(schema) = said.get("schema") {
        fields(document, schema, "", 0, &mut found);
    }
    Some((media.clone(), found))
}

fn fields(document: &Value, schema: &Value, prefix: &str, depth: usize, found: &mut Vec<Field>) {
    let schema = follow(document, schema);
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        if depth < DEPTH {
            fields(document, part, prefix, depth + 1, found);
        }
    }
    if let Some(items) = schema.get("items")
        && depth < DEPTH
    {
        fields(document, items, &format!("{prefix}[]"), depth + 1, found);
    }
    let nothing = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties {
        if found.len() >= FIELDS {
            return;
        }
        let full = match prefix {
            "" => name.clone(),
            prefix => format!("{prefix}.{name}"),
        };
        let resolved = follow(document, property);
        found.push(Field {
            name: full.clone(),
            place: None,
            kind: kind(document, property),
            required: required.contains(&name.as_str()),
            description: string(property, "description").or_else(|| string(resolved, "description")),
        });
        if depth < DEPTH {
            fields(document, property, &full, depth + 1, found);
        }
    }
}

/// What a schema is, in a few words.
fn kind(document: &Value, schema: &Value) -> String {
    fn at(document: &Value, schema: &Value, depth: usize) -> String {
        let schema = follow(document, schema);
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let shown: Vec<String> = values.iter().take(6).map(plain).collect();
            let more = if values.len() > 6 { ", …" } else { "" };
            return format!("one of {}{more}", shown.join(", "));
        }
        if let Some(fixed) = schema.get("const") {
            return plain(fixed);
        }
        let base = match schema.get("type") {
            Some(Value::String(name)) if name == "array" => {
                let items = schema.get("items").filter(|_| depth < DEPTH);
                return format!(
                    "list of {}",
                    items.map_or_else(|| "anything".to_owned(), |items| at(document, items, depth + 1))
                );
            }
            Some(Value::String(name)) => name.clone(),
            Some(Value::Array(names)) => names.iter().map(plain).collect::<Vec<_>>().join(" or "),
            _ if schema.get("properties").is_some() || schema.get("allOf").is_some() => "object".to_owned(),
            _ => {
                let choices = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
                return match choices {
                    Some(choices) if depth < DEPTH => {
                        let named = choices.iter().take(4).map(|choice| at(document, choice, depth + 1));
                        named.collect::<Vec<_>>().join(" or ")
                    }
                    _ => "anything".to_owned(),
                };
            }
        };
        match string(schema, "format") {
            Some(format) => format!("{base} ({format})"),
            None => base,
        }
    }
    let mut text = at(document, schema, 0);
    if let Some((end, _)) = text.char_indices().nth(160) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn string(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// What a value refers to within the document, a few references further at most.
fn follow<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let mut value = value;
    for _ in 0..8 {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { break };
        let Some(found) = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer)) else { break };
        value = found;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r##"
openapi: 3.1.0
info: { title: Things, version: "1.2" }
tags: [{ name: Things, description: All of them }]
paths:
  /things/{id}:
    parameters:
      - { name: id, in: path, required: true, schema: { type: string, format: uuid } }
    get:
      operationId: getThing
      tags: [Things]
      responses:
        "200":
          description: It
          content: { application/json: { schema: { $ref: "#/components/schemas/Thing" } } }
  /things:
    get:
      operationId: listThings
      tags: [Things]
      parameters: [{ name: page, in: query, schema: { type: integer } }]
      responses: { "200": { description: All } }
components:
  schemas:
    Thing:
      type: object
      required: [id]
      properties:
        id: { type: string }
        inner: { $ref: "#/components/schemas/Thing" }
        kind: { enum: [a, b] }
"##;

    #[test]
    fn operations_with_what_they_take_and_give() {
        let reference = read(DOCUMENT).unwrap();
        assert_eq!((reference.title.as_str(), reference.version.as_deref()), ("Things", Some("1.2")));
        let operations = &reference.groups[0].operations;
        let get = operations.iter().find(|one| one.id.as_deref() == Some("getThing")).unwrap();
        assert_eq!(get.parameters[0].kind, "string (uuid)");
        let fields = &get.responses[0].fields;
        assert!(fields.iter().any(|field| field.name == "id" && field.required));
        assert!(fields.iter().any(|field| field.name == "inner.kind" && field.kind == "one of a, b"));
        assert!(fields.len() <= FIELDS, "what contains itself has an end");
        assert_eq!(reference.first(|_| true).unwrap().id.as_deref(), Some("listThings"));
        assert_eq!(reference.first(|one| one.path != "/things").unwrap().id.as_deref(), Some("getThing"));
    }

    #[test]
    fn what_is_no_document_is_told() {
        assert!(read("a: [").is_err());
        assert!(read("a: 1").unwrap_err().contains("openapi"));
        assert!(read("").is_err());
        assert!(read("openapi: 3.0.0\npaths: { /x: { get: { $ref: '#/paths/~1x/get' } } }").is_ok());
    }

    #[test]
    fn what_is_no_path_is_no_operation() {
        let text = "openapi: 3.1.0\npaths: { '@evil.example/x': { get: {} }, '.evil.example': { get: {} }, '/x': { get: {} } }";
        let reference = read(text).unwrap();
        let paths: Vec<&str> =
            reference.groups.iter().flat_map(|group| &group.operations).map(|one| &*one.path).collect();
        assert_eq!(paths, ["/x"], "what comes after an address must not be another host");
    }
}
