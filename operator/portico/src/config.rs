//! Settings of `portico operator` from a file: what flags and the environment do not say.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::CommandFactory;
use serde_yaml::Value;

use crate::cli::Cli;

/// The command line, with what the file of `--config` (or `PORTICO_CONFIG`) says put before what was given. Flags win over the
/// environment, and the environment over the file.
pub fn arguments(
    given: impl IntoIterator<Item = OsString>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> anyhow::Result<Vec<OsString>> {
    let given: Vec<OsString> = given.into_iter().collect();
    if given.get(1).is_none_or(|command| command != "operator") {
        return Ok(given);
    }
    let Some(file) = file(&given).or_else(|| environment("PORTICO_CONFIG").map(PathBuf::from)) else {
        return Ok(given);
    };
    let place = || format!("cannot read the settings in {}", file.display());
    let text = fs::read_to_string(&file).with_context(place)?;
    let values: serde_yaml::Mapping = serde_yaml::from_str(&text).with_context(place)?;
    let command = Cli::command();
    let operator = command.find_subcommand("operator").context("there is no operator")?;
    let mut all: Vec<OsString> = given[..2].to_vec();
    for (key, value) in values {
        let key = key.as_str().with_context(|| format!("{}: a key that is no text", place()))?.to_owned();
        let known = operator.get_arguments().find(|known| {
            known.get_long().is_some_and(|long| camel(long) == key && !["config", "help", "version"].contains(&long))
        });
        let Some(known) = known else {
            let keys: Vec<String> = operator.get_arguments().filter_map(|known| known.get_long().map(camel)).collect();
            bail!("{}: there is no setting `{key}`; there is {}", place(), keys.join(", "));
        };
        let is_said = known.get_env().and_then(OsStr::to_str).is_some_and(|name| environment(name).is_some());
        if !is_said {
            let text = text_of(&value).with_context(|| format!("{}: `{key}` is neither a text nor a list", place()))?;
            let takes_value = known.get_action().takes_values();
            if !takes_value && !matches!(text.as_str(), "true" | "false") {
                bail!("{}: `{key}` is neither true nor false", place());
            }
            if takes_value || text == "true" {
                all.push(format!("--{}", known.get_long().unwrap_or_default()).into());
            }
            if takes_value {
                all.push(text.into());
            }
        }
    }
    all.extend(given[2..].iter().cloned());
    Ok(all)
}

fn file(given: &[OsString]) -> Option<PathBuf> {
    let place = given.iter().position(|word| word == "--config");
    let next = place.and_then(|place| given.get(place + 1)).map(PathBuf::from);
    next.or_else(|| given.iter().find_map(|word| Some(PathBuf::from(word.to_str()?.strip_prefix("--config=")?))))
}

fn camel(long: &str) -> String {
    let mut parts = long.split('-');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(1.min(part.len()));
        text.push_str(&first.to_ascii_uppercase());
        text.push_str(rest);
    }
    text
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Sequence(items) => items.iter().map(text_of).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        Value::Null | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Command;

    fn operator(text: &str, words: &[&str], variable: Option<(&str, &str)>) -> anyhow::Result<crate::cli::Operator> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("portico.yaml");
        fs::write(&file, text).expect("a file");
        let file = file.display().to_string();
        let words = ["portico", "operator", "--config", &file].into_iter().chain(words.iter().copied());
        let environment =
            |name: &str| variable.filter(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let all = arguments(words.map(OsString::from), &environment)?;
        let Command::Operator(options) = Cli::parse_from(all).command else { bail!("another command") };
        Ok(*options)
    }

    #[test]
    fn flags_win_over_the_file() {
        let text = "namespaces: [a, b]\nlease: other\nxds: 127.0.0.1:1\n";
        let options = operator(text, &["--xds", "127.0.0.1:2"], None).expect("it reads");
        assert_eq!((options.namespaces, options.lease.as_str()), (vec!["a".to_owned(), "b".to_owned()], "other"));
        assert_eq!(options.xds, "127.0.0.1:2".parse().expect("an address"));
    }

    #[test]
    fn what_is_on_or_off_is_said_so() {
        let is_on = |text: &str| operator(text, &[], None).map(|options| options.local_sign_in).ok();
        assert_eq!((is_on("localSignIn: true\n"), is_on("localSignIn: false\n")), (Some(true), Some(false)));
        assert_eq!(is_on("localSignIn: perhaps\n"), None);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let options = operator("lease: file\n", &[], Some(("PORTICO_LEASE", "environment"))).expect("it reads");
        assert_ne!(options.lease, "file");
    }

    #[test]
    fn a_mistake_in_the_file_is_said() {
        let error = operator("leaze: other\n", &[], None).expect_err("there is no such setting").to_string();
        assert!(error.contains("`leaze`") && error.contains("lease"), "{error}");
        assert!(operator("lease: { a: b }\n", &[], None).is_err());
        assert!(operator("[\n", &[], None).is_err());
    }
}
