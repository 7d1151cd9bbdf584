//! What each command prints. The snapshots are what a user reads: look at them as one.

use std::fs;

use portico_tests::files;
use portico_tests::portico::{self, Outcome};
use portico_tests::repo::Repo;
use portico_tests::scenario::{Bystander, PROBE, Scenario};

/// Compares what a command printed with its snapshot, without what differs from run to run.
fn snapshot(name: &str, outcome: &Outcome) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, placeholder) in [
        (r"/tmp/portico-(repo|state|many)-[A-Za-z0-9]+", "[$1]"),
        (r"ptk_[0-9a-z]{39}", "[key]"),
        (r"\b[0-9a-f]{40}\b", "[commit]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
        (r"port(_value)?(\W+)\d{4,5}\b", "port$1$2[port]"),
        (r"\b\d+(\.\d+)? ?(ms|µs)\b", "[duration]"),
        (r"\b[0-9a-f]{7}\b", "[commit]"),
    ] {
        settings.add_filter(pattern, placeholder);
    }
    settings.bind(|| insta::assert_snapshot!(name, outcome.transcript()));
}

fn run(name: &str, folder: &Repo, arguments: &[&str]) {
    snapshot(name, &portico::run_in(folder.path(), arguments));
}

/// A tree with one mistake of many kinds.
fn mistaken() -> Repo {
    let repo = files::repo(10_000, "http://127.0.0.1:18080");
    repo.replace(files::SMALL_PLAN, "limits:", "limitz:");
    repo.replace(files::PLAN, "requests: 1000000", "requests: lots");
    repo.write("teams/shop/web/missing.yaml", files::subscription("web-missing", "no-such-plan"));
    repo.write("teams/shop/web/copy.yaml", files::application());
    repo.write("teams/shop/web/broken.yaml", "kind: Team\napiVersion: portico.dev/v1alpha1\nmetadata: [\n");
    repo.write("teams/shop/web/others.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: not-ours }\n");
    repo.commit("mistakes");
    repo
}

#[test]
fn help_and_version() {
    let repo = Repo::new();
    for (name, arguments) in [
        ("help", ["--help"].as_slice()),
        ("help_up", &["up", "--help"]),
        ("help_check", &["check", "--help"]),
        ("version", &["--version"]),
        ("unknown_command", &["chekc"]),
    ] {
        run(name, &repo, arguments);
    }
    let outcome = portico::run_in(repo.path(), &["completions", "bash"]);
    assert!(outcome.status.success() && outcome.stdout.contains("portico"), "{}", outcome.transcript());
}

#[test]
fn crds_are_those_of_the_repository() {
    let outcome = portico::run_in(Repo::new().path(), &["crds"]);
    assert!(outcome.status.success(), "{}", outcome.transcript());
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/manifests");
    let mut seen = 0;
    for entry in fs::read_dir(folder).expect("crds/manifests is there") {
        let text = fs::read_to_string(entry.expect("it can be listed").path()).expect("a manifest is text");
        assert!(outcome.stdout.contains(text.trim_start_matches("---\n").trim()), "`portico crds` lacks:\n{text}");
        seen += 1;
    }
    assert_eq!(seen, 10, "ten kinds");
}

#[test]
fn check_of_a_good_tree() {
    let repo = Repo::example("acme", 10_000, "127.0.0.1:18080".parse().expect("an address"));
    run("check_good", &repo, &["check"]);
    for format in ["json", "github", "sarif"] {
        let outcome = portico::run_in(repo.path(), &["check", "--format", format]);
        assert_eq!(outcome.status.code(), Some(0), "{}", outcome.transcript());
    }
}

#[test]
fn check_of_a_tree_with_mistakes() {
    let repo = mistaken();
    for format in ["text", "json", "github", "sarif"] {
        run(&format!("check_mistakes_{format}"), &repo, &["check", ".", "--format", format]);
    }
    let outcome = portico::run_in(repo.path(), &["check", "nowhere"]);
    assert_eq!(outcome.status.code(), Some(2));
    snapshot("check_nowhere", &outcome);
}

#[test]
fn render_of_the_smallest_example() {
    let repo = Repo::example("minimal", 10_000, "127.0.0.1:18080".parse().expect("an address"));
    let first = portico::run_in(repo.path(), &["render", "--environment", "demo/local"]);
    assert!(first.status.success(), "{}", first.transcript());
    let second = portico::run_in(repo.path(), &["render"]);
    assert_eq!(first.stdout, second.stdout, "the only environment, and the same every time");
    snapshot("render_minimal", &first);
    run("render_unknown", &repo, &["render", "--environment", "demo/nowhere"]);
}

#[test]
fn questions_without_a_running_portico() {
    let repo = Repo::example("acme", 10_000, "127.0.0.1:18080".parse().expect("an address"));
    for (name, arguments) in [
        ("cold_status", ["status"].as_slice()),
        ("cold_access", &["access"]),
        ("cold_explain_granted", &["explain", "subscription/shop/checkout-payments"]),
        ("cold_explain_waiting", &["explain", "subscription/analytics/reports-orders"]),
        ("cold_explain_unknown", &["explain", "subscription/shop/nowhere"]),
        ("cold_reveal", &["credential", "reveal", "shop/checkout-payments"]),
    ] {
        run(name, &repo, arguments);
    }
}

#[test]
fn questions_to_a_running_portico() {
    let scenario = Scenario::new();
    scenario.repo.write("teams/shop/web/missing.yaml", files::subscription("web-missing", "no-such-plan"));
    files::grant(&scenario.repo, "echo-basic");
    let portico = scenario.up();
    let _bystander = Bystander::new(&scenario);
    for (name, arguments) in [
        ("status", ["status"].as_slice()),
        ("access", &["access"]),
        ("explain_granted", &["explain", "credential/shop/web-basic"]),
        ("explain_missing", &["explain", "subscription/shop/web-missing"]),
        ("reveal", &["credential", "reveal", PROBE]),
        ("reveal_unknown", &["credential", "reveal", "shop/nowhere"]),
    ] {
        snapshot(name, &scenario.launch.run(arguments));
    }
    let access = scenario.launch.run(&["access", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&access.stdout).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(2), "{}", access.stdout);
    drop(portico);
}

#[test]
fn up_says_one_line_a_change() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let granted = files::grant(&scenario.repo, "echo-basic");
    portico.wait_commit(&granted);
    let reverted = scenario.repo.revert(&granted);
    portico.wait_commit(&reverted);
    for commit in [&granted, &reverted] {
        let output = portico.output();
        let lines = output.lines().filter(|line| line.contains(&commit[..7])).count();
        assert_eq!(lines, 1, "one line for {commit}:\n{output}");
    }
    let (granted, reverted) = (portico.wait_commit(&granted), portico.wait_commit(&reverted));
    for (line, sign) in [(&granted, "+1"), (&reverted, "-1")] {
        assert!(line.contains(sign) || line.contains("grant") || line.contains("revo"), "{line}");
        assert!(line.contains("ms") || line.contains("µs") || line.contains(" s"), "{line}");
    }
}
