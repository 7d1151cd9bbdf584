//! The repository that a Portal names: how it is reached, and where its copies are.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use portico_core::key::Name;
use portico_crds::PortalGit;
use portico_git::watch::Auth;

use super::held::Held;

/// The text of a Portal's credentials, if it needs any, or why it is not there.
pub fn credentials(portal: &Name, git: &PortalGit, held: &Held) -> Result<Option<String>, String> {
    let Some(secret) = &git.credentials else { return Ok(None) };
    let name = portal.beside(&secret.name);
    held.only(&name, secret.key.as_deref()).map(Some).ok_or_else(|| {
        format!(
            "there is no Secret `{}` with the label `portico.dev/secret: git` and the key of its credentials",
            secret.name
        )
    })
}

/// What a Portal's copies are in: another folder for another repository, so that nothing of the one before is read.
pub fn folder(portal: &Name, git: &PortalGit) -> String {
    let safe = |text: &str| {
        text.bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("-{byte:02x}") },
            )
            .collect::<String>()
    };
    let mut place = safe(&format!("{}#{}", git.repository, git.branch));
    place.truncate(160);
    format!("{}.{}.{place}", portal.namespace(), portal.name())
}

/// Where it is.
pub fn url(git: &PortalGit) -> String {
    if git.repository.starts_with('/') { format!("file://{}", git.repository) } else { git.repository.clone() }
}

/// How to be let in: a private key is written into `folder`, which is made if it is not there.
pub fn auth(credentials: Option<&str>, folder: &Path) -> io::Result<Auth> {
    std::fs::create_dir_all(folder)?;
    Ok(match credentials.map(str::trim) {
        None => Auth::Git,
        Some(key) if key.starts_with("-----BEGIN") => {
            let path = folder.join("portico-key");
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            writeln!(file, "{key}")?;
            Auth::SshKey(path)
        }
        Some(token) => Auth::Token { user: "portico".to_owned(), token: token.to_owned() },
    })
}
