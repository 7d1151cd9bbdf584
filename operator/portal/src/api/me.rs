//! Who asks, as the portal knows them.

use axum::{Extension, Json};
use portico_crds::Access;
use schemars::JsonSchema;
use serde::Serialize;

use super::person;
use super::view::Ref;
use crate::error::Oops;
use crate::people::Membership;
use crate::portal::Visitor;
use crate::tokens::Token;

/// Whoever asks.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Me {
    mail: String,
    name: String,
    teams: Vec<Team>,
    /// What the token may do that was shown: `read`, `write`, `decide`.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
}

/// A team that somebody is in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Team {
    #[serde(flatten)]
    of: Ref,
    title: String,
    access: Access,
}

/// Tells it.
pub(super) async fn show(
    Extension(visitor): Extension<Visitor>,
    token: Option<Extension<Token>>,
) -> Result<Json<Me>, Oops> {
    let person = person(&visitor)?;
    let teams = person.teams.iter().map(|Membership { team, title, access, named: _ }| Team {
        of: Ref::of(team),
        title: title.clone(),
        access: *access,
    });
    let words = |token: Token| token.scopes.iter().map(|scope| scope.word().to_owned()).collect();
    Ok(Json(Me {
        mail: person.mail.clone(),
        name: person.name.clone(),
        teams: teams.collect(),
        scopes: token.map(|Extension(token)| words(token)),
    }))
}
