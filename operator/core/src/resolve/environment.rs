//! Environments: where access is enforced.

use portico_crds::Stage;

use super::Scene;
use crate::diagnostic::Diagnostic;
use crate::gateway::Gateway;
use crate::key::{Kind, Name};

/// An environment as clients and APIs see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EnvironmentView {
    pub(crate) stage: Stage,
    /// What its driver is asked for; `None` where this build has no such driver.
    pub(crate) gateway: Option<Gateway>,
    pub(crate) problems: Vec<Diagnostic>,
}

pub(crate) fn environment(scene: Scene<'_>, name: &Name) -> Option<EnvironmentView> {
    let spec = &scene.world.environments.get(name)?.spec;
    let gateway = spec.gateway.envoy.as_ref().map(|settings| Gateway { settings: settings.clone() });
    let problems = if gateway.is_some() {
        Vec::new()
    } else {
        let key = name.clone().of(Kind::Environment);
        let message = "only the gateway driver `envoy` can enforce access so far";
        vec![
            Diagnostic::error("unsupported-gateway", &key, "spec.gateway", message)
                .help("use `spec.gateway.envoy`; nothing of this environment is enforced"),
        ]
    };
    Some(EnvironmentView { stage: spec.stage, gateway, problems })
}
