//! The kustomize-controller of a real Flux.
//!
//! It runs beside a [`Cluster`] with the rights that Flux gives it. Where its files come from is said by a test: an [`Archive`]
//! stands in for the source-controller, and tells it of commits in the status of a `GitRepository` as that one does.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cluster::part::{Folder, Part};
use crate::cluster::{Cluster, block_on};
use crate::helm;
use crate::repo::Repo;
use crate::scripts;

/// Where it is, as everywhere.
pub const NAMESPACE: &str = "flux-system";

/// Who it is, and whom its roles are bound to.
const ACCOUNT: &str = "kustomize-controller";

/// How long it may take to do what it does in a second or two, on a machine that builds something else meanwhile.
const PATIENCE: Duration = Duration::from_mins(2);

/// The folder of the programs to test with: `PORTICO_FLUX`, or what `scripts/flux` prints.
///
/// # Panics
///
/// When there are none and none can be had.
pub fn binaries() -> &'static Path {
    scripts::path("flux")
}

/// A running kustomize-controller. It is gone when it is dropped, and when the process that started it ends.
#[derive(Debug)]
pub struct Flux<'a> {
    controller: Part,
    cluster: &'a Cluster,
    _folder: Folder,
}

/// The `Ready` of a `Kustomization`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// `True`, `False` or `Unknown`; empty before anybody looked.
    pub status: String,
    /// In one word.
    pub reason: String,
    /// In many.
    pub message: String,
    /// What is going on; empty where nothing is.
    pub doing: String,
    /// The revision that was applied last and became ready.
    pub applied: String,
}

impl<'a> Flux<'a> {
    /// Installs it in a cluster and starts it. A cluster takes one.
    ///
    /// # Panics
    ///
    /// When the server refuses it, or it cannot be started.
    pub fn start(cluster: &'a Cluster) -> Flux<'a> {
        install(cluster);
        let folder = Folder::new();
        let temporary = folder.path().join("tmp");
        fs::create_dir(&temporary).expect("a folder");
        let arguments = [
            "--watch-all-namespaces",
            "--log-encoding=json",
            // Nobody asks there.
            "--metrics-addr=0",
            "--health-addr=0",
            // How soon it looks again at what waits for something else; half a minute otherwise.
            "--requeue-dependency=1s",
        ]
        .map(str::to_owned);
        let kubeconfig = cluster.kubeconfig_for_service_account(NAMESPACE, ACCOUNT);
        let variables = [
            ("KUBECONFIG", kubeconfig.display().to_string()),
            ("RUNTIME_NAMESPACE", NAMESPACE.to_owned()),
            ("TMPDIR", temporary.display().to_string()),
        ];
        let controller = Part::start_from(binaries(), folder.path(), "kustomize-controller", &arguments, &variables);
        Flux { controller, cluster, _folder: folder }
    }

    /// What a `Kustomization` says.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn ready(&self, name: &str) -> Ready {
        let object =
            block_on(api(self.cluster, KUSTOMIZATION).get(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let status = &object.data["status"];
        let condition = |name: &str| {
            status["conditions"].as_array().into_iter().flatten().find(|condition| {
                condition["type"] == name && condition["observedGeneration"].as_i64() == object.metadata.generation
            })
        };
        let ready = condition("Ready");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let part = |name: &str| ready.map(|ready| text(&ready[name])).unwrap_or_default();
        Ready {
            status: part("status"),
            reason: part("reason"),
            message: part("message"),
            doing: condition("Reconciling").map(|condition| text(&condition["message"])).unwrap_or_default(),
            applied: text(&status["lastAppliedRevision"]),
        }
    }

    /// Waits until a `Kustomization` is as it is wanted.
    ///
    /// # Panics
    ///
    /// When it never is, with what it says and what the controller printed.
    pub fn wait(&self, name: &str, what: &str, wanted: impl Fn(&Ready) -> bool) -> Ready {
        let begun = Instant::now();
        loop {
            let ready = self.ready(name);
            if wanted(&ready) {
                return ready;
            }
            let is_in_time = begun.elapsed() < PATIENCE;
            assert!(is_in_time, "Kustomization {name}, {what}: {ready:#?}\n{}", self.controller.complaint());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until all of a commit is there and ready.
    ///
    /// # Panics
    ///
    /// As [`Flux::wait`].
    pub fn wait_ready(&self, name: &str, commit: &str) -> Ready {
        self.wait(name, &format!("ready at {commit}"), |ready| {
            ready.status == "True" && ready.applied == revision(commit)
        })
    }

    /// Changes a `Kustomization`.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub fn patch(&self, name: &str, patch: &Value) {
        let api = api(self.cluster, KUSTOMIZATION);
        block_on(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Serves the commits of a repository as archives.
#[derive(Debug)]
pub struct Archive {
    address: SocketAddr,
    files: Files,
    runtime: Option<Runtime>,
}

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

impl Archive {
    /// Begins to serve; there is nothing yet.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn serve() -> Archive {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("archive")
            .enable_all()
            .build()
            .expect("a thread for archives");
        let files = Files::default();
        let service = Router::new().fallback(archive).with_state(files.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("a bound socket has an address");
        runtime.spawn(async move { axum::serve(listener, service).await });
        Archive { address, files, runtime: Some(runtime) }
    }

    /// Says in the status of a `GitRepository` that the newest commit of a repository has been fetched.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub fn push(&self, cluster: &Cluster, name: &str, repo: &Repo) {
        let commit = repo.head();
        let path = format!("/gitrepository/{NAMESPACE}/{name}/{commit}.tar.gz");
        let file = repo.path().with_extension("tar.gz");
        repo.git(&["archive", "--format=tar.gz", "--output", &file.display().to_string(), "HEAD"]);
        let bytes = fs::read(&file).expect("an archive");
        let sum = Command::new("sha256sum").arg(&file).output().expect("sha256sum, of coreutils, starts").stdout;
        let digest = String::from_utf8_lossy(&sum).split_whitespace().next().expect("a sum").to_owned();
        let size = bytes.len();
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), bytes);

        let api = api(cluster, REPOSITORY);
        let generation = block_on(api.get(name)).expect("the GitRepository").metadata.generation;
        let now = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let revision = revision(&commit);
        let status = json!({ "status": {
            "observedGeneration": generation,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Succeeded", "lastTransitionTime": now,
                "observedGeneration": generation, "message": format!("stored artifact for revision '{revision}'"),
            }],
            "artifact": {
                "digest": format!("sha256:{digest}"), "lastUpdateTime": now, "path": path.trim_start_matches('/'),
                "revision": revision, "size": size, "url": format!("http://{}{path}", self.address),
            },
        } });
        block_on(api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn archive(State(files): State<Files>, uri: Uri) -> Result<Vec<u8>, StatusCode> {
    let files = files.lock().unwrap_or_else(PoisonError::into_inner);
    files.get(uri.path()).cloned().ok_or(StatusCode::NOT_FOUND)
}

/// How Flux names a commit.
fn revision(commit: &str) -> String {
    format!("main@sha1:{commit}")
}

const KUSTOMIZATION: (&str, &str) = ("kustomize.toolkit.fluxcd.io", "Kustomization");
const REPOSITORY: (&str, &str) = ("source.toolkit.fluxcd.io", "GitRepository");

fn api(cluster: &Cluster, (group, kind): (&str, &str)) -> Api<DynamicObject> {
    let resource = match kind {
        "GitRepository" => {
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), "gitrepositories")
        }
        _ => ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind)),
    };
    Api::namespaced_with(cluster.admin(), NAMESPACE, &resource)
}

/// What Flux installs of it.
fn install(cluster: &Cluster) {
    let own = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": ACCOUNT } });
    cluster.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"));
    cluster.apply_in(NAMESPACE, &own.to_string());
    let mut objects = Vec::new();
    for folder in ["crds", "roles"] {
        let entries = fs::read_dir(binaries().join(folder)).expect("a folder of what Flux installs");
        for entry in entries {
            let text = fs::read_to_string(entry.expect("an entry of the folder").path()).expect("a text");
            objects.extend(helm::parse(&text));
        }
    }
    for object in &mut objects {
        // Kustomize would say so.
        for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            *subject = json!({ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE });
        }
    }
    let texts: Vec<String> = objects.iter().map(Value::to_string).collect();
    cluster.apply_in(NAMESPACE, &texts.join("\n---\n"));
}
