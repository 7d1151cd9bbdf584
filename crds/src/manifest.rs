//! `CustomResourceDefinition` objects, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;
use serde_yaml::{Number, Value};

use crate::{ApiProduct, Application, Approval, Credential, Developer, Environment, Plan, Portal, Subscription, Team};

const HEAD: &str = "\
# Generated from crds/src. Change it there, then run: UPDATE=1 cargo test -p portico-crds
";

/// The definitions of all kinds, as an API server takes them.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![
        Portal::crd(),
        Environment::crd(),
        ApiProduct::crd(),
        Plan::crd(),
        Team::crd(),
        Developer::crd(),
        Application::crd(),
        Subscription::crd(),
        Credential::crd(),
        Approval::crd(),
    ];
    for version in definitions.iter_mut().flat_map(|definition| &mut definition.spec.versions) {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            tidy(schema);
            unobserved(schema);
        }
    }
    definitions
}

/// Lets a status begin with a generation that no object has. To `kstatus`, which Flux and others go by, an object without a
/// status is one that is done: what waits for it would not wait until Portico has looked at it.
fn unobserved(schema: &mut JSONSchemaProps) {
    const NONE: i8 = -1;
    let properties = schema.properties.as_mut();
    let Some(status) = properties.and_then(|properties| properties.get_mut("status")) else { return };
    status.default = Some(JSON(json!({ "observedGeneration": NONE })));
    let fields = status.properties.as_mut();
    if let Some(observed) = fields.and_then(|fields| fields.get_mut("observedGeneration")) {
        observed.minimum = Some(f64::from(NONE));
    }
}

/// File names and YAML texts of all definitions. The same types give the same bytes.
#[must_use]
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a definition has string keys and finite numbers only"
)]
pub fn manifests() -> Vec<(String, String)> {
    all()
        .iter()
        .map(|definition| {
            let mut value = serde_yaml::to_value(definition).expect("a definition is a YAML value");
            whole_numbers(&mut value);
            let text = serde_yaml::to_string(&value).expect("a YAML value is a text");
            (format!("{}.yaml", definition.spec.names.plural), format!("{HEAD}{text}"))
        })
        .collect()
}

/// Makes a derived schema one that API servers take and people like to read.
fn tidy(schema: &mut JSONSchemaProps) {
    // Without it an API server drops nulls, as if the field had been left out: rules need not know about them.
    schema.nullable = None;
    // Unknown fields are refused or dropped by the API server itself; the keyword is not allowed there.
    if let Some(JSONSchemaPropsOrBool::Bool(false)) = schema.additional_properties {
        schema.additional_properties = None;
    }
    // API servers know no unsigned formats and warn of them. The bounds stay.
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = Some("int32".to_owned());
    }
    // Lines as long as the reader's window, not as the source code's.
    if let Some(description) = &mut schema.description {
        let paragraphs: Vec<_> = description.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
        *description = paragraphs.join("\n\n");
    }

    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        tidy(property);
    }
    let merged = schema.x_kubernetes_list_type.as_deref() == Some("map");
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
        // A list without keys is one value. What an API server adds to its items is a change to whoever applied it from
        // its own side, as Argo CD with `ServerSideApply=true` does, and would be undone for ever. Readers know defaults.
        if !merged {
            without_defaults(items);
        }
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

fn without_defaults(schema: &mut JSONSchemaProps) {
    schema.default = None;
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(without_defaults);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_defaults(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        without_defaults(values);
    }
}

/// Writes `1` for `1.0`, as an API server does when it is asked for the object.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0) {
                #[expect(clippy::cast_possible_truncation, reason = "bounds in schemas are small")]
                let whole = float as i64;
                *number = Number::from(whole);
            }
        }
        Value::Sequence(values) => values.iter_mut().for_each(whole_numbers),
        Value::Mapping(values) => values.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Tagged(_) => {}
    }
}
