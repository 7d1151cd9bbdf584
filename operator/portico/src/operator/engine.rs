//! The loop of the operator: what is seen in the cluster goes into the core, what the core wants goes to gateways and back
//! into the cluster.
//!
//! Every replica follows the cluster. Only the leader serves gateways and writes, and what it writes is looked up when its
//! turn comes, so that a replica that becomes the leader goes on where the other one stopped.

mod keys;
mod seen;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portico_core::batch::{Author, Batch, Change, Fact};
use portico_core::delta::{Delta, KeyWish, OutputKey, Put, Removal};
use portico_core::intern::Interner;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_envoy::server::{self, Server};
use portico_kube::Client;
use portico_kube::outbox::{Outbox, Places};
use portico_kube::secret::Key;
use portico_kube::status::Observed;
use portico_kube::uid::Uid;
use portico_kube::watch::{Seen, Source};
use portico_portal::Shared;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant as TokioInstant, sleep_until};

use super::authors::{Authors, News};
use super::documents::Documents;
use super::givers::Givers;
use super::held::Held;
use super::metrics::{Metrics, Outcome};
use super::notes::Notes;
use super::rush::Rush;
use super::secrets::Secrets;
use super::work::{Done, Task};

/// How many writes are under way at once.
const WRITES: usize = 48;
/// How many of them may be anything but Secrets while much changes, or Secrets are to be written: statuses, and steps of
/// deletions. What lets somebody in goes first.
const STATUSES_MEANWHILE: usize = 2;
/// How much that is seen goes into one batch.
const BURST: usize = 4096;
/// A status is written so long after it changed, so that what follows at once is in the same write.
const STATUS_PAUSE: Duration = Duration::from_millis(100);
/// The same for kinds whose status counts others.
const COUNT_PAUSE: Duration = Duration::from_secs(1);
/// How long gateways may take to come to a new leader and confirm what they have. Envoy's own pauses grow to half a minute, and
/// 100,000 keys take a while.
const GATEWAY_PATIENCE: Duration = Duration::from_mins(1);
/// The longest sleep; wakes are computed anew after it, so that a changed clock is noticed.
const NAP: Duration = Duration::from_secs(30);

/// An object as it stands in the cluster.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) uid: Uid,
    generation: Option<i64>,
    /// Whether it has the finalizer of Portico.
    pub(super) is_guarded: bool,
    pub(super) is_deleted: bool,
    pub(super) observed: Observed,
    /// Who wrote it, as the API server saw.
    author: Option<Arc<Author>>,
    /// Who wrote in Git what it says, as its status had it when it was met.
    remembered: Option<Arc<Author>>,
    /// Whether it had no effect because of what Git says, as its status had it when it was met.
    is_void: bool,
}

/// What the outside may know.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Whether everything was listed once.
    pub synced: bool,
    /// What cannot be followed, and why.
    pub failing: BTreeMap<Source, String>,
    /// When the loop last came round.
    pub beat: Option<Instant>,
}

/// Everything that one cluster needs.
pub struct Engine {
    pub(super) core: Shared,
    server: Server,
    pub(super) held: Arc<Held>,
    pub(super) client: Client,
    pub(super) outbox: Outbox<Task>,
    pub(super) objects: HashMap<ObjectKey, Standing>,
    /// Where keys are to be delivered to, if not to a Secret of the credential's name.
    pub(super) targets: HashMap<Name, Box<str>>,
    givers: Givers,
    /// Secrets that Portico made, as they stand.
    pub(super) secrets: Secrets,
    /// Which keys should exist.
    pub(super) wishes: HashMap<Name, KeyWish>,
    /// Keys that were made and do not stand in a Secret yet. They are not used before.
    pub(super) fresh: HashMap<Name, Vec<Key>>,
    /// Generations and digests of the newest keys as statuses have them; asked when Secrets are seen for the first time.
    fingerprints: HashMap<Name, (i64, Box<str>)>,
    /// Who wrote what in Git, where a Portal says that this counts.
    authors: Authors,
    /// Those who wrote something, each once: most wrote much.
    people: Interner<Arc<Author>>,
    pub(super) documents: Documents,
    /// Sources that were not listed yet.
    missing: HashSet<Source>,
    changes: Vec<Change>,
    /// What `changes` takes away.
    leaving: HashSet<ObjectKey>,
    /// How much changes now.
    rush: Rush,
    facts: Vec<Fact>,
    /// Environments whose gateways came, and that may not be declared at all.
    asked: Vec<Name>,
    /// Objects whose status may not be what it should.
    check: Vec<ObjectKey>,
    pub(super) is_leader: bool,
    /// Until when gateways may take to come to a replica that has just begun to lead.
    pub(super) patience: Option<Instant>,
    wake: Option<Timestamp>,
    pub(super) done: mpsc::UnboundedSender<Done>,
    pub(super) notes: Notes,
    pub(super) metrics: Metrics,
    health: watch::Sender<Health>,
    /// Revocations that gateways have not confirmed: environment, serial, since when.
    revocations: Vec<(Name, u64, Instant)>,
}

/// Something that somebody wants to know of the engine, between two of its steps.
pub type Question = Box<dyn FnOnce(&Engine) + Send>;

/// What the engine listens to.
pub struct Inputs {
    pub seen: mpsc::Receiver<Seen>,
    pub gateways: mpsc::UnboundedReceiver<server::Event>,
    pub done: mpsc::UnboundedReceiver<Done>,
    pub authors: mpsc::UnboundedReceiver<News>,
    pub questions: mpsc::UnboundedReceiver<Question>,
    pub leader: watch::Receiver<bool>,
    pub stop: watch::Receiver<bool>,
}

/// What the engine is made of.
pub struct Parts {
    pub server: Server,
    pub held: Arc<Held>,
    pub client: Client,
    pub sources: Vec<Source>,
    pub done: mpsc::UnboundedSender<Done>,
    pub authors: Authors,
    pub notes: Notes,
    pub metrics: Metrics,
    pub health: watch::Sender<Health>,
}

impl Engine {
    /// An engine that has seen nothing yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { server, held, client, sources, done, authors, notes, metrics, health } = parts;
        Engine {
            core: Shared::new(),
            server,
            held,
            client,
            outbox: Outbox::default(),
            objects: HashMap::new(),
            targets: HashMap::new(),
            givers: Givers::default(),
            secrets: Secrets::default(),
            wishes: HashMap::new(),
            fresh: HashMap::new(),
            fingerprints: HashMap::new(),
            authors,
            people: Interner::default(),
            documents: Documents::default(),
            missing: sources.into_iter().collect(),
            changes: Vec::new(),
            leaving: HashSet::new(),
            rush: Rush::default(),
            facts: Vec::new(),
            asked: Vec::new(),
            check: Vec::new(),
            is_leader: false,
            patience: None,
            wake: None,
            done,
            notes,
            metrics,
            health,
            revocations: Vec::new(),
        }
    }

    /// Works until it is told to stop, or nobody watches the cluster any more.
    pub async fn run(mut self, mut inputs: Inputs) {
        let mut burst = Vec::new();
        loop {
            let sleep = sleep_until(TokioInstant::from_std(self.next_wake()));
            tokio::select! {
                count = inputs.seen.recv_many(&mut burst, BURST) => {
                    if count == 0 {
                        return;
                    }
                    for seen in burst.drain(..) {
                        self.see(seen);
                    }
                }
                Some(event) = inputs.gateways.recv() => {
                    self.hear(event);
                    while let Ok(event) = inputs.gateways.try_recv() {
                        self.hear(event);
                    }
                }
                Some(done) = inputs.done.recv() => {
                    self.written(done);
                    while let Ok(done) = inputs.done.try_recv() {
                        self.written(done);
                    }
                }
                Some(news) = inputs.authors.recv() => self.learn(news),
                Some(question) = inputs.questions.recv() => {
                    question(&self);
                    continue;
                }
                Ok(()) = inputs.leader.changed() => {
                    let is_leader = *inputs.leader.borrow_and_update();
                    self.lead(is_leader);
                }
                _ = inputs.stop.changed() => return,
                () = sleep => {}
            }
            self.health.send_modify(|health| health.beat = Some(Instant::now()));
            if self.missing.is_empty() {
                self.settle();
                self.pump();
                let open = self.outbox.waiting() + self.outbox.busy();
                self.metrics.waiting.set(i64::try_from(open).unwrap_or(i64::MAX));
            }
        }
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let core = self
            .wake
            .map(|wake| now + Duration::try_from(wake.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO));
        let writes = self.is_leader.then(|| self.outbox.wake(self.places(now))).flatten();
        let calm = self.rush.until(now).filter(|_| self.is_leader);
        let told = (!self.facts.is_empty()).then_some(now);
        core.into_iter().chain(writes).chain(calm).chain(told).fold(now + NAP, Instant::min)
    }

    /// How many writes may be under way now.
    fn places(&self, now: Instant) -> Places {
        let is_calm = self.rush.until(now).is_none() && !self.outbox.is_pressed(now);
        Places { all: WRITES, unurgent: if is_calm { WRITES } else { STATUSES_MEANWHILE } }
    }

    /// Another replica leads now, or this one does.
    fn lead(&mut self, is_leader: bool) {
        if self.is_leader == is_leader {
            return;
        }
        self.is_leader = is_leader;
        self.metrics.leader.set(i64::from(is_leader));
        if is_leader {
            tracing::info!("this replica leads");
            // Whatever the one before left undone.
            self.check.extend(self.objects.keys().cloned());
            let now = Instant::now();
            self.patience = Some(now + GATEWAY_PATIENCE);
            for credential in self.wishes.keys() {
                self.outbox.want(Task::Secret(credential.clone()), now);
            }
        } else {
            tracing::info!("another replica leads");
            self.outbox.clear();
            self.fresh.clear();
        }
    }

    fn hear(&mut self, event: server::Event) {
        match event {
            server::Event::Confirmed { environment, serial } => {
                self.revocations.retain(|(place, awaited, since)| {
                    let is_open = *place != environment || *awaited > serial;
                    if !is_open {
                        self.metrics.revocation.observe(since.elapsed().as_secs_f64());
                    }
                    is_open
                });
                self.facts.push(Fact::Confirmed { environment, serial });
            }
            server::Event::Refused { environment, objects, message } => {
                self.metrics.refused.inc();
                self.facts.push(Fact::Refused { environment, objects, message });
            }
            server::Event::Mended { environment, objects } => {
                self.facts.push(Fact::Accepted { environment, objects });
            }
            server::Event::Connected { environment, .. } => {
                self.metrics.gateways.inc();
                self.asked.push(environment);
            }
            server::Event::Disconnected { .. } => _ = self.metrics.gateways.dec(),
        }
    }

    /// Applies what came together, and all that follows from it.
    fn settle(&mut self) {
        let is_due = self.wake.is_some_and(|wake| wake <= Timestamp::now());
        let mut is_first = is_due;
        while is_first || !self.changes.is_empty() || !self.facts.is_empty() {
            is_first = false;
            let (changes, facts) = (std::mem::take(&mut self.changes), std::mem::take(&mut self.facts));
            self.leaving.clear();
            let batch = tracing::info_span!("batch", changes = changes.len(), facts = facts.len());
            let _entered = batch.enter();
            let delta = self.core.change(|core| core.apply(Batch { now: Timestamp::now(), changes, facts }));
            // What was cancelled stays so without a memory of ours: the API server lets nobody take `cancelAt` back then. Which plan
            // a Subscription is on stands in its status.
            let Delta { removals, puts, keys, ended: _, on: _, statuses, recomputed, wake } = delta;
            self.wake = wake;
            self.metrics.batch(recomputed, puts.len(), removals.len());
            self.translate(removals, puts);
            self.wish(keys);
            self.check.extend(statuses);
        }
        // A gateway of an environment that is not declared, or no longer, is to have nothing, whatever it was told by
        // whoever was here before.
        for environment in std::mem::take(&mut self.asked) {
            self.server.update(&environment, Vec::new(), Vec::new());
        }
        let now = Instant::now();
        for key in std::mem::take(&mut self.check) {
            let pause = match key.kind {
                Kind::Plan | Kind::ApiProduct | Kind::Environment | Kind::Application | Kind::Team => COUNT_PAUSE,
                Kind::Portal | Kind::Developer | Kind::Subscription | Kind::Approval | Kind::Credential => STATUS_PAUSE,
            };
            if self.deletion(&key).is_some() {
                self.outbox.want(Task::Deletion(key.clone()), now);
            }
            self.outbox.want(Task::Status(key), now + pause);
        }
    }

    fn translate(&mut self, removals: Vec<Removal>, puts: Vec<Put>) {
        let _entered = tracing::info_span!("translate", removals = removals.len(), puts = puts.len()).entered();
        let mut changes: BTreeMap<Name, (Vec<Removal>, Vec<Put>)> = BTreeMap::new();
        let now = Instant::now();
        for removal in removals {
            let environment = removal.key.environment().clone();
            if matches!(removal.key, OutputKey::Client { .. }) {
                self.revocations.push((environment.clone(), removal.serial, now));
            }
            changes.entry(environment).or_default().0.push(removal);
        }
        for put in puts {
            changes.entry(put.key.environment().clone()).or_default().1.push(put);
        }
        for (environment, (removals, puts)) in changes {
            self.server.update(&environment, removals, puts);
        }
    }

    /// Begins to write what is due.
    fn pump(&mut self) {
        if !self.is_leader {
            return;
        }
        let now = Instant::now();
        while let Some(task) = self.outbox.next(now, self.places(now)) {
            let is_begun = match &task {
                Task::Secret(credential) => self.write_secret(credential),
                Task::Status(key) => self.write_status(key),
                Task::Deletion(key) => self.write_deletion(key),
            };
            if !is_begun {
                self.outbox.done(&task, true, now);
            }
        }
    }

    fn written(&mut self, done: Done) {
        let now = Instant::now();
        let (task, outcome) = match done {
            Done::Status { key, uid, result } => {
                let outcome = self.status_written(&key, uid, result);
                (Task::Status(key), outcome)
            }
            Done::Deletion { key, uid, step, result } => {
                let outcome = self.deletion_written(&key, uid, step, result);
                (Task::Deletion(key), outcome)
            }
            Done::Secret { credential, result } => {
                let outcome = self.secret_written(&credential, result);
                (Task::Secret(credential), outcome)
            }
        };
        self.metrics.written(&task, outcome);
        self.outbox.done(&task, outcome == Outcome::Written, now);
    }

    /// Tells those who look at an object.
    pub(super) fn note(&self, key: &ObjectKey, is_warning: bool, reason: &str, text: &str) {
        if let Some(standing) = self.objects.get(key).filter(|_| self.is_leader) {
            self.notes.send(key, standing.uid, is_warning, reason, text);
        }
    }

    /// More facts for the next batch.
    pub(super) fn report(&mut self, facts: impl IntoIterator<Item = Fact>) {
        self.facts.extend(facts);
    }
}
