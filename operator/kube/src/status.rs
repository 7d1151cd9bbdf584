//! What should stand in `status`, and whether it stands there already.

use std::hash::{BuildHasher as _, Hash as _, Hasher};

use foldhash::fast::FixedState;
use jiff::Timestamp;
use portico_core::batch::{Author, Signature};
use portico_core::key::Name;
use portico_core::status::{Condition, Detail, Status};
use portico_crds::{Decided, Limit};
use serde_json::{Map, Value, json};

/// The types of conditions, so that a few bytes are enough to remember one.
const TYPES: [&str; 7] = ["Accepted", "Approved", "Programmed", "Ready", "Reconciling", "ResolvedRefs", "Stalled"];

/// As many limits as the API server takes in a status, and as long an operation. A status that it refused would say nothing.
const LIMITS: usize = 64;
const OPERATION: usize = 512;

/// A status as it stands in the cluster: enough to know whether another one says anything new, and since when what it
/// says is so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    digest: u64,
    since: Box<[Since]>,
}

/// A condition's place in [`TYPES`], whether it holds, a digest of why, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Since {
    place: u8,
    holds: bool,
    /// After 1970; there are enough until 2106.
    second: u32,
    reason: u32,
}

impl Observed {
    /// Of the `status` of an object.
    pub fn new(status: Option<&Value>) -> Observed {
        let Some(status) = status else { return Observed::default() };
        let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let since = conditions.iter().filter_map(|condition| {
            let place = TYPES.iter().position(|known| condition["type"] == *known)?;
            let since: Timestamp = condition["lastTransitionTime"].as_str()?.parse().ok()?;
            let holds = condition["status"] == "True";
            let reason = reason(condition["reason"].as_str().unwrap_or_default());
            let second = since.as_second().try_into().ok()?;
            Some(Since { place: u8::try_from(place).ok()?, holds, second, reason })
        });
        Observed { digest: digest(status), since: since.collect() }
    }

    /// Whether the object has this status already.
    pub fn is(&self, wanted: &Value) -> bool {
        self.digest == digest(wanted)
    }

    /// Whether it said that a condition holds; `None` if it said nothing of that.
    pub fn holds(&self, condition: &str) -> Option<bool> {
        self.since.iter().find(|known| TYPES[usize::from(known.place)] == condition).map(|known| known.holds)
    }

    /// Whether it gave this reason for a condition.
    pub fn says(&self, condition: &str, why: &str) -> bool {
        let known = self.since.iter().find(|known| TYPES[usize::from(known.place)] == condition);
        known.is_some_and(|known| known.reason == reason(why))
    }

    fn since(&self, condition: &Condition) -> Option<Timestamp> {
        let place = TYPES.iter().position(|known| condition.r#type == *known)?;
        let known = self.since.iter().find(|known| usize::from(known.place) == place)?;
        (known.holds == condition.status).then(|| Timestamp::from_second(known.second.into()).ok()).flatten()
    }
}

/// The status that an object should have. Conditions that hold on keep the time since when they do.
pub fn wanted(status: &Status, observed: &Observed, now: Timestamp) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        let is_nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !is_nothing {
            fields.insert(name.to_owned(), value);
        }
    };
    let Status { observed_generation, conditions, detail } = status;
    let conditions = conditions.iter().map(|condition| {
        let Condition { r#type, status, reason, message } = condition;
        let since = observed.since(condition).unwrap_or(now);
        let mut made = json!({
            "type": r#type,
            "status": if *status { "True" } else { "False" },
            "reason": reason,
            "message": shortened(message),
            "lastTransitionTime": time(since),
        });
        if let Some(generation) = observed_generation {
            made["observedGeneration"] = json!(generation);
        }
        made
    });
    set("conditions", conditions.collect());
    set("observedGeneration", json!(observed_generation));
    match detail {
        None => {}
        Some(Detail::Subscription { phase, stage, plan, scopes, approval: _, ends_at }) => {
            set("phase", json!(phase));
            set("endsAt", json!(ends_at.map(time)));
            set("stage", json!(stage));
            if let Some(plan) = plan {
                let mut names: Vec<&str> = scopes.iter().map(|scope| &*scope.scope).collect();
                names.dedup();
                let mut granted = json!({ "plan": { "namespace": plan.namespace(), "name": plan.name() } });
                if !names.is_empty() {
                    granted["scopes"] = json!(names);
                }
                set("granted", granted);
            }
        }
        Some(Detail::Credential { generations, fingerprint, previous_valid_until, expires_at }) => {
            set("generation", json!(generations.last()));
            set("fingerprint", json!(fingerprint));
            set("previousValidUntil", json!(previous_valid_until.map(time)));
            set("expiresAt", json!(expires_at.map(time)));
        }
        Some(Detail::Plan { subscriptions, terms, affected, limits }) => {
            set("subscriptions", json!(subscriptions));
            set("terms", json!(terms));
            set("affected", references(affected));
            let fits = |limit: &&Limit| limit.operations.iter().all(|operation| operation.chars().count() <= OPERATION);
            set("limits", json!(limits.iter().filter(fits).take(LIMITS).collect::<Vec<_>>()));
        }
        Some(Detail::ApiProduct { plans, subscriptions, affected }) => {
            set("plans", json!(plans));
            set("subscriptions", json!(subscriptions));
            set("affected", references(affected));
        }
        Some(Detail::Environment { clients, endpoints }) => {
            set("clients", json!(clients));
            set("endpoints", json!(endpoints));
        }
        Some(Detail::Application { subscriptions, credentials }) => {
            set("subscriptions", json!(subscriptions));
            set("credentials", json!(credentials));
        }
        Some(Detail::Team { members, applications }) => {
            set("members", json!(members));
            set("applications", json!(applications));
        }
        Some(Detail::Approval { decided }) => set("decided", json!(decided.as_deref().and_then(decided_as))),
    }
    Value::Object(fields)
}

/// Objects by their names.
fn references(names: &[Name]) -> Value {
    names.iter().map(|name| json!({ "namespace": name.namespace(), "name": name.name() })).collect()
}

/// Who wrote an answer, as a status says it.
fn decided_as(author: &Author) -> Option<Decided> {
    match author {
        Author::Commit { mail, commit, signature, portal: _ } => {
            let signed_with = match signature {
                Signature::Good(key) => Some(key.to_string()),
                Signature::None | Signature::Bad(_) => None,
            };
            Some(Decided { by: mail.to_string(), commit: Some(commit.to_string()), signed_with })
        }
        Author::User { name, groups: _ } => Some(Decided { by: name.to_string(), commit: None, signed_with: None }),
        Author::Unknown(_) => None,
    }
}

/// A digest of a reason.
fn reason(text: &str) -> u32 {
    // Half of it is enough.
    (FixedState::default().hash_one(text) >> 32) as u32
}

/// To the second, as Kubernetes writes times.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The API server takes so many characters and no more.
fn shortened(message: &str) -> String {
    message.chars().take(32_768).collect()
}

/// Of all that a status says but for when it began to.
fn digest(status: &Value) -> u64 {
    fn add(value: &Value, hasher: &mut impl Hasher) {
        match value {
            Value::Null => 0u8.hash(hasher),
            Value::Bool(is) => (1u8, is).hash(hasher),
            Value::Number(number) => (2u8, number.to_string()).hash(hasher),
            Value::String(text) => (3u8, text).hash(hasher),
            Value::Array(items) => {
                (4u8, items.len()).hash(hasher);
                for item in items {
                    add(item, hasher);
                }
            }
            Value::Object(fields) => {
                let mut names: Vec<&String> = fields.keys().filter(|name| *name != "lastTransitionTime").collect();
                names.sort();
                (5u8, names.len()).hash(hasher);
                for name in names {
                    name.hash(hasher);
                    add(&fields[name], hasher);
                }
            }
        }
    }
    let mut hasher = FixedState::default().build_hasher();
    add(status, &mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn ready(holds: bool, message: &str) -> Status {
        let condition = Condition { r#type: "Ready", status: holds, reason: "Because", message: message.to_owned() };
        Status {
            observed_generation: Some(3),
            conditions: vec![condition],
            detail: Some(Detail::Plan { subscriptions: 2, terms: None, affected: Vec::new(), limits: Vec::new() }),
        }
    }

    #[test]
    fn a_condition_keeps_its_time_until_it_turns() {
        let first = wanted(&ready(true, "well"), &Observed::default(), at("2026-01-01T00:00:00.5Z"));
        assert_eq!(first["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        let observed = Observed::new(Some(&first));
        let later = at("2026-02-01T00:00:00Z");
        let second = wanted(&ready(true, "still well"), &observed, later);
        assert_eq!(second["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        let third = wanted(&ready(false, "not well"), &observed, later);
        assert_eq!(third["conditions"][0]["lastTransitionTime"], "2026-02-01T00:00:00Z");
    }

    #[test]
    fn why_it_is_so_is_known() {
        let observed = Observed::new(Some(&wanted(&ready(true, "well"), &Observed::default(), Timestamp::UNIX_EPOCH)));
        assert!(observed.says("Ready", "Because"));
        assert!(!observed.says("Ready", "ExpiresSoon") && !observed.says("Approved", "Because"));
    }

    #[test]
    fn what_stands_there_already_is_known_whatever_its_order_and_times() {
        let made = wanted(&ready(true, "well"), &Observed::default(), at("2026-01-01T00:00:00Z"));
        let found: Value = serde_json::from_str(
            r#"{"subscriptions":2,"observedGeneration":3,"conditions":[{"lastTransitionTime":"2025-01-01T00:00:00Z",
            "message":"well","observedGeneration":3,"reason":"Because","status":"True","type":"Ready"}]}"#,
        )
        .expect("JSON");
        assert!(Observed::new(Some(&found)).is(&made));
        assert!(!Observed::new(Some(&found)).is(&wanted(
            &ready(true, "better"),
            &Observed::default(),
            Timestamp::UNIX_EPOCH
        )));
        assert!(!Observed::new(None).is(&made));
    }
}
