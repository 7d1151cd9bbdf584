//! A real Kubernetes API server.
//!
//! etcd, kube-apiserver with RBAC, and of kube-controller-manager what deletes: namespaces with all that is in them, and
//! objects whose owner is gone. There are no nodes, so nothing runs in it, and nobody needs to be asked for permission.
//!
//! What talks to it is asynchronous, most tests are not. The methods here block, whoever calls them. A
//! [`kube::Client`] of a cluster works within [`block_on`] and within a test's own runtime alike.

mod apply;
mod client;
mod identity;
mod kstatus;
pub(crate) mod part;
mod programs;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{DynamicObject, PostParams};
use kube::config::AuthInfo;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::{ports, processes, scripts, wait};
use identity::Identity;
use part::{Folder, Part};
use programs::{START, start_controllers, start_etcd, start_server};

pub use client::block_on;
pub use kstatus::kstatus;

/// The folder of the programs to test with: `PORTICO_KUBERNETES`, or what `scripts/kubernetes` prints.
///
/// # Panics
///
/// When there are none and none can be had.
pub fn binaries() -> &'static Path {
    scripts::path("kubernetes")
}

/// A name that begins with `stem` and that no other call in this process returns.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A running API server, with what belongs to it.
///
/// It is gone, with its data, when it is dropped, and when the process that started it ends, however that ends.
pub struct Cluster {
    // Dropped in this order: nothing is left without what it needs, and complains.
    controllers: Mutex<Part>,
    server: Mutex<Option<Part>>,
    etcd: Mutex<Part>,
    identity: Identity,
    address: SocketAddr,
    /// Files for others to read, by what is in them, so that each is written once.
    kubeconfigs: Mutex<BTreeMap<String, PathBuf>>,
    /// Held while definitions are installed.
    definitions: Mutex<()>,
    folder: Folder,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cluster").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts one, and waits until it answers and its controllers work.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it printed.
    pub fn start() -> Cluster {
        let folder = Folder::new();
        let identity = Identity::create(folder.path());
        let mut etcd = start_etcd(folder.path());
        // Between asking for a free port and listening there, somebody else can take it.
        let mut attempts = 0;
        let (server, address) = loop {
            let address = ports::free_address();
            match start_server(folder.path(), &identity, address, &mut etcd) {
                Ok(server) => break (server, address),
                Err(complaint) => {
                    attempts += 1;
                    let again = attempts < 5 && complaint.contains("address already in use");
                    assert!(again, "{complaint}");
                }
            }
        };
        let controllers = start_controllers(folder.path(), &identity, address);
        let cluster = Cluster {
            controllers: Mutex::new(controllers),
            server: Mutex::new(Some(server)),
            etcd: Mutex::new(etcd),
            identity,
            address,
            kubeconfigs: Mutex::default(),
            definitions: Mutex::default(),
            folder,
        };
        cluster.wait_controllers();
        cluster
    }

    /// One cluster for all tests of this process, started when the first of them asks. Its definitions and cluster-wide
    /// objects are everybody's; for the rest take a [`Cluster::namespace`].
    ///
    /// # Panics
    ///
    /// As for [`Cluster::start`].
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Cluster::start)
    }

    /// Makes a namespace whose name begins with `stem` and is nobody else's, and returns its name.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub fn namespace(&self, stem: &str) -> String {
        let name = unique(stem);
        self.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
        name
    }

    /// Where its files are: logs, data, certificates.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens, with TLS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate of the authority that its own certificate is from, as a PEM file.
    pub fn authority(&self) -> &Path {
        &self.identity.authority
    }

    /// A bearer token of an administrator, who may do everything.
    pub fn admin_token(&self) -> &str {
        &self.identity.admin
    }

    /// A client that may do everything.
    pub fn admin(&self) -> Client {
        self.client(AuthInfo { token: Some(self.admin_token().to_owned().into()), ..AuthInfo::default() })
    }

    /// A client that is this user, with these groups besides `system:authenticated`. Users need not be made known before.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        self.client(AuthInfo {
            token: Some(self.admin_token().to_owned().into()),
            impersonate: Some(user.to_owned()),
            impersonate_groups: Some(groups.iter().map(|group| (*group).to_owned()).collect()),
            ..AuthInfo::default()
        })
    }

    /// A client that is a service account, by a token of its own.
    ///
    /// # Panics
    ///
    /// When there is no such service account.
    pub fn client_for_service_account(&self, namespace: &str, name: &str) -> Client {
        let token = self.service_account_token(namespace, name);
        self.client(AuthInfo { token: Some(token.into()), ..AuthInfo::default() })
    }

    /// A new token of a service account, good for a day.
    ///
    /// # Panics
    ///
    /// When there is no such service account.
    pub fn service_account_token(&self, namespace: &str, name: &str) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin(), namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(24 * 60 * 60), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let answer = block_on(accounts.create_token_request(name, &PostParams::default(), &request))
            .unwrap_or_else(|error| panic!("no token for service account {namespace}/{name}: {error}"));
        answer.status.and_then(|status| status.token).expect("a token request is answered with a token")
    }

    /// A kubeconfig file of the administrator.
    pub fn kubeconfig_admin(&self) -> PathBuf {
        self.kubeconfig("default", &json!({"token": self.admin_token()}))
    }

    /// A kubeconfig file of a user as [`Cluster::client_as`] has them.
    pub fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> PathBuf {
        self.kubeconfig("default", &json!({"token": self.admin_token(), "as": user, "as-groups": groups}))
    }

    /// A kubeconfig file of a service account, with a new token and its namespace.
    ///
    /// # Panics
    ///
    /// When there is no such service account.
    pub fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> PathBuf {
        self.kubeconfig(namespace, &json!({"token": self.service_account_token(namespace, name)}))
    }

    /// Applies all documents of a YAML text as the administrator, in their order, and returns what the server made of
    /// them. Documents without a namespace go to `default`. Definitions among them are in use when this returns.
    ///
    /// # Panics
    ///
    /// When the server refuses one.
    pub fn apply(&self, yaml: &str) -> Vec<DynamicObject> {
        self.apply_in("default", yaml)
    }

    /// The same, with another namespace for documents that have none.
    ///
    /// # Panics
    ///
    /// As for [`Cluster::apply`].
    pub fn apply_in(&self, namespace: &str, yaml: &str) -> Vec<DynamicObject> {
        self.try_apply(&self.admin(), namespace, yaml).unwrap_or_else(|error| panic!("{error} in:\n{yaml}"))
    }

    /// The same, as somebody else, and it may be refused. What stands before the refused document is applied by then.
    ///
    /// # Errors
    ///
    /// What the server answered.
    pub fn try_apply(&self, client: &Client, namespace: &str, yaml: &str) -> Result<Vec<DynamicObject>, kube::Error> {
        let documents = apply::documents(yaml);
        if !documents.iter().any(apply::is_definition) {
            return block_on(apply::apply(client, namespace, &documents)).map(|applied| applied.objects);
        }
        let _alone = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = block_on(apply::apply(client, namespace, &documents))?;
        if applied.new_definitions {
            self.restart_controllers();
        }
        Ok(applied.objects)
    }

    /// Asks the server to delete all objects that a YAML text names, the last first. It does not wait until they are
    /// gone: finalizers and owned objects can take a while.
    ///
    /// # Panics
    ///
    /// When the server refuses it. An object that is not there is fine.
    pub fn delete(&self, yaml: &str) {
        self.delete_in("default", yaml);
    }

    /// The same, with another namespace for documents that have none.
    ///
    /// # Panics
    ///
    /// As for [`Cluster::delete`].
    pub fn delete_in(&self, namespace: &str, yaml: &str) {
        block_on(apply::delete(&self.admin(), namespace, &apply::documents(yaml)))
            .unwrap_or_else(|error| panic!("{error} when deleting:\n{yaml}"));
    }

    /// Installs the definitions of all kinds of Portico, as they are in `crds/manifests`. Several tests may do that.
    ///
    /// # Panics
    ///
    /// When the server refuses one.
    pub fn install_crds(&self) {
        let texts: Vec<_> = portico_crds::manifests().into_iter().map(|(_, text)| text).collect();
        self.apply(&texts.join("---\n"));
    }

    /// Ends the API server as a power cut would: connections break, nobody says good-bye. Do that to a cluster of your
    /// own only.
    pub fn stop_api_server(&self) {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Starts it again after [`Cluster::stop_api_server`], at the same address with the same data, and waits until it
    /// answers.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it printed.
    pub fn start_api_server(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if server.is_some() {
            return;
        }
        // Whoever has taken the port meanwhile has to leave it first.
        let mut etcd = self.etcd.lock().unwrap_or_else(PoisonError::into_inner);
        let started = wait::within(wait::PATIENCE, || {
            match start_server(self.folder.path(), &self.identity, self.address, &mut etcd) {
                Ok(started) => Some(started),
                Err(complaint) if complaint.contains("address already in use") => None,
                Err(complaint) => panic!("{complaint}"),
            }
        });
        *server = Some(started.unwrap_or_else(|| panic!("somebody else listens at {}", self.address)));
        // They would find it again by themselves, but may take half a minute.
        self.restart_controllers();
    }

    /// Both: [`Cluster::stop_api_server`] and [`Cluster::start_api_server`].
    ///
    /// # Panics
    ///
    /// As for [`Cluster::start_api_server`].
    pub fn restart_api_server(&self) {
        self.stop_api_server();
        self.start_api_server();
    }

    /// Lets the API server stand still: connections stay, and nothing comes through them.
    pub fn pause_api_server(&self) {
        self.signal_server("STOP");
        // Not before all of its threads have heard of it.
        let id = self.server.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Part::id);
        wait::until("the API server stands still", || id.is_none_or(processes::is_stopped).then_some(()));
    }

    /// Lets it go on after [`Cluster::pause_api_server`].
    pub fn resume_api_server(&self) {
        self.signal_server("CONT");
    }

    /// Resident memory of the API server in bytes; `None` while it is stopped.
    pub fn api_server_memory(&self) -> Option<u64> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.as_ref().and_then(|server| processes::resident(server.id()))
    }

    fn signal_server(&self, name: &str) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = server.as_ref() {
            processes::signal(server.id(), name);
        }
    }

    /// The collector of garbage looks for new kinds twice a minute only; started again, it knows them.
    fn restart_controllers(&self) {
        let mut controllers = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
        controllers.kill();
        *controllers = start_controllers(self.folder.path(), &self.identity, self.address);
    }

    /// Waits for what they do first of all.
    fn wait_controllers(&self) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin(), "default");
        let done = wait::within(START, || {
            let mut controllers = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(!controllers.has_ended(), "{}", controllers.complaint());
            block_on(accounts.get_opt("default")).ok().flatten()
        });
        let controllers = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(done.is_some(), "{}", controllers.complaint());
    }

    fn client(&self, who: AuthInfo) -> Client {
        client::client(self.address, &self.identity, who)
    }

    fn kubeconfig(&self, namespace: &str, user: &Value) -> PathBuf {
        let text = programs::kubeconfig(self.address, &self.identity, namespace, user);
        let mut known = self.kubeconfigs.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{}.kubeconfig", known.len());
        known.entry(text).or_insert_with_key(|text| programs::write(&self.folder.path().join(name), text)).clone()
    }
}
