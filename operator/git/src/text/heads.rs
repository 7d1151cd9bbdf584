//! Which objects a file speaks of, and no more.

use portico_core::key::{Kind, Name, ObjectKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::chunk::{Chunk, chunks};
use super::typed::{DEFAULT_NAMESPACE, is_name, is_namespace, is_ours};
use super::{is_json, mentions, node, seems_ours};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(default, rename = "spec")]
    _spec: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

/// The documents of a file that say which object they are about, each with its place among all of them, from 0. Those that are
/// broken further down are among them.
pub(crate) fn heads(file: &str, bytes: &[u8]) -> Vec<(ObjectKey, u32)> {
    if !mentions(bytes) || bytes.len() > super::MAX_MANIFEST {
        return Vec::new();
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return Vec::new() };
    let json = is_json(file);
    let all = if json {
        vec![Chunk { index: 0, line: 1, text: text.strip_prefix('\u{feff}').unwrap_or(text) }]
    } else {
        chunks(text)
    };
    let ours = all.into_iter().filter(|chunk| seems_ours(chunk.text));
    ours.filter_map(|chunk| Some((head(chunk.text, json)?, chunk.index))).collect()
}

fn head(text: &str, json: bool) -> Option<ObjectKey> {
    let head = if json { serde_json::from_str(text).ok() } else { serde_yaml::from_str(text).ok() };
    let (version, kind, name, namespace) = if let Some(head) = head {
        let Head { api_version, kind, metadata: Metadata { name, namespace }, _spec } = head;
        (api_version, kind, name, namespace)
    } else {
        let mut header = node::parse(text).header;
        let mut take = |name: &str| header.remove(name);
        (take("apiVersion")?, take("kind")?, take("metadata.name")?, take("metadata.namespace"))
    };
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind).filter(|_| is_ours(&version))?;
    let namespace = namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    (is_name(&name) && is_namespace(namespace)).then(|| Name::new(namespace, name).of(kind))
}
