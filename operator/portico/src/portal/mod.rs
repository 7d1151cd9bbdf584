//! What both portals have in common, that of `portico up` and that of `portico operator`: wishes in the writer's words, and what
//! would come of them.

pub mod past;
mod preview;
mod request;
pub mod review;

use portico_core::Core;
use portico_core::key::Name;
use portico_crds::PortalGit;
use portico_git::write::Person;
use portico_portal::HostError;
use tokio::task::spawn_blocking;

pub use preview::preview;
pub use request::{refused, request};

/// The repository that the portal which is shown writes to: that of the first Portal by name, where there are several.
pub fn repository(core: &Core) -> Option<(Name, PortalGit)> {
    let (name, spec) = core.portals().min_by(|(one, _), (other, _)| one.cmp(other))?;
    Some((name, spec.git?))
}

/// In whose name the portal commits.
pub fn committer(git: Option<&PortalGit>) -> Person {
    let name = git.and_then(|git| git.committer_name.clone());
    let mail = git.and_then(|git| git.committer_mail.clone());
    Person {
        name: name.unwrap_or_else(|| "Portico".to_owned()),
        mail: mail.unwrap_or_else(|| "portico@localhost".to_owned()),
    }
}

/// Nobody is there to answer any more.
pub fn stopping() -> HostError {
    HostError("Portico is stopping".to_owned())
}

/// Does what takes a while where nobody waits for it but whoever asked.
pub async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    spawn_blocking(work).await.map_err(|_| stopping())?
}
