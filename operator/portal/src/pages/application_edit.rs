//! Making an application, changing what it says, and deleting it with all that it has.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_crds::AccessLevel;
use serde::Deserialize;
use serde_json::json;

use super::Named;
use crate::act::application;
use crate::error::Oops;
use crate::form::{Confirmed, Posted};
use crate::gather::address;
use crate::gather::consumer::subject;
use crate::host::Edit;
use crate::people::Person;
use crate::portal::{Portal, Visitor};
use crate::ui::{Crumb, Frame, Place, crumbs, empty, notice, page};
use crate::wish;
use crate::words::Tone;

/// The most redirect addresses, and the longest.
const ADDRESSES: usize = 32;
const LONGEST: usize = 2048;

/// What a form says of an application.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    once: String,
    #[serde(default)]
    team: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
    /// One on each line.
    #[serde(default)]
    redirects: String,
}

impl Said {
    fn description(&self) -> Option<String> {
        Some(self.description.trim().replace("\r\n", "\n")).filter(|text| !text.is_empty())
    }

    fn redirects(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for line in self.redirects.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if !found.iter().any(|known| known == line) {
                found.push(line.to_owned());
            }
        }
        found
    }

    /// What is wrong with it, in a sentence.
    fn wrong(&self) -> Option<String> {
        let description = self.description().unwrap_or_default();
        if let Some(flaw) = application::flaw(self.title.trim(), &description) {
            return Some(flaw.to_owned());
        }
        let redirects = self.redirects();
        if redirects.len() > ADDRESSES {
            return Some(format!("There may be at most {ADDRESSES} addresses."));
        }
        let bad = redirects.iter().find(|redirect| !is_address(redirect));
        bad.map(|bad| {
            format!("“{bad}” is no address that people can be sent back to: write it whole, with https:// in front.")
        })
    }
}

/// Whether an identity provider can send people there: a whole address, without a fragment.
fn is_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let is_harmless = !["javascript", "data", "file", "vbscript"].contains(&scheme.to_ascii_lowercase().as_str());
    let is_plain = text.len() <= LONGEST && !text.contains(|one: char| one.is_whitespace() || one.is_control());
    is_scheme && is_harmless && is_plain && !rest.is_empty() && !rest.starts_with('/') && !text.contains('#')
}

/// Teams for which somebody can make an application.
fn teams(person: &Person) -> Vec<(Name, String)> {
    let full = person.teams.iter().filter(|one| one.access.teams >= AccessLevel::Full);
    full.map(|one| (one.team.clone(), one.title.clone())).collect()
}

/// The form for a new one.
pub(crate) async fn begin(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Oops> {
    let person = visitor.person.as_ref().ok_or(Oops::NotFound)?;
    let said = Said { once: wish::form(&portal).await?, ..Said::default() };
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    Ok(draw_new(&frame, &teams(person), &said, None))
}

/// Makes one.
pub(crate) async fn make(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Posted(said): Posted<Said>,
) -> Result<Response, Oops> {
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let teams = teams(&person);
    let team = match teams.as_slice() {
        [] => return Err(Oops::Forbidden("You have no team for which you could make an application.".to_owned())),
        [only] => Some(only),
        teams => teams.iter().find(|(name, _)| name.to_string() == said.team),
    };
    let wrong = said.wrong().or_else(|| team.is_none().then(|| "Choose the team that it is for.".to_owned()));
    let Some((team, _)) = team.filter(|_| wrong.is_none()) else {
        let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
        return Ok(draw_new(&frame, &teams, &said, wrong.as_deref()));
    };
    let title = said.title.trim();
    let description = said.description().unwrap_or_default();
    let deed =
        portal.reading.look(|core| application::make(core, &person, team, title, &description, said.redirects()))?;
    let name = deed.about.name.clone();
    deed.carry_out(&portal, &person, &said.once).await?;
    Ok(Redirect::to(&address("applications", &name)).into_response())
}

/// The form for one that is there.
pub(crate) async fn edit(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let once = wish::form(&portal).await?;
    let (frame, spec) = portal.reading.look(|core| {
        let spec = core.application(&name).cloned().ok_or(Oops::NotFound)?;
        Ok::<_, Oops>((Frame::of(&portal, core, &visitor), spec))
    })?;
    let said = Said {
        once,
        team: String::new(),
        title: spec.title.clone(),
        description: spec.description.clone().unwrap_or_default(),
        redirects: spec.redirect_uris.join("\n"),
    };
    Ok(draw_edit(&frame, &name, &spec.title, &said, None))
}

/// Writes down what is different.
pub(crate) async fn change(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(said): Posted<Said>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    let spec = portal.reading.look(|core| core.application(&name).cloned()).ok_or(Oops::NotFound)?;
    if let Some(wrong) = said.wrong() {
        let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
        return Ok(draw_edit(&frame, &name, &spec.title, &said, Some(&wrong)));
    }
    let key = || name.clone().of(Kind::Application);
    let set = |path, value| Edit::Set { key: key(), path, value };
    let unset = |path| Edit::Unset { key: key(), path };
    let mut edits = Vec::new();
    let title = said.title.trim();
    if title != spec.title {
        edits.push(set("spec.title", json!(title)));
    }
    let description = said.description();
    if description.as_deref() != spec.description.as_deref().map(str::trim) {
        edits.push(description.map_or_else(|| unset("spec.description"), |text| set("spec.description", json!(text))));
    }
    let redirects = said.redirects();
    if redirects != spec.redirect_uris {
        let path = "spec.redirectUris";
        edits.push(if redirects.is_empty() { unset(path) } else { set(path, json!(redirects)) });
    }
    if !edits.is_empty() {
        wish::carry_out(&portal, &person, &said.once, format!("Change application {}", spec.title), edits).await?;
    }
    Ok(Redirect::to(&address("applications", &name)).into_response())
}

/// What goes with an application.
struct Leaving {
    title: String,
    /// Subscriptions, with what they are about.
    subscriptions: Vec<(Name, String)>,
    /// Credentials, with what people call them.
    credentials: Vec<(Name, String)>,
}

fn leaving(core: &Core, person: Option<&Person>, name: &Name) -> Option<Leaving> {
    let spec = core.application(name)?;
    let subscriptions: Vec<(Name, String)> = core
        .subscriptions_by(name)
        .filter_map(|one| {
            let subject = subject(core, person, one)?;
            Some((one.clone(), format!("{}, plan {}", subject.product, subject.plan)))
        })
        .collect();
    let of_subscriptions = subscriptions.iter().flat_map(|(one, _)| core.credentials_of(one));
    let mut names: Vec<Name> = core.credentials_of_application(name).chain(of_subscriptions).cloned().collect();
    names.sort();
    names.dedup();
    let credentials = names.into_iter().filter_map(|one| {
        let title = core.credential(&one)?.title.unwrap_or_else(|| one.name().to_string());
        Some((one, title))
    });
    Some(Leaving { title: spec.title.clone(), credentials: credentials.collect(), subscriptions })
}

/// What deleting it takes away, and the form that does it.
pub(crate) async fn ending(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let once = wish::form(&portal).await?;
    let (frame, leaving) = portal.reading.look(|core| {
        let leaving = leaving(core, visitor.person.as_ref(), &name).ok_or(Oops::NotFound)?;
        Ok::<_, Oops>((Frame::of(&portal, core, &visitor), leaving))
    })?;
    let to = address("applications", &name);
    let list = |label: &str, items: &[(Name, String)]| {
        html! {
            @if !items.is_empty() {
                div.stack-tight {
                    h2 { (label) }
                    ul { @for (name, text) in items { li { (text) @if text != name.name() { " " code.small { (name.name()) } } } } }
                }
            }
        }
    };
    let body = html! {
        (crumbs(&[Crumb::new("My applications", "/applications"), Crumb::new(leaving.title.as_str(), to.as_str())]))
        div.narrow.stack-wide {
            div.head {
                h1 { "Delete " (leaving.title) }
                (notice(Tone::Bad, &html! { p { "Everything below ends with it, at once and for good. Whoever calls with one of its keys gets 401." } }))
            }
            div.card {
                (list("Subscriptions that end", &leaving.subscriptions))
                (list("Keys that are destroyed", &leaving.credentials))
                @if leaving.subscriptions.is_empty() && leaving.credentials.is_empty() { p { "It has no subscription and no key." } }
            }
            form.stack method="post" action=(format!("{to}/delete")) {
                (frame.csrf())
                input type="hidden" name="once" value=(once);
                div.field {
                    label for="confirm" { "To be sure, write its name: " code { (name.name()) } }
                    input #confirm type="text" name="confirm" autocomplete="off" autocapitalize="none" spellcheck="false" required;
                }
                div.row {
                    button.button.danger type="submit" { "Delete the application" }
                    a.button href=(to) { "Keep it" }
                }
            }
        }
    };
    Ok(page(&frame, Place::Applications, &format!("Delete {}", leaving.title), &body))
}

/// Deletes it, its subscriptions and its credentials, in one commit.
pub(crate) async fn delete(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Posted(confirmed): Posted<Confirmed>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    let person = visitor.person.clone().ok_or(Oops::NotFound)?;
    confirmed.check("delete", &name)?;
    let leaving = portal.reading.look(|core| leaving(core, Some(&person), &name)).ok_or(Oops::NotFound)?;
    let Leaving { title, subscriptions, credentials } = leaving;
    let mut gone: Vec<_> = credentials.into_iter().map(|(name, _)| name.of(Kind::Credential)).collect();
    gone.extend(subscriptions.into_iter().map(|(name, _)| name.of(Kind::Subscription)));
    gone.push(name.of(Kind::Application));
    let edits = gone.into_iter().map(Edit::Delete).collect();
    wish::carry_out(&portal, &person, &confirmed.once, format!("Delete application {title}"), edits).await?;
    Ok(Redirect::to("/applications").into_response())
}

fn fields(said: &Said) -> Markup {
    html! {
        div.field {
            label for="title" { "Name" }
            input #title type="text" name="title" value=(said.title) minlength="3" maxlength="128" required autocomplete="off";
            p.hint { "What people call it." }
        }
        div.field {
            label for="description" { "What it does (optional)" }
            textarea #description name="description" maxlength="4096" { (said.description) }
            p.hint { "Whoever decides about its requests reads this." }
        }
        div.field {
            label for="redirects" { "Redirect addresses (optional)" }
            textarea #redirects name="redirects" spellcheck="false" { (said.redirects) }
            p.hint { "Where an identity provider may send people back to, one on each line. An API key needs none." }
        }
    }
}

fn mistake(wrong: Option<&str>) -> Markup {
    html! { @if let Some(wrong) = wrong { div role="alert" { (notice(Tone::Bad, &html! { p { (wrong) } })) } } }
}

fn draw_new(frame: &Frame, teams: &[(Name, String)], said: &Said, wrong: Option<&str>) -> Response {
    let body = html! {
        (crumbs(&[Crumb::new("My applications", "/applications")]))
        div.narrow.stack-wide {
            div.head {
                h1 { "A new application" }
                p.lead { "A program that calls APIs. Once it is there, subscribe it to an API, and it gets a key." }
            }
            (mistake(wrong))
            @if teams.is_empty() {
                (empty("You have no team for it", &html! { p { "Applications belong to teams, and it takes full access to make one. Ask a member of your team." } }))
            } @else {
                form.stack method="post" action="/applications/new" {
                    (frame.csrf())
                    input type="hidden" name="once" value=(said.once);
                    @if teams.len() > 1 {
                        div.field {
                            label for="team" { "Team" }
                            select #team name="team" { @for (name, title) in teams { option value=(name) selected[said.team == name.to_string()] { (title) } } }
                        }
                    }
                    (fields(said))
                    div.row { button.button.first type="submit" { "Make it" } a.button href="/applications" { "Back" } }
                }
            }
        }
    };
    page(frame, Place::Applications, "A new application", &body)
}

fn draw_edit(frame: &Frame, name: &Name, title: &str, said: &Said, wrong: Option<&str>) -> Response {
    let to = address("applications", name);
    let body = html! {
        (crumbs(&[Crumb::new("My applications", "/applications"), Crumb::new(title, to.as_str())]))
        div.narrow.stack-wide {
            div.head { h1 { "Edit " (title) } }
            (mistake(wrong))
            form.stack method="post" action=(format!("{to}/edit")) {
                (frame.csrf())
                input type="hidden" name="once" value=(said.once);
                (fields(said))
                div.row { button.button.first type="submit" { "Save" } a.button href=(to) { "Back" } }
            }
            section.card {
                h2 { "Delete it" }
                p.muted { "Its subscriptions end with it, and its keys are destroyed. The next page lists them." }
                div { a.button.danger href=(format!("{to}/delete")) { "Delete…" } }
            }
        }
    };
    page(frame, Place::Applications, &format!("Edit {title}"), &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_sent_back_to_whole_addresses() {
        for good in ["https://shop.example/back", "http://127.0.0.1:3000/", "com.acme.shop://signed-in"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "shop.example",
            "/back",
            "https://",
            "https:///x",
            "javascript://%0aalert(1)",
            "https://a b",
            "https://a#b",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_stand_on_lines_of_their_own() {
        let said = Said { redirects: " https://a/x \r\n\r\nhttps://b/\nhttps://a/x".to_owned(), ..Said::default() };
        assert_eq!(said.redirects(), ["https://a/x", "https://b/"]);
        assert!(said.wrong().unwrap().contains("3 characters"));
        let said = Said { title: "Shop".to_owned(), ..said };
        assert_eq!(said.wrong(), None);
        assert!(Said { redirects: "nowhere".to_owned(), ..said }.wrong().unwrap().contains("nowhere"));
    }
}
