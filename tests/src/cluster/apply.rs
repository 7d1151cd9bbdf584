//! Objects as YAML texts, into a cluster and out of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::discovery::{self, ApiResource, Scope};
use kube::{Api, Client, Error, ResourceExt};
use serde::Deserialize;

use crate::wait;

/// Who fields belong to that tests set.
const MANAGER: &str = "portico-tests";

pub(super) struct Applied {
    pub(super) objects: Vec<DynamicObject>,
    /// Whether there are definitions of kinds that were not there before.
    pub(super) new_definitions: bool,
}

/// The objects of a text with one or more documents.
///
/// # Panics
///
/// When it is not one: the text is a test's own.
pub(super) fn documents(yaml: &str) -> Vec<DynamicObject> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| serde_yaml::Value::deserialize(document).unwrap_or_else(|error| panic!("{error} in:\n{yaml}")))
        .filter(|document| !document.is_null())
        .map(|document| serde_yaml::from_value(document).unwrap_or_else(|error| panic!("{error} in:\n{yaml}")))
        .collect()
}

pub(super) fn is_definition(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|types| types.kind == "CustomResourceDefinition")
}

/// Applies objects in their order. A kind is in use before the next object that is not a definition, and at the end.
pub(super) async fn apply(client: &Client, namespace: &str, objects: &[DynamicObject]) -> Result<Applied, Error> {
    let params = PatchParams::apply(MANAGER).force().validation_strict();
    let mut kinds = Kinds::new(client, namespace);
    let mut applied = Applied { objects: Vec::new(), new_definitions: false };
    let mut fresh = Vec::new();
    for object in objects {
        if is_definition(object) {
            applied.new_definitions |= kinds.api(object).await?.get_opt(&object.name_any()).await?.is_none();
            fresh.push(object.name_any());
        } else {
            wait_established(client, &mut fresh).await?;
        }
        let made = kinds.api(object).await?.patch(&object.name_any(), &params, &Patch::Apply(object)).await?;
        applied.objects.push(made);
    }
    wait_established(client, &mut fresh).await?;
    Ok(applied)
}

/// Asks for objects to be deleted, the last first.
pub(super) async fn delete(client: &Client, namespace: &str, objects: &[DynamicObject]) -> Result<(), Error> {
    let mut kinds = Kinds::new(client, namespace);
    for object in objects.iter().rev() {
        let outcome = match kinds.api(object).await {
            Ok(api) => api.delete(&object.name_any(), &DeleteParams::background()).await.map(drop),
            Err(error) => Err(error),
        };
        match outcome {
            Err(Error::Api(status)) if status.code == 404 => {}
            // Its definition went before it.
            Err(Error::Discovery(_)) | Ok(()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until definitions are in use, and the server says so to who asks for its kinds.
async fn wait_established(client: &Client, names: &mut Vec<String>) -> Result<(), Error> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in names.drain(..) {
        let begun = Instant::now();
        loop {
            let definition = definitions.get(&name).await?;
            if is_established(&definition) && is_known(client, &definition).await {
                break;
            }
            assert!(begun.elapsed() < wait::PATIENCE, "{name} is not established: {:?}", definition.status);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Established" && condition.status == "True")
}

async fn is_known(client: &Client, definition: &CustomResourceDefinition) -> bool {
    let spec = &definition.spec;
    for version in spec.versions.iter().filter(|version| version.served) {
        let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
        if discovery::pinned_kind(client, &kind).await.is_err() {
            return false;
        }
    }
    true
}

/// How the server calls kinds. It is asked once for each.
struct Kinds<'a> {
    client: &'a Client,
    namespace: &'a str,
    known: HashMap<GroupVersionKind, (ApiResource, Scope)>,
}

impl<'a> Kinds<'a> {
    fn new(client: &'a Client, namespace: &'a str) -> Kinds<'a> {
        Kinds { client, namespace, known: HashMap::new() }
    }

    async fn api(&mut self, object: &DynamicObject) -> Result<Api<DynamicObject>, Error> {
        let types = object.types.as_ref().expect("an object has apiVersion and kind");
        let kind = GroupVersionKind::try_from(types).expect("apiVersion is one");
        if !self.known.contains_key(&kind) {
            let (resource, capabilities) = discovery::pinned_kind(self.client, &kind).await?;
            self.known.insert(kind.clone(), (resource, capabilities.scope));
        }
        let (resource, scope) = &self.known[&kind];
        Ok(match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
            Scope::Namespaced => {
                let namespace = object.namespace().unwrap_or_else(|| self.namespace.to_owned());
                Api::namespaced_with(self.client.clone(), &namespace, resource)
            }
        })
    }
}
