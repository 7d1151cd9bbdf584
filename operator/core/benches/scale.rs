//! How the core grows: `cargo bench -p portico-core`. Prints one line a size, with what a change costs against a rebuild.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Change, Object};
use portico_core::key::{Kind, ObjectKey};

const PLANS: usize = 40;

fn world(subscriptions: usize) -> Vec<Object> {
    let mut text = String::from(
        "kind: Environment\nmetadata: {namespace: platform, name: e}\nspec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}\n",
    );
    for plan in 0..PLANS {
        let product = plan / 4;
        if plan % 4 == 0 {
            let _ = write!(
                text,
                "---\nkind: ApiProduct\nmetadata: {{namespace: owner, name: product-{product}}}\nspec: {{title: P, consumers: {{from: All}}, endpoints: [{{environment: {{namespace: platform, name: e}}, hosts: [p{product}.localhost], upstream: {{url: 'http://u'}}}}]}}\n"
            );
        }
        let _ = write!(
            text,
            "---\nkind: Plan\nmetadata: {{namespace: owner, name: plan-{plan}}}\nspec: {{title: P, products: [{{name: product-{product}}}], security: {{type: ApiKey}}, limits: [{{requests: 10, per: Second}}]}}\n"
        );
    }
    let mut objects = support::objects(&text);
    let samples = support::objects(
        "kind: Application\nmetadata: {namespace: n, name: n}\nspec: {title: Application}\n---\nkind: Subscription\nmetadata: {namespace: n, name: n}\nspec: {application: {name: n}, plan: {namespace: owner, name: n}}\n---\nkind: Credential\nmetadata: {namespace: n, name: n}\nspec: {subscription: {name: n}, environment: {namespace: platform, name: e}}\n",
    );
    for number in 0..subscriptions {
        let namespace = format!("team-{}", number / 100);
        let name = format!("s-{number}");
        for sample in &samples {
            let mut object = sample.clone();
            object.name = portico_core::key::Name::new(namespace.as_str(), name.as_str());
            match &mut object.spec {
                portico_core::batch::Spec::Subscription(spec) => {
                    spec.application.name.clone_from(&name);
                    spec.plan.name = format!("plan-{}", number % PLANS);
                }
                portico_core::batch::Spec::Credential(spec) => {
                    if let Some(subscription) = &mut spec.subscription {
                        subscription.name.clone_from(&name);
                    }
                }
                _ => {}
            }
            objects.push(object);
        }
    }
    objects
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

fn main() {
    println!(
        "{:>9} {:>12} {:>12} {:>12} {:>10} {:>8} {:>12}",
        "subs", "first batch", "rebuild", "one change", "outputs", "nodes", "memory"
    );
    for subscriptions in [1_000, 10_000, 100_000] {
        let objects = world(subscriptions);
        let before = resident();
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("time");
        let mut core = Core::new();
        let facts = objects
            .iter()
            .filter(|object| object.key().kind == Kind::Credential)
            .map(|object| support::made(&object.name, 1, now))
            .collect();
        let started = Instant::now();
        let changes = objects.iter().cloned().map(Change::Put).collect();
        let delta = core.apply(Batch { now, changes, facts });
        let first = started.elapsed();
        assert!(delta.puts.len() >= subscriptions, "{}", delta.puts.len());
        drop(delta);
        let memory = resident().saturating_sub(before);

        let started = Instant::now();
        let delta = core.rebuild();
        let rebuild = started.elapsed();
        assert!(delta.puts.is_empty());

        let (mut took, mut outputs, mut nodes) = (Vec::new(), 0, 0);
        for number in (0..subscriptions).step_by(subscriptions / 500) {
            let key = ObjectKey::new(Kind::Subscription, format!("team-{}", number / 100), format!("s-{number}"));
            // Three objects each, at the end: the application, the subscription, the credential.
            let object = objects[objects.len() - 3 * (subscriptions - number) + 1].clone();
            assert_eq!(object.key(), key);
            for change in [Change::Remove(key), Change::Put(object)] {
                let started = Instant::now();
                let delta = core.apply(Batch { now, changes: vec![change], facts: Vec::new() });
                took.push(started.elapsed());
                outputs = outputs.max(delta.puts.len() + delta.removals.len());
                nodes = nodes.max(delta.recomputed);
            }
        }
        took.sort();
        let p99: Duration = took[took.len() * 99 / 100];
        println!(
            "{subscriptions:>9} {first:>12.1?} {rebuild:>12.1?} {p99:>9.1?}p99 {outputs:>10} {nodes:>8} {:>9} MB",
            memory / 1024
        );
    }
}
