//! APIs at a gateway: a product's endpoint together with what each of its plans allows there.

use portico_crds::{ApiProductSpec, Endpoint, Lifecycle, LifecycleStage, Limit as LimitSpec, LimitsSharedBy, PlanSpec};

use super::{Fate, Scene, nearest, stage_at};
use crate::diagnostic::Diagnostic;
use crate::gateway::{Api, ApiPlan, Deprecated, Guarded, Limit, Operation, Scope};
use crate::key::{Kind, Name, ObjectKey};
use crate::openapi::{self, Operations};
use crate::world::World;

/// The version of a product that says nothing of versions.
const ONLY_VERSION: &str = "v1";

/// What each endpoint of a product is at its gateway, by place in `spec.endpoints`. Endpoints that cannot be served are
/// left out.
pub(crate) fn apis(scene: Scene<'_>, name: &Name) -> Vec<(Name, u32, Api)> {
    let (Some(entry), Some(view)) = (scene.world.products.get(name), scene.views.products.get(name)) else {
        return Vec::new();
    };
    let is_gone = scene.views.deleted_products.get(name).is_some_and(|view| view.fate == Fate::Gone);
    if matches!(view.terms.stage, LifecycleStage::Draft | LifecycleStage::Retired) || is_gone || view.terms.cascades {
        return Vec::new();
    }
    let endpoints = (0..).zip(&entry.spec.endpoints);
    endpoints
        .filter_map(|(index, endpoint)| {
            let environment = World::resolve(&endpoint.environment, name);
            scene.views.environments.get(&environment)?.gateway.as_ref()?;
            Some((environment, index, api(scene, name, &entry.spec, endpoint)?))
        })
        .collect()
}

/// Where a product of this stage is served, whatever becomes of the gateways there.
pub(super) fn environments(scene: Scene<'_>, name: &Name, spec: &ApiProductSpec, stage: LifecycleStage) -> Vec<Name> {
    if matches!(stage, LifecycleStage::Draft | LifecycleStage::Retired) {
        return Vec::new();
    }
    let served = spec.endpoints.iter().filter(|endpoint| version(scene, spec, endpoint).is_some());
    let mut environments: Vec<Name> = served.map(|endpoint| World::resolve(&endpoint.environment, name)).collect();
    environments.sort();
    environments.dedup();
    environments
}

/// The version that an endpoint serves, and what that says of its own life.
fn version<'a>(
    scene: Scene<'_>,
    spec: &'a ApiProductSpec,
    endpoint: &'a Endpoint,
) -> Option<(&'a str, Option<&'a Lifecycle>)> {
    let known = |version: &str| spec.versions.iter().find(|known| known.name == version);
    let version = match &endpoint.version {
        Some(version) if spec.versions.is_empty() || known(version).is_some() => version.as_str(),
        Some(_) => return None,
        None => spec.versions.first().map_or(ONLY_VERSION, |version| version.name.as_str()),
    };
    let own = known(version).and_then(|version| version.lifecycle.as_ref());
    let is_served =
        |own: &Lifecycle| !matches!(stage_at(own, scene.now).0, LifecycleStage::Draft | LifecycleStage::Retired);
    own.is_none_or(is_served).then_some((version, own))
}

fn api(scene: Scene<'_>, name: &Name, spec: &ApiProductSpec, endpoint: &Endpoint) -> Option<Api> {
    let (version, own) = version(scene, spec, endpoint)?;
    let deprecated = own.into_iter().chain([&spec.lifecycle]).filter_map(deprecated).reduce(Deprecated::and);
    let operations = described(scene, name, version);

    let plans = scene.world.plans_of.of(name).filter_map(|plan| {
        let view = scene.views.plans.get(plan)?;
        let covers = view.terms.products.iter().any(|product| product.name == *name);
        let is_gone = scene.views.deleted_plans.get(plan).is_some_and(|view| view.fate == Fate::Gone);
        (covers && view.terms.stage != LifecycleStage::Retired && !is_gone && !view.terms.cascades).then_some(())?;
        Some(at_product(scene, &scene.world.plans.get(plan)?.spec, plan, name, operations))
    });
    let guarded = spec.scopes.iter().filter(|scope| !scope.operations.is_empty()).map(|scope| Guarded {
        scope: scope.name.clone(),
        operations: guarded(scene, name, operations, &scope.operations),
    });
    Some(Api {
        product: name.clone(),
        version: version.to_owned(),
        hosts: endpoint.hosts.clone(),
        base_path: base_path(&endpoint.base_path),
        upstream: endpoint.upstream.clone(),
        cors: endpoint.cors.clone(),
        plans: plans.collect(),
        guarded: guarded.collect(),
        deprecated,
    })
}

/// What callers are told of something that is deprecated.
fn deprecated(lifecycle: &Lifecycle) -> Option<Deprecated> {
    (lifecycle.stage == LifecycleStage::Deprecated).then(|| Deprecated {
        since: lifecycle.deprecated_at.map(|at| *at),
        sunset: lifecycle.sunset_at.map(|at| *at),
        links: lifecycle.url.iter().cloned().collect(),
    })
}

fn base_path(text: &str) -> String {
    format!("/{}", text.trim_matches('/'))
}

/// The operations of a version; `None` where no document tells them, or ever did.
fn described<'a>(scene: Scene<'a>, product: &Name, version: &str) -> Option<&'a Operations> {
    scene.world.read(product, version)?.operations.as_ref()
}

/// What a scope guards. Where nobody knows which operations it names, it guards all: better closed than open.
fn guarded(
    scene: Scene<'_>,
    product: &Name,
    operations: Option<&Operations>,
    names: &[String],
) -> Option<Vec<Operation>> {
    let blind = names.iter().any(|name| is_lost(scene, product, operations, name));
    (!blind).then(|| found(operations, names))
}

/// Whether a name may be that of any operation here: no document tells, or none of the product has it.
fn is_lost(scene: Scene<'_>, product: &Name, operations: Option<&Operations>, name: &str) -> bool {
    openapi::written_out(name).is_none() && (operations.is_none() || !knows(scene, product, name))
}

/// What a plan allows at one of its products.
fn at_product(
    scene: Scene<'_>,
    spec: &PlanSpec,
    plan: &Name,
    product: &Name,
    operations: Option<&Operations>,
) -> ApiPlan {
    let reference = spec.products.iter().find(|reference| World::resolve_product(reference, plan) == *product);
    let only = reference.filter(|reference| !reference.operations.is_empty());
    let mut limits: Vec<Limit> = Vec::new();
    // An operation that may be any here; unless it is or may be one of another product that the limit is for too.
    let others =
        || spec.products.iter().map(|other| World::resolve_product(other, plan)).filter(|other| other != product);
    let elsewhere = |limit: &LimitSpec, name: &str| {
        limit.product.is_none() && others().any(|other| knows(scene, &other, name) || blind(scene, &other))
    };
    let here = |limit: &&LimitSpec| limit.product.as_deref().is_none_or(|only| only == product.name());
    let blind = spec.limits.iter().filter(here).any(|limit| {
        limit.operations.iter().any(|name| is_lost(scene, product, operations, name) && !elsewhere(limit, name))
    });
    for limit in spec.limits.iter().filter(here) {
        // What denies methods denies no more than those. Else the strictest is that all limits count every request.
        let denies = limit.requests == 0 && limit.operations.is_empty();
        let scope = if blind && !denies { Some(Scope::Plan) } else { scope(limit, operations) };
        let Some(scope) = scope else { continue };
        let requests = u64::try_from(limit.requests).unwrap_or(0);
        let alone = limit.product.is_some();
        // Operations and products are those of one plan, so only the others can be counted with another plan's.
        let shared = spec.limits_shared_by == LimitsSharedBy::Application && !alone && limit.operations.is_empty();
        let compiled = Limit { id: id(limit), alone, shared, scope, requests, per: limit.per };
        match limits.iter_mut().find(|other| other.id == compiled.id) {
            Some(other) => other.requests = other.requests.min(compiled.requests),
            None => limits.push(compiled),
        }
    }
    let only = only.map(|only| found(operations, &only.operations));
    ApiPlan { plan: plan.clone(), only, limits, deprecated: deprecated(&spec.lifecycle) }
}

fn scope(limit: &LimitSpec, operations: Option<&Operations>) -> Option<Scope> {
    if !limit.operations.is_empty() {
        let found = found(operations, &limit.operations);
        return (!found.is_empty()).then_some(Scope::Operations(found));
    }
    if limit.methods.is_empty() {
        return Some(Scope::Plan);
    }
    let mut methods: Vec<String> = limit.methods.iter().map(|method| method.to_ascii_uppercase()).collect();
    methods.sort();
    methods.dedup();
    Some(Scope::Methods(methods))
}

/// Names what is counted, and in what period; not how many.
pub(crate) fn id(limit: &LimitSpec) -> String {
    let what = if !limit.operations.is_empty() {
        limit.operations.join("+")
    } else if limit.methods.is_empty() {
        "all".to_owned()
    } else {
        limit.methods.join("+")
    };
    let per = format!("{:?}", limit.per).to_lowercase();
    match &limit.product {
        Some(product) => format!("{product}:{what}:{per}"),
        None => format!("{what}:{per}"),
    }
}

fn found(operations: Option<&Operations>, names: &[String]) -> Vec<Operation> {
    let find = |name: &String| match operations {
        Some(operations) => operations.find(name),
        None => openapi::written_out(name),
    };
    let mut found: Vec<Operation> = names.iter().filter_map(find).collect();
    found.sort();
    found.dedup();
    found
}

/// Whether any version of the product has the operation, or it is written out as `GET /path`.
pub(super) fn knows(scene: Scene<'_>, product: &Name, operation: &str) -> bool {
    documents(scene, product).any(|operations| operations.find(operation).is_some())
        || openapi::written_out(operation).is_some()
}

/// Whether the operations of a version of the product are told by no document.
fn blind(scene: Scene<'_>, product: &Name) -> bool {
    let Some(entry) = scene.world.products.get(product) else { return false };
    let versions = &entry.spec.versions;
    versions.is_empty() || versions.iter().any(|version| described(scene, product, &version.name).is_none())
}

pub(super) fn unknown_operation(
    scene: Scene<'_>,
    key: &ObjectKey,
    path: String,
    product: &Name,
    operation: &str,
    until: &str,
) -> Diagnostic {
    let ids: Vec<&str> = documents(scene, product).flat_map(Operations::ids).collect();
    let help = match nearest(operation, ids.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Until then {until}"),
        None => {
            format!("name an `operationId` of its OpenAPI document, or write `GET /path/{{id}}`; until then {until}")
        }
    };
    let message = format!("{} {product} has no operation `{operation}`", Kind::ApiProduct);
    Diagnostic::error("unknown-operation", key, path, message).help(help)
}

fn documents<'a>(scene: Scene<'a>, product: &'a Name) -> impl Iterator<Item = &'a Operations> {
    let versions = scene.world.products.get(product).map(|entry| entry.spec.versions.as_slice()).unwrap_or_default();
    versions.iter().filter_map(move |version| described(scene, product, &version.name))
}
