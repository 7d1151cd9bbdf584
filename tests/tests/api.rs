//! The API of the portal against its own document, as programs that try everything find it.

use std::fs;
use std::path::Path;
use std::process::Command;

use portico_tests::http::{self, Ask};
use portico_tests::scenario::Scenario;
use portico_tests::{scripts, wait};

const FORM: &str = "application/x-www-form-urlencoded";

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).map_or(rest, |(found, _)| found)
}

/// A token that somebody makes on the page.
fn token(scenario: &Scenario, mail: &str) -> String {
    let ask = |ask: &Ask| http::once(scenario.launch.portal(), ask).expect("the portal answers");
    let cookie = |answer: &http::Answer| between(answer.header("set-cookie").expect("a session"), "", ";").to_owned();
    let form = |page: &http::Answer| between(&page.body, "name=\"token\" value=\"", "\"").to_owned();
    let page = ask(&Ask::get("/sign-in"));
    let body = format!("token={}&mail={mail}", form(&page));
    let signed_in = ask(&Ask::method("POST", "/sign-in/local").header("cookie", &cookie(&page)).body(FORM, &body));
    assert_eq!(signed_in.status, 303, "{}", signed_in.body);
    let session = cookie(&signed_in);
    let page = ask(&Ask::get("/tokens").header("cookie", &session));
    let body = format!("token={}&name=robot&days=7&write=yes&decide=yes", form(&page));
    let made = ask(&Ask::method("POST", "/tokens").header("cookie", &session).body(FORM, &body));
    assert_eq!(made.status, 200, "{}", made.body);
    format!("ppt_{}", between(&made.body, "ppt_", "<"))
}

#[test]
fn the_api_is_as_its_document_says() {
    let mut scenario = Scenario::example("acme");
    scenario.launch = scenario.launch.arguments(["--local-sign-in"]);
    let _portico = scenario.up();
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("parts/schemathesis.toml");
    let document = format!("http://{}/api/v1/openapi.json", scenario.launch.portal());
    // One who subscribes, and one who looks after what is subscribed to.
    for mail in ["sara@acme.example", "olga@acme.example"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::copy(&settings, folder.path().join("schemathesis.toml")).expect("the settings");
        let mut program = Command::new(scripts::path("schemathesis"));
        program.current_dir(folder.path()).args(["run", &document, "--seed", "1", "--max-examples", "20"]);
        program.args(["--header", &format!("Authorization: Bearer {}", token(&scenario, mail))]);
        // Events come for as long as there are any.
        program.args(["--exclude-path-regex", "events$", "--continue-on-failure", "--request-timeout", "20"]);
        let output = program.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{mail}:\n{said}");
        assert!(output.status.success(), "{mail}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("Tested: 27"), "every operation was tried");
    }
    assert_eq!(scenario.repo.git(&["status", "--porcelain"]), "", "the work tree is as the commit");
}

#[test]
fn a_program_gets_a_key_that_works_and_takes_it_back() {
    let mut scenario = Scenario::example("acme");
    scenario.launch = scenario.launch.arguments(["--local-sign-in"]);
    let portico = scenario.up();
    let bearer = format!("Bearer {}", token(&scenario, "sara@acme.example"));
    let call = |method: &str, path: &str, body: &str| {
        let ask = Ask::method(method, path).header("authorization", &bearer).body("application/json", body);
        http::once(scenario.launch.portal(), &ask).expect("the portal answers")
    };
    // A token outlives a restart.
    portico.stop();
    let portico = scenario.up();
    let body = r#"{"plan":{"namespace":"payments","name":"gold"},"title":"Robot shop","acceptedTerms":"2026-01"}"#;
    let made = call("POST", "/api/v1/subscriptions", body);
    assert_eq!(made.status, 202, "{}", made.body);
    let location = made.header("location").expect("where to follow it").to_owned();
    let events = call("GET", &location.replacen('?', "/events?", 1), "");
    assert!(events.body.contains("\"progress\":\"Enforced\""), "{}", events.body);
    let name = made.json()["object"]["name"].as_str().expect("a name").to_owned();
    let told = call("POST", &format!("/api/v1/credentials/shop/{name}/reveal"), "");
    assert_eq!(told.status, 200, "{}", told.body);
    let key = told.json()["key"].as_str().expect("a key").to_owned();
    let again = call("POST", &format!("/api/v1/credentials/shop/{name}/reveal"), "");
    assert_eq!(again.status, 422, "it is shown once: {}", again.body);
    let url = told.json()["places"][0]["url"].as_str().expect("a place").to_owned();
    let path = format!("/{}/payments", url.splitn(4, '/').nth(3).expect("a path"));
    let host = between(&url, "://", "/").to_owned();
    let gateway = |key: &str| {
        let ask = Ask::get(&path).host(&host).key(key);
        scenario.ask(&ask).expect("the gateway answers").status
    };
    assert_eq!(gateway(&key), 200);
    let revoked = call("DELETE", &format!("/api/v1/credentials/shop/{name}"), "");
    assert_eq!(revoked.status, 202, "{}", revoked.body);
    wait::until("the key is dead", || (gateway(&key) == 401).then_some(()));
    let gone = call("GET", &format!("/api/v1/credentials/shop/{name}"), "");
    assert_eq!(gone.status, 404, "{}", gone.body);
    drop(portico);
}
