//! What is clicked in the operator's portal lands in Git, Argo CD brings it into the cluster, and Envoy enforces it.

use std::time::Instant;

use portico_tests::argocd::{Argo, Options};
use portico_tests::cluster::unique;
use portico_tests::operator::Tenancy;
use portico_tests::repo::{Repo, git};
use portico_tests::visitor::Visitor;

#[test]
fn a_click_becomes_a_call_and_another_one_ends_it() {
    let argo = Argo::shared();
    let tenancy = Tenancy::empty();
    let (setup, address) = tenancy.operator_with_portal("one");
    let repo = Repo::with(&[("all.yaml", &tenancy.here(&tenancy.everything()))]);
    let bare = repo.publish();
    repo.commit_file("portal.yaml", &tenancy.here(&tenancy.portal(&bare.display().to_string())));
    repo.push();
    let name = unique("clicking");
    argo.application(&name, &bare, "default", &Options::default());
    let operator = setup.ready();
    operator.wait_leads();
    let _gateway = tenancy.gateway(setup.xds());
    argo.wait(&name, "Synced", "Healthy");

    let mut sara = Visitor::new(address);
    sara.wait_for("/", "Echo");
    sara.sign_in("sara@acme.example");
    let (shop, plan) = (tenancy.namespace("shop"), format!("{}/echo-basic", tenancy.namespace("apis")));
    let begun = Instant::now();
    let (_, answer) = sara.subscribe(&plan, &format!("{shop}/web"));
    let landed = Visitor::leads_to(&answer).unwrap_or_else(|| panic!("{} {}", answer.status, answer.body));
    println!("four forms and a commit: {:?}", begun.elapsed());
    let commit = git(&bare, &["rev-parse", "main"]).trim().to_owned();
    assert!(landed.contains(&commit), "{landed}");
    assert!(sara.get(&landed).body.contains("Synced into the cluster"), "Argo CD has not looked yet");

    let begun = Instant::now();
    argo.refresh(&name);
    let page = sara.wait_for(&landed, "Show the key");
    println!("synced and enforced, after Argo CD was told: {:?}", begun.elapsed());
    assert_eq!(argo.wait(&name, "Synced", "Healthy").revision, commit);
    let shown = sara.post(&Visitor::form(&page, "/reveal")).body;
    let key = tenancy.key("shop", "web-echo");
    assert!(shown.contains(&key), "the page shows the key of the Secret");
    tenancy.wait_status(&key, 200);

    let page = sara.get(&format!("/credentials/{shop}/web-echo"));
    let revoked = sara.post(&Visitor::form(&page, "/revoke").with("confirm", "web-echo"));
    assert_eq!(revoked.status, 303, "{}", revoked.body);
    let begun = Instant::now();
    argo.refresh(&name);
    tenancy.wait_status(&key, 401);
    println!("revoked, after Argo CD was told: {:?}", begun.elapsed());
    argo.wait(&name, "Synced", "Healthy");
    assert!(tenancy.secret("shop", "web-echo").is_none(), "its Secret is gone");
    let log = git(&bare, &["log", "-2", "--format=%an <%ae> by %cn: %s", "main"]);
    assert!(log.lines().all(|line| line.starts_with("Sara <sara@acme.example> by Portico: ")), "{log}");
}
