//! Certificates for mutual TLS: of a discovery service, and of those who may use it.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::gateway::Identity;

/// An authority and what it signed, as files.
#[derive(Debug)]
pub struct Mutual {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Mutual {
    /// A new authority, and a certificate for the discovery service `portico`.
    ///
    /// # Panics
    ///
    /// When certificates cannot be made.
    pub fn new() -> Mutual {
        let folder = tempfile::Builder::new().prefix("portico-mutual-").tempdir().expect("a temporary folder");
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate can sign itself");
        let mutual = Mutual { folder, authority };
        fs::create_dir(mutual.service()).expect("a folder");
        fs::write(mutual.service().join("ca.crt"), mutual.authority.pem()).expect("a file");
        mutual.sign("portico", &mutual.service().join("tls.crt"), &mutual.service().join("tls.key"));
        mutual
    }

    /// The folder of the discovery service: `tls.crt`, `tls.key`, `ca.crt`.
    pub fn service(&self) -> PathBuf {
        self.folder.path().join("service")
    }

    /// A certificate of this authority for a gateway that believes `other`'s service.
    pub fn gateway(&self, name: &str, other: &Mutual) -> Identity {
        let file = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        let identity =
            Identity { certificate: file("crt"), private_key: file("key"), authority: other.service().join("ca.crt") };
        self.sign(name, &identity.certificate, &identity.private_key);
        identity
    }

    fn sign(&self, name: &str, certificate: &Path, private_key: &Path) {
        let own = key();
        let signed = named(name).signed_by(&own, &self.authority).expect("the authority can sign");
        fs::write(certificate, signed.pem()).expect("a file");
        fs::write(private_key, own.serialize_pem()).expect("a file");
    }
}

impl Default for Mutual {
    fn default() -> Self {
        Mutual::new()
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("this is a name");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
