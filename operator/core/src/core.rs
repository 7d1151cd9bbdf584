//! The engine: takes batches, keeps what follows from them up to date, and says what changed.
//!
//! Every kind of thing that is computed is a [`Stage`]; a node of a stage depends on objects and on nodes of stages
//! before it. A batch marks nodes, then one pass over the stages computes them; a node that comes out as it was marks
//! nothing. A rebuild is the same pass with everything marked.

mod asked;
mod change;
mod compute;
mod mark;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use self::asked::Asked;
use crate::batch::Batch;
use crate::delta::{Delta, KeyWish, Output, OutputKey, Put, Removal};
use crate::gateway::ApiPlan;
use crate::key::{Kind, Name, ObjectKey};
use crate::resolve::{self, Hold, Views};
use crate::table::{Map, Set};
use crate::world::World;

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
    pub(crate) requests: Asked,
    /// Subscriptions that ask for something to which their owner has said no, or not yet.
    pub(crate) refused: Asked,
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
    /// Plans of which statuses tell in this pass that others may hold them now.
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
