//! The main job: a commit grants, a revert takes away, at a real Envoy.

use portico_tests::files;
use portico_tests::http::Ask;
use portico_tests::scenario::{Bystander, PROBE, SHOP, Scenario, THINGS};

#[test]
fn a_commit_grants_and_a_revert_denies() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);

    let denied = scenario.ask(&Ask::get(THINGS)).expect("the gateway answers");
    assert_eq!(denied.status, 401, "{}", denied.body);

    let granted = files::grant(&scenario.repo, "echo-small");
    portico.wait_commit(&granted);
    let key = scenario.key(SHOP);
    // Five requests an hour, on a connection that stays open for all that follows.
    let mut connection = scenario.connect();
    let ask = Ask::get(THINGS).key(&key);
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(connection.send(&ask).expect("the gateway answers").status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    bystander.check("while another one is over its limit");

    let reverted = scenario.repo.revert(&granted);
    portico.wait_commit(&reverted);
    let denied = connection.send(&ask).expect("the connection that was open before the revert still answers");
    assert_eq!(denied.status, 401, "{}", denied.body);
    assert_eq!(scenario.status(&key), 401);
    bystander.check("after another one's revocation");
}

#[test]
fn a_denial_says_why_in_json() {
    let scenario = Scenario::new();
    files::grant(&scenario.repo, "echo-small");
    let _portico = scenario.up();
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    for _ in 0..5 {
        scenario.status(&key);
    }
    for (ask, status) in [
        (Ask::get(THINGS), 401),
        (Ask::get(THINGS).key("ptk_wrong"), 401),
        (Ask::get(THINGS).key(&key), 429),
        (Ask::get("/nowhere").key(&key), 404),
    ] {
        let answer = scenario.ask(&ask).expect("the gateway answers");
        assert_eq!(answer.status, status, "{ask:?}: {}", answer.body);
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.contains("json"), "{status} is {kind}: {}", answer.body);
        let body = answer.json();
        let text = body.to_string();
        assert!(text.len() > 20, "{status} says nothing: {text}");
        assert!(!text.contains(&key), "a denial repeats the key");
    }
}

#[test]
fn a_key_opens_its_own_product_only() {
    let scenario = Scenario::new();
    let other = files::product(&scenario.upstream.url())
        .replace("name: echo,", "name: other,")
        .replace("basePath: /echo", "basePath: /other")
        .replace("openapi: { path: openapi.yaml }", "lifecycle: { stage: Published }");
    scenario.repo.write("products/other/product.yaml", other);
    scenario.repo.commit("another product without a plan");
    let _portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    let answer = scenario.ask(&Ask::get("/other/things").key(&key)).expect("the gateway answers");
    assert_eq!(answer.status, 403, "{}", answer.body);
    answer.json();
    let answer = scenario.ask(&Ask::get("/other/things")).expect("the gateway answers");
    assert_eq!(answer.status, 401, "{}", answer.body);
}

#[test]
fn a_plan_opens_the_operations_that_it_names() {
    let scenario = Scenario::new();
    scenario.repo.replace(
        files::PLAN,
        "{ name: echo }",
        "{ name: echo, operations: [listThings, 'GET /things/{id}'] }",
    );
    scenario.repo.commit("only some operations");
    let _portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    for (method, path, status) in [
        ("GET", "/echo/things", 200),
        ("GET", "/echo/things/7", 200),
        ("POST", "/echo/things", 403),
        ("GET", "/echo/other", 403),
        ("GET", "/echo/things/7/parts", 403),
        ("DELETE", "/echo/things/7", 403),
    ] {
        let answer = scenario.ask(&Ask::method(method, path).key(&key)).expect("the gateway answers");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
}

#[test]
fn limits_are_counted_by_subscription_and_operation() {
    let scenario = Scenario::new();
    scenario.repo.replace(
        files::PLAN,
        "limits: [{ requests: 1000000, per: Minute }]",
        "limits:\n    - { requests: 4, per: Hour }\n    - { requests: 2, per: Hour, operations: [makeThing] }\n    - { requests: 0, per: Hour, methods: [DELETE] }",
    );
    files::grant(&scenario.repo, "echo-basic");
    let _portico = scenario.up();
    let (shop, probe) = (scenario.key(SHOP), scenario.key(PROBE));
    let status =
        |key: &str, method: &str| scenario.ask(&Ask::method(method, THINGS).key(key)).map_or(0, |answer| answer.status);
    portico_tests::wait::until("both keys to be known", || {
        [&shop, &probe].iter().all(|key| status(key, "DELETE") == 403).then_some(())
    });
    // The operation's own limit takes the place of the whole plan's, and does not eat of it.
    assert_eq!([(); 3].map(|()| status(&shop, "POST")), [200, 200, 429]);
    assert_eq!([(); 5].map(|()| status(&shop, "GET")), [200, 200, 200, 200, 429]);
    assert_eq!([(); 5].map(|()| status(&probe, "GET")), [200, 200, 200, 200, 429], "each subscription by itself");
}

#[test]
fn the_upstream_learns_who_calls_and_nobody_can_pretend() {
    let scenario = Scenario::new();
    let _portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    let ask = Ask::get("/echo/things?page=2")
        .key(&key)
        .header("x-portico-application", "somebody/else")
        .header("x-portico-plan", "apis/gold")
        .header("x-portico-product", "apis/bank");
    let answer = scenario.ask(&ask).expect("the gateway answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    assert_eq!(body["path"], "/things", "the base path is rewritten");
    assert_eq!(body["query"], "page=2");
    let seen = |name| answer.upstream_header(name).unwrap_or_default();
    assert_eq!(seen("x-portico-application"), "watch/probe");
    assert_eq!(seen("x-portico-plan"), "apis/echo-basic");
    assert_eq!(seen("x-portico-product"), "apis/echo");
    assert_eq!(seen("x-api-key"), "", "the key stays at the gateway");
}

#[test]
fn a_rotated_key_overlaps_and_a_revoked_one_never_comes_back() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    files::grant(&scenario.repo, "echo-basic");
    let first = scenario.key(SHOP);
    scenario.wait_status(&first, 200);

    let credential = files::credential("web-basic", "web-basic");
    let rotated =
        scenario.repo.commit_file(files::CREDENTIAL, &format!("{credential}  generation: 2\n  overlap: 1h\n"));
    portico.wait_commit(&rotated);
    let second = scenario.key(SHOP);
    assert_ne!(first, second);
    scenario.wait_status(&second, 200);
    assert_eq!(scenario.status(&first), 200, "the old key is good for the overlap");

    let regenerated =
        scenario.repo.commit_file(files::CREDENTIAL, &format!("{credential}  generation: 3\n  overlap: 0s\n"));
    portico.wait_commit(&regenerated);
    let third = scenario.key(SHOP);
    scenario.wait_status(&third, 200);
    assert_eq!((scenario.status(&first), scenario.status(&second)), (401, 401), "no overlap");

    let gone = {
        scenario.repo.remove(files::CREDENTIAL);
        scenario.repo.commit("shop: no key any more")
    };
    portico.wait_commit(&gone);
    scenario.wait_status(&third, 401);
    let back = scenario.repo.revert(&gone);
    portico.wait_commit(&back);
    let fourth = scenario.key(SHOP);
    scenario.wait_status(&fourth, 200);
    assert!(![&first, &second, &third].contains(&&fourth), "a revert of a revert makes a new key");
    assert_eq!(scenario.status(&third), 401);
}
