//! Wishes that wait until somebody else has looked at them.

use jiff::Timestamp;

use crate::past::Changed;

/// A wish that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// By which it is followed.
    pub id: String,
    /// Its newest commit.
    pub commit: String,
    /// The branch on which it waits.
    pub branch: String,
    /// Who has it: the name,
    pub name: String,
    /// and the mail address.
    pub mail: String,
    /// Since when.
    pub since: Timestamp,
    /// What it is, on one line.
    pub summary: String,
    /// What it would change.
    pub changed: Vec<Changed>,
    /// Whether it would change other files too, or more than could be looked at.
    pub has_more: bool,
}

/// An answer to a wish that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which wish.
    pub id: String,
    /// Its commit that was looked at.
    pub seen: String,
    /// Who answers: the name,
    pub name: String,
    /// and the mail address.
    pub mail: String,
    /// Why it is turned down; absent where it is taken in.
    pub reason: Option<String>,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It waits.
    Waiting(Box<Waiting>),
    /// It was taken in.
    TakenIn {
        /// The commit.
        commit: String,
        /// Who has taken it in.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// It was turned down.
    Declined {
        /// The commit that says so.
        commit: String,
        /// Who has turned it down.
        by: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Nothing tells.
    Unknown,
}
