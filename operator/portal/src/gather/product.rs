//! A product and its documentation.

use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_core::look;
use portico_crds::{
    ApiProductSpec, Cors, DocAudience, DocPage, EnvironmentSpec, Lifecycle, LifecycleStage, Owner, Phase, Stage,
};

use super::plans;
use super::state;
use crate::may::{Action, may};
use crate::people::Person;

/// What a product's pages show.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) name: Name,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) owner: Option<Owner>,
    pub(crate) stage: LifecycleStage,
    pub(crate) lifecycle: Lifecycle,
    /// Title and address of what to use instead, if the visitor sees it.
    pub(crate) replaced_by: Option<(String, Name)>,
    pub(crate) versions: Vec<Version>,
    pub(crate) plans: Vec<plans::Card>,
    pub(crate) docs: Vec<Page>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) oversees: bool,
}

/// A version of a product.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) lifecycle: Option<Lifecycle>,
    pub(crate) has_document: bool,
    /// Why its document does not read.
    pub(crate) problem: Option<String>,
}

/// A page of documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) slug: String,
    pub(crate) path: String,
    pub(crate) depth: usize,
    pub(crate) is_for_subscribers: bool,
}

/// Where a product is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) name: Name,
    pub(crate) environment: String,
    pub(crate) stage: Stage,
    pub(crate) version: String,
    pub(crate) url: String,
    /// The header that holds the key.
    pub(crate) header: String,
    /// What pages of other origins may do.
    pub(crate) cors: Option<Cors>,
}

/// A product as a visitor sees it.
pub(crate) fn product(core: &Core, person: Option<&Person>, name: &Name) -> Option<Product> {
    let spec = core.product(name)?;
    let stage = core.product_stage(name).unwrap_or(spec.lifecycle.stage);
    let replaced_by = spec.lifecycle.replaced_by.as_ref().and_then(|other| {
        let other = look::resolve(other, name);
        let sees = may(core, person, Action::See, &other.clone().of(Kind::ApiProduct));
        sees.then(|| core.product(&other).map(|spec| (spec.title.clone(), other.clone()))).flatten()
    });
    let versions = spec.versions.iter().map(|version| Version {
        name: version.name.clone(),
        lifecycle: version.lifecycle.clone(),
        has_document: version.openapi.is_some(),
        problem: core.document_problem(name, &version.name).map(str::to_owned),
    });
    Some(Product {
        name: name.clone(),
        title: spec.title.clone(),
        description: spec.description.clone(),
        tags: spec.tags.clone(),
        owner: spec.owner.clone(),
        stage,
        lifecycle: spec.lifecycle.clone(),
        replaced_by,
        versions: versions.collect(),
        plans: plans::of_product(core, person, name),
        docs: docs(core, person, name, spec),
        addresses: addresses(core, name, spec),
        oversees: may(core, person, Action::Oversee, &name.clone().of(Kind::ApiProduct)),
    })
}

/// Pages whose readers are not kept from them by the page itself or one above it.
pub(crate) fn published(product: &ApiProductSpec) -> Vec<&DocPage> {
    product.docs.iter().filter(|page| page.published && above(product, page).iter().all(|one| one.published)).collect()
}

/// The pages above a page. One that stands below itself is above itself, once.
fn above<'a>(product: &'a ApiProductSpec, page: &'a DocPage) -> Vec<&'a DocPage> {
    let mut found: Vec<&DocPage> = Vec::new();
    let mut next = page.parent.as_deref();
    while let Some(title) = next {
        let Some(parent) = product.docs.iter().find(|one| one.title == title) else { break };
        if found.iter().any(|known| known.title == parent.title) {
            break;
        }
        found.push(parent);
        next = parent.parent.as_deref();
    }
    found
}

/// Whether a page, or one above it, is for subscribers only.
pub(crate) fn is_for_subscribers(product: &ApiProductSpec, page: &DocPage) -> bool {
    let is = |page: &DocPage| page.audience == DocAudience::Subscribers;
    is(page) || above(product, page).into_iter().any(is)
}

/// The pages that a visitor may read, each below its parent.
fn docs(core: &Core, person: Option<&Person>, name: &Name, product: &ApiProductSpec) -> Vec<Page> {
    let for_subscribers = |page: &DocPage| is_for_subscribers(product, page);
    let pages = published(product);
    let is_subscriber = pages.iter().any(|page| for_subscribers(page))
        && (may(core, person, Action::Oversee, &name.clone().of(Kind::ApiProduct)) || subscribes(core, person, name));
    let readable: Vec<&DocPage> = pages.into_iter().filter(|page| is_subscriber || !for_subscribers(page)).collect();
    let mut ordered = Vec::new();
    let roots = readable
        .iter()
        .filter(|page| page.parent.as_deref().is_none_or(|parent| !readable.iter().any(|one| one.title == parent)));
    for root in roots {
        descend(&readable, root, 0, &mut ordered);
    }
    // Those that stand below each other have no root.
    for page in &readable {
        descend(&readable, page, 0, &mut ordered);
    }
    let mut slugs: Vec<String> = Vec::new();
    let pages = ordered.into_iter().map(|(page, depth)| {
        let base = slug(&page.title);
        let mut slug = base.clone();
        let mut count = 1;
        while slugs.contains(&slug) {
            count += 1;
            slug = format!("{base}-{count}");
        }
        slugs.push(slug.clone());
        Page {
            title: page.title.clone(),
            slug,
            path: page.path.clone(),
            depth,
            is_for_subscribers: for_subscribers(page),
        }
    });
    pages.collect()
}

fn descend<'a>(pages: &[&'a DocPage], page: &'a DocPage, depth: usize, ordered: &mut Vec<(&'a DocPage, usize)>) {
    if depth > 8 || ordered.iter().any(|(known, _)| std::ptr::eq(*known, page)) {
        return;
    }
    ordered.push((page, depth));
    for child in pages.iter().filter(|one| one.parent.as_deref() == Some(page.title.as_str())) {
        descend(pages, child, depth + 1, ordered);
    }
}

/// A title as a part of an address.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for character in title.chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "page".to_owned() } else { slug.to_owned() }
}

/// Whether one of somebody's teams has a live subscription to a product.
fn subscribes(core: &Core, person: Option<&Person>, product: &Name) -> bool {
    let Some(person) = person else { return false };
    let live = |subscription: &Name| {
        let standing = state::subscription(core, subscription);
        standing.filter(|standing| matches!(standing.phase, Phase::Active | Phase::PendingCancellation)).is_some_and(
            |standing| {
                let plan = standing.plan.and_then(|plan| Some((core.plan(&plan)?, plan)));
                plan.is_some_and(|(spec, plan)| {
                    spec.products.iter().any(|one| look::resolve_product(one, &plan) == *product)
                })
            },
        )
    };
    let applications = |team: &crate::people::Membership| {
        let named = core.applications_of(&team.team);
        named.chain(core.applications_without_team(team.team.namespace())).cloned().collect::<Vec<_>>()
    };
    person.teams.iter().flat_map(applications).any(|application| {
        may(core, Some(person), Action::See, &application.clone().of(Kind::Application))
            && core.subscriptions_by(&application).any(live)
    })
}

/// Where callers find a product.
pub(crate) fn addresses(core: &Core, name: &Name, product: &ApiProductSpec) -> Vec<Address> {
    let first = product.versions.first().map_or("v1", |version| &version.name);
    let mut found = Vec::new();
    for endpoint in &product.endpoints {
        let environment = look::resolve(&endpoint.environment, name);
        let Some(spec) = core.environment(&environment) else { continue };
        let title = spec.title.clone().unwrap_or_else(|| environment.name().to_string());
        let host = endpoint.hosts.first().map(String::as_str);
        for url in urls(spec, host, &endpoint.base_path) {
            found.push(Address {
                name: environment.clone(),
                environment: title.clone(),
                stage: spec.stage,
                version: endpoint.version.clone().unwrap_or_else(|| first.to_owned()),
                url,
                header: spec.gateway.envoy.as_ref().map_or("x-api-key", |envoy| &envoy.api_key_header).to_owned(),
                cors: endpoint.cors.clone(),
            });
        }
    }
    found
}

/// Addresses at the listeners of an environment: those that speak TLS, if any do.
fn urls(environment: &EnvironmentSpec, host: Option<&str>, base: &str) -> Vec<String> {
    let listeners = environment.gateway.envoy.iter().flat_map(|envoy| &envoy.listeners);
    let secure = listeners.clone().any(|listener| listener.tls.is_some());
    listeners
        .filter(|listener| listener.tls.is_some() == secure)
        .map(|listener| {
            let (scheme, usual) = if secure { ("https", 443) } else { ("http", 80) };
            let bare = match listener.address.as_str() {
                "0.0.0.0" | "::" => "127.0.0.1".to_owned(),
                address if address.contains(':') => format!("[{address}]"),
                address => address.to_owned(),
            };
            let host = host.map_or(bare, str::to_owned);
            let port = if listener.port == usual { String::new() } else { format!(":{}", listener.port) };
            format!("{scheme}://{host}{port}{}", base.trim_end_matches('/'))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(docs: &serde_json::Value) -> ApiProductSpec {
        serde_json::from_value(json!({ "title": "T", "docs": docs })).unwrap()
    }

    #[test]
    fn an_unpublished_parent_hides_its_children() {
        let product = with(&json!([
            { "title": "A", "path": "a.md", "published": false },
            { "title": "B", "path": "b.md", "parent": "A" },
            { "title": "C", "path": "c.md", "parent": "B" },
            { "title": "D", "path": "d.md" },
        ]));
        let titles: Vec<&str> = published(&product).iter().map(|page| page.title.as_str()).collect();
        assert_eq!(titles, ["D"]);
    }

    #[test]
    fn pages_that_stand_below_each_other_do_not_hang() {
        let product = with(&json!([
            { "title": "A", "path": "a.md", "parent": "B" },
            { "title": "B", "path": "b.md", "parent": "A" },
            { "title": "C", "path": "c.md", "parent": "C" },
        ]));
        let pages = docs(&Core::new(), None, &Name::new("a", "b"), &product);
        let places: Vec<(&str, usize)> = pages.iter().map(|page| (page.title.as_str(), page.depth)).collect();
        assert_eq!(places, [("A", 0), ("B", 1), ("C", 0)]);
    }

    #[test]
    fn titles_become_addresses() {
        assert_eq!(slug("From v1 to v2"), "from-v1-to-v2");
        assert_eq!(slug("  Ärger & Fehler! "), "ärger-fehler");
        assert_eq!(slug("???"), "page");
    }
}
