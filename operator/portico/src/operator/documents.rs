//! OpenAPI documents in `ConfigMaps`, and which products refer to them.

use std::collections::HashMap;
use std::sync::Arc;

use portico_core::batch::{Change, Document};
use portico_core::key::Name;
use portico_crds::ApiProductSpec;
use portico_kube::read::{Documents as Found, PRODUCT_LABEL};

/// What there is, and what is wanted.
#[derive(Debug, Default)]
pub struct Documents {
    found: HashMap<Name, Found>,
    /// Which texts products refer to, by version.
    wanted: HashMap<Name, Vec<(String, Place)>>,
    /// Another number whenever a text or what refers to it may be another.
    revision: u64,
}

/// Where a product says that a version's document is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// In this `ConfigMap`, under this key.
    Named(Name, String),
    /// In any `ConfigMap` of the product, under this key.
    OfProduct(String),
}

impl Documents {
    /// A `ConfigMap` says this now, or is gone. Answers the products that may read differently.
    pub fn found(&mut self, name: &Name, now: Option<Found>) -> Vec<Name> {
        self.revision += 1;
        let of = now.as_ref().and_then(|found| found.product.clone());
        let before = match now {
            Some(found) => self.found.insert(name.clone(), found),
            None => self.found.remove(name),
        };
        let was_of = before.and_then(|found| found.product);
        let concerned = self.wanted.iter().filter(|(product, wanted)| {
            let is_of = |label: &Option<Box<str>>| label.as_deref() == Some(product.name());
            product.namespace() == name.namespace()
                && wanted.iter().any(|(_, place)| match place {
                    Place::Named(named, _) => named == name,
                    Place::OfProduct(_) => is_of(&of) || is_of(&was_of),
                })
        });
        concerned.map(|(product, _)| product.clone()).collect()
    }

    /// A product says this now. Answers what to forget; `None` if it refers to what it referred to.
    pub fn product(&mut self, name: &Name, spec: &ApiProductSpec) -> Option<Vec<Change>> {
        self.revision += 1;
        let wanted = spec.versions.iter().filter_map(|version| {
            let source = version.openapi.as_ref()?;
            let place = match (&source.config_map, &source.path) {
                (Some(map), _) => Place::Named(name.beside(&map.name), map.key.clone()),
                (None, Some(path)) => Place::OfProduct(file_name(path).to_owned()),
                (None, None) => return None,
            };
            Some((version.name.clone(), place))
        });
        let wanted: Vec<_> = wanted.collect();
        let before = self.wanted.get(name).map(Vec::as_slice).unwrap_or_default();
        if before == wanted {
            return None;
        }
        let forgotten = before.iter().filter(|(version, _)| !wanted.iter().any(|(now, _)| now == version));
        let forgotten = forgotten.map(|(version, _)| change(name, version, None)).collect();
        self.wanted.insert(name.clone(), wanted);
        Some(forgotten)
    }

    /// A product is gone.
    pub fn product_gone(&mut self, name: &Name) {
        self.revision += 1;
        self.wanted.remove(name);
    }

    /// Another number whenever something may be different.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A text that belongs to a product, by the path of its file, or as `NAME/KEY` where a version names a `ConfigMap`.
    pub fn file(&self, product: &Name, path: &str) -> Option<Arc<str>> {
        let mut wanted = self.wanted.get(product).into_iter().flatten().map(|(_, place)| place);
        let named = wanted.find(|place| match place {
            Place::Named(map, key) => {
                path.strip_prefix(map.name()).and_then(|rest| rest.strip_prefix('/')) == Some(key)
            }
            Place::OfProduct(_) => false,
        });
        match named {
            Some(place) => self.text(product, place).ok(),
            None => self.text(product, &Place::OfProduct(file_name(path).to_owned())).ok(),
        }
    }

    /// Products that refer to documents.
    pub fn products(&self) -> Vec<Name> {
        self.wanted.keys().cloned().collect()
    }

    /// The documents of a product as they stand, or why they cannot be had.
    pub fn read(&self, product: &Name) -> Vec<Change> {
        let wanted = self.wanted.get(product).into_iter().flatten();
        wanted
            .map(|(version, place)| change(product, version, Some(Document::new(self.text(product, place)))))
            .collect()
    }

    fn text(&self, product: &Name, place: &Place) -> Result<Arc<str>, String> {
        let under = |found: &Found, key: &str| {
            found.texts.iter().find(|(known, _)| known == key).map(|(_, text)| text.as_str().into())
        };
        match place {
            Place::Named(map, key) => self.found.get(map).and_then(|found| under(found, key)).ok_or_else(|| {
                format!("there is no ConfigMap `{}` with the label `{PRODUCT_LABEL}` and the key `{key}`", map.name())
            }),
            Place::OfProduct(key) => {
                let mut theirs = self.found.values().filter(|found| {
                    found.name.namespace() == product.namespace() && found.product.as_deref() == Some(product.name())
                });
                theirs.find_map(|found| under(found, key)).ok_or_else(|| {
                    format!(
                        "there is no ConfigMap with the label `{PRODUCT_LABEL}: {}` and the key `{key}`",
                        product.name()
                    )
                })
            }
        }
    }
}

fn change(product: &Name, version: &str, document: Option<Document>) -> Change {
    Change::Document { product: product.clone(), version: version.to_owned(), document }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_found_by_path_and_by_config_map() {
        let map = |name: &str, product: Option<&str>, text: &str| Found {
            name: Name::new("apis", name),
            product: product.map(Into::into),
            texts: vec![("openapi.yaml".to_owned(), text.to_owned())],
        };
        let product = Name::new("apis", "echo");
        let spec = json!({
            "title": "Echo",
            "versions": [
                { "name": "v1", "openapi": { "configMap": { "name": "one", "key": "openapi.yaml" } } },
                { "name": "v2", "openapi": { "configMap": { "name": "two", "key": "openapi.yaml" } } },
            ],
        });
        let mut documents = Documents::default();
        documents.product(&product, &serde_json::from_value(spec).expect("a spec"));
        for (name, of, text) in
            [("one", None, "1"), ("two", None, "2"), ("own", Some("echo"), "own"), ("more", Some("other"), "no")]
        {
            documents.found(&Name::new("apis", name), Some(map(name, of, text)));
        }
        let before = documents.revision();
        let file = |documents: &Documents, path: &str| documents.file(&product, path).map(|text| text.to_string());
        assert_eq!(file(&documents, "one/openapi.yaml").as_deref(), Some("1"));
        assert_eq!(file(&documents, "two/openapi.yaml").as_deref(), Some("2"));
        assert_eq!(file(&documents, "docs/openapi.yaml").as_deref(), Some("own"), "of the product's own");
        assert_eq!(file(&documents, "docs/start.md"), None);
        documents.found(&Name::new("apis", "own"), None);
        assert_eq!(file(&documents, "openapi.yaml"), None, "not what belongs to another product");
        assert_ne!(documents.revision(), before);
    }
}
