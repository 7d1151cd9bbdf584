//! The portal of `portico operator`, against a real API server under the chart's rights, and a real Envoy. Whoever syncs is the
//! test itself; `argocd/portal.rs` has Argo CD do it.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use portico_tests::http::Answer;
use portico_tests::operator::Tenancy;
use portico_tests::ports;
use portico_tests::repo::{self, Repo};
use portico_tests::visitor::Visitor;
use portico_tests::wait;

/// Brings what is new in a repository into a cluster.
struct Sync<'a> {
    tenancy: &'a Tenancy,
    bare: PathBuf,
    at: String,
}

impl<'a> Sync<'a> {
    fn new(tenancy: &'a Tenancy, bare: &Path) -> Sync<'a> {
        let mut sync = Sync { tenancy, bare: bare.to_owned(), at: String::new() };
        sync.at = sync.head();
        sync
    }

    fn git(&self, arguments: &[&str]) -> String {
        repo::git(&self.bare, arguments)
    }

    fn head(&self) -> String {
        self.git(&["rev-parse", "main"]).trim().to_owned()
    }

    fn log(&self) -> String {
        self.git(&["log", "--format=%an <%ae> by %cn: %s", "main"])
    }

    fn now(&mut self) {
        let head = self.head();
        assert_ne!(head, self.at, "there is nothing new");
        for line in self.git(&["diff", "--name-status", "--no-renames", &self.at, &head]).lines() {
            let (what, path) = line.split_once('\t').expect("what became of a file");
            if what == "D" {
                self.tenancy.cluster().delete(&self.git(&["show", &format!("{}:{path}", self.at)]));
            } else {
                self.tenancy.cluster().apply(&self.git(&["show", &format!("{head}:{path}")]));
            }
        }
        self.at = head;
    }
}

/// The state of [`Tenancy::everything`] in a repository and in the cluster, with a portal that writes there.
fn site() -> (Tenancy, Repo, PathBuf) {
    let tenancy = Tenancy::new();
    let repo = Repo::with(&[("all.yaml", &tenancy.here(&tenancy.everything()))]);
    let bare = repo.publish();
    (tenancy, repo, bare)
}

fn key_in(page: &Answer) -> String {
    let start = page.body.find("ptk_").unwrap_or_else(|| panic!("no key ({}):\n{}", page.status, page.body));
    page.body[start..].chars().take_while(|character| character.is_ascii_alphanumeric() || *character == '_').collect()
}

#[test]
fn from_a_plan_to_a_call_and_to_the_end_of_it() {
    let (tenancy, _repo, bare) = site();
    tenancy.apply(&tenancy.portal(&bare.display().to_string()));
    let mut sync = Sync::new(&tenancy, &bare);
    let (first, at_first) = tenancy.operator_with_portal("one");
    let (second, at_second) = tenancy.operator_with_portal("two");
    let leader = first.ready();
    leader.wait_leads();
    let follower = second.ready();
    let _gateway = tenancy.gateway_of(&[first.xds(), second.xds()]);
    let (shop, plan) = (tenancy.namespace("shop"), format!("{}/echo-basic", tenancy.namespace("apis")));

    // Documents are in ConfigMaps.
    let reference = format!("/apis/{}/echo/reference/v1", tenancy.namespace("apis"));
    Visitor::new(at_first).wait_for(&reference, "/things/{id}");

    // She comes to a replica that does not lead.
    let mut sara = Visitor::new(at_second);
    sara.wait_for("/", "Echo");
    sara.sign_in("sara@acme.example");
    let (form, answer) = sara.subscribe(&plan, &format!("{shop}/web"));
    assert_eq!(answer.status, 303, "{}", answer.body);
    let landed = Visitor::leads_to(&answer).expect("it goes on");
    let said = "Sara <sara@acme.example> by Portico: Web shop: subscribe to Echo, plan Basic";
    assert!(sync.log().starts_with(said), "{}", sync.log());

    // It is written down, and nobody has brought it here.
    let written = sync.head();
    let page = sara.get(&landed);
    assert!(page.status == 200 && page.body.contains("Synced into the cluster"), "{}", page.body);
    assert!(page.body.contains("class=\"now\" data-step=\"read\""), "{}", page.body);
    assert_eq!(sara.get(&format!("/subscriptions/{shop}/web-echo")).status, 404);
    let again = sara.post(&form);
    assert_eq!(Visitor::leads_to(&again), Some(landed.clone()), "the same form is carried out once");
    // By the same name she would write over what nobody has seen yet.
    let small = plan.replace("echo-basic", "echo-small");
    let (_, twice) = sara.subscribe(&small, &format!("{shop}/web"));
    assert!(twice.body.contains("is not in the cluster yet"), "{} {}", twice.status, twice.body);
    assert_eq!(sync.head(), written);

    sync.now();
    let page = sara.wait_for(&landed, "Show the key");
    let reveal = Visitor::form(&page, "/reveal");
    // Two windows at the same moment: one of them shows it.
    let pages: Vec<Answer> = thread::scope(|scope| {
        let ask = |portal| {
            scope.spawn({
                let (mut sara, reveal) = (sara.at(portal), reveal.clone());
                move || sara.post(&reveal)
            })
        };
        [at_first, at_second].map(ask).map(|page| page.join().expect("an answer")).into()
    });
    let shows: Vec<&Answer> = pages.iter().filter(|page| page.body.contains("ptk_")).collect();
    assert_eq!(shows.len(), 1, "{pages:?}");
    let key = key_in(shows[0]);
    tenancy.wait_status(&key, 200);
    let told = |sara: &mut Visitor| sara.post(&reveal).body.contains("was shown once already");
    assert!(told(&mut sara));

    // The other replica knows who she is, and what was shown.
    leader.kill();
    follower.wait_leads();
    wait::until("the portal goes on", || sara.try_get("/applications").filter(|page| page.status == 200));
    assert!(told(&mut sara));
    let _third = first.ready();
    let mut sara = sara.at(at_first);
    wait::until("the first one passes on", || sara.try_get("/applications").filter(|page| page.status == 200));
    // Whichever wrote it: what landed can be followed.
    assert!(sara.follow(&landed).body.contains("web-echo"));

    let page = sara.get(&format!("/credentials/{shop}/web-echo"));
    let revoked = sara.post(&Visitor::form(&page, "/revoke").with("confirm", "web-echo"));
    assert_eq!(revoked.status, 303, "{}", revoked.body);
    assert_eq!(tenancy.status(&key), 200, "nobody has brought it here");
    sync.now();
    tenancy.wait_status(&key, 401);
    assert!(follower.stop().success(), "the portal keeps nobody from giving the lease back");
}

#[test]
fn an_answer_in_the_portal_is_that_persons() {
    let (tenancy, repo, bare) = site();
    let plan = "kind: Plan\nmetadata: { name: echo-asked, namespace: apis }\nspec:\n  title: Asked\n  products: [{ name: echo }]\n  \
                approval: { mode: Manual, approvers: [{ kind: User, name: olga@acme.example }] }\n";
    let plan = format!("apiVersion: portico.dev/v1alpha1\n{plan}");
    repo.commit_file("asked.yaml", &tenancy.here(&plan));
    repo.push();
    tenancy.apply(&plan);
    tenancy.apply(&tenancy.portal(&bare.display().to_string()));
    let mut sync = Sync::new(&tenancy, &bare);
    let (setup, portal) = tenancy.operator_with_portal("one");
    let _operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let (mut sara, mut olga) = (Visitor::new(portal), Visitor::new(portal));
    sara.wait_for("/", "Echo");
    sara.sign_in("sara@acme.example");
    olga.sign_in("olga@acme.example");
    let shop = tenancy.namespace("shop");
    let asked = format!("{}/echo-asked", tenancy.namespace("apis"));
    let (_, answer) = sara.subscribe(&asked, &format!("{shop}/web"));
    assert_eq!(answer.status, 303, "{}", answer.body);
    sync.now();
    let page = olga.wait_for("/requests", "Web shop");
    let granted = olga.post(&Visitor::form(&page, "/grant"));
    assert_eq!(granted.status, 303, "{}", granted.body);
    assert!(sync.log().starts_with("Olga <olga@acme.example> by Portico: Grant"), "{}", sync.log());
    sync.now();
    let key = tenancy.key("shop", "web-echo");
    tenancy.wait_status(&key, 200);
    let page = sara.wait_for(&format!("/subscriptions/{shop}/web-echo"), "Show the key");
    assert_eq!(key_in(&sara.post(&Visitor::form(&page, "/reveal"))), key);
    let approvals = sync.git(&["ls-tree", "-r", "--name-only", "main"]);
    let approval = approvals.lines().find(|path| path.contains("approvals/")).expect("there is an answer");
    let name = approval.rsplit('/').next().and_then(|file| file.strip_suffix(".yaml")).expect("a file");
    tenancy.wait_condition("Approval", "apis", name, "Ready", ("True", "Ready"));
    let decided = &tenancy.object("Approval", "apis", name).expect("it is there").data["status"]["decided"];
    assert_eq!((&decided["by"], decided["commit"].is_string()), (&"olga@acme.example".into(), true), "{decided}");

    // Who did what is what the repository says.
    let history = sara.get(&format!("/subscriptions/{shop}/web-echo/history"));
    for text in ["Subscribed to plan", "sara@acme.example", "Granted plan", "olga@acme.example", &sync.head()] {
        assert!(history.body.contains(text), "{text}: {}", history.body);
    }
}

#[test]
fn what_gives_something_waits_on_a_branch_where_the_portal_asks_for_a_review() {
    let (tenancy, _repo, bare) = site();
    let team = "kind: Team\nmetadata: { name: apis, namespace: apis }\nspec:\n  title: APIs\n  \
                members: [{ mail: olga@acme.example, access: { teams: Full } }]\n";
    tenancy.apply(&format!("apiVersion: portico.dev/v1alpha1\n{team}"));
    let portal = tenancy.portal(&bare.display().to_string());
    tenancy.apply(&portal.replace("identities: GitAuthor", "identities: GitAuthor, write: PullRequest"));
    let mut sync = Sync::new(&tenancy, &bare);
    let (setup, portal) = tenancy.operator_with_portal("one");
    let _operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let (mut sara, mut olga) = (Visitor::new(portal), Visitor::new(portal));
    sara.wait_for("/", "Echo");
    sara.sign_in("sara@acme.example");
    olga.sign_in("olga@acme.example");
    let shop = tenancy.namespace("shop");
    let plan = format!("{}/echo-basic", tenancy.namespace("apis"));
    let before = sync.head();
    let (form, answer) = sara.subscribe(&plan, &format!("{shop}/web"));
    let waits = Visitor::leads_to(&answer).unwrap_or_else(|| panic!("{}", answer.body));
    assert!(waits.starts_with("/requests/waiting/"), "{waits}");
    assert_eq!(sync.head(), before, "nothing of it holds");
    assert_eq!(Visitor::leads_to(&sara.post(&form)), Some(waits.clone()), "the same form waits once");
    assert!(sara.get(&waits).body.contains("Waiting for a review"));
    assert!(!sara.get(&waits).body.contains("/take-in"), "nobody lets in their own");

    let page = olga.get("/requests");
    assert_eq!(olga.post(&Visitor::form(&page, "/take-in")).status, 303);
    let merge = "Olga <olga@acme.example> by Portico: Web shop: subscribe to Echo, plan Basic";
    assert!(sync.log().starts_with(merge), "{}", sync.log());
    assert!(sara.get(&waits).body.contains("has let it in"));
    sync.now();
    tenancy.wait_status(&tenancy.key("shop", "web-echo"), 200);
    let history = sara.wait_for(&format!("/subscriptions/{shop}/web-echo/history"), "Let it in:");
    assert!(history.body.contains("olga@acme.example"), "{}", history.body);
}

/// `git daemon` for the folder of a bare repository. It ends when this is dropped.
struct Daemon {
    child: Child,
    url: String,
}

impl Daemon {
    fn serve(bare: &Path) -> Daemon {
        let port = ports::free();
        let child = repo::command(bare)
            .args(["daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", bare.parent().expect("a folder").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`git daemon` starts");
        wait::until("`git daemon` listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Daemon { child, url: format!("git://127.0.0.1:{port}/bare.git") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It leads a few others, which end with it.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn hook(bare: &Path, text: &str) {
    let path = bare.join("hooks/pre-receive");
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a hook");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
}

#[test]
fn a_repository_that_rejects_or_hangs_loses_nothing() {
    let (tenancy, _repo, bare) = site();
    let daemon = Daemon::serve(&bare);
    tenancy.apply(&tenancy.portal(&daemon.url));
    let sync = Sync::new(&tenancy, &bare);
    let before = sync.head();
    let (setup, portal) = tenancy.operator_with_portal("one");
    let _operator = setup.ready();
    let mut sara = Visitor::new(portal);
    sara.wait_for("/", "Echo");
    sara.sign_in("sara@acme.example");
    let (shop, plan) = (tenancy.namespace("shop"), format!("{}/echo-basic", tenancy.namespace("apis")));

    hook(&bare, "echo 'the branch is closed today' >&2; exit 1");
    let (form, answer) = sara.subscribe(&plan, &format!("{shop}/web"));
    assert_eq!(answer.status, 503, "{}", answer.body);
    let said = ["could not be written", "the branch is closed today", "Nothing has changed"];
    assert!(said.iter().all(|text| answer.body.contains(text)), "{}", answer.body);
    assert_eq!(sync.head(), before);

    hook(&bare, "while [ -e hangs ]; do sleep 0.1; done");
    fs::write(bare.join("hangs"), "").expect("a file");
    let answer = sara.post(&form);
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("It is not known whether it was written"), "{}", answer.body);
    assert_eq!(sync.head(), before);
    // What hung goes on, and lands after all.
    fs::remove_file(bare.join("hangs")).expect("it goes");
    wait::until("it lands", || (sync.head() != before).then_some(()));
    let answer = sara.post(&form);
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert!(Visitor::leads_to(&answer).is_some_and(|to| to.contains(&sync.head())), "it is the commit that landed");
    assert_eq!(sync.log().lines().filter(|line| line.contains("subscribe to Echo")).count(), 1);
}

#[test]
fn who_names_no_repository_or_no_secret_is_told_so() {
    let (tenancy, _repo, bare) = site();
    let text = tenancy.portal(&bare.display().to_string());
    let credentials = "identities: GitAuthor, credentials: { name: apis-git }";
    tenancy.apply(&text.replace("identities: GitAuthor", credentials));
    let (setup, portal) = tenancy.operator_with_portal("one");
    let _operator = setup.ready();
    let mut sara = Visitor::new(portal);
    sara.wait_for("/", "Echo");
    sara.sign_in("sara@acme.example");
    let (shop, plan) = (tenancy.namespace("shop"), format!("{}/echo-basic", tenancy.namespace("apis")));
    let (form, answer) = sara.subscribe(&plan, &format!("{shop}/web"));
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("there is no Secret") && answer.body.contains("apis-git"), "{}", answer.body);
    tenancy.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: apis-git, namespace: platform, labels: {portico.dev/secret: git}}, \
         stringData: {token: a-token}}",
    );
    let done = wait::within(wait::PATIENCE, || Some(sara.post(&form)).filter(|answer| answer.status == 303));
    assert!(done.is_some(), "the Secret is there now");
}
