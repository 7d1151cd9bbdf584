//! Where a new object is written.
//!
//! A document is known by its kind and name, wherever it stands. What is made here goes beside what it belongs to, and no folder
//! gets an entry for every subscription there is: a flat folder of 100,000 files makes every commit slow.

use std::sync::Arc;

use portico_core::batch::{Object, Spec};
use portico_core::key::{Kind, ObjectKey};
use sha2::{Digest, Sha256};

use crate::text::is_name;

/// File systems take 255 bytes for a name; this leaves room for a number and an ending.
const MAX_STEM: usize = 200;

/// How often another name is tried where a file stands already.
const TRIES: usize = 100;

/// Paths for a new object, the best one first. `file` tells where an object stands.
pub(crate) fn paths(
    object: &Object,
    folder: &str,
    file: &dyn Fn(&ObjectKey) -> Option<Arc<str>>,
) -> impl Iterator<Item = String> + use<> {
    let (namespace, name) = (object.name.namespace(), object.name.name());
    let inside = folder.trim_matches('/');
    let prefix = if inside.is_empty() { String::new() } else { format!("{inside}/") };
    let beside = |key: ObjectKey| folder_of(key.kind, &file(&key)?).map(str::to_owned);
    let team = format!("{prefix}teams/{namespace}");
    let application = |name: &str| {
        let beside = beside(ObjectKey::new(Kind::Application, namespace, name));
        beside.unwrap_or_else(|| format!("{team}/{}", stem(name)))
    };
    let product = |name: &str| {
        let beside = beside(ObjectKey::new(Kind::ApiProduct, namespace, name));
        beside.unwrap_or_else(|| format!("{prefix}products/{}", stem(name)))
    };
    let (folder, file_stem) = match &object.spec {
        Spec::Portal(_) => (format!("{prefix}platform"), stem(name)),
        Spec::Environment(_) => (format!("{prefix}platform/environments"), stem(name)),
        Spec::ApiProduct(_) => (format!("{prefix}products/{}", stem(name)), "product".to_owned()),
        Spec::Plan(plan) => {
            let product = plan.products.first().map_or_else(|| product(name), |first| product(&first.name));
            (format!("{product}/plans"), stem(name))
        }
        Spec::Team(_) => (team, "team".to_owned()),
        Spec::Developer(_) => (format!("{team}/developers"), stem(name)),
        Spec::Application(_) => (format!("{team}/{}", stem(name)), "application".to_owned()),
        Spec::Subscription(said) => (format!("{}/subscriptions", application(&said.application.name)), stem(name)),
        Spec::Credential(said) => {
            let whole = said.application.as_ref().map(|named| application(&named.name));
            let one = said
                .subscription
                .as_ref()
                .and_then(|named| beside(ObjectKey::new(Kind::Subscription, namespace, &named.name)));
            (format!("{}/credentials", whole.or(one).unwrap_or(team)), stem(name))
        }
        Spec::Approval(said) => {
            let plan = said.grant.as_ref().map(|grant| &grant.plan).or(said.about.as_ref());
            let plan = plan.and_then(|plan| beside(ObjectKey::new(Kind::Plan, namespace, &plan.name)));
            let subscriber = said.subscription.namespace.as_deref().unwrap_or(namespace);
            let folder = plan.unwrap_or_else(|| format!("{prefix}products"));
            (format!("{folder}/approvals/{}", stem(subscriber)), stem(name))
        }
    };
    let numbered = (2..TRIES).map({
        let (folder, file_stem) = (folder.clone(), file_stem.clone());
        move |number| format!("{folder}/{file_stem}-{number}.yaml")
    });
    std::iter::once(format!("{folder}/{file_stem}.yaml")).chain(numbered)
}

/// The folder of what an object of this kind belongs to: of the application, of the product.
fn folder_of(kind: Kind, file: &str) -> Option<&str> {
    let (folder, _) = file.rsplit_once('/')?;
    let gathered = match kind {
        Kind::Subscription => "/subscriptions",
        Kind::Plan => "/plans",
        _ => return Some(folder),
    };
    Some(folder.strip_suffix(gathered).unwrap_or(folder))
}

/// A name as the name of a file: what is too long for that is cut, and stays different. A reference may say anything, and what
/// is no name does not become a path.
fn stem(name: &str) -> String {
    let is_name = is_name(name);
    if is_name && name.len() <= MAX_STEM {
        return name.to_owned();
    }
    let digest: String = Sha256::digest(name.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    if !is_name {
        return digest;
    }
    let kept = name.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_STEM - 13).last().unwrap_or(0);
    format!("{}-{digest}", name[..kept].trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_different_and_fit() {
        let (one, other) = (format!("{}a", "x".repeat(252)), format!("{}b", "x".repeat(252)));
        assert_ne!(stem(&one), stem(&other));
        assert!(stem(&one).len() <= MAX_STEM);
        assert_eq!(stem("short"), "short");
        for odd in ["../../etc", "a/b", ".git", "Ä", ""] {
            assert!(stem(odd).chars().all(|c| c.is_ascii_hexdigit()), "{odd}");
        }
    }

    #[test]
    fn things_stand_beside_what_they_belong_to() {
        assert_eq!(folder_of(Kind::Subscription, "a/web/subscriptions/s.yaml"), Some("a/web"));
        assert_eq!(folder_of(Kind::Subscription, "a/web/all.yaml"), Some("a/web"));
        assert_eq!(folder_of(Kind::Application, "all.yaml"), None);
    }
}
