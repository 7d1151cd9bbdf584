//! What one has on a plan, in sentences, and what is different on another.

use portico_core::Core;
use portico_core::key::Name;
use portico_core::look;
use portico_crds::{ScopeMode, SubscriptionStage};

use super::plans;
use crate::words;

/// What is different between two lists of sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) gains: Vec<String>,
    pub(crate) loses: Vec<String>,
    pub(crate) stays: Vec<String>,
}

/// Compares what is with what would be.
pub(crate) fn compare(before: &[String], after: &[String]) -> Comparison {
    let apart = |list: &[String], from: &[String]| list.iter().filter(|one| !from.contains(one)).cloned().collect();
    Comparison {
        gains: apart(after, before),
        loses: apart(before, after),
        stays: after.iter().filter(|one| before.contains(one)).cloned().collect(),
    }
}

/// What a plan gives, with the scopes for which `has` holds besides those that come with it, at a stage.
pub(crate) fn given(
    core: &Core,
    name: &Name,
    stage: SubscriptionStage,
    has: impl Fn(&str) -> bool,
) -> Option<Vec<String>> {
    let plan = core.plan(name)?;
    let mut said = Vec::new();
    for covered in &plan.products {
        let Some(product) = core.product(&look::resolve_product(covered, name)) else { continue };
        said.push(match covered.operations.as_slice() {
            [] => format!("Calls to {}", product.title),
            some => format!("Calls to {}: {} only", product.title, words::listed(some)),
        });
    }
    if plan.limits.is_empty() {
        said.push("As many requests as you like".to_owned());
    }
    said.extend(plan.limits.iter().map(words::limit));
    for scope in plans::scopes(core, name, plan) {
        if scope.mode == ScopeMode::Active || has(&scope.name) {
            said.push(format!("Scope “{}”", scope.title));
        }
    }
    if plan.sandbox.as_ref().is_some_and(|sandbox| sandbox.required) {
        said.push(
            if stage == SubscriptionStage::Production { "In production" } else { "In the sandbox only" }.to_owned(),
        );
    }
    let (price, note) = words::price(plan);
    said.push(match note {
        Some(note) => format!("Price: {price} {note}"),
        None => format!("Price: {price}"),
    });
    if let Some(trial) = &plan.trial {
        said.push(format!("Free for the first {}", words::span(&trial.to_string())));
    }
    let keys = usize::try_from(plan.credentials.max).unwrap_or_default();
    said.push(format!("Up to {}", words::count(keys, "key")));
    if let Some(lifetime) = &plan.credentials.lifetime {
        said.push(format!("A key is good for {}", words::span(&lifetime.to_string())));
    }
    if let Some(duration) = &plan.duration {
        said.push(format!("Ends after {}", words::span(&duration.to_string())));
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn what_is_in_both_stays() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let found = compare(&list(&["a", "b"]), &list(&["b", "c"]));
        assert_eq!((found.gains, found.loses, found.stays), (list(&["c"]), list(&["a"]), list(&["b"])));
    }
}
