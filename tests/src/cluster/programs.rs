//! How the programs of a cluster are started, and the files that they read.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::AuthInfo;
use serde_json::{Value, json};

use super::client::{block_on, client};
use super::identity::Identity;
use super::part::Part;
use crate::wait;

/// How long its parts may take to start, on a machine that builds something else meanwhile.
pub(super) const START: Duration = Duration::from_mins(2);

pub(super) fn kubeconfig(address: SocketAddr, identity: &Identity, namespace: &str, user: &Value) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "test",
            "cluster": {"server": format!("https://{address}"), "certificate-authority": identity.authority},
        }],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "current-context": "test",
    });
    serde_yaml::to_string(&config).expect("JSON is YAML")
}

/// Writes a file that only its owner may read.
pub(super) fn write(path: &Path, text: &str) -> PathBuf {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path.to_owned()
}

/// etcd on a socket in the folder: nobody can take that away, or come in from outside.
pub(super) fn start_etcd(folder: &Path) -> Part {
    Part::start(
        folder,
        "etcd",
        &[
            "--data-dir=data".to_owned(),
            format!("--listen-client-urls={}", etcd_url(folder)),
            format!("--advertise-client-urls={}", etcd_url(folder)),
            format!("--listen-peer-urls=unix://{}/peer.sock", folder.display()),
            format!("--initial-advertise-peer-urls=unix://{}/peer.sock", folder.display()),
            format!("--initial-cluster=default=unix://{}/peer.sock", folder.display()),
            "--unsafe-no-fsync".to_owned(),
            // For a benchmark of 100,000 subscriptions the usual two are not enough.
            format!("--quota-backend-bytes={}", 8_u64 << 30),
            "--log-level=warn".to_owned(),
        ],
    )
}

fn etcd_url(folder: &Path) -> String {
    format!("unix://{}/etcd.sock", folder.display())
}

/// Starts an API server and waits until it is ready; or says what it complains about.
pub(super) fn start_server(
    folder: &Path,
    identity: &Identity,
    address: SocketAddr,
    etcd: &mut Part,
) -> Result<Part, String> {
    let mut server = Part::start(
        folder,
        "kube-apiserver",
        &[
            format!("--etcd-servers={}", etcd_url(folder)),
            format!("--bind-address={}", Ipv4Addr::LOCALHOST),
            format!("--secure-port={}", address.port()),
            // Loopback is not an address to tell anybody.
            "--endpoint-reconciler-type=none".to_owned(),
            "--cert-dir=certificates".to_owned(),
            "--tls-cert-file=server.crt".to_owned(),
            "--tls-private-key-file=server.key".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--token-auth-file=tokens.csv".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-account-key-file=accounts.pub".to_owned(),
            "--service-account-signing-key-file=accounts.key".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--profiling=false".to_owned(),
        ],
    );
    let client =
        client(address, identity, AuthInfo { token: Some(identity.admin.clone().into()), ..AuthInfo::default() });
    let ready = wait::within(START, || {
        if server.has_ended() || etcd.has_ended() {
            return Some(false);
        }
        let ask = hyper::Request::get("/readyz").body(Vec::new()).expect("a request");
        block_on(client.request_text(ask)).is_ok().then_some(true)
    });
    match ready {
        Some(true) => Ok(server),
        _ if etcd.has_ended() => Err(etcd.complaint()),
        _ => Err(server.complaint()),
    }
}

pub(super) fn start_controllers(folder: &Path, identity: &Identity, address: SocketAddr) -> Part {
    let user = json!({"token": identity.controllers});
    let config = write(&folder.join("controllers.kubeconfig"), &kubeconfig(address, identity, "default", &user));
    Part::start(
        folder,
        "kube-controller-manager",
        &[
            format!("--kubeconfig={}", config.display()),
            "--controllers=namespace,serviceaccount,serviceaccount-token,garbagecollector,clusterrole-aggregation"
                .to_owned(),
            "--use-service-account-credentials".to_owned(),
            "--service-account-private-key-file=accounts.key".to_owned(),
            "--root-ca-file=authority.crt".to_owned(),
            // It is alone, serves nobody, and is not to hold up thousands of objects.
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--kube-api-qps=1000".to_owned(),
            "--kube-api-burst=2000".to_owned(),
            "--profiling=false".to_owned(),
        ],
    )
}
