//! `portico up`: follow a repository and enforce what it says.

mod api;
mod control;
mod engine;
mod gateway;
mod keys;
mod memory;
mod notes;
mod portal;
mod say;
mod seen;
mod shown;

use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::stat::{Mode, umask};
use portico_git::watch::{Auth, Remote, Trigger, Watch, watch, watch_remote};
use portico_git::write::{Elsewhere, Target};
use portico_git::{Options, Reader, Repository};
use portico_secrets::{KeyLocation, Store};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Up;
use crate::state::{Origin, socket};

use engine::{Engine, Event};
use gateway::{Gateway, How};
use say::Say;

pub use engine::chain;

/// How long a repository elsewhere may take to answer, when the portal writes to it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Follows a repository until it is told to stop.
pub fn run(options: &Up) -> anyhow::Result<()> {
    // Whatever is written from here on, by Envoy too, is nobody else's business.
    umask(Mode::from_bits_truncate(0o077));
    let origin = Origin::parse(&options.repository)?;
    let state = origin.state(options.state.state.as_deref())?;
    let store = Store::open(&state, KeyLocation::Beside).context("cannot open the secret store")?;
    let Followed { repository, watch, folder, target } = follow(&origin, &state, options)?;
    let say = Say::new();

    let runtime = Runtime::new().context("cannot start the runtime")?;
    let (events, inbox) = mpsc::channel();
    let how =
        How { envoy: options.envoy.clone(), start: !options.no_envoy, stop: options.stop_envoy, state: state.clone() };
    let counts = store.counts().context("cannot read what was counted before")?;
    let gateway = Gateway::start(runtime.handle(), options.xds, how, counts, events.clone())?;
    let xds = gateway.address();

    let files = repository.again().context("cannot open the repository")?;
    let reader = Reader::new(repository, Options { folder: folder.clone(), allow_empty: options.allow_empty });
    let trigger = watch.trigger();
    let api = runtime.block_on(api::serve(options.api, events.clone(), trigger.clone()))?;
    {
        let _within = runtime.enter();
        control::serve(&socket(&state), events.clone())?;
    }
    let engine = Engine::new(reader, store, gateway, say);
    let shown = match options.portal() {
        Some(address) => {
            let site = portal::Site {
                events: events.clone(),
                read: engine.read.subscribe(),
                repository: files,
                state: &state,
                local: options.local_sign_in,
                target,
                folder,
                trigger: trigger.clone(),
            };
            Some(runtime.block_on(portal::serve(address, engine.core.reading(), site))?)
        }
        None => None,
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "Portico {} follows {}", env!("CARGO_PKG_VERSION"), options.repository)?;
    writeln!(out, "  state     {}", state.display())?;
    writeln!(out, "  gateways  get their configuration from {xds}")?;
    writeln!(out, "  health    http://{api}/readyz")?;
    if let Some(address) = shown {
        writeln!(out, "  portal    http://{}", portal::shown(address))?;
    }
    drop(out);

    let signals = events.clone();
    runtime.spawn(async move {
        let mut watch = watch;
        while let Some(said) = watch.signals.recv().await {
            if signals.send(Event::Git(said)).is_err() {
                break;
            }
        }
    });
    runtime.spawn(obey(events, trigger));
    let outcome = engine.run(&inbox);
    let _ = std::fs::remove_file(socket(&state));
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

struct Followed {
    repository: Repository,
    watch: Watch,
    /// The folder in the repository that holds the desired state.
    folder: String,
    /// Where the portal writes.
    target: Target,
}

/// Opens the repository, or the copy of one elsewhere, and begins to watch it.
fn follow(origin: &Origin, state: &Path, options: &Up) -> anyhow::Result<Followed> {
    let poll = Duration::from_secs(options.poll);
    let branch = options.branch.as_deref();
    match origin {
        Origin::Local(path) => {
            let found = path.ancestors().find(|folder| Repository::open(*folder).is_ok());
            let Some(root) = found else {
                bail!(
                    "{} is not in a Git repository: make one with `git init`, and commit what is there",
                    path.display()
                );
            };
            let inside = path.strip_prefix(root).unwrap_or(Path::new(""));
            let folder = inside.join(&options.path).to_string_lossy().trim_matches('/').to_owned();
            let watch = watch(root, branch, poll).context("cannot follow the repository")?;
            let target = Target::Here { path: root.to_owned(), branch: options.branch.clone() };
            Ok(Followed { repository: Repository::open(root)?, watch, folder, target })
        }
        Origin::Remote(url) => {
            let copy = state.join("copy.git");
            let auth = match std::env::var("PORTICO_GIT_TOKEN") {
                Ok(token) => Auth::Token { user: "portico".to_owned(), token },
                Err(_) => Auth::Git,
            };
            let target = Target::Elsewhere(Elsewhere {
                url: url.clone(),
                branch: options.branch.clone(),
                copy: state.join("written.git"),
                auth: auth.clone(),
                limit: PATIENCE,
            });
            let remote =
                Remote { url: url.clone(), branch: options.branch.clone(), copy: copy.clone(), auth, interval: poll };
            let watch = watch_remote(remote).context("cannot follow the repository")?;
            Ok(Followed { repository: Repository::open(&copy)?, watch, folder: options.path.clone(), target })
        }
    }
}

/// Stops on `SIGINT` and `SIGTERM`, looks for commits on `SIGHUP`.
async fn obey(events: mpsc::Sender<Event>, trigger: Trigger) {
    let listen = |kind| signal(kind).map_err(|error| tracing::warn!(%error, "cannot listen for a signal"));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
        (listen(SignalKind::interrupt()), listen(SignalKind::terminate()), listen(SignalKind::hangup()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => trigger.look(),
        }
    }
    // If the engine is gone there is nothing left to stop.
    let _ = events.send(Event::Stop);
}
