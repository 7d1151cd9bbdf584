//! The commands other than `up`.

use std::io::{IsTerminal, Read as _, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::CommandFactory;
use portico_core::diagnostic::Severity;
use portico_secrets::{KeyLocation, Store};
use serde_json::Value;

use crate::answer;
use crate::ask::{ask, give};
use crate::cli::{Access, Check, Cli, Command, Credential, Explain, Render, ReportFormat, Status, Target};
use crate::operator;
use crate::report;
use crate::state::{Origin, socket};
use crate::tree::{Tree, name, object};
use crate::up;

/// Does what the command line says.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(options) => up::run(&options)?,
        Command::Operator(options) => operator::run(&options)?,
        Command::Check(options) => return check(&options),
        Command::Render(options) => render(&options)?,
        Command::Explain(options) => explain(&options)?,
        Command::Status(options) => status(&options)?,
        Command::Access(options) => access(&options)?,
        Command::Credential(Credential::Import { name, target }) => import(&name, &target)?,
        Command::Credential(Credential::Reveal { name, target }) => reveal(&name, &target)?,
        Command::Crds => {
            for (_, manifest) in portico_crds::manifests() {
                print(&format!("---\n{}", manifest.trim_start_matches("---\n")))?;
            }
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "portico", &mut script);
            std::io::stdout().write_all(&script)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says on standard error what went wrong, from the outside in.
pub fn complain(error: &anyhow::Error) {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some errors tell their causes themselves.
        if !text.contains(&cause) {
            text.push_str(&format!("  because: {cause}\n"));
        }
    }
    // Where nobody reads, there is nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Says on standard error what does not stop the command.
fn warn(text: &str) {
    let _ = std::io::stderr().write_all(format!("warning: {text}\n").as_bytes());
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot print"),
        _ => Ok(()),
    }
}

fn check(options: &Check) -> anyhow::Result<ExitCode> {
    let tree = Tree::read(&options.dir)?;
    let diagnostics = tree.diagnostics();
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let texts = |file: &str| tree.text(file);
    print(&report::print(&diagnostics, options.format, &texts, color))?;
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if options.format == ReportFormat::Text {
        let objects = tree.core.objects().count();
        print(&format!(
            "{}: {}, {}\n",
            plural(objects, "object"),
            plural(errors, "error"),
            plural(warnings, "warning")
        ))?;
    }
    Ok(if errors > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// A number and what it counts.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn render(options: &Render) -> anyhow::Result<()> {
    let tree = Tree::read(&options.dir)?;
    let environment = tree.environment(options.environment.as_deref())?;
    let outputs = tree.core.outputs().map(|(key, output, _)| (key.clone(), output.clone()));
    let rendered = portico_envoy::render::render(&environment, outputs).context("cannot show the configuration")?;
    for (objects, why) in &rendered.refused {
        let objects: Vec<String> = objects.iter().map(ToString::to_string).collect();
        warn(&format!("{}: {why}", objects.join(", ")));
    }
    print(&serde_yaml::to_string(&rendered.resources).context("cannot write YAML")?)
}

/// What a running `portico up` answers, or else what the folder as it is would.
fn either(target: &Target, path: &str, cold: impl FnOnce(&Tree) -> anyhow::Result<Value>) -> anyhow::Result<Value> {
    let origin = Origin::parse(&target.dir)?;
    let state = origin.state(target.state.state.as_deref())?;
    if let Some(answer) = ask(&socket(&state), path)? {
        return Ok(answer);
    }
    match origin {
        Origin::Local(folder) => cold(&Tree::read(&folder)?),
        Origin::Remote(url) => bail!("no `portico up {url}` is running"),
    }
}

const NOT_RUNNING: &str = "not running: this is the folder as it would be enforced\n";

fn explain(options: &Explain) -> anyhow::Result<()> {
    let key = object(&options.object)?;
    let path = format!("/explain?name={}", encoded(&options.object));
    let answer = either(&options.target, &path, |tree| {
        let mut answer = answer::explain(&tree.core, &tree.reader, &key)?;
        answer["running"] = false.into();
        Ok(answer)
    })?;
    if options.target.json {
        return print(&format!("{answer:#}\n"));
    }
    let mut text = String::new();
    if answer["running"] == false {
        text.push_str(NOT_RUNNING);
    }
    for step in array(&answer["steps"]) {
        let mark = if step["passes"] == true { "ok " } else { "no " };
        text.push_str(&format!("{mark} {}\n", step["text"].as_str().unwrap_or_default()));
        if let Some(place) = step["place"].as_str() {
            text.push_str(&format!("      {place}\n"));
        }
    }
    let ready = array(&answer["status"]["conditions"]).iter().find(|condition| condition["type"] == "Ready");
    let ready = match ready {
        None => "unknown".to_owned(),
        Some(ready) if ready["status"] != true => "not ready".to_owned(),
        Some(ready) => match ready["reason"].as_str() {
            Some(reason) if reason != "Ready" => format!("ready ({reason})"),
            _ => "ready".to_owned(),
        },
    };
    print(&format!("{text}{key} is {ready}.\n"))
}

fn status(options: &Status) -> anyhow::Result<()> {
    let answer = either(&options.target, "/status", |tree| {
        let mut status = answer::status(&tree.core);
        status["diagnostics"] = serde_json::to_value(tree.diagnostics())?;
        Ok(status)
    })?;
    if options.target.json {
        return print(&format!("{answer:#}\n"));
    }
    let mut text = String::new();
    match answer["commit"].as_str() {
        Some(commit) => text.push_str(&format!("commit {commit}\n")),
        None => text.push_str(NOT_RUNNING),
    }
    if let Some(refused) = answer["refused"].as_object() {
        let why = refused.get("why").and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!(
            "not taken over: {}: {why}\n",
            refused.get("commit").and_then(Value::as_str).unwrap_or_default()
        ));
    }
    if let Some(trouble) = answer["trouble"].as_str() {
        text.push_str(&format!("trouble: {trouble}\n"));
    }
    for (environment, gateways) in answer["gateways"].as_object().into_iter().flatten() {
        text.push_str(&format!("environment {environment}: gateways connected: {gateways}\n"));
    }
    for kind in array(&answer["kinds"]) {
        let (objects, ready) = (kind["objects"].as_u64().unwrap_or(0), kind["ready"].as_u64().unwrap_or(0));
        text.push_str(&format!("{:<14} {ready:>7} of {objects} ready\n", kind["kind"].as_str().unwrap_or_default()));
    }
    for object in array(&answer["objects"]) {
        let ready = array(&object["status"]["conditions"]).iter().find(|condition| condition["type"] == "Ready");
        let (reason, message) = ready.map_or(("", ""), |ready| {
            (ready["reason"].as_str().unwrap_or_default(), ready["message"].as_str().unwrap_or_default())
        });
        // What is suspended or over is ready, and yet worth a line.
        if !options.all && reason == "Ready" {
            continue;
        }
        let (kind, name) = (object["kind"].as_str().unwrap_or_default(), object["name"].as_str().unwrap_or_default());
        text.push_str(&format!("{kind} {name}: {reason}: {message}\n"));
    }
    print(&text)
}

fn access(options: &Access) -> anyhow::Result<()> {
    let answer = either(&options.target, "/access", |tree| Ok(serde_json::to_value(tree.core.access())?))?;
    if options.target.json {
        return print(&format!("{answer:#}\n"));
    }
    let mut rows = vec![["APPLICATION", "PRODUCT", "PLAN", "ENVIRONMENT", "CREDENTIAL", "SCOPES"].map(str::to_owned)];
    for row in array(&answer) {
        let cell = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let scopes: Vec<&str> = array(&row["scopes"]).iter().filter_map(Value::as_str).collect();
        rows.push([
            cell("application"),
            cell("product"),
            cell("plan"),
            cell("environment"),
            cell("credential"),
            scopes.join(" "),
        ]);
    }
    let widths: Vec<usize> =
        (0..6).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    print(&text)
}

fn import(credential: &str, target: &Target) -> anyhow::Result<()> {
    let name = name(credential)?;
    let state = Origin::parse(&target.dir)?.state(target.state.state.as_deref())?;
    // One more than the longest, with the end of its line, is enough to see that it is too long.
    let mut key = String::new();
    std::io::stdin().take(260).read_to_string(&mut key).context("cannot read a key from standard input")?;
    match give(&socket(&state), &format!("/import?name={}", encoded(credential)), key)? {
        Some(_) => print(&format!("Credential {name} has its key\n")),
        None => bail!("no `portico up {}` is running, and it is needed for this", target.dir),
    }
}

fn reveal(credential: &str, target: &Target) -> anyhow::Result<()> {
    let name = name(credential)?;
    let state = Origin::parse(&target.dir)?.state(target.state.state.as_deref())?;
    let answer = match ask(&socket(&state), &format!("/reveal?name={}", encoded(credential)))? {
        Some(answer) => answer,
        None => stored(&state, &name)?,
    };
    if target.json {
        return print(&format!("{answer:#}\n"));
    }
    match array(&answer["keys"]).first().and_then(|key| key["key"].as_str()) {
        Some(key) => print(&format!("{key}\n")),
        None => bail!("Credential {name} has no key"),
    }
}

/// Nobody runs: the store is free to be looked at.
fn stored(state: &Path, credential: &portico_core::key::Name) -> anyhow::Result<Value> {
    if !state.join("secrets.db").exists() {
        bail!("there are no keys yet: start `portico up` first, or say with --state where they are");
    }
    let store = Store::open(state, KeyLocation::Beside).context("cannot open the secret store")?;
    let mut made = store.reveal(credential)?;
    made.reverse();
    answer::reveal(credential, &made)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// For a query: names have no other characters than these and `/`.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
