//! What grows with the number of keys, and what must not.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use portico_tests::admin::Admin;
use portico_tests::generate::{Generated, Place};
use portico_tests::http::{Ask, Connection};
use portico_tests::portico::{Launch, Portico};
use portico_tests::{load, ports, processes, repo, wait};

use crate::table::{Table, count, mebibytes, quantile, time};
use crate::throughput::{self, Throughput};

/// How many keys are revoked to see how long it takes.
const REVOCATIONS: usize = 200;
/// Starting with 100,000 new keys on two slow cores must not be cut off: that it takes long is a result.
const PATIENCE: Duration = Duration::from_mins(5);

/// What was measured at one size.
pub(crate) struct Grown {
    subscriptions: usize,
    read: Duration,
    first_start: Duration,
    restart: Duration,
    restart_both: Duration,
    portico: u64,
    portico_peak: u64,
    envoy: u64,
    revocations: Vec<Duration>,
    round_trips: Vec<Duration>,
    accepted_after: usize,
    connections_broken: usize,
    bytes: u64,
    listener_changes: u64,
    throughput: Option<Throughput>,
}

/// Measures at each size; requests per second only at the largest.
pub(crate) fn run(sizes: &[usize]) -> Vec<Grown> {
    let largest = sizes.iter().copied().max();
    sizes.iter().map(|size| grow(*size, Some(*size) == largest)).collect()
}

fn grow(subscriptions: usize, with_throughput: bool) -> Grown {
    let step = |what: &str| eprintln!("{}: {what}", count(subscriptions as u64));
    step("making the repository");
    let gateway = ports::free();
    let upstream = load::cheap_upstream();
    let many = Generated::new(subscriptions, gateway, &format!("http://{upstream}"));
    let gateway = (Ipv4Addr::LOCALHOST, gateway).into();
    let read = read_with_git(&many);
    let launch = Launch::new(many.path()).arguments(["--poll", "3600"]);

    step("starting, with keys to be made");
    let (portico, first_start) = start(&launch);
    let revoked: Vec<usize> = (0..REVOCATIONS).map(|number| number * subscriptions / REVOCATIONS).collect();
    let commits = many.revocations(&revoked);
    step("asking for keys");
    let keys: Vec<String> = revoked.iter().map(|index| key(&launch, *index)).collect();

    let throughput = with_throughput.then(|| {
        step("requests per second");
        // Keys that are not revoked, all over the range.
        let distance = (subscriptions / 500).max(1);
        let requests: Vec<Vec<u8>> = (0..subscriptions)
            .step_by(distance)
            .filter(|index| !revoked.contains(index))
            .map(|index| load::request(&Place::of(index).paths().0, "bench", Some(&key(&launch, index))))
            .collect();
        throughput::measure(gateway, upstream, &launch, &requests)
    });

    step("revoking");
    let admin = Admin::find(&launch.state());
    let stat = |words: &[&str]| admin.as_ref().map_or(0, |admin| admin.stat(words));
    let (bytes, listeners) = (stat(&["cluster.portico.", "upstream_cx_rx_bytes_total"]), listener_changes(&stat));
    let (mut revocations, mut round_trips, mut accepted_after, mut connections_broken) = (vec![], vec![], 0, 0);
    for ((index, commit), key) in revoked.iter().zip(&commits).zip(&keys) {
        let ask = Ask::get(&Place::of(*index).paths().0).key(key);
        let mut connection = Connection::open(gateway).expect("the gateway listens");
        let before = connection.send(&ask).expect("the gateway answers");
        assert_eq!(before.status, 200, "{}", before.body);
        let asked = Instant::now();
        connection.send(&ask).expect("the gateway answers");
        round_trips.push(asked.elapsed());

        many.set_head(commit);
        let there = Instant::now();
        let denied = loop {
            match connection.send(&ask) {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => break answer.status == 401,
                Err(_) => break false,
            }
            assert!(there.elapsed() < wait::PATIENCE, "not revoked:\n{}", portico.output());
        };
        revocations.push(there.elapsed());
        connections_broken += usize::from(!denied);
        for _ in 0..5 {
            accepted_after += usize::from(connection.send(&ask).is_ok_and(|answer| answer.status == 200));
        }
    }
    thread::sleep(Duration::from_millis(500));
    let bytes = (stat(&["cluster.portico.", "upstream_cx_rx_bytes_total"]) - bytes) / REVOCATIONS as u64;
    let listener_changes = listener_changes(&stat) - listeners;

    let memory = |id: Option<u32>| id.and_then(processes::resident).unwrap_or(0);
    let envoy = launch.envoys().first().copied();
    let (portico_memory, envoy_memory) = (memory(Some(portico.id())), memory(envoy));
    let portico_peak = processes::peak(portico.id()).unwrap_or(0);

    step("starting again");
    portico.kill();
    let (portico, restart) = start(&launch);
    portico.kill();
    for envoy in launch.envoys() {
        processes::signal(envoy, "KILL");
    }
    wait::until("Envoy to end", || launch.envoys().is_empty().then_some(()));
    let (portico, restart_both) = start(&launch);
    portico.kill();

    Grown {
        subscriptions,
        read,
        first_start,
        restart,
        restart_both,
        portico: portico_memory,
        portico_peak,
        envoy: envoy_memory,
        revocations,
        round_trips,
        accepted_after,
        connections_broken,
        bytes,
        listener_changes,
        throughput,
    }
}

fn listener_changes(stat: &dyn Fn(&[&str]) -> u64) -> u64 {
    ["listener_added", "listener_modified", "listener_removed"]
        .iter()
        .map(|name| stat(&["listener_manager", name]))
        .sum()
}

fn key(launch: &Launch, index: usize) -> String {
    let credential = Place::of(index).credential();
    wait::until(&format!("the key of {credential}"), || launch.reveal(&credential))
}

/// From the start of the process until it says that everything is enforced.
fn start(launch: &Launch) -> (Portico, Duration) {
    let begun = Instant::now();
    let mut portico = launch.start();
    portico.wait_ready_for(PATIENCE);
    (portico, begun.elapsed())
}

/// How long Git itself takes to hand out every file of the commit: what a start is held against.
fn read_with_git(many: &Generated) -> Duration {
    let begun = Instant::now();
    let status = repo::command(many.path())
        .args(["archive", "--format=tar", "main"])
        .stdout(Stdio::null())
        .status()
        .expect("`git archive` starts");
    assert!(status.success());
    begun.elapsed()
}

/// The tables.
pub(crate) fn report(grown: &[Grown]) -> String {
    let mut text = String::from("### Start and memory\n\n");
    let mut table = Table::new([
        "subscriptions, a key each",
        "`git archive` alone",
        "first start, keys made",
        "restart, Envoy runs",
        "restart of both",
        "Portico (peak)",
        "Envoy",
    ]);
    for size in grown {
        table.row([
            count(size.subscriptions as u64),
            time(size.read),
            time(size.first_start),
            time(size.restart),
            time(size.restart_both),
            format!("{} ({})", mebibytes(size.portico), mebibytes(size.portico_peak)),
            mebibytes(size.envoy),
        ]);
    }
    text.push_str(&table.markdown());

    text.push_str(
        "### From the commit that revokes one key to the first 401, on a connection that was open before\n\n",
    );
    let mut table = Table::new([
        "keys",
        "p50",
        "p99",
        "longest",
        "one request (p50)",
        "accepted afterwards",
        "connections lost",
        "bytes to Envoy",
        "listener changes",
    ]);
    for size in grown {
        let mut revocations = size.revocations.clone();
        table.row([
            count(size.subscriptions as u64),
            time(quantile(&mut revocations, 0.5)),
            time(quantile(&mut revocations, 0.99)),
            time(quantile(&mut revocations, 1.0)),
            time(quantile(&mut size.round_trips.clone(), 0.5)),
            size.accepted_after.to_string(),
            size.connections_broken.to_string(),
            count(size.bytes),
            size.listener_changes.to_string(),
        ]);
    }
    text.push_str(&table.markdown());
    for size in grown {
        if let Some(throughput) = &size.throughput {
            text.push_str(&throughput::report(size.subscriptions, throughput));
        }
    }
    text
}
