//! Who counts as the one who approved, at a real Envoy: the author of the commit that says so.

use portico_tests::files;
use portico_tests::portico::Portico;
use portico_tests::scenario::{SHOP, Scenario};

const APPROVAL: &str = "products/echo/approvals/web.yaml";
const PORTAL: &str = "platform/portal.yaml";
const OLGA: &str = "olga@example.com";

fn approval(by: &str) -> String {
    format!(
        "apiVersion: portico.dev/v1alpha1\nkind: Approval\nmetadata: {{ name: web, namespace: apis }}\nspec:\n  \
         subscription: {{ name: web-basic, namespace: shop }}\n  decision: Granted\n  \
         grant: {{ plan: {{ name: echo-small }} }}\n{by}"
    )
}

/// A repository in which Sara has asked for a plan that Olga and Ann may approve.
fn asked() -> Scenario {
    let scenario = Scenario::new();
    let repo = &scenario.repo;
    let plan = files::small_plan().trim_end();
    let approvers = "approvers: [{ kind: User, name: olga@example.com }, { kind: User, name: sara@example.com }]";
    repo.write(files::SMALL_PLAN, format!("{plan}\n  approval: {{ mode: Manual, {approvers} }}\n"));
    repo.write(files::SUBSCRIPTION, files::subscription("web-basic", "echo-small"));
    repo.write(files::CREDENTIAL, files::credential("web-basic", "web-basic"));
    repo.commit_as("sara@example.com", "please");
    scenario
}

/// Commits, and waits until that is in effect or known to have none.
fn commit(scenario: &Scenario, portico: &Portico, who: &str) {
    portico.wait_commit(&scenario.repo.commit_as(who, &format!("as {who}")));
}

#[test]
fn the_author_of_the_commit_counts_and_not_what_the_file_says() {
    let scenario = asked();
    let portico = scenario.up();
    assert_eq!(scenario.launch.reveal(SHOP), None);

    // The request's own author, in her own name and in another's.
    scenario.repo.write(APPROVAL, approval(""));
    commit(&scenario, &portico, "sara@example.com");
    portico.wait_line(&["sara@example.com", "nobody approves their own request"]);
    assert_eq!(scenario.launch.reveal(SHOP), None);
    scenario.repo.write(APPROVAL, approval("  by: olga@example.com\n"));
    commit(&scenario, &portico, "Sara@example.com");
    portico.wait_line(&["this says that `olga@example.com` decided", "`Sara@example.com`"]);
    assert_eq!(scenario.launch.reveal(SHOP), None);

    // That Olga writes a comment above it does not make it hers.
    scenario.repo.write(APPROVAL, format!("# Looks well.\n{}", approval("  by: olga@example.com\n")));
    commit(&scenario, &portico, OLGA);
    assert_eq!(scenario.launch.reveal(SHOP), None);

    scenario.repo.write(APPROVAL, approval(""));
    commit(&scenario, &portico, OLGA);
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);

    // A start from nothing knows the same.
    assert!(portico.stop().success());
    let portico = scenario.up();
    assert_eq!(scenario.key(SHOP), key);
    scenario.wait_status(&key, 200);

    // Whoever changes it has decided anew.
    scenario.repo.replace(APPROVAL, "echo-small }", "echo-small }, stage: Production, termsVersion: '1'");
    commit(&scenario, &portico, "mallory@example.com");
    portico.wait_line(&["mallory@example.com", "not among those who may approve"]);
    scenario.wait_status(&key, 401);
}

#[test]
fn where_signatures_are_demanded_an_unsigned_approval_has_no_effect() {
    let scenario = asked();
    let repo = &scenario.repo;
    let keys = tempfile::tempdir().expect("a folder");
    let key = keys.path().join("olga");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "olga@laptop", "-f"])
        .arg(&key)
        .output()
        .expect("ssh-keygen, of OpenSSH, starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let public = std::fs::read_to_string(key.with_extension("pub")).expect("a public key");
    repo.write(
        PORTAL,
        format!(
            "apiVersion: portico.dev/v1alpha1\nkind: Portal\nmetadata: {{ name: main, namespace: platform }}\nspec:\n  \
             title: APIs\n  git:\n    repository: /srv/apis.git\n    signedCommits: true\n    signers:\n      \
             - {{ mail: {OLGA}, key: '{}' }}\n",
            public.trim()
        ),
    );
    repo.write(APPROVAL, approval(""));
    let portico = scenario.up();
    commit(&scenario, &portico, OLGA);
    portico.wait_line(&["by `olga@example.com` is not signed, and the portal wants signed commits"]);
    assert_eq!(scenario.launch.reveal(SHOP), None);

    repo.remove(APPROVAL);
    commit(&scenario, &portico, OLGA);
    repo.write(APPROVAL, approval(""));
    repo.git(&["add", "--all"]);
    let signing = format!("user.signingkey={}", key.display());
    let author = format!("--author=Olga <{OLGA}>");
    repo.git(&["-c", "gpg.format=ssh", "-c", &signing, "commit", "--quiet", "-S", "-m", "yes", &author]);
    portico.wait_commit(&repo.head());
    let granted = scenario.key(SHOP);
    scenario.wait_status(&granted, 200);

    // Her key is lost: what was signed with it no longer counts.
    repo.replace(PORTAL, OLGA, "omar@example.com");
    commit(&scenario, &portico, "ann@example.com");
    portico.wait_line(&["signed with a key that is not known as that of `olga@example.com`"]);
    scenario.wait_status(&granted, 401);
}
