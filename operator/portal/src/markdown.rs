//! Markdown by somebody whom we need not trust, as HTML: no scripts, no styles, nothing that is loaded from elsewhere.

use std::collections::{HashMap, HashSet};

use ammonia::{Builder, UrlRelative};
use maud::{Markup, PreEscaped};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// The most that is rendered; what follows is left out and said to be.
const MOST: usize = 512 * 1024;

/// Renders a text. Its headings begin a level below the page's own.
pub(crate) fn render(text: &str) -> Markup {
    let (text, is_cut) = cut(text);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(text, options).map(|event| match event {
        Event::Start(Tag::Heading { level, id: _, classes: _, attrs: _ }) => {
            Event::Start(Tag::Heading { level: below(level), id: None, classes: Vec::new(), attrs: Vec::new() })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
        // What an image shows would come from elsewhere: its words are left.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => Event::Text(CowStr::Borrowed("")),
        // HTML is shown as the text that it is.
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::TaskListMarker(done) => Event::Text(CowStr::Borrowed(if done { "☑ " } else { "☐ " })),
        other => other,
    });
    let mut rendered = String::new();
    html::push_html(&mut rendered, events);
    let mut clean = clean(&rendered);
    if is_cut {
        clean.push_str("<p><em>The rest is too long to be shown here.</em></p>");
    }
    PreEscaped(clean)
}

/// The first words of a text, without its marks.
pub(crate) fn plain(text: &str, most: usize) -> String {
    let (text, _) = cut(text);
    let mut plain = String::new();
    for event in Parser::new(text) {
        match event {
            Event::Text(text) | Event::Code(text) => plain.push_str(&text),
            Event::SoftBreak | Event::HardBreak | Event::End(TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item)
                if !plain.ends_with(' ') =>
            {
                plain.push(' ');
            }
            _ => {}
        }
        if plain.len() > most * 4 {
            break;
        }
    }
    let plain = plain.trim();
    match plain.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", plain[..end].trim_end()),
        None => plain.to_owned(),
    }
}

fn cut(text: &str) -> (&str, bool) {
    if text.len() <= MOST {
        return (text, false);
    }
    let end = (0..=MOST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    (&text[..end], true)
}

/// A page has one heading of level 1, and it is not here.
fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

fn clean(html: &str) -> String {
    let tags = [
        "a",
        "blockquote",
        "br",
        "code",
        "del",
        "em",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ];
    Builder::empty()
        .tags(HashSet::from(tags))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"])), ("ol", HashSet::from(["start"]))]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer"))
        .clean(html)
        .to_string()
        // Who has no pointer scrolls by keyboard.
        .replace("<pre>", "<pre tabindex=\"0\">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hostile_is_text() {
        for text in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "![x](https://evil.example/track.png)",
            "[x](javascript:alert(1))",
            "[x](  JaVaScRiPt:alert(1))",
            "[x](data:text/html;base64,PHNjcmlwdD4=)",
            "<style>*{display:none}</style>",
            "<a href=\"x\" style=\"position:fixed\" onclick=\"x()\">x</a>",
            "<iframe src=https://evil.example></iframe>",
            "<svg/onload=alert(1)>",
            "```html\"><script>alert(1)</script>\n```",
        ] {
            let html = render(text).into_string();
            for tag in html.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
                let name: String =
                    tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
                assert!(["p", "a", "pre", "code"].contains(&name.as_str()), "{text} became {html}");
                for bad in ["onclick", "style", "javascript:", "data:"] {
                    assert!(!tag.to_lowercase().contains(bad), "{text} became {html}");
                }
            }
        }
    }

    #[test]
    fn what_is_meant_well_is_shown() {
        let html =
            render("# One\n\nTwo *three* [four](https://acme.example/x?a=b&c=d)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n");
        let html = html.into_string();
        for good in ["<h2>One</h2>", "<em>three</em>", "href=\"https://acme.example/x?a=b&amp;c=d\"", "<td>1</td>"] {
            assert!(html.contains(good), "{html}");
        }
        assert!(render("- [x] done").into_string().contains("☑ done"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let html = render(&"ä".repeat(MOST)).into_string();
        assert!(html.ends_with("shown here.</em></p>"));
    }

    #[test]
    fn the_first_words_are_plain() {
        assert_eq!(plain("# Title\n\nSome *words* and `code`.", 100), "Title Some words and code.");
        assert_eq!(plain("one two three", 7), "one two…");
    }
}
