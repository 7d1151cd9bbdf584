//! A limit of an hour or more, with the whole program.

use std::fs;
use std::path::Path;

use portico_tests::files;
use portico_tests::scenario::{SHOP, Scenario};
use portico_tests::{processes, wait};

/// Five requests a month.
fn scenario() -> Scenario {
    let scenario = Scenario::new();
    scenario.repo.replace(files::SMALL_PLAN, "per: Hour", "per: Month");
    files::grant(&scenario.repo, "echo-small");
    scenario
}

/// Waits until the store has written down so many requests of an application. Its rows end with the name of the application,
/// two moments of eight bytes each, and the count.
fn wait_kept(state: &Path, application: &str, used: u8) {
    let is_kept = |file: &[u8]| {
        file.windows(application.len() + 17)
            .any(|row| row.starts_with(application.as_bytes()) && row.ends_with(&[used]))
    };
    wait::until("what was counted to be kept", || {
        fs::read(state.join("secrets.db-wal")).is_ok_and(|file| is_kept(&file)).then_some(())
    });
}

#[test]
fn killed_and_started_again_it_goes_on_counting() {
    let scenario = scenario();
    let portico = scenario.up();
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    assert_eq!([(); 5].map(|()| scenario.status(&key)), [200, 200, 200, 200, 429]);
    wait_kept(&scenario.launch.state(), "shop/web", 5);
    portico.kill();
    assert_eq!(scenario.status(&key), 200, "traffic goes on without Portico");
    let portico = scenario.up();
    scenario.wait_status(&key, 429);

    // And Envoy.
    for envoy in scenario.launch.envoys() {
        processes::signal(envoy, "KILL");
    }
    scenario.wait_status(&key, 429);
    // What was counted last is kept at an orderly end.
    assert!(portico.stop().success());
    let _portico = scenario.up();
    scenario.wait_status(&key, 429);
}
