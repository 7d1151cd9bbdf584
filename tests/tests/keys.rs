//! What becomes of keys by themselves, as time goes by, and keys that were there before.

use portico_tests::files;
use portico_tests::scenario::{Bystander, PROBE, SHOP, Scenario};
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

#[test]
fn a_key_from_elsewhere_works_until_it_is_revoked() {
    let scenario = Scenario::new();
    files::grant(&scenario.repo, "echo-basic");
    scenario.repo.replace(files::CREDENTIAL, "spec:\n", "spec:\n  import: { name: old-keys }\n");
    scenario.repo.commit("its clients keep their key");
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    let old = "key-of-2019/Zx81#old";
    let give = |credential: &str, key: &str| scenario.launch.feed(&["credential", "import", credential], key);
    assert_eq!(scenario.status(old), 401);
    let status = scenario.launch.run(&["status"]);
    assert!(status.stdout.contains("waits for the key that it imports"), "{}", status.stdout);
    for (credential, key, why) in [
        (SHOP, "fifteen-letters\n", "16 to 256"),
        (SHOP, "two words are no key\n", "no spaces"),
        (SHOP, "ptk_0123456789012345", "ptk_"),
        (PROBE, old, "waits for no key"),
    ] {
        let refused = give(credential, key);
        assert!(!refused.status.success() && refused.stderr.contains(why), "{}", refused.stderr);
    }

    let taken = give(SHOP, &format!("{old}\n"));
    assert!(taken.status.success(), "{}", taken.stderr);
    scenario.wait_status(old, 200);
    for wrong in ["key-of-2019/Zx81#ole", "key-of-2019/Zx81#old2", "key-of-2019/Zx81#ol", "ptk_key-of-2019/Zx81#old"] {
        assert_eq!(scenario.status(wrong), 401, "{wrong}");
    }
    assert!(!portico.output().contains(old), "the log tells a key");
    assert!(portico.stop().success());
    let portico = scenario.up();
    scenario.wait_status(old, 200);

    let file = scenario.repo.read(files::CREDENTIAL);
    scenario.repo.remove(files::CREDENTIAL);
    portico.wait_commit(&scenario.repo.commit("no more of it"));
    scenario.wait_status(old, 401);
    bystander.check("after a key from elsewhere was revoked");
    portico.wait_commit(&scenario.repo.commit_file(files::CREDENTIAL, &file));
    let refused = give(SHOP, old);
    assert!(!refused.status.success() && refused.stderr.contains("was revoked"), "{}", refused.stderr);
    assert!(portico.stop().success());
    let _portico = scenario.up();
    assert!(!give(SHOP, old).status.success(), "not after a restart either");
    assert_eq!(scenario.status(old), 401);
    let another = give(SHOP, "key-of-2020/Zx81#new");
    assert!(another.status.success(), "{}", another.stderr);
    scenario.wait_status("key-of-2020/Zx81#new", 200);
}
