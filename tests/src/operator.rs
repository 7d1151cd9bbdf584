//! `portico operator`, built and started beside a real API server, and the files of a small desired state in namespaces of
//! their own.

mod portal;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::part::spawn;
use crate::cluster::{Cluster, block_on, unique};
use crate::gateway::{Gateway, Identity};
use crate::http::{self, Answer, Ask, NoAnswer};
use crate::portico::{Lines, binary, isolated};
use crate::scenario::THINGS;
use crate::upstream::Upstream;
use crate::{files, helm, ports, processes, wait};

/// How to start an operator; again and again on the same ports.
#[derive(Debug)]
pub struct Setup {
    kubeconfig: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    xds: SocketAddr,
    http: SocketAddr,
    folder: TempDir,
}

impl Setup {
    /// One that acts as whoever the kubeconfig names.
    pub fn new(kubeconfig: PathBuf) -> Setup {
        let folder = tempfile::Builder::new().prefix("portico-operator-").tempdir().expect("a temporary folder");
        Setup {
            kubeconfig,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            xds: ports::free_address(),
            http: ports::free_address(),
            folder,
        }
    }

    /// With more on its command line.
    #[must_use]
    pub fn arguments<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Setup {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With another variable in its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Setup {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// With its discovery service at a given address.
    #[must_use]
    pub fn xds_at(mut self, address: SocketAddr) -> Setup {
        self.xds = address;
        self
    }

    /// Where gateways find it.
    pub fn xds(&self) -> SocketAddr {
        self.xds
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When the program cannot be started at all.
    pub fn start(&self) -> Operator {
        let mut command = isolated(Command::new("setpriv"), self.folder.path());
        command
            .args(["--pdeathsig", "KILL"])
            .arg(binary())
            .arg("operator")
            .args(["--xds", &self.xds.to_string(), "--http", &self.http.to_string()])
            .args(&self.arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = spawn(command).expect("setpriv, of util-linux, starts");
        let lines = Lines::default();
        lines.follow(child.stdout.take().expect("stdout is piped"));
        lines.follow(child.stderr.take().expect("stderr is piped"));
        Operator { child, lines, http: self.http }
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it is not ready in time, with what it printed.
    pub fn ready(&self) -> Operator {
        let operator = self.start();
        operator.wait_ready();
        operator
    }
}

/// A running operator. It is killed when it is dropped, and when this process ends.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    lines: Lines,
    http: SocketAddr,
}

impl Operator {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        self.lines.all().join("\n")
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it is not in time, with what it printed.
    pub fn wait_ready(&self) {
        let ready = wait::within(wait::PATIENCE, || self.get("/readyz").filter(|answer| answer.status == 200));
        assert!(ready.is_some(), "the operator is not ready:\n{}", self.output());
    }

    /// Asks it something over HTTP.
    pub fn get(&self, path: &str) -> Option<Answer> {
        http::once(self.http, &Ask::get(path)).ok()
    }

    /// A metric, summed over all lines that begin with `name` and have all of `labels` in them.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.get("/metrics").map(|answer| answer.body).unwrap_or_default();
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or("x");
            rest.starts_with([' ', '{']) && labels.iter().all(|label| line.contains(label))
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).fold(0.0, |sum, value| sum + value)
    }

    /// Waits until it leads.
    ///
    /// # Panics
    ///
    /// When it does not, with what it printed.
    pub fn wait_leads(&self) {
        let leads = wait::within(wait::PATIENCE, || (self.metric("portico_leader", &[]) > 0.5).then_some(()));
        assert!(leads.is_some(), "the operator does not lead:\n{}", self.output());
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn stop(mut self) -> ExitStatus {
        processes::signal(self.id(), "TERM");
        let ended = wait::within(wait::PATIENCE, || self.child.try_wait().expect("the child can be asked"));
        ended.unwrap_or_else(|| panic!("the operator goes on:\n{}", self.output()))
    }

    fn end(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            eprintln!("the operator printed:\n{}", self.output());
        }
    }
}

/// The namespaces that [`files`] speak of.
const NAMESPACES: [&str; 4] = ["platform", "apis", "shop", "watch"];

/// The small desired state of [`files`] in namespaces of its own, in a cluster that others use too.
#[derive(Debug)]
pub struct Tenancy {
    cluster: &'static Cluster,
    suffix: String,
    upstream: Upstream,
    gateway: SocketAddr,
}

impl Tenancy {
    /// Makes the namespaces, and applies all of it but what grants `shop` its access.
    pub fn new() -> Tenancy {
        let tenancy = Tenancy::empty();
        tenancy.apply(&tenancy.everything());
        tenancy
    }

    /// The same in a cluster of the test's own.
    pub fn on(cluster: &'static Cluster) -> Tenancy {
        let tenancy = Tenancy::empty_on(cluster);
        tenancy.apply(&tenancy.everything());
        tenancy
    }

    /// Makes the namespaces only.
    pub fn empty() -> Tenancy {
        Tenancy::empty_on(Cluster::shared())
    }

    fn empty_on(cluster: &'static Cluster) -> Tenancy {
        cluster.install_crds();
        let suffix = unique("-t");
        let upstream = Upstream::start();
        let gateway = (Ipv4Addr::LOCALHOST, ports::free()).into();
        let tenancy = Tenancy { cluster, suffix, upstream, gateway };
        for namespace in tenancy.namespaces() {
            cluster.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace} }}\n"));
        }
        tenancy
    }

    /// The files of the state.
    pub fn everything(&self) -> String {
        let documents = [
            files::environment(self.gateway.port()),
            files::product(&self.upstream.url()),
            Tenancy::documents(),
            files::plan().to_owned(),
            files::small_plan().to_owned(),
            files::application().to_owned(),
            files::bystander(),
        ];
        documents.join("---\n")
    }

    /// The OpenAPI document as `kustomize` would wrap it.
    fn documents() -> String {
        let text = files::openapi().replace('\n', "\n    ");
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: echo-documents\n  namespace: apis\n  labels: {{ portico.dev/product: echo }}\ndata:\n  openapi.yaml: |\n    {}\n",
            text.trim_end()
        )
    }

    /// What grants `shop` its access to a plan.
    pub fn grant(&self, plan: &str) -> String {
        format!("{}---\n{}", files::subscription("web-basic", plan), files::credential("web-basic", "web-basic"))
    }

    /// A text, with its namespaces made those of this one.
    pub fn here(&self, text: &str) -> String {
        let watchers = format!("namespaces: [{}, {}]", self.namespace("shop"), self.namespace("watch"));
        let text = text
            .replace("namespaces: [shop, watch]", &watchers)
            .replace("namespaces: [watch]", &format!("namespaces: [{}]", self.namespace("watch")));
        NAMESPACES.iter().fold(text, |text, name| {
            text.replace(&format!("namespace: {name}"), &format!("namespace: {}", self.namespace(name)))
        })
    }

    /// The other way round: a text from here, with its namespaces made those of [`files`].
    pub fn there(&self, text: &str) -> String {
        NAMESPACES.iter().fold(text.to_owned(), |text, name| text.replace(&self.namespace(name), name))
    }

    /// Where the upstream is.
    pub fn upstream(&self) -> SocketAddr {
        self.upstream.address()
    }

    /// The URL of the upstream.
    pub fn upstream_url(&self) -> String {
        self.upstream.url()
    }

    /// Applies a text of [`files`].
    pub fn apply(&self, text: &str) {
        self.cluster.apply(&self.here(text));
    }

    /// Applies a text of [`files`] that may be refused.
    ///
    /// # Errors
    ///
    /// What the API server says against it.
    pub fn try_apply(&self, text: &str) -> Result<(), kube::Error> {
        self.cluster.try_apply(&self.cluster.admin(), "default", &self.here(text)).map(|_| ())
    }

    /// Deletes what a text of [`files`] names.
    pub fn delete(&self, text: &str) {
        self.cluster.delete(&self.here(text));
    }

    /// What a namespace of [`files`] is called here.
    pub fn namespace(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    /// All of them.
    pub fn namespaces(&self) -> Vec<String> {
        NAMESPACES.iter().map(|name| self.namespace(name)).collect()
    }

    /// The cluster.
    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// An operator for these namespaces, with the very rights that the chart gives it.
    pub fn operator(&self, identity: &str) -> Setup {
        self.operator_as(identity, self.installed(false))
    }

    /// Applies the chart's roles for an operator of these namespaces, and what its portal needs; the kubeconfig of its service
    /// account.
    fn installed(&self, portal: bool) -> PathBuf {
        let release = self.namespace("platform");
        let values = json!({
            "namespaces": self.namespaces(),
            "rbac": {
                "secrets": {
                    "namespaces": [self.namespace("shop"), self.namespace("watch")],
                    "readNamespaces": [self.namespace("platform"), self.namespace("apis")],
                },
                "people": { "create": false },
            },
            "portal": { "enabled": portal },
            "admission": { "enabled": false },
            "crds": { "install": false },
        });
        let chart = helm::chart();
        let arguments = ["template", "portico", &chart.to_string_lossy(), "--namespace", &release];
        let rendered = helm::helm(&arguments, &values.to_string()).unwrap_or_else(|complaint| panic!("{complaint}"));
        let rights = ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
        let objects = helm::parse(&rendered);
        let is_portals = |object: &Value| object["kind"] == "Secret" && object["metadata"]["name"] == "portico-portal";
        let rights =
            objects.iter().filter(|object| rights.iter().any(|kind| object["kind"] == *kind) || is_portals(object));
        let rights: Vec<String> =
            rights.map(|object| serde_yaml::to_string(object).expect("an object is YAML")).collect();
        self.cluster.apply_in(&release, &rights.join("---\n"));
        self.cluster.kubeconfig_for_service_account(&release, "portico")
    }

    /// The same, as somebody else.
    pub fn operator_as(&self, identity: &str, kubeconfig: PathBuf) -> Setup {
        let namespaces = self.namespaces().join(",");
        let lease = self.namespace("platform");
        let arguments = ["--namespaces", &namespaces, "--lease-namespace", &lease, "--identity", identity];
        Setup::new(kubeconfig).arguments(arguments)
    }

    /// When the lease is over, unless it is renewed.
    ///
    /// # Panics
    ///
    /// Without a lease that somebody holds.
    pub fn lease_end(&self) -> Timestamp {
        let lease = self.lease();
        let holds = SignedDuration::from_secs(lease.lease_duration_seconds.expect("it ends").into());
        lease.renew_time.expect("somebody renews it").0 + holds
    }

    /// When its holder took the lease.
    ///
    /// # Panics
    ///
    /// Without a lease that somebody holds.
    pub fn lease_taken(&self) -> Timestamp {
        self.lease().acquire_time.expect("somebody took it").0
    }

    fn lease(&self) -> LeaseSpec {
        let api: Api<Lease> = Api::namespaced(self.cluster.admin(), &self.namespace("platform"));
        block_on(api.get("portico")).expect("there is a lease").spec.expect("it says something")
    }

    /// A gateway of the environment.
    pub fn gateway(&self, xds: SocketAddr) -> Gateway {
        self.gateway_of(&[xds])
    }

    /// A gateway of the environment that knows several replicas.
    pub fn gateway_of(&self, xds: &[SocketAddr]) -> Gateway {
        Gateway::start(&format!("{}/local", self.namespace("platform")), xds, None)
    }

    /// The same with a certificate.
    pub fn gateway_as(&self, xds: SocketAddr, identity: &Identity) -> Gateway {
        Gateway::start(&format!("{}/local", self.namespace("platform")), &[xds], Some(identity))
    }

    /// Where the gateway listens.
    pub fn address(&self) -> SocketAddr {
        self.gateway
    }

    /// One request on a connection of its own.
    pub fn ask(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        http::once(self.gateway, ask)
    }

    /// The status for a key at [`THINGS`]; 0 when there is no answer.
    pub fn status(&self, key: &str) -> u16 {
        self.ask(&Ask::get(THINGS).key(key)).map_or(0, |answer| answer.status)
    }

    /// Waits until a key's status is as wanted.
    ///
    /// # Panics
    ///
    /// When it never is; with the last one.
    pub fn wait_status(&self, key: &str, wanted: u16) {
        let mut last = 0;
        let found = wait::within(wait::PATIENCE, || {
            last = self.status(key);
            (last == wanted).then_some(())
        });
        assert!(found.is_some(), "waited for {wanted}, it stays {last}");
    }

    /// A Secret, if there is one.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<Secret> {
        let api: Api<Secret> = Api::namespaced(self.cluster.admin(), &self.namespace(namespace));
        block_on(api.get_opt(name)).expect("Secrets can be read")
    }

    /// The key in a Secret, as soon as there is one.
    ///
    /// # Panics
    ///
    /// When there is none in time.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        wait::until(&format!("a key in Secret {namespace}/{name}"), || {
            let secret = self.secret(namespace, name)?;
            String::from_utf8(secret.data?.get("api-key")?.0.clone()).ok()
        })
    }

    /// The reasons and texts of the Events in a namespace.
    pub fn events(&self, namespace: &str) -> Vec<(String, String)> {
        let api: Api<Event> = Api::namespaced(self.cluster.admin(), &self.namespace(namespace));
        let events = block_on(api.list(&ListParams::default())).expect("Events can be read");
        events.into_iter().map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect()
    }

    /// An object of Portico's.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("portico.dev", "v1alpha1", kind));
        let api: Api<DynamicObject> = Api::namespaced_with(self.cluster.admin(), &self.namespace(namespace), &resource);
        block_on(api.get_opt(name)).expect("objects can be read")
    }

    /// A condition of an object: its status, reason and message; empty where there is none.
    pub fn condition(&self, kind: &str, namespace: &str, name: &str, r#type: &str) -> (String, String, String) {
        let found = self.object(kind, namespace, name);
        let conditions = found.as_ref().and_then(|found| found.data["status"]["conditions"].as_array());
        let condition = conditions.into_iter().flatten().find(|condition| condition["type"] == r#type);
        let text =
            |field: &str| condition.and_then(|condition| condition[field].as_str()).unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    }

    /// Waits until a condition of an object has a status and a reason.
    ///
    /// # Panics
    ///
    /// When it never has; with the last one.
    pub fn wait_condition(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        r#type: &str,
        wanted: (&str, &str),
    ) -> String {
        let mut last = Default::default();
        let found = wait::within(wait::PATIENCE, || {
            last = self.condition(kind, namespace, name, r#type);
            (last.0 == wanted.0 && last.1 == wanted.1).then(|| last.2.clone())
        });
        found.unwrap_or_else(|| panic!("{kind} {namespace}/{name}: {type} is {last:?}, not {wanted:?}"))
    }
}

impl Default for Tenancy {
    fn default() -> Self {
        Tenancy::new()
    }
}

/// The path of a file below the folder of this crate.
pub fn repository_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
