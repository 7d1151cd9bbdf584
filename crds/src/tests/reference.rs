//! The fields of each kind, on its page in `docs/kinds`: what `kubectl explain` says, for those who have no cluster at hand.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::manifest::all;

const BEGIN: &str = "<!-- fields: generated -->\n";
const END: &str = "<!-- end of fields -->\n";

#[test]
fn pages_of_kinds_are_current() {
    for definition in all() {
        let name = definition.spec.names.singular.clone().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/kinds/{name}.md"));
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (before, rest) = page.split_once(BEGIN).unwrap_or_else(|| panic!("{name}.md has a line {BEGIN}"));
        let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{name}.md has a line {END}"));
        let wanted = format!("{before}{BEGIN}{}{END}{after}", tables(&definition));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &wanted).unwrap();
        } else {
            assert!(page == wanted, "docs/kinds/{name}.md is not current; run: UPDATE=1 cargo test -p portico-crds");
        }
    }
}

fn tables(definition: &CustomResourceDefinition) -> String {
    let schema = definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    let properties = schema.properties.as_ref().unwrap();
    let mut text = String::new();
    for (part, title) in [("spec", "What you write"), ("status", "What Portico writes")] {
        write!(text, "\n## {title}\n\n| `{part}.` | | |\n|---|---|---|\n").unwrap();
        rows(&mut text, "", &properties[part]);
    }
    text.push('\n');
    text
}

fn rows(text: &mut String, path: &str, schema: &JSONSchemaProps) {
    for (name, property) in schema.properties.iter().flatten() {
        // The same for every kind, and on the page about statuses.
        if path.is_empty() && name == "conditions" {
            continue;
        }
        let is_required = schema.required.iter().flatten().any(|required| required == name);
        let (inner, suffix) = match (&property.items, &property.additional_properties) {
            (Some(JSONSchemaPropsOrArray::Schema(items)), _) => (&**items, "[]"),
            (_, Some(JSONSchemaPropsOrBool::Schema(values))) => (&**values, ".*"),
            _ => (property, ""),
        };
        let path = format!("{path}{name}{suffix}");
        let description =
            property.description.as_deref().unwrap_or_default().replace("\n\n", "<br>").replace('|', "\\|");
        let mut facts = kind_of(inner);
        if is_required {
            facts.push_str(", required");
        }
        if let Some(default) = &property.default {
            write!(facts, ", default `{}`", default.0).unwrap();
        }
        writeln!(text, "| `{path}` | {facts} | {description} |").unwrap();
        rows(text, &format!("{path}."), inner);
    }
}

fn kind_of(schema: &JSONSchemaProps) -> String {
    if let Some(values) = &schema.enum_ {
        let values: Vec<_> = values.iter().map(|value| format!("`{}`", value.0.as_str().unwrap_or("null"))).collect();
        return values.join(", ");
    }
    match (schema.type_.as_deref(), schema.format.as_deref()) {
        (_, Some("date-time")) => "time".to_owned(),
        (Some(kind), _) => kind.to_owned(),
        (None, _) => "any".to_owned(),
    }
}
