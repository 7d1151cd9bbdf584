//! Who wrote an approval: whoever wrote its document, whatever else happens around it.

mod common;

use std::sync::Arc;

use common::{Repo, approval, team};
use git2::Oid;
use portico_core::batch::{Author, Change, Signature};
use portico_core::key::{Kind, Name};
use portico_git::{CommitId, Reader};

/// A repository that is followed by one reader, and read anew by others.
struct Following {
    repo: Repo,
    reader: Reader,
    /// What the follower has heard of the approval `a`.
    heard: Option<Arc<Author>>,
}

impl Following {
    fn new() -> Following {
        let repo = Repo::new();
        let reader = repo.reader();
        Following { repo, reader, heard: None }
    }

    /// Commits as somebody, and says who wrote the approval `a`: by following, and the same by reading anew.
    fn by(&mut self, who: &str) -> String {
        self.repo.author = format!("{who}@example.com");
        let commit = self.repo.commit(who);
        self.at(commit)
    }

    fn at(&mut self, commit: CommitId) -> String {
        hear(&mut self.reader, commit, &mut self.heard);
        let mut anew = None;
        hear(&mut self.repo.reader(), commit, &mut anew);
        assert_eq!(self.heard, anew, "at {commit}");
        match self.heard.as_deref() {
            Some(Author::Commit { mail, .. }) => mail.trim_end_matches("@example.com").to_owned(),
            other => format!("{other:?}"),
        }
    }

    fn merge(&mut self, who: &str, parents: &[Oid]) -> String {
        self.repo.author = format!("{who}@example.com");
        let commit = self.repo.commit_on("merge", parents);
        self.at(commit)
    }
}

fn hear(reader: &mut Reader, commit: CommitId, heard: &mut Option<Arc<Author>>) {
    let key = Name::new("default", "a").of(Kind::Approval);
    for change in reader.advance(commit).expect("reads").changes {
        match change {
            Change::Put(object) if object.key() == key => heard.clone_from(&object.author),
            Change::Remove(removed) if removed == key => *heard = None,
            _ => {}
        }
    }
}

#[test]
fn it_is_who_wrote_the_document_not_the_file() {
    let mut history = Following::new();
    history.repo.put("x.yaml", &team("x", "X"));
    history.repo.put("approvals.yaml", &approval("a", "small"));
    assert_eq!(history.by("mallory"), "mallory");
    // Olga approves something else in the same file; that does not make her the author of what stood there before.
    history.repo.put("approvals.yaml", &[approval("a", "small"), approval("b", "small")].join("---\n"));
    assert_eq!(history.by("olga"), "mallory");
    history
        .repo
        .put("approvals.yaml", &[format!("# Ours\n{}", approval("a", "small")), approval("b", "big")].join("---\n"));
    assert_eq!(history.by("otto"), "mallory", "a comment says nothing");
    history.repo.put("approvals.yaml", &approval("a", "big"));
    assert_eq!(history.by("olga"), "olga");
    // Moved, and moved with a change.
    history.repo.remove("approvals.yaml").put("pay/a.yaml", &approval("a", "big"));
    assert_eq!(history.by("otto"), "olga");
    history.repo.remove("pay/a.yaml").put("a.yaml", &approval("a", "small"));
    assert_eq!(history.by("otto"), "otto");
    history.repo.remove("a.yaml");
    assert_eq!(history.by("olga"), "None");
    // To bring back what somebody wrote once is to write it.
    history.repo.put("a.yaml", &approval("a", "small"));
    assert_eq!(history.by("mallory"), "mallory");
}

#[test]
fn to_merge_is_not_to_write() {
    let mut history = Following::new();
    history.repo.put("x.yaml", &team("x", "X"));
    history.by("ann");
    let base = history.repo.head.expect("a commit");
    history.repo.put("a.yaml", &approval("a", "small"));
    history.by("olga");
    let branch = history.repo.head.expect("a commit");
    history.repo.remove("a.yaml").put("x.yaml", &team("x", "Y"));
    history.repo.head = Some(base);
    assert_eq!(history.by("ann"), "None");
    let main = history.repo.head.expect("a commit");
    history.repo.put("a.yaml", &approval("a", "small"));
    assert_eq!(history.merge("mallory", &[main, branch]), "olga");
    // What neither of them has, who merges has written.
    history.repo.put("a.yaml", &approval("a", "big"));
    assert_eq!(history.merge("mallory", &[main, branch]), "mallory");
}

#[test]
fn a_file_that_broke_is_not_written_by_who_broke_it() {
    let mut history = Following::new();
    history.repo.put("x.yaml", &team("x", "X")).put("a.yaml", &approval("a", "small"));
    assert_eq!(history.by("olga"), "olga");
    history.repo.put("a.yaml", &approval("a", "[1]"));
    assert_eq!(history.by("mallory"), "olga");
    history.repo.put("x.yaml", &team("x", "Y"));
    assert_eq!(history.by("ann"), "olga");
    // Olga broke it once more; what Mallory makes of it is not hers.
    history.repo.put("a.yaml", &approval("a", "[2]"));
    assert_eq!(history.by("olga"), "olga");
    history.repo.put("a.yaml", &approval("a", "big"));
    assert_eq!(history.by("mallory"), "mallory");
}

#[test]
fn rewritten_history_has_other_authors() {
    let mut history = Following::new();
    history.repo.put("x.yaml", &team("x", "X")).put("a.yaml", &approval("a", "small"));
    assert_eq!(history.by("olga"), "olga");
    history.repo.head = None;
    assert_eq!(history.by("mallory"), "mallory", "the files are the same");
}

#[test]
fn where_history_ends_nobody_knows() {
    let mut history = Following::new();
    history.repo.put("x.yaml", &team("x", "X")).put("a.yaml", &approval("a", "small"));
    history.by("olga");
    history.repo.put("x.yaml", &team("x", "Y"));
    history.by("ann");
    let source = history.repo.path().display().to_string();
    let clone = tempfile::tempdir().expect("a folder");
    let target = clone.path().join("clone.git");
    let url = format!("file://{source}");
    let done = std::process::Command::new("git")
        .args(["clone", "--quiet", "--bare", "--depth=1", "--branch=main", &url])
        .arg(&target)
        .output()
        .expect("git starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let repository = portico_git::Repository::open(&target).expect("opens");
    let head = repository.head(Some("main")).expect("a commit");
    let mut heard = None;
    hear(&mut Reader::new(repository, portico_git::Options::default()), head, &mut heard);
    assert!(matches!(heard.as_deref(), Some(Author::Unknown(why)) if why.contains("history")), "{heard:?}");
}

#[test]
fn signatures_are_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let run = |program: &str, arguments: &[&str]| {
        let done = std::process::Command::new(program)
            .args(arguments)
            .current_dir(path)
            .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
            .envs([("GIT_AUTHOR_NAME", "Olga"), ("GIT_AUTHOR_EMAIL", "olga@example.com")])
            .envs([("GIT_COMMITTER_NAME", "Portico"), ("GIT_COMMITTER_EMAIL", "portico@example.com")])
            .output()
            .expect("it starts");
        assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    run("git", &["init", "--quiet", "--initial-branch=main", "."]);
    let mut seen = Vec::new();
    for (number, kind) in ["ed25519", "ecdsa", "rsa"].into_iter().enumerate() {
        run("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", "olga@laptop", "-f", kind]);
        std::fs::write(path.join("a.yaml"), approval("a", &format!("p{number}"))).expect("a file");
        run("git", &["add", "a.yaml"]);
        let key = format!("user.signingkey={kind}");
        run("git", &["-c", "gpg.format=ssh", "-c", &key, "commit", "--quiet", "-S", "-m", kind]);
        seen.push((kind, signature(path)));
    }
    let public = |kind: &str| {
        let text = std::fs::read_to_string(path.join(format!("{kind}.pub"))).expect("a public key");
        text.trim_end().trim_end_matches(" olga@laptop").to_owned()
    };
    for (kind, signature) in &seen {
        match (*kind, signature) {
            ("rsa", Signature::Bad(why)) => assert!(why.contains("rsa"), "{why}"),
            (kind, Signature::Good(key)) => assert_eq!(**key, *public(kind)),
            other => panic!("{other:?}"),
        }
    }
    // Another text under the same signature.
    let signed = run("git", &["cat-file", "commit", "HEAD~2"]);
    std::fs::write(path.join("forged"), signed.replace("Olga", "Otto") + "\n").expect("a file");
    let forged = run("git", &["hash-object", "-t", "commit", "-w", "forged"]);
    run("git", &["reset", "--quiet", "--soft", &forged]);
    let Signature::Bad(why) = signature(path) else { panic!("a forged commit has a good signature") };
    assert!(why.contains("not one of this commit"), "{why}");
    std::fs::write(path.join("a.yaml"), approval("a", "unsigned")).expect("a file");
    run("git", &["commit", "--quiet", "--all", "-m", "unsigned"]);
    assert_eq!(signature(path), Signature::None);
}

fn signature(path: &std::path::Path) -> Signature {
    let repository = portico_git::Repository::open(path).expect("opens");
    let head = repository.head(Some("main")).expect("a commit");
    let mut heard = None;
    hear(&mut Reader::new(repository, portico_git::Options::default()), head, &mut heard);
    match heard.as_deref() {
        Some(Author::Commit { signature, mail, .. }) => {
            assert_eq!(&**mail, "olga@example.com", "the author, not the committer");
            signature.clone()
        }
        other => panic!("{other:?}"),
    }
}
