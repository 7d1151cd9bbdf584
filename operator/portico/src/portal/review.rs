//! Wishes that wait on branches, as the portal asks for them.

use portico_git::CommitId;
use portico_git::changes::Changes;
use portico_git::write::{self, Person, RequestId, Writer};
use portico_portal::{Fate, HostError, Refused, Verdict, Waiting, Wish};

use super::past::changed;
use super::{refused, request};
use crate::up::chain;

/// Carries out a wish, and answers its commit, and by which id it waits if it does.
pub async fn submit(writer: &Writer, wish: Wish) -> Result<(CommitId, Option<String>), Refused> {
    let request = request(wish)?;
    let id = request.id.to_string();
    let landed = writer.submit(request).await.map_err(refused)?;
    if !landed.waits {
        return Ok((landed.commit, None));
    }
    // Sent again, it waits by the id that it had the first time.
    let waiting = if landed.again { writer.waiting().await.unwrap_or_default() } else { Vec::new() };
    let id = waiting.into_iter().find(|one| one.commit == landed.commit).map_or(id, |one| one.id.to_string());
    Ok((landed.commit, Some(id)))
}

/// Those that wait.
pub async fn waiting(writer: &Writer) -> Result<Vec<Waiting>, HostError> {
    let waiting = writer.waiting().await.map_err(|refused| HostError(chain(&refused)))?;
    Ok(waiting.into_iter().map(told).collect())
}

/// Takes one in, or turns it down, and answers the commit.
pub async fn answer(writer: &Writer, verdict: Verdict) -> Result<CommitId, Refused> {
    let Verdict { id, seen, name, mail, reason } = verdict;
    let wrong = |error: &dyn std::fmt::Display| Refused::Unavailable(error.to_string());
    let id = RequestId::new(&id).map_err(|error| wrong(&error))?;
    let by = Person { name, mail };
    let landed = match reason {
        Some(reason) => writer.decline(id, by, reason).await,
        None => writer.merge_seen(id, by, seen.parse().map_err(|error| wrong(&error))?).await,
    };
    landed.map(|landed| landed.commit).map_err(refused)
}

/// What became of one.
pub async fn fate(writer: &Writer, id: &str) -> Result<Fate, HostError> {
    let Ok(id) = RequestId::new(id) else { return Ok(Fate::Unknown) };
    Ok(match writer.fate(id).await.map_err(|refused| HostError(chain(&refused)))? {
        write::Fate::Waiting(waiting) => Fate::Waiting(Box::new(told(waiting))),
        write::Fate::Landed(commit) => {
            Fate::TakenIn { commit: commit.id.to_string(), by: commit.author, at: commit.committed }
        }
        write::Fate::Declined(commit, reason) => {
            Fate::Declined { commit: commit.id.to_string(), by: commit.author, at: commit.committed, reason }
        }
        write::Fate::Unknown => Fate::Unknown,
    })
}

fn told(waiting: write::Waiting) -> Waiting {
    let write::Waiting { id, commit, author, since, summary, changes } = waiting;
    let Changes { objects, others, is_cut } = &*changes;
    Waiting {
        branch: format!("portico/{id}"),
        id: id.to_string(),
        commit: commit.to_string(),
        name: author.name,
        mail: author.mail,
        since,
        summary,
        changed: objects.iter().cloned().map(changed).collect(),
        has_more: *others > 0 || *is_cut,
    }
}
