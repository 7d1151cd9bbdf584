//! Desired state and facts as they stand, with what refers to what.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{
    ApiProductSpec, ApplicationSpec, ApprovalSpec, CredentialSpec, DeletionPolicy, DeveloperSpec, EnvironmentSpec,
    LocalRef, NamespacedRef, PlanProduct, PlanSpec, PortalSpec, SubscriptionSpec, TeamSpec,
};

use crate::batch::{Author, Deletion, Document, Object, Payment, Spec, asked, covered};
use crate::diagnostic::Diagnostic;
use crate::intern::Interner;
use crate::key::{Kind, Name, ObjectKey};
use crate::look;
use crate::openapi::Read;
use crate::table::{Map, Referrers};

/// An object and when it came to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<S> {
    pub(crate) spec: Box<S>,
    pub(crate) meta: Meta,
}

/// What is known of an object besides what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) created: Option<Timestamp>,
    pub(crate) generation: Option<i64>,
    pub(crate) author: Option<Arc<Author>>,
}

pub(crate) type Table<S> = Map<Name, Entry<S>>;

/// Operations by version.
type Documents = BTreeMap<String, Read>;

/// A key that the secret store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) generation: i64,
    /// The `spec.generation` that it was made for.
    pub(crate) asked: i64,
    pub(crate) at: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) fingerprint: Arc<str>,
}

/// Everything the core was told. Only [`World::put`], [`World::delete`] and [`World::remove`] change objects, and they keep the
/// referrers in step; so does [`World::set_on`].
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

    /// Products and plans that were deleted and have not gone: their policy is not `Orphan`. Nearly always there are none.
    pub(crate) deleted_products: Map<Name, Deletion>,
    pub(crate) deleted_plans: Map<Name, Deletion>,
    /// What is wrong with the text of an object, as its front end sees it.
    pub(crate) findings: Map<ObjectKey, Vec<Diagnostic>>,
    /// Parsed OpenAPI documents that front ends found, or why there is none, by product and version.
    documents: Map<Name, Documents>,
    /// Those that stand in the products themselves.
    inline: Map<Name, Documents>,
    /// What the secret store has, oldest generation first.
    pub(crate) made: Map<Name, Vec<Made>>,
    /// Why the key that a credential is to import was not taken.
    pub(crate) not_imported: Map<Name, Arc<str>>,
    /// Subscriptions that were cancelled, and when that took effect.
    pub(crate) ended: Map<Name, Timestamp>,
    /// The plans that subscriptions are on whose files name another one as theirs. See [`World::set_on`].
    on: Map<Name, Name>,
    /// Whether there is a payment provider at all.
    pub(crate) charges: bool,
    /// What it says of subscriptions.
    pub(crate) payments: Map<Name, Payment>,

    pub(crate) products_in: Referrers<Name>,
    pub(crate) plans_of: Referrers<Name>,
    pub(crate) applications_by_reference: Referrers<Name>,
    /// By team; those that name none, by their namespace and an empty name.
    pub(crate) applications_of_team: Referrers<Name>,
    pub(crate) teams_of_member: Referrers<Name>,
    pub(crate) teams_of_group: Referrers<Name>,
    pub(crate) developers_by_mail: Referrers<Name>,
    pub(crate) subscriptions_of_application: Referrers<Name>,
    pub(crate) subscriptions_to_plan: Referrers<Name>,
    pub(crate) approvals_of_subscription: Referrers<Name>,
    pub(crate) approvals_of_plan: Referrers<Name>,
    pub(crate) credentials_of_subscription: Referrers<Name>,
    pub(crate) credentials_of_application: Referrers<Name>,
    pub(crate) credentials_in: Referrers<Name>,

    pub(crate) names: Interner<Name>,
}

impl World {
    /// Takes in an object, and answers whether it says anything new. One that was deleted is there again.
    pub(crate) fn put(&mut self, object: Object) -> bool {
        let restored = match object.spec {
            Spec::ApiProduct(_) => self.deleted_products.remove(&object.name).is_some(),
            Spec::Plan(_) => self.deleted_plans.remove(&object.name).is_some(),
            _ => false,
        };
        self.say(object) || restored
    }

    /// Takes in that a product or a plan was deleted, and what it said last. Answers whether that is news.
    pub(crate) fn delete(&mut self, key: &ObjectKey, said: Option<Object>, deletion: Deletion) -> bool {
        let news = said.is_some_and(|object| self.say(object));
        if !self.has(key) {
            return news;
        }
        if self.policy(key) == Some(DeletionPolicy::Orphan) {
            return self.remove(key) || news;
        }
        let deletions = match key.kind {
            Kind::ApiProduct => &mut self.deleted_products,
            Kind::Plan => &mut self.deleted_plans,
            _ => return news,
        };
        let same = deletions.get(&key.name) == Some(&deletion);
        if !same {
            deletions.insert(key.name.clone(), deletion);
        }
        news || !same
    }

    /// How a product or a plan was deleted that has not gone.
    pub(crate) fn deleted(&self, key: &ObjectKey) -> Option<&Deletion> {
        match key.kind {
            Kind::ApiProduct => self.deleted_products.get(&key.name),
            Kind::Plan => self.deleted_plans.get(&key.name),
            _ => None,
        }
    }

    /// Whether nothing was deleted that has not gone, as is nearly always so.
    pub(crate) fn deletes_nothing(&self) -> bool {
        self.deleted_plans.is_empty() && self.deleted_products.is_empty()
    }

    /// The subscriptions that Approvals of a plan are about; one of which two are, twice.
    pub(crate) fn answered<'a>(&'a self, plan: &Name) -> impl Iterator<Item = &'a Name> {
        self.approvals_of_plan.of(plan).filter_map(|approval| {
            let subscription = World::resolve(&self.approvals.get(approval)?.spec.subscription, approval);
            self.subscriptions.get_key_value(&subscription).map(|(name, _)| name)
        })
    }

    /// What a product or a plan that is there wants to happen when it is deleted.
    pub(crate) fn policy(&self, key: &ObjectKey) -> Option<DeletionPolicy> {
        match key.kind {
            Kind::ApiProduct => self.products.get(&key.name).map(|entry| entry.spec.deletion_policy),
            Kind::Plan => self.plans.get(&key.name).map(|entry| entry.spec.deletion_policy),
            _ => None,
        }
    }

    fn say(&mut self, object: Object) -> bool {
        let Object { name, generation, created, author, spec } = object;
        let meta = Meta { created, generation, author };
        let name = self.names.intern(&name);
        match spec {
            Spec::Portal(spec) => self.put_in(|world| &mut world.portals, name, spec, meta),
            Spec::Environment(spec) => self.put_in(|world| &mut world.environments, name, spec, meta),
            Spec::ApiProduct(spec) => {
                let inline = inline(&spec);
                let new = self.put_in(|world| &mut world.products, name.clone(), spec, meta);
                if new && inline.is_empty() {
                    self.inline.remove(&name);
                } else if new {
                    let read =
                        |(version, text): (String, String)| (version, Read::new(&Document::new(Ok(text.into()))));
                    self.inline.insert(name, inline.into_iter().map(read).collect());
                }
                new
            }
            Spec::Plan(spec) => self.put_in(|world| &mut world.plans, name, spec, meta),
            Spec::Team(spec) => self.put_in(|world| &mut world.teams, name, spec, meta),
            Spec::Developer(spec) => self.put_in(|world| &mut world.developers, name, spec, meta),
            Spec::Application(spec) => self.put_in(|world| &mut world.applications, name, spec, meta),
            Spec::Subscription(spec) => {
                // Made again while nobody looked: another one by the same name.
                let created = self.subscriptions.get(&name).and_then(|entry| entry.meta.created);
                if created.is_some() && meta.created.is_some() && created != meta.created {
                    self.ended.remove(&name);
                    self.set_on(&name, None);
                }
                let new = self.put_in(|world| &mut world.subscriptions, name.clone(), spec, meta);
                if let Some(plan) = self.on.get(&name) {
                    // Referrers follow what files say, and it may have said so before.
                    self.subscriptions_to_plan.insert(plan.clone(), name);
                }
                new
            }
            Spec::Approval(spec) => self.put_in(|world| &mut world.approvals, name, spec, meta),
            Spec::Credential(spec) => self.put_in(|world| &mut world.credentials, name, spec, meta),
        }
    }

    fn put_in<S: Links + PartialEq>(
        &mut self,
        table: fn(&mut World) -> &mut Table<S>,
        name: Name,
        spec: Box<S>,
        mut meta: Meta,
    ) -> bool {
        let mut before = Vec::new();
        if let Some(entry) = table(self).get(&name) {
            meta.created = meta.created.or(entry.meta.created);
            if *entry.spec == *spec && entry.meta == meta {
                return false;
            }
            before = entry.spec.links(&name);
        }
        self.relink(&name, before, spec.links(&name));
        table(self).insert(name, Entry { spec, meta });
        true
    }

    /// Forgets an object, and answers whether it was there.
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> bool {
        let name = &key.name;
        match key.kind {
            Kind::Portal => self.remove_from(|world| &mut world.portals, name),
            Kind::Environment => self.remove_from(|world| &mut world.environments, name),
            Kind::ApiProduct => {
                self.inline.remove(name);
                self.deleted_products.remove(name);
                self.remove_from(|world| &mut world.products, name)
            }
            Kind::Plan => {
                self.deleted_plans.remove(name);
                self.remove_from(|world| &mut world.plans, name)
            }
            Kind::Team => self.remove_from(|world| &mut world.teams, name),
            Kind::Developer => self.remove_from(|world| &mut world.developers, name),
            Kind::Application => self.remove_from(|world| &mut world.applications, name),
            Kind::Subscription => {
                self.ended.remove(name);
                self.set_on(name, None);
                self.remove_from(|world| &mut world.subscriptions, name)
            }
            Kind::Approval => self.remove_from(|world| &mut world.approvals, name),
            Kind::Credential => {
                self.not_imported.remove(name);
                self.remove_from(|world| &mut world.credentials, name)
            }
        }
    }

    fn remove_from<S: Links>(&mut self, table: fn(&mut World) -> &mut Table<S>, name: &Name) -> bool {
        let Some(entry) = table(self).remove(name) else { return false };
        self.relink(name, entry.spec.links(name), Vec::new());
        true
    }

    fn relink(&mut self, name: &Name, before: Vec<Link>, after: Vec<Link>) {
        if before == after {
            return;
        }
        for Link { role, target } in before {
            self.referrers(role).remove(&target, name);
        }
        for Link { role, target } in after {
            let target = self.names.intern(&target);
            self.referrers(role).insert(target, name.clone());
        }
    }

    /// Takes in a product's document, or forgets it.
    pub(crate) fn document(&mut self, product: &Name, version: String, document: Option<Document>) {
        if let Some(document) = document {
            self.documents.entry(product.clone()).or_default().insert(version, Read::new(&document));
        } else if let Some(versions) = self.documents.get_mut(product) {
            versions.remove(&version);
            if versions.is_empty() {
                self.documents.remove(product);
            }
        }
    }

    /// The plans that a subscription has or asks for: its own, the one that it wants to change to, and the one that it is on.
    pub(crate) fn asked(&self, subscription: &Name) -> impl Iterator<Item = Name> + use<> {
        let on = self.on.get(subscription).cloned();
        let named: Vec<Name> = self.named(subscription).filter(|named| Some(named) != on.as_ref()).collect();
        named.into_iter().chain(on)
    }

    /// The plans that a subscription's file names.
    pub(crate) fn named(&self, subscription: &Name) -> impl Iterator<Item = Name> + use<> {
        self.subscriptions.get(subscription).map(|entry| asked(&entry.spec, subscription)).into_iter().flatten()
    }

    /// The products that a plan covers.
    pub(crate) fn covered(&self, plan: &Name) -> impl Iterator<Item = Name> {
        self.plans.get(plan).into_iter().flat_map(move |entry| covered(&entry.spec, plan))
    }

    /// The plan that a subscription is on, where its file names another one as its own.
    pub(crate) fn on(&self, subscription: &Name) -> Option<&Name> {
        self.on.get(subscription)
    }

    /// The plan that a subscription is on, or that its file names as its own.
    pub(crate) fn is_on(&self, subscription: &Name) -> Option<Name> {
        let entry = self.subscriptions.get(subscription)?;
        Some(self.on.get(subscription).cloned().unwrap_or_else(|| World::resolve(&entry.spec.plan, subscription)))
    }

    /// Notes the plan that a subscription is on, whatever its file says; `None` where that is the one that its file names.
    /// Answers whether that is news.
    pub(crate) fn set_on(&mut self, subscription: &Name, plan: Option<Name>) -> bool {
        let own = self.subscriptions.get(subscription).map(|entry| World::resolve(&entry.spec.plan, subscription));
        let plan = plan.filter(|plan| own.as_ref().is_some_and(|own| own != plan));
        if self.on.get(subscription) == plan.as_ref() {
            return false;
        }
        let before = match plan {
            Some(plan) => {
                self.subscriptions_to_plan.insert(plan.clone(), subscription.clone());
                self.on.insert(subscription.clone(), plan)
            }
            None => self.on.remove(subscription),
        };
        if let Some(before) = before.filter(|before| !self.named(subscription).any(|named| named == *before)) {
            self.subscriptions_to_plan.remove(&before, subscription);
        }
        true
    }

    /// The application that a credential is for, by its subscription or directly.
    pub(crate) fn application_of(&self, credential: &Name) -> Option<Name> {
        let spec = &self.credentials.get(credential)?.spec;
        match (&spec.subscription, &spec.application) {
            (Some(subscription), _) => {
                let subscription = World::resolve_local(subscription, credential);
                let spec = &self.subscriptions.get(&subscription)?.spec;
                Some(World::resolve_local(&spec.application, &subscription))
            }
            (None, application) => Some(World::resolve_local(application.as_ref()?, credential)),
        }
    }

    /// What a version's document describes; `None` if it has none.
    pub(crate) fn read(&self, product: &Name, version: &str) -> Option<&Read> {
        let inline = self.inline.get(product).and_then(|versions| versions.get(version));
        inline.or_else(|| self.documents.get(product)?.get(version))
    }

    /// Whether the object is there.
    pub(crate) fn has(&self, key: &ObjectKey) -> bool {
        self.meta(key).is_some()
    }

    /// `metadata.generation` of an object that is there.
    pub(crate) fn generation(&self, key: &ObjectKey) -> Option<i64> {
        self.meta(key)?.generation
    }

    pub(crate) fn meta(&self, key: &ObjectKey) -> Option<&Meta> {
        fn of<'a, S>(table: &'a Table<S>, name: &Name) -> Option<&'a Meta> {
            table.get(name).map(|entry| &entry.meta)
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

    fn referrers(&mut self, role: Role) -> &mut Referrers<Name> {
        match role {
            Role::ProductIn => &mut self.products_in,
            Role::PlanOf => &mut self.plans_of,
            Role::ApplicationNamed => &mut self.applications_by_reference,
            Role::ApplicationOf => &mut self.applications_of_team,
            Role::MemberOf => &mut self.teams_of_member,
            Role::GroupOf => &mut self.teams_of_group,
            Role::AccountOf => &mut self.developers_by_mail,
            Role::SubscriptionOf => &mut self.subscriptions_of_application,
            Role::SubscriptionTo => &mut self.subscriptions_to_plan,
            Role::ApprovalOf => &mut self.approvals_of_subscription,
            Role::ApprovalOfPlan => &mut self.approvals_of_plan,
            Role::CredentialOfSubscription => &mut self.credentials_of_subscription,
            Role::CredentialOfApplication => &mut self.credentials_of_application,
            Role::CredentialIn => &mut self.credentials_in,
        }
    }

    /// The name that a reference means.
    pub(crate) fn resolve(reference: &NamespacedRef, from: &Name) -> Name {
        Name::new(reference.namespace.as_deref().unwrap_or(from.namespace()), &reference.name)
    }

    /// The product that a plan covers.
    pub(crate) fn resolve_product(reference: &PlanProduct, plan: &Name) -> Name {
        Name::new(reference.namespace.as_deref().unwrap_or(plan.namespace()), &reference.name)
    }

    /// Reference ids are one name space for everybody.
    pub(crate) fn reference(id: &str) -> Name {
        Name::new("", id)
    }

    /// The name that a reference within the namespace means.
    pub(crate) fn resolve_local(reference: &LocalRef, from: &Name) -> Name {
        from.beside(&reference.name)
    }
}

/// The documents that stand in a product, by version.
fn inline(product: &ApiProductSpec) -> Vec<(String, String)> {
    let versions = product.versions.iter();
    let inline = versions.filter_map(|version| {
        let text = version.openapi.as_ref()?.inline.as_deref()?;
        Some((version.name.clone(), text.to_owned()))
    });
    inline.collect()
}

#[derive(PartialEq)]
struct Link {
    role: Role,
    target: Name,
}

/// What a referrer is to what it refers to.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    ProductIn,
    PlanOf,
    ApplicationNamed,
    ApplicationOf,
    MemberOf,
    GroupOf,
    AccountOf,
    SubscriptionOf,
    SubscriptionTo,
    ApprovalOf,
    ApprovalOfPlan,
    CredentialOfSubscription,
    CredentialOfApplication,
    CredentialIn,
}

/// What an object of a kind refers to.
trait Links {
    fn links(&self, name: &Name) -> Vec<Link>;
}

impl Links for PortalSpec {
    fn links(&self, _: &Name) -> Vec<Link> {
        Vec::new()
    }
}

impl Links for EnvironmentSpec {
    fn links(&self, _: &Name) -> Vec<Link> {
        Vec::new()
    }
}

impl Links for TeamSpec {
    fn links(&self, _: &Name) -> Vec<Link> {
        let members = self.members.iter().map(|member| look::person(&member.mail));
        let members = members.map(|target| Link { role: Role::MemberOf, target });
        let groups = self.groups.iter().map(|group| look::group(&group.name));
        members.chain(groups.map(|target| Link { role: Role::GroupOf, target })).collect()
    }
}

impl Links for DeveloperSpec {
    fn links(&self, _: &Name) -> Vec<Link> {
        vec![Link { role: Role::AccountOf, target: look::person(&self.mail) }]
    }
}

impl Links for ApiProductSpec {
    fn links(&self, name: &Name) -> Vec<Link> {
        let environments = self.endpoints.iter().map(|endpoint| World::resolve(&endpoint.environment, name));
        environments.map(|target| Link { role: Role::ProductIn, target }).collect()
    }
}

impl Links for PlanSpec {
    fn links(&self, name: &Name) -> Vec<Link> {
        let products = self.products.iter().map(|product| World::resolve_product(product, name));
        products.map(|target| Link { role: Role::PlanOf, target }).collect()
    }
}

impl Links for ApplicationSpec {
    fn links(&self, name: &Name) -> Vec<Link> {
        let reference = self.reference_id.iter().map(|reference| World::reference(reference));
        let target = match &self.team {
            Some(team) => World::resolve_local(team, name),
            None => name.beside(""),
        };
        let team = Link { role: Role::ApplicationOf, target };
        reference.map(|target| Link { role: Role::ApplicationNamed, target }).chain([team]).collect()
    }
}

impl Links for SubscriptionSpec {
    fn links(&self, name: &Name) -> Vec<Link> {
        let change = self.change.iter().map(|change| World::resolve(&change.plan, name));
        let plan = World::resolve(&self.plan, name);
        let mut links = Vec::with_capacity(2);
        links.push(Link { role: Role::SubscriptionOf, target: World::resolve_local(&self.application, name) });
        links.extend(change.filter(|change| *change != plan).map(|target| Link { role: Role::SubscriptionTo, target }));
        links.push(Link { role: Role::SubscriptionTo, target: plan });
        links
    }
}

impl Links for ApprovalSpec {
    fn links(&self, name: &Name) -> Vec<Link> {
        let named = self.grant.as_ref().map(|grant| &grant.plan).or(self.about.as_ref());
        let plan = named.into_iter().map(|plan| World::resolve_local(plan, name));
        let subscription = Link { role: Role::ApprovalOf, target: World::resolve(&self.subscription, name) };
        plan.map(|target| Link { role: Role::ApprovalOfPlan, target }).chain([subscription]).collect()
    }
}

impl Links for CredentialSpec {
    fn links(&self, name: &Name) -> Vec<Link> {
        let mut links = Vec::with_capacity(2);
        links.push(Link { role: Role::CredentialIn, target: World::resolve(&self.environment, name) });
        if let Some(subscription) = &self.subscription {
            let target = World::resolve_local(subscription, name);
            links.push(Link { role: Role::CredentialOfSubscription, target });
        } else if let Some(application) = &self.application {
            links.push(Link { role: Role::CredentialOfApplication, target: World::resolve_local(application, name) });
        }
        links
    }
}
