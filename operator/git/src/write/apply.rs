//! From edits to files, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use git2::{Oid, Tree};
use portico_core::batch::{Change, Object, Spec};
use portico_core::diagnostic::{Diagnostic, Place, Severity};
use portico_core::key::ObjectKey;
use serde_json::Value as Json;

use super::answer::{Conflict, Refused};
use super::places::Places;
use super::request::Edit;
use super::{document, layout, merge};
use crate::commit::{CommitId, Repository};
use crate::text::edit::{Op, difference};
use crate::text::{FieldPath, Part, Step, heads, is_manifest_in, is_name, is_namespace, locate, read};
use crate::tree::Entry;

/// What an object says, as JSON.
pub(crate) fn spec(spec: &Spec) -> Json {
    // Nothing in these types fails to be written.
    serde_json::to_value(spec).unwrap_or_default()
}

/// A file that becomes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The path from the root of the tree.
    pub path: Arc<str>,
    /// What it says then; absent where it goes.
    pub text: Option<Arc<[u8]>>,
}

/// What comes of a request's edits.
#[derive(Debug, Default)]
pub(crate) struct Drafted {
    pub(crate) files: Vec<FileChange>,
    /// Of each file: the objects that it speaks of then.
    pub(crate) keys: Vec<(Arc<str>, Box<[ObjectKey]>)>,
    pub(crate) changes: Vec<Change>,
}

/// A document in a file, as the draft has it.
pub(crate) struct Found {
    pub(crate) file: Arc<str>,
    pub(crate) document: u32,
    pub(crate) text: String,
}

struct Changed {
    before: Option<String>,
    text: Option<String>,
    heads: Vec<(ObjectKey, u32)>,
}

/// Where a draft begins.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) tree: &'a Tree<'a>,
    pub(crate) places: &'a Places,
    pub(crate) folder: &'a str,
    /// The newest commit that others can see.
    pub(crate) tip: CommitId,
    /// The commit that the person saw.
    pub(crate) base: Option<CommitId>,
}

/// A tree with edits.
pub(crate) struct Draft<'a> {
    ground: Ground<'a>,
    files: BTreeMap<Arc<str>, Changed>,
    touched: BTreeMap<ObjectKey, bool>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(ground: Ground<'a>) -> Draft<'a> {
        Draft { ground, files: BTreeMap::new(), touched: BTreeMap::new() }
    }

    pub(crate) fn edit(&mut self, edit: &Edit) -> Result<(), Refused> {
        let key = edit.key();
        named(&key)?;
        let found = self.find(&key)?;
        self.touched.entry(key.clone()).or_insert(found.is_some());
        match (edit, found) {
            (Edit::Put(object), None) => self.create(object),
            (Edit::Put(object), Some(found)) => self.put(&key, &spec(&object.spec), &found),
            (Edit::Set { .. } | Edit::Unset { .. }, None) => Err(match self.before(&key, None)? {
                Some(base) => self.gone(key, &base),
                None => invalid("not-found", &key, "", format!("there is no {key}")),
            }),
            (Edit::Set { path, value, .. }, Some(found)) => {
                settable(&key, path)?;
                self.unchanged(&key, path, Some(value), &found)?;
                self.change(&key, &found, &[Op::Set(path.clone(), value.clone())])
            }
            (Edit::Unset { path, .. }, Some(found)) => {
                settable(&key, path)?;
                self.unchanged(&key, path, None, &found)?;
                match document::value(&found.file, &found.text, found.document, path) {
                    Some(_) => self.change(&key, &found, &[Op::Unset(path.clone())]),
                    None => Ok(()),
                }
            }
            // What somebody wants gone, and is gone, is as it should be.
            (Edit::Delete(_), None) => Ok(()),
            (Edit::Delete(_), Some(found)) => {
                self.unchanged(&key, &FieldPath::root(), None, &found)?;
                self.delete(&found);
                Ok(())
            }
        }
    }

    /// Puts a whole file as it is.
    pub(crate) fn replace(&mut self, path: &Arc<str>, text: Option<String>) -> Result<(), Refused> {
        let before = self.text(path)?;
        let old = before.as_deref().map(|text| heads(path, text.as_bytes())).unwrap_or_default();
        let new = text.as_deref().map(|text| heads(path, text.as_bytes())).unwrap_or_default();
        if is_manifest_in(path, self.ground.folder) {
            for (key, _) in old.iter().chain(&new) {
                self.touched.entry(key.clone()).or_insert(old.iter().any(|(there, _)| there == key));
            }
        }
        self.write(path, text);
        Ok(())
    }

    /// What is different in the end.
    pub(crate) fn finish(self) -> Result<Drafted, Refused> {
        let mut drafted = Drafted::default();
        let mut wrong = Vec::new();
        for (key, was_there) in &self.touched {
            match self.find(key)? {
                Some(found) => match object(&found, key) {
                    Ok(object) => drafted.changes.push(Change::Put(object)),
                    Err(findings) => wrong.extend(findings),
                },
                None if *was_there => drafted.changes.push(Change::Remove(key.clone())),
                None => {}
            }
        }
        if !wrong.is_empty() {
            return Err(Refused::Invalid(wrong));
        }
        for (path, Changed { before, text, heads }) in self.files {
            if before != text {
                let keys = heads.into_iter().map(|(key, _)| key).collect();
                drafted.keys.push((path.clone(), keys));
                drafted.files.push(FileChange { path, text: text.map(|text| text.into_bytes().into()) });
            }
        }
        Ok(drafted)
    }

    /// What a file says; `None` where there is none.
    pub(crate) fn text(&self, file: &Arc<str>) -> Result<Option<String>, Refused> {
        match self.files.get(file) {
            Some(changed) => Ok(changed.text.clone()),
            None => text_of(self.ground.repository, self.ground.tree, file),
        }
    }

    /// The one document about an object.
    fn find(&self, key: &ObjectKey) -> Result<Option<Found>, Refused> {
        let mut found = Vec::new();
        for file in self.ground.places.of(key).iter().filter(|file| !self.files.contains_key(*file)) {
            let Some(text) = self.text(file)? else { continue };
            let heads = heads(file, text.as_bytes());
            let here = heads.into_iter().filter(|(there, _)| there == key);
            found.extend(here.map(|(_, document)| Found { file: file.clone(), document, text: text.clone() }));
        }
        for (file, changed) in &self.files {
            let here = changed.heads.iter().filter(|(there, _)| there == key);
            let text = changed.text.clone().unwrap_or_default();
            found.extend(here.map(|(_, document)| Found {
                file: file.clone(),
                document: *document,
                text: text.clone(),
            }));
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => {
                found.sort_by(|one, other| (&one.file, one.document).cmp(&(&other.file, other.document)));
                let places = found.iter().map(|found| document::line(&found.file, &found.text, found.document));
                let places: Vec<String> =
                    found.iter().zip(places).map(|(found, line)| format!("{}:{line}", found.file)).collect();
                let message = format!("{key} is there more than once: {}", places.join(", "));
                Err(invalid_at(&found[0], "duplicate-object", key, "", message, "delete all but one of them by hand"))
            }
        }
    }

    fn write(&mut self, file: &Arc<str>, text: Option<String>) {
        let heads = match &text {
            Some(text) if is_manifest_in(file, self.ground.folder) => heads(file, text.as_bytes()),
            _ => Vec::new(),
        };
        if let Some(changed) = self.files.get_mut(file) {
            (changed.text, changed.heads) = (text, heads);
        } else {
            // What cannot be read as text has been refused when it was looked for.
            let before = text_of(self.ground.repository, self.ground.tree, file).ok().flatten();
            self.files.insert(file.clone(), Changed { before, text, heads });
        }
    }

    fn put(&mut self, key: &ObjectKey, wanted: &Json, found: &Found) -> Result<(), Refused> {
        let now = spec(&object(found, key).map_err(Refused::Invalid)?.spec);
        let at = FieldPath::root().field("spec");
        let target = match self.ground.base {
            None => wanted.clone(),
            Some(_) => match self.before(key, Some(found))? {
                None if now == *wanted => return Ok(()),
                None => return Err(self.conflict(key, &FieldPath::root(), found)),
                Some(base) => {
                    // One that could not be read when the person saw it is taken as it is now.
                    let before = object(&base, key).map_or_else(|_| now.clone(), |object| spec(&object.spec));
                    match merge::merged(&at, &before, &now, wanted) {
                        Ok(merged) => merged,
                        Err(path) => return Err(self.conflict(key, &path, found)),
                    }
                }
            },
        };
        let ops = difference(&at, &now, &target);
        self.change(key, found, &ops)?;
        match self.find(key)? {
            Some(found) if spec(&object(&found, key).map_err(Refused::Invalid)?.spec) == target => Ok(()),
            _ => Err(by_hand(key, found, 1)),
        }
    }

    fn create(&mut self, object: &Object) -> Result<(), Refused> {
        let key = object.key();
        if let Some(base) = self.before(&key, None)? {
            return Err(self.gone(key, &base));
        }
        let file = |key: &ObjectKey| self.find(key).ok().flatten().map(|found| found.file);
        let paths = layout::paths(object, self.ground.folder, &file);
        for path in paths {
            let path: Arc<str> = path.into();
            if !self.stands(&path)? {
                self.write(&path, Some(document::new(object)));
                break;
            }
        }
        match self.find(&key)? {
            None => {
                Err(invalid("no-place", &key, "", format!("there are files already wherever {key} could be written")))
            }
            Some(found) if spec(&self::object(&found, &key).map_err(Refused::Invalid)?.spec) == spec(&object.spec) => {
                Ok(())
            }
            Some(found) => Err(by_hand(&key, &found, 1)),
        }
    }

    /// Whether something stands at a path, and an error where it cannot be made because of what stands above it.
    fn stands(&self, path: &Arc<str>) -> Result<bool, Refused> {
        if let Some(changed) = self.files.get(path) {
            return Ok(changed.text.is_some());
        }
        for (at, _) in path.match_indices('/') {
            let above = &path[..at];
            if let Some(entry) = self.ground.repository.at(self.ground.tree, above)? {
                let what = if entry == Entry::Link { "a link" } else { "a file" };
                return Err(in_the_way(above, what));
            }
        }
        // A folder of that name is in the way as a file is.
        Ok(self.ground.tree.get_path(std::path::Path::new(&**path)).is_ok())
    }

    fn change(&mut self, key: &ObjectKey, found: &Found, ops: &[Op]) -> Result<(), Refused> {
        if ops.is_empty() {
            return Ok(());
        }
        let text = document::changed(key, found, ops)?;
        self.write(&found.file, Some(text));
        Ok(())
    }

    fn delete(&mut self, found: &Found) {
        let rest = document::without(found);
        self.write(&found.file, rest);
    }

    /// The document about an object at the commit that the person saw.
    fn before(&self, key: &ObjectKey, found: Option<&Found>) -> Result<Option<Found>, Refused> {
        let Some(base) = self.ground.base else { return Ok(None) };
        let (repository, tree) = (self.ground.repository, self.ground.repository.tree(base)?);
        let differing = repository.differing(&tree, self.ground.tree)?;
        let same = |file: &str| !differing.iter().any(|differing| differing.path == file);
        if let Some(found) = found.filter(|found| same(&found.file) && !self.files.contains_key(&found.file)) {
            return Ok(Some(Found { file: found.file.clone(), document: found.document, text: found.text.clone() }));
        }
        let mut files: BTreeSet<Arc<str>> = differing.into_iter().map(|differing| differing.path.into()).collect();
        files.extend(found.map(|found| found.file.clone()));
        for file in files.into_iter().filter(|file| is_manifest_in(file, self.ground.folder)) {
            let Some(text) = text_of(repository, &tree, &file)? else { continue };
            let document = heads(&file, text.as_bytes()).into_iter().find(|(there, _)| there == key);
            if let Some((_, document)) = document {
                return Ok(Some(Found { file, document, text }));
            }
        }
        Ok(None)
    }

    /// Refuses where a field says something else than when the person saw it, and not yet what is wanted.
    fn unchanged(
        &self,
        key: &ObjectKey,
        path: &FieldPath,
        wanted: Option<&Json>,
        found: &Found,
    ) -> Result<(), Refused> {
        if self.ground.base.is_none() {
            return Ok(());
        }
        let now = document::value(&found.file, &found.text, found.document, path);
        let before = self.before(key, Some(found))?;
        let before = before.and_then(|base| document::value(&base.file, &base.text, base.document, path));
        if now == before || now.as_ref() == wanted { Ok(()) } else { Err(self.conflict(key, path, found)) }
    }

    fn conflict(&self, key: &ObjectKey, path: &FieldPath, found: &Found) -> Refused {
        let place = locate(&found.file, &found.text, found.document, &path.to_string(), Part::Value);
        let line = document::line(&found.file, &found.text, found.document);
        let place = place.unwrap_or(Place { file: found.file.clone(), line, column: 1, length: 0 });
        let Ground { repository, tip, base, .. } = self.ground;
        let by = base.and_then(|base| merge::who(repository, tip, base, &found.file, key, path));
        Refused::Conflict(Box::new(Conflict { object: Some(key.clone()), path: path.to_string(), place, by }))
    }

    /// The conflict that an object is gone which the person saw.
    fn gone(&self, key: ObjectKey, base: &Found) -> Refused {
        let Ground { repository, tip, base: seen, .. } = self.ground;
        let by = seen.and_then(|seen| merge::who(repository, tip, seen, &base.file, &key, &FieldPath::root()));
        let place = Place { file: base.file.clone(), line: 1, column: 1, length: 0 };
        Refused::Conflict(Box::new(Conflict { object: Some(key), path: String::new(), place, by }))
    }
}

/// The text of a file in a tree.
pub(crate) fn text_of(repository: &Repository, tree: &Tree<'_>, file: &str) -> Result<Option<String>, Refused> {
    let id = match repository.at(tree, file)? {
        None => return Ok(None),
        Some(Entry::Link) => return Err(in_the_way(file, "a link")),
        Some(Entry::File(id)) => id,
    };
    String::from_utf8(bytes(repository, file, id)?).map(Some).map_err(|_| {
        let place = Some(Place { file: file.into(), line: 1, column: 1, length: 0 });
        let (message, help) = (format!("`{file}` is not UTF-8 text"), Some("save it as UTF-8".to_owned()));
        let (severity, path) = (Severity::Error, String::new());
        Refused::Invalid(vec![Diagnostic { code: "not-utf8", severity, object: None, path, message, help, place }])
    })
}

fn bytes(repository: &Repository, file: &str, id: Oid) -> Result<Vec<u8>, Refused> {
    Ok(repository.bytes(file, id)?)
}

/// What a document says as an object, or why it does not.
pub(crate) fn object(found: &Found, key: &ObjectKey) -> Result<Object, Vec<Diagnostic>> {
    let said = read(&found.file, found.text.as_bytes());
    match said.documents.into_iter().find(|said| said.document == found.document && said.key == *key) {
        Some(said) => said.object.ok_or(said.findings),
        None => Err(said.loose),
    }
}

/// Refuses names that no object can have.
fn named(key: &ObjectKey) -> Result<(), Refused> {
    let (namespace, name) = (key.name.namespace(), key.name.name());
    if !is_name(name) {
        let help = "use lower-case letters, digits, `-` and `.`; begin and end with a letter or digit; 253 at most";
        return Err(invalid_help("invalid-name", key, "metadata.name", format!("`{name}` cannot be a name"), help));
    }
    if !is_namespace(namespace) {
        let help = "use lower-case letters, digits and `-`; begin and end with a letter or digit; 63 at most";
        let message = format!("`{namespace}` cannot be a namespace");
        return Err(invalid_help("invalid-name", key, "metadata.namespace", message, help));
    }
    Ok(())
}

fn settable(key: &ObjectKey, path: &FieldPath) -> Result<(), Refused> {
    let field = |at: usize| match path.steps().get(at) {
        Some(Step::Field(name)) => Some(name.as_str()),
        _ => None,
    };
    match (field(0), field(1), path.steps().len()) {
        (Some("spec"), Some(_), _) | (Some("metadata"), Some("labels" | "annotations"), 3..) => Ok(()),
        _ => {
            let help = "only fields of `spec`, labels and annotations can";
            let message = format!("`{path}` cannot be changed by itself");
            Err(invalid_help("invalid-path", key, &path.to_string(), message, help))
        }
    }
}

/// The refusal of an edit that a person has to make.
pub(crate) fn by_hand(key: &ObjectKey, found: &Found, line: u32) -> Refused {
    let message = format!("{key} is written in a form in which this cannot be changed without rewriting it");
    let mut refused = Diagnostic::error("not-in-place", key, "", message).help("change the file by hand");
    refused.place = Some(Place { file: found.file.clone(), line, column: 1, length: 0 });
    Refused::Invalid(vec![refused])
}

fn in_the_way(path: &str, what: &str) -> Refused {
    let place = Some(Place { file: path.into(), line: 1, column: 1, length: 0 });
    let message = format!("`{path}` is {what}, and nothing is written through it");
    let (severity, help) = (Severity::Error, Some("put a folder or a file in its place".to_owned()));
    let (code, path) = ("in-the-way", String::new());
    Refused::Invalid(vec![Diagnostic { code, severity, object: None, path, message, help, place }])
}

pub(crate) fn invalid(code: &'static str, key: &ObjectKey, path: &str, message: String) -> Refused {
    Refused::Invalid(vec![Diagnostic::error(code, key, path, message)])
}

fn invalid_help(code: &'static str, key: &ObjectKey, path: &str, message: String, help: &str) -> Refused {
    Refused::Invalid(vec![Diagnostic::error(code, key, path, message).help(help)])
}

fn invalid_at(found: &Found, code: &'static str, key: &ObjectKey, path: &str, message: String, help: &str) -> Refused {
    let mut refused = Diagnostic::error(code, key, path, message).help(help);
    let line = document::line(&found.file, &found.text, found.document);
    refused.place = Some(Place { file: found.file.clone(), line, column: 1, length: 0 });
    Refused::Invalid(vec![refused])
}
