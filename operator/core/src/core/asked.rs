//! What owners are asked, by the plan that their answer is about.

use std::collections::BTreeMap;

use crate::key::Name;
use crate::table::Referrers;

/// Subscriptions, each with the plan that an answer to it is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    plans: BTreeMap<Name, Name>,
    of_plan: Referrers<Name>,
}

impl Asked {
    /// Notes the plan that a subscription is here for, or that it is not.
    pub(super) fn note(&mut self, subscription: &Name, plan: Option<Name>) {
        let before = match &plan {
            Some(plan) => self.plans.insert(subscription.clone(), plan.clone()),
            None => self.plans.remove(subscription),
        };
        if before == plan {
            return;
        }
        if let Some(before) = before {
            self.of_plan.remove(&before, subscription);
        }
        if let Some(plan) = plan {
            self.of_plan.insert(plan, subscription.clone());
        }
    }

    /// All of them, in order of their names.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Name> {
        self.plans.keys()
    }

    /// Whether a subscription is among them.
    pub(crate) fn has(&self, subscription: &Name) -> bool {
        self.plans.contains_key(subscription)
    }

    /// Those of one plan, in order of their names.
    pub(crate) fn of(&self, plan: &Name) -> impl Iterator<Item = &Name> {
        self.of_plan.of(plan)
    }
}
