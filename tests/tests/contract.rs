//! The contract of the two front ends: the same desired state, committed to a repository and applied to a cluster, gives the
//! same conditions for every object and the same configuration of Envoy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use portico_tests::admin::Admin;
use portico_tests::cluster::block_on;
use portico_tests::files;
use portico_tests::operator::Tenancy;
use portico_tests::portico::Launch;
use portico_tests::scenario::Scenario;
use portico_tests::wait;
use serde_json::Value;

/// Texts by their paths.
type State = BTreeMap<&'static str, String>;

/// What becomes different, and in words.
type Step = (&'static str, Box<dyn Fn(&mut State)>);

const APPROVAL: &str = "products/echo/approvals/web.yaml";
const MORE: &str = "teams/shop/web/more.yaml";

/// What happens, one after the other. What a state says stays until another one says something else.
fn states() -> Vec<Step> {
    fn replace(state: &mut State, path: &'static str, old: &str, new: &str) {
        let text = state.get_mut(path).expect("the file is there");
        assert!(text.contains(old), "{old} is in {path}");
        *text = text.replace(old, new);
    }
    let approval = |decision: &str| {
        format!(
            "apiVersion: portico.dev/v1alpha1\nkind: Approval\nmetadata: {{ name: web, namespace: apis }}\nspec:\n  \
             subscription: {{ name: web-basic, namespace: shop }}\n  decision: {decision}\n"
        )
    };
    vec![
        ("nobody of shop has access", Box::new(|_| {})),
        (
            "shop is granted a plan",
            Box::new(|state| {
                state.insert(files::SUBSCRIPTION, files::subscription("web-basic", "echo-basic"));
                state.insert(files::CREDENTIAL, files::credential("web-basic", "web-basic"));
            }),
        ),
        (
            "it changes to another plan",
            Box::new(|state| replace(state, files::SUBSCRIPTION, "echo-basic", "echo-small")),
        ),
        (
            "the plan limits operations and methods",
            Box::new(|state| {
                let limits = "limits: [{ requests: 5, per: Hour }, { requests: 2, per: Minute, operations: [makeThing] }, \
                              { requests: 0, per: Hour, methods: [DELETE] }]";
                replace(state, files::SMALL_PLAN, "limits: [{ requests: 5, per: Hour }]", limits);
            }),
        ),
        (
            "the product gets a scope that guards an operation",
            Box::new(|state| {
                let scopes = "  scopes: [{ name: write, mode: Optional, operations: [makeThing] }]\n";
                state.get_mut(files::PRODUCT).expect("the file is there").push_str(scopes);
            }),
        ),
        (
            "shop asks for the scope",
            Box::new(|state| {
                state
                    .get_mut(files::SUBSCRIPTION)
                    .expect("the file is there")
                    .push_str("  scopes: [{ name: write }]\n");
            }),
        ),
        (
            "a subscription to a plan that is not there",
            Box::new(|state| _ = state.insert(MORE, files::subscription("web-more", "no-such-plan"))),
        ),
        ("one to a product that it has already", Box::new(|state| replace(state, MORE, "no-such-plan", "echo-basic"))),
        ("that one is gone", Box::new(|state| _ = state.remove(MORE))),
        (
            "the plan needs an approval",
            Box::new(|state| {
                state.get_mut(files::SMALL_PLAN).expect("the file is there").push_str("  approval: { mode: Manual }\n");
            }),
        ),
        (
            "it is denied",
            Box::new(move |state| _ = state.insert(APPROVAL, format!("{}  reason: not yet\n", approval("Denied")))),
        ),
        (
            "it is granted, with the scope",
            Box::new(move |state| {
                let grant =
                    format!("{}  grant: {{ plan: {{ name: echo-small }}, scopes: [write] }}\n", approval("Granted"));
                state.insert(APPROVAL, grant);
            }),
        ),
        (
            "the key is rotated",
            Box::new(|state| {
                let credential = state.get_mut(files::CREDENTIAL).expect("the file is there");
                credential.push_str("  generation: 2\n  overlap: 1h\n");
            }),
        ),
        (
            "access rests",
            Box::new(|state| {
                state.get_mut(files::SUBSCRIPTION).expect("the file is there").push_str("  suspend: true\n");
            }),
        ),
        ("it goes on", Box::new(|state| replace(state, files::SUBSCRIPTION, "  suspend: true\n", ""))),
        (
            "the product is deprecated",
            Box::new(|state| {
                let lifecycle = "  lifecycle: { stage: Deprecated, deprecatedAt: 2020-01-01T00:00:00Z, \
                                 sunsetAt: 2090-01-01T00:00:00Z }\n";
                state.get_mut(files::PRODUCT).expect("the file is there").push_str(lifecycle);
            }),
        ),
        (
            "its owner no longer admits shop",
            Box::new(|state| replace(state, files::PRODUCT, "namespaces: [shop, watch]", "namespaces: [watch]")),
        ),
        (
            "access has ended",
            Box::new(|state| {
                replace(state, files::PRODUCT, "namespaces: [watch]", "namespaces: [shop, watch]");
                let end = "  cancelAt: 2020-01-01T00:00:00Z\n";
                state.get_mut(files::SUBSCRIPTION).expect("the file is there").push_str(end);
            }),
        ),
        (
            "the plan of everybody is deleted, and held",
            Box::new(|state| {
                state.remove(files::PLAN);
            }),
        ),
        (
            "the last that holds it ends",
            Box::new(|state| {
                let all = state.remove(files::BYSTANDER).expect("the file is there");
                let documents: Vec<&str> = all.split("---\n").collect();
                state.insert("teams/watch/probe/application.yaml", documents[0].to_owned());
                state.insert("teams/watch/probe/credential.yaml", documents[2].to_owned());
            }),
        ),
        (
            "it is there again, and nobody is to hold it",
            Box::new(|state| {
                state.insert(files::PLAN, format!("{}  deletionPolicy: Orphan\n", files::plan()));
                let documents = files::bystander();
                let subscription = documents.split("---\n").nth(1).expect("it is there").to_owned();
                state.insert("teams/watch/probe/subscription.yaml", subscription);
            }),
        ),
        ("it is gone", Box::new(|state| _ = state.remove(files::PLAN))),
    ]
}

/// What one front end made of a state: conditions by object, and Envoy's configuration.
#[derive(Debug, PartialEq)]
struct Picture {
    conditions: BTreeMap<String, BTreeSet<String>>,
    configuration: Vec<String>,
}

impl Picture {
    /// What the other one has and this one has not, and the other way round.
    fn difference(&self, other: &Picture) -> String {
        let mut text = String::new();
        let lines = |picture: &Picture| -> BTreeSet<String> {
            let conditions = picture.conditions.iter();
            let conditions = conditions.flat_map(|(key, all)| all.iter().map(move |one| format!("{key}: {one}")));
            conditions.chain(picture.configuration.iter().cloned()).collect()
        };
        let (one, two) = (lines(self), lines(other));
        for line in one.difference(&two) {
            writeln!(text, "embedded only: {line}").expect("memory takes all");
        }
        for line in two.difference(&one) {
            writeln!(text, "cluster only: {line}").expect("memory takes all");
        }
        text
    }
}

fn condition(value: &Value) -> String {
    let holds = value["status"] == true || value["status"] == "True";
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    format!("{}={holds} {}: {}", text("type"), text("reason"), text("message"))
}

/// What Envoy has from the discovery service, one resource a line. Which key is in which shard is chance.
fn configuration(admin: &Admin) -> Vec<String> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| name != "version_info" && name != "last_updated");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let dump = admin.json("/config_dump");
    let mut lines = Vec::new();
    for part in dump["configs"].as_array().into_iter().flatten() {
        let resources = part
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.starts_with("dynamic_") || *name == "ecds_filters");
        for resource in resources.flat_map(|(_, all)| all.as_array().into_iter().flatten()) {
            let mut resource = resource.clone();
            strip(&mut resource);
            let text = resource.to_string();
            if !text.contains("\"keys/") || text.contains("\"listener\"") {
                lines.push(text);
            }
        }
    }
    lines.sort();
    lines
}

/// The embedded front end.
struct Embedded {
    scenario: Scenario,
    _portico: portico_tests::portico::Portico,
}

impl Embedded {
    fn picture(&self) -> Picture {
        let outcome = self.scenario.launch.run(&["status", "--all", "--json"]);
        let status: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
        let objects = status["objects"].as_array().into_iter().flatten().map(|object| {
            let key = format!(
                "{} {}",
                object["kind"].as_str().unwrap_or_default(),
                object["name"].as_str().unwrap_or_default()
            );
            let conditions = object["status"]["conditions"].as_array().into_iter().flatten().map(condition);
            (key, conditions.collect())
        });
        let conditions = objects.collect();
        let admin = Admin::find(&self.scenario.launch.state()).expect("Envoy has an administration");
        let ports = [(self.scenario.gateway.port(), "10000"), (self.scenario.upstream.address().port(), "20000")];
        let configuration = configuration(&admin).into_iter().map(|line| with_ports(line, ports)).collect();
        Picture { conditions, configuration }
    }
}

fn with_ports(mut line: String, ports: [(u16, &str); 2]) -> String {
    for (port, instead) in ports {
        line = line.replace(&port.to_string(), instead);
    }
    line
}

/// Both have ports of their own, and the cluster has namespaces that are nobody else's.
fn in_cluster(tenancy: &Tenancy, admin: &Admin) -> Option<Picture> {
    let mut conditions = BTreeMap::new();
    for kind in portico_crds::all() {
        let kind = kind.spec.names.kind;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("portico.dev", "v1alpha1", &kind));
        for namespace in tenancy.namespaces() {
            let api: Api<DynamicObject> = Api::namespaced_with(tenancy.cluster().admin(), &namespace, &resource);
            for object in block_on(api.list(&ListParams::default())).expect("objects can be listed") {
                let status = &object.data["status"];
                if status["observedGeneration"].as_i64() != object.metadata.generation {
                    return None;
                }
                let key = format!("{kind} {namespace}/{}", object.metadata.name.unwrap_or_default());
                let all = status["conditions"].as_array().into_iter().flatten();
                let all = all.map(|one| tenancy.there(&condition(one))).collect();
                conditions.insert(tenancy.there(&key), all);
            }
        }
    }
    let ports = [(tenancy.address().port(), "10000"), (tenancy.upstream().port(), "20000")];
    let configuration = configuration(admin).into_iter().map(|line| with_ports(tenancy.there(&line), ports));
    let mut configuration: Vec<String> = configuration.collect();
    configuration.sort();
    Some(Picture { conditions, configuration })
}

#[test]
fn both_front_ends_make_the_same_of_the_same() {
    let scenario = Scenario::with(|repo| Launch::new(repo.path()));
    let portico = scenario.up();
    let embedded = Embedded { scenario, _portico: portico };
    let tenancy = Tenancy::new();
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let gateway = tenancy.gateway(setup.xds());
    tenancy.wait_status(&tenancy.key("watch", "probe"), 200);

    let mut state: State = [files::PRODUCT, files::PLAN, files::SMALL_PLAN, files::BYSTANDER]
        .into_iter()
        .map(|path| (path, embedded.scenario.repo.read(path)))
        .collect();
    let upstreams = [embedded.scenario.upstream.url(), tenancy.upstream_url()];
    for (number, (name, change)) in states().into_iter().enumerate() {
        let before = state.clone();
        change(&mut state);
        for (path, text) in before.iter().filter(|(path, _)| !state.contains_key(*path)) {
            embedded.scenario.repo.remove(path);
            // What stands in another file now is not deleted.
            let documents = text.split("---\n").filter(|one| !state.values().any(|text| text.contains(*one)));
            documents.for_each(|document| tenancy.delete(document));
        }
        for (path, text) in state.iter().filter(|(path, text)| before.get(*path) != Some(text)) {
            embedded.scenario.repo.write(path, text);
            tenancy.apply(&text.replace(&upstreams[0], &upstreams[1]));
        }
        if before != state {
            // Who grants is not who asked.
            embedded.scenario.repo.commit_as(&format!("author{number}@example.com"), name);
        }
        let admin = gateway.admin();
        let mut last = String::new();
        let same = wait::within(wait::PATIENCE, || {
            if operator.metric("portico_writes_waiting", &[]) > 0.5 {
                return None;
            }
            let there = in_cluster(&tenancy, &admin)?;
            last = embedded.picture().difference(&there);
            last.is_empty().then_some(there.conditions.len())
        });
        println!("state \"{name}\" ... {}", if same.is_some() { "the same" } else { "DIFFERENT" });
        assert!(same.is_some_and(|objects| objects > 6), "{name}:\n{last}");
    }
}
