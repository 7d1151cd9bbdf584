//! Repositories of any size, made fast.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::{files, repo};

/// Applications of a team.
const APPLICATIONS: usize = 10;
/// Subscriptions of an application, each to a plan of its own; so many products and plans there are.
const PLANS: usize = 10;

/// A bare repository with `subscriptions` subscriptions, each with one credential, in the layout that the portal writes:
/// `teams/TEAM/APPLICATION/PLAN.yaml`. Ten plans for ten products, ten subscriptions an application, ten applications
/// a team.
#[derive(Debug)]
pub struct Generated {
    _folder: TempDir,
    path: PathBuf,
    subscriptions: usize,
}

impl Generated {
    /// Makes one. The gateway listens at `gateway` on loopback, and requests go to `upstream`, a URL.
    pub fn new(subscriptions: usize, gateway: u16, upstream: &str) -> Generated {
        let folder = tempfile::Builder::new().prefix("portico-many-").tempdir().expect("a temporary folder");
        let path = folder.path().join("many.git");
        repo::git(folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "many.git"]);
        let generated = Generated { _folder: folder, path, subscriptions };
        generated.import(|out| {
            write!(out, "commit refs/heads/main\n{COMMITTER}data 5\nbegin\n")?;
            file(out, files::ENVIRONMENT, &files::environment(gateway))?;
            for plan in 0..PLANS {
                file(out, &format!("products/p{plan}/product.yaml"), &product(plan, upstream))?;
                file(out, &format!("products/p{plan}/plans/basic.yaml"), &plan_of(plan))?;
            }
            for index in 0..subscriptions {
                let place = Place::of(index);
                if place.plan == 0 {
                    file(out, &place.application_file(), &place.application_text())?;
                }
                file(out, &place.file(), &place.text())?;
            }
            Ok(())
        });
        generated
    }

    /// Where the bare repository is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many subscriptions it began with.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// The commit that `main` is at.
    pub fn head(&self) -> String {
        repo::git(&self.path, &["rev-parse", "main"]).trim().to_owned()
    }

    /// Makes a chain of commits on top of `main`, each of which takes one subscription with its credential away. `main`
    /// stays where it is: [`Generated::set_head`] moves it.
    pub fn revocations(&self, indices: &[usize]) -> Vec<String> {
        self.chain(indices.iter().map(|index| format!("D {}\n", Place::of(*index).file())))
    }

    /// Makes a chain of commits on top of `main`, each of which adds one subscription with its credential.
    pub fn additions(&self, indices: &[usize]) -> Vec<String> {
        self.chain(indices.iter().map(|index| {
            let place = Place::of(*index);
            let mut change = Vec::new();
            file(&mut change, &place.file(), &place.text()).expect("memory takes all");
            String::from_utf8(change).expect("the text is UTF-8")
        }))
    }

    fn chain(&self, changes: impl Iterator<Item = String>) -> Vec<String> {
        let head = self.head();
        let mut count = 0;
        self.import(|out| {
            for change in changes {
                count += 1;
                write!(out, "commit refs/heads/next\n{COMMITTER}data 4\nstep")?;
                if count == 1 {
                    write!(out, "\nfrom {head}")?;
                }
                write!(out, "\n{change}\n")?;
            }
            Ok(())
        });
        let range = format!("{head}..refs/heads/next");
        let commits = repo::git(&self.path, &["rev-list", "--reverse", &range]);
        repo::git(&self.path, &["update-ref", "-d", "refs/heads/next"]);
        let commits: Vec<String> = commits.lines().map(ToOwned::to_owned).collect();
        assert_eq!(commits.len(), count, "a commit for every change");
        commits
    }

    /// Puts `main` at a commit, as the last step of a push does: the ref's new file takes the place of the old one.
    pub fn set_head(&self, commit: &str) {
        let main = self.path.join("refs/heads/main");
        let lock = self.path.join("refs/heads/main.lock");
        fs::write(&lock, format!("{commit}\n")).expect("the ref's lock file");
        fs::rename(lock, main).expect("the ref");
    }

    fn import(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) {
        let mut child = repo::command(&self.path)
            .args(["fast-import", "--quiet", "--force"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("`git` is on the path and starts");
        let mut out = BufWriter::with_capacity(1 << 20, child.stdin.take().expect("stdin is piped"));
        write(&mut out).expect("git fast-import reads all");
        out.flush().expect("git fast-import reads all");
        drop(out);
        assert!(child.wait().expect("git can be waited for").success(), "git fast-import failed");
    }
}

const COMMITTER: &str = "committer Ann Author <ann@example.com> 1767225600 +0000\n";

/// Where a subscription is, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    team: usize,
    application: usize,
    plan: usize,
}

impl Place {
    /// The place of the subscription with this index, from 0.
    pub fn of(index: usize) -> Place {
        Place { team: index / (PLANS * APPLICATIONS), application: index / PLANS % APPLICATIONS, plan: index % PLANS }
    }

    /// The credential, as `NAMESPACE/NAME`.
    pub fn credential(&self) -> String {
        format!("t{}/a{}-p{}", self.team, self.application, self.plan)
    }

    /// The file with the subscription and its credential.
    pub fn file(&self) -> String {
        format!("teams/t{}/a{}/p{}.yaml", self.team, self.application, self.plan)
    }

    /// A path that the credential's key opens, and one that it does not.
    pub fn paths(&self) -> (String, String) {
        (format!("/p{}/things", self.plan), format!("/p{}/things", (self.plan + 1) % PLANS))
    }

    fn application_file(&self) -> String {
        format!("teams/t{}/a{}/application.yaml", self.team, self.application)
    }

    fn application_text(&self) -> String {
        format!(
            "\
apiVersion: portico.dev/v1alpha1
kind: Application
metadata: {{ name: a{}, namespace: t{} }}
spec: {{ title: Application {} of team {} }}
",
            self.application, self.team, self.application, self.team
        )
    }

    fn text(&self) -> String {
        let Place { team, application, plan } = self;
        let mut text = String::with_capacity(512);
        write!(
            text,
            "\
apiVersion: portico.dev/v1alpha1
kind: Subscription
metadata:
  name: a{application}-p{plan}
  namespace: t{team}
spec:
  application:
    name: a{application}
  plan:
    name: p{plan}-basic
    namespace: apis
---
apiVersion: portico.dev/v1alpha1
kind: Credential
metadata:
  name: a{application}-p{plan}
  namespace: t{team}
spec:
  subscription:
    name: a{application}-p{plan}
  environment:
    name: local
    namespace: platform
"
        )
        .expect("memory takes all");
        text
    }
}

fn product(index: usize, upstream: &str) -> String {
    format!(
        "\
apiVersion: portico.dev/v1alpha1
kind: ApiProduct
metadata: {{ name: p{index}, namespace: apis }}
spec:
  title: Product {index}
  endpoints:
    - environment: {{ name: local, namespace: platform }}
      basePath: /p{index}
      upstream: {{ url: '{upstream}' }}
  consumers: {{ from: All }}
"
    )
}

fn plan_of(index: usize) -> String {
    format!(
        "\
apiVersion: portico.dev/v1alpha1
kind: Plan
metadata: {{ name: p{index}-basic, namespace: apis }}
spec:
  title: Basic
  products: [{{ name: p{index} }}]
  limits: [{{ requests: 100000000, per: Hour }}]
"
    )
}

fn file(out: &mut (impl Write + ?Sized), path: &str, text: &str) -> std::io::Result<()> {
    write!(out, "M 100644 inline {path}\ndata {}\n{text}\n", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_of_any_size_and_changes_on_top() {
        let generated = Generated::new(120, 8080, "http://127.0.0.1:9");
        let count = |revision: &str| {
            let files = repo::git(generated.path(), &["ls-tree", "-r", "--name-only", revision]);
            files.lines().filter(|file| file.starts_with("teams/") && file.contains("/p")).count()
        };
        assert_eq!(count("main"), 120);
        let head = generated.head();
        let gone = generated.revocations(&[0, 119]);
        assert_eq!(generated.head(), head, "main stays until it is moved");
        assert_eq!((count(&gone[0]), count(&gone[1])), (119, 118));
        generated.set_head(&gone[1]);
        assert_eq!(generated.head(), gone[1]);
        let more = generated.additions(&[119, 120]);
        assert_eq!(count(&more[1]), 120);
    }
}
