//! What a click becomes: edits that are written to Git in somebody's name.

use std::time::Duration;

use portico_core::batch::{Object, Spec};
use portico_core::key::Name;

use crate::clock;
use crate::error::Oops;
use crate::follow::LOOK;
use crate::host::{Edit, Landed, Refused, Wish};
use crate::pages;
use crate::people::Person;
use crate::portal::Portal;
use crate::review;
use crate::sign_in::no_randomness;

/// The longest name that is made.
const LONGEST: usize = 50;

/// An object that says this.
pub(crate) fn put(name: Name, spec: Spec) -> Edit {
    Edit::Put(Box::new(Object { name, generation: None, created: None, author: None, spec }))
}

/// By what the form of a page is known: a word that nobody guesses, and the commit that the page is made from.
pub(crate) async fn form(portal: &Portal) -> Result<String, Oops> {
    let word = clock::word().ok_or_else(no_randomness)?;
    // Earlier than the core is looked at: what changes in between is found rather than overwritten.
    let commit = portal.host.revision().await.filter(|commit| is_commit(commit));
    Ok(commit.map_or_else(|| word.clone(), |commit| format!("{commit}-{word}")))
}

/// The commit that a form was made from.
fn base(once: &str) -> Option<&str> {
    once.split_once('-').map(|(commit, _)| commit).filter(|commit| is_commit(commit))
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Has somebody's wish carried out. `once` is the form that it came from: sent twice, it is carried out once.
pub(crate) async fn submit(
    portal: &Portal,
    person: &Person,
    once: &str,
    summary: String,
    edits: Vec<Edit>,
) -> Result<Landed, Oops> {
    let id = clock::word().ok_or_else(no_randomness)?;
    let id = format!("r{id}");
    let is_word = (1..=120).contains(&once.len())
        && once.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let base = base(once).filter(|_| is_word).map(str::to_owned);
    // A key is somebody's own: nobody gets at another's answer by it.
    let once = if is_word { format!("p{once}") } else { id.clone() };
    let review = portal.reading.look(|core| review::is_asked(core) && review::gives(core, &edits));
    let wish = Wish { id, once, name: person.name.clone(), mail: person.mail.clone(), summary, base, review, edits };
    portal.host.submit(wish).await.map_err(refused)
}

/// Why a wish was not carried out, for whoever has it.
pub(crate) fn refused(refused: Refused) -> Oops {
    match refused {
        Refused::Problems(problems) => {
            Oops::Bad(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
        Refused::Conflict(why) => Oops::Conflict(format!(
            "Somebody has changed the same in the meantime: {why}. Look at how it stands now, and try again."
        )),
        Refused::SentBefore => Oops::Conflict(
            "This was sent before, and what it said then was done. Look at how it stands now.".to_owned(),
        ),
        Refused::Unavailable(why) => {
            Oops::Unavailable(format!("It could not be written: {why}. Nothing has changed; try again."))
        }
        Refused::Unsure(why) => Oops::Unavailable(format!(
            "It is not known whether it was written: {why}. Send the same form again: what it says is done once."
        )),
    }
}

/// The same, and waits a moment until it is read, so that the next page shows it. Where it waits for a review, the next page is
/// the one that follows that.
pub(crate) async fn carry_out(
    portal: &Portal,
    person: &Person,
    once: &str,
    summary: String,
    edits: Vec<Edit>,
) -> Result<Landed, Oops> {
    let landed = submit(portal, person, once, summary, edits).await?;
    if let Some(id) = &landed.waits {
        return Err(Oops::Waits { to: pages::review::address(id) });
    }
    settle(portal, &landed.commit).await;
    Ok(landed)
}

/// Waits a moment until what was written is read, so that the next page shows it. It is no harm if that takes longer.
pub(crate) async fn settle(portal: &Portal, commit: &str) {
    let wait = async {
        let mut changes = portal.reading.changes();
        while !portal.host.has_read(commit).await.unwrap_or(true) {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    };
    // Whoever waits longer than this would rather see something.
    let _ = tokio::time::timeout(Duration::from_secs(3), wait).await;
}

/// A name for an object, made of what people call it, that is not taken yet.
pub(crate) fn name(called: &str, otherwise: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut base = String::new();
    for character in called.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() {
            base.push(character);
        } else if !base.is_empty() && !base.ends_with('-') {
            base.push('-');
        }
    }
    base.truncate(LONGEST);
    let base = base.trim_end_matches('-');
    // A name begins with a letter, wherever it may be used later.
    let base = if base.starts_with(|first: char| first.is_ascii_lowercase()) { base } else { otherwise };
    if !is_taken(base) {
        return base.to_owned();
    }
    let numbered = (2..10_000).map(|count| format!("{base}-{count}")).find(|name| !is_taken(name));
    numbered.unwrap_or_else(|| base.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_knows_what_it_was_made_from() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(base(&format!("{commit}-word-rotate")), Some(commit));
        assert_eq!(base("word-rotate"), None);
        assert_eq!(base("word"), None);
    }

    #[test]
    fn titles_become_names() {
        assert_eq!(name("Check Out!", "app", |_| false), "check-out");
        assert_eq!(name("Check out", "app", |taken| taken == "check-out"), "check-out-2");
        assert_eq!(name("商店", "app", |_| false), "app");
        assert_eq!(name("3D", "app", |_| false), "app", "a name begins with a letter");
        assert!(name(&"long ".repeat(100), "app", |_| false).len() <= LONGEST);
        assert!(!name(&"x-".repeat(100), "app", |_| false).ends_with('-'));
    }
}
