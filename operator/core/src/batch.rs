//! What goes in: changes of desired state, and facts that neighbours report.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::{
    ApiProductSpec, ApplicationSpec, ApprovalSpec, CredentialSpec, DeveloperSpec, EnvironmentSpec, PlanSpec,
    PortalSpec, SubscriptionSpec, TeamSpec,
};
use serde::Serialize;

use crate::diagnostic::Diagnostic;
use crate::key::{Kind, Name, ObjectKey};
use crate::world::World;

/// What an object says, by kind. Written down it is what stands below `spec`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is named after its kind")]
pub enum Spec {
    Portal(Box<PortalSpec>),
    Environment(Box<EnvironmentSpec>),
    ApiProduct(Box<ApiProductSpec>),
    Plan(Box<PlanSpec>),
    Team(Box<TeamSpec>),
    Developer(Box<DeveloperSpec>),
    Application(Box<ApplicationSpec>),
    Subscription(Box<SubscriptionSpec>),
    Approval(Box<ApprovalSpec>),
    Credential(Box<CredentialSpec>),
}

impl Spec {
    /// The kind that has such a spec.
    pub fn kind(&self) -> Kind {
        match self {
            Spec::Portal(_) => Kind::Portal,
            Spec::Environment(_) => Kind::Environment,
            Spec::ApiProduct(_) => Kind::ApiProduct,
            Spec::Plan(_) => Kind::Plan,
            Spec::Team(_) => Kind::Team,
            Spec::Developer(_) => Kind::Developer,
            Spec::Application(_) => Kind::Application,
            Spec::Subscription(_) => Kind::Subscription,
            Spec::Approval(_) => Kind::Approval,
            Spec::Credential(_) => Kind::Credential,
        }
    }
}

/// An object of desired state as a front end read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The namespace and name.
    pub name: Name,
    /// `metadata.generation` in Kubernetes; absent elsewhere.
    pub generation: Option<i64>,
    /// When it first existed; orders those who compete for a limited number of places.
    pub created: Option<Timestamp>,
    /// Who made it say that, where it matters and somebody can tell: of an Approval and of a Subscription. `None`: nobody
    /// knows more than the object says of itself.
    pub author: Option<Arc<Author>>,
    /// What it says.
    pub spec: Spec,
}

/// Who made an object say what it says now. It is what the front end saw, never what the object claims.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Author {
    /// The author of the Git commit since which it says so.
    Commit {
        /// The author's mail address, as the commit has it.
        mail: Arc<str>,
        /// The commit's id.
        commit: Arc<str>,
        /// Whether it is signed.
        signature: Signature,
        /// The Portal whose repository it is; `None` where all objects come from one repository.
        portal: Option<Name>,
    },
    /// Whom the API server knew.
    User {
        /// The user's name: a mail address, where people sign in with one.
        name: Arc<str>,
        /// The user's groups at that time.
        groups: Vec<Arc<str>>,
    },
    /// Somebody in Git, and it cannot be told who, for this reason.
    Unknown(Arc<str>),
}

/// What is known of a commit's signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Signature {
    /// It has none.
    None,
    /// It is good for this SSH key, in the form `ssh-ed25519 AAAA…`. Whose key that is, a Portal says.
    Good(Arc<str>),
    /// It has one that is not good, or that cannot be verified, for this reason.
    Bad(Arc<str>),
}

impl Object {
    /// Kind and name.
    pub fn key(&self) -> ObjectKey {
        self.name.clone().of(self.spec.kind())
    }

    /// What it refers to whose deletion has a policy: the plans of a Subscription, the products of a Plan.
    pub fn relies_on(&self) -> Vec<ObjectKey> {
        match &self.spec {
            Spec::Subscription(spec) => asked(spec, &self.name).map(|plan| plan.of(Kind::Plan)).collect(),
            Spec::Plan(spec) => covered(spec, &self.name).map(|product| product.of(Kind::ApiProduct)).collect(),
            Spec::Portal(_)
            | Spec::Environment(_)
            | Spec::ApiProduct(_)
            | Spec::Team(_)
            | Spec::Developer(_)
            | Spec::Application(_)
            | Spec::Approval(_)
            | Spec::Credential(_) => Vec::new(),
        }
    }
}

/// The plans that a subscription asks for: its own, and the one that it wants to change to.
pub(crate) fn asked(spec: &SubscriptionSpec, name: &Name) -> impl Iterator<Item = Name> + use<> {
    let plan = World::resolve(&spec.plan, name);
    let change = spec.change.as_ref().map(|change| World::resolve(&change.plan, name));
    [plan].into_iter().chain(change)
}

/// The products that a plan covers.
pub(crate) fn covered(spec: &PlanSpec, name: &Name) -> impl Iterator<Item = Name> {
    spec.products.iter().map(|product| World::resolve_product(product, name))
}

/// Who was there when something was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It was deleted at this moment: who is younger came later.
    At(Timestamp),
    /// It is in no file any more, and these are from a later commit.
    Before(BTreeSet<ObjectKey>),
}

/// An OpenAPI document that a product refers to. Front ends read it, from a file or a `ConfigMap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The text as it stands, or why there is none.
    pub text: Result<Arc<str>, String>,
    /// What it said when it last read well, where it does not now and the front end has a history to look at.
    pub last: Option<Arc<str>>,
}

impl Document {
    /// One of which no more is known than how it stands.
    pub fn new(text: Result<Arc<str>, String>) -> Document {
        Document { text, last: None }
    }
}

/// One change of desired state.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The object is new or says something else now.
    Put(Object),
    /// The object is no longer there.
    Remove(ObjectKey),
    /// A product or a plan was deleted. What comes of it says the `deletionPolicy` that it had last, and who holds it: see
    /// [`crate::Core::guard`]. It counts as deleted until it is put again, or removed.
    Delete {
        /// Which one.
        key: ObjectKey,
        /// What it said last; `None` where that was told before.
        said: Option<Object>,
        /// Who came later.
        deletion: Deletion,
    },
    /// The OpenAPI document of a product's version.
    Document {
        /// The product.
        product: Name,
        /// The name of the version.
        version: String,
        /// What was found; `None` takes it away.
        document: Option<Document>,
    },
    /// All that the front end has to say against this object's text (empty: nothing any more).
    /// An object that cannot be read keeps what it said before.
    Findings(ObjectKey, Vec<Diagnostic>),
}

/// How a subscription stands with the payment provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payment {
    /// There is a payment card; nothing was paid with it yet.
    Card,
    /// What is due is paid.
    Paid,
    /// It was not possible to charge what is due.
    Failed,
}

/// Something that a neighbour did or saw. Facts are not desired state: they survive a revert.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A key was made for a generation of a credential, at a moment. Reported once more after a restart.
    KeyMade {
        /// The credential.
        credential: Name,
        /// Which of its generations.
        generation: i64,
        /// See [`crate::delta::KeyWish::asked`].
        asked: i64,
        /// When.
        at: Timestamp,
        /// When it ends, by the rule that held when it was made.
        expires: Option<Timestamp>,
        /// A digest that identifies the key and does not give it away.
        fingerprint: Arc<str>,
    },
    /// The key that a credential is to import was not taken.
    NotImported {
        /// The credential.
        credential: Name,
        /// Why.
        why: Arc<str>,
    },
    /// The keys of these generations of a credential are gone for good.
    KeysGone {
        /// The credential.
        credential: Name,
        /// Which of its generations.
        generations: Vec<i64>,
    },
    /// A subscription was cancelled at this moment, as [`crate::delta::Delta::ended`] said once. Reported once more after a
    /// restart: what was cancelled does not begin again.
    Ended {
        /// The subscription.
        subscription: Name,
        /// When its end took effect.
        at: Timestamp,
    },
    /// The plan that a subscription was on last, as [`crate::delta::Delta::on`] said, where its file may name another by now.
    /// Reported once more after a restart: what a subscription has serves until it is granted what its file asks for.
    On {
        /// The subscription.
        subscription: Name,
        /// The plan, or a copy of it that was made for the application.
        plan: Name,
    },
    /// Whether there is a payment provider. While there is none, nothing has to be paid.
    PaymentProvider {
        /// Whether there is.
        set: bool,
    },
    /// What the payment provider says of a subscription.
    Payment {
        /// The subscription.
        subscription: Name,
        /// `None`: nothing yet, or no longer.
        state: Option<Payment>,
    },
    /// A gateway confirmed every output of the environment up to and including this serial.
    Confirmed {
        /// The environment.
        environment: Name,
        /// See [`crate::delta::Put::serial`].
        serial: u64,
    },
    /// A gateway takes what it refused before: the reason was not in it, such as a port that was in use.
    Accepted {
        /// The environment.
        environment: Name,
        /// The objects whose outputs are in it.
        objects: Vec<ObjectKey>,
    },
    /// A gateway refused an output; what it enforced before goes on.
    Refused {
        /// The environment.
        environment: Name,
        /// The objects whose outputs were in what it refused.
        objects: Vec<ObjectKey>,
        /// In the gateway's words.
        message: String,
    },
}

/// What happened since the last batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The moment of this batch. The core knows no other clock.
    pub now: Timestamp,
    /// Changes of desired state, in any order; of two about one object the later holds.
    pub changes: Vec<Change>,
    /// What neighbours report.
    pub facts: Vec<Fact>,
}
