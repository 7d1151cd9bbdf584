//! A first call that works: where to, and what.

use portico_core::Core;
use portico_core::key::Name;
use portico_core::look;
use portico_crds::Cors;

use super::product::addresses;
use crate::openapi::Operation;

/// A place to call with a credential.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) product: Name,
    pub(crate) title: String,
    pub(crate) version: String,
    pub(crate) url: String,
    /// The header that holds the key.
    pub(crate) header: String,
    /// What pages of other origins may do.
    pub(crate) cors: Option<Cors>,
    /// The only operations that the plan allows; empty is all.
    pub(crate) only: Vec<String>,
    /// Methods that the plan denies.
    pub(crate) denied: Vec<String>,
    /// Operations that need a scope which is not granted.
    pub(crate) closed: Vec<String>,
}

impl Place {
    /// Whether the plan lets an operation be called.
    pub(crate) fn allows(&self, operation: &Operation) -> bool {
        let named = |one: &String| {
            operation.id.as_ref() == Some(one) || *one == format!("{} {}", operation.method, operation.path)
        };
        (self.only.is_empty() || self.only.iter().any(named))
            && !self.closed.iter().any(named)
            && !self.denied.contains(&operation.method)
    }
}

/// Where a credential can be used, for what is granted: one place for each product.
pub(crate) fn places(core: &Core, credential: &Name) -> Vec<Place> {
    let Some(spec) = core.credential(credential) else { return Vec::new() };
    let environment = look::resolve(&spec.environment, credential);
    let named = spec.subscription.as_ref();
    let subscriptions: Vec<Name> = match (named, core.application_of(credential)) {
        (Some(one), _) => vec![credential.beside(&one.name)],
        (None, Some(application)) => core.subscriptions_by(&application).cloned().collect(),
        (None, None) => Vec::new(),
    };
    let mut places = Vec::new();
    for granted in subscriptions.iter().filter_map(|subscription| core.granted(subscription)) {
        let Some(plan) = core.plan(&granted.plan) else { continue };
        for covered in &plan.products {
            let product = look::resolve_product(covered, &granted.plan);
            let Some(said) = core.product(&product) else { continue };
            let at = |address: &super::product::Address| address.name == environment;
            let Some(address) = addresses(core, &product, said).into_iter().find(at) else { continue };
            let denied = plan.limits.iter().filter(|limit| limit.requests == 0);
            let has = |scope: &str| granted.scopes.iter().any(|one| one.product == product && *one.scope == *scope);
            // What one scope opens is open, whichever others there are.
            let opened = said.scopes.iter().filter(|scope| has(&scope.name)).flat_map(|scope| &scope.operations);
            let opened: Vec<&String> = opened.collect();
            let guarded = said.scopes.iter().filter(|scope| !has(&scope.name)).flat_map(|scope| &scope.operations);
            let closed = guarded.filter(|operation| !opened.contains(operation)).cloned().collect();
            places.push(Place {
                title: said.title.clone(),
                product,
                version: address.version,
                url: address.url,
                header: address.header,
                cors: address.cors,
                closed,
                only: covered.operations.clone(),
                denied: denied.flat_map(|limit| limit.methods.clone()).collect(),
            });
        }
    }
    places
}

/// A command for a shell that calls an address with a key. Nothing that stands in the address is more than text to the shell.
pub(crate) fn curl(header: &str, key: &str, url: &str) -> String {
    format!("curl -H {} {}", quoted(&format!("{header}: {key}")), quoted(url))
}

fn quoted(text: &str) -> String {
    let visible: String = text.chars().filter(|character| !character.is_control()).collect();
    format!("'{}'", visible.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_sees_text_only() {
        let url = "http://api.example/a'; rm -rf ~ #$(id)`id`\nexit";
        let command = curl("x-api-key", "ptk_1", url);
        assert_eq!(command, "curl -H 'x-api-key: ptk_1' 'http://api.example/a'\\''; rm -rf ~ #$(id)`id`exit'");
    }
}
