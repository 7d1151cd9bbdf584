//! OpenAPI path templates as patterns.
//!
//! A gateway and the server behind it may read one path differently: many servers ignore case, a slash at the end and
//! `;parameters`, and all of them decode `%3a` where Envoy decodes letters and digits only. So what takes something away
//! (a denial, a limit, a scope that is needed) matches every spelling that a server might read as that path, and what
//! gives something matches the template to the letter.

use std::fmt::Write as _;

use super::wire::escape;

/// Matches paths in which servers may see a `.` or `..` or an empty segment where Envoy sees a name.
pub(super) const DISGUISED: &str = r"(?:/[^/]*)*/\.{0,2}(?:;|%3[Bb]).*";

/// What may stand at the end of a segment and not count.
const PARAMETERS: &str = "(?:(?:;|%3B)[^/]*)?";

/// Matches all that a server might take for `template` below `base`. The base itself stands to the letter: nothing else
/// leads to the API.
pub(super) fn lenient(base: &str, template: &str) -> String {
    let mut pattern = format!("{}(?i)", escape(base.trim_end_matches('/')));
    for segment in template.split('/').filter(|segment| !segment.is_empty()) {
        pattern.push('/');
        push_segment(&mut pattern, segment, push_any_spelling);
        pattern.push_str(PARAMETERS);
    }
    pattern.push_str("/?");
    pattern
}

/// Matches `template` below `base` and nothing else.
pub(super) fn strict(base: &str, template: &str) -> String {
    let mut pattern = escape(base.trim_end_matches('/'));
    if template == "/" && !pattern.is_empty() {
        // The base path itself, which people call with a slash at the end and without.
        pattern.push_str("/?");
        return pattern;
    }
    for segment in template.trim_start_matches('/').split('/') {
        pattern.push('/');
        push_segment(&mut pattern, segment, push_spelling);
    }
    pattern
}

fn push_segment(pattern: &mut String, segment: &str, push: fn(&mut String, u8)) {
    let mut rest = segment;
    while let Some((before, parameter, after)) =
        rest.split_once('{').and_then(|(before, tail)| tail.split_once('}').map(|(name, after)| (before, name, after)))
    {
        decoded(before).for_each(|byte| push(pattern, byte));
        pattern.push_str(if parameter.ends_with(['*', '+']) { ".+" } else { "[^/]+" });
        rest = after;
    }
    decoded(rest).for_each(|byte| push(pattern, byte));
}

/// The bytes that a piece of a template means: an OpenAPI document may write `%C3%BC` or `ü`.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (byte, after) = rest.split_first()?;
        let digits = after.split_first_chunk::<2>().filter(|_| *byte == b'%');
        let encoded = digits.and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (byte, after) = encoded.unwrap_or((*byte, after));
        rest = after;
        Some(byte)
    })
}

/// As it is, or encoded. Case does not matter there.
fn push_any_spelling(pattern: &mut String, byte: u8) {
    let character = char::from(byte);
    if byte.is_ascii_alphanumeric() {
        pattern.push(character);
    } else if byte.is_ascii_graphic() && byte != b'/' {
        let _ = write!(pattern, "(?:{}|%{byte:02X})", escape(character.encode_utf8(&mut [0; 4])));
    } else {
        let _ = write!(pattern, "%{byte:02X}");
    }
}

/// As it is, where a path may hold it as it is; else encoded.
fn push_spelling(pattern: &mut String, byte: u8) {
    let character = char::from(byte);
    if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
        pattern.push_str(&escape(character.encode_utf8(&mut [0; 4])));
    } else {
        let _ = write!(pattern, "(?i:%{byte:02X})");
    }
}

/// Orders templates so that the one with more said comes first: a name before a parameter.
pub(super) fn specificity(template: &str) -> Vec<(bool, &str)> {
    template.split('/').filter(|segment| !segment.is_empty()).map(|segment| (segment.contains('{'), segment)).collect()
}
