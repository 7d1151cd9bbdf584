//! The recipe of the container image, as far as it can be checked without making one.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One instruction: its name, and the rest with its continued lines in one.
struct Instruction {
    name: String,
    rest: String,
}

/// A stage: its name, what it is from, and its instructions.
struct Stage {
    name: String,
    from: String,
    instructions: Vec<Instruction>,
}

impl Stage {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.instructions.iter().filter(move |one| one.name == name).map(|one| one.rest.as_str())
    }
}

fn stages() -> Vec<Stage> {
    let text = fs::read_to_string(root().join("Containerfile")).expect("there is a Containerfile");
    let mut lines = Vec::<String>::new();
    let mut goes_on = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()) {
        let part = line.trim().trim_end_matches('\\').trim_end();
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => *last = format!("{last} {part}"),
            None => lines.push(part.to_owned()),
        }
        goes_on = line.trim_end().ends_with('\\');
    }
    let mut stages: Vec<Stage> = Vec::new();
    for line in lines {
        let (name, rest) = line.split_once(' ').expect("an instruction has arguments");
        if name == "FROM" {
            let words: Vec<_> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
            let from = if rest.contains("--platform=$BUILDPLATFORM") {
                format!("build:{}", words[0])
            } else {
                words[0].into()
            };
            stages.push(Stage { name: (*words.last().expect("a name")).to_owned(), from, instructions: Vec::new() });
        } else if let Some(stage) = stages.last_mut() {
            stage.instructions.push(Instruction { name: name.to_owned(), rest: rest.to_owned() });
        }
    }
    stages
}

#[test]
fn what_runs_is_one_program_and_not_root() {
    let stages = stages();
    let last = stages.last().expect("a stage");
    assert_eq!(last.from, "scratch");
    let users: Vec<_> = last.all("USER").collect();
    assert_eq!(users, ["65532:65532"], "a number: Kubernetes cannot tell whether a name is root");
    assert_eq!(last.all("RUN").count(), 0, "there is nothing to run in it, and no machine of that kind is needed");
    assert_eq!(last.all("ENTRYPOINT").collect::<Vec<_>>(), [r#"["/portico"]"#]);
    for copy in last.all("COPY") {
        assert!(copy.starts_with("--from=build "), "{copy}");
    }
    // The user of the chart's pods is the same.
    let values = fs::read_to_string(root().join("charts/portico/templates/deployment.yaml")).expect("a template");
    assert!(values.contains("runAsUser: 65532"));
}

#[test]
fn it_is_built_where_the_builder_runs() {
    let stages = stages();
    let build = stages.iter().find(|stage| stage.name == "build").expect("a stage `build`");
    assert!(build.from.starts_with("build:"), "{}", build.from);
    let channel = fs::read_to_string(root().join("rust-toolchain.toml")).expect("the toolchain");
    let channel =
        channel.lines().find_map(|line| line.strip_prefix("channel = ")).expect("a channel").trim_matches('"');
    assert!(build.from.contains(&format!("rust:{channel}")), "{} is not Rust {channel}", build.from);
    assert!(build.all("ARG").any(|name| name == "TARGETARCH"));
    let run = build.all("RUN").collect::<Vec<_>>().join("\n");
    for word in ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "--locked", "--features static"] {
        assert!(run.contains(word), "{word} is not in:\n{run}");
    }
}

#[test]
fn what_it_copies_is_there() {
    let ignored = fs::read_to_string(root().join(".containerignore")).expect("there is a .containerignore");
    let let_in: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"), "what is not named stays outside");
    let mut copied = Vec::new();
    for stage in stages() {
        for copy in stage.all("COPY") {
            let words: Vec<_> = copy.split_whitespace().collect();
            if !copy.starts_with("--from=") {
                copied.extend(words[..words.len() - 1].iter().map(|word| (*word).to_owned()));
            }
        }
    }
    for source in &copied {
        assert!(root().join(source).exists(), "{source} is not there");
        assert!(let_in.contains(&source.as_str()), "{source} is not let in by .containerignore");
    }
    // All members of the workspace: Cargo wants to see each.
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace");
    let members = workspace.lines().find_map(|line| line.strip_prefix("members = ")).expect("its members");
    let members: Vec<String> = serde_json::from_str(members).expect("a list");
    for member in members {
        assert!(copied.iter().any(|source| member == *source || member.starts_with(&format!("{source}/"))), "{member}");
    }
}
