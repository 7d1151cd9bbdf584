//! The files of `cases`: stories in YAML, with what must be seen from outside in comments.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_yaml::Value;

/// A story.
#[derive(Debug)]
pub struct Case {
    /// The name of its file.
    pub name: String,
    /// What stands there from the beginning.
    base: String,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
}

/// A step: the rest of the desired state as it is then. What it leaves out is gone.
#[derive(Debug)]
pub struct Step {
    /// In words.
    pub says: String,
    documents: String,
    /// What must be seen then.
    pub wants: Vec<Want>,
}

/// Something that must be seen.
#[derive(Clone, Debug)]
pub enum Want {
    /// What a request is answered.
    Answer(Request, u16, Vec<Mark>),
    /// What several requests are answered, one after the other.
    Counts(Request, Vec<u16>),
    /// The reason of an object's condition `Ready`, and a part of its message.
    Says(Object, String, String),
    /// A credential has no key.
    NoKey(String),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The credential whose key is sent; none sends none.
    pub credential: Option<String>,
    /// Which of its keys, from 1 in the order in which they were seen; else the one that it has now.
    pub number: Option<usize>,
    /// Whether it goes to the sandbox.
    pub sandbox: bool,
    pub method: String,
    pub path: String,
}

/// Something in an answer.
#[derive(Clone, Debug)]
pub enum Mark {
    /// The plan, as the upstream learns it.
    Plan(String),
    /// The path at the upstream.
    Path(String),
    /// A header is there, or is not.
    Header(String, bool),
}

/// An object by kind, namespace and name.
#[derive(Clone, Debug)]
pub struct Object {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl Case {
    /// Every story, in order of their names.
    pub fn all() -> Vec<Case> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/behaviour/cases");
        let files = fs::read_dir(&folder).expect("there are cases").map(|file| file.expect("a file").path());
        let mut cases: Vec<Case> = files
            .map(|path| {
                let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                Case::parse(&name, &fs::read_to_string(&path).expect("text"))
            })
            .collect();
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        cases
    }

    fn parse(name: &str, text: &str) -> Case {
        let text = text.replace("CASE", name);
        let mut parts = text.split("# step: ");
        let base = parts.next().expect("a beginning").to_owned();
        let steps = parts.map(|part| {
            let (says, rest) = part.split_once('\n').expect("a step has lines");
            let wants = rest.lines().filter_map(|line| line.strip_prefix("#! ")).map(want).collect();
            Step { says: says.to_owned(), documents: rest.to_owned(), wants }
        });
        Case { name: name.to_owned(), base, steps: steps.collect() }
    }

    /// Everything that is declared from a step on, by what it is.
    pub fn documents(&self, step: usize) -> BTreeMap<String, String> {
        let last = self.steps.get(step).or(self.steps.last()).expect("there is a step");
        let all = [&self.base, &last.documents].into_iter().flat_map(|text| text.split("\n---\n"));
        let mut found = BTreeMap::new();
        for document in all {
            let value = serde_yaml::Deserializer::from_str(document).next().map(Value::deserialize);
            let Some(value) = value.map(|value| value.expect("YAML")).filter(Value::is_mapping) else { continue };
            let text = |path: &[&str]| path.iter().fold(&value, |value, field| &value[*field]).as_str().expect("text");
            let (kind, meta) = (text(&["kind"]), ["namespace", "name"].map(|field| text(&["metadata", field])));
            found.insert(
                format!("{kind}/{}/{}", meta[0], meta[1]),
                format!("apiVersion: portico.dev/v1alpha1\n{document}\n"),
            );
        }
        found
    }
}

fn want(line: &str) -> Want {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [object, "says", reason, ..] => {
            let parts: Vec<&str> = object.split('/').collect();
            let [kind, namespace, name] = parts[..] else { panic!("{object} is no object") };
            let object = Object { kind: kind.into(), namespace: namespace.into(), name: name.into() };
            let text = line.split_once(reason).expect("it is there").1.trim().to_owned();
            Want::Says(object, (*reason).to_owned(), text)
        }
        [credential, "has", "no", "key"] => Want::NoKey((*credential).to_owned()),
        [who, rest @ ..] => {
            let (sandbox, rest) = match rest {
                ["at", "sandbox", rest @ ..] => (true, rest),
                rest => (false, rest),
            };
            let [method, path, does, answers @ ..] = rest else { panic!("`{line}` is not understood") };
            let (credential, number) = match who.split_once('#') {
                Some((credential, number)) => (credential, Some(number.parse().expect("a number"))),
                None => (*who, None),
            };
            let credential = (credential != "nobody").then(|| credential.to_owned());
            let (method, path) = ((*method).to_owned(), (*path).to_owned());
            let request = Request { credential, number, sandbox, method, path };
            let status = |word: &&str| word.parse::<u16>().unwrap_or_else(|_| panic!("{word} is no status: `{line}`"));
            match (*does, answers) {
                ("counts", answers) => Want::Counts(request, answers.iter().map(status).collect()),
                ("->", [answer, marks @ ..]) => {
                    Want::Answer(request, status(answer), marks.iter().map(|word| mark(word)).collect())
                }
                _ => panic!("`{line}` is not understood"),
            }
        }
        [] => panic!("an empty line"),
    }
}

fn mark(word: &str) -> Mark {
    match (word.split_once('='), word.split_at(1)) {
        (Some(("plan", plan)), _) => Mark::Plan(plan.to_owned()),
        (Some(("path", path)), _) => Mark::Path(path.to_owned()),
        (None, ("+", header)) => Mark::Header(header.to_owned(), true),
        (None, ("-", header)) => Mark::Header(header.to_owned(), false),
        _ => panic!("`{word}` is not understood"),
    }
}
