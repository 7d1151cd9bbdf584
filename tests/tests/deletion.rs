//! What is deleted while somebody has it, at a real Envoy: refused, left without access, or taken along.

use std::{thread, time};

use portico_tests::files;
use portico_tests::operator::Tenancy;
use portico_tests::portico;
use portico_tests::scenario::{Bystander, SHOP, Scenario};
use portico_tests::wait;

/// A text with another policy.
fn with(policy: &str, text: &str) -> String {
    format!("{text}  deletionPolicy: {policy}\n")
}

fn explained(scenario: &Scenario, object: &str) -> String {
    scenario.launch.run(&["explain", object]).transcript()
}

#[test]
fn a_plan_that_somebody_has_stays_until_they_end_it() {
    let scenario = Scenario::new();
    files::grant(&scenario.repo, "echo-small");
    scenario.repo.write(files::SMALL_PLAN, files::plan().replace("echo-basic", "echo-small"));
    scenario.repo.commit("a plan of one's own, with a limit that no test reaches");
    let portico = scenario.up();
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    let mut bystander = Bystander::new(&scenario);

    scenario.repo.remove(files::SMALL_PLAN);
    let deleted = scenario.repo.commit("delete the plan");
    portico.wait_commit(&deleted);
    portico.wait_line(&["deletion-refused", "1 subscription holds it (shop/web-basic)", "git checkout"]);
    assert_eq!(scenario.status(&key), 200);
    let text = explained(&scenario, "plan/apis/echo-small");
    assert!(text.contains("the deletion of Plan apis/echo-small is refused") && text.contains("not ready"), "{text}");
    let text = explained(&scenario, "subscription/shop/web-basic");
    assert!(text.contains("the deletion of Plan apis/echo-small is refused"), "{text}");
    let checked = portico::run_in(scenario.repo.path(), &["check", "."]);
    assert!(checked.status.success() && checked.transcript().contains("deletion-refused"), "{}", checked.transcript());

    // Nobody new gets it.
    let late = files::bystander()
        .replace("name: probe, namespace: watch", "name: late, namespace: watch")
        .replace("name: probe }", "name: late }")
        .replace("echo-basic", "echo-small");
    scenario.repo.write("teams/watch/late.yaml", late);
    let asked = scenario.repo.commit("ask for a plan that is deleted");
    portico.wait_commit(&asked);
    portico.wait_line(&["deleted-plan", "takes no new subscriptions"]);
    assert_eq!(scenario.launch.reveal("watch/late"), None, "no key");

    // A start from nothing but the repository and the keys comes to the same.
    assert!(portico.stop().success());
    let portico = scenario.up();
    portico.wait_line(&["1 subscription holds it (shop/web-basic)"]);
    assert_eq!((scenario.status(&key), scenario.key(SHOP)), (200, key.clone()));
    assert!(explained(&scenario, "subscription/watch/late").contains("takes no new subscriptions"));
    bystander.check("while another plan is deleted");

    // It goes with the last one.
    scenario.repo.remove(files::SUBSCRIPTION);
    scenario.repo.remove(files::CREDENTIAL);
    scenario.repo.remove("teams/watch/late.yaml");
    let ended = scenario.repo.commit("end the subscription");
    portico.wait_commit(&ended);
    scenario.wait_status(&key, 401);
    let gone = explained(&scenario, "plan/apis/echo-small");
    assert!(gone.contains("there is no Plan apis/echo-small"), "{gone}");
    assert!(portico.stop().success());
    let _portico = scenario.up();
    let gone = explained(&scenario, "plan/apis/echo-small");
    assert!(gone.contains("there is no Plan apis/echo-small"), "{gone}");
}

#[test]
fn a_product_that_somebody_has_stays_with_its_document() {
    let scenario = Scenario::new();
    let operations = files::plan().replace("{ name: echo }", "{ name: echo, operations: [listThings] }");
    scenario.repo.write(files::PLAN, operations);
    scenario.repo.commit("a plan that needs the document");
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    scenario.repo.git(&["rm", "-r", "products/echo"]);
    let deleted = scenario.repo.commit("delete the whole folder");
    portico.wait_commit(&deleted);
    portico.wait_line(&["the deletion of ApiProduct apis/echo is refused"]);
    bystander.check("after its product and plan were deleted");
    assert!(portico.stop().success());
    let portico = scenario.up();
    bystander.check("after a start from nothing but files");
    scenario.repo.remove(files::BYSTANDER);
    let ended = scenario.repo.commit("end the last subscription");
    portico.wait_commit(&ended);
    portico.wait_line(&["product apis/echo is no longer served"]);
}

#[test]
fn an_orphan_loses_its_access_and_keeps_its_key() {
    let scenario = Scenario::new();
    files::grant(&scenario.repo, "echo-small");
    scenario.repo.write(files::SMALL_PLAN, with("Orphan", &files::plan().replace("echo-basic", "echo-small")));
    scenario.repo.commit("a plan that may go whenever its owner wants");
    let portico = scenario.up();
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    scenario.repo.remove(files::SMALL_PLAN);
    let deleted = scenario.repo.commit("delete the plan");
    portico.wait_commit(&deleted);
    scenario.wait_status(&key, 401);
    assert!(explained(&scenario, "subscription/shop/web-basic").contains("there is no Plan apis/echo-small"));
    assert!(portico.stop().success());
    let portico = scenario.up();
    assert_eq!(scenario.status(&key), 401);
    let restored = scenario.repo.revert(&deleted);
    portico.wait_commit(&restored);
    scenario.wait_status(&key, 200);
    assert_eq!(scenario.key(SHOP), key, "the same key");
}

#[test]
fn a_cascade_destroys_keys_for_good() {
    let scenario = Scenario::new();
    files::grant(&scenario.repo, "echo-small");
    scenario.repo.write(files::SMALL_PLAN, with("Cascade", &files::plan().replace("echo-basic", "echo-small")));
    scenario.repo.commit("a plan that takes its subscriptions along");
    let portico = scenario.up();
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    let mut bystander = Bystander::new(&scenario);
    scenario.repo.remove(files::SMALL_PLAN);
    let deleted = scenario.repo.commit("delete the plan");
    portico.wait_commit(&deleted);
    scenario.wait_status(&key, 401);
    // The files that are left are named.
    portico.wait_line(&[files::SUBSCRIPTION, "deleted-with-plan"]);
    portico.wait_line(&[files::CREDENTIAL, "was deleted with its plan"]);
    assert_eq!(scenario.launch.reveal(SHOP), None);
    assert!(portico.stop().success());
    let portico = scenario.up();
    assert_eq!((scenario.status(&key), scenario.launch.reveal(SHOP)), (401, None));

    let restored = scenario.repo.revert(&deleted);
    portico.wait_commit(&restored);
    let another = scenario.key(SHOP);
    scenario.wait_status(&another, 200);
    assert_ne!(another, key);
    assert_eq!(scenario.status(&key), 401, "a destroyed key never comes back");
    bystander.check("after all of that");
}

/// What stands in `metadata.finalizers`; `None` if the object is gone.
fn finalizers(tenancy: &Tenancy, kind: &str, name: &str) -> Option<Vec<String>> {
    tenancy.object(kind, "apis", name).map(|object| object.metadata.finalizers.unwrap_or_default())
}

const FINALIZER: &str = "portico.dev/deletion-policy";

#[test]
fn in_a_cluster_a_refused_deletion_waits() {
    let tenancy = Tenancy::new();
    let small = files::plan().replace("echo-basic", "echo-small");
    tenancy.apply(&small);
    tenancy.apply(&tenancy.grant("echo-small"));
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let (key, probe) = (tenancy.key("shop", "web-basic"), tenancy.key("watch", "probe"));
    tenancy.wait_status(&key, 200);
    wait::until("a finalizer on what somebody has", || {
        let all = [("Plan", "echo-small"), ("Plan", "echo-basic"), ("ApiProduct", "echo")];
        all.iter()
            .all(|(kind, name)| finalizers(&tenancy, kind, name) == Some(vec![FINALIZER.to_owned()]))
            .then_some(())
    });

    tenancy.delete(&small);
    tenancy.wait_condition("Plan", "apis", "echo-small", "Ready", ("False", "DeletionRefused"));
    let (_, _, message) = tenancy.condition("Plan", "apis", "echo-small", "Stalled");
    assert!(message.contains("1 subscription holds it") && message.contains("/web-basic"), "{message}");
    assert_eq!(tenancy.status(&key), 200);
    let late = files::subscription("web-late", "echo-small").replace("name: web }", "name: late }");
    let application = files::application().replace("name: web,", "name: late,");
    // Younger than the deletion, which is known to the second.
    thread::sleep(time::Duration::from_millis(1100));
    tenancy.apply(&format!("{application}---\n{late}"));
    wait::until("a word about it", || {
        let (_, _, message) = tenancy.condition("Subscription", "shop", "web-late", "Ready");
        message.contains("takes no new subscriptions").then_some(())
    });

    // Nobody loses anything by a restart, and nothing is written that stands there.
    wait::until("all to be written", || (operator.metric("portico_writes_waiting", &[]) < 0.5).then_some(()));
    assert!(operator.stop().success());
    let operator = setup.ready();
    operator.wait_leads();
    tenancy.wait_status(&key, 200);
    thread::sleep(time::Duration::from_secs(2));
    assert!(operator.metric("portico_writes_total", &[]) < 0.5, "{}", operator.output());

    // What ends while nobody looks lets the plan go when somebody does.
    assert!(operator.stop().success());
    tenancy.delete(&tenancy.grant("echo-small"));
    thread::sleep(time::Duration::from_millis(500));
    assert!(finalizers(&tenancy, "Plan", "echo-small").is_some(), "it waits for its operator");
    let _operator = setup.ready();
    wait::until("the plan to be gone", || finalizers(&tenancy, "Plan", "echo-small").is_none().then_some(()));
    tenancy.wait_status(&key, 401);
    assert_eq!(tenancy.status(&probe), 200, "the others go on");
}

#[test]
fn in_a_cluster_another_policy_lets_it_go() {
    let tenancy = Tenancy::new();
    let setup = tenancy.operator("one");
    let _operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let probe = tenancy.key("watch", "probe");
    tenancy.wait_status(&probe, 200);
    wait::until("a finalizer", || {
        finalizers(&tenancy, "Plan", "echo-basic").filter(|all| *all == [FINALIZER]).map(drop)
    });
    tenancy.delete(files::plan());
    tenancy.wait_condition("Plan", "apis", "echo-basic", "Ready", ("False", "DeletionRefused"));
    assert_eq!(tenancy.status(&probe), 200);
    tenancy.apply(&with("Orphan", files::plan()));
    wait::until("the plan to be gone", || finalizers(&tenancy, "Plan", "echo-basic").is_none().then_some(()));
    tenancy.wait_status(&probe, 401);
    assert!(tenancy.object("Subscription", "watch", "probe").is_some(), "an orphan stays");
    assert!(tenancy.secret("watch", "probe").is_some(), "and so does its key");
    // One that nobody has to ask has no finalizer.
    tenancy.apply(&with("Orphan", files::plan()));
    tenancy.wait_status(&probe, 200);
    thread::sleep(time::Duration::from_millis(1500));
    assert_eq!(finalizers(&tenancy, "Plan", "echo-basic"), Some(Vec::new()));
}

#[test]
fn in_a_cluster_subscriptions_go_with_their_plan() {
    let tenancy = Tenancy::new();
    tenancy.apply(&tenancy.grant("echo-small"));
    let small = with("Cascade", &files::plan().replace("echo-basic", "echo-small"));
    tenancy.apply(&small);
    // Somebody to whom it is not open names it too.
    tenancy.apply(&files::subscription("stranger", "echo-small").replace("namespace: shop", "namespace: platform"));
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let (key, probe) = (tenancy.key("shop", "web-basic"), tenancy.key("watch", "probe"));
    tenancy.wait_status(&key, 200);
    wait::until("a finalizer", || {
        finalizers(&tenancy, "Plan", "echo-small").filter(|all| *all == [FINALIZER]).map(drop)
    });
    // It happens while nobody looks.
    assert!(operator.stop().success());
    tenancy.delete(&small);
    let _operator = setup.ready();
    tenancy.wait_status(&key, 401);
    wait::until("the subscription to be gone", || {
        tenancy.object("Subscription", "shop", "web-basic").is_none().then_some(())
    });
    wait::until("the plan to be gone", || finalizers(&tenancy, "Plan", "echo-small").is_none().then_some(()));
    wait::until("the key to be gone", || tenancy.secret("shop", "web-basic").is_none().then_some(()));
    assert!(tenancy.object("Subscription", "platform", "stranger").is_some(), "what is not theirs stays");
    assert_eq!(tenancy.status(&probe), 200, "the others go on");

    tenancy.apply(&small);
    tenancy.apply(&tenancy.grant("echo-small"));
    let another = wait::until("another key", || Some(tenancy.key("shop", "web-basic")).filter(|other| *other != key));
    tenancy.wait_status(&another, 200);
    assert_eq!(tenancy.status(&key), 401, "a destroyed key never comes back");
}
