//! Desired state and facts as they stand, with what refers to what.

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{
    ApiProductSpec, ApplicationSpec, ApprovalSpec, CredentialSpec, DeveloperSpec, EnvironmentSpec, LocalRef,
    NamespacedRef, PlanProduct, PlanSpec, PortalSpec, SubscriptionSpec, TeamSpec,
};

use crate::batch::{Document, Object, Spec};
use crate::diagnostic::Diagnostic;
use crate::key::{Kind, Name, ObjectKey};
use crate::openapi::{self, Operations};
use crate::table::{Map, Referrers, Set};

/// An object and when it came to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<S> {
    pub(crate) spec: Box<S>,
    pub(crate) created: Option<Timestamp>,
    pub(crate) generation: Option<i64>,
}

pub(crate) type Table<S> = Map<Name, Entry<S>>;

/// A key that the secret store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) generation: i64,
    pub(crate) at: Timestamp,
    pub(crate) fingerprint: Arc<str>,
}

/// Everything the core was told. Only [`World::put`], [`World::remove`] and their neighbours change it, and they keep the
/// referrers in step.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) portals: Table<PortalSpec>,
    pub(crate) environments: Table<EnvironmentSpec>,
    pub(crate) products: Table<ApiProductSpec>,
    pub(crate) plans: Table<PlanSpec>,
    pub(crate) teams: Table<TeamSpec>,
    pub(crate) developers: Table<DeveloperSpec>,
    pub(crate) applications: Table<ApplicationSpec>,
    pub(crate) subscriptions: Table<SubscriptionSpec>,
    pub(crate) approvals: Table<ApprovalSpec>,
    pub(crate) credentials: Table<CredentialSpec>,

    /// What is wrong with the text of an object, as its front end sees it.
    pub(crate) findings: Map<ObjectKey, Vec<Diagnostic>>,
    /// Parsed OpenAPI documents, or why there is none, by product and version.
    pub(crate) documents: Map<(Name, String), Result<Operations, String>>,
    /// What the secret store has, oldest generation first.
    pub(crate) made: Map<Name, Vec<Made>>,

    pub(crate) products_in: Referrers<Name>,
    pub(crate) plans_of: Referrers<Name>,
    pub(crate) applications_by_reference: Referrers<Arc<str>>,
    pub(crate) subscriptions_of_application: Referrers<Name>,
    pub(crate) subscriptions_to_plan: Referrers<Name>,
    pub(crate) approvals_of_subscription: Referrers<Name>,
    pub(crate) approvals_of_plan: Referrers<Name>,
    pub(crate) credentials_of_subscription: Referrers<Name>,
    pub(crate) credentials_of_application: Referrers<Name>,
    pub(crate) credentials_in: Referrers<Name>,

    strings: Set<Arc<str>>,
}

impl World {
    /// One `Arc` per text, so that 100,000 references to a plan hold its name once.
    pub(crate) fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(text) {
            return known.clone();
        }
        if self.strings.len() == self.strings.capacity() {
            self.strings.retain(|text| Arc::strong_count(text) > 1);
        }
        let text: Arc<str> = text.into();
        self.strings.insert(text.clone());
        text
    }

    fn intern_name(&mut self, name: &Name) -> Name {
        Name { namespace: self.intern(&name.namespace), name: self.intern(&name.name) }
    }

    fn target(&mut self, reference: &NamespacedRef, from: &Name) -> Name {
        let namespace = match &reference.namespace {
            Some(namespace) => self.intern(namespace),
            None => from.namespace.clone(),
        };
        Name { namespace, name: self.intern(&reference.name) }
    }

    /// Takes in an object, and answers whether it says anything new.
    pub(crate) fn put(&mut self, object: Object) -> bool {
        let Object { name, generation, created, spec } = object;
        let name = self.intern_name(&name);
        let kind = spec.kind();
        let created = created.or_else(|| self.created(kind, &name));
        if self.says(&name, generation, created, &spec) {
            return false;
        }
        self.unlink(kind, &name);
        match spec {
            Spec::Portal(spec) => insert(&mut self.portals, &name, spec, created, generation),
            Spec::Environment(spec) => insert(&mut self.environments, &name, spec, created, generation),
            Spec::ApiProduct(spec) => insert(&mut self.products, &name, spec, created, generation),
            Spec::Plan(spec) => insert(&mut self.plans, &name, spec, created, generation),
            Spec::Team(spec) => insert(&mut self.teams, &name, spec, created, generation),
            Spec::Developer(spec) => insert(&mut self.developers, &name, spec, created, generation),
            Spec::Application(spec) => insert(&mut self.applications, &name, spec, created, generation),
            Spec::Subscription(spec) => insert(&mut self.subscriptions, &name, spec, created, generation),
            Spec::Approval(spec) => insert(&mut self.approvals, &name, spec, created, generation),
            Spec::Credential(spec) => insert(&mut self.credentials, &name, spec, created, generation),
        }
        self.link(kind, &name);
        true
    }

    /// Forgets an object, and answers whether it was there.
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> bool {
        let ObjectKey { kind, name } = key;
        self.unlink(*kind, name);
        match kind {
            Kind::Portal => self.portals.remove(name).is_some(),
            Kind::Environment => self.environments.remove(name).is_some(),
            Kind::ApiProduct => self.products.remove(name).is_some(),
            Kind::Plan => self.plans.remove(name).is_some(),
            Kind::Team => self.teams.remove(name).is_some(),
            Kind::Developer => self.developers.remove(name).is_some(),
            Kind::Application => self.applications.remove(name).is_some(),
            Kind::Subscription => self.subscriptions.remove(name).is_some(),
            Kind::Approval => self.approvals.remove(name).is_some(),
            Kind::Credential => self.credentials.remove(name).is_some(),
        }
    }

    /// Takes in a product's document, or forgets it.
    pub(crate) fn document(&mut self, product: &Name, version: String, document: Option<Document>) {
        let key = (product.clone(), version);
        match document {
            Some(Document::Text(text)) => self.documents.insert(key, openapi::parse(&text)),
            Some(Document::Unreadable(why)) => self.documents.insert(key, Err(why)),
            None => self.documents.remove(&key),
        };
    }

    /// Whether the object is there.
    pub(crate) fn has(&self, key: &ObjectKey) -> bool {
        self.meta(key).is_some()
    }

    /// `metadata.generation` of an object that is there.
    pub(crate) fn generation(&self, key: &ObjectKey) -> Option<i64> {
        self.meta(key)?.1
    }

    fn created(&self, kind: Kind, name: &Name) -> Option<Timestamp> {
        self.meta(&name.clone().of(kind))?.0
    }

    fn meta(&self, key: &ObjectKey) -> Option<(Option<Timestamp>, Option<i64>)> {
        fn of<S>(table: &Table<S>, name: &Name) -> Option<(Option<Timestamp>, Option<i64>)> {
            table.get(name).map(|entry| (entry.created, entry.generation))
        }
        let name = &key.name;
        match key.kind {
            Kind::Portal => of(&self.portals, name),
            Kind::Environment => of(&self.environments, name),
            Kind::ApiProduct => of(&self.products, name),
            Kind::Plan => of(&self.plans, name),
            Kind::Team => of(&self.teams, name),
            Kind::Developer => of(&self.developers, name),
            Kind::Application => of(&self.applications, name),
            Kind::Subscription => of(&self.subscriptions, name),
            Kind::Approval => of(&self.approvals, name),
            Kind::Credential => of(&self.credentials, name),
        }
    }

    /// Every object that is there.
    pub(crate) fn keys(&self) -> impl Iterator<Item = ObjectKey> {
        fn of<S>(table: &Table<S>, kind: Kind) -> impl Iterator<Item = ObjectKey> {
            table.keys().map(move |name| name.clone().of(kind))
        }
        of(&self.portals, Kind::Portal)
            .chain(of(&self.environments, Kind::Environment))
            .chain(of(&self.products, Kind::ApiProduct))
            .chain(of(&self.plans, Kind::Plan))
            .chain(of(&self.teams, Kind::Team))
            .chain(of(&self.developers, Kind::Developer))
            .chain(of(&self.applications, Kind::Application))
            .chain(of(&self.subscriptions, Kind::Subscription))
            .chain(of(&self.approvals, Kind::Approval))
            .chain(of(&self.credentials, Kind::Credential))
    }

    fn says(&self, name: &Name, generation: Option<i64>, created: Option<Timestamp>, spec: &Spec) -> bool {
        fn same<S: PartialEq>(
            table: &Table<S>,
            name: &Name,
            spec: &S,
            created: Option<Timestamp>,
            generation: Option<i64>,
        ) -> bool {
            table
                .get(name)
                .is_some_and(|entry| *entry.spec == *spec && entry.created == created && entry.generation == generation)
        }
        match spec {
            Spec::Portal(spec) => same(&self.portals, name, spec, created, generation),
            Spec::Environment(spec) => same(&self.environments, name, spec, created, generation),
            Spec::ApiProduct(spec) => same(&self.products, name, spec, created, generation),
            Spec::Plan(spec) => same(&self.plans, name, spec, created, generation),
            Spec::Team(spec) => same(&self.teams, name, spec, created, generation),
            Spec::Developer(spec) => same(&self.developers, name, spec, created, generation),
            Spec::Application(spec) => same(&self.applications, name, spec, created, generation),
            Spec::Subscription(spec) => same(&self.subscriptions, name, spec, created, generation),
            Spec::Approval(spec) => same(&self.approvals, name, spec, created, generation),
            Spec::Credential(spec) => same(&self.credentials, name, spec, created, generation),
        }
    }

    fn link(&mut self, kind: Kind, name: &Name) {
        for link in self.links(kind, name) {
            self.referrers(&link).insert(link.target, name.clone());
        }
        if let Some(reference) = self.reference_id(kind, name) {
            self.applications_by_reference.insert(reference, name.clone());
        }
    }

    fn unlink(&mut self, kind: Kind, name: &Name) {
        for link in self.links(kind, name) {
            let target = link.target.clone();
            self.referrers(&link).remove(&target, name);
        }
        if let Some(reference) = self.reference_id(kind, name) {
            self.applications_by_reference.remove(&reference, name);
        }
    }

    fn reference_id(&mut self, kind: Kind, name: &Name) -> Option<Arc<str>> {
        if kind != Kind::Application {
            return None;
        }
        let id = self.applications.get(name)?.spec.reference_id.clone()?;
        Some(self.intern(&id))
    }

    fn referrers(&mut self, link: &Link) -> &mut Referrers<Name> {
        match link.role {
            Role::ProductIn => &mut self.products_in,
            Role::PlanOf => &mut self.plans_of,
            Role::SubscriptionOf => &mut self.subscriptions_of_application,
            Role::SubscriptionTo => &mut self.subscriptions_to_plan,
            Role::ApprovalOf => &mut self.approvals_of_subscription,
            Role::ApprovalOfPlan => &mut self.approvals_of_plan,
            Role::CredentialOfSubscription => &mut self.credentials_of_subscription,
            Role::CredentialOfApplication => &mut self.credentials_of_application,
            Role::CredentialIn => &mut self.credentials_in,
        }
    }

    /// What the object refers to.
    fn links(&mut self, kind: Kind, name: &Name) -> Vec<Link> {
        let references: Vec<(Role, Option<String>, String)> = match kind {
            Kind::ApiProduct => self.products.get(name).map_or_else(Vec::new, |entry| {
                entry.spec.endpoints.iter().map(|endpoint| global(Role::ProductIn, &endpoint.environment)).collect()
            }),
            Kind::Plan => self.plans.get(name).map_or_else(Vec::new, |entry| {
                let products = entry.spec.products.iter();
                products.map(|product| (Role::PlanOf, product.namespace.clone(), product.name.clone())).collect()
            }),
            Kind::Subscription => self.subscriptions.get(name).map_or_else(Vec::new, |entry| {
                vec![
                    local(Role::SubscriptionOf, &entry.spec.application),
                    global(Role::SubscriptionTo, &entry.spec.plan),
                ]
            }),
            Kind::Approval => self.approvals.get(name).map_or_else(Vec::new, |entry| {
                let granted = entry.spec.grant.iter().map(|grant| local(Role::ApprovalOfPlan, &grant.plan));
                std::iter::once(global(Role::ApprovalOf, &entry.spec.subscription)).chain(granted).collect()
            }),
            Kind::Credential => self.credentials.get(name).map_or_else(Vec::new, |entry| {
                let subscription =
                    entry.spec.subscription.iter().map(|target| local(Role::CredentialOfSubscription, target));
                let application =
                    entry.spec.application.iter().map(|target| local(Role::CredentialOfApplication, target));
                let environment = std::iter::once(global(Role::CredentialIn, &entry.spec.environment));
                subscription.chain(application).chain(environment).collect()
            }),
            Kind::Portal | Kind::Environment | Kind::Team | Kind::Developer | Kind::Application => Vec::new(),
        };
        references
            .into_iter()
            .map(|(role, namespace, target)| {
                let target = self.target(&NamespacedRef { name: target, namespace }, name);
                Link { role, target }
            })
            .collect()
    }

    /// The name that a reference means.
    pub(crate) fn resolve(reference: &NamespacedRef, from: &Name) -> Name {
        let namespace = match &reference.namespace {
            Some(namespace) => namespace.as_str().into(),
            None => from.namespace.clone(),
        };
        Name { namespace, name: reference.name.as_str().into() }
    }

    /// The product that a plan covers.
    pub(crate) fn resolve_product(reference: &PlanProduct, plan: &Name) -> Name {
        let namespace = match &reference.namespace {
            Some(namespace) => namespace.as_str().into(),
            None => plan.namespace.clone(),
        };
        Name { namespace, name: reference.name.as_str().into() }
    }

    /// The name that a reference within the namespace means.
    pub(crate) fn resolve_local(reference: &LocalRef, from: &Name) -> Name {
        Name { namespace: from.namespace.clone(), name: reference.name.as_str().into() }
    }
}

fn insert<S>(table: &mut Table<S>, name: &Name, spec: Box<S>, created: Option<Timestamp>, generation: Option<i64>) {
    table.insert(name.clone(), Entry { spec, created, generation });
}

fn local(role: Role, target: &LocalRef) -> (Role, Option<String>, String) {
    (role, None, target.name.clone())
}

fn global(role: Role, target: &NamespacedRef) -> (Role, Option<String>, String) {
    (role, target.namespace.clone(), target.name.clone())
}

struct Link {
    role: Role,
    target: Name,
}

#[derive(Clone, Copy)]
enum Role {
    ProductIn,
    PlanOf,
    SubscriptionOf,
    SubscriptionTo,
    ApprovalOf,
    ApprovalOfPlan,
    CredentialOfSubscription,
    CredentialOfApplication,
    CredentialIn,
}
