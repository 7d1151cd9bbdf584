//! A repository, an upstream and a Portico between them, ready for a test to change something.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::http::{Answer, Ask, Connection, NoAnswer};
use crate::portico::{Launch, Portico};
use crate::repo::Repo;
use crate::upstream::Upstream;
use crate::{files, http, ports, wait};

/// The credential of `shop`.
pub const SHOP: &str = "shop/web-basic";
/// The credential of the bystander.
pub const PROBE: &str = "watch/probe";
/// A path of the product `echo`.
pub const THINGS: &str = "/echo/things";

/// What a test of the whole starts from. Portico is not started yet.
#[derive(Debug)]
pub struct Scenario {
    /// Where requests end.
    pub upstream: Upstream,
    /// The desired state: [`files::repo`].
    pub repo: Repo,
    /// How to start Portico on it.
    pub launch: Launch,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
}

impl Scenario {
    /// Portico reads the work tree.
    pub fn new() -> Scenario {
        Scenario::with(|repo| Launch::new(repo.path()))
    }

    /// Portico reads what `launch` says.
    pub fn with(launch: impl FnOnce(&Repo) -> Launch) -> Scenario {
        let upstream = Upstream::start();
        let gateway = ports::free();
        let repo = files::repo(gateway, &upstream.url());
        let launch = launch(&repo);
        Scenario { upstream, repo, launch, gateway: (Ipv4Addr::LOCALHOST, gateway).into() }
    }

    /// Portico reads `examples/NAME`, with ports of this test, and requests to any host end at this test's upstream.
    pub fn example(name: &str) -> Scenario {
        let upstream = Upstream::start();
        let gateway = ports::free();
        let repo = Repo::example(name, gateway, upstream.address());
        let launch = Launch::new(repo.path());
        Scenario { upstream, repo, launch, gateway: (Ipv4Addr::LOCALHOST, gateway).into() }
    }

    /// Starts Portico, and waits until it is ready.
    pub fn up(&self) -> Portico {
        self.launch.ready()
    }

    /// A credential's key, as soon as there is one.
    ///
    /// # Panics
    ///
    /// When there is none in time.
    pub fn key(&self, credential: &str) -> String {
        wait::until(&format!("a key for {credential}"), || self.launch.reveal(credential))
    }

    /// A connection to the gateway.
    ///
    /// # Panics
    ///
    /// When it does not listen.
    pub fn connect(&self) -> Connection {
        Connection::open(self.gateway).unwrap_or_else(|error| panic!("the gateway at {}: {error}", self.gateway))
    }

    /// One request on a connection of its own.
    pub fn ask(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        http::once(self.gateway, ask)
    }

    /// The status for a key at [`THINGS`]; 0 when there is no answer.
    pub fn status(&self, key: &str) -> u16 {
        self.ask(&Ask::get(THINGS).key(key)).map_or(0, |answer| answer.status)
    }

    /// Asks until a key's status is as wanted, and returns how long that took.
    ///
    /// # Panics
    ///
    /// When it never is; with the last one.
    pub fn wait_status(&self, key: &str, wanted: u16) -> Duration {
        let begun = Instant::now();
        let mut last = 0;
        let found = wait::within(wait::PATIENCE, || {
            last = self.status(key);
            (last == wanted).then_some(())
        });
        assert!(found.is_some(), "waited for {wanted}, it stays {last}");
        begun.elapsed()
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario::new()
    }
}

/// Another team's open connection, which nothing in a test may disturb.
#[derive(Debug)]
pub struct Bystander {
    connection: Connection,
    ask: Ask,
}

impl Bystander {
    /// Opens the connection, and sees that its key works.
    pub fn new(scenario: &Scenario) -> Bystander {
        let key = scenario.key(PROBE);
        scenario.wait_status(&key, 200);
        let mut bystander = Bystander { connection: scenario.connect(), ask: Ask::get(THINGS).key(&key) };
        bystander.check("at the beginning");
        bystander
    }

    /// Sees that its key works still, on the same connection.
    ///
    /// # Panics
    ///
    /// When it does not, with `when`.
    pub fn check(&mut self, when: &str) {
        match self.connection.send(&self.ask) {
            Ok(answer) => assert_eq!(answer.status, 200, "the bystander is denied {when}: {}", answer.body),
            Err(error) => panic!("the bystander's connection is gone {when}: {error}"),
        }
    }
}
