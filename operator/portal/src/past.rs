//! What became of objects in the course of time, as the repository tells.

use std::fmt;

use jiff::Timestamp;
use portico_core::batch::Object;
use portico_core::key::ObjectKey;

/// Keeps those changes of a commit that are asked for. It is asked about the newest commits first.
pub type Concern = Box<dyn FnMut(Vec<Changed>) -> Vec<Changed> + Send>;

/// Which part of the history is wanted.
pub struct Asked {
    /// What of it.
    pub concern: Concern,
    /// Words of which a file about that has one: where a commit changes very much, others are not read.
    pub words: Vec<String>,
    /// Commits before this one; absent: the newest.
    pub before: Option<String>,
    /// How many at most.
    pub most: usize,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked { concern: _, words, before, most } = self;
        f.debug_struct("Asked")
            .field("words", words)
            .field("before", before)
            .field("most", most)
            .finish_non_exhaustive()
    }
}

/// An object that was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Which.
    pub key: ObjectKey,
    /// What it said before; absent where it was not there.
    pub before: Option<Object>,
    /// Whether it could not be read before.
    pub was_unread: bool,
    /// What it says since; absent where it is gone.
    pub after: Option<Object>,
}

/// A commit that changed something.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its id.
    pub commit: String,
    /// When it was put into the repository.
    pub at: Timestamp,
    /// Who wrote it: the name,
    pub name: String,
    /// and the mail address.
    pub mail: String,
    /// Whether it takes in what was committed elsewhere: whoever wrote it has let that in.
    pub takes_in: bool,
    /// What it changed.
    pub changed: Vec<Changed>,
    /// Whether it changed more than could be looked at.
    pub is_cut: bool,
}

/// A part of the history, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// The commits.
    pub entries: Vec<Entry>,
    /// Where the next part begins, if there may be one.
    pub older: Option<String>,
    /// Whether the history that is here ends before it began.
    pub is_cut: bool,
}
