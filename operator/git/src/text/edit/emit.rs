//! Values as text, in the form that people write.

use serde_json::Value as Json;
use serde_yaml::Value as Yaml;

/// A value of JSON as one of YAML.
pub(crate) fn yaml(value: &Json) -> Yaml {
    match value {
        Json::Null => Yaml::Null,
        Json::Bool(truth) => Yaml::Bool(*truth),
        Json::Number(number) => number.as_i64().map_or_else(
            || number.as_u64().map_or_else(|| Yaml::from(number.as_f64().unwrap_or_default()), Yaml::from),
            Yaml::from,
        ),
        Json::String(text) => Yaml::String(text.clone()),
        Json::Array(entries) => Yaml::Sequence(entries.iter().map(yaml).collect()),
        Json::Object(fields) => {
            Yaml::Mapping(fields.iter().map(|(name, value)| (Yaml::from(name.as_str()), yaml(value))).collect())
        }
    }
}

/// A value on one line, as it may stand inside of `{}` and `[]`.
pub(crate) fn inline(value: &Yaml) -> String {
    match value {
        Yaml::Null => "null".to_owned(),
        Yaml::Bool(truth) => truth.to_string(),
        Yaml::Number(number) => number.to_string(),
        Yaml::String(text) => scalar(text),
        Yaml::Sequence(entries) => {
            let entries: Vec<String> = entries.iter().map(inline).collect();
            format!("[{}]", entries.join(", "))
        }
        Yaml::Mapping(fields) => {
            let field = |(name, value): (&Yaml, &Yaml)| format!("{}: {}", inline(name), inline(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Yaml::Tagged(tagged) => inline(&tagged.value),
    }
}

/// The name of a field.
pub(crate) fn key(name: &str, json: bool) -> String {
    if json { quoted(name) } else { scalar(name) }
}

/// Whether a value is written in lines of its own.
pub(crate) fn is_tall(value: &Yaml) -> bool {
    match value {
        Yaml::Sequence(entries) => !entries.is_empty(),
        Yaml::Mapping(fields) => !fields.is_empty(),
        _ => false,
    }
}

/// A map or list in lines of its own, all of them indented, without a line end behind the last.
pub(crate) fn block(value: &Yaml, indent: usize, newline: &str) -> String {
    let space = " ".repeat(indent);
    let lines: Vec<String> = match value {
        Yaml::Mapping(fields) => fields
            .iter()
            .map(|(name, value)| format!("{space}{}:{}", inline(name), behind(value, indent, newline)))
            .collect(),
        Yaml::Sequence(entries) => entries
            .iter()
            .map(|entry| {
                let entry = if is_tall(entry) {
                    block(entry, indent + 2, newline).trim_start().to_owned()
                } else {
                    text(entry, indent + 2, newline)
                };
                format!("{space}- {entry}")
            })
            .collect(),
        _ => vec![format!("{space}{}", inline(value))],
    };
    lines.join(newline)
}

/// What stands behind the colon of a field whose name is indented so far.
pub(crate) fn behind(value: &Yaml, indent: usize, newline: &str) -> String {
    if is_tall(value) {
        format!("{newline}{}", block(value, indent + 2, newline))
    } else {
        format!(" {}", text(value, indent + 2, newline))
    }
}

/// A scalar or something empty; a text of several lines is indented so far.
pub(crate) fn text(value: &Yaml, indent: usize, newline: &str) -> String {
    match value {
        Yaml::String(text) => literal(text, indent, newline).unwrap_or_else(|| scalar(text)),
        _ => inline(value),
    }
}

/// A text of several lines as such, if it can be one.
fn literal(text: &str, indent: usize, newline: &str) -> Option<String> {
    let (body, mark) = match text.strip_suffix('\n') {
        Some(body) => (body, "|"),
        None => (text, "|-"),
    };
    let plain = |line: &str| !line.starts_with([' ', '\t']) && !line.ends_with([' ', '\t']);
    let fits = body.contains('\n')
        && !body.starts_with('\n')
        && !body.ends_with('\n')
        && body.chars().all(|c| c == '\n' || is_printable(c))
        && body.lines().next().is_some_and(plain)
        && body.lines().all(|line| !line.ends_with([' ', '\t']));
    let space = " ".repeat(indent);
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("{space}{line}") };
    fits.then(|| format!("{mark}{newline}{}", body.split('\n').map(line).collect::<Vec<_>>().join(newline)))
}

/// A text without quotes where every reader of YAML takes it for a text, and with them elsewhere.
fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let inner = |c: char| c.is_ascii_alphanumeric() || "_./@+-".contains(c);
    let word = |word: &str| !word.is_empty() && word.chars().all(inner);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let sentence = begins && text.split(' ').all(word) && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    sentence || is_span(text)
}

/// A span of time such as `1h30m`, which is no number to anybody.
fn is_span(text: &str) -> bool {
    let unit = |c: char| "ywdhmso".contains(c);
    text.starts_with(|c: char| ('1'..='9').contains(&c))
        && text.ends_with(unit)
        && text.chars().all(|c| c.is_ascii_digit() || unit(c))
}

/// A text in double quotes, as JSON has it and YAML reads it.
fn quoted(text: &str) -> String {
    let mut said = String::with_capacity(text.len() + 2);
    said.push('"');
    for c in text.chars() {
        match c {
            '"' => said.push_str("\\\""),
            '\\' => said.push_str("\\\\"),
            '\n' => said.push_str("\\n"),
            '\r' => said.push_str("\\r"),
            '\t' => said.push_str("\\t"),
            c if is_printable(c) => said.push(c),
            c => {
                let mut units = [0; 2];
                for unit in &*c.encode_utf16(&mut units) {
                    said.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    said.push('"');
    said
}

/// Whether it can stand as it is, and a person sees what is there.
fn is_printable(c: char) -> bool {
    let odd = matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let turning = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !odd && !turning
}
