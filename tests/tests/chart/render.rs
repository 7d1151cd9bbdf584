//! What the chart renders, and whether a real API server takes it.

use std::collections::BTreeMap;
use std::fs;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, ResourceExt};
use portico_tests::cluster::block_on;
use portico_tests::helm::{chart, find, helm, objects, parse, template};
use serde_json::{Value, json};

use crate::site::site;

/// Values that differ in what they lead to.
const SETS: [(&str, &str); 8] = [
    ("default", ""),
    ("gateways", "{gateways: [{environment: platform/sandbox, ports: [{name: http, port: 80, containerPort: 8000}]}]}"),
    (
        "namespaced",
        "{namespaces: [shop, orders], rbac: {secrets: {namespaces: [shop]}, people: {create: false}}, \
         crds: {install: false}, admission: {enabled: false}}",
    ),
    (
        "portal",
        "{portal: {enabled: true, port: 9000, localSignIn: true}, \
         networkPolicy: {portalFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]}}",
    ),
    ("cluster-wide secrets", "{rbac: {secrets: {clusterWide: true}, people: {aggregate: false}}}"),
    ("policies that only check", "{admission: {stamp: false, separateDuties: false, usernamePrefix: 'oidc:'}}"),
    ("prefixed names", "{admission: {usernamePrefix: 'oidc:', exempt: ['oidc:a@b.example', 'a:b']}}"),
    (
        "everything else",
        "
image: {registry: registry.example, digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}
imagePullSecrets: [{name: pull}]
fullnameOverride: apis
listen: '[::]'
xds: {tls: {mode: existing, existing: {server: mine, client: yours}}}
otlp: {endpoint: 'http://collector.observability:4317'}
env: [{name: HTTPS_PROXY, value: 'http://proxy.example:3128'}]
podAnnotations: {a: b}
podLabels: {c: d}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: a, operator: Exists}]
affinity: {nodeAffinity: {}}
topologySpreadConstraints: [{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]
priorityClassName: system-cluster-critical
serviceAccount: {name: account, annotations: {e: f}}
service: {annotations: {g: h}}
podDisruptionBudget: {maxUnavailable: 50%}
networkPolicy:
  xdsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: gateways}}}]
  httpFrom: [{namespaceSelector: {}}]
  egress: [{ports: [{port: 4317}]}]
gateways:
  - environment: platform/production
    name: one
    replicas: 0
    ports: [{name: http, port: 80, containerPort: 8000}, {name: https, port: 443, containerPort: 8443, nodePort: 30443}]
    service: {type: LoadBalancer, annotations: {i: j}, externalTrafficPolicy: Local, loadBalancerClass: example.com/lb}
    resources: {limits: {memory: 2Gi}}
    podAnnotations: {k: l}
    nodeSelector: {m: o}
    tolerations: [{operator: Exists}]
    affinity: {podAntiAffinity: {}}
  - environment: platform/sandbox
    ports: [{name: http, port: 80, containerPort: 8000}]
",
    ),
];

#[test]
fn lint_has_no_complaint() {
    for (name, values) in SETS {
        let chart = chart();
        let outcome = helm(&["lint", "--strict", &chart.to_string_lossy()], values);
        assert!(outcome.is_ok(), "{name}: {}", outcome.unwrap_err());
    }
}

#[test]
fn default_values() {
    let text = template("{crds: {install: false}}").expect("the default values are good");
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(ca\.crt|tls\.crt|tls\.key): [A-Za-z0-9+/=]{100,}", "$1: …");
    settings.bind(|| insta::assert_snapshot!("default", text));
}

#[test]
fn the_server_accepts_every_object() {
    let cluster = site();
    let params = PatchParams::apply("portico-tests").force().validation_strict().dry_run();
    for (name, values) in SETS {
        let objects = objects(values);
        assert!(objects.len() > 8, "{name}: {}", objects.len());
        for object in objects {
            let object: DynamicObject = serde_json::from_value(object).expect("an object");
            let types = object.types.clone().expect("it has a kind");
            let kind = GroupVersionKind::try_from(&types).expect("it has a version");
            let what = format!("{name}: {} {}", kind.kind, object.name_any());
            let client = cluster.admin();
            block_on(async {
                let (resource, capabilities) =
                    pinned_kind(&client, &kind).await.unwrap_or_else(|error| panic!("{what}: {error}"));
                let api: Api<DynamicObject> = match capabilities.scope {
                    Scope::Cluster => Api::all_with(client, &resource),
                    Scope::Namespaced => {
                        let namespace = object.namespace().unwrap_or_else(|| panic!("{what} has no namespace"));
                        Api::namespaced_with(client, &namespace, &resource)
                    }
                };
                let outcome = api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await;
                outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
            });
        }
    }
}

#[test]
fn a_portal_has_a_way_in() {
    let (_, values) = SETS[3];
    let objects = objects(values);
    let ports = &find(&objects, "Service", "portico")["spec"]["ports"];
    let port = ports.as_array().expect("ports").iter().find(|port| port["name"] == "portal").expect("the portal's");
    assert_eq!((&port["port"], &port["targetPort"]), (&json!(9000), &json!("portal")));
    let pod = &find(&objects, "Deployment", "portico")["spec"]["template"]["spec"]["containers"][0];
    let arguments = pod["args"].as_array().expect("arguments");
    for wanted in ["--portal=0.0.0.0:9000", "--replica-address=$(POD_IP)", "--local-sign-in"] {
        assert!(arguments.contains(&json!(wanted)), "{wanted}");
    }
    let policy = &find(&objects, "NetworkPolicy", "portico")["spec"];
    let way = policy["ingress"].as_array().expect("rules").iter().find(|rule| rule["ports"][0]["port"] == "portal");
    let from = &way.expect("a rule for the portal")["from"][0]["namespaceSelector"]["matchLabels"];
    assert_eq!(from["kubernetes.io/metadata.name"], "ingress");
    // It holds nothing yet: Portico puts the key in, and an upgrade leaves it there.
    assert!(find(&objects, "Secret", "portico-portal")["data"].is_null());
    let without = self::objects("");
    assert!(!without.iter().any(|object| object["metadata"]["name"] == "portico-portal"));
}

#[test]
fn what_is_for_some_namespaces_is_in_them() {
    let (_, values) = SETS[2];
    for object in objects(values) {
        assert!(object["metadata"]["namespace"].is_string(), "{}", object["kind"]);
    }
}

#[test]
fn other_peoples_kinds() {
    let objects =
        objects("{metrics: {serviceMonitor: {enabled: true, labels: {release: p}}}, xds: {tls: {mode: certManager}}}");
    let service = find(&objects, "Service", "portico");
    let monitor = find(&objects, "ServiceMonitor", "portico");
    assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(monitor["metadata"]["labels"]["release"], "p");
    for (name, value) in monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels") {
        assert_eq!(&service["metadata"]["labels"][name], value);
    }
    let ports = service["spec"]["ports"].as_array().expect("ports");
    assert!(ports.iter().any(|port| port["name"] == monitor["spec"]["endpoints"][0]["port"]));

    let deployment = find(&objects, "Deployment", "portico");
    let mounted = &deployment["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"];
    let host = "portico.portico-system.svc";
    for (name, usage) in [("portico-xds", "server auth"), ("portico-xds-client", "client auth")] {
        let certificate = find(&objects, "Certificate", name);
        assert_eq!(certificate["apiVersion"], "cert-manager.io/v1");
        assert_eq!(certificate["spec"]["secretName"], name);
        assert!(certificate["spec"]["usages"].as_array().expect("usages").contains(&usage.into()));
        let issuer = certificate["spec"]["issuerRef"]["name"].as_str().expect("an issuer");
        assert_eq!(find(&objects, "Issuer", issuer)["spec"]["ca"]["secretName"], "portico-xds-authority");
    }
    assert_eq!(find(&objects, "Certificate", "portico-xds")["spec"]["dnsNames"][0], host);
    assert_eq!(mounted, "portico-xds");
    let authority = find(&objects, "Certificate", "portico-xds-authority");
    assert_eq!(authority["spec"]["isCA"], true);
    assert_eq!(find(&objects, "Issuer", "portico-xds-self-signed")["spec"]["selfSigned"], json!({}));

    let objects = self::objects(
        "{xds: {tls: {mode: certManager, certManager: {issuerRef: {name: corporate, kind: ClusterIssuer}}}}}",
    );
    assert!(objects.iter().all(|object| object["kind"] != "Issuer"));
    let reference = &find(&objects, "Certificate", "portico-xds")["spec"]["issuerRef"];
    assert_eq!((&reference["name"], &reference["kind"]), (&"corporate".into(), &"ClusterIssuer".into()));
}

#[test]
fn wrong_values_are_refused_with_the_reason() {
    for (values, complaint) in [
        ("{replica: 3}", "additional properties 'replica' not allowed"),
        ("{replicas: three}", "at '/replicas': got string, want integer"),
        ("{xds: {tls: {mode: on}}}", "at '/xds/tls/mode'"),
        ("{xds: {tls: {mode: existing}}}", "xds.tls.existing.server: name the Secret"),
        (
            "{xds: {tls: {mode: existing, existing: {server: a}}}, gateways: [{environment: a/b, ports: [{name: h, port: 80, containerPort: 8000}]}]}",
            "xds.tls.existing.client: name the Secret",
        ),
        ("{rbac: {secrets: {namespaces: [Shop]}}}", "at '/rbac/secrets/namespaces/0'"),
        ("{rbac: {secrets: {clusterWide: true}}, namespaces: [a]}", "exclude each other"),
        ("{rbac: {secrets: {clusterWide: true, namespaces: [a]}}}", "give one or the other"),
        ("{admission: {exempt: [\"a' || true || '\"]}}", "at '/admission/exempt/0'"),
        ("{admission: {usernamePrefix: 'a\"b'}}", "at '/admission/usernamePrefix'"),
        ("{gateways: [{environment: production}]}", "at '/gateways/0'"),
        (
            "{gateways: [{environment: a/b, ports: [{name: http, port: 80, containerPort: 80}]}]}",
            "minimum: got 80, want 1,024",
        ),
        (
            "{gateways: [{environment: a/c, ports: [{name: h, port: 80, containerPort: 8000}]}, {environment: b/c, ports: [{name: h, port: 80, containerPort: 8000}]}]}",
            "two are named c",
        ),
        ("{image: {digest: latest}}", "at '/image/digest'"),
    ] {
        let refused = template(values).expect_err(values);
        assert!(refused.contains(complaint), "{values}: {refused}");
    }
    let chart = chart();
    let refused = helm(&["template", &chart.to_string_lossy(), "--kube-version", "1.33"], "").expect_err("too old");
    assert!(refused.contains("With admission.stamp=false"), "{refused}");
    let older = helm(&["template", &chart.to_string_lossy(), "--kube-version", "1.33"], "{admission: {stamp: false}}");
    assert!(!older.expect("it is new enough").contains("MutatingAdmissionPolicy"));
    let refused = helm(&["template", &chart.to_string_lossy(), "--kube-version", "1.29"], "").expect_err("too old");
    assert!(refused.contains("kubeVersion: >=1.30.0-0"), "{refused}");
}

/// The names of an object's fields that have names of their own, down to where anything goes.
fn names(schema: &Value, at: &str, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        if field["properties"].is_object() {
            names(field, &at, found);
        } else if name != "global" {
            found.push(at);
        }
    }
}

#[test]
fn every_value_stands_in_the_file_with_its_default() {
    let schema = fs::read_to_string(chart().join("values.schema.json")).expect("a file of the chart");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let values = fs::read_to_string(chart().join("values.yaml")).expect("a file of the chart");
    let values = parse(&values).remove(0);
    let mut all = Vec::new();
    names(&schema, "", &mut all);
    assert!(all.len() > 50, "{all:?}");
    for name in all {
        assert!(values.pointer(&name.replace('.', "/")).is_some(), "{name} is not in values.yaml");
    }
}

#[test]
fn versions_and_copies_are_current() {
    let about = fs::read_to_string(chart().join("Chart.yaml")).expect("a file of the chart");
    let about = parse(&about).remove(0);
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"));

    let copies: BTreeMap<_, _> = fs::read_dir(chart().join("files/crds"))
        .expect("a folder of the chart")
        .map(|entry| entry.expect("an entry of the folder").path())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path))
        .map(|(name, path)| (name, fs::read_to_string(path).expect("a text")))
        .collect();
    assert!(copies == portico_crds::manifests().into_iter().collect(), "run scripts/generate");

    // Nothing but what the chart adds is different, and they stay when the release goes.
    let rendered = objects("");
    let originals: BTreeMap<_, _> = portico_crds::manifests()
        .into_iter()
        .map(|(name, text)| (name, parse(&text).remove(0)["spec"].take()))
        .collect();
    for definition in portico_crds::all() {
        let name = definition.name_any();
        let ours = find(&rendered, "CustomResourceDefinition", &name);
        assert_eq!(ours["spec"], originals[&format!("{}.yaml", definition.spec.names.plural)], "{name}");
        assert_eq!(ours["metadata"]["annotations"]["helm.sh/resource-policy"], "keep", "{name}");
    }

    let envoy = fs::read_to_string(chart().join("../../scripts/envoy")).expect("a script");
    let envoy = envoy.lines().find_map(|line| line.strip_prefix("version=")).expect("it names a version");
    let values = fs::read_to_string(chart().join("values.yaml")).expect("a file of the chart");
    let values = parse(&values).remove(0);
    assert_eq!(
        values["envoy"]["image"]["tag"],
        format!("distroless-v{envoy}"),
        "the Envoy that the tests are run with"
    );
}
