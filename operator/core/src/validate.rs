//! What one object can get wrong on its own.
//!
//! The API server asks the same of it: the rules that the definitions of `portico-crds` state in CEL, and for the kinds of
//! which there are very many also the bounds of their schema, so that a front end without an API server need not walk a
//! schema for each of them. Rules that compare with what the object said before are not here.

use std::collections::BTreeSet;

use portico_crds::{
    ApiProductSpec, ApplicationSpec, ApprovalSpec, Audience, ConsumersFrom, CredentialSpec, Decision, DeveloperSpec,
    EnvironmentSpec, FieldKind, Lifecycle, LifecycleStage, NamespacedRef, PlanSpec, PortalSpec, Security, Span,
    SubscriptionSpec, Visibility,
};

use crate::batch::Spec;

/// A rule that an object breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, as in [`crate::diagnostic::Diagnostic::path`].
    pub path: String,
    /// A stable name of the rule.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Every rule that `spec` breaks, in the order of its fields.
pub fn validate(spec: &Spec) -> Vec<Violation> {
    let mut found = Found(Vec::new());
    match spec {
        Spec::Portal(portal) => found.portal(portal),
        Spec::Environment(environment) => found.environment(environment),
        Spec::ApiProduct(product) => found.product(product),
        Spec::Plan(plan) => found.plan(plan),
        // Its schema says it all.
        Spec::Team(_) => {}
        Spec::Developer(developer) => found.developer(developer),
        Spec::Application(application) => found.application(application),
        Spec::Subscription(subscription) => found.subscription(subscription),
        Spec::Approval(approval) => found.approval(approval),
        Spec::Credential(credential) => found.credential(credential),
    }
    found.0
}

struct Found(Vec<Violation>);

impl Found {
    fn say(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(Violation { path: path.into(), code, message: message.into(), help: None });
    }

    /// One of several fields has to be given, and not two.
    fn exactly_one(&mut self, path: &str, fields: &[(&str, bool)]) {
        let given: Vec<&str> = fields.iter().filter(|(_, given)| *given).map(|(field, _)| *field).collect();
        let all = listed(&fields.iter().map(|(field, _)| *field).collect::<Vec<_>>());
        match given.as_slice() {
            [_] => {}
            [] => self.say(path, "exactly-one", format!("one of {all} must be given")),
            [_, second, ..] => {
                let message = format!("{} are given, and only one of {all} may be", listed(&given));
                self.say(format!("{path}.{second}"), "exactly-one", message);
            }
        }
    }

    /// A field has to be given under a condition, and only then.
    fn only_with(&mut self, path: String, given: bool, wanted: bool, when: &str) {
        let field = path.rsplit('.').next().unwrap_or_default().to_owned();
        if wanted && !given {
            self.say(path, "missing-field", format!("`{field}` must be given with {when}"));
        } else if given && !wanted {
            self.say(path, "only-with", format!("`{field}` may be given only with {when}"));
        }
    }

    fn length(&mut self, path: impl Into<String>, text: &str, min: usize, max: usize) {
        // Bytes bound characters from above, so most texts need no counting.
        if text.is_empty() && min > 0 {
            self.say(path, "invalid-value", "it is empty");
        } else if text.chars().take(min).count() < min {
            self.say(path, "invalid-value", format!("it needs at least {min} characters"));
        } else if text.len() > max && text.chars().count() > max {
            self.say(path, "invalid-value", format!("it is longer than {max} characters"));
        }
    }

    fn optional(&mut self, path: &str, text: Option<&String>, min: usize, max: usize) {
        if let Some(text) = text {
            self.length(path, text, min, max);
        }
    }

    fn count(&mut self, path: &str, length: usize, max: usize) {
        if length > max {
            self.say(path, "invalid-value", format!("there are {length} entries, and at most {max} are allowed"));
        }
    }

    fn reference(&mut self, path: &str, reference: &NamespacedRef) {
        self.length(format!("{path}.name"), &reference.name, 1, 253);
        if let Some(namespace) = &reference.namespace {
            self.length(format!("{path}.namespace"), namespace, 1, 63);
        }
    }

    fn scope(&mut self, path: String, scope: &str) {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":._/-".contains(&byte);
        if scope.is_empty() || scope.len() > 128 || !scope.bytes().all(fits) {
            self.0.push(Violation {
                path,
                code: "invalid-value",
                message: format!("`{scope}` is not the name of a scope"),
                help: Some("use 1 to 128 letters, digits and `:._/-`".to_owned()),
            });
        }
    }

    /// No two entries of a list may have the same name.
    fn unique<'a>(&mut self, path: &str, field: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !seen.insert(name) {
                self.say(format!("{path}[{index}].{field}"), "duplicate-item", format!("`{name}` is there twice"));
            }
        }
    }

    fn lifecycle(&mut self, path: &str, lifecycle: &Lifecycle) {
        let Some(sunset) = lifecycle.sunset_at else { return };
        if lifecycle.deprecated_at.is_some_and(|deprecated| sunset <= deprecated) {
            self.say(format!("{path}.sunsetAt"), "wrong-order", "`sunsetAt` must be later than `deprecatedAt`");
        }
        if !matches!(lifecycle.stage, LifecycleStage::Deprecated | LifecycleStage::Retired) {
            self.say(format!("{path}.sunsetAt"), "only-with", "`sunsetAt` needs stage Deprecated or Retired");
        }
    }

    fn visibility(&mut self, path: &str, visibility: &Visibility) {
        let listed = !visibility.teams.is_empty() || !visibility.groups.is_empty();
        if (visibility.audience == Audience::Teams) != listed {
            let (field, code) = match (listed, visibility.groups.is_empty()) {
                (false, _) => ("audience", "missing-field"),
                (true, true) => ("teams", "only-with"),
                (true, false) => ("groups", "only-with"),
            };
            let message = "`teams` or `groups` must be given with audience Teams, and only with it";
            self.say(format!("{path}.{field}"), code, message);
        }
    }

    fn portal(&mut self, portal: &PortalSpec) {
        let fields = portal.registration.iter().flat_map(|registration| &registration.fields);
        for (index, field) in fields.enumerate() {
            let path = format!("spec.registration.fields[{index}].choices");
            self.only_with(path, !field.choices.is_empty(), field.kind == FieldKind::Choice, "kind Choice");
        }
    }

    fn environment(&mut self, environment: &EnvironmentSpec) {
        let gateway = &environment.gateway;
        let drivers = [
            ("envoy", gateway.envoy.is_some()),
            ("envoyGateway", gateway.envoy_gateway.is_some()),
            ("kuadrant", gateway.kuadrant.is_some()),
            ("kong", gateway.kong.is_some()),
        ];
        self.exactly_one("spec.gateway", &drivers);
        if let Some(envoy) = &gateway.envoy {
            let names = envoy.listeners.iter().map(|listener| listener.name.as_str());
            self.unique("spec.gateway.envoy.listeners", "name", names);
        }
    }

    fn product(&mut self, product: &ApiProductSpec) {
        self.lifecycle("spec.lifecycle", &product.lifecycle);
        self.unique("spec.versions", "name", product.versions.iter().map(|version| version.name.as_str()));
        for (index, version) in product.versions.iter().enumerate() {
            if let Some(lifecycle) = &version.lifecycle {
                self.lifecycle(&format!("spec.versions[{index}].lifecycle"), lifecycle);
            }
            let Some(openapi) = &version.openapi else { continue };
            let path = format!("spec.versions[{index}].openapi");
            let sources = [
                ("path", openapi.path.is_some()),
                ("configMap", openapi.config_map.is_some()),
                ("inline", openapi.inline.is_some()),
            ];
            self.exactly_one(&path, &sources);
            if let Some(file) = &openapi.path {
                self.file(format!("{path}.path"), file);
            }
        }
        for (index, page) in product.docs.iter().enumerate() {
            self.file(format!("spec.docs[{index}].path"), &page.path);
        }
        for (index, endpoint) in product.endpoints.iter().enumerate() {
            let Some(cors) = &endpoint.cors else { continue };
            if cors.allow_credentials && cors.allow_origins.iter().any(|origin| origin == "*") {
                let path = format!("spec.endpoints[{index}].cors.allowCredentials");
                self.say(path, "only-with", "`allowCredentials` cannot go with the origin `*`");
            }
        }
        self.unique("spec.scopes", "name", product.scopes.iter().map(|scope| scope.name.as_str()));
        self.visibility("spec.visibility", &product.visibility);
        let consumers = &product.consumers;
        let selected = consumers.from == ConsumersFrom::Selected;
        let path = "spec.consumers.namespaces".to_owned();
        self.only_with(path, !consumers.namespaces.is_empty(), selected, "from Selected");
    }

    /// A file in the same repository. Whether the path leaves the repository only a front end can tell.
    fn file(&mut self, path: String, file: &str) {
        let (message, help) = if file.contains('\0') {
            ("a path cannot have a NUL character", "take the character out")
        } else if file.contains('\\') {
            ("a path cannot have a backslash", "write `/` between folders")
        } else if file.starts_with('/') {
            ("the path is absolute", "write it relative to the file that it stands in")
        } else {
            return;
        };
        self.0.push(Violation { path, code: "invalid-path", message: message.to_owned(), help: Some(help.to_owned()) });
    }

    fn plan(&mut self, plan: &PlanSpec) {
        let security = &plan.security;
        let key = security.r#type == Security::ApiKey;
        if security.api_key.is_some() && !key {
            self.say("spec.security.apiKey", "only-with", "`apiKey` needs type ApiKey");
        }
        if security.oauth.is_some() && key {
            let message = "`oauth` needs type ClientCredentials, PrivateKeyJwt or ExternalClient";
            self.say("spec.security.oauth", "only-with", message);
        }
        for (index, limit) in plan.limits.iter().enumerate() {
            let path = format!("spec.limits[{index}]");
            if limit.requests < 0 {
                self.say(format!("{path}.requests"), "invalid-value", "it must be 0 or more; 0 means denied");
            }
            if !limit.operations.is_empty() && !limit.methods.is_empty() {
                let message = "a limit is for `operations` or for `methods`, not for both";
                self.say(format!("{path}.methods"), "only-with", message);
            }
        }
        self.unique("spec.properties", "name", plan.properties.iter().map(|property| property.name.as_str()));
        for (index, property) in plan.properties.iter().enumerate() {
            let path = format!("spec.properties[{index}].choices");
            self.only_with(path, !property.choices.is_empty(), property.kind == FieldKind::Choice, "kind Choice");
        }
        if plan.contract.is_some() && plan.price.is_some() {
            self.say("spec.price", "only-with", "a plan with `contract` has no price: what it costs is agreed upon");
        }
        if plan.credentials.lifetime == Some(Span::default()) {
            self.say("spec.credentials.lifetime", "invalid-value", "it must be longer than no time");
        }
        self.lifecycle("spec.lifecycle", &plan.lifecycle);
        self.visibility("spec.visibility", &plan.visibility);
    }

    fn developer(&mut self, developer: &DeveloperSpec) {
        let DeveloperSpec { mail, name, state: _, attributes, accepted_terms } = developer;
        self.length("spec.mail", mail, 1, 320);
        let parts: Vec<&str> = mail.split('@').collect();
        let fits = |part: &&str| !part.is_empty() && !part.contains(char::is_whitespace);
        if !mail.is_empty() && (parts.len() != 2 || !parts.iter().all(fits)) {
            self.say("spec.mail", "invalid-value", format!("`{mail}` is not a mail address"));
        }
        self.optional("spec.name", name.as_ref(), 1, 128);
        self.count("spec.attributes", attributes.len(), 64);
        self.optional("spec.acceptedTerms", accepted_terms.as_ref(), 1, 64);
    }

    fn application(&mut self, application: &ApplicationSpec) {
        let ApplicationSpec {
            title,
            description,
            redirect_uris,
            reference_id,
            authentication,
            external_client_id,
            team,
        } = application;
        self.length("spec.title", title, 3, 128);
        self.optional("spec.description", description.as_ref(), 0, 4096);
        self.count("spec.redirectUris", redirect_uris.len(), 32);
        for (index, uri) in redirect_uris.iter().enumerate() {
            self.length(format!("spec.redirectUris[{index}]"), uri, 1, 2048);
        }
        self.optional("spec.referenceId", reference_id.as_ref(), 1, 128);
        let external = *authentication == Security::ExternalClient;
        let path = "spec.externalClientId".to_owned();
        self.only_with(path, external_client_id.is_some(), external, "authentication ExternalClient");
        self.optional("spec.externalClientId", external_client_id.as_ref(), 1, 256);
        self.optional("spec.team.name", team.as_ref().map(|team| &team.name), 1, 253);
    }

    fn subscription(&mut self, subscription: &SubscriptionSpec) {
        let SubscriptionSpec {
            application,
            plan,
            change,
            scopes,
            accepted_terms,
            properties,
            suspend: _,
            cancel_at: _,
            go_live: _,
        } = subscription;
        self.length("spec.application.name", &application.name, 1, 253);
        self.reference("spec.plan", plan);
        if let Some(change) = change {
            self.reference("spec.change.plan", &change.plan);
            self.optional("spec.change.acceptedTerms", change.accepted_terms.as_ref(), 1, 64);
        }
        self.count("spec.scopes", scopes.len(), 64);
        for (index, scope) in scopes.iter().enumerate() {
            self.scope(format!("spec.scopes[{index}].name"), &scope.name);
            if let Some(reason) = &scope.reason {
                self.length(format!("spec.scopes[{index}].reason"), reason, 1, 4096);
            }
        }
        self.unique("spec.scopes", "name", scopes.iter().map(|scope| scope.name.as_str()));
        self.optional("spec.acceptedTerms", accepted_terms.as_ref(), 1, 64);
        self.count("spec.properties", properties.len(), 32);
    }

    fn approval(&mut self, approval: &ApprovalSpec) {
        let ApprovalSpec { subscription, decision, grant, about, reason, by } = approval;
        self.reference("spec.subscription", subscription);
        let granted = *decision == Decision::Granted;
        self.only_with("spec.grant".to_owned(), grant.is_some(), granted, "decision Granted");
        if let Some(grant) = grant {
            self.length("spec.grant.plan.name", &grant.plan.name, 1, 253);
            self.count("spec.grant.scopes", grant.scopes.len(), 64);
            for (index, scope) in grant.scopes.iter().enumerate() {
                self.scope(format!("spec.grant.scopes[{index}]"), scope);
            }
            if let Some(terms) = &grant.terms
                && !(terms.len() == 16 && terms.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
            {
                let message = format!("`{terms}` is not what a Plan's `status.terms` says: 16 of 0-9 and a-f");
                self.say("spec.grant.terms", "invalid-value", message);
            }
            self.optional("spec.grant.termsVersion", grant.terms_version.as_ref(), 1, 64);
        }
        self.optional("spec.about.name", about.as_ref().map(|plan| &plan.name), 1, 253);
        let named = about.is_some();
        self.only_with("spec.about".to_owned(), named, named && !granted, "decision Denied or ChangesRequested");
        let path = "spec.reason".to_owned();
        self.only_with(path, reason.is_some(), !granted, "decision Denied or ChangesRequested");
        self.optional("spec.reason", reason.as_ref(), 1, 4096);
        self.optional("spec.by", by.as_ref(), 1, 320);
    }

    fn credential(&mut self, credential: &CredentialSpec) {
        let CredentialSpec {
            subscription,
            application,
            environment,
            title,
            generation,
            import,
            overlap: _,
            rotate_every,
            expires_at: _,
            disabled: _,
            deliver_to,
            jwks_uri,
            external_client_id,
        } = credential;
        let whose = [("subscription", subscription.is_some()), ("application", application.is_some())];
        self.exactly_one("spec", &whose);
        self.optional("spec.subscription.name", subscription.as_ref().map(|whose| &whose.name), 1, 253);
        self.optional("spec.application.name", application.as_ref().map(|whose| &whose.name), 1, 253);
        self.reference("spec.environment", environment);
        self.optional("spec.title", title.as_ref(), 1, 128);
        if *generation < 1 {
            self.say("spec.generation", "invalid-value", "it must be 1 or more");
        }
        if let Some(import) = import {
            self.length("spec.import.name", &import.name, 1, 253);
            self.optional("spec.import.key", import.key.as_ref(), 1, 253);
        }
        if *rotate_every == Some(Span::default()) {
            self.say("spec.rotateEvery", "invalid-value", "it must be longer than no time");
        }
        if let Some(deliver_to) = deliver_to {
            let secret = &deliver_to.secret;
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let inside = secret.bytes().all(|byte| fits(byte) || b".-".contains(&byte));
            let ends = secret.bytes().next().is_some_and(fits) && secret.bytes().last().is_some_and(fits);
            if !inside || !ends || secret.len() > 253 {
                let message = format!("`{secret}` cannot be the name of a Secret");
                self.say("spec.deliverTo.secret", "invalid-value", message);
            }
        }
        if let Some(uri) = jwks_uri {
            self.length("spec.jwksUri", uri, 1, 2048);
            if !uri.is_empty() && !uri.starts_with("https://") {
                self.say("spec.jwksUri", "invalid-value", "it must begin with `https://`");
            }
        }
        self.optional("spec.externalClientId", external_client_id.as_ref(), 1, 256);
    }
}

/// `a`, `a` and `b`, `a`, `b` and `c`.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

#[cfg(test)]
mod tests;
