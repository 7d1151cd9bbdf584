//! Which document speaks for which object.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use portico_core::key::ObjectKey;

use crate::text::Contents;

/// A document's claim to an object. Of several the smallest holds: the first in order of paths, then of documents.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// Whether it is only remembered: the file cannot be read so far as to tell whether the object is still in it.
    /// Such a claim counts only where no document claims the object.
    pub(crate) remembered: bool,
    pub(crate) file: Arc<str>,
    pub(crate) document: u32,
    pub(crate) good: bool,
}

/// All claims to one object, in order. Nearly always it is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Claims {
    #[default]
    None,
    One(Claim),
    #[expect(clippy::box_collection, reason = "it is rare, and should not make the others bigger")]
    Many(Box<Vec<Claim>>),
}

impl Claims {
    pub(crate) fn as_slice(&self) -> &[Claim] {
        match self {
            Claims::None => &[],
            Claims::One(claim) => std::slice::from_ref(claim),
            Claims::Many(claims) => claims,
        }
    }

    /// The one that holds.
    pub(crate) fn holder(&self) -> Option<&Claim> {
        self.as_slice().first()
    }

    /// Those of documents that are there.
    pub(crate) fn real(&self) -> &[Claim] {
        let all = self.as_slice();
        &all[..all.partition_point(|claim| !claim.remembered)]
    }

    pub(crate) fn add(&mut self, claim: Claim) {
        *self = match std::mem::take(self) {
            Claims::None => Claims::One(claim),
            Claims::One(other) => {
                let mut both = vec![other, claim];
                both.sort();
                Claims::Many(Box::new(both))
            }
            Claims::Many(mut claims) => {
                let place = claims.partition_point(|other| *other < claim);
                claims.insert(place, claim);
                Claims::Many(claims)
            }
        };
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Claim) -> bool) {
        *self = match std::mem::take(self) {
            Claims::One(claim) if keep(&claim) => Claims::One(claim),
            Claims::None | Claims::One(_) => Claims::None,
            Claims::Many(mut claims) => {
                claims.retain(keep);
                match claims.len() {
                    0 => Claims::None,
                    1 => claims.pop().map_or(Claims::None, Claims::One),
                    _ => Claims::Many(claims),
                }
            }
        };
    }
}

/// What is known of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) claims: Claims,
    /// Whether it has been put and not removed since.
    pub(crate) present: bool,
}

/// A document of a file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) key: ObjectKey,
    /// Its place among those of the file, from 0.
    pub(crate) place: u32,
    pub(crate) line: u32,
    pub(crate) good: bool,
}

/// What is known of a file that says something about objects, or cannot be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileState {
    pub(crate) documents: Box<[Document]>,
    /// Whether there is a document of ours of which nobody can tell what it is about.
    pub(crate) opaque: bool,
    /// Objects that an opaque file held before, and may still hold.
    pub(crate) remembered: Box<[ObjectKey]>,
}

impl FileState {
    pub(crate) fn of(contents: &Contents) -> FileState {
        let document = |said: &crate::text::Said| Document {
            key: said.key.clone(),
            place: said.document,
            line: said.line,
            good: said.object.is_some(),
        };
        FileState {
            documents: contents.documents.iter().map(document).collect(),
            opaque: !contents.loose.is_empty(),
            remembered: Box::default(),
        }
    }

    /// Nothing of it needs to be remembered.
    pub(crate) fn is_void(&self) -> bool {
        self.documents.is_empty() && !self.opaque
    }

    /// Every object that it claims, each once.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.documents.iter().map(|document| &document.key).chain(self.remembered.iter())
    }

    /// Makes it remember those of `before` that it does not say anything about.
    pub(crate) fn remember(&mut self, before: &BTreeSet<ObjectKey>) {
        if self.opaque {
            let said: HashSet<&ObjectKey> = self.documents.iter().map(|document| &document.key).collect();
            self.remembered = before.iter().filter(|key| !said.contains(key)).cloned().collect();
        }
    }

    /// Its claims.
    pub(crate) fn claims(&self, file: &Arc<str>) -> impl Iterator<Item = (&ObjectKey, Claim)> {
        let said = |document: &Document| Claim {
            remembered: false,
            file: file.clone(),
            document: document.place,
            good: document.good,
        };
        let remembered = Claim { remembered: true, file: file.clone(), document: u32::MAX, good: false };
        self.documents
            .iter()
            .map(move |document| (&document.key, said(document)))
            .chain(self.remembered.iter().map(move |key| (key, remembered.clone())))
    }
}

/// Hashing that is fast on short keys; nobody outside chooses enough of them to matter.
pub(crate) type Keys<T> = HashMap<ObjectKey, T, foldhash::fast::RandomState>;

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) files: BTreeMap<Arc<str>, FileState>,
    pub(crate) objects: Keys<Known>,
    /// Objects that keep what they said before, because the document that holds them cannot be read.
    pub(crate) kept: BTreeSet<ObjectKey>,
    /// Files that are opaque.
    pub(crate) opaque: BTreeSet<Arc<str>>,
    /// How many objects are present.
    pub(crate) present: usize,
}

impl Index {
    /// Takes over what has been worked out.
    pub(crate) fn take(&mut self, files: BTreeMap<Arc<str>, FileState>, objects: Keys<Known>) {
        for (path, state) in files {
            if state.opaque {
                self.opaque.insert(path.clone());
            } else {
                self.opaque.remove(&path);
            }
            if state.is_void() {
                self.files.remove(&path);
            } else {
                self.files.insert(path, state);
            }
        }
        for (key, known) in &objects {
            if known.claims.holder().is_some_and(|holder| !holder.good) {
                self.kept.insert(key.clone());
            } else {
                self.kept.remove(key);
            }
        }
        let count = |objects: &Keys<Known>, present: &Keys<Known>| {
            let keys = objects.keys().filter_map(|key| present.get(key));
            keys.filter(|known| known.present).count()
        };
        self.present = self.present + count(&objects, &objects) - count(&objects, &self.objects);
        if self.objects.is_empty() {
            self.objects = objects;
            self.objects.retain(|_, known| known.claims != Claims::None);
            self.objects.shrink_to_fit();
            return;
        }
        for (key, known) in objects {
            if known.claims == Claims::None {
                self.objects.remove(&key);
            } else {
                self.objects.insert(key, known);
            }
        }
    }
}
