//! The developer portal of `portico up`: it reads the engine's core, the repository's files and the sealed store's keys.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::Context;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use portico_core::key::{Kind, Name};
use portico_git::watch::Trigger;
use portico_git::write::{Options, Proposal, Target, Writer};
use portico_git::{CommitId, Repository};
use portico_portal::{
    Asked, Fate, Host, HostError, Key, Landed, Past, Portal, Reading, Refused, Remembered, SealingKey, Settings,
    Verdict, Waiting, Wish,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::control::ask;
use super::engine::{Event, chain};
use super::memory::Memory;
use super::shown::ShownKeys;
use crate::portal::{aside, committer, past, preview, repository, review, stopping};

/// The longest file that the portal shows, in bytes.
const MOST: usize = 4 * 1024 * 1024;

/// What a portal is made with.
pub struct Site<'a> {
    pub events: Sender<Event>,
    /// The newest commit that the core has.
    pub read: watch::Receiver<Option<CommitId>>,
    /// A handle of its own: one belongs to one thread at a time.
    pub repository: Repository,
    pub state: &'a Path,
    pub local: bool,
    /// Where the portal writes, and in which folder of the repository.
    pub target: Target,
    pub folder: String,
    /// Tells that there is something new.
    pub trigger: Trigger,
}

/// Serves on an address and answers which one it is.
pub async fn serve(address: SocketAddr, reading: Reading, site: Site<'_>) -> anyhow::Result<SocketAddr> {
    let Site { events, read, repository, state, local, target, folder, trigger } = site;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: choose another address with --portal, or none with --no-portal")
    })?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let shown = ShownKeys::open(&state.join("portal.shown")).context("cannot tell which keys were shown")?;
    let remembered = Memory::open(&state.join("portal.remembered")).context("cannot tell what the portal remembers")?;
    let host = Embedded {
        events,
        read,
        repository: Arc::new(Mutex::new(repository)),
        reading: reading.clone(),
        shown: Arc::new(Mutex::new(shown)),
        remembered: Arc::new(remembered),
        secrets: state.join("secrets"),
        target,
        folder,
        trigger,
        writer: OnceLock::new(),
    };
    let settings = Settings { local: local.then_some(true), key: sealing_key(&state.join("portal.key"))? };
    let portal = Portal::new(reading, Arc::new(host), settings);
    tokio::spawn(async move {
        if let Err(error) = portico_portal::serve(listener, portal).await {
            tracing::error!(%error, "the portal stopped");
        }
    });
    Ok(address)
}

/// An address that a browser on this machine can go to.
pub fn shown(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()),
        _ => address,
    }
}

/// What sessions are sealed with: made once, so that they outlive a restart.
fn sealing_key(path: &Path) -> anyhow::Result<SealingKey> {
    let wrong = || format!("{} is not what Portico wrote: delete it, and everybody signs in anew", path.display());
    match fs::read(path) {
        Ok(bytes) => {
            let bytes: [u8; SealingKey::LENGTH] = bytes.try_into().ok().with_context(wrong)?;
            Ok(SealingKey::new(&bytes))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut bytes = [0; SealingKey::LENGTH];
            getrandom::fill(&mut bytes).context("this machine has no randomness")?;
            // It gets its name when it is whole.
            let part = path.with_extension("part");
            let write = || -> std::io::Result<()> {
                let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                fs::rename(&part, path)
            };
            write().with_context(|| format!("cannot write {}", path.display()))?;
            Ok(SealingKey::new(&bytes))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

struct Embedded {
    events: Sender<Event>,
    read: watch::Receiver<Option<CommitId>>,
    repository: Arc<Mutex<Repository>>,
    reading: Reading,
    shown: Arc<Mutex<ShownKeys>>,
    remembered: Arc<Memory>,
    secrets: PathBuf,
    target: Target,
    folder: String,
    trigger: Trigger,
    /// Made with the first wish: only then it is known in whose name the portal commits.
    writer: OnceLock<Writer>,
}

impl Embedded {
    fn writer(&self) -> &Writer {
        self.writer.get_or_init(|| {
            let git = self.reading.look(repository);
            let committer = committer(git.as_ref().map(|(_, git)| git));
            let reading = self.reading.clone();
            let previews = move |proposal: &Proposal<'_>| preview(&reading, proposal.before, proposal.changes);
            let options = Options { folder: self.folder.clone(), committer };
            Writer::new(self.target.clone(), options, previews)
        })
    }
}

/// A secret in files below a folder: `NAMESPACE/NAME/KEY`, named as in a Secret of Kubernetes.
fn file_secret(folder: &Path, secret: &Name, key: Option<&str>) -> Result<String, String> {
    let is_name = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('/');
    if ![secret.namespace(), secret.name()].into_iter().chain(key).all(is_name) {
        return Err(format!("`{secret}` cannot be the name of a folder"));
    }
    let folder = folder.join(secret.namespace()).join(secret.name());
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let path = if let Some(key) = key {
        folder.join(key)
    } else {
        let entries = fs::read_dir(&folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let [only] = entries.as_slice() else {
            return Err(format!("{} does not hold exactly one file", folder.display()));
        };
        only.path()
    };
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl Host for Embedded {
    fn revision(&self) -> BoxFuture<'_, Option<String>> {
        ready(self.read.borrow().map(|commit| commit.to_string())).boxed()
    }

    fn file<'a>(&'a self, product: &'a Name, path: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, HostError>> {
        async move {
            let (key, path) = (product.clone().of(Kind::ApiProduct), path.to_owned());
            let place = ask(&self.events, move |engine| Some((engine.commit?, engine.reader.beside(&key, &path))));
            let Some((commit, place)): Option<(CommitId, _)> = place.await.ok_or_else(stopping)? else {
                return Ok(None);
            };
            let path = place.map_err(HostError)?;
            let repository = self.repository.clone();
            aside(move || {
                let repository = repository.lock().unwrap_or_else(PoisonError::into_inner);
                repository.file(commit, &path, MOST).map_err(|error| HostError(chain(&error)))
            })
            .await
        }
        .boxed()
    }

    fn secret<'a>(&'a self, secret: &'a Name, key: Option<&'a str>) -> BoxFuture<'a, Result<String, HostError>> {
        let (secrets, secret, key) = (self.secrets.clone(), secret.clone(), key.map(str::to_owned));
        aside(move || file_secret(&secrets, &secret, key.as_deref()).map_err(HostError)).boxed()
    }

    fn keys<'a>(&'a self, credential: &'a Name) -> BoxFuture<'a, Result<Vec<Key>, HostError>> {
        async move {
            let credential = credential.clone();
            let made = ask(&self.events, move |engine| engine.reveal(&credential)).await.ok_or_else(stopping)?;
            let made = made.map_err(|error| HostError(format!("{error:#}")))?;
            let key =
                |made: portico_secrets::Made| Key { generation: made.generation, made_at: made.at, key: made.key };
            Ok(made.into_iter().map(key).collect())
        }
        .boxed()
    }

    fn shown<'a>(&'a self, fingerprint: &'a str) -> BoxFuture<'a, Result<bool, HostError>> {
        let (shown, fingerprint) = (self.shown.clone(), fingerprint.to_owned());
        aside(move || {
            let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            shown
                .show(&fingerprint)
                .map_err(|error| HostError(format!("cannot write down that the key was shown: {error}")))
        })
        .boxed()
    }

    fn was_shown<'a>(&'a self, fingerprint: &'a str) -> BoxFuture<'a, bool> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        ready(shown.knows(fingerprint)).boxed()
    }

    fn writes(&self) -> bool {
        true
    }

    fn submit(&self, wish: Wish) -> BoxFuture<'_, Result<Landed, Refused>> {
        async move {
            if let Some(base) = &wish.base
                && !self.has_read(base).await.map_err(|error| Refused::Unavailable(error.to_string()))?
            {
                return Err(Refused::Conflict("the page was made from a commit that is gone".to_owned()));
            }
            let (commit, waits) = review::submit(self.writer(), wish).await?;
            if waits.is_none() {
                self.trigger.look();
            }
            Ok(Landed { commit: commit.to_string(), waits })
        }
        .boxed()
    }

    fn has_read<'a>(&'a self, commit: &'a str) -> BoxFuture<'a, Result<bool, HostError>> {
        async move {
            let Ok(wanted) = commit.parse::<CommitId>() else { return Ok(false) };
            let read = *self.read.borrow();
            match read {
                None => Ok(false),
                Some(read) if read == wanted => Ok(true),
                Some(read) => {
                    let repository = self.repository.clone();
                    // One that is not there was not read.
                    aside(move || {
                        let repository = repository.lock().unwrap_or_else(PoisonError::into_inner);
                        Ok(repository.follows(read, wanted).unwrap_or(false))
                    })
                    .await
                }
            }
        }
        .boxed()
    }

    fn remember<'a>(
        &'a self,
        kind: &'static str,
        name: &'a str,
        what: Option<String>,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        let (remembered, name) = (self.remembered.clone(), name.to_owned());
        aside(move || {
            let done = remembered.remember(kind, &name, what);
            done.map_err(|error| HostError(format!("it cannot be written down: {error}")))
        })
        .boxed()
    }

    fn recall(&self, kind: &'static str) -> BoxFuture<'_, Result<Arc<Remembered>, HostError>> {
        ready(Ok(self.remembered.recall(kind))).boxed()
    }

    fn history(&self, asked: Asked) -> BoxFuture<'_, Result<Past, HostError>> {
        async move {
            let Some(head) = *self.read.borrow() else { return Ok(Past::default()) };
            let (repository, folder) = (self.repository.clone(), self.folder.clone());
            aside(move || {
                // It takes a while, and files are wanted meanwhile.
                let own = repository.lock().unwrap_or_else(PoisonError::into_inner).again();
                past::read(&own.map_err(|error| HostError(chain(&error)))?, head, &folder, asked)
            })
            .await
        }
        .boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, HostError>> {
        review::waiting(self.writer()).boxed()
    }

    fn answer(&self, verdict: Verdict) -> BoxFuture<'_, Result<Landed, Refused>> {
        async move {
            let commit = review::answer(self.writer(), verdict).await?;
            self.trigger.look();
            Ok(Landed { commit: commit.to_string(), waits: None })
        }
        .boxed()
    }

    fn fate<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Fate, HostError>> {
        review::fate(self.writer(), id).boxed()
    }
}
