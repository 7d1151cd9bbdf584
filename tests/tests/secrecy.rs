//! Keys are where they have to be and nowhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portico_tests::admin::Admin;
use portico_tests::files;
use portico_tests::http::Ask;
use portico_tests::portico::Launch;
use portico_tests::scenario::{PROBE, SHOP, Scenario, THINGS};

fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() { found.extend(below(&path)) } else { found.push(path) }
    }
    found
}

fn holds(content: &[u8], key: &str) -> bool {
    content.windows(key.len()).any(|window| window == key.as_bytes())
}

#[test]
fn a_key_is_told_by_reveal_only() {
    let scenario = Scenario::with(|repo| Launch::new(repo.path()).variable("RUST_LOG", "trace,h2=info"));
    let portico = scenario.up();
    let commit = files::grant(&scenario.repo, "echo-small");
    portico.wait_commit(&commit);
    let keys = [scenario.key(SHOP), scenario.key(PROBE)];
    for key in &keys {
        scenario.wait_status(key, 200);
    }
    for _ in 0..7 {
        scenario.status(&keys[0]);
    }
    for key in &keys {
        assert!(!portico.output().contains(key), "Portico printed a key");
        for arguments in [
            ["status"].as_slice(),
            &["access"],
            &["explain", "credential/shop/web-basic"],
            &["explain", "subscription/shop/web-basic"],
        ] {
            let outcome = scenario.launch.run(arguments).transcript();
            assert!(!outcome.contains(key), "{arguments:?} tells a key:\n{outcome}");
        }
        for path in below(&scenario.launch.state()) {
            if path.is_file() {
                let content = fs::read(&path).unwrap_or_default();
                assert!(!holds(&content, key), "{} holds a key in the clear", path.display());
            }
        }
    }
    for path in below(&scenario.launch.state()) {
        let mode = fs::symlink_metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
        // A socket's own mode matters less than its folder's; files and folders are for their owner alone.
        if path.is_file() || path.is_dir() {
            assert_eq!(mode & 0o077, 0, "{} is open to others: {mode:o}", path.display());
        }
    }
}

#[test]
fn envoy_does_not_tell_keys_either() {
    let scenario = Scenario::new();
    let _portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    scenario.status(&key);
    let outcome =
        portico_tests::portico::run_in(scenario.repo.path(), &["render", ".", "--environment", "platform/local"]);
    assert!(outcome.status.success(), "{}", outcome.transcript());
    assert!(!outcome.transcript().contains(&key), "render tells a key");
    let admin = Admin::find(&scenario.launch.state()).expect("Envoy has an administration");
    for path in ["/config_dump?include_eds", "/stats", "/clusters", "/listeners", "/server_info"] {
        let answer = admin.get(path);
        assert!(answer.contains("200 OK"), "{path} says nothing");
        assert!(!answer.contains(&key), "Envoy's {path} tells a key");
    }
}

#[test]
fn a_wrong_key_is_not_repeated() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    // As good as a key, but for its end.
    let end = if key.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{end}", &key[..key.len() - 1]);
    let answer = scenario.ask(&Ask::get(THINGS).key(&wrong)).expect("the gateway answers");
    assert_eq!(answer.status, 401);
    assert!(!answer.body.contains(&wrong) && !portico.output().contains(&wrong));
}
