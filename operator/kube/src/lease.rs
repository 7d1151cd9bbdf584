//! Strives for a lease. One that is given back is taken at once: the library below looks at a lease only when it should be
//! over, so somebody has to wake it.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{MANAGER, fence};

pub use kube_lease_manager::LeaseManagerError as LeaseError;

/// The pause after an attempt that went wrong.
const PAUSE: Duration = Duration::from_secs(1);

/// Which lease, and on what terms.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Where it is.
    pub namespace: String,
    /// What it is called.
    pub name: String,
    /// Who wants it.
    pub identity: String,
    /// How long it holds when its holder is gone without a word.
    pub seconds: u64,
    /// How long before its end it is renewed.
    pub grace_seconds: u64,
    /// So long before the end of an unrenewed lease its holder leads no more: clocks differ, and what it began is under way.
    pub margin_seconds: u64,
}

/// Begins to strive. Whether this one leads ends with the last receiver, and then the lease is given back.
///
/// # Errors
/// Where the lease cannot be used at all, for example without the right to.
pub async fn strive(
    client: &Client,
    terms: Terms,
) -> Result<(watch::Receiver<bool>, JoinHandle<Result<(), LeaseError>>), LeaseError> {
    let (fenced, renewed) = fence::client(client);
    let mut manager = manager(&fenced, &terms).await?;
    let mut freed = freed(Api::namespaced(client.clone(), &terms.namespace), &terms.name);
    let holds = Duration::from_secs(terms.seconds - terms.margin_seconds);
    let (elect, elected) = watch::channel(false);
    let striving = tokio::spawn(async move {
        loop {
            let follows = !*elect.borrow();
            tokio::select! {
                biased;
                () = elect.closed() => return manager.release().await,
                Some(()) = freed.next(), if follows => match self::manager(&fenced, &terms).await {
                    Ok(fresh) => manager = fresh,
                    Err(error) => tracing::warn!(%error, "cannot look at the lease; it is looked at when it should be over"),
                },
                changed = manager.changed() => match changed {
                    Ok(is_holder) => _ = elect.send_replace(is_holder),
                    Err(error) => {
                        tracing::warn!(%error, "cannot get at the lease; trying again");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    });
    Ok((fence::leader(elected, renewed, holds), striving))
}

async fn manager(client: &Client, terms: &Terms) -> Result<LeaseManager, LeaseError> {
    LeaseManagerBuilder::new(client.clone(), &terms.name)
        .with_namespace(&terms.namespace)
        .with_identity(&terms.identity)
        .with_duration(terms.seconds)
        .with_grace(terms.grace_seconds)
        .with_field_manager(MANAGER)
        .build()
        .await
}

/// Whenever nobody holds the lease.
fn freed(api: Api<Lease>, name: &str) -> impl Stream<Item = ()> + Unpin + use<> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let is_free = |lease: &Lease| {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        holder.is_none_or(str::is_empty)
    };
    let freed = watcher(api, config).default_backoff().filter_map(move |event| async move {
        match event {
            Ok(Event::Apply(lease) | Event::InitApply(lease)) => is_free(&lease).then_some(()),
            Ok(Event::Delete(lease)) => {
                tracing::warn!(lease = lease.name_any(), "somebody deleted the lease");
                Some(())
            }
            Ok(Event::Init | Event::InitDone) => None,
            Err(error) => {
                tracing::debug!(%error, "cannot follow the lease");
                None
            }
        }
    });
    freed.boxed()
}
