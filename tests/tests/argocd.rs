//! What users of Argo CD see of Portico's kinds: their health, the order they arrive in, what counts as a difference.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use portico_tests::argocd::{Argo, Options, View};
use portico_tests::cluster::{Cluster, block_on, kstatus, unique};
use portico_tests::operator::Tenancy;
use portico_tests::repo::Repo;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn api(cluster: &Cluster, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(portico_crds::GROUP, portico_crds::VERSION, kind);
    Api::namespaced_with(cluster.admin(), namespace, &ApiResource::from_gvk(&kind))
}

fn get(cluster: &Cluster, kind: &str, namespace: &str, name: &str) -> Option<Value> {
    let object = block_on(api(cluster, kind, namespace).get_opt(name)).expect("the server answers");
    object.map(|object| serde_json::to_value(object).expect("an object is JSON"))
}

/// A spec of each kind that says as little as it may.
fn spec(kind: &str) -> Value {
    match kind {
        "Portal" | "Team" | "Application" | "ApiProduct" => json!({"title": "One"}),
        "Environment" => {
            json!({"stage": "Production", "gateway": {"envoy": {"listeners": [{"name": "http", "port": 80}]}}})
        }
        "Plan" => json!({"title": "One", "products": [{"name": "weather"}]}),
        "Developer" => json!({"mail": "ann@acme.example"}),
        "Subscription" => json!({"application": {"name": "web"}, "plan": {"name": "free", "namespace": "weather"}}),
        "Credential" => {
            json!({"subscription": {"name": "web"}, "environment": {"name": "local", "namespace": "platform"}})
        }
        "Approval" => json!({
            "subscription": {"name": "web", "namespace": "shop"}, "decision": "Denied", "reason": "no", "by": "olga@acme.example",
        }),
        _ => panic!("no kind of Portico: {kind}"),
    }
}

fn manifest(kind: &str, name: &str, spec: &Value) -> String {
    json!({"apiVersion": "portico.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
}

/// Writes a status as the operator does, and returns the object.
fn write_status(cluster: &Cluster, kind: &str, namespace: &str, name: &str, status: &Value) -> Value {
    let object = json!({
        "apiVersion": "portico.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "status": status,
    });
    let params = PatchParams::apply("portico").force();
    let written = block_on(api(cluster, kind, namespace).patch_status(name, &params, &Patch::Apply(&object)))
        .unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    serde_json::to_value(written).expect("an object is JSON")
}

fn condition(r#type: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": r#type,
        "status": status,
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "reason": reason,
        "message": message,
    })
}

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
    let (reason, message) = match (not_ready, problem, details.last().and_then(|detail| detail.split_once(": "))) {
        (false, ..) => ("Ready", "all is as it should be"),
        (true, Some(problem), _) => ("Invalid", *problem),
        (true, None, Some(said)) => said,
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

/// What a person expects of an object that is ready, or is not for this reason.
fn expected(ready: Option<(&str, &str)>) -> &'static str {
    match ready {
        Some(("True", _)) => "Healthy",
        Some(("False", reason)) => match reason {
            // Its owner has to mend something.
            "Invalid" | "Refused" | "Rejected" | "ChangesRequested" | "PaymentFailed" => "Degraded",
            // Somebody else has to decide, or nobody has to do anything.
            "Pending" | "PendingPayment" | "Suspended" | "Cancelled" | "Expired" | "Idle" => "Suspended",
            // It becomes ready by itself.
            "Programming" => "Progressing",
            _ => panic!("decide what Argo CD says of an object that is not ready because of {reason}"),
        },
        _ => "Progressing",
    }
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
    for reason in ["Refused", "PaymentFailed", "Expired"] {
        cases.insert(Case::new("Subscription", &[("Ready", "False", reason), ("Stalled", "True", reason)], "so it is"));
    }
    for reason in ["PendingPayment", "Pending", "Programming"] {
        let conditions = [("Ready", "False", reason), ("Reconciling", "True", reason)];
        cases.insert(Case::new("Subscription", &conditions, "so it is"));
    }
    for definition in portico_crds::all() {
        let kind = &definition.spec.names.kind;
        cases.insert(Case::new(kind, &[("Ready", "True", "Ready")], "all is as it should be"));
        cases.insert(Case::new(kind, &[("Ready", "Unknown", "Starting")], "it cannot be told yet"));
    }
    let cases: Vec<_> = cases.into_iter().map(|case| (expected(case.ready()), case)).collect();

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
        names.iter().zip(&cases).all(|(name, (expected, case))| is_as_expected(view, name, case, expected))
            && ["unseen", "outdated"].iter().all(|name| {
                let resource = view.resource("Subscription", name).expect("it is there");
                resource.health == "Progressing" && resource.message.contains("Portico has not looked at")
            })
    });

    // Others go by kstatus. It knows no rest: an object is done, on its way, or has failed.
    for ((status, message), (expected, case)) in kstatus(&objects).into_iter().zip(&cases) {
        let agrees = match *expected {
            "Healthy" => status == "Current",
            "Progressing" => status == "InProgress",
            "Degraded" => status == "Failed",
            "Suspended" => status == "InProgress" || status == "Failed",
            other => panic!("{other} is no health that we expect"),
        };
        assert!(agrees, "{expected}, and for kstatus {status} ({message}): {case:?}");
    }
}

/// What of the acme example goes to a cluster: its manifests, and the namespaces that they are in.
fn acme(repo: &Repo) {
    let source = root().join("examples/acme");
    let mut namespaces = BTreeSet::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the example") {
            let path = entry.expect("an entry of the folder").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = read(&path);
            if let Some(namespace) = text.lines().find_map(|line| line.strip_prefix("  namespace: ")) {
                namespaces.insert(namespace.to_owned());
            }
            repo.write(&format!("acme/{}", path.strip_prefix(&source).expect("it is below").display()), text);
        }
    }
    for namespace in namespaces {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        repo.write(&format!("cluster/{namespace}.yaml"), object.to_string());
    }
}

fn definitions(repo: &Repo) {
    for (name, text) in portico_crds::manifests() {
        repo.write(&format!("crds/{name}"), text);
    }
}

fn count(view: &View, kind: &str) -> usize {
    view.resources.iter().filter(|resource| resource.kind == kind).count()
}

#[test]
fn definitions_and_what_needs_them_arrive_in_one_go() {
    let cluster = Cluster::start();
    let argo = Argo::start(&cluster);
    let repo = Repo::new();
    acme(&repo);
    definitions(&repo);
    repo.commit("all of it at once");
    let begun = Instant::now();
    argo.application("all", &repo.publish(), "default", &Options::default());
    // Nobody has looked at the objects yet.
    let view = argo.wait("all", "Synced", "Progressing");
    println!("{} objects with their definitions: {:?}", view.resources.len(), begun.elapsed());
    // Argo CD does not know at first what it has just applied, and tries again.
    println!("tried again: {}", view.object["status"]["operationState"]["retryCount"]);

    assert_eq!(
        view.object["status"]["history"].as_array().map(Vec::len),
        Some(1),
        "it took more than one sync:\n{view}"
    );
    assert_eq!(count(&view, "CustomResourceDefinition"), portico_crds::all().len());
    assert_eq!((count(&view, "ApiProduct"), count(&view, "Portal"), count(&view, "Environment")), (3, 1, 1), "{view}");
    assert!(count(&view, "Subscription") > 5, "{view}");
    // Documents of APIs are YAML as well, and no objects.
    assert!(repo.file("acme/products/orders/openapi.yaml").exists());
    assert!(view.object["status"]["conditions"].is_null(), "{view}");
}

#[test]
fn an_application_waits_for_another_that_brings_the_definitions() {
    let cluster = Cluster::start();
    let argo = Argo::start(&cluster);
    let repo = Repo::new();
    acme(&repo);
    definitions(&repo);
    repo.commit("two parts");
    let bare = repo.publish();
    let part = |path: &str| Options { path: path.to_owned(), ..Options::default() };
    let begun = Instant::now();
    argo.application("namespaces", &bare, "default", &part("cluster"));
    argo.application("acme", &bare, "default", &part("acme"));
    argo.wait_for("acme", "it fails for now", |view| view.message.contains("Retrying"));
    argo.application("definitions", &bare, "default", &part("crds"));
    argo.wait_for("definitions", "they are there", |view| view.sync == "Synced" && view.phase == "Succeeded");
    println!("definitions: {:?}", begun.elapsed());
    argo.wait("acme", "Synced", "Progressing");
    println!("what needs them: {:?}", begun.elapsed());
    // The definitions themselves it calls `Degraded` until it looks at them again, which can take minutes.
}

#[test]
fn a_push_arrives_and_a_revert_takes_it_away() {
    let argo = Argo::shared();
    let cluster = argo.cluster();
    let namespace = cluster.namespace("push");
    let name = unique("push");
    let repo = Repo::with(&[("application.yaml", &manifest("Application", "web", &spec("Application")))]);
    argo.application(&name, &repo.publish(), &namespace, &Options::default());
    argo.wait(&name, "Synced", "Progressing");

    let there = || get(cluster, "Subscription", &namespace, "web-weather");
    assert!(there().is_none());
    let commit = repo.commit_file("subscription.yaml", &manifest("Subscription", "web-weather", &spec("Subscription")));
    let begun = Instant::now();
    repo.push();
    argo.refresh(&name);
    let read = begun.elapsed();
    argo.wait_for(&name, "the Subscription is there", |_| there().is_some());
    let arrived = begun.elapsed();
    let view = argo.wait(&name, "Synced", "Progressing");
    assert_eq!(view.revision, commit);
    println!("a push: read after {read:?}, in the cluster after {arrived:?}, told after {:?}", begun.elapsed());

    let revert = repo.revert(&commit);
    let begun = Instant::now();
    repo.push();
    argo.refresh(&name);
    let read = begun.elapsed();
    argo.wait_for(&name, "the Subscription is gone", |_| there().is_none());
    let gone = begun.elapsed();
    let view = argo.wait_for(&name, "it is in sync", |view| view.sync == "Synced" && view.revision == revert);
    assert!(view.resource("Subscription", "web-weather").is_none(), "{view}");
    println!("a revert: read after {read:?}, out of the cluster after {gone:?}, told after {:?}", begun.elapsed());
}

#[test]
fn an_edit_in_the_cluster_is_taken_back_and_a_status_is_none() {
    let argo = Argo::shared();
    let cluster = argo.cluster();
    let namespace = cluster.namespace("drift");
    let name = unique("drift");
    let repo = Repo::with(&[("subscription.yaml", &manifest("Subscription", "web", &spec("Subscription")))]);
    argo.application(&name, &repo.publish(), &namespace, &Options::default());
    argo.wait(&name, "Synced", "Progressing");

    let mut ready = Case::new("Subscription", &[("Ready", "True", "Ready")], "all is as it should be").status();
    ready["phase"] = json!("Active");
    ready["granted"] = json!({"plan": {"name": "free", "namespace": "weather"}, "scopes": ["read"]});
    write_status(cluster, "Subscription", &namespace, "web", &ready);
    // It looks anew because health changes; and when asked.
    argo.wait(&name, "Synced", "Healthy");
    argo.refresh(&name);
    let view = argo.view(&name);
    assert_eq!((view.sync.as_str(), view.health.as_str()), ("Synced", "Healthy"), "{view}");
    assert_eq!(
        view.object["status"]["history"].as_array().map(Vec::len),
        Some(1),
        "a status was taken for a change:\n{view}"
    );

    let begun = Instant::now();
    let edit = Patch::Merge(json!({"spec": {"plan": {"name": "gold"}}}));
    block_on(api(cluster, "Subscription", &namespace).patch("web", &PatchParams::default(), &edit)).expect("an edit");
    argo.wait_for(&name, "the edit is taken back", |_| {
        let object = get(cluster, "Subscription", &namespace, "web").expect("it is there");
        object["spec"]["plan"]["name"] == "free"
    });
    println!("an edit by hand is taken back after {:?}", begun.elapsed());
    let object = get(cluster, "Subscription", &namespace, "web").expect("it is there");
    assert_eq!(object["status"]["phase"], "Active", "the status was lost");
    // It is another generation now, and nobody has looked at it.
    argo.wait(&name, "Synced", "Progressing");
}

/// Objects that leave out what they can, in lists above all, and write what they say in ways of their own.
const BRIEF: &str = r"
apiVersion: portico.dev/v1alpha1
kind: ApiProduct
metadata: {name: weather}
spec:
  title: Weather
  versions:
    - name: v2
    - name: v1
      lifecycle: {deprecatedAt: 2026-03-01T00:00:00Z}
    - name: v0
      lifecycle: {stage: Deprecated, deprecatedAt: '2026-03-01T01:00:00+01:00', sunsetAt: 2028-03-01T00:00:00.000Z}
  docs:
    - {title: Start, path: start.md}
    - {title: Hidden, path: hidden.md, published: no}
  endpoints:
    - environment: {name: local}
      upstream: {url: 'https://127.0.0.1:8443', timeout: 90s, tls: {serverName: weather.example}}
      cors: {allowOrigins: ['*'], maxAge: 24h}
  scopes:
    - {name: 'weather:read'}
---
apiVersion: portico.dev/v1alpha1
kind: Plan
metadata: {name: free}
spec:
  title: Free
  products: [{name: weather}]
  limits:
    - {requests: 010, per: Minute}
    - {requests: 0x10, per: Hour, methods: [GET]}
  duration: 48h
  credentials: {lifetime: 1440m, rotationOverlap: 0h60m}
  price: {currency: EUR, amount: '49.00'}
---
apiVersion: portico.dev/v1alpha1
kind: Plan
metadata: {name: brief}
spec: {title: Brief, products: [{name: weather}], approval: {}, visibility: {}, lifecycle: {}, sandbox: {}, security: {}}
---
apiVersion: portico.dev/v1alpha1
kind: Team
metadata: {name: shop}
spec:
  title: Shop
  members:
    - mail: sara@acme.example
    - {mail: sven@acme.example, access: {teams: Full}}
  invitations:
    - {mail: anna@acme.example, expiresAt: 2027-01-01T00:00:00Z}
---
apiVersion: portico.dev/v1alpha1
kind: Portal
metadata: {name: acme}
spec:
  title: Acme
  registration:
    fields:
      - {name: company, title: Company}
      - {name: use, title: Use, kind: Choice, choices: [Shop, Else]}
---
apiVersion: portico.dev/v1alpha1
kind: Environment
metadata: {name: local}
spec:
  stage: Sandbox
  gateway:
    envoy:
      listeners:
        - {name: http, port: 10000}
---
apiVersion: portico.dev/v1alpha1
kind: Subscription
metadata: {name: web-weather}
spec:
  application: {name: web}
  plan: {name: free}
  scopes: []
  suspend: false
---
apiVersion: portico.dev/v1alpha1
kind: Credential
metadata: {name: web}
spec:
  subscription: {name: web-weather}
  environment: {name: local}
  rotateEvery: 24h
---
apiVersion: portico.dev/v1alpha1
kind: Developer
metadata: {name: ann}
spec: {mail: ann@acme.example}
---
apiVersion: portico.dev/v1alpha1
kind: Application
metadata: {name: web}
spec: {title: Web}
---
apiVersion: portico.dev/v1alpha1
kind: Approval
metadata: {name: web-weather}
spec:
  subscription: {name: web-weather}
  decision: Granted
  grant: {plan: {name: free}}
  by: olga@acme.example
";

#[test]
fn what_is_left_out_or_written_in_another_way_is_no_difference() {
    let argo = Argo::shared();
    let diff = || vec![("argocd.argoproj.io/compare-options", "ServerSideDiff=true")];
    let ways = [
        ("plain", vec![], vec![]),
        ("plain-diff", vec![], diff()),
        ("server-side", vec!["ServerSideApply=true"], vec![]),
        ("server-side-diff", vec!["ServerSideApply=true"], diff()),
    ];
    let repo = Repo::with(&[("all.yaml", BRIEF)]);
    let bare = repo.publish();
    let mut complaints = Vec::new();
    for (way, sync_options, annotations) in ways {
        let namespace = argo.cluster().namespace("brief");
        let name = unique(way);
        let options = Options {
            automated: false,
            sync_options: sync_options.into_iter().map(str::to_owned).collect(),
            annotations: annotations
                .into_iter()
                .map(|(key, value): (&str, &str)| (key.to_owned(), value.to_owned()))
                .collect(),
            ..Options::default()
        };
        argo.application(&name, &bare, &namespace, &options);
        argo.wait_for(&name, "it is compared", |view| view.sync == "OutOfSync");
        argo.sync(&name);
        argo.wait_for(&name, "it has synced", |view| view.phase == "Succeeded" && !view.is_busy());
        argo.refresh(&name);
        let view = argo.view(&name);
        assert!(view.object["status"]["conditions"].is_null(), "{way}: {view}");
        let differ: Vec<_> = view.resources.iter().filter(|resource| resource.sync != "Synced").collect();
        for resource in differ {
            let there = get(argo.cluster(), &resource.kind, &namespace, &resource.name).expect("it is there");
            complaints.push(format!("{way}: {} is not what it was synced to: {}", resource.kind, there["spec"]));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
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
    std::thread::sleep(Duration::from_secs(3));
    assert!(get(cluster, "ApiProduct", &namespace, "weather").is_none(), "the second wave did not wait");
    assert_eq!(argo.view(&name).phase, "Running");
    let ready = Case::new("Environment", &[("Ready", "True", "Ready")], "all is as it should be").status();
    write_status(cluster, "Environment", &namespace, "local", &ready);
    argo.wait(&name, "Synced", "Progressing");
    assert!(get(cluster, "ApiProduct", &namespace, "weather").is_some());
}

#[test]
fn a_push_grants_a_key_at_envoy_and_a_revert_revokes_it() {
    let argo = Argo::shared();
    let tenancy = Tenancy::empty();
    let setup = tenancy.operator("one");
    let _operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let repo = Repo::with(&[("all.yaml", &tenancy.here(&tenancy.everything()))]);
    let name = unique("granting");
    argo.application(&name, &repo.publish(), "default", &Options::default());
    let probe = tenancy.key("watch", "probe");
    tenancy.wait_status(&probe, 200);
    argo.wait(&name, "Synced", "Healthy");

    let granted = repo.commit_file("grant.yaml", &tenancy.here(&tenancy.grant("echo-basic")));
    let begun = Instant::now();
    repo.push();
    argo.refresh(&name);
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    println!("a push: granted at Envoy after {:?}", begun.elapsed());
    let view = argo.wait(&name, "Synced", "Healthy");
    println!("a push: told after {:?}", begun.elapsed());
    assert_eq!(view.revision, granted);
    // What Portico itself makes in the cluster is no difference, and nobody takes it away.
    assert!(tenancy.secret("shop", "web-basic").is_some());
    assert!(view.resource("Secret", "web-basic").is_none(), "{view}");

    repo.revert(&granted);
    let begun = Instant::now();
    repo.push();
    argo.refresh(&name);
    tenancy.wait_status(&key, 401);
    println!("a revert: denied by Envoy after {:?}", begun.elapsed());
    argo.wait(&name, "Synced", "Healthy");
    println!("a revert: told after {:?}", begun.elapsed());
    assert_eq!(tenancy.status(&probe), 200, "the others go on");

    // Health says what is wrong, in the words of the status.
    repo.commit_file("grant.yaml", &tenancy.here(&tenancy.grant("no-such-plan")));
    repo.push();
    argo.refresh(&name);
    let view = argo.wait(&name, "Synced", "Degraded");
    let resource = view.resource("Subscription", "web-basic").expect("it is there");
    assert!(resource.health == "Degraded" && resource.message.contains("no-such-plan"), "{view}");

    let suspended = tenancy.grant("echo-basic").replacen("spec:\n", "spec:\n  suspend: true\n", 1);
    repo.commit_file("grant.yaml", &tenancy.here(&suspended));
    repo.push();
    argo.refresh(&name);
    argo.wait(&name, "Synced", "Suspended");
}
