//! A small world, a portal that shows it, and people who look at it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use cookie::{Cookie, CookieJar, Key as CookieKey};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use jiff::Timestamp;
use portico_core::api_key::ApiKey;
use portico_core::batch::{Author, Batch, Change, Fact, Object, Signature, Spec};
use portico_core::key::{Kind, Name, ObjectKey};
use portico_portal::{
    Asked, Edit, Entry, Fate, Host, HostError, Key, Landed, Past, Portal, Refused, Remembered, SealingKey, Settings,
    Shared, Verdict, Waiting, Wish, router,
};
use serde_json::{Value, json};
use tower::ServiceExt;

/// An identity provider that people may come from.
pub const ISSUER: &str = "https://id.acme.example";

/// What was wished for and answered, what the repository tells, and otherwise nothing.
#[derive(Default)]
pub struct Fake {
    pub wishes: Mutex<Vec<Wish>>,
    /// Wishes that are not carried out: those whose summary has this in it.
    pub unwelcome: Mutex<Option<&'static str>>,
    pub remembered: Mutex<Remembered>,
    pub verdicts: Mutex<Vec<Verdict>>,
    pub history: Mutex<Vec<Entry>>,
    pub waiting: Mutex<Vec<Waiting>>,
    /// What became of wishes that wait no more.
    pub fates: Mutex<HashMap<String, Fate>>,
}

impl Host for Fake {
    fn revision(&self) -> BoxFuture<'_, Option<String>> {
        ready(Some("a".repeat(40))).boxed()
    }

    fn file<'a>(&'a self, _: &'a Name, path: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, HostError>> {
        let text = match path {
            "open.md" => Some("# Open\n\nEverybody reads this."),
            "closed.md" => Some("Subscribers read this."),
            "hostile.md" => {
                Some("<script>alert(1)</script>\n\n![x](https://evil.example/x.png)\n\n[x](javascript:alert(1))")
            }
            "openapi.yaml" => {
                Some("openapi: 3.1.0\ninfo: { title: T }\npaths: { '/things': { get: { operationId: list } } }")
            }
            _ => None,
        };
        ready(Ok(text.map(|text| text.as_bytes().to_vec()))).boxed()
    }

    fn secret<'a>(&'a self, _: &'a Name, _: Option<&'a str>) -> BoxFuture<'a, Result<String, HostError>> {
        ready(Err(HostError("there is none".to_owned()))).boxed()
    }

    fn keys<'a>(&'a self, _: &'a Name) -> BoxFuture<'a, Result<Vec<Key>, HostError>> {
        let key = ApiKey::import("not-a-real-key-0001").expect("it is long enough");
        ready(Ok(vec![Key { generation: 1, made_at: Timestamp::UNIX_EPOCH, key }])).boxed()
    }

    fn shown<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool, HostError>> {
        ready(Ok(true)).boxed()
    }

    fn was_shown<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        ready(false).boxed()
    }

    fn writes(&self) -> bool {
        true
    }

    fn submit(&self, wish: Wish) -> BoxFuture<'_, Result<Landed, Refused>> {
        if self.unwelcome.lock().unwrap().is_some_and(|text| wish.summary.contains(text)) {
            return ready(Err(Refused::Conflict("somebody was faster".to_owned()))).boxed();
        }
        let waits = wish.review.then(|| wish.id.clone());
        self.wishes.lock().unwrap().push(wish);
        ready(Ok(Landed { commit: "b".repeat(40), waits })).boxed()
    }

    fn has_read<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool, HostError>> {
        ready(Ok(true)).boxed()
    }

    fn remember<'a>(
        &'a self,
        _: &'static str,
        name: &'a str,
        what: Option<String>,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        let mut remembered = self.remembered.lock().unwrap();
        match what {
            Some(text) => remembered.insert(name.to_owned(), text),
            None => remembered.remove(name),
        };
        ready(Ok(())).boxed()
    }

    fn recall(&self, _: &'static str) -> BoxFuture<'_, Result<Arc<Remembered>, HostError>> {
        ready(Ok(Arc::new(self.remembered.lock().unwrap().clone()))).boxed()
    }

    fn history(&self, mut asked: Asked) -> BoxFuture<'_, Result<Past, HostError>> {
        let mut entries = self.history.lock().unwrap().clone();
        for entry in &mut entries {
            entry.changed = (asked.concern)(std::mem::take(&mut entry.changed));
        }
        entries.retain(|entry| !entry.changed.is_empty());
        ready(Ok(Past { entries, older: None, is_cut: false })).boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, HostError>> {
        ready(Ok(self.waiting.lock().unwrap().clone())).boxed()
    }

    fn answer(&self, verdict: Verdict) -> BoxFuture<'_, Result<Landed, Refused>> {
        self.verdicts.lock().unwrap().push(verdict);
        ready(Ok(Landed { commit: "e".repeat(40), waits: None })).boxed()
    }

    fn fate<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Fate, HostError>> {
        if let Some(fate) = self.fates.lock().unwrap().get(id) {
            return ready(Ok(fate.clone())).boxed();
        }
        let waiting = self.waiting.lock().unwrap().iter().find(|one| one.id == id).cloned();
        ready(Ok(waiting.map_or(Fate::Unknown, |waiting| Fate::Waiting(Box::new(waiting))))).boxed()
    }
}

/// The portal, and the core behind it.
pub struct World {
    core: Shared,
    pub host: Arc<Fake>,
    router: Router,
}

/// An object from what it says.
pub fn put(kind: Kind, namespace: &str, name: &str, spec: Value) -> Change {
    fn read<T: serde::de::DeserializeOwned>(spec: Value) -> T {
        serde_json::from_value(spec).expect("a spec")
    }
    let spec = match kind {
        Kind::Portal => Spec::Portal(Box::new(read(spec))),
        Kind::Environment => Spec::Environment(Box::new(read(spec))),
        Kind::ApiProduct => Spec::ApiProduct(Box::new(read(spec))),
        Kind::Plan => Spec::Plan(Box::new(read(spec))),
        Kind::Team => Spec::Team(Box::new(read(spec))),
        Kind::Developer => Spec::Developer(Box::new(read(spec))),
        Kind::Application => Spec::Application(Box::new(read(spec))),
        Kind::Subscription => Spec::Subscription(Box::new(read(spec))),
        Kind::Approval => Spec::Approval(Box::new(read(spec))),
        Kind::Credential => Spec::Credential(Box::new(read(spec))),
    };
    let author = matches!(kind, Kind::Subscription | Kind::Approval).then(|| {
        let mail = if kind == Kind::Subscription { "sara@acme.example" } else { "olga@acme.example" };
        Arc::new(Author::Commit {
            mail: mail.into(),
            commit: "c".repeat(40).into(),
            signature: Signature::None,
            portal: None,
        })
    });
    Change::Put(Object { name: Name::new(namespace, name), generation: None, created: None, author, spec })
}

/// Members with their access to teams and credentials.
fn members(people: &[(&str, &str, &str)]) -> Value {
    let member = |(mail, teams, credentials): &(&str, &str, &str)| json!({ "mail": mail, "access": { "teams": teams, "credentials": credentials } });
    people.iter().map(member).collect()
}

/// Owners: a team in the namespace of the API, and approvers. Consumers: team Shop with all there is, and team Mobile.
pub fn changes() -> Vec<Change> {
    let envoy = json!({ "envoy": { "listeners": [{ "name": "http", "address": "127.0.0.1", "port": 1 }] } });
    let endpoint =
        json!([{ "environment": { "name": "local", "namespace": "platform" }, "upstream": { "url": "http://up" } }]);
    let docs = json!([
        { "title": "Open", "path": "open.md" },
        { "title": "Closed", "path": "closed.md", "audience": "Subscribers" },
        { "title": "Hostile", "path": "hostile.md" },
    ]);
    let subscription =
        |plan: &str| json!({ "application": { "name": "web" }, "plan": { "name": plan, "namespace": "api" } });
    let team = |title: &str, people: &[(&str, &str, &str)]| json!({ "title": title, "members": members(people) });
    let product = |title: &str, visibility: Value| {
        json!({
            "title": title, "docs": docs, "endpoints": endpoint, "consumers": { "from": "All" }, "visibility": visibility,
            "versions": [{ "name": "v1", "openapi": { "path": "openapi.yaml" } }],
        })
    };
    vec![
        put(Kind::Environment, "platform", "local", json!({ "stage": "Production", "gateway": envoy })),
        put(Kind::Team, "api", "owners", team("Owners", &[("otto@acme.example", "Full", "None")])),
        put(
            Kind::Team,
            "shop",
            "shop",
            team(
                "Shop",
                &[
                    ("sara@acme.example", "Full", "Full"),
                    ("sven@acme.example", "Read", "Read"),
                    ("lena@acme.example", "Full", "None"),
                ],
            ),
        ),
        put(Kind::Team, "mobile", "mobile", team("Mobile", &[("mia@acme.example", "Full", "Full")])),
        put(Kind::ApiProduct, "api", "public", product("Public", json!({ "audience": "Public" }))),
        put(Kind::ApiProduct, "api", "members", product("Members", json!({ "audience": "SignedIn" }))),
        put(
            Kind::ApiProduct,
            "api",
            "shops",
            product(
                "Shops",
                json!({
                    "audience": "Teams", "teams": [{ "name": "shop", "namespace": "shop" }],
                }),
            ),
        ),
        put(Kind::ApiProduct, "api", "hidden", product("Hidden", json!({ "audience": "Hidden" }))),
        put(Kind::Plan, "api", "open", json!({ "title": "Open", "products": [{ "name": "public" }] })),
        put(
            Kind::Plan,
            "api",
            "asked",
            json!({
                "title": "Asked", "products": [{ "name": "members" }],
                "approval": { "mode": "Manual", "approvers": [{ "kind": "User", "name": "olga@acme.example" }] },
            }),
        ),
        put(Kind::Application, "shop", "web", json!({ "title": "Web", "team": { "name": "shop" } })),
        put(Kind::Subscription, "shop", "web-open", subscription("open")),
        put(Kind::Subscription, "shop", "web-asked", subscription("asked")),
        put(
            Kind::Credential,
            "shop",
            "web-open",
            json!({
                "subscription": { "name": "web-open" }, "environment": { "name": "local", "namespace": "platform" },
            }),
        ),
    ]
}

impl World {
    /// The world as [`changes`] has it.
    pub fn new() -> World {
        let mut core = Shared::new();
        let host = Arc::new(Fake::default());
        let settings = Settings { local: None, key: SealingKey::new(&[3; SealingKey::LENGTH]) };
        let portal = Portal::new(core.reading(), host.clone(), settings);
        core.change(|core| {
            core.apply(Batch { now: Timestamp::UNIX_EPOCH, changes: changes(), facts: Vec::new() });
            let made = Fact::KeyMade {
                credential: Name::new("shop", "web-open"),
                generation: 1,
                asked: 1,
                at: Timestamp::UNIX_EPOCH,
                expires: None,
                fingerprint: "f".into(),
            };
            core.apply(Batch { now: Timestamp::UNIX_EPOCH, changes: Vec::new(), facts: vec![made] });
        });
        let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        World { core, host, router: router(portal).layer(MockConnectInfo(peer)) }
    }

    /// Something is different.
    pub fn change(&mut self, changes: Vec<Change>) {
        let batch = Batch { now: Timestamp::UNIX_EPOCH, changes, facts: Vec::new() };
        self.core.change(|core| core.apply(batch));
    }

    /// Whether a subscription is granted something.
    pub fn has_access(&self, namespace: &str, name: &str) -> bool {
        self.core.reading().look(|core| core.granted(&Name::new(namespace, name)).is_some())
    }

    /// Does what was wished for last, which was to put one object; answers which.
    pub fn carry_out(&mut self) -> ObjectKey {
        let wish = self.host.wishes.lock().unwrap().pop().expect("a wish");
        let [Edit::Put(object)] = wish.edits.as_slice() else { panic!("{wish:?}") };
        let author = Author::Commit {
            mail: wish.mail.as_str().into(),
            commit: "d".repeat(40).into(),
            signature: Signature::None,
            portal: None,
        };
        let object =
            Object { author: Some(Arc::new(author)), created: Some(Timestamp::UNIX_EPOCH), ..(**object).clone() };
        let key = object.key();
        self.change(vec![Change::Put(object)]);
        key
    }

    /// Does everything that was wished for since, as whoever writes files does it. Answers what each wish was about, and the
    /// fields that it has written.
    pub fn carry_out_all(&mut self) -> Vec<(String, Vec<String>)> {
        let wishes = std::mem::take(&mut *self.host.wishes.lock().unwrap());
        let mut done = Vec::new();
        for Wish { summary, mail, edits, .. } in wishes {
            let mut fields = Vec::new();
            for edit in edits {
                let (change, field) = self.edited(edit, &mail);
                self.change(vec![change]);
                fields.push(field);
            }
            done.push((summary, fields));
        }
        done
    }

    fn edited(&self, edit: Edit, mail: &str) -> (Change, String) {
        let author = Author::Commit {
            mail: mail.into(),
            commit: "d".repeat(40).into(),
            signature: Signature::None,
            portal: None,
        };
        let author = Some(Arc::new(author));
        let (key, path, value) = match edit {
            Edit::Put(object) => {
                let field = format!("put {}", object.key());
                let created = Some(Timestamp::UNIX_EPOCH);
                return (Change::Put(Object { author, created, ..*object }), field);
            }
            Edit::Delete(key) => {
                let field = format!("delete {key}");
                return (Change::Remove(key), field);
            }
            Edit::Set { key, path, value } => (key, path, Some(value)),
            Edit::Unset { key, path } => (key, path, None),
        };
        let object = self.core.read().object(&key).expect("it is there");
        let mut spec = match &object.spec {
            Spec::Application(spec) => serde_json::to_value(spec),
            Spec::Subscription(spec) => serde_json::to_value(spec),
            other => panic!("{other:?} is not changed by fields"),
        }
        .unwrap();
        let field = match &value {
            Some(value) => format!("{path}: {value}"),
            None => format!("{path} goes"),
        };
        let mut steps = path.strip_prefix("spec.").expect("a field of the spec").split('.').peekable();
        let mut place = &mut spec;
        while let Some(step) = steps.next() {
            if steps.peek().is_some() {
                place = &mut place[step];
            } else if let Some(value) = &value {
                place[step] = value.clone();
            } else {
                place.as_object_mut().expect("a map").remove(step);
            }
        }
        let Change::Put(said) = put(key.kind, key.name.namespace(), key.name.name(), spec) else { unreachable!() };
        // Whoever wrote it first asks, and goes on asking.
        (Change::Put(Object { author: object.author, created: object.created, ..said }), field)
    }

    /// The plan that a subscription has, with its scopes.
    pub fn granted(&self, namespace: &str, name: &str) -> Option<(String, Vec<String>)> {
        let granted = self.core.reading().look(|core| core.granted(&Name::new(namespace, name)))?;
        Some((granted.plan.to_string(), granted.scopes.iter().map(|scope| scope.scope.to_string()).collect()))
    }

    /// Asks, as a browser does.
    pub async fn ask(&self, request: Request<Body>) -> Answer {
        self.asking(request).await
    }

    /// The same, while the world goes on.
    pub fn asking(&self, request: Request<Body>) -> impl Future<Output = Answer> + Send + use<> {
        let router = self.router.clone();
        async move {
            let response = router.oneshot(request).await.expect("it answers");
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, 16 << 20).await.expect("it has an end");
            Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
        }
    }

    /// Somebody whom the identity provider says to be in groups, in a session that the portal has sealed.
    pub fn of_provider(&self, mail: &str, groups: &[&str]) -> Visitor<'_> {
        let now = Timestamp::now().as_second();
        let way = json!({ "Oidc": { "issuer": ISSUER, "subject": mail, "session": null } });
        let session = json!({
            "id": mail, "token": "t", "began": now, "until": now + 3600, "seen": now, "pending": null,
            "who": { "mail": mail, "name": null, "groups": groups, "way": way },
        });
        let mut jar = CookieJar::new();
        jar.private_mut(&CookieKey::from(&[3; SealingKey::LENGTH])).add(Cookie::new("portico", session.to_string()));
        let sealed = jar.get("portico").expect("it was added").value();
        Visitor { world: self, cookie: format!("portico={sealed}") }
    }

    /// Somebody who has not signed in.
    pub fn stranger(&self) -> Visitor<'_> {
        Visitor { world: self, cookie: String::new() }
    }

    /// Somebody who has.
    pub async fn visitor(&self, mail: &str) -> Visitor<'_> {
        let mut visitor = self.stranger();
        let page = visitor.get("/sign-in").await;
        visitor.cookie = page.cookie().expect("a session to sign in with");
        let answer = visitor.post("/sign-in/local", &format!("token={}&mail={mail}", page.token())).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{mail}: {}", answer.body);
        visitor.cookie = answer.cookie().expect("a session");
        visitor
    }
}

/// Somebody with a browser.
#[derive(Clone)]
pub struct Visitor<'a> {
    world: &'a World,
    pub cookie: String,
}

impl Visitor<'_> {
    pub fn request(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        if self.cookie.is_empty() { request } else { request.header(header::COOKIE, &self.cookie) }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.world.ask(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, form: &str) -> Answer {
        let request =
            self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.world.ask(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    /// Asks the API something, as a page does.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let token = self.token().await;
        let request = self.request(method.parse().expect("a method"), path).header("x-csrf-token", token);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.world.ask(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// The token of this session, as every page with a form has it.
    pub async fn token(&self) -> String {
        self.get("/design").await.token()
    }
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The session that it gives.
    pub fn cookie(&self) -> Option<String> {
        self.header("set-cookie")?.split(';').next().map(str::to_owned)
    }

    /// The token of its first form.
    pub fn token(&self) -> String {
        let rest = self.body.split("name=\"token\" value=\"").nth(1).unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

/// Somebody sends a form.
pub async fn ask(world: &World, mail: &str, path: &str, form: &str) -> Answer {
    let visitor = world.visitor(mail).await;
    let token = visitor.token().await;
    visitor.post(path, &format!("token={token}&once=one&{form}")).await
}

/// Somebody looks at a page.
pub async fn page(world: &World, mail: &str, path: &str) -> Answer {
    world.visitor(mail).await.get(path).await
}
