//! `examples/flux` as it is, with a real kustomize-controller: only where the files come from is different, and what needs
//! nodes is not among them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use portico_tests::cluster::{Cluster, block_on};
use portico_tests::flux::{Archive, Flux};
use portico_tests::gateway::Gateway;
use portico_tests::helm;
use portico_tests::http::{self, Ask};
use portico_tests::operator::Setup;
use portico_tests::repo::Repo;
use portico_tests::upstream::Upstream;
use portico_tests::{ports, wait};
use serde_json::{Value, json};

const SOURCE: &str = "portico";
const OVERLAY: &str = "examples/kubernetes/acme/kustomization.yaml";
const ACME: &str = "examples/acme/kustomization.yaml";
/// What the example has, and what is not there at first.
const GRANT: [&str; 2] = [
    "teams/shop/storefront/subscriptions/storefront-payments.yaml",
    "teams/shop/storefront/credentials/storefront-payments.yaml",
];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn read(path: &str) -> String {
    let path = examples().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The examples, without the folder of the chart.
fn source(gateway: SocketAddr, upstream: &Upstream) -> Repo {
    let repo = Repo::new();
    for name in ["acme", "kubernetes"] {
        let copied = Repo::example(name, gateway.port(), upstream.address());
        for file in copied.git(&["ls-files"]).lines() {
            repo.write(&format!("examples/{name}/{file}"), copied.read(file));
        }
    }
    repo.replace(OVERLAY, "value: 0.0.0.0", "value: 127.0.0.1");
    let text = repo.read(OVERLAY).replace("http://upstream.platform.svc:8080", &upstream.url());
    repo.write(OVERLAY, text);
    repo
}

/// What the release of `examples/flux/portico` consists of, but for what nobody here makes ready.
fn release() -> String {
    let objects = helm::parse(&read("flux/portico/portico.yaml"));
    let values = &helm::find(&objects, "HelmRelease", "portico")["spec"]["values"];
    let mut release = vec![helm::find(&objects, "Namespace", "portico-system").clone()];
    release.extend(helm::objects(&values.to_string()));
    release.retain(|object| !["Deployment", "PodDisruptionBudget"].iter().any(|kind| object["kind"] == *kind));
    let texts = release.iter().map(|object| serde_yaml::to_string(object).expect("an object is YAML"));
    texts.collect::<Vec<_>>().join("---\n")
}

/// What the example's page says of open requests.
fn open_requests_are_enough() -> Vec<Value> {
    let page = read("flux/README.md");
    let (_, text) = page.split_once("  ```yaml\n  spec:\n    wait: true\n").expect("the page says it");
    let (text, _) = text.split_once("```").expect("it ends");
    let said: Value = serde_yaml::from_str(text).expect("it is YAML");
    let subscription = said["healthCheckExprs"][0].clone();
    let mut credential = subscription.clone();
    credential["kind"] = json!("Credential");
    vec![subscription, credential]
}

fn object(cluster: &Cluster, kind: &str, namespace: &str, name: &str) -> Option<Value> {
    let kind = GroupVersionKind::gvk(portico_crds::GROUP, portico_crds::VERSION, kind);
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.admin(), namespace, &ApiResource::from_gvk(&kind));
    let object = block_on(api.get_opt(name)).ok().flatten();
    object.map(|object| serde_json::to_value(object).expect("an object is JSON"))
}

fn key(cluster: &Cluster, namespace: &str, name: &str) -> Option<String> {
    let api: Api<Secret> = Api::namespaced(cluster.admin(), namespace);
    let secret = block_on(api.get_opt(name)).expect("Secrets can be read")?;
    String::from_utf8(secret.data?.get("api-key")?.0.clone()).ok()
}

#[test]
fn the_example_comes_in_order_grants_and_revokes() {
    let cluster = Cluster::start();
    let flux = Flux::start(&cluster);
    let upstream = Upstream::start();
    let gateway: SocketAddr = (Ipv4Addr::LOCALHOST, ports::free()).into();
    let repo = source(gateway, &upstream);
    let all = repo.read(ACME);
    let is_granted = |line: &&str| GRANT.iter().any(|path| line.ends_with(path));
    let without: Vec<&str> = all.lines().filter(|line| !is_granted(line)).collect();
    repo.write(ACME, without.join("\n"));
    repo.commit("all but the chart");

    cluster.apply(&read("flux/source.yaml"));
    cluster.apply(&read("flux/sync.yaml"));
    let archive = Archive::serve();
    archive.push(&cluster, SOURCE, &repo);
    // What comes first is there, and what is built on it waits.
    flux.wait_ready("namespaces", &repo.head());
    flux.wait("portico", "without its folder", |ready| ready.status == "False" && ready.reason == "ArtifactFailed");
    flux.wait("acme", "before its kinds", |ready| ready.reason == "DependencyNotReady");

    let begun = Instant::now();
    repo.write("examples/flux/portico/portico.yaml", release());
    repo.commit("the chart");
    archive.push(&cluster, SOURCE, &repo);
    flux.wait_ready("portico", &repo.head());
    println!("the chart: ready after {:?}", begun.elapsed());
    // It is applied, and not said to be ready while nobody serves it.
    let waiting = flux.wait("acme", "applied", |ready| ready.doing.contains("health checks"));
    println!("acme without an operator: {waiting:?}");
    wait::until("its objects", || object(&cluster, "Subscription", "shop", "storefront-weather"));

    let account = cluster.kubeconfig_for_service_account("portico-system", "portico");
    let setup = Setup::new(account).arguments([
        "--lease-namespace=portico-system",
        "--identity=one",
        "--secret-namespaces=shop,mobile,analytics",
    ]);
    let _operator = setup.ready();
    let _envoy = Gateway::start("platform/local", &[setup.xds()], None);
    flux.wait_ready("acme", &repo.head());
    println!("acme: ready after {:?}", begun.elapsed());
    let approval = object(&cluster, "Approval", "orders", "shop-checkout-orders").expect("it is there");
    assert_eq!(approval["spec"]["by"], "olga@acme.example", "who decided is who the file says");

    let status = |key: &str| {
        let ask = Ask::get("/v1/payments").header("host", "payments.acme.localhost").key(key);
        http::once(gateway, &ask).map_or(0, |answer| answer.status)
    };
    let becomes = |key: &str, wanted: u16| wait::until(&format!("{wanted}"), || (status(key) == wanted).then_some(()));
    assert!(key(&cluster, "shop", "storefront-payments").is_none());
    repo.write(ACME, &all);
    let granted = repo.commit("storefront: subscribe to payments");
    let begun = Instant::now();
    archive.push(&cluster, SOURCE, &repo);
    let first = wait::until("a key", || key(&cluster, "shop", "storefront-payments"));
    becomes(&first, 200);
    println!("a commit: granted at Envoy after {:?}", begun.elapsed());
    flux.wait_ready("acme", &granted);
    println!("a commit: told after {:?}", begun.elapsed());

    let reverted = repo.revert(&granted);
    let begun = Instant::now();
    archive.push(&cluster, SOURCE, &repo);
    becomes(&first, 401);
    println!("a revert: denied by Envoy after {:?}", begun.elapsed());
    flux.wait_ready("acme", &reverted);
    println!("a revert: told after {:?}", begun.elapsed());
    assert!(object(&cluster, "Subscription", "shop", "storefront-payments").is_none(), "it is pruned");
    wait::until("no Secret", || key(&cluster, "shop", "storefront-payments").is_none().then_some(()));

    // With `wait: true` all objects count, and one waits for its approval.
    repo.replace(OVERLAY, "  - upstream.yaml\n", "");
    repo.commit("nothing that needs a node");
    archive.push(&cluster, SOURCE, &repo);
    flux.wait_ready("acme", &repo.head());
    flux.patch("acme", &json!({ "spec": { "wait": true, "timeout": "30s", "retryInterval": "1s" } }));
    let failed = flux.wait("acme", "not all is ready", |ready| ready.reason == "HealthCheckFailed");
    println!("wait: {}", failed.message);
    assert!(failed.message.contains("Subscription/analytics/reports-orders"), "{failed:?}");
    let approval = repo.read("examples/acme/products/orders/approvals/shop-checkout-orders.yaml");
    let approval = approval
        .replace("shop-checkout-orders", "reports")
        .replace("checkout-orders", "reports-orders")
        .replace("orders:track", "orders:export");
    repo.write(
        "examples/acme/products/orders/approvals/reports.yaml",
        approval.replace("namespace: shop", "namespace: analytics"),
    );
    repo.replace(ACME, "resources:\n", "resources:\n  - products/orders/approvals/reports.yaml\n");
    let approved = repo.commit("reports: approved");
    archive.push(&cluster, SOURCE, &repo);
    flux.wait_ready("acme", &repo.head());
    // Or none waits, where Flux is told that an open request is enough.
    flux.patch("acme", &json!({ "spec": { "healthCheckExprs": open_requests_are_enough() } }));
    repo.revert(&approved);
    archive.push(&cluster, SOURCE, &repo);
    flux.wait_ready("acme", &repo.head());
    let open = object(&cluster, "Subscription", "analytics", "reports-orders").expect("it is there");
    assert_eq!(open["status"]["phase"], "Pending", "{}", open["status"]);

    // What will not become ready by itself is told at once.
    let subscription = format!("examples/acme/{}", GRANT[0].replace("payments", "weather"));
    repo.replace(&subscription, "name: free", "name: no-such-plan");
    repo.commit("a mistake");
    archive.push(&cluster, SOURCE, &repo);
    let failed = flux.wait("acme", "a mistake is told", |ready| ready.message.contains("stalled"));
    println!("a mistake: {}", failed.message);
    assert!(failed.message.contains("/shop/storefront-weather status: 'Failed'"), "{failed:?}");
}
