//! What the portal of all replicas keeps in the cluster: the key that sessions are sealed with, in a Secret; which keys were shown, in
//! `ConfigMaps`; and in the Lease, where the replica is that answers.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::write::WriteError;
use crate::{Error, MANAGER};

/// On how many `ConfigMaps` it is spread which keys were shown: one holds a mebibyte, about 20,000 keys.
pub const SHARDS: u64 = 16;

/// A `ConfigMap` with more than this many keys lets go of those that are gone.
const MANY: usize = 10_000;

/// How often something is written again that somebody else has changed at the same moment.
const TRIES: u32 = 8;

/// The key in the Secret.
const SEALING_KEY: &str = "sealing-key";

/// The annotation of the Lease: the holder, and where its portal is.
const PORTAL: &str = "portico.dev/portal";

/// The key for sessions cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The API server did not say, or did not take it.
    #[error("the API server does not give or take Secret {0}")]
    Api(String, #[source] Error),
    /// Whoever installs the operator makes the Secret: it needs no right to make others.
    #[error("there is no Secret {0}: the chart makes it with portal.enabled; without the chart, make an empty one")]
    NoSecret(String),
    /// Somebody else has written something there.
    #[error("`{SEALING_KEY}` in Secret {0} is not what Portico wrote: take it out, and everybody signs in anew")]
    Broken(String),
}

/// Where all that is kept.
#[derive(Clone)]
pub struct Memory {
    client: Client,
    namespace: String,
    /// That of the Lease.
    name: String,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("namespace", &self.namespace).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Memory {
    /// Beside a Lease: in the Secret `<lease>-portal`, and in `ConfigMaps` that are called `<lease>-shown-0` and so on.
    pub fn beside(client: &Client, namespace: &str, lease: &str) -> Memory {
        Memory { client: client.clone(), namespace: namespace.to_owned(), name: lease.to_owned() }
    }

    /// What sessions are sealed with. Whoever finds none puts `fresh` there; what stands there wins.
    ///
    /// # Errors
    /// [`SealingError`].
    pub async fn sealing_key<const N: usize>(&self, fresh: [u8; N]) -> Result<[u8; N], SealingError> {
        let name = format!("{}-portal", self.name);
        let place = || format!("{}/{name}", self.namespace);
        let failed = |error| SealingError::Api(place(), error);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        for _ in 0..TRIES {
            let found = api.get_opt(&name).await.map_err(failed)?;
            let mut found = found.ok_or_else(|| SealingError::NoSecret(place()))?;
            if let Some(ByteString(known)) = found.data.as_ref().and_then(|data| data.get(SEALING_KEY)) {
                return known.as_slice().try_into().map_err(|_| SealingError::Broken(place()));
            }
            found.data.get_or_insert_default().insert(SEALING_KEY.to_owned(), ByteString(fresh.to_vec()));
            found.metadata.managed_fields = None;
            match api.replace(&name, &parameters(), &found).await {
                Ok(_) => return Ok(fresh),
                // Somebody was quicker.
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(SealingError::Broken(place()))
    }

    /// Remembers that the key with this fingerprint is shown, and answers whether that is the first time. Where much is
    /// remembered, those go of whose keys `is_there` says that there are none any more.
    ///
    /// # Errors
    /// Where it is not known or not remembered: the key must not be shown then.
    pub async fn show(&self, fingerprint: &str, is_there: impl Fn(&str) -> bool) -> Result<bool, WriteError> {
        let (api, name) = (self.maps(), self.shard(fingerprint));
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default().to_string();
        let mut last = WriteError::Slow;
        for _ in 0..TRIES {
            let found = api.get_opt(&name).await.map_err(WriteError::Api)?;
            let is_new = found.is_none();
            let mut map = found.unwrap_or_else(|| ConfigMap {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    labels: Some([("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned())].into()),
                    ..ObjectMeta::default()
                },
                ..ConfigMap::default()
            });
            let shown = map.data.get_or_insert_default();
            if shown.contains_key(fingerprint) {
                return Ok(false);
            }
            if shown.len() > MANY {
                shown.retain(|known, _| is_there(known));
            }
            shown.insert(fingerprint.to_owned(), now.clone());
            map.metadata.managed_fields = None;
            let written = if is_new {
                api.create(&parameters(), &map).await
            } else {
                // With the version that was read: of two who show at once, one has to look again.
                api.replace(&name, &parameters(), &map).await
            };
            match written {
                Ok(_) => return Ok(true),
                Err(error) if is_conflict(&error) => last = WriteError::Api(error),
                Err(error) => return Err(WriteError::Api(error)),
            }
        }
        Err(last)
    }

    /// Whether the key with this fingerprint was shown.
    ///
    /// # Errors
    /// Where the API server does not say.
    pub async fn was_shown(&self, fingerprint: &str) -> Result<bool, Error> {
        let found = self.maps().get_opt(&self.shard(fingerprint)).await?;
        Ok(found.and_then(|map| map.data).is_some_and(|shown| shown.contains_key(fingerprint)))
    }

    /// Tells the other replicas where the portal of this one is, which holds the Lease.
    ///
    /// # Errors
    /// Where they are not told.
    pub async fn announce(&self, identity: &str, address: SocketAddr) -> Result<(), WriteError> {
        let patch = json!({ "metadata": { "annotations": { PORTAL: format!("{identity} {address}") } } });
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.leases().patch_metadata(&self.name, &parameters, &Patch::Merge(&patch)).await.map_err(WriteError::Api)?;
        Ok(())
    }

    /// Where the portal of the replica is that holds the Lease; `None` where nobody does, or has not said so yet.
    ///
    /// # Errors
    /// Where the API server does not say.
    pub async fn leader(&self) -> Result<Option<SocketAddr>, Error> {
        Ok(self.leases().get_opt(&self.name).await?.as_ref().and_then(told))
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn shard(&self, fingerprint: &str) -> String {
        let number = BuildHasherDefault::<DefaultHasher>::default().hash_one(fingerprint) % SHARDS;
        format!("{}-shown-{number}", self.name)
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

/// Whether somebody else has made or changed it in the meantime.
fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409)
}

/// Where the holder of a Lease says that its portal is. What a holder before has said does not count.
fn told(lease: &Lease) -> Option<SocketAddr> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    let (identity, address) = lease.annotations().get(PORTAL)?.split_once(' ')?;
    (identity == holder).then(|| address.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    use super::*;

    #[test]
    fn only_the_holder_says_where_the_portal_is() {
        let lease = |holder: Option<&str>, text: &str| Lease {
            metadata: ObjectMeta {
                annotations: Some([(PORTAL.to_owned(), text.to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec { holder_identity: holder.map(str::to_owned), ..LeaseSpec::default() }),
        };
        assert_eq!(told(&lease(Some("one"), "one 10.0.0.7:4000")), "10.0.0.7:4000".parse().ok());
        assert_eq!(told(&lease(Some("one"), "one [fd00::7]:4000")), "[fd00::7]:4000".parse().ok());
        assert_eq!(told(&lease(Some("two"), "one 10.0.0.7:4000")), None);
        assert_eq!(told(&lease(None, "one 10.0.0.7:4000")), None);
        assert_eq!(told(&lease(Some("one"), "one somewhere")), None);
    }
}
