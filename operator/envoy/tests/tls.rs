//! Certificates on both sides of a real Envoy.

mod support;

use std::net::{Ipv4Addr, SocketAddr};

use portico_core::gateway::Gateway;
use portico_crds::{Certificate as Wanted, ListenerTls, LocalRef, SecretRef, UpstreamTls};
use support::http::{Connection, get};
use support::tls::{Authority, acceptor, connect, der};
use support::upstream::Upstream;
use support::{World, api, client, free_port, key, listener, name, plan};

fn secure(world: &World, port: u16, certificates: &[(&str, &[&str])]) -> Gateway {
    let mut gateway = world.gateway();
    let mut https = listener("https", port);
    let certificates = certificates.iter().map(|(secret, hosts)| Wanted {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        secret: LocalRef { name: (*secret).to_owned() },
    });
    https.tls = Some(ListenerTls { certificates: certificates.collect() });
    gateway.settings.listeners.push(https);
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_chosen_by_host_and_replaced() {
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let mut world = World::start().await;
    let (default, pay) = (authority.certificate("default.example"), authority.certificate("pay.example"));
    let place = |secret: &str, certificate: &_| {
        world.secrets.certificates.lock().unwrap().insert(name(secret), Clone::clone(certificate));
    };
    place("ops/default", &default);
    place("ops/pay", &pay);
    let port = free_port();
    let https = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let gateway = secure(&world, port, &[("pay", &["pay.example"]), ("default", &[])]);
    let puts = vec![
        world.put_gateway(gateway),
        world.put_api(api("owner/pay", "/pay", upstream.address, vec![plan("owner/gold")])),
        world.put_client(client("team/app", &["owner/gold"], &[])),
    ];
    world.apply(vec![], puts).await;
    world.listens(port).await;

    for (host, expected) in [
        (Some("pay.example"), &pay),
        (Some("default.example"), &default),
        (Some("other.example"), &default),
        (None, &default),
    ] {
        let (_, shown) = connect(https, host).await;
        assert!(shown == der(expected), "{host:?}");
    }
    let good = key("team/app", 1);
    let with = [("x-api-key", good.expose())];
    let (stream, _) = connect(https, Some("pay.example")).await;
    let mut open = Connection::over(stream);
    let answer = open.send("GET", "/pay/x", &with).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body.to_lowercase().contains("x-forwarded-proto: https"), "{}", answer.body);
    assert_eq!(open.send("GET", "/pay/x", &[]).await.unwrap().status, 401);
    assert_eq!(get(world.address(), "/pay/x", &with).await.status, 200, "the plain port goes on");

    // Another certificate is shown from now on; who is connected stays.
    let before = world.progress();
    let renewed = authority.certificate("pay.example");
    world.secrets.certificates.lock().unwrap().insert(name("ops/pay"), renewed.clone());
    world.server.refresh_certificates(&world.environment());
    let mut shown = der(&pay);
    for _ in 0..500 {
        shown = connect(https, Some("pay.example")).await.1;
        if shown == der(&renewed) {
            break;
        }
    }
    assert!(shown == der(&renewed));
    assert_eq!(open.send("GET", "/pay/x", &with).await.unwrap().status, 200);
    let after = world.progress();
    assert_eq!(after.responses["secret"], before.responses["secret"] + 1);
    assert_eq!(after.responses["listener"], before.responses["listener"]);

    // The file is gone: that is said, and nothing ends.
    world.secrets.certificates.lock().unwrap().clear();
    world.server.refresh_certificates(&world.environment());
    let (objects, message) = world.refused().await;
    assert_eq!(objects.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Environment ops/test"]);
    assert_eq!(message, "there is no certificate in the Secret ops/default for the listener https");
    assert!(connect(https, Some("pay.example")).await.1 == der(&renewed));

    let dump = world.admin("/config_dump").await;
    for secret in [&default, &pay, &renewed].map(|one| one.private_key.lines().nth(1).unwrap().to_owned()) {
        assert!(!dump.contains(&secret), "a private key in /config_dump");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_prove_who_they_are() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let upstream = Upstream::start_with(Some(acceptor(&trusted.certificate("payments.internal")))).await;
    let mut world = World::start().await;
    for (secret, authority) in [("owner/trusted", &trusted), ("owner/other", &other)] {
        world.secrets.authorities.lock().unwrap().insert(name(secret), authority.pem());
    }
    world.secrets.authorities.lock().unwrap().insert(name("owner/broken"), "not a certificate".to_owned());
    let at = |product: &str, base_path: &str, ca: &str, server_name: &str| {
        let mut api = api(product, base_path, upstream.address, vec![plan("owner/gold")]);
        api.upstream.url = format!("https://{}", upstream.address);
        api.upstream.tls = Some(UpstreamTls {
            server_name: Some(server_name.to_owned()),
            ca: Some(SecretRef { name: ca.to_owned(), key: None }),
            insecure_skip_verify: false,
        });
        api
    };
    let mut unchecked = at("owner/unchecked", "/unchecked", "other", "wrong.internal");
    unchecked.upstream.tls.as_mut().unwrap().insecure_skip_verify = true;
    let apis = [
        at("owner/good", "/good", "trusted", "payments.internal"),
        at("owner/stranger", "/stranger", "other", "payments.internal"),
        at("owner/misnamed", "/misnamed", "trusted", "wrong.internal"),
        unchecked,
    ];
    let mut puts = vec![world.put_gateway(world.gateway()), world.put_client(client("team/app", &["owner/gold"], &[]))];
    puts.extend(apis.map(|api| world.put_api(api)));
    world.apply(vec![], puts).await;
    let good = key("team/app", 1);
    let with = [("x-api-key", good.expose())];
    for (path, status) in [("/good/x", 200), ("/stranger/x", 503), ("/misnamed/x", 503), ("/unchecked/x", 200)] {
        let answer = get(world.address(), path, &with).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        if status == 503 {
            let body = "{\"error\":\"service_unavailable\",\"message\":\"the API cannot be reached\"}\n";
            assert_eq!(answer.body, body);
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
    assert_eq!(world.unexpected(), []);

    // Authorities that cannot be read or are not there: the product says so, and has what it had.
    let puts = vec![
        world.put_api(at("owner/good", "/good", "broken", "payments.internal")),
        world.put_api(at("owner/misnamed", "/misnamed", "trusted", "payments.internal")),
        world.put_api(at("owner/unchecked", "/unchecked", "nowhere", "payments.internal")),
    ];
    world.apply(vec![], puts).await;
    let mut refused = [world.refused().await, world.refused().await];
    refused.sort();
    let [(good_object, broken), (unchecked_object, missing)] = refused;
    assert_eq!(good_object, [name("owner/good").of(portico_core::key::Kind::ApiProduct)]);
    assert!(broken.contains("trusted CA certificates"), "{broken}");
    assert_eq!(unchecked_object, [name("owner/unchecked").of(portico_core::key::Kind::ApiProduct)]);
    assert_eq!(missing, "there are no certificates to trust in the Secret owner/nowhere");
    for path in ["/good/x", "/misnamed/x", "/unchecked/x"] {
        assert_eq!(get(world.address(), path, &with).await.status, 200, "{path}");
    }
    world.stop().await;
}
