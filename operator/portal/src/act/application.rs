//! Applications.

use portico_core::Core;
use portico_core::batch::Spec;
use portico_core::key::{Kind, Name};
use portico_crds::{ApplicationSpec, LocalRef, Security};

use super::Deed;
use crate::error::Oops;
use crate::gather::offer::is_taken;
use crate::host::Edit;
use crate::may::{Action, may};
use crate::people::Person;
use crate::wish;

/// What is wrong with what an application is called, or is said to do.
pub(crate) fn flaw(title: &str, description: &str) -> Option<&'static str> {
    let length = title.chars().count();
    if length < 3 {
        Some("Give the application a name of at least 3 characters.")
    } else if length > 128 {
        Some("The name is longer than 128 characters.")
    } else if description.chars().count() > 4096 {
        Some("The description is too long.")
    } else {
        None
    }
}

/// A new application of a team, with a name that none has.
pub(crate) fn new(
    core: &Core,
    team: &Name,
    title: &str,
    description: &str,
    redirect_uris: Vec<String>,
) -> (Name, Edit) {
    let taken = |name: &str| is_taken(core, Kind::Application, team.namespace(), name);
    let application = team.beside(wish::name(title, "application", taken));
    let spec = ApplicationSpec {
        title: title.to_owned(),
        description: Some(description.to_owned()).filter(|text| !text.is_empty()),
        redirect_uris,
        reference_id: None,
        authentication: Security::ApiKey,
        external_client_id: None,
        team: Some(LocalRef { name: team.name().to_string() }),
    };
    let edit = wish::put(application.clone(), Spec::Application(Box::new(spec)));
    (application, edit)
}

/// Makes an application for a team.
pub(crate) fn make(
    core: &Core,
    person: &Person,
    team: &Name,
    title: &str,
    description: &str,
    redirect_uris: Vec<String>,
) -> Result<Deed, Oops> {
    let key = team.clone().of(Kind::Team);
    if !may(core, Some(person), Action::Change, &key) {
        let sees = may(core, Some(person), Action::See, &key);
        let why = || "You see what this team has, and only members with full access make something for it.".to_owned();
        return Err(if sees { Oops::Forbidden(why()) } else { Oops::NotFound });
    }
    let (title, description) = (title.trim(), description.trim());
    if let Some(flaw) = flaw(title, description) {
        return Err(Oops::Bad(flaw.to_owned()));
    }
    let (application, edit) = new(core, team, title, description, redirect_uris);
    let about = application.of(Kind::Application);
    Ok(Deed { summary: format!("Make application {title}"), edits: vec![edit], about })
}
