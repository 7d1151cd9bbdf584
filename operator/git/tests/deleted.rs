//! What was deleted and is still referred to, from history: whichever commits were read before.

mod common;

use std::collections::BTreeMap;
use std::time::Instant;

use common::Repo;
use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Fact};
use portico_core::key::{Kind, Name, ObjectKey};
use portico_git::{CommitId, Options, Reader};
use proptest::prelude::*;

const ENVIRONMENT: &str = "apiVersion: portico.dev/v1alpha1\nkind: Environment\nmetadata: {name: e}\n\
    spec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}\n";
const APPLICATION: &str =
    "apiVersion: portico.dev/v1alpha1\nkind: Application\nmetadata: {name: NAME}\nspec: {title: Own}\n";

fn product(name: &str, more: &str) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: ApiProduct\nmetadata: {{name: {name}}}\nspec:\n  title: T\n  \
         endpoints: [{{environment: {{name: e}}, upstream: {{url: 'http://u'}}}}]\n{more}"
    )
}

fn plan(name: &str, product: &str, more: &str) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Plan\nmetadata: {{name: {name}}}\nspec:\n  title: T\n  \
         products: [{{name: {product}}}]\n{more}"
    )
}

fn subscription(name: &str, plan: &str, more: &str) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Subscription\nmetadata: {{name: {name}}}\nspec:\n  \
         application: {{name: {name}}}\n  plan: {{name: {plan}}}\n{more}"
    )
}

/// A reader and a core that follow together, as `portico up` has them.
struct Follower {
    reader: Reader,
    core: Core,
    /// Which plans subscriptions are on, as a store remembers it.
    on: BTreeMap<Name, Name>,
}

impl Follower {
    fn new(repo: &Repo) -> Follower {
        Follower { reader: repo.reader(), core: Core::new(), on: BTreeMap::new() }
    }

    /// What was told of deletions.
    fn follow(&mut self, commit: CommitId) -> Vec<Change> {
        let mut changes = self.reader.advance(commit).expect("reads").changes;
        let is_first = self.core.objects().next().is_none();
        let on = self.on.iter().filter(|_| is_first);
        let on = on.map(|(name, plan)| Fact::On { subscription: name.clone(), plan: plan.clone() });
        let facts: Vec<Fact> = on.collect();
        self.reader.recall(&self.core, &mut changes, &facts).expect("history reads");
        self.apply_with(changes, facts)
    }

    fn apply(&mut self, changes: Vec<Change>) -> Vec<Change> {
        self.apply_with(changes, Vec::new())
    }

    fn apply_with(&mut self, changes: Vec<Change>, facts: Vec<Fact>) -> Vec<Change> {
        for change in &changes {
            if let Change::Remove(key) = change {
                self.on.remove(&key.name);
            }
        }
        let told = changes.iter().filter(|change| matches!(change, Change::Delete { .. })).cloned().collect();
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let delta = self.core.apply(Batch { now, changes, facts });
        self.on.extend(delta.on.iter().cloned());
        let serials = delta.removals.iter().map(|removal| (removal.key.environment(), removal.serial));
        let serials = serials.chain(delta.puts.iter().map(|put| (put.key.environment(), put.serial)));
        let facts = serials.map(|(environment, serial)| Fact::Confirmed { environment: environment.clone(), serial });
        self.core.apply(Batch { now, changes: Vec::new(), facts: facts.collect() });
        told
    }

    /// All that there is, and how it is.
    fn picture(&self) -> BTreeMap<String, String> {
        let objects = self.core.objects().map(|key| (key.to_string(), format!("{:?}", self.core.status(&key))));
        let outputs = self.core.outputs().map(|(key, output, _)| (format!("{key:?}"), format!("{output:?}")));
        objects.chain(outputs).collect()
    }

    fn ready(&self, kind: Kind, name: &str) -> Option<(bool, String)> {
        let status = self.core.status(&ObjectKey::new(kind, "default", name))?;
        let ready = status.condition("Ready").expect("says so");
        Some((ready.status, format!("{}: {}", ready.reason, ready.message)))
    }
}

/// Follows, and checks that a start from nothing comes to the same.
fn same(repo: &Repo, follower: &mut Follower, commit: CommitId) {
    follower.follow(commit);
    let mut fresh = Follower::new(repo);
    fresh.follow(commit);
    assert_eq!(follower.picture(), fresh.picture(), "at {commit}");
}

fn begun() -> (Repo, Follower) {
    let mut repo = Repo::new();
    repo.put("e.yaml", ENVIRONMENT).put("m/product.yaml", &product("m", "")).put("m/p.yaml", &plan("p", "m", ""));
    for name in ["s", "r"] {
        repo.put(&format!("teams/{name}.yaml"), &APPLICATION.replace("NAME", name));
    }
    repo.put("teams/s/s.yaml", &subscription("s", "p", ""));
    let mut follower = Follower::new(&repo);
    let commit = repo.commit("begin");
    same(&repo, &mut follower, commit);
    (repo, follower)
}

#[test]
fn a_refused_deletion_holds_what_the_last_commit_said() {
    let (mut repo, mut follower) = begun();
    repo.put("m/p.yaml", &plan("p", "m", "  limits: [{requests: 7, per: Second}]\n"));
    let commit = repo.commit("the last that it says");
    same(&repo, &mut follower, commit);
    let before = follower.picture();
    let api = |picture: &BTreeMap<String, String>| {
        picture.iter().find(|(key, _)| key.contains("Api")).map(|(_, said)| said.clone()).expect("it is served")
    };
    repo.remove("m/p.yaml");
    let commit = repo.commit("delete the plan");
    same(&repo, &mut follower, commit);
    assert_eq!(api(&before), api(&follower.picture()));
    let (ready, why) = follower.ready(Kind::Plan, "p").expect("it is there");
    assert!(!ready && why.starts_with("DeletionRefused: the deletion of Plan default/p is refused"), "{why}");
    assert!(why.contains("1 subscription holds it (default/s)"), "{why}");

    // Whoever asks now came too late, also after other commits and by a file that was somewhere else.
    repo.put("teams/r/r.yaml", &subscription("r", "p", ""));
    let commit = repo.commit("ask for it");
    same(&repo, &mut follower, commit);
    let (_, why) = follower.ready(Kind::Subscription, "r").expect("it is there");
    assert!(why.contains("Plan default/p is deleted and takes no new subscriptions"), "{why}");
    let file = repo.files.remove("teams/s/s.yaml").expect("it is there");
    repo.files.insert("moved.yaml".to_owned(), file);
    let commit = repo.commit("move a file");
    same(&repo, &mut follower, commit);
    assert!(follower.ready(Kind::Plan, "p").expect("it is held").1.contains("1 subscription holds"));

    repo.remove("moved.yaml");
    let commit = repo.commit("end the subscription");
    same(&repo, &mut follower, commit);
    assert_eq!(follower.ready(Kind::Plan, "p"), None);
    assert!(api(&follower.picture()).contains("plans: []"));

    // A revert of that brings back what it held.
    repo.put("moved.yaml", &subscription("s", "p", ""));
    let commit = repo.commit("revert");
    same(&repo, &mut follower, commit);
    assert!(follower.ready(Kind::Plan, "p").is_some());
}

#[test]
fn what_stood_in_another_file_is_not_deleted() {
    let (mut repo, mut follower) = begun();
    let file = repo.files.remove("m/p.yaml").expect("it is there");
    repo.files.insert("elsewhere/plans.yaml".to_owned(), file);
    let commit = repo.commit("rename");
    assert_eq!(follower.follow(commit), []);
    assert!(follower.ready(Kind::Plan, "p").is_some_and(|(ready, why)| !why.contains("Deletion") || !ready));
    assert!(follower.core.status(&ObjectKey::new(Kind::Plan, "default", "p")).is_some());
}

#[test]
fn the_policy_is_that_of_the_last_commit_that_had_it() {
    let (mut repo, mut follower) = begun();
    for policy in ["Orphan", "Cascade", "Refuse"] {
        repo.put("m/p.yaml", &plan("p", "m", &format!("  deletionPolicy: {policy}\n")));
        let commit = repo.commit("set a policy");
        same(&repo, &mut follower, commit);
        repo.remove("m/p.yaml");
        let commit = repo.commit("delete");
        same(&repo, &mut follower, commit);
        let plan = follower.ready(Kind::Plan, "p").is_some();
        let (_, why) = follower.ready(Kind::Subscription, "s").expect("it is there");
        match policy {
            "Orphan" => assert!(!plan && why.contains("there is no Plan default/p"), "{why}"),
            "Cascade" => assert!(!plan && why.contains("Plan default/p was deleted, and this subscription"), "{why}"),
            _ => assert!(plan, "{why}"),
        }
    }
}

#[test]
fn a_product_keeps_its_documents() {
    let (mut repo, mut follower) = begun();
    let scopes = "  scopes: [{name: w, mode: Optional, operations: [make]}]\n";
    let versions = "  versions: [{name: v1, openapi: {path: openapi.yaml}}]\n";
    repo.put("m/product.yaml", &product("m", &format!("{scopes}{versions}")));
    repo.put("m/openapi.yaml", "openapi: 3.1.0\npaths: {/x: {post: {operationId: make}}}\n");
    let commit = repo.commit("a document");
    same(&repo, &mut follower, commit);
    let before = follower.picture();
    let api = |picture: &BTreeMap<String, String>| {
        picture.iter().find(|(key, _)| key.contains("Api")).map(|(_, said)| said.clone()).expect("it is served")
    };
    assert!(api(&before).contains("/x"), "{}", api(&before));
    repo.remove("m/product.yaml").remove("m/openapi.yaml");
    let commit = repo.commit("delete the folder");
    same(&repo, &mut follower, commit);
    assert_eq!(api(&before), api(&follower.picture()));
    // Restored without one.
    repo.put("m/product.yaml", &product("m", &format!("{scopes}  versions: [{{name: v1}}]\n")));
    let commit = repo.commit("restore");
    same(&repo, &mut follower, commit);
    assert!(!api(&follower.picture()).contains("/x"));
}

#[test]
fn a_typo_is_looked_for_once() {
    let (mut repo, mut follower) = begun();
    for number in 0..300 {
        repo.put("note.yaml", &APPLICATION.replace("NAME", &format!("n{number}")));
        repo.commit("go on");
    }
    repo.put("teams/r/r.yaml", &subscription("r", "typo", ""));
    let commit = repo.commit("mistype");
    let begun = Instant::now();
    assert_eq!(follower.follow(commit), []);
    let first = begun.elapsed();
    let mut most = first;
    for number in 0..5 {
        repo.put("teams/r/r.yaml", &subscription("r", "typo", &format!("  goLive: {}\n", number % 2 == 0)));
        let commit = repo.commit("change it");
        let begun = Instant::now();
        assert_eq!(follower.follow(commit), []);
        most = most.min(begun.elapsed());
    }
    println!("300 commits: {first:?}, then {most:?}");
    assert!(most * 10 < first, "{most:?} and {first:?}");
}

#[test]
fn a_folder_knows_what_was_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let git = git2::Repository::init(folder.path()).expect("a repository");
    let write = |path: &str, text: &str| {
        let path = folder.path().join("state").join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write("e.yaml", ENVIRONMENT);
    write("product.yaml", &product("m", ""));
    write("plan.yaml", &plan("p", "m", ""));
    write("application.yaml", &APPLICATION.replace("NAME", "s"));
    write("subscription.yaml", &subscription("s", "p", ""));
    let commit = || {
        let mut index = git.index().expect("an index");
        index.add_all(["."], git2::IndexAddOption::DEFAULT, None).expect("added");
        index.update_all(["."], None).expect("updated");
        let tree = git.find_tree(index.write_tree().expect("a tree")).expect("a tree");
        let who = git2::Signature::now("Ann", "ann@example.com").expect("a signature");
        let parent = git.head().ok().and_then(|head| head.peel_to_commit().ok());
        git.commit(Some("HEAD"), &who, &who, "test", &tree, &parent.iter().collect::<Vec<_>>()).expect("a commit");
    };
    let plan = || {
        let mut reader = Reader::folder_with_history(folder.path().join("state"), Options::default());
        let mut follower = Follower { reader: repo_less(), core: Core::new(), on: BTreeMap::new() };
        let mut changes = reader.rescan().expect("reads").changes;
        reader.recall(&follower.core, &mut changes, &[]).expect("history reads");
        follower.apply(changes);
        follower.ready(Kind::Plan, "p").map(|(_, why)| why)
    };
    commit();
    std::fs::remove_file(folder.path().join("state/plan.yaml")).expect("removed");
    assert!(plan().expect("it is refused").starts_with("DeletionRefused"), "before it is committed");
    commit();
    assert!(plan().expect("it is refused").starts_with("DeletionRefused"), "and after");
}

/// One that is not asked.
fn repo_less() -> Reader {
    Reader::folder("/nonexistent", Options::default())
}

/// What happens in a commit.
#[derive(Clone, Debug)]
enum Step {
    Plan(usize, usize, &'static str),
    Product(usize, &'static str),
    Subscription(usize, usize, &'static str),
    Remove(usize),
    Move(usize),
    /// The files, or also the history, of a commit before.
    Back(usize, bool),
}

const POLICIES: [&str; 4] = ["", "", "  deletionPolicy: Orphan\n", "  deletionPolicy: Cascade\n"];

fn step() -> impl Strategy<Value = Step> {
    let policy = || prop::sample::select(POLICIES.as_slice());
    let more = prop::sample::select(&["", "", "  suspend: true\n", "  change: {plan: {name: p1}}\n"][..]);
    prop_oneof![
        3 => (0..2usize, 0..2usize, policy()).prop_map(|(plan, product, policy)| Step::Plan(plan, product, policy)),
        2 => (0..2usize, policy()).prop_map(|(product, policy)| Step::Product(product, policy)),
        4 => (0..3usize, 0..2usize, more).prop_map(|(name, plan, more)| Step::Subscription(name, plan, more)),
        6 => (0..12usize).prop_map(Step::Remove),
        1 => (0..12usize).prop_map(Step::Move),
        1 => (0..8usize, any::<bool>()).prop_map(|(commit, forced)| Step::Back(commit, forced)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn following_is_starting_over(
        steps in prop::collection::vec((prop::collection::vec(step(), 1..3), 0..4u8), 2..14)
    ) {
        let mut repo = Repo::new();
        repo.put("e.yaml", ENVIRONMENT);
        for name in 0..3 {
            repo.put(&format!("a{name}.yaml"), &APPLICATION.replace("NAME", &format!("s{name}")));
            repo.put(&format!("s{name}.yaml"), &subscription(&format!("s{name}"), &format!("p{}", name % 2), ""));
        }
        for name in 0..2 {
            repo.put(&format!("p{name}.yaml"), &plan(&format!("p{name}"), &format!("m{name}"), ""));
            repo.put(&format!("m{name}.yaml"), &product(&format!("m{name}"), ""));
        }
        let mut follower = Follower::new(&repo);
        let commit = repo.commit("begin");
        follower.follow(commit);
        let mut made = vec![(repo.head, repo.files.clone())];
        for (number, (steps, look)) in steps.iter().enumerate() {
            for step in steps {
                match step {
                    Step::Plan(name, of, policy) => {
                        repo.put(&format!("p{name}.yaml"), &plan(&format!("p{name}"), &format!("m{of}"), policy));
                    }
                    Step::Product(name, policy) => {
                        repo.put(&format!("m{name}.yaml"), &product(&format!("m{name}"), policy));
                    }
                    Step::Subscription(name, of, more) => {
                        repo.put(&format!("s{name}.yaml"), &subscription(&format!("s{name}"), &format!("p{of}"), more));
                    }
                    Step::Remove(index) | Step::Move(index) => {
                        let names: Vec<String> = repo.files.keys().filter(|path| *path != "e.yaml").cloned().collect();
                        let Some(name) = names.get(index % names.len().max(1)) else { continue };
                        let blob = repo.files.remove(name).expect("it is there");
                        if matches!(step, Step::Move(_)) {
                            repo.files.insert(format!("moved/{number}-{}", name.replace('/', "-")), blob);
                        }
                    }
                    Step::Back(index, forced) => {
                        let (head, files) = made[index % made.len()].clone();
                        repo.files = files;
                        if *forced {
                            repo.head = head;
                        }
                    }
                }
            }
            let commit = match (made.len(), look) {
                (others @ 2.., 3) => {
                    let parents = [repo.head.expect("a head"), made[number * 7 % others].0.expect("a head")];
                    repo.commit_on(&number.to_string(), &parents)
                }
                _ => repo.commit(&number.to_string()),
            };
            made.push((repo.head, repo.files.clone()));
            // Sometimes several commits come at once.
            if *look == 0 {
                continue;
            }
            follower.follow(commit);
            let mut fresh = Follower { on: follower.on.clone(), ..Follower::new(&repo) };
            fresh.follow(commit);
            prop_assert_eq!(follower.picture(), fresh.picture());
        }
    }
}
