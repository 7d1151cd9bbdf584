//! A clear answer to what cannot be, and nothing lost.

use portico_core::key::{Kind, ObjectKey};
use portico_git::write::Edit;

use crate::stage::{Hand, TEAM, application, files, git, key, object, put, set, show, subscription};

#[test]
fn names_that_cannot_be() {
    let hand = Hand::new();
    let before = hand.head();
    let writer = hand.writer();
    let long = "x".repeat(254);
    for name in [
        "../../etc/passwd",
        "..",
        ".git",
        "a/b",
        "Web",
        "wéb",
        "网站",
        "ויב",
        "a b",
        "a\nb",
        "a\0b",
        "",
        "-a",
        long.as_str(),
    ] {
        for edit in [
            Edit::Delete(ObjectKey::new(Kind::Team, "shop", name)),
            Edit::Put(Box::new({
                let mut object = object(&application("web"));
                object.name = portico_core::key::Name::new("shop", name);
                object
            })),
        ] {
            let found = writer.invalid(vec![edit]);
            assert_eq!((found.code, found.path.as_str()), ("invalid-name", "metadata.name"), "{name:?}");
        }
        let found = writer.invalid(vec![Edit::Delete(ObjectKey::new(Kind::Team, name, "shop"))]);
        // What is behind the first `/` belongs to the name.
        let path = if name.contains('/') { "metadata.name" } else { "metadata.namespace" };
        assert_eq!((found.code, found.path.as_str()), ("invalid-name", path), "{name:?}");
    }
    assert_eq!(hand.head(), before);
    // The longest name that can be, twice over; and one of which only the reference leads out.
    let longest = "x".repeat(253);
    writer.land(vec![
        put(&application(&longest).replace(&format!("title: {longest}"), "title: long")),
        put(&subscription(&longest, &longest, "basic")),
        put(&subscription("s", "'../../../../tmp/out'", "basic")),
    ]);
    let files = files(&hand.path);
    assert_eq!(files.len(), 5);
    assert!(files.iter().all(|file| file.starts_with("teams/shop/") && !file.contains("..")), "{files:?}");
    git(&hand.path, &["fsck", "--strict"]);
    let text = "Ünï 日本 \u{202e}lrt שלום";
    writer.land(vec![set(Kind::Team, "shop", "spec.title", text)]);
    let team = files.iter().find(|file| file.ends_with("team.yaml")).expect("there");
    let shop = object(&show(&hand.path, team));
    assert!(format!("{:?}", shop.spec).contains("lrt"), "{shop:?}");
}

#[test]
fn links_are_not_written_through() {
    let hand = Hand::with(&[("a/team.yaml", TEAM)]);
    std::fs::create_dir_all(hand.path.join("teams")).expect("a folder");
    std::os::unix::fs::symlink("/tmp", hand.path.join("teams/shop")).expect("a link");
    let before = hand.commit("a link");
    let found = hand.writer().invalid(vec![put(&application("web"))]);
    assert_eq!(found.code, "in-the-way");
    assert!(found.message.contains("`teams/shop` is a link"), "{}", found.message);
    assert_eq!(hand.head(), before);
}

#[test]
fn documents_that_cannot_be_changed() {
    let anchors = application("shared").replace("title: shared-app", "title: &t shared\n  description: *t");
    let tabs = application("tabs").replace("  title:", "\ttitle:");
    let odd = application("odd").replace("spec:\n  title: odd-app # the title\n", "spec:\n  odd: true\n");
    let binary = b"kind: Application\napiVersion: portico.dev/v1alpha1\nmetadata: {name: latin, namespace: shop}\nspec: {title: \xe4}\n";
    let hand = Hand::with(&[
        ("anchors.yaml", &anchors),
        ("tabs.yaml", &tabs),
        ("odd.yaml", &odd),
        ("one.yaml", &application("twice")),
        ("two.yaml", &format!("# two\n---\n{}", application("twice"))),
    ]);
    hand.write("latin.yaml", binary);
    let before = hand.commit("more");
    let writer = hand.writer();
    let title = |name: &str| set(Kind::Application, name, "spec.title", "X");
    let check = |edit, code: &str, place: (&str, u32)| {
        let found = writer.invalid(vec![edit]);
        assert_eq!(found.code, code, "{found:?}");
        let at = found.place.as_ref().map(|place| (&*place.file, place.line));
        assert_eq!(at, Some(place), "{found:?}");
    };
    check(title("shared"), "shared-value", ("anchors.yaml", 5));
    check(title("tabs"), "yaml-syntax", ("tabs.yaml", 5));
    check(put(&application("tabs")), "yaml-syntax", ("tabs.yaml", 5));
    check(title("odd"), "unknown-field", ("odd.yaml", 5));
    check(title("twice"), "duplicate-object", ("one.yaml", 1));
    check(Edit::Delete(key(Kind::Application, "twice")), "duplicate-object", ("one.yaml", 1));
    let found = writer.invalid(vec![title("nobody")]);
    assert_eq!(found.message, "there is no Application shop/nobody");
    let found = writer.invalid(vec![set(Kind::Application, "shared", "spec.owner", "X")]);
    assert_eq!(found.code, "unknown-field");
    for path in ["kind", "metadata.name", "metadata.namespace", "spec", "status.phase"] {
        assert_eq!(writer.invalid(vec![set(Kind::Application, "shared", path, "X")]).code, "invalid-path", "{path}");
    }
    assert_eq!(hand.head(), before);
    // What is broken can still be deleted, and does not hold up what stands beside it.
    writer.land(vec![Edit::Delete(key(Kind::Application, "tabs")), put(&application("latin"))]);
    assert!(!files(&hand.path).contains(&"tabs.yaml".to_owned()));
}

#[test]
fn a_repository_that_is_not_there_or_has_no_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer =
        crate::stage::Writing::new(crate::stage::here(folder.path()), |_: &portico_git::write::Proposal<'_>| {
            Vec::new()
        });
    let said = |refused: portico_git::write::Refused| format!("{refused:#?}");
    assert!(said(writer.refused(vec![])).contains("Open"));
    git(folder.path(), &["init", "-q", "--bare", "."]);
    assert!(said(writer.refused(vec![])).contains("NoBranch"));
}
