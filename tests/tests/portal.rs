//! The portal in a real browser, against a real Envoy.

use std::env;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use portico_tests::http::{self, Ask};
use portico_tests::mailpit::Mailpit;
use portico_tests::ports;
use portico_tests::scenario::Scenario;
use portico_tests::scripts;

/// The browser: what `PORTICO_CHROMIUM` names, or `chromium` on the path.
fn chromium() -> String {
    env::var("PORTICO_CHROMIUM").unwrap_or_else(|_| {
        let known = env::var_os("PATH").into_iter().flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
        let found = known.map(|folder| folder.join("chromium")).find(|path| path.exists());
        found.expect("a browser: install chromium, or name one in PORTICO_CHROMIUM").display().to_string()
    })
}

/// Runs a program of `tests/parts/browser` on the portal of a scenario, and returns what it prints.
fn browse(program: &str, scenario: &Scenario) -> String {
    browse_with(program, scenario, &[])
}

fn browse_with(program: &str, scenario: &Scenario, variables: &[(&str, &str)]) -> String {
    let folder: &Path = scripts::path("browser");
    let mut node = Command::new("node");
    node.arg(folder.join(program)).current_dir(folder);
    node.env("PORTAL", format!("http://{}", scenario.launch.portal())).env("CHROMIUM", chromium());
    node.envs(variables.iter().copied());
    let output = node.output().expect("node starts");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}:\n{said}\n{wrong}");
    said.into_owned()
}

fn acme() -> Scenario {
    let mut scenario = Scenario::example("acme");
    scenario.launch = scenario.launch.arguments(["--local-sign-in"]);
    scenario
}

#[test]
fn pages_show_what_one_may_see() {
    let scenario = acme();
    let _portico = scenario.up();
    println!("{}", browse("pages.mjs", &scenario));
}

#[test]
fn from_a_plan_to_a_working_call_and_from_a_request_to_an_answer() {
    let scenario = acme();
    let _portico = scenario.up();
    println!("{}", browse("journey.mjs", &scenario));
    let log = scenario.repo.git(&["log", "--format=%an <%ae> by %cn: %s"]);
    for wanted in [
        "Sara <sara@acme.example> by Portico: Web shop <b>: subscribe to Payments, plan Gold",
        "Sara <sara@acme.example> by Portico: Revoke key Web shop in the cloud",
        "Olga <olga@acme.example> by Portico: Grant Web shop <b> on plan Standard",
        "Olga <olga@acme.example> by Portico: Turn down Monthly reports on plan Standard",
    ] {
        assert!(log.contains(wanted), "{wanted} is not in:\n{log}");
    }
    assert_eq!(scenario.repo.git(&["status", "--porcelain"]), "", "the work tree is as the commit");
}

/// Acme with a sandbox, and with an API that olga looks after: plans to change between, scopes, and one that begins in the sandbox.
fn acme_with_maps() -> Scenario {
    let scenario = acme();
    let head = |kind: &str, namespace: &str, name: &str| {
        format!(
            "apiVersion: portico.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n"
        )
    };
    let write = |path: &str, head: String, spec: &str| scenario.repo.write(path, head + spec);
    let upstream = scenario.upstream.url();
    let gateway = format!(
        "  title: Sandbox\n  stage: Sandbox\n  gateway: {{ envoy: {{ listeners: [{{ name: http, address: 127.0.0.1, port: {} }}] }} }}\n",
        ports::free()
    );
    write("platform/environments/sandbox.yaml", head("Environment", "platform", "sandbox"), &gateway);
    scenario.repo.write(
        "products/maps/openapi.yaml",
        "openapi: 3.1.0\ninfo: { title: Maps, version: '1' }\npaths:\n  /things: { get: { operationId: list }, post: { operationId: draw } }\n  \
         /export: { get: { operationId: export } }\n",
    );
    let endpoint = |environment: &str| {
        format!(
            "    - environment: {{ name: {environment}, namespace: platform }}\n      hosts: [maps.acme.localhost]\n      \
             upstream: {{ url: '{upstream}' }}\n"
        )
    };
    let product = format!(
        "  title: Maps\n  description: Where everything is.\n  owner: {{ name: Maps team }}\n  consumers: {{ from: All }}\n  \
         versions: [{{ name: v1, openapi: {{ path: openapi.yaml }} }}]\n  scopes:\n    \
         - {{ name: 'maps:export', title: Export maps, description: All of them at once., mode: Restricted, operations: [export] }}\n  \
         endpoints:\n{}{}",
        endpoint("local"),
        endpoint("sandbox")
    );
    write("products/maps/product.yaml", head("ApiProduct", "maps", "maps"), &product);
    write(
        "products/maps/team.yaml",
        head("Team", "maps", "maps"),
        "  title: Maps\n  members: [{ mail: olga@acme.example, access: { teams: Full } }]\n",
    );
    for (name, spec) in [
        (
            "walk",
            "  title: Walk\n  products: [{ name: maps, operations: [list, export] }]\n  limits: [{ requests: 600, per: Minute }]\n",
        ),
        (
            "run",
            "  title: Run\n  description: For those who draw.\n  products: [{ name: maps }]\n  changeMode: Request\n  \
             limits: [{ requests: 900, per: Minute }]\n  terms: { version: '1', text: 'Draw **nothing** rude.' }\n",
        ),
        ("build", "  title: Build\n  products: [{ name: maps }]\n  changeMode: None\n  sandbox: { required: true }\n"),
    ] {
        write(&format!("products/maps/plans/{name}.yaml"), head("Plan", "maps", name), spec);
    }
    scenario.repo.commit("maps");
    scenario
}

#[test]
fn a_subscription_lives_and_an_owner_answers_from_their_pages() {
    let scenario = acme_with_maps();
    let _portico = scenario.up();
    println!("{}", browse("life.mjs", &scenario));
    let log = scenario.repo.git(&["log", "--format=%an <%ae> by %cn: %s"]);
    for wanted in [
        "Sara <sara@acme.example> by Portico: Make application Map shop",
        "Sara <sara@acme.example> by Portico: Map shop: pause Maps",
        "Sara <sara@acme.example> by Portico: Map shop: change Maps from plan Walk to Run",
        "Olga <olga@acme.example> by Portico: Grant Map shop on plan Run",
        "Sara <sara@acme.example> by Portico: Map lab: ask to go live with Maps",
        "Olga <olga@acme.example> by Portico: Ask for changes to Map lab on plan Build",
        "Olga <olga@acme.example> by Portico: Take back Map lab on plan Build",
        "Olga <olga@acme.example> by Portico: Grant Map lab on plan Standard",
        "Sara <sara@acme.example> by Portico: Delete application Map shop",
    ] {
        assert!(log.contains(wanted), "{wanted} is not in:\n{log}");
    }
    assert_eq!(scenario.repo.git(&["status", "--porcelain"]), "", "the work tree is as the commit");
}

#[test]
fn operations_are_tried_out_and_what_was_done_is_told() {
    let scenario = acme();
    let _portico = scenario.up();
    println!("{}", browse_with("explore.mjs", &scenario, &[("GATEWAY", &scenario.gateway.port().to_string())]));
}

#[test]
fn what_gives_something_waits_for_a_review_where_the_portal_asks_for_one() {
    let scenario = acme();
    let text = scenario.repo.read("platform/portal.yaml");
    scenario.repo.write(
        "platform/portal.yaml",
        text.replace("spec:\n", "spec:\n  git: { repository: /here, write: PullRequest }\n"),
    );
    scenario.repo.commit("look at what people ask for first");
    let _portico = scenario.up();
    println!("{}", browse("review.mjs", &scenario));
    let log = scenario.repo.git(&["log", "--first-parent", "--format=%an by %cn: %s"]);
    for wanted in [
        "Olga by Portico: Returns: subscribe to Orders, plan Standard",
        "Olga by Portico: Turn down: Nonsense: subscribe to Orders, plan Standard",
        "Olga by Portico: Grant Returns on plan Standard",
    ] {
        assert!(log.contains(wanted), "{wanted} is not in:\n{log}");
    }
    assert_eq!(scenario.repo.git(&["branch", "--list", "portico/*"]), "", "nothing waits any more");
    assert_eq!(scenario.repo.git(&["status", "--porcelain"]), "", "the work tree is as the commit");
}

#[test]
fn a_portal_for_trying_out_answers_on_this_machine_only() {
    let scenario = acme();
    let _portico = scenario.up();
    let status = |host: &str| {
        let ask = Ask::get("/sign-in").host(host);
        http::once(scenario.launch.portal(), &ask).map(|answer| answer.status).unwrap()
    };
    assert_eq!(status(&scenario.launch.portal().to_string()), 200);
    assert_eq!(status("localhost"), 200);
    assert_eq!(status("portal.evil.example"), 403, "a name that points here, and that others have");
}

/// An identity provider that is gone when this is dropped.
struct Provider {
    child: Child,
    /// It would end if nobody read what it prints.
    _said: BufReader<ChildStdout>,
}

impl Provider {
    fn start(issuer: &str, portal: &str) -> Provider {
        let folder: &Path = scripts::path("browser");
        let mut node = Command::new("node");
        node.arg(folder.join("provider.mjs")).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null());
        node.env("ISSUER", issuer).env("PORTAL", portal).env("SECRET", "a secret of tests");
        node.env("GROUPS", r#"{"sara@acme.example":["inner circle"]}"#);
        let mut child = node.spawn().expect("node starts");
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
        said.read_line(&mut line).expect("it says something");
        assert_eq!(line.trim(), "ready", "the identity provider");
        Provider { child, _said: said }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn people_sign_in_through_an_identity_provider() {
    let scenario = Scenario::example("acme");
    let portal = scenario.launch.portal();
    let (issuer, url) = (format!("http://{}", ports::free_address()), format!("http://{portal}"));
    scenario.repo.write(
        "platform/portal.yaml",
        format!(
            "apiVersion: portico.dev/v1alpha1\nkind: Portal\nmetadata: {{ name: acme, namespace: platform }}\nspec:\n  title: Acme APIs\n  \
             url: {url}\n  signIn:\n    oidc:\n      issuer: {issuer}\n      clientId: portal\n      clientSecret: {{ name: portal-oidc }}\n      \
             groupsClaim: groups\n"
        ),
    );
    scenario.repo.write(
        "products/inner.yaml",
        "apiVersion: portico.dev/v1alpha1\nkind: ApiProduct\nmetadata: { name: inner, namespace: inner }\nspec:\n  title: Inner\n  \
         visibility: { audience: Teams, groups: [inner circle] }\n",
    );
    scenario.repo.commit("sign in through the identity provider");
    let secret = scenario.launch.state().join("secrets/platform/portal-oidc");
    fs::create_dir_all(&secret).expect("a folder");
    fs::set_permissions(scenario.launch.state(), Permissions::from_mode(0o700)).expect("it is ours");
    fs::write(secret.join("secret"), "a secret of tests\n").expect("a file");
    let _portico = scenario.up();
    let page = http::once(portal, &Ask::get("/sign-in/oidc")).unwrap();
    assert_eq!(page.status, 503, "the provider is not there yet: {}", page.body);
    // The second has other keys at the same address.
    for _ in 0..2 {
        let _provider = Provider::start(&issuer, &url);
        println!("{}", browse_with("oidc.mjs", &scenario, &[("ISSUER", &issuer)]));
    }
    let tries = (0..100).map(|_| http::once(portal, &Ask::get("/sign-in/oidc/back")).unwrap().status);
    assert!(tries.into_iter().any(|status| status == 429), "nobody may try for ever");
}

#[test]
fn people_sign_in_by_mail() {
    let mailpit = Mailpit::start();
    let scenario = Scenario::example("acme");
    let (portal, port) = (scenario.launch.portal(), mailpit.smtp().port());
    scenario.repo.write(
        "platform/portal.yaml",
        format!(
            "apiVersion: portico.dev/v1alpha1\nkind: Portal\nmetadata: {{ name: acme, namespace: platform }}\nspec:\n  title: Acme APIs\n  \
             url: http://{portal}\n  signIn:\n    mailLink:\n      from: Acme APIs <apis@acme.example>\n      \
             smtp: {{ host: 127.0.0.1, port: {port}, tls: None }}\n"
        ),
    );
    scenario.repo.commit("sign in by mail");
    let _portico = scenario.up();
    println!("{}", browse_with("mail.mjs", &scenario, &[("MAILPIT", &format!("http://{}", mailpit.api()))]));
}
