//! What the leader writes: the Secret of a credential, the status of an object, and what a deletion needs.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use portico_core::api_key::ApiKey;
use portico_core::batch::Fact;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_core::status::Condition;
use portico_kube::outbox;
use portico_kube::secret::{Delivered, Key, secret_of};
use portico_kube::status::{Observed, wanted};
use portico_kube::uid::Uid;
use portico_kube::write::{self, WriteError};
use tracing::Instrument;

use super::deletion::Step;
use super::engine::Engine;
use super::metrics::Outcome;
use crate::up::chain;

/// The reason of a credential that has to be rotated soon.
const ENDS_SOON: &str = "ExpiresSoon";

/// Whether those who look at an object should be told: it became ready or is no longer, or it is about to end.
fn is_news(ready: &Condition, before: &Observed) -> bool {
    before.holds("Ready") != Some(ready.status) || (ready.reason == ENDS_SOON && !before.says("Ready", ENDS_SOON))
}

/// Something to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// The Secret of a credential: made, changed, or deleted.
    Secret(Name),
    /// The status of an object.
    Status(ObjectKey),
    /// What the deletion of an object needs.
    Deletion(ObjectKey),
}

impl outbox::Task for Task {
    fn is_urgent(&self) -> bool {
        matches!(self, Task::Secret(_))
    }
}

/// What came of it.
#[derive(Debug)]
pub enum Done {
    /// A status.
    Status { key: ObjectKey, uid: Uid, result: Result<Option<Observed>, WriteError> },
    /// A step of a deletion.
    Deletion { key: ObjectKey, uid: Uid, step: Step, result: Result<(), WriteError> },
    /// A Secret: what stands there now, and those that were deleted.
    Secret { credential: Name, result: Result<(Option<Delivered>, Vec<Name>), WriteError> },
}

impl Engine {
    /// Begins to write a status; false if there is nothing to write.
    pub(super) fn write_status(&mut self, key: &ObjectKey) -> bool {
        let (Some(standing), Some(status)) = (self.objects.get(key), self.core.read().status(key)) else {
            return false;
        };
        let wanted = wanted(&status, &standing.observed, Timestamp::now());
        if standing.observed.is(&wanted) {
            return false;
        }
        // Gateways that lost their replica come back within seconds. What they had confirmed is not doubted before: that they
        // let somebody in, or no longer.
        let waits = status.condition("Programmed").is_some_and(|one| !one.status && one.reason == "Pending");
        if let Some(until) = self.patience.filter(|until| *until > Instant::now() && waits)
            && standing.observed.holds("Programmed").is_some()
        {
            self.outbox.want(Task::Status(key.clone()), until);
            return false;
        }
        if let Some(ready) = status.condition("Ready").filter(|ready| is_news(ready, &standing.observed)) {
            let is_bad = status.condition("Stalled").is_some() || ready.reason == ENDS_SOON;
            self.note(key, is_bad, ready.reason, &ready.message);
        }
        let (client, done, key, uid) = (self.client.clone(), self.done.clone(), key.clone(), standing.uid);
        let span = tracing::info_span!("write", kind = "status", object = %key);
        let write = async move {
            let result = write::in_time(write::status(&client, &key, uid, &wanted)).await;
            // Nobody listens while the program stops.
            let _ = done.send(Done::Status { key, uid, result });
        };
        tokio::spawn(write.instrument(span));
        true
    }

    pub(super) fn status_written(
        &mut self,
        key: &ObjectKey,
        uid: Uid,
        result: Result<Option<Observed>, WriteError>,
    ) -> Outcome {
        match result {
            Ok(Some(observed)) => {
                if let Some(standing) = self.objects.get_mut(key).filter(|standing| standing.uid == uid) {
                    standing.observed = observed;
                }
                Outcome::Written
            }
            Ok(None) => Outcome::Written,
            Err(error) => {
                tracing::warn!(object = %key, error = chain(&error), "a status was not written; trying again");
                Outcome::of(&error)
            }
        }
    }

    /// Whether a Secret holds exactly what it should, under the name that it should have.
    pub(super) fn is_right(&self, delivered: &Delivered) -> bool {
        let Delivered { name, uid: _, credential, owner, from: _, version: _, keys, is_altered } = delivered;
        let object = credential.clone().of(Kind::Credential);
        let Some(standing) = self.objects.get(&object) else { return false };
        !is_altered
            && standing.uid == *owner
            && *name == self.target(credential)
            && *keys == self.wanted_keys(credential)
    }

    fn target(&self, credential: &Name) -> Name {
        let name = self.targets.get(credential).map_or(credential.name(), |target| target);
        credential.beside(name)
    }

    /// Generations that should have a key.
    fn generations(&self, credential: &Name) -> &[i64] {
        self.wishes.get(credential).map(|wish| wish.generations.as_slice()).unwrap_or_default()
    }

    /// The keys that there are and should be, and those that were made and are not delivered yet.
    fn wanted_keys(&self, credential: &Name) -> Vec<Key> {
        let generations = self.generations(credential);
        let fresh = self.fresh.get(credential).map(Vec::as_slice).unwrap_or_default();
        let mut keys: Vec<Key> = self.held.of(credential).into_iter().chain(fresh.iter().cloned()).collect();
        keys.retain(|key| generations.contains(&key.generation));
        keys.sort_by_key(|key| key.generation);
        keys.dedup_by_key(|key| key.generation);
        keys
    }

    /// Begins to write, change or delete a Secret; false if there is nothing to do.
    pub(super) fn write_secret(&mut self, credential: &Name) -> bool {
        let object = credential.clone().of(Kind::Credential);
        let owner = self.objects.get(&object).map(|standing| standing.uid);
        let target = self.target(credential);
        let (mut to_write, mut claim) = (None, None);
        // One of a credential before, with the same name.
        let is_stale = |known: &Delivered| owner.is_some_and(|owner| known.owner != owner);
        if let Some(owner) = owner.filter(|_| self.wishes.contains_key(credential)) {
            self.make_keys(credential);
            let keys = self.wanted_keys(credential);
            let known =
                self.secrets.get(&target).filter(|known| known.credential == *credential && known.owner == owner);
            if !known.is_some_and(|known| self.is_right(known)) && !keys.is_empty() {
                let version = known.map(|known| known.version.clone());
                let from = self.from(credential);
                to_write = Some((secret_of(&target, credential, owner, from.as_deref(), &keys), version));
            }
            let whose = format!("{owner} {}", Uid::write_all(&self.from(credential).unwrap_or_default()));
            claim = self.claims(credential).map(|fingerprint| (fingerprint, whose));
        }
        let is_wanted = self.wishes.contains_key(credential);
        let to_delete: Vec<Name> = self
            .secrets
            .of(credential)
            .filter(|known| !is_wanted || known.name != target || is_stale(known))
            .map(|known| known.name.clone())
            .collect();
        let gone = self.secrets.of(credential).filter(|_| !is_wanted).flat_map(|known| &known.keys);
        let revoked: Vec<Arc<str>> = gone.filter(|key| key.key.is_foreign()).map(|key| key.key.fingerprint()).collect();
        if to_write.is_none() && to_delete.is_empty() {
            // It stands there although no answer said so: the answer was lost.
            let standing = self.secrets.get(&target).filter(|known| self.is_right(known)).cloned();
            if let Some(standing) = standing.filter(|_| self.fresh.contains_key(credential)) {
                self.secret_written(credential, Ok((Some(standing), Vec::new())));
            }
            return false;
        }
        let (client, done, credential) = (self.client.clone(), self.done.clone(), credential.clone());
        let span = tracing::info_span!("write", kind = "secret", %credential);
        let write = async move {
            let result = async {
                if !revoked.is_empty() {
                    write::revoke(&client, target.namespace(), &revoked).await?;
                }
                // One that is in the way goes first; one with the same keys when they stand in another.
                let (before, after): (Vec<&Name>, Vec<&Name>) = to_delete.iter().partition(|name| **name == target);
                for name in before {
                    write::delete_secret(&client, name).await?;
                }
                if let Some((fingerprint, whose)) = claim.filter(|_| to_write.is_some()) {
                    write::claim(&client, target.namespace(), &fingerprint, &whose).await?;
                }
                let written = match to_write {
                    Some((secret, version)) => Some(write::secret(&client, secret, version.as_deref()).await?),
                    None => None,
                };
                for name in after {
                    write::delete_secret(&client, name).await?;
                }
                Ok((written, to_delete))
            };
            let result = write::in_time(result).await;
            // Nobody listens while the program stops.
            let _ = done.send(Done::Secret { credential, result });
        };
        tokio::spawn(write.instrument(span));
        true
    }

    /// Makes the keys that are missing. They stay the same until they are delivered or no longer wanted.
    fn make_keys(&mut self, credential: &Name) {
        let Some(wish) = self.wishes.get(credential) else { return };
        let held = self.held.of(credential);
        let fresh = self.fresh.entry(credential.clone()).or_default();
        // To the second, as it is written down.
        let at = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let mut refused = None;
        for generation in wish.generations.iter().copied() {
            let is_there = |key: &Key| key.generation == generation;
            if held.iter().any(is_there) || fresh.iter().any(is_there) {
                continue;
            }
            if let Some(import) = wish.imports(generation) {
                let secret = credential.beside(&import.name);
                let Some(text) = self.held.only(&secret, import.key.as_deref()) else { continue };
                let key = ApiKey::import(text.trim_end_matches(['\r', '\n'])).map_err(|error| error.to_string());
                match key {
                    Ok(key) if self.held.is_taken(credential, &key) => {
                        refused = Some("another credential has the same key".into());
                    }
                    Ok(key) => {
                        let (asked, expires) = (wish.asked, wish.expiry(at));
                        fresh.push(Key { generation, asked, at, expires, key });
                    }
                    Err(why) => refused = Some(why.into()),
                }
                continue;
            }
            let mut random = [0; 20];
            if let Err(error) = getrandom::fill(&mut random) {
                tracing::error!(%error, "the system gives no random bytes; no key is made");
                continue;
            }
            let (asked, expires) = (wish.asked, wish.expiry(at));
            fresh.push(Key { generation, asked, at, expires, key: ApiKey::from_random(random) });
        }
        if fresh.is_empty() {
            self.fresh.remove(credential);
        }
        if let Some(why) = refused {
            self.not_imported(credential, why);
        }
    }

    /// The digest of the key from elsewhere that is about to be delivered.
    fn claims(&self, credential: &Name) -> Option<Arc<str>> {
        let wish = self.wishes.get(credential)?;
        let key = self.fresh.get(credential)?.iter().find(|key| wish.imports(key.generation).is_some())?;
        Some(key.key.fingerprint())
    }

    fn not_imported(&mut self, credential: &Name, why: Arc<str>) {
        self.report([Fact::NotImported { credential: credential.clone(), why }]);
    }

    pub(super) fn secret_written(
        &mut self,
        credential: &Name,
        result: Result<(Option<Delivered>, Vec<Name>), WriteError>,
    ) -> Outcome {
        let object = credential.clone().of(Kind::Credential);
        let (written, deleted) = match result {
            Ok(done) => done,
            Err(error) => {
                let text = chain(&error);
                tracing::warn!(%credential, error = text, "a Secret was not written; trying again");
                if matches!(error, WriteError::Claimed) {
                    self.fresh.remove(credential);
                    self.not_imported(credential, text.as_str().into());
                }
                if !error.is_passing() {
                    self.note(&object, true, "SecretNotWritten", &text);
                }
                return Outcome::of(&error);
            }
        };
        for name in deleted {
            self.secrets.remove(&name);
        }
        let Some(delivered) = written else { return Outcome::Written };
        let fresh = self.fresh.remove(credential).unwrap_or_default();
        let wanted = self.generations(credential).to_vec();
        let mut facts = Vec::new();
        for key in delivered.keys.iter().filter(|key| wanted.contains(&key.generation)) {
            if let Some(fact) = self.held.take(credential, key.clone()) {
                let text = format!("key {} was made and is in Secret {}", key.generation, delivered.name.name());
                self.note(&object, false, if key.generation == 1 { "KeyMade" } else { "KeyRotated" }, &text);
                facts.push(fact);
            }
        }
        // What did not get there is tried again as it is.
        let left: Vec<Key> = fresh
            .into_iter()
            .filter(|key| !delivered.keys.iter().any(|one| one.generation == key.generation))
            .collect();
        if !left.is_empty() {
            self.fresh.insert(credential.clone(), left);
        }
        self.report(facts);
        let is_right = self.is_right(&delivered);
        let delivered = self.interned(delivered);
        self.secrets.insert(delivered);
        if !is_right {
            self.outbox.want(Task::Secret(credential.clone()), Instant::now());
        }
        Outcome::Written
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn that_a_key_ends_soon_is_told_once() {
        let said = |status: &str, reason: &str| {
            let since = "2026-01-01T00:00:00Z";
            let ready = json!({ "type": "Ready", "status": status, "reason": reason, "lastTransitionTime": since });
            Observed::new(Some(&json!({ "conditions": [ready] })))
        };
        let now = |status, reason| Condition { r#type: "Ready", status, reason, message: String::new() };
        assert!(is_news(&now(true, ENDS_SOON), &said("True", "Ready")));
        assert!(!is_news(&now(true, ENDS_SOON), &said("True", ENDS_SOON)), "for another reason it is written again");
        assert!(is_news(&now(false, "Expired"), &said("True", ENDS_SOON)));
        assert!(!is_news(&now(true, "Ready"), &said("True", ENDS_SOON)));
        assert!(is_news(&now(true, "Ready"), &Observed::default()));
    }
}
