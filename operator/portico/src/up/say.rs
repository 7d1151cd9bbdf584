//! What a person at the terminal sees: a line a change.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use portico_core::delta::{Delta, Output, OutputKey};
use portico_core::diagnostic::{Diagnostic, Severity};
use portico_core::key::{Name, ObjectKey};
use portico_git::CommitInfo;

use crate::commands::plural;

/// How many of a kind are named before the rest is counted.
const NAMED: usize = 4;

/// When a gateway takes longer than this, a person should know what is going on.
const LONG: Duration = Duration::from_secs(2);

/// Prints lines.
pub struct Say {
    color: bool,
    waiting: Vec<Announcement>,
    said: Vec<Diagnostic>,
}

/// A change that was applied, and what must be confirmed before it is enforced.
pub struct Announcement {
    title: String,
    said: String,
    /// How much there was to read.
    read: Option<String>,
    started: Instant,
    granted: Vec<String>,
    taken: Vec<String>,
    changed: Vec<String>,
    awaited: BTreeMap<Name, u64>,
    /// Lines that go below its own.
    notes: Vec<String>,
    told: bool,
}

impl Announcement {
    /// About a commit that was read from `started` on.
    pub fn commit(info: Option<&CommitInfo>, started: Instant, files: usize, objects: usize) -> Self {
        let (title, said) = match info {
            Some(info) => {
                let title = info.id.to_string().chars().take(8).collect();
                (title, format!(" \"{}\" by {}", printable(&info.summary), printable(&info.author)))
            }
            None => ("the folder".to_owned(), String::new()),
        };
        let read = Some(format!("{} and {} read", plural(files, "file"), plural(objects, "object")));
        Announcement { title, said, read, started, ..Announcement::unasked() }
    }

    fn unasked() -> Self {
        Announcement {
            title: "unasked".to_owned(),
            said: String::new(),
            read: None,
            started: Instant::now(),
            granted: Vec::new(),
            taken: Vec::new(),
            changed: Vec::new(),
            awaited: BTreeMap::new(),
            notes: Vec::new(),
            told: false,
        }
    }

    /// Adds what a delta did.
    pub fn add(&mut self, delta: &Delta) {
        for removal in &delta.removals {
            self.awaited.insert(removal.key.environment().clone(), removal.serial);
            match &removal.key {
                OutputKey::Client { credential, .. } => self.taken.push(format!("credential {credential}")),
                OutputKey::Api { product, .. } => self.changed.push(format!("product {product} is no longer served")),
                OutputKey::Gateway { environment } => self.changed.push(format!("environment {environment} is gone")),
            }
        }
        for put in &delta.puts {
            self.awaited.insert(put.key.environment().clone(), put.serial);
            match (&put.output, put.replaces) {
                (Output::Client(client), false) => {
                    let plans: Vec<String> = client.plans.iter().map(Name::to_string).collect();
                    self.granted.push(format!(
                        "{} on {} by credential {}",
                        client.application,
                        plans.join(" and "),
                        client.credential
                    ));
                }
                (Output::Client(client), true) => self.changed.push(format!("credential {}", client.credential)),
                (Output::Api(api), false) => self.changed.push(format!("product {} is served", api.product)),
                (Output::Api(api), true) => self.changed.push(format!("product {}", api.product)),
                (Output::Gateway(_), _) => self.changed.push(format!("environment {}", put.key.environment())),
            }
        }
    }

    fn text(&self) -> String {
        let mut parts = Vec::new();
        if !self.taken.is_empty() {
            parts.push(format!("revokes {}", listed(&self.taken)));
        }
        if !self.granted.is_empty() {
            parts.push(format!("grants {}", listed(&self.granted)));
        }
        if !self.changed.is_empty() {
            parts.push(format!("changes {}", listed(&self.changed)));
        }
        if parts.is_empty() {
            parts.push("changes nothing that a gateway enforces".to_owned());
        }
        parts.join("; ")
    }
}

impl Say {
    /// Prints to standard output.
    pub fn new() -> Self {
        let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Say { color, waiting: Vec::new(), said: Vec::new() }
    }

    /// A commit was applied. It is told of once its gateways enforce it, or when they take long.
    pub fn announce(&mut self, announcement: Announcement) {
        if announcement.awaited.is_empty() {
            let took = short(announcement.started.elapsed());
            self.tell(&announcement, &format!("read in {took}"));
        } else {
            self.waiting.push(announcement);
        }
    }

    /// A gateway confirmed everything up to a serial.
    pub fn confirmed(&mut self, environment: &Name, serial: u64) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain_mut(|announcement| {
            if announcement.awaited.get(environment).is_some_and(|awaited| *awaited <= serial) {
                announcement.awaited.remove(environment);
            }
            if !announcement.awaited.is_empty() {
                return true;
            }
            let enforced = format!("{} in {}", self.paint("32", "enforced"), short(announcement.started.elapsed()));
            if announcement.told {
                self.line(&format!("{}: {enforced}", self.paint("1", &announcement.title)));
            } else {
                self.tell(announcement, &enforced);
            }
            false
        });
        self.waiting = waiting;
    }

    /// Tells of what takes long. Returns when there may be something to tell again.
    pub fn overdue(&mut self) -> Option<Instant> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut next = None;
        for announcement in waiting.iter_mut().filter(|announcement| !announcement.told) {
            let due = announcement.started + LONG;
            if due > Instant::now() {
                next = Some(next.map_or(due, |next: Instant| next.min(due)));
                continue;
            }
            let names: Vec<String> = announcement.awaited.keys().map(Name::to_string).collect();
            let waits = format!("not enforced yet: waits for a gateway of Environment {}", names.join(", "));
            self.tell(announcement, &self.paint("33", &waits));
            announcement.told = true;
            announcement.notes.clear();
        }
        self.waiting = waiting;
        next
    }

    /// What time or a neighbour brought about, without a commit.
    pub fn unasked(&mut self, delta: &Delta) {
        if delta.removals.is_empty() && delta.puts.is_empty() {
            return;
        }
        let mut announcement = Announcement::unasked();
        announcement.add(delta);
        self.waiting.push(announcement);
    }

    fn tell(&self, announcement: &Announcement, end: &str) {
        let Announcement { title, said, read, .. } = announcement;
        let what = announcement.text();
        let read = read.as_ref().map(|read| format!(" ({read})")).unwrap_or_default();
        self.line(&format!("{}{said}: {what}; {end}{read}", self.paint("1", title)));
        for note in &announcement.notes {
            self.line(note);
        }
    }

    /// A gateway said no.
    pub fn gateway_refused(&mut self, environment: &Name, objects: &[ObjectKey], message: &str) {
        let objects: Vec<String> = objects.iter().map(ToString::to_string).collect();
        let text = format!(
            "the gateway of Environment {environment} refuses {}: {message}; what it enforced before goes on",
            listed(&objects)
        );
        self.trouble(&text);
    }

    /// A gateway took what it had refused.
    pub fn gateway_accepts(&mut self, environment: &Name, objects: &[ObjectKey]) {
        let objects: Vec<String> = objects.iter().map(ToString::to_string).collect();
        self.note(&format!("the gateway of Environment {environment} takes {} now", listed(&objects)));
    }

    /// A commit was not taken over.
    pub fn refused(&mut self, commit: &str, why: &str) {
        let commit: String = commit.chars().take(8).collect();
        self.trouble(&format!("{commit} is not taken over: {why}"));
    }

    /// What is wrong that was not wrong before, and what is mended: below the commit that it came with.
    pub fn diagnostics(&mut self, now: &mut Vec<Diagnostic>, all: bool) {
        now.sort();
        now.dedup();
        let mended = self.said.iter().filter(|before| !now.contains(before)).count();
        let new: Vec<&Diagnostic> = now.iter().filter(|diagnostic| all || !self.said.contains(diagnostic)).collect();
        let mut notes = Vec::new();
        for diagnostic in new.iter().take(20) {
            let place = match &diagnostic.place {
                Some(place) => format!("{}:{}:{}: ", place.file, place.line, place.column),
                None => String::new(),
            };
            let level = match diagnostic.severity {
                Severity::Error => self.paint("31", "error"),
                Severity::Warning => self.paint("33", "warning"),
            };
            notes.push(format!("  {place}{level}[{}]: {diagnostic}", diagnostic.code));
        }
        if new.len() > 20 {
            notes.push(format!("  and {} more: `portico status` lists them", new.len() - 20));
        }
        if mended > 0 {
            notes.push(format!(
                "  {} {} mended",
                plural(mended, "earlier problem"),
                if mended == 1 { "is" } else { "are" }
            ));
        }
        self.said = std::mem::take(now);
        match self.waiting.last_mut().filter(|announcement| !announcement.told) {
            Some(announcement) => announcement.notes.extend(notes),
            None => notes.iter().for_each(|note| self.line(note)),
        }
    }

    /// Something that is good to know.
    pub fn note(&self, text: &str) {
        self.line(text);
    }

    /// Something that is not as it should be.
    pub fn trouble(&self, text: &str) {
        self.line(&format!("{} {text}", self.paint("31", "!")));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn line(&self, text: &str) {
        let now = Timestamp::now().to_zoned_datetime(TimeZone::system());
        let mut out = std::io::stdout().lock();
        // Nobody may be there to read it; that is no reason to stop.
        let _ = writeln!(out, "{}  {text}", now.strftime("%H:%M:%S%.3f"));
        let _ = out.flush();
    }
}

fn listed(items: &[String]) -> String {
    let named: Vec<&str> = items.iter().take(NAMED).map(String::as_str).collect();
    let rest = items.len() - named.len();
    if rest == 0 { named.join(", ") } else { format!("{} and {rest} more", named.join(", ")) }
}

/// Without what could move the cursor.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(100).collect()
}

fn short(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    } else if time < Duration::from_secs(10) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
