//! The API of the portal: what pages show and do, for programs. It reads through `gather`, acts through `act`, and stands behind
//! the same guard, so that no rule is its own.

mod accepted;
mod applications;
pub(crate) mod bearer;
mod changes;
mod credentials;
mod document;
mod me;
mod plans;
mod problem;
mod products;
mod requests;
mod sent;
mod subscriptions;
mod table;
mod version;
mod view;

pub(crate) use accepted::Answers;
pub use document::document;
pub(crate) use problem::{problem, told};
pub(crate) use table::table;
pub(crate) use version::versioned;

use portico_core::key::Name;

use crate::error::Oops;
use crate::people::Person;
use crate::portal::Visitor;

/// What every address of it begins with.
pub(crate) const BASE: &str = "/api/v1/";

/// Whoever asks. The guard lets nobody else come where this is asked.
fn person(visitor: &Visitor) -> Result<&Person, Oops> {
    visitor.person.as_ref().ok_or(Oops::NotFound)
}

/// A name in a query, as `namespace/name`.
fn named(parameter: &str, text: &str) -> Result<Name, Oops> {
    let is_part = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
        (1..=253).contains(&part.len()) && part.bytes().all(fits)
    };
    match text.split_once('/') {
        Some((namespace, name)) if is_part(namespace) && is_part(name) => Ok(Name::new(namespace, name)),
        _ => Err(Oops::Malformed(format!("`{parameter}` is a name with its namespace: NAMESPACE/NAME."))),
    }
}
