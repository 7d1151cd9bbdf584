//! What an OpenID Connect provider is asked: its configuration and keys, and whom a code is for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IdTokenFields, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse, UserInfoClaims,
};
use portico_crds::OidcSignIn;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// So long a provider's configuration and keys are used before they are asked for again.
pub(super) const KEPT: Duration = Duration::from_mins(15);
/// So old they may be where something does not fit them that anybody may have sent.
pub(super) const ASKED_ANEW: Duration = Duration::from_secs(5);
/// So long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const MOST: usize = 1 << 20;

/// Claims besides those that every provider has.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Others(HashMap<String, Value>);

impl AdditionalClaims for Others {}

type Fields = IdTokenFields<
    Others,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// A client of which the addresses are set as far as the provider's configuration has them.
type Oidc = Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The provider cannot be asked, or what it says cannot be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    /// What the Portal says of it is no address.
    #[error("the Portal names no address of a provider: {0}")]
    Address(#[from] openidconnect::url::ParseError),
    /// Its configuration.
    #[error("its configuration cannot be read: {0}")]
    Discovery(String),
    /// It does not say where codes become tokens.
    #[error("it takes no codes: {0}")]
    Configuration(#[from] openidconnect::ConfigurationError),
    /// The code.
    #[error("it does not take the code: {0}")]
    Code(String),
    /// There is no identity in what it answers.
    #[error("it says nothing of who has signed in")]
    Nobody,
    /// What it knows of the person.
    #[error("it does not tell who that is: {0}")]
    Person(String),
    /// The identity does not hold.
    #[error("what it says of who has signed in does not hold: {0}")]
    Claims(#[from] openidconnect::ClaimsVerificationError),
}

/// An answer from elsewhere did not come.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the system's certificates cannot be read: {0}")]
    Certificates(std::io::Error),
    #[error("it cannot be reached: {0}")]
    Reach(#[from] hyper_util::client::legacy::Error),
    #[error("its answer is cut off or too long: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("it has not answered within {}s", PATIENCE.as_secs())]
    Slow,
}

/// What somebody has to bring back, and where to send them.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) url: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

/// Who has signed in, as the provider says.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) subject: String,
    pub(super) session: Option<String>,
    /// An address that the provider does not say it has not verified.
    pub(super) mail: Option<String>,
    pub(super) name: Option<String>,
    pub(super) groups: Vec<String>,
}

type Known = HashMap<String, (Instant, Arc<CoreProviderMetadata>)>;

/// Providers' configurations and keys, by issuer.
#[derive(Default)]
pub(crate) struct Providers {
    known: Mutex<Known>,
    /// One asks at a time, and the others have the answer of that one.
    asking: tokio::sync::Mutex<()>,
    /// Logout tokens that were taken, by issuer and their own name, until when they would be taken.
    heard: Mutex<HashMap<(String, String), i64>>,
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Providers").finish_non_exhaustive()
    }
}

/// The portal, as the provider knows it.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    pub(super) oidc: OidcSignIn,
    pub(super) secret: Option<String>,
    /// Where people come back to.
    pub(super) back: String,
}

impl Providers {
    /// A provider's configuration. What is known is taken while it is younger than that.
    pub(super) async fn metadata(
        &self,
        issuer: &str,
        younger: Duration,
    ) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let young =
            || known().get(issuer).filter(|(at, _)| at.elapsed() < younger).map(|(_, metadata)| metadata.clone());
        if let Some(metadata) = young() {
            return Ok(metadata);
        }
        let _asking = self.asking.lock().await;
        if let Some(metadata) = young() {
            return Ok(metadata);
        }
        let url = IssuerUrl::new(issuer.to_owned())?;
        let found = CoreProviderMetadata::discover_async(url, &fetch).await;
        let found = Arc::new(found.map_err(|error| ProviderError::Discovery(chain(&error)))?);
        known().insert(issuer.to_owned(), (Instant::now(), found.clone()));
        Ok(found)
    }

    /// Whether a logout token of an issuer is heard for the first time.
    pub(super) fn hears(&self, issuer: &str, token: &str, until: i64, now: i64) -> bool {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|_, until| *until > now);
        heard.insert((issuer.to_owned(), token.to_owned()), until).is_none()
    }

    /// Where somebody goes to sign in.
    pub(super) async fn leave(&self, portal: &Registered) -> Result<Departure, ProviderError> {
        let metadata = self.metadata(&portal.oidc.issuer, KEPT).await?;
        let client = Oidc::from_provider_metadata(
            (*metadata).clone(),
            ClientId::new(portal.oidc.client_id.clone()),
            portal.secret.clone().map(ClientSecret::new),
        )
        .set_redirect_uri(RedirectUrl::new(portal.back.clone())?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .add_scope(Scope::new("profile".to_owned()))
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(challenge);
        for scope in &portal.oidc.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        Ok(Departure {
            url: url.to_string(),
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
        })
    }

    /// Who has come back with a code.
    pub(super) async fn arrive(
        &self,
        portal: &Registered,
        code: String,
        nonce: String,
        verifier: String,
    ) -> Result<Identity, ProviderError> {
        let client = |metadata: &CoreProviderMetadata| {
            Oidc::from_provider_metadata(
                metadata.clone(),
                ClientId::new(portal.oidc.client_id.clone()),
                portal.secret.clone().map(ClientSecret::new),
            )
        };
        let metadata = self.metadata(&portal.oidc.issuer, KEPT).await?;
        let known = client(&metadata).set_redirect_uri(RedirectUrl::new(portal.back.clone())?);
        let exchange = known
            .exchange_code(AuthorizationCode::new(code))?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier))
            .request_async(&fetch);
        let tokens = exchange.await.map_err(|error| ProviderError::Code(chain(&error)))?;
        let token = tokens.id_token().ok_or(ProviderError::Nobody)?;
        let nonce = Nonce::new(nonce);
        let claims = if let Ok(claims) = token.claims(&known.id_token_verifier(), &nonce) {
            claims
        } else {
            // It may have new keys.
            let metadata = self.metadata(&portal.oidc.issuer, Duration::ZERO).await?;
            token.claims(&client(&metadata).id_token_verifier(), &nonce)?
        };
        let wanted = portal.oidc.groups_claim.as_deref();
        let said = Said::of(
            claims.email().map(|mail| mail.as_str()),
            claims.email_verified(),
            claims.name().and_then(|name| name.get(None)).map(|name| name.as_str()),
            claims.additional_claims(),
            wanted,
        );
        let Others(others) = claims.additional_claims();
        let (subject, session) = (claims.subject().to_string(), others.get("sid").and_then(Value::as_str));
        // Many providers tell more of a person only when they are asked once more.
        let more = known.user_info(tokens.access_token().clone(), Some(claims.subject().clone()));
        let said = if let Ok(request) = more
            && said.lacks(wanted)
        {
            let asked: UserInfoClaims<Others, CoreGenderClaim> =
                request.request_async(&fetch).await.map_err(|error| ProviderError::Person(chain(&error)))?;
            said.or(Said::of(
                asked.email().map(|mail| mail.as_str()),
                asked.email_verified(),
                asked.name().and_then(|name| name.get(None)).map(|name| name.as_str()),
                asked.additional_claims(),
                wanted,
            ))
        } else {
            said
        };
        let Said { mail, name, groups } = said;
        Ok(Identity { subject, session: session.map(str::to_owned), mail, name, groups: groups.unwrap_or_default() })
    }
}

/// What is said of a person in one place.
struct Said {
    mail: Option<String>,
    name: Option<String>,
    groups: Option<Vec<String>>,
}

impl Said {
    fn of(
        mail: Option<&str>,
        is_verified: Option<bool>,
        name: Option<&str>,
        Others(others): &Others,
        groups: Option<&str>,
    ) -> Said {
        let groups = match groups.and_then(|claim| others.get(claim)) {
            Some(Value::Array(groups)) => Some(groups.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            Some(Value::String(group)) => Some(vec![group.clone()]),
            _ => None,
        };
        // Who they are is decided by it: one that the provider does not vouch for may be anybody's.
        let mail = mail.filter(|_| is_verified == Some(true)).map(str::to_lowercase);
        Said { mail, name: name.map(str::to_owned), groups }
    }

    fn lacks(&self, groups: Option<&str>) -> bool {
        self.mail.is_none() || self.name.is_none() || (groups.is_some() && self.groups.is_none())
    }

    fn or(self, other: Said) -> Said {
        Said { mail: self.mail.or(other.mail), name: self.name.or(other.name), groups: self.groups.or(other.groups) }
    }
}

/// Asks somebody elsewhere. Redirections are not followed: an answer is the answer.
async fn fetch(request: HttpRequest) -> Result<HttpResponse, FetchError> {
    let connector = HttpsConnectorBuilder::new().with_native_roots().map_err(FetchError::Certificates)?;
    let connector: HttpsConnector<HttpConnector> = connector.https_or_http().enable_http1().build();
    let client: HttpClient<_, Full<axum::body::Bytes>> = HttpClient::builder(TokioExecutor::new()).build(connector);
    let ask = async {
        let response = client.request(request.map(|body| Full::from(axum::body::Bytes::from(body)))).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MOST).collect().await.map_err(FetchError::Body)?;
        Ok(HttpResponse::from_parts(parts, body.to_bytes().to_vec()))
    };
    tokio::time::timeout(PATIENCE, ask).await.map_err(|_| FetchError::Slow)?
}

/// An error with all that led to it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
