//! What has landed before: looked up in memory, found in history.

use std::collections::{HashMap, VecDeque};

use git2::{Repository as Git, Sort};

use super::WriteError;
use super::answer::Refused;
use super::message::Trailers;
use super::request::{Request, RequestId};
use crate::commit::{CommitId, info};

/// So many commits of history are looked at when writing begins.
pub const REMEMBERED_COMMITS: usize = 10_000;

/// So many keys are kept in memory while it goes on.
const KEPT: usize = 50_000;

#[derive(Clone, Debug)]
struct Once {
    commit: CommitId,
    edits: String,
}

/// Requests that have landed on a branch.
#[derive(Debug, Default)]
pub(crate) struct Known {
    once: HashMap<String, Once>,
    requests: HashMap<RequestId, CommitId>,
    declined: HashMap<RequestId, CommitId>,
    order: VecDeque<(Option<String>, Option<RequestId>)>,
}

impl Known {
    /// Looks at history back from `tip`, to `from` if that is known already.
    pub(crate) fn learn(&mut self, git: &Git, tip: CommitId, from: Option<CommitId>) -> Result<(), WriteError> {
        let failed = WriteError::History;
        let mut walk = git.revwalk().map_err(failed)?;
        walk.push(tip.0).map_err(failed)?;
        if let Some(from) = from {
            walk.hide(from.0).map_err(failed)?;
        }
        walk.set_sorting(Sort::TIME).map_err(failed)?;
        let mut found = Vec::new();
        for id in walk.take(REMEMBERED_COMMITS) {
            let commit = match id.and_then(|id| git.find_commit(id)) {
                Ok(commit) => commit,
                // A shallow clone ends somewhere.
                Err(error) if error.code() == git2::ErrorCode::NotFound => break,
                Err(error) => return Err(failed(error)),
            };
            found.push(info(&commit));
        }
        for commit in found.iter().rev() {
            self.note(commit.id, Trailers::of(commit));
        }
        Ok(())
    }

    /// Remembers what a commit carries out.
    pub(crate) fn note(&mut self, commit: CommitId, trailers: Trailers) {
        let Trailers { request, once, edits, declined } = trailers;
        if let Some(declined) = declined {
            self.declined.insert(declined, commit);
        }
        if let Some(key) = &once {
            self.once.insert(key.clone(), Once { commit, edits: edits.unwrap_or_default() });
        }
        if let Some(request) = &request {
            self.requests.insert(request.clone(), commit);
        }
        if once.is_some() || request.is_some() {
            self.order.push_back((once, request));
        }
        while self.order.len() > KEPT {
            let Some((once, request)) = self.order.pop_front() else { break };
            once.map(|once| self.once.remove(&once));
            request.map(|request| self.requests.remove(&request));
        }
    }

    /// The commit that carries out this very request already.
    pub(crate) fn landed(&self, request: &Request) -> Result<Option<CommitId>, Refused> {
        match self.once.get(request.once.as_str()) {
            Some(Once { commit, edits }) if *edits == request.digest() => Ok(Some(*commit)),
            Some(Once { commit, .. }) => Err(Refused::KeyReused { commit: *commit }),
            None if self.requests.contains_key(&request.id) => Err(Refused::IdReused { id: request.id.clone() }),
            None => Ok(None),
        }
    }

    /// The commit that turns down the request of this id.
    pub(crate) fn declined(&self, id: &RequestId) -> Option<CommitId> {
        self.declined.get(id).copied()
    }

    /// The commit that carries out the request of this id.
    pub(crate) fn request(&self, id: &RequestId) -> Option<CommitId> {
        self.requests.get(id).copied()
    }
}
