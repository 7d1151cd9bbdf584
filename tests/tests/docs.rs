//! The examples on the pages of kinds are one repository, and they are good.

use std::fs;
use std::path::Path;

use portico_tests::cluster::Cluster;
use portico_tests::portico;
use portico_tests::repo::Repo;

/// The YAML of every page, by the page's name.
fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kinds");
    let pages = fs::read_dir(&folder).expect("there are pages").map(|entry| entry.expect("a page").path());
    let mut examples: Vec<_> = pages
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?.to_owned();
            let text = fs::read_to_string(&path).expect("a text");
            let blocks: Vec<&str> =
                text.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
            (!blocks.is_empty()).then(|| (name, blocks.join("---\n")))
        })
        .collect();
    examples.sort();
    assert_eq!(examples.len(), portico_crds::all().len(), "every kind has a page with an example");
    examples
}

#[test]
fn examples_are_a_valid_repository() {
    let repo = Repo::new();
    for (name, text) in examples() {
        repo.write(&format!("{name}.yaml"), text);
    }
    repo.commit("the examples");
    let checked = portico::run_in(repo.path(), &["check"]);
    assert!(checked.status.success(), "{}", checked.transcript());
    let access = portico::run_in(repo.path(), &["access"]);
    println!("{}", access.transcript());
    for access in ["storefront-free", "tracking-professional"] {
        let told = portico::run_in(repo.path(), &["explain", &format!("subscription/shop/{access}")]);
        println!("{}", told.transcript());
        assert!(told.status.success());
    }
}

#[test]
fn an_api_server_takes_them() {
    let cluster = Cluster::start();
    cluster.install_crds();
    for namespace in ["platform", "weather", "shop"] {
        cluster.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace} }}\n"));
    }
    for (name, text) in examples() {
        let made = cluster.apply(&text);
        println!("{name}: {} taken", made.len());
        assert!(!made.is_empty());
    }
}
