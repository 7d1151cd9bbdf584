//! Where requests go, and what comes back when they do not arrive.

mod support;

use std::net::{Ipv4Addr, SocketAddr};

use portico_core::gateway::{Deprecated, Guarded};
use portico_crds::Span;
use support::http::{get, send};
use support::upstream::Upstream;
use support::{World, api, client, free_port, key, listener, operation, plan};

#[tokio::test(flavor = "multi_thread")]
async fn products_share_listeners_by_host_and_path() {
    let [one, two, three] = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let mut world = World::start().await;
    let port = free_port();
    let mut gateway = world.gateway();
    gateway.settings.listeners.push(listener("other", port));
    gateway.settings.identity_headers.environment = Some("x-environment".to_owned());
    let at = |product: &str, hosts: &[&str], base_path: &str, upstream: &Upstream, of: &str| {
        let mut api = api(product, base_path, upstream.address, vec![plan(of)]);
        api.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        api
    };
    let apis = [
        at("owner/pay", &["Pay.Example", "pay.example"], "/", &one, "owner/gold"),
        at("owner/refunds", &["pay.example"], "/refunds", &two, "owner/silver"),
        at("owner/wild", &["*.example"], "/", &two, "owner/gold"),
        at("owner/any", &[], "/any", &three, "owner/gold"),
    ];
    let mut puts = vec![world.put_gateway(gateway), world.put_client(client("team/app", &["owner/gold"], &[]))];
    puts.extend(apis.map(|api| world.put_api(api)));
    world.apply(vec![], puts).await;
    world.listens(port).await;
    let good = key("team/app", 1);
    for at in [world.address(), SocketAddr::from((Ipv4Addr::LOCALHOST, port))] {
        for (host, path, status, product) in [
            ("pay.example", "/x", 200, "owner/pay"),
            ("PAY.example:8080", "/x", 200, "owner/pay"),
            ("pay.example", "/refunds/1", 403, "owner/refunds"),
            ("pay.example", "/refunds-2026", 200, "owner/pay"),
            ("pay.example", "/any/x", 200, "owner/any"),
            ("mail.example", "/refunds/1", 200, "owner/wild"),
            ("a.b.example", "/", 200, "owner/wild"),
            ("example", "/x", 404, "there is no API at this address"),
            ("example", "/any", 200, "owner/any"),
            ("127.0.0.1", "/any/y", 200, "owner/any"),
        ] {
            let answer = get(at, path, &[("host", host), ("x-api-key", good.expose())]).await;
            assert_eq!(answer.status, status, "{host} {path}: {answer:?}");
            assert!(answer.body.contains(product), "{host} {path}: {}", answer.body);
            if status == 200 {
                assert!(answer.body.contains("x-environment: ops/test\r\n"), "{}", answer.body);
            }
        }
    }
    assert!(one.requests() > 0 && two.requests() > 0 && three.requests() > 0);
    assert_eq!(world.unexpected(), []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_rewritten() {
    // A base path, what replaces it, the path of the upstream's URL; what is asked for, and what the upstream sees.
    type Case = (&'static str, Option<&'static str>, &'static str, &'static [(&'static str, &'static str)]);
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let cases: [Case; 7] = [
        ("/kept/v1", None, "", &[("/kept/v1", "/kept/v1"), ("/kept/v1/a?b=/c", "/kept/v1/a?b=/c")]),
        ("/root", Some("/"), "", &[("/root", "/"), ("/root/", "/"), ("/root/a", "/a"), ("/root?q", "/?q")]),
        ("/moved", Some("/v2/"), "", &[("/moved", "/v2"), ("/moved/", "/v2/"), ("/moved/a/moved", "/v2/a/moved")]),
        ("/both", Some("/v2"), "/base/", &[("/both/a", "/base/v2/a"), ("/both", "/base/v2")]),
        ("/below", None, "/base", &[("/below/a", "/base/below/a")]),
        ("/a.b+c", Some("/"), "/base", &[("/a.b+c/x%20y", "/base/x%20y")]),
        ("/re", Some(r"/\1$"), "", &[("/re/a", r"/\1$/a")]),
    ];
    let mut puts = vec![world.put_gateway(world.gateway()), world.put_client(client("team/app", &["owner/gold"], &[]))];
    for (place, (base_path, rewrite, path, _)) in cases.iter().enumerate() {
        let mut api = api(&format!("owner/p{place}"), base_path, upstream.address, vec![plan("owner/gold")]);
        api.upstream.url.push_str(path);
        api.upstream.rewrite_path = rewrite.map(str::to_owned);
        puts.push(world.put_api(api));
    }
    world.apply(vec![], puts).await;
    let good = key("team/app", 1);
    for (asked, expected) in cases.iter().flat_map(|(_, _, _, paths)| *paths) {
        let answer = get(world.address(), asked, &[("x-api-key", good.expose())]).await;
        assert_eq!(answer.status, 200, "{asked}: {answer:?}");
        let seen = answer.body.split(' ').nth(1).unwrap().to_owned();
        assert_eq!(&seen, expected, "{asked}");
    }
    assert_eq!(world.unexpected(), []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_answer_is_said_to_be_so() {
    let silent = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let babbling = Upstream::babbling().await;
    let mut world = World::start().await;
    let mut slow = api("owner/slow", "/slow", silent.local_addr().unwrap(), vec![plan("owner/gold")]);
    slow.upstream.timeout = Some(Span { seconds: 1 });
    let mut old = api("owner/gone", "/gone", nobody, vec![plan("owner/gold")]);
    let at = |text: &str| Some(text.parse().unwrap());
    let (since, sunset) = (at("2026-01-01T00:00:00Z"), at("2026-07-01T12:00:00Z"));
    old.deprecated = Some(Deprecated { since, sunset, links: vec!["https://acme.example/100%25?a=b".to_owned()] });
    let (sunset, links) = (at("2026-06-01T12:00:00Z"), vec!["https://acme.example/gold".to_owned()]);
    old.plans[0].deprecated = Some(Deprecated { since: None, sunset, links });
    let puts = vec![
        world.put_gateway(world.gateway()),
        world.put_api(slow),
        world.put_api(old),
        world.put_api(api("owner/babbling", "/babbling", babbling.address, vec![plan("owner/gold")])),
        world.put_client(client("team/app", &["owner/gold"], &[])),
        world.put_client(client("team/other", &["owner/bronze"], &[])),
    ];
    world.apply(vec![], puts).await;
    let (good, other) = (key("team/app", 1), key("team/other", 1));
    for (path, status, error, message) in [
        ("/slow/x", 504, "gateway_timeout", "the API took too long to answer"),
        ("/gone/x", 503, "service_unavailable", "the API cannot be reached"),
        ("/babbling/x", 502, "bad_gateway", "the API gave no valid answer"),
    ] {
        let answer = get(world.address(), path, &[("x-api-key", good.expose())]).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(answer.body, format!("{{\"error\":\"{error}\",\"message\":\"{message}\"}}\n"), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
    // What is deprecated says so with answers of its own and with refusals.
    // Whose plan ends is told when that is, if it is before the end of all.
    for (key, sunset) in [(&good, "Mon, 01 Jun 2026 12:00:00 GMT"), (&other, "Wed, 01 Jul 2026 12:00:00 GMT")] {
        let answer = get(world.address(), "/gone/x", &[("x-api-key", key.expose())]).await;
        assert_eq!(answer.header("deprecation"), Some("@1767225600"), "{answer:?}");
        assert_eq!(answer.header("sunset"), Some(sunset), "{answer:?}");
        let link = "<https://acme.example/100%25?a=b>; rel=\"deprecation\"; type=\"text/html\"";
        assert_eq!(answer.header("link"), Some(link), "{answer:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_path_gets_around_a_scope() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let mut pay = api("owner/pay", "/pay", upstream.address, vec![plan("owner/gold"), plan("owner/some")]);
    let operations = ["/refunds:cancel", "/prüfen%20und%20(mehr)", "/a-b_c~d.e/{id}", "/%e2%82%ac"];
    let operations: Vec<_> = operations.into_iter().map(operation).collect();
    pay.guarded = vec![Guarded { scope: "write".to_owned(), operations: Some(operations.clone()) }];
    pay.plans[1].only = Some(operations);
    let puts = vec![
        world.put_gateway(world.gateway()),
        world.put_api(pay),
        world.put_client(client("team/app", &["owner/gold"], &[])),
        world.put_client(client("team/writer", &["owner/some"], &[("owner/pay", "write")])),
    ];
    world.apply(vec![], puts).await;
    let (plain, writer) = (key("team/app", 1), key("team/writer", 1));
    for (path, included) in [
        ("/pay/refunds:cancel", true),
        ("/pay/refunds%3acancel", false),
        ("/pay/refunds%3Acancel", false),
        ("/pay/refunds:cancel%3bx", false),
        ("/pay/pr%C3%BCfen%20und%20(mehr)", true),
        ("/pay/pr%c3%bcfen%20und%20(mehr)", true),
        ("/pay/pr%c3%bcfen%20und%20%28mehr%29", false),
        ("/pay/a-b_c~d.e/1", true),
        ("/pay/a%2Db%5fc%7ed%2Ee/1", true),
        ("/pay/%E2%82%AC", true),
    ] {
        let answer = send(world.address(), "POST", path, &[("x-api-key", plain.expose())]).await;
        assert_eq!(answer.status, 403, "{path} {answer:?}");
        assert!(answer.body.contains("needs the scope write of owner/pay"), "{path} {}", answer.body);
        let answer = send(world.address(), "POST", path, &[("x-api-key", writer.expose())]).await;
        assert_eq!(answer.status, if included { 200 } else { 403 }, "{path} {answer:?}");
    }
    for path in ["/pay/x/..%3b/refunds:cancel", "/pay/%3Ba/refunds:cancel"] {
        let answer = send(world.address(), "POST", path, &[("x-api-key", plain.expose())]).await;
        assert_eq!(answer.status, 400, "{path} {answer:?}");
    }
    assert_eq!(get(world.address(), "/pay/else", &[("x-api-key", plain.expose())]).await.status, 200);
    world.stop().await;
}
