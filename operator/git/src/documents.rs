//! OpenAPI documents that products refer to by the path of a file.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use git2::{ObjectType, Oid};
use portico_core::batch::{Change, Document};
use portico_core::key::Name;
use portico_core::openapi::is_openapi;
use portico_crds::{ApiProductSpec, ApiVersion};

use crate::commit::{CommitId, Repository};
use crate::history;
use crate::source::{Files, SourceError};
use crate::text::MAX_OPENAPI;
use crate::tree::{Entry, TreeError};

/// Which file a version's document is, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    /// The path from the root, or why there is none.
    target: Result<String, String>,
    /// What stands there, or why nothing can be read.
    found: Result<Oid, String>,
    /// Whether that is an OpenAPI document.
    reads: bool,
    /// Where it is not: what stood there when it was the last time.
    last: Option<Oid>,
}

type References = BTreeMap<String, Reference>;

/// What a product says now. One that is gone says nothing.
pub(crate) struct Said {
    product: Name,
    /// By version: the path from the root, or why there is none.
    targets: Vec<(String, Result<String, String>)>,
}

impl Said {
    /// What `spec` says in the file `base`.
    pub(crate) fn new(product: Name, spec: &ApiProductSpec, base: &str) -> Said {
        let path = |version: &ApiVersion| {
            let path = version.openapi.as_ref()?.path.as_ref()?;
            Some((version.name.clone(), target(base, path)))
        };
        Said { product, targets: spec.versions.iter().filter_map(path).collect() }
    }

    /// Nothing any more.
    pub(crate) fn nothing(product: Name) -> Said {
        Said { product, targets: Vec::new() }
    }
}

/// The commit that is read.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) commit: CommitId,
    /// Whether it is another than the next after the one before, so that what was there before tells nothing.
    pub(crate) is_far: bool,
}

/// All references of all products.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    products: BTreeMap<Name, References>,
    wanted: BTreeMap<String, BTreeSet<Name>>,
}

/// What has been worked out and not taken over yet.
#[derive(Debug, Default)]
pub(crate) struct Staged(BTreeMap<Name, References>);

impl Documents {
    /// Reads the documents of products that say something new, and those whose file is among `changed`.
    pub(crate) fn stage(
        &self,
        files: &Files<'_>,
        moment: Option<Moment>,
        products: Vec<Said>,
        changed: &HashSet<&str>,
        changes: &mut Vec<Change>,
    ) -> Result<Staged, SourceError> {
        let mut staged = BTreeMap::new();
        let nothing = References::new();
        for Said { product, targets } in products {
            let before = self.products.get(&product).unwrap_or(&nothing);
            let mut now = References::new();
            for (version, target) in targets {
                let reference = look(files, moment, &product, &version, target, before.get(&version), changes)?;
                now.insert(version, reference);
            }
            for version in before.keys().filter(|version| !now.contains_key(*version)) {
                let (product, version) = (product.clone(), version.clone());
                changes.push(Change::Document { product, version, document: None });
            }
            staged.insert(product, now);
        }
        let mut touched: BTreeSet<&Name> = match files {
            // A folder does not tell what has changed.
            Files::Folder(_) => self.products.keys().collect(),
            Files::Commit(..) => changed.iter().filter_map(|path| self.wanted.get(*path)).flatten().collect(),
        };
        if moment.is_some_and(|moment| moment.is_far) {
            let broken = |references: &References| references.values().any(|reference| !reference.reads);
            touched.extend(self.products.iter().filter(|(_, references)| broken(references)).map(|(name, _)| name));
        }
        for product in touched {
            if staged.contains_key(product) {
                continue;
            }
            let Some(before) = self.products.get(product) else { continue };
            let mut now = References::new();
            for (version, reference) in before {
                let target = reference.target.clone();
                now.insert(version.clone(), look(files, moment, product, version, target, Some(reference), changes)?);
            }
            staged.insert(product.clone(), now);
        }
        Ok(Staged(staged))
    }

    pub(crate) fn take(&mut self, staged: Staged) {
        for (product, references) in staged.0 {
            for path in self.products.remove(&product).into_iter().flatten().filter_map(|(_, old)| old.target.ok()) {
                if let Some(wanting) = self.wanted.get_mut(&path) {
                    wanting.remove(&product);
                    if wanting.is_empty() {
                        self.wanted.remove(&path);
                    }
                }
            }
            for path in references.values().filter_map(|reference| reference.target.as_ref().ok()) {
                self.wanted.entry(path.clone()).or_default().insert(product.clone());
            }
            if !references.is_empty() {
                self.products.insert(product, references);
            }
        }
    }
}

/// Looks at a version's document, and says so if it is not as before. One that does not read is what it was in the newest
/// commit in which it did.
fn look(
    files: &Files<'_>,
    moment: Option<Moment>,
    product: &Name,
    version: &str,
    target: Result<String, String>,
    before: Option<&Reference>,
    changes: &mut Vec<Change>,
) -> Result<Reference, SourceError> {
    let (found, text) = match &target {
        Err(reason) => (Err(reason.clone()), None),
        Ok(path) => match files.at(path)? {
            Some(Entry::Link) => (Err(format!("`{path}` is a symbolic link, and those are not followed")), None),
            None => (Err(format!("there is no file `{path}`")), None),
            Some(Entry::File(id)) => {
                // Of a commit the id tells without reading whether it is the same.
                let same = before.is_some_and(|before| before.reads && before.found.as_ref() == Ok(&id));
                if same { (Ok(id), None) } else { text(files, path, id)? }
            }
        },
    };
    let reads = match (&found, &text) {
        (Err(_), _) => false,
        (Ok(_), Some(text)) => is_openapi(text),
        (Ok(_), None) => true,
    };
    let last = match (files, moment, &target) {
        (Files::Commit(repository, _), Some(moment), Ok(path)) if !reads => {
            history::document(repository, moment.commit, path)?
        }
        _ => None,
    };
    let reference = Reference { target, found, reads, last: last.as_ref().map(|(id, _)| *id) };
    let same = before.is_some_and(|before| before.found == reference.found && before.last == reference.last);
    let now = match (&reference.found, text) {
        (Err(reason), _) => Some(Err(reason.clone())),
        (Ok(_), text) => text.map(Ok),
    };
    if let Some(text) = now.filter(|_| !same) {
        let document = Some(Document { text, last: last.map(|(_, text)| text) });
        changes.push(Change::Document { product: product.clone(), version: version.to_owned(), document });
    }
    Ok(reference)
}

/// The documents of a product that is gone, as they were at the newest commit that had it.
pub(crate) fn last(
    repository: &Repository,
    commit: CommitId,
    product: &Name,
    spec: &ApiProductSpec,
    file: &str,
) -> Result<Vec<Change>, TreeError> {
    let mut told = Vec::new();
    for (version, target) in Said::new(product.clone(), spec, file).targets {
        let Ok(path) = target else { continue };
        if let Some((_, text)) = history::document(repository, commit, &path)? {
            let document = Some(Document::new(Ok(text)));
            told.push(Change::Document { product: product.clone(), version, document });
        }
    }
    Ok(told)
}

type Found = (Result<Oid, String>, Option<Arc<str>>);

fn text(files: &Files<'_>, path: &str, id: Oid) -> Result<Found, SourceError> {
    let bytes = files.bytes(path, id)?;
    if bytes.len() > MAX_OPENAPI {
        return Ok((Err(format!("`{path}` is longer than 4 MiB")), None));
    }
    let id = match files {
        Files::Commit(..) => id,
        Files::Folder(_) => Oid::hash_object(ObjectType::Blob, &bytes).unwrap_or(id),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok((Ok(id), Some(text.into()))),
        Err(_) => Ok((Err(format!("`{path}` is not UTF-8 text")), None)),
    }
}

/// The file that `path` means in the file `base`, from the root of the tree.
pub(crate) fn target(base: &str, path: &str) -> Result<String, String> {
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return Err(format!("`{}` is not a relative path", path.escape_debug()));
    }
    let mut parts: Vec<&str> = base.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(|| format!("`{path}` leads out of the repository"))?;
            }
            // Not a file of the repository, though a folder may have it.
            ".git" => return Err(format!("`{path}` leads into `.git`")),
            part => parts.push(part),
        }
    }
    if parts.is_empty() { Err(format!("`{path}` is not a file")) } else { Ok(parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let base = "products/orders/product.yaml";
        assert_eq!(target(base, "openapi.yaml").as_deref(), Ok("products/orders/openapi.yaml"));
        assert_eq!(target(base, "./a//b.yaml").as_deref(), Ok("products/orders/a/b.yaml"));
        assert_eq!(target(base, "../../shared/a.yaml").as_deref(), Ok("shared/a.yaml"));
        assert_eq!(target("product.yaml", "a.yaml").as_deref(), Ok("a.yaml"));
        for bad in
            ["/etc/passwd", "../../../a", "../../..", "a\\b", "a\0b", "../..", ".git/config", "../../../../etc/passwd"]
        {
            assert!(target(base, bad).is_err(), "{bad:?}");
        }
    }
}
