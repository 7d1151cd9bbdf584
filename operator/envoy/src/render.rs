//! Shows the resources of an environment to people, in the form in which Envoy's own documentation writes them.
//!
//! What is shown is what [`crate::server`] would send, made by the same code. Keys and private keys are stood in for by a
//! few words: they are in the secret store, and nowhere else.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use portico_core::api_key::ApiKey;
use portico_core::delta::{Output, OutputKey, Put};
use portico_core::key::{Name, ObjectKey};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::server::{Event, Server};
use crate::translate::{Certificate, CertificateSource, KeySource, Options, Resource, Type};

/// The descriptors of the messages that Portico sends; `scripts/generate` makes them.
static DESCRIPTORS: &[u8] = include_bytes!("render/descriptors.binpb");

/// The files whose messages Portico sends, by their paths in the descriptors.
#[cfg(test)]
const FILES: [&str; 19] = [
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/core/v3/extension.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/extensions/access_loggers/file/v3/file.proto",
    "envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.proto",
    "envoy/extensions/filters/http/composite/v3/composite.proto",
    "envoy/extensions/filters/http/cors/v3/cors.proto",
    "envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata.proto",
    "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto",
    "envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.proto",
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
    "envoy/type/matcher/v3/http_inputs.proto",
    "xds/type/matcher/v3/matcher.proto",
];

/// What an environment's gateway would be given.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The resources, by type and name.
    pub resources: Value,
    /// What cannot be said to Envoy: the objects that it comes from, and why.
    pub refused: Vec<(Vec<ObjectKey>, String)>,
}

/// The resources could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The descriptors that were built in.
    #[error("the descriptors of Envoy's messages cannot be read")]
    Descriptors(#[source] &'static prost_reflect::DescriptorError),
    /// There is no descriptor for a type.
    #[error("there is no descriptor for {0}")]
    Unknown(String),
    /// A resource does not read as what it says it is.
    #[error("the resource {name} cannot be decoded")]
    Decode {
        /// Its name.
        name: String,
        /// Why.
        source: prost::DecodeError,
    },
    /// A resource cannot be written as JSON.
    #[error("the resource {name} cannot be written as JSON")]
    Json {
        /// Its name.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Shows all that these outputs make of an environment.
pub fn render(
    environment: &Name,
    outputs: impl IntoIterator<Item = (OutputKey, Output)>,
) -> Result<Rendered, RenderError> {
    let puts = outputs.into_iter().filter(|(key, _)| key.environment() == environment);
    let mut puts: Vec<Put> = puts.map(|(key, output)| Put { key, output, serial: 1, replaces: false }).collect();
    puts.sort_by(|one, other| one.key.cmp(&other.key));
    let stand_ins = Arc::new(StandIns::default());
    let (server, mut events) = Server::new(stand_ins.clone(), stand_ins.clone(), Options::default());
    server.update(environment, Vec::new(), puts);
    let mut refused = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Refused { objects, message, .. } = event {
            refused.push((objects, message));
        }
    }
    let mut types: Map<String, Value> = Map::new();
    for (kind, name, resource) in server.shown(environment).unwrap_or_default() {
        let mut shown = show(&name, &resource)?;
        stand_ins.name_keys(&mut shown);
        let of_kind = types.entry(heading(kind)).or_insert_with(|| json!({}));
        of_kind[name] = shown;
    }
    Ok(Rendered { resources: Value::Object(types), refused })
}

fn heading(kind: Type) -> String {
    let heading = match kind {
        Type::Extension => "extensions",
        Type::Secret => "secrets",
        Type::Cluster => "clusters",
        Type::Listener => "listeners",
        Type::Route => "routes",
    };
    heading.to_owned()
}

fn show(name: &str, resource: &Resource) -> Result<Value, RenderError> {
    static POOL: LazyLock<Result<DescriptorPool, prost_reflect::DescriptorError>> =
        LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS));
    let pool = POOL.as_ref().map_err(RenderError::Descriptors)?;
    let kind = resource.body.type_url.rsplit('/').next().unwrap_or_default();
    let descriptor = pool.get_message_by_name(kind).ok_or_else(|| RenderError::Unknown(kind.to_owned()))?;
    let message = DynamicMessage::decode(descriptor, resource.body.value.as_slice())
        .map_err(|source| RenderError::Decode { name: name.to_owned(), source })?;
    let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|source| RenderError::Json { name: name.to_owned(), source })
}

/// Keys and certificates that are none: the translation is the same for any.
#[derive(Default)]
struct StandIns {
    /// What each key stands for.
    keys: Mutex<HashMap<String, String>>,
}

impl StandIns {
    /// Puts words in the place of keys.
    fn name_keys(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(words) = keys.get(text.as_str()) {
                    text.clone_from(words);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.name_keys(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.name_keys(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl KeySource for StandIns {
    fn key(&self, credential: &Name, generation: i64) -> Option<ApiKey> {
        let words = format!("[key {generation} of Credential {credential}]");
        // The same in every run, so that what is shown can be compared.
        let digest = Sha256::digest(&words);
        let key = ApiKey::from_random(*digest.first_chunk()?);
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.expose().to_owned(), words);
        Some(key)
    }
}

impl CertificateSource for StandIns {
    fn certificate(&self, secret: &Name) -> Option<Certificate> {
        let part = |key: &str| format!("[{key} of Secret {secret}]");
        Some(Certificate { chain: part("tls.crt"), private_key: part("tls.key") })
    }

    fn authorities(&self, secret: &Name, key: Option<&str>) -> Option<String> {
        Some(format!("[{} of Secret {secret}]", key.unwrap_or("ca.crt")))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;

    /// Where the crate `envoy-types` keeps the files that its types were made from.
    fn protos() -> PathBuf {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--locked"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let packages = metadata["packages"].as_array().expect("packages");
        let found = packages.iter().find(|package| package["name"] == "envoy-types").expect("it is a dependency");
        Path::new(found["manifest_path"].as_str().expect("a path")).with_file_name("proto")
    }

    #[test]
    fn descriptors_are_current() {
        let protos = protos();
        let mut folders: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(&protos).expect("the files are there") {
            let folder = entry.expect("it can be listed").path();
            folders.extend([folder.join("proto"), folder.clone()].into_iter().filter(|folder| folder.is_dir()));
        }
        let mut compiler = protox::Compiler::new(&folders).expect("folders to look in");
        compiler.include_imports(true).include_source_info(false);
        compiler.open_files(FILES).expect("they compile");
        let made = compiler.encode_file_descriptor_set();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/descriptors.binpb");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &made).expect("it can be written");
        }
        let found = std::fs::read(&path).expect("it can be read");
        assert!(found == made, "{} is not current; run: make generate", path.display());
    }
}
