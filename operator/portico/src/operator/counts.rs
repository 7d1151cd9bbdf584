//! Keeps what the leader counts against long limits, so that the next one goes on from there.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use portico_core::quota::Record;
use portico_envoy::server::Server;
use portico_kube::counts::{Place, shard};
use portico_kube::write::in_time;
use tokio::sync::{oneshot, watch};
use tokio::time::{interval, sleep};

use crate::up::chain;

/// How often it is kept. So much of it is lost when the leader is killed.
const PAUSE: Duration = Duration::from_secs(10);
/// The pause after an attempt to read that went wrong.
const RETRY: Duration = Duration::from_secs(1);

/// Works until `end`, and then keeps the rest.
pub async fn keep(server: Server, place: Place, mut leader: watch::Receiver<bool>, mut end: oneshot::Receiver<()>) {
    loop {
        let is_leader = tokio::select! {
            leads = leads(&mut leader, true) => leads,
            _ = &mut end => false,
        };
        if !is_leader {
            return;
        }
        tokio::select! {
            () = restore(&server, &place) => {}
            _ = leads(&mut leader, false) => {
                server.clear_counts();
                continue;
            }
            // What was not read must not be written over.
            _ = &mut end => return,
        }
        let mut keeper = Keeper { server: &server, place: &place, fails: false };
        let mut ticks = interval(PAUSE);
        loop {
            tokio::select! {
                _ = ticks.tick() => keeper.keep().await,
                _ = leads(&mut leader, false) => break,
                _ = &mut end => return keeper.keep().await,
            }
        }
        server.clear_counts();
    }
}

/// Waits until this replica leads, or does not. Answers no when nobody will ever say so.
async fn leads(leader: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    leader.wait_for(|leads| *leads == wanted).await.is_ok()
}

async fn restore(server: &Server, place: &Place) {
    loop {
        match place.read().await {
            Ok(records) => return server.restore_counts(records),
            Err(error) => tracing::warn!(error = chain(&error), "cannot read what was counted; trying again"),
        }
        sleep(RETRY).await;
    }
}

struct Keeper<'a> {
    server: &'a Server,
    place: &'a Place,
    fails: bool,
}

impl Keeper<'_> {
    async fn keep(&mut self) {
        let mut changed: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
        for record in self.server.take_counts(Timestamp::now()) {
            changed.entry(shard(&record)).or_default().push(record);
        }
        if changed.is_empty() {
            return;
        }
        let mut all: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
        for record in self.server.counts() {
            all.entry(shard(&record)).or_default().push(record);
        }
        let mut fails = false;
        for (shard, records) in changed {
            let wanted = all.remove(&shard).unwrap_or_default();
            if let Err(error) = in_time(self.place.write(shard, &wanted)).await {
                self.server.counts_not_kept(records);
                if !self.fails {
                    tracing::warn!(error = chain(&error), "what is counted against limits cannot be kept");
                }
                fails = true;
            }
        }
        if self.fails && !fails {
            tracing::info!("what is counted against limits can be kept again");
        }
        self.fails = fails;
    }
}
