//! Secrets with API keys, the one place in the cluster where keys stand, and Secrets with certificates.
//!
//! The newest key is in `api-key`; keys before it that are still good, in `api-key-<generation>`. Which generation is when
//! made of is in an annotation, and so is whom they were made for. A Secret belongs to its Credential and goes with it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt as _;
use portico_core::api_key::ApiKey;
use portico_core::key::{Kind, Name};
use serde::{Deserialize, Serialize};

use crate::read::{name_of, uid_of};
use crate::uid::Uid;

/// The label of every Secret that concerns Portico.
pub const LABEL: &str = "portico.dev/secret";
/// Its value where Portico made it, for keys.
pub const LABEL_VALUE: &str = "api-key";
/// Its value where somebody else made it, with certificates of listeners or authorities of upstreams.
pub const CERTIFICATE: &str = "certificate";
/// The label's value on a Secret with the credentials of a Portal's Git repository.
pub const GIT: &str = "git";
/// The label's value on a Secret that a Portal names for signing in: of the identity provider's client, of the mail server's user.
pub const SIGN_IN: &str = "sign-in";
/// The label's value on a Secret with keys that clients use already.
pub const IMPORT: &str = "import";
/// The label's value, and the name, of the Secret in which Portico remembers which keys were imported in a namespace: the
/// digest of each with the uids of the Credential that took it and of what it was for, or that it was revoked. It outlives
/// them, so that none is taken a second time.
pub const IMPORTED: &str = "imported";
/// See [`IMPORTED`].
pub const IMPORTED_NAME: &str = "portico-imported";
/// The key within the Secret under which the newest key stands.
pub const NEWEST: &str = "api-key";

const CREDENTIAL: &str = "portico.dev/credential";
const KEYS: &str = "portico.dev/keys";
const FROM: &str = "portico.dev/from";

/// A key and which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The generation of the credential.
    pub generation: i64,
    /// See [`portico_core::delta::KeyWish::asked`].
    pub asked: i64,
    /// When it was made, to the second.
    pub at: Timestamp,
    /// When it ends, by the rule that held when it was made.
    pub expires: Option<Timestamp>,
    /// The key.
    pub key: ApiKey,
}

/// A Secret that Portico made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The Secret.
    pub name: Name,
    /// Its own `metadata.uid`.
    pub uid: Option<Uid>,
    /// Whose keys it holds.
    pub credential: Name,
    /// The `metadata.uid` of that credential.
    pub owner: Uid,
    /// The uids of the Subscription and the Application that its keys were made for, if it says so.
    pub from: Option<Box<[Uid]>>,
    /// Its `metadata.resourceVersion`, so that it is not written over when somebody else was quicker.
    pub version: Box<str>,
    /// The keys, oldest first. Those that do not read are left out.
    pub keys: Vec<Key>,
    /// Whether it holds anything that Portico would not have written.
    pub is_altered: bool,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    generation: i64,
    /// Left out where it is the generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<i64>,
    made_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

impl Note {
    fn of(key: &Key) -> Note {
        let Key { generation, asked, at, expires, key: _ } = key;
        let asked = Some(*asked).filter(|asked| asked != generation);
        Note { generation: *generation, asked, made_at: *at, expires_at: *expires }
    }
}

/// Reads a Secret; `None` if it is not one of Portico's.
pub fn read(secret: &Secret) -> Option<Delivered> {
    let name = name_of(secret)?;
    if secret.labels().get(LABEL).is_none_or(|value| value != LABEL_VALUE) {
        return None;
    }
    let owner = secret.owner_references().iter().find(|owner| owner.kind == Kind::Credential.as_str())?;
    let credential = name.beside(&owner.name);
    let notes = secret.annotations().get(KEYS).and_then(|text| serde_json::from_str::<Vec<Note>>(text).ok());
    let mut notes = notes.unwrap_or_default();
    notes.sort_by_key(|note| note.generation);
    let newest = notes.last().map(|note| note.generation);
    let keys: Vec<Key> = notes
        .iter()
        .filter_map(|note| {
            let text = secret.data.as_ref()?.get(&place(note.generation, newest))?;
            let key = ApiKey::stored(std::str::from_utf8(&text.0).ok()?)?;
            // Only the first key of a credential can be one from elsewhere.
            if key.is_foreign() && note.generation != 1 {
                return None;
            }
            let Note { generation, asked, made_at, expires_at } = *note;
            Some(Key { generation, asked: asked.unwrap_or(generation), at: made_at, expires: expires_at, key })
        })
        .collect();
    let owner = Uid::read(&owner.uid)?;
    let from = secret.annotations().get(FROM).and_then(|from| Uid::read_all(from));
    let is_altered = {
        let again = secret_of(&name, &credential, owner, from.as_deref(), &keys);
        let same_data = again.data == secret.data;
        let same_notes = again
            .metadata
            .annotations
            .iter()
            .flatten()
            .all(|(key, value)| secret.annotations().get(key) == Some(value));
        !same_data || !same_notes
    };
    let version = secret.resource_version().unwrap_or_default().into();
    let uid = uid_of(secret);
    Some(Delivered { name, uid, credential, owner, from, version, keys, is_altered })
}

/// The texts in a Secret with certificates, credentials for Git, what is needed to sign in, or keys to import; `None` if it is not
/// labelled as one.
pub fn certificates(secret: &Secret) -> Option<(Name, BTreeMap<String, String>)> {
    let label = secret.labels().get(LABEL)?;
    if ![CERTIFICATE, GIT, SIGN_IN, IMPORT].contains(&label.as_str()) {
        return None;
    }
    let texts = secret.data.iter().flatten();
    let texts = texts.filter_map(|(key, bytes)| Some((key.clone(), String::from_utf8(bytes.0.clone()).ok()?)));
    Some((name_of(secret)?, texts.collect()))
}

/// The Secret that holds these keys, oldest first.
pub fn secret_of(name: &Name, credential: &Name, owner: Uid, from: Option<&[Uid]>, keys: &[Key]) -> Secret {
    let newest = keys.last().map(|key| key.generation);
    let data = keys.iter().map(|key| (place(key.generation, newest), ByteString(key.key.expose().as_bytes().to_vec())));
    let notes: Vec<Note> = keys.iter().map(Note::of).collect();
    let owner = OwnerReference {
        api_version: format!("{}/{}", portico_crds::GROUP, portico_crds::VERSION),
        kind: Kind::Credential.as_str().to_owned(),
        name: credential.name().to_owned(),
        uid: owner.to_string(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let mut annotations = BTreeMap::from([
        (CREDENTIAL.to_owned(), credential.name().to_owned()),
        (KEYS.to_owned(), serde_json::to_string(&notes).unwrap_or_default()),
    ]);
    annotations.extend(from.map(|from| (FROM.to_owned(), Uid::write_all(from))));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.name().to_owned()),
            namespace: Some(name.namespace().to_owned()),
            labels: Some(BTreeMap::from([(LABEL.to_owned(), LABEL_VALUE.to_owned())])),
            annotations: Some(annotations),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(data.collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// Under which name a key stands in the Secret.
fn place(generation: i64, newest: Option<i64>) -> String {
    if Some(generation) == newest { NEWEST.to_owned() } else { format!("{NEWEST}-{generation}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<Key> {
        let key = |generation, byte| Key {
            generation,
            asked: 2,
            expires: "2026-02-01T00:00:00Z".parse().ok(),
            at: "2026-01-01T00:00:00Z".parse().expect("a time"),
            key: ApiKey::from_random([byte; 20]),
        };
        vec![key(2, 7), key(3, 8)]
    }

    fn uids() -> [Uid; 3] {
        ["1", "2", "3"].map(|digit| Uid::read(&digit.repeat(32)).expect("a uid"))
    }

    fn made() -> Secret {
        let [owner, one, two] = uids();
        secret_of(&Name::new("shop", "web-key"), &Name::new("shop", "web"), owner, Some(&[one, two]), &keys())
    }

    #[test]
    fn what_is_written_reads_back() {
        let secret = made();
        let data = secret.data.as_ref().expect("there is data");
        assert_eq!(data.keys().collect::<Vec<_>>(), ["api-key", "api-key-2"]);
        let found = read(&secret).expect("it is ours");
        assert_eq!((found.keys, found.is_altered), (keys(), false));
        let [owner, one, two] = uids();
        assert_eq!((found.credential, found.owner), (Name::new("shop", "web"), owner));
        assert_eq!(found.from.as_deref(), Some([one, two].as_slice()));
    }

    #[test]
    fn only_labelled_secrets_are_read() {
        let labelled = |label: &str| {
            let mut secret = made();
            secret.metadata.labels = Some([(LABEL.to_owned(), label.to_owned())].into());
            certificates(&secret).map(|(_, texts)| texts.len())
        };
        for label in [CERTIFICATE, GIT, SIGN_IN, IMPORT] {
            assert_eq!(labelled(label), Some(2), "{label}");
        }
        assert_eq!((labelled(LABEL_VALUE), labelled("other")), (None, None));
    }

    #[test]
    fn what_somebody_changed_is_seen() {
        let mut secret = made();
        secret.data.get_or_insert_default().insert("api-key".to_owned(), ByteString(b"guess me".to_vec()));
        let found = read(&secret).expect("it is ours");
        assert!(found.is_altered);
        assert_eq!(found.keys.len(), 1, "what is no key is not taken for one");
        let mut secret = made();
        secret.data.get_or_insert_default().insert("more".to_owned(), ByteString(b"x".to_vec()));
        assert!(read(&secret).expect("it is ours").is_altered);
        let mut secret = made();
        secret.metadata.labels = None;
        assert_eq!(read(&secret), None);
    }
}
