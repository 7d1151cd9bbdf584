//! What else must survive a restart: since when objects are there, which plans subscriptions are on and which of them were
//! cancelled, and single values.

use jiff::Timestamp;
use portico_core::batch::Fact;
use portico_core::key::{Kind, Name, ObjectKey};
use rusqlite::OptionalExtension;

use crate::database::{StoreError, at};
use crate::open::Store;

/// What the keys of cancelled subscriptions begin with among single values.
const ENDED: &str = "ended/";

impl Store {
    /// Remembers in one transaction that the objects in `here` are there since `now` (those already known keep their
    /// moment), a subscription with the plan that it is on, and forgets those in `gone`, also that they were cancelled. An object
    /// in both is new.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn record_seen(
        &mut self,
        here: &[(ObjectKey, Option<Name>)],
        gone: &[ObjectKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let failed = at(&self.path, "record since when objects are there");
        let transaction = self.connection.transaction().map_err(&failed)?;
        {
            let mut forget = transaction
                .prepare_cached("DELETE FROM first_seen WHERE kind = ?1 AND namespace = ?2 AND name = ?3")
                .map_err(&failed)?;
            let mut revive = transaction.prepare_cached("DELETE FROM meta WHERE key = ?1").map_err(&failed)?;
            for ObjectKey { kind, name } in gone {
                forget.execute((kind.as_str(), name.namespace(), name.name())).map_err(&failed)?;
                if *kind == Kind::Subscription {
                    revive.execute([format!("{ENDED}{name}")]).map_err(&failed)?;
                }
            }
            let mut keep = transaction
                .prepare_cached("INSERT OR IGNORE INTO first_seen VALUES (?1, ?2, ?3, ?4, ?5)")
                .map_err(&failed)?;
            for (ObjectKey { kind, name }, plan) in here {
                let plan = plan.as_ref().map(Name::to_string);
                let row = (kind.as_str(), name.namespace(), name.name(), now.as_microsecond(), plan);
                keep.execute(row).map_err(&failed)?;
            }
        }
        transaction.commit().map_err(&failed)
    }

    /// Remembers in one transaction the plans that subscriptions are on. They were seen before.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn record_on(&mut self, on: &[(Name, Name)]) -> Result<(), StoreError> {
        let failed = at(&self.path, "record which plans subscriptions are on");
        let transaction = self.connection.transaction().map_err(&failed)?;
        {
            let mut keep = transaction
                .prepare_cached("UPDATE first_seen SET plan = ?4 WHERE kind = ?1 AND namespace = ?2 AND name = ?3")
                .map_err(&failed)?;
            for (name, plan) in on {
                let row = (Kind::Subscription.as_str(), name.namespace(), name.name(), plan.to_string());
                keep.execute(row).map_err(&failed)?;
            }
        }
        transaction.commit().map_err(&failed)
    }

    /// Tells `each` object that is remembered, since when it is there, and the plan that a subscription is on, in order of kind
    /// and name.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn first_seen(&self, mut each: impl FnMut(ObjectKey, Timestamp, Option<Name>)) -> Result<(), StoreError> {
        let failed = at(&self.path, "read since when objects are there");
        let mut statement = self
            .connection
            .prepare_cached("SELECT kind, namespace, name, at, plan FROM first_seen ORDER BY kind, namespace, name")
            .map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let text = |index| row.get_ref(index)?.as_str().map_err(rusqlite::Error::from);
            // A kind of a newer Portico is not ours to know.
            let Ok(kind) = text(0).map_err(&failed)?.parse::<Kind>() else { continue };
            let (namespace, name) = (text(1).map_err(&failed)?, text(2).map_err(&failed)?);
            let at = row.get(3).map_err(&failed)?;
            let plan = row.get_ref(4).and_then(|plan| plan.as_str_or_null().map_err(rusqlite::Error::from));
            let plan = plan.map_err(&failed)?.and_then(|plan| plan.split_once('/'));
            let plan = plan.map(|(namespace, name)| Name::new(namespace, name));
            each(ObjectKey::new(kind, namespace, name), moment(at), plan);
        }
        Ok(())
    }

    /// Remembers in one transaction that subscriptions were cancelled, and when.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn record_ended(&mut self, ended: &[(Name, Timestamp)]) -> Result<(), StoreError> {
        let failed = at(&self.path, "record what was cancelled");
        let transaction = self.connection.transaction().map_err(&failed)?;
        {
            let mut keep =
                transaction.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)").map_err(&failed)?;
            for (name, at) in ended {
                keep.execute([format!("{ENDED}{name}"), at.to_string()]).map_err(&failed)?;
            }
        }
        transaction.commit().map_err(&failed)
    }

    /// Every subscription that was cancelled and is still there, as the core wants to be told once more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn ended(&self) -> Result<Vec<Fact>, StoreError> {
        let failed = at(&self.path, "read what was cancelled");
        let select = "SELECT key, value FROM meta WHERE key GLOB ?1 ORDER BY key";
        let mut statement = self.connection.prepare_cached(select).map_err(&failed)?;
        let mut rows = statement.query([format!("{ENDED}*")]).map_err(&failed)?;
        let mut facts = Vec::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            let text = |index| row.get::<_, String>(index).map_err(&failed);
            let (key, value) = (text(0)?, text(1)?);
            let name = key.strip_prefix(ENDED).and_then(|name| name.split_once('/'));
            if let (Some((namespace, name)), Ok(at)) = (name, value.parse()) {
                facts.push(Fact::Ended { subscription: Name::new(namespace, name), at });
            }
        }
        Ok(facts)
    }

    /// The value that was set for `key`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.connection
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
            .map_err(at(&self.path, "read a remembered value"))
    }

    /// Sets the value for `key`; `None` takes it away.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn set_meta(&mut self, key: &str, value: Option<&str>) -> Result<(), StoreError> {
        let done = match value {
            Some(value) => self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", [key, value]),
            None => self.connection.execute("DELETE FROM meta WHERE key = ?1", [key]),
        };
        done.map(drop).map_err(at(&self.path, "remember a value"))
    }
}

/// A stored moment. One that no clock can show becomes the epoch.
pub(crate) fn moment(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
