//! Wishes that wait on branches, as the portal asks for them.

use portico_git::changes::Changes;
use portico_git::write::{self, Person, RequestId, Writer};
use portico_portal::{Fate, HostError, Landed, Refused, Verdict, Waiting};

use super::engine::chain;
use super::past::changed;

/// Those that wait.
pub async fn waiting(writer: &Writer) -> Result<Vec<Waiting>, HostError> {
    let waiting = writer.waiting().await.map_err(|refused| HostError(chain(&refused)))?;
    Ok(waiting.into_iter().map(told).collect())
}

/// Takes one in, or turns it down.
pub async fn answer(writer: &Writer, verdict: Verdict) -> Result<Landed, Refused> {
    let Verdict { id, seen, name, mail, reason } = verdict;
    let wrong = |error: &dyn std::fmt::Display| Refused::Unavailable(error.to_string());
    let id = RequestId::new(&id).map_err(|error| wrong(&error))?;
    let by = Person { name, mail };
    let landed = match reason {
        Some(reason) => writer.decline(id, by, reason).await,
        None => writer.merge_seen(id, by, seen.parse().map_err(|error| wrong(&error))?).await,
    };
    landed.map(|landed| Landed { commit: landed.commit.to_string(), waits: None }).map_err(refused)
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

/// Why the writer does not do something, in the portal's words.
pub fn refused(refused: write::Refused) -> Refused {
    match refused {
        write::Refused::Invalid(problems) => Refused::Problems(problems),
        write::Refused::Conflict(conflict) => Refused::Conflict(conflict.to_string()),
        changed @ (write::Refused::Changed { .. } | write::Refused::Rewritten { .. }) => {
            Refused::Conflict(changed.to_string())
        }
        write::Refused::KeyReused { .. } => Refused::SentBefore,
        other => Refused::Unavailable(chain(&other)),
    }
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
