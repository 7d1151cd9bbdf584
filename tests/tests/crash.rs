//! `kill -9` in the middle of anything, then `up` again: exactly what the commit says.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use portico_tests::files;
use portico_tests::http::Ask;
use portico_tests::load::Steady;
use portico_tests::scenario::{Bystander, PROBE, SHOP, Scenario, THINGS};
use portico_tests::wait;

/// Numbers that look random and are the same in every run, so that a failure can be seen again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The applications of `shop` that come and go: each with a subscription and a credential, in one file.
const SLOTS: u64 = 6;

fn slot_file(slot: u64) -> String {
    format!("teams/shop/slots/{slot}.yaml")
}

fn slot_text(slot: u64, generation: u64) -> String {
    let name = format!("slot-{slot}");
    let application = files::application().replace("name: web", &format!("name: {name}"));
    let subscription = files::subscription(&name, "echo-basic").replace("name: web }", &format!("name: {name} }}"));
    let credential = files::credential(&name, &name);
    format!("{application}---\n{subscription}---\n{credential}  generation: {generation}\n  overlap: 0s\n")
}

#[test]
fn killed_at_any_moment_it_comes_back_to_what_the_commit_says() {
    let scenario = Scenario::new();
    let mut dice = Dice(0x5eed_0000_0001);
    let mut wanted: BTreeMap<u64, u64> = BTreeMap::new();
    let mut generation = 1;
    let mut ever: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);

    for round in 0..12 {
        // A few commits, and the end comes while they are being worked on.
        for _ in 0..=dice.below(3) {
            let slot = dice.below(SLOTS);
            if wanted.contains_key(&slot) && dice.below(2) == 0 {
                wanted.remove(&slot);
                scenario.repo.remove(&slot_file(slot));
            } else {
                generation += 1;
                wanted.insert(slot, generation);
                scenario.repo.write(&slot_file(slot), slot_text(slot, generation));
            }
            scenario.repo.commit(&format!("round {round}"));
            thread::sleep(Duration::from_millis(dice.below(20)));
        }
        thread::sleep(Duration::from_millis(dice.below(120)));
        portico.kill();
        bystander.check("while Portico is dead");
        portico = scenario.up();

        // Exactly those who are in the tree have access: by what Portico says, and by real requests.
        let access = scenario.launch.run(&["access"]);
        assert!(access.status.success(), "{}", access.transcript());
        for slot in 0..SLOTS {
            let name = format!("shop/slot-{slot}");
            let key = if wanted.contains_key(&slot) {
                let key = scenario.key(&name);
                scenario.wait_status(&key, 200);
                assert!(access.stdout.contains(&name), "round {round}: {name} is missing:\n{}", access.stdout);
                Some(key)
            } else {
                assert!(!access.stdout.contains(&name), "round {round}: {name} is too many:\n{}", access.stdout);
                assert_eq!(scenario.launch.reveal(&name), None, "round {round}: {name} has a key");
                None
            };
            let known = ever.entry(slot).or_default();
            for old in known.iter().filter(|old| Some(*old) != key.as_ref()) {
                assert_eq!(scenario.status(old), 401, "round {round}: an old key of {name} works");
            }
            if let Some(key) = key
                && known.last() != Some(&key)
            {
                assert!(!known.contains(&key), "round {round}: a key came back");
                known.push(key);
            }
        }
        bystander.check("after the restart");
    }
}

#[test]
fn a_commit_while_portico_is_dead_holds_when_it_is_back() {
    let scenario = Scenario::new();
    let granted = files::grant(&scenario.repo, "echo-basic");
    let portico = scenario.up();
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    portico.kill();
    scenario.repo.revert(&granted);
    assert_eq!(scenario.status(&key), 200, "nobody is there to take it away");
    let _portico = scenario.up();
    assert_eq!(scenario.status(&key), 401, "ready means that it is enforced");
}

#[test]
fn without_portico_traffic_goes_on_and_its_return_drops_nothing() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    let envoys = scenario.launch.envoys();
    assert_eq!(envoys.len(), 1, "{envoys:?}");

    let load: Vec<Steady> =
        (0..4).map(|_| Steady::start(scenario.gateway, Ask::get(THINGS).key(&key), Duration::from_millis(1))).collect();
    let fresh = Instant::now();
    let portico = {
        assert!(portico.stop().success(), "asked to stop, it ends well");
        thread::sleep(Duration::from_millis(500));
        let back = scenario.up();
        back.kill();
        thread::sleep(Duration::from_millis(300));
        scenario.up()
    };
    let commit = files::grant(&scenario.repo, "echo-basic");
    portico.wait_commit(&commit);
    scenario.wait_status(&scenario.key(SHOP), 200);
    let took = fresh.elapsed();
    let mut sent = 0;
    for tally in load.into_iter().map(Steady::stop) {
        assert_eq!(tally.failures, Vec::<String>::new());
        assert_eq!(tally.statuses.keys().collect::<Vec<_>>(), [&200], "{tally:?}");
        sent += tally.statuses[&200];
    }
    assert!(sent > 200, "{sent} requests in {took:?} are no load");
    assert_eq!(scenario.launch.envoys(), envoys, "the same Envoy all along");
}

#[test]
fn an_envoy_that_dies_is_started_again() {
    let scenario = Scenario::new();
    let _portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    for envoy in scenario.launch.envoys() {
        portico_tests::processes::signal(envoy, "KILL");
    }
    wait::until("the dead Envoy to be gone", || (scenario.status(&key) == 0).then_some(()));
    scenario.wait_status(&key, 200);
}

#[test]
fn stop_envoy_leaves_nothing_behind() {
    let scenario = Scenario::with(|repo| portico_tests::portico::Launch::new(repo.path()).arguments(["--stop-envoy"]));
    let portico = scenario.up();
    assert_eq!(scenario.launch.envoys().len(), 1);
    assert!(portico.stop().success());
    wait::until("Envoy to end", || scenario.launch.envoys().is_empty().then_some(()));
}
