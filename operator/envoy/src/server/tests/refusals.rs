//! What becomes of the good where something is bad, and of several Envoys.

use super::*;

/// The hosts that a route table names, but for `*`.
fn hosts(response: &DeltaDiscoveryResponse) -> Vec<String> {
    use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
    let body = response.resources[0].resource.as_ref().unwrap();
    let table = RouteConfiguration::decode(body.value.as_slice()).unwrap();
    table.virtual_hosts.into_iter().map(|host| host.name).filter(|host| host != "*").collect()
}

/// Refuses routes in which a host begins with `bad`.
fn picky(response: &DeltaDiscoveryResponse) -> Option<&'static str> {
    (kind(response) == Type::Route && hosts(response).iter().any(|host| host.starts_with("bad"))).then_some("bad host")
}

#[test]
fn a_bad_api_does_not_keep_others_from_changing() {
    let products: Vec<String> = (10..26).map(|place| format!("owner/p{place}")).collect();
    let mut world = World::with(&products.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    envoy.settle(&mut world);
    world.events();
    let at = |product: &str, host: &str| {
        let host = host.to_owned();
        api(product, move |api| api.hosts = vec![host])
    };
    // Two are bad among many that are good; one of the bad ones is new.
    let mut puts: Vec<_> = products.iter().map(|product| at(product, &format!("{}.example", &product[6..]))).collect();
    puts[4] = at("owner/p14", "bad.example");
    puts.push(at("owner/new", "bad.too"));
    world.put(puts);
    let table = std::cell::RefCell::new(Vec::new());
    let seen = envoy.settle_but(&mut world, |response| {
        let refusal = picky(response);
        if kind(response) == Type::Route && refusal.is_none() {
            table.replace(hosts(response));
        }
        refusal
    });
    let tries = seen.iter().filter(|line| line.contains("Route")).count();
    assert!(tries <= 16, "halves, not one by one: {tries}");
    let (confirmed, mut refused) = world.events();
    refused.sort();
    assert_eq!(refused, ["ApiProduct owner/new: bad host", "ApiProduct owner/p14: bad host"]);
    assert_eq!(confirmed, Some(world.serial));
    let good: Vec<_> =
        products.iter().filter(|one| *one != "owner/p14").map(|one| format!("{}.example", &one[6..])).collect();
    assert_eq!(*table.borrow(), good, "and the bad ones are as they were");

    // A bad one may change and still be bad; a good one changes next to it.
    world.put(vec![at("owner/p14", "bad.again"), at("owner/p11", "better.example")]);
    envoy.settle_but(&mut world, picky);
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/p14: bad host".to_owned()]));
    world.put(vec![at("owner/p11", "best.example")]);
    assert_eq!(envoy.settle_but(&mut world, picky), ["Route +portico"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
    world.put(vec![at("owner/p14", "good.example"), at("owner/new", "new.example")]);
    assert_eq!(envoy.settle_but(&mut world, picky), ["Route +portico"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn changes_while_a_bad_api_is_looked_for() {
    let mut world = World::with(&["owner/a", "owner/b", "owner/c", "owner/d"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    envoy.settle(&mut world);
    world.events();
    let at = |product: &str, host: &str| {
        let host = host.to_owned();
        api(product, move |api| api.hosts = vec![host])
    };
    let puts = [("owner/a", "bad.a"), ("owner/b", "b.example"), ("owner/c", "c.example"), ("owner/d", "d.example")];
    world.put(puts.into_iter().map(|(product, host)| at(product, host)).collect());
    let routes = of(envoy.pump(&mut world), Type::Route);
    envoy.nack(&mut world, &routes, "bad host");
    // Half of them are on trial when one becomes good, one is gone, and one comes.
    let routes = of(envoy.pump(&mut world), Type::Route);
    world.put(vec![at("owner/a", "a.example"), at("owner/e", "e.example")]);
    world.remove(vec![api_key("owner/c")]);
    envoy.nack(&mut world, &routes, "bad host");
    let last = std::cell::RefCell::new(Vec::new());
    envoy.settle_but(&mut world, |response| {
        if kind(response) == Type::Route {
            last.replace(hosts(response));
        }
        picky(response)
    });
    assert_eq!(*last.borrow(), ["a.example", "b.example", "d.example", "e.example"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn every_envoy_has_to_confirm() {
    let mut world = World::with(&["owner/pay"], &["team/app"]);
    let (mut one, mut two) = (world.connect(1), world.connect(2));
    one.ask_all(&mut world, &["team/app"]);
    one.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]), "the other one has nothing yet");
    two.ask_all(&mut world, &["team/app"]);
    two.settle(&mut world);
    one.settle(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec![]));

    // Routes are good when both say so.
    world.put(vec![api("owner/pay", |api| api.hosts = vec!["bad.example".to_owned()])]);
    assert_eq!(one.settle(&mut world), ["Route +portico"]);
    (one.wake, two.wake) = (false, false);
    assert_eq!(two.settle_but(&mut world, picky), ["refused Route +portico"]);
    assert!(two.wake, "the first one has to go back");
    assert_eq!(one.settle(&mut world), ["Route +portico"]);
    two.settle(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/pay: bad host".to_owned()]));

    // Whoever leaves is not waited for.
    world.put(vec![api("owner/pay", |api| api.hosts = vec!["good.example".to_owned()])]);
    one.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]));
    world.environment.envoys.remove(&2);
    world.environment.settle();
    assert_eq!(one.settle(&mut world), Vec::<String>::new());
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn listeners_wait_for_certificates_and_keep_them() {
    let mut world = World::new();
    world.put(vec![gateway(&[("plain", None), ("tls", Some("web"))])]);
    let missing = "Environment ops/test: there is no certificate in the Secret ops/web for the listener tls".to_owned();
    assert_eq!(world.events().1, [missing.as_str()]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    let seen = envoy.settle(&mut world);
    assert!(seen.contains(&"Listener +listener/plain".to_owned()), "the others do not wait: {seen:?}");

    world.secrets.0.lock().unwrap().insert(name("ops/web"), "first");
    world.environment.refresh_certificates(&world.sources);
    envoy.ask(&mut world, Type::Secret, &["tls/ops/web"]);
    assert_eq!(envoy.settle(&mut world), ["Secret +tls/ops/web", "Listener +listener/tls"]);
    world.secrets.0.lock().unwrap().insert(name("ops/web"), "second");
    world.environment.refresh_certificates(&world.sources);
    assert_eq!(envoy.settle(&mut world), ["Secret +tls/ops/web"], "the listener is not touched");
    assert_eq!(world.events().1, Vec::<String>::new());
    // A file that is gone for a moment ends nothing.
    world.secrets.0.lock().unwrap().clear();
    world.environment.refresh_certificates(&world.sources);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
    assert_eq!(world.events().1, [missing]);
}

#[test]
fn what_cannot_be_said_is_refused_at_once() {
    let mut world = World::with(&["owner/good"], &[]);
    world.put(vec![
        api("owner/url", |api| api.upstream.url = "ftp://files".to_owned()),
        api("owner/header", |api| api.upstream.request_headers = [("x y".to_owned(), "1".to_owned())].into()),
        api("owner/host", |api| api.hosts = vec!["a b".to_owned()]),
        api("owner/path", |api| api.base_path = "/a?b".to_owned()),
        api("owner/ca", |api| {
            api.upstream.url = "https://127.0.0.1:1".to_owned();
            let ca = portico_crds::SecretRef { name: "ca".to_owned(), key: None };
            api.upstream.tls = Some(portico_crds::UpstreamTls { ca: Some(ca), ..Default::default() });
        }),
    ]);
    let (_, mut refused) = world.events();
    refused.sort();
    assert_eq!(
        refused,
        [
            "ApiProduct owner/ca: there are no certificates to trust in the Secret owner/ca",
            "ApiProduct owner/header: the request header x y has a name or a value that HTTP does not allow",
            "ApiProduct owner/host: a b is not a host name",
            "ApiProduct owner/path: the path /a?b cannot be matched",
            "ApiProduct owner/url: the upstream ftp://files cannot be used: it must begin with http:// or https://",
        ]
    );
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    let seen = envoy.settle(&mut world);
    assert!(seen.contains(&"Cluster +api/owner/good/0 +nowhere".to_owned()), "{seen:?}");
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn nothing_is_confirmed_while_a_bad_api_is_looked_for() {
    let mut world = World::with(&["owner/a", "owner/b"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    envoy.settle(&mut world);
    world.events();
    let at = |product: &str, host: &'static str| api(product, move |api| api.hosts = vec![host.to_owned()]);
    world.put(vec![at("owner/a", "a.example"), at("owner/b", "b.example")]);
    let both = of(envoy.pump(&mut world), Type::Route);
    envoy.nack(&mut world, &both, "bad host");
    for expected in [vec!["a.example"], vec!["a.example", "b.example"]] {
        let routes = of(envoy.pump(&mut world), Type::Route);
        assert_eq!(world.events(), (None, vec![]));
        assert_eq!(hosts(&routes), expected);
        envoy.ack(&mut world, &routes);
    }
    envoy.pump(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}
