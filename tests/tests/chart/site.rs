//! One cluster for all tests of this program, with the chart installed in it.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::core::Status;
use kube::{Client, Error};
use portico_tests::cluster::{Cluster, unique};
use portico_tests::helm::{chart, helm};
use portico_tests::wait;

/// Writes what others decided in Git.
pub const SYNC: &str = "system:serviceaccount:argocd:argocd-application-controller";

/// What the chart is installed with.
pub const VALUES: &str = "
rbac: {secrets: {namespaces: [shop], readNamespaces: [orders]}}
admission: {exempt: ['system:serviceaccount:argocd:argocd-application-controller']}
gateways:
  - environment: platform/production
    ports: [{name: http, port: 80, containerPort: 10080}]
";

/// People, and what they may do.
const PEOPLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: developers, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: portico-app-developer}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: shop-developers}
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: 'system:serviceaccount:argocd:argocd-application-controller'}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: owners, namespace: orders}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: portico-api-owner}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: orders-owners}
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: 'system:serviceaccount:argocd:argocd-application-controller'}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: platform, namespace: platform}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: portico-platform-engineer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: platform-engineers}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: auditors, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: portico-viewer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: auditors}]
";

/// The cluster, with the policies of the chart in force.
pub fn site() -> &'static Cluster {
    static SITE: OnceLock<Cluster> = OnceLock::new();
    static BEGUN: AtomicBool = AtomicBool::new(false);
    SITE.get_or_init(|| {
        assert!(!BEGUN.swap(true, Ordering::Relaxed), "the chart does not work here, as another test says");
        let cluster = Cluster::start();
        for namespace in ["platform", "orders", "shop"] {
            cluster.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"));
        }
        install(&cluster, "install", VALUES).unwrap_or_else(|complaint| panic!("{complaint}"));
        cluster.apply(PEOPLE);
        in_force(&cluster);
        cluster
    })
}

/// Installs or upgrades the release `portico`.
pub fn install(cluster: &Cluster, verb: &str, values: &str) -> Result<String, String> {
    let (chart, config) = (chart(), cluster.kubeconfig_admin());
    let (chart, config) = (chart.to_string_lossy(), config.to_string_lossy());
    let mut arguments = vec![verb, "portico", &*chart, "--namespace", "portico-system", "--kubeconfig", &*config];
    if verb == "install" {
        arguments.push("--create-namespace");
    }
    helm(&arguments, values)
}

/// An API server hears of new policies and rights a moment later.
fn in_force(cluster: &Cluster) {
    let owner = cluster.client_as("olga@acme.example", &["orders-owners"]);
    wait::until("a wrong name is refused", || {
        // What got through stays, and to say it again changes nothing.
        let wrong = approval(&unique("probe"), "by: somebody@acme.example");
        match cluster.try_apply(&owner, "orders", &wrong) {
            Err(Error::Api(status)) if status.message.contains("spec.by") => Some(()),
            _ => None,
        }
    });
    let developer = cluster.client_as("dora@acme.example", &["shop-developers"]);
    wait::until("who asks is written down", || {
        cluster.try_apply(&developer, "shop", &application(&unique("probe"), "")).ok()?.pop()?.metadata.annotations
    });
    wait::until("who decides is written down", || {
        cluster.try_apply(&owner, "orders", &approval(&unique("probe"), "")).ok()?.pop()?.metadata.annotations
    });
    let both = cluster.client_as("bo@acme.example", &["orders-owners", "shop-developers"]);
    wait::until("duties are separate", || cluster.try_apply(&both, "orders", &approval(&unique("probe"), "")).err());
}

pub fn application(name: &str, metadata: &str) -> String {
    format!(
        "{{apiVersion: portico.dev/v1alpha1, kind: Application, metadata: {{name: {name}{metadata}}}, \
         spec: {{title: One}}}}"
    )
}

/// An approval of a subscription of `shop`, with more fields of its `spec`.
pub fn approval(name: &str, more: &str) -> String {
    let more = if more.is_empty() { "grant: {plan: {name: standard}}" } else { more };
    let grant = if more.contains("grant:") { "" } else { ", grant: {plan: {name: standard}}" };
    format!(
        "{{apiVersion: portico.dev/v1alpha1, kind: Approval, metadata: {{name: {name}}}, spec: {{subscription: \
         {{name: {name}, namespace: shop}}, decision: Granted, {more}{grant}}}}}"
    )
}

/// What the server answered when it refused.
pub fn refusal<T: Debug>(outcome: Result<T, Error>) -> Status {
    match outcome {
        Err(Error::Api(status)) => *status,
        other => panic!("not refused: {other:?}"),
    }
}

/// Somebody with these groups.
pub fn client(user: &str, groups: &[&str]) -> Client {
    site().client_as(user, groups)
}
