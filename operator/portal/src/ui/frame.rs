//! What stands around every page.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use portico_core::Core;
use portico_crds::MenuItem;

use super::parts::csrf;
use crate::assets;
use crate::color::Color;
use crate::gather::inbox;
use crate::markdown;
use crate::people::Person;
use crate::portal::{Portal, Visitor, this_portal};

/// Which part of the portal a page is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Catalog,
    Applications,
    Requests,
    Subscribers,
    Elsewhere,
}

/// What a page needs to know for its frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    footer: Option<String>,
    menu: Vec<MenuItem>,
    color: Color,
    is_local: bool,
    pub(crate) person: Option<Person>,
    token: Option<String>,
    /// Whether there is anything that this person looks after, and how many requests wait for them.
    owns: bool,
    waiting: usize,
}

impl Frame {
    /// For a page that a visitor looks at.
    pub(crate) fn of(portal: &Portal, core: &Core, visitor: &Visitor) -> Frame {
        let spec = this_portal(core).map(|(_, spec)| spec);
        let branding = spec.as_ref().and_then(|spec| spec.branding.clone()).unwrap_or_default();
        let person = visitor.person.clone();
        let (owns, waiting) = person.as_ref().map_or((false, 0), |person| inbox::counts(core, person));
        Frame {
            title: spec.as_ref().map_or_else(|| "APIs".to_owned(), |spec| spec.title.clone()),
            description: spec.and_then(|spec| spec.description),
            footer: branding.footer,
            menu: branding.menu,
            color: assets::brand(branding.primary_color.as_deref()),
            is_local: portal.is_local(core),
            person,
            token: visitor.session.as_ref().map(|session| session.token.clone()),
            owns,
            waiting,
        }
    }

    /// What a form of this page carries.
    pub(crate) fn csrf(&self) -> Markup {
        csrf(self.token.as_deref().unwrap_or_default())
    }
}

/// A whole page.
pub(crate) fn page(frame: &Frame, place: Place, title: &str, body: &Markup) -> Response {
    let whole = if title.is_empty() { frame.title.clone() } else { format!("{title} · {}", frame.title) };
    let item = |to: &str, text: &str, here: bool, count: usize| {
        html! {
            a href=(to) aria-current=[here.then_some("page")] {
                (text)
                @if count > 0 { span.count aria-hidden="true" { (many(count)) } span.hidden-visually { " (" (many(count)) " waiting)" } }
            }
        }
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (whole) }
                link rel="stylesheet" href=(assets::address("portal.css"));
                link rel="stylesheet" href=(assets::brand_address(frame.color));
                link rel="icon" type="image/svg+xml" href=(assets::address("icon.svg"));
                script type="module" src=(assets::address("copy.js")) {}
                script type="module" src=(assets::address("menu.js")) {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                @if frame.is_local {
                    section.trying aria-label="About this portal" { div.wrap {
                        strong { "For trying out. " }
                        "Whoever is at this machine can sign in as anybody, so this portal answers on this machine only."
                    } }
                }
                header.top { div.wrap {
                    a.name href="/" {
                        span.mark aria-hidden="true" { (frame.title.chars().next().unwrap_or('A')) }
                        (frame.title)
                    }
                    nav aria-label="Portal" {
                        (item("/", "APIs", place == Place::Catalog, 0))
                        @if frame.person.as_ref().is_some_and(|person| !person.teams.is_empty()) {
                            (item("/applications", "My applications", place == Place::Applications, 0))
                        }
                        @if frame.owns {
                            (item("/requests", "Requests", place == Place::Requests, frame.waiting))
                            (item("/subscribers", "Subscribers", place == Place::Subscribers, 0))
                        }
                        @for menu in &frame.menu { a href=(safe(&menu.url)) { (menu.title) } }
                    }
                    (who(frame))
                } }
                main #content tabindex="-1" { div.wrap { (body) } }
                footer.bottom { div.wrap {
                    div { @if let Some(footer) = &frame.footer { (markdown::render(footer)) } }
                    div.row { a href="/api" { "API" } a href="/design" { "Design system" } }
                } }
            }
        }
    };
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, page.into_string()).into_response()
}

/// A number that is not counted to its end.
fn many(count: usize) -> String {
    if count > inbox::MOST_COUNTED { format!("{}+", inbox::MOST_COUNTED) } else { count.to_string() }
}

fn who(frame: &Frame) -> Markup {
    html! {
        @if let Some(person) = &frame.person {
            details.who {
                summary {
                    span.avatar aria-hidden="true" { (initials(&person.name)) }
                    span.label { (person.name) }
                    span.hidden-visually { "Your account" }
                }
                div.menu {
                    div { div.strong { (person.name) } div.small.muted { (person.mail) } }
                    @if !person.teams.is_empty() {
                        div.small.muted {
                            "Team " (person.teams.iter().map(|team| team.title.as_str()).collect::<Vec<_>>().join(", "))
                        }
                    }
                    a.small href="/tokens" { "Tokens for programs" }
                    form method="post" action="/sign-out" {
                        (frame.csrf())
                        button.button.small.wide type="submit" { "Sign out" }
                    }
                }
            }
        } @else {
            a.button.small href="/sign-in" { "Sign in" }
        }
    }
}

fn initials(name: &str) -> String {
    name.split_whitespace().take(2).filter_map(|word| word.chars().next()).flat_map(char::to_uppercase).collect()
}

/// Where a link of the menu leads, if a link may lead there.
fn safe(url: &str) -> &str {
    let inside = url.starts_with('/') && !url.starts_with("//") && !url.contains('\\');
    if inside || url.starts_with("https://") || url.starts_with("http://") || url.starts_with("mailto:") {
        url
    } else {
        "#"
    }
}

#[cfg(test)]
mod tests {
    use super::{initials, safe};

    #[test]
    fn links_lead_to_pages() {
        assert_eq!(safe("/docs"), "/docs");
        assert_eq!(safe("https://status.acme.example"), "https://status.acme.example");
        for bad in ["javascript:alert(1)", "//evil.example", "data:text/html,x", "/\\evil.example"] {
            assert_eq!(safe(bad), "#", "{bad}");
        }
    }

    #[test]
    fn many_requests_are_not_counted() {
        assert_eq!((super::many(7), super::many(99), super::many(100)), ("7".into(), "99".into(), "99+".into()));
    }

    #[test]
    fn names_have_initials() {
        assert_eq!(initials("Sara Lee Third"), "SL");
        assert_eq!(initials("ößter"), "Ö");
        assert_eq!(initials(""), "");
    }
}
