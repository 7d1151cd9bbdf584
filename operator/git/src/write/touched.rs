//! What a request's commit is about, so that it can be followed to wherever the repository is read.

use std::sync::Arc;

use git2::ErrorCode;
use portico_core::batch::Spec;
use portico_core::key::ObjectKey;

use super::elsewhere::FETCHED;
use super::message::Trailers;
use super::{Target, WriteError};
use crate::commit::{CommitId, Repository, RepositoryError};
use crate::text::is_manifest_in;
use crate::text::{Contents, read};
use crate::tree::{Entry, TreeError};

/// An object that a request is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched {
    /// The object.
    pub key: ObjectKey,
    /// What it says in the commit; absent where it goes with it.
    pub then: Option<Spec>,
    /// What it says in the newest commit of the branch that is known, if it still stands in that file.
    pub now: Option<Spec>,
}

impl Target {
    /// The objects that a request's commit is about. A commit that carries out no request is about none. `None`: the branch
    /// has no such commit, as far as it was fetched when something was written last.
    ///
    /// # Errors
    ///
    /// When the repository cannot be read.
    pub fn touched(&self, commit: CommitId, folder: &str) -> Result<Option<Vec<Touched>>, WriteError> {
        let Some((repository, head)) = self.newest()? else { return Ok(None) };
        let is_there = |commit: CommitId| match repository.git.find_commit(commit.0) {
            Ok(_) => Ok(true),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
            Err(source) => Err(TreeError::Commit { commit, source }),
        };
        if !is_there(commit)? || !repository.follows(head, commit)? {
            return Ok(None);
        }
        if Trailers::of(&repository.info(commit)?).request.is_none() {
            return Ok(Some(Vec::new()));
        }
        touched(&repository, commit, head, folder).map(Some).map_err(WriteError::from)
    }

    /// Where the branch can be read, and its newest commit that is known there. `None`: nothing was fetched yet.
    ///
    /// # Errors
    ///
    /// When the repository cannot be read.
    pub fn newest(&self) -> Result<Option<(Repository, CommitId)>, WriteError> {
        let (path, branch) = match self {
            Target::Here { path, branch } => (path.as_path(), branch.as_deref()),
            Target::Elsewhere(elsewhere) => match elsewhere.url.strip_prefix("file://") {
                Some(path) => (path.as_ref(), elsewhere.branch.as_deref()),
                None => (elsewhere.copy.as_path(), Some(FETCHED)),
            },
        };
        if !path.exists() {
            return Ok(None);
        }
        let repository = Repository::open(path)?;
        match repository.head(branch) {
            Ok(head) => Ok(Some((repository, head))),
            // A copy into which nothing was fetched yet.
            Err(RepositoryError::NoBranch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn touched(repository: &Repository, commit: CommitId, head: CommitId, folder: &str) -> Result<Vec<Touched>, TreeError> {
    let (new, now) = (repository.tree(commit)?, repository.tree(head)?);
    let old = repository.parent(commit)?.map(|parent| repository.tree(parent)).transpose()?;
    let said = |tree: &git2::Tree<'_>, path: &Arc<str>| match repository.at(tree, path)? {
        Some(Entry::File(id)) => Ok::<_, TreeError>(read(path, &repository.bytes(path, id)?)),
        Some(Entry::Link) | None => Ok(Contents::default()),
    };
    let spec = |contents: &Contents, key: &ObjectKey| {
        let document = contents.documents.iter().find(|document| document.key == *key)?;
        document.object.as_ref().map(|object| object.spec.clone())
    };
    let mut found: Vec<Touched> = Vec::new();
    let differing = match &old {
        Some(old) => repository.differing(old, &new)?,
        // The first commit of all.
        None => repository.listing(commit)?,
    };
    for path in differing.into_iter().map(|one| one.path).filter(|path| is_manifest_in(path, folder)) {
        let path: Arc<str> = path.into();
        let before = old.as_ref().map(|old| said(old, &path)).transpose()?.unwrap_or_default();
        let (then, now) = (said(&new, &path)?, said(&now, &path)?);
        for document in before.documents.iter().chain(&then.documents) {
            let key = &document.key;
            let (was, is) = (spec(&before, key), spec(&then, key));
            // A file may have moved: where it is now is what counts.
            let known = found.iter_mut().find(|touched| touched.key == *key);
            match known {
                Some(known) if known.then.is_none() => (known.then, known.now) = (is, spec(&now, key)),
                Some(_) => {}
                None if was == is => {}
                None => found.push(Touched { key: key.clone(), then: is, now: spec(&now, key) }),
            }
        }
    }
    Ok(found)
}
