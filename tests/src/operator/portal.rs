//! The portal of an operator, and who uses it.

use std::net::SocketAddr;

use super::{Setup, Tenancy};
use crate::ports;

impl Tenancy {
    /// An operator with a portal in which one may be anybody, and where that is.
    pub fn operator_with_portal(&self, identity: &str) -> (Setup, SocketAddr) {
        let portal = ports::free_address();
        let arguments = ["--portal", &portal.to_string(), "--local-sign-in"];
        (self.operator_as(identity, self.installed(true)).arguments(arguments), portal)
    }

    /// A Portal that writes to a repository and believes its authors, and a team of `shop` in which Sara may do everything.
    pub fn portal(&self, repository: &str) -> String {
        format!(
            "apiVersion: portico.dev/v1alpha1\nkind: Portal\nmetadata: {{ name: main, namespace: platform }}\nspec:\n  title: APIs\n  \
             git: {{ repository: '{repository}', identities: GitAuthor }}\n---\n\
             apiVersion: portico.dev/v1alpha1\nkind: Team\nmetadata: {{ name: shop, namespace: shop }}\nspec:\n  title: Shop\n  \
             members: [{{ mail: sara@acme.example, access: {{ teams: Full, credentials: Full }} }}]\n"
        )
    }
}
