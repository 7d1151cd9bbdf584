//! The two modes, started with the same desired state.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use portico_tests::gateway::Gateway;
use portico_tests::operator::{Operator, Tenancy};
use portico_tests::portico::{Launch, Portico};
use portico_tests::scenario::Scenario;
use portico_tests::{ports, wait};
use serde_json::Value;

/// One mode.
pub trait Side {
    /// Its name.
    fn name(&self) -> &'static str;
    /// The key that a credential of `shop` has now.
    fn key(&self, credential: &str) -> Option<String>;
    /// Where its gateway listens.
    fn address(&self, sandbox: bool) -> SocketAddr;
    /// What is there may have changed.
    fn look(&self);
    /// The reason and message of an object's condition `Ready`.
    fn ready(&self, kind: &str, namespace: &str, name: &str) -> (String, String);
    /// What it printed.
    fn output(&self) -> String;
}

struct Embedded {
    scenario: Scenario,
    portico: Portico,
    sandbox: SocketAddr,
    status: RefCell<Option<Value>>,
}

struct InCluster {
    tenancy: Tenancy,
    operator: Operator,
    sandbox: SocketAddr,
    _gateways: [Gateway; 2],
}

/// Both.
pub struct Both {
    embedded: Embedded,
    cluster: InCluster,
    documents: BTreeMap<(String, String), String>,
    /// Moments that were given, by story and what it says.
    moments: BTreeMap<(String, String), String>,
}

fn sandbox(port: u16) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: sandbox, namespace: platform }}\nspec:\n  \
         stage: Sandbox\n  gateway: {{ envoy: {{ listeners: [{{ name: http, address: 127.0.0.1, port: {port} }}] }} }}\n"
    )
}

impl Both {
    /// Starts both, each with a gateway for production and one for a sandbox.
    pub fn start() -> Both {
        let [here, there] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free())));
        let scenario = Scenario::with(|repo| {
            repo.write("platform/sandbox.yaml", sandbox(here.port()));
            repo.commit("a sandbox");
            Launch::new(repo.path())
        });
        let portico = scenario.up();
        let tenancy = Tenancy::new();
        tenancy.apply(&sandbox(there.port()));
        let setup = tenancy.operator("one");
        let operator = setup.ready();
        let gateways = ["local", "sandbox"].map(|environment| {
            Gateway::start(&format!("{}/{environment}", tenancy.namespace("platform")), &[setup.xds()], None)
        });
        Both {
            embedded: Embedded { scenario, portico, sandbox: here, status: RefCell::new(None) },
            cluster: InCluster { tenancy, operator, sandbox: there, _gateways: gateways },
            documents: BTreeMap::new(),
            moments: BTreeMap::new(),
        }
    }

    /// The one and the other.
    pub fn sides(&self) -> [&dyn Side; 2] {
        [&self.embedded, &self.cluster]
    }

    /// Makes these the desired state, and waits until both have taken it in.
    pub fn commit(&mut self, round: usize, documents: BTreeMap<(String, String), String>) {
        let now = Timestamp::now();
        let documents: BTreeMap<_, _> =
            documents.into_iter().map(|(key, text)| (key.clone(), self.at(&key.0, &text, now))).collect();
        let Both { embedded, cluster, .. } = self;
        let upstreams = [embedded.scenario.upstream.url(), cluster.tenancy.upstream_url()];
        let path = |(case, object): &(String, String)| format!("cases/{case}/{}.yaml", object.replace('/', "-"));
        for (key, text) in self.documents.iter().filter(|(key, _)| !documents.contains_key(*key)) {
            embedded.scenario.repo.remove(&path(key));
            cluster.tenancy.delete(text);
        }
        let changed: Vec<_> = documents.iter().filter(|(key, text)| self.documents.get(*key) != Some(*text)).collect();
        for (key, text) in &changed {
            embedded.scenario.repo.write(&path(key), text.replace("UPSTREAM", &upstreams[0]));
        }
        let all: Vec<String> = changed.iter().map(|(_, text)| text.replace("UPSTREAM", &upstreams[1])).collect();
        cluster.tenancy.apply(&all.join("---\n"));
        if documents != self.documents {
            // Who grants is not who asked.
            let author = format!("author{round}@example.com");
            let commit = embedded.scenario.repo.commit_as(&author, &format!("step {}", round + 1));
            embedded.portico.wait_commit(&commit);
        }
        for ((_, object), _) in changed {
            let parts: Vec<&str> = object.split('/').collect();
            wait::until(&format!("the operator to take in {object}"), || {
                let found = cluster.tenancy.object(parts[0], parts[1], parts[2])?;
                let seen = found.data["status"]["observedGeneration"].as_i64();
                (seen == found.metadata.generation).then_some(())
            });
        }
        self.documents = documents;
    }

    /// A text with its moments.
    fn at(&mut self, case: &str, text: &str, now: Timestamp) -> String {
        let mut parts = text.split("{+");
        let mut made = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (seconds, rest) = part.split_once("s}").expect("a moment is `{+12s}`");
            let after = SignedDuration::from_secs(seconds.parse().expect("a number of seconds"));
            let moment = self.moments.entry((case.to_owned(), seconds.to_owned()));
            made.push_str(moment.or_insert_with(|| (now + after).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
            made.push_str(rest);
        }
        made
    }
}

impl Embedded {
    /// What the commands `credential reveal` and `status` ask, without starting a program for each question.
    fn ask(&self, path: &str) -> Value {
        let socket = self.scenario.launch.state().join("control.sock");
        let mut stream = UnixStream::connect(socket).expect("Portico runs");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: portico\r\nconnection: close\r\n\r\n").expect("it is asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_default()
    }
}

impl Side for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn key(&self, credential: &str) -> Option<String> {
        let answer = self.ask(&format!("/reveal?name=shop%2F{credential}"));
        answer["keys"][0]["key"].as_str().map(str::to_owned)
    }

    fn address(&self, sandbox: bool) -> SocketAddr {
        if sandbox { self.sandbox } else { self.scenario.gateway }
    }

    fn look(&self) {
        self.status.take();
    }

    fn ready(&self, kind: &str, namespace: &str, name: &str) -> (String, String) {
        let mut status = self.status.borrow_mut();
        let status = status.get_or_insert_with(|| self.ask("/status"));
        let key = format!("{namespace}/{name}");
        let objects = status["objects"].as_array().into_iter().flatten();
        let object = objects.into_iter().find(|object| object["kind"] == kind && object["name"] == key);
        let conditions = object.and_then(|object| object["status"]["conditions"].as_array());
        let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
        let text = |field: &str| ready.and_then(|ready| ready[field].as_str()).unwrap_or_default().to_owned();
        (text("reason"), text("message"))
    }

    fn output(&self) -> String {
        self.portico.output()
    }
}

impl Side for InCluster {
    fn name(&self) -> &'static str {
        "in the cluster"
    }

    fn key(&self, credential: &str) -> Option<String> {
        let secret = self.tenancy.secret("shop", credential)?;
        String::from_utf8(secret.data?.get("api-key")?.0.clone()).ok()
    }

    fn address(&self, sandbox: bool) -> SocketAddr {
        if sandbox { self.sandbox } else { self.tenancy.address() }
    }

    fn look(&self) {}

    fn ready(&self, kind: &str, namespace: &str, name: &str) -> (String, String) {
        let (_, reason, message) = self.tenancy.condition(kind, namespace, name, "Ready");
        (reason, self.tenancy.there(&message))
    }

    fn output(&self) -> String {
        self.operator.output()
    }
}
