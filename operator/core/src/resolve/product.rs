//! Products: what is offered, and to whom.

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{Audience, Consumers, ConsumersFrom, DeletionPolicy, LifecycleStage, NamespacedRef, ScopeMode};

use super::{Scene, sooner, stage_at};
use crate::diagnostic::Diagnostic;
use crate::key::{Kind, Name};
use crate::openapi::{Read, Unread};
use crate::world::World;

/// What subscribers are held to. A change of anything else in a product does not concern them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProductTerms {
    pub(crate) name: Name,
    pub(crate) stage: LifecycleStage,
    pub(crate) deprecated_at: Option<Timestamp>,
    pub(crate) consumers: Consumers,
    /// Teams that may see it; `None` is everyone.
    pub(crate) teams: Option<Vec<Name>>,
    pub(crate) scopes: Vec<(Arc<str>, ScopeMode)>,
    /// Where it is served.
    pub(crate) environments: Vec<Name>,
    /// It was deleted together with what is subscribed to it.
    pub(crate) cascades: bool,
}

/// A product as plans and APIs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProductView {
    pub(crate) terms: Arc<ProductTerms>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) wake: Option<Timestamp>,
}

impl ProductTerms {
    /// Whether the owner lets this namespace subscribe.
    pub(crate) fn admits(&self, namespace: &str) -> bool {
        if self.name.namespace() == namespace {
            return true;
        }
        match self.consumers.from {
            ConsumersFrom::Same => false,
            ConsumersFrom::All => true,
            ConsumersFrom::Selected => self.consumers.namespaces.iter().any(|admitted| admitted == namespace),
        }
    }
}

/// Teams that an audience is limited to. Groups are not known here, so an audience of groups alone is nobody's.
pub(super) fn audience_teams(audience: Audience, teams: &[NamespacedRef], from: &Name) -> Option<Vec<Name>> {
    (audience == Audience::Teams).then(|| teams.iter().map(|team| World::resolve(team, from)).collect())
}

pub(crate) fn product(scene: Scene<'_>, name: &Name) -> Option<ProductView> {
    let spec = &scene.world.products.get(name)?.spec;
    let key = name.clone().of(Kind::ApiProduct);
    let (stage, wake) = stage_at(&spec.lifecycle, scene.now);
    let versions = spec.versions.iter().filter_map(|version| version.lifecycle.as_ref());
    let wake = versions.map(|lifecycle| stage_at(lifecycle, scene.now).1).fold(wake, sooner);
    let mut problems = Vec::new();

    for (index, endpoint) in spec.endpoints.iter().enumerate() {
        let environment = World::resolve(&endpoint.environment, name);
        if !scene.world.environments.contains_key(&environment) {
            let path = format!("spec.endpoints[{index}].environment.name");
            problems.push(
                Diagnostic::error("missing-reference", &key, path, format!("there is no Environment {environment}"))
                    .help("create it, or name one that exists; this endpoint is not served"),
            );
        }
        if let Some(version) = &endpoint.version
            && !spec.versions.is_empty()
            && !spec.versions.iter().any(|known| known.name == *version)
        {
            let path = format!("spec.endpoints[{index}].version");
            let known: Vec<_> = spec.versions.iter().map(|known| known.name.as_str()).collect();
            problems.push(
                Diagnostic::error("missing-reference", &key, path, format!("the product has no version `{version}`"))
                    .help(format!("its versions are {}; this endpoint is not served", known.join(", "))),
            );
        }
    }
    for (index, version) in spec.versions.iter().enumerate() {
        let path = || format!("spec.versions[{index}].openapi");
        let Some(Read { operations, unread: Some(unread) }) = scene.world.read(name, &version.name) else { continue };
        let problem = match unread {
            Unread::Absent(why) => Diagnostic::error(
                "missing-openapi",
                &key,
                path(),
                format!("the OpenAPI document is not to be had: {why}"),
            ),
            Unread::Invalid(why) => {
                let message = format!("the OpenAPI document does not read: {why}");
                Diagnostic::warning("invalid-openapi", &key, path(), message)
            }
        };
        let help = match operations {
            Some(_) => "requests are served, by what it said when it last read well",
            None => {
                "which operations are meant by an `operationId` is not known until it reads: plans do not allow them, their \
                 limits count every request, and every request needs the scopes that guard them"
            }
        };
        problems.push(problem.help(help));
    }
    for (index, scope) in spec.scopes.iter().enumerate() {
        for (place, operation) in scope.operations.iter().enumerate() {
            if !super::api::knows(scene, name, operation) {
                let path = format!("spec.scopes[{index}].operations[{place}]");
                let until = format!("scope `{}` guards every request", scope.name);
                problems.push(super::api::unknown_operation(scene, &key, path, name, operation, &until));
            }
        }
    }

    if spec.lifecycle.stage == LifecycleStage::Deprecated && spec.lifecycle.deprecated_at.is_none() {
        problems.push(super::dateless(&key));
    }

    let terms = ProductTerms {
        name: name.clone(),
        stage,
        deprecated_at: spec.lifecycle.deprecated_at.map(|at| *at),
        consumers: spec.consumers.clone(),
        teams: audience_teams(spec.visibility.audience, &spec.visibility.teams, name),
        scopes: spec.scopes.iter().map(|scope| (scope.name.as_str().into(), scope.mode)).collect(),
        environments: super::api::environments(scene, name, spec, stage),
        cascades: scene.world.deleted_products.contains_key(name) && spec.deletion_policy == DeletionPolicy::Cascade,
    };
    Some(ProductView { terms: Arc::new(terms), problems, wake })
}
