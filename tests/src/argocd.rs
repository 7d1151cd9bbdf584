//! A real Argo CD.
//!
//! Its application controller under the very role that Argo CD installs for it, its repository server, and Redis, beside a
//! [`Cluster`], and with what Portico says of itself in `examples/argocd`. Nobody signs in to it: what people see in its
//! pages is read from its Applications.

mod programs;
mod view;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::cluster::part::{Folder, Part};
use crate::cluster::{Cluster, block_on};
use crate::scripts;
use programs::{start_controller, start_redis, start_repo_server};

pub use view::{Resource, View};

/// Where it is, as everywhere.
pub const NAMESPACE: &str = "argocd";

/// How long it may take to do what it does in a second or two, on a machine that builds something else meanwhile.
const PATIENCE: Duration = Duration::from_mins(2);

/// The folder of the programs to test with: `PORTICO_ARGOCD`, or what `scripts/argocd` prints.
///
/// # Panics
///
/// When there are none and none can be had.
pub fn binaries() -> &'static Path {
    scripts::path("argocd")
}

/// What an Application says besides where its files are and where they go.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder within the repository; folders below it count.
    pub path: String,
    /// Files to leave out, as a pattern of Argo CD.
    pub exclude: Option<String>,
    /// Whether it syncs by itself, prunes, and takes back what others change. Otherwise see [`Argo::sync`].
    pub automated: bool,
    /// Such as `ServerSideApply=true`.
    pub sync_options: Vec<String>,
    /// Such as `argocd.argoproj.io/compare-options`.
    pub annotations: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            path: ".".to_owned(),
            exclude: None,
            automated: true,
            sync_options: Vec::new(),
            annotations: Vec::new(),
        }
    }
}

/// A running Argo CD.
///
/// It is gone when it is dropped, and when the process that started it ends, however that ends. What it has synced stays.
#[derive(Debug)]
pub struct Argo<'a> {
    // Dropped in this order: nothing is left without what it needs.
    controller: Mutex<Part>,
    repo_server: Mutex<Part>,
    redis: Mutex<Part>,
    cluster: &'a Cluster,
    _folder: Folder,
}

impl Argo<'static> {
    /// One for all tests of this process, in [`Cluster::shared`] with the definitions of Portico's kinds.
    pub fn shared() -> &'static Argo<'static> {
        static SHARED: OnceLock<Argo<'static>> = OnceLock::new();
        SHARED.get_or_init(|| {
            Cluster::shared().install_crds();
            Argo::start(Cluster::shared())
        })
    }
}

impl<'a> Argo<'a> {
    /// Installs it in a cluster and starts it. A cluster takes one.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it printed.
    pub fn start(cluster: &'a Cluster) -> Argo<'a> {
        install(cluster);
        let folder = Folder::new();
        let redis = start_redis(folder.path());
        let (repo_server, address) = start_repo_server(folder.path());
        let kubeconfig = cluster.kubeconfig_for_service_account(NAMESPACE, "argocd-application-controller");
        let controller = start_controller(folder.path(), &kubeconfig, address);
        Argo {
            controller: Mutex::new(controller),
            repo_server: Mutex::new(repo_server),
            redis: Mutex::new(redis),
            cluster,
            _folder: folder,
        }
    }

    /// The cluster that it syncs to.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// Makes an Application of a repository on this machine, or changes it. Objects that name no namespace go to
    /// `namespace`.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub fn application(&self, name: &str, repository: &Path, namespace: &str, options: &Options) {
        let mut directory = json!({"recurse": true});
        if let Some(exclude) = &options.exclude {
            directory["exclude"] = json!(exclude);
        }
        let mut policy = json!({"syncOptions": options.sync_options});
        if options.automated {
            policy["automated"] = json!({"prune": true, "selfHeal": true});
            // What it does by itself gives up after a few minutes.
            policy["retry"] = json!({"limit": -1, "backoff": {"duration": "1s", "factor": 2, "maxDuration": "10s"}});
        }
        let annotations: serde_json::Map<_, _> =
            options.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let application = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {
                "project": "default",
                "source": {
                    "repoURL": format!("file://{}", repository.display()),
                    "targetRevision": "main",
                    "path": options.path,
                    "directory": directory,
                },
                "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
                "syncPolicy": policy,
            },
        });
        self.cluster.apply_in(NAMESPACE, &application.to_string());
    }

    /// Lets it read the repository anew and compare, as a webhook does, and waits until it has.
    ///
    /// # Panics
    ///
    /// When it does not do it.
    pub fn refresh(&self, name: &str) {
        const ANNOTATION: &str = "argocd.argoproj.io/refresh";
        self.patch(name, &json!({"metadata": {"annotations": {ANNOTATION: "hard"}}}));
        self.wait_for(name, "it is read anew", |view| view.object["metadata"]["annotations"][ANNOTATION].is_null());
    }

    /// Lets an Application that does not do so by itself sync what is in the repository, without pruning.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub fn sync(&self, name: &str) {
        // It is for whoever asks to say how.
        let options = self.view(name).object["spec"]["syncPolicy"]["syncOptions"].take();
        let sync = json!({"revision": "main", "syncOptions": options});
        self.patch(name, &json!({"operation": {"initiatedBy": {"username": "tests"}, "sync": sync}}));
    }

    /// What there is of an Application now.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn view(&self, name: &str) -> View {
        let object = block_on(self.applications().get(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        View::of(serde_json::to_value(object).expect("an object is JSON"))
    }

    /// Waits until an Application has a sync status such as `Synced` and a health such as `Healthy`, and is not busy.
    ///
    /// # Panics
    ///
    /// When that does not come, with what there is of it and what Argo CD printed.
    pub fn wait(&self, name: &str, sync: &str, health: &str) -> View {
        self.wait_for(name, &format!("{sync} and {health}"), |view| {
            view.sync == sync && view.health == health && !view.is_busy()
        })
    }

    /// Waits until an Application is as it is wanted.
    ///
    /// # Panics
    ///
    /// When that does not come, with what there is of it and what Argo CD printed.
    pub fn wait_for(&self, name: &str, what: &str, wanted: impl Fn(&View) -> bool) -> View {
        let begun = Instant::now();
        loop {
            let view = self.view(name);
            if wanted(&view) {
                return view;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", self.complaint(name, what, &view));
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn complaint(&self, name: &str, what: &str, view: &View) -> String {
        let parts = [&self.controller, &self.repo_server, &self.redis];
        let logs: Vec<_> =
            parts.into_iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).complaint()).collect();
        format!("waited {PATIENCE:?} in vain for Application {name}: {what}\n{view}\n{}", logs.join("\n"))
    }

    fn patch(&self, name: &str, patch: &Value) {
        let params = PatchParams::default();
        block_on(self.applications().patch(name, &params, &Patch::Merge(patch)))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn applications(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application");
        Api::namespaced_with(self.cluster.admin(), NAMESPACE, &ApiResource::from_gvk(&kind))
    }
}

/// What Argo CD installs of itself, and then what Portico asks its users to add.
fn install(cluster: &Cluster) {
    cluster.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"));
    for folder in ["crds", "config", "roles"] {
        for text in texts(&binaries().join(folder)) {
            cluster.apply_in(NAMESPACE, &with_subjects(&text));
        }
    }
    cluster.apply_in(
        NAMESPACE,
        "{apiVersion: v1, kind: Secret, metadata: {name: argocd-redis}, stringData: {auth: ''}}\n---\n\
         {apiVersion: argoproj.io/v1alpha1, kind: AppProject, metadata: {name: default}, spec: {sourceRepos: ['*'], \
         destinations: [{server: '*', namespace: '*'}], clusterResourceWhitelist: [{group: '*', kind: '*'}]}}",
    );

    // As the file itself says: it adds to what is there.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/argocd/argocd-cm.yaml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let addition: ConfigMap = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{error} in:\n{text}"));
    let maps: Api<ConfigMap> = Api::namespaced(cluster.admin(), NAMESPACE);
    block_on(maps.patch("argocd-cm", &PatchParams::apply("portico"), &Patch::Apply(addition)))
        .unwrap_or_else(|error| panic!("argocd-cm: {error}"));
}

/// The files of a folder.
fn texts(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry of the folder").path()).collect();
    paths.sort();
    let read = |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    paths.into_iter().map(read).collect()
}

/// Subjects are in the namespace of their binding, where they say nothing else: Kustomize would add that.
fn with_subjects(text: &str) -> String {
    if !text.contains("\nkind: RoleBinding") {
        return text.to_owned();
    }
    let mut binding: Value = serde_yaml::from_str(text).expect("a binding is YAML");
    for subject in binding["subjects"].as_array_mut().into_iter().flatten() {
        subject["namespace"] = json!(NAMESPACE);
    }
    binding.to_string()
}
