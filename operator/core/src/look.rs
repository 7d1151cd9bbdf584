//! What objects say, for those who show them to people: by name, and by what refers to what.
//!
//! Nothing here decides anything. Who may see an answer is the business of whoever asks.

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{
    ApiProductSpec, ApplicationSpec, ApprovalSpec, CredentialSpec, DeveloperSpec, EnvironmentSpec, LifecycleStage,
    NamespacedRef, PlanProduct, PlanSpec, SubscriptionSpec, TeamSpec,
};

use crate::batch::Author;
use crate::core::Core;
use crate::key::{Name, ObjectKey};
use crate::openapi::Unread;
use crate::world::World;

/// The name under which a group of the identity provider is looked up.
pub(crate) fn group(name: &str) -> Name {
    Name::new("", name)
}

/// Somebody, in the index of people: mail addresses are one name space for everybody, and case says nothing.
pub(crate) fn person(mail: &str) -> Name {
    Name::new("", mail.to_lowercase())
}

impl Core {
    /// Every product with its name, in no particular order.
    pub fn products(&self) -> impl Iterator<Item = (&Name, &ApiProductSpec)> {
        self.world.products.iter().map(|(name, entry)| (name, &*entry.spec))
    }

    /// What a product says.
    pub fn product(&self, name: &Name) -> Option<&ApiProductSpec> {
        self.world.products.get(name).map(|entry| &*entry.spec)
    }

    /// The stage that a product is in now: time may have moved it on.
    pub fn product_stage(&self, name: &Name) -> Option<LifecycleStage> {
        self.views.products.get(name).map(|view| view.terms.stage)
    }

    /// What is wrong with the OpenAPI document of a product's version, in a sentence; `None` if there is none, or it reads.
    pub fn document_problem(&self, product: &Name, version: &str) -> Option<&str> {
        match self.world.read(product, version)?.unread.as_ref()? {
            Unread::Absent(why) | Unread::Invalid(why) => Some(why),
        }
    }

    /// Every plan with its name, in no particular order.
    pub fn plans(&self) -> impl Iterator<Item = (&Name, &PlanSpec)> {
        self.world.plans.iter().map(|(name, entry)| (name, &*entry.spec))
    }

    /// What a plan says.
    pub fn plan(&self, name: &Name) -> Option<&PlanSpec> {
        self.world.plans.get(name).map(|entry| &*entry.spec)
    }

    /// The stage that a plan is in now: time may have moved it on.
    pub fn plan_stage(&self, name: &Name) -> Option<LifecycleStage> {
        self.views.plans.get(name).map(|view| view.terms.stage)
    }

    /// Plans that cover a product, in order of their names.
    pub fn plans_of(&self, product: &Name) -> impl Iterator<Item = &Name> {
        self.world.plans_of.of(product)
    }

    /// Whether an application of this namespace and team may subscribe to a plan.
    pub fn open_to(&self, plan: &Name, application: &Name, team: Option<&Name>) -> bool {
        self.views.plans.get(plan).is_some_and(|view| view.terms.open_to(application, team))
    }

    /// Every environment with its name, in no particular order.
    pub fn environments(&self) -> impl Iterator<Item = (&Name, &EnvironmentSpec)> {
        self.world.environments.iter().map(|(name, entry)| (name, &*entry.spec))
    }

    /// What an environment says.
    pub fn environment(&self, name: &Name) -> Option<&EnvironmentSpec> {
        self.world.environments.get(name).map(|entry| &*entry.spec)
    }

    /// Every team with its name, in no particular order.
    pub fn teams(&self) -> impl Iterator<Item = (&Name, &TeamSpec)> {
        self.world.teams.iter().map(|(name, entry)| (name, &*entry.spec))
    }

    /// What a team says.
    pub fn team(&self, name: &Name) -> Option<&TeamSpec> {
        self.world.teams.get(name).map(|entry| &*entry.spec)
    }

    /// Teams that somebody is a member of, in order of their names.
    pub fn teams_of(&self, mail: &str) -> Vec<&Name> {
        self.world.teams_of_member.of(&person(mail)).collect()
    }

    /// Teams that a group of the identity provider has a part in, in order of their names.
    pub fn teams_of_group(&self, name: &str) -> Vec<&Name> {
        self.world.teams_of_group.of(&group(name)).collect()
    }

    /// Accounts with a mail address.
    pub fn accounts(&self, mail: &str) -> Vec<(&Name, &DeveloperSpec)> {
        let key = person(mail);
        let names = self.world.developers_by_mail.of(&key);
        names.filter_map(|name| Some((name, &*self.world.developers.get(name)?.spec))).collect()
    }

    /// What an application says.
    pub fn application(&self, name: &Name) -> Option<&ApplicationSpec> {
        self.world.applications.get(name).map(|entry| &*entry.spec)
    }

    /// Applications that name a team, in order of their names.
    pub fn applications_of(&self, team: &Name) -> impl Iterator<Item = &Name> {
        self.world.applications_of_team.of(team)
    }

    /// Applications of a namespace that name no team, in order of their names.
    pub fn applications_without_team(&self, namespace: &str) -> Vec<&Name> {
        self.world.applications_of_team.of(&Name::new(namespace, "")).collect()
    }

    /// What a subscription says.
    pub fn subscription(&self, name: &Name) -> Option<SubscriptionSpec> {
        self.world.subscriptions.get(name).map(|entry| (*entry.spec).clone())
    }

    /// Subscriptions of an application, in order of their names.
    pub fn subscriptions_by(&self, application: &Name) -> impl Iterator<Item = &Name> {
        self.world.subscriptions_of_application.of(application)
    }

    /// Subscriptions that have a plan, or ask for it, in order of their names.
    pub fn subscriptions_to(&self, plan: &Name) -> impl Iterator<Item = &Name> {
        self.world.subscriptions_to_plan.of(plan)
    }

    /// Subscriptions that wait for an owner's answer, in order of their names.
    pub fn requests(&self) -> impl Iterator<Item = &Name> {
        self.requests.all()
    }

    /// Those of them whose answer is about a plan.
    pub fn requests_to(&self, plan: &Name) -> impl Iterator<Item = &Name> {
        self.requests.of(plan)
    }

    /// Whether a subscription waits for an owner's answer.
    pub fn asks(&self, subscription: &Name) -> bool {
        self.requests.has(subscription)
    }

    /// Subscriptions that ask for a plan, or for more of it, and were told no, or not yet, in order of their names.
    pub fn refused_to(&self, plan: &Name) -> impl Iterator<Item = &Name> {
        self.refused.of(plan)
    }

    /// Whether a subscription was told no, or not yet, so that its owner may say otherwise.
    pub fn is_refused(&self, subscription: &Name) -> bool {
        self.refused.has(subscription)
    }

    /// What was asked for and is not granted, or why there is no access, in a sentence.
    pub fn waiting(&self, subscription: &Name) -> Option<&str> {
        self.views.subscriptions.get(subscription)?.waiting.as_deref()
    }

    /// What an approval says.
    pub fn approval(&self, name: &Name) -> Option<&ApprovalSpec> {
        self.world.approvals.get(name).map(|entry| &*entry.spec)
    }

    /// Whether whoever wrote an approval may decide, so that it counts.
    pub fn approval_stands(&self, name: &Name) -> bool {
        self.views.approvals.get(name).is_some_and(|view| view.stands)
    }

    /// Approvals about a subscription, in order of their names.
    pub fn approvals_of(&self, subscription: &Name) -> impl Iterator<Item = &Name> {
        self.world.approvals_of_subscription.of(subscription)
    }

    /// What a credential says.
    pub fn credential(&self, name: &Name) -> Option<CredentialSpec> {
        self.world.credentials.get(name).map(|entry| (*entry.spec).clone())
    }

    /// The application that a credential is for, by its subscription or directly.
    pub fn application_of(&self, credential: &Name) -> Option<Name> {
        self.world.application_of(credential)
    }

    /// Credentials that are for one subscription, in order of their names.
    pub fn credentials_of(&self, subscription: &Name) -> impl Iterator<Item = &Name> {
        self.world.credentials_of_subscription.of(subscription)
    }

    /// Credentials that are for a whole application, in order of their names.
    pub fn credentials_of_application(&self, application: &Name) -> impl Iterator<Item = &Name> {
        self.world.credentials_of_application.of(application)
    }

    /// When an object first existed, where somebody keeps count of that.
    pub fn created(&self, key: &ObjectKey) -> Option<Timestamp> {
        self.world.meta(key)?.created
    }

    /// Who made an object say what it says, where that is known.
    pub fn author(&self, key: &ObjectKey) -> Option<&Arc<Author>> {
        self.world.meta(key)?.author.as_ref()
    }
}

/// The name that a reference means in the object `from`.
pub fn resolve(reference: &NamespacedRef, from: &Name) -> Name {
    World::resolve(reference, from)
}

/// The product that a plan covers.
pub fn resolve_product(reference: &PlanProduct, plan: &Name) -> Name {
    World::resolve_product(reference, plan)
}
