//! The definitions are what an API server takes, say something about every field, and are up to date on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::{GROUP, VERSION, all, manifests};

/// Calls `check` with the path and schema of everything in a definition.
fn walk(definition: &CustomResourceDefinition, check: &mut impl FnMut(&str, &JSONSchemaProps)) {
    fn schema(path: &str, props: &JSONSchemaProps, check: &mut impl FnMut(&str, &JSONSchemaProps)) {
        check(path, props);
        for (name, property) in props.properties.iter().flatten() {
            schema(&format!("{path}.{name}"), property, check);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &props.items {
            schema(&format!("{path}[]"), items, check);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &props.additional_properties {
            schema(&format!("{path}{{}}"), values, check);
        }
    }
    let root = definition.spec.versions[0].schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    schema(&definition.spec.names.kind, root.expect("there is a schema"), check);
}

#[test]
fn manifests_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let wanted = manifests();
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, text) in &wanted {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let found: BTreeSet<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, wanted.iter().map(|(name, _)| name.clone()).collect());
    for (name, text) in &wanted {
        let found = fs::read_to_string(folder.join(name)).unwrap();
        assert!(found == *text, "{name} is not current; run: UPDATE=1 cargo test -p portico-crds");
    }
}

#[test]
fn manifests_are_the_same_every_time() {
    assert_eq!(manifests(), manifests());
}

#[test]
fn no_api_server_adds_to_a_list_that_is_one_value() {
    for definition in all() {
        let mut lists = BTreeSet::new();
        walk(&definition, &mut |path, props| {
            if props.items.is_some() && props.x_kubernetes_list_type.as_deref() != Some("map") {
                lists.insert(format!("{path}[]"));
            }
            let within = lists.iter().any(|list| path.starts_with(list.as_str()));
            assert!(!within || props.default.is_none(), "{path} has a default: {:?}", props.default);
        });
    }
}

#[test]
fn every_kind_is_in_the_group() {
    let mut names = BTreeSet::new();
    for definition in all() {
        assert_eq!(definition.spec.group, GROUP);
        assert_eq!(definition.spec.versions[0].name, VERSION);
        assert_eq!(definition.spec.scope, "Namespaced");
        assert_eq!(definition.spec.names.categories.as_deref(), Some(&["portico".to_owned()][..]));
        let short = definition.spec.names.short_names.iter().flatten();
        for name in short.chain([&definition.spec.names.plural]) {
            assert!(names.insert(name.clone()), "two kinds are called {name}");
        }
    }
    assert_eq!(all().len(), 10);
}

#[test]
fn every_field_has_a_description() {
    for definition in all() {
        walk(&definition, &mut |path, schema| {
            // The values of lists and maps are described with them.
            if path.ends_with("[]") || path.ends_with("{}") {
                return;
            }
            let description = schema.description.as_deref().unwrap_or_else(|| panic!("{path} has no description"));
            assert!(description.ends_with('.'), "{path}: no full stop");
            for word in ["Rust", "[`", "struct", "enum", "Option<", "Auto-generated"] {
                assert!(!description.contains(word), "{path} speaks of {word}");
            }
        });
    }
}

#[test]
fn every_value_of_an_enum_is_described() {
    for definition in all() {
        walk(&definition, &mut |path, schema| {
            // Those that say it all by their names.
            if [".status", ".phase", ".per", ".interval"].iter().any(|field| path.ends_with(field))
                || (path.contains(".status.") && path.rsplit('.').next() == Some("stage"))
            {
                return;
            }
            let description = schema.description.as_deref().unwrap_or_default();
            for value in schema.enum_.iter().flatten() {
                let value = value.0.as_str().expect("enums are strings");
                let first =
                    path.ends_with(".access.teams") || path.ends_with(".credentials") || path.ends_with(".billing");
                if !(first && value == "None") {
                    assert!(description.contains(&format!("`{value}`")), "{path} does not say what {value} is");
                }
            }
        });
    }
}

#[test]
fn schemas_are_structural() {
    for definition in all() {
        walk(&definition, &mut |path, schema| {
            assert!(schema.type_.is_some(), "{path} has no type");
            assert!(schema.ref_path.is_none(), "{path} has a $ref");
            assert!(
                schema.any_of.is_none() && schema.one_of.is_none() && schema.all_of.is_none() && schema.not.is_none(),
                "{path} is one of several"
            );
            assert_eq!(schema.nullable, None, "{path} may be null");
            assert_ne!(schema.additional_properties, Some(JSONSchemaPropsOrBool::Bool(false)), "{path}");
            assert!(
                schema.properties.is_none() || schema.additional_properties.is_none(),
                "{path} has properties and additional ones"
            );
            let formats = [None, Some("int32"), Some("int64"), Some("date-time")];
            assert!(formats.contains(&schema.format.as_deref()), "{path} has the format {:?}", schema.format);
        });
    }
}

/// An API server estimates what rules cost from these bounds, and they keep objects small.
#[test]
fn what_people_write_is_bounded() {
    for definition in all() {
        walk(&definition, &mut |path, schema| {
            if !path.contains(".spec") {
                return;
            }
            match schema.type_.as_deref() {
                Some("array") => assert!(schema.max_items.is_some(), "{path} has no maxItems"),
                Some("string") if schema.enum_.is_none() && schema.format.is_none() && !path.ends_with("{}") => {
                    assert!(schema.max_length.is_some(), "{path} has no maxLength");
                }
                Some("object") if schema.additional_properties.is_some() => {
                    assert!(schema.max_properties.is_some(), "{path} has no maxProperties");
                }
                _ => {}
            }
        });
    }
}

#[test]
fn columns_say_what_is_wrong() {
    for definition in all() {
        let kind = &definition.spec.names.kind;
        let columns = definition.spec.versions[0].additional_printer_columns.as_deref().unwrap_or_default();
        for name in ["Ready", "Reason", "Message", "Age"] {
            assert!(columns.iter().any(|column| column.name == name), "{kind} has no column {name}");
        }
        let mut paths = BTreeSet::new();
        walk(&definition, &mut |path, _| {
            paths.insert(path.trim_start_matches(kind.as_str()).to_owned());
        });
        for column in columns {
            let path = column.json_path.split("[?").next().unwrap_or_default();
            assert!(path.starts_with(".metadata") || paths.contains(path), "{kind}: {path} does not exist");
            assert!(column.name == "Age" || column.description.is_some(), "{kind}: {} says nothing", column.name);
        }
        assert!(definition.spec.versions[0].subresources.as_ref().is_some_and(|sub| sub.status.is_some()));
    }
}
