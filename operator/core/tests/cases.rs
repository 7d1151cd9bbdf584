//! Golden cases: each folder of `tests/cases` is a story of desired states, `1.yaml`, `2.yaml` and on, and `out.txt` says
//! what the core made of each step. `UPDATE=1` writes them anew. A file may begin with `# now: <time>`.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use portico_core::batch::{Change, Object};
use portico_core::key::ObjectKey;

#[test]
fn cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<_> = fs::read_dir(&root).expect("cases").map(|entry| entry.expect("entry").path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    let mut failed = Vec::new();
    for folder in folders {
        let name = folder.file_name().expect("named").to_string_lossy().into_owned();
        let told = story(&folder);
        let golden = folder.join("out.txt");
        if env::var_os("UPDATE").is_some() {
            fs::write(&golden, &told).expect("golden file");
        }
        let same = fs::read_to_string(&golden).is_ok_and(|text| text == told);
        println!("case {name} ... {}", if same { "ok" } else { "FAILED" });
        if !same {
            println!("{told}");
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "differ: {failed:?}; UPDATE=1 accepts them");
}

fn story(folder: &Path) -> String {
    let mut world = support::World::new("2026-01-01T00:00:00Z".parse().expect("time"));
    let mut before: BTreeMap<ObjectKey, Object> = BTreeMap::new();
    let mut told = String::new();
    for step in 1.. {
        let Ok(text) = fs::read_to_string(folder.join(format!("{step}.yaml"))) else { break };
        if let Some(now) = text.strip_prefix("# now: ").and_then(|rest| rest.lines().next()) {
            world.now = now.trim().parse().expect("a time");
        }
        let after: BTreeMap<ObjectKey, Object> =
            support::objects(&text).into_iter().map(|object| (object.key(), object)).collect();
        let removed = before.keys().filter(|key| !after.contains_key(*key)).cloned().map(Change::Remove);
        let put = after.values().filter(|object| before.get(&object.key()) != Some(object)).cloned().map(Change::Put);
        let deltas = world.apply(removed.chain(put).collect());
        told.push_str(&format!("=== step {step}\n{}", support::tell(&deltas, &world.core)));
        let afresh = world.afresh(after.values().cloned());
        assert_eq!(support::dump(&world.core), support::dump(&afresh.core), "step {step} of {}", folder.display());
        before = after;
    }
    told
}
