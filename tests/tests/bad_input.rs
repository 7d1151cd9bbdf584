//! Whatever somebody writes: a clear message, and everyone else goes on. In each case the bad change comes in one commit with
//! a good one, and the good one has to take effect.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use portico_tests::files;
use portico_tests::http::{self, Ask};
use portico_tests::portico::{self, Launch};
use portico_tests::repo::Repo;
use portico_tests::scenario::{Bystander, PROBE, SHOP, Scenario, THINGS};
use portico_tests::wait;

/// Commits what `change` writes together with a grant for `shop`. Portico has to say all of `words`, each group in one
/// report; `portico check` has to say the same and fail; the grant has to be enforced and the bystander left alone.
fn refused(change: impl FnOnce(&Repo), words: &[&str]) -> Scenario {
    reported(1, change, words)
}

/// The same, where `check` ends with another status.
fn reported(status: i32, change: impl FnOnce(&Repo), words: &[&str]) -> Scenario {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);

    change(&scenario.repo);
    let commit = files::grant(&scenario.repo, "echo-basic");
    portico.wait_commit(&commit);
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 200);
    bystander.check("after somebody else's mistake");

    wait::until(&format!("{words:?} in:\n{}", portico.output()), || {
        let output = portico.output();
        words.iter().all(|word| output.contains(word)).then_some(())
    });
    let checked = portico::run_in(scenario.repo.path(), &["check", "."]);
    let report = checked.transcript();
    assert_eq!(checked.status.code(), Some(status), "{report}");
    for word in words {
        assert!(report.contains(word), "`check` does not say {word:?}:\n{report}");
    }

    // And the way back is open too.
    let reverted = scenario.repo.revert(&commit);
    portico.wait_commit(&reverted);
    scenario.wait_status(&key, 401);
    bystander.check("after the revert");
    scenario
}

#[test]
fn a_missing_reference() {
    refused(
        |repo| repo.write("teams/shop/web/more.yaml", files::subscription("web-more", "no-such-plan")),
        &["no-such-plan", "teams/shop/web/more.yaml:6:17"],
    );
}

#[test]
fn a_reference_without_consent_looks_like_a_missing_one() {
    let stranger = |plan: &str| {
        let application = files::application().replace("namespace: shop", "namespace: stranger");
        let subscription = files::subscription("web", plan).replace("namespace: shop", "namespace: stranger");
        format!("{application}---\n{subscription}")
    };
    let report = |plan: &str| {
        let text = stranger(plan);
        let scenario = refused(|repo| repo.write("teams/stranger/all.yaml", &text), &["teams/stranger/all.yaml"]);
        // `refused` has reverted it; once more for its words.
        scenario.repo.write("teams/stranger/all.yaml", &text);
        portico::run_in(scenario.repo.path(), &["check", "--format", "json", "."]).stdout.replace(plan, "PLAN")
    };
    // Both have nine letters, so that even the columns are the same.
    assert_eq!(report("echo-basic"), report("echo-nones"));
}

#[test]
fn a_duplicate_object() {
    refused(
        |repo| {
            let probe = files::bystander().replace("Probe", "A second one");
            let application = probe.split("---").next().expect("there is a first document").to_owned();
            repo.write("teams/zz/copy.yaml", application);
        },
        &["teams/zz/copy.yaml", files::BYSTANDER, "probe"],
    );
}

#[test]
fn an_unknown_field() {
    refused(
        |repo| repo.replace(files::SMALL_PLAN, "limits:", "limitz:"),
        &["limitz", "limits", "products/echo/plans/small.yaml:7"],
    );
}

#[test]
fn a_wrong_type() {
    refused(
        |repo| repo.replace(files::SMALL_PLAN, "requests: 5", "requests: five"),
        &["requests", "products/echo/plans/small.yaml:7"],
    );
}

#[test]
fn text_that_is_no_yaml() {
    refused(|repo| repo.replace(files::SMALL_PLAN, "limits: [{", "limits: [[{"), &["products/echo/plans/small.yaml:"]);
}

#[test]
fn two_strategies_in_one_application() {
    refused(
        |repo| {
            let plan = files::plan()
                .replace("echo-basic", "echo-oauth")
                .replace("title: Basic", "title: Basic\n  security: { type: ClientCredentials }");
            repo.write("products/echo/plans/oauth.yaml", plan);
            repo.write("teams/shop/web/more.yaml", files::subscription("web-oauth", "echo-oauth"));
        },
        &["strategy-mismatch", "ClientCredentials", "ApiKey", "teams/shop/web/more.yaml:6:17"],
    );
}

#[test]
fn a_negative_limit() {
    refused(
        |repo| repo.replace(files::SMALL_PLAN, "requests: 5", "requests: -1"),
        &["-1", "products/echo/plans/small.yaml:7"],
    );
}

#[test]
fn a_limit_of_0_denies() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    scenario.repo.replace(files::SMALL_PLAN, "requests: 5", "requests: 0");
    let commit = files::grant(&scenario.repo, "echo-small");
    portico.wait_commit(&commit);
    let key = scenario.key(SHOP);
    scenario.wait_status(&key, 403);
    bystander.check("beside a limit of 0");
}

#[test]
fn names_of_253_characters() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    let long = "a".repeat(253);
    scenario.repo.write(files::SUBSCRIPTION, files::subscription(&long, "echo-basic"));
    scenario.repo.write(files::CREDENTIAL, files::credential(&long, &long));
    let commit = scenario.repo.commit("long names");
    portico.wait_commit(&commit);
    let key = scenario.key(&format!("shop/{long}"));
    scenario.wait_status(&key, 200);
    bystander.check("beside long names");
}

#[test]
fn a_name_of_254_characters() {
    let long = "a".repeat(254);
    refused(
        |repo| repo.write("teams/shop/web/more.yaml", files::subscription(&long, "echo-basic")),
        &["253", "teams/shop/web/more.yaml"],
    );
}

#[test]
fn an_openapi_document_that_does_not_parse() {
    // It stays in effect as it was, so that it is a warning: the product is served, and its reader is told.
    reported(0, |repo| repo.write(files::OPENAPI, "openapi: 3.1.0\npaths: [\n"), &["invalid-openapi", files::PRODUCT]);
}

#[test]
fn what_a_scope_guards_stays_guarded_when_the_document_breaks() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    let make = || scenario.ask(&Ask::method("POST", THINGS).key(&key)).map_or(0, |answer| answer.status);
    assert_eq!(make(), 200);
    let scopes = "  title: Echo\n  scopes: [{ name: make, mode: Optional, operations: [makeThing] }]\n";
    scenario.repo.replace(files::PRODUCT, "  title: Echo\n", scopes);
    portico.wait_commit(&scenario.repo.commit("guard an operation"));
    wait::until("the operation to be guarded", || (make() == 403).then_some(()));
    assert_eq!(scenario.status(&key), 200);

    scenario.repo.write(files::OPENAPI, "openapi: 3.1.0\npaths: [\n");
    portico.wait_commit(&scenario.repo.commit("break the document"));
    assert_eq!((make(), scenario.status(&key)), (403, 200), "what it said before goes on");
    portico.kill();
    let _portico = scenario.up();
    scenario.wait_status(&key, 200);
    assert_eq!(make(), 403, "and does after a restart");
}

#[test]
fn a_file_that_is_not_utf_8() {
    refused(
        |repo| repo.write("teams/shop/web/more.yaml", b"apiVersion: portico.dev/v1alpha1\nkind: Team # \xff\xfe\n"),
        &["teams/shop/web/more.yaml", "UTF-8"],
    );
}

#[test]
fn a_document_that_is_too_deep() {
    refused(
        |repo| {
            let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
            let text = format!("apiVersion: portico.dev/v1alpha1\nkind: Team\nmetadata: {{ name: a }}\nspec: {deep}\n");
            repo.write("teams/shop/deep.yaml", text);
        },
        &["teams/shop/deep.yaml"],
    );
}

#[test]
fn a_file_that_is_too_large() {
    refused(
        |repo| {
            let text =
                format!("# {}\n{}", "x".repeat(64 << 20), files::application().replace("name: web,", "name: big,"));
            repo.write("teams/shop/large.yaml", text);
        },
        &["teams/shop/large.yaml"],
    );
}

#[test]
fn a_symlink_out_of_the_repository() {
    refused(
        |repo| {
            fs::create_dir_all(repo.file("teams/shop")).expect("a folder");
            std::os::unix::fs::symlink("/etc/passwd", repo.file("teams/shop/link.yaml")).expect("a symlink");
        },
        &["teams/shop/link.yaml"],
    );
}

#[test]
fn an_openapi_path_out_of_the_repository() {
    refused(
        |repo| repo.replace(files::PRODUCT, "path: openapi.yaml", "path: ../../../../../etc/passwd"),
        &["etc/passwd", files::PRODUCT],
    );
}

#[test]
fn a_commit_that_deletes_everything() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    for folder in ["platform", "products", "teams"] {
        scenario.repo.remove(folder);
    }
    let commit = scenario.repo.commit("nothing left");
    let line = portico.wait_commit(&commit);
    assert!(portico.output().contains("--allow-empty"), "it says how to mean it: {line}\n{}", portico.output());
    bystander.check("after a commit that deletes everything");

    let back = scenario.repo.revert(&commit);
    portico.wait_commit(&back);
    bystander.check("after its revert");
    portico.kill();

    // Those who mean it can say so.
    let scenario = Scenario::with(|repo| Launch::new(repo.path()).arguments(["--allow-empty"]));
    let portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    for folder in ["products", "platform", "teams"] {
        scenario.repo.remove(folder);
    }
    let commit = scenario.repo.commit("nothing left");
    portico.wait_commit(&commit);
    wait::until("nobody to be let in", || (scenario.status(&key) != 200).then_some(()));
}

#[test]
fn an_unreachable_remote() {
    // Nobody has ever been there: it says so, waits, and begins once it is.
    let scenario = Scenario::with(|repo| {
        let bare = repo.publish();
        fs::rename(&bare, bare.with_extension("away")).expect("a folder can be moved");
        Launch::new(format!("file://{}", bare.display())).arguments(["--poll", "1"])
    });
    let mut portico = scenario.launch.start();
    portico.wait_line(&["cannot reach", "bare.git"]);
    assert!(!portico.is_ready(), "nothing is known yet");
    let bare = PathBuf::from(scenario.repo.git(&["remote", "get-url", "origin"]).trim());
    fs::rename(bare.with_extension("away"), &bare).expect("a folder can be moved");
    portico.wait_ready();
    scenario.wait_status(&scenario.key(PROBE), 200);
    portico.kill();

    // It was there, and goes away: what it said last stays enforced.
    let scenario = Scenario::with(|repo| {
        let bare = repo.publish();
        Launch::new(format!("file://{}", bare.display())).arguments(["--poll", "1"])
    });
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    let bare = scenario.repo.git(&["remote", "get-url", "origin"]).trim().to_owned();
    fs::rename(&bare, format!("{bare}.away")).expect("a folder can be moved");
    wait::until("a word about the remote", || portico.output().contains("bare.git").then_some(()));
    bystander.check("while the remote is away");
    fs::rename(format!("{bare}.away"), &bare).expect("a folder can be moved");
    let commit = files::grant(&scenario.repo, "echo-basic");
    scenario.repo.push();
    portico.wait_commit(&commit);
    scenario.wait_status(&scenario.key(SHOP), 200);
    bystander.check("after the remote is back");
}

#[test]
fn a_full_disk() {
    let scenario = Scenario::with(|repo| Launch::new(repo.path()).disk(16));
    let portico = scenario.up();
    let state = portico.path_of(&scenario.launch.state());
    let reveal = |credential: &str| {
        let dir = scenario.repo.path().display().to_string();
        let state = state.display().to_string();
        let outcome = portico::run_in(
            scenario.repo.path(),
            &["credential", "reveal", credential, "--dir", &dir, "--state", &state],
        );
        outcome.stdout.split_ascii_whitespace().find(|word| word.starts_with("ptk_")).map(ToOwned::to_owned)
    };
    let probe = wait::until("the bystander's key", || reveal(PROBE));
    scenario.wait_status(&probe, 200);
    let leaving = files::grant(&scenario.repo, "echo-basic");
    portico.wait_commit(&leaving);
    let shop = wait::until("the key of shop", || reveal(SHOP));
    scenario.wait_status(&shop, 200);

    // Nothing fits any more; the error is what tells that it is full.
    let filler = state.join("filler");
    fs::write(&filler, vec![0; 32 << 20]).expect_err("16 MiB hold no 32");
    // A revocation needs no room. A new key does.
    scenario.repo.remove(files::CREDENTIAL);
    let second = files::credential("web-more", "web-basic");
    scenario.repo.write("teams/shop/web/more.yaml", second);
    scenario.repo.commit("one key for another, on a full disk");
    scenario.wait_status(&shop, 401);
    wait::until("a word about the disk", || {
        let output = portico.output();
        ["full", "space"].iter().any(|word| output.contains(word)).then_some(())
    });
    assert_eq!(scenario.status(&probe), 200, "the others go on");
    assert_eq!(reveal("shop/web-more"), None, "no key is told that is not kept");

    // With room again it gets there by itself.
    fs::remove_file(&filler).expect("the filler can be deleted");
    let more = wait::until("the new key", || reveal("shop/web-more"));
    scenario.wait_status(&more, 200);
    assert_eq!((scenario.status(&probe), scenario.status(&shop)), (200, 401));
}

#[test]
fn the_ports_of_portico_in_use() {
    for option in ["--api", "--xds"] {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = taken.local_addr().expect("a bound socket has an address");
        let scenario = Scenario::with(|repo| {
            let launch = Launch::new(repo.path());
            if option == "--api" { launch.api_at(address) } else { launch.xds_at(address) }
        });
        let mut portico = scenario.launch.start();
        let status = portico.wait_end();
        assert!(!status.success());
        let output = portico.output();
        assert!(output.contains(&address.to_string()) && output.contains(option), "{output}");
        assert_eq!(scenario.launch.envoys(), Vec::<u32>::new(), "it leaves nothing behind");
    }
}

#[test]
fn the_port_of_the_gateway_in_use() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let port = taken.local_addr().expect("a bound socket has an address").port();
    let more = format!("        - {{ name: more, address: 127.0.0.1, port: {port} }}\n");
    let environment = format!("{}{more}", scenario.repo.read(files::ENVIRONMENT));
    scenario.repo.write(files::ENVIRONMENT, environment);
    scenario.repo.commit("one more listener, where somebody else listens");
    wait::until(&format!("a word about port {port}"), || portico.output().contains(&port.to_string()).then_some(()));
    bystander.check("after a listener that could not be");
    let status = scenario.launch.run(&["status"]);
    assert!(status.stdout.contains(&port.to_string()), "{}", status.transcript());

    // Everything else goes on.
    files::grant(&scenario.repo, "echo-basic");
    scenario.wait_status(&scenario.key(SHOP), 200);
    bystander.check("after the next commit");

    // Once the port is free it is used, and nothing is wrong any more.
    drop(taken);
    let key = scenario.key(SHOP);
    wait::until("the second listener", || {
        let peer = (std::net::Ipv4Addr::LOCALHOST, port).into();
        http::once(peer, &Ask::get("/echo/things").key(&key)).ok().filter(|answer| answer.status == 200)
    });
    portico.wait_line(&["the gateway of Environment platform/local takes"]);
    let status = scenario.launch.run(&["status"]);
    assert!(!status.stdout.contains("Refused"), "{}", status.transcript());
}

#[test]
fn an_envoy_that_refuses_a_configuration() {
    // Two listeners at one address: each is fine by itself, and only Envoy can tell that both are not.
    let scenario = Scenario::new();
    let portico = scenario.up();
    let mut bystander = Bystander::new(&scenario);
    let port = scenario.gateway.port();
    let more = format!("        - {{ name: twin, address: 127.0.0.1, port: {port} }}\n");
    let environment = format!("{}{more}", scenario.repo.read(files::ENVIRONMENT));
    scenario.repo.write(files::ENVIRONMENT, environment);
    let commit = scenario.repo.commit("a twin");
    wait::until(&format!("a word about {port}"), || portico.output().contains("twin").then_some(()));
    bystander.check("after a refused configuration");
    let granted = files::grant(&scenario.repo, "echo-basic");
    scenario.wait_status(&scenario.key(SHOP), 200);
    scenario.repo.revert(&granted);
    let reverted = scenario.repo.revert(&commit);
    portico.wait_commit(&reverted);
    bystander.check("after the way back");
}

#[test]
fn no_envoy_on_the_machine() {
    let scenario = Scenario::new();
    let launch = Launch::new(scenario.repo.path()).envoy("/nowhere/envoy".as_ref());
    let mut portico = launch.start();
    let status = portico.wait_end();
    assert!(!status.success());
    let output = portico.output();
    assert!(output.contains("/nowhere/envoy") && output.contains("--no-envoy"), "{output}");
}

#[test]
fn an_envoy_that_does_not_start() {
    let scenario = Scenario::new();
    let launch = Launch::new(scenario.repo.path()).envoy("/bin/false".as_ref());
    let portico = launch.start();
    wait::until("a word about it", || portico.output().contains("/bin/false").then_some(()));
    assert!(!portico.is_ready(), "nothing is enforced");
}
