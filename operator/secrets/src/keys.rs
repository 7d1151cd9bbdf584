//! Making, destroying and telling keys.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use portico_core::api_key::ApiKey;
use portico_core::batch::Fact;
use portico_core::delta::KeyWish;
use portico_core::key::Name;
use rusqlite::{OptionalExtension, Row, Transaction};
use zeroize::Zeroizing;

use crate::database::{StoreError, at};
use crate::memory::moment;
use crate::open::Store;
use crate::seal::{Binding, Seal};

/// A key in the store.
#[derive(Clone, PartialEq, Eq)]
pub struct Made {
    /// Whose it is.
    pub credential: Name,
    /// Which of its generations.
    pub generation: i64,
    /// See [`KeyWish::asked`].
    pub asked: i64,
    /// When it was made, to the microsecond.
    pub at: Timestamp,
    /// When it ends, by the rule that held when it was made.
    pub expires: Option<Timestamp>,
    /// See [`ApiKey::fingerprint`].
    pub fingerprint: Arc<str>,
    /// The key itself.
    pub key: ApiKey,
}

impl Made {
    /// What the core is told about it. The key is not part of it.
    pub fn fact(&self) -> Fact {
        Fact::KeyMade {
            credential: self.credential.clone(),
            generation: self.generation,
            asked: self.asked,
            at: self.at,
            expires: self.expires,
            fingerprint: self.fingerprint.clone(),
        }
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{} {} [redacted]", self.credential, self.generation, self.fingerprint)
    }
}

/// A key that was destroyed. It must never work again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Whose it was.
    pub credential: Name,
    /// Which of its generations.
    pub generation: i64,
    /// When it was destroyed.
    pub at: Timestamp,
}

/// A key from elsewhere was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It was a key once, and is to be none any more.
    #[error("this key was revoked, and a revoked key never comes back")]
    Revoked,
    /// It is one already. Whose, is nobody else's business.
    #[error("another credential has the same key")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Makes the store hold exactly one key for each of `generations` of the credential, and returns those that are new.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; the store is then as it was.
    pub fn ensure(&mut self, credential: &Name, generations: &[i64], now: Timestamp) -> Result<Vec<Made>, StoreError> {
        self.apply(&[KeyWish::new(credential.clone(), generations.to_vec())], now)
    }

    /// Destroys every key of the credential.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; the store is then as it was.
    pub fn destroy(&mut self, credential: &Name, now: Timestamp) -> Result<(), StoreError> {
        self.ensure(credential, &[], now).map(drop)
    }

    /// Fulfils all wishes in one transaction, and returns the keys that are new. Of two wishes about one credential the
    /// later holds.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; the store is then as it was.
    pub fn apply(&mut self, wishes: &[KeyWish], now: Timestamp) -> Result<Vec<Made>, StoreError> {
        let last: HashMap<&Name, usize> =
            wishes.iter().enumerate().map(|(index, wish)| (&wish.credential, index)).collect();
        let failed = at(&self.path, "store keys");
        let now = moment(now.as_microsecond());
        let transaction = self.connection.transaction().map_err(&failed)?;
        let mut made = Vec::new();
        for (index, wish) in wishes.iter().enumerate() {
            if last.get(&wish.credential) == Some(&index) {
                fulfil(&transaction, &self.seal, wish, now, &mut made, &failed)?;
            }
        }
        transaction.commit().map_err(&failed)?;
        Ok(made)
    }

    /// Takes in a key from elsewhere, as that of generation 1 of the credential that wishes for it.
    ///
    /// # Errors
    ///
    /// See [`ImportError`]; the store is then as it was.
    pub fn import(&mut self, wish: &KeyWish, key: ApiKey, now: Timestamp) -> Result<Made, ImportError> {
        let fingerprint = key.fingerprint();
        if self.revoked(&fingerprint)?.is_some() {
            return Err(ImportError::Revoked);
        }
        let failed = at(&self.path, "store keys");
        let now = moment(now.as_microsecond());
        let transaction = self.connection.transaction().map_err(&failed)?;
        let is_taken = transaction
            .prepare_cached("SELECT 1 FROM keys WHERE fingerprint = ?1")
            .and_then(|mut same| same.exists([&*fingerprint]))
            .map_err(&failed)?;
        if is_taken {
            return Err(ImportError::Taken);
        }
        let mut made = Vec::new();
        keep(&transaction, &self.seal, wish, 1, now, key, &mut made, &failed)?;
        transaction.commit().map_err(&failed)?;
        made.pop().ok_or(ImportError::Taken)
    }

    /// The keys of a credential, oldest generation first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn reveal(&self, credential: &Name) -> Result<Vec<Made>, StoreError> {
        let failed = at(&self.path, "read keys");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT generation, made_at, fingerprint, sealed, asked, expires_at FROM keys
                 WHERE namespace = ?1 AND name = ?2 ORDER BY generation",
            )
            .map_err(&failed)?;
        let mut rows = statement.query((credential.namespace(), credential.name())).map_err(&failed)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            found.push(opened(&self.seal, row, credential.clone(), &failed)?);
        }
        Ok(found)
    }

    /// Tells `each` key of the store, in order of namespace, name and generation.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. A row that does not open ends it.
    pub fn all(&self, mut each: impl FnMut(Made)) -> Result<(), StoreError> {
        let failed = at(&self.path, "read keys");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT generation, made_at, fingerprint, sealed, asked, expires_at, namespace, name FROM keys
                 ORDER BY namespace, name, generation",
            )
            .map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        let mut last = Name::new("", "");
        while let Some(row) = rows.next().map_err(&failed)? {
            let text = |index| row.get_ref(index).and_then(|value| value.as_str().map_err(rusqlite::Error::from));
            let (namespace, name) = (text(6).map_err(&failed)?, text(7).map_err(&failed)?);
            // Neighbours in this order may be keys of the same credential.
            if (last.namespace(), last.name()) != (namespace, name) {
                last = Name::new(namespace, name);
            }
            each(opened(&self.seal, row, last.clone(), &failed)?);
        }
        Ok(())
    }

    /// Whether a key with this fingerprint was destroyed here. To be asked before a key from elsewhere is let in.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn revoked(&self, fingerprint: &str) -> Result<Option<Revoked>, StoreError> {
        self.connection
            .prepare_cached("SELECT namespace, name, generation, revoked_at FROM revoked WHERE fingerprint = ?1")
            .and_then(|mut statement| {
                let read = |row: &Row<'_>| {
                    Ok(Revoked {
                        credential: Name::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?),
                        generation: row.get(2)?,
                        at: moment(row.get(3)?),
                    })
                };
                statement.query_row([fingerprint], read).optional()
            })
            .map_err(at(&self.path, "read revoked keys"))
    }
}

fn fulfil(
    transaction: &Transaction<'_>,
    seal: &Seal,
    wish: &KeyWish,
    now: Timestamp,
    made: &mut Vec<Made>,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Result<(), StoreError> {
    let KeyWish { credential, generations, .. } = wish;
    let (namespace, name) = (credential.namespace(), credential.name());
    let held = transaction
        .prepare_cached("SELECT generation FROM keys WHERE namespace = ?1 AND name = ?2")
        .and_then(|mut held| held.query_map((namespace, name), |row| row.get(0))?.collect::<Result<BTreeSet<i64>, _>>())
        .map_err(failed)?;
    let wanted: BTreeSet<i64> = generations.iter().copied().collect();
    for generation in held.difference(&wanted) {
        let row = (namespace, name, *generation);
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO revoked SELECT fingerprint, namespace, name, generation, ?4 FROM keys
                 WHERE namespace = ?1 AND name = ?2 AND generation = ?3",
            )
            .and_then(|mut remember| remember.execute((row.0, row.1, row.2, now.as_microsecond())))
            .map_err(failed)?;
        transaction
            .prepare_cached("DELETE FROM keys WHERE namespace = ?1 AND name = ?2 AND generation = ?3")
            .and_then(|mut delete| delete.execute(row))
            .map_err(failed)?;
    }
    for generation in wanted.difference(&held).filter(|generation| wish.imports(**generation).is_none()) {
        let key = fresh(transaction, failed)?;
        keep(transaction, seal, wish, *generation, now, key, made, failed)?;
    }
    Ok(())
}

/// Stores a key that is new.
#[expect(clippy::too_many_arguments, reason = "a row and what it takes to write one")]
fn keep(
    transaction: &Transaction<'_>,
    seal: &Seal,
    wish: &KeyWish,
    generation: i64,
    now: Timestamp,
    key: ApiKey,
    made: &mut Vec<Made>,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Result<(), StoreError> {
    let KeyWish { credential, asked, .. } = wish;
    let (namespace, name) = (credential.namespace(), credential.name());
    let (expires, fingerprint) = (wish.expiry(now), key.fingerprint());
    let sealed = seal.seal(Binding::Key(credential, generation), key.expose().as_bytes()).ok_or(StoreError::Random)?;
    let until = expires.map(Timestamp::as_microsecond);
    let row = (namespace, name, generation, now.as_microsecond(), &*fingerprint, sealed, *asked, until);
    transaction
        .prepare_cached("INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")
        .and_then(|mut insert| insert.execute(row))
        .map_err(failed)?;
    made.push(Made { credential: credential.clone(), generation, asked: *asked, at: now, expires, fingerprint, key });
    Ok(())
}

/// A key that this store has never destroyed.
fn fresh(transaction: &Transaction<'_>, failed: &impl Fn(rusqlite::Error) -> StoreError) -> Result<ApiKey, StoreError> {
    let mut used = transaction.prepare_cached("SELECT 1 FROM revoked WHERE fingerprint = ?1").map_err(failed)?;
    for _ in 0..8 {
        let mut bytes = Zeroizing::new([0; 20]);
        getrandom::fill(&mut *bytes).map_err(|_| StoreError::Random)?;
        let key = ApiKey::from_random(*bytes);
        if !used.exists([&*key.fingerprint()]).map_err(failed)? {
            return Ok(key);
        }
    }
    // Eight times a number of 64 bits that was there before: what we are given is not random.
    Err(StoreError::Random)
}

/// The key of a row that begins with generation, moment, fingerprint, sealed key, what was asked for and its end.
fn opened(
    seal: &Seal,
    row: &Row<'_>,
    credential: Name,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Result<Made, StoreError> {
    let generation = row.get(0).map_err(failed)?;
    let asked = row.get::<_, Option<i64>>(4).map_err(failed)?.unwrap_or(generation);
    let expires = row.get::<_, Option<i64>>(5).map_err(failed)?.map(moment);
    let at = moment(row.get(1).map_err(failed)?);
    let fingerprint: Arc<str> = row.get(2).map_err(failed)?;
    let sealed = row.get_ref(3).and_then(|value| value.as_blob().map_err(rusqlite::Error::from)).map_err(failed)?;
    let text = seal.open(Binding::Key(&credential, generation), sealed);
    let key = text.as_ref().and_then(|text| ApiKey::stored(std::str::from_utf8(text).ok()?));
    match key {
        Some(key) => Ok(Made { credential, generation, asked, at, expires, fingerprint, key }),
        None => Err(StoreError::Sealed { credential, generation }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::KeyLocation;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("state"), KeyLocation::Beside).expect("opens");
        (folder, store)
    }

    fn wishes(count: usize) -> Vec<KeyWish> {
        let wish = |index| KeyWish::new(Name::new("team", format!("c{index}")), vec![1]);
        (0..count).map(wish).collect()
    }

    fn count(store: &Store) -> usize {
        let mut count = 0;
        store.all(|_| count += 1).expect("read");
        count
    }

    #[test]
    fn a_full_disk_changes_nothing() {
        let (_folder, mut store) = store();
        store.apply(&wishes(3), Timestamp::UNIX_EPOCH).expect("there is room");
        store.connection.pragma_update(None, "max_page_count", 20).expect("set");
        let error = store.apply(&wishes(5_000), Timestamp::UNIX_EPOCH).expect_err("full");
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert_eq!(count(&store), 3);
        store.connection.pragma_update(None, "max_page_count", 1_000_000).expect("set");
        assert_eq!(store.apply(&wishes(5_000), Timestamp::UNIX_EPOCH).expect("room again").len(), 4_997);
    }

    #[test]
    fn a_read_only_store_says_so() {
        let (_folder, mut store) = store();
        store.connection.pragma_update(None, "query_only", true).expect("set");
        let error = store.apply(&wishes(1), Timestamp::UNIX_EPOCH).expect_err("read-only");
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    }

    #[test]
    fn what_was_not_committed_was_not() {
        let (folder, mut store) = store();
        store.apply(&wishes(2), Timestamp::UNIX_EPOCH).expect("applied");
        let failed = at(&store.path, "test");
        let transaction = store.connection.transaction().expect("begun");
        let mut made = Vec::new();
        let gone = KeyWish { generations: Vec::new(), ..wishes(1).remove(0) };
        fulfil(&transaction, &store.seal, &gone, Timestamp::UNIX_EPOCH, &mut made, &failed).expect("done");
        fulfil(&transaction, &store.seal, &wishes(3)[2], Timestamp::UNIX_EPOCH, &mut made, &failed).expect("done");
        drop(transaction);
        assert_eq!(count(&store), 2);
        drop(store);
        let store = Store::open(&folder.path().join("state"), KeyLocation::Beside).expect("opens");
        assert_eq!(count(&store), 2);
    }
}
