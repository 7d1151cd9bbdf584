//! What files say and what is understood.

use serde::de::DeserializeOwned;

use crate::*;

fn read<T: DeserializeOwned>(yaml: &str) -> T {
    serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn refused<T: DeserializeOwned>(yaml: &str) -> String {
    match serde_yaml::from_str::<T>(yaml) {
        Ok(_) => panic!("this should not be understood:\n{yaml}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn spans() {
    for (text, seconds, canonical) in [
        ("0s", 0, "0s"),
        ("90s", 90, "1m30s"),
        ("15m", 900, "15m"),
        ("24h", 86_400, "1d"),
        ("30d", 2_592_000, "30d"),
        ("1h30m", 5_400, "1h30m"),
        ("1d12h5m7s", 129_907, "1d12h5m7s"),
        ("36500d", 3_153_600_000, "36500d"),
    ] {
        let span: Span = text.parse().unwrap();
        assert_eq!(span.seconds, seconds, "{text}");
        assert_eq!(span.to_string(), canonical, "{text}");
        assert_eq!(canonical.parse(), Ok(span), "{text}");
        assert_eq!(read::<Span>(&format!("\"{text}\"")), span);
        assert_eq!(serde_json::to_string(&span).unwrap(), format!("\"{canonical}\""));
    }
    for (text, error) in [
        ("", SpanError::Form),
        ("90", SpanError::Form),
        ("s", SpanError::Form),
        ("-1s", SpanError::Form),
        ("1.5h", SpanError::Form),
        ("1 h", SpanError::Form),
        ("1w", SpanError::Form),
        ("ⅷh", SpanError::Form),
        ("30m1h", SpanError::Order),
        ("1h1h", SpanError::Order),
        ("36501d", SpanError::TooLong),
        ("99999999999999999999s", SpanError::TooLong),
        ("36500d1s", SpanError::TooLong),
    ] {
        assert_eq!(text.parse::<Span>(), Err(error), "{text}");
    }
    let error = serde_json::from_str::<Span>("90").unwrap_err().to_string();
    assert!(error.contains("a span such as"), "{error}");
}

#[test]
fn spans_are_written_as_the_schema_wants() {
    for seconds in (0..400_000).step_by(977).chain([Span::MAX.seconds, Span::MAX.seconds - 1]) {
        let span = Span::from_secs(seconds);
        let text = span.to_string();
        assert_eq!(text.parse(), Ok(span));
        assert!((2..=40).contains(&text.len()), "{text}");
    }
}

#[test]
fn timestamps() {
    let moment: Timestamp = read("2026-07-01T12:00:00Z");
    assert_eq!(moment.to_string(), "2026-07-01T12:00:00Z");
    assert_eq!(serde_yaml::to_string(&moment).unwrap(), "2026-07-01T12:00:00Z\n");
    assert_eq!(read::<Timestamp>("2026-07-01T14:00:00+02:00"), moment);
    assert!(moment < read("2026-07-01T12:00:01Z"));
    refused::<Timestamp>("tomorrow");
    refused::<Timestamp>("2026-07-01");
}

#[test]
fn a_product_has_defaults() {
    let product: ApiProductSpec = read("title: Weather");
    assert_eq!(product.versions.len(), 1);
    assert_eq!(product.versions[0].name, "v1");
    assert_eq!(product.lifecycle.stage, LifecycleStage::Published);
    assert_eq!(product.visibility.audience, Audience::Public);
    assert_eq!(product.consumers.from, ConsumersFrom::Same);
    assert_eq!(product.deletion_policy, DeletionPolicy::Refuse);

    let endpoint: Endpoint = read("{environment: {name: local}, upstream: {url: 'http://127.0.0.1:18080'}}");
    assert_eq!(endpoint.base_path, "/");
    assert_eq!(endpoint.upstream.rewrite_path, None);
    let page: DocPage = read("{title: Start, path: start.md}");
    assert!(page.published);
    assert_eq!(page.audience, DocAudience::Everyone);
    assert_eq!(read::<ApiScope>("name: 'a:b'").mode, ScopeMode::Active);
}

#[test]
fn a_plan_has_defaults() {
    let plan: PlanSpec = read("{title: Free, products: [{name: weather}]}");
    assert_eq!(plan.security.r#type, Security::ApiKey);
    assert_eq!(plan.approval.mode, ApprovalMode::Automatic);
    assert_eq!(plan.limits_shared_by, LimitsSharedBy::Subscription);
    assert_eq!(plan.change_mode, ChangeMode::Direct);
    assert_eq!(plan.credentials.max, 5);
    assert_eq!(plan.lifecycle, Lifecycle::default());
    assert_eq!(read::<CredentialRules>("{}"), CredentialRules::default());
}

#[test]
fn an_environment_has_defaults() {
    let environment: EnvironmentSpec =
        read("{stage: Sandbox, gateway: {envoy: {listeners: [{name: http, port: 10000}]}}}");
    let envoy = environment.gateway.envoy.unwrap();
    assert_eq!(envoy.listeners[0].address, "0.0.0.0");
    assert_eq!(envoy.api_key_header, "x-api-key");
    assert_eq!(envoy.identity_headers.application, "x-portico-application");
    assert_eq!(envoy.identity_headers.plan, "x-portico-plan");
    assert_eq!(envoy.identity_headers.product, "x-portico-product");
    assert_eq!(envoy.identity_headers.environment, None);
    assert_eq!(read::<IdentityProvider>("issuer: https://id.example.com").client_id_claim, "azp");
}

#[test]
fn the_rest_has_defaults() {
    let portal: PortalSpec = read("{title: Acme, registration: {}, git: {repository: /srv/apis}}");
    assert_eq!(portal.registration.unwrap().mode, RegistrationMode::Approval);
    let git = portal.git.unwrap();
    assert_eq!((git.branch.as_str(), git.write), ("main", GitWrite::Commit));
    assert_eq!(git.identities, Identities::KubernetesUser);

    let team: TeamSpec = read("{title: Web, members: [{mail: ann@acme.example}]}");
    assert_eq!(team.members[0].access.credentials, AccessLevel::None);
    assert_eq!(read::<DeveloperSpec>("mail: ann@acme.example").state, DeveloperState::Pending);
    assert_eq!(read::<ApplicationSpec>("title: Shop").authentication, Security::ApiKey);

    let subscription: SubscriptionSpec = read("{application: {name: shop}, plan: {name: free}}");
    assert!(!subscription.suspend && !subscription.go_live && subscription.cancel_at.is_none());
    let credential: CredentialSpec = read("{subscription: {name: shop-free}, environment: {name: local}}");
    assert_eq!(credential.generation, 1);
    assert!(!credential.disabled);
    assert_eq!(read::<Grant>("plan: {name: gold}").stage, Stage::Production);
}

#[test]
fn nothing_unknown_is_swallowed() {
    assert!(refused::<PortalSpec>("{title: A, colour: red}").contains("unknown field `colour`"));
    assert!(refused::<PortalSpec>("{title: A, signIn: {password: {}}}").contains("unknown field `password`"));
    refused::<EnvironmentSpec>("{stage: Sandbox, gateway: {nginx: {}}}");
    refused::<ApiProductSpec>("{title: A, consumers: {of: All}}");
    refused::<PlanSpec>("{title: A, products: [{name: a, version: v1}]}");
    refused::<TeamSpec>("{title: A, members: [{mail: a@b, access: {team: Full}}]}");
    refused::<DeveloperSpec>("{mail: a@b, password: hunter2}");
    refused::<ApplicationSpec>("{title: A, secret: s}");
    refused::<SubscriptionSpec>("{application: {name: a, namespace: b}, plan: {name: c}}");
    refused::<CredentialSpec>("{environment: {name: e}, key: k}");
    refused::<ApprovalSpec>("{subscription: {name: a}, decision: Granted, plan: {name: b}}");
    refused::<ApprovalSpec>("{subscription: {name: a}, decision: granted}");
}

#[test]
fn what_is_left_out_stays_out() {
    let subscription: SubscriptionSpec = read("{application: {name: shop}, plan: {name: free}}");
    assert_eq!(
        serde_json::to_string(&subscription).unwrap(),
        r#"{"application":{"name":"shop"},"plan":{"name":"free"}}"#
    );
    let whole: Subscription = read(
        "{apiVersion: portico.dev/v1alpha1, kind: Subscription, metadata: {name: a, namespace: b}, \
         spec: {application: {name: shop}, plan: {name: free, namespace: weather}}}",
    );
    assert_eq!(whole.spec.plan.namespace.as_deref(), Some("weather"));
    assert_eq!(whole.status, None);
}

/// 100,000 of each are held in memory.
#[test]
fn what_there_are_many_of_is_small() {
    assert!(size_of::<SubscriptionSpec>() <= 168, "{}", size_of::<SubscriptionSpec>());
    assert!(size_of::<CredentialSpec>() <= 288, "{}", size_of::<CredentialSpec>());
}
