//! A desired state with all kinds in it, whose life goes in steps, and what the cluster and the gateway make of it after each:
//! what must be the same however much goes wrong on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use portico_core::api_key::ApiKey;
use portico_core::key::Kind;
use serde_json::{Value, json};

use crate::cluster::{Cluster, block_on, unique};
use crate::gateway::Gateway;
use crate::http::{self, Ask};
use crate::operator::{Operator, Setup};
use crate::proxy::Proxy;
use crate::scenario::THINGS;
use crate::upstream::Upstream;
use crate::{files, ports};

/// As long as nobody writes for this time, it is worth to look.
const QUIET: Duration = Duration::from_millis(200);
/// How long a state may take to come, failures and pauses included.
const PATIENCE: Duration = Duration::from_secs(45);

/// The names of the objects of [`Life`], and what they say.
pub const OBJECTS: [(&str, &str); 14] = [
    (
        "portal",
        "kind: Portal\nmetadata: { name: main, namespace: owners }\nspec: { title: APIs, url: 'http://127.0.0.1:8080' }\n",
    ),
    (
        "environment",
        "kind: Environment\nmetadata: { name: local, namespace: owners }\nspec:\n  stage: Production\n  gateway: { envoy: { listeners: [{ name: http, address: 127.0.0.1, port: PORT }] } }\n",
    ),
    (
        "product",
        "kind: ApiProduct\nmetadata: { name: echo, namespace: owners }\nspec:\n  title: Echo\n  versions: [{ name: v1, openapi: { path: openapi.yaml } }]\n  endpoints:\n    - { environment: { name: local }, basePath: /echo, upstream: { url: UPSTREAM, rewritePath: / } }\n  consumers: { from: Selected, namespaces: [team] }\n",
    ),
    (
        "basic",
        "kind: Plan\nmetadata: { name: basic, namespace: owners }\nspec: { title: Basic, products: [{ name: echo }], limits: [{ requests: 1000000, per: Minute }] }\n",
    ),
    (
        "gold",
        "kind: Plan\nmetadata: { name: gold, namespace: owners }\nspec: { title: Gold, products: [{ name: echo }], approval: { mode: Manual, approvers: [{ kind: User, name: olga@acme.example }] } }\n",
    ),
    (
        "team",
        "kind: Team\nmetadata: { name: shop, namespace: team }\nspec: { title: Shop, members: [{ mail: sara@acme.example }] }\n",
    ),
    (
        "developer",
        "kind: Developer\nmetadata: { name: sara, namespace: team }\nspec: { mail: sara@acme.example, state: Approved }\n",
    ),
    (
        "application",
        "kind: Application\nmetadata: { name: web, namespace: team }\nspec: { title: Web shop, team: { name: shop } }\n",
    ),
    (
        "partner",
        "kind: Application\nmetadata: { name: partner, namespace: team }\nspec: { title: Partners, team: { name: shop } }\n",
    ),
    (
        "subscription",
        "kind: Subscription\nmetadata: { name: basic, namespace: team }\nspec: { application: { name: web }, plan: { name: basic, namespace: owners } }\n",
    ),
    (
        "credential",
        "kind: Credential\nmetadata: { name: basic, namespace: team }\nspec: { subscription: { name: basic }, environment: { name: local, namespace: owners } }\n",
    ),
    (
        "gold subscription",
        "kind: Subscription\nmetadata: { name: gold, namespace: team }\nspec: { application: { name: partner }, plan: { name: gold, namespace: owners } }\n",
    ),
    (
        "gold credential",
        "kind: Credential\nmetadata: { name: gold, namespace: team }\nspec: { subscription: { name: gold }, environment: { name: local, namespace: owners } }\n",
    ),
    (
        "approval",
        "kind: Approval\nmetadata: { name: gold, namespace: owners }\nspec:\n  subscription: { name: gold, namespace: team }\n  decision: Granted\n  grant: { plan: { name: gold }, stage: Production }\n  by: olga@acme.example\n",
    ),
];

/// A step: its name, and what is done.
pub type Step = (&'static str, fn(&Life));

/// From nothing to nothing: everything is declared, approved, rotated, revoked, granted again and deleted.
pub const STEPS: [Step; 7] = [
    ("declare", |life| {
        life.put_documents();
        for (name, _) in OBJECTS.iter().filter(|(name, _)| *name != "approval") {
            life.put(name);
        }
    }),
    ("approve", |life| life.put("approval")),
    ("rotate", |life| {
        life.put_with("credential", "spec: {", "spec: { generation: 2, overlap: 1h,");
        life.put_with("gold credential", "spec: {", "spec: { generation: 2, overlap: 0s,");
    }),
    ("revoke", |life| {
        for name in ["approval", "credential", "subscription"] {
            life.take(name);
        }
    }),
    ("grant again", |life| {
        for name in ["approval", "credential", "subscription"] {
            life.put(name);
        }
    }),
    ("delete the owners' half", |life| {
        for name in ["portal", "product", "gold", "team", "developer"] {
            life.take(name);
        }
    }),
    ("delete the rest", |life| {
        for name in [
            "application",
            "partner",
            "subscription",
            "gold subscription",
            "credential",
            "gold credential",
            "approval",
            "basic",
        ] {
            life.take(name);
        }
        life.take("environment");
    }),
];

/// The state in two namespaces of its own, with a gateway, an upstream and a proxy of its own.
#[derive(Debug)]
pub struct Life {
    cluster: &'static Cluster,
    suffix: String,
    upstream: Upstream,
    address: SocketAddr,
    /// Between the operator and the API server.
    pub proxy: Proxy,
    setup: Setup,
    /// Where the discovery service of another replica would be.
    other: SocketAddr,
    _gateway: Gateway,
}

/// The keys that were seen: by credential's uid and generation.
#[derive(Debug, Default)]
pub struct Keys {
    /// Whether a credential may get another key of the same generation: what it is for was gone in between.
    pub may_change: bool,
    former: Vec<String>,
    known: BTreeMap<(String, i64), String>,
}

impl Life {
    /// Nothing of it is declared yet.
    pub fn new() -> Life {
        let cluster = Cluster::shared();
        cluster.install_crds();
        let suffix = unique("-l");
        let proxy = Proxy::start(cluster);
        for name in ["owners", "team"] {
            cluster.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name}{suffix} }}\n"));
        }
        let setup = Setup::new(proxy.kubeconfig()).arguments(arguments(&suffix, "one"));
        let other = ports::free_address();
        let gateway = Gateway::start(&format!("owners{suffix}/local"), &[setup.xds(), other], None);
        let address = (Ipv4Addr::LOCALHOST, ports::free()).into();
        Life { cluster, suffix, upstream: Upstream::start(), address, proxy, setup, other, _gateway: gateway }
    }

    /// Starts the operator, through the proxy.
    pub fn operator(&self) -> Operator {
        self.setup.start()
    }

    /// Another replica, that is at no proxy.
    pub fn second(&self) -> Setup {
        let setup = Setup::new(self.cluster.kubeconfig_admin()).xds_at(self.other);
        setup.arguments(arguments(&self.suffix, "two"))
    }

    /// One of the two namespaces.
    pub fn namespace(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    fn text(&self, name: &str) -> String {
        let found = OBJECTS.iter().find(|(known, _)| *known == name);
        let (_, text) = found.unwrap_or_else(|| panic!("there is no {name}"));
        let text = ["owners", "team"].iter().fold(text.to_string(), |text, name| {
            let own = self.namespace(name);
            text.replace(&format!("namespace: {name}"), &format!("namespace: {own}"))
                .replace(&format!("namespaces: [{name}]"), &format!("namespaces: [{own}]"))
        });
        let text = text.replace("PORT", &self.address.port().to_string()).replace("UPSTREAM", &self.upstream.url());
        format!("apiVersion: portico.dev/v1alpha1\n{text}")
    }

    /// Applies an object.
    pub fn put(&self, name: &str) {
        self.cluster.apply(&self.text(name));
    }

    /// The same, with one text in the place of another.
    ///
    /// # Panics
    ///
    /// When the old text is not there.
    pub fn put_with(&self, name: &str, old: &str, new: &str) {
        let text = self.text(name);
        assert!(text.contains(old), "{name} has no {old:?}");
        self.cluster.apply(&text.replacen(old, new, 1));
    }

    /// Applies any text, with its namespaces made those of this one.
    pub fn apply(&self, text: &str) {
        self.cluster.apply(
            &text
                .replace("namespace: owners", &format!("namespace: {}", self.namespace("owners")))
                .replace("namespace: team", &format!("namespace: {}", self.namespace("team"))),
        );
    }

    /// Deletes an object.
    pub fn take(&self, name: &str) {
        self.cluster.delete(&self.text(name));
    }

    /// Applies the product's OpenAPI document.
    pub fn put_documents(&self) {
        let text = files::openapi().replace('\n', "\n    ");
        self.cluster.apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: echo\n  namespace: {}\n  labels: {{ portico.dev/product: echo }}\ndata:\n  openapi.yaml: |\n    {text}\n",
            self.namespace("owners")
        ));
    }

    /// The status for a key; 0 when there is no answer.
    pub fn status(&self, key: &str) -> u16 {
        http::once(self.address, &Ask::get(THINGS).key(key)).map_or(0, |answer| answer.status)
    }

    /// The keys in Secrets now, by credential's uid and generation.
    pub fn keys(&self) -> BTreeMap<(String, i64), String> {
        let mut keys = BTreeMap::new();
        for secret in self.secrets() {
            let Some(owner) = secret.metadata.owner_references.iter().flatten().next() else { continue };
            for (generation, place) in generations(&secret) {
                let bytes = secret.data.as_ref().and_then(|data| data.get(&place));
                let key = bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default();
                keys.insert((owner.uid.clone(), generation), key);
            }
        }
        keys
    }

    fn secrets(&self) -> Vec<Secret> {
        let api: Api<Secret> = Api::namespaced(self.cluster.admin(), &self.namespace("team"));
        let labelled = ListParams::default().labels("portico.dev/secret");
        block_on(api.list(&labelled)).expect("Secrets can be listed").items
    }

    /// What there is: statuses, Secrets and what the gateway makes of all keys. Without times and keys, so that it can be
    /// compared with that of another life.
    ///
    /// # Panics
    ///
    /// When a key stands in for another one of the same generation.
    pub fn picture(&self, seen: &mut Keys) -> String {
        let mut objects = BTreeMap::new();
        let mut fingerprints = BTreeMap::new();
        for kind in Kind::ALL {
            let gvk = GroupVersionKind::gvk(portico_crds::GROUP, portico_crds::VERSION, kind.as_str());
            for namespace in ["owners", "team"] {
                let api: Api<DynamicObject> = Api::namespaced_with(
                    self.cluster.admin(),
                    &self.namespace(namespace),
                    &ApiResource::from_gvk(&gvk),
                );
                for found in block_on(api.list(&ListParams::default())).expect("objects can be listed") {
                    let name = found.metadata.name.unwrap_or_default();
                    let mut status = found.data["status"].clone();
                    if let Some(fingerprint) = status["fingerprint"].as_str() {
                        fingerprints.insert(found.metadata.uid.unwrap_or_default(), fingerprint.to_owned());
                    }
                    timeless(&mut status);
                    let (finalizers, deleted) = (found.metadata.finalizers, found.metadata.deletion_timestamp);
                    let held = finalizers.map(|all| json!({ "finalizers": all, "isDeleted": deleted.is_some() }));
                    objects.insert(format!("{kind:?} {name}"), json!({ "status": status, "held": held }));
                }
            }
        }
        let mut secrets = BTreeMap::new();
        for secret in self.secrets() {
            let owner = secret.metadata.owner_references.iter().flatten().next().cloned();
            let owner = owner.map(|owner| (owner.name, owner.uid)).unwrap_or_default();
            let keys: Vec<&String> = secret.data.iter().flatten().map(|(key, _)| key).collect();
            let mut held = Vec::new();
            for (generation, place) in generations(&secret) {
                let bytes = secret.data.as_ref().and_then(|data| data.get(&place));
                let key = bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default();
                let before = seen.known.entry((owner.1.clone(), generation)).or_insert_with(|| key.clone());
                if seen.may_change && *before != key {
                    seen.former.push(std::mem::replace(before, key.clone()));
                }
                assert_eq!(*before, key, "{} has another key of generation {generation}", owner.0);
                held.push(json!({ "generation": generation, "status": self.status(&key) }));
                if place == "api-key" {
                    let own = key.parse::<ApiKey>().ok().map(|key| key.fingerprint());
                    let fits = own.as_deref() == fingerprints.get(&owner.1).map(String::as_str);
                    held.push(json!({ "isWhatTheStatusSays": fits }));
                }
            }
            let name = secret.metadata.name.unwrap_or_default();
            secrets.insert(name, json!({ "credential": owner.0, "data": keys, "keys": held }));
        }
        let now = self.keys();
        let left = seen.known.iter().filter(|(whose, _)| !now.contains_key(whose)).map(|(_, key)| key);
        let gone: BTreeSet<u16> = left.chain(&seen.former).map(|key| self.status(key)).collect();
        let all = json!({ "objects": objects, "secrets": secrets, "keys that are gone": gone });
        serde_json::to_string_pretty(&all).expect("a value is JSON").replace(&self.suffix, "")
    }

    /// Waits until nothing changes any more, and says what there is then.
    ///
    /// # Panics
    ///
    /// When it never comes to rest.
    pub fn rest(&self, operator: &Operator, seen: &mut Keys) -> String {
        let begun = Instant::now();
        let mut last = (String::new(), Instant::now());
        loop {
            let picture = self.picture(seen);
            if picture != last.0 {
                last = (picture, Instant::now());
            }
            let is_done = operator.metric("portico_writes_waiting", &[]) < 0.5
                && self.proxy.quiet() > Duration::from_millis(1500)
                && last.1.elapsed() > Duration::from_millis(1500);
            if is_done {
                return last.0;
            }
            assert!(begun.elapsed() < PATIENCE, "it never comes to rest: {}", last.0);
            thread::sleep(QUIET);
        }
    }

    /// Waits until there is what should be. `meanwhile` is called all the time.
    ///
    /// # Panics
    ///
    /// When it never comes, with what is different.
    pub fn wait(&self, what: &str, wanted: &str, seen: &mut Keys, mut meanwhile: impl FnMut()) {
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < PATIENCE {
            meanwhile();
            if self.proxy.quiet() > QUIET || begun.elapsed() > PATIENCE / 2 {
                last = self.picture(seen);
                if last == wanted && !self.proxy.is_cut() {
                    return;
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{what}: it does not come to be as it should:\n{}", difference(wanted, &last));
    }
}

impl Default for Life {
    fn default() -> Self {
        Life::new()
    }
}

fn arguments(suffix: &str, identity: &str) -> [String; 6] {
    let namespaces = format!("owners{suffix},team{suffix}");
    let lease = format!("owners{suffix}");
    [
        "--namespaces".to_owned(),
        namespaces,
        "--lease-namespace".to_owned(),
        lease,
        "--identity".to_owned(),
        identity.to_owned(),
    ]
}

/// The generations that a Secret holds, and where each stands.
fn generations(secret: &Secret) -> Vec<(i64, String)> {
    let notes = secret.metadata.annotations.as_ref().and_then(|notes| notes.get("portico.dev/keys"));
    let notes: Vec<Value> = notes.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut numbers: Vec<i64> = notes.iter().filter_map(|note| note["generation"].as_i64()).collect();
    numbers.sort_unstable();
    let newest = numbers.last().copied();
    let place = |number| if Some(number) == newest { "api-key".to_owned() } else { format!("api-key-{number}") };
    numbers.into_iter().map(|number| (number, place(number))).collect()
}

/// Takes out what is different each time.
fn timeless(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("lastTransitionTime");
            // `terms` is a digest with names of namespaces in it, and every life has its own of those.
            for name in ["fingerprint", "previousValidUntil", "expiresAt", "terms"] {
                if let Some(value) = fields.get_mut(name).filter(|value| !value.is_null()) {
                    *value = json!("some");
                }
            }
            fields.values_mut().for_each(timeless);
            // A list by type: its order says nothing.
            if let Some(conditions) = fields.get_mut("conditions").and_then(Value::as_array_mut) {
                conditions.sort_by_key(|condition| condition["type"].as_str().unwrap_or_default().to_owned());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(timeless),
        _ => {}
    }
}

/// The lines that are not the same, with where they are.
pub fn difference(wanted: &str, found: &str) -> String {
    let (wanted, found): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), found.lines().collect());
    let start = wanted.iter().zip(&found).take_while(|(one, other)| one == other).count();
    let same_end = wanted.iter().rev().zip(found.iter().rev()).take_while(|(one, other)| one == other).count();
    let end = |lines: &[&str]| (lines.len() - same_end.min(lines.len() - start)).max(start);
    let part = |lines: &[&str], sign: &str| -> String {
        lines[start..end(lines)].iter().flat_map(|line| [sign, " ", line, "\n"]).collect()
    };
    let context = wanted[start.saturating_sub(8)..start].join("\n");
    format!("{context}\n{}{}", part(&wanted, "-"), part(&found, "+"))
}
