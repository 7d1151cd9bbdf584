//! What is a difference between Git and the cluster, and what is none.

use std::time::Instant;

use kube::api::{Patch, PatchParams};
use portico_tests::argocd::{Argo, Options};
use portico_tests::cluster::{block_on, unique};
use portico_tests::repo::Repo;
use serde_json::json;

use crate::{api, condition, get, manifest, spec, write_status};

#[test]
fn an_edit_in_the_cluster_is_taken_back_and_a_status_is_none() {
    let argo = Argo::shared();
    let cluster = argo.cluster();
    let namespace = cluster.namespace("drift");
    let name = unique("drift");
    let repo = Repo::with(&[("subscription.yaml", &manifest("Subscription", "web", &spec("Subscription")))]);
    argo.application(&name, &repo.publish(), &namespace, &Options::default());
    argo.wait(&name, "Synced", "Progressing");

    let mut ready = json!({"observedGeneration": 1, "conditions": [condition("Ready", "True", "Ready", "it is")]});
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
