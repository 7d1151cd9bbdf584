//! A repository elsewhere, of which a bare copy is kept on this machine.

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use git2::{Cred, CredentialType, ErrorClass, ErrorCode, FetchOptions, RemoteCallbacks};
use tokio::sync::mpsc::Sender;

use super::{FIRST_PAUSE, Signal, Trigger, WAITING, Watch, WatchError};
use crate::commit::{CommitId, Repository, RepositoryError, whole_name};

/// How to be let in.
#[derive(Clone, Default)]
pub enum Auth {
    /// Git's credential helpers for `https`, the SSH agent for `ssh`.
    #[default]
    Git,
    /// A user name, and a token or password.
    Token {
        /// The user; many services take any.
        user: String,
        /// The token.
        token: String,
    },
    /// A private SSH key without a passphrase.
    SshKey(PathBuf),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::Git => "Git",
            Auth::Token { .. } => "Token([redacted])",
            Auth::SshKey(_) => "SshKey",
        })
    }
}

/// A branch of a repository elsewhere.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `https://…`, `ssh://…`, `git@host:…` or `file://…`.
    pub url: String,
    /// The branch; absent for the one that the other side has as its own.
    pub branch: Option<String>,
    /// The folder for the copy. It is made if it is not there.
    pub copy: PathBuf,
    /// How to be let in.
    pub auth: Auth,
    /// How often to ask when nobody tells.
    pub interval: Duration,
}

/// The reference that keeps what was fetched last.
const FETCHED: &str = "refs/portico/fetched";

/// How long it goes on without asking after it has been told.
const TOGETHER: Duration = Duration::from_millis(5);

/// Follows a branch elsewhere. Once there is a commit in the copy it can be read there, with the other side or without.
///
/// The first signal is the commit that was fetched in an earlier run, if there is one.
///
/// # Errors
///
/// When the folder for the copy cannot be used. All that happens later is told by signals.
pub fn watch_remote(remote: Remote) -> Result<Watch, WatchError> {
    let repository = match Repository::open(&remote.copy) {
        Ok(repository) => repository,
        Err(_) => make(&remote)?,
    };
    let (wake, woken) = mpsc::channel();
    let (signals, receiver) = tokio::sync::mpsc::channel(WAITING);
    let mut following = Following { url: shown(&remote.url), remote, repository, last: None, trouble: None, signals };
    std::thread::spawn(move || {
        if let Ok(before) = following.repository.head(Some(FETCHED))
            && !following.say(before, false)
        {
            return;
        }
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = match following.fetch() {
                Ok(commit) => {
                    pause = FIRST_PAUSE;
                    let is_back = following.trouble.take().is_some();
                    if !following.say(commit, is_back) {
                        return;
                    }
                    following.remote.interval
                }
                Err(error) => {
                    if !following.complain(error) {
                        return;
                    }
                    let wait = pause.min(following.remote.interval);
                    pause = pause.saturating_mul(2);
                    wait
                }
            };
            match woken.recv_timeout(wait) {
                Ok(_) => {
                    let since = Instant::now();
                    while since.elapsed() < TOGETHER && woken.recv_timeout(TOGETHER).is_ok() {}
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
            }
            if following.signals.is_closed() {
                return;
            }
        }
    });
    Ok(Watch { signals: receiver, trigger: Trigger(wake) })
}

fn make(remote: &Remote) -> Result<Repository, WatchError> {
    let path = remote.copy.clone();
    match git2::Repository::init_bare(&path) {
        Ok(git) => Ok(Repository { git, path }),
        Err(source) => Err(WatchError::Store { url: shown(&remote.url), path, source }),
    }
}

struct Following {
    remote: Remote,
    /// The URL without a password.
    url: String,
    repository: Repository,
    last: Option<CommitId>,
    /// What was complained about last.
    trouble: Option<String>,
    signals: Sender<Signal>,
}

impl Following {
    /// Says where the branch is, if that is new or could not be told for a while; `false` when nobody listens any more.
    fn say(&mut self, commit: CommitId, is_back: bool) -> bool {
        if self.last == Some(commit) && !is_back {
            return !self.signals.is_closed();
        }
        let rewritten = self.last.is_some_and(|before| !self.repository.follows(commit, before).unwrap_or(false));
        self.last = Some(commit);
        self.signals.blocking_send(Signal::Head { commit, rewritten }).is_ok()
    }

    /// Says what is wrong, once; `false` when nobody listens any more.
    fn complain(&mut self, error: WatchError) -> bool {
        let text = error.to_string();
        if self.trouble.as_ref() == Some(&text) {
            return !self.signals.is_closed();
        }
        self.trouble = Some(text);
        self.signals.blocking_send(Signal::Trouble(error)).is_ok()
    }

    /// Fetches the branch. Its reference moves only when all its objects are here.
    fn fetch(&self) -> Result<CommitId, WatchError> {
        let mut other = self.repository.git.remote_anonymous(&self.remote.url).map_err(|error| self.failed(error))?;
        let branch = match &self.remote.branch {
            Some(branch) => branch.clone(),
            None => default_branch(&mut other, &self.remote.auth, &self.repository.git)
                .map_err(|error| self.failed(error))?,
        };
        let source = whole_name(&branch);
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks(&self.remote.auth, &self.repository.git));
        options.download_tags(git2::AutotagOption::None);
        // A plus, because the other side may take commits back; what was read before does not depend on them.
        let fetched = other.fetch(&[format!("+{source}:{FETCHED}")], Some(&mut options), None);
        let there = other.list().is_ok_and(|heads| heads.iter().any(|head| head.name() == source));
        drop(other);
        match fetched {
            Err(error) if error.code() != ErrorCode::NotFound => Err(self.failed(error)),
            // A branch that is gone is not an error to libgit2, and leaves the reference where it was.
            Ok(()) | Err(_) if !there => Err(WatchError::NoBranch { url: self.url.clone(), branch }),
            Err(error) => Err(self.failed(error)),
            Ok(()) => self.repository.head(Some(FETCHED)).map_err(RepositoryError::into),
        }
    }

    fn failed(&self, source: git2::Error) -> WatchError {
        let url = self.url.clone();
        let local = matches!(source.class(), ErrorClass::Odb | ErrorClass::Indexer | ErrorClass::Filesystem);
        match source.code() {
            ErrorCode::Auth => WatchError::Refused { url, source },
            _ if local && !self.remote.url.starts_with("file:") => {
                WatchError::Store { url, path: self.remote.copy.clone(), source }
            }
            _ => WatchError::Unreachable { url, source },
        }
    }
}

/// The branch that the other side has as its own.
pub(crate) fn default_branch(
    other: &mut git2::Remote<'_>,
    auth: &Auth,
    git: &git2::Repository,
) -> Result<String, git2::Error> {
    let connection = other.connect_auth(git2::Direction::Fetch, Some(callbacks(auth, git)), None)?;
    let found = connection.default_branch()?;
    Ok(String::from_utf8_lossy(&found).into_owned())
}

/// What lets us in, of what the other side allows.
pub(crate) fn callbacks<'a>(auth: &'a Auth, git: &'a git2::Repository) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    // libgit2 asks again after a refusal, without end if it is given an answer each time.
    let mut tried = 0;
    callbacks.credentials(move |url, user, allowed| {
        tried += 1;
        if tried > 3 {
            let text = "the credentials were refused";
            return Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, text));
        }
        let name = user.unwrap_or("git");
        match auth {
            _ if allowed.contains(CredentialType::USERNAME) => Cred::username(name),
            Auth::Token { user, token } if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                Cred::userpass_plaintext(user, token)
            }
            Auth::SshKey(path) if allowed.contains(CredentialType::SSH_KEY) => Cred::ssh_key(name, None, path, None),
            _ if allowed.contains(CredentialType::SSH_KEY) => Cred::ssh_key_from_agent(name),
            _ if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                Cred::credential_helper(&git.config()?, url, user)
            }
            _ => Cred::default(),
        }
    });
    callbacks
}

/// A URL that can be shown: without user and password.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("https://ann:pa@ss@git.example.com/a@b.git"), "https://git.example.com/a@b.git");
        assert_eq!(shown("https://git.example.com/a.git"), "https://git.example.com/a.git");
        assert_eq!(shown("git@git.example.com:a.git"), "git@git.example.com:a.git");
        let auth = Auth::Token { user: "ann".to_owned(), token: "secret".to_owned() };
        assert!(!format!("{auth:?}").contains("secret"));
    }
}
