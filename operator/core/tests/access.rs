//! Who can call what, as it is listed.

mod support;

use portico_core::batch::Change;

const FILES: &str = "
{kind: Environment, metadata: {namespace: a, name: e}, spec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}}
---
{kind: Environment, metadata: {namespace: a, name: f}, spec: {stage: Production, gateway: {envoy: {listeners: [{name: http, port: 80}]}}}}
---
{kind: ApiProduct, metadata: {namespace: a, name: here}, spec: {title: T, endpoints: [{environment: {name: e}, upstream: {url: 'http://u'}}]}}
---
{kind: ApiProduct, metadata: {namespace: a, name: there}, spec: {title: T, endpoints: [{environment: {name: f}, upstream: {url: 'http://u'}}]}}
---
{kind: ApiProduct, metadata: {namespace: a, name: tried}, spec: {title: T, endpoints: [{environment: {name: e}, upstream: {url: 'http://u'}}]}}
---
{kind: Plan, metadata: {namespace: a, name: both}, spec: {title: T, products: [{name: here}, {name: there}]}}
---
{kind: Plan, metadata: {namespace: a, name: sandbox}, spec: {title: T, products: [{name: tried}], sandbox: {required: true}}}
---
{kind: Application, metadata: {namespace: a, name: x}, spec: {title: T}}
---
{kind: Subscription, metadata: {namespace: a, name: live}, spec: {application: {name: x}, plan: {name: both}}}
---
{kind: Subscription, metadata: {namespace: a, name: trial}, spec: {application: {name: x}, plan: {name: sandbox}}}
---
{kind: Credential, metadata: {namespace: a, name: c}, spec: {application: {name: x}, environment: {name: e}}}
";

#[test]
fn it_is_what_the_client_carries_and_what_is_served_there() {
    let mut world = support::World::new("2026-01-01T00:00:00Z".parse().expect("time"));
    world.apply(support::objects(FILES).into_iter().map(Change::Put).collect());
    let access = world.core.access();
    let rows: Vec<_> =
        access.iter().map(|row| format!("{} {} {}", row.subscription, row.product, row.environment)).collect();
    // Not `there`, which is served elsewhere; nor `tried`, which is not live.
    assert_eq!(rows, ["a/live a/here a/e"]);
}
