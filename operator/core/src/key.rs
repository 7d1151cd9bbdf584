//! Names of things: which kind, which namespace, which object.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use arcstr::ArcStr;
use serde::{Serialize, Serializer};

/// The kinds of the group `portico.dev`, in the order in which they depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Kind {
    /// The developer portal itself.
    Portal,
    /// A place where access is enforced.
    Environment,
    /// An API that can be subscribed to.
    ApiProduct,
    /// The terms on which products are offered.
    Plan,
    /// People who own applications.
    Team,
    /// One person's account.
    Developer,
    /// A consumer of APIs.
    Application,
    /// An application's wish for a plan.
    Subscription,
    /// An owner's answer to a subscription.
    Approval,
    /// A key or client of an application.
    Credential,
}

impl Kind {
    /// Every kind, parents before children.
    pub const ALL: [Kind; 10] = [
        Kind::Portal,
        Kind::Environment,
        Kind::ApiProduct,
        Kind::Plan,
        Kind::Team,
        Kind::Developer,
        Kind::Application,
        Kind::Subscription,
        Kind::Approval,
        Kind::Credential,
    ];

    /// The name as written in `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Portal => "Portal",
            Kind::Environment => "Environment",
            Kind::ApiProduct => "ApiProduct",
            Kind::Plan => "Plan",
            Kind::Team => "Team",
            Kind::Developer => "Developer",
            Kind::Application => "Application",
            Kind::Subscription => "Subscription",
            Kind::Approval => "Approval",
            Kind::Credential => "Credential",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();

    /// Reads a kind as written in `kind:`; case is ignored, so that command lines may say `plan/x`.
    fn from_str(text: &str) -> Result<Self, ()> {
        Kind::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}

/// `namespace/name`, the identity of an object within its kind. One pointer, since there are millions of them; a front end
/// that takes in many makes sure that equal ones are the same ([`Interner`](crate::intern::Interner)).
///
/// A namespace has no `/` in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(ArcStr);

impl Name {
    /// A name from its two parts.
    pub fn new(namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        Name(arcstr::format!("{}/{}", namespace.as_ref(), name.as_ref()))
    }

    /// Whether others hold the same one.
    pub(crate) fn is_shared(&self) -> bool {
        ArcStr::strong_count(&self.0).is_none_or(|count| count > 1)
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or(("", &self.0))
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        self.parts().1
    }

    /// Another object of the same namespace.
    #[must_use]
    pub fn beside(&self, name: impl AsRef<str>) -> Self {
        Name::new(self.namespace(), name)
    }

    /// The same name as a key of `kind`.
    pub fn of(self, kind: Kind) -> ObjectKey {
        ObjectKey { kind, name: self }
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The identity of an object: its kind and its name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// The namespace and name.
    pub name: Name,
}

impl ObjectKey {
    /// A key from its three parts.
    pub fn new(kind: Kind, namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        ObjectKey { kind, name: Name::new(namespace, name) }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ObjectKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}/{}", self.kind, self.name))
    }
}
