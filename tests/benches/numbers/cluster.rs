//! The operator: what grows with the number of objects in a cluster.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use portico_tests::cluster::{Cluster, block_on};
use portico_tests::http::{Ask, Connection};
use portico_tests::operator::Tenancy;
use portico_tests::scenario::THINGS;
use portico_tests::{processes, wait};
use serde_json::json;

use crate::table::{Table, count, mebibytes, time};

/// Of how many subscriptions the raw rate is taken at most: it does not depend on that, and what was made has to go again.
const RAW: usize = 10_000;
/// How many objects are sent to the API server at once.
const WRITERS: usize = 16;
/// That it takes long is a result, and no reason to give up.
const PATIENCE: Duration = Duration::from_mins(30);

/// What was measured.
pub(crate) struct Measured {
    subscriptions: usize,
    /// Subscriptions a second that this API server takes with nobody watching, an application and a credential each.
    raw: f64,
    enforced: Duration,
    written: f64,
    settled: Duration,
    restart: Duration,
    memory: u64,
    writes_after_restart: f64,
    edit: Edit,
}

/// One key is revoked.
struct Edit {
    recomputed: f64,
    writes: f64,
    denied: Duration,
}

/// Measures with so many subscriptions, a credential each.
pub(crate) fn run(subscriptions: usize) -> Measured {
    let step = |what: &str| eprintln!("{} in a cluster: {what}", count(subscriptions as u64));
    // One of its own, so that nothing else is in it.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    step("the raw rate");
    let raw = raw(cluster, subscriptions.min(RAW));

    let tenancy = Tenancy::on(cluster);
    let setup = tenancy.operator("bench");
    let operator = setup.ready();
    operator.wait_leads();
    let _gateway = tenancy.gateway(setup.xds());
    let probe = tenancy.key("watch", "probe");
    tenancy.wait_status(&probe, 200);

    step("writing, until all is enforced");
    let begun = Instant::now();
    let shop = tenancy.namespace("shop");
    create(cluster, &shop, "Application", subscriptions, application);
    create(cluster, &shop, "Subscription", subscriptions, |name| subscription(&tenancy, name));
    create(cluster, &shop, "Credential", subscriptions, |name| credential(&tenancy, name));
    // The bystander is one more.
    let wanted = u32::try_from(subscriptions).map_or(f64::MAX, f64::from);
    let made = || operator.metric("portico_clients", &[]);
    let all = wait::within(PATIENCE, || (made() > wanted).then_some(()));
    assert!(all.is_some(), "{} of {subscriptions} are enforced", made());
    let last = tenancy.key("shop", &name(subscriptions - 1));
    tenancy.wait_status(&last, 200);
    let enforced = begun.elapsed();
    step(&format!("all enforced after {}, {:.2} of the raw rate", time(enforced), rate(subscriptions, enforced) / raw));
    wait::within(PATIENCE, || (operator.metric("portico_writes_waiting", &[]) < 0.5).then_some(()));
    let settled = begun.elapsed();
    let written = operator.metric("portico_writes_total", &[]);

    let memory = || processes::resident(operator.id()).unwrap_or(0);
    step(&format!("all statuses written after {}, {} of memory; starting again", time(settled), mebibytes(memory())));
    operator.kill();
    let begun = Instant::now();
    let operator = setup.start();
    wait::within(PATIENCE, || operator.get("/readyz").filter(|answer| answer.status == 200)).expect("it is ready");
    let restart = begun.elapsed();
    operator.wait_leads();
    std::thread::sleep(Duration::from_secs(10));
    let memory = processes::resident(operator.id()).unwrap_or(0);
    let writes_after_restart = operator.metric("portico_writes_total", &[]);

    step(&format!("ready after {}, {} of memory; revoking one", time(restart), mebibytes(memory)));
    let before = operator.metric("portico_recomputed_total", &[]);
    let mut connection = Connection::open(tenancy.address()).expect("the gateway listens");
    let ask = Ask::get(THINGS).key(&last);
    assert_eq!(connection.send(&ask).expect("the gateway answers").status, 200);
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.admin(), &shop, &resource("Credential"));
    let begun = Instant::now();
    block_on(api.delete(&name(subscriptions - 1), &DeleteParams::default())).expect("it can be deleted");
    wait::until("a denial", || (connection.send(&ask).expect("the gateway answers").status == 401).then_some(()));
    let denied = begun.elapsed();
    std::thread::sleep(Duration::from_secs(3));
    let edit = Edit {
        recomputed: operator.metric("portico_recomputed_total", &[]) - before,
        writes: operator.metric("portico_writes_total", &[]) - writes_after_restart,
        denied,
    };
    Measured { subscriptions, raw, enforced, written, settled, restart, memory, writes_after_restart, edit }
}

fn name(index: usize) -> String {
    format!("bench-{index:06}")
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("portico.dev", "v1alpha1", kind))
}

fn application(name: &str) -> serde_json::Value {
    json!({ "title": name })
}

fn subscription(tenancy: &Tenancy, name: &str) -> serde_json::Value {
    json!({ "application": { "name": name }, "plan": { "name": "echo-basic", "namespace": tenancy.namespace("apis") } })
}

fn credential(tenancy: &Tenancy, name: &str) -> serde_json::Value {
    json!({
        "subscription": { "name": name },
        "environment": { "name": "local", "namespace": tenancy.namespace("platform") },
    })
}

/// How many subscriptions a second this API server takes, with the same three objects for each, while nobody watches.
fn raw(cluster: &'static Cluster, subscriptions: usize) -> f64 {
    cluster.install_crds();
    let namespace = cluster.namespace("raw");
    let plain = |name: &str| json!({ "application": { "name": name }, "plan": { "name": "raw" } });
    let key = |name: &str| json!({ "subscription": { "name": name }, "environment": { "name": "raw" } });
    let begun = Instant::now();
    create(cluster, &namespace, "Application", subscriptions, application);
    create(cluster, &namespace, "Subscription", subscriptions, plain);
    create(cluster, &namespace, "Credential", subscriptions, key);
    let rate = rate(subscriptions, begun.elapsed());
    cluster.delete(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace} }}\n"));
    rate
}

fn rate(number: usize, took: Duration) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from) / took.as_secs_f64()
}

/// Creates objects, several at once.
fn create(
    cluster: &'static Cluster,
    namespace: &str,
    kind: &str,
    number: usize,
    spec: impl Fn(&str) -> serde_json::Value + Sync,
) {
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let spec = &spec;
            scope.spawn(move || {
                let resource = resource(kind);
                let api: Api<DynamicObject> = Api::namespaced_with(cluster.admin(), namespace, &resource);
                for index in (writer..number).step_by(WRITERS) {
                    let name = name(index);
                    let object = DynamicObject::new(&name, &resource).data(json!({ "spec": spec(&name) }));
                    block_on(api.create(&PostParams::default(), &object)).expect("the API server takes it");
                }
            });
        }
    });
}

/// The table.
pub(crate) fn report(measured: &[Measured]) -> String {
    let mut text = String::from("### The operator in a cluster\n\n");
    let mut table = Table::new([
        "subscriptions, an application and a credential each",
        "all enforced after",
        "a second",
        "the API server takes a second",
        "ratio",
        "all statuses written",
        "writes",
        "ready after a restart",
        "writes after it",
        "memory",
    ]);
    for one in measured {
        let enforced = rate(one.subscriptions, one.enforced);
        table.row([
            count(one.subscriptions as u64),
            time(one.enforced),
            format!("{enforced:.0}"),
            format!("{:.0}", one.raw),
            format!("{:.2}", enforced / one.raw),
            time(one.settled),
            format!("{:.0}", one.written),
            time(one.restart),
            format!("{:.0}", one.writes_after_restart),
            mebibytes(one.memory),
        ]);
    }
    text.push_str(&table.markdown());
    for one in measured {
        let Edit { recomputed, writes, denied } = &one.edit;
        let _ = writeln!(
            text,
            "One of {} credentials deleted: {recomputed:.0} nodes computed, {writes:.0} writes, denied after {}.\n",
            count(one.subscriptions as u64),
            time(*denied)
        );
    }
    text
}
