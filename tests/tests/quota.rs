//! A limit of an hour or more, with the whole program.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams};
use portico_tests::cluster::block_on;
use portico_tests::files;
use portico_tests::operator::Tenancy;
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

#[test]
fn killed_it_forgets_what_it_counted_in_ten_seconds_and_no_more() {
    let tenancy = Tenancy::new();
    tenancy.apply(&files::small_plan().replace("per: Hour", "per: Month"));
    tenancy.apply(&tenancy.grant("echo-small"));
    // With the rights that the chart gives it, as everywhere here.
    let setup = tenancy.operator("one");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    assert_eq!([(); 4].map(|()| tenancy.status(&key)), [200; 4]);
    let counted = Instant::now();
    let maps: Api<ConfigMap> = Api::namespaced(tenancy.cluster().admin(), &tenancy.namespace("platform"));
    wait::until("what was counted to be written down", || {
        let found = block_on(maps.list(&ListParams::default())).expect("ConfigMaps can be read");
        let counts = found.items.into_iter().filter_map(|map| map.data?.remove("counts.json"));
        counts.into_iter().any(|text| text.ends_with(",5]]")).then_some(())
    });
    assert!(counted.elapsed() < Duration::from_secs(13), "it took {:?}", counted.elapsed());
    operator.kill();
    assert_eq!(tenancy.status(&key), 200, "traffic goes on without Portico");
    let _operator = tenancy.operator("two").xds_at(setup.xds()).ready();
    tenancy.wait_status(&key, 429);
}
