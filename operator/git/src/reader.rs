//! Following desired state from commit to commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portico_core::Core;
use portico_core::batch::{Author, Change, Fact};
use portico_core::deletion::Missing;
use portico_core::diagnostic::Diagnostic;
use portico_core::key::ObjectKey;

use crate::author::{self, Spot};
use crate::commit::{CommitId, CommitInfo, Repository, RepositoryError, info};
use crate::deleted::{Deleted, Memory};
use crate::documents::{Documents, Moment};
use crate::history::Past;
use crate::index::{FileState, Index, Keys, Known};
use crate::source::{Files, FolderError, SourceError, listing};
use crate::stage::{Before, Stage, Staged, text_of};
use crate::text::{Part, is_manifest_in, locate};
use crate::tree::{Differing, TreeError};

/// Desired state could not be taken over. What was there before still holds.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Files cannot be read.
    #[error("cannot read desired state")]
    Source(#[from] SourceError),
    /// The commit cannot be read.
    #[error("cannot read the commit")]
    Repository(#[from] RepositoryError),
    /// Every object would be gone, which is nearly always a mistake.
    #[error(
        "there is no object of portico.dev any more, and there were {before}: the state before still holds. \
         Check the branch and the folder, or allow an empty repository"
    )]
    Empty {
        /// How many there were.
        before: usize,
    },
    /// A folder has no commits.
    #[error("{path} is read as a plain folder, which has no commits")]
    NoCommits {
        /// The folder.
        path: PathBuf,
    },
}

impl From<TreeError> for ReadError {
    fn from(error: TreeError) -> Self {
        ReadError::Source(error.into())
    }
}

impl From<FolderError> for ReadError {
    fn from(error: FolderError) -> Self {
        ReadError::Source(error.into())
    }
}

/// How to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Only manifests in this folder of the tree are read; empty for all.
    pub folder: String,
    /// Whether all objects may go at once.
    pub allow_empty: bool,
}

/// What is different since the last time.
#[derive(Debug, Default)]
pub struct Advance {
    /// The commit that was read; absent for a folder.
    pub commit: Option<CommitInfo>,
    /// What to tell the core. `Object::created` is never set: the caller may know.
    pub changes: Vec<Change>,
    /// Everything that is wrong now in files of which it cannot be told which object they are about.
    pub diagnostics: Vec<Diagnostic>,
    /// How many manifests were read.
    pub files_read: usize,
    /// How many objects there are now.
    pub objects: usize,
}

/// Where an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPlace {
    /// The file, from the root of the tree.
    pub file: Arc<str>,
    /// The document's place among those of the file, from 0.
    pub document: u32,
    /// The line that the document begins with, from 1.
    pub line: u32,
}

#[derive(Debug)]
enum Origin {
    Repository(Repository),
    Folder(PathBuf),
}

/// The repository that a folder is a part of.
#[derive(Debug)]
struct Around {
    repository: Repository,
    head: CommitId,
    /// Where the folder is, from the root: empty, or with a slash at its end.
    prefix: String,
}

impl Around {
    /// None where there is no repository or no commit: then there is no history to know.
    fn find(folder: &Path) -> Option<Around> {
        let git = git2::Repository::discover(folder).ok()?;
        let root = git.workdir()?.canonicalize().ok()?;
        let inside = folder.canonicalize().ok()?.strip_prefix(&root).ok()?.to_str()?.to_owned();
        let prefix = if inside.is_empty() { inside } else { format!("{inside}/") };
        let path = git.path().to_owned();
        let repository = Repository { git, path };
        let head = repository.head(None).ok()?;
        Some(Around { repository, head, prefix })
    }
}

/// Reads desired state, and of each further commit only what has changed.
///
/// The same commit gives the same objects and the same diagnostics, whichever commits were read before it.
#[derive(Debug)]
pub struct Reader {
    origin: Origin,
    options: Options,
    pub(crate) commit: Option<CommitId>,
    pub(crate) index: Index,
    documents: Documents,
    /// Who wrote objects of which that matters.
    authors: Keys<Arc<Author>>,
    /// Objects that are gone and that others refer to.
    deleted: Memory,
    /// Of a plain folder: the history that it is a part of.
    around: Option<Around>,
    findings: BTreeMap<ObjectKey, Vec<Diagnostic>>,
    loose: BTreeMap<Arc<str>, Vec<Diagnostic>>,
}

impl Reader {
    /// A reader of commits that has read nothing yet.
    pub fn new(repository: Repository, options: Options) -> Reader {
        Reader::of(Origin::Repository(repository), options)
    }

    /// A reader of a folder as it is when [`Reader::rescan`] is called.
    pub fn folder(path: impl Into<PathBuf>, options: Options) -> Reader {
        Reader::of(Origin::Folder(path.into()), options)
    }

    /// A reader of a folder that also knows what was committed of it, where it is a part of a repository.
    pub fn folder_with_history(path: impl Into<PathBuf>, options: Options) -> Reader {
        let path = path.into();
        let around = Around::find(&path);
        Reader { around, ..Reader::folder(path, options) }
    }

    fn of(origin: Origin, options: Options) -> Reader {
        Reader {
            origin,
            options,
            commit: None,
            index: Index::default(),
            documents: Documents::default(),
            authors: Keys::default(),
            deleted: Memory::default(),
            around: None,
            findings: BTreeMap::new(),
            loose: BTreeMap::new(),
        }
    }

    /// The commit that was read last.
    pub fn commit(&self) -> Option<CommitId> {
        self.commit
    }

    /// The repository, unless it is a plain folder.
    pub fn repository(&self) -> Option<&Repository> {
        match &self.origin {
            Origin::Repository(repository) => Some(repository),
            Origin::Folder(_) => None,
        }
    }

    /// Reads a commit: what is different from the one before, which need not be its parent.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. The reader is then as before.
    pub fn advance(&mut self, commit: CommitId) -> Result<Advance, ReadError> {
        let staged = {
            let repository = match &self.origin {
                Origin::Repository(repository) => repository,
                Origin::Folder(path) => return Err(ReadError::NoCommits { path: path.clone() }),
            };
            let failed = |source| RepositoryError::Commit { commit, source };
            let said = crate::tree::retried(|| repository.git.find_commit(commit.0)).map_err(failed)?;
            let said = info(&said);
            let tree = repository.tree(commit)?;
            let old = self.commit.map(|old| repository.tree(old));
            let differing = match old {
                Some(Ok(old)) => repository.differing(&old, &tree)?,
                // The old commit is gone, as after a forced push: all files are compared with what is known.
                Some(Err(_)) => self.with_vanished(repository.listing(commit)?),
                None => repository.listing(commit)?,
            };
            let known = self.commit.is_some() && said.parents.first().copied() == self.commit;
            let moment = Moment { commit, is_far: !known && self.commit != Some(commit) };
            let files = Files::Commit(repository, tree);
            let mut staged = self.stage(&files, &differing, Some((repository, moment)))?;
            let authors = self.attribute(&files, repository, commit, known, &mut staged)?;
            staged.advance.commit = Some(said);
            let is_ours = |path: &str| self.is_ours(path);
            let is_there = |key: &ObjectKey| {
                let known = staged.objects.get(key).or_else(|| self.index.objects.get(key));
                known.is_some_and(|known| known.present)
            };
            let past = Past { repository, is_ours: &is_ours };
            let renewed = past.renewed(commit, self.commit, &self.deleted, is_there)?;
            (staged, authors, renewed)
        };
        let (staged, authors, renewed) = staged;
        let mut advance = self.take(staged);
        let before = renewed.take(&mut self.deleted);
        advance.changes.splice(0..0, before);
        self.authors.extend(authors);
        self.commit = Some(commit);
        Ok(advance)
    }

    /// Reads the folder as it is now.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. The reader is then as before.
    pub fn rescan(&mut self) -> Result<Advance, ReadError> {
        let path = match &self.origin {
            Origin::Folder(path) => path,
            Origin::Repository(repository) => return Err(ReadError::NoCommits { path: repository.path.clone() }),
        };
        let differing = self.with_vanished(listing(path)?);
        let staged = self.stage(&Files::Folder(path), &differing, None)?;
        Ok(self.take(staged))
    }

    /// Adds to the changes of a commit what became of products and plans that are not there, and that others refer to: what
    /// they said last, and who came after that. `facts` are those that go into the same batch.
    ///
    /// # Errors
    ///
    /// When history cannot be read. `changes` are then to be given again, with those of the next commit after them.
    pub fn recall(&mut self, core: &Core, changes: &mut Vec<Change>, facts: &[Fact]) -> Result<(), ReadError> {
        let mut asked = Missing::new();
        loop {
            let mut missing = core.missing(changes, facts);
            for (key, referrers) in &mut missing {
                let known = asked.entry(key.clone()).or_default();
                referrers.retain(|referrer| known.insert(referrer.clone()));
            }
            // What stands in a file and does not read is not deleted.
            let stands =
                |key: &ObjectKey| self.index.objects.get(key).is_some_and(|known| known.claims.holder().is_some());
            missing.retain(|key, referrers| !referrers.is_empty() && !stands(key));
            if missing.is_empty() {
                return Ok(());
            }
            let mut memory = std::mem::take(&mut self.deleted);
            let told = self.recalled(&missing, &mut memory);
            self.deleted = memory;
            // What is told of them may refer to others.
            changes.extend(told?);
        }
    }

    fn recalled(&self, missing: &Missing, memory: &mut Memory) -> Result<Vec<Change>, TreeError> {
        let is_ours = |path: &str| self.is_ours(path);
        match (&self.origin, self.commit, &self.around) {
            (Origin::Repository(repository), Some(commit), _) => {
                let file = |key: &ObjectKey| {
                    let holder = self.index.objects.get(key)?.claims.holder()?;
                    Some(holder.file.clone())
                };
                let past = Past { repository, is_ours: &is_ours };
                past.recall(commit, missing, memory, BTreeMap::new(), Some(&file))
            }
            (Origin::Folder(_), _, Some(Around { repository, head, prefix })) => {
                let is_inside = |path: &str| path.strip_prefix(prefix.as_str()).is_some_and(is_ours);
                let past = Past { repository, is_ours: &is_inside };
                let at_head = past.said_at(*head, &missing.keys().cloned().collect())?;
                past.recall(*head, missing, memory, at_head, None)
            }
            (Origin::Repository(_), None, _) | (Origin::Folder(_), _, None) => Ok(Vec::new()),
        }
    }

    /// Whether a path is a manifest that is to be read.
    fn is_ours(&self, path: &str) -> bool {
        is_manifest_in(path, &self.options.folder)
    }

    /// A whole listing, and what is known and not in it.
    fn with_vanished(&self, mut listing: Vec<Differing>) -> Vec<Differing> {
        let listed: HashSet<String> = listing.iter().map(|file| file.path.clone()).collect();
        let known = self.index.files.keys().chain(self.loose.keys());
        let gone: BTreeSet<&Arc<str>> = known.filter(|path| !listed.contains(&***path)).collect();
        listing.extend(gone.into_iter().map(|path| Differing { path: path.to_string(), now: None }));
        listing
    }

    /// Works everything out that can fail, and changes nothing.
    fn stage(
        &self,
        files: &Files<'_>,
        differing: &[Differing],
        at: Option<(&Repository, Moment)>,
    ) -> Result<Staged, ReadError> {
        let is_ours = |path: &str| self.is_ours(path);
        let past = at.filter(|(_, moment)| moment.is_far);
        let past = past.map(|(repository, moment)| (Past { repository, is_ours: &is_ours }, moment.commit));
        let before = Before { index: &self.index, findings: &self.findings, loose: &self.loose };
        let mut stage = Stage::read(before, files, differing, &is_ours)?;
        stage.remember(past.as_ref())?;
        stage.claim(past.is_some());
        self.refuse_empty(stage.objects())?;
        stage.settle(past.as_ref())?;
        stage.find()?;
        let changed = differing.iter().map(|file| file.path.as_str()).collect();
        Ok(stage.finish(&self.documents, at.map(|(_, moment)| moment), &changed)?)
    }

    /// Fills in who wrote what is put. Where other commits came between, that may be somebody else for what says the same as
    /// before too, and that is put as well.
    fn attribute(
        &self,
        files: &Files<'_>,
        repository: &Repository,
        commit: CommitId,
        is_next: bool,
        staged: &mut Staged,
    ) -> Result<Keys<Arc<Author>>, ReadError> {
        let mut sought: Keys<Spot> = Keys::default();
        for (key, file, kept) in std::mem::take(&mut staged.put) {
            sought.insert(key, Spot { commit: kept.unwrap_or(commit), file });
        }
        let put: HashSet<ObjectKey> = sought.keys().cloned().collect();
        if !is_next && self.commit != Some(commit) {
            let same = self.index.objects.iter().filter(|(key, known)| {
                author::matters(key.kind) && known.present && !staged.objects.contains_key(*key)
            });
            for (key, known) in same
                .chain(&staged.objects)
                .filter(|(key, known)| author::matters(key.kind) && known.present && !put.contains(*key))
            {
                if let Some(holder) = known.claims.holder().filter(|holder| holder.good) {
                    sought.insert(key.clone(), Spot { commit, file: holder.file.clone() });
                }
            }
        }
        let is_ours = |path: &str| self.is_ours(path);
        let past = Past { repository, is_ours: &is_ours };
        let file = |key: &ObjectKey| {
            let holder = self.index.objects.get(key)?.claims.holder().filter(|holder| holder.good)?;
            Some(holder.file.clone())
        };
        let known = self.commit.map(|commit| author::Known { commit, authors: &self.authors, file: &file });
        let places: Keys<Arc<str>> = sought.iter().map(|(key, from)| (key.clone(), from.file.clone())).collect();
        let authors = past.authors(sought, known.as_ref())?;
        for change in &mut staged.advance.changes {
            if let Change::Put(object) = change {
                object.author = authors.get(&object.key()).cloned();
            }
        }
        for (key, author) in authors.iter().filter(|(key, _)| !put.contains(*key)) {
            let Some(file) = places.get(key).filter(|_| self.authors.get(key) != Some(author)) else { continue };
            let contents = files.manifest(file)?.unwrap_or_default();
            let said = contents.documents.into_iter().find(|said| said.key == *key);
            if let Some(mut object) = said.and_then(|said| said.object) {
                object.author = Some(author.clone());
                staged.advance.changes.push(Change::Put(object));
            }
        }
        Ok(authors)
    }

    fn refuse_empty(&self, objects: &Keys<Known>) -> Result<(), ReadError> {
        let before = self.index.objects.len();
        let claimed = |known: &Known| known.claims.holder().is_some();
        let gone =
            objects.iter().filter(|(key, known)| self.index.objects.contains_key(*key) && !claimed(known)).count();
        let empty = gone == before && !objects.values().any(claimed);
        if before > 0 && empty && !self.options.allow_empty { Err(ReadError::Empty { before }) } else { Ok(()) }
    }

    fn take(&mut self, staged: Staged) -> Advance {
        let Staged { mut advance, files, objects, documents, put: _, findings, loose } = staged;
        for key in objects.iter().filter(|(_, known)| !known.present).map(|(key, _)| key) {
            self.authors.remove(key);
        }
        self.index.take(files, objects);
        self.documents.take(documents);
        for (key, found) in findings {
            if found.is_empty() {
                self.findings.remove(&key)
            } else {
                self.findings.insert(key, found)
            };
        }
        for (path, found) in loose {
            if found.is_empty() {
                self.loose.remove(&path)
            } else {
                self.loose.insert(path, found)
            };
        }
        advance.diagnostics = self.loose.values().flatten().cloned().collect();
        advance.objects = self.index.present;
        advance
    }

    /// Everything that is wrong now, in order of the objects and then of the files.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.findings.values().chain(self.loose.values()).flatten()
    }

    /// Where an object is written.
    pub fn place(&self, key: &ObjectKey) -> Option<ObjectPlace> {
        let holder = self.index.objects.get(key)?.claims.real().first()?;
        let file = self.index.files.get(&holder.file)?;
        let document = file.documents.iter().find(|document| document.place == holder.document)?;
        Some(ObjectPlace { file: holder.file.clone(), document: document.place, line: document.line })
    }

    /// The objects that a file speaks of, in its order.
    pub fn objects_in(&self, path: &str) -> impl Iterator<Item = &ObjectKey> {
        self.index.files.get(path).into_iter().flat_map(FileState::keys)
    }

    /// Gives a diagnostic that knows its object and field, but not its file, its place.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn resolve(&self, diagnostic: &mut Diagnostic) -> Result<(), ReadError> {
        let Some(place) = diagnostic.object.as_ref().and_then(|key| self.place(key)) else {
            let deleted = diagnostic.object.as_ref().and_then(|key| self.deleted.get(key)?.as_ref());
            if let (Some(Deleted { commit, file, .. }), Some(help)) = (deleted, &mut diagnostic.help) {
                let commit: String = commit.to_string().chars().take(12).collect();
                help.push_str(&format!(" (`git checkout {commit} -- {file}` restores it)"));
            }
            return Ok(());
        };
        if diagnostic.place.is_some() {
            return Ok(());
        }
        let text = match (&self.origin, self.commit) {
            (Origin::Repository(repository), Some(commit)) => {
                text_of(&Files::Commit(repository, repository.tree(commit)?), &place.file)?
            }
            (Origin::Folder(folder), _) => text_of(&Files::Folder(folder), &place.file)?,
            (Origin::Repository(_), None) => None,
        };
        diagnostic.place = text.and_then(|text| {
            let path = if diagnostic.path.is_empty() { "metadata.name" } else { &diagnostic.path };
            locate(&place.file, &text, place.document, path, Part::Value)
        });
        Ok(())
    }
}
