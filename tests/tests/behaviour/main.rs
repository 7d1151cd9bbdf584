//! What is promised about an access, seen from outside and in both modes: the files of `cases` are committed to a repository that
//! `portico up` follows and applied to a cluster with an operator, and real Envoys are asked who gets in. `docs/behaviour.md` lists them.
//!
//! A file begins with what stands there all the time; each `# step:` has the rest of the desired state from then on, and what must be
//! seen (`#!`): what a request with a credential's key is answered, what an object says. `CASE` is the name of the file, and
//! `{+12s}` a moment so long after it is first applied. All stories go on at the same time, a step of each in one commit.

mod case;
mod sides;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use case::{Case, Mark, Object, Request, Want};
use portico_tests::http::{self, Ask};
use sides::{Both, Side};

/// How long all that must be seen may take to be seen, moments that come included.
const PATIENCE: Duration = Duration::from_secs(45);

/// What one side knows while it is looked at.
struct Look<'a> {
    side: &'a dyn Side,
    /// The key that each credential has now.
    now: HashMap<String, Option<String>>,
    /// Every key that was seen of a credential, oldest first.
    seen: &'a mut HashMap<String, Vec<String>>,
}

impl Look<'_> {
    fn key(&mut self, credential: &str, number: Option<usize>) -> Option<String> {
        let side = self.side;
        let now = self.now.entry(credential.to_owned()).or_insert_with(|| side.key(credential)).clone();
        let seen = self.seen.entry(credential.to_owned()).or_default();
        if let Some(now) = now.clone().filter(|now| !seen.contains(now)) {
            seen.push(now);
        }
        match number {
            Some(number) => seen.get(number - 1).cloned(),
            None => now,
        }
    }

    fn ask(&mut self, request: &Request) -> Result<http::Answer, String> {
        let Request { credential, number, sandbox, method, path } = request;
        let mut ask = Ask::method(method, path);
        if let Some(credential) = credential {
            let key = self.key(credential, *number).ok_or_else(|| format!("{credential} has no such key"))?;
            ask = ask.key(&key);
        }
        http::once(self.side.address(*sandbox), &ask).map_err(|error| error.to_string())
    }

    /// What is otherwise than it must be.
    fn check(&mut self, want: &Want) -> Result<(), String> {
        match want {
            Want::Answer(request, status, marks) => {
                let answer = self.ask(request)?;
                if answer.status != *status {
                    return Err(format!("answered {}: {}", answer.status, answer.body));
                }
                marks.iter().try_for_each(|mark| marked(&answer, mark))
            }
            Want::Counts(..) => Ok(()),
            Want::Says(Object { kind, namespace, name }, reason, text) => {
                let (found, message) = self.side.ready(kind, namespace, name);
                let fits = found == *reason && message.contains(text);
                fits.then_some(()).ok_or_else(|| format!("it says {found}: {message}"))
            }
            Want::NoKey(credential) => {
                let key = self.key(credential, None);
                key.is_none().then_some(()).ok_or_else(|| format!("{credential} has a key"))
            }
        }
    }
}

fn marked(answer: &http::Answer, mark: &Mark) -> Result<(), String> {
    let (fits, found) = match mark {
        Mark::Plan(plan) => {
            let found = answer.upstream_header("x-portico-plan").unwrap_or_default();
            (found.rsplit('/').next() == Some(plan), found)
        }
        Mark::Path(path) => {
            let found = answer.json()["path"].as_str().unwrap_or_default().to_owned();
            (found == *path, found)
        }
        Mark::Header(name, wanted) => {
            let found = answer.header(name).unwrap_or_default().to_owned();
            (answer.header(name).is_some() == *wanted, found)
        }
    };
    fits.then_some(()).ok_or_else(|| format!("{mark:?} does not fit: {found:?}"))
}

#[test]
fn what_is_promised_holds_in_both_modes() {
    let cases = Case::all();
    assert!(!cases.is_empty());
    let mut both = Both::start();
    let mut seen: [HashMap<String, Vec<String>>; 2] = Default::default();
    let rounds = cases.iter().map(|case| case.steps.len()).max().unwrap_or(0);
    for round in 0..rounds {
        let begun = Instant::now();
        let documents = cases
            .iter()
            .flat_map(|case| case.documents(round).into_iter().map(|(key, text)| ((case.name.clone(), key), text)));
        both.commit(round, documents.collect::<BTreeMap<_, _>>());
        let going = cases.iter().filter_map(|case| Some((case, case.steps.get(round)?)));
        let wants: Vec<(String, &Want)> = going
            .flat_map(|(case, step)| step.wants.iter().map(|want| (format!("{}: {}", case.name, step.says), want)))
            .collect();
        let sides = both.sides();
        for (side, seen) in sides.iter().zip(&mut seen) {
            wait(*side, seen, &wants);
        }
        for (side, seen) in sides.iter().zip(&mut seen) {
            let mut look = Look { side: *side, now: HashMap::new(), seen };
            for (name, want) in &wants {
                if let Want::Counts(request, statuses) = want {
                    let found: Vec<u16> =
                        statuses.iter().map(|_| look.ask(request).map_or(0, |answer| answer.status)).collect();
                    assert_eq!(found, *statuses, "{name} ({}): {request:?}", side.name());
                }
            }
        }
        println!("step {} of {} stories ... {} seen in {:.1?}", round + 1, cases.len(), wants.len(), begun.elapsed());
    }
}

/// Waits until all is as it must be, and sees that it stays so.
fn wait(side: &dyn Side, seen: &mut HashMap<String, Vec<String>>, wants: &[(String, &Want)]) {
    let begun = Instant::now();
    let mut open: Vec<&(String, &Want)> = wants.iter().collect();
    let mut last = Vec::new();
    while !open.is_empty() {
        side.look();
        let mut look = Look { side, now: HashMap::new(), seen };
        last.clear();
        open.retain(|(name, want)| {
            let outcome = look.check(want);
            outcome.map_err(|why| last.push(format!("{name} ({}): {want:?}: {why}", side.name()))).is_err()
        });
        assert!(open.is_empty() || begun.elapsed() < PATIENCE, "{}\n{}", last.join("\n"), side.output());
        if !open.is_empty() {
            thread::sleep(Duration::from_millis(50));
        }
    }
    side.look();
    let mut look = Look { side, now: HashMap::new(), seen };
    for (name, want) in wants {
        if let Err(why) = look.check(want) {
            panic!("{name} ({}): {want:?} was so, and is not any more: {why}", side.name());
        }
    }
}

/// The page that lists the stories lists them all, and nothing that is not there.
#[test]
fn the_page_lists_every_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/behaviour.md")).expect("the page is there");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what"));
    let mut listed = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let names = |cell: &str| -> Vec<String> {
            let is_name = |word: &&str| !word.is_empty() && !word.contains(['`', '(', ' ', ':']);
            cell.split([',', ';']).map(str::trim).filter(is_name).map(str::to_owned).collect()
        };
        for story in names(cells[2]).into_iter().filter(|name| name != "all") {
            assert!(root.join("operator/core/tests/cases").join(&story).is_dir(), "there is no story {story}");
        }
        listed.extend(names(cells[3]).into_iter().filter(|name| name != "all"));
    }
    let there: BTreeSet<String> = Case::all().into_iter().map(|case| case.name).collect();
    assert_eq!(listed, there);
}
