//! Who can call what, and why or why not.

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{Phase, SubscriptionStage};
use serde::Serialize;

use crate::core::Core;
use crate::delta::{Output, OutputKey};
use crate::gateway::GrantedScope;
use crate::key::{Kind, Name, ObjectKey};
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

/// A step of an explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Whether this step lets access pass.
    pub passes: bool,
    /// What is so.
    pub text: String,
    /// The object that says so: where to look, and what to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
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

    /// Why an object is enforced, or why not, step by step; empty if it was never heard of.
    pub fn explain(&self, key: &ObjectKey) -> Vec<Step> {
        let mut steps = Vec::new();
        self.explain_into(key, &mut steps);
        steps
    }

    fn explain_into(&self, key: &ObjectKey, steps: &mut Vec<Step>) {
        let name = &key.name;
        let Some(status) = self.status(key) else { return };
        match key.kind {
            Kind::Credential => {
                let Some(entry) = self.world.credentials.get(name) else {
                    return self.explain_status(key, &status, steps);
                };
                if let Some(subscription) = &entry.spec.subscription {
                    self.explain_into(&World::resolve_local(subscription, name).of(Kind::Subscription), steps);
                } else if let Some(application) = &entry.spec.application {
                    let application = World::resolve_local(application, name);
                    for subscription in self.world.subscriptions_of_application.of(&application) {
                        self.explain_into(&subscription.clone().of(Kind::Subscription), steps);
                    }
                }
            }
            Kind::Subscription => {
                let Some(entry) = self.world.subscriptions.get(name) else {
                    return self.explain_status(key, &status, steps);
                };
                let application = World::resolve_local(&entry.spec.application, name).of(Kind::Application);
                let plan = World::resolve(&entry.spec.plan, name).of(Kind::Plan);
                steps.push(Step {
                    passes: self.views.applications.get(&application.name).is_some_and(|view| !view.refused),
                    text: format!("{key} is for {application}"),
                    object: Some(application),
                });
                let application = World::resolve_local(&entry.spec.application, name);
                let team = self.views.applications.get(&application).and_then(|view| view.team.as_ref());
                let open = self.views.plans.get(&plan.name).is_some_and(|view| view.terms.open_to(&application, team));
                let text = if open {
                    format!("it asks for {plan}, which namespace `{}` may subscribe to", name.namespace())
                } else {
                    format!("it asks for {plan}, which is not there for namespace `{}`", name.namespace())
                };
                if let Some(problem) = self.refused(&plan).filter(|_| open) {
                    let text = problem.message.clone();
                    steps.push(Step { passes: true, text, object: Some(plan.clone()) });
                }
                steps.push(Step { passes: open, text, object: open.then_some(plan) });
                if let Some(view) = self.views.subscriptions.get(name) {
                    if let Some(grant) = &view.grant {
                        let by = match &grant.approval {
                            Some(approval) => format!("Approval {approval} grants Plan {}", grant.plan.name),
                            None => format!("Plan {} is granted automatically", grant.plan.name),
                        };
                        let object = grant.approval.clone().map(|approval| approval.of(Kind::Approval));
                        steps.push(Step { passes: true, text: by, object });
                    }
                    let mut text = format!("it is {:?}, at stage {:?}", view.phase, view.stage);
                    if let Some(waiting) = &view.waiting {
                        text = format!("{text}: {waiting}");
                    }
                    steps.push(Step { passes: view.in_force().is_some(), text, object: Some(key.clone()) });
                }
            }
            _ => {}
        }
        self.explain_status(key, &status, steps);
    }

    fn explain_status(&self, key: &ObjectKey, status: &crate::status::Status, steps: &mut Vec<Step>) {
        for problem in self.diagnostics_of(key) {
            let passes = problem.severity == crate::diagnostic::Severity::Warning;
            steps.push(Step { passes, text: problem.to_string(), object: Some(key.clone()) });
        }
        if let Some(programmed) = status.condition("Programmed") {
            let text = format!("{key}: {}", programmed.message);
            steps.push(Step { passes: programmed.status, text, object: Some(key.clone()) });
        }
    }
}
