//! Requests without end, for as long as something else happens.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::http::{Ask, Connection};

/// A thread that sends one request after the other on one connection and counts what comes back.
#[derive(Debug)]
pub struct Steady {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Tally>>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many answers of each status.
    pub statuses: BTreeMap<u16, u64>,
    /// What went wrong without an answer.
    pub failures: Vec<String>,
}

impl Steady {
    /// Begins. Every request has at least `pause` after it.
    pub fn start(peer: SocketAddr, ask: Ask, pause: Duration) -> Steady {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut tally = Tally::default();
            let mut connection = None;
            while !stopped.load(Ordering::SeqCst) {
                let answer = match connection.take() {
                    Some(connection) => Ok(connection),
                    None => Connection::open(peer),
                }
                .and_then(|mut open| open.send(&ask).map(|answer| (open, answer)));
                match answer {
                    Ok((open, answer)) => {
                        *tally.statuses.entry(answer.status).or_default() += 1;
                        connection = Some(open);
                    }
                    Err(error) => tally.failures.push(error.to_string()),
                }
                thread::sleep(pause);
            }
            tally
        });
        Steady { stop, thread: Some(thread) }
    }

    /// Ends, and tells what came back.
    ///
    /// # Panics
    ///
    /// When the thread did.
    pub fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().expect("it is stopped once").join().expect("the load thread ends well")
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// How much got through in one go of [`flood`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flood {
    /// Answers with status 200.
    pub good: u64,
    /// Answers with any other status.
    pub other: u64,
    /// How long it took.
    pub took: Duration,
}

impl Flood {
    /// Answers in a second, whatever their status.
    #[expect(clippy::cast_precision_loss, reason = "counts of a run of seconds are far below 2^52")]
    pub fn rate(&self) -> f64 {
        (self.good + self.other) as f64 / self.took.as_secs_f64()
    }
}

/// Sends as much as `connections` connections to `peer` take in `time`: on each one request at a time, its texts taken
/// from `requests` in turn. Bounded by its one thread.
///
/// # Panics
///
/// When a connection breaks or an answer has no `content-length`.
pub fn flood(peer: SocketAddr, connections: usize, time: Duration, requests: &[Vec<u8>]) -> Flood {
    let mut streams: Vec<TcpStream> = (0..connections)
        .map(|_| {
            let stream = TcpStream::connect(peer).expect("the gateway listens");
            stream.set_nodelay(true).expect("a socket option");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
            stream
        })
        .collect();
    let (mut good, mut other) = (0, 0);
    let mut next = requests.iter().cycle();
    let mut buffer = Vec::with_capacity(1 << 16);
    let begun = Instant::now();
    while begun.elapsed() < time {
        for stream in &mut streams {
            let request = next.next().expect("there is a request to send");
            stream.write_all(request).expect("the gateway reads");
        }
        for stream in &mut streams {
            if read_answer(stream, &mut buffer) == 200 {
                good += 1;
            } else {
                other += 1;
            }
        }
    }
    Flood { good, other, took: begun.elapsed() }
}

/// A `GET` request as it goes over the wire.
pub fn request(path: &str, host: &str, key: Option<&str>) -> Vec<u8> {
    let key = key.map(|key| format!("x-api-key: {key}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{key}\r\n").into_bytes()
}

/// Reads one answer to its end, and returns its status.
fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> u16 {
    buffer.clear();
    let mut chunk = [0; 16 * 1024];
    let (head, length) = loop {
        let read = stream.read(&mut chunk).expect("the gateway answers");
        assert!(read > 0, "the gateway closed a connection");
        buffer.extend_from_slice(&chunk[..read]);
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break (end + 4, content_length(&buffer[..end]));
        }
    };
    while buffer.len() < head + length {
        let read = stream.read(&mut chunk).expect("the gateway answers");
        assert!(read > 0, "the gateway closed a connection");
        buffer.extend_from_slice(&chunk[..read]);
    }
    std::str::from_utf8(&buffer[9..12]).ok().and_then(|status| status.parse().ok()).expect("a status line")
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).expect("headers are ASCII");
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .expect("an answer with a content-length")
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// An upstream that costs next to nothing: one thread, one fixed answer. It runs until the process ends.
///
/// # Panics
///
/// When no port can be had.
pub fn cheap_upstream() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
    let address = listener.local_addr().expect("a bound socket has an address");
    listener.set_nonblocking(true).expect("a socket option");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_all(stream));
            }
        });
    });
    address
}

async fn answer_all(mut stream: tokio::net::TcpStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // Requests here have no body, and no client sends the next one before it has its answer.
    let mut buffer = [0; 8 * 1024];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(0) | Err(_) => return,
            Ok(read) => filled += read,
        }
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                return;
            }
        }
    }
}
