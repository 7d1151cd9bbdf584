//! Who may come where: every address that is served, for everybody, with what is theirs and what is not.

use std::fmt::Write as _;

use crate::world::{Visitor, World};
use axum::http::StatusCode;
use portico_core::key::Kind;
use portico_portal::{Action, Reach, Route, routes};

const PEOPLE: [&str; 7] = ["stranger", "sara", "sven", "lena", "mia", "olga", "otto"];

/// The objects of a kind that addresses are tried with.
fn objects(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::ApiProduct => &["api/public", "api/members", "api/shops", "api/hidden", "api/none"],
        Kind::Plan => &["api/open", "api/asked", "api/none"],
        Kind::Application => &["shop/web", "shop/none"],
        Kind::Subscription => &["shop/web-open", "shop/web-asked", "shop/none"],
        Kind::Credential => &["shop/web-open", "shop/none"],
        other => panic!("addresses with {other} need objects to be tried with"),
    }
}

/// An address, filled in.
fn filled(route: &Route, object: &str) -> String {
    let (namespace, name) = object.split_once('/').unwrap_or_default();
    let path = route.path.replace("{namespace}", namespace).replace("{name}", name);
    let path = path.replace("{page}", "open").replace("{version}", "v1").replace("{commit}", &"b".repeat(40));
    path.replace("{digest}", "0").replace("{file}", "none.css").replace("{id}", "0")
}

async fn status(visitor: &Visitor<'_>, route: &Route, path: &str) -> StatusCode {
    let path = if route.path.starts_with("/landed/") {
        format!("{path}?namespace=shop&name=web-asked")
    } else if route.path.starts_with("/api/v1/changes/") {
        format!("{path}?kind=Subscription&name=shop/web-asked")
    } else {
        path.to_owned()
    };
    if route.method == "GET" {
        return visitor.get(&path).await.status;
    }
    if route.is_api() {
        return visitor.call(route.method, &path, "{}").await.status;
    }
    // Whether one may send it at all, not what comes of it.
    let token = visitor.token().await;
    visitor.post(&path, &format!("token={token}")).await.status
}

async fn people(world: &World) -> Vec<(&'static str, Visitor<'_>)> {
    let mut people = Vec::new();
    for name in PEOPLE {
        let visitor = match name {
            "stranger" => world.stranger(),
            name => world.visitor(&format!("{name}@acme.example")).await,
        };
        people.push((name, visitor));
    }
    people
}

/// Every address with every object, and what everybody gets there.
async fn matrix(world: &World) -> Vec<(Route, String, Vec<(&'static str, StatusCode)>)> {
    let mut rows = Vec::new();
    for route in routes() {
        let objects = match route.reach {
            Reach::Object(kind, _) => objects(kind),
            Reach::Everyone | Reach::SignedIn => &[""],
        };
        for object in objects {
            let path = filled(&route, object);
            let mut row = Vec::new();
            // Signing out is the end of a session: everybody comes anew.
            for (name, visitor) in people(world).await {
                row.push((name, status(&visitor, &route, &path).await));
            }
            rows.push((route, (*object).to_owned(), row));
        }
    }
    rows
}

#[tokio::test]
async fn everybody_comes_where_they_may_and_nowhere_else() {
    let world = World::new();
    let rows = matrix(&world).await;
    let mut table = String::new();
    for (route, object, row) in &rows {
        let shown: Vec<String> = row.iter().map(|(name, status)| format!("{name} {}", status.as_u16())).collect();
        let _ = writeln!(table, "{:4} {} {object}\n     {}", route.method, route.path, shown.join("  "));
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn what_is_not_yours_is_not_there() {
    let world = World::new();
    for (route, object, row) in matrix(&world).await {
        for (name, status) in row {
            let place = format!("{name} at {} {} with {object}: {status}", route.method, route.path);
            match route.reach {
                _ if name == "stranger" && route.is_api() => {
                    let is_open = matches!(status, StatusCode::OK | StatusCode::UNAUTHORIZED);
                    assert!(is_open && (route.method == "GET" || status == StatusCode::UNAUTHORIZED), "{place}");
                }
                Reach::SignedIn if name == "stranger" && route.method == "GET" => {
                    assert_eq!(status, StatusCode::SEE_OTHER, "{place}");
                }
                Reach::Object(kind, action)
                    if name != "stranger"
                        && (object.ends_with("/none")
                            || (matches!(kind, Kind::Application | Kind::Credential)
                                && ["mia", "olga", "otto"].contains(&name))
                            || (kind == Kind::Subscription && action == Action::Change && name == "mia")) =>
                {
                    assert_eq!(status, StatusCode::NOT_FOUND, "{place}");
                }
                Reach::Object(Kind::Subscription, Action::Decide) if name != "olga" && object == "shop/web-asked" => {
                    assert!([StatusCode::NOT_FOUND, StatusCode::FORBIDDEN].contains(&status), "{place}");
                }
                Reach::Object(Kind::Plan | Kind::ApiProduct, Action::Oversee) if !["olga", "otto"].contains(&name) => {
                    assert!([StatusCode::NOT_FOUND, StatusCode::SEE_OTHER].contains(&status), "{place}");
                }
                Reach::Everyone | Reach::SignedIn | Reach::Object(..) => {}
            }
            if name == "stranger" && route.method != "GET" {
                assert!(status.is_client_error(), "{place}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_changes_without_the_token_of_the_session() {
    let world = World::new();
    let sara = world.visitor("sara@acme.example").await;
    let other = world.visitor("sven@acme.example").await.token().await;
    for route in routes().into_iter().filter(|route| route.method == "POST") {
        let objects = match route.reach {
            Reach::Object(kind, _) => objects(kind)[0],
            Reach::Everyone | Reach::SignedIn => "",
        };
        for form in ["", "token=", "token=guess", &format!("token={other}")] {
            let answer = sara.post(&filled(&route, objects), &format!("{form}&mail=sara@acme.example")).await;
            assert!(answer.status.is_client_error(), "{} with {form:?}: {}", route.path, answer.status);
        }
    }
    assert!(world.host.wishes.lock().unwrap().is_empty(), "nothing was written");
}
