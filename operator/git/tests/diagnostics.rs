//! Every file in `tests/diagnostics`, and what is said about it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use portico_core::diagnostic::Diagnostic;
use portico_git::text::read;

/// Like a compiler shows it.
fn rendered(text: &str, diagnostic: &Diagnostic) -> String {
    let mut out = format!("{:?} {}", diagnostic.severity, diagnostic.code);
    if let Some(object) = &diagnostic.object {
        let _ = write!(out, " in {object}");
    }
    if !diagnostic.path.is_empty() {
        let _ = write!(out, " at {}", diagnostic.path);
    }
    let _ = writeln!(out, "\n  {}", diagnostic.message);
    if let Some(place) = &diagnostic.place {
        let line = text.lines().nth(place.line as usize - 1).unwrap_or_default();
        let line: String = line.chars().take(160).collect();
        let carets = "^".repeat(place.length.max(1) as usize);
        let _ = writeln!(out, "  {:>4} | {line}", place.line);
        let _ = writeln!(out, "       | {}{carets}", " ".repeat(place.column as usize - 1));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "  help: {help}");
    }
    out
}

#[test]
fn diagnostics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() > 10);
    for path in files {
        let file = path.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
        let bytes = std::fs::read(&path).expect("read");
        let contents = read(&Arc::from(file.as_str()), &bytes);
        let text = String::from_utf8_lossy(&bytes);
        let mut out = String::new();
        for said in &contents.documents {
            let state = if said.object.is_some() { "good" } else { "broken" };
            let _ = writeln!(out, "{} (document {}, line {}): {state}", said.key, said.document, said.line);
        }
        let all = contents.documents.iter().flat_map(|said| &said.findings).chain(&contents.loose);
        for diagnostic in all {
            let _ = write!(out, "\n{}", rendered(&text, diagnostic));
        }
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots" }, {
            insta::assert_snapshot!(file, out);
        });
    }
}
