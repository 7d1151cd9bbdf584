//! Whether a commit is signed, and with which key.

use std::sync::Arc;

use portico_core::batch::Signature;
use ssh_key::{PublicKey, SshSig};

use crate::commit::{CommitId, Repository};

/// What Git signs commits for.
const NAMESPACE: &str = "git";

impl Repository {
    /// What a commit's signature is worth. Only SSH signatures are verified.
    pub(crate) fn signature(&self, commit: CommitId) -> Signature {
        let (signature, signed) = match self.git.extract_signature(&commit.0, None) {
            Ok(found) => found,
            Err(error) if error.code() == git2::ErrorCode::NotFound => return Signature::None,
            Err(error) => return Signature::Bad(error.message().into()),
        };
        let Ok(text) = std::str::from_utf8(&signature) else { return Signature::Bad("it is not text".into()) };
        verified(text.trim(), &signed).map_or_else(Signature::Bad, Signature::Good)
    }
}

/// The public key that made this signature, or why that is not so.
fn verified(signature: &str, signed: &[u8]) -> Result<Arc<str>, Arc<str>> {
    if !signature.starts_with("-----BEGIN SSH SIGNATURE-----") {
        return Err("only SSH signatures are verified, and it is of another kind".into());
    }
    let signature = SshSig::from_pem(signature).map_err(|error| format!("it does not read: {error}"))?;
    let mut key = PublicKey::from(signature.public_key().clone());
    key.verify(NAMESPACE, signed, &signature).map_err(|error| match error {
        ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. } => {
            format!("keys of the kind {} are not verified: use Ed25519 or ECDSA", key.algorithm())
        }
        error => format!("it is not one of this commit: {error}"),
    })?;
    key.set_comment("");
    let text = key.to_openssh().map_err(|error| format!("its key does not read: {error}"))?;
    Ok(text.trim().into())
}
