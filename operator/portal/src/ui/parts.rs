//! Components.

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use crate::words::{self, Tone};

/// A step of the way to a page.
#[derive(Clone, Debug)]
pub(crate) struct Crumb {
    pub(crate) text: String,
    pub(crate) to: String,
}

impl Crumb {
    pub(crate) fn new(text: impl Into<String>, to: impl Into<String>) -> Crumb {
        Crumb { text: text.into(), to: to.into() }
    }
}

/// The way to a page.
pub(crate) fn crumbs(steps: &[Crumb]) -> Markup {
    html! {
        nav.crumbs aria-label="Where you are" { ol {
            @for step in steps { li { a href=(step.to) { (step.text) } } }
        } }
    }
}

/// A sheet of a product.
#[derive(Clone, Debug)]
pub(crate) struct Tab {
    pub(crate) text: String,
    pub(crate) to: String,
    pub(crate) is_here: bool,
}

/// Several sheets of one thing.
pub(crate) fn tabs(label: &str, tabs: &[Tab]) -> Markup {
    html! {
        nav.tabs aria-label=(label) tabindex="-1" {
            @for tab in tabs { a href=(tab.to) aria-current=[tab.is_here.then_some("page")] { (tab.text) } }
        }
    }
}

/// A state in a word or two.
pub(crate) fn badge((text, tone): (&str, Tone)) -> Markup {
    html! { span class=(tone.class()) { (text) } }
}

/// Something to mind.
pub(crate) fn notice(tone: Tone, body: &Markup) -> Markup {
    let class = match tone {
        Tone::Good => "notice ok",
        Tone::Warn => "notice warn",
        Tone::Bad => "notice bad",
        Tone::Plain | Tone::Info => "notice",
    };
    html! { div class=(class) role="note" { (body) } }
}

/// Nothing, and what to do about it.
pub(crate) fn empty(title: &str, body: &Markup) -> Markup {
    html! { div.empty { h2 { (title) } (body) } }
}

/// Names and what they are.
pub(crate) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! { dl.facts { @for (name, value) in facts { dt { (name) } dd { (value) } } } }
}

/// A table that becomes a list where there is no room. Heads and rows have the same length.
pub(crate) fn lines(label: &str, heads: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        table.lines {
            caption.hidden-visually { (label) }
            thead { tr { @for head in heads { th scope="col" { (head) } } } }
            tbody {
                @for row in rows { tr {
                    @for (head, cell) in heads.iter().zip(row) {
                        td data-label=[(!head.is_empty()).then_some(head)] { (cell) }
                    }
                } }
            }
        }
    }
}

/// A block of code to be copied.
pub(crate) fn command(text: &str) -> Markup {
    html! { div.code data-copy { pre tabindex="0" { code { (text) } } } }
}

/// What makes a form ours.
pub(crate) fn csrf(token: &str) -> Markup {
    html! { input type="hidden" name="token" value=(token); }
}

/// A moment, exact for programs and short for people.
pub(crate) fn when(moment: Timestamp) -> Markup {
    html! { time datetime=(moment) title=(words::moment(moment)) { (words::day(moment)) } }
}

/// Links to other parts of a long list.
pub(crate) fn pages_of(base: &str, page: usize, pages: usize) -> Markup {
    let link = |page: usize, text: &str| html! { a.button.small href=(format!("{base}page={page}")) { (text) } };
    html! {
        @if pages > 1 {
            nav.row aria-label="Parts of the list" {
                @if page > 1 { (link(page - 1, "Earlier")) }
                span.small.muted { "Part " (page) " of " (pages) }
                @if page < pages { (link(page + 1, "Later")) }
            }
        }
    }
}

/// A small picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icon {
    Check,
    Dash,
}

/// Draws it. It says nothing that the text beside it does not.
pub(crate) fn icon(icon: Icon) -> Markup {
    let path = match icon {
        Icon::Check => "M3 8.5l3.2 3.2L13 5",
        Icon::Dash => "M4 8h8",
    };
    PreEscaped(format!(
        "<svg width=\"16\" height=\"16\" viewBox=\"0 0 16 16\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" \
         stroke-linecap=\"round\" stroke-linejoin=\"round\" aria-hidden=\"true\"><path d=\"{path}\"/></svg>"
    ))
}
