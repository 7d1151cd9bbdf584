//! What comes of edits.

use portico_core::key::Kind;
use portico_git::write::{Edit, Person, Proposal};

use crate::stage::{
    Hand, TEAM, Writing, application, files, git, here, key, object, person, put, request, set, show, subscription,
};

#[test]
fn one_field_changes_and_every_other_byte_stays() {
    let hand = Hand::new();
    let bare = hand.bare();
    let writer = Writing::new(here(&bare), |_: &Proposal<'_>| Vec::new());
    writer.land(vec![set(Kind::Team, "shop", "spec.title", "The Shop")]);
    assert_eq!(show(&bare, "teams/shop/team.yaml"), TEAM.replace("title: Shop ", "title: The Shop "));

    // A whole object is put: what says the same stays as it is written.
    let wanted = TEAM.replace("title: Shop ", "title: Shop 2 ").replace("sven@", "susi@").replace("# who sells", "");
    let wanted =
        wanted.replace("- mail: susi@acme.example\n", "- mail: susi@acme.example\n    - mail: zoe@acme.example\n");
    writer.land(vec![put(&wanted)]);
    let expected = wanted.replace("    \n    - mail: sara", "    # who sells\n    - mail: sara");
    let found = show(&bare, "teams/shop/team.yaml");
    assert_eq!(object(&found), object(&expected));
    assert!(found.contains("# who sells\n    - mail: sara@acme.example\n      access: {teams: Full}\n"), "{found}");
    assert!(found.starts_with("# The shop.\n") && found.contains("# all on one line"), "{found}");

    writer.land(vec![Edit::Unset { key: key(Kind::Team, "shop"), path: "spec.members[1]".parse().expect("a path") }]);
    assert!(!show(&bare, "teams/shop/team.yaml").contains("susi"));
    writer.land(vec![set(Kind::Team, "shop", "metadata.annotations.note", "x")]);
    assert!(show(&bare, "teams/shop/team.yaml").contains("annotations: {note: x}"));
}

#[test]
fn what_says_the_same_already_is_no_commit() {
    let hand = Hand::new();
    let before = hand.head();
    let landed = hand.writer().submit(&request(vec![put(TEAM), put(&application("web"))])).expect("fine");
    assert_eq!(landed.commit, before);
    assert_eq!(hand.head(), before);
}

#[test]
fn new_objects_stand_beside_what_they_belong_to() {
    let product = "apiVersion: portico.dev/v1alpha1\nkind: ApiProduct\nmetadata: {name: echo, namespace: echo}\n\
                   spec: {title: Echo, versions: [{name: v1}]}\n";
    let plan = "apiVersion: portico.dev/v1alpha1\nkind: Plan\nmetadata: {name: basic, namespace: echo}\n\
                spec: {title: Basic, products: [{name: echo}]}\n";
    let hand = Hand::with(&[("p/echo.yaml", &format!("{product}---\n{plan}")), ("teams/shop/team.yaml", TEAM)]);
    let credential = "apiVersion: portico.dev/v1alpha1\nkind: Credential\nmetadata: {name: c, namespace: shop}\n\
                      spec: {subscription: {name: web-basic}, environment: {name: local, namespace: platform}}\n";
    let approval = "apiVersion: portico.dev/v1alpha1\nkind: Approval\nmetadata: {name: a, namespace: echo}\n\
                    spec: {subscription: {name: web-basic, namespace: shop}, decision: Granted, grant: {plan: {name: basic}}}\n";
    let second = plan.replace("name: basic", "name: gold").replace("Basic", "Gold");
    let writer = hand.writer();
    writer.land(vec![
        put(&application("web")),
        put(&subscription("web-basic", "web", "basic")),
        put(credential),
        put(approval),
        put(&second),
        put(&product.replace("name: echo,", "name: tea,")),
    ]);
    assert_eq!(
        files(&hand.path),
        [
            "p/approvals/shop/a.yaml",
            "p/echo.yaml",
            "p/plans/gold.yaml",
            "products/tea/product.yaml",
            "teams/shop/team.yaml",
            "teams/shop/web/application.yaml",
            "teams/shop/web/credentials/c.yaml",
            "teams/shop/web/subscriptions/web-basic.yaml",
        ]
    );
    let text = show(&hand.path, "teams/shop/web/subscriptions/web-basic.yaml");
    assert_eq!(
        text,
        "apiVersion: portico.dev/v1alpha1\nkind: Subscription\nmetadata:\n  name: web-basic\n  namespace: shop\nspec:\n  \
         application:\n    name: web\n  plan:\n    name: basic\n    namespace: echo\n"
    );
    // Where a file of that name says something else, another name is taken.
    hand.write("teams/shop/shop2/application.yaml", "a: 1\n");
    hand.commit("something else");
    writer.land(vec![put(&application("shop2"))]);
    assert!(files(&hand.path).contains(&"teams/shop/shop2/application-2.yaml".to_owned()));
}

#[test]
fn documents_go_and_their_neighbours_stay() {
    let all =
        format!("# of all\n{}---\n# of b\n{}---\nkind: ConfigMap # not ours\n", application("a"), application("b"));
    let hand = Hand::with(&[("all.yaml", &all), ("c.yaml", &application("c"))]);
    let writer = hand.writer();
    writer.land(vec![Edit::Delete(key(Kind::Application, "a")), Edit::Delete(key(Kind::Application, "c"))]);
    assert_eq!(files(&hand.path), ["all.yaml"]);
    let rest = format!("---\n# of b\n{}---\nkind: ConfigMap # not ours\n", application("b"));
    assert_eq!(show(&hand.path, "all.yaml"), rest);
    writer.land(vec![set(Kind::Application, "b", "spec.title", "Bee")]);
    assert_eq!(show(&hand.path, "all.yaml"), rest.replace("title: b-app", "title: Bee"));
    // What is gone already is as it should be, and what comes back is new.
    let head = hand.head();
    assert_eq!(writer.submit(&request(vec![Edit::Delete(key(Kind::Application, "a"))])).expect("fine").commit, head);
    writer.land(vec![put(&application("a")), Edit::Delete(key(Kind::Application, "b"))]);
    assert_eq!(files(&hand.path), ["all.yaml", "teams/shop/a/application.yaml"]);
    assert_eq!(show(&hand.path, "all.yaml"), "---\nkind: ConfigMap # not ours\n");
}

#[test]
fn line_ends_marks_and_json_stay() {
    let windows = format!("\u{feff}{}", application("w").replace('\n', "\r\n"));
    let json = "{\"apiVersion\": \"portico.dev/v1alpha1\", \"kind\": \"Application\",\n \"metadata\": {\"name\": \"j\", \
                \"namespace\": \"shop\"},\n \"spec\": {\"title\": \"jay\"}}\n";
    let hand = Hand::with(&[("w.yaml", &windows), ("j.json", json)]);
    let writer = hand.writer();
    writer.land(vec![
        set(Kind::Application, "w", "spec.description", "two\nlines"),
        set(Kind::Application, "j", "spec.description", "x"),
    ]);
    let expected = format!("{windows}  description: |-\r\n    two\r\n    lines\r\n");
    assert_eq!(hand.read("w.yaml"), expected);
    assert_eq!(hand.read("j.json"), json.replace("\"title\": \"jay\"", "\"title\": \"jay\", \"description\": \"x\""));
}

#[test]
fn a_commit_says_who_wanted_it_and_who_wrote_it() {
    let hand = Hand::new();
    let writer = hand.writer();
    let mut asked = request(vec![set(Kind::Team, "shop", "spec.title", "X")]);
    asked.author = Person { name: "Зоя 李 <x>".to_owned(), mail: "zoe@acme.example".to_owned() };
    asked.summary = "Rename\n\nApproved-by: Olga <olga@acme.example>".to_owned();
    let commit = writer.submit(&asked).expect("lands").commit;
    assert_eq!(hand.head(), commit);
    let said = git(&hand.path, &["log", "-1", "--format=%an|%ae|%cn|%ce|%B%(trailers:key=Approved-by)"]);
    let (id, once) = (asked.id.as_str(), asked.once.as_str());
    let expected = format!(
        "Зоя 李 x|zoe@acme.example|Portico|portico@acme.example|Rename Approved-by: Olga <olga@acme.example>\n\n\
         Portico-Request: {id}\nPortico-Idempotency-Key: {once}\nPortico-Edits: "
    );
    assert!(said.starts_with(&expected), "{said}");
    assert!(!said[expected.len()..].contains("Approved-by"), "{said}");
    git(&hand.path, &["fsck", "--strict"]);
}

#[test]
fn the_preview_has_the_last_word() {
    let hand = Hand::new();
    let head = hand.head();
    let (tell, told) = std::sync::mpsc::channel();
    let writer = Writing::new(here(&hand.path), move |proposal: &Proposal<'_>| {
        let files: Vec<String> = proposal.files.iter().map(|file| file.path.to_string()).collect();
        tell.send((proposal.base, format!("{:?}", proposal.changes), files)).expect("somebody listens");
        let key = key(Kind::Team, "shop");
        let remark = portico_core::diagnostic::Diagnostic::warning("odd", &key, "", "odd");
        if proposal.author == &person("Eve") {
            vec![remark, portico_core::diagnostic::Diagnostic::error("no", &key, "spec", "no")]
        } else {
            vec![remark]
        }
    });
    let mut asked = request(vec![put(&subscription("s", "web", "basic"))]);
    asked.author = person("Eve");
    let refused = writer.submit(&asked).expect_err("refused");
    assert_eq!(refused.to_string(), "odd\nno");
    assert_eq!(hand.head(), head);
    let (base, changes, files) = told.recv().expect("it was asked");
    assert_eq!((base, files), (head, vec!["teams/shop/web/subscriptions/s.yaml".to_owned()]));
    assert!(changes.contains("eve@acme.example"), "{changes}");
    asked.author = person("Ann");
    let landed = writer.submit(&asked).expect("lands");
    assert_eq!(landed.remarks.len(), 1);
    assert_eq!(hand.head(), landed.commit);
}
