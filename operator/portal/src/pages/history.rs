//! Who did what, and who let them: the history of the repository, as far as it is about something.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use portico_core::Core;
use portico_core::key::{Kind, ObjectKey};
use serde::Deserialize;

use super::Named;
use crate::error::Oops;
use crate::forge;
use crate::gather::address;
use crate::gather::consumer::subject;
use crate::gather::past::{self, Sought};
use crate::may::{Action, may};
use crate::past::{Asked, Changed, Entry, Past};
use crate::portal::{Portal, Visitor, this_portal};
use crate::told;
use crate::ui::{Crumb, Frame, Place, crumbs, empty, lines, notice, page};
use crate::words::{self, Tone};

/// How many commits a page shows.
const PART: usize = 50;

/// Which part of a history.
#[derive(Debug, Deserialize)]
pub(crate) struct Part {
    before: Option<String>,
}

/// What a history is about.
struct Subject {
    key: ObjectKey,
    title: String,
    way: Vec<Crumb>,
    place: Place,
    sought: Sought,
}

/// The history of a subscription.
pub(crate) async fn subscription(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Query(part): Query<Part>,
) -> Result<Response, Oops> {
    let (name, person) = (super::name(&named), visitor.person.as_ref());
    show(&portal, &visitor, part, |core| {
        let about = subject(core, person, &name)?;
        let application = name.beside(&core.subscription(&name)?.application.name);
        let is_consumer = may(core, person, Action::See, &application.clone().of(Kind::Application));
        let title = core.application(&application).map_or_else(|| application.to_string(), |spec| spec.title.clone());
        let title = format!("{} for {title}", about.product);
        Some(Subject {
            way: vec![
                if is_consumer {
                    Crumb::new("My applications", "/applications")
                } else {
                    Crumb::new("Subscribers", "/subscribers")
                },
                Crumb::new(title.as_str(), address("subscriptions", &name)),
            ],
            place: if is_consumer { Place::Applications } else { Place::Subscribers },
            sought: past::subscription(core, person, &name)?,
            key: name.clone().of(Kind::Subscription),
            title,
        })
    })
    .await
}

/// The history of an application.
pub(crate) async fn application(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Query(part): Query<Part>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    show(&portal, &visitor, part, |core| {
        let title = core.application(&name)?.title.clone();
        Some(Subject {
            way: vec![
                Crumb::new("My applications", "/applications"),
                Crumb::new(title.as_str(), address("applications", &name)),
            ],
            place: Place::Applications,
            sought: past::application(core, visitor.person.as_ref(), &name)?,
            key: name.clone().of(Kind::Application),
            title,
        })
    })
    .await
}

/// The history of a product, for its owner.
pub(crate) async fn product(
    State(portal): State<Portal>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Named,
    Query(part): Query<Part>,
) -> Result<Response, Oops> {
    let name = super::name(&named);
    show(&portal, &visitor, part, |core| {
        let title = core.product(&name)?.title.clone();
        Some(Subject {
            way: vec![Crumb::new("APIs", "/"), Crumb::new(title.as_str(), address("apis", &name))],
            place: Place::Catalog,
            sought: past::product(core, visitor.person.as_ref(), &name)?,
            key: name.clone().of(Kind::ApiProduct),
            title,
        })
    })
    .await
}

async fn show(
    portal: &Portal,
    visitor: &Visitor,
    part: Part,
    find: impl Fn(&Core) -> Option<Subject>,
) -> Result<Response, Oops> {
    let (frame, subject, repository) = portal.reading.look(|core| {
        let subject = find(core).ok_or(Oops::NotFound)?;
        let repository = this_portal(core).and_then(|(_, spec)| spec.git).map(|git| git.repository);
        Ok((Frame::of(portal, core, visitor), subject, repository))
    })?;
    let Subject { key, title, way, place, sought: Sought { concern, words } } = subject;
    let is_part = part.before.is_some();
    let asked = Asked { concern, words, before: part.before, most: PART };
    let unavailable =
        |error: crate::host::HostError| Oops::Unavailable(format!("The history cannot be read: {error}."));
    let mut past = portal.host.history(asked).await.map_err(unavailable)?;
    end(&mut past, &key);
    let here = format!("{}/history", way.last().map(|step| step.to.clone()).unwrap_or_default());
    let facts = portal.reading.look(|core| Facts::of(core, visitor, &past));
    let rows: Vec<Vec<Markup>> =
        past.entries.iter().map(|entry| row(entry, &key, &facts, repository.as_deref())).collect();
    let body = html! {
        (crumbs(&way))
        div.head {
            h1 { "History" }
            p.lead { "Who did what with " (title) ", and who let them: as Git has it." }
        }
        div.stack {
            @if rows.is_empty() {
                (empty(if is_part { "There is nothing older" } else { "Nothing is written down yet" }, &html! {
                    @if past.older.is_some() { p { "Nothing in this part of the history is about it." } }
                    @else { p { "What is done from here on turns up here." } }
                }))
            } @else {
                div.card.flush { (lines("History", &["When", "Who", "What", "Commit"], &rows)) }
            }
            @if let Some(older) = &past.older {
                nav.row aria-label="Parts of the history" {
                    a.button.small href=(format!("{here}?before={older}")) { "Older" }
                    @if is_part { a.button.small href=(here) { "Newest" } }
                }
            } @else if past.is_cut {
                (notice(Tone::Info, &html! { p { "The history that is here ends before it began." } }))
            }
        }
    };
    Ok(page(&frame, place, &format!("History · {title}"), &body))
}

/// What was there before by the same name was another's.
fn end(past: &mut Past, key: &ObjectKey) {
    let made = |entry: &Entry| {
        !entry.takes_in
            && entry
                .changed
                .iter()
                .any(|one| one.key == *key && one.before.is_none() && !one.was_unread && one.after.is_some())
    };
    if let Some(first) = past.entries.iter().position(made) {
        past.entries.truncate(first + 1);
        past.older = None;
    }
}

/// What is known of the objects that a history names.
struct Facts {
    /// Those that are there and that the visitor may see.
    seen: BTreeSet<ObjectKey>,
}

impl Facts {
    fn of(core: &Core, visitor: &Visitor, past: &Past) -> Facts {
        let keys: BTreeSet<&ObjectKey> =
            past.entries.iter().flat_map(|entry| &entry.changed).map(|one| &one.key).collect();
        let seen = |key: &&ObjectKey| core.has(key) && may(core, visitor.person.as_ref(), Action::See, key);
        Facts { seen: keys.into_iter().filter(seen).cloned().collect() }
    }
}

fn row(entry: &Entry, subject: &ObjectKey, facts: &Facts, repository: Option<&str>) -> Vec<Markup> {
    vec![
        html! { time datetime=(entry.at) { (words::moment(entry.at)) } },
        html! { span.strong { (entry.name) } div.small.muted { (entry.mail) } },
        html! {
            @if entry.takes_in { div.small.muted { "Let it in:" } }
            ul.stack-tight.bare {
                @for changed in &entry.changed {
                    li {
                        @if changed.key != *subject { span.muted { (named(changed, facts)) ": " } }
                        (sentence(&told::told(changed)))
                        @if let Some(reason) = told::reason(changed) { div.muted { "“" (reason) "”" } }
                    }
                }
                @if entry.is_cut { li.muted { "This commit changed more than is looked at here." } }
            }
        },
        commit(&entry.commit, repository),
    ]
}

fn named(changed: &Changed, facts: &Facts) -> Markup {
    let ObjectKey { kind, name } = &changed.key;
    let (what, section) = match kind {
        Kind::Subscription => ("Subscription", Some("subscriptions")),
        Kind::Credential => ("Key", Some("credentials")),
        Kind::Application => ("Application", Some("applications")),
        Kind::ApiProduct => ("API", Some("apis")),
        Kind::Approval => ("Answer", None),
        other => (other.as_str(), None),
    };
    let is_there = facts.seen.contains(&changed.key);
    html! {
        (what) " "
        @match section.filter(|_| is_there) {
            Some(section) => a href=(address(section, name)) { (name) },
            None => (name),
        }
    }
}

/// What was done, as a sentence without its end.
fn sentence(told: &[String]) -> String {
    let text = told.join("; ");
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// A commit: a link where it is shown elsewhere, and something to be copied otherwise.
pub(super) fn commit(id: &str, repository: Option<&str>) -> Markup {
    let short: String = id.chars().take(12).collect();
    let page = repository.and_then(|repository| forge::page(repository, id));
    html! {
        @if let Some(page) = page { a href=(page) rel="noopener noreferrer" { code { (short) } } }
        @else { span.commit data-copy { code title=(id) { (id) } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_by_the_same_name_was_anothers() {
        let key = ObjectKey::new(Kind::Application, "shop", "web");
        let object: portico_crds::ApplicationSpec =
            serde_json::from_value(serde_json::json!({ "title": "W" })).unwrap();
        let object = portico_core::batch::Object {
            name: key.name.clone(),
            generation: None,
            created: None,
            author: None,
            spec: portico_core::batch::Spec::Application(Box::new(object)),
        };
        let entry = |takes_in, before: bool| Entry {
            commit: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
            name: String::new(),
            mail: String::new(),
            takes_in,
            changed: vec![Changed {
                key: key.clone(),
                before: before.then(|| object.clone()),
                was_unread: false,
                after: Some(object.clone()),
            }],
            is_cut: false,
        };
        let entries = vec![entry(false, true), entry(true, false), entry(false, false), entry(false, true)];
        let mut past = Past { entries, older: Some("x".to_owned()), is_cut: false };
        end(&mut past, &key);
        assert_eq!((past.entries.len(), past.older), (3, None), "who asked is told, and nothing older");
    }

    #[test]
    fn sentences_begin_like_sentences() {
        assert_eq!(sentence(&["paused it".to_owned(), "asked for scope a".to_owned()]), "Paused it; asked for scope a");
        assert_eq!(sentence(&[]), "");
    }
}
