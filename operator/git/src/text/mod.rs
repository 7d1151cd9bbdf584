//! From the text of a file to objects, or to what is wrong with it.

mod chunk;
pub(crate) mod edit;
mod heads;
mod locate;
mod node;
mod schema;
mod suggest;
mod typed;
mod walk;

use std::sync::Arc;

use portico_core::batch::Object;
use portico_core::diagnostic::{Diagnostic, Place, Severity};
use portico_core::key::{Kind, Name, ObjectKey};
use portico_core::validate::validate;

pub(crate) use chunk::{Chunk, chunks};
pub use edit::{FieldPath, NotAPath, Step};
pub(crate) use heads::heads;
pub use locate::{Part, locate};
use locate::{place, spot};
use node::{Broken, MAX_DEPTH, Node, Parsed, Spot};
use suggest::suggestion;
use typed::is_ours;
pub(crate) use typed::{DEFAULT_NAMESPACE, is_name, is_namespace};
use walk::{Fault, walk};

/// The longest file of manifests, in bytes.
pub const MAX_MANIFEST: usize = 1 << 20;

/// The longest OpenAPI document, in bytes.
pub const MAX_OPENAPI: usize = 4 << 20;

/// What a file holds for Portico.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Documents that say which object they are about, in the order of the file.
    pub documents: Vec<Said>,
    /// What is wrong with documents of which that cannot be told.
    pub loose: Vec<Diagnostic>,
}

/// A document about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The object.
    pub key: ObjectKey,
    /// The document's place among those of the file, from 0.
    pub document: u32,
    /// The line that the document begins with, from 1.
    pub line: u32,
    /// What it says; absent where an error keeps it from being read.
    pub object: Option<Object>,
    /// What is wrong with it.
    pub findings: Vec<Diagnostic>,
}

/// Whether a file of this name is looked into.
pub fn is_manifest(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| path.ends_with(end))
}

/// Whether a path is one of a manifest in this folder; empty for all.
pub(crate) fn is_manifest_in(path: &str, folder: &str) -> bool {
    let folder = folder.trim_matches('/');
    let inside = folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    inside && is_manifest(path)
}

/// Whether a file is JSON and not YAML.
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "as manifests are told from other files")]
pub(crate) fn is_json(path: &str) -> bool {
    path.ends_with(".json")
}

/// Reads a file. Documents of other groups are left alone, and a file without `portico.dev` in it is not parsed.
pub fn read(file: &Arc<str>, bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    if !mentions(bytes) {
        return contents;
    }
    let whole = |code, message: &str, help: &str| {
        let place = Place { file: file.clone(), line: 1, column: 1, length: 0 };
        let help = Some(help.to_owned());
        let (path, message) = (String::new(), message.to_owned());
        Diagnostic { code, severity: Severity::Error, object: None, path, message, help, place: Some(place) }
    };
    if bytes.len() > MAX_MANIFEST {
        contents.loose.push(whole("too-large", "the file is longer than 1 MiB", "split it into several files"));
        return contents;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let mut broken = whole("not-utf8", "the file is not UTF-8 text", "save it as UTF-8");
            if let Some(place) = &mut broken.place {
                let lines = before.iter().filter(|byte| **byte == b'\n').count();
                place.line = u32::try_from(lines + 1).unwrap_or(u32::MAX);
                let line = before.rsplit(|byte| *byte == b'\n').next().map(String::from_utf8_lossy);
                let column = line.map_or(0, |line| line.chars().count());
                place.column = u32::try_from(column + 1).unwrap_or(u32::MAX);
            }
            contents.loose.push(broken);
            return contents;
        }
    };
    if is_json(file) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        read_chunk(file, Chunk { index: 0, line: 1, text }, true, &mut contents);
    } else {
        for chunk in chunks(text) {
            read_chunk(file, chunk, false, &mut contents);
        }
    }
    contents
}

/// Whether the file may concern us at all.
pub(crate) fn mentions(bytes: &[u8]) -> bool {
    let group = portico_crds::GROUP.as_bytes();
    bytes.windows(group.len()).any(|window| window == group)
}

/// Whether an `apiVersion` of ours seems to stand in the text, at its top or in something inside it.
fn seems_ours(text: &str) -> bool {
    text.match_indices(portico_crds::GROUP).any(|(at, group)| {
        let before = text[..at].trim_end_matches(['"', '\'', ' ', '\t', ':']);
        before.ends_with("apiVersion") && text[at + group.len()..].starts_with('/')
    })
}

fn read_chunk(file: &Arc<str>, chunk: Chunk<'_>, json: bool, contents: &mut Contents) {
    if !seems_ours(chunk.text) {
        return;
    }
    let kind = if json { glance_json(chunk.text) } else { typed::glance(chunk.text) };
    // The bounds of these kinds' schemas are part of `validate`; the text of the others is walked.
    let many = kind.filter(|kind| {
        use Kind::{Application, Approval, Credential, Developer, Subscription};
        matches!(kind, Subscription | Credential | Application | Approval | Developer)
    });
    match many.map(|kind| typed::read(kind, chunk.text, json)) {
        Some(Ok(object)) if validate(&object.spec).is_empty() => {
            let (key, Chunk { index, line, .. }) = (object.key(), chunk);
            contents.documents.push(Said { key, document: index, line, object: Some(object), findings: Vec::new() });
        }
        _ => slow(file, chunk, json, contents),
    }
}

/// A kind that JSON text names at its top, or anywhere: the answer is checked when the text is read.
fn glance_json(text: &str) -> Option<Kind> {
    #[derive(serde::Deserialize)]
    struct Header<'a> {
        kind: Option<std::borrow::Cow<'a, str>>,
    }
    let kind = serde_json::from_str::<Header<'_>>(text).ok()?.kind?;
    Kind::ALL.into_iter().find(|known| known.as_str() == kind)
}

/// Reads a document with all its positions and says everything that is wrong with it.
fn slow(file: &Arc<str>, chunk: Chunk<'_>, json: bool, contents: &mut Contents) {
    let Parsed { header, root } = node::parse(chunk.text);
    let get = |name: &str| header.get(name).map(String::as_str);
    let mut faults = Vec::new();
    let mut kind = None;
    match get("apiVersion") {
        // Something of ours inside something else's, such as a template in a ConfigMap.
        Some(version) if version.split('/').next() != Some(portico_crds::GROUP) => return,
        None if root.is_ok() => return,
        Some(version) if !is_ours(version) && root.is_ok() => {
            let message = format!("`{version}` is not a version that Portico knows");
            let help = Some(format!("write `{}/{}`", portico_crds::GROUP, portico_crds::VERSION));
            faults.push(fault(&root, "unknown-version", "apiVersion", message, help));
        }
        _ => kind = known_kind(get("kind"), &root, &mut faults),
    }
    let key = kind.and_then(|kind| named(&header, kind, &root, &mut faults));
    let mut object = None;
    match &root {
        Err(broken) => faults.push(broken_fault(broken, json.then(|| typed::not_json(chunk.text)).flatten())),
        Ok(root) => {
            if let Some(kind) = kind {
                top_fields(root, &mut faults);
                if let (Some(schema), Some(spec)) = (schema::of(kind), root.get("spec")) {
                    faults.extend(walk(schema, spec, "spec", spot(root, "spec", Part::Key)));
                }
                match typed::read(kind, chunk.text, json) {
                    Ok(read) => {
                        for found in validate(&read.spec) {
                            // Bounds that the schema states too have been said already.
                            if !faults.iter().any(|fault| fault.path == found.path && fault.code == found.code) {
                                let spot = spot(root, &found.path, Part::Value);
                                let (code, path) = (found.code, found.path);
                                faults.push(Fault { code, path, message: found.message, help: found.help, spot });
                            }
                        }
                        object = Some(read);
                    }
                    // The walk and the types should agree; where they do not, the types have the last word.
                    Err(unfit) if faults.is_empty() => faults.push(unfit_fault(&unfit)),
                    Err(_) => {}
                }
            }
        }
    }
    faults.sort_by_key(|fault| (fault.spot.line, fault.spot.column));
    let findings: Vec<Diagnostic> =
        faults.into_iter().map(|fault| said(file, chunk.line, key.as_ref(), fault)).collect();
    match key {
        Some(key) => {
            let object = object.filter(|_| findings.is_empty());
            contents.documents.push(Said { key, document: chunk.index, line: chunk.line, object, findings });
        }
        None => contents.loose.extend(findings),
    }
}

fn said(file: &Arc<str>, line: u32, key: Option<&ObjectKey>, fault: Fault) -> Diagnostic {
    let Fault { code, path, message, help, spot } = fault;
    let place = Some(place(file, line, spot));
    Diagnostic { code, severity: Severity::Error, object: key.cloned(), path, message, help, place }
}

fn fault(
    root: &Result<std::rc::Rc<Node>, Broken>,
    code: &'static str,
    path: &str,
    message: String,
    help: Option<String>,
) -> Fault {
    let first = Spot { line: 1, column: 1, length: 0 };
    let spot = root.as_ref().map_or(first, |root| spot(root, path, Part::Value));
    Fault { code, path: path.to_owned(), message, help, spot }
}

fn known_kind(kind: Option<&str>, root: &Result<std::rc::Rc<Node>, Broken>, faults: &mut Vec<Fault>) -> Option<Kind> {
    let Some(kind) = kind else {
        // A text that breaks off before its kind has more to say than that.
        if root.is_ok() {
            faults.push(fault(root, "missing-field", "kind", "`kind` is missing".to_owned(), None));
        }
        return None;
    };
    let known = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
    if known.is_none() {
        let message = format!("there is no kind `{kind}`");
        let help = suggestion(kind, Kind::ALL.into_iter().map(Kind::as_str));
        faults.push(fault(root, "unknown-kind", "kind", message, help));
    }
    known
}

/// The object that the document is about, where its name is one.
fn named(
    header: &std::collections::HashMap<String, String>,
    kind: Kind,
    root: &Result<std::rc::Rc<Node>, Broken>,
    faults: &mut Vec<Fault>,
) -> Option<ObjectKey> {
    let before = faults.len();
    let name = header.get("metadata.name").map(String::as_str);
    let namespace = header.get("metadata.namespace").map_or(DEFAULT_NAMESPACE, String::as_str);
    match name {
        None if root.is_ok() => {
            let help = Some("give `metadata.name`".to_owned());
            faults.push(fault(root, "missing-field", "metadata.name", "the object has no name".to_owned(), help));
        }
        Some(name) if !is_name(name) => {
            let message = format!("`{name}` cannot be a name");
            let help = "use lower-case letters, digits, `-` and `.`; begin and end with a letter or digit; 253 at most";
            faults.push(fault(root, "invalid-name", "metadata.name", message, Some(help.to_owned())));
        }
        _ => {}
    }
    if !is_namespace(namespace) {
        let message = format!("`{namespace}` cannot be a namespace");
        let help = "use lower-case letters, digits and `-`; begin and end with a letter or digit; 63 at most";
        faults.push(fault(root, "invalid-name", "metadata.namespace", message, Some(help.to_owned())));
    }
    let name = name.filter(|_| faults.len() == before)?;
    Some(Name::new(namespace, name).of(kind))
}

fn top_fields(root: &Node, faults: &mut Vec<Fault>) {
    const KNOWN: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
    for (name, key, _) in root.fields().filter(|(name, ..)| !KNOWN.contains(name)) {
        let message = format!("there is no field `{name}` here");
        let help = suggestion(name, KNOWN.into_iter());
        faults.push(Fault { code: "unknown-field", path: name.to_owned(), message, help, spot: key.spot });
    }
    if root.get("spec").is_none() {
        let message = "`spec` is missing".to_owned();
        let spot = spot(root, "kind", Part::Value);
        faults.push(Fault { code: "missing-field", path: "spec".to_owned(), message, help: None, spot });
    }
}

fn broken_fault(broken: &Broken, json: Option<typed::Unfit>) -> Fault {
    let (code, spot, message, help) = match (broken, json) {
        (Broken::TooDeep { spot }, _) => {
            ("too-deep", *spot, format!("values are nested more than {MAX_DEPTH} deep"), None)
        }
        (Broken::Duplicate { spot, key }, _) => {
            let help = Some("keep one of them".to_owned());
            ("duplicate-key", *spot, format!("`{key}` is there twice"), help)
        }
        (_, Some(json)) => return Fault { code: "yaml-syntax", ..unfit_fault(&json) },
        (Broken::Syntax { spot, message }, _) => ("yaml-syntax", *spot, format!("this is not YAML: {message}"), None),
        (Broken::Empty, _) => ("yaml-syntax", Spot::default(), "there is nothing here".to_owned(), None),
    };
    Fault { code, path: String::new(), message, help, spot }
}

fn unfit_fault(unfit: &typed::Unfit) -> Fault {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (line, column) = unfit.location.unwrap_or((1, 1));
    let spot = Spot { line: number(line), column: number(column), length: 0 };
    let bomb = unfit.message.contains("repetition limit") || unfit.message.contains("recursion limit");
    let code = if bomb { "too-deep" } else { "invalid-value" };
    Fault { code, path: String::new(), message: unfit.message.clone(), help: None, spot }
}
