//! An Envoy without Portico: what the numbers are held against.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::http::{self, Ask};
use crate::{portico, ports, wait};

/// An Envoy that sends every request to one upstream and does nothing else. It is killed when it is dropped.
#[derive(Debug)]
pub struct Bare {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Bare {
    /// Starts one with so many worker threads.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(upstream: SocketAddr, workers: u32) -> Bare {
        let address = ports::free_address();
        let folder = tempfile::Builder::new().prefix("portico-bare-").tempdir().expect("a temporary folder");
        let file = folder.path().join("envoy.yaml");
        std::fs::write(&file, configuration(address, upstream)).expect("a file in the temporary folder");
        let child = Command::new(portico::envoy())
            .args(["--use-dynamic-base-id", "--log-level", "error", "--concurrency", &workers.to_string(), "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Envoy starts");
        let bare = Bare { child, address, _folder: folder };
        wait::until("a bare Envoy", || http::once(address, &Ask::get("/")).ok().filter(|answer| answer.status == 200));
        bare
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(listen: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "\
static_resources:
  listeners:
    - name: bare
      address: {{ socket_address: {{ address: {}, port_value: {} }} }}
      filter_chains:
        - filters:
            - name: http
              typed_config:
                '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: bare
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ['*']
                      routes: [{{ match: {{ prefix: / }}, route: {{ cluster: upstream }} }}]
                http_filters:
                  - name: router
                    typed_config:
                      '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
    - name: upstream
      type: STATIC
      load_assignment:
        cluster_name: upstream
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}
",
        listen.ip(),
        listen.port(),
        upstream.ip(),
        upstream.port()
    )
}
