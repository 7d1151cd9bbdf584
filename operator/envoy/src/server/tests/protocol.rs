//! What an Envoy is sent, and when.

use super::*;

#[test]
fn nothing_is_said_before_there_is_anything_to_say() {
    let mut world = World::new();
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &["team/app"]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new(), "an Envoy that comes back keeps what it has");
    // Even nothing is an answer, for which Envoy waits at its start.
    world.put(Vec::new());
    let extensions = format!("Extension +{} +limits", shard("team/app"));
    assert_eq!(envoy.settle(&mut world), [&extensions, "Cluster +nowhere", "Listener", "Route +portico"]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
}

#[test]
fn a_change_is_sent_and_nothing_else() {
    let mut world = World::with(&["owner/pay", "owner/mail"], &["team/app", "team/other"]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &["team/app", "team/other", "team/new"]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec![]));

    world.remove(vec![client_key("team/app")]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{}", shard("team/app"))]);
    world.put(vec![client("team/new")]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{}", shard("team/new"))]);
    // Said again, it is the same.
    world.put(vec![client("team/new"), api("owner/pay", |_| ()), gateway(&[("http", None)])]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
    assert_eq!(world.events(), (Some(world.serial), vec![]));
    world.put(vec![api("owner/pay", |api| api.upstream.url = "http://127.0.0.1:2".to_owned())]);
    assert_eq!(envoy.settle(&mut world), ["Cluster +api/owner/pay/0", "Route +portico"]);
    world.put(vec![gateway(&[("http", None), ("other", None)])]);
    assert_eq!(envoy.settle(&mut world), ["Listener +listener/other"]);
    world.put(vec![gateway(&[("other", None)])]);
    assert_eq!(envoy.settle(&mut world), ["Listener +listener/other -listener/http"], "its port is another one");
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn one_response_of_a_type_is_on_its_way() {
    let mut world = World::with(&[], &["team/app"]);
    let mut envoy = world.connect(1);
    let asked = [shard("team/app"), shard("team/one"), shard("team/two")];
    envoy.ask(&mut world, Type::Extension, &asked.each_ref().map(String::as_str));
    let first = of(envoy.pump(&mut world), Type::Extension);
    world.put(vec![client("team/one")]);
    assert!(envoy.pump(&mut world).is_empty());
    world.put(vec![client("team/two")]);
    // Answers to what was not asked are not answers.
    envoy.send(&mut world, DeltaDiscoveryRequest { response_nonce: "old".to_owned(), ..answer(&first, None) });
    assert!(envoy.pump(&mut world).is_empty());
    envoy.ack(&mut world, &first);
    let mut expected = [format!(" +{}", shard("team/one")), format!(" +{}", shard("team/two"))];
    expected.sort();
    assert_eq!(show(&of(envoy.pump(&mut world), Type::Extension)), format!("Extension{}", expected.concat()));
}

#[test]
fn what_is_refused_is_reported_once_and_not_sent_again() {
    let mut world = World::with(&["owner/pay"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    let in_use = |response: &DeltaDiscoveryResponse| (kind(response) == Type::Listener).then_some("port in use");
    let seen = envoy.settle_but(&mut world, in_use);
    assert_eq!(seen.iter().filter(|line| *line == "refused Listener +listener/http").count(), 1, "{seen:?}");
    let (confirmed, refused) = world.events();
    assert_eq!(refused, ["Environment ops/test: port in use"]);
    assert_eq!(confirmed, Some(world.serial), "all but what was refused");

    // After a while it is tried again, as the port may be free now; that it is not is no news.
    envoy.stream.retry();
    assert_eq!(envoy.settle_but(&mut world, in_use), ["refused Listener +listener/http"]);
    assert_eq!(world.events(), (None, vec![]));
    envoy.stream.retry();
    assert_eq!(envoy.settle(&mut world), ["Listener +listener/http"]);
    assert_eq!(world.events(), (None, vec!["Environment ops/test: mended".to_owned()]));
    envoy.stream.retry();
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());

    // A cluster that is refused is not tried again before it is another one.
    let broken = |api: &mut Api| api.upstream.url = "http://127.0.0.1:2".to_owned();
    world.put(vec![api("owner/pay", broken)]);
    let no_cluster = |response: &DeltaDiscoveryResponse| (kind(response) == Type::Cluster).then_some("bad cluster");
    assert_eq!(envoy.settle_but(&mut world, no_cluster), ["refused Cluster +api/owner/pay/0", "Route +portico"]);
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/pay: bad cluster".to_owned()]));
    envoy.stream.retry();
    world.put(vec![api("owner/pay", broken)]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
    world.put(vec![api("owner/pay", |api| api.upstream.url = "http://127.0.0.1:3".to_owned())]);
    assert_eq!(envoy.settle(&mut world), ["Cluster +api/owner/pay/0", "Route +portico"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn of_several_that_are_refused_the_one_at_fault_is_found() {
    let mut world = World::with(&["owner/a", "owner/b", "owner/c"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    let seen = envoy.settle_but(&mut world, |response| names(response).contains(&"api/owner/b/0").then_some("no"));
    let clusters: Vec<_> = seen.iter().filter(|line| line.contains("Cluster")).map(String::as_str).collect();
    assert_eq!(
        clusters,
        [
            "refused Cluster +api/owner/a/0 +api/owner/b/0 +api/owner/c/0 +nowhere",
            "Cluster +api/owner/a/0",
            "refused Cluster +api/owner/b/0",
            "Cluster +api/owner/c/0",
            "Cluster +nowhere",
        ]
    );
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/b: no".to_owned()]));
}

#[test]
fn an_envoy_that_comes_back_is_sent_what_differs() {
    let (apis, clients) = (["owner/pay", "owner/mail"], ["team/app", "team/other"]);
    let mut world = World::with(&apis, &clients);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &clients);
    let mut held: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for _ in 0..10 {
        for response in envoy.pump(&mut world) {
            for resource in &response.resources {
                let of_type = held.entry(response.type_url.clone()).or_default();
                of_type.insert(resource.name.clone(), resource.version.clone());
            }
            envoy.ack(&mut world, &response);
        }
    }

    // Another server, which knows the same but for one client that is gone.
    let mut world = World::with(&apis, &clients);
    world.remove(vec![client_key("team/app")]);
    let mut envoy = world.connect(1);
    let shards = clients.map(shard);
    let extensions = ["limits", &shards[0], &shards[1]];
    let asked: [(Type, &[&str]); 4] =
        [(Type::Cluster, &[]), (Type::Listener, &[]), (Type::Route, &["portico"]), (Type::Extension, &extensions)];
    for (kind, names) in asked {
        let versions = held[&kind.url()].clone();
        let request = DeltaDiscoveryRequest {
            initial_resource_versions: versions.into_iter().collect(),
            ..subscribe(kind, names)
        };
        envoy.send(&mut world, request);
    }
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{}", shards[0]), "Cluster".into(), "Listener".into()]);
    assert_eq!(world.events(), (Some(world.serial), vec![]), "what it has is confirmed");
    // And the routes it came with are those that a bad API falls back to.
    world.put(vec![api("owner/mail", |api| api.hosts = vec!["refuse.example".to_owned()])]);
    envoy.settle_but(&mut world, |response| (kind(response) == Type::Route).then_some("no"));
    assert_eq!(world.events(), (Some(world.serial), vec!["ApiProduct owner/mail: no".to_owned()]));

    // What it has and should not have is taken away.
    let mut world = World::with(&["owner/pay"], &[]);
    let mut envoy = world.connect(1);
    for (kind, names) in asked {
        let mut versions = held[&kind.url()].clone();
        versions.insert("not-ours".to_owned(), "v17".to_owned());
        let request = DeltaDiscoveryRequest {
            initial_resource_versions: versions.into_iter().collect(),
            ..subscribe(kind, names)
        };
        envoy.send(&mut world, request);
    }
    let seen = envoy.settle(&mut world);
    assert!(seen.contains(&"Cluster -api/owner/mail/0 -not-ours".to_owned()), "{seen:?}");
    assert!(seen.contains(&"Listener -not-ours".to_owned()), "{seen:?}");
}

#[test]
fn a_change_that_shows_in_no_route_is_confirmed() {
    let mut world = World::with(&["owner/pay"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    envoy.settle(&mut world);
    // Only the cluster knows the authorities and the port of an upstream whose Host header is set.
    let fixed = |port: u16| {
        move |api: &mut Api| {
            api.upstream.url = format!("http://127.0.0.1:{port}");
            api.upstream.request_headers = [("host".to_owned(), "fixed".to_owned())].into();
        }
    };
    world.put(vec![api("owner/pay", fixed(2))]);
    assert_eq!(envoy.settle(&mut world), ["Cluster +api/owner/pay/0", "Route +portico"]);
    world.put(vec![api("owner/pay", fixed(3))]);
    assert_eq!(envoy.settle(&mut world), ["Cluster +api/owner/pay/0"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn names_come_and_go() {
    let mut world = World::with(&[], &["team/app", "team/other"]);
    let mut envoy = world.connect(1);
    let (app, other) = (shard("team/app"), shard("team/other"));
    envoy.ask(&mut world, Type::Extension, &[&app, "keys/nonsense"]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{app} -keys/nonsense")], "not there, and said once");
    envoy.ask(&mut world, Type::Extension, &[&other]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{other}")]);
    // Asked for again, it is sent again.
    envoy.ask(&mut world, Type::Extension, &[&app]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{app}")]);
    let unsubscribe = DeltaDiscoveryRequest {
        resource_names_unsubscribe: vec![app.clone()],
        ..DeltaDiscoveryRequest { type_url: Type::Extension.url(), ..DeltaDiscoveryRequest::default() }
    };
    envoy.send(&mut world, unsubscribe);
    world.remove(vec![client_key("team/app"), client_key("team/other")]);
    assert_eq!(envoy.settle(&mut world), [format!("Extension +{other}")]);
    // Of types that are not asked for nothing is sent, whatever happens to them.
    world.put(vec![api("owner/pay", |_| ())]);
    assert_eq!(envoy.settle(&mut world), Vec::<String>::new());
}

#[test]
fn much_is_sent_in_parts_and_revocations_first() {
    let credentials: Vec<String> = (0..20_000).map(|place| format!("team/app-{place}")).collect();
    let credentials: Vec<&str> = credentials.iter().map(String::as_str).collect();
    let mut world = World::with(&[], &credentials);
    let mut envoy = world.connect(1);
    let shards: Vec<String> = portico_core::api_key::shards().map(|shard| format!("keys/{shard}")).collect();
    let shards: Vec<&str> = shards.iter().map(String::as_str).collect();
    envoy.ask(&mut world, Type::Extension, &shards);
    let first = of(envoy.pump(&mut world), Type::Extension);
    let size = first.encoded_len();
    assert!(((1 << 20)..(1 << 20) + (1 << 16)).contains(&size), "{size}");
    assert!(first.resources.len() < shards.len());
    let sent = names(&first);
    // A key that is in nothing that was sent is revoked while much is still to be sent.
    let victim = *credentials.iter().rev().find(|one| !sent.contains(&shard(one).as_str())).unwrap();
    world.remove(vec![client_key(victim)]);
    envoy.ack(&mut world, &first);
    let second = of(envoy.pump(&mut world), Type::Extension);
    assert_eq!(names(&second)[0], shard(victim));
    envoy.ack(&mut world, &second);
    envoy.settle(&mut world);
    // A revocation goes before keys that are added, and is one shard.
    let (revoked, added) = (credentials[7], "team/added");
    world.remove(vec![client_key(revoked)]);
    let small = of(envoy.pump(&mut world), Type::Extension);
    assert_eq!(names(&small), [shard(revoked)]);
    assert!(small.encoded_len() < 16 << 10, "{}", small.encoded_len());
    envoy.ack(&mut world, &small);
    world.put(vec![client(added)]);
    world.remove(vec![client_key(credentials[8])]);
    assert_eq!(names(&of(envoy.pump(&mut world), Type::Extension)), [shard(credentials[8]), shard(added)]);
}

#[test]
fn a_serial_is_confirmed_when_every_type_is() {
    let mut world = World::with(&["owner/pay"], &["team/app"]);
    let mut envoy = world.connect(1);
    envoy.ask(&mut world, Type::Cluster, &[]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]), "it will ask for listeners");
    envoy.ask(&mut world, Type::Listener, &[]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]), "it will ask for what the listener needs");
    envoy.ask(&mut world, Type::Extension, &[&shard("team/app"), "limits"]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (None, vec![]), "it will ask for routes");
    envoy.ask(&mut world, Type::Route, &["portico"]);
    envoy.settle(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec![]));

    world.put(vec![api("owner/pay", |api| api.hosts = vec!["a.example".to_owned()]), client("team/more")]);
    envoy.ask(&mut world, Type::Extension, &[&shard("team/more")]);
    let responses = envoy.pump(&mut world);
    let (last, others) = responses.split_last().unwrap();
    for response in others {
        envoy.ack(&mut world, response);
        envoy.pump(&mut world);
        assert_eq!(world.events(), (None, vec![]));
    }
    envoy.ack(&mut world, last);
    envoy.pump(&mut world);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}

#[test]
fn clusters_come_before_routes_and_go_after_them() {
    let mut world = World::with(&["owner/pay"], &[]);
    let mut envoy = world.connect(1);
    envoy.ask_all(&mut world, &[]);
    envoy.settle(&mut world);
    world.put(vec![api("owner/mail", |_| ())]);
    let responses = envoy.pump(&mut world);
    assert_eq!(responses.iter().map(show).collect::<Vec<_>>(), ["Cluster +api/owner/mail/0"]);
    assert!(envoy.pump(&mut world).is_empty(), "the routes wait for an answer");
    envoy.ack(&mut world, &responses[0]);
    let routes = envoy.pump(&mut world);
    assert_eq!(routes.iter().map(show).collect::<Vec<_>>(), ["Route +portico"]);
    envoy.ack(&mut world, &routes[0]);
    envoy.settle(&mut world);

    world.remove(vec![api_key("owner/pay")]);
    let routes = envoy.pump(&mut world);
    assert_eq!(routes.iter().map(show).collect::<Vec<_>>(), ["Route +portico"]);
    assert!(envoy.pump(&mut world).is_empty(), "the cluster waits for an answer");
    envoy.ack(&mut world, &routes[0]);
    assert_eq!(envoy.settle(&mut world), ["Cluster -api/owner/pay/0"]);
    assert_eq!(world.events(), (Some(world.serial), vec![]));
}
