//! Every address that the portal answers, with who may come there.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use portico_core::key::Kind;
use tokio::net::TcpListener;

pub use crate::may::Action;

use crate::portal::Portal;
use crate::tokens::Scope;
use crate::{api, assets, guard, pages, sign_in};

/// Who may come to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everyone.
    Everyone,
    /// Whoever has signed in; what they see there is their own.
    SignedIn,
    /// Whoever may do this with the object that the address names as `{namespace}/{name}`.
    Object(Kind, Action),
}

/// An address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET` or `POST`, and in the API `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// Who may come there.
    pub reach: Reach,
}

impl Route {
    /// Whether it is for programs.
    pub fn is_api(&self) -> bool {
        self.path.starts_with(api::BASE)
    }

    /// What a program's token has to allow.
    pub fn scope(&self) -> Scope {
        match (self.method, self.reach) {
            ("GET", _) => Scope::Read,
            (_, Reach::Object(_, Action::Decide)) => Scope::Decide,
            _ => Scope::Write,
        }
    }
}

/// The longest form, in bytes.
const FORM: usize = 64 * 1024;

fn table() -> Vec<(Route, MethodRouter<Portal>)> {
    use Action::{Change, Decide, Oversee, See, Use};
    use Kind::{ApiProduct, Application, Credential, Plan, Subscription};
    let read = |path, reach, handler: MethodRouter<Portal>| (Route { method: "GET", path, reach }, handler);
    let write = |path, reach, handler: MethodRouter<Portal>| (Route { method: "POST", path, reach }, handler);
    let (everyone, signed_in) = (Reach::Everyone, Reach::SignedIn);
    let mut table = vec![
        read("/", everyone, get(pages::catalog::show)),
        read("/apis/{namespace}/{name}", Reach::Object(ApiProduct, See), get(pages::product::show)),
        read("/apis/{namespace}/{name}/docs/{page}", Reach::Object(ApiProduct, See), get(pages::product::docs)),
        read(
            "/apis/{namespace}/{name}/reference/{version}",
            Reach::Object(ApiProduct, See),
            get(pages::reference::show),
        ),
        read(
            "/apis/{namespace}/{name}/openapi/{version}",
            Reach::Object(ApiProduct, See),
            get(pages::reference::document),
        ),
        read(
            "/apis/{namespace}/{name}/subscribers",
            Reach::Object(ApiProduct, Oversee),
            get(pages::subscribers::of_product),
        ),
        read("/apis/{namespace}/{name}/history", Reach::Object(ApiProduct, Oversee), get(pages::history::product)),
        read(
            "/applications/{namespace}/{name}/history",
            Reach::Object(Application, See),
            get(pages::history::application),
        ),
        read(
            "/subscriptions/{namespace}/{name}/history",
            Reach::Object(Subscription, See),
            get(pages::history::subscription),
        ),
        read("/requests/waiting/{id}", signed_in, get(pages::review::show)),
        write("/requests/waiting/{id}/take-in", signed_in, post(pages::review::take_in)),
        write("/requests/waiting/{id}/decline", signed_in, post(pages::review::decline)),
        read("/applications", signed_in, get(pages::applications::list)),
        read("/applications/new", signed_in, get(pages::application_edit::begin)),
        write("/applications/new", signed_in, post(pages::application_edit::make)),
        read("/applications/{namespace}/{name}", Reach::Object(Application, See), get(pages::applications::show)),
        read(
            "/applications/{namespace}/{name}/edit",
            Reach::Object(Application, Change),
            get(pages::application_edit::edit),
        ),
        write(
            "/applications/{namespace}/{name}/edit",
            Reach::Object(Application, Change),
            post(pages::application_edit::change),
        ),
        read(
            "/applications/{namespace}/{name}/delete",
            Reach::Object(Application, Change),
            get(pages::application_edit::ending),
        ),
        write(
            "/applications/{namespace}/{name}/delete",
            Reach::Object(Application, Change),
            post(pages::application_edit::delete),
        ),
        read("/subscriptions/{namespace}/{name}", Reach::Object(Subscription, See), get(pages::subscription::show)),
        write("/subscriptions/{namespace}/{name}/life", Reach::Object(Subscription, Change), post(pages::life::change)),
        read(
            "/subscriptions/{namespace}/{name}/plan",
            Reach::Object(Subscription, Change),
            get(pages::plan_change::show),
        ),
        write(
            "/subscriptions/{namespace}/{name}/plan",
            Reach::Object(Subscription, Change),
            post(pages::plan_change::ask),
        ),
        read("/subscriptions/{namespace}/{name}/scopes", Reach::Object(Subscription, Change), get(pages::scopes::show)),
        write(
            "/subscriptions/{namespace}/{name}/scopes",
            Reach::Object(Subscription, Change),
            post(pages::scopes::change),
        ),
        write(
            "/subscriptions/{namespace}/{name}/keys",
            Reach::Object(Subscription, Change),
            post(pages::subscription::new_key),
        ),
        write(
            "/subscriptions/{namespace}/{name}/cancel",
            Reach::Object(Subscription, Change),
            post(pages::subscription::cancel),
        ),
        write(
            "/subscriptions/{namespace}/{name}/grant",
            Reach::Object(Subscription, Decide),
            post(pages::decide::grant),
        ),
        write(
            "/subscriptions/{namespace}/{name}/refuse",
            Reach::Object(Subscription, Decide),
            post(pages::decide::refuse),
        ),
        read("/credentials/{namespace}/{name}", Reach::Object(Credential, See), get(pages::credential::show)),
        write(
            "/credentials/{namespace}/{name}/reveal",
            Reach::Object(Credential, Change),
            post(pages::credential::reveal),
        ),
        write(
            "/credentials/{namespace}/{name}/change",
            Reach::Object(Credential, Change),
            post(pages::credential::change),
        ),
        write(
            "/credentials/{namespace}/{name}/revoke",
            Reach::Object(Credential, Change),
            post(pages::credential::revoke),
        ),
        read("/subscribe/{namespace}/{name}", Reach::Object(Plan, Use), get(pages::subscribe::begin)),
        write("/subscribe/{namespace}/{name}", Reach::Object(Plan, Use), post(pages::subscribe::go_on)),
        read("/landed/{commit}", signed_in, get(pages::landed::show)),
        read("/landed/{commit}/events", signed_in, get(pages::landed::events)),
        read("/requests", signed_in, get(pages::inbox::requests)),
        write("/requests/answers", signed_in, post(pages::decide_many::answers)),
        read("/subscribers", signed_in, get(pages::subscribers::plans)),
        read("/subscribers/{namespace}/{name}", Reach::Object(Plan, Oversee), get(pages::subscribers::of_plan)),
        read("/sign-in", everyone, get(sign_in::show)),
        write("/sign-in/local", everyone, post(sign_in::local)),
        read("/sign-in/oidc", everyone, get(sign_in::oidc::begin)),
        read("/sign-in/oidc/back", everyone, get(sign_in::oidc::back)),
        write("/sign-in/oidc/logout", everyone, post(sign_in::logout::back_channel)),
        read("/sign-in/mail", everyone, get(sign_in::mail::asked)),
        write("/sign-in/mail", everyone, post(sign_in::mail::ask)),
        read("/sign-in/mail/open", everyone, get(sign_in::mail::open)),
        write("/sign-in/mail/open", everyone, post(sign_in::mail::follow)),
        write("/sign-out", everyone, post(sign_in::out)),
        read("/tokens", signed_in, get(pages::tokens::show)),
        write("/tokens", signed_in, post(pages::tokens::make)),
        write("/tokens/{id}/revoke", signed_in, post(pages::tokens::revoke)),
        read("/api", everyone, get(pages::api::show)),
        read("/design", everyone, get(pages::design::show)),
        read("/assets/{digest}/{file}", everyone, get(assets::serve)),
    ];
    table.extend(api::table().into_iter().map(|endpoint| (endpoint.route, endpoint.handler)));
    table
}

/// Every address, as it is served.
pub fn routes() -> Vec<Route> {
    table().into_iter().map(|(route, _)| route).collect()
}

/// The portal as a service. It needs to be told who is connected: [`serve`] does that.
pub fn router(portal: Portal) -> Router {
    let mut router = Router::new();
    for (route, handler) in table() {
        let check = from_fn_with_state((portal.clone(), route), guard::check);
        router = router.route(route.path, handler.route_layer(check));
    }
    router
        .fallback(guard::nowhere)
        .method_not_allowed_fallback(guard::no_such_method)
        .layer(DefaultBodyLimit::max(FORM))
        .layer(from_fn(api::versioned))
        .layer(from_fn_with_state(portal.clone(), guard::guard))
        .layer(map_response(nameless))
        .with_state(portal)
}

/// What is told of an error inside stays inside.
async fn nameless(mut response: Response) -> Response {
    response.extensions_mut().clear();
    response
}

/// Serves on a listener until that fails.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(listener: TcpListener, portal: Portal) -> std::io::Result<()> {
    axum::serve(listener, router(portal).into_make_service_with_connect_info::<SocketAddr>()).await
}
