//! The numbers of the README: `make bench`. Sizes may be given (`make bench ARGS="1000 10000"`); by default 1,000, 10,000 and
//! 100,000 subscriptions with a key each, and 10,000 in a cluster. `ARGS="embedded 1000"` and `ARGS="cluster 1000"` measure
//! one of the two, `ARGS="quota"` what it costs to count limits elsewhere, `ARGS="write"` how fast Git is written,
//! `ARGS="portal"` how quick the portal is, and nothing else. It prints Markdown. Every figure stands beside what it is held against,
//! measured in the same run.

mod cluster;
mod grow;
mod portal;
mod quota;
mod table;
mod throughput;
mod write;

use std::process::Command;

use portico_tests::portico;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let sizes = |usual: &[usize]| if given.is_empty() { usual.to_vec() } else { given.clone() };
    let is_asked =
        |what: &str, other: &str| words.iter().any(|word| word == what) || !words.iter().any(|word| word == other);
    println!("{}\n", machine());
    if words.iter().any(|word| word == "quota") {
        print!("{}", quota::run());
        return;
    }
    if words.iter().any(|word| word == "portal") {
        print!("{}", portal::run());
        return;
    }
    let largest = sizes(&[100_000]).into_iter().max().unwrap_or_default();
    if words.iter().any(|word| word == "write") {
        print!("{}", write::run(largest));
        return;
    }
    if is_asked("embedded", "cluster") {
        print!("{}", write::run(largest));
        print!("{}", portal::run());
        print!("{}", grow::report(&grow::run(&sizes(&[1_000, 10_000, 100_000]))));
    }
    if is_asked("cluster", "embedded") {
        let measured: Vec<_> = sizes(&[10_000]).into_iter().map(cluster::run).collect();
        print!("{}", cluster::report(&measured));
    }
}

/// What it ran on.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0);
    let version = |program: &std::path::Path| {
        let output = Command::new(program).arg("--version").output().expect("the program starts");
        String::from_utf8_lossy(&output.stdout).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    let envoy = version(portico::envoy());
    let envoy = envoy
        .split('/')
        .find(|part| part.contains('.') && part.chars().all(|one| one == '.' || one.is_ascii_digit()))
        .unwrap_or(&envoy)
        .to_owned();
    format!("{cores} cores, {} GiB, Envoy {envoy}, {}", memory / 1024 / 1024, version(portico::binary()))
}
