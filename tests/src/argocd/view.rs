//! What Argo CD says of an Application.

use std::fmt;

use serde_json::Value;

/// An Application as its users see it.
#[derive(Clone, Debug)]
pub struct View {
    /// `Synced`, `OutOfSync` or `Unknown`; empty before it has been compared.
    pub sync: String,
    /// `Healthy`, `Progressing`, `Suspended`, `Degraded`, `Missing` or `Unknown`; empty before it has been looked at.
    pub health: String,
    /// The commit that it was compared with.
    pub revision: String,
    /// What became of the last sync: `Running`, `Succeeded`, `Failed`, `Error`; empty where there was none.
    pub phase: String,
    /// What it says of the last sync.
    pub message: String,
    /// Its objects.
    pub resources: Vec<Resource>,
    /// All there is of it.
    pub object: Value,
}

/// An object that an Application has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The kind.
    pub kind: String,
    /// The namespace; empty where it is in none.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// `Synced` or `OutOfSync`.
    pub sync: String,
    /// As of [`View::health`]; empty where its kind has none.
    pub health: String,
    /// Why.
    pub message: String,
}

impl View {
    pub(super) fn of(object: Value) -> View {
        let status = &object["status"];
        View {
            sync: text(&status["sync"]["status"]),
            health: text(&status["health"]["status"]),
            revision: text(&status["sync"]["revision"]),
            phase: text(&status["operationState"]["phase"]),
            message: text(&status["operationState"]["message"]),
            resources: status["resources"].as_array().into_iter().flatten().map(Resource::of).collect(),
            object,
        }
    }

    /// Whether a sync goes on, or is about to.
    pub fn is_busy(&self) -> bool {
        self.phase == "Running" || !self.object["operation"].is_null()
    }

    /// One of its objects.
    pub fn resource(&self, kind: &str, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.kind == kind && resource.name == name)
    }
}

impl fmt::Display for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View { sync, health, revision, phase, message, resources, object } = self;
        writeln!(formatter, "{sync} {health} at {revision:?}, last sync {phase} {message:?}")?;
        for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
            writeln!(formatter, "  {}", text(&condition["message"]))?;
        }
        for result in object["status"]["operationState"]["syncResult"]["resources"].as_array().into_iter().flatten() {
            if result["status"] != "Synced" {
                writeln!(formatter, "  {}: {}", text(&result["name"]), text(&result["message"]))?;
            }
        }
        for Resource { kind, namespace, name, sync, health, message } in resources {
            writeln!(formatter, "  {kind} {namespace}/{name}: {sync} {health} {message}")?;
        }
        Ok(())
    }
}

impl Resource {
    fn of(value: &Value) -> Resource {
        Resource {
            kind: text(&value["kind"]),
            namespace: text(&value["namespace"]),
            name: text(&value["name"]),
            sync: text(&value["status"]),
            health: text(&value["health"]["status"]),
            message: text(&value["health"]["message"]),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
