//! The engine: takes batches, keeps what follows from them up to date, and says what changed.
//!
//! Every kind of thing that is computed is a [`Stage`]; a node of a stage depends on objects and on nodes of stages
//! before it. A batch marks nodes, then one pass over the stages computes them; a node that comes out as it was marks
//! nothing. A rebuild is the same pass with everything marked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{ApprovalSpec, Phase};

use crate::batch::{Batch, Change, Fact};
use crate::delta::{Delta, KeyWish, Output, OutputKey, Put, Removal};
use crate::gateway::ApiPlan;
use crate::key::{Kind, Name, ObjectKey};
use crate::life;
use crate::resolve::{self, Hold, Scene, Views};
use crate::table::{Map, Set};
use crate::world::{Entry, Made, World};

/// What is computed, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stage {
    Environment,
    Product,
    Plan,
    Application,
    Approval,
    Candidate,
    Places,
    Subscription,
    DeletedProduct,
    DeletedPlan,
    Credential,
    Api,
}

const STAGES: [Stage; 12] = [
    Stage::Environment,
    Stage::Product,
    Stage::Plan,
    Stage::Application,
    Stage::Approval,
    Stage::Candidate,
    Stage::Places,
    Stage::Subscription,
    Stage::DeletedProduct,
    Stage::DeletedPlan,
    Stage::Credential,
    Stage::Api,
];

/// Desired state, facts, and all that follows from them.
#[derive(Clone, Debug, Default)]
pub struct Core {
    pub(crate) world: World,
    pub(crate) views: Views,
    pub(crate) outputs: Map<OutputKey, (Output, u64)>,
    /// How many endpoints of a product are or were served.
    pub(crate) endpoints: Map<Name, u32>,
    /// How many subscriptions have a place on a plan.
    pub(crate) holders: Map<Name, usize>,
    /// Subscriptions that wait for an owner's answer.
    pub(crate) requests: BTreeSet<Name>,
    /// What plans are held to where, as gateways have confirmed it.
    pub(crate) enforced: Map<OutputKey, Vec<ApiPlan>>,
    pub(crate) gateways: Map<Name, GatewayState>,
    timers: BTreeSet<(Timestamp, Stage, Name)>,
    wakes: Map<(Stage, Name), Timestamp>,
    pub(crate) now: Timestamp,
    serial: u64,
}

/// How far a gateway has confirmed what it was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct GatewayState {
    pub(crate) confirmed: u64,
    /// A gateway that has confirmed this serial does nothing any more that it was asked by whoever was here before.
    pub(crate) complete: u64,
    /// How many outputs it is asked to have: 1 for itself, and those of APIs and clients.
    itself: usize,
    pub(crate) apis: usize,
    pub(crate) clients: usize,
    /// Outputs after that, by serial.
    pending: BTreeMap<u64, OutputKey>,
    /// What is no longer wanted and may still be there, by the serial of its removal.
    pub(crate) leaving: Map<OutputKey, u64>,
    /// What it said no to, in its words.
    pub(crate) refused: BTreeMap<ObjectKey, String>,
}

impl GatewayState {
    /// How many outputs there are of this sort.
    fn count(&mut self, key: &OutputKey) -> &mut usize {
        match key {
            OutputKey::Gateway { .. } => &mut self.itself,
            OutputKey::Api { .. } => &mut self.apis,
            OutputKey::Client { .. } => &mut self.clients,
        }
    }
}

#[derive(Default)]
struct Pass {
    marked: [Set<Name>; STAGES.len()],
    statuses: Set<ObjectKey>,
    outputs: Map<OutputKey, Option<Output>>,
    /// With whether a key has to be made.
    keys: Map<Name, (bool, KeyWish)>,
    /// Plans of which it was found out in this pass who has a place.
    placed: Set<Name>,
    /// Plans of which it was told in this pass that others may hold them now.
    told: Set<Name>,
    ended: Vec<(Name, Timestamp)>,
    /// Subscriptions that came to be on another plan, and that plan; `None` is the one that their files name.
    moved: Vec<(Name, Option<Name>)>,
    /// The same once it was noted, to be told.
    on: BTreeMap<Name, Name>,
    recomputed: usize,
}

/// How a subscription stood before its file said something else.
struct Stood {
    created: Option<Timestamp>,
    on: Name,
    holds: bool,
}

impl Pass {
    fn mark(&mut self, stage: Stage, name: &Name) {
        let marked = &mut self.marked[stage as usize];
        if !marked.contains(name) {
            marked.insert(name.clone());
        }
    }

    fn mark_all<'a>(&mut self, stage: Stage, names: impl Iterator<Item = &'a Name>) {
        for name in names {
            self.mark(stage, name);
        }
    }
}

impl Core {
    /// A core that knows nothing.
    pub fn new() -> Self {
        Core::default()
    }

    /// Takes in a batch and answers what changed. A batch that says nothing new changes nothing.
    ///
    /// Time does not run backwards: an earlier `now` than the last counts as the last.
    pub fn apply(&mut self, batch: Batch) -> Delta {
        let mut pass = Pass::default();
        self.now = self.now.max(batch.now);
        for change in batch.changes {
            self.change(change, &mut pass);
        }
        for fact in batch.facts {
            self.fact(fact, &mut pass);
        }
        while let Some((moment, stage, name)) = self.timers.first().cloned() {
            if moment > self.now {
                break;
            }
            self.timers.pop_first();
            self.wakes.remove(&(stage, name.clone()));
            pass.mark(stage, &name);
        }
        self.run(&mut pass);
        self.finish(pass)
    }

    /// The name as it is here already, so that a front end that keeps many holds each once.
    pub fn intern(&mut self, name: &Name) -> Name {
        self.world.names.intern(name)
    }

    /// Computes everything anew. The outputs that come out differently are in the delta: none, unless there is a mistake
    /// in the dependencies.
    pub fn rebuild(&mut self) -> Delta {
        let mut pass = Pass::default();
        for key in self.world.keys() {
            self.touch(&key, &mut pass);
        }
        self.run(&mut pass);
        self.finish(pass)
    }

    fn change(&mut self, change: Change, pass: &mut Pass) {
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

    fn fact(&mut self, fact: Fact, pass: &mut Pass) {
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
    fn enforce(&mut self, key: OutputKey, pass: &mut Pass) {
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

    /// Marks what an object's own text decides.
    fn touch(&self, key: &ObjectKey, pass: &mut Pass) {
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
    fn mark_deleted(&self, key: &ObjectKey, pass: &mut Pass) {
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
            self.tell_held(&plan, pass);
            pass.mark_all(Stage::Candidate, world.subscriptions_to_plan.of(&plan));
            for approval in world.approvals_of_plan.of(&plan) {
                if let Some(entry) = world.approvals.get(approval) {
                    pass.mark(Stage::Candidate, &World::resolve(&entry.spec.subscription, approval));
                }
            }
        }
    }

    /// Marks what the deletion of a plan and its products leads to: who holds it may be different.
    fn mark_held(&self, plan: &Name, pass: &mut Pass) {
        let world = &self.world;
        if world.deleted_plans.is_empty() && world.deleted_products.is_empty() {
            return;
        }
        if world.deleted_plans.contains_key(plan) {
            pass.mark(Stage::DeletedPlan, plan);
        }
        for product in world.covered(plan).filter(|product| world.deleted_products.contains_key(product)) {
            pass.mark(Stage::DeletedProduct, &product);
        }
    }

    /// Whether the deletion of a plan and its products would have to wait may be different.
    fn tell_held(&self, plan: &Name, pass: &mut Pass) {
        if pass.told.contains(plan) {
            return;
        }
        pass.told.insert(plan.clone());
        pass.statuses.extend(self.world.covered(plan).map(|product| product.of(Kind::ApiProduct)));
        pass.statuses.insert(plan.clone().of(Kind::Plan));
    }

    /// Marks what a product decides, and what its operations do: where a plan's limit for one of them counts.
    fn mark_product(&self, product: &Name, pass: &mut Pass) {
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
    fn mark_siblings(&self, key: &ObjectKey, pass: &mut Pass) {
        let world = &self.world;
        let name = &key.name;
        match key.kind {
            Kind::Plan => {
                self.mark_held(name, pass);
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
                    self.tell_held(&plan, pass);
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

    fn run(&mut self, pass: &mut Pass) {
        loop {
            for stage in STAGES {
                for name in std::mem::take(&mut pass.marked[stage as usize]) {
                    pass.recomputed += 1;
                    self.compute(stage, &name, pass);
                }
            }
            if pass.moved.is_empty() {
                return;
            }
            // What follows from being on that plan.
            pass.placed.clear();
            for (subscription, plan) in std::mem::take(&mut pass.moved) {
                self.put_on(subscription, plan, pass);
            }
        }
    }

    /// How a subscription stands.
    fn stood(&self, key: &ObjectKey) -> Option<Stood> {
        let entry = self.world.subscriptions.get(&key.name).filter(|_| key.kind == Kind::Subscription)?;
        let view = self.views.subscriptions.get(&key.name);
        Some(Stood {
            created: entry.meta.created,
            on: self.world.is_on(&key.name)?,
            holds: view.is_some_and(|view| view.held().is_some()),
        })
    }

    /// The file of a subscription says something else. What it has it keeps for now, also where another plan is named.
    fn edited(&mut self, name: &Name, stood: Stood, pass: &mut Pass) {
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
    fn put_on(&mut self, subscription: Name, plan: Option<Name>, pass: &mut Pass) {
        let before: Vec<Name> = self.world.asked(&subscription).collect();
        if !self.world.set_on(&subscription, plan) {
            return;
        }
        // What it is on it does not miss, whatever was deleted since.
        for plan in before.into_iter().chain(self.world.asked(&subscription)) {
            self.mark_held(&plan, pass);
            self.tell_held(&plan, pass);
        }
        pass.mark(Stage::Candidate, &subscription);
        pass.mark_all(Stage::Approval, self.world.approvals_of_subscription.of(&subscription));
        if let Some(plan) = self.world.is_on(&subscription) {
            pass.on.insert(subscription, plan);
        }
    }

    /// Computes one node, and marks what depends on it if it came out differently.
    fn compute(&mut self, stage: Stage, name: &Name, pass: &mut Pass) {
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
                    self.tell_held(name, pass);
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
                    for approval in self.world.approvals_of_plan.of(name) {
                        if let Some(entry) = self.world.approvals.get(approval) {
                            pass.mark(Stage::Candidate, &World::resolve(&entry.spec.subscription, approval));
                        }
                    }
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
                            self.tell_held(&plan, pass);
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
                let granted = self.views.candidates.get(name).into_iter().flat_map(resolve::Candidate::plans);
                for plan in self.world.asked(name).chain(granted.cloned()) {
                    self.mark_held(&plan, pass);
                }
                if view.as_ref().is_some_and(|view| view.asks()) {
                    self.requests.insert(name.clone());
                } else {
                    self.requests.remove(name);
                }
                if replace(&mut self.views.subscriptions, name, view) {
                    pass.statuses.insert(name.clone().of(Kind::Subscription));
                    for plan in self.world.asked(name) {
                        self.tell_held(&plan, pass);
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

    fn candidate(&mut self, name: &Name, pass: &mut Pass) {
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
            self.tell_held(plan, pass);
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

    /// Subscriptions of one application compete for its products, and one that loses needs no place.
    fn mark_rivals(&self, application: &Name, pass: &mut Pass) {
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
    fn mark_answers(&self, application: &Name, pass: &mut Pass) {
        for subscription in self.world.subscriptions_of_application.of(application) {
            pass.mark_all(Stage::Approval, self.world.approvals_of_subscription.of(subscription));
        }
    }

    /// Keeps count of a plan's subscriptions: one went from a plan to another.
    fn count(&mut self, [before, after]: [Option<Name>; 2], pass: &mut Pass) {
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

    /// The statuses of a plan and its products tell of their subscribers.
    fn tell_of(&self, plan: &Name, pass: &mut Pass) {
        pass.statuses.insert(plan.clone().of(Kind::Plan));
        for product in self.world.plans.get(plan).iter().flat_map(|entry| &entry.spec.products) {
            pass.statuses.insert(World::resolve_product(product, plan).of(Kind::ApiProduct));
        }
    }

    fn compute_credential(&mut self, name: &Name, pass: &mut Pass) {
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

    /// The generations whose keys there are.
    fn made(&self, credential: &Name) -> Vec<i64> {
        self.world.made.get(credential).into_iter().flatten().map(|made| made.generation).collect()
    }

    /// The generations whose keys there should be.
    fn wanted(&self, credential: &Name, view: Option<&resolve::CredentialView>) -> Vec<i64> {
        match view {
            Some(view) if view.hold != Hold::Gone => view.generations.clone(),
            // Nobody can say what became of an object that does not read: its keys wait.
            None if self.world.findings.contains_key(&credential.clone().of(Kind::Credential)) => self.made(credential),
            _ => Vec::new(),
        }
    }

    /// What was wished for a credential last, see [`KeyWish::generations`].
    pub fn wished(&self, credential: &Name) -> Vec<i64> {
        self.wanted(credential, self.views.credentials.get(credential))
    }

    /// Asks to be woken for a node, or no longer.
    fn alarm(&mut self, stage: Stage, name: &Name, wake: Option<Timestamp>) {
        if wake.is_none() && self.wakes.is_empty() {
            return;
        }
        let key = (stage, name.clone());
        if let Some(before) = self.wakes.remove(&key) {
            self.timers.remove(&(before, stage, name.clone()));
        }
        if let Some(wake) = wake {
            self.timers.insert((wake, stage, name.clone()));
            self.wakes.insert(key, wake);
        }
    }

    /// Numbers what came out and compares it with what was there.
    fn finish(&mut self, pass: Pass) -> Delta {
        let Pass { marked: _, mut statuses, outputs, keys, placed: _, told: _, mut ended, moved: _, on, recomputed } =
            pass;
        ended.sort();
        let mut keys: Vec<(bool, KeyWish)> = keys.into_values().collect();
        keys.sort_by(|(makes, one), (other, two)| (makes, &one.credential).cmp(&(other, &two.credential)));
        let mut removals = Vec::new();
        let mut puts = Vec::new();
        for (key, output) in outputs {
            match output {
                None if self.outputs.remove(&key).is_some() => removals.push(key),
                None => {}
                Some(output) => match self.outputs.get(&key) {
                    Some((before, _)) if *before == output => {}
                    before => {
                        let takes = before.is_some_and(|(before, _)| takes_only(before, &output));
                        puts.push((!takes, key, output));
                    }
                },
            }
        }
        removals.sort();
        puts.sort_by(|(gives, key, _), (other_gives, other, _)| (gives, key).cmp(&(other_gives, other)));
        let removals = removals
            .into_iter()
            .map(|key| {
                let serial = self.number(&key, &mut statuses);
                let state = self.gateways.entry(key.environment().clone()).or_default();
                state.leaving.insert(key.clone(), serial);
                *state.count(&key) -= 1;
                statuses.insert(key.environment().clone().of(Kind::Environment));
                Removal { key, serial }
            })
            .collect();
        let puts: Vec<Put> = puts
            .into_iter()
            .map(|(_, key, output)| {
                let serial = self.number(&key, &mut statuses);
                let replaces = self.outputs.insert(key.clone(), (output.clone(), serial)).is_some();
                if !replaces {
                    *self.gateways.entry(key.environment().clone()).or_default().count(&key) += 1;
                    statuses.insert(key.environment().clone().of(Kind::Environment));
                }
                Put { key, output, serial, replaces }
            })
            .collect();
        for put in puts.iter().filter(|put| !put.replaces && matches!(put.key, OutputKey::Gateway { .. })) {
            let state = self.gateways.entry(put.key.environment().clone()).or_default();
            state.complete = state.pending.last_key_value().map_or(put.serial, |(serial, _)| *serial);
        }
        Delta {
            removals,
            puts,
            keys: keys.into_iter().map(|(_, wish)| wish).collect(),
            ended,
            on: on.into_iter().collect(),
            statuses: statuses.into_iter().collect(),
            recomputed,
            wake: self.timers.first().map(|(moment, ..)| *moment),
        }
    }

    fn number(&mut self, key: &OutputKey, statuses: &mut Set<ObjectKey>) -> u64 {
        self.serial += 1;
        concerned(&self.world, key, statuses);
        let before = self.outputs.get(key).map(|(_, serial)| *serial);
        let state = self.gateways.entry(key.environment().clone()).or_default();
        if let Some(before) = before {
            state.pending.remove(&before);
        }
        state.pending.insert(self.serial, key.clone());
        state.leaving.remove(key);
        state.refused.remove(&source(key));
        self.serial
    }
}

/// The object that an output is made for.
pub(crate) fn source(key: &OutputKey) -> ObjectKey {
    match key {
        OutputKey::Gateway { environment } => environment.clone().of(Kind::Environment),
        OutputKey::Api { product, .. } => product.clone().of(Kind::ApiProduct),
        OutputKey::Client { credential, .. } => credential.clone().of(Kind::Credential),
    }
}

/// Objects whose status tells of an output.
fn concerned(world: &World, key: &OutputKey, statuses: &mut Set<ObjectKey>) {
    statuses.insert(source(key));
    if let OutputKey::Api { product, .. } = key {
        statuses.extend(world.plans_of.of(product).map(|plan| plan.clone().of(Kind::Plan)));
    }
    if let OutputKey::Client { credential, .. } = key
        && let Some(entry) = world.credentials.get(credential)
    {
        if let Some(subscription) = &entry.spec.subscription {
            statuses.insert(World::resolve_local(subscription, credential).of(Kind::Subscription));
        } else if let Some(application) = &entry.spec.application {
            let application = World::resolve_local(application, credential);
            for subscription in world.subscriptions_of_application.of(&application) {
                statuses.insert(subscription.clone().of(Kind::Subscription));
            }
        }
    }
}

/// Whether the new output allows nothing that the old one did not.
fn takes_only(before: &Output, after: &Output) -> bool {
    let (Output::Client(before), Output::Client(after)) = (before, after) else { return false };
    after.application == before.application
        && after.generations.iter().all(|generation| before.generations.contains(generation))
        && after.plans.iter().all(|plan| before.plans.contains(plan))
        && after.scopes.iter().all(|scope| before.scopes.contains(scope))
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
