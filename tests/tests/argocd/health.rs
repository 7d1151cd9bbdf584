//! Health, from statuses as Portico writes them.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use portico_tests::argocd::{Argo, Options, View};
use portico_tests::cluster::{block_on, kstatus, unique};
use portico_tests::repo::Repo;
use serde_json::{Value, json};

use crate::{api, condition, get, manifest, read, root, spec, write_status};

/// An object and its status, and what Argo CD is to say of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    kind: String,
    /// Type, status and reason.
    conditions: Vec<(String, String, String)>,
    message: String,
    observed: Option<i64>,
}

impl Case {
    fn new(kind: &str, conditions: &[(&str, &str, &str)], message: &str) -> Case {
        let owned = |(r#type, status, reason): &(&str, &str, &str)| {
            ((*r#type).to_owned(), (*status).to_owned(), (*reason).to_owned())
        };
        Case {
            kind: kind.to_owned(),
            conditions: conditions.iter().map(owned).collect(),
            message: message.to_owned(),
            observed: Some(1),
        }
    }

    fn status(&self) -> Value {
        let conditions: Vec<_> = self
            .conditions
            .iter()
            .map(|(r#type, status, reason)| condition(r#type, status, reason, &self.message))
            .collect();
        json!({"observedGeneration": self.observed, "conditions": conditions})
    }

    fn ready(&self) -> Option<(&str, &str)> {
        let ready = self.conditions.iter().find(|(r#type, ..)| r#type == "Ready");
        ready.map(|(_, status, reason)| (status.as_str(), reason.as_str()))
    }
}

/// All statuses that the core's own cases come to.
fn golden() -> BTreeSet<Case> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("operator/core/tests/cases")).expect("the core has cases") {
        let text = read(&entry.expect("an entry of the folder").path().join("out.txt"));
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some((object, types)) = line.split_once(": ") else { continue };
            let Some((kind, _)) = object.split_once(' ').filter(|_| types.contains("Ready")) else { continue };
            let details: Vec<_> = lines[at + 1..].iter().map_while(|line| line.strip_prefix("    ")).collect();
            found.insert(golden_case(kind, types, &details));
        }
    }
    found
}

fn golden_case(kind: &str, types: &str, details: &[&str]) -> Case {
    let not_ready = types.split(' ').any(|r#type| r#type == "!Ready");
    let problem = details.iter().find(|detail| detail.starts_with("Error "));
    let mut said = details.iter().rev().filter_map(|detail| detail.split_once(": "));
    let said = said.find(|(reason, _)| expected(not_ready, reason).is_some());
    let (reason, message) = match (not_ready, problem, said) {
        (true, Some(problem), _) => ("Invalid", *problem),
        (_, _, Some(said)) => said,
        (false, ..) => ("Ready", "all is as it should be"),
        (true, None, None) => panic!("{kind} is not ready and does not say why"),
    };
    let conditions: Vec<_> = types
        .split(' ')
        .map(|r#type| match r#type.strip_prefix('!') {
            Some(r#type) => (r#type, "False", reason),
            None => (r#type, "True", reason),
        })
        .collect();
    // Messages are of many sorts; one of each is enough.
    Case::new(kind, &conditions, message.split(['`', '/']).next().unwrap_or(message))
}

/// The table of docs/kubernetes.md: by whether it is ready and why, what Argo CD says of it, and what kstatus.
const TABLE: [(bool, &[&str], &str, &str); 7] = [
    (true, &["Ready", "ExpiresSoon", "Cancelled", "Expired"], "Healthy", "Current"),
    (true, &["Suspended", "Disabled"], "Suspended", "Current"),
    // It becomes ready by itself.
    (false, &["Programming", "Issuing", "DeletionCascades"], "Progressing", "InProgress"),
    // Somebody else has to decide.
    (false, &["Pending", "PendingPayment"], "Suspended", "InProgress"),
    // Its owner has to mend something.
    (false, &["Invalid", "Refused", "Unsupported", "Expired"], "Degraded", "Failed"),
    (false, &["DeletionRefused"], "Degraded", "Failed"),
    (false, &["Rejected", "ChangesRequested", "PaymentFailed"], "Degraded", "Failed"),
];

fn expected(not_ready: bool, reason: &str) -> Option<(&'static str, &'static str)> {
    let row = TABLE.iter().find(|(ready, reasons, ..)| *ready != not_ready && reasons.contains(&reason));
    row.map(|(_, _, health, kstatus)| (*health, *kstatus))
}

#[test]
fn the_configuration_holds_the_script_as_it_is() {
    let folder = root().join("examples/argocd");
    let map: Value = serde_yaml::from_str(&read(&folder.join("argocd-cm.yaml"))).expect("it is YAML");
    let customizations = map["data"]["resource.customizations"].as_str().expect("it has customizations");
    let customizations: Value = serde_yaml::from_str(customizations).expect("they are YAML");
    assert_eq!(customizations["portico.dev/*"]["health.lua"], json!(read(&folder.join("health.lua"))));
}

#[test]
fn health_is_what_conditions_mean() {
    let argo = Argo::shared();
    let cluster = argo.cluster();

    let mut cases = golden();
    let reasons: BTreeSet<_> = cases.iter().filter_map(Case::ready).map(|(_, reason)| reason.to_owned()).collect();
    assert!(reasons.len() > 8, "the core's cases are not read well: {reasons:?}");
    for (ready, reasons, _, kstatus) in TABLE {
        for reason in reasons {
            let mut conditions = vec![("Ready", if ready { "True" } else { "False" }, *reason)];
            conditions.extend((kstatus == "InProgress").then_some(("Reconciling", "True", *reason)));
            conditions.extend((kstatus == "Failed").then_some(("Stalled", "True", *reason)));
            cases.insert(Case::new("Subscription", &conditions, "so it is"));
        }
    }
    for definition in portico_crds::all() {
        let kind = &definition.spec.names.kind;
        cases.insert(Case::new(kind, &[("Ready", "True", "Ready")], "all is as it should be"));
        cases.insert(Case::new(kind, &[("Ready", "Unknown", "Starting")], "it cannot be told yet"));
    }
    let said = |case: &Case| match case.ready() {
        Some((ready @ ("True" | "False"), reason)) => expected(ready == "False", reason)
            .unwrap_or_else(|| panic!("decide what others say of an object that is {ready} because of {reason}")),
        _ => ("Progressing", "InProgress"),
    };
    let cases: Vec<_> = cases.into_iter().map(|case| (said(&case), case)).collect();

    // They need not be as many as there are cases to have all of them.
    let repo = Repo::new();
    let names: Vec<_> = (0..cases.len()).map(|at| format!("case-{at}")).collect();
    for (name, (_, case)) in names.iter().zip(&cases) {
        repo.write(&format!("{name}.yaml"), manifest(&case.kind, name, &spec(&case.kind)));
    }
    // What Portico has not seen, and what it has seen before the last change.
    repo.write("unseen.yaml", manifest("Subscription", "unseen", &spec("Subscription")));
    repo.write("outdated.yaml", manifest("Subscription", "outdated", &spec("Subscription")));
    repo.commit("one of each");
    let namespace = cluster.namespace("health");
    let name = unique("health");
    argo.application(&name, &repo.publish(), &namespace, &Options::default());
    argo.wait(&name, "Synced", "Progressing");

    let mut objects = Vec::new();
    for (name, (_, case)) in names.iter().zip(&cases) {
        objects.push(write_status(cluster, &case.kind, &namespace, name, &case.status()));
    }
    let ready = json!({"observedGeneration": 1, "conditions": [condition("Ready", "True", "Ready", "it is")]});
    write_status(cluster, "Subscription", &namespace, "outdated", &ready);
    let change = Patch::Merge(json!({"spec": {"suspend": true}}));
    block_on(api(cluster, "Subscription", &namespace).patch("outdated", &PatchParams::default(), &change))
        .expect("a change");

    let is_as_expected = |view: &View, name: &str, case: &Case, expected: &str| {
        let resource = view.resource(&case.kind, name).unwrap_or_else(|| panic!("{name} is not there:\n{view}"));
        resource.health == expected && (expected == "Healthy" || resource.message == case.message)
    };
    argo.wait_for(&name, "health as expected", |view| {
        names.iter().zip(&cases).all(|(name, ((health, _), case))| is_as_expected(view, name, case, health))
            && ["unseen", "outdated"].iter().all(|name| {
                let resource = view.resource("Subscription", name).expect("it is there");
                resource.health == "Progressing" && resource.message.contains("Portico has not looked at")
            })
    });

    // Others go by kstatus. It knows no rest: an object is done, on its way, or has failed.
    for ((status, message), ((health, expected), case)) in kstatus(&objects).into_iter().zip(&cases) {
        assert_eq!(status, *expected, "{health}, and for kstatus {status} ({message}): {case:?}");
    }
}

#[test]
fn what_is_synced_before_others_waits_for_its_health() {
    let argo = Argo::shared();
    let cluster = argo.cluster();
    let namespace = cluster.namespace("waves");
    let name = unique("waves");
    let wave = |kind: &str, name: &str, wave: &str| {
        json!({
            "apiVersion": "portico.dev/v1alpha1", "kind": kind, "spec": spec(kind),
            "metadata": {"name": name, "annotations": {"argocd.argoproj.io/sync-wave": wave}},
        })
        .to_string()
    };
    let repo = Repo::with(&[
        ("environment.yaml", &wave("Environment", "local", "-1")),
        ("product.yaml", &wave("ApiProduct", "weather", "0")),
    ]);
    argo.application(&name, &repo.publish(), &namespace, &Options::default());
    argo.wait_for(&name, "the first wave", |_| get(cluster, "Environment", &namespace, "local").is_some());
    thread::sleep(Duration::from_secs(3));
    assert!(get(cluster, "ApiProduct", &namespace, "weather").is_none(), "the second wave did not wait");
    assert_eq!(argo.view(&name).phase, "Running");
    let ready = Case::new("Environment", &[("Ready", "True", "Ready")], "all is as it should be").status();
    write_status(cluster, "Environment", &namespace, "local", &ready);
    argo.wait(&name, "Synced", "Progressing");
    assert!(get(cluster, "ApiProduct", &namespace, "weather").is_some());
}
