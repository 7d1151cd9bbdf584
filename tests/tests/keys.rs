//! What becomes of keys by themselves, as time goes by.

use portico_tests::files;
use portico_tests::scenario::{Bystander, SHOP, Scenario};
use portico_tests::wait;

#[test]
fn a_key_ends_when_its_plan_says_and_no_other_takes_its_place() {
    let scenario = Scenario::new();
    files::grant(&scenario.repo, "echo-basic");
    scenario.repo.replace(files::PLAN, "limits:", "credentials: { lifetime: 8s }\n  limits:");
    scenario.repo.commit("keys of this plan are good for seconds");
    let portico = scenario.up();
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    scenario.wait_status(&key, 401);
    // Nor does a start make one, nor a rule that would have let it live.
    assert!(portico.stop().success());
    scenario.repo.replace(files::PLAN, "lifetime: 8s", "lifetime: 90d");
    scenario.repo.commit("longer, for those that are made from now on");
    let portico = scenario.up();
    assert_eq!((scenario.status(&key), scenario.launch.reveal(SHOP)), (401, Some(key.clone())));
    let status = scenario.launch.run(&["status"]);
    assert!(status.stdout.contains("its key ended on"), "{}", status.stdout);

    scenario.repo.replace(files::CREDENTIAL, "spec:\n", "spec:\n  generation: 2\n");
    let rotated = scenario.repo.commit("another key");
    portico.wait_commit(&rotated);
    let next = wait::until("another key", || scenario.launch.reveal(SHOP).filter(|next| *next != key));
    scenario.wait_status(&next, 200);
    assert_eq!(scenario.status(&key), 401);
}

#[test]
fn a_credential_rotates_by_itself_across_a_restart() {
    let scenario = Scenario::new();
    files::grant(&scenario.repo, "echo-basic");
    scenario.repo.replace(files::CREDENTIAL, "spec:\n", "spec:\n  rotateEvery: 6s\n  overlap: 3s\n");
    scenario.repo.commit("a new key every few seconds");
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    let mut keys = vec![scenario.key(SHOP)];
    let next = |keys: &[String]| {
        let is_new = |key: &String| !keys.contains(key);
        wait::until("the next key", || scenario.launch.reveal(SHOP).filter(is_new))
    };
    keys.push(next(&keys));
    scenario.wait_status(&keys[1], 200);
    scenario.wait_status(&keys[0], 401);
    assert!(portico.stop().success());
    // What was due meanwhile comes now, and once.
    let _portico = scenario.up();
    keys.push(next(&keys));
    scenario.wait_status(&keys[2], 200);
    scenario.wait_status(&keys[1], 401);
    assert_eq!(scenario.status(&keys[0]), 401);
    bystander.check("while another one's keys come and go");
}
