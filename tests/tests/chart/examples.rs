//! The examples for clusters fit together, and fit the chart.

use std::fs;
use std::path::{Path, PathBuf};

use portico_tests::helm::{find, objects, parse};
use serde_json::Value;

use crate::site::site;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn read(path: &str) -> Vec<Value> {
    let path = examples().join(path);
    parse(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the example") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            manifests(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "yaml")
            && !name.starts_with("openapi")
            && name != "kustomization.yaml"
        {
            found.push(path);
        }
    }
}

#[test]
fn acme_is_synced_whole() {
    let folder = examples().join("acme");
    let kustomization = read("acme/kustomization.yaml").remove(0);
    let mut listed: Vec<PathBuf> = kustomization["resources"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|path| folder.join(path.as_str().expect("a path")))
        .collect();
    let mut there = Vec::new();
    manifests(&folder, &mut there);
    listed.sort();
    there.sort();
    assert_eq!(listed, there);

    // Each document that a product names is in a ConfigMap with the product's label, under the name that it is named by.
    let mut documents = 0;
    for path in there {
        for product in parse(&fs::read_to_string(path).expect("a text")) {
            if product["kind"] != "ApiProduct" {
                continue;
            }
            let name = &product["metadata"]["name"];
            let maps = kustomization["configMapGenerator"].as_array().expect("a list");
            let map = maps.iter().find(|map| &map["options"]["labels"]["portico.dev/product"] == name);
            let map = map.unwrap_or_else(|| panic!("no documents of {name}"));
            assert_eq!(map["namespace"], product["metadata"]["namespace"]);
            for version in product["spec"]["versions"].as_array().into_iter().flatten() {
                let wanted = version["openapi"]["path"].as_str().expect("a path");
                let files = map["files"].as_array().expect("files").iter().map(|file| file.as_str().expect("a path"));
                let found = files.clone().find(|file| file.ends_with(&format!("/{wanted}")));
                let found = found.unwrap_or_else(|| panic!("{wanted} of {name} is in no ConfigMap"));
                assert!(folder.join(found).is_file(), "{found}");
                documents += 1;
            }
        }
    }
    assert_eq!(documents, 4);
}

#[test]
fn what_is_different_in_a_cluster_changes_all_addresses_of_one_machine() {
    let mut found = Vec::new();
    manifests(&examples().join("acme"), &mut found);
    let mut all: Vec<Value> = found.iter().flat_map(|path| parse(&fs::read_to_string(path).expect("a text"))).collect();
    let overlay = read("kubernetes/acme/kustomization.yaml").remove(0);
    for patch in overlay["patches"].as_array().expect("patches") {
        let (kind, name) = (&patch["target"]["kind"], &patch["target"]["name"]);
        let object = all.iter_mut().find(|object| &object["kind"] == kind && &object["metadata"]["name"] == name);
        let object = object.unwrap_or_else(|| panic!("there is no {kind} {name}"));
        for change in parse(patch["patch"].as_str().expect("a text")).remove(0).as_array().expect("a list") {
            assert_eq!(change["op"], "replace");
            let place = object.pointer_mut(change["path"].as_str().expect("a path"));
            *place.unwrap_or_else(|| panic!("{kind} {name} has no {}", change["path"])) = change["value"].clone();
        }
    }
    for object in all.iter().filter(|object| object["kind"] != "Portal") {
        assert!(!object["spec"].to_string().contains("127.0.0.1"), "{object}");
    }
    let here = examples().join("kubernetes/acme");
    for resource in overlay["resources"].as_array().expect("a list") {
        assert!(here.join(resource.as_str().expect("a path")).exists(), "{resource}");
    }
    let namespaces = read("kubernetes/namespaces/namespaces.yaml");
    for object in &all {
        find(&namespaces, "Namespace", object["metadata"]["namespace"].as_str().expect("a namespace"));
    }
}

#[test]
fn values_are_good_and_paths_lead_somewhere() {
    let flux = find(&read("flux/portico/portico.yaml"), "HelmRelease", "portico").clone();
    let argo = read("argocd/portico.yaml").remove(0);
    let hello = read("kubernetes/values.yaml").remove(0);
    for values in [&flux["spec"]["values"], &argo["spec"]["source"]["helm"]["valuesObject"], &hello] {
        let all = objects(&values.to_string());
        assert!(all.iter().any(|object| object["kind"] == "ConfigMap"), "no gateway: {values}");
    }
    let root = examples().join("..");
    let mut paths = Vec::new();
    for file in ["namespaces", "portico", "acme"] {
        paths.push(read(&format!("argocd/{file}.yaml")).remove(0)["spec"]["source"]["path"].clone());
    }
    paths.extend(read("flux/sync.yaml").iter().map(|sync| sync["spec"]["path"].clone()));
    assert_eq!(paths.len(), 6);
    for path in paths {
        assert!(root.join(path.as_str().expect("a path")).is_dir(), "{path}");
    }
}

#[test]
fn the_server_accepts_what_the_page_goes_through() {
    let cluster = site();
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: demo}}");
    let text = fs::read_to_string(examples().join("kubernetes/hello.yaml")).expect("a text");
    assert_eq!(cluster.apply(&text).len(), 6);
    for file in ["namespaces/namespaces.yaml", "acme/people.yaml", "acme/upstream.yaml"] {
        let text = fs::read_to_string(examples().join("kubernetes").join(file)).expect("a text");
        assert!(!cluster.apply(&text).is_empty(), "{file}");
    }
    let environment = &parse(&text)[0];
    let values = read("kubernetes/values.yaml").remove(0);
    let gateway = &values["gateways"][0];
    assert_eq!(gateway["environment"], "demo/production");
    assert_eq!(gateway["ports"][0]["containerPort"], environment["spec"]["gateway"]["envoy"]["listeners"][0]["port"]);
}
