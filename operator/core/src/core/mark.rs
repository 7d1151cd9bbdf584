//! What depends on what: marks what has to be computed when something else is different.

use super::{Core, Pass, Stage, concerned};
use crate::delta::OutputKey;
use crate::key::{Kind, Name, ObjectKey};
use crate::resolve;
use crate::world::World;

impl Core {
    /// Marks what an object's own text decides.
    pub(super) fn touch(&self, key: &ObjectKey, pass: &mut Pass) {
        let ObjectKey { kind, name } = key;
        pass.statuses.insert(key.clone());
        self.mark_deleted(key, pass);
        match kind {
            Kind::Environment => pass.mark(Stage::Environment, name),
            Kind::ApiProduct => self.mark_product(name, pass),
            Kind::Plan => {
                pass.mark(Stage::Plan, name);
                pass.mark_all(Stage::Approval, self.world.approvals_of_plan.of(name));
                // A refusal names no plan: it is about the one that is asked for.
                for subscription in self.world.subscriptions_to_plan.of(name) {
                    pass.mark_all(Stage::Approval, self.world.approvals_of_subscription.of(subscription));
                }
            }
            Kind::Application => pass.mark(Stage::Application, name),
            Kind::Subscription => pass.mark(Stage::Candidate, name),
            Kind::Credential => pass.mark(Stage::Credential, name),
            Kind::Approval => pass.mark(Stage::Approval, name),
            Kind::Portal | Kind::Team | Kind::Developer => {}
        }
    }

    /// Marks what the deletion of a product or a plan leads to, and the answers to those who came too late, where it was deleted.
    pub(super) fn mark_deleted(&self, key: &ObjectKey, pass: &mut Pass) {
        let (world, views) = (&self.world, &self.views);
        let one = [key.name.clone()];
        let plans: Vec<Name> = match key.kind {
            Kind::Plan => {
                let is_deleted = world.deleted_plans.contains_key(&key.name);
                if is_deleted || views.deleted_plans.contains_key(&key.name) {
                    pass.mark(Stage::DeletedPlan, &key.name);
                    one.into()
                } else {
                    return;
                }
            }
            Kind::ApiProduct => {
                let is_deleted = world.deleted_products.contains_key(&key.name);
                if is_deleted || views.deleted_products.contains_key(&key.name) {
                    pass.mark(Stage::DeletedProduct, &key.name);
                    pass.mark_all(Stage::Plan, world.plans_of.of(&key.name));
                    pass.mark_all(Stage::DeletedPlan, world.plans_of.of(&key.name));
                    world.plans_of.of(&key.name).cloned().collect()
                } else {
                    return;
                }
            }
            _ => return,
        };
        for plan in plans {
            // Whoever came too late holds nothing.
            self.mark_held(&plan, pass);
            pass.mark_all(Stage::Candidate, world.subscriptions_to_plan.of(&plan));
            pass.mark_all(Stage::Candidate, world.answered(&plan));
        }
    }

    /// Who holds a plan and its products may be different: marks what their deletion leads to, or would lead to.
    pub(super) fn mark_held(&self, plan: &Name, pass: &mut Pass) {
        self.mark_fate(plan, pass);
        self.tell_of(plan, pass);
    }

    /// Marks what the deletion of a plan and its products leads to.
    pub(super) fn mark_fate(&self, plan: &Name, pass: &mut Pass) {
        let world = &self.world;
        if world.deletes_nothing() {
            return;
        }
        if world.deleted_plans.contains_key(plan) {
            pass.mark(Stage::DeletedPlan, plan);
        }
        for product in world.covered(plan).filter(|product| world.deleted_products.contains_key(product)) {
            pass.mark(Stage::DeletedProduct, &product);
        }
    }

    /// The statuses of a plan and its products tell of their subscribers, and front ends whether a deletion would have to wait
    /// for them.
    pub(super) fn tell_of(&self, plan: &Name, pass: &mut Pass) {
        if pass.told.contains(plan) {
            return;
        }
        pass.told.insert(plan.clone());
        pass.statuses.extend(self.world.covered(plan).map(|product| product.of(Kind::ApiProduct)));
        pass.statuses.insert(plan.clone().of(Kind::Plan));
    }

    /// Marks what a product decides, and what its operations do: where a plan's limit for one of them counts.
    pub(super) fn mark_product(&self, product: &Name, pass: &mut Pass) {
        pass.mark(Stage::Product, product);
        pass.mark(Stage::Api, product);
        for plan in self.world.plans_of.of(product) {
            pass.mark(Stage::Plan, plan);
            for beside in self.world.plans.get(plan).iter().flat_map(|entry| &entry.spec.products) {
                pass.mark(Stage::Api, &World::resolve_product(beside, plan));
            }
        }
    }

    /// Marks what an object's references decide; called before and after it changes.
    pub(super) fn mark_siblings(&self, key: &ObjectKey, pass: &mut Pass) {
        let world = &self.world;
        let name = &key.name;
        match key.kind {
            Kind::Plan => {
                self.mark_fate(name, pass);
                // It may cover other products now.
                pass.told.remove(name);
                if let Some(entry) = world.plans.get(name) {
                    for product in &entry.spec.products {
                        let product = World::resolve_product(product, name);
                        pass.mark(Stage::Api, &product);
                        pass.statuses.insert(product.of(Kind::ApiProduct));
                    }
                }
            }
            Kind::Team => {
                let near = |other: &&Name| other.namespace() == name.namespace();
                for application in world.applications.keys().filter(near) {
                    pass.mark(Stage::Application, application);
                    self.mark_answers(application, pass);
                }
                pass.mark_all(Stage::Approval, world.approvals.keys().filter(near));
            }
            Kind::Application => {
                let Some(entry) = world.applications.get(name) else { return };
                if let Some(reference) = &entry.spec.reference_id {
                    pass.mark_all(Stage::Application, world.applications_by_reference.of(&World::reference(reference)));
                }
                if let Some(team) = &entry.spec.team {
                    pass.statuses.insert(World::resolve_local(team, name).of(Kind::Team));
                }
            }
            Kind::Subscription => {
                for plan in world.asked(name) {
                    self.mark_held(&plan, pass);
                }
                if let Some(entry) = world.subscriptions.get(name) {
                    let application = World::resolve_local(&entry.spec.application, name);
                    self.mark_rivals(&application, pass);
                    pass.mark_all(Stage::Credential, world.credentials_of_application.of(&application));
                    pass.mark_all(Stage::Credential, world.credentials_of_subscription.of(name));
                    pass.statuses.insert(application.of(Kind::Application));
                }
                pass.mark_all(Stage::Approval, world.approvals_of_subscription.of(name));
            }
            Kind::Approval => {
                if let Some(entry) = world.approvals.get(name) {
                    pass.mark(Stage::Candidate, &World::resolve(&entry.spec.subscription, name));
                }
            }
            Kind::Credential => {
                pass.statuses.extend(world.application_of(name).map(|application| application.of(Kind::Application)));
                if let Some(entry) = world.credentials.get(name) {
                    let environment = World::resolve(&entry.spec.environment, name);
                    let client = OutputKey::Client { environment, credential: name.clone() };
                    concerned(world, &client, &mut pass.statuses);
                    let (siblings, subject) = match (&entry.spec.subscription, &entry.spec.application) {
                        (Some(subscription), _) => (&world.credentials_of_subscription, subscription),
                        (None, Some(application)) => (&world.credentials_of_application, application),
                        (None, None) => return,
                    };
                    pass.mark_all(Stage::Credential, siblings.of(&World::resolve_local(subject, name)));
                }
            }
            // It may demand signatures.
            Kind::Portal => pass.mark_all(Stage::Approval, world.approvals.keys()),
            Kind::Environment | Kind::ApiProduct | Kind::Developer => {}
        }
    }

    /// Subscriptions of one application compete for its products, and one that loses needs no place.
    pub(super) fn mark_rivals(&self, application: &Name, pass: &mut Pass) {
        if self.world.subscriptions_of_application.count(application) < 2 {
            return;
        }
        for sibling in self.world.subscriptions_of_application.of(application) {
            pass.mark(Stage::Subscription, sibling);
            for plan in self.views.candidates.get(sibling).into_iter().flat_map(resolve::Candidate::plans) {
                if self.views.places.contains_key(plan) {
                    pass.mark(Stage::Places, plan);
                }
            }
        }
    }

    /// What may be said to an application's subscriptions depends on whose it is.
    pub(super) fn mark_answers(&self, application: &Name, pass: &mut Pass) {
        for subscription in self.world.subscriptions_of_application.of(application) {
            pass.mark_all(Stage::Approval, self.world.approvals_of_subscription.of(subscription));
        }
    }
}
