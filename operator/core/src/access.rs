//! Who can call what.

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{Phase, SubscriptionStage};
use serde::Serialize;

use crate::core::Core;
use crate::delta::{Output, OutputKey};
use crate::gateway::GrantedScope;
use crate::key::Name;
use crate::world::World;

/// Access of one application to one product in one environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Who calls.
    pub application: Name,
    /// What is called.
    pub product: Name,
    /// On which terms.
    pub plan: Name,
    /// Where.
    pub environment: Name,
    /// With which credential.
    pub credential: Name,
    /// Why: the subscription that is granted.
    pub subscription: Name,
    /// Who let them, on a manual plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Name>,
    /// The scopes of this product.
    pub scopes: Vec<Arc<str>>,
}

/// A granted subscription, whether or not a credential makes use of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Whose it is.
    pub application: Name,
    /// The plan that is granted.
    pub plan: Name,
    /// Where it is in its life.
    pub phase: Phase,
    /// How far it may go.
    pub stage: SubscriptionStage,
    /// The scopes.
    pub scopes: Arc<[GrantedScope]>,
}

impl Core {
    /// The moment of the last batch.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Every output as it is wanted now, in no particular order.
    pub fn outputs(&self) -> impl Iterator<Item = (&OutputKey, &Output, u64)> {
        self.outputs.iter().map(|(key, (output, serial))| (key, output, *serial))
    }

    /// What a subscription is granted and may use now.
    pub fn granted(&self, subscription: &Name) -> Option<Granted> {
        let view = self.views.subscriptions.get(subscription)?;
        let grant = view.in_force()?;
        let spec = &self.world.subscriptions.get(subscription)?.spec;
        Some(Granted {
            application: World::resolve_local(&spec.application, subscription),
            plan: grant.plan.name.clone(),
            phase: view.phase,
            stage: view.stage,
            scopes: grant.scopes.clone(),
        })
    }

    /// Who can call what, ordered.
    pub fn access(&self) -> Vec<Access> {
        let clients = self.outputs.iter().filter_map(|(key, (output, _))| match (key, output) {
            (OutputKey::Client { environment, credential }, Output::Client(client)) => {
                Some((environment, credential, client))
            }
            _ => None,
        });
        let mut rows = Vec::new();
        for (environment, credential, client) in clients {
            let Some(entry) = self.world.credentials.get(credential) else { continue };
            let subscriptions: Vec<Name> = match &entry.spec.subscription {
                Some(subscription) => vec![World::resolve_local(subscription, credential)],
                None => self.world.subscriptions_of_application.of(&client.application).cloned().collect(),
            };
            for subscription in subscriptions {
                let Some(view) = self.views.subscriptions.get(&subscription) else { continue };
                let Some(grant) = view.in_force().filter(|grant| client.plans.contains(&grant.plan.name)) else {
                    continue;
                };
                for product in &grant.plan.products {
                    if !self.serves(environment, &product.name) {
                        continue;
                    }
                    let scopes = grant.scopes.iter().filter(|scope| scope.product == product.name);
                    rows.push(Access {
                        application: client.application.clone(),
                        product: product.name.clone(),
                        plan: grant.plan.name.clone(),
                        environment: environment.clone(),
                        credential: credential.clone(),
                        subscription: subscription.clone(),
                        approval: grant.approval.clone(),
                        scopes: scopes.map(|scope| scope.scope.clone()).collect(),
                    });
                }
            }
        }
        rows.sort();
        rows
    }

    /// Whether an environment serves any endpoint of a product.
    fn serves(&self, environment: &Name, product: &Name) -> bool {
        (0..self.endpoints.get(product).copied().unwrap_or(0)).any(|index| {
            let (environment, product) = (environment.clone(), product.clone());
            self.outputs.contains_key(&OutputKey::Api { environment, product, index })
        })
    }
}
