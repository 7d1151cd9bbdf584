//! Clients, and the runtime that all of them are on.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::thread;

use kube::config::AuthInfo;
use kube::{Client, Config};
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};
use tokio::task::JoinHandle;

use super::identity::Identity;

/// Waits for a future, from wherever this is called: a plain test, or one that has a runtime itself.
///
/// All futures run on one runtime that lives as long as the process. So a client can be used in one call after the other.
pub fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    match Handle::try_current().map(|here| here.runtime_flavor()) {
        Err(_) => runtime().block_on(future),
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| runtime().block_on(future)),
        Ok(_) => thread::scope(|scope| {
            let outcome = scope.spawn(|| runtime().block_on(future)).join();
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }),
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("cluster")
            .enable_all()
            .build()
            .expect("threads for clients")
    })
}

/// A client that can be used from everywhere: its connections, and what waits for answers, are on the runtime of
/// [`block_on`]. A client as it comes has them on the runtime that asks first, and breaks when that ends or stands still.
pub(super) fn client(address: SocketAddr, identity: &Identity, who: AuthInfo) -> Client {
    let mut config = Config::new(format!("https://{address}").parse().expect("an address makes a URL"));
    config.root_cert = Some(vec![identity.authority_der.clone()]);
    config.auth_info = who;
    let namespace = config.default_namespace.clone();
    let _here = runtime().enter();
    let client = Client::try_from(config).expect("our own certificates are good");
    let service = tower::service_fn(move |request| {
        let client = client.clone();
        let mut sending = AbortOnDrop(runtime().spawn(async move { client.send(request).await }));
        async move { (&mut sending.0).await.expect("a request does not panic") }
    });
    Client::new(service, namespace)
}

/// A task that nobody wants any more when this is gone.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
