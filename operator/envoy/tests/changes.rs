//! What changes reach an Envoy, and what happens when they do not.

mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use portico_core::gateway::Scope;
use portico_core::key::Kind;
use portico_crds::{Period, Span};
use portico_envoy::translate::Options;
use support::http::{Connection, get};
use support::upstream::Upstream;
use support::{World, api, client, free_port, key, limit, listener, name, plan};

#[tokio::test(flavor = "multi_thread")]
async fn what_envoy_refuses_leaves_the_others_changing() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let products: Vec<String> = (0..8).map(|place| format!("owner/p{place}")).collect();
    let at = |product: &str, base_path: &str, seconds: u64| {
        let mut api = api(product, base_path, upstream.address, vec![plan("owner/gold")]);
        api.upstream.timeout = Some(Span { seconds });
        api
    };
    let mut puts = vec![world.put_gateway(world.gateway()), world.put_client(client("team/app", &["owner/gold"], &[]))];
    puts.extend(products.iter().map(|product| world.put_api(at(product, &format!("/old/{}", &product[6..]), 5))));
    world.apply(vec![], puts).await;

    // No protobuf can hold so long a time, so Envoy refuses the route.
    let moved = |product: &str, seconds| at(product, &format!("/new/{}", &product[6..]), seconds);
    let bad = |product: &str| ["owner/p2", "owner/p5"].contains(&product);
    let puts = products.iter().map(|product| world.put_api(moved(product, if bad(product) { u64::MAX } else { 5 })));
    let puts = puts.collect();
    world.apply(vec![], puts).await;
    let mut refused = [world.refused().await, world.refused().await];
    refused.sort();
    for ((objects, message), product) in refused.into_iter().zip(["owner/p2", "owner/p5"]) {
        assert_eq!(objects, [name(product).of(Kind::ApiProduct)]);
        assert!(!message.is_empty(), "{message}");
    }
    assert_eq!(world.unexpected(), []);
    let good = key("team/app", 1);
    let with = [("x-api-key", good.expose())];
    for product in &products {
        let (here, there) = if bad(product) { ("old", "new") } else { ("new", "old") };
        assert_eq!(get(world.address(), &format!("/{here}/{}", &product[6..]), &with).await.status, 200, "{product}");
        assert_eq!(get(world.address(), &format!("/{there}/{}", &product[6..]), &with).await.status, 404, "{product}");
    }
    // Mended.
    let put = world.put_api(moved("owner/p2", 5));
    world.apply(vec![], vec![put]).await;
    assert_eq!(get(world.address(), "/new/p2", &with).await.status, 200);
    assert_eq!(world.unexpected(), []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_reported_and_tried_again() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let occupant = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = occupant.local_addr().unwrap().port();
    let mut gateway = world.gateway();
    gateway.settings.listeners.push(listener("taken", port));
    let puts = vec![
        world.put_gateway(gateway),
        world.put_api(api("owner/pay", "/pay", upstream.address, vec![plan("owner/gold")])),
        world.put_client(client("team/app", &["owner/gold"], &[])),
    ];
    world.apply(vec![], puts).await;
    let (objects, message) = world.refused().await;
    assert_eq!(objects, [name("ops/test").of(Kind::Environment)]);
    assert!(message.contains(&format!("127.0.0.1:{port}")) && message.contains("in use"), "{message}");
    let good = key("team/app", 1);
    let with = [("x-api-key", good.expose())];
    assert_eq!(get(world.address(), "/pay/x", &with).await.status, 200, "the other listener works");

    drop(occupant);
    world.listens(port).await;
    assert_eq!(get((Ipv4Addr::LOCALHOST, port).into(), "/pay/x", &with).await.status, 200);
    assert_eq!(world.unexpected(), [], "reported once");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_is_not_felt() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let mut gold = plan("owner/gold");
    gold.limits = vec![limit("minute", Scope::Plan, 4, Period::Minute)];
    let intent = |world: &mut World| {
        let pay = api("owner/pay", "/pay", upstream.address, vec![gold.clone()]);
        vec![
            world.put_gateway(world.gateway()),
            world.put_api(pay),
            world.put_client(client("team/app", &["owner/gold"], &[])),
            world.put_client(client("team/stays", &["owner/gold"], &[])),
        ]
    };
    let puts = intent(&mut world);
    world.apply(vec![], puts).await;
    let (app, stays) = (key("team/app", 1), key("team/stays", 1));
    let (with_app, with_stays) = ([("x-api-key", app.expose())], [("x-api-key", stays.expose())]);
    let mut connection = Connection::open(world.address()).await;
    assert_eq!(connection.send("GET", "/pay/x", &with_stays).await.unwrap().status, 200);
    assert_eq!(connection.send("GET", "/pay/x", &with_app).await.unwrap().status, 200);

    world.kill_server();
    for _ in 0..20 {
        assert_eq!(connection.send("GET", "/pay/x", &[]).await.unwrap().status, 401);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(connection.send("GET", "/pay/x", &with_stays).await.unwrap().status, 200);

    // The next one knows the same, but for a key that was revoked while there was none.
    world.start_server();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(connection.send("GET", "/pay/x", &with_app).await.unwrap().status, 200, "nothing is known yet");
    let mut puts = intent(&mut world);
    puts.remove(2);
    world.apply(vec![], puts).await;
    let progress = world.progress();
    assert_eq!((progress.serial, progress.clients, progress.envoys.len()), (progress.confirmed, 1, 1));
    assert_eq!(connection.send("GET", "/pay/x", &with_app).await.unwrap().status, 401);
    assert_eq!(connection.send("GET", "/pay/x", &with_stays).await.unwrap().status, 200);
    // Lists are answered, if only to say that nothing is new; then there is the shard that lost a key.
    assert_eq!(progress.responses.get("route"), None, "{progress:?}");
    assert_eq!(progress.responses["extension"], 1, "{progress:?}");
    assert!(progress.bytes["cluster"] < 100 && progress.bytes["listener"] < 100, "{progress:?}");
    assert!(progress.bytes["extension"] < 1000, "{progress:?}");
    // Limits were not sent, so they went on counting.
    assert_eq!(connection.send("GET", "/pay/x", &with_stays).await.unwrap().status, 200);
    assert_eq!(connection.send("GET", "/pay/x", &with_stays).await.unwrap().status, 429);
    assert_eq!(world.unexpected(), []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_of_many_is_one_shard() {
    let upstream = Upstream::start().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let options = Options { access_log: Some(log.path().display().to_string()) };
    let mut world = World::start_with(options).await;
    let many = 20_000;
    let mut puts = vec![
        world.put_gateway(world.gateway()),
        world.put_api(api("owner/pay", "/pay", upstream.address, vec![plan("owner/gold")])),
    ];
    puts.extend((0..many).map(|place| world.put_client(client(&format!("team/app-{place}"), &["owner/gold"], &[]))));
    world.apply(vec![], puts).await;
    let before = world.progress();
    assert_eq!(before.clients, many);
    let mut connection = Connection::open(world.address()).await;
    let (gone, stays) = (key("team/app-777", 1), key("team/app-19999", 1));
    for (place, status) in [(777, 200), (0, 200), (19_999, 200), (20_000, 401)] {
        let key = key(&format!("team/app-{place}"), 1);
        let answer = connection.send("GET", "/pay/x?q=secret", &[("x-api-key", key.expose())]).await.unwrap();
        assert_eq!(answer.status, status, "{place}");
    }

    let removal = world.remove_client("team/app-777");
    world.apply(vec![removal], vec![]).await;
    assert_eq!(connection.send("GET", "/pay/x", &[("x-api-key", gone.expose())]).await.unwrap().status, 401);
    assert_eq!(connection.send("GET", "/pay/x", &[("x-api-key", stays.expose())]).await.unwrap().status, 200);
    let after = world.progress();
    assert_eq!(after.responses["extension"], before.responses["extension"] + 1);
    let (sent, all) = (after.bytes["extension"] - before.bytes["extension"], before.bytes["extension"]);
    assert!(sent < all / 300, "{sent} of {all} bytes");
    for kind in ["cluster", "listener", "route"] {
        assert_eq!(after.responses[kind], before.responses[kind], "{kind}");
    }

    // A key that is added, and an API that is changed, are not more.
    let put = world.put_client(client("team/new", &["owner/gold"], &[]));
    world.apply(vec![], vec![put]).await;
    let mut pay = api("owner/pay", "/pay", upstream.address, vec![plan("owner/gold")]);
    pay.upstream.rewrite_path = Some("/other".to_owned());
    let put = world.put_api(pay);
    world.apply(vec![], vec![put]).await;
    assert_eq!(connection.send("GET", "/pay/x", &[("x-api-key", stays.expose())]).await.unwrap().status, 200);
    let last = world.progress();
    assert_eq!(last.responses["extension"], after.responses["extension"] + 1);
    assert!(last.bytes["extension"] - after.bytes["extension"] < all / 300);

    assert_eq!(get(world.address(), "/nothing/here?q=secret", &[("host", "other.example")]).await.status, 401);

    // Keys are not to be found in anything that Envoy shows or writes.
    let dump = world.admin("/config_dump?include_eds").await;
    assert!(dump.contains("keys/zz") && dump.contains("[redacted]"));
    let pages = [dump, world.admin("/stats").await, world.admin("/clusters").await, world.admin("/certs").await];
    let mut written = String::new();
    for _ in 0..100 {
        // Envoy writes its log every ten seconds, or when it is asked to.
        world.admin_post("/reopen_logs").await;
        written = std::fs::read_to_string(log.path()).unwrap();
        if written.lines().count() >= 8 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    for expected in [
        "\"application\":\"team/app-19999\"",
        "\"host\":\"test.example\"",
        "\"path\":\"/pay/x\"",
        "\"host\":\"other.example\"",
        "\"path\":\"/nothing/here\"",
    ] {
        assert!(written.contains(expected), "{expected} in {written}");
    }
    assert!(!written.contains("q=secret"), "{written}");
    for page in pages.iter().chain([&written]) {
        assert!(!page.contains("ptk_") || !page.contains(&stays.expose()[6..]), "a key is shown");
        for key in [&gone, &stays] {
            assert!(!page.contains(&key.expose()[4..]), "a key is shown");
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_is_gone() {
    let upstream = Upstream::start().await;
    let mut world = World::start().await;
    let port = free_port();
    let mut gateway = world.gateway();
    gateway.settings.listeners.push(listener("other", port));
    let puts = vec![
        world.put_gateway(gateway),
        world.put_api(api("owner/pay", "/pay", upstream.address, vec![plan("owner/gold")])),
        world.put_api(api("owner/mail", "/mail", upstream.address, vec![plan("owner/gold")])),
        world.put_client(client("team/app", &["owner/gold"], &[])),
    ];
    world.apply(vec![], puts).await;
    world.listens(port).await;
    let good = key("team/app", 1);
    let with = [("x-api-key", good.expose())];
    assert_eq!(get(world.address(), "/mail/x", &with).await.status, 200);
    // A product goes, a listener goes, and the header of the keys is another one.
    let removal = world.remove_api("owner/mail");
    let mut gateway = world.gateway();
    gateway.settings.api_key_header = "x-other".to_owned();
    let put = world.put_gateway(gateway);
    world.apply(vec![removal], vec![put]).await;
    assert_eq!(get(world.address(), "/pay/x", &with).await.status, 401);
    let with = [("x-other", good.expose())];
    assert_eq!(get(world.address(), "/pay/x", &with).await.status, 200);
    assert_eq!(get(world.address(), "/mail/x", &with).await.status, 404);
    assert!(!world.admin("/clusters").await.contains("owner/mail"));
    assert!(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
    // Of two keys in one request the first one counts, and a shard that is not there is no way in.
    let other = key("team/nobody", 1);
    for keys in [[other.expose(), good.expose()], ["ptk_", good.expose()], ["", good.expose()]] {
        let answer = get(world.address(), "/pay/x", &[("x-other", keys[0]), ("x-other", keys[1])]).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    assert_eq!(world.unexpected(), []);
    world.stop().await;
}
