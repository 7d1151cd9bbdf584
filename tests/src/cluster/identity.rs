//! Who is who in a cluster: certificates, keys and tokens, made anew for each.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rcgen::{KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};

use super::programs::write;

#[derive(Debug)]
pub(super) struct Identity {
    /// The certificate of the authority, as a PEM file.
    pub(super) authority: PathBuf,
    /// The same, as DER.
    pub(super) authority_der: Vec<u8>,
    /// The token of the administrator.
    pub(super) admin: String,
    /// The token of the controller manager.
    pub(super) controllers: String,
}

impl Identity {
    /// Makes all that the programs of a cluster need to know each other, as files in its folder.
    pub(super) fn create(folder: &Path) -> Identity {
        let mut params = named("portico test authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate can sign itself");
        let authority = write(&folder.join("authority.crt"), &issuer.pem());

        let mut params = named("kube-apiserver", &["127.0.0.1", "localhost", "kubernetes.default.svc"]);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = key();
        let certificate = params.signed_by(&server, &issuer).expect("the authority can sign");
        write(&folder.join("server.crt"), &certificate.pem());
        write(&folder.join("server.key"), &server.serialize_pem());

        // Signs the tokens of service accounts.
        let accounts = key();
        write(&folder.join("accounts.key"), &accounts.serialize_pem());
        write(&folder.join("accounts.pub"), &accounts.public_key_pem());

        let (admin, controllers) = (token(), token());
        let tokens = format!(
            "{admin},admin,admin,\"system:masters\"\n\
             {controllers},system:kube-controller-manager,system:kube-controller-manager\n"
        );
        write(&folder.join("tokens.csv"), &tokens);
        Identity { authority, authority_der: issuer.der().to_vec(), admin, controllers }
    }
}

fn named(name: &str, alternatives: &[&str]) -> CertificateParams {
    let alternatives: Vec<_> = alternatives.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(alternatives).expect("these are names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

fn token() -> String {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).expect("random bytes");
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory takes all");
        text
    })
}
