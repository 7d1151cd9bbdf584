//! `CustomResourceDefinition` objects, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{
    ApiProduct, Application, Approval, Credential, Developer, Environment, Plan, Portal, Subscription, Team,
};

/// The definitions of all kinds.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        Portal::crd(),
        Environment::crd(),
        ApiProduct::crd(),
        Plan::crd(),
        Team::crd(),
        Developer::crd(),
        Application::crd(),
        Subscription::crd(),
        Credential::crd(),
        Approval::crd(),
    ]
}

/// File names and YAML texts of all definitions. The same code gives the same bytes.
pub fn manifests() -> Vec<(String, String)> {
    Vec::new()
}
