//! Who may call what: one route table for all listeners of an environment.
//!
//! A route finds out by [`CLIENT_HEADER`] which plans and scopes a client has. The first route that matches decides, so
//! the order is what makes it safe. For each API:
//! 1. clients with none of its plans are refused (without a key there is no plan, so nothing further down can be
//!    reached unauthenticated);
//! 2. operations that need a scope are refused to those without it;
//! 3. for each plan: what it limits or denies in particular, then the rest;
//! 4. clients whose plans do not include the operation are refused.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::google::protobuf::BoolValue;
use portico_core::gateway::{Api, ApiPlan, Deprecated, Guarded};
use portico_core::key::Name;
use portico_crds::{Cors, EnvoySettings};
use serde_json::json;

use super::cells::{Cell, cells};
use super::clusters::{self, Target};
use super::{APPLICATION_KEY, ApiId, CLIENT_HEADER, Invalid, METADATA, ROUTES, keys, limits, paths, wire};

/// The longest pattern that is passed on. Envoy refuses a whole route table over one that is too big to compile.
const LONGEST_PATTERN: usize = 4096;

/// The routes of one API, the same at every host.
#[derive(Debug, PartialEq)]
pub(super) struct ApiRoutes {
    pub(super) hosts: Vec<String>,
    pub(super) base_path: String,
    pub(super) routes: Vec<route::Route>,
}

/// The route table.
pub(super) fn resource(apis: &BTreeMap<&ApiId, &ApiRoutes>) -> route::RouteConfiguration {
    let hosts: BTreeSet<&str> = apis.values().flat_map(|api| &api.hosts).map(String::as_str).chain(["*"]).collect();
    let virtual_hosts = hosts
        .into_iter()
        .map(|host| {
            let mut here: Vec<_> =
                apis.iter().filter_map(|(id, api)| Some((closeness(host, &api.hosts)?, *id, *api))).collect();
            here.sort_by_key(|(closeness, id, api)| {
                (std::cmp::Reverse(api.base_path.trim_end_matches('/').len()), *closeness, *id)
            });
            let routes = here.into_iter().flat_map(|(_, _, api)| api.routes.iter().cloned());
            route::VirtualHost {
                name: host.to_owned(),
                domains: vec![host.to_owned()],
                routes: [disguised()].into_iter().chain(routes).collect(),
                ..route::VirtualHost::default()
            }
        })
        .collect();
    route::RouteConfiguration {
        name: ROUTES.to_owned(),
        virtual_hosts,
        ignore_port_in_host_matching: true,
        ..route::RouteConfiguration::default()
    }
}

/// How closely an API's hosts name `host`: 0 for that very name, more for wildcards, none where it is not served.
fn closeness(host: &str, hosts: &[String]) -> Option<usize> {
    if hosts.is_empty() {
        return Some(usize::MAX);
    }
    let covering = hosts.iter().filter_map(|pattern| {
        if pattern == host {
            return Some(0);
        }
        let suffix = pattern.strip_prefix('*')?;
        let bare = host.strip_prefix('*').unwrap_or(host);
        (bare.len() > suffix.len() && bare.ends_with(suffix)).then(|| 1 + bare.len() - suffix.len())
    });
    covering.min()
}

/// Refuses paths that a server may read as another path than Envoy does.
fn disguised() -> route::Route {
    let body = json!({ "error": "bad_request", "message": "the path has a segment that begins with `;` or with dots" });
    let matching = route::RouteMatch {
        path_specifier: Some(route::route_match::PathSpecifier::SafeRegex(wire::regex(paths::DISGUISED))),
        ..route::RouteMatch::default()
    };
    route::Route { r#match: Some(matching), action: Some(answer(400, body.to_string())), ..route::Route::default() }
}

/// The routes of one API.
pub(super) fn of_api(
    environment: &Name,
    id: &ApiId,
    api: &Api,
    settings: &EnvoySettings,
) -> Result<ApiRoutes, Invalid> {
    let target = Target::parse(&api.upstream.url)?;
    let writer = Writer { environment, api, settings, cluster: clusters::name(id), target };
    for (name, value) in &api.upstream.request_headers {
        check_header(name, value)?;
    }
    if let Some(host) = api.hosts.iter().find(|host| !is_host(host)) {
        return Err(Invalid::Host { host: host.clone() });
    }
    if !api.base_path.starts_with('/') || api.base_path.contains(['?', '#']) {
        return Err(Invalid::Path { path: api.base_path.clone() });
    }
    let mut routes = Vec::new();
    routes.extend(api.cors.as_ref().map(|cors| writer.preflight(cors)));
    routes.push(writer.refusal(
        writer.everywhere(api.plans.iter().map(|plan| lacks(keys::has_plan(&plan.plan))).collect()),
        &format!("no subscription of this application covers {}", api.product),
    ));
    for guarded in &api.guarded {
        writer.guard(guarded, &mut routes)?;
    }
    for plan in &api.plans {
        for cell in cells(plan) {
            routes.push(writer.cell(plan, &cell)?);
        }
    }
    for plan in api.plans.iter().filter(|plan| plan.only.is_some()) {
        let matching = writer.everywhere(vec![has(keys::has_plan(&plan.plan))]);
        routes.push(writer.refusal(matching, &not_included(&plan.plan)));
    }
    if api.plans.is_empty() {
        // Said by the first route already: nobody has one of no plans.
        routes.truncate(1 + usize::from(api.cors.is_some()));
    }
    // Envoy refuses a table in which two hosts differ in case only.
    let hosts = api.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    Ok(ApiRoutes { hosts, base_path: api.base_path.clone(), routes })
}

fn not_included(plan: &Name) -> String {
    format!("the plan {plan} does not include this operation")
}

struct Writer<'a> {
    environment: &'a Name,
    api: &'a Api,
    settings: &'a EnvoySettings,
    cluster: String,
    target: Target,
}

impl Writer<'_> {
    /// The whole API, segment by segment: `/pay` is not the beginning of `/payments`.
    fn everywhere(&self, headers: Vec<route::HeaderMatcher>) -> route::RouteMatch {
        let base = self.api.base_path.trim_end_matches('/');
        let path = if base.is_empty() {
            route::route_match::PathSpecifier::Prefix("/".to_owned())
        } else {
            route::route_match::PathSpecifier::PathSeparatedPrefix(base.to_owned())
        };
        route::RouteMatch { headers, path_specifier: Some(path), ..route::RouteMatch::default() }
    }

    fn at(&self, pattern: String, headers: Vec<route::HeaderMatcher>) -> Result<route::RouteMatch, Invalid> {
        if pattern.len() > LONGEST_PATTERN {
            return Err(Invalid::Path { path: pattern.chars().take(80).chain("…".chars()).collect() });
        }
        let path = route::route_match::PathSpecifier::SafeRegex(wire::regex(pattern));
        Ok(route::RouteMatch { headers, path_specifier: Some(path), ..route::RouteMatch::default() })
    }

    /// Only a route that goes to a cluster can have a CORS policy. This one matches before the key is looked at and
    /// never after; would it still be the one in the end, the cluster has no servers.
    fn preflight(&self, cors: &Cors) -> route::Route {
        let unknown = route::HeaderMatcher {
            name: CLIENT_HEADER.to_owned(),
            header_match_specifier: Some(route::header_matcher::HeaderMatchSpecifier::PresentMatch(false)),
            ..route::HeaderMatcher::default()
        };
        let policy = wire::any(&cors_policy(cors, self.settings));
        route::Route {
            r#match: Some(self.everywhere(vec![unknown])),
            typed_per_filter_config: [("envoy.filters.http.cors".to_owned(), policy)].into(),
            action: Some(route::route::Action::Route(route::RouteAction {
                cluster_specifier: Some(route::route_action::ClusterSpecifier::Cluster(clusters::NOWHERE.to_owned())),
                ..route::RouteAction::default()
            })),
            ..route::Route::default()
        }
    }

    fn refusal(&self, matching: route::RouteMatch, message: &str) -> route::Route {
        let body = json!({ "error": "forbidden", "message": message });
        route::Route {
            r#match: Some(matching),
            response_headers_to_add: response_headers(self.api.deprecated.clone()),
            action: Some(answer(403, body.to_string())),
            ..route::Route::default()
        }
    }

    fn guard(&self, guarded: &Guarded, routes: &mut Vec<route::Route>) -> Result<(), Invalid> {
        let Guarded { scope, operations } = guarded;
        let message = format!("this operation needs the scope {scope} of {}", self.api.product);
        let Some(operations) = operations else {
            let everywhere = self.everywhere(vec![lacks(keys::has_scope(&self.api.product, scope))]);
            routes.push(self.refusal(everywhere, &message));
            return Ok(());
        };
        for operation in operations {
            let mut headers: Vec<_> = operation.method.iter().map(|method| is_method(method, true, false)).collect();
            headers.push(lacks(keys::has_scope(&self.api.product, scope)));
            let pattern = paths::lenient(&self.api.base_path, &operation.path);
            routes.push(self.refusal(self.at(pattern, headers)?, &message));
        }
        Ok(())
    }

    fn cell(&self, plan: &ApiPlan, cell: &Cell<'_>) -> Result<route::Route, Invalid> {
        let deprecated = [&self.api.deprecated, &plan.deprecated].into_iter().flatten().cloned();
        let plan = &plan.plan;
        let mut headers = vec![has(keys::has_plan(plan))];
        headers.extend(cell.method.map(|method| is_method(method, !cell.strict, cell.head_apart)));
        let matching = match cell.path {
            None => self.everywhere(headers),
            Some(path) if cell.strict => self.at(paths::strict(&self.api.base_path, path), headers)?,
            Some(path) => self.at(paths::lenient(&self.api.base_path, path), headers)?,
        };
        if cell.limits.iter().any(|limit| limit.requests == 0) {
            return Ok(self.refusal(matching, &not_included(plan)));
        }
        let upstream = &self.api.upstream;
        let rewritten_host = upstream.request_headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = rewritten_host.map_or(self.target.authority.as_str(), |(_, value)| value);
        Ok(route::Route {
            r#match: Some(matching),
            request_headers_to_add: self.request_headers(plan),
            request_headers_to_remove: vec![CLIENT_HEADER.to_owned()],
            response_headers_to_add: response_headers(deprecated.reduce(Deprecated::and)),
            action: Some(route::route::Action::Route(route::RouteAction {
                cluster_specifier: Some(route::route_action::ClusterSpecifier::Cluster(self.cluster.clone())),
                host_rewrite_specifier: Some(route::route_action::HostRewriteSpecifier::HostRewriteLiteral(
                    host.to_owned(),
                )),
                append_x_forwarded_host: true,
                regex_rewrite: self.rewrite(),
                timeout: Some(wire::seconds(upstream.timeout.map_or(15, |timeout| timeout.seconds))),
                rate_limits: cell.limits.iter().flat_map(|limit| limits::counted(plan, limit)).collect(),
                ..route::RouteAction::default()
            })),
            ..route::Route::default()
        })
    }

    /// The path as the upstream sees it: that of the URL, then `rewritePath` in place of the base path.
    fn rewrite(&self) -> Option<envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute> {
        let base = self.api.base_path.trim_end_matches('/');
        let instead = self.api.upstream.rewrite_path.as_deref().map_or(base, |path| path.trim_end_matches('/'));
        let new = format!("{}{instead}", self.target.path);
        if new == base {
            return None;
        }
        // An empty beginning must leave the slash after it: `/pay` becomes `/` and not nothing.
        let (pattern, new) = if new.is_empty() {
            (format!("^{}/?", wire::escape(base)), "/".to_owned())
        } else {
            (format!("^{}", wire::escape(base)), new)
        };
        Some(wire::substitute(pattern, new.replace('\\', r"\\")))
    }

    fn request_headers(&self, plan: &Name) -> Vec<core::HeaderValueOption> {
        let identity = &self.settings.identity_headers;
        let mut headers = Vec::new();
        for (name, value) in &self.api.upstream.request_headers {
            if !name.eq_ignore_ascii_case("host") {
                headers.push(wire::header(name, wire::literal(value)));
            }
        }
        // After those of the API, so that who calls is always the truth.
        headers.push(wire::header(&identity.application, format!("%DYNAMIC_METADATA({METADATA}:{APPLICATION_KEY})%")));
        headers.push(wire::header(&identity.plan, plan.to_string()));
        headers.push(wire::header(&identity.product, self.api.product.to_string()));
        headers.extend(identity.environment.iter().map(|name| wire::header(name, self.environment.to_string())));
        headers
    }
}

fn response_headers(deprecated: Option<Deprecated>) -> Vec<core::HeaderValueOption> {
    let Some(Deprecated { since, sunset, links }) = deprecated else { return Vec::new() };
    let mut headers = Vec::new();
    headers.extend(since.map(|since| wire::header("deprecation", format!("@{}", since.as_second()))));
    headers
        .extend(sunset.map(|sunset| wire::header("sunset", sunset.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())));
    let relations = [("deprecation", since.is_some()), ("sunset", sunset.is_some())];
    for (relation, _) in relations.into_iter().filter(|(_, is_said)| *is_said) {
        for link in
            links.iter().filter(|link| link.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte)))
        {
            headers.push(wire::one_more(
                "link",
                format!("<{}>; rel=\"{relation}\"; type=\"text/html\"", wire::literal(link)),
            ));
        }
    }
    headers
}

fn answer(status: u32, body: String) -> route::route::Action {
    route::route::Action::DirectResponse(route::DirectResponseAction {
        status,
        body: Some(wire::text(body)),
        ..route::DirectResponseAction::default()
    })
}

fn has(text: String) -> route::HeaderMatcher {
    route::HeaderMatcher {
        name: CLIENT_HEADER.to_owned(),
        header_match_specifier: Some(route::header_matcher::HeaderMatchSpecifier::StringMatch(wire::string(
            MatchPattern::Contains(text),
        ))),
        ..route::HeaderMatcher::default()
    }
}

/// True without the header too: who is not known has nothing.
fn lacks(text: String) -> route::HeaderMatcher {
    route::HeaderMatcher { invert_match: true, treat_missing_header_as_empty: true, ..has(text) }
}

/// Servers answer `HEAD` as they would `GET`; what is said of `GET` holds for it too, unless `head_apart`.
fn is_method(method: &str, ignore_case: bool, head_apart: bool) -> route::HeaderMatcher {
    let pattern = if method.eq_ignore_ascii_case("GET") && !head_apart {
        let case = if ignore_case { "(?i)" } else { "" };
        wire::string(MatchPattern::SafeRegex(wire::regex(format!("{case}(?:GET|HEAD)"))))
    } else {
        StringMatcher { ignore_case, ..wire::string(MatchPattern::Exact(method.to_owned())) }
    };
    route::HeaderMatcher {
        name: ":method".to_owned(),
        header_match_specifier: Some(route::header_matcher::HeaderMatchSpecifier::StringMatch(pattern)),
        ..route::HeaderMatcher::default()
    }
}

fn cors_policy(cors: &Cors, settings: &EnvoySettings) -> CorsPolicy {
    let origins = cors.allow_origins.iter().map(|origin| {
        if let Some((before, after)) = origin.split_once('*') {
            let pattern = format!("{}.*{}", wire::escape(before), wire::escape(after));
            wire::string(MatchPattern::SafeRegex(wire::regex(pattern)))
        } else {
            wire::string(MatchPattern::Exact(origin.clone()))
        }
    });
    let methods = ["GET", "HEAD", "POST"].into_iter().chain(cors.allow_methods.iter().map(String::as_str));
    let headers = [settings.api_key_header.as_str()].into_iter().chain(cors.allow_headers.iter().map(String::as_str));
    CorsPolicy {
        allow_origin_string_match: origins.collect(),
        allow_methods: join(methods),
        allow_headers: join(headers),
        expose_headers: join(cors.expose_headers.iter().map(String::as_str)),
        max_age: cors.max_age.map(|age| age.seconds.to_string()).unwrap_or_default(),
        allow_credentials: Some(BoolValue { value: cors.allow_credentials }),
        forward_not_matching_preflights: Some(BoolValue { value: false }),
        ..CorsPolicy::default()
    }
}

fn join<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for part in parts {
        if !seen.iter().any(|other| other.eq_ignore_ascii_case(part)) {
            seen.push(part);
        }
    }
    seen.join(", ")
}

fn check_header(name: &str, value: &str) -> Result<(), Invalid> {
    let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let is_text = value.bytes().all(|byte| (b' '..0x7f).contains(&byte)) && value.len() <= 8192;
    if is_token && is_text { Ok(()) } else { Err(Invalid::Header { name: name.to_owned() }) }
}

fn is_host(host: &str) -> bool {
    let bare = host.strip_prefix("*.").unwrap_or(host);
    !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}
