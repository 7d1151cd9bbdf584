//! What was counted against long limits. It is no secret, but has to survive a restart too.

use jiff::Timestamp;
use portico_core::key::Name;
use portico_core::quota::Record;

use crate::database::{StoreError, at};
use crate::memory::moment;
use crate::open::Store;

impl Store {
    /// Keeps counters as they are now, and forgets those whose window is over, in one transaction.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn record_counts(&mut self, records: &[Record], now: Timestamp) -> Result<(), StoreError> {
        let failed = at(&self.path, "record what was counted");
        let transaction = self.connection.transaction().map_err(&failed)?;
        {
            let mut keep = transaction
                .prepare_cached("INSERT OR REPLACE INTO counts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
                .map_err(&failed)?;
            for Record { environment, limit, application, begins, ends, used } in records {
                let used = i64::try_from(*used).unwrap_or(i64::MAX);
                let (begins, ends) = (begins.as_microsecond(), ends.as_microsecond());
                let (namespace, name) = (environment.namespace(), environment.name());
                keep.execute((namespace, name, &**limit, &**application, begins, ends, used)).map_err(&failed)?;
            }
            let mut forget = transaction.prepare_cached("DELETE FROM counts WHERE ends <= ?1").map_err(&failed)?;
            forget.execute([now.as_microsecond()]).map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)
    }

    /// The counters that were kept.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn counts(&self) -> Result<Vec<Record>, StoreError> {
        let failed = at(&self.path, "read what was counted");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT namespace, name, limit_name, application, begins, ends, used FROM counts
                 ORDER BY namespace, name, limit_name, application",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map([], |row| {
                let text = |index| row.get::<_, String>(index);
                Ok(Record {
                    environment: Name::new(text(0)?, text(1)?),
                    limit: text(2)?.into(),
                    application: text(3)?.into(),
                    begins: moment(row.get(4)?),
                    ends: moment(row.get(5)?),
                    used: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
                })
            })
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }
}
