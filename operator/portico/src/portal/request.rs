//! A wish in the writer's words, and the writer's answer in the portal's.

use std::fmt::Display;

use portico_git::text::FieldPath;
use portico_git::write::{self, Edit, IdempotencyKey, Person, Request, RequestId};
use portico_portal::{self as portal, Refused, Wish};

use crate::up::chain;

/// A wish in the writer's words.
pub fn request(wish: Wish) -> Result<Request, Refused> {
    let Wish { id, once, name, mail, summary, base, review, edits } = wish;
    let wrong = |error: &dyn Display| Refused::Unavailable(error.to_string());
    let path = |path: &str| path.parse::<FieldPath>().map_err(|error| wrong(&error));
    let edits = edits.into_iter().map(|edit| {
        Ok(match edit {
            portal::Edit::Put(object) => Edit::Put(object),
            portal::Edit::Set { key, path: field, value } => Edit::Set { key, path: path(field)?, value },
            portal::Edit::Unset { key, path: field } => Edit::Unset { key, path: path(field)? },
            portal::Edit::Delete(key) => Edit::Delete(key),
        })
    });
    Ok(Request {
        id: RequestId::new(&id).map_err(|error| wrong(&error))?,
        once: IdempotencyKey::new(&once).map_err(|error| wrong(&error))?,
        author: Person { name, mail },
        summary,
        base: base.map(|base| base.parse()).transpose().map_err(|error| wrong(&error))?,
        edits: edits.collect::<Result<_, Refused>>()?,
        review,
    })
}

/// Why a wish was not carried out, as far as anybody knows.
pub fn refused(refused: write::Refused) -> Refused {
    match refused {
        write::Refused::Invalid(problems) => Refused::Problems(problems),
        write::Refused::Conflict(conflict) => Refused::Conflict(conflict.to_string()),
        changed @ (write::Refused::Changed { .. } | write::Refused::Rewritten { .. }) => {
            Refused::Conflict(changed.to_string())
        }
        write::Refused::KeyReused { .. } => Refused::SentBefore,
        unsure @ write::Refused::Unsure { .. } => Refused::Unsure(unsure.to_string()),
        other => Refused::Unavailable(chain(&other)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_known_is_not_called_refused() {
        let unsure = write::Refused::Unsure { url: "https://git.example".to_owned(), limit: Duration::from_secs(20) };
        assert!(matches!(refused(unsure), Refused::Unsure(why) if why.contains("git.example")));
        let rejected = write::Refused::Rejected { url: "https://git.example".to_owned(), message: "hook".to_owned() };
        assert!(matches!(refused(rejected), Refused::Unavailable(why) if why.contains("hook")));
    }
}
