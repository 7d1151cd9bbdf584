//! Requests per second with key check and limits, against the same Envoy program without filters.

use std::net::SocketAddr;
use std::time::Duration;

use portico_tests::bare::Bare;
use portico_tests::load::{self, Flood};
use portico_tests::portico::Launch;
use portico_tests::{processes, wait};

use crate::table::{Table, count};

/// One after the other, in turn, so that whatever else the machine does falls on both alike.
const TURNS: usize = 7;
const TURN: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 64;

/// What was measured, a value a turn.
pub(crate) struct Throughput {
    keys: usize,
    filtered: Vec<Turn>,
    bare: Vec<Turn>,
}

#[derive(Clone, Copy)]
struct Turn {
    rate: f64,
    /// Envoy's own processor time a request, in microseconds.
    cost: f64,
}

/// Sends `requests`, each with another key, to the gateway and to a bare Envoy in turn.
pub(crate) fn measure(gateway: SocketAddr, upstream: SocketAddr, launch: &Launch, requests: &[Vec<u8>]) -> Throughput {
    let envoys = launch.envoys();
    let envoy = *envoys.first().expect("an Envoy runs");
    let bare = Bare::start(upstream, workers(envoy));
    // Both warm up: connections to the upstream, memory.
    for address in [gateway, bare.address()] {
        load::flood(address, CONNECTIONS, Duration::from_secs(1), requests);
    }
    let mut throughput = Throughput { keys: requests.len(), filtered: Vec::new(), bare: Vec::new() };
    for _ in 0..TURNS {
        throughput.filtered.push(turn(gateway, envoy, requests));
        throughput.bare.push(turn(bare.address(), bare.id(), requests));
    }
    throughput
}

fn turn(address: SocketAddr, envoy: u32, requests: &[Vec<u8>]) -> Turn {
    let before = processes::ticks(envoy).unwrap_or(0);
    let flood: Flood = load::flood(address, CONNECTIONS, TURN, requests);
    assert_eq!(flood.other, 0, "all requests are let in");
    let ticks = processes::ticks(envoy).unwrap_or(0) - before;
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    let cost = ticks as f64 * 10_000.0 / flood.good as f64;
    Turn { rate: flood.rate(), cost }
}

/// As many worker threads as Portico's Envoy has.
fn workers(envoy: u32) -> u32 {
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{envoy}/task")).ok()?;
        let workers = tasks
            .filter_map(Result::ok)
            .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
            .filter(|name| name.starts_with("wrk:"))
            .count();
        u32::try_from(workers).ok().filter(|workers| *workers > 0)
    };
    wait::until("Envoy's worker threads", threads)
}

/// The table.
pub(crate) fn report(subscriptions: usize, throughput: &Throughput) -> String {
    let median = |turns: &[Turn], of: fn(&Turn) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut ratios: Vec<f64> =
        throughput.filtered.iter().zip(&throughput.bare).map(|(filtered, bare)| filtered.rate / bare.rate).collect();
    ratios.sort_by(f64::total_cmp);
    let mut table = Table::new(["", "requests/s", "Envoy's processor time a request"]);
    for (name, turns) in
        [("keys and limits", &throughput.filtered), ("the same Envoy without filters", &throughput.bare)]
    {
        table.row([
            name.to_owned(),
            whole(median(turns, |turn| turn.rate)),
            format!("{:.1} µs", median(turns, |turn| turn.cost)),
        ]);
    }
    table.row([
        "ratio".to_owned(),
        format!("{:.2} ({:.2} to {:.2})", ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1]),
        format!("{:.2}", median(&throughput.filtered, |turn| turn.cost) / median(&throughput.bare, |turn| turn.cost)),
    ]);
    format!(
        "### Requests through Envoy with {} keys, {} of them in use\n\n{}",
        count(subscriptions as u64),
        count(throughput.keys as u64),
        table.markdown()
    )
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and small")]
fn whole(rate: f64) -> String {
    count(rate.round() as u64)
}
