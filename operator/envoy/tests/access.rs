//! Who gets through, asked of a real Envoy.

mod support;

use portico_core::gateway::{Guarded, Scope};
use portico_crds::{Cors, Period};
use support::http::{Connection, get, send};
use support::upstream::Upstream;
use support::{World, api, client, key, limit, operation, plan};

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_what_their_plans_cover() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let mut pay = api("owner/pay", "/pay", upstream.address, vec![plan("owner/gold"), plan("owner/silver")]);
    pay.upstream.rewrite_path = Some("/inner".to_owned());
    pay.upstream.request_headers = [("x-extra".to_owned(), "100%".to_owned())].into();
    let puts = vec![
        world.put_gateway(world.gateway()),
        world.put_api(pay),
        world.put_api(api("owner/mail", "/mail", upstream.address, vec![plan("owner/bronze")])),
        world.put_client(client("team/app", &["owner/gold", "owner/silver"], &[])),
        world.put_client(client("team/other", &["owner/bronze"], &[])),
    ];
    world.apply(vec![], puts).await;
    let (at, good, other) = (world.address(), key("team/app", 1), key("team/other", 1));

    let answer = get(at, "/pay/refunds?a=b", &[("x-api-key", good.expose())]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.body.to_lowercase();
    assert!(seen.starts_with("get /inner/refunds?a=b http/1.1"), "{seen}");
    for expected in [
        "x-portico-application: team/app\r\n",
        "x-portico-plan: owner/gold\r\n",
        "x-portico-product: owner/pay\r\n",
        "x-extra: 100%\r\n",
        "x-forwarded-host: test.example\r\n",
    ] {
        assert!(seen.contains(expected), "{expected:?} in {seen}");
    }
    for secret in ["x-portico-client", "x-api-key", "x-envoy-internal", good.expose()] {
        assert!(!seen.contains(secret), "{secret:?} in {seen}");
    }
    assert_eq!(answer.header("x-ratelimit-limit"), None, "there is no limit: {answer:?}");

    // What a caller says about itself is thrown away.
    let spoofed = [
        ("x-api-key", good.expose()),
        ("x-portico-client", "x/y|owner/bronze|"),
        ("x-portico-application", "evil"),
        ("x-portico-plan", "evil"),
        ("x-http-method-override", "delete"),
        ("x-original-url", "/mail/evil"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
    ];
    let answer = get(at, "/pay/x", &spoofed).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("evil") && !answer.body.contains("override"), "{}", answer.body);
    assert_eq!(get(at, "/mail/x", &spoofed).await.status, 403);
    assert_eq!(get(at, "/mail/x", &[("x-portico-client", "x/y|owner/bronze|")]).await.status, 401);

    // No key, no access; and no hint which part of it was wrong.
    let none = get(at, "/pay/x", &[]).await;
    assert_eq!(none.status, 401);
    assert_eq!(none.header("content-type"), Some("application/json"));
    assert_eq!(none.header("www-authenticate"), Some("ApiKey header=\"x-api-key\""));
    assert_eq!(none.body, "{\"error\":\"unauthorized\",\"message\":\"no valid API key in the header x-api-key\"}\n");
    let unknown = key("nobody/nothing", 1);
    let other_shard = format!("ptk_{}", "z".repeat(39));
    let wrong = [unknown.expose(), &good.expose()[..42], "ptk_", "nonsense", "", &other_shard, "Bearer"];
    for key in wrong {
        let answer = get(at, "/pay/x", &[("x-api-key", key)]).await;
        assert_eq!((answer.status, &answer.body), (401, &none.body), "{key:?}");
    }

    let answer = get(at, "/pay/x", &[("x-api-key", other.expose())]).await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.body,
        "{\"error\":\"forbidden\",\"message\":\"no subscription of this application covers owner/pay\"}\n"
    );
    assert_eq!(get(at, "/payments", &[("x-api-key", good.expose())]).await.status, 404);
    assert_eq!(get(at, "/pay", &[("x-api-key", good.expose())]).await.status, 200);
    assert_eq!(get(at, "/mail/x", &[("x-api-key", other.expose())]).await.status, 200);

    // Nothing by which a key could be found out later.
    for page in ["/config_dump", "/stats", "/clusters", "/listeners"] {
        let text = world.admin(page).await;
        assert!(!text.contains(&good.expose()[6..]), "a key in {page}");
        assert!(!text.is_empty(), "{page}");
    }
    assert!(world.admin("/config_dump").await.contains("[redacted]"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_have_rules_of_their_own() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let mut gold = plan("owner/gold");
    gold.limits = vec![limit("no-delete", Scope::Methods(vec!["DELETE".to_owned()]), 0, Period::Second)];
    let mut reader = plan("owner/reader");
    reader.only = Some(vec![operation("GET /refunds/{id}"), operation("/status")]);
    let mut pay = api("owner/pay", "/pay", upstream.address, vec![gold, reader]);
    pay.guarded = vec![Guarded {
        scope: "pay:write".to_owned(),
        operations: Some(vec![operation("POST /refunds/{id}"), operation("/admin/keys")]),
    }];
    // Of this one nobody knows what the scope guards.
    let mut mail = api("owner/mail", "/mail", upstream.address, vec![plan("owner/gold")]);
    mail.guarded = vec![Guarded { scope: "pay:write".to_owned(), operations: None }];
    let puts = vec![
        world.put_gateway(world.gateway()),
        world.put_api(pay),
        world.put_api(mail),
        world.put_client(client("team/plain", &["owner/gold"], &[])),
        world.put_client(client("team/writer", &["owner/gold"], &[("owner/pay", "pay:write")])),
        world.put_client(client(
            "team/other",
            &["owner/gold"],
            &[("owner/mail", "pay:write"), ("owner/pay", "pay:writer")],
        )),
        world.put_client(client("team/reader", &["owner/reader"], &[("owner/pay", "pay:write")])),
    ];
    world.apply(vec![], puts).await;
    let at = world.address();
    let status = async |credential: &str, method: &str, path: &str| {
        send(at, method, path, &[("x-api-key", key(credential, 1).expose())]).await.status
    };

    assert_eq!(status("team/writer", "POST", "/pay/refunds/1").await, 200);
    assert_eq!(status("team/plain", "GET", "/pay/refunds/1").await, 200);
    assert_eq!(status("team/plain", "DELETE", "/pay/refunds/1").await, 403);
    let before = upstream.requests();
    let same = [
        "/pay/refunds/1",
        "/pay//refunds/1",
        "//pay/refunds/1",
        "/pay/./refunds/1",
        "/pay/x/../refunds/1",
        "/pay/refunds/1/",
        "/pay/x/%2e%2e/refunds/1",
        "/pay/refund%73/1",
        "/pay/REFUNDS/1",
        "/pay/refunds/1;a=b",
        "/pay/refunds;a=b/1",
        "/pay\\refunds\\1",
        "/pay/refunds/1?x=/y",
        "/pay/refunds//1",
        "/pay/refunds/1/?",
        "/pay/refunds/1;/",
    ];
    for path in same {
        let answer = send(at, "POST", path, &[("x-api-key", key("team/plain", 1).expose())]).await;
        assert_eq!(answer.status, 403, "{path} {answer:?}");
        assert!(answer.body.contains("needs the scope pay:write of owner/pay"), "{path} {}", answer.body);
    }
    for path in [
        "/pay/refunds%2f1",
        "/pay/refunds%2F1",
        "/pay%2frefunds/1",
        "/pay/refunds%5c1",
        "/pay/;a/refunds/1",
        "/pay/x/%2e%2e;/refunds/1",
    ] {
        let answer = send(at, "POST", path, &[("x-api-key", key("team/plain", 1).expose())]).await;
        assert_eq!(answer.status, 400, "{path} {answer:?}");
    }
    // Envoy takes the dots for dots in spite of the semicolon, or refuses the path.
    for path in ["/pay/x/..;/refunds/1", "/pay/.;a/refunds/1"] {
        assert!(matches!(status("team/plain", "POST", path).await, 400 | 403), "{path}");
    }
    for path in ["/PAY/refunds/1", "/pay;a/refunds/1", "/pay/../../etc/passwd", "/x/../../pay%00"] {
        let answer = send(at, "POST", path, &[("x-api-key", key("team/plain", 1).expose())]).await;
        assert!(matches!(answer.status, 400 | 404), "{path} {answer:?}");
    }
    assert_eq!(status("team/other", "POST", "/pay/refunds/1").await, 403);
    for path in ["/mail", "/mail/x", "/mail//x/%2e%2e/y"] {
        assert_eq!(status("team/plain", "GET", path).await, 403, "{path}");
        assert_eq!(status("team/writer", "GET", path).await, 403, "{path}: the scope of another product");
    }
    for method in ["GET", "HEAD", "PUT"] {
        assert_eq!(status("team/plain", method, "/pay/admin/keys").await, 403, "{method}");
    }
    assert_eq!(upstream.requests(), before, "nothing of that got through");
    assert_eq!(status("team/other", "GET", "/mail/x").await, 200, "who has the scope may call all of it");

    // A plan of a few operations includes these to the letter, with the scope or without.
    assert_eq!(status("team/reader", "GET", "/pay/refunds/1").await, 200);
    assert_eq!(status("team/reader", "HEAD", "/pay/refunds/1").await, 200);
    assert_eq!(status("team/reader", "POST", "/pay/status").await, 200);
    let before = upstream.requests();
    for (method, path) in [
        ("POST", "/pay/refunds/1"),
        ("GET", "/pay/refunds/1/x"),
        ("GET", "/pay/refunds"),
        ("GET", "/pay/Status"),
        ("GET", "/pay"),
        ("GET", "/pay/status;x"),
    ] {
        let answer = send(at, method, path, &[("x-api-key", key("team/reader", 1).expose())]).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert!(answer.body.contains("the plan owner/reader does not include this operation"), "{}", answer.body);
    }
    assert_eq!(upstream.requests(), before);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_count_for_each_application() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let mut gold = plan("owner/gold");
    gold.limits = vec![
        limit("posts", Scope::Methods(vec!["POST".to_owned()]), 2, Period::Hour),
        limit("search", Scope::Operations(vec![operation("GET /search")]), 1, Period::Hour),
        limit("hour", Scope::Plan, 6, Period::Hour),
        limit("minute", Scope::Plan, 4, Period::Minute),
    ];
    let puts = vec![
        world.put_gateway(world.gateway()),
        world.put_api(api("owner/pay", "/", upstream.address, vec![gold])),
        world.put_client(client("team/one", &["owner/gold"], &[])),
        world.put_client(client("team/two", &["owner/gold"], &[])),
    ];
    world.apply(vec![], puts).await;
    let at = world.address();
    let status = async |credential: &str, method: &str, path: &str| {
        send(at, method, path, &[("x-api-key", key(credential, 1).expose())]).await.status
    };
    for expected in [200, 200, 429, 429] {
        assert_eq!(status("team/one", "POST", "/x").await, expected);
    }
    for (path, expected) in [("/search", 200), ("/search", 429), ("/Search/", 429), ("/search;x", 429)] {
        assert_eq!(status("team/one", "GET", path).await, expected, "{path}");
    }
    for expected in [200, 200, 200, 200, 429] {
        assert_eq!(status("team/one", "GET", "/x").await, expected);
    }
    assert_eq!(status("team/two", "GET", "/x").await, 200, "the other one has buckets of its own");

    // Neither a key nor a route that changes gives anybody new tokens.
    let mut free = plan("owner/gold");
    free.limits.clear();
    let puts = vec![
        world.put_client(client("team/one", &["owner/gold", "owner/x"], &[])),
        world.put_client(client("team/three", &["owner/gold"], &[])),
        world.put_api(api("owner/mail", "/mail", upstream.address, vec![free])),
    ];
    world.apply(vec![], puts).await;
    assert_eq!(status("team/one", "GET", "/mail").await, 200);
    let answer = get(at, "/x", &[("x-api-key", key("team/one", 1).expose())]).await;
    assert_eq!(answer.status, 429);
    assert!(answer.body.starts_with("{\"error\":\"too_many_requests\""), "{}", answer.body);
    assert!(answer.header("retry-after").is_some() && answer.header("x-ratelimit-limit").is_some(), "{answer:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_ask_first() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let mut pay = api("owner/pay", "/pay", upstream.address, vec![plan("owner/gold")]);
    pay.cors = Some(Cors {
        allow_origins: vec!["https://shop.example".to_owned()],
        allow_methods: vec!["PUT".to_owned()],
        ..Cors::default()
    });
    let puts = vec![
        world.put_gateway(world.gateway()),
        world.put_api(pay),
        world.put_client(client("team/app", &["owner/gold"], &[])),
    ];
    world.apply(vec![], puts).await;
    let at = world.address();
    let ask = |origin| [("origin", origin), ("access-control-request-method", "PUT")];
    let answer = send(at, "OPTIONS", "/pay/x", &ask("https://shop.example")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, POST, PUT"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-api-key"));
    let answer = send(at, "OPTIONS", "/pay/x", &ask("https://evil.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(upstream.requests(), 0);
    // Scripts can read answers, those to a missing key too.
    for (key, status) in [(key("team/app", 1).expose(), 200), ("", 401)] {
        let answer = get(at, "/pay/x", &[("origin", "https://shop.example"), ("x-api-key", key)]).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_on_open_connections_too() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let puts = vec![
        world.put_gateway(world.gateway()),
        world.put_api(api("owner/pay", "/pay", upstream.address, vec![plan("owner/gold")])),
        world.put_client(client("team/app", &["owner/gold"], &[])),
        world.put_client(client("team/stays", &["owner/gold"], &[])),
    ];
    world.apply(vec![], puts).await;
    let mut connection = Connection::open(world.address()).await;
    let good = key("team/app", 1);
    let with = [("x-api-key", good.expose())];
    assert_eq!(connection.send("GET", "/pay/x", &with).await.unwrap().status, 200);
    let removal = world.remove_client("team/app");
    world.apply(vec![removal], vec![]).await;
    assert_eq!(connection.send("GET", "/pay/x", &with).await.unwrap().status, 401);
    let stays = key("team/stays", 1);
    assert_eq!(connection.send("GET", "/pay/x", &[("x-api-key", stays.expose())]).await.unwrap().status, 200);
    // Rotated: the old key goes on for as long as it is listed, then only the new one.
    let mut both = client("team/stays", &["owner/gold"], &[]);
    both.generations = vec![1, 2];
    let put = world.put_client(both);
    world.apply(vec![], vec![put]).await;
    let new = key("team/stays", 2);
    for one in [&stays, &new] {
        assert_eq!(connection.send("GET", "/pay/x", &[("x-api-key", one.expose())]).await.unwrap().status, 200);
    }
    let mut one = client("team/stays", &["owner/gold"], &[]);
    one.generations = vec![2];
    let put = world.put_client(one);
    world.apply(vec![], vec![put]).await;
    for (one, status) in [(&stays, 401), (&new, 200)] {
        assert_eq!(connection.send("GET", "/pay/x", &[("x-api-key", one.expose())]).await.unwrap().status, status);
    }
    world.stop().await;
}
