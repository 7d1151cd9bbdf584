//! The API server that other tests take for granted: each of its promises, and what it makes of Portico's own objects.

use std::fmt::Debug;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Api, Client, Config, Error, ResourceExt};
use portico_crds::{Application, Credential};
use portico_tests::cluster::{Cluster, block_on, kstatus, unique};
use portico_tests::{processes, wait};
use serde_json::{Value, json};

/// What the server answered when it refused.
fn refusal<T: Debug>(outcome: Result<T, Error>) -> Status {
    match outcome {
        Err(Error::Api(status)) => *status,
        other => panic!("not refused: {other:?}"),
    }
}

fn with_definitions() -> &'static Cluster {
    let cluster = Cluster::shared();
    cluster.install_crds();
    cluster
}

fn config_map(name: &str) -> String {
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{key: value}}}}")
}

/// Manifests below a folder: files of API documents, of Kustomize and pages of text are none.
fn manifests(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the example") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(manifests(&path));
        } else if path.extension().is_some_and(|kind| kind == "yaml")
            && !name.starts_with("openapi")
            && name != "kustomization.yaml"
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn all_definitions_are_established_without_a_complaint() {
    let cluster = with_definitions();
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin());
    let all = block_on(definitions.list(&ListParams::default())).expect("definitions can be listed");
    let ours: Vec<_> = all.iter().filter(|definition| definition.spec.group == portico_crds::GROUP).collect();
    assert_eq!(ours.len(), portico_crds::all().len());
    for definition in ours {
        let status = definition.status.as_ref().expect("the server says what it made of it");
        let conditions: Vec<_> = status
            .conditions
            .iter()
            .flatten()
            .map(|condition| (condition.type_.as_str(), condition.status.as_str()))
            .collect();
        // A structural fault of a schema would be a third one.
        assert_eq!(conditions, [("NamesAccepted", "True"), ("Established", "True")], "{}", definition.name_any());
    }
}

#[test]
fn a_rule_refuses_an_object_with_its_own_words() {
    let cluster = with_definitions();
    let namespace = cluster.namespace("rules");
    let credential = |spec: &str| {
        format!(
            "{{apiVersion: portico.dev/v1alpha1, kind: Credential, metadata: {{name: one}}, \
             spec: {{environment: {{name: local, namespace: platform}}, {spec}}}}}"
        )
    };
    let admin = cluster.admin();
    let both = credential("subscription: {name: s}, application: {name: a}");
    let status = refusal(cluster.try_apply(&admin, &namespace, &both));
    assert_eq!(status.code, 422);
    assert!(status.message.contains("give exactly one of subscription and application"), "{}", status.message);

    // One that compares with what was there before.
    cluster.apply_in(&namespace, &credential("subscription: {name: s}, generation: 2"));
    let status = refusal(cluster.try_apply(&admin, &namespace, &credential("subscription: {name: s}, generation: 1")));
    assert!(status.message.contains("generation cannot go down"), "{}", status.message);
    let credentials: Api<Credential> = Api::namespaced(admin, &namespace);
    assert_eq!(block_on(credentials.get("one")).expect("it is still there").spec.generation, 2);
}

#[test]
fn a_field_that_nobody_knows_is_refused() {
    let cluster = with_definitions();
    let namespace = cluster.namespace("strict");
    let application = "{apiVersion: portico.dev/v1alpha1, kind: Application, metadata: {name: one}, \
        spec: {title: One, team: {name: t}, colour: red}}";
    let status = refusal(cluster.try_apply(&cluster.admin(), &namespace, application));
    assert!(status.message.contains("colour"), "{}", status.message);
}

#[test]
fn every_manifest_of_the_example_is_accepted() {
    let cluster = with_definitions();
    let files = manifests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/acme"));
    assert!(files.len() > 30, "only {files:?}");
    let texts: Vec<_> = files.iter().map(|path| (path, fs::read_to_string(path).expect("a text"))).collect();
    for namespace in ["platform", "payments", "weather", "orders", "shop", "mobile", "analytics"] {
        cluster.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"));
    }
    let admin = cluster.admin();
    for (path, text) in &texts {
        let applied = cluster.try_apply(&admin, "default", text);
        let applied = applied.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!applied.is_empty(), "{} has no object", path.display());
        // All that was written is there: nothing was dropped, and nothing was put in another form.
        let kept = serde_json::to_value(&applied[0]).expect("an object is JSON");
        let written: Value = serde_yaml::from_str(text).expect("YAML");
        assert_contains(&kept["spec"], &written["spec"], &path.display().to_string());
    }
}

/// All that is in `part` is in `whole`, which may have more members.
fn assert_contains(whole: &Value, part: &Value, at: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                let at = format!("{at}.{name}");
                assert_contains(whole.get(name).unwrap_or_else(|| panic!("{at} is not there")), value, &at);
            }
        }
        (Value::Array(whole), Value::Array(part)) => {
            assert_eq!(whole.len(), part.len(), "{at}");
            for (index, (whole, part)) in whole.iter().zip(part).enumerate() {
                assert_contains(whole, part, &format!("{at}[{index}]"));
            }
        }
        _ => assert_eq!(whole, part, "{at}"),
    }
}

#[test]
fn who_has_no_right_is_refused() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("rights");
    let list = |client: Client| {
        let secrets: Api<Secret> = Api::namespaced(client, &namespace);
        block_on(secrets.list(&ListParams::default())).map(|list| list.items.len())
    };
    let developer = || cluster.client_as("dora@acme.example", &["shop-developers"]);
    let status = refusal(list(developer()));
    assert_eq!(status.code, 403);
    assert!(status.message.contains("dora@acme.example"), "{}", status.message);

    cluster.apply_in(
        &namespace,
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: shop-developers}]
",
    );
    // The server hears of it a moment later.
    wait::until("the group has the right", || list(developer()).ok());
    refusal(list(cluster.client_as("dora@acme.example", &["mobile-developers"])));
    refusal(list(cluster.client_as("dora@acme.example", &[])));
}

#[test]
fn kubeconfig_files_are_of_whom_they_say() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("files");
    cluster.apply_in(&namespace, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: operator}}");
    let who = |path: PathBuf| {
        block_on(async {
            let file = Kubeconfig::read_from(path).expect("a kubeconfig file");
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("is whole");
            let in_namespace = config.default_namespace.clone();
            let reviews: Api<SelfSubjectReview> = Api::all(Client::try_from(config).expect("is good"));
            let review =
                reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.expect("an answer");
            let user = review.status.and_then(|status| status.user_info).expect("a user");
            (user.username.expect("a name"), user.groups.unwrap_or_default(), in_namespace)
        })
    };
    let account = format!("system:serviceaccount:{namespace}:operator");
    let (user, _, in_namespace) = who(cluster.kubeconfig_for_service_account(&namespace, "operator"));
    assert_eq!((&user, &in_namespace), (&account, &namespace));
    let (user, groups, _) = who(cluster.kubeconfig_admin());
    assert_eq!(user, "admin");
    assert!(groups.contains(&"system:masters".to_owned()), "{groups:?}");
    let (user, groups, _) = who(cluster.kubeconfig_as("olga@acme.example", &["owners"]));
    assert_eq!((user.as_str(), groups), ("olga@acme.example", vec!["owners".into(), "system:authenticated".into()]));

    let maps: Api<ConfigMap> = Api::namespaced(cluster.client_for_service_account(&namespace, "operator"), &namespace);
    let status = refusal(block_on(maps.list(&ListParams::default())));
    assert!(status.message.contains(&account), "{}", status.message);
}

#[test]
fn what_belongs_to_a_deleted_object_goes_with_it() {
    let cluster = with_definitions();
    let namespace = cluster.namespace("owned");
    let owner = "{apiVersion: portico.dev/v1alpha1, kind: Application, metadata: {name: owner}, \
        spec: {title: Owner, team: {name: t}}}";
    let applied = cluster.apply_in(&namespace, owner);
    let uid = applied[0].uid().expect("what was applied has an id");
    let secret = |name: &str, uid: &str| {
        format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, ownerReferences: [{{apiVersion: \
             portico.dev/v1alpha1, kind: Application, name: owner, uid: {uid}}}]}}}}"
        )
    };
    cluster.apply_in(&namespace, &secret("owned", &uid));
    cluster.apply_in(&namespace, "{apiVersion: v1, kind: Secret, metadata: {name: free}}");
    let secrets: Api<Secret> = Api::namespaced(cluster.admin(), &namespace);
    // As long as its owner is there, it stays.
    thread::sleep(Duration::from_millis(500));
    assert!(block_on(secrets.get_opt("owned")).expect("an answer").is_some());
    cluster.delete_in(&namespace, owner);
    wait::until("what is owned is gone", || {
        block_on(secrets.get_opt("owned")).expect("an answer").is_none().then_some(())
    });
    assert!(block_on(secrets.get_opt("free")).expect("an answer").is_some());
}

#[test]
fn a_deleted_namespace_takes_all_with_it() {
    let cluster = with_definitions();
    let namespace = cluster.namespace("gone");
    let application = "{apiVersion: portico.dev/v1alpha1, kind: Application, metadata: {name: one}, \
        spec: {title: One, team: {name: t}}}";
    cluster.apply_in(&namespace, &format!("{application}\n---\n{}", config_map("one")));
    let admin = cluster.admin();
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    block_on(namespaces.delete(&namespace, &DeleteParams::default())).expect("it can be deleted");
    wait::until("the namespace is gone", || {
        block_on(namespaces.get_opt(&namespace)).expect("an answer").is_none().then_some(())
    });
    let applications: Api<Application> = Api::namespaced(admin, &namespace);
    assert!(block_on(applications.get_opt("one")).expect("an answer").is_none());
}

#[test]
fn what_was_applied_can_be_deleted_again_and_again() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("delete");
    let name = unique("things");
    let text = format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {name}.example.dev}}
spec:
  group: example.dev
  scope: Namespaced
  names: {{plural: {name}, kind: {name}}}
  versions:
    - {{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object}}}}}}
---
{{apiVersion: example.dev/v1, kind: {name}, metadata: {{name: one}}}}
"
    );
    // The object is applied right after its kind.
    for _ in 0..2 {
        assert_eq!(cluster.apply_in(&namespace, &text).len(), 2);
        cluster.delete_in(&namespace, &text);
        let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin());
        let id = format!("{name}.example.dev");
        wait::until("the definition is gone", || {
            block_on(definitions.get_opt(&id)).expect("an answer").is_none().then_some(())
        });
    }
    cluster.delete_in(&namespace, &text);
}

#[test]
fn a_stopped_server_comes_back_with_its_data() {
    let cluster = Cluster::start();
    cluster.install_crds();
    cluster.apply(&config_map("kept"));
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.admin());
    let address = cluster.address();

    cluster.stop_api_server();
    assert_eq!(cluster.api_server_memory(), None);
    let error = block_on(maps.get("kept")).expect_err("nobody is there");
    assert!(!matches!(error, Error::Api(_)), "{error}");
    cluster.start_api_server();
    assert_eq!(cluster.address(), address);
    // Through the client of before.
    let map = block_on(maps.get("kept")).expect("it answers");
    assert_eq!(map.data.expect("data")["key"], "value");
    let applications: Api<Application> = Api::default_namespaced(cluster.admin());
    assert_eq!(block_on(applications.list(&ListParams::default())).expect("the kinds are known").items.len(), 0);

    cluster.restart_api_server();
    block_on(maps.get("kept")).expect("it answers again");

    // The controllers have found it again, too.
    let namespace = cluster.namespace("after");
    let namespaces: Api<Namespace> = Api::all(cluster.admin());
    block_on(namespaces.delete(&namespace, &DeleteParams::default())).expect("it can be deleted");
    wait::until("the namespace is gone", || {
        block_on(namespaces.get_opt(&namespace)).expect("an answer").is_none().then_some(())
    });

    cluster.pause_api_server();
    let patience = Duration::from_millis(500);
    block_on(async { tokio::time::timeout(patience, maps.get("kept")).await }).expect_err("it stands still");
    cluster.resume_api_server();
    block_on(maps.get("kept")).expect("it goes on");
}

#[test]
fn clusters_do_not_know_each_other() {
    let clusters = thread::scope(|scope| {
        let starting: Vec<_> = (0..2).map(|_| scope.spawn(Cluster::start)).collect();
        starting.into_iter().map(|cluster| cluster.join().expect("it starts")).collect::<Vec<_>>()
    });
    clusters[0].apply(&config_map("mine"));
    let there = |cluster: &Cluster| {
        let maps: Api<ConfigMap> = Api::default_namespaced(cluster.admin());
        block_on(maps.get_opt("mine")).expect("an answer").is_some()
    };
    assert!(there(&clusters[0]));
    assert!(!there(&clusters[1]));
}

/// Not a test: what the next one starts, and kills.
#[test]
#[ignore = "only as the process that another test starts"]
fn helper_that_lives_until_it_is_killed() {
    if env::var_os("PORTICO_CLUSTER_HELPER").is_some() {
        println!("folder {}", Cluster::shared().folder().display());
        thread::sleep(Duration::from_mins(10));
    }
}

#[test]
fn nothing_stays_when_the_process_is_killed() {
    let mut process = Command::new(env::current_exe().expect("this program has a path"))
        .args(["--ignored", "--exact", "helper_that_lives_until_it_is_killed", "--nocapture"])
        .env("PORTICO_CLUSTER_HELPER", "yes")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
    let folder = lines.map_while(Result::ok).find_map(|line| Some(PathBuf::from(line.strip_prefix("folder ")?)));
    let folder = folder.expect("it says where its cluster is");
    let programs = processes::that_mention(&folder);
    // etcd, the API server, the controllers, and what takes the folder away.
    assert_eq!(programs.len(), 4, "{programs:?}");
    process.kill().expect("it can be killed");
    process.wait().expect("it ends");
    let left = wait::within(wait::PATIENCE, || {
        let alive = programs.iter().any(|id| processes::is_alive(*id));
        (!alive && !folder.exists()).then_some(())
    });
    assert!(left.is_some(), "still there: {:?}, {}", processes::that_mention(&folder), folder.display());
}

#[test]
fn clients_work_within_other_runtimes_too() {
    let cluster = Cluster::shared();
    for flavor in ["one thread", "many"] {
        let runtime = match flavor {
            "many" => tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build(),
            _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        };
        runtime.expect("a runtime").block_on(async {
            let namespace = cluster.namespace("runtime");
            let maps: Api<ConfigMap> = Api::namespaced(cluster.admin(), &namespace);
            cluster.apply_in(&namespace, &config_map("one"));
            maps.get("one").await.expect("it is there");
        });
    }
}

#[test]
fn kstatus_is_the_library_itself() {
    let object = |observed: i64, conditions: Value| {
        json!({
            "apiVersion": "portico.dev/v1alpha1
        ",
            "kind": "Subscription",
            "metadata": {"name": "one", "namespace": "shop", "generation": 2},
            "status": {"observedGeneration": observed, "conditions": conditions},
        })
    };
    let condition =
        |name: &str, status: &str| json!({"type": name, "status": status, "message": format!("{name} it is")});
    let being_deleted = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "one", "deletionTimestamp": "2026-01-01T00:00:00Z"},
    });
    let answers = kstatus(&[
        object(2, json!([condition("Ready", "True")])),
        object(2, json!([condition("Ready", "False"), condition("Reconciling", "True")])),
        object(2, json!([condition("Stalled", "True")])),
        object(1, json!([condition("Ready", "True")])),
        being_deleted,
    ]);
    let statuses: Vec<_> = answers.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["Current", "InProgress", "Failed", "InProgress", "Terminating"], "{answers:?}");
    assert_eq!(answers[1].1, "Reconciling it is");
    assert_eq!(kstatus(&[]), []);
}
