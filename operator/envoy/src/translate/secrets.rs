//! Certificates of listeners, which Envoy asks for by name.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{Secret, TlsCertificate, secret};
use portico_core::key::Name;

use super::{Certificate, wire};

/// The name under which Envoy asks for a certificate.
pub(super) fn resource_name(secret: &Name) -> String {
    format!("tls/{secret}")
}

/// A certificate as Envoy wants it.
pub(super) fn resource(name: &Name, certificate: &Certificate) -> Secret {
    Secret {
        name: resource_name(name),
        r#type: Some(secret::Type::TlsCertificate(TlsCertificate {
            certificate_chain: Some(wire::text(&*certificate.chain)),
            private_key: Some(wire::text(&*certificate.private_key)),
            ..TlsCertificate::default()
        })),
    }
}
