//! Objects of commits that are being made: in memory until a whole group of them is written as one pack.

use std::path::Path;

use git2::{FileMode, ObjectType, Oid, Repository as Git, Signature, Tree};

use super::WriteError;

/// Reads are answered from memory before they are looked for anywhere else.
const FIRST: i32 = 1_000;

/// Makes objects and writes them together.
pub(crate) struct Store<'g> {
    git: &'g Git,
    mempack: git2::Mempack<'g>,
    made: Vec<Oid>,
}

/// A file that is to say something else: its path below a folder, and its new content if it is still there.
pub(crate) type Leaf<'a> = (&'a str, Option<Oid>);

impl<'g> Store<'g> {
    pub(crate) fn new(git: &'g Git, odb: &'g git2::Odb<'g>) -> Result<Store<'g>, WriteError> {
        let mempack = odb.add_new_mempack_backend(FIRST).map_err(WriteError::Objects)?;
        Ok(Store { git, mempack, made: Vec::new() })
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) -> Result<Oid, WriteError> {
        let id = self.git.blob(bytes).map_err(WriteError::Objects)?;
        self.made.push(id);
        Ok(id)
    }

    /// A tree with files changed; only folders on the way to them are read and made. `None` where nothing is left in it.
    /// The leaves come in order of their paths.
    pub(crate) fn tree(&mut self, tree: Option<&Tree<'_>>, leaves: &[Leaf<'_>]) -> Result<Option<Oid>, WriteError> {
        let failed = WriteError::Objects;
        let mut builder = self.git.treebuilder(tree).map_err(failed)?;
        let mut rest = leaves;
        while let Some((path, id)) = rest.first() {
            let Some((folder, _)) = path.split_once('/') else {
                rest = &rest[1..];
                match id {
                    Some(id) => {
                        let before = builder.get(*path).map_err(failed)?.map(|entry| entry.filemode());
                        let executable = before == Some(i32::from(FileMode::BlobExecutable));
                        let mode = if executable { FileMode::BlobExecutable } else { FileMode::Blob };
                        builder.insert(*path, *id, mode.into()).map_err(failed)?;
                    }
                    None => builder.remove(*path).map_err(failed)?,
                }
                continue;
            };
            let inside = |path: &&str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            let count = rest.iter().take_while(|(path, _)| inside(path)).count();
            let (here, after) = rest.split_at(count);
            rest = after;
            let below: Vec<Leaf<'_>> = here.iter().map(|(path, id)| (&path[folder.len() + 1..], *id)).collect();
            let old = match builder.get(folder).map_err(failed)? {
                Some(entry) if entry.kind() == Some(ObjectType::Tree) => {
                    Some(self.git.find_tree(entry.id()).map_err(failed)?)
                }
                _ => None,
            };
            match self.tree(old.as_ref(), &below)? {
                Some(id) => drop(builder.insert(folder, id, FileMode::Tree.into()).map_err(failed)?),
                None if old.is_some() => builder.remove(folder).map_err(failed)?,
                None => {}
            }
        }
        if builder.is_empty() {
            return Ok(None);
        }
        let id = builder.write().map_err(failed)?;
        self.made.push(id);
        Ok(Some(id))
    }

    pub(crate) fn empty_tree(&mut self) -> Result<Oid, WriteError> {
        let id = self.git.treebuilder(None).and_then(|builder| builder.write()).map_err(WriteError::Objects)?;
        self.made.push(id);
        Ok(id)
    }

    pub(crate) fn commit(
        &mut self,
        (author, committer): (&Signature<'_>, &Signature<'_>),
        message: &str,
        tree: Oid,
        parents: &[Oid],
    ) -> Result<Oid, WriteError> {
        let made = (|| {
            let tree = self.git.find_tree(tree)?;
            let parents: Vec<_> = parents.iter().map(|id| self.git.find_commit(*id)).collect::<Result<_, _>>()?;
            let parents: Vec<_> = parents.iter().collect();
            self.git.commit(None, author, committer, message, &tree, &parents)
        })();
        let id = made.map_err(WriteError::Objects)?;
        self.made.push(id);
        Ok(id)
    }

    /// Writes all objects that were made as one pack, and returns when it is on the disk.
    pub(crate) fn flush(&mut self) -> Result<(), WriteError> {
        let failed = WriteError::Objects;
        if self.made.is_empty() {
            return Ok(());
        }
        let mut pack = self.git.packbuilder().map_err(failed)?;
        for id in &self.made {
            pack.insert_object(*id, None).map_err(failed)?;
        }
        pack.write(&packs(self.git), 0).map_err(failed)?;
        drop(pack);
        // They are found in the pack from here on.
        self.git.odb().and_then(|odb| odb.refresh()).map_err(failed)?;
        self.forget()
    }

    /// Forgets what was made.
    pub(crate) fn forget(&mut self) -> Result<(), WriteError> {
        self.made.clear();
        self.mempack.reset().map_err(WriteError::Objects)
    }
}

/// Where a repository has its packs.
pub(crate) fn packs(git: &Git) -> std::path::PathBuf {
    git.commondir().join("objects").join("pack")
}

/// Makes libgit2 write to the disk what it writes: packs, references, and the folders that they are in.
///
/// Git has a setting for it, which newer versions warn of where it stands in a repository's own configuration. So it stands in a
/// file of its own, which is read here alone.
pub(crate) fn durable(git: &Git) -> Result<(), WriteError> {
    let folder = git.commondir().join("portico");
    let file = folder.join("durable");
    let failed = |source| WriteError::Folder { path: folder.clone(), source };
    if !is_there(&file) {
        std::fs::create_dir_all(&folder).map_err(failed)?;
        std::fs::write(&file, "# Read by Portico alone.\n[core]\n\tfsyncObjectFiles = true\n").map_err(failed)?;
    }
    let added = git.config().and_then(|mut config| config.add_file(&file, git2::ConfigLevel::App, true));
    added.map_err(WriteError::Objects)
}

fn is_there(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.contains("fsyncObjectFiles = true"))
}
