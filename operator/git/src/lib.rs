//! Desired state from Git, or from a folder.
//!
//! A [`Reader`] follows commits: it tells the core what each of them changes, and reads nothing but what has changed. A
//! file that cannot be read is a diagnostic and not an outage: its objects keep what they said before. [`watch`] tells
//! when there is a new commit. Always a commit's objects are read, never files that somebody may be writing. [`write`] turns what
//! people want into commits.

mod author;
pub mod changes;
mod commit;
mod deleted;
mod documents;
mod history;
mod index;
mod pages;
mod reader;
mod signature;
mod source;
mod stage;
pub mod text;
mod tree;
pub mod watch;
pub mod write;

pub use commit::{CommitId, CommitInfo, NotACommitId, Repository, RepositoryError};
pub use reader::{Advance, ObjectPlace, Options, ReadError, Reader};
pub use source::{FolderError, SourceError};
pub use tree::TreeError;
