//! What the operator and people may do, as the API server decides it.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use portico_tests::cluster::{Cluster, block_on};
use portico_tests::helm::{chart, helm};
use portico_tests::wait;

use crate::site::site;

/// Who asks: a user and groups.
struct Who<'a>(&'a str, &'a [&'a str]);

const OPERATOR: Who<'static> = Who(
    "system:serviceaccount:portico-system:portico",
    &["system:serviceaccounts", "system:serviceaccounts:portico-system", "system:authenticated"],
);

/// Whether somebody may `verb resource.group/name namespace`; group, subresource and name may be left out.
fn may(cluster: &Cluster, who: &Who, question: &str) -> bool {
    let words: Vec<_> = question.split(' ').collect();
    let [verb, what, namespace] = words[..] else { panic!("{question}: a verb, a resource and a namespace") };
    let (what, name) = what.split_once(':').map_or((what, None), |(what, name)| (what, Some(name)));
    let (resource, group) = what.split_once('.').unwrap_or((what, ""));
    let (group, subresource) = group.split_once('/').map_or((group, None), |(group, sub)| (group, Some(sub)));
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(who.0.to_owned()),
            groups: Some(who.1.iter().map(|group| (*group).to_owned()).collect()),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: subresource.map(str::to_owned),
                namespace: (namespace != "*").then(|| namespace.to_owned()),
                name: name.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.admin());
    let answer = block_on(reviews.create(&PostParams::default(), &review)).expect("an answer");
    answer.status.is_some_and(|SubjectAccessReviewStatus { allowed, .. }| allowed)
}

fn check(cluster: &Cluster, who: &Who, allowed: &[&str], denied: &[&str]) {
    // The server hears of new roles a moment later.
    for question in allowed {
        let answer = wait::within(wait::PATIENCE, || may(cluster, who, question).then_some(()));
        assert!(answer.is_some(), "{} may not {question}", who.0);
    }
    for question in denied {
        assert!(!may(cluster, who, question), "{} may {question}", who.0);
    }
}

#[test]
fn the_operator_may_do_its_work_and_no_more() {
    let kinds: Vec<_> = portico_crds::all().into_iter().map(|definition| definition.spec.names.plural).collect();
    let mut allowed = Vec::new();
    let mut denied = Vec::new();
    for kind in &kinds {
        allowed.extend(["get", "list", "watch"].map(|verb| format!("{verb} {kind}.portico.dev *")));
        allowed.extend(["patch", "update"].map(|verb| format!("{verb} {kind}.portico.dev/status shop")));
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            let deletes = verb == "delete" && kind == "subscriptions";
            let guards = verb == "patch" && ["apiproducts", "plans"].contains(&kind.as_str());
            let list = if deletes || guards { &mut allowed } else { &mut denied };
            list.push(format!("{verb} {kind}.portico.dev shop"));
        }
    }
    for verb in ["get", "list", "watch", "create", "update", "delete"] {
        allowed.push(format!("{verb} secrets shop"));
        denied
            .extend(["kube-system", "platform", "portico-system", "*"].map(|place| format!("{verb} secrets {place}")));
    }
    for verb in ["get", "list", "watch"] {
        allowed.push(format!("{verb} secrets orders"));
        allowed.push(format!("{verb} configmaps *"));
        denied.extend(["pods", "serviceaccounts", "nodes"].map(|kind| format!("{verb} {kind} portico-system")));
    }
    for verb in ["create", "update", "patch", "delete", "deletecollection"] {
        denied.push(format!("{verb} secrets orders"));
        denied.push(format!("{verb} configmaps shop"));
        denied.push(format!("{verb} customresourcedefinitions.apiextensions.k8s.io *"));
        denied.push(format!("{verb} rolebindings.rbac.authorization.k8s.io shop"));
    }
    for verb in ["get", "update", "patch"] {
        allowed.push(format!("{verb} leases.coordination.k8s.io:portico portico-system"));
        denied.push(format!("{verb} leases.coordination.k8s.io:other portico-system"));
        denied.push(format!("{verb} leases.coordination.k8s.io:portico kube-system"));
    }
    allowed.push("create leases.coordination.k8s.io portico-system".into());
    allowed.push("create events.events.k8s.io shop".into());
    allowed.push("patch events.events.k8s.io shop".into());
    denied.push("create leases.coordination.k8s.io kube-system".into());
    denied.push("impersonate users *".into());
    denied.push("create serviceaccounts/token portico-system".into());
    let (allowed, denied): (Vec<_>, Vec<_>) =
        (allowed.iter().map(String::as_str).collect(), denied.iter().map(String::as_str).collect());
    check(site(), &OPERATOR, &allowed, &denied);
}

#[test]
fn gateways_may_do_nothing() {
    let gateway = Who("system:serviceaccount:portico-system:portico-gateway", OPERATOR.1);
    check(
        site(),
        &gateway,
        &[],
        &["get secrets portico-system", "list environments.portico.dev *", "get pods portico-system"],
    );
}

#[test]
fn people_may_do_what_is_theirs() {
    let read = ["get", "list", "watch"];
    let write = ["create", "update", "patch", "delete"];
    let all: Vec<_> = portico_crds::all().into_iter().map(|definition| definition.spec.names.plural).collect();
    let rest = |mine: &[&str]| all.iter().filter(|kind| !mine.contains(&kind.as_str())).cloned().collect::<Vec<_>>();
    for (group, namespace, mine) in [
        ("auditors", "shop", &[][..]),
        ("shop-developers", "shop", &["applications", "subscriptions", "credentials"]),
        ("orders-owners", "orders", &["apiproducts", "plans", "approvals"]),
        ("platform-engineers", "platform", &["portals", "environments", "teams", "developers"]),
    ] {
        let groups = [group, "system:authenticated"];
        let who = Who("somebody", &groups);
        let mut allowed = Vec::new();
        let mut denied = Vec::new();
        for kind in &all {
            allowed.extend(read.map(|verb| format!("{verb} {kind}.portico.dev {namespace}")));
            denied.extend(read.map(|verb| format!("{verb} {kind}.portico.dev kube-system")));
            denied.push(format!("patch {kind}.portico.dev/status {namespace}"));
        }
        for kind in mine {
            allowed.extend(write.map(|verb| format!("{verb} {kind}.portico.dev {namespace}")));
            denied.extend(write.map(|verb| format!("{verb} {kind}.portico.dev default")));
        }
        for kind in rest(mine) {
            denied.extend(write.map(|verb| format!("{verb} {kind}.portico.dev {namespace}")));
        }
        denied.extend(["get", "list", "create"].map(|verb| format!("{verb} secrets {namespace}")));
        let (allowed, denied): (Vec<_>, Vec<_>) =
            (allowed.iter().map(String::as_str).collect(), denied.iter().map(String::as_str).collect());
        check(site(), &who, &allowed, &denied);
    }
}

#[test]
fn roles_that_everybody_knows_include_them() {
    let cluster = site();
    let namespace = cluster.namespace("known");
    for role in ["view", "edit", "admin"] {
        cluster.apply_in(
            &namespace,
            &format!(
                "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {role}}}, roleRef: \
                 {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}, subjects: [{{apiGroup: \
                 rbac.authorization.k8s.io, kind: User, name: {role}er}}]}}"
            ),
        );
    }
    let ask = |verb: &str, kind: &str| format!("{verb} {kind}.portico.dev {namespace}");
    let read = ask("list", "approvals");
    let request = ask("create", "subscriptions");
    let answer = ask("create", "approvals");
    let gateway = ask("create", "environments");
    check(cluster, &Who("viewer", &[]), &[&read], &[&request, &answer, &gateway]);
    check(cluster, &Who("editer", &[]), &[&read, &request], &[&answer, &gateway]);
    check(cluster, &Who("adminer", &[]), &[&read, &request, &answer, &gateway], &[]);
}

#[test]
fn an_operator_of_some_namespaces_has_rights_there_only() {
    let cluster = site();
    let (one, two, other) = (cluster.namespace("some"), cluster.namespace("some"), cluster.namespace("some"));
    let home = cluster.namespace("home");
    let values = format!(
        "{{namespaces: [{one}, {two}], rbac: {{secrets: {{namespaces: [{one}]}}, people: {{create: false}}}}, \
         crds: {{install: false}}, admission: {{enabled: false}}, portal: {{enabled: true}}}}"
    );
    let config = cluster.kubeconfig_admin();
    let (chart, config) = (chart(), config.to_string_lossy());
    let arguments = ["small", &*chart.to_string_lossy(), "--namespace", &home, "--kubeconfig", &config];
    helm(&[&["install"], &arguments[..]].concat(), &values).unwrap_or_else(|complaint| panic!("{complaint}"));
    let account = format!("system:serviceaccount:{home}:small-portico");
    let who = Who(&account, &[]);
    let ask = |question: &str| [&one, &two, &other, &home].map(|place| format!("{question} {place}"));
    let list = ask("list subscriptions.portico.dev");
    let status = ask("patch subscriptions.portico.dev/status");
    let secrets = ask("create secrets");
    check(
        cluster,
        &who,
        &[&list[0], &list[1], &status[0], &status[1], &secrets[0]],
        &[&list[2], &list[3], &status[2], &secrets[1], &secrets[2], &secrets[3], "list subscriptions.portico.dev *"],
    );
    // What the portal needs: one Secret that the chart makes, and a few ConfigMaps.
    let here = |questions: [&str; 5]| questions.map(|question| format!("{question} {home}"));
    let allowed = here([
        "get secrets:small-portico-portal",
        "update secrets:small-portico-portal",
        "create configmaps",
        "get configmaps:small-portico-shown-0",
        "update configmaps:small-portico-shown-15",
    ]);
    let denied = here([
        "get secrets",
        "get secrets:small-portico-xds",
        "delete secrets:small-portico-portal",
        "get configmaps",
        "update configmaps:other",
    ]);
    check(cluster, &who, &allowed.each_ref().map(String::as_str), &denied.each_ref().map(String::as_str));
    // An upgrade leaves there what Portico has put there.
    cluster.apply_in(
        &home,
        "{apiVersion: v1, kind: Secret, metadata: {name: small-portico-portal}, stringData: {sealing-key: a-key}}",
    );
    helm(&[&["upgrade"], &arguments[..]].concat(), &values).unwrap_or_else(|complaint| panic!("{complaint}"));
    let kept: Api<Secret> = Api::namespaced(cluster.admin(), &home);
    let kept = block_on(kept.get("small-portico-portal")).expect("it is there");
    assert_eq!(kept.data.expect("it holds something")["sealing-key"].0, b"a-key");
    helm(&["uninstall", "small", "--namespace", &home, "--kubeconfig", &config], "").expect("it goes");
    wait::until("its rights are gone", || (!may(cluster, &who, &secrets[0])).then_some(()));
}
