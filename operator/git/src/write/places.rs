//! In which files the objects of a commit stand.

use std::collections::HashMap;
use std::sync::Arc;

use portico_core::key::ObjectKey;

use crate::commit::{CommitId, Repository};
use crate::index::Keys;
use crate::text::{heads, is_manifest_in};
use crate::tree::{Differing, Entry, TreeError};

type Files = HashMap<Arc<str>, Box<[ObjectKey]>, foldhash::fast::RandomState>;

/// Which file speaks of which object.
#[derive(Debug, Default)]
pub(crate) struct Places {
    files: Files,
    objects: Keys<Box<[Arc<str>]>>,
}

/// What a file speaks of, or spoke of before it changed.
pub(crate) type Before = (Arc<str>, Box<[ObjectKey]>);

impl Places {
    /// Reads a whole commit.
    pub(crate) fn read(repository: &Repository, commit: CommitId, folder: &str) -> Result<Places, TreeError> {
        let mut places = Places::default();
        for (path, keys) in spoken(repository, repository.listing(commit)?, folder)? {
            places.put(path, keys);
        }
        Ok(places)
    }

    /// Goes on to another commit.
    pub(crate) fn follow(
        &mut self,
        repository: &Repository,
        from: CommitId,
        to: CommitId,
        folder: &str,
    ) -> Result<(), TreeError> {
        let differing = repository.differing(&repository.tree(from)?, &repository.tree(to)?)?;
        for (path, keys) in spoken(repository, differing, folder)? {
            self.put(path, keys);
        }
        Ok(())
    }

    /// The files that speak of an object.
    pub(crate) fn of(&self, key: &ObjectKey) -> &[Arc<str>] {
        self.objects.get(key).map_or(&[], |files| files)
    }

    /// A file speaks of these objects, and of no others.
    pub(crate) fn put(&mut self, file: Arc<str>, keys: Box<[ObjectKey]>) -> Before {
        let before = self.files.remove(&file).unwrap_or_default();
        for key in &before {
            let left: Box<[Arc<str>]> = self.of(key).iter().filter(|other| **other != file).cloned().collect();
            if left.is_empty() {
                self.objects.remove(key);
            } else {
                self.objects.insert(key.clone(), left);
            }
        }
        for key in &keys {
            let there = self.of(key);
            if !there.contains(&file) {
                let all = there.iter().chain([&file]).cloned().collect();
                self.objects.insert(key.clone(), all);
            }
        }
        if !keys.is_empty() {
            self.files.insert(file.clone(), keys);
        }
        (file, before)
    }

    /// Takes changes back, the last one first.
    pub(crate) fn undo(&mut self, changes: Vec<Before>) {
        for (file, keys) in changes.into_iter().rev() {
            self.put(file, keys);
        }
    }
}

/// What each of these files speaks of now.
fn spoken(repository: &Repository, differing: Vec<Differing>, folder: &str) -> Result<Vec<Before>, TreeError> {
    let mut read = Vec::new();
    let mut found = Vec::new();
    for Differing { path, now } in differing {
        if !is_manifest_in(&path, folder) {
            continue;
        }
        match now {
            Some(Entry::File(id)) => read.push((Arc::from(path), id)),
            Some(Entry::Link) | None => found.push((Arc::from(path), Box::default())),
        }
    }
    found.extend(repository.many(&read, |path, bytes| {
        let keys: Box<[ObjectKey]> = heads(path, bytes).into_iter().map(|(key, _)| key).collect();
        (path.clone(), keys)
    })?);
    Ok(found)
}
