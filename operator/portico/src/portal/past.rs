//! The history of a repository, as the portal asks for it.

use std::time::Duration;

use portico_git::changes::{Step, Trail, Window};
use portico_git::{CommitId, Repository};
use portico_portal::{Asked, Changed, Entry, HostError, Past};

use crate::up::chain;

/// So many commits are compared for one look at the history,
const LOOKS: usize = 5_000;
/// and so long.
const PATIENCE: Duration = Duration::from_millis(700);

/// The part of the history up to `head` that is asked for.
pub fn read(repository: &Repository, head: CommitId, folder: &str, asked: Asked) -> Result<Past, HostError> {
    let Asked { mut concern, words, before, most } = asked;
    let before = before.map(|before| before.parse::<CommitId>()).transpose();
    // What is no commit comes before nothing.
    let Ok(before) = before else { return Ok(Past::default()) };
    let window = Window { before, most, looks: LOOKS, patience: PATIENCE, words };
    let keep = |objects: Vec<portico_git::changes::Changed>| {
        let kept = concern(objects.into_iter().map(changed).collect());
        kept.into_iter()
            .map(|Changed { key, before, was_unread, after }| portico_git::changes::Changed {
                key,
                before,
                was_unread,
                after,
            })
            .collect()
    };
    let trail = repository.trail(head, folder, &window, keep).map_err(|error| HostError(chain(&error)))?;
    let Trail { steps, older, is_cut } = trail;
    let entries = steps.into_iter().map(|Step { commit, takes_in, objects, is_cut }| Entry {
        commit: commit.id.to_string(),
        at: commit.committed,
        name: commit.author,
        mail: commit.mail,
        takes_in,
        changed: objects.into_iter().map(changed).collect(),
        is_cut,
    });
    Ok(Past { entries: entries.collect(), older: older.map(|commit| commit.to_string()), is_cut })
}

/// An object that was changed, in the portal's words.
pub fn changed(changed: portico_git::changes::Changed) -> Changed {
    let portico_git::changes::Changed { key, before, was_unread, after } = changed;
    Changed { key, before, was_unread, after }
}
