//! What happens around every request: who asks, whether they may, and what every answer carries.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::html;
use portico_core::key::Name;

use crate::api::{self, bearer};
use crate::error::Oops;
use crate::may::{Action, may};
use crate::portal::{Portal, Visitor, is_secure};
use crate::routes::{Reach, Route};
use crate::ui::{Frame, Place, page};

/// Pages load nothing from elsewhere, run no script and take no style that does not come from here, and stand in no frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Origins that scripts of a page may ask besides the portal: gateways, which a page calls when somebody tries an operation out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connects(pub(crate) Vec<String>);

impl Connects {
    /// The policy of such a page.
    fn policy(&self) -> Option<HeaderValue> {
        let is_origin = |text: &&String| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
            })
        };
        let origins: Vec<&str> = self.0.iter().filter(is_origin).take(16).map(String::as_str).collect();
        let connect = format!("connect-src 'self' {}", origins.join(" "));
        HeaderValue::from_str(&POLICY.replace("connect-src 'self'", connect.trim_end())).ok()
    }
}

/// From where a request came, as far as that can be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller(pub(crate) IpAddr);

/// The host that a request is for, as the browser says.
#[derive(Clone, Debug)]
pub(crate) struct AskedHost(pub(crate) String);

/// Whether browsers come by TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secure(pub(crate) bool);

/// Stands around everything.
pub(crate) async fn guard(
    State(portal): State<Portal>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let held = if is_api { bearer::held(&portal, request.headers()).await } else { Ok(None) };
    let host = host(&request).unwrap_or_default();
    let cookies = text(request.headers(), &header::COOKIE).unwrap_or_default().to_owned();
    let (secure, local, found) = portal.reading.look(|core| {
        let secure = is_secure(core);
        let found = match &held {
            // Whoever shows a token is who it says, whatever else they show.
            Ok(Some(token)) => bearer::visitor(&portal, core, token),
            Ok(None) => Ok(portal.visitor(core, portal.sessions.open(&cookies, secure))),
            Err(oops) => Err(oops.clone()),
        };
        (secure, portal.is_local(core), found)
    });
    let (visitor, unproven) = found.map_or_else(|oops| (Visitor::default(), Some(oops)), |visitor| (visitor, None));
    if let Ok(Some(token)) = held {
        request.extensions_mut().insert(token);
    }
    request.extensions_mut().insert(visitor.clone());
    request.extensions_mut().insert(Secure(secure));
    request.extensions_mut().insert(AskedHost(host.clone()));
    let caller = Caller(caller(peer.ip(), request.headers()));
    request.extensions_mut().insert(caller);

    let is_here = peer.ip().to_canonical().is_loopback() && is_loopback(&host) && !is_forwarded(request.headers());
    let refused = if local && !is_here {
        Some(Oops::Foreign("This portal is for trying out, and answers on this machine only, by the name localhost."))
    } else if !request.method().is_safe() && !is_same_origin(request.headers(), &host) {
        Some(Oops::Foreign("It comes from another site."))
    } else {
        unproven
    };
    let mut response = match refused {
        Some(oops) => oops.into_response(),
        None => next.run(request).await,
    };
    if let Some(oops) = response.extensions().get::<Oops>().cloned() {
        let told = if is_api { api::problem(&oops) } else { told(&portal, &visitor, &oops) };
        let (parts, body) = told.into_parts();
        let kept = std::mem::replace(&mut response, (oops.status(), body).into_response());
        response.headers_mut().extend(kept.headers().clone());
        response.headers_mut().extend(parts.headers);
    }
    let policy = response.extensions().get::<Connects>().and_then(Connects::policy);
    if is_api {
        response = api::told(response);
    }
    let headers = response.headers_mut();
    if let Some(session) = &visitor.session
        && !headers.contains_key(header::SET_COOKIE)
        && let Some(renewed) = portal.sessions.renew(session, secure)
        && let Ok(renewed) = HeaderValue::from_str(&renewed)
    {
        headers.insert(header::SET_COOKIE, renewed);
    }
    let mut set = |name: header::HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "same-origin");
    set(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(header::HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()");
    if secure {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if let Some(policy) = policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Stands around one route: what a visitor may not see is not there, whatever the page behind it does.
pub(crate) async fn check(State((portal, route)): State<(Portal, Route)>, request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>().cloned().unwrap_or_default();
    let person = visitor.person.as_ref();
    let is_read = *request.method() == Method::GET || *request.method() == Method::HEAD;
    let to = if is_read { request.uri().path_and_query().map(ToString::to_string) } else { None };
    let sign_in = || match to.clone() {
        _ if route.is_api() => Oops::Nobody("This is for whoever shows a token or has signed in."),
        to => Oops::SignIn { to: to.unwrap_or_else(|| "/".to_owned()) },
    };
    let (mut parts, body) = request.into_parts();
    let answer = match route.reach {
        Reach::Everyone => Ok(()),
        Reach::SignedIn if person.is_some() => Ok(()),
        Reach::SignedIn if is_read || route.is_api() => Err(sign_in()),
        Reach::SignedIn => Err(Oops::Foreign("The form was made for a session that has ended.")),
        Reach::Object(kind, action) => {
            let named = match RawPathParams::from_request_parts(&mut parts, &portal).await {
                Ok(params) => {
                    let part = |wanted: &str| params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
                    part("namespace").zip(part("name")).map(|(namespace, name)| Name::new(namespace, name))
                }
                Err(_) => None,
            };
            named.map_or(Err(Oops::NotFound), |name| {
                let key = name.of(kind);
                portal.reading.look(|core| {
                    if may(core, person, action, &key) {
                        Ok(())
                    } else if matches!(action, Action::Change | Action::Decide) && may(core, person, Action::See, &key)
                    {
                        Err(Oops::Forbidden(
                            "You see this, and somebody else has to do that: ask a member of the team with full \
                                             access, or its owner."
                                .to_owned(),
                        ))
                    } else if person.is_none() && (is_read || route.is_api()) {
                        // Whether it is there is not told: signing in leads to the same answer.
                        Err(sign_in())
                    } else {
                        Err(Oops::NotFound)
                    }
                })
            })
        }
    };
    let answer = answer.and_then(|()| if route.is_api() { bearer::allows(&parts, &visitor, &route) } else { Ok(()) });
    match answer {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(oops) => oops.into_response(),
    }
}

/// An error as a page.
fn told(portal: &Portal, visitor: &Visitor, oops: &Oops) -> Response {
    let frame = portal.reading.look(|core| Frame::of(portal, core, visitor));
    let body = html! {
        div.narrow.stack {
            h1 { (oops.title()) }
            p.lead { (oops.text()) }
            div.row {
                a.button.first href="/" { "To the APIs" }
                @if visitor.person.is_none() { a.button href="/sign-in" { "Sign in" } }
            }
        }
    };
    page(&frame, Place::Elsewhere, oops.title(), &body)
}

/// For addresses that lead nowhere.
pub(crate) async fn nowhere() -> Oops {
    Oops::NotFound
}

/// For methods that an address does not have.
pub(crate) async fn no_such_method() -> Oops {
    Oops::NoSuchMethod
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The host that a request is for, with its port.
fn host(request: &Request) -> Option<String> {
    let authority = request.uri().authority().map(ToString::to_string);
    authority.or_else(|| text(request.headers(), &header::HOST).map(str::to_owned))
}

/// Whether a host is a name of this machine that only this machine has. Others may point here too, without our knowing
/// (DNS rebinding).
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether something that changes state comes from a page of ours, as the browser says. What is no browser says nothing.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return false;
    }
    match text(headers, &header::ORIGIN) {
        Some(origin) => origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)),
        None => !headers.contains_key(header::ORIGIN),
    }
}

/// Whether a proxy says that it asks for somebody else. One on this machine asks for people on others.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

/// Who asked: behind a proxy of the same network, whom that says.
fn caller(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_near = match peer.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    };
    let forwarded = headers.get("x-forwarded-for").filter(|_| is_near).and_then(|value| value.to_str().ok());
    forwarded.and_then(|list| list.rsplit(',').next()?.trim().parse().ok()).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_get_into_the_policy() {
        let connects =
            ["http://api.localhost:10000", "https://x; script-src *", "http://a b", "https://", "http://[::1]:1"];
        let policy = Connects(connects.map(str::to_owned).into()).policy().unwrap();
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("connect-src 'self' http://api.localhost:10000 http://[::1]:1;"), "{policy}");
        assert!(!policy.contains('*'), "{policy}");
    }

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:80", "[::1]:8080", "acme.localhost:1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "acme.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.168.1.1", "[::2]"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn other_sites_change_nothing() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_same_origin(&headers, "portal.example")
        };
        assert!(with(&[]));
        assert!(with(&[("sec-fetch-site", "same-origin"), ("origin", "https://portal.example")]));
        assert!(!with(&[("sec-fetch-site", "cross-site")]));
        assert!(!with(&[("sec-fetch-site", "same-site")]));
        assert!(!with(&[("origin", "https://evil.example")]));
        assert!(!with(&[("origin", "null")]));
        assert!(!with(&[("origin", "https://portal.example.evil.example")]));
    }

    #[test]
    fn only_a_proxy_that_is_near_says_who_asks() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.1, 198.51.100.7"));
        let near: IpAddr = "10.0.0.1".parse().unwrap();
        let far: IpAddr = "192.0.2.9".parse().unwrap();
        assert_eq!(caller(near, &headers).to_string(), "198.51.100.7");
        assert_eq!(caller(far, &headers), far);
    }
}
