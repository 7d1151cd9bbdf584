//! Who counts as the one who approved, with an operator, a gateway and the policies of the chart.

use kube::Client;
use portico_tests::files;
use portico_tests::operator::Tenancy;
use portico_tests::repo::Repo;
use portico_tests::wait;

use crate::site::{SYNC, client, site};

/// Sara has asked for a plan; these may approve.
fn asked(approvers: &str) -> Tenancy {
    let tenancy = Tenancy::on(site());
    for (name, namespace, role, group) in
        [("owners", "apis", "portico-api-owner", "echo-owners"), ("others", "apis", "portico-api-owner", "echo-others")]
    {
        tenancy.apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{ name: {name}, namespace: {namespace} }}\n\
             roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role} }}\nsubjects:\n  \
             - {{ apiGroup: rbac.authorization.k8s.io, kind: Group, name: {group} }}\n"
        ));
    }
    let plan = files::small_plan().trim_end();
    tenancy.apply(&format!("{plan}\n  approval: {{ mode: Manual, approvers: [{approvers}] }}\n"));
    tenancy.apply(&tenancy.grant("echo-small"));
    tenancy
}

fn approval(name: &str, more: &str) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Approval\nmetadata: {{ name: {name}, namespace: apis }}\nspec:\n  \
         subscription: {{ name: web-basic, namespace: shop }}\n  decision: Granted\n  \
         grant: {{ plan: {{ name: echo-small }} }}\n{more}"
    )
}

/// Applies as somebody; new rights are heard of a moment later.
fn apply(tenancy: &Tenancy, client: &Client, text: &str) {
    let mut last = String::new();
    let done = wait::within(wait::PATIENCE, || {
        let tried = tenancy.cluster().try_apply(client, &tenancy.namespace("apis"), &tenancy.here(text));
        tried.map_err(|error| last = error.to_string()).ok()
    });
    assert!(done.is_some(), "{last}");
}

fn sync() -> Client {
    client(SYNC, &["system:serviceaccounts", "echo-owners"])
}

#[test]
fn a_group_may_approve_as_the_api_server_knows_it() {
    let tenancy = asked("{ kind: Group, name: echo-owners }");
    let setup = tenancy.operator("one");
    let _operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    apply(&tenancy, &client("omar@acme.example", &["echo-others"]), &approval("web", ""));
    let why = tenancy.wait_condition("Approval", "apis", "web", "Ready", ("False", "Invalid"));
    assert!(why.contains("`omar@acme.example` is not among those who may approve"), "{why}");
    assert!(tenancy.secret("shop", "web-basic").is_none());
    // Olga is in the group, and grants less than he did.
    let less = approval("web", "").replace("echo-small }", "echo-small }, termsVersion: '1'");
    apply(&tenancy, &client("olga@acme.example", &["echo-owners"]), &less);
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    tenancy.wait_condition("Approval", "apis", "web", "Ready", ("True", "Ready"));
    let status = &tenancy.object("Approval", "apis", "web").expect("it is there").data["status"];
    assert_eq!(status["decided"]["by"], "olga@acme.example", "{status}");
}

#[test]
fn when_git_is_who_writes_its_author_counts() {
    let tenancy = asked("{ kind: User, name: olga@acme.example }");
    let repo = Repo::new();
    let file = "apis/approvals/web.yaml";
    let write = |who: &str, text: &str| {
        repo.write(file, tenancy.here(text));
        repo.commit_as(who, "an answer")
    };
    // He says that it was her.
    let first = approval("web", "  by: olga@acme.example\n");
    write("mallory@acme.example", &first);
    let bare = repo.publish();
    tenancy.apply(&format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Portal\nmetadata: {{ name: main, namespace: platform }}\nspec:\n  \
         title: APIs\n  git: {{ repository: '{}', identities: GitAuthor }}\n",
        bare.display()
    ));
    let copies = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let setup = tenancy.operator("one").arguments(["--copies".as_ref(), copies[0].path().as_os_str()]);
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    apply(&tenancy, &sync(), &first);
    let why = tenancy.wait_condition("Approval", "apis", "web", "Ready", ("False", "Invalid"));
    assert!(why.contains("`olga@acme.example` decided, and the author of commit"), "{why}");
    assert!(why.contains("`mallory@acme.example`"), "{why}");
    assert!(tenancy.secret("shop", "web-basic").is_none());

    // What is in the cluster before it is in Git waits for the commit that says so.
    let second = approval("web", "").replace("echo-small }", "echo-small }, termsVersion: '1'");
    apply(&tenancy, &sync(), &second);
    let why = tenancy.wait_condition("Approval", "apis", "web", "Ready", ("False", "Pending"));
    assert!(why.contains("does not say what stands here"), "{why}");
    write("olga@acme.example", &second);
    repo.push();
    // Whoever syncs does so after the push; that makes the operator look.
    apply(&tenancy, &sync(), &second.replace("name: web,", "name: web, labels: { synced: again },"));
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    tenancy.wait_condition("Approval", "apis", "web", "Ready", ("True", "Ready"));
    let status = tenancy.object("Approval", "apis", "web").expect("it is there").data["status"].clone();
    assert_eq!(status["decided"]["by"], "olga@acme.example", "{status}");
    assert_eq!(status["decided"]["commit"], repo.head(), "{status}");

    // Nothing of it is lost when the repository cannot be reached, even by an operator that has no copy.
    assert!(operator.stop().success());
    let away = bare.with_extension("away");
    std::fs::rename(&bare, &away).expect("it is moved");
    let setup =
        tenancy.operator("one").arguments(["--copies".as_ref(), copies[1].path().as_os_str()]).xds_at(setup.xds());
    let operator = setup.ready();
    operator.wait_leads();
    let why = tenancy.wait_condition("Portal", "platform", "main", "Ready", ("False", "Invalid"));
    assert!(why.contains("it cannot be told who wrote new Approvals"), "{why}");
    tenancy.wait_condition("Approval", "apis", "web", "Ready", ("True", "Ready"));
    assert_eq!(tenancy.status(&key), 200);
    // A new one waits, and says for what.
    apply(&tenancy, &sync(), &approval("other", ""));
    let why = tenancy.wait_condition("Approval", "apis", "other", "Ready", ("False", "Pending"));
    assert!(why.contains("the repository of Portal"), "{why}");
    std::fs::rename(&away, &bare).expect("it is back");
    apply(&tenancy, &sync(), &approval("other", "").replace("name: other,", "name: other, labels: { synced: again },"));
    tenancy.wait_condition("Portal", "platform", "main", "Ready", ("True", "Ready"));

    // A Portal that goes takes nothing away, and gives nothing: what Git says against an Approval holds on.
    let lure = approval("lure", "  by: olga@acme.example\n");
    repo.write("apis/approvals/lure.yaml", tenancy.here(&lure));
    repo.commit_as("mallory@acme.example", "in her name");
    repo.push();
    apply(&tenancy, &sync(), &lure);
    tenancy.wait_condition("Approval", "apis", "lure", "Ready", ("False", "Invalid"));
    tenancy.delete("apiVersion: portico.dev/v1alpha1\nkind: Portal\nmetadata: { name: main, namespace: platform }\n");
    let why = tenancy.wait_condition("Approval", "apis", "lure", "Ready", ("False", "Pending"));
    assert!(why.contains("no Portal names that any more"), "{why}");
    tenancy.wait_condition("Approval", "apis", "web", "Ready", ("True", "Ready"));
    assert!(operator.stop().success());
    let operator = setup.ready();
    operator.wait_leads();
    apply(&tenancy, &sync(), &lure.replace("name: lure,", "name: lure, labels: { synced: again },"));
    tenancy.wait_status(&key, 200);
    tenancy.wait_condition("Approval", "apis", "lure", "Ready", ("False", "Pending"));
    tenancy.wait_condition("Approval", "apis", "web", "Ready", ("True", "Ready"));

    // What somebody applies by hand is theirs, whatever Git says.
    let third = approval("web", "").replace("echo-small }", "echo-small }, stage: Sandbox");
    apply(&tenancy, &client("omar@acme.example", &["echo-others"]), &third);
    let why = tenancy.wait_condition("Approval", "apis", "web", "Ready", ("False", "Invalid"));
    assert!(why.contains("`omar@acme.example` is not among those who may approve"), "{why}");
    tenancy.wait_status(&key, 401);
}
