//! Signing out at the identity provider ends the sessions here (OpenID Connect Back-Channel Logout 1.0): the provider sends a
//! signed token that says whose.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{JsonWebKey, JwsSigningAlgorithm};
use portico_crds::OidcSignIn;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::provider::{ASKED_ANEW, KEPT, ProviderError, chain};
use crate::clock;
use crate::portal::{Portal, this_portal};
use crate::session::SignedOut;

/// What a logout token is about.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// So many seconds a provider's clock may differ from ours.
const SKEW: i64 = 60;

/// Why a token ends nothing.
#[derive(Debug, thiserror::Error)]
enum Untrue {
    #[error("there is no logout_token")]
    Missing,
    #[error("it is no signed token")]
    Shape,
    #[error("it is another kind of token")]
    Type,
    #[error("it is signed in a way that the provider does not use")]
    Algorithm,
    #[error("none of the provider's keys has signed it")]
    Signature,
    #[error("another issuer says it")]
    Issuer,
    #[error("it is for another client")]
    Audience,
    #[error("it is too old, or not of now")]
    Time,
    #[error("it is about no logout")]
    Event,
    #[error("it has a nonce, as an ID token has")]
    Nonce,
    #[error("it says neither who nor which session")]
    Nobody,
    #[error("it was sent before")]
    Again,
}

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
enum LogoutError {
    #[error("people do not sign in through a provider here")]
    NoProvider,
    #[error("the provider cannot be asked for its keys")]
    Provider(#[from] ProviderError),
    #[error("the token does not hold")]
    Untrue(#[from] Untrue),
}

#[derive(Debug, Deserialize)]
struct Sent {
    logout_token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Head {
    alg: CoreJwsSigningAlgorithm,
    typ: Option<String>,
    kid: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    iat: i64,
    exp: i64,
    jti: String,
    events: Map<String, Value>,
    sub: Option<String>,
    sid: Option<String>,
    nonce: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// A token that holds.
#[derive(Debug, PartialEq, Eq)]
struct Goodbye {
    jti: String,
    /// Until when it could be sent again.
    until: i64,
    signed_out: SignedOut,
}

/// Takes a token from the provider.
pub(crate) async fn back_channel(State(portal): State<Portal>, body: Bytes) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    match end(&portal, &body).await {
        Ok(()) => (StatusCode::OK, no_store).into_response(),
        Err(error) => {
            tracing::warn!(error = chain(&error), "a logout of the identity provider ends nothing");
            let status = match error {
                LogoutError::NoProvider => StatusCode::NOT_FOUND,
                LogoutError::Provider(_) => StatusCode::SERVICE_UNAVAILABLE,
                LogoutError::Untrue(_) => StatusCode::BAD_REQUEST,
            };
            let said = match &error {
                LogoutError::Untrue(untrue) => untrue.to_string(),
                other => other.to_string(),
            };
            (status, no_store, Json(json!({ "error": "invalid_request", "error_description": said }))).into_response()
        }
    }
}

async fn end(portal: &Portal, body: &[u8]) -> Result<(), LogoutError> {
    let oidc = portal.reading.look(|core| this_portal(core)?.1.sign_in?.oidc).ok_or(LogoutError::NoProvider)?;
    let Sent { logout_token } = serde_urlencoded::from_bytes(body).map_err(|_| Untrue::Missing)?;
    let token = logout_token.ok_or(Untrue::Missing)?;
    let now = clock::now();
    let metadata = portal.providers.metadata(&oidc.issuer, KEPT).await?;
    let goodbye = match check(&metadata, &oidc, &token, now) {
        // It may have new keys.
        Err(Untrue::Signature | Untrue::Algorithm) => {
            let metadata = portal.providers.metadata(&oidc.issuer, ASKED_ANEW).await?;
            check(&metadata, &oidc, &token, now)?
        }
        other => other?,
    };
    let Goodbye { jti, until, signed_out } = goodbye;
    if !portal.providers.hears(&oidc.issuer, &jti, until, now) {
        return Err(Untrue::Again.into());
    }
    portal.sessions.end_there(signed_out);
    tracing::info!("sessions are ended by the identity provider");
    Ok(())
}

fn check(metadata: &CoreProviderMetadata, oidc: &OidcSignIn, token: &str, now: i64) -> Result<Goodbye, Untrue> {
    let allowed = metadata.id_token_signing_alg_values_supported();
    verify(metadata.jwks().keys(), allowed, oidc, token, now)
}

/// What a token says, if the provider has said it, now and to this portal.
fn verify(
    keys: &[CoreJsonWebKey],
    allowed: &[CoreJwsSigningAlgorithm],
    oidc: &OidcSignIn,
    token: &str,
    now: i64,
) -> Result<Goodbye, Untrue> {
    let (message, signature) = token.rsplit_once('.').ok_or(Untrue::Shape)?;
    let (head, claims) = message.split_once('.').ok_or(Untrue::Shape)?;
    let Head { alg, typ, kid } = part(head)?;
    if typ.is_some_and(|typ| !["logout+jwt", "jwt"].contains(&typ.to_ascii_lowercase().as_str())) {
        return Err(Untrue::Type);
    }
    // A key that both have would be the client's secret, and none would be anybody's.
    if !allowed.contains(&alg) || alg.uses_shared_secret() || alg == CoreJwsSigningAlgorithm::None {
        return Err(Untrue::Algorithm);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Untrue::Shape)?;
    let mut keys = keys.iter().filter(|key| match (&kid, key.key_id()) {
        (Some(wanted), Some(id)) => id.as_str() == wanted,
        _ => true,
    });
    if !keys.any(|key| key.verify_signature(&alg, message.as_bytes(), &signature).is_ok()) {
        return Err(Untrue::Signature);
    }
    let Claims { iss, aud, iat, exp, jti, events, sub, sid, nonce } = part(claims)?;
    let is_for_us = match &aud {
        Audience::One(one) => *one == oidc.client_id,
        Audience::Several(several) => several.contains(&oidc.client_id),
    };
    if iss != oidc.issuer {
        return Err(Untrue::Issuer);
    }
    if !is_for_us {
        return Err(Untrue::Audience);
    }
    let until = exp.saturating_add(SKEW);
    if until <= now || iat.saturating_sub(SKEW) > now {
        return Err(Untrue::Time);
    }
    if !events.get(EVENT).is_some_and(Value::is_object) {
        return Err(Untrue::Event);
    }
    if nonce.is_some() {
        return Err(Untrue::Nonce);
    }
    if sub.is_none() && sid.is_none() {
        return Err(Untrue::Nobody);
    }
    Ok(Goodbye { jti, until, signed_out: SignedOut { issuer: iss, subject: sub, session: sid } })
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Untrue> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Untrue::Shape)?;
    serde_json::from_slice(&bytes).map_err(|_| Untrue::Shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use openidconnect::core::CoreEdDsaPrivateSigningKey;
    use openidconnect::{JsonWebKeyId, PrivateSigningKey};

    const NOW: i64 = 1_000_000;

    /// A key that is made of one byte.
    fn key(byte: u8, id: &str) -> CoreEdDsaPrivateSigningKey {
        // PKCS #8, as RFC 8410 has it.
        let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        der.extend([byte; 32]);
        let label = "PRIVATE KEY";
        let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
        CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(id.to_owned()))).unwrap()
    }

    fn word(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn token(key: &CoreEdDsaPrivateSigningKey, head: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", word(head), word(claims));
        let signature = key.sign(&CoreJwsSigningAlgorithm::EdDsa, message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn head() -> Value {
        json!({ "alg": "EdDSA", "typ": "logout+jwt", "kid": "one" })
    }

    fn claims() -> Value {
        json!({
            "iss": "https://id.example", "aud": "portal", "iat": NOW - 5, "exp": NOW + 100, "jti": "a",
            "events": { EVENT: {} }, "sub": "ada", "sid": "s",
        })
    }

    fn verified(token: &str) -> Result<Goodbye, Untrue> {
        let oidc =
            OidcSignIn { issuer: "https://id.example".into(), client_id: "portal".into(), ..OidcSignIn::default() };
        let allowed = [CoreJwsSigningAlgorithm::EdDsa, CoreJwsSigningAlgorithm::HmacSha256];
        verify(&[key(1, "one").as_verification_key()], &allowed, &oidc, token, NOW)
    }

    #[test]
    fn a_token_of_the_provider_holds() {
        let said = verified(&token(&key(1, "one"), &head(), &claims())).unwrap();
        let (subject, session) = (Some("ada".to_owned()), Some("s".to_owned()));
        assert_eq!(said.signed_out, SignedOut { issuer: "https://id.example".to_owned(), subject, session });
        assert_eq!((said.jti.as_str(), said.until), ("a", NOW + 160));
        let mut several = claims();
        several["aud"] = json!(["other", "portal"]);
        assert!(verified(&token(&key(1, "one"), &head(), &several)).is_ok());
    }

    #[test]
    fn a_token_with_anything_wrong_does_not() {
        let wrong = |name: &str, value: Value| {
            let mut claims = claims();
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value,
            }
            verified(&token(&key(1, "one"), &head(), &claims)).unwrap_err().to_string()
        };
        assert_eq!(wrong("iss", json!("https://evil.example")), Untrue::Issuer.to_string());
        assert_eq!(wrong("aud", json!("other")), Untrue::Audience.to_string());
        assert_eq!(wrong("aud", json!([])), Untrue::Audience.to_string());
        assert_eq!(wrong("exp", json!(NOW - 60)), Untrue::Time.to_string());
        assert_eq!(wrong("iat", json!(NOW + 61)), Untrue::Time.to_string());
        assert_eq!(wrong("events", json!({})), Untrue::Event.to_string());
        assert_eq!(wrong("events", json!({ EVENT: true })), Untrue::Event.to_string());
        assert_eq!(wrong("nonce", json!("n")), Untrue::Nonce.to_string());
        for missing in ["iss", "aud", "iat", "exp", "jti", "events"] {
            assert_eq!(wrong(missing, Value::Null), Untrue::Shape.to_string(), "{missing}");
        }
        let mut nobody = claims();
        nobody.as_object_mut().unwrap().retain(|name, _| name != "sub" && name != "sid");
        assert!(matches!(verified(&token(&key(1, "one"), &head(), &nobody)), Err(Untrue::Nobody)));
    }

    #[test]
    fn a_token_that_somebody_else_has_signed_does_not() {
        let ours = key(1, "one");
        let forged = verified(&token(&key(2, "one"), &head(), &claims()));
        assert!(matches!(forged, Err(Untrue::Signature)), "{forged:?}");
        let good = token(&ours, &head(), &claims());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let mut other = claims();
        other["sub"] = json!("ben");
        let swapped = format!("{}.{}.{signature}", word(&head()), word(&other));
        assert!(matches!(verified(&swapped), Err(Untrue::Signature)));
        assert!(matches!(verified(&format!("{message}.")), Err(Untrue::Signature)));
        let unknown = json!({ "alg": "EdDSA", "kid": "two" });
        assert!(matches!(verified(&token(&ours, &unknown, &claims())), Err(Untrue::Signature)));
        for (alg, typ) in [("none", "logout+jwt"), ("HS256", "logout+jwt"), ("RS256", "logout+jwt")] {
            let said = verified(&token(&ours, &json!({ "alg": alg, "typ": typ }), &claims()));
            assert!(matches!(said, Err(Untrue::Algorithm)), "{alg}: {said:?}");
        }
        let said = verified(&token(&ours, &json!({ "alg": "EdDSA", "typ": "at+jwt" }), &claims()));
        assert!(matches!(said, Err(Untrue::Type)), "{said:?}");
        for shapeless in ["", ".", "..", "a.b.c", message] {
            assert!(verified(shapeless).is_err(), "{shapeless}");
        }
    }
}
