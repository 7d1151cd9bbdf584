//! Whichever commits were read before, a commit means the same.

mod common;

use common::{Blob, Repo, World, approval, team};
use portico_git::CommitId;
use proptest::prelude::*;

/// What happens in a commit.
#[derive(Clone, Debug)]
enum Step {
    /// A file gets these documents.
    Put(usize, Vec<Part>),
    Remove(usize),
    Rename(usize, usize),
    Link(usize),
    Bytes(usize),
    /// The text of an OpenAPI document.
    OpenApi(usize, u8),
    /// A commit that was there before is the parent of what follows, with its files: a forced push, or a revert.
    Back(usize, bool),
}

/// A document of a file.
#[derive(Clone, Debug)]
enum Part {
    Good(usize, u8),
    /// An approval, of which it matters who wrote it.
    Approval(usize, u8),
    /// Says what it is about, and cannot be read.
    Broken(usize),
    /// Does not even say that.
    Unknown,
    Product(usize, usize),
    Other,
}

const FILES: [&str; 5] = ["a.yaml", "b.yaml", "dir/a.yaml", "dir/b.yml", "dir/deep/c.yaml"];
const DOCUMENTS: [&str; 3] = ["dir/one.json", "two.txt", "dir/a.yaml"];

fn text(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Good(name, title) => team(&format!("t{name}"), &format!("v{title}")),
        Part::Approval(name, plan) => approval(&format!("t{name}"), &format!("v{plan}")),
        Part::Broken(name) if name % 2 == 0 => approval(&format!("t{name}"), "[1]"),
        Part::Broken(name) => team(&format!("t{name}"), "[1]"),
        Part::Unknown => "apiVersion: portico.dev/v1alpha1\nkind: Temp\n".to_owned(),
        Part::Product(name, document) => format!(
            "apiVersion: portico.dev/v1alpha1\nkind: ApiProduct\nmetadata: {{name: p{name}}}\n\
             spec: {{title: p, versions: [{{name: v1, openapi: {{path: {}}}}}, {{name: v2}}]}}\n",
            ["one.json", "../two.txt", "a.yaml", "dir/one.json"][document % 4]
        ),
        Part::Other => "apiVersion: v1\nkind: Secret\n".to_owned(),
    };
    parts.iter().map(part).collect::<Vec<_>>().join("---\n")
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => (0..5usize, 0..4u8).prop_map(|(name, title)| Part::Good(name, title)),
        4 => (0..5usize, 0..3u8).prop_map(|(name, plan)| Part::Approval(name, plan)),
        3 => (0..5usize).prop_map(Part::Broken),
        2 => Just(Part::Unknown),
        1 => (0..2usize, 0..4usize).prop_map(|(name, document)| Part::Product(name, document)),
        1 => Just(Part::Other),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let file = 0..FILES.len();
    prop_oneof![
        8 => (file.clone(), prop::collection::vec(part(), 1..4)).prop_map(|(file, parts)| Step::Put(file, parts)),
        2 => file.clone().prop_map(Step::Remove),
        2 => (file.clone(), file.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => file.clone().prop_map(Step::Link),
        1 => file.prop_map(Step::Bytes),
        3 => (0..DOCUMENTS.len(), 0..6u8).prop_map(|(document, text)| Step::OpenApi(document, text)),
        1 => (0..8usize, any::<bool>()).prop_map(|(commit, forced)| Step::Back(commit, forced)),
    ]
}

struct Made {
    commit: CommitId,
    head: git2::Oid,
    files: std::collections::BTreeMap<String, Blob>,
}

fn make(repo: &mut Repo, made: &[Made], step: &Step) {
    match step {
        Step::Put(file, parts) => drop(repo.put(FILES[*file], &text(parts))),
        Step::Remove(file) => drop(repo.remove(FILES[*file])),
        Step::Rename(from, to) => {
            if let Some(blob) = repo.files.remove(FILES[*from]) {
                repo.files.insert(FILES[*to].to_owned(), blob);
            }
        }
        Step::Link(file) => drop(repo.link(FILES[*file], "a.yaml")),
        Step::Bytes(file) => drop(repo.files.insert(FILES[*file].to_owned(), Blob::File(b"portico.dev \xff".to_vec()))),
        // Some are good, some are not, and some are none.
        Step::OpenApi(document, 0) => drop(repo.remove(DOCUMENTS[*document])),
        Step::OpenApi(document, text @ 1..3) => drop(repo.put(DOCUMENTS[*document], &text.to_string())),
        Step::OpenApi(document, text) => drop(repo.put(DOCUMENTS[*document], &format!("openapi: {text}\n"))),
        Step::Back(commit, forced) => {
            if let Some(before) = made.get(commit % made.len().max(1)) {
                repo.files = before.files.clone();
                if *forced {
                    repo.head = Some(before.head);
                }
            }
        }
    }
    // One object that is always there: an empty repository is another test.
    repo.put("always.yaml", &team("always", "x"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn following_is_starting_over(
        steps in prop::collection::vec((prop::collection::vec(step(), 1..4), 0..4u8), 1..14)
    ) {
        let mut repo = Repo::new();
        let mut made: Vec<Made> = Vec::new();
        let mut reader = repo.reader();
        let mut world = World::default();
        for (number, (steps, look)) in steps.iter().enumerate() {
            for step in steps {
                make(&mut repo, &made, step);
            }
            repo.author = format!("author{number}@example.com");
            let commit = match (made.len(), look % 4) {
                // A merge, with the files as they came out.
                (others @ 2.., 3) => {
                    let parents = [repo.head.expect("a head"), made[number * 7 % others].head];
                    repo.commit_on(&number.to_string(), &parents)
                }
                _ => repo.commit(&number.to_string()),
            };
            made.push(Made { commit, head: repo.head.expect("a head"), files: repo.files.clone() });
            // Sometimes several commits come at once.
            if *look == 0 {
                continue;
            }
            world.apply(reader.advance(commit).expect("reads"));
            let mut fresh = repo.reader();
            let mut expected = World::default();
            expected.apply(fresh.advance(commit).expect("reads"));
            prop_assert_eq!(&world, &expected);
            prop_assert_eq!(reader.diagnostics().collect::<Vec<_>>(), fresh.diagnostics().collect::<Vec<_>>());
            for key in world.objects.keys() {
                prop_assert_eq!(reader.place(key), fresh.place(key));
            }
        }
        // Back to any commit: as if it had just been read.
        for before in made.iter().rev() {
            world.apply(reader.advance(before.commit).expect("reads"));
            let mut expected = World::default();
            expected.apply(repo.reader().advance(before.commit).expect("reads"));
            prop_assert_eq!(&world, &expected);
        }
    }
}
