//! The design system, shown.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::html;

use crate::portal::{Portal, Visitor};
use crate::ui::{
    Crumb, Frame, Icon, Place, Tab, badge, command, crumbs, empty, facts, icon, lines, notice, page, tabs,
};
use crate::words::Tone;

/// Every colour, size and component.
pub(crate) async fn show(State(portal): State<Portal>, Extension(visitor): Extension<Visitor>) -> Response {
    let frame = portal.reading.look(|core| Frame::of(&portal, core, &visitor));
    let colors = ["bg", "subtle", "text", "muted", "brand", "link", "ok", "warn", "bad", "info"];
    let tones = [
        ("Plain", Tone::Plain),
        ("Good", Tone::Good),
        ("Mind this", Tone::Warn),
        ("Bad", Tone::Bad),
        ("Good to know", Tone::Info),
    ];
    let tab = |text: &str, is_here| Tab { text: text.to_owned(), to: "/design".to_owned(), is_here };
    let rows = [("Checkout", tones[1]), ("Reports", tones[2])]
        .map(|(name, tone)| vec![html! { a href="/design" { (name) } }, html! { (badge(tone)) }]);
    let body = html! {
        (crumbs(&[Crumb::new("APIs", "/")]))
        div.head { h1 { "Design system" } p.lead { "What the pages of this portal are made of." } }
        div.stack-wide {
            section.stack {
                h2 { "Colour" }
                div.swatches { @for color in colors { div.swatch { span class=(color) {} (color) } } }
            }
            section.stack {
                h2 { "Type" }
                div.card {
                    p.hero-text { "A page has one heading of this size" }
                    p.lead { "A lead says in a sentence or two what a page is for." }
                    p { "Text is set in the system's own typeface, with room to breathe, and " a href="/design" { "links look like links" } "." }
                    p.muted { "What matters less is quieter." }
                    p.small.muted { "And what matters least is smaller, too." }
                    p { "Code is " code { "set apart" } "." }
                }
            }
            section.stack {
                h2 { "Buttons" }
                div.row {
                    button.button.first type="button" { "The one thing to do" }
                    button.button type="button" { "Something else" }
                    button.button.danger type="button" { "What cannot be undone" }
                    button.button.small type="button" { "Small" }
                }
            }
            section.stack { h2 { "States" } div.row { @for tone in tones { (badge(tone)) } } }
            section.stack {
                h2 { "Notices" }
                @for (text, tone) in tones { (notice(tone, &html! { strong { (text) } p { "A sentence that says what to do." } })) }
            }
            section.stack {
                h2 { "Forms" }
                div.card {
                    div.field {
                        label for="example-text" { "A line of text" }
                        input #example-text type="text" value="What somebody has written";
                        p.hint { "A hint says what is expected." }
                    }
                    div.field {
                        label for="example-choice" { "One of several" }
                        select #example-choice { option { "The first" } option { "The second" } }
                    }
                    fieldset {
                        legend { "A choice that needs words" }
                        label.choice { input type="radio" name="example" checked; span { span.strong { "This" } span.small.muted { "What it means." } } }
                        label.choice { input type="radio" name="example"; span { span.strong { "That" } span.small.muted { "What that means." } } }
                    }
                }
            }
            section.stack { h2 { "Lists" } div.card.flush { (lines("Example", &["Name", "State"], &rows)) } }
            section.stack {
                h2 { "Facts" }
                (facts(&[("Plan", html! { "Gold" }), ("Price", html! { "EUR 49.00 a month" })]))
                ul.points { li { (icon(Icon::Check)) span { "What one gets" } } li.no { (icon(Icon::Dash)) span { "What one does not" } } }
            }
            section.stack { h2 { "Code" } (command("curl -H \"x-api-key: $KEY\" https://api.example.com/v1/things")) }
            section.stack { h2 { "Sheets" } (tabs("Example", &[tab("Overview", true), tab("Documentation", false)])) }
            section.stack {
                h2 { "Nothing" }
                (empty("There is nothing here yet", &html! { p { "An empty page says what to do next." } a.button.first href="/" { "Do it" } }))
            }
        }
    };
    page(&frame, Place::Elsewhere, "Design system", &body)
}
