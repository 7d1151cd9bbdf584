//! 200 × `kill -9` while 64 writers write: nothing that was acknowledged is lost, and nothing lands twice.
//!
//! The test starts itself as the process that is killed.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

#[path = "write/stage.rs"]
#[allow(dead_code, reason = "it is shared with other tests")]
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portico_git::write::{IdempotencyKey, Proposal, Request, RequestId};

use stage::{Hand, Writing, application, git, here, person, put, request};

const KILLS: usize = 200;
const WRITERS: usize = 64;
const REPOSITORY: &str = "PORTICO_TEST_REPOSITORY";
const TURNS: &str = "PORTICO_TEST_TURNS";

fn main() {
    if let (Some(repository), Ok(turns)) = (std::env::var_os(REPOSITORY), std::env::var(TURNS)) {
        write(Path::new(&repository), &turns);
    } else {
        let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
        if filters.is_empty() || filters.iter().any(|filter| "kill".contains(filter.as_str())) {
            kill();
        }
    }
}

/// Writes without end, each writer from its turn on, and says what was acknowledged.
fn write(repository: &Path, turns: &str) {
    let writing = Writing::new(here(repository), |_: &Proposal<'_>| Vec::new());
    let tell = |line: String| {
        let mut out = std::io::stdout().lock();
        // The end of the one who listens is the end of this process too.
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).expect("somebody listens");
    };
    writing.wait(async {
        let all: Vec<_> = turns
            .split(',')
            .enumerate()
            .map(|(number, turn)| {
                let (writer, first) = (writing.writer.clone(), turn.parse::<usize>().expect("a number"));
                tokio::spawn(async move {
                    for turn in first.. {
                        let text =
                            application(&format!("a-{number}")).replace("title: a-", &format!("title: t{turn}-"));
                        let key = format!("{number}_{turn}");
                        let asked = Request {
                            id: RequestId::new(&key).expect("an id"),
                            once: IdempotencyKey::new(&key).expect("a key"),
                            author: person(&format!("P{number}")),
                            ..request(vec![put(&text)])
                        };
                        let landed = writer.submit(asked).await.expect("lands");
                        tell(format!("{number} {turn} {}\n", landed.commit));
                    }
                })
            })
            .collect();
        for one in all {
            one.await.expect("it ends");
        }
    });
}

fn kill() {
    let hand = Hand::new();
    let bare = hand.bare();
    let start = Instant::now();
    let mut next = [0_usize; WRITERS];
    let mut acknowledged: BTreeMap<String, String> = BTreeMap::new();
    let mut dice: u64 = 0x5eed_0000_0001;
    for round in 0..KILLS {
        let turns: Vec<String> = next.iter().map(ToString::to_string).collect();
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .env(REPOSITORY, &bare)
            .env(TURNS, turns.join(","))
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = child.stdout.take().expect("it is piped");
        let (begin, begun) = std::sync::mpsc::channel();
        let listen = std::thread::spawn(move || {
            let tell = |_: &String| begin.send(()).unwrap_or_default();
            BufReader::new(out).lines().map_while(Result::ok).inspect(tell).collect::<Vec<_>>()
        });
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        // Some die while they begin, most while they write.
        if round % 8 > 0 {
            begun.recv_timeout(Duration::from_secs(20)).expect("it writes, whatever the one before has left behind");
        }
        std::thread::sleep(Duration::from_millis(dice % 30));
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        for line in listen.join().expect("it ends") {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default().to_owned();
            let (number, turn, commit) = (word(), word(), word());
            // The end of a line may not have been written any more.
            if commit.len() < 40 {
                continue;
            }
            let before = acknowledged.insert(format!("{number}_{turn}"), commit.clone());
            assert!(before.is_none_or(|before| before == commit), "{number} {turn} became two commits");
            next[number.parse::<usize>().expect("a number")] = turn.parse::<usize>().expect("a number") + 1;
        }
    }
    let took = start.elapsed();
    let log = git(&bare, &["log", "--format=%H %(trailers:key=Portico-Idempotency-Key,valueonly,separator=)", "main"]);
    let landed: Vec<(&str, &str)> =
        log.lines().filter_map(|line| line.split_once(' ')).filter(|(_, key)| !key.is_empty()).collect();
    let keys: BTreeSet<&str> = landed.iter().map(|(_, key)| *key).collect();
    assert_eq!(keys.len(), landed.len(), "something landed twice");
    let landed: BTreeMap<&str, &str> = landed.into_iter().map(|(commit, key)| (key, commit)).collect();
    for (key, commit) in &acknowledged {
        assert_eq!(landed.get(key.as_str()), Some(&commit.as_str()), "{key} was acknowledged");
    }
    let unheard = landed.len() - acknowledged.len();
    assert!(acknowledged.len() > KILLS * 10, "{} acknowledged commits say nothing", acknowledged.len());
    assert!(unheard <= WRITERS, "only those of the last run are not known of: {unheard}");
    git(&bare, &["fsck", "--strict", "--connectivity-only"]);
    println!("killed {KILLS} times in {took:?}: {} acknowledged, {unheard} landed unheard", acknowledged.len());
}
