//! What was counted against long limits, kept in `ConfigMaps`: it is no secret, and a cluster has no disk of ours.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use portico_core::key::Name;
use portico_core::quota::Record;
use serde_json::json;

use crate::write::WriteError;
use crate::{Error, MANAGER};

/// On how many `ConfigMaps` counters are spread: one holds a mebibyte, about 10,000 counters.
pub const SHARDS: u64 = 16;

/// The key in a `ConfigMap`.
const KEY: &str = "counts.json";

/// A counter as it is written: environment, limit, application, when its window begins and ends, and how many.
type Row = (String, String, Box<str>, Box<str>, Timestamp, Timestamp, u64);

/// Which of the `ConfigMaps` a counter is in. The same in every Portico of a version; another one finds it just as well,
/// since all are read.
pub fn shard(record: &Record) -> u64 {
    let key = (&record.environment, &record.limit, &record.application);
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key) % SHARDS
}

/// Where counters are kept.
#[derive(Clone)]
pub struct Place {
    api: Api<ConfigMap>,
    name: String,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Place {
    /// In `ConfigMaps` of a namespace that are called `<name>-0` and so on.
    pub fn new(client: &Client, namespace: &str, name: &str) -> Place {
        Place { api: Api::namespaced(client.clone(), namespace), name: name.to_owned() }
    }

    /// All counters that were kept. One that cannot be read is left out.
    ///
    /// # Errors
    /// Where the API server does not say.
    pub async fn read(&self) -> Result<Vec<Record>, Error> {
        let mut records = BTreeMap::new();
        for shard in 0..SHARDS {
            let found = self.api.get_opt(&self.name(shard)).await?;
            let text = found.and_then(|map| map.data?.remove(KEY));
            for record in text.iter().flat_map(|text| rows(text)) {
                // Two versions of Portico may have put it into two places; the newer window counts.
                let key = (record.environment.clone(), record.limit.clone(), record.application.clone());
                let known: &mut Record = records.entry(key).or_insert_with(|| record.clone());
                if (record.begins, record.used) > (known.begins, known.used) {
                    *known = record;
                }
            }
        }
        Ok(records.into_values().collect())
    }

    /// Keeps these and no others in a shard.
    ///
    /// # Errors
    /// Where they are not kept.
    pub async fn write(&self, shard: u64, records: &[Record]) -> Result<(), WriteError> {
        let name = self.name(shard);
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name, "labels": { "app.kubernetes.io/managed-by": MANAGER } },
            "data": { KEY: text(records) },
        });
        let parameters = PatchParams::apply(MANAGER).force();
        self.api.patch(&name, &parameters, &Patch::Apply(&body)).await.map_err(WriteError::Api)?;
        Ok(())
    }

    fn name(&self, shard: u64) -> String {
        format!("{}-{shard}", self.name)
    }
}

fn text(records: &[Record]) -> String {
    let rows: Vec<Row> = records
        .iter()
        .map(|record| {
            let Record { environment, limit, application, begins, ends, used } = record.clone();
            let (namespace, name) = (environment.namespace().to_owned(), environment.name().to_owned());
            (namespace, name, limit, application, begins, ends, used)
        })
        .collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

fn rows(text: &str) -> Vec<Record> {
    let rows: Vec<Row> = serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::warn!(%error, "what was counted against limits cannot be read; it is counted anew");
        Vec::new()
    });
    let record = |(namespace, name, limit, application, begins, ends, used)| {
        let environment = Name::new(String::as_str(&namespace), String::as_str(&name));
        Record { environment, limit, application, begins, ends, used }
    };
    rows.into_iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let record = |limit: &str, used| Record {
            environment: Name::new("ops", "prod"),
            limit: limit.into(),
            application: "team/app".into(),
            begins: at(0),
            ends: at(3600),
            used,
        };
        let records = [record("owner/gold/GET /a \"b\":hour", 3), record("application/all:month", u64::MAX)];
        assert_eq!(rows(&text(&records)), records);
        assert_eq!(rows("broken"), []);
        assert!(records.iter().all(|record| shard(record) < SHARDS));
    }
}
