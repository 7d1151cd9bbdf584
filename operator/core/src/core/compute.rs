//! One node after the other is computed; what comes out differently marks what depends on it.

use std::collections::BTreeSet;
use std::sync::Arc;

use portico_crds::{ApprovalSpec, Phase};

use super::{Core, Pass, Stage};
use crate::delta::{KeyWish, Output, OutputKey};
use crate::key::{Kind, Name};
use crate::life;
use crate::resolve::{self, Scene};
use crate::table::Map;
use crate::world::{Entry, World};

impl Core {
    /// Computes one node, and marks what depends on it if it came out differently.
    pub(super) fn compute(&mut self, stage: Stage, name: &Name, pass: &mut Pass) {
        let scene = Scene { world: &self.world, views: &self.views, now: self.now };
        match stage {
            Stage::Environment => {
                let view = resolve::environment(scene, name);
                let key = OutputKey::Gateway { environment: name.clone() };
                let gateway = view.as_ref().and_then(|view| view.gateway.clone());
                pass.outputs.insert(key, gateway.map(|gateway| Output::Gateway(Box::new(gateway))));
                if replace(&mut self.views.environments, name, view) {
                    pass.statuses.insert(name.clone().of(Kind::Environment));
                    for product in self.world.products_in.of(name) {
                        pass.mark(Stage::Product, product);
                        pass.mark(Stage::Api, product);
                    }
                    pass.mark_all(Stage::Credential, self.world.credentials_in.of(name));
                }
            }
            Stage::Product => {
                let view = resolve::product(scene, name);
                self.alarm(stage, name, view.as_ref().and_then(|view| view.wake));
                if replace(&mut self.views.products, name, view) {
                    pass.statuses.insert(name.clone().of(Kind::ApiProduct));
                    pass.mark_all(Stage::Plan, self.world.plans_of.of(name));
                    pass.mark(Stage::Api, name);
                }
            }
            Stage::Plan => {
                let view = resolve::plan(scene, name);
                self.alarm(stage, name, view.as_ref().and_then(|view| view.wake));
                let terms = |view: Option<&resolve::PlanView>| view.map(|view| view.terms.clone());
                let (before, after) = (terms(self.views.plans.get(name)), terms(view.as_ref()));
                let said = self.views.plans.get(name).map(|view| view.digest.clone());
                if replace(&mut self.views.plans, name, view) {
                    pass.statuses.insert(name.clone().of(Kind::Plan));
                    self.mark_held(name, pass);
                    if self.views.deleted_plans.contains_key(name) || !self.world.deleted_products.is_empty() {
                        pass.mark(Stage::DeletedPlan, name);
                    }
                }
                if said != self.views.plans.get(name).map(|view| view.digest.clone()) {
                    for approval in self.world.approvals_of_plan.of(name) {
                        let entry = self.world.approvals.get(approval);
                        let binding = |entry: &&Entry<ApprovalSpec>| {
                            entry.spec.grant.as_ref().is_some_and(|grant| grant.terms.is_some())
                        };
                        if let Some(entry) = entry.filter(binding) {
                            pass.mark(Stage::Candidate, &World::resolve(&entry.spec.subscription, approval));
                        }
                    }
                }
                if before != after {
                    for product in before.iter().chain(&after).flat_map(|terms| &terms.products) {
                        pass.mark(Stage::Api, &product.name);
                    }
                    pass.mark_all(Stage::Candidate, self.world.subscriptions_to_plan.of(name));
                    pass.mark_all(Stage::Approval, self.world.approvals_of_plan.of(name));
                    pass.mark_all(Stage::Candidate, self.world.answered(name));
                    pass.mark(Stage::Places, name);
                }
            }
            Stage::Application => {
                let view = resolve::application(scene, name);
                if replace(&mut self.views.applications, name, view) {
                    pass.statuses.insert(name.clone().of(Kind::Application));
                    pass.mark_all(Stage::Candidate, self.world.subscriptions_of_application.of(name));
                    self.mark_answers(name, pass);
                    pass.mark_all(Stage::Credential, self.world.credentials_of_application.of(name));
                    for subscription in self.world.subscriptions_of_application.of(name) {
                        pass.mark_all(Stage::Credential, self.world.credentials_of_subscription.of(subscription));
                        // Whose it is decides which plans may be had.
                        for plan in self.world.asked(subscription) {
                            self.mark_held(&plan, pass);
                        }
                    }
                }
            }
            Stage::Approval => {
                let view = resolve::approval(scene, name);
                if replace(&mut self.views.approvals, name, view) {
                    pass.statuses.insert(name.clone().of(Kind::Approval));
                    if let Some(entry) = self.world.approvals.get(name) {
                        pass.mark(Stage::Candidate, &World::resolve(&entry.spec.subscription, name));
                    }
                }
            }
            Stage::Candidate => self.candidate(name, pass),
            Stage::Places => {
                if pass.placed.contains(name) {
                    return;
                }
                let taken =
                    |places: Option<&resolve::Places>| places.map(|places| places.taken.clone()).unwrap_or_default();
                for (plan, view) in resolve::places(scene, name) {
                    let (before, after) = (taken(self.views.places.get(&plan)), taken(view.as_ref()));
                    // How many there are is said by the plan, and a change of that marks all who have a grant of it.
                    replace(&mut self.views.places, &plan, view);
                    for subscription in before.symmetric_difference(&after) {
                        pass.mark(Stage::Subscription, subscription);
                        // What it took or left is its siblings' loss or gain.
                        let entry = self.world.subscriptions.get(subscription);
                        let application =
                            entry.map(|entry| World::resolve_local(&entry.spec.application, subscription));
                        if let Some(application) = application {
                            pass.mark_all(
                                Stage::Subscription,
                                self.world.subscriptions_of_application.of(&application),
                            );
                        }
                    }
                    pass.placed.insert(plan);
                }
            }
            Stage::Subscription => {
                let view = resolve::settle(scene, name);
                let held = |view: Option<&resolve::SubscriptionView>| view.and_then(|view| view.held().cloned());
                let held_before = held(self.views.subscriptions.get(name).map(Arc::as_ref));
                self.count([held_before, held(view.as_deref())], pass);
                let before = self.views.subscriptions.get(name).map(Arc::as_ref);
                // What was cancelled and is not remembered is gone; this is another one by its name.
                let same = |before: &&resolve::SubscriptionView| {
                    before.phase != Phase::Cancelled || self.world.ended.contains_key(name)
                };
                if let (Some(before), Some(after)) = (before.filter(same), &view) {
                    debug_assert!(
                        life::may_become(before.phase, after.phase),
                        "{name} goes from {:?} to {:?}",
                        before.phase,
                        after.phase
                    );
                }
                // Plans that end name those whom that concerns, also those for whom it is over.
                let names = |view: Option<&resolve::SubscriptionView>| {
                    let view = view.filter(|view| view.phase != Phase::Cancelled)?;
                    Some(view.grant.as_ref()?.plan.name.clone())
                };
                let (named, names) = (names(before), names(view.as_deref()));
                if named != names {
                    for plan in named.into_iter().chain(names) {
                        self.tell_of(&plan, pass);
                    }
                }
                let on = view.as_ref().and_then(|view| view.on.as_ref());
                if view.is_some() && self.world.on(name) != on {
                    pass.moved.push((name.clone(), on.cloned()));
                }
                if !self.world.deletes_nothing() {
                    let granted = self.views.candidates.get(name).into_iter().flat_map(resolve::Candidate::plans);
                    for plan in self.world.asked(name).chain(granted.cloned()) {
                        self.mark_fate(&plan, pass);
                    }
                }
                let is = |which: fn(&resolve::SubscriptionView) -> bool| view.as_deref().is_some_and(which);
                let (asks, refused) = (is(resolve::SubscriptionView::asks), is(resolve::SubscriptionView::refused));
                // What is asked for last is what waits, and what an answer is about.
                let about = if asks || refused { self.world.named(name).last() } else { None };
                self.requests.note(name, about.clone().filter(|_| asks));
                self.refused.note(name, about.filter(|_| refused));
                if replace(&mut self.views.subscriptions, name, view) {
                    pass.statuses.insert(name.clone().of(Kind::Subscription));
                    for plan in self.world.asked(name) {
                        self.tell_of(&plan, pass);
                    }
                    pass.mark_all(Stage::Credential, self.world.credentials_of_subscription.of(name));
                    if let Some(entry) = self.world.subscriptions.get(name) {
                        let application = World::resolve_local(&entry.spec.application, name);
                        pass.mark_all(Stage::Credential, self.world.credentials_of_application.of(&application));
                    }
                }
            }
            Stage::DeletedProduct => {
                let view = resolve::deleted_product(scene, name);
                if replace(&mut self.views.deleted_products, name, view) {
                    pass.statuses.insert(name.clone().of(Kind::ApiProduct));
                    pass.mark(Stage::Api, name);
                    pass.mark_all(Stage::DeletedPlan, self.world.plans_of.of(name));
                }
            }
            Stage::DeletedPlan => {
                let view = resolve::deleted_plan(scene, name);
                if replace(&mut self.views.deleted_plans, name, view) {
                    pass.statuses.insert(name.clone().of(Kind::Plan));
                    for product in self.world.covered(name) {
                        pass.mark(Stage::Api, &product);
                        pass.statuses.insert(product.of(Kind::ApiProduct));
                    }
                }
            }
            Stage::Credential => self.compute_credential(name, pass),
            Stage::Api => {
                let apis = resolve::apis(scene, name);
                let count = apis.iter().map(|(_, index, _)| index + 1).max().unwrap_or(0);
                let known = self.endpoints.insert(name.clone(), count).unwrap_or(0);
                let environments: BTreeSet<Name> = self.gateways.keys().cloned().collect();
                for environment in environments {
                    for index in 0..known {
                        let key = OutputKey::Api { environment: environment.clone(), product: name.clone(), index };
                        if self.outputs.contains_key(&key) || pass.outputs.contains_key(&key) {
                            pass.outputs.insert(key, None);
                        }
                    }
                }
                for (environment, index, api) in apis {
                    let key = OutputKey::Api { environment, product: name.clone(), index };
                    pass.outputs.insert(key, Some(Output::Api(Box::new(api))));
                }
                if count == 0 {
                    self.endpoints.remove(name);
                }
            }
        }
    }

    pub(super) fn candidate(&mut self, name: &Name, pass: &mut Pass) {
        let scene = Scene { world: &self.world, views: &self.views, now: self.now };
        let view = resolve::candidate(scene, name);
        self.alarm(Stage::Candidate, name, view.as_ref().and_then(|view| view.wake));
        if let Some(at) = view.as_ref().and_then(|view| view.ended(self.world.subscriptions.get(name)?))
            && !self.world.ended.contains_key(name)
        {
            self.world.ended.insert(name.clone(), at);
            pass.ended.push((name.clone(), at));
        }
        let plans = |view: Option<&resolve::Candidate>| {
            view.into_iter().flat_map(resolve::Candidate::plans).cloned().collect::<Vec<Name>>()
        };
        let plans = [plans(self.views.candidates.get(name)), plans(view.as_ref())];
        if !replace(&mut self.views.candidates, name, view) {
            return;
        }
        for plan in plans.iter().flatten() {
            self.mark_held(plan, pass);
            let limited = self.views.plans.get(plan).is_some_and(|view| view.terms.max_subscriptions.is_some());
            if limited || self.views.places.contains_key(plan) {
                pass.mark(Stage::Places, plan);
            }
        }
        pass.mark(Stage::Subscription, name);
        if let Some(entry) = self.world.subscriptions.get(name) {
            let application = World::resolve_local(&entry.spec.application, name);
            self.mark_rivals(&application, pass);
        }
    }

    /// Keeps count of a plan's subscriptions: one went from a plan to another.
    pub(super) fn count(&mut self, [before, after]: [Option<Name>; 2], pass: &mut Pass) {
        if before == after {
            return;
        }
        for plan in before.iter().chain(&after) {
            self.tell_of(plan, pass);
        }
        if let Some(plan) = before
            && let Some(count) = self.holders.get_mut(&plan)
        {
            *count -= 1;
            if *count == 0 {
                self.holders.remove(&plan);
            }
        }
        if let Some(plan) = after {
            *self.holders.entry(plan).or_default() += 1;
        }
    }

    pub(super) fn compute_credential(&mut self, name: &Name, pass: &mut Pass) {
        let scene = Scene { world: &self.world, views: &self.views, now: self.now };
        let view = resolve::credential(scene, name);
        self.alarm(Stage::Credential, name, view.as_ref().and_then(|view| view.wake));

        let served = self.world.credentials.get(name).and_then(|entry| {
            let environment = World::resolve(&entry.spec.environment, name);
            let (environment, view) = self.views.environments.get_key_value(&environment)?;
            view.gateway.is_some().then(|| environment.clone())
        });
        let client =
            view.as_ref().and_then(|view| view.client.as_ref()).filter(|client| !client.generations.is_empty());
        for environment in self.gateways.keys() {
            let key = OutputKey::Client { environment: environment.clone(), credential: name.clone() };
            if self.outputs.contains_key(&key) || pass.outputs.contains_key(&key) {
                pass.outputs.insert(key, None);
            }
        }
        if let Some((environment, client)) = served.zip(client) {
            let key = OutputKey::Client { environment, credential: name.clone() };
            pass.outputs.insert(key, Some(Output::Client(client.clone())));
        }

        let made = self.made(name);
        let wanted = self.wanted(name, view.as_ref());
        if wanted == made {
            pass.keys.remove(name);
        } else {
            let makes = wanted.iter().any(|generation| !made.contains(generation));
            let asked = self.world.credentials.get(name).map_or(0, |entry| entry.spec.generation);
            let lifetime = view.as_ref().and_then(|view| view.lifetime);
            let import = self.world.credentials.get(name).and_then(|entry| entry.spec.import.clone());
            let import = import.filter(|_| wanted.contains(&1));
            let credential = name.clone();
            let wish = KeyWish { credential, generations: wanted, asked, lifetime, import };
            pass.keys.insert(name.clone(), (makes, wish));
        }
        if replace(&mut self.views.credentials, name, view) {
            pass.statuses.insert(name.clone().of(Kind::Credential));
            if let Some(subscription) =
                self.world.credentials.get(name).and_then(|entry| entry.spec.subscription.as_ref())
            {
                pass.statuses.insert(World::resolve_local(subscription, name).of(Kind::Subscription));
            }
        }
    }
}

/// Puts or removes a view, and answers whether that changed anything.
fn replace<V: PartialEq>(views: &mut Map<Name, V>, name: &Name, view: Option<V>) -> bool {
    match view {
        None => views.remove(name).is_some(),
        Some(view) => match views.get_mut(name) {
            Some(before) if *before == view => false,
            Some(before) => {
                *before = view;
                true
            }
            None => {
                views.insert(name.clone(), view);
                true
            }
        },
    }
}
