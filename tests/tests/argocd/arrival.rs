//! What arrives in the cluster, in which order, and what goes.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use portico_tests::argocd::{Argo, Options, View};
use portico_tests::cluster::{Cluster, unique};
use portico_tests::files;
use portico_tests::operator::Tenancy;
use portico_tests::repo::Repo;
use portico_tests::wait;
use serde_json::json;

use crate::{get, manifest, read, root, spec};

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
            // It makes Argo CD run `kustomize`, which is not part of it.
            if path.ends_with("kustomization.yaml") {
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

#[test]
fn a_plan_that_somebody_has_is_not_pruned_before_they_end_it() {
    let argo = Argo::shared();
    let tenancy = Tenancy::empty();
    let setup = tenancy.operator("one");
    let _operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let repo = Repo::with(&[
        ("all.yaml", &tenancy.here(&tenancy.everything())),
        ("own.yaml", &tenancy.here(&files::plan().replace("echo-basic", "echo-own"))),
        ("grant.yaml", &tenancy.here(&tenancy.grant("echo-own"))),
    ]);
    let name = unique("pruning");
    argo.application(&name, &repo.publish(), "default", &Options::default());
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    argo.wait(&name, "Synced", "Healthy");

    repo.remove("own.yaml");
    repo.commit("the plan is to go");
    repo.push();
    argo.refresh(&name);
    tenancy.wait_condition("Plan", "apis", "echo-own", "Ready", ("False", "DeletionRefused"));
    // Of what is being deleted Argo CD says that, whatever its status says.
    let view = argo.wait_for(&name, "the plan waits", |view| {
        view.resource("Plan", "echo-own").is_some_and(|resource| resource.message == "Pending deletion")
    });
    assert_eq!(view.resource("Plan", "echo-own").map(|resource| resource.health.as_str()), Some("Progressing"));
    wait::until("an Event that says who has it", || {
        let told = |(reason, text): &(String, String)| {
            reason == "DeletionRefused" && text.contains("1 subscription holds it") && text.contains("/web-basic")
        };
        tenancy.events("apis").iter().any(told).then_some(())
    });
    assert_eq!(tenancy.status(&key), 200);

    repo.remove("grant.yaml");
    repo.commit("nobody has it any more");
    repo.push();
    argo.refresh(&name);
    tenancy.wait_status(&key, 401);
    argo.wait_for(&name, "the plan is gone", |_| tenancy.object("Plan", "apis", "echo-own").is_none());
    argo.wait(&name, "Synced", "Healthy");
}
