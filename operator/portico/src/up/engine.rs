//! The loop that everything goes through: one thread owns the core, the reader and the secret store.
//!
//! Commits, what gateways confirm, questions and the clock come in through one channel, in order. What goes out is what
//! the core wants: first what takes access away, then keys, then what gives it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use portico_core::api_key::ApiKey;
use portico_core::batch::{Batch, Change, Fact};
use portico_core::delta::{Delta, KeyWish};
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Name, ObjectKey};
use portico_core::quota::Record;
use portico_envoy::translate::KeySource as _;
use portico_git::watch::Signal;
use portico_git::{Advance, CommitId, ReadError, Reader};
use portico_portal::Shared;
use portico_secrets::Store;
use tokio::sync::watch;

use super::gateway::{Gateway, News};
use super::notes::{Notes, Written};
use super::say::{Announcement, Say};
use super::seen::{Known, Seen};

/// What the engine is told.
pub enum Event {
    /// From the repository.
    Git(Signal),
    /// From the gateways.
    Gateway(News),
    /// Somebody has the key that a credential waits for.
    Import { credential: Name, key: ApiKey, reply: Box<dyn FnOnce(Result<(), String>) + Send> },
    /// What was counted against long limits, to be kept.
    Counted(Vec<Record>),
    /// Something wants to look.
    Ask(Box<dyn FnOnce(&Engine) + Send>),
    /// It is time to stop.
    Stop,
}

/// The longest sleep; wakes are computed anew after it, so that a changed clock is noticed.
const NAP: Duration = Duration::from_secs(30);

/// How soon keys are tried again that could not be stored.
const RETRY: Duration = Duration::from_secs(2);

/// Everything that one repository needs.
pub struct Engine {
    pub core: Shared,
    pub reader: Reader,
    store: Store,
    gateway: Gateway,
    say: Say,
    /// Keys that could not be made or destroyed yet.
    owed: BTreeMap<Name, KeyWish>,
    /// Credentials that wait for the key that they import.
    awaited: BTreeMap<Name, KeyWish>,
    retry_at: Option<Instant>,
    /// What is not written down yet.
    notes: Notes,
    /// Whether what is counted cannot be kept.
    forgets: bool,
    wake: Option<Timestamp>,
    /// What a commit changes that was read, and could not be taken over since its history could not.
    untold: Vec<Change>,
    pub loose: Vec<Diagnostic>,
    pub trouble: Option<String>,
    /// The newest commit that was taken over.
    pub commit: Option<CommitId>,
    /// The same for those who wait for it: whoever sees it here finds it in the core, and the keys that it asks for.
    pub read: watch::Sender<Option<CommitId>>,
    /// A newer one that was not, and why.
    pub refused: Option<(CommitId, String)>,
    /// Whether all that was wanted has been enforced at some moment.
    caught_up: Cell<bool>,
}

impl Engine {
    /// An engine that has read nothing yet.
    pub fn new(reader: Reader, store: Store, gateway: Gateway, say: Say) -> Self {
        Engine {
            core: Shared::new(),
            reader,
            store,
            gateway,
            say,
            owed: BTreeMap::new(),
            awaited: BTreeMap::new(),
            retry_at: None,
            notes: Notes::default(),
            forgets: false,
            wake: None,
            untold: Vec::new(),
            loose: Vec::new(),
            trouble: None,
            commit: None,
            read: watch::Sender::new(None),
            refused: None,
            caught_up: Cell::new(false),
        }
    }

    /// Works until it is told to stop.
    pub fn run(mut self, events: &Receiver<Event>) -> anyhow::Result<()> {
        loop {
            let late = self.say.overdue();
            let first = match events.recv_timeout(self.nap(late)) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let mut head = None;
            let mut news = Vec::new();
            let mut questions = Vec::new();
            let mut imports = Vec::new();
            let mut counted = Vec::new();
            let mut stop = false;
            // Of several commits the newest counts; what gateways said in the meantime goes into one batch.
            for event in first.into_iter().chain(events.try_iter()) {
                match event {
                    Event::Git(Signal::Head { commit, rewritten }) => head = Some((commit, rewritten)),
                    Event::Git(Signal::Trouble(error)) => self.in_trouble(&error),
                    Event::Gateway(said) => news.push(said),
                    Event::Import { credential, key, reply } => imports.push((credential, key, reply)),
                    Event::Counted(mut records) => counted.append(&mut records),
                    Event::Ask(question) => questions.push(question),
                    Event::Stop => stop = true,
                }
            }
            if stop {
                self.gateway.stop();
                counted.append(&mut self.gateway.take_counts());
                self.keep(counted);
                return Ok(());
            }
            if let Some((commit, rewritten)) = head {
                self.follow(commit, rewritten)?;
            }
            self.hear(news);
            for (credential, key, reply) in imports {
                reply(self.import(&credential, key));
            }
            self.pay_debts();
            if self.wake.is_some_and(|wake| wake <= Timestamp::now()) {
                self.apply(Vec::new(), Vec::new(), None);
            }
            let written = self.notes.write(&mut self.store, Instant::now());
            self.wrote(written);
            // The disk comes after all that takes access away.
            if !counted.is_empty() {
                self.keep(counted);
            }
            for question in questions {
                question(&self);
            }
        }
    }

    /// Says what came of writing down how subscriptions stand.
    fn wrote(&mut self, written: Written) {
        match written {
            Written::AsBefore => {}
            Written::Again => self.say.note("how subscriptions stand can be written down again"),
            Written::Fails(error) => self.say.trouble(&format!(
                "cannot write down which subscriptions were cancelled, and on which plans others are: {}; I go on trying",
                chain(&error)
            )),
        }
    }

    fn nap(&self, late: Option<Instant>) -> Duration {
        let now = Timestamp::now();
        let wake = self.wake.map(|wake| Duration::try_from(wake.duration_since(now)).unwrap_or(Duration::ZERO));
        let soon = [self.retry_at, self.notes.retry_at(), late]
            .into_iter()
            .flatten()
            .map(|at| at.saturating_duration_since(Instant::now()));
        wake.into_iter().chain(soon).fold(NAP, Duration::min)
    }

    fn in_trouble(&mut self, error: &portico_git::watch::WatchError) {
        let text = chain(error);
        if self.trouble.as_ref() != Some(&text) {
            self.say.trouble(&format!("{text}; what is enforced stays, and I go on trying"));
            self.trouble = Some(text);
        }
    }

    /// Takes a commit over, or says why not.
    fn follow(&mut self, commit: CommitId, rewritten: bool) -> anyhow::Result<()> {
        if self.trouble.take().is_some() {
            self.say.note("the repository can be followed again");
        }
        if self.commit == Some(commit) {
            return Ok(());
        }
        let started = Instant::now();
        let first = self.commit.is_none();
        let advance = match self.reader.advance(commit) {
            Ok(advance) => advance,
            Err(error) => {
                self.refuse(commit, &error);
                return Ok(());
            }
        };
        let Advance { commit: info, mut changes, diagnostics, files_read, objects } = advance;
        let moment = info.as_ref().map_or_else(Timestamp::now, |info| info.committed);
        self.untold.append(&mut changes);
        let mut changes = std::mem::take(&mut self.untold);
        let seen = self.date(&mut changes, moment, first)?;
        let recalled = self.reader.recall(&self.core.read(), &mut changes, &seen.on);
        if let Err(error) = recalled {
            self.untold = changes;
            self.refuse(commit, &error);
            return Ok(());
        }
        self.refused = None;
        if rewritten && self.commit.is_some() {
            self.say.note("history was rewritten: the branch no longer has the commit before");
        }
        self.commit = Some(commit);
        let mut facts = if first { self.remember()? } else { Vec::new() };
        facts.extend(seen.on.iter().cloned());
        self.loose = diagnostics;
        seen.gone.iter().for_each(|key| self.notes.forget(&key.name));

        let announcement = Announcement::commit(info.as_ref(), started, files_read, objects);
        self.apply(changes, facts, Some(announcement));
        // Only an order among those who compete depends on it, so it need not hold up any access.
        let gone: Vec<ObjectKey> = seen.gone.into_iter().collect();
        if let Err(error) = self.store.record_seen(&seen.new, &gone, moment) {
            self.say.trouble(&format!("cannot write down since when objects are there: {}", chain(&error)));
        }
        self.report(first);
        Ok(())
    }

    /// A commit is not taken over.
    fn refuse(&mut self, commit: CommitId, error: &ReadError) {
        let mut text = chain(error);
        if matches!(error, ReadError::Empty { .. }) {
            text.push_str(" (portico up --allow-empty)");
        }
        self.say.refused(&commit.to_string(), &text);
        self.refused = Some((commit, text));
    }

    /// What the store knows from before.
    fn remember(&mut self) -> anyhow::Result<Vec<Fact>> {
        let mut facts = self.store.ended().context("cannot read what was cancelled before")?;
        let gateway = &self.gateway;
        self.store
            .all(|made| {
                facts.push(made.fact());
                gateway.keys().insert(made.credential, made.generation, made.key);
            })
            .context("cannot read the keys that were made before")?;
        Ok(facts)
    }

    /// Fills in since when objects are there. Changes of several commits may speak of one object more than once.
    fn date(&self, changes: &mut [Change], moment: Timestamp, first: bool) -> anyhow::Result<Seen> {
        let mut known = BTreeMap::new();
        if first {
            self.store
                .first_seen(|key, at, plan| _ = known.insert(key, Known { at, plan, is_there: false }))
                .context("cannot read since when objects are there")?;
        }
        let core = self.core.read();
        Ok(Seen::of(changes, moment, known, |key| !first && core.has(key)))
    }

    fn hear(&mut self, news: Vec<News>) {
        let mut facts = Vec::new();
        for said in news {
            match said {
                News::Fact(fact) => {
                    if let Fact::Confirmed { environment, serial } = &fact {
                        self.say.confirmed(environment, *serial);
                    }
                    if let Fact::Accepted { environment, objects } = &fact {
                        self.say.gateway_accepts(environment, objects);
                    }
                    if let Fact::Refused { environment, objects, message } = &fact {
                        self.say.gateway_refused(environment, objects, message);
                    }
                    facts.push(fact);
                }
                News::Note(text) => self.say.note(&text),
                News::Trouble(text) => self.say.trouble(&text),
            }
        }
        if !facts.is_empty() {
            self.apply(Vec::new(), facts, None);
        }
    }

    /// Keeps what was counted. Where that fails, it is tried again with what is counted next.
    fn keep(&mut self, records: Vec<Record>) {
        match self.store.record_counts(&records, Timestamp::now()) {
            Ok(()) => {
                if std::mem::take(&mut self.forgets) {
                    self.say.note("what is counted against limits can be kept again");
                }
            }
            Err(error) => {
                self.gateway.counts_not_kept(records);
                if !std::mem::replace(&mut self.forgets, true) {
                    let text = chain(&error);
                    self.say.trouble(&format!("{text}: what is counted against limits would not survive a restart"));
                }
            }
        }
    }

    /// Applies changes and all that follows from them.
    fn apply(&mut self, changes: Vec<Change>, facts: Vec<Fact>, mut announcement: Option<Announcement>) {
        let (mut changes, mut facts) = (changes, facts);
        loop {
            let batch = Batch { now: Timestamp::now(), changes, facts };
            let delta = self.core.change(|core| core.apply(batch));
            changes = Vec::new();
            if let Some(announcement) = &mut announcement {
                announcement.add(&delta);
            } else {
                self.say.unasked(&delta);
            }
            let Delta { removals, puts, keys, ended, on, statuses, recomputed, wake } = delta;
            self.wake = wake;
            tracing::debug!(
                removals = removals.len(),
                puts = puts.len(),
                keys = keys.len(),
                statuses = statuses.len(),
                recomputed,
                "batch"
            );
            // What takes access away waits neither for new keys nor for the disk.
            self.gateway.update(removals, puts);
            self.notes.take(ended, on);
            let written = self.notes.write_ended(&mut self.store, Instant::now());
            self.wrote(written);
            facts = self.keys(keys);
            if facts.is_empty() {
                break;
            }
        }
        self.read.send_if_modified(|known| std::mem::replace(known, self.commit) != self.commit);
        if let Some(announcement) = announcement {
            self.say.announce(announcement);
        }
    }

    /// Makes and destroys keys, and tells what came of it.
    fn keys(&mut self, wishes: Vec<KeyWish>) -> Vec<Fact> {
        for wish in wishes {
            self.owed.insert(wish.credential.clone(), wish);
        }
        if self.owed.is_empty() {
            return Vec::new();
        }
        let wishes: Vec<KeyWish> = self.owed.values().cloned().collect();
        match self.store.apply(&wishes, Timestamp::now()) {
            Ok(made) => {
                if self.retry_at.take().is_some() {
                    self.say.note("keys can be stored again");
                }
                self.owed.clear();
                let mut facts = Vec::new();
                for wish in wishes {
                    let is_there = self.gateway.keys().key(&wish.credential, 1).is_some();
                    if wish.generations.contains(&1) && wish.import.is_some() && !is_there {
                        self.awaited.insert(wish.credential.clone(), wish.clone());
                    } else {
                        self.awaited.remove(&wish.credential);
                    }
                    let gone = self.gateway.keys().retain(&wish.credential, &wish.generations);
                    if !gone.is_empty() {
                        facts.push(Fact::KeysGone { credential: wish.credential, generations: gone });
                    }
                }
                for made in made {
                    facts.push(made.fact());
                    self.gateway.keys().insert(made.credential, made.generation, made.key);
                }
                facts
            }
            Err(error) => {
                if self.retry_at.is_none() {
                    let text = chain(&error);
                    self.say.trouble(&format!("{text}: {} credentials wait for their keys", wishes.len()));
                }
                self.retry_at = Some(Instant::now() + RETRY);
                Vec::new()
            }
        }
    }

    /// Takes in the key that a credential waits for.
    fn import(&mut self, credential: &Name, key: ApiKey) -> Result<(), String> {
        let Some(wish) = self.awaited.get(credential) else {
            return Err(format!(
                "Credential {credential} waits for no key: `portico explain credential/{credential}` says how it stands"
            ));
        };
        let made = self.store.import(wish, key, Timestamp::now()).map_err(|error| chain(&error))?;
        self.awaited.remove(credential);
        let fact = made.fact();
        self.gateway.keys().insert(made.credential, made.generation, made.key);
        self.apply(Vec::new(), vec![fact], None);
        Ok(())
    }

    fn pay_debts(&mut self) {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            let facts = self.keys(Vec::new());
            if !facts.is_empty() {
                self.apply(Vec::new(), facts, None);
            }
        }
    }

    /// Says what is wrong now, and on a start also what is right.
    fn report(&mut self, first: bool) {
        let mut all: Vec<Diagnostic> = self.diagnostics();
        self.say.diagnostics(&mut all, first);
    }

    /// Everything that is wrong, each with its place.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let core = self.core.read();
        let mut all: Vec<Diagnostic> = core.diagnostics().into_iter().chain(&self.loose).cloned().collect();
        drop(core);
        for diagnostic in &mut all {
            if let Err(error) = self.reader.resolve(diagnostic) {
                tracing::debug!(%error, "no place for a diagnostic");
            }
        }
        all
    }

    /// The environments that a gateway serves.
    pub fn environments(&self) -> Vec<(Name, usize)> {
        self.gateway.connected()
    }

    /// Whether what the first commit says was enforced, and the gateways that run here are there.
    pub fn ready(&self) -> bool {
        if self.commit.is_some() && self.gateway.has_caught_up() {
            self.caught_up.set(true);
        }
        self.caught_up.get() && self.gateway.is_connected()
    }

    /// The keys of a credential, newest first.
    pub fn reveal(&self, credential: &Name) -> anyhow::Result<Vec<portico_secrets::Made>> {
        let mut made = self.store.reveal(credential)?;
        made.reverse();
        Ok(made)
    }
}

/// An error and what led to it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
