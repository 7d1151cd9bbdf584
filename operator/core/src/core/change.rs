//! What batches say is taken in: changes of desired state, and facts.

use super::{Core, Pass, Stage, Stood, concerned, source};
use crate::batch::{Change, Fact};
use crate::delta::{Output, OutputKey};
use crate::key::{Kind, Name, ObjectKey};
use crate::world::{Entry, Made};

impl Core {
    pub(super) fn change(&mut self, change: Change, pass: &mut Pass) {
        match change {
            Change::Put(object) => {
                let key = object.key();
                self.mark_siblings(&key, pass);
                let stood = self.stood(&key);
                if self.world.put(object) {
                    self.touch(&key, pass);
                    self.mark_siblings(&key, pass);
                    if let Some(stood) = stood {
                        self.edited(&key.name, stood, pass);
                    }
                }
            }
            Change::Remove(key) => {
                if key.kind == Kind::Subscription {
                    // Another one by its name begins anew.
                    pass.on.remove(&key.name);
                }
                self.mark_siblings(&key, pass);
                if self.world.remove(&key) {
                    self.touch(&key, pass);
                }
            }
            Change::Delete { key, said, deletion } => {
                self.mark_siblings(&key, pass);
                if self.world.delete(&key, said, deletion) {
                    self.touch(&key, pass);
                    self.mark_siblings(&key, pass);
                }
            }
            Change::Document { product, version, document } => {
                self.world.document(&product, version, document);
                self.mark_product(&product, pass);
            }
            Change::Findings(key, findings) => {
                let before = self.world.findings.get(&key).map(Vec::as_slice).unwrap_or_default();
                if before != findings {
                    pass.statuses.insert(key.clone());
                    if key.kind == Kind::Credential {
                        pass.mark(Stage::Credential, &key.name);
                    }
                    if findings.is_empty() {
                        self.world.findings.remove(&key);
                    } else {
                        self.world.findings.insert(key, findings);
                    }
                }
            }
        }
    }

    pub(super) fn fact(&mut self, fact: Fact, pass: &mut Pass) {
        match fact {
            Fact::KeyMade { credential, generation, asked, at, expires, fingerprint } => {
                self.world.not_imported.remove(&credential);
                let made = self.world.made.entry(credential.clone()).or_default();
                made.retain(|made| made.generation != generation);
                made.push(Made { generation, asked, at, expires, fingerprint });
                made.sort_by_key(|made| made.generation);
                pass.mark(Stage::Credential, &credential);
                pass.statuses.insert(credential.of(Kind::Credential));
            }
            Fact::NotImported { credential, why } => {
                if self.world.credentials.contains_key(&credential)
                    && self.world.not_imported.get(&credential) != Some(&why)
                {
                    self.world.not_imported.insert(credential.clone(), why);
                    pass.mark(Stage::Credential, &credential);
                }
            }
            Fact::KeysGone { credential, generations } => {
                if let Some(made) = self.world.made.get_mut(&credential) {
                    made.retain(|made| !generations.contains(&made.generation));
                    if made.is_empty() {
                        self.world.made.remove(&credential);
                    }
                    pass.mark(Stage::Credential, &credential);
                    pass.statuses.insert(credential.of(Kind::Credential));
                }
            }
            Fact::Ended { subscription, at } => {
                if self.world.ended.insert(subscription.clone(), at) != Some(at) {
                    pass.mark(Stage::Candidate, &subscription);
                    pass.statuses.insert(subscription.of(Kind::Subscription));
                }
            }
            Fact::On { subscription, plan } => {
                self.put_on(subscription, Some(plan), pass);
            }
            Fact::PaymentProvider { set } => {
                if std::mem::replace(&mut self.world.charges, set) != set {
                    pass.mark_all(Stage::Candidate, self.world.subscriptions.keys());
                }
            }
            Fact::Payment { subscription, state } => {
                pass.mark(Stage::Candidate, &subscription);
                match state {
                    Some(state) => _ = self.world.payments.insert(subscription, state),
                    None => _ = self.world.payments.remove(&subscription),
                }
            }
            Fact::Confirmed { environment, serial } => {
                let state = self.gateways.entry(environment.clone()).or_default();
                if serial <= state.confirmed {
                    return;
                }
                let completes = state.confirmed < state.complete && serial >= state.complete;
                state.confirmed = serial;
                let later = state.pending.split_off(&(serial + 1));
                let confirmed = std::mem::replace(&mut state.pending, later);
                for (serial, key) in &confirmed {
                    if state.leaving.get(key) == Some(serial) {
                        state.leaving.remove(key);
                    }
                    concerned(&self.world, key, &mut pass.statuses);
                }
                let credentials = self.world.credentials_in.of(&environment).filter(|_| completes);
                for credential in credentials.cloned() {
                    let key = OutputKey::Client { environment: environment.clone(), credential };
                    if !self.outputs.contains_key(&key) {
                        concerned(&self.world, &key, &mut pass.statuses);
                    }
                }
                for key in confirmed.into_values() {
                    self.enforce(key, pass);
                }
            }
            Fact::Accepted { environment, objects } => {
                for object in objects {
                    let Some(state) = self.gateways.get_mut(&environment) else { return };
                    if state.refused.remove(&object).is_none() {
                        continue;
                    }
                    if object.kind == Kind::ApiProduct {
                        for index in 0..self.endpoints.get(&object.name).copied().unwrap_or(0) {
                            let (environment, product) = (environment.clone(), object.name.clone());
                            self.enforce(OutputKey::Api { environment, product, index }, pass);
                        }
                        let plans = self.world.plans_of.of(&object.name);
                        pass.statuses.extend(plans.map(|plan| plan.clone().of(Kind::Plan)));
                    }
                    pass.statuses.insert(object);
                }
            }
            Fact::Refused { environment, objects, message } => {
                let state = self.gateways.entry(environment.clone()).or_default();
                for object in objects {
                    if object.kind == Kind::Credential {
                        let (environment, credential) = (environment.clone(), object.name.clone());
                        concerned(&self.world, &OutputKey::Client { environment, credential }, &mut pass.statuses);
                    }
                    if object.kind == Kind::ApiProduct {
                        let plans = self.world.plans_of.of(&object.name);
                        pass.statuses.extend(plans.map(|plan| plan.clone().of(Kind::Plan)));
                    }
                    pass.statuses.insert(object.clone());
                    state.refused.insert(object, message.clone());
                }
            }
        }
    }

    /// Remembers what plans are held to at an API of which the gateway has confirmed the newest.
    pub(super) fn enforce(&mut self, key: OutputKey, pass: &mut Pass) {
        let Some(state) = self.gateways.get(key.environment()) else { return };
        let plans = match self.outputs.get(&key) {
            Some((_, serial)) if *serial > state.confirmed || state.refused.contains_key(&source(&key)) => return,
            Some((Output::Api(api), _)) => Some(api.plans.clone()),
            Some(_) => return,
            None if state.leaving.contains_key(&key) => return,
            None => None,
        };
        let before = match plans {
            Some(plans) => self.enforced.insert(key, plans),
            None => self.enforced.remove(&key),
        };
        // Plans of now are told already.
        let before = before.into_iter().flatten();
        pass.statuses.extend(before.map(|plan| plan.plan.of(Kind::Plan)));
    }

    /// How a subscription stands.
    pub(super) fn stood(&self, key: &ObjectKey) -> Option<Stood> {
        let entry = self.world.subscriptions.get(&key.name).filter(|_| key.kind == Kind::Subscription)?;
        let view = self.views.subscriptions.get(&key.name);
        Some(Stood {
            created: entry.meta.created,
            on: self.world.is_on(&key.name)?,
            holds: view.is_some_and(|view| view.held().is_some()),
        })
    }

    /// The file of a subscription says something else. What it has it keeps for now, also where another plan is named.
    pub(super) fn edited(&mut self, name: &Name, stood: Stood, pass: &mut Pass) {
        let Stood { created, on, holds } = stood;
        let is_another = |entry: &Entry<_>| created.is_some() && entry.meta.created != created;
        if self.world.subscriptions.get(name).is_none_or(is_another) {
            return;
        }
        self.put_on(name.clone(), holds.then(|| on.clone()), pass);
        if let Some(now) = self.world.is_on(name).filter(|now| *now != on) {
            pass.on.insert(name.clone(), now);
        }
    }

    /// Notes the plan that a subscription is on, and marks what follows from that.
    pub(super) fn put_on(&mut self, subscription: Name, plan: Option<Name>, pass: &mut Pass) {
        let before = self.world.on(&subscription).cloned();
        if !self.world.set_on(&subscription, plan) {
            return;
        }
        // What it is on it does not miss, whatever was deleted since.
        for plan in before.into_iter().chain(self.world.asked(&subscription)) {
            self.mark_held(&plan, pass);
        }
        pass.mark(Stage::Candidate, &subscription);
        pass.mark_all(Stage::Approval, self.world.approvals_of_subscription.of(&subscription));
        if let Some(plan) = self.world.is_on(&subscription) {
            pass.on.insert(subscription, plan);
        }
    }
}
