//! Installing, upgrading, uninstalling, and whether pods may run where security is `restricted`.

use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use portico_tests::cluster::{Cluster, block_on};
use portico_tests::helm::{find, helm, objects};
use portico_tests::wait;
use serde_json::{Value, json};

use crate::site::{VALUES, application, install, refusal, site};

#[test]
fn pods_run_where_security_is_restricted() {
    let cluster = site();
    let namespace = cluster.namespace("restricted");
    cluster.apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}, labels: \
         {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
    ));
    let objects = objects(VALUES);
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), &namespace);
    for name in ["portico", "portico-gateway-production"] {
        let template = &find(&objects, "Deployment", name)["spec"]["template"];
        let account = template["spec"]["serviceAccountName"].as_str().expect("it has an account");
        cluster
            .apply_in(&namespace, &format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {account}}}}}"));
        let pod = |change: fn(&mut Value)| {
            let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "one-"}, "spec": template["spec"]});
            change(&mut pod["spec"]);
            let pod: Pod = serde_json::from_value(pod).expect("a pod");
            block_on(pods.create(&PostParams::default(), &pod))
        };
        pod(|_| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
        // The server does look.
        let status =
            refusal(pod(|spec| spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into()));
        assert!(status.message.contains("violates PodSecurity"), "{}", status.message);
        let container = &template["spec"]["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    }
}

#[test]
fn an_upgrade_keeps_certificates_and_an_end_keeps_objects() {
    let cluster = Cluster::start();
    for namespace in ["shop", "orders"] {
        cluster.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"));
    }
    let notes = install(&cluster, "install", "").unwrap_or_else(|complaint| panic!("{complaint}"));
    assert!(notes.contains("No team can get a key yet"), "{notes}");
    assert!(notes.contains("There is no gateway yet"), "{notes}");
    let secrets: Api<Secret> = Api::namespaced(cluster.admin(), "portico-system");
    let certificates = || {
        ["portico-xds", "portico-xds-client"]
            .map(|name| block_on(secrets.get(name)).expect("it is there").data.expect("it has data"))
    };
    let before = certificates();
    assert_eq!(before[0]["ca.crt"], before[1]["ca.crt"]);

    let notes = install(&cluster, "upgrade", VALUES).unwrap_or_else(|complaint| panic!("{complaint}"));
    assert!(!notes.contains("  ! "), "{notes}");
    assert!(notes.contains("platform/production: service/portico-gateway-production"), "{notes}");
    assert!(before == certificates(), "other certificates than before");

    cluster.apply_in("shop", &application("kept", ""));
    let config = cluster.kubeconfig_admin();
    let config = config.to_string_lossy();
    helm(&["uninstall", "portico", "--namespace", "portico-system", "--kubeconfig", &config], "").expect("it goes");
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin());
    let left = block_on(definitions.list(&ListParams::default())).expect("definitions can be listed");
    assert_eq!(left.items.len(), portico_crds::all().len());
    let applications: Api<portico_crds::Application> = Api::namespaced(cluster.admin(), "shop");
    assert_eq!(block_on(applications.get("kept")).expect("it stays").name_any(), "kept");
    // Without policies nobody is asked any more.
    let olga = cluster.client_as("admin-of-all@acme.example", &["system:masters"]);
    wait::until("the policies are gone", || {
        let changed = application("kept", ", annotations: {portico.dev/requested-by: somebody}");
        cluster.try_apply(&olga, "shop", &changed).ok()
    });
    // And it comes back to what is there.
    install(&cluster, "install", "").unwrap_or_else(|complaint| panic!("{complaint}"));
}
