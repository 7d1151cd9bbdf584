//! What the core says of each object.

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{Decision, DeletionPolicy, LifecycleStage, Limit, Phase, PlanSpec, PortalSpec, SubscriptionStage};
use serde::Serialize;

use crate::batch::{Author, Object, Spec};
use crate::core::{Core, GatewayState, source};
use crate::delta::OutputKey;
use crate::diagnostic::{Diagnostic, Severity};
use crate::gateway::GrantedScope;
use crate::key::{Kind, Name, ObjectKey};
use crate::resolve::{self, Fate, Hold, Idle};
use crate::world::{Entry, Meta, Table, World};

/// A condition as Kubernetes knows them, without the times that a writer adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reconciling`, `Stalled`, `Accepted`, `ResolvedRefs`, `Approved`, `Programmed`.
    pub r#type: &'static str,
    /// Whether it holds.
    pub status: bool,
    /// One word.
    pub reason: &'static str,
    /// What is so, where, and what to do.
    pub message: String,
}

/// How many names of those that its end concerns a status tells.
const AFFECTED: usize = 10;

/// What holds for an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The generation that this is about, where the front end has such a thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Abnormal ones (`Reconciling`, `Stalled`) are there only while they hold.
    pub conditions: Vec<Condition>,
    /// What is particular to the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// What is particular to a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Detail {
    /// A subscription.
    #[serde(rename_all = "camelCase")]
    Subscription {
        /// Where it is in its life.
        phase: Phase,
        /// How far it may go.
        stage: SubscriptionStage,
        /// The plan that is granted; not always the one asked for.
        plan: Option<Name>,
        /// The scopes that are granted.
        scopes: Vec<GrantedScope>,
        /// The approval that grants it.
        approval: Option<Name>,
        /// When it ends, or ended, by its own word or because its time is over.
        ends_at: Option<Timestamp>,
    },
    /// A credential.
    #[serde(rename_all = "camelCase")]
    Credential {
        /// Generations whose keys exist, oldest first.
        generations: Vec<i64>,
        /// Digest of the current key.
        fingerprint: Option<String>,
        /// Until when the key before the current one is good.
        previous_valid_until: Option<Timestamp>,
        /// When it ends.
        expires_at: Option<Timestamp>,
    },
    /// A plan.
    #[serde(rename_all = "camelCase")]
    Plan {
        /// Subscriptions that have a place on it, suspended ones included.
        subscriptions: usize,
        /// Names exactly what it offers.
        terms: Option<String>,
        /// Those that its end concerns, where it is deprecated or retired: the first few.
        affected: Vec<Name>,
        /// What gateways hold its subscribers to, as they confirmed it.
        limits: Vec<Limit>,
    },
    /// An approval.
    #[serde(rename_all = "camelCase")]
    Approval {
        /// Who wrote the answer, as far as that was found.
        decided: Option<Arc<Author>>,
    },
    /// A product.
    #[serde(rename_all = "camelCase")]
    ApiProduct {
        /// Plans that offer it.
        plans: usize,
        /// Subscriptions that have a place on one of them.
        subscriptions: usize,
        /// Those that its end concerns, where it or one of its versions is deprecated or retired: the first few.
        affected: Vec<Name>,
    },
    /// An environment.
    #[serde(rename_all = "camelCase")]
    Environment {
        /// Credentials that its gateway is asked to let in.
        clients: usize,
        /// Endpoints of products that it is asked to serve.
        endpoints: usize,
    },
    /// An application.
    #[serde(rename_all = "camelCase")]
    Application {
        /// Subscriptions that name it.
        subscriptions: usize,
        /// Credentials that name it or one of those.
        credentials: usize,
    },
    /// A team.
    #[serde(rename_all = "camelCase")]
    Team {
        /// Its members.
        members: usize,
        /// Applications that name it.
        applications: usize,
    },
}

impl Status {
    /// The condition of a type.
    pub fn condition(&self, r#type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.r#type == r#type)
    }

    /// Whether all is as it should be.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|condition| condition.status)
    }
}

/// How far an object's outputs are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Programmed {
    /// It has none, and why.
    Nothing(String),
    /// The gateway has not confirmed them yet.
    Waiting(Vec<Name>),
    /// The gateway said no.
    Refused(String),
    /// All are enforced.
    Confirmed,
}

impl Core {
    /// What holds for an object; `None` if it was never heard of.
    pub fn status(&self, key: &ObjectKey) -> Option<Status> {
        let problems: Vec<&Diagnostic> = self.diagnostics_of(key).collect();
        if !self.has(key) && problems.is_empty() {
            return None;
        }
        let errors = || problems.iter().filter(|problem| problem.severity == Severity::Error);
        let mut conditions = Vec::new();
        let mut condition = |r#type, status, reason, message: &str| {
            conditions.push(Condition { r#type, status, reason, message: message.to_owned() });
        };

        let unresolved = errors().find(|problem| problem.code == "missing-reference");
        let invalid = errors().find(|problem| problem.code != "missing-reference");
        match invalid {
            Some(problem) => condition("Accepted", false, "Invalid", &problem.to_string()),
            None => condition("Accepted", true, "Accepted", "it reads well"),
        }
        match unresolved {
            Some(problem) => condition("ResolvedRefs", false, "NotFound", &problem.to_string()),
            // What does not read refers to nothing that one could tell.
            None if !self.has(key) => {}
            None => condition("ResolvedRefs", true, "Resolved", "all it refers to is there"),
        }
        // What it waits for, and what it is instead of ready because its owner wants that: a word and a sentence.
        let (mut waiting, mut resting) = (None, None);
        if key.kind == Kind::Subscription
            && let Some(view) = self.views.subscriptions.get(&key.name)
        {
            let reason = match (view.phase, view.against.as_ref().map(|against| against.decision)) {
                (Phase::Active | Phase::PendingCancellation | Phase::Pending, Some(Decision::Denied)) => "Rejected",
                (Phase::Active | Phase::PendingCancellation | Phase::Pending, Some(Decision::ChangesRequested)) => {
                    "ChangesRequested"
                }
                (Phase::Active | Phase::PendingCancellation, _) => "Pending",
                (phase, _) => phase_reason(phase),
            };
            let over = matches!(view.phase, Phase::Cancelled | Phase::Expired);
            match (&view.grant, view.waiting.as_deref()) {
                (Some(_), text) if over => condition("Approved", true, "Granted", text.unwrap_or("as asked")),
                (Some(_), None) => condition("Approved", true, "Granted", "as asked"),
                (_, text) => condition("Approved", false, reason, text.unwrap_or(reason)),
            }
            let text = match view.phase {
                Phase::Suspended => Some("it is suspended; its keys are kept, and work again without `suspend`"),
                _ => view.waiting.as_deref(),
            };
            let said = (reason, text.unwrap_or(reason).to_owned());
            if over || view.phase == Phase::Suspended {
                resting = Some(said);
            } else if view.in_force().is_none() || text.is_some() {
                waiting = Some(said);
            }
        }
        if key.kind == Kind::Credential
            && let Some((idle, text)) = self.views.credentials.get(&key.name).and_then(|view| view.idle.as_ref())
        {
            let text = text.to_string();
            match idle {
                // Its problems are told instead.
                Idle::Broken => {}
                Idle::Outlived => waiting = Some(("Expired", text)),
                Idle::Unsupported => waiting = Some(("Unsupported", text)),
                Idle::Unserved | Idle::Waiting => waiting = Some(("Pending", text)),
                Idle::Rejected => waiting = Some(("Rejected", text)),
                Idle::Suspended => resting = Some(("Suspended", text)),
                Idle::Cancelled => resting = Some(("Cancelled", text)),
                Idle::Expired => resting = Some(("Expired", text)),
                Idle::Disabled => resting = Some(("Disabled", text)),
            }
        }
        if key.kind == Kind::Approval
            && let Some(why) = self.views.approvals.get(&key.name).and_then(|view| view.waiting.as_deref())
        {
            waiting = Some(("Pending", format!("waits until it is known who wrote it: {why}")));
        }
        let programmed = self.programmed(key);
        match &programmed {
            Some(Programmed::Confirmed) => condition("Programmed", true, "Programmed", "the gateway confirmed it"),
            Some(Programmed::Waiting(environments)) => {
                let names: Vec<String> = environments.iter().map(Name::to_string).collect();
                let text = format!("waits for a gateway of Environment {}", names.join(", "));
                condition("Programmed", false, "Pending", &text);
            }
            Some(Programmed::Refused(message)) => {
                condition("Programmed", false, "Refused", &format!("the gateway refused it: {message}"));
            }
            Some(Programmed::Nothing(why)) => condition("Programmed", false, "Nothing", why),
            None => {}
        }

        let held = self.deletion(key).and_then(|view| match view.fate {
            Fate::Held(policy) => Some((policy, view.problems.first()?)),
            Fate::Stands | Fate::Gone => None,
        });
        if let Some((policy, problem)) = held {
            let (reason, others) = match policy {
                DeletionPolicy::Cascade => ("DeletionCascades", "Reconciling"),
                DeletionPolicy::Refuse | DeletionPolicy::Orphan => ("DeletionRefused", "Stalled"),
            };
            condition("Ready", false, reason, &problem.to_string());
            condition(others, true, reason, &problem.to_string());
        } else if let Some(problem) = errors().next() {
            condition("Ready", false, "Invalid", &problem.to_string());
            condition("Stalled", true, "Invalid", &problem.to_string());
        } else if let Some(Programmed::Refused(message)) = &programmed {
            condition("Ready", false, "Refused", message);
            condition("Stalled", true, "Refused", message);
        } else if let Some((reason, text)) = waiting {
            // Pending: somebody else will say or do something. Else it stays as it is until its own file says otherwise.
            condition("Ready", false, reason, &text);
            let others = matches!(reason, "Pending" | "PendingPayment");
            condition(if others { "Reconciling" } else { "Stalled" }, true, reason, &text);
        } else if let Some(Programmed::Waiting(_)) = &programmed {
            condition("Ready", false, "Programming", "waits for its gateway");
            condition("Reconciling", true, "Programming", "waits for its gateway");
        } else if let Some((reason, text)) = resting {
            condition("Ready", true, reason, &text);
        } else if let (Kind::Credential, Some(Programmed::Nothing(why))) = (key.kind, &programmed) {
            condition("Ready", false, "Issuing", why);
            condition("Reconciling", true, "Issuing", why);
        } else if let Some(end) = self.ends_soon(key) {
            let text = format!("it works until {end}; raise `generation`, or `expiresAt`, to go on after that");
            condition("Ready", true, "ExpiresSoon", &text);
        } else if let Some(Programmed::Nothing(why)) = &programmed {
            condition("Ready", true, "Ready", why);
        } else {
            condition("Ready", true, "Ready", "all is as it should be");
        }
        Some(Status { observed_generation: self.world.generation(key), conditions, detail: self.detail(key) })
    }

    /// What is wrong with an object.
    pub fn diagnostics_of(&self, key: &ObjectKey) -> impl Iterator<Item = &Diagnostic> {
        let name = &key.name;
        let own = match key.kind {
            Kind::Environment => self.views.environments.get(name).map(|view| &view.problems),
            Kind::ApiProduct => self.views.products.get(name).map(|view| &view.problems),
            Kind::Plan => self.views.plans.get(name).map(|view| &view.problems),
            Kind::Application => self.views.applications.get(name).map(|view| &view.problems),
            Kind::Subscription => self.views.subscriptions.get(name).map(|view| &view.problems),
            Kind::Credential => self.views.credentials.get(name).map(|view| &view.problems),
            Kind::Approval => self.views.approvals.get(name).map(|view| &view.problems),
            Kind::Portal | Kind::Team | Kind::Developer => None,
        };
        let deletion = self.deletion(key).map(|view| &view.problems);
        self.world.findings.get(key).into_iter().chain(own.filter(|_| self.has(key))).chain(deletion).flatten()
    }

    /// What is wrong with any object, ordered by object.
    pub fn diagnostics(&self) -> Vec<&Diagnostic> {
        let mut keys: Vec<ObjectKey> = self.objects().filter(|key| self.diagnostics_of(key).next().is_some()).collect();
        keys.extend(self.world.findings.keys().filter(|key| !self.has(key)).cloned());
        keys.sort();
        keys.dedup();
        keys.iter().flat_map(|key| self.diagnostics_of(key).collect::<Vec<_>>()).collect()
    }

    /// Every object, in no particular order. One that was deleted and is still held is among them.
    pub fn objects(&self) -> impl Iterator<Item = ObjectKey> {
        self.world.keys().filter(|key| self.has(key))
    }

    /// What the Portals say.
    pub fn portals(&self) -> impl Iterator<Item = (Name, Box<PortalSpec>)> {
        self.world.portals.iter().map(|(name, entry)| (name.clone(), entry.spec.clone()))
    }

    /// An object as it was put.
    pub fn object(&self, key: &ObjectKey) -> Option<Object> {
        fn of<S: Clone>(table: &Table<S>, name: &Name, wrap: fn(Box<S>) -> Spec) -> Option<(Meta, Spec)> {
            table.get(name).map(|entry| (entry.meta.clone(), wrap(entry.spec.clone())))
        }
        let (name, world) = (&key.name, &self.world);
        let (meta, spec) = match key.kind {
            Kind::Portal => of(&world.portals, name, Spec::Portal),
            Kind::Environment => of(&world.environments, name, Spec::Environment),
            Kind::ApiProduct => of(&world.products, name, Spec::ApiProduct),
            Kind::Plan => of(&world.plans, name, Spec::Plan),
            Kind::Team => of(&world.teams, name, Spec::Team),
            Kind::Developer => of(&world.developers, name, Spec::Developer),
            Kind::Application => of(&world.applications, name, Spec::Application),
            Kind::Subscription => of(&world.subscriptions, name, Spec::Subscription),
            Kind::Approval => of(&world.approvals, name, Spec::Approval),
            Kind::Credential => of(&world.credentials, name, Spec::Credential),
        }?;
        let Meta { created, generation, author } = meta;
        Some(Object { name: name.clone(), generation, created, author, spec })
    }

    /// Whether an object is there. One that was deleted is, for as long as it is held.
    pub fn has(&self, key: &ObjectKey) -> bool {
        self.world.has(key) && self.deletion(key).is_none_or(|view| view.fate != Fate::Gone)
    }

    /// When a credential ends, if that is soon.
    fn ends_soon(&self, key: &ObjectKey) -> Option<Timestamp> {
        let view = self.views.credentials.get(&key.name).filter(|_| key.kind == Kind::Credential);
        view.and_then(|view| view.ends_soon)
    }

    fn detail(&self, key: &ObjectKey) -> Option<Detail> {
        let name = &key.name;
        Some(match key.kind {
            Kind::Subscription => {
                let view = self.views.subscriptions.get(name)?;
                let grant = view.grant.as_ref();
                Detail::Subscription {
                    phase: view.phase,
                    stage: view.stage,
                    plan: grant.map(|grant| grant.plan.name.clone()),
                    scopes: grant.map(|grant| grant.scopes.to_vec()).unwrap_or_default(),
                    approval: grant.and_then(|grant| grant.approval.clone()),
                    ends_at: resolve::ends_at(
                        self.world.subscriptions.get(name)?,
                        self.world.ended.get(name).copied(),
                        grant.map(|grant| &*grant.plan),
                    ),
                }
            }
            Kind::Credential => {
                let entry = self.world.credentials.get(name)?;
                let made = self.world.made.get(name).map(Vec::as_slice).unwrap_or_default();
                Detail::Credential {
                    generations: made.iter().map(|made| made.generation).collect(),
                    fingerprint: made.last().map(|made| made.fingerprint.to_string()),
                    previous_valid_until: self.views.credentials.get(name)?.previous_until,
                    expires_at: resolve::sooner(
                        entry.spec.expires_at.map(|at| *at),
                        made.last().and_then(|made| made.expires),
                    ),
                }
            }
            Kind::Plan => Detail::Plan {
                subscriptions: self.holders.get(name).copied().unwrap_or(0),
                terms: self.views.plans.get(name).map(|view| view.digest.to_string()),
                affected: self.affected(name),
                limits: self.limits(name, self.world.plans.get(name)?),
            },
            Kind::ApiProduct => {
                let holders = self.world.plans_of.of(name).filter_map(|plan| self.holders.get(plan));
                let plans =
                    self.world.plans_of.of(name).filter(|plan| self.has(&(*plan).clone().of(Kind::Plan))).count();
                let affected = self.affected_by_product(name);
                Detail::ApiProduct { plans, subscriptions: holders.sum(), affected }
            }
            Kind::Environment => {
                let state = self.gateways.get(name);
                let count = |of: fn(&GatewayState) -> usize| state.map_or(0, of);
                Detail::Environment { clients: count(|state| state.clients), endpoints: count(|state| state.apis) }
            }
            Kind::Application => {
                let (of, world) = (&self.world.subscriptions_of_application, &self.world);
                let theirs = of.of(name).map(|subscription| world.credentials_of_subscription.count(subscription));
                let credentials = theirs.sum::<usize>() + world.credentials_of_application.count(name);
                Detail::Application { subscriptions: of.count(name), credentials }
            }
            Kind::Team => Detail::Team {
                members: self.world.teams.get(name)?.spec.members.len(),
                applications: self.world.applications_of_team.count(name),
            },
            Kind::Approval => {
                let known = |author: &&Arc<Author>| !matches!(***author, Author::Unknown(_));
                Detail::Approval {
                    decided: self.world.approvals.get(name)?.meta.author.as_ref().filter(known).cloned(),
                }
            }
            Kind::Developer | Kind::Portal => return None,
        })
    }

    /// The first few of those that a plan's end concerns, in order of their names.
    fn affected(&self, plan: &Name) -> Vec<Name> {
        if !self.views.plans.get(plan).is_some_and(|view| is_ending(view.terms.stage)) {
            return Vec::new();
        }
        self.subscribers(plan).take(AFFECTED).cloned().collect()
    }

    /// The first few of those that the end of a product or of one of its versions concerns, in order of their names.
    fn affected_by_product(&self, product: &Name) -> Vec<Name> {
        let spec = self.world.products.get(product).map(|entry| &entry.spec);
        let versions = spec.into_iter().flat_map(|spec| &spec.versions).filter_map(|one| one.lifecycle.as_ref());
        let ends = self.views.products.get(product).is_some_and(|view| is_ending(view.terms.stage))
            || versions.into_iter().any(|lifecycle| is_ending(lifecycle.stage));
        let plans = self.world.plans_of.of(product).filter(|_| ends);
        let mut names: Vec<Name> = plans.flat_map(|plan| self.subscribers(plan).take(AFFECTED)).cloned().collect();
        names.sort();
        names.dedup();
        names.truncate(AFFECTED);
        names
    }

    /// Those who are granted a plan, in use or over but not cancelled, in order of their names.
    fn subscribers<'a>(&'a self, plan: &'a Name) -> impl Iterator<Item = &'a Name> {
        self.world.subscriptions_to_plan.of(plan).filter(move |name| {
            let view = self.views.subscriptions.get(*name);
            let grant = view.filter(|view| view.phase != Phase::Cancelled).and_then(|view| view.grant.as_ref());
            grant.is_some_and(|grant| grant.plan.name == *plan)
        })
    }

    /// The outputs of a product, as far as it says now.
    fn apis<'a>(&'a self, product: &'a Name) -> impl Iterator<Item = OutputKey> + 'a {
        let endpoints = self.world.products.get(product).map(|entry| entry.spec.endpoints.as_slice());
        (0..).zip(endpoints.unwrap_or_default()).map(|(index, endpoint)| OutputKey::Api {
            environment: World::resolve(&endpoint.environment, product),
            product: product.clone(),
            index,
        })
    }

    /// What gateways hold a plan's subscribers to, each limit once; two that differ, where gateways do.
    fn limits(&self, name: &Name, plan: &Entry<PlanSpec>) -> Vec<Limit> {
        let mut limits: Vec<Limit> = Vec::new();
        for product in &plan.spec.products {
            let product = World::resolve_product(product, name);
            for enforced in self.apis(&product).filter_map(|key| self.enforced.get(&key)) {
                let here = enforced.iter().filter(|plan| plan.plan == *name).flat_map(|plan| &plan.limits);
                for limit in here.map(|limit| limit.said(&product)) {
                    if !limits.contains(&limit) {
                        limits.push(limit);
                    }
                }
            }
        }
        limits
    }

    fn programmed(&self, key: &ObjectKey) -> Option<Programmed> {
        let name = &key.name;
        match key.kind {
            Kind::Environment => {
                let key = OutputKey::Gateway { environment: name.clone() };
                Some(self.together([key], "it has no gateway that this build can drive"))
            }
            Kind::ApiProduct => {
                self.world.products.get(name)?;
                Some(self.together(self.apis(name), "it has no endpoint that is served"))
            }
            Kind::Plan => {
                let products = &self.world.plans.get(name)?.spec.products;
                let products: Vec<Name> =
                    products.iter().map(|product| World::resolve_product(product, name)).collect();
                let keys = products.iter().flat_map(|product| self.apis(product));
                Some(self.together(keys, "none of its products is served"))
            }
            Kind::Credential => {
                let entry = self.world.credentials.get(name)?;
                let view = self.views.credentials.get(name)?;
                let why = match (&view.idle, view.hold) {
                    (Some((_, why)), _) => why,
                    (None, Hold::Live) if entry.spec.import.is_some() && entry.spec.generation == 1 => {
                        "waits for the key that it imports"
                    }
                    (None, Hold::Live) => "its key is being made",
                    (None, Hold::Kept | Hold::Gone) => "it opens nothing",
                };
                let environment = World::resolve(&entry.spec.environment, name);
                Some(self.together([OutputKey::Client { environment, credential: name.clone() }], why))
            }
            Kind::Subscription => {
                let view = self.views.subscriptions.get(name)?;
                let entry = self.world.subscriptions.get(name)?;
                let application = World::resolve_local(&entry.spec.application, name);
                let own = self.world.credentials_of_subscription.of(name);
                let keys = own.chain(self.world.credentials_of_application.of(&application)).filter_map(|credential| {
                    let entry = self.world.credentials.get(credential)?;
                    let environment = World::resolve(&entry.spec.environment, credential);
                    Some(OutputKey::Client { environment, credential: credential.clone() })
                });
                match self.together(keys, "it has no credential that is enforced") {
                    // What its credentials open is not because of it, but until gateways know that, they may open more.
                    Programmed::Confirmed | Programmed::Refused(_) | Programmed::Nothing(_)
                        if view.in_force().is_none() =>
                    {
                        Some(Programmed::Nothing(phase_reason(view.phase).to_owned()))
                    }
                    programmed => Some(programmed),
                }
            }
            _ => None,
        }
    }

    /// How far several outputs are, together. One that is not wanted counts until its gateway has confirmed that it is gone.
    fn together(&self, keys: impl IntoIterator<Item = OutputKey>, nothing: &str) -> Programmed {
        let mut any = false;
        let mut waiting = Vec::new();
        for key in keys {
            let Some(state) = self.gateways.get(key.environment()) else { continue };
            let Some((_, serial)) = self.outputs.get(&key) else {
                // What whoever was here before asked for may be there still.
                let unknown = matches!(key, OutputKey::Client { .. }) && state.confirmed < state.complete;
                let may_be = unknown || state.leaving.contains_key(&key);
                if may_be && self.views.environments.contains_key(key.environment()) {
                    waiting.push(key.environment().clone());
                }
                continue;
            };
            any = true;
            if let Some(message) = state.refused.get(&source(&key)) {
                return Programmed::Refused(message.clone());
            }
            if *serial > state.confirmed {
                waiting.push(key.environment().clone());
            }
        }
        waiting.sort();
        waiting.dedup();
        match (any, waiting.is_empty()) {
            (_, false) => Programmed::Waiting(waiting),
            (false, true) => Programmed::Nothing(nothing.to_owned()),
            (true, true) => Programmed::Confirmed,
        }
    }
}

/// Whether it is over or will be.
fn is_ending(stage: LifecycleStage) -> bool {
    matches!(stage, LifecycleStage::Deprecated | LifecycleStage::Retired)
}

fn phase_reason(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::PendingPayment => "PendingPayment",
        Phase::PaymentFailed => "PaymentFailed",
        Phase::Active => "Active",
        Phase::Suspended => "Suspended",
        Phase::Rejected => "Rejected",
        Phase::PendingCancellation => "PendingCancellation",
        Phase::Cancelled => "Cancelled",
        Phase::Expired => "Expired",
    }
}
