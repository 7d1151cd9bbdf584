//! What objects said that are in no file any more, and who came after them.
//!
//! At a commit, an object that is gone is what it said in the newest commit before that had it and in which it read well,
//! along first parents. Whoever refers to it and did not in that commit came later. This depends on the commit alone, so a
//! start from nothing and a reader that has followed every commit come to the same.
//!
//! History is gone through only for what something refers to, once: what is found, or found not to be there, is
//! remembered, and further commits are looked at by themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use portico_core::batch::{Change, Deletion, Object, Spec};
use portico_core::deletion::Missing;
use portico_core::key::{Kind, ObjectKey};

use crate::commit::CommitId;
use crate::documents;
use crate::history::{MAX_COMMITS, Past};
use crate::index::Keys;
use crate::text::read;
use crate::tree::{Differing, Entry, TreeError};

/// An object that is gone.
#[derive(Clone, Debug)]
pub(crate) struct Deleted {
    /// What it said last.
    pub(crate) object: Object,
    /// The newest commit that had it.
    pub(crate) commit: CommitId,
    /// Where it stood.
    pub(crate) file: Arc<str>,
    /// Those that refer to it and came after it.
    later: BTreeSet<ObjectKey>,
}

/// Objects that were looked for: those that history does not have are `None`.
pub(crate) type Memory = Keys<Option<Deleted>>;

/// The file where an object stands.
type Stand<'a> = dyn Fn(&ObjectKey) -> Option<Arc<str>> + 'a;

/// What history has of some objects.
pub(crate) struct Sought {
    pub(crate) found: BTreeMap<ObjectKey, Deleted>,
    /// Whether the search ended at the commit that it was to go to, with some not found.
    pub(crate) reached: bool,
}

/// What another commit makes of what is remembered.
#[derive(Default)]
pub(crate) struct Renewed {
    /// Those that are there again.
    restored: Vec<ObjectKey>,
    /// Those of which history says something else.
    different: Vec<(ObjectKey, Option<Deleted>)>,
}

/// Files that are different from those at another commit, and what these said there.
struct Then {
    differing: HashSet<String>,
    /// What objects referred to; `None` of one that could not be read.
    said: Keys<Option<Vec<ObjectKey>>>,
}

impl Deleted {
    /// What to tell of it, its documents included if it has not been told yet.
    fn told(&self, past: &Past<'_>, is_new: bool) -> Result<Vec<Change>, TreeError> {
        let Deleted { object, commit, file, later } = self;
        let mut told = match &object.spec {
            Spec::ApiProduct(product) if is_new => {
                documents::last(past.repository, *commit, &object.name, product, file)?
            }
            _ => Vec::new(),
        };
        let (key, said, deletion) = (object.key(), Some(object.clone()), Deletion::Before(later.clone()));
        told.push(Change::Delete { key, said, deletion });
        Ok(told)
    }

    /// Takes back what was told of its documents.
    fn forgotten(&self) -> impl Iterator<Item = Change> {
        let versions = match &self.object.spec {
            Spec::ApiProduct(product) => product.versions.as_slice(),
            _ => &[],
        };
        let versions = versions.iter().filter(|version| version.openapi.as_ref().is_some_and(|one| one.path.is_some()));
        versions.map(|version| {
            let (product, version) = (self.object.name.clone(), version.name.clone());
            Change::Document { product, version, document: None }
        })
    }
}

impl Renewed {
    /// Brings what is remembered in step with another commit. Answers what to tell before all else: what is different now
    /// counts as removed, until [`recall`] tells more.
    pub(crate) fn take(self, memory: &mut Memory) -> Vec<Change> {
        let mut told = Vec::new();
        for key in self.restored {
            told.extend(memory.remove(&key).flatten().iter().flat_map(Deleted::forgotten));
        }
        for (key, now) in self.different {
            let before = memory.insert(key.clone(), now).flatten();
            told.extend(before.iter().flat_map(Deleted::forgotten));
            told.push(Change::Remove(key));
        }
        told
    }
}

impl Past<'_> {
    /// What history, from a commit back to another, has of objects that the commit does not have. What is in none of the
    /// [`MAX_COMMITS`] before it is forgotten.
    pub(crate) fn last_said(
        &self,
        mut commit: CommitId,
        keys: BTreeSet<ObjectKey>,
        until: Option<CommitId>,
    ) -> Result<Sought, TreeError> {
        let mut open = keys;
        let mut found = BTreeMap::new();
        for _ in 0..MAX_COMMITS {
            if open.is_empty() {
                break;
            }
            if Some(commit) == until {
                return Ok(Sought { found, reached: true });
            }
            let Some((parent, mut differing)) = self.back(commit)? else { break };
            differing.sort_by(|one, other| one.path.cmp(&other.path));
            for Differing { path, now } in differing {
                let Some(Entry::File(id)) = now else { continue };
                let bytes = self.repository.bytes(&path, id)?;
                if mentions(&bytes, &open) {
                    said(&path.into(), &bytes, parent, &open, &mut found);
                }
            }
            open.retain(|key| !found.contains_key(key));
            commit = parent;
        }
        Ok(Sought { found, reached: false })
    }

    /// The same in the files of a commit.
    pub(crate) fn said_at(
        &self,
        commit: CommitId,
        keys: &BTreeSet<ObjectKey>,
    ) -> Result<BTreeMap<ObjectKey, Deleted>, TreeError> {
        let files: Vec<_> = self
            .repository
            .listing(commit)?
            .into_iter()
            .filter(|file| (self.is_ours)(&file.path))
            .filter_map(|Differing { path, now }| match now {
                Some(Entry::File(id)) => Some((Arc::from(path), id)),
                Some(Entry::Link) | None => None,
            })
            .collect();
        let all = self.repository.many(&files, |path, bytes| {
            let mut found = BTreeMap::new();
            if mentions(bytes, keys) {
                said(path, bytes, commit, keys, &mut found);
            }
            found
        })?;
        let mut found = BTreeMap::new();
        for (key, deleted) in all.into_iter().flatten() {
            found.entry(key).or_insert(deleted);
        }
        Ok(found)
    }

    /// What a commit that was come to from another makes of what is remembered.
    pub(crate) fn renewed(
        &self,
        commit: CommitId,
        before: Option<CommitId>,
        memory: &Memory,
        is_there: impl Fn(&ObjectKey) -> bool,
    ) -> Result<Renewed, TreeError> {
        let (restored, gone): (Vec<_>, BTreeSet<_>) = {
            let (restored, gone): (Vec<_>, Vec<_>) = memory.keys().cloned().partition(is_there);
            (restored, gone.into_iter().collect())
        };
        let Sought { mut found, reached } = self.last_said(commit, gone.clone(), before)?;
        let mut different = Vec::new();
        for key in gone {
            let known = memory.get(&key).and_then(Option::as_ref);
            match found.remove(&key) {
                Some(now) if known.is_none_or(|known| known.commit != now.commit) => different.push((key, Some(now))),
                None if !reached && known.is_some() => different.push((key, None)),
                Some(_) | None => {}
            }
        }
        Ok(Renewed { restored, different })
    }

    /// Tells of objects that are missing at a commit and that history has. `file` is where an object stands at the
    /// commit; where it is not known, nobody came later.
    pub(crate) fn recall(
        &self,
        commit: CommitId,
        missing: &Missing,
        memory: &mut Memory,
        mut sought: BTreeMap<ObjectKey, Deleted>,
        file: Option<&Stand<'_>>,
    ) -> Result<Vec<Change>, TreeError> {
        let new: BTreeSet<ObjectKey> = missing.keys().filter(|key| !memory.contains_key(*key)).cloned().collect();
        let left = new.iter().filter(|key| !sought.contains_key(*key)).cloned().collect();
        sought.extend(self.last_said(commit, left, None)?.found);
        let mut thens: HashMap<CommitId, Then> = HashMap::new();
        let mut told = Vec::new();
        for (key, referrers) in missing {
            let is_new = new.contains(key);
            let mut deleted = match memory.get(key) {
                Some(known) => known.clone(),
                None => sought.remove(key),
            };
            if let Some(deleted) = &mut deleted {
                if let Some(file) = file {
                    let then = match thens.entry(deleted.commit) {
                        std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                        std::collections::hash_map::Entry::Vacant(entry) => {
                            entry.insert(self.then(commit, deleted.commit)?)
                        }
                    };
                    for referrer in referrers {
                        if then.had(referrer, key, file) {
                            deleted.later.remove(referrer);
                        } else {
                            deleted.later.insert(referrer.clone());
                        }
                    }
                }
                told.extend(deleted.told(self, is_new)?);
            }
            memory.insert(key.clone(), deleted);
        }
        Ok(told)
    }

    /// What was different at a commit before.
    fn then(&self, commit: CommitId, before: CommitId) -> Result<Then, TreeError> {
        let (now, then) = (self.repository.tree(commit)?, self.repository.tree(before)?);
        let mut differing = self.repository.differing(&now, &then)?;
        differing.retain(|file| (self.is_ours)(&file.path));
        differing.sort_by(|one, other| one.path.cmp(&other.path));
        let mut said = Keys::default();
        for Differing { path, now } in &differing {
            for document in self.read(path, *now)?.unwrap_or_default().documents {
                if matches!(document.key.kind, Kind::Subscription | Kind::Plan) {
                    said.entry(document.key).or_insert_with(|| document.object.map(|object| object.relies_on()));
                }
            }
        }
        Ok(Then { differing: differing.into_iter().map(|file| file.path).collect(), said })
    }
}

impl Then {
    /// Whether an object referred to another then, as it does now. Of a product's subscriptions it is enough that they were
    /// there.
    fn had(&self, referrer: &ObjectKey, target: &ObjectKey, file: &Stand<'_>) -> bool {
        if file(referrer).is_some_and(|file| !self.differing.contains(&*file)) {
            return true;
        }
        let indirect = referrer.kind == Kind::Subscription && target.kind == Kind::ApiProduct;
        match self.said.get(referrer) {
            None => false,
            Some(None) => true,
            Some(Some(targets)) => indirect || targets.contains(target),
        }
    }
}

/// Whether a text has the name of any of these.
fn mentions(bytes: &[u8], keys: &BTreeSet<ObjectKey>) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| keys.iter().any(|key| text.contains(key.name.name())))
}

/// Notes what a file says of these, where nothing is found yet.
fn said(
    path: &Arc<str>,
    bytes: &[u8],
    commit: CommitId,
    keys: &BTreeSet<ObjectKey>,
    found: &mut BTreeMap<ObjectKey, Deleted>,
) {
    for document in read(path, bytes).documents {
        if let Some(object) = document.object.filter(|_| keys.contains(&document.key)) {
            let (file, later) = (path.clone(), BTreeSet::new());
            found.entry(document.key).or_insert(Deleted { object, commit, file, later });
        }
    }
}
