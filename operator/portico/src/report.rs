//! Diagnostics for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use portico_core::diagnostic::{Diagnostic, Place, Severity};
use serde_json::{Value, json};

use crate::cli::ReportFormat;

/// Where the text of a file comes from.
pub type Texts<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// All diagnostics in a format.
pub fn print(diagnostics: &[Diagnostic], format: ReportFormat, texts: &Texts<'_>, color: bool) -> String {
    match format {
        ReportFormat::Text => text(diagnostics, texts, color),
        ReportFormat::Json => pretty(&json!({ "diagnostics": diagnostics })),
        ReportFormat::Github => diagnostics.iter().map(annotation).collect(),
        ReportFormat::Sarif => pretty(&sarif(diagnostics)),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// As rustc would print them.
pub fn text(diagnostics: &[Diagnostic], texts: &Texts<'_>, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut sources: BTreeMap<&str, Option<String>> = BTreeMap::new();
    let mut printed = String::new();
    for diagnostic in diagnostics {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let source = diagnostic.place.as_ref().and_then(|place| {
            let source = sources.entry(&place.file).or_insert_with(|| texts(&place.file)).as_deref()?;
            Some((place, source))
        });
        let title = level.clone().primary_title(diagnostic.message.as_str()).id(diagnostic.code);
        let label = diagnostic.help.as_deref().unwrap_or_default();
        let group = match (source, &diagnostic.place) {
            (Some((place, source)), _) => {
                let annotation = AnnotationKind::Primary.span(range(source, place)).label(label);
                let snippet = Snippet::source(source).path(&*place.file).line_start(1).annotation(annotation);
                Group::with_title(title).element(snippet)
            }
            // The file is there, and its text cannot be shown.
            (None, Some(place)) => {
                let origin = Origin::path(&*place.file).line(place.line as usize).char_column(place.column as usize);
                Group::with_title(title).element(origin).element(Level::HELP.message(label))
            }
            (None, None) => {
                let about = diagnostic.object.as_ref().map(ToString::to_string).unwrap_or_default();
                let said = match (about.is_empty(), label.is_empty()) {
                    (true, _) => label.to_owned(),
                    (false, true) => format!("in {about}"),
                    (false, false) => format!("in {about}: {label}"),
                };
                Group::with_title(title).element(Level::HELP.message(said))
            }
        };
        let _ = writeln!(printed, "{}\n", renderer.render(&[group]));
    }
    printed
}

/// The bytes that a place means.
fn range(source: &str, place: &Place) -> std::ops::Range<usize> {
    let line_at = source.split_inclusive('\n').take(place.line.saturating_sub(1) as usize).map(str::len).sum::<usize>();
    let line = source.get(line_at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let offset = |characters: u32| line.chars().take(characters as usize).map(char::len_utf8).sum::<usize>();
    let start = place.column.saturating_sub(1);
    let end = start.saturating_add(place.length.max(1));
    line_at + offset(start)..line_at + offset(end)
}

/// An annotation of a GitHub workflow.
fn annotation(diagnostic: &Diagnostic) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escape(text).replace(':', "%3A").replace(',', "%2C");
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = diagnostic.place.as_ref().map_or_else(String::new, |place| {
        let Place { file, line, column, length } = place;
        let end = column + length.saturating_sub(1);
        format!("file={},line={line},col={column},endColumn={end},", property(file))
    });
    format!("::{level} {place}title={}::{}\n", property(diagnostic.code), escape(&diagnostic.to_string()))
}

/// SARIF 2.1.0, as code scanning services read it.
fn sarif(diagnostics: &[Diagnostic]) -> Value {
    let mut codes: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| json!({ "id": code })).collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| {
            let level = match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let locations: Vec<Value> = diagnostic
                .place
                .iter()
                .map(|place| {
                    json!({ "physicalLocation": {
                        "artifactLocation": { "uri": place.file },
                        "region": {
                            "startLine": place.line,
                            "startColumn": place.column,
                            "endColumn": place.column + place.length.max(1),
                        },
                    }})
                })
                .collect();
            json!({
                "ruleId": diagnostic.code,
                "level": level,
                "message": { "text": diagnostic.to_string() },
                "locations": locations,
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "portico", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}
