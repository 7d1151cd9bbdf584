//! Secrets that gateways need: keys held in memory, certificates read from files.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use portico_core::api_key::ApiKey;
use portico_core::key::Name;
use portico_envoy::translate::{Certificate, CertificateSource, KeySource};

/// The keys that exist, by credential. The secret store has them on disk; gateways are given them from here.
#[derive(Default)]
pub struct Keys {
    keys: RwLock<HashMap<Name, Vec<(i64, ApiKey)>>>,
}

impl Keys {
    /// A key was made.
    pub fn insert(&self, credential: Name, generation: i64, key: ApiKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let generations = keys.entry(credential).or_insert_with(|| Vec::with_capacity(1));
        generations.retain(|(known, _)| *known != generation);
        generations.push((generation, key));
    }

    /// Forgets all generations but these, and answers which those were.
    pub fn retain(&self, credential: &Name, generations: &[i64]) -> Vec<i64> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = keys.get_mut(credential) else { return Vec::new() };
        let gone =
            known.extract_if(.., |(generation, _)| !generations.contains(generation)).map(|(gone, _)| gone).collect();
        if known.is_empty() {
            keys.remove(credential);
        }
        gone
    }
}

impl KeySource for Keys {
    fn key(&self, credential: &Name, generation: i64) -> Option<ApiKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (_, key) = keys.get(credential)?.iter().find(|(known, _)| *known == generation)?;
        Some(key.clone())
    }
}

/// Certificates in files: `tls/<namespace>/<name>/tls.crt`, `tls.key` and `ca.crt` below the state directory, named as in a
/// Secret of Kubernetes.
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Below a state directory.
    pub fn new(state: &std::path::Path) -> Self {
        Files { folder: state.join("tls") }
    }

    fn read(&self, secret: &Name, key: &str) -> Option<String> {
        if key.contains('/') || key.starts_with('.') {
            return None;
        }
        let path = self.folder.join(secret.namespace()).join(secret.name()).join(key);
        match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read a certificate");
                None
            }
        }
    }
}

impl CertificateSource for Files {
    fn certificate(&self, secret: &Name) -> Option<Certificate> {
        Some(Certificate { chain: self.read(secret, "tls.crt")?, private_key: self.read(secret, "tls.key")? })
    }

    fn authorities(&self, secret: &Name, key: Option<&str>) -> Option<String> {
        self.read(secret, key.unwrap_or("ca.crt"))
    }
}
