//! The fast way: from a document's text to an object in one pass, with no positions.

use portico_core::batch::{Object, Spec};
use portico_core::key::{Kind, Name};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope<S> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: S,
    #[serde(default, rename = "status")]
    _status: Option<IgnoredAny>,
}

/// The rest of `metadata` is for others.
#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

/// Where a text is not an object of ours.
#[derive(Debug)]
pub(crate) struct Unfit {
    /// In the words of the parser.
    pub(crate) message: String,
    /// Line and column from 1, where it knows them.
    pub(crate) location: Option<(usize, usize)>,
}

/// The namespace of objects that name none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// Reads a document that says it is of `kind`.
pub(crate) fn read(kind: Kind, text: &str, json: bool) -> Result<Object, Unfit> {
    match kind {
        Kind::Portal => typed(kind, text, json, |spec| Spec::Portal(Box::new(spec))),
        Kind::Environment => typed(kind, text, json, |spec| Spec::Environment(Box::new(spec))),
        Kind::ApiProduct => typed(kind, text, json, |spec| Spec::ApiProduct(Box::new(spec))),
        Kind::Plan => typed(kind, text, json, |spec| Spec::Plan(Box::new(spec))),
        Kind::Team => typed(kind, text, json, |spec| Spec::Team(Box::new(spec))),
        Kind::Developer => typed(kind, text, json, |spec| Spec::Developer(Box::new(spec))),
        Kind::Application => typed(kind, text, json, |spec| Spec::Application(Box::new(spec))),
        Kind::Subscription => typed(kind, text, json, |spec| Spec::Subscription(Box::new(spec))),
        Kind::Approval => typed(kind, text, json, |spec| Spec::Approval(Box::new(spec))),
        Kind::Credential => typed(kind, text, json, |spec| Spec::Credential(Box::new(spec))),
    }
}

fn typed<S: DeserializeOwned>(kind: Kind, text: &str, json: bool, spec: fn(S) -> Spec) -> Result<Object, Unfit> {
    let envelope: Envelope<S> = if json {
        serde_json::from_str(text).map_err(|error| Unfit {
            message: error.to_string(),
            location: Some((error.line(), error.column().max(1))),
        })?
    } else {
        serde_yaml::from_str(text).map_err(|error| Unfit {
            message: error.to_string(),
            location: error.location().map(|place| (place.line(), place.column())),
        })?
    };
    let unfit = |message: &str| Unfit { message: message.to_owned(), location: None };
    if envelope.kind != kind.as_str() || !is_ours(&envelope.api_version) {
        return Err(unfit("`kind` or `apiVersion` is not what it looked like"));
    }
    let Metadata { name, namespace } = envelope.metadata;
    let namespace = namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    if !is_name(&name) || !is_namespace(namespace) {
        return Err(unfit("the name is not valid"));
    }
    Ok(Object {
        name: Name::new(namespace, name),
        generation: None,
        created: None,
        author: None,
        spec: spec(envelope.spec),
    })
}

/// Why a text is not JSON.
pub(crate) fn not_json(text: &str) -> Option<Unfit> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    Some(Unfit { message: format!("this is not JSON: {error}"), location: Some((error.line(), error.column().max(1))) })
}

/// Whether it is the one version that there is.
pub(crate) fn is_ours(api_version: &str) -> bool {
    api_version.split_once('/') == Some((portico_crds::GROUP, portico_crds::VERSION))
}

/// Whether it is a DNS-1123 subdomain, as names in Kubernetes are.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether it is a DNS-1123 label of at most 63 characters, as namespaces in Kubernetes are.
pub(crate) fn is_namespace(namespace: &str) -> bool {
    namespace.len() <= 63 && is_label(namespace)
}

fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = label.as_bytes();
    let ends = bytes.first().copied().is_some_and(fits) && bytes.last().copied().is_some_and(fits);
    ends && bytes.iter().all(|byte| fits(*byte) || *byte == b'-')
}

/// The kind that the text says it is of, and only if a glance is enough to be sure where to look: the answer is checked
/// when the text is read.
pub(crate) fn glance(text: &str) -> Option<Kind> {
    let value = |line: &str| -> Option<Kind> {
        let kind = line.split('#').next()?.trim().trim_matches(['"', '\'']);
        Kind::ALL.into_iter().find(|known| known.as_str() == kind)
    };
    text.lines().find_map(|line| value(line.strip_prefix("kind:")?))
}
