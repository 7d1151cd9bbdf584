//! The developer portal of `portico operator`.
//!
//! Every replica has a core that follows the cluster, but only the leader's knows what gateways have confirmed, and whoever has
//! signed out is known where that happened. So the leader answers, and each other replica passes connections on to it: a Service
//! may lead to any of them, and all are ready.

mod door;
mod host;
mod written;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use portico_kube::portal::Memory;
use portico_portal::{Portal, Reading, SealingKey, Settings, router};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::engine::{Health, Question};
use super::held::Held;
use crate::up::chain;
use door::Door;
use host::InCluster;
use written::Written;

/// The pause before the key for sessions is asked for again.
const PAUSE: Duration = Duration::from_secs(5);

/// What a portal is made with.
pub struct Site {
    pub reading: Reading,
    pub held: Arc<Held>,
    pub memory: Memory,
    pub questions: mpsc::UnboundedSender<Question>,
    /// Where copies of repositories are kept.
    pub copies: PathBuf,
    /// Whether people sign in by choosing who they are, for trying out.
    pub local: bool,
    /// This replica, as the Lease names it, and its address for the others.
    pub identity: String,
    pub own: IpAddr,
}

/// Opens it on an address, and answers which one it is, and the task that serves it once everything was listed. Whoever ends the
/// task ends all connections.
pub async fn serve(
    address: SocketAddr,
    site: Site,
    leader: watch::Receiver<bool>,
    health: watch::Receiver<Health>,
) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let public = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another address with --portal"))?;
    let address = public.local_addr().context("cannot tell the address")?;
    let between = TcpListener::bind((site.own, 0)).await.with_context(|| {
        format!("cannot listen on {}: name an address of this replica with --replica-address", site.own)
    })?;
    let Site { memory, identity, .. } = &site;
    let door = Door::new(public, between, memory.clone(), identity.clone(), leader)?;
    Ok((address, tokio::spawn(door.keep(open(site, health)))))
}

/// The portal, once there is all that it needs.
async fn open(site: Site, mut health: watch::Receiver<Health>) -> Router {
    let Site { reading, held, memory, questions, copies, local, identity: _, own: _ } = site;
    // It ends only with the program.
    let _ = health.wait_for(|health| health.synced).await;
    let key = loop {
        match sealing_key(&memory).await {
            Ok(key) => break key,
            Err(why) => tracing::error!(error = why, "the portal cannot be served; trying again"),
        }
        sleep(PAUSE).await;
    };
    let written = Written::new(reading.clone(), held.clone(), copies);
    let host = InCluster { reading: reading.clone(), held, memory, questions, written };
    router(Portal::new(reading, Arc::new(host), Settings { local: Some(local), key }))
}

async fn sealing_key(memory: &Memory) -> Result<SealingKey, String> {
    let mut fresh = [0; SealingKey::LENGTH];
    getrandom::fill(&mut fresh).map_err(|error| format!("this machine has no randomness: {error}"))?;
    let key = memory.sealing_key(fresh).await.map_err(|error| chain(&error))?;
    Ok(SealingKey::new(&key))
}
