//! From a plan to access: what was said so far, what is missing, and what it comes to.

use std::collections::BTreeMap;

use portico_core::Core;
use portico_core::batch::Spec;
use portico_core::key::{Kind, Name};
use portico_crds::{FieldKind, LocalRef, RequestedScope, ScopeMode, SubscriptionSpec};

use super::{Deed, application, credential, refer};
use crate::error::Oops;
use crate::gather::offer::{Offer, is_taken};
use crate::wish;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Application,
    Properties,
    Scopes,
    Terms,
    Review,
}

impl Step {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Step::Application => "application",
            Step::Properties => "properties",
            Step::Scopes => "scopes",
            Step::Terms => "terms",
            Step::Review => "review",
        }
    }
}

/// What was said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    /// An application, or `new`.
    pub(crate) application: String,
    pub(crate) team: String,
    pub(crate) title: String,
    pub(crate) description: String,
    /// What the plan wants to know.
    pub(crate) properties: BTreeMap<String, String>,
    /// Scopes that are asked for.
    pub(crate) scopes: Vec<String>,
    pub(crate) reasons: BTreeMap<String, String>,
    /// The version of the terms that was accepted.
    pub(crate) terms: String,
    pub(crate) environment: String,
    pub(crate) once: String,
}

impl Draft {
    pub(crate) fn read(pairs: &[(String, String)]) -> Draft {
        let mut draft = Draft::default();
        for (name, value) in pairs {
            let value = value.trim().to_owned();
            match name.as_str() {
                "application" => draft.application = value,
                "team" => draft.team = value,
                "title" => draft.title = value,
                "description" => draft.description = value,
                "scope" if !draft.scopes.contains(&value) => draft.scopes.push(value),
                "terms" => draft.terms = value,
                "environment" => draft.environment = value,
                "once" => draft.once = value,
                other => {
                    if value.is_empty() {
                        continue;
                    }
                    if let Some(scope) = other.strip_prefix("reason:") {
                        draft.reasons.insert(scope.to_owned(), value);
                    } else if let Some(property) = other.strip_prefix("property:") {
                        draft.properties.insert(property.to_owned(), value);
                    }
                }
            }
        }
        draft
    }

    /// The application that was chosen, if it is one that is there.
    pub(crate) fn existing<'a>(&self, offer: &'a Offer) -> Option<&'a (Name, String)> {
        offer.applications.iter().find(|(name, _)| name.to_string() == self.application)
    }

    /// The team that a new application is for.
    pub(crate) fn team<'a>(&self, offer: &'a Offer) -> Option<&'a (Name, String)> {
        match offer.teams.as_slice() {
            [only] => Some(only),
            teams => teams.iter().find(|(name, _)| name.to_string() == self.team),
        }
    }

    /// Where its key is for.
    pub(crate) fn environment<'a>(&self, offer: &'a Offer) -> Option<&'a (Name, String)> {
        let chosen = offer.environments.iter().find(|(name, _)| name.to_string() == self.environment);
        chosen.or_else(|| offer.environments.first())
    }

    /// What is missing at a step, in a sentence.
    pub(crate) fn missing(&self, offer: &Offer, step: Step) -> Option<String> {
        match step {
            Step::Application if self.existing(offer).is_some() => None,
            Step::Application if self.application != "new" => {
                Some("Choose an application, or make a new one.".to_owned())
            }
            Step::Application if self.team(offer).is_none() => Some("Choose the team that it is for.".to_owned()),
            Step::Application => application::flaw(&self.title, &self.description).map(str::to_owned),
            Step::Properties => offer.properties.iter().find_map(|property| {
                let answer = self.properties.get(&property.name).map(String::as_str);
                match (property.kind, answer) {
                    (FieldKind::Checkbox, answer) if property.required && answer != Some("true") => {
                        Some(format!("“{}” needs a yes.", property.title))
                    }
                    (_, None) if property.required => Some(format!("“{}” has to be answered.", property.title)),
                    (FieldKind::Choice, Some(answer)) if !property.choices.iter().any(|choice| choice == answer) => {
                        Some(format!("Choose one of the answers to “{}”.", property.title))
                    }
                    (_, Some(answer)) if answer.chars().count() > 1024 => {
                        Some(format!("The answer to “{}” is too long.", property.title))
                    }
                    _ => None,
                }
            }),
            Step::Scopes => offer
                .scopes
                .iter()
                .filter(|scope| scope.mode == ScopeMode::Restricted && self.scopes.contains(&scope.name))
                .find(|scope| !self.reasons.contains_key(&scope.name))
                .map(|scope| format!("Say what you need “{}” for: somebody decides by that.", scope.title)),
            Step::Terms => {
                let terms = offer.card.terms.as_ref()?;
                (terms.version != self.terms).then(|| "The terms have to be accepted.".to_owned())
            }
            Step::Review => None,
        }
    }

    /// The first thing that is missing anywhere, in a sentence.
    pub(crate) fn first_missing(&self, offer: &Offer) -> Option<String> {
        steps(offer).into_iter().find_map(|step| self.missing(offer, step))
    }

    /// What it comes to: an application, if it is a new one, a subscription and a key.
    pub(crate) fn finish(&self, core: &Core, offer: &Offer, plan: &Name) -> Result<Deed, Oops> {
        is_open(offer)?;
        let (product, product_title) =
            offer.product.clone().ok_or_else(|| Oops::Bad("This plan covers no API that is there.".to_owned()))?;
        let mut edits = Vec::new();
        let (application, title) = if let Some((application, title)) = self.existing(offer) {
            (application.clone(), title.clone())
        } else {
            let (team, _) = self.team(offer).ok_or(Oops::NotFound)?;
            let (application, edit) = application::new(core, team, &self.title, &self.description, Vec::new());
            edits.push(edit);
            (application, self.title.clone())
        };
        let namespace = application.namespace();
        let taken = |name: &str| {
            is_taken(core, Kind::Subscription, namespace, name) || is_taken(core, Kind::Credential, namespace, name)
        };
        let short = wish::name(&format!("{}-{}", application.name(), product.name()), "subscription", taken);
        let subscription = application.beside(short);
        let scopes = self
            .scopes
            .iter()
            .map(|scope| RequestedScope { name: scope.clone(), reason: self.reasons.get(scope).cloned() });
        let spec = SubscriptionSpec {
            application: LocalRef { name: application.name().to_string() },
            plan: refer(plan, namespace),
            change: None,
            scopes: scopes.collect(),
            accepted_terms: offer.card.terms.as_ref().map(|terms| terms.version.clone()),
            properties: self.properties.clone().into(),
            suspend: false,
            cancel_at: None,
            go_live: false,
        };
        edits.push(wish::put(subscription.clone(), Spec::Subscription(Box::new(spec))));
        if let Some((environment, _)) = self.environment(offer) {
            let spec = credential::spec(&subscription, environment, None);
            edits.push(wish::put(subscription.clone(), Spec::Credential(Box::new(spec))));
        }
        let summary = format!("{title}: subscribe to {product_title}, plan {}", offer.card.title);
        Ok(Deed { summary, edits, about: subscription.of(Kind::Subscription) })
    }
}

/// The steps that apply.
pub(crate) fn steps(offer: &Offer) -> Vec<Step> {
    let mut steps = vec![Step::Application];
    if !offer.properties.is_empty() {
        steps.push(Step::Properties);
    }
    if !offer.scopes.is_empty() {
        steps.push(Step::Scopes);
    }
    if offer.card.terms.is_some() {
        steps.push(Step::Terms);
    }
    steps.push(Step::Review);
    steps
}

/// Whether anybody can subscribe.
pub(crate) fn is_open(offer: &Offer) -> Result<(), Oops> {
    offer.closed.as_ref().map_or(Ok(()), |closed| Err(Oops::Forbidden(closed.clone())))
}
