//! Puts things into the cluster, all as one field manager.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt as _};
use portico_core::key::{Name, ObjectKey};
use serde_json::{Value, json};

use crate::read::{FINALIZER, uid_of};
use crate::secret::{self, Delivered};
use crate::status::Observed;
use crate::uid::Uid;
use crate::watch::resource;
use crate::{Error, MANAGER};

/// How long an answer may take, of all requests that one write needs.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Something was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server said no, or said nothing.
    #[error("the API server did not take it")]
    Api(#[source] Error),
    /// The API server did not answer. What was to be written may stand there or not.
    #[error("the API server did not answer within {} seconds", TIMEOUT.as_secs())]
    Slow,
    /// A key was imported before, and not by this credential.
    #[error("this key was taken before; a key that was revoked, or that another credential has, is not taken again")]
    Claimed,
    /// There is a Secret of that name that Portico did not make.
    #[error("there is a Secret {0} already, and Portico did not make it")]
    Foreign(Name),
}

impl WriteError {
    /// Whether trying again soon may help. What somebody has to mend first is tried again too, but seldom.
    pub fn is_passing(&self) -> bool {
        match self {
            WriteError::Api(Error::Api(status)) => matches!(status.code, 409 | 410 | 429 | 500..),
            WriteError::Api(_) | WriteError::Slow => true,
            WriteError::Foreign(_) | WriteError::Claimed => false,
        }
    }
}

/// Waits for a write, but not for ever.
pub async fn in_time<T>(write: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
    tokio::time::timeout(TIMEOUT, write).await.unwrap_or(Err(WriteError::Slow))
}

fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// Whether there is an object of that name already.
fn is_taken(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.reason == "AlreadyExists")
}

/// Writes a status. Answers what stands there now; `None` if the object is gone, or another one has its name.
pub async fn status(
    client: &Client,
    key: &ObjectKey,
    uid: Uid,
    status: &Value,
) -> Result<Option<Observed>, WriteError> {
    let resource = resource(key.kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), key.name.namespace(), &resource);
    let body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "namespace": key.name.namespace(), "name": key.name.name(), "uid": uid.to_string() },
        "status": status,
    });
    match api.patch_status(key.name.name(), &PatchParams::apply(MANAGER).force(), &Patch::Apply(&body)).await {
        Ok(found) => Ok(Some(Observed::new(found.data.get("status")))),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(WriteError::Api(error)),
    }
}

/// Writes a Secret of Portico's, and answers what stands there now. That is not always what was wanted: where somebody
/// else of Portico's was quicker, what that one wrote stays.
///
/// It is replaced and not applied: what others put beside the keys must not stay, and server-side apply leaves alone what
/// others own. Labels and annotations of others stay.
///
/// `version` is that of the Secret to be replaced; `None` if none is known.
pub async fn secret(client: &Client, wanted: Secret, version: Option<&str>) -> Result<Delivered, WriteError> {
    let (namespace, name) = (wanted.namespace().unwrap_or_default(), wanted.name_any());
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let foreign = || WriteError::Foreign(Name::new(namespace.as_str(), name.as_str()));
    if version.is_none() {
        match api.create(&parameters, &wanted).await {
            Ok(made) => return secret::read(&made).ok_or_else(foreign),
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(WriteError::Api(error)),
        }
    }
    let written = match api.get_opt(&name).await.map_err(WriteError::Api)? {
        None => api.create(&parameters, &wanted).await.map_err(WriteError::Api)?,
        Some(mut found) => {
            let owner = |secret: &Secret| secret.owner_references().first().map(|owner| owner.uid.clone());
            let delivered = secret::read(&found).filter(|_| owner(&found) == owner(&wanted)).ok_or_else(foreign)?;
            if version != Some(&*delivered.version) {
                return Ok(delivered);
            }
            found.labels_mut().extend(wanted.metadata.labels.unwrap_or_default());
            found.annotations_mut().extend(wanted.metadata.annotations.unwrap_or_default());
            found.metadata.managed_fields = None;
            found.data = wanted.data;
            api.replace(&name, &parameters, &found).await.map_err(WriteError::Api)?
        }
    };
    secret::read(&written).ok_or_else(foreign)
}

/// Writes down that a credential takes a key from elsewhere, before it does; see [`secret::IMPORTED`]. The same one may say so
/// again.
pub async fn claim(client: &Client, namespace: &str, fingerprint: &str, whose: &str) -> Result<(), WriteError> {
    let whose = ByteString(whose.as_bytes().to_vec());
    remember(client, namespace, |known| match known.get(fingerprint) {
        Some(other) if *other != whose => Err(WriteError::Claimed),
        _ => Ok(known.insert(fingerprint.to_owned(), whose)),
    })
    .await
}

/// Writes down that keys from elsewhere are revoked, before they are deleted; see [`secret::IMPORTED`].
pub async fn revoke(client: &Client, namespace: &str, fingerprints: &[Arc<str>]) -> Result<(), WriteError> {
    remember(client, namespace, |known| {
        known.extend(fingerprints.iter().map(|one| (one.to_string(), ByteString(b"revoked".to_vec()))));
        Ok(None)
    })
    .await
}

async fn remember(
    client: &Client,
    namespace: &str,
    change: impl FnOnce(&mut BTreeMap<String, ByteString>) -> Result<Option<ByteString>, WriteError>,
) -> Result<(), WriteError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let found = api.get_opt(secret::IMPORTED_NAME).await.map_err(WriteError::Api)?;
    let is_new = found.is_none();
    let mut ledger = found.unwrap_or_else(|| Secret {
        metadata: ObjectMeta {
            name: Some(secret::IMPORTED_NAME.to_owned()),
            labels: Some([(secret::LABEL.to_owned(), secret::IMPORTED.to_owned())].into()),
            ..ObjectMeta::default()
        },
        ..Secret::default()
    });
    if ledger.labels().get(secret::LABEL).is_none_or(|value| value != secret::IMPORTED) {
        return Err(WriteError::Foreign(Name::new(namespace, secret::IMPORTED_NAME)));
    }
    let before = ledger.data.clone();
    change(ledger.data.get_or_insert_default())?;
    let written = match (is_new, before == ledger.data) {
        (true, _) => api.create(&parameters, &ledger).await,
        (false, true) => return Ok(()),
        (false, false) => {
            ledger.metadata.managed_fields = None;
            // With the version that was read: of two who write at once, one has to look again.
            api.replace(secret::IMPORTED_NAME, &parameters, &ledger).await
        }
    };
    written.map(drop).map_err(WriteError::Api)
}

/// Deletes a Secret of Portico's. One that is gone already is as good.
pub async fn delete_secret(client: &Client, name: &Name) -> Result<(), WriteError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), name.namespace());
    let found = match api.get_opt(name.name()).await.map_err(WriteError::Api)? {
        Some(found) if secret::read(&found).is_some() => found,
        _ => return Ok(()),
    };
    // Not one that somebody makes in its place meanwhile.
    let preconditions = Preconditions { uid: found.uid(), resource_version: None };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match api.delete(name.name(), &parameters).await {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(WriteError::Api(error)),
    }
}

/// Puts the finalizer on an object, or takes it off. An object that is gone, or another one of its name, is left alone.
///
/// The list is written with the version of the object that it was read from, so that no finalizer of others is lost.
pub async fn guard(client: &Client, key: &ObjectKey, uid: Uid, wanted: bool) -> Result<(), WriteError> {
    let resource = resource(key.kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), key.name.namespace(), &resource);
    let Some(found) = api.get_metadata_opt(key.name.name()).await.map_err(WriteError::Api)? else { return Ok(()) };
    let mut finalizers = found.finalizers().to_vec();
    let is_guarded = finalizers.iter().any(|one| one == FINALIZER);
    // The API server takes no more finalizers once an object is being deleted.
    let is_late = wanted && found.metadata.deletion_timestamp.is_some();
    if uid_of(&found) != Some(uid) || is_guarded == wanted || is_late {
        return Ok(());
    }
    if wanted {
        finalizers.push(FINALIZER.to_owned());
    } else {
        finalizers.retain(|one| one != FINALIZER);
    }
    let version = found.metadata.resource_version;
    let patch = json!({ "metadata": { "uid": uid.to_string(), "resourceVersion": version, "finalizers": finalizers } });
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_metadata(key.name.name(), &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(WriteError::Api(error)),
    }
}

/// Deletes an object, unless it is gone or another one has its name.
pub async fn delete(client: &Client, key: &ObjectKey, uid: Uid) -> Result<(), WriteError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), key.name.namespace(), &resource(key.kind));
    let preconditions = Preconditions { uid: Some(uid.to_string()), resource_version: None };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match api.delete(key.name.name(), &parameters).await {
        Ok(_) => Ok(()),
        // Another one of its name is a conflict, and stays.
        Err(Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(WriteError::Api(error)),
    }
}

/// How an Event names the object that it is about.
pub fn reference(key: &ObjectKey, uid: Uid) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", portico_crds::GROUP, portico_crds::VERSION)),
        kind: Some(key.kind.as_str().to_owned()),
        namespace: Some(key.name.namespace().to_owned()),
        name: Some(key.name.name().to_owned()),
        uid: Some(uid.to_string()),
        ..ObjectReference::default()
    }
}
