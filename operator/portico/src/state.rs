//! Where the state of a repository is kept.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// A repository on this machine, or the URL of one elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A folder.
    Local(PathBuf),
    /// A URL.
    Remote(String),
}

impl Origin {
    /// What a person wrote: an existing folder is one, what looks like a URL is one, and all else is a missing folder.
    pub fn parse(text: &str) -> anyhow::Result<Origin> {
        let path = Path::new(text);
        if !path.exists() && (text.contains("://") || (text.contains('@') && text.contains(':'))) {
            return Ok(Origin::Remote(text.to_owned()));
        }
        let path = path.canonicalize().with_context(|| format!("there is no folder {text}"))?;
        Ok(Origin::Local(path))
    }

    /// The folder for its state: given, or one a repository.
    pub fn state(&self, given: Option<&Path>) -> anyhow::Result<PathBuf> {
        if let Some(given) = given {
            return Ok(given.to_owned());
        }
        let home = env::var_os("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
            .context("neither XDG_STATE_HOME nor HOME is set: say with --state where to keep keys")?;
        let text = match self {
            Origin::Local(path) => path.to_string_lossy().into_owned(),
            Origin::Remote(url) => url.clone(),
        };
        let digest: String = Sha256::digest(&text).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let last = text.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        let name: String =
            last.trim_end_matches(".git").chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        Ok(home.join("portico").join(format!("{name}-{digest}")))
    }
}

/// The socket on which a running `portico up` answers.
pub fn socket(state: &Path) -> PathBuf {
    state.join("control.sock")
}
