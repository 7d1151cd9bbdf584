//! Working out what a commit changes, without changing anything yet.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use portico_core::batch::{Change, Object, Spec};
use portico_core::diagnostic::{Diagnostic, Place, Severity};
use portico_core::intern::Interner;
use portico_core::key::{Kind, Name, ObjectKey};

use crate::author;
use crate::commit::CommitId;
use crate::documents::{self, Documents};
use crate::history::Past;
use crate::index::{Claim, FileState, Index, Keys, Known};
use crate::reader::Advance;
use crate::source::{Files, SourceError};
use crate::text::{Contents, Part, Said, locate};
use crate::tree::{Differing, Entry, TreeError};

/// What the reader knows already.
#[derive(Clone, Copy)]
pub(crate) struct Before<'a> {
    pub(crate) index: &'a Index,
    pub(crate) findings: &'a BTreeMap<ObjectKey, Vec<Diagnostic>>,
    pub(crate) loose: &'a BTreeMap<Arc<str>, Vec<Diagnostic>>,
}

/// What has been worked out and not taken over yet.
pub(crate) struct Staged {
    pub(crate) advance: Advance,
    pub(crate) files: BTreeMap<Arc<str>, FileState>,
    pub(crate) objects: Keys<Known>,
    pub(crate) documents: documents::Staged,
    /// Objects that are put, with the file that they stand in, and the commit if it is one before.
    pub(crate) put: Vec<(ObjectKey, Arc<str>, Option<CommitId>)>,
    pub(crate) findings: Vec<(ObjectKey, Vec<Diagnostic>)>,
    pub(crate) loose: BTreeMap<Arc<str>, Vec<Diagnostic>>,
}

/// The steps, in the order in which they have to be called: read, remember, claim, settle, find, finish.
pub(crate) struct Stage<'a> {
    before: Before<'a>,
    source: &'a Files<'a>,
    advance: Advance,
    /// What files say: all that are different, and others as they are needed.
    contents: HashMap<Arc<str>, Contents, foldhash::fast::RandomState>,
    /// Files that are different, or of which something else is remembered.
    files: BTreeMap<Arc<str>, FileState>,
    loose: BTreeMap<Arc<str>, Vec<Diagnostic>>,
    /// Objects that belong together often have the same name.
    names: Interner<Name>,
    /// Objects that may be different, and the order in which they came up.
    objects: Keys<Known>,
    order: Vec<ObjectKey>,
    products: Vec<documents::Said>,
    put: Vec<(ObjectKey, Arc<str>, Option<CommitId>)>,
    findings: Vec<(ObjectKey, Vec<Diagnostic>)>,
}

impl<'a> Stage<'a> {
    /// Reads the manifests among what is different.
    pub(crate) fn read(
        before: Before<'a>,
        source: &'a Files<'a>,
        differing: &[Differing],
        is_ours: &dyn Fn(&str) -> bool,
    ) -> Result<Stage<'a>, SourceError> {
        let mut stage = Stage {
            before,
            source,
            advance: Advance::default(),
            contents: HashMap::default(),
            files: BTreeMap::new(),
            loose: BTreeMap::new(),
            names: Interner::default(),
            objects: Keys::default(),
            order: Vec::new(),
            products: Vec::new(),
            put: Vec::new(),
            findings: Vec::new(),
        };
        let mut files = Vec::new();
        for Differing { path, now } in differing.iter().filter(|file| is_ours(&file.path)) {
            let path: Arc<str> = path.as_str().into();
            match now {
                Some(Entry::File(id)) => files.push((path, *id)),
                // What stood there is gone: a link is not a file that cannot be read.
                Some(Entry::Link) => {
                    let found = vec![link(&path)];
                    stage.add(path, &Contents::default(), found, false);
                }
                None => stage.add(path, &Contents::default(), Vec::new(), false),
            }
        }
        files.sort();
        stage.advance.files_read = files.len();
        for ((path, _), mut contents) in files.iter().zip(source.contents(&files)?) {
            contents.documents.iter_mut().for_each(|said| stage.intern(said));
            let loose = std::mem::take(&mut contents.loose);
            let opaque = loose.iter().any(|found| found.severity == Severity::Error);
            stage.add(path.clone(), &contents, loose, opaque);
            if !contents.documents.is_empty() {
                stage.contents.insert(path.clone(), contents);
            }
        }
        Ok(stage)
    }

    fn add(&mut self, path: Arc<str>, contents: &Contents, loose: Vec<Diagnostic>, opaque: bool) {
        let state = FileState { opaque, ..FileState::of(contents) };
        if !loose.is_empty() || self.before.loose.contains_key(&path) {
            self.loose.insert(path.clone(), loose);
        }
        if !state.is_void() || self.before.index.files.contains_key(&path) {
            self.files.insert(path, state);
        }
    }

    fn intern(&mut self, said: &mut Said) {
        let name = self.names.intern(&said.key.name);
        if let Some(object) = &mut said.object {
            object.name = name.clone();
        }
        said.key.name = name;
    }

    /// Makes opaque files remember what they held. With a `past`, the commits before have to tell; without, what is known
    /// is what was there just before.
    pub(crate) fn remember(&mut self, past: Option<&(Past<'_>, CommitId)>) -> Result<(), TreeError> {
        let known = &self.before.index.files;
        let Some((past, commit)) = past else {
            for (path, state) in self.files.iter_mut().filter(|(_, state)| state.opaque) {
                state.remember(&known.get(path).into_iter().flat_map(FileState::keys).cloned().collect());
            }
            return Ok(());
        };
        let mut found = past.remembered(*commit, &self.opaque())?;
        for path in self.opaque() {
            let state = self.files.entry(path.clone()).or_insert_with(|| known.get(&path).cloned().unwrap_or_default());
            state.remember(&found.remove(&path).unwrap_or_default());
        }
        Ok(())
    }

    /// Every opaque file, as things will be.
    fn opaque(&self) -> BTreeSet<Arc<str>> {
        let before = self.before.index.opaque.iter().filter(|path| !self.files.contains_key(*path));
        let now = self.files.iter().filter(|(_, state)| state.opaque).map(|(path, _)| path);
        before.chain(now).cloned().collect()
    }

    /// Works out which documents claim which objects; `all` also looks again at those that keep what they said before.
    pub(crate) fn claim(&mut self, all: bool) {
        let files = std::mem::take(&mut self.files);
        for (path, state) in &files {
            for key in self.before.index.files.get(path).into_iter().flat_map(FileState::keys) {
                self.object(key).claims.retain(|claim| claim.file != *path);
            }
            for (key, claim) in state.claims(path) {
                self.object(key).claims.add(claim);
            }
        }
        self.files = files;
        for key in self.before.index.kept.iter().filter(|_| all) {
            self.object(key);
        }
    }

    fn object(&mut self, key: &ObjectKey) -> &mut Known {
        match self.objects.entry(key.clone()) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => {
                self.order.push(key.clone());
                slot.insert(self.before.index.objects.get(key).cloned().unwrap_or_default())
            }
        }
    }

    /// The objects that may be different.
    pub(crate) fn objects(&self) -> &Keys<Known> {
        &self.objects
    }

    /// Works out what each object says.
    pub(crate) fn settle(&mut self, past: Option<&(Past<'_>, CommitId)>) -> Result<(), SourceError> {
        let unreadable = |known: &Known| known.claims.holder().is_some_and(|holder| !holder.good);
        let mut kept = match past {
            Some((past, commit)) => {
                let sought = self.objects.iter().filter(|(_, known)| unreadable(known));
                let sought = sought.map(|(key, known)| (key.clone(), known.claims.as_slice().to_vec()));
                past.kept(*commit, sought, &self.opaque())?
            }
            None => HashMap::new(),
        };
        for key in std::mem::take(&mut self.order) {
            let Some(known) = self.objects.get(&key) else { continue };
            let held = self.before.index.objects.get(&key);
            let said = match known.claims.holder() {
                None => None,
                Some(holder) if holder.good => {
                    let same = held.is_some_and(|held| held.present && held.claims.holder() == Some(holder));
                    if same && !self.files.contains_key(&holder.file) {
                        self.order.push(key);
                        continue;
                    }
                    let holder = holder.clone();
                    self.said(&holder)?.and_then(|said| said.object.take()).map(|object| (object, holder.file, None))
                }
                // What it said just before still counts.
                Some(_) if past.is_none() => {
                    self.order.push(key);
                    continue;
                }
                Some(_) => kept.remove(&key).map(|(object, from)| (object, from.file, Some(from.commit))),
            };
            self.put(&key, said);
            self.order.push(key);
        }
        Ok(())
    }

    fn put(&mut self, key: &ObjectKey, said: Option<(Object, Arc<str>, Option<CommitId>)>) {
        let Some(known) = self.objects.get_mut(key) else { return };
        let was = std::mem::replace(&mut known.present, said.is_some());
        match said {
            Some((object, file, commit)) => {
                if let Spec::ApiProduct(product) = &object.spec {
                    self.products.push(documents::Said::new(key.name.clone(), product, &file));
                }
                if author::matters(key.kind) {
                    self.put.push((key.clone(), file, commit));
                }
                self.advance.changes.push(Change::Put(object));
            }
            None if was => {
                if key.kind == Kind::ApiProduct {
                    self.products.push(documents::Said::nothing(key.name.clone()));
                }
                self.advance.changes.push(Change::Remove(key.clone()));
            }
            None => {}
        }
    }

    /// The document of a claim.
    fn said(&mut self, claim: &Claim) -> Result<Option<&mut Said>, SourceError> {
        if !self.contents.contains_key(&claim.file) {
            let contents = self.source.manifest(&claim.file)?.unwrap_or_default();
            self.contents.insert(claim.file.clone(), contents);
        }
        let Some(contents) = self.contents.get_mut(&claim.file) else { return Ok(None) };
        let place = contents.documents.binary_search_by_key(&claim.document, |said| said.document);
        Ok(place.ok().and_then(|place| contents.documents.get_mut(place)))
    }

    /// Works out what is wrong with each object.
    pub(crate) fn find(&mut self) -> Result<(), SourceError> {
        let nothing = Vec::new();
        for key in std::mem::take(&mut self.order) {
            let Some(known) = self.objects.get(&key) else { continue };
            let before = self.before.findings.get(&key).unwrap_or(&nothing);
            if let [claim] = known.claims.real()
                && claim.good
                && before.is_empty()
            {
                continue;
            }
            let claims = known.claims.real().to_vec();
            let mut found = Vec::new();
            for claim in &claims {
                found.extend(self.said(claim)?.map(|said| said.findings.clone()).unwrap_or_default());
                if let Some(first) = claims.first().filter(|first| *first != claim) {
                    found.push(self.duplicate(&key, claim, first)?);
                }
            }
            if found != *before {
                self.advance.changes.push(Change::Findings(key.clone(), found.clone()));
                self.findings.push((key, found));
            }
        }
        Ok(())
    }

    fn duplicate(&self, key: &ObjectKey, claim: &Claim, first: &Claim) -> Result<Diagnostic, SourceError> {
        let there = self.name_of(first)?;
        let line = there.map_or(1, |place| place.line);
        let message = format!("this object is in {}:{line} already, and that one counts", first.file);
        let found = Diagnostic::error("duplicate-object", key, "metadata.name", message);
        Ok(Diagnostic { place: self.name_of(claim)?, ..found.help("remove one of the two, or give it another name") })
    }

    fn name_of(&self, claim: &Claim) -> Result<Option<Place>, SourceError> {
        let text = text_of(self.source, &claim.file)?;
        Ok(text.and_then(|text| locate(&claim.file, &text, claim.document, "metadata.name", Part::Value)))
    }

    /// Reads documents of products, and hands everything over.
    pub(crate) fn finish(
        mut self,
        documents: &Documents,
        moment: Option<documents::Moment>,
        changed: &HashSet<&str>,
    ) -> Result<Staged, SourceError> {
        let documents = documents.stage(self.source, moment, self.products, changed, &mut self.advance.changes)?;
        Ok(Staged {
            advance: self.advance,
            files: self.files,
            objects: self.objects,
            documents,
            put: self.put,
            findings: self.findings,
            loose: self.loose,
        })
    }
}

fn link(path: &Arc<str>) -> Diagnostic {
    Diagnostic {
        code: "symlink",
        severity: Severity::Error,
        object: None,
        path: String::new(),
        message: "this is a symbolic link, and those are not followed".to_owned(),
        help: Some("put the file itself here".to_owned()),
        place: Some(Place { file: path.clone(), line: 1, column: 1, length: 0 }),
    }
}

/// The text of a file, if it is one.
pub(crate) fn text_of(files: &Files<'_>, path: &str) -> Result<Option<String>, SourceError> {
    let Some(Entry::File(id)) = files.at(path)? else { return Ok(None) };
    Ok(String::from_utf8(files.bytes(path, id)?).ok())
}
