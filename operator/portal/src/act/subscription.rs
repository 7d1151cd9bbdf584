//! Subscriptions that are there.

use jiff::Timestamp;
use portico_core::Core;
use portico_core::key::{Kind, Name};
use serde_json::json;

use super::Deed;
use crate::error::Oops;
use crate::gather::consumer::subscription;
use crate::gather::life::{Life, Step};
use crate::host::Edit;
use crate::people::Person;

/// Ends it, for good and at once.
pub(crate) fn cancel(core: &Core, person: &Person, name: &Name, now: Timestamp) -> Result<Deed, Oops> {
    Life::of(core, name).ok_or(Oops::NotFound)?.allows(Step::Cancel).map_err(Oops::Bad)?;
    let shown = subscription(core, Some(person), name).ok_or(Oops::NotFound)?;
    let key = name.clone().of(Kind::Subscription);
    Ok(Deed {
        summary: format!("{}: cancel {}", shown.application_title, shown.subject.product),
        edits: vec![Edit::Set { key: key.clone(), path: "spec.cancelAt", value: json!(now.to_string()) }],
        about: key,
    })
}
