//! What users of Argo CD see of Portico's kinds: their health, the order they arrive in, what counts as a difference.

mod arrival;
mod difference;
mod health;
mod portal;

use std::fs;
use std::path::{Path, PathBuf};

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use portico_tests::cluster::{Cluster, block_on};
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
