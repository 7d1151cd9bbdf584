//! What gateways need and the core does not know: keys and certificates, as Secrets have them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use portico_core::api_key::ApiKey;
use portico_core::batch::Fact;
use portico_core::key::Name;
use portico_envoy::translate::{Certificate, CertificateSource, KeySource};
use portico_kube::secret::Key;

/// Keys by credential, oldest first, and texts of Secrets with certificates.
#[derive(Default)]
pub struct Held {
    keys: RwLock<HashMap<Name, Vec<Key>>>,
    certificates: RwLock<HashMap<Name, BTreeMap<String, String>>>,
}

impl Held {
    /// Takes a key in; answers what the core is to know, unless it is known.
    pub fn take(&self, credential: &Name, key: Key) -> Option<Fact> {
        let mut keys = write(&self.keys);
        let known = keys.entry(credential.clone()).or_insert_with(|| Vec::with_capacity(1));
        if known.iter().any(|known| known.generation == key.generation) {
            return None;
        }
        let Key { generation, asked, at, expires, key: ref secret } = key;
        let (credential, fingerprint) = (credential.clone(), secret.fingerprint());
        let fact = Fact::KeyMade { credential, generation, asked, at, expires, fingerprint };
        known.push(key);
        known.sort_by_key(|known| known.generation);
        Some(fact)
    }

    /// The keys of a credential, oldest first.
    pub fn of(&self, credential: &Name) -> Vec<Key> {
        read(&self.keys).get(credential).cloned().unwrap_or_default()
    }

    /// The fingerprints of all keys.
    pub fn fingerprints(&self) -> HashSet<Arc<str>> {
        read(&self.keys).values().flatten().map(|key| key.key.fingerprint()).collect()
    }

    /// Whether another credential has the same key.
    pub fn is_taken(&self, credential: &Name, key: &ApiKey) -> bool {
        let keys = read(&self.keys);
        let mut others = keys.iter().filter(|(name, _)| *name != credential);
        others.any(|(_, keys)| keys.iter().any(|known| known.key == *key))
    }

    /// Forgets all generations but these; answers what the core is to know.
    pub fn retain(&self, credential: &Name, generations: &[i64]) -> Option<Fact> {
        let mut keys = write(&self.keys);
        let known = keys.get_mut(credential)?;
        let gone: Vec<i64> =
            known.extract_if(.., |key| !generations.contains(&key.generation)).map(|key| key.generation).collect();
        if known.is_empty() {
            keys.remove(credential);
        }
        (!gone.is_empty()).then(|| Fact::KeysGone { credential: credential.clone(), generations: gone })
    }

    /// A Secret with certificates says this now. Answers whether that is new.
    pub fn certificates(&self, secret: &Name, texts: BTreeMap<String, String>) -> bool {
        let before = write(&self.certificates).insert(secret.clone(), texts);
        before.as_ref() != read(&self.certificates).get(secret)
    }

    /// A Secret with certificates is gone. Answers whether it was known.
    pub fn certificates_gone(&self, secret: &Name) -> bool {
        write(&self.certificates).remove(secret).is_some()
    }

    /// The text under a key of such a Secret, or the only one.
    pub fn only(&self, secret: &Name, key: Option<&str>) -> Option<String> {
        let known = read(&self.certificates);
        let texts = known.get(secret)?;
        match key {
            Some(key) => texts.get(key).cloned(),
            None if texts.len() == 1 => texts.values().next().cloned(),
            None => None,
        }
    }

    fn text(&self, secret: &Name, key: &str) -> Option<String> {
        read(&self.certificates).get(secret)?.get(key).cloned()
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl KeySource for Held {
    fn key(&self, credential: &Name, generation: i64) -> Option<ApiKey> {
        let keys = read(&self.keys);
        let key = keys.get(credential)?.iter().find(|key| key.generation == generation)?;
        Some(key.key.clone())
    }
}

impl CertificateSource for Held {
    fn certificate(&self, secret: &Name) -> Option<Certificate> {
        Some(Certificate { chain: self.text(secret, "tls.crt")?, private_key: self.text(secret, "tls.key")? })
    }

    fn authorities(&self, secret: &Name, key: Option<&str>) -> Option<String> {
        self.text(secret, key.unwrap_or("ca.crt"))
    }
}
