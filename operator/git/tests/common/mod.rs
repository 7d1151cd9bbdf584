//! Repositories for tests, without any setting of the machine.
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "each test uses a part of it, and fails with a message"
)]

use std::collections::BTreeMap;
use std::path::Path;

use git2::{Oid, Repository as Git, Signature, Time};
use portico_core::batch::{Change, Document, Object};
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Name, ObjectKey};
use portico_git::{Advance, CommitId, Options, Reader, Repository};

/// A bare repository and the files of its newest commit.
pub struct Repo {
    pub folder: tempfile::TempDir,
    pub git: Git,
    pub files: BTreeMap<String, Blob>,
    pub head: Option<Oid>,
    /// The mail address of whoever commits next.
    pub author: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Blob {
    File(Vec<u8>),
    Link(String),
}

impl Repo {
    pub fn new() -> Repo {
        let folder = tempfile::tempdir().expect("a folder");
        let git = Git::init_bare(folder.path()).expect("a repository");
        git.set_head("refs/heads/main").expect("a head");
        Repo { folder, git, files: BTreeMap::new(), head: None, author: "ann@example.com".to_owned() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn put(&mut self, path: &str, text: &str) -> &mut Self {
        self.files.insert(path.to_owned(), Blob::File(text.as_bytes().to_vec()));
        self
    }

    pub fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.files.insert(path.to_owned(), Blob::Link(target.to_owned()));
        self
    }

    pub fn remove(&mut self, path: &str) -> &mut Self {
        self.files.remove(path);
        self
    }

    /// Commits the files as they are now onto the branch `main`.
    pub fn commit(&mut self, message: &str) -> CommitId {
        let parents: Vec<Oid> = self.head.into_iter().collect();
        self.commit_on(message, &parents)
    }

    pub fn commit_on(&mut self, message: &str, parents: &[Oid]) -> CommitId {
        let tree = self.tree();
        let tree = self.git.find_tree(tree).expect("a tree");
        let who = Signature::new("Ann", "ann@example.com", &Time::new(1_700_000_000, 60)).expect("a signature");
        let author = Signature::new("Ann", &self.author, &who.when()).expect("a signature");
        let parents: Vec<_> = parents.iter().map(|id| self.git.find_commit(*id).expect("a parent")).collect();
        let parents: Vec<_> = parents.iter().collect();
        let id = self.git.commit(None, &author, &who, message, &tree, &parents).expect("a commit");
        self.git.reference("refs/heads/main", id, true, "test").expect("a branch");
        self.head = Some(id);
        id.to_string().parse().expect("an id")
    }

    fn tree(&self) -> Oid {
        build(&self.git, &self.files.iter().map(|(path, blob)| (path.as_str(), blob)).collect::<Vec<_>>())
    }

    pub fn reader(&self) -> Reader {
        Reader::new(Repository::open(self.path()).expect("opens"), Options::default())
    }
}

fn build(git: &Git, files: &[(&str, &Blob)]) -> Oid {
    let mut builder = git.treebuilder(None).expect("a builder");
    let mut folders: BTreeMap<&str, Vec<(&str, &Blob)>> = BTreeMap::new();
    for (path, blob) in files {
        if let Some((folder, rest)) = path.split_once('/') {
            folders.entry(folder).or_default().push((rest, blob));
        } else {
            let (bytes, mode) = match blob {
                Blob::File(bytes) => (bytes.as_slice(), 0o100_644),
                Blob::Link(target) => (target.as_bytes(), 0o120_000),
            };
            builder.insert(path, git.blob(bytes).expect("a blob"), mode).expect("inserted");
        }
    }
    for (folder, files) in folders {
        builder.insert(folder, build(git, &files), 0o040_000).expect("inserted");
    }
    builder.write().expect("a tree")
}

/// What somebody knows who has applied every change.
#[derive(Debug, Default, PartialEq, Clone)]
pub struct World {
    pub objects: BTreeMap<ObjectKey, String>,
    pub documents: BTreeMap<(Name, String), Document>,
    pub findings: BTreeMap<ObjectKey, Vec<Diagnostic>>,
    pub loose: Vec<Diagnostic>,
}

impl World {
    pub fn apply(&mut self, advance: Advance) {
        for change in advance.changes {
            match change {
                Change::Put(object) => drop(self.objects.insert(object.key(), said(&object))),
                Change::Remove(key) => drop(self.objects.remove(&key).expect("removes what is there")),
                Change::Delete { .. } => unreachable!("is told by `Reader::recall` alone"),
                Change::Document { product, version, document: Some(document) } => {
                    self.documents.insert((product, version), document);
                }
                Change::Document { product, version, document: None } => {
                    self.documents.remove(&(product, version)).expect("takes away what is there");
                }
                Change::Findings(key, found) if found.is_empty() => {
                    self.findings.remove(&key).expect("takes away what is there");
                }
                Change::Findings(key, found) => drop(self.findings.insert(key, found)),
            }
        }
        self.loose = advance.diagnostics;
        assert_eq!(advance.objects, self.objects.len());
    }

    pub fn names(&self) -> Vec<String> {
        self.objects.keys().map(ToString::to_string).collect()
    }

    pub fn codes(&self) -> Vec<String> {
        self.findings.values().chain([&self.loose]).flatten().map(|found| found.code.to_owned()).collect()
    }
}

fn said(object: &Object) -> String {
    format!("{:?} {:?}", object.spec, object.author)
}

pub fn team(name: &str, title: &str) -> String {
    format!("apiVersion: portico.dev/v1alpha1\nkind: Team\nmetadata: {{name: {name}}}\nspec: {{title: {title}}}\n")
}

/// An approval with a grant of this plan.
pub fn approval(name: &str, plan: &str) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Approval\nmetadata: {{name: {name}}}\n\
         spec: {{subscription: {{name: s}}, decision: Granted, grant: {{plan: {{name: {plan}}}}}}}\n"
    )
}
