//! Who holds a lease and cannot renew it stops to lead before it ends, also where the API server says nothing at all.

use std::io;
use std::time::Duration;

use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// How long an answer about the lease may take. It has to leave time for another attempt.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client for the lease and nothing else, and when the last write of it that was taken was sent.
pub fn client(client: &Client) -> (Client, watch::Receiver<Option<Instant>>) {
    let namespace = client.default_namespace().to_owned();
    let (renewed, known) = watch::channel(None);
    let client = client.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (client, renewed) = (client.clone(), renewed.clone());
        async move {
            let sent = Instant::now();
            let is_write = request.method() != http::Method::GET;
            let answer = timeout(PATIENCE, client.send(request)).await;
            let answer = answer.map_err(|_| tower::BoxError::from(io::Error::from(io::ErrorKind::TimedOut)))?;
            if is_write && answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
                renewed.send_replace(Some(sent));
            }
            answer.map_err(tower::BoxError::from)
        }
    });
    (Client::new(service, namespace), known)
}

/// Whether this replica leads: it was elected, and a lease that was renewed when it was last holds on. Ends when nobody
/// listens any more, and lets go of `elected` then.
pub fn leader(
    mut elected: watch::Receiver<bool>,
    mut renewed: watch::Receiver<Option<Instant>>,
    holds: Duration,
) -> watch::Receiver<bool> {
    let (leads, known) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            let end = renewed.borrow_and_update().map(|renewed| renewed + holds);
            let is_elected = *elected.borrow_and_update();
            let is_leader = is_elected && end.is_some_and(|end| Instant::now() < end);
            if is_elected && !is_leader && *leads.borrow() {
                tracing::warn!("the lease could not be renewed");
            }
            leads.send_if_modified(|known| std::mem::replace(known, is_leader) != is_leader);
            let end = end.filter(|_| is_leader).unwrap_or_else(|| Instant::now() + holds);
            tokio::select! {
                changed = elected.changed() => if changed.is_err() { return },
                changed = renewed.changed() => if changed.is_err() { return },
                () = sleep_until(end) => {}
                () = leads.closed() => return,
            }
        }
    });
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_unrenewed_lease_ends_by_itself() {
        let (elect, elected) = watch::channel(false);
        let (renew, renewed) = watch::channel(None);
        let mut leader = leader(elected, renewed, Duration::from_secs(14));
        let begun = Instant::now();
        renew.send_replace(Some(begun));
        elect.send_replace(true);
        assert!(leader.wait_for(|leads| *leads).await.is_ok());
        tokio::time::sleep(Duration::from_secs(10)).await;
        renew.send_replace(Some(begun + Duration::from_secs(10)));
        assert!(leader.wait_for(|leads| !*leads).await.is_ok());
        assert_eq!(begun.elapsed().as_secs(), 24);
        // It was renewed late, and nobody else took it.
        renew.send_replace(Some(Instant::now()));
        assert!(leader.wait_for(|leads| *leads).await.is_ok());
        elect.send_replace(false);
        assert!(leader.wait_for(|leads| !*leads).await.is_ok());
        drop(leader);
        elect.closed().await;
    }
}
