//! Following commits, good and bad ones.

mod common;

use common::{Repo, World, team};
use portico_core::batch::Document;
use portico_core::diagnostic::{Diagnostic, Severity};
use portico_core::key::{Kind, Name, ObjectKey};
use portico_git::{Options, ReadError, Reader, Repository};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::Team, "default", name)
}

/// Follows every commit as it is made, and checks that a start from nothing gives the same.
struct Following {
    repo: Repo,
    reader: Reader,
    world: World,
}

impl Following {
    fn new() -> Following {
        let repo = Repo::new();
        let reader = repo.reader();
        Following { repo, reader, world: World::default() }
    }

    fn commit(&mut self) -> &World {
        let commit = self.repo.commit("test");
        self.world.apply(self.reader.advance(commit).expect("reads"));
        let mut fresh = World::default();
        fresh.apply(self.repo.reader().advance(commit).expect("reads"));
        assert_eq!(self.world, fresh);
        &self.world
    }

    fn title(&self, name: &str) -> &str {
        let said = &self.world.objects[&key(name)];
        said.split('"').nth(1).expect("a title")
    }
}

#[test]
fn objects_come_change_and_go() {
    let mut f = Following::new();
    f.repo.put("a.yaml", &team("a", "one")).put("b/c.yml", &team("c", "one")).put("notes.txt", &team("x", "x"));
    assert_eq!(f.commit().names(), ["Team default/a", "Team default/c"]);
    f.repo.put("a.yaml", &team("a", "two"));
    f.commit();
    assert_eq!(f.title("a"), "two");
    f.repo.remove("b/c.yml");
    assert_eq!(f.commit().names(), ["Team default/a"]);
}

#[test]
fn only_what_has_changed_is_read() {
    let mut repo = Repo::new();
    for n in 0..20 {
        repo.put(&format!("{}/{n}.yaml", n % 3), &team(&format!("t{n}"), "x"));
    }
    let mut reader = repo.reader();
    assert_eq!(reader.advance(repo.commit("one")).expect("reads").files_read, 20);
    repo.put("0/3.yaml", &team("t3", "y")).put("readme.md", "x");
    let advance = reader.advance(repo.commit("two")).expect("reads");
    assert_eq!((advance.files_read, advance.changes.len()), (1, 1));
    assert_eq!(advance.commit.expect("a commit").summary, "two");
}

#[test]
fn a_broken_file_is_not_an_outage() {
    let mut f = Following::new();
    f.repo.put("a.yaml", &format!("{}---\n{}", team("a", "one"), team("b", "one")));
    f.commit();
    // The second document is broken, and still says what it is about.
    f.repo.put("a.yaml", &format!("{}---\n{}", team("a", "two"), team("b", "[")));
    f.commit();
    assert_eq!((f.title("a"), f.title("b")), ("two", "one"));
    assert_eq!(f.world.codes(), ["yaml-syntax"]);
    // It no longer does.
    f.repo.put("a.yaml", &format!("{}---\n{}", team("a", "three"), team("b", "x").replace("kind", "kidn")));
    f.commit();
    assert_eq!((f.title("a"), f.title("b")), ("three", "one"));
    // The whole file cannot be read.
    f.repo.files.insert("a.yaml".into(), common::Blob::File(b"# portico.dev \xff".to_vec()));
    f.commit();
    assert_eq!((f.title("a"), f.title("b")), ("three", "one"));
    assert_eq!(f.world.codes(), ["not-utf8"]);
    f.repo.put("a.yaml", &team("b", "four"));
    assert_eq!(f.commit().names(), ["Team default/b"]);
    assert_eq!(f.world.codes(), [""; 0]);
}

#[test]
fn what_was_taken_away_is_not_resurrected_by_a_broken_file() {
    let mut f = Following::new();
    f.repo.put("a.yaml", &team("a", "one")).put("b.yaml", &team("b", "one"));
    f.commit();
    f.repo.remove("a.yaml");
    f.commit();
    f.repo.put("a.yaml", &team("a", "["));
    assert_eq!(f.commit().names(), ["Team default/b"]);
}

#[test]
fn an_object_that_moves_and_breaks_keeps_what_it_said() {
    let mut f = Following::new();
    f.repo.put("a.yaml", &team("a", "one"));
    f.commit();
    f.repo.remove("a.yaml").put("z.yaml", &team("a", "["));
    f.commit();
    assert_eq!(f.title("a"), "one");
    f.repo.put("other.yaml", &team("o", "x"));
    f.commit();
    assert_eq!(f.title("a"), "one");
}

#[test]
fn several_commits_at_once_give_the_same() {
    let mut repo = Repo::new();
    let mut reader = repo.reader();
    let mut world = World::default();
    repo.put("a.yaml", &team("a", "one"));
    world.apply(reader.advance(repo.commit("one")).expect("reads"));
    repo.put("a.yaml", &team("a", "["));
    world.apply(reader.advance(repo.commit("two")).expect("reads"));
    repo.put("a.yaml", &team("a", "three"));
    repo.commit("three, which the reader does not see");
    repo.put("a.yaml", &team("a", "["));
    let commit = repo.commit("four");
    world.apply(reader.advance(commit).expect("reads"));
    let mut fresh = World::default();
    fresh.apply(repo.reader().advance(commit).expect("reads"));
    assert_eq!(world, fresh);
    assert!(world.objects[&key("a")].contains("three"));
}

#[test]
fn the_first_of_two_holds_until_it_goes() {
    let mut f = Following::new();
    f.repo.put("b.yaml", &team("a", "second"));
    f.commit();
    f.repo.put("a.yaml", &format!("\n\n{}", team("a", "first")));
    f.commit();
    assert_eq!(f.title("a"), "first");
    let found = &f.world.findings[&key("a")][0];
    assert_eq!(found.code, "duplicate-object");
    assert!(found.message.contains("a.yaml:5"), "{}", found.message);
    let place = found.place.as_ref().expect("a place");
    assert_eq!((&*place.file, place.line, place.column), ("b.yaml", 3, 18));
    // A broken first still holds.
    f.repo.put("a.yaml", &team("a", "["));
    f.commit();
    assert_eq!(f.title("a"), "first");
    f.repo.remove("a.yaml");
    f.commit();
    assert_eq!((f.title("a"), f.world.findings.len()), ("second", 0));
}

#[test]
fn a_broken_openapi_document_is_what_it_was() {
    let product = "apiVersion: portico.dev/v1alpha1\nkind: ApiProduct\nmetadata: {name: p}\n\
                   spec: {title: p, versions: [{name: v1, openapi: {path: api.yaml}}]}\n";
    let good = |path: &str| format!("openapi: 3.1.0\npaths: {{{path}: {{get: {{operationId: get}}}}}}\n");
    let mut f = Following::new();
    let said = |f: &Following| {
        let document = f.world.documents[&(Name::new("default", "p"), "v1".to_owned())].clone();
        (document.text.map_err(|_| "none"), document.last)
    };
    f.repo.put("product.yaml", product).put("api.yaml", "openapi: [");
    f.commit();
    assert_eq!(said(&f), (Ok("openapi: [".into()), None), "it never was good");
    f.repo.put("api.yaml", &good("/one"));
    f.commit();
    f.repo.put("api.yaml", "hello: world");
    f.commit();
    assert_eq!(said(&f), (Ok("hello: world".into()), Some(good("/one").into())));
    f.repo.put("api.yaml", "hello: you").put("x.yaml", &team("x", "x"));
    f.commit();
    assert_eq!(said(&f), (Ok("hello: you".into()), Some(good("/one").into())));
    f.repo.remove("api.yaml");
    f.commit();
    let fork = f.repo.head;
    assert_eq!(said(&f), (Err("none"), Some(good("/one").into())));
    f.repo.put("api.yaml", &good("/two"));
    f.commit();
    assert_eq!(said(&f), (Ok(good("/two").into()), None));
    f.repo.put("api.yaml", "hello: you");
    f.commit();
    assert_eq!(said(&f), (Ok("hello: you".into()), Some(good("/two").into())));
    // Another branch, with the same broken text and another past.
    f.repo.head = fork;
    f.commit();
    assert_eq!(said(&f), (Ok("hello: you".into()), Some(good("/one").into())));
}

#[test]
fn openapi_documents_follow_their_product() {
    let product = |path: &str| {
        format!(
            "apiVersion: portico.dev/v1alpha1\nkind: ApiProduct\nmetadata: {{name: p}}\n\
             spec: {{title: p, versions: [{{name: v1, openapi: {{path: \"{path}\"}}}}]}}\n"
        )
    };
    let mut f = Following::new();
    f.repo.put("products/p/product.yaml", &product("../shared/api.yaml")).put("products/shared/api.yaml", "one");
    let document = |f: &Following| f.world.documents.get(&(Name::new("default", "p"), "v1".to_owned())).cloned();
    f.commit();
    assert_eq!(document(&f), Some(Document::new(Ok("one".into()))));
    f.repo.put("products/shared/api.yaml", "two");
    f.commit();
    assert_eq!(document(&f), Some(Document::new(Ok("two".into()))));
    for (path, said) in [
        ("gone.yaml", "there is no file"),
        ("../../../etc/passwd", "leads out"),
        ("link.yaml", "symbolic link"),
        ("big.yaml", "longer than 4 MiB"),
        ("bytes.yaml", "not UTF-8"),
    ] {
        f.repo.link("products/p/link.yaml", "product.yaml");
        f.repo.put("products/p/big.yaml", &"x".repeat((4 << 20) + 1));
        f.repo.files.insert("products/p/bytes.yaml".into(), common::Blob::File(vec![0xff]));
        f.repo.put("products/p/product.yaml", &product(path));
        f.commit();
        let Some(Document { text: Err(reason), .. }) = document(&f) else { panic!("{path}: {:?}", document(&f)) };
        assert!(reason.contains(said), "{reason}");
    }
    f.repo.put("products/p/product.yaml", &product("new.yaml")).put("products/p/new.yaml", "three");
    f.commit();
    assert_eq!(document(&f), Some(Document::new(Ok("three".into()))));
    f.repo.remove("products/p/new.yaml");
    f.commit();
    assert!(matches!(document(&f), Some(Document { text: Err(_), .. })));
    f.repo.put("x.yaml", &team("x", "x")).remove("products/p/product.yaml");
    f.commit();
    assert_eq!(document(&f), None);
}

#[test]
fn links_are_not_followed() {
    let mut f = Following::new();
    f.repo.put("a.yaml", &team("a", "one")).link("b.yaml", "/etc/passwd").link("c.txt", "a.yaml");
    f.commit();
    assert_eq!(f.world.codes(), ["symlink"]);
    assert_eq!(f.world.loose[0].severity, Severity::Error);
}

#[test]
fn too_much_is_refused() {
    let mut f = Following::new();
    f.repo.put("a.yaml", &format!("{}#{}", team("a", "one"), "x".repeat(1 << 20)));
    f.repo.put("other.yaml", &"x: y\n".repeat(1 << 18));
    f.repo.put("b.yaml", &team("b", "x"));
    f.commit();
    assert_eq!((f.world.codes(), f.world.names()), (vec!["too-large".to_owned()], vec!["Team default/b".to_owned()]));
}

#[test]
fn an_empty_repository_is_refused_unless_allowed() {
    let mut repo = Repo::new();
    let mut reader = repo.reader();
    repo.put("a.yaml", &team("a", "one"));
    let first = repo.commit("one");
    reader.advance(first).expect("reads");
    repo.remove("a.yaml").put("readme.md", "x");
    let second = repo.commit("two");
    let error = reader.advance(second).expect_err("refused");
    assert!(matches!(error, ReadError::Empty { before: 1 }), "{error:?}");
    assert_eq!(reader.commit(), Some(first));
    repo.put("b.yaml", &team("b", "one"));
    let mut world = World::default();
    world.objects.insert(key("a"), String::new());
    world.apply(reader.advance(repo.commit("three")).expect("reads"));
    assert_eq!(world.names(), ["Team default/b"]);
    let options = Options { allow_empty: true, ..Options::default() };
    let mut reader = Reader::new(Repository::open(repo.path()).expect("opens"), options);
    reader.advance(first).expect("reads");
    assert_eq!(reader.advance(second).expect("allowed").changes.len(), 1);
}

#[test]
fn a_corrupt_repository_changes_nothing() {
    let mut repo = Repo::new();
    let mut reader = repo.reader();
    repo.put("a.yaml", &team("a", "one"));
    let first = repo.commit("one");
    reader.advance(first).expect("reads");
    repo.put("a.yaml", &team("a", "two")).put("b.yaml", &team("b", "x"));
    let second = repo.commit("two");
    let blob = repo.git.blob(team("b", "x").as_bytes()).expect("a blob").to_string();
    let file = repo.path().join("objects").join(&blob[..2]).join(&blob[2..]);
    std::fs::remove_file(&file).expect("there");
    let error = reader.advance(second).expect_err("cannot be read");
    assert!(matches!(error, ReadError::Source(_)), "{error:?}");
    assert_eq!(reader.commit(), Some(first));
    repo.git.blob(team("b", "x").as_bytes()).expect("back");
    assert_eq!(reader.advance(second).expect("reads").changes.len(), 2);
}

#[test]
fn a_forced_push_and_a_lost_commit_are_followed() {
    let mut f = Following::new();
    f.repo.put("a.yaml", &team("a", "one")).put("b.yaml", &team("b", "one"));
    f.commit();
    f.repo.remove("b.yaml").put("c.yaml", &team("c", "one"));
    let lost = f.repo.head.expect("a head").to_string();
    f.repo.head = None;
    std::fs::remove_file(f.repo.path().join("objects").join(&lost[..2]).join(&lost[2..])).expect("there");
    assert_eq!(f.commit().names(), ["Team default/a", "Team default/c"]);
}

#[test]
fn only_the_folder_is_read() {
    let mut repo = Repo::new();
    repo.put("env/a.yaml", &team("a", "x"))
        .put("environment.yaml", &team("b", "x"))
        .put("env2/c.yaml", &team("c", "x"));
    let options = Options { folder: "env/".into(), ..Options::default() };
    let mut reader = Reader::new(Repository::open(repo.path()).expect("opens"), options);
    let mut world = World::default();
    world.apply(reader.advance(repo.commit("one")).expect("reads"));
    assert_eq!(world.names(), ["Team default/a"]);
}

#[test]
fn places_are_found() {
    let mut repo = Repo::new();
    let text = "# teams\napiVersion: portico.dev/v1alpha1\nkind: Team\nmetadata:\n  name: a\nspec:\n  title: x\n  \
                members:\n    - mail: ann@example.com\n      access: {teams: Full}\n";
    repo.put("teams.yaml", &format!("{}---\n{text}", team("z", "x")));
    let mut reader = repo.reader();
    reader.advance(repo.commit("one")).expect("reads");
    let place = reader.place(&key("a")).expect("a place");
    assert_eq!((&*place.file, place.document, place.line), ("teams.yaml", 1, 5));
    assert_eq!(reader.objects_in("teams.yaml").collect::<Vec<_>>(), [&key("z"), &key("a")]);
    for (path, line, column, length) in [
        ("", 10, 9, 1),
        ("spec", 11, 1, 4),
        ("spec.title", 12, 10, 1),
        ("spec.members[0].mail", 14, 13, 15),
        ("spec.members[0].access.teams", 15, 23, 4),
        ("spec.members[0].access.billing", 15, 7, 6),
        ("spec.members[4]", 13, 3, 7),
        ("spec.nothing.here", 11, 1, 4),
    ] {
        let mut found = Diagnostic::error("x", &key("a"), path, "");
        reader.resolve(&mut found).expect("reads");
        let place = found.place.expect("a place");
        assert_eq!((place.line, place.column, place.length), (line, column, length), "{path}");
    }
}

#[test]
fn a_folder_is_read_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write(".git/config.yaml", &team("git", "x"));
    write("a/b.yaml", &team("b", "x"));
    write("c.yaml", &team("c", "["));
    std::os::unix::fs::symlink("a/b.yaml", folder.path().join("d.yaml")).expect("a link");
    std::os::unix::fs::symlink("a", folder.path().join("e")).expect("a link");
    let mut reader = Reader::folder(folder.path(), Options::default());
    let mut world = World::default();
    world.apply(reader.rescan().expect("reads"));
    assert_eq!(
        (world.names(), world.codes()),
        (vec!["Team default/b".to_owned()], vec!["yaml-syntax".to_owned(), "symlink".to_owned()])
    );
    write("c.yaml", &team("c", "x"));
    std::fs::remove_file(folder.path().join("a/b.yaml")).expect("there");
    world.apply(reader.rescan().expect("reads"));
    assert_eq!((world.names(), world.codes()), (vec!["Team default/c".to_owned()], vec!["symlink".to_owned()]));
    assert!(matches!(reader.advance("0".repeat(40).parse().expect("an id")), Err(ReadError::NoCommits { .. })));
}

#[test]
fn commits_tell_about_themselves() {
    let mut repo = Repo::new();
    let commit = repo.commit("topic: what\n\nWhy.\n\nReviewed-by: Bob <bob@example.com>\nTicket: 7\n");
    let repository = Repository::open(repo.path()).expect("opens");
    let info = repository.info(commit).expect("there");
    assert_eq!(
        (info.author.as_str(), info.mail.as_str(), info.summary.as_str()),
        ("Ann", "ann@example.com", "topic: what")
    );
    assert_eq!(info.written.as_second(), 1_700_000_000);
    let trailer = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(info.trailers(), [trailer("Reviewed-by", "Bob <bob@example.com>"), trailer("Ticket", "7")]);
    assert_eq!(repository.head(None).expect("a head"), commit);
    assert!(repository.head(Some("nope")).expect_err("none").to_string().contains("`nope`"));
    assert!("abc".parse::<portico_git::CommitId>().is_err());
}
