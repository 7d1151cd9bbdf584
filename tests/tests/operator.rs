//! The operator against a real API server, with a real Envoy.

use portico_tests::files;
use portico_tests::http::Ask;
use portico_tests::operator::Tenancy;
use portico_tests::scenario::THINGS;
use portico_tests::wait;

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
    wait::until("all to be written", || (operator.metric("portico_writes_waiting", &[]) < 0.5).then_some(()));
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
    assert!(statuses < 2.5, "{statuses} statuses were written, of which one was due\n{}", operator.output());
}
