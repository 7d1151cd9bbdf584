use super::*;

fn read(kind: &str, spec: &str) -> Spec {
    fn boxed<T: serde::de::DeserializeOwned>(spec: &str) -> Box<T> {
        Box::new(serde_yaml::from_str(spec).expect(spec))
    }
    match kind {
        "Portal" => Spec::Portal(boxed(spec)),
        "Environment" => Spec::Environment(boxed(spec)),
        "ApiProduct" => Spec::ApiProduct(boxed(spec)),
        "Plan" => Spec::Plan(boxed(spec)),
        "Developer" => Spec::Developer(boxed(spec)),
        "Application" => Spec::Application(boxed(spec)),
        "Subscription" => Spec::Subscription(boxed(spec)),
        "Approval" => Spec::Approval(boxed(spec)),
        _ => Spec::Credential(boxed(spec)),
    }
}

/// Kind, what it says, and what is said against it.
const CASES: &[(&str, &str, &[&str])] = &[
    ("Environment", "{stage: Sandbox, gateway: {}}", &["spec.gateway exactly-one"]),
    (
        "Environment",
        "{stage: Sandbox, gateway: {kong: {gateway: {name: a}}, kuadrant: {gateway: {name: a}}}}",
        &["spec.gateway.kong exactly-one"],
    ),
    (
        "Environment",
        "{stage: Sandbox, gateway: {envoy: {listeners: [{name: a, port: 1}, {name: a, port: 2}]}}}",
        &["spec.gateway.envoy.listeners[1].name duplicate-item"],
    ),
    (
        "ApiProduct",
        "{title: a, versions: [{name: a, openapi: {path: /a, inline: b}}, {name: a, openapi: {path: 'a\\b'}}]}",
        &[
            "spec.versions[1].name duplicate-item",
            "spec.versions[0].openapi.inline exactly-one",
            "spec.versions[0].openapi.path invalid-path",
            "spec.versions[1].openapi.path invalid-path",
        ],
    ),
    (
        "ApiProduct",
        "{title: a, lifecycle: {deprecatedAt: 2026-02-01T00:00:00Z, sunsetAt: 2026-01-01T00:00:00Z}}",
        &["spec.lifecycle.sunsetAt wrong-order", "spec.lifecycle.sunsetAt only-with"],
    ),
    ("ApiProduct", "{title: a, visibility: {audience: Teams}}", &["spec.visibility.audience missing-field"]),
    ("ApiProduct", "{title: a, visibility: {groups: [a]}}", &["spec.visibility.groups only-with"]),
    ("ApiProduct", "{title: a, consumers: {from: Selected}}", &["spec.consumers.namespaces missing-field"]),
    ("ApiProduct", "{title: a, consumers: {namespaces: [a]}}", &["spec.consumers.namespaces only-with"]),
    (
        "Plan",
        "{title: a, products: [{name: a}], properties: [{name: one, title: a, choices: [b]}, {name: one, title: a, kind: Choice}]}",
        &[
            "spec.properties[1].name duplicate-item",
            "spec.properties[0].choices only-with",
            "spec.properties[1].choices missing-field",
        ],
    ),
    (
        "Plan",
        "{title: a, products: [{name: a}], security: {oauth: {}},
          limits: [{requests: -1, per: Day, operations: [a], methods: [GET]}]}",
        &["spec.security.oauth only-with", "spec.limits[0].requests invalid-value", "spec.limits[0].methods only-with"],
    ),
    (
        "Plan",
        "{title: a, products: [{name: a}], security: {type: ExternalClient, apiKey: {}}}",
        &["spec.security.apiKey only-with"],
    ),
    (
        "Portal",
        "{title: a, registration: {fields: [{name: a, title: a, kind: Choice}]}}",
        &["spec.registration.fields[0].choices missing-field"],
    ),
    ("Developer", "{mail: nobody}", &["spec.mail invalid-value"]),
    ("Application", "{title: ''}", &["spec.title invalid-value"]),
    ("Application", "{title: app, authentication: ExternalClient}", &["spec.externalClientId missing-field"]),
    ("Application", "{title: ab}", &["spec.title invalid-value"]),
    (
        "Subscription",
        "{application: {name: a}, plan: {name: ''}, scopes: [{name: 'a b'}, {name: c}, {name: c}]}",
        &["spec.plan.name invalid-value", "spec.scopes[0].name invalid-value", "spec.scopes[2].name duplicate-item"],
    ),
    ("Approval", "{subscription: {name: a}, decision: Granted}", &["spec.grant missing-field"]),
    ("Approval", "{subscription: {name: a}, decision: Denied}", &["spec.reason missing-field"]),
    (
        "Approval",
        "{subscription: {name: a}, decision: Granted, grant: {plan: {name: b}, terms: x}, about: {name: b}}",
        &["spec.grant.terms invalid-value", "spec.about only-with"],
    ),
    ("Credential", "{environment: {name: a}}", &["spec exactly-one"]),
    (
        "Credential",
        "{application: {name: a}, subscription: {name: b}, environment: {name: a}, generation: 0,
          jwksUri: 'http://a', deliverTo: {secret: -a}}",
        &[
            "spec.application exactly-one",
            "spec.generation invalid-value",
            "spec.deliverTo.secret invalid-value",
            "spec.jwksUri invalid-value",
        ],
    ),
    ("Credential", "{application: {name: a}, environment: {name: a}}", &[]),
    (
        "Credential",
        "{application: {name: a}, environment: {name: a}, rotateEvery: 0h}",
        &["spec.rotateEvery invalid-value"],
    ),
    (
        "Plan",
        "{title: a, products: [{name: a}], credentials: {lifetime: 0d}}",
        &["spec.credentials.lifetime invalid-value"],
    ),
    (
        "Plan",
        "{title: a, products: [{name: a}], contract: {text: Yours, callToAction: Talk, url: 'mailto:a@b'}, price: {currency: EUR}}",
        &["spec.price only-with"],
    ),
];

#[test]
fn rules_are_checked() {
    for (kind, spec, expected) in CASES {
        let found = validate(&read(kind, spec));
        let found: Vec<String> = found.iter().map(|found| format!("{} {}", found.path, found.code)).collect();
        assert_eq!(found, *expected, "{kind} {spec}");
    }
}

/// Fails when a rule is added to the definitions, as a reminder to add it here too.
#[test]
fn every_rule_of_the_definitions_is_here() {
    fn rules(schema: &serde_json::Value, count: &mut usize) {
        match schema {
            serde_json::Value::Object(fields) => {
                let own = fields.get("x-kubernetes-validations").and_then(serde_json::Value::as_array);
                let lasting = |rule: &&serde_json::Value| !rule.to_string().contains("oldSelf");
                *count += own.map_or(0, |own| own.iter().filter(lasting).count());
                fields.values().for_each(|value| rules(value, count));
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| rules(value, count)),
            _ => {}
        }
    }
    let mut count = 0;
    rules(&serde_json::to_value(portico_crds::all()).expect("JSON"), &mut count);
    assert_eq!(count, KNOWN_RULES, "a rule came or went: look through `validate`");
}

const KNOWN_RULES: usize = 26;
