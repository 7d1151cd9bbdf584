//! A folder of desired state, taken in once, without a gateway.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use portico_core::Core;
use portico_core::batch::{Batch, Fact};
use portico_core::delta::Delta;
use portico_core::diagnostic::Diagnostic;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_git::{Options, Reader};

/// A folder, and what the core makes of it.
pub struct Tree {
    pub reader: Reader,
    pub core: Core,
    folder: PathBuf,
}

impl Tree {
    /// Reads a folder as it is. Keys are taken as made and gateways as agreeing, so that it is seen as it will be once it
    /// is enforced.
    pub fn read(folder: &Path) -> anyhow::Result<Tree> {
        if !folder.is_dir() {
            bail!("{} is not a folder", folder.display());
        }
        let mut reader = Reader::folder_with_history(folder, Options::default());
        let mut advance = reader.rescan().with_context(|| format!("cannot read {}", folder.display()))?;
        let now = Timestamp::now();
        let mut core = Core::new();
        reader.recall(&core, &mut advance.changes, &[]).context("cannot read the history of the folder")?;
        let mut facts = Vec::new();
        let mut changes = advance.changes;
        loop {
            let delta = core.apply(Batch { now, changes, facts });
            facts = imagined(&delta, now);
            changes = Vec::new();
            if facts.is_empty() {
                return Ok(Tree { reader, core, folder: folder.to_owned() });
            }
        }
    }

    /// Everything that is wrong, each with its place.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let mut all: Vec<Diagnostic> = self.reader.diagnostics().chain(self.core.diagnostics()).cloned().collect();
        for diagnostic in &mut all {
            if let Err(error) = self.reader.resolve(diagnostic) {
                tracing::debug!(%error, "no place for a diagnostic");
            }
        }
        all.sort_by(|one, other| (&one.place, one).cmp(&(&other.place, other)));
        all.dedup();
        all
    }

    /// The text of a file; none of a link, which may lead to somebody else's.
    pub fn text(&self, file: &str) -> Option<String> {
        let path = self.folder.join(file);
        let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
        is_file.then(|| std::fs::read_to_string(path).ok()).flatten()
    }

    /// The environment that is meant, or the only one.
    pub fn environment(&self, named: Option<&str>) -> anyhow::Result<Name> {
        let mut all: Vec<Name> =
            self.core.objects().filter(|key| key.kind == Kind::Environment).map(|key| key.name).collect();
        all.sort();
        let list = || all.iter().map(Name::to_string).collect::<Vec<_>>().join(", ");
        match named {
            Some(text) => {
                let name = name(text)?;
                if !all.contains(&name) {
                    bail!("there is no Environment {name}; there is {}", list());
                }
                Ok(name)
            }
            None if all.len() == 1 => Ok(all.remove(0)),
            None if all.is_empty() => bail!("there is no Environment in this folder"),
            None => bail!("there are several environments ({}): choose one with --environment", list()),
        }
    }
}

/// What would come of a delta if all went well.
fn imagined(delta: &Delta, now: Timestamp) -> Vec<Fact> {
    let made = delta
        .keys
        .iter()
        .flat_map(|wish| wish.generations.iter().map(|generation| wish.fulfilled(*generation, now, "".into())));
    let confirmed =
        delta.puts.iter().map(|put| Fact::Confirmed { environment: put.key.environment().clone(), serial: put.serial });
    made.chain(confirmed).collect()
}

/// `namespace/name`; a name alone is in the namespace `default`.
pub fn name(text: &str) -> anyhow::Result<Name> {
    let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
    if namespace.is_empty() || name.is_empty() || name.contains('/') {
        bail!("`{text}` is not `namespace/name`");
    }
    Ok(Name::new(namespace, name))
}

/// `kind/namespace/name`; `kind/name` is in the namespace `default`.
pub fn object(text: &str) -> anyhow::Result<ObjectKey> {
    let Some((kind, rest)) = text.split_once('/') else { bail!("`{text}` is not `kind/namespace/name`") };
    let Ok(kind) = kind.parse::<Kind>() else {
        let all: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        bail!("there is no kind `{kind}`; there is {}", all.join(", "));
    };
    Ok(name(rest)?.of(kind))
}
