//! How the programs of Argo CD are started.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{PATIENCE, binaries};
use crate::cluster::part::Part;
use crate::{ports, wait};

/// Redis on a socket in the folder: nobody can take that away, or come in from outside.
pub(super) fn start_redis(folder: &Path) -> Part {
    let socket = folder.join("redis.sock");
    let arguments = [
        "--port",
        "0",
        "--unixsocket",
        &socket.display().to_string(),
        // It keeps nothing.
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    .map(str::to_owned);
    let mut redis = Part::start_from(binaries(), folder, "redis-server", &arguments, &[]);
    let started = wait::within(PATIENCE, || {
        let ended = redis.has_ended();
        (ended || UnixStream::connect(&socket).is_ok()).then_some(!ended)
    });
    assert!(started == Some(true), "{}", redis.complaint());
    redis
}

/// The server that reads repositories. It needs nothing of the cluster, and is not let in.
pub(super) fn start_repo_server(folder: &Path) -> (Part, SocketAddr) {
    // Between asking for a free port and listening there, somebody else can take it.
    for _ in 0..5 {
        let address = ports::free_address();
        let arguments = [
            format!("--address={}", Ipv4Addr::LOCALHOST),
            format!("--port={}", address.port()),
            format!("--metrics-address={}", Ipv4Addr::LOCALHOST),
            "--metrics-port=0".to_owned(),
            "--disable-tls".to_owned(),
            format!("--redis={}", folder.join("redis.sock").display()),
        ];
        let mut server = Part::start_from(binaries(), folder, "argocd-repo-server", &arguments, &variables(folder));
        let started = wait::within(PATIENCE, || {
            let ended = server.has_ended();
            (ended || TcpStream::connect(address).is_ok()).then_some(!ended)
        });
        if started == Some(true) {
            return (server, address);
        }
        let complaint = server.complaint();
        assert!(complaint.contains("address already in use"), "{complaint}");
    }
    panic!("no port stays free until the repository server listens there");
}

pub(super) fn start_controller(folder: &Path, kubeconfig: &Path, repo_server: SocketAddr) -> Part {
    let arguments = [
        format!("--redis={}", folder.join("redis.sock").display()),
        format!("--repo-server={repo_server}"),
        "--repo-server-plaintext".to_owned(),
        // It cannot be told to stay on loopback, so it takes a port that nobody knows.
        "--metrics-port=0".to_owned(),
        // What its pages would show of each object.
        "--persist-resource-health".to_owned(),
    ];
    let mut variables = variables(folder).to_vec();
    variables.push(("KUBECONFIG", kubeconfig.display().to_string()));
    // `https://kubernetes.default.svc` is then the server of that file.
    variables.push(("ARGOCD_FAKE_IN_CLUSTER", "true".to_owned()));
    Part::start_from(binaries(), folder, "argocd-application-controller", &arguments, &variables)
}

/// Where they look for files, all in the folder, and what Git is not to read.
fn variables(folder: &Path) -> [(&'static str, String); 8] {
    let below = |name: &str| {
        let path = folder.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path.display().to_string()
    };
    [
        ("TMPDIR", below("tmp")),
        ("ARGOCD_GPG_ENABLED", "false".to_owned()),
        ("ARGOCD_GNUPGHOME", below("gpg")),
        ("ARGOCD_GPG_DATA_PATH", below("gpg-source")),
        ("ARGOCD_TLS_DATA_PATH", below("tls")),
        ("ARGOCD_SSH_DATA_PATH", below("ssh")),
        ("ARGOCD_PLUGINSOCKFILEPATH", below("plugins")),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
    ]
}
