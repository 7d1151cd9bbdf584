//! From objects of the API server to desired state.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use portico_core::batch::{Author, Object, Spec};
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_core::validate::{Violation, validate};
use portico_crds::{Decided, Phase};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::status::Observed;
use crate::uid::Uid;

/// The label of a `ConfigMap` with documents of a product; its value is the product's name.
pub const PRODUCT_LABEL: &str = "portico.dev/product";

/// The annotation that says who made something that requests access. Admission policies write it.
pub const REQUESTED_BY: &str = "portico.dev/requested-by";

/// The annotation of an Approval that says who decided: whoever wrote the decision at the API server, unless it is an account
/// that writes what others decided in Git. Admission policies write it, and nobody else can.
pub const DECIDED_BY: &str = "portico.dev/decided-by";

/// The groups of that user, a line each.
pub const DECIDED_BY_GROUPS: &str = "portico.dev/decided-by-groups";

/// The finalizer of a product or a plan: its deletion waits for what its `deletionPolicy` says.
pub const FINALIZER: &str = "portico.dev/deletion-policy";

/// An object as it stands in the cluster.
#[derive(Debug)]
pub struct Met {
    /// Which one.
    pub key: ObjectKey,
    /// `metadata.uid`, without which nothing can belong to it.
    pub uid: Uid,
    /// `metadata.generation`: another one whenever it says something else.
    pub generation: Option<i64>,
    /// Whether it has [`FINALIZER`].
    pub is_guarded: bool,
    /// Since when it is deleted and waits for Portico.
    pub deleted: Option<Timestamp>,
    /// What it says; where that cannot be read, why.
    pub said: Result<Object, Vec<Diagnostic>>,
    /// The status that it has.
    pub observed: Observed,
    /// Of a credential: the generation of its newest key and the digest of that key, as its status has them.
    pub fingerprint: Option<(i64, Box<str>)>,
    /// Of an Approval: who wrote in Git what it says now, as its status has it.
    pub decided: Option<Decided>,
    /// Of an Approval: whether it had no effect, by what Git says or because that was not known, as its status has it.
    pub is_void: bool,
    /// Of a Subscription: the plan that it has a place on, as its status has it.
    pub granted: Option<Name>,
}

/// The documents in a `ConfigMap`.
#[derive(Debug)]
pub struct Documents {
    /// The `ConfigMap`.
    pub name: Name,
    /// The product that its label names.
    pub product: Option<Box<str>>,
    /// Texts by key.
    pub texts: Vec<(String, String)>,
}

/// Reads an object of a kind. One that is being deleted and does not wait for Portico is gone as far as access is concerned,
/// and gives `None`.
pub fn object(kind: Kind, found: DynamicObject) -> Option<Met> {
    let name = name_of(&found)?;
    let key = name.clone().of(kind);
    let is_guarded = found.finalizers().iter().any(|one| one == FINALIZER);
    let is_deleted = found.metadata.deletion_timestamp.is_some();
    if is_deleted && !(is_guarded && matches!(kind, Kind::ApiProduct | Kind::Plan)) {
        return None;
    }
    let author = author(kind, &found);
    let uid = uid_of(&found).unwrap_or_default();
    let moment = |time: Option<&Time>| Timestamp::from_nanosecond(time?.0.as_nanosecond()).ok();
    let created = moment(found.metadata.creation_timestamp.as_ref());
    let deleted = moment(found.metadata.deletion_timestamp.as_ref());
    let generation = found.metadata.generation;
    let mut data = found.data;
    let observed = Observed::new(data.get("status"));
    let status = data.get("status");
    let fingerprint = status.and_then(|status| {
        let generation = status["generation"].as_i64()?;
        Some((generation, status["fingerprint"].as_str()?.into()))
    });
    let decided = status.filter(|_| kind == Kind::Approval).and_then(|status| {
        let is_current = status["observedGeneration"].as_i64() == generation;
        let decided = serde_json::from_value(status["decided"].clone()).ok();
        decided.filter(|decided: &Decided| is_current && decided.commit.is_some())
    });
    let is_void = status.is_some_and(|status| {
        let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
        let by_git = decided.is_some() || ready.is_some_and(|ready| ready["reason"] == "Pending");
        let is_current = kind == Kind::Approval && status["observedGeneration"].as_i64() == generation;
        is_current && by_git && ready.is_some_and(|ready| ready["status"] == "False")
    });
    let granted = status.filter(|_| kind == Kind::Subscription).and_then(|status| {
        let phase: Phase = serde_json::from_value(status["phase"].clone()).ok()?;
        let plan = &status["granted"]["plan"];
        let plan = Name::new(plan["namespace"].as_str()?, plan["name"].as_str()?);
        (!matches!(phase, Phase::Pending | Phase::Rejected | Phase::Expired)).then_some(plan)
    });
    let spec = data.get_mut("spec").map(Value::take).unwrap_or_default();
    let said = spec_of(kind, spec).map_err(|message| vec![unreadable(&key, &message)]).and_then(|spec| {
        let faults = validate(&spec);
        if faults.is_empty() {
            Ok(Object { name, generation, created, author, spec })
        } else {
            Err(about(&key, faults))
        }
    });
    Some(Met { key, uid, generation, is_guarded, deleted, said, observed, fingerprint, decided, is_void, granted })
}

/// Who wrote it, as the API server saw.
fn author(kind: Kind, found: &DynamicObject) -> Option<Arc<Author>> {
    let note = |name: &str| found.annotations().get(name).filter(|text| !text.is_empty());
    let name = match kind {
        Kind::Approval => note(DECIDED_BY)?,
        Kind::Subscription => note(REQUESTED_BY)?,
        _ => return None,
    };
    let groups = note(DECIDED_BY_GROUPS).filter(|_| kind == Kind::Approval);
    let groups = groups.iter().flat_map(|groups| groups.lines()).map(Arc::from).collect();
    Some(Arc::new(Author::User { name: name.as_str().into(), groups }))
}

/// Reads documents.
pub fn documents(found: ConfigMap) -> Option<Documents> {
    let name = name_of(&found)?;
    let product = found.labels().get(PRODUCT_LABEL).map(|product| product.as_str().into());
    Some(Documents { name, product, texts: found.data.unwrap_or_default().into_iter().collect() })
}

/// The namespace and name.
pub fn name_of<K: kube::Resource>(found: &K) -> Option<Name> {
    let meta = found.meta();
    Some(Name::new(meta.namespace.as_deref()?, meta.name.as_deref()?))
}

/// Its `metadata.uid`.
pub fn uid_of<K: kube::Resource>(found: &K) -> Option<Uid> {
    found.meta().uid.as_deref().and_then(Uid::read)
}

fn spec_of(kind: Kind, spec: Value) -> Result<Spec, String> {
    fn read<S: DeserializeOwned>(spec: Value) -> Result<Box<S>, String> {
        serde_json::from_value(spec).map(Box::new).map_err(|error| error.to_string())
    }
    Ok(match kind {
        Kind::Portal => Spec::Portal(read(spec)?),
        Kind::Environment => Spec::Environment(read(spec)?),
        Kind::ApiProduct => Spec::ApiProduct(read(spec)?),
        Kind::Plan => Spec::Plan(read(spec)?),
        Kind::Team => Spec::Team(read(spec)?),
        Kind::Developer => Spec::Developer(read(spec)?),
        Kind::Application => Spec::Application(read(spec)?),
        Kind::Subscription => Spec::Subscription(read(spec)?),
        Kind::Approval => Spec::Approval(read(spec)?),
        Kind::Credential => Spec::Credential(read(spec)?),
    })
}

fn unreadable(key: &ObjectKey, why: &str) -> Diagnostic {
    Diagnostic::error("unreadable", key, "spec", format!("this version of Portico cannot read it: {why}"))
        .help("what it said before holds; apply the definitions of this version and correct the object")
}

fn about(key: &ObjectKey, faults: Vec<Violation>) -> Vec<Diagnostic> {
    let made = faults.into_iter().map(|Violation { path, code, message, help }| {
        let diagnostic = Diagnostic::error(code, key, path, message);
        match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    });
    made.collect()
}
