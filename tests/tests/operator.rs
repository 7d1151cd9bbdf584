//! The operator against a real API server, with a real Envoy.

use portico_tests::cluster::Cluster;
use portico_tests::files;
use portico_tests::http::Ask;
use portico_tests::mutual::Mutual;
use portico_tests::operator::Tenancy;
use portico_tests::scenario::THINGS;
use portico_tests::wait;
use serde_json::json;

#[test]
fn applying_grants_and_deleting_denies() {
    let tenancy = Tenancy::new();
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());

    let probe = tenancy.key("watch", "probe");
    tenancy.wait_status(&probe, 200);
    let denied = tenancy.ask(&Ask::get(THINGS)).expect("the gateway answers");
    assert_eq!(denied.status, 401, "{}", denied.body);

    tenancy.apply(&tenancy.grant("echo-basic"));
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    tenancy.wait_condition("Credential", "shop", "web-basic", "Programmed", ("True", "Programmed"));
    tenancy.wait_condition("Subscription", "shop", "web-basic", "Ready", ("True", "Ready"));
    let subscription = tenancy.object("Subscription", "shop", "web-basic").expect("it is there");
    let status = &subscription.data["status"];
    assert_eq!(status["phase"], "Active", "{status}");
    assert_eq!(status["granted"]["plan"]["name"], "echo-basic", "{status}");
    assert_eq!(status["observedGeneration"], 1, "{status}");

    tenancy.delete(&tenancy.grant("echo-basic"));
    tenancy.wait_status(&key, 401);
    wait::until("the Secret to be gone", || tenancy.secret("shop", "web-basic").is_none().then_some(()));
    assert_eq!(tenancy.status(&probe), 200, "the others go on");
    assert!(!operator.output().contains(&key) && !operator.output().contains(&probe), "the log tells a key");

    // The same again is another key.
    tenancy.apply(&tenancy.grant("echo-basic"));
    let again = wait::until("another key", || Some(tenancy.key("shop", "web-basic")).filter(|again| *again != key));
    tenancy.wait_status(&again, 200);
    assert_eq!(tenancy.status(&key), 401, "a revoked key never comes back");
    let events = tenancy.events("shop");
    assert!(!events.iter().any(|(reason, _)| reason == "SecretRestored"), "nothing was restored: {events:?}");
}

#[test]
fn what_is_made_again_while_nobody_looks_gets_another_key() {
    let tenancy = Tenancy::new();
    tenancy.apply(&tenancy.grant("echo-basic"));
    let setup = tenancy.operator("one");
    let mut operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let probe = tenancy.key("watch", "probe");
    let mut keys = vec![tenancy.key("shop", "web-basic")];
    for text in [files::subscription("web-basic", "echo-basic"), files::application().to_owned()] {
        let key = keys.last().expect("there is one").clone();
        tenancy.wait_status(&key, 200);
        assert!(operator.stop().success());
        // The Credential stays, and with it the Secret.
        tenancy.delete(&text);
        tenancy.apply(&text);
        assert_eq!(tenancy.key("shop", "web-basic"), key);
        operator = setup.ready();
        let another =
            wait::until("another key", || Some(tenancy.key("shop", "web-basic")).filter(|other| *other != key));
        tenancy.wait_status(&another, 200);
        keys.push(another);
    }
    let last = keys.pop().expect("there is one");
    assert!(keys.iter().all(|key| tenancy.status(key) == 401), "a revoked key never comes back");
    // Nothing of it changes when nothing is made again.
    assert!(operator.stop().success());
    let _operator = setup.ready();
    tenancy.wait_status(&last, 200);
    assert_eq!((tenancy.key("shop", "web-basic"), tenancy.key("watch", "probe")), (last, probe));
    let events = tenancy.events("shop");
    assert!(!events.iter().any(|(reason, _)| reason == "SecretRestored"), "nothing was restored: {events:?}");
}

#[test]
fn restarted_it_writes_nothing_that_stands_there() {
    let tenancy = Tenancy::new();
    tenancy.apply(&tenancy.grant("echo-basic"));
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    tenancy.wait_condition("Subscription", "shop", "web-basic", "Ready", ("True", "Ready"));
    tenancy.wait_condition("Environment", "platform", "local", "Ready", ("True", "Ready"));
    tenancy.wait_condition("Subscription", "watch", "probe", "Ready", ("True", "Ready"));
    let written = wait::within(wait::PATIENCE, || (operator.metric("portico_writes_waiting", &[]) < 0.5).then_some(()));
    let metrics = operator.get("/metrics").map(|answer| answer.body).unwrap_or_default();
    assert!(
        written.is_some(),
        "something is written without end:
{metrics}"
    );
    assert!(operator.stop().success());
    assert_eq!(tenancy.status(&key), 200, "Envoy goes on");

    let operator = setup.ready();
    operator.wait_leads();
    tenancy.apply(&files::subscription("web-more", "echo-small"));
    tenancy.wait_condition("Subscription", "shop", "web-more", "Ready", ("False", "Invalid"));
    assert_eq!(tenancy.status(&key), 200);
    assert_eq!(tenancy.key("shop", "web-basic"), key, "the same key");
    let secrets = operator.metric("portico_writes_total", &["Secret"]);
    let statuses = operator.metric("portico_writes_total", &["Status"]);
    assert!(secrets < 0.5, "{secrets} Secrets were written again");
    assert!(statuses < 3.5, "{statuses} statuses were written, of which two were due\n{}", operator.output());
}

#[test]
fn a_secret_that_somebody_takes_away_or_changes_is_restored() {
    let tenancy = Tenancy::new();
    let setup = tenancy.operator("one");
    let _operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let key = tenancy.key("watch", "probe");
    tenancy.wait_status(&key, 200);
    let secret =
        |text: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: probe, namespace: watch }}\n{text}");

    tenancy.delete(&secret(""));
    let back = wait::until("the Secret to be back", || {
        Some(tenancy.key("watch", "probe")).filter(|_| tenancy.secret("watch", "probe").is_some())
    });
    assert_eq!(back, key, "the same key: its owner's clients go on");

    tenancy.apply(&secret("stringData: { api-key: easy-to-guess, more: yes }\n"));
    wait::until("the Secret to be as it was", || {
        let secret = tenancy.secret("watch", "probe")?;
        let data = secret.data.as_ref()?;
        (data.len() == 1 && data.get("api-key")?.0 == key.as_bytes()).then_some(())
    });
    assert_eq!((tenancy.status(&key), tenancy.status("easy-to-guess")), (200, 401));
    wait::until("an Event about it", || {
        tenancy.events("watch").iter().any(|(reason, _)| reason == "SecretRestored").then_some(())
    });
    assert!(!tenancy.events("watch").iter().any(|(_, text)| text.contains(&key)), "an Event tells a key");
}

#[test]
fn a_rotated_key_overlaps_and_a_foreign_secret_is_left_alone() {
    let tenancy = Tenancy::new();
    tenancy.apply(&tenancy.grant("echo-basic"));
    let setup = tenancy.operator("one");
    let _operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let first = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&first, 200);

    let credential = files::credential("web-basic", "web-basic");
    tenancy.apply(&format!("{credential}  generation: 2\n  overlap: 1h\n"));
    let second = wait::until("a new key", || Some(tenancy.key("shop", "web-basic")).filter(|key| *key != first));
    tenancy.wait_status(&second, 200);
    assert_eq!(tenancy.status(&first), 200, "the old key is good for the overlap");
    let secret = tenancy.secret("shop", "web-basic").expect("it is there");
    assert_eq!(secret.data.expect("data")["api-key-1"].0, first.as_bytes());

    tenancy.apply(&format!("{credential}  generation: 3\n  overlap: 0s\n"));
    let third = wait::until("a new key", || Some(tenancy.key("shop", "web-basic")).filter(|key| *key != second));
    tenancy.wait_status(&third, 200);
    tenancy.wait_status(&second, 401);
    assert_eq!(tenancy.status(&first), 401, "no overlap");

    // Where somebody else's Secret has the name, it is said and not written over.
    let namespace = tenancy.namespace("shop");
    tenancy.cluster().apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: theirs, namespace: {namespace} }}\nstringData: {{ password: dear }}\n"
    ));
    tenancy.apply(&format!("{credential}  generation: 3\n  overlap: 0s\n  deliverTo: {{ secret: theirs }}\n"));
    wait::until("a word about it", || {
        tenancy
            .events("shop")
            .iter()
            .any(|(reason, text)| reason == "SecretNotWritten" && text.contains("theirs"))
            .then_some(())
    });
    assert_eq!(tenancy.secret("shop", "theirs").expect("it is there").data.expect("data")["password"].0, b"dear");
    assert_eq!(tenancy.status(&third), 200, "the key itself goes on");
    tenancy.apply(&format!("{credential}  generation: 3\n  overlap: 0s\n  deliverTo: {{ secret: ours }}\n"));
    assert_eq!(tenancy.key("shop", "ours"), third);
    wait::until("the old Secret to be gone", || tenancy.secret("shop", "web-basic").is_none().then_some(()));
}

#[test]
fn two_replicas_one_writer_and_no_gap() {
    let tenancy = Tenancy::new();
    let (one, two) = (tenancy.operator("one"), tenancy.operator("two"));
    let first = one.ready();
    first.wait_leads();
    let second = two.ready();
    let _gateway = tenancy.gateway_of(&[one.xds(), two.xds()]);
    tenancy.apply(&tenancy.grant("echo-basic"));
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    assert!(second.metric("portico_leader", &[]) < 0.5);
    assert!(second.metric("portico_writes_total", &[]) < 0.5, "only the leader writes");
    assert!(second.metric("portico_gateways_connected", &[]) < 0.5, "who serves gateways knows what they confirmed");

    // The leader is killed while there is much to write.
    let many: Vec<String> = (0..40).map(application).collect();
    tenancy.apply(&many.concat());
    first.kill();
    assert_eq!(tenancy.status(&key), 200, "traffic needs no leader");
    tenancy.delete(&tenancy.grant("echo-basic"));
    // As soon as the lease of the dead one is over.
    tenancy.wait_status(&key, 401);
    second.wait_leads();
    for number in 0..40 {
        let name = format!("many-{number}");
        tenancy.wait_condition("Credential", "shop", &name, "Ready", ("True", "Ready"));
        let key = tenancy.key("shop", &name);
        assert_eq!(tenancy.status(&key), 200, "{name}");
    }
    wait::until("the Secret to be gone", || tenancy.secret("shop", "web-basic").is_none().then_some(()));

    // Stopped as it should be, it hands over at once.
    let third = one.ready();
    let over = tenancy.lease_end();
    let begun = std::time::Instant::now();
    assert!(second.stop().success());
    third.wait_leads();
    println!("handed over after {:?}", begun.elapsed());
    assert!(tenancy.lease_taken() < over, "nobody waits for the end of a lease that was given back");
    let many = tenancy.key("shop", "many-0");
    tenancy.delete(&application(0));
    tenancy.wait_status(&many, 401);
}

fn application(number: usize) -> String {
    let name = format!("many-{number}");
    let application = files::application().replace("name: web", &format!("name: {name}"));
    let subscription = files::subscription(&name, "echo-basic").replace("name: web }", &format!("name: {name} }}"));
    format!("{application}---\n{subscription}---\n{}---\n", files::credential(&name, &name))
}

#[test]
fn one_poisoned_tenant_holds_nobody_up() {
    let tenancy = Tenancy::new();
    let setup = tenancy.operator("one");
    let _operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let long = "a".repeat(253);
    // What the API server takes and nobody can grant, and what is as long as can be.
    let poisoned = [
        files::subscription("to-nowhere", "no-such-plan"),
        files::credential("of-nothing", "no-such-subscription"),
        files::application().replace("name: web", &format!("name: {long}")),
        files::subscription(&long, "echo-small").replace("name: web }", &format!("name: {long} }}")),
        files::credential(&long, &long),
    ];
    tenancy.apply(&poisoned.join("---\n"));
    tenancy.apply(&tenancy.grant("echo-basic"));
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    let why = tenancy.wait_condition("Subscription", "shop", "to-nowhere", "Ready", ("False", "Invalid"));
    assert!(why.contains("no-such-plan"), "{why}");
    let key = tenancy.key("shop", &long);
    tenancy.wait_status(&key, 200);
    tenancy.delete(&tenancy.grant("echo-basic"));
    wait::until("the Secret to be gone", || tenancy.secret("shop", "web-basic").is_none().then_some(()));
}

#[test]
fn statuses_mean_to_others_what_they_mean_to_us() {
    let tenancy = Tenancy::new();
    tenancy.apply(&tenancy.grant("echo-basic"));
    tenancy.apply(&files::subscription("to-nowhere", "no-such-plan"));
    let setup = tenancy.operator("one");
    let _operator = setup.ready();
    // Nothing is enforced as long as there is no gateway.
    tenancy.wait_condition("Subscription", "shop", "web-basic", "Programmed", ("False", "Pending"));
    let means = |name: &str| {
        let object = tenancy.object("Subscription", "shop", name).expect("it is there");
        let object = serde_json::to_value(&object).expect("an object is JSON");
        portico_tests::cluster::kstatus(&[object]).remove(0).0
    };
    assert_eq!(means("web-basic"), "InProgress");
    let _gateway = tenancy.gateway(setup.xds());
    tenancy.wait_condition("Subscription", "shop", "web-basic", "Ready", ("True", "Ready"));
    tenancy.wait_condition("Subscription", "shop", "to-nowhere", "Ready", ("False", "Invalid"));
    assert_eq!((means("web-basic").as_str(), means("to-nowhere").as_str()), ("Current", "Failed"));
    for (kind, namespace, name) in [
        ("Environment", "platform", "local"),
        ("ApiProduct", "apis", "echo"),
        ("Plan", "apis", "echo-basic"),
        ("Application", "shop", "web"),
        ("Credential", "shop", "web-basic"),
    ] {
        tenancy.wait_condition(kind, namespace, name, "Ready", ("True", "Ready"));
        let object = serde_json::to_value(tenancy.object(kind, namespace, name)).expect("an object is JSON");
        assert_eq!(portico_tests::cluster::kstatus(&[object]).remove(0).0, "Current", "{kind} {name}");
    }

    // What its owner turns off, ends or denies to somebody.
    let suspended = files::subscription("web-basic", "echo-basic") + "  suspend: true\n";
    let cancelled = files::subscription("web-basic", "echo-basic") + "  cancelAt: 2026-01-01T00:00:00Z\n";
    for (text, reason) in [(suspended, "Suspended"), (cancelled, "Cancelled")] {
        tenancy.apply(&text);
        tenancy.wait_condition("Subscription", "shop", "web-basic", "Ready", ("True", reason));
        tenancy.wait_condition("Credential", "shop", "web-basic", "Ready", ("True", reason));
        for kind in ["Subscription", "Credential"] {
            let object = serde_json::to_value(tenancy.object(kind, "shop", "web-basic")).expect("an object is JSON");
            assert_eq!(portico_tests::cluster::kstatus(&[object]).remove(0).0, "Current", "{kind} is {reason}");
        }
    }
}

#[test]
fn statuses_say_what_is_there_and_what_gateways_hold_people_to() {
    let tenancy = Tenancy::new();
    tenancy.apply(&tenancy.grant("echo-small"));
    let setup = tenancy.operator("one");
    let _operator = setup.ready();
    let status = |kind: &str, namespace: &str, name: &str, fields: &[&str]| {
        let object = tenancy.object(kind, namespace, name).expect("it is there");
        let status = &object.data["status"];
        fields.iter().map(|field| status[*field].clone()).collect::<Vec<_>>()
    };
    tenancy.wait_condition("Plan", "apis", "echo-small", "Programmed", ("False", "Pending"));
    assert_eq!(status("Plan", "apis", "echo-small", &["limits"]), [json!(null)], "no gateway has confirmed any");
    let _gateway = tenancy.gateway(setup.xds());
    let expected = [
        (
            "Plan",
            "apis",
            "echo-small",
            ["limits", "subscriptions"],
            [json!([{"requests": 5, "per": "Hour"}]), json!(1)],
        ),
        ("ApiProduct", "apis", "echo", ["plans", "subscriptions"], [json!(2), json!(2)]),
        ("Environment", "platform", "local", ["clients", "endpoints"], [json!(2), json!(1)]),
        ("Application", "shop", "web", ["subscriptions", "credentials"], [json!(1), json!(1)]),
    ];
    for (kind, namespace, name, fields, values) in &expected {
        wait::until(&format!("{kind} {name} to say {values:?}"), || {
            (status(kind, namespace, name, fields) == values).then_some(())
        });
    }
    tenancy.apply(&(files::subscription("web-basic", "echo-small") + "  cancelAt: 2090-01-01T00:00:00Z\n"));
    wait::until("the subscription to say when it ends", || {
        (status("Subscription", "shop", "web-basic", &["endsAt"]) == [json!("2090-01-01T00:00:00Z")]).then_some(())
    });
}

#[test]
fn a_lost_api_server_is_survived() {
    // A cluster of its own, since it is taken away.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    let tenancy = Tenancy::on(cluster);
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let key = tenancy.key("watch", "probe");
    tenancy.wait_status(&key, 200);
    cluster.stop_api_server();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(tenancy.status(&key), 200, "traffic needs no API server");
    cluster.start_api_server();
    tenancy.apply(&tenancy.grant("echo-basic"));
    tenancy.wait_status(&tenancy.key("shop", "web-basic"), 200);
    tenancy.delete(&files::bystander());
    tenancy.wait_status(&key, 401);
    drop(operator);
    cluster.stop_api_server();
}

#[test]
fn only_gateways_with_a_certificate_learn_anything() {
    let tenancy = Tenancy::new();
    let (ours, theirs) = (Mutual::new(), Mutual::new());
    let folder = ours.service();
    let setup = tenancy.operator("one").arguments(["--xds-tls".into(), folder.into_os_string()]);
    let _operator = setup.ready();
    let key = tenancy.key("watch", "probe");
    {
        let _without = tenancy.gateway(setup.xds());
        let _stranger = tenancy.gateway_as(setup.xds(), &theirs.gateway("stranger", &ours));
        std::thread::sleep(std::time::Duration::from_secs(2));
        assert_eq!(tenancy.status(&key), 0, "somebody listens who should know nothing");
    }
    let _gateway = tenancy.gateway_as(setup.xds(), &ours.gateway("gateway", &ours));
    tenancy.wait_status(&key, 200);
    tenancy.delete(&files::bystander());
    tenancy.wait_status(&key, 401);
}

#[test]
fn keys_rotate_and_end_by_themselves() {
    let tenancy = Tenancy::new();
    let rotates = "  rotateEvery: 6s\n  overlap: 3s\n  environment:";
    tenancy.apply(&tenancy.grant("echo-basic").replace("  environment:", rotates));
    // Another application: one has no two plans of a product.
    let short = "credentials: { lifetime: 8s }\n  limits: [{ requests: 1000000,";
    tenancy.apply(&files::small_plan().replace("limits: [{ requests: 5,", short));
    let brief = format!("{}---\n{}", files::application(), tenancy.grant("echo-small"));
    tenancy.apply(&brief.replace("web-basic", "brief").replace("name: web", "name: brief"));
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());

    let first = tenancy.key("shop", "web-basic");
    let short = tenancy.key("shop", "brief");
    let other = |keys: &[&str]| {
        let key = tenancy.key("shop", "web-basic");
        (!keys.contains(&key.as_str())).then_some(key)
    };
    let second = wait::until("the next key", || other(&[&first]));
    tenancy.wait_status(&second, 200);
    tenancy.wait_status(&first, 401);
    tenancy.wait_status(&short, 401);
    tenancy.wait_condition("Credential", "shop", "brief", "Ready", ("False", "Expired"));

    assert!(operator.stop().success());
    let _operator = setup.ready();
    let third = wait::until("the key after a restart", || other(&[&first, &second]));
    tenancy.wait_status(&third, 200);
    tenancy.wait_status(&second, 401);
    assert_eq!(tenancy.status(&first), 401);
    // What has ended stays, and is not made again.
    assert_eq!((tenancy.status(&short), tenancy.key("shop", "brief")), (401, short));
}

#[test]
fn a_key_from_elsewhere_is_taken_once() {
    let tenancy = Tenancy::new();
    let secret = |key: &str| {
        let labels = "labels: { portico.dev/secret: import }";
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: old-keys, namespace: shop, {labels} }}\nstringData: {{ web: '{key}' }}\n"
        )
    };
    let old = "key-of-2019/Zx81#old";
    tenancy.apply(&secret(old));
    let grant = tenancy.grant("echo-basic").replace("  environment:", "  import: { name: old-keys }\n  environment:");
    tenancy.apply(&grant);
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    tenancy.wait_status(old, 200);
    assert_eq!(tenancy.key("shop", "web-basic"), old);

    // Another credential does not get it, and is not told whose it is.
    let twice = files::credential("twice", "web-basic")
        .replace("  environment:", "  import: { name: old-keys }\n  environment:");
    tenancy.apply(&twice);
    tenancy.wait_condition("Credential", "shop", "twice", "Ready", ("False", "Invalid"));
    let (_, _, message) = tenancy.condition("Credential", "shop", "twice", "Ready");
    assert!(message.contains("another credential") && !message.contains("web-basic"), "{message}");
    tenancy.delete(&twice);
    assert!(!operator.output().contains(old), "the log tells a key");
    assert!(operator.stop().success());
    let operator = setup.ready();
    tenancy.wait_status(old, 200);

    // The Secret that it came from is still there, and what is made again does not get it.
    tenancy.delete(&grant);
    tenancy.wait_status(old, 401);
    tenancy.apply(&grant);
    tenancy.wait_condition("Credential", "shop", "web-basic", "Ready", ("False", "Invalid"));
    assert!(operator.stop().success());
    let _operator = setup.ready();
    let probe = tenancy.key("watch", "probe");
    tenancy.wait_status(&probe, 200);
    assert_eq!(tenancy.status(old), 401, "a revoked key never comes back");
    tenancy.apply(&secret("key-of-2020/Zx81#new"));
    tenancy.wait_status("key-of-2020/Zx81#new", 200);
    tenancy.wait_condition("Credential", "shop", "web-basic", "Ready", ("True", "Ready"));
    assert_eq!(tenancy.status(old), 401);

    // Nor does the Credential itself, once what it is for was ended.
    let over = files::subscription("web-basic", "echo-basic") + "  cancelAt: 2020-01-01T00:00:00Z\n";
    tenancy.apply(&over);
    tenancy.wait_status("key-of-2020/Zx81#new", 401);
    wait::until("the Secret to be gone", || tenancy.secret("shop", "web-basic").is_none().then_some(()));
    tenancy.wait_condition("Subscription", "shop", "web-basic", "Ready", ("True", "Cancelled"));
    let again = files::subscription("web-basic", "echo-basic");
    let refused = tenancy.try_apply(&again).expect_err("what was cancelled does not begin again");
    assert!(refused.to_string().contains("make another Subscription"), "{refused}");
    tenancy.delete(&over);
    tenancy.apply(&again);
    tenancy.wait_condition("Credential", "shop", "web-basic", "Ready", ("False", "Invalid"));
    assert_eq!(tenancy.status("key-of-2020/Zx81#new"), 401);
}

#[test]
fn what_was_counted_goes_on_with_the_next_leader() {
    let tenancy = Tenancy::new();
    tenancy.apply(&files::small_plan().replace("per: Hour", "per: Month"));
    tenancy.apply(&tenancy.grant("echo-small"));
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    assert_eq!([(); 5].map(|()| tenancy.status(&key)), [200, 200, 200, 200, 429]);
    assert!(operator.stop().success());
    assert_eq!(tenancy.status(&key), 200, "traffic goes on without Portico");
    let _operator = tenancy.operator("two").xds_at(setup.xds()).ready();
    tenancy.wait_status(&key, 429);
}
