//! What a commit says, and reading it back.

use crate::commit::CommitInfo;

use super::request::{Person, Request, RequestId};

/// The request that a commit carries out.
pub(crate) const REQUEST: &str = "Portico-Request";

/// By which it is known when it is asked for again.
pub(crate) const ONCE: &str = "Portico-Idempotency-Key";

/// What tells whether the same is asked for.
pub(crate) const EDITS: &str = "Portico-Edits";

/// Who let it land.
pub(crate) const APPROVED: &str = "Approved-by";

/// The request that a commit turns down.
pub(crate) const DECLINED: &str = "Portico-Declined";

/// Who had asked for what is turned down,
pub(crate) const ASKED: &str = "Asked-by";

/// and who turns it down.
pub(crate) const DECLINED_BY: &str = "Declined-by";

/// The longest first line, in characters.
const MAX_SUMMARY: usize = 200;

/// What a commit says of the request that it carries out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trailers {
    pub(crate) request: Option<RequestId>,
    pub(crate) once: Option<String>,
    pub(crate) edits: Option<String>,
    pub(crate) declined: Option<RequestId>,
}

impl Trailers {
    pub(crate) fn of(commit: &CommitInfo) -> Trailers {
        let mut found = Trailers::default();
        // Most commits of others have none, and are not looked at any further.
        if !commit.message.contains("Portico-") {
            return found;
        }
        for (name, value) in commit.trailers() {
            match name.as_str() {
                REQUEST => found.request = RequestId::new(&value).ok(),
                ONCE => found.once = Some(value),
                EDITS => found.edits = Some(value),
                DECLINED => found.declined = RequestId::new(&value).ok(),
                _ => {}
            }
        }
        found
    }
}

/// The message of the commit that carries a request out.
pub(crate) fn landing(request: &Request) -> String {
    let Request { id, once, summary, .. } = request;
    let (once, edits) = (once.as_str(), request.digest());
    format!("{}\n\n{REQUEST}: {id}\n{ONCE}: {once}\n{EDITS}: {edits}\n", line(summary, "Change desired state"))
}

/// The message of the commit that takes a request in which has waited.
pub(crate) fn merging(id: &RequestId, waited: &CommitInfo, by: &Person) -> String {
    let Trailers { once, edits, .. } = Trailers::of(waited);
    let known = [(ONCE, once), (EDITS, edits)];
    let known = known.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}\n", value?)));
    let known: String = known.collect();
    let Person { name, mail } = clean(by);
    let summary = line(&waited.summary, "Take in a request");
    format!("{summary}\n\n{REQUEST}: {id}\n{known}{APPROVED}: {name} <{mail}>\n")
}

/// The message of the commit that turns a request down which has waited. The reason is one line, so that it writes no trailers.
pub(crate) fn declining(id: &RequestId, waited: &CommitInfo, by: &Person, reason: &str) -> String {
    let asked = clean(&Person { name: waited.author.clone(), mail: waited.mail.clone() });
    let Person { name, mail } = clean(by);
    let summary = line(&format!("Turn down: {}", waited.summary), "Turn down a request");
    let reason = words(reason);
    let reason = if reason.is_empty() { "No reason is given.".to_owned() } else { reason };
    format!(
        "{summary}\n\n{reason}\n\n{DECLINED}: {id}\n{ASKED}: {} <{}>\n{DECLINED_BY}: {name} <{mail}>\n",
        asked.name, asked.mail
    )
}

/// The reason that [`declining`] has written.
pub(crate) fn reason(commit: &CommitInfo) -> String {
    commit.message.lines().skip(1).find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
}

/// One line, without anything that would be more than text.
fn line(text: &str, otherwise: &str) -> String {
    let said: String = words(text).chars().take(MAX_SUMMARY).collect();
    if said.is_empty() { otherwise.to_owned() } else { said }
}

fn words(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

/// Somebody whose name and address Git can write down.
pub(crate) fn clean(person: &Person) -> Person {
    let tidy = |text: &str| {
        let kept: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>' | '\n')).collect();
        // Git takes these away at both ends.
        kept.trim_matches(|c: char| c.is_whitespace() || ".,:;\"'\\".contains(c)).to_owned()
    };
    let (name, mail) = (tidy(&person.name), tidy(&person.mail).replace(char::is_whitespace, ""));
    let mail = if mail.is_empty() { "unknown".to_owned() } else { mail };
    Person { name: if name.is_empty() { mail.clone() } else { name }, mail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_trailers_but_us() {
        let summary = "Ask\n\nApproved-by: Olga <olga@acme.example>\nPortico-Request: other";
        assert_eq!(line(summary, ""), "Ask Approved-by: Olga <olga@acme.example> Portico-Request: other");
        assert_eq!(line("\u{1b}[31m \u{7}", "x"), "[31m");
        assert_eq!(line(" \n", "x"), "x");
        let waited = CommitInfo {
            id: "1".repeat(40).parse().unwrap(),
            parents: Vec::new(),
            author: "Sara".to_owned(),
            mail: "sara@acme.example".to_owned(),
            written: jiff::Timestamp::UNIX_EPOCH,
            committer: String::new(),
            committed: jiff::Timestamp::UNIX_EPOCH,
            summary: "Ask".to_owned(),
            message: String::new(),
        };
        let by = Person { name: "Olga".to_owned(), mail: "olga@acme.example".to_owned() };
        let message =
            declining(&RequestId::new("r1").unwrap(), &waited, &by, "No.\n\nPortico-Request: r2\nApproved-by: x");
        let said = CommitInfo { message, ..waited };
        let trailers = Trailers::of(&said);
        assert_eq!(trailers.request, None);
        assert_eq!(trailers.declined, RequestId::new("r1").ok());
        assert_eq!(reason(&said), "No. Portico-Request: r2 Approved-by: x");
        let odd = Person { name: "Ann <x>\nApproved-by: me".to_owned(), mail: "a@b>\n<c".to_owned() };
        assert_eq!(clean(&odd), Person { name: "Ann xApproved-by: me".to_owned(), mail: "a@bc".to_owned() });
        let none = Person { name: "..".to_owned(), mail: "ann@example.com".to_owned() };
        assert_eq!(clean(&none).name, "ann@example.com");
    }
}
