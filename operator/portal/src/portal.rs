//! What every page is made with.

use std::fmt;
use std::sync::Arc;

use portico_core::Core;
use portico_core::key::Name;
use portico_crds::PortalSpec;

use crate::api::Answers;
use crate::documents::Documents;
use crate::host::Host;
use crate::limiter::Limiter;
use crate::people::{self, Known, Person, Refusal};
use crate::seal::SealingKey;
use crate::search::Search;
use crate::session::{Session, Sessions, Way, Who};
use crate::shared::Reading;
use crate::sign_in::mail::Outbox;
use crate::sign_in::oidc::Providers;
use crate::tokens::Token;

/// How a portal is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether people sign in by choosing who they are: `Some(true)` whatever the Portal says, `None` where no Portal says how
    /// to sign in. Then the portal answers on this machine only.
    pub local: Option<bool>,
    /// What cookies are sealed with.
    pub key: SealingKey,
}

/// A portal: the core to read, whoever runs it, and who is signed in.
#[derive(Clone)]
pub struct Portal {
    pub(crate) reading: Reading,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) search: Arc<Search>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) providers: Arc<Providers>,
    /// What was answered to writes that may be sent again.
    pub(crate) answers: Arc<Answers>,
    pub(crate) outbox: Arc<Outbox>,
    local: Option<bool>,
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal").field("local", &self.local).finish_non_exhaustive()
    }
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor {
    pub(crate) session: Option<Session>,
    pub(crate) person: Option<Person>,
    /// What a program showed that comes as somebody.
    pub(crate) token: Option<Token>,
    /// Why somebody who has signed in is not let in.
    pub(crate) refusal: Option<Refusal>,
}

impl Portal {
    /// A portal that shows what `reading` says.
    pub fn new(reading: Reading, host: Arc<dyn Host>, settings: Settings) -> Portal {
        let Settings { local, key } = settings;
        Portal {
            reading,
            host,
            outbox: Arc::new(Outbox::new(key.clone())),
            sessions: Arc::new(Sessions::new(key)),
            limiter: Arc::default(),
            search: Arc::default(),
            documents: Arc::default(),
            providers: Arc::default(),
            answers: Arc::default(),
            local,
        }
    }

    /// Whether people sign in by choosing who they are.
    pub(crate) fn is_local(&self, core: &Core) -> bool {
        self.local.unwrap_or_else(|| this_portal(core).is_none_or(|(_, spec)| spec.sign_in.is_none()))
    }

    /// Who has this session now.
    pub(crate) fn visitor(&self, core: &Core, session: Option<Session>) -> Visitor {
        let Some(session) = session else { return Visitor::default() };
        let Some(who) = &session.who else { return Visitor { session: Some(session), ..Visitor::default() } };
        match self.look_up(core, who) {
            Some(Ok(person)) => Visitor { session: Some(session), person: Some(person), ..Visitor::default() },
            Some(Err(refusal)) => Visitor { session: Some(session), refusal: Some(refusal), ..Visitor::default() },
            // They came in by a way that is closed now.
            None => Visitor::default(),
        }
    }

    /// Who a visitor is now who came a while ago: nobody, where the session has ended.
    pub(crate) fn again(&self, core: &Core, visitor: &Visitor) -> Visitor {
        self.visitor(core, visitor.session.clone().filter(|session| self.sessions.still(session)))
    }

    /// Who somebody is that has signed in; `None` where that way to sign in is not open.
    pub(crate) fn look_up(&self, core: &Core, who: &Who) -> Option<Result<Person, Refusal>> {
        let is_enough = match &who.way {
            Way::Local if !self.is_local(core) => return None,
            Way::Local => false,
            Way::Mail => {
                let (_, spec) = this_portal(core)?;
                spec.sign_in?.mail_link?;
                false
            }
            Way::Oidc { issuer, .. } => {
                let (_, spec) = this_portal(core)?;
                let oidc = spec.sign_in?.oidc.filter(|oidc| oidc.issuer == *issuer)?;
                oidc.auto_approve
            }
        };
        let known = Known { mail: &who.mail, name: who.name.as_deref(), groups: &who.groups, is_enough };
        Some(people::find(core, known))
    }
}

/// The Portal that is shown: the first by name, where there are several.
pub(crate) fn this_portal(core: &Core) -> Option<(Name, PortalSpec)> {
    core.portals().min_by(|(one, _), (other, _)| one.cmp(other)).map(|(name, spec)| (name, *spec))
}

/// Whether browsers come by TLS, as the Portal's own address says.
pub(crate) fn is_secure(core: &Core) -> bool {
    this_portal(core).is_some_and(|(_, spec)| spec.url.is_some_and(|url| url.starts_with("https://")))
}
