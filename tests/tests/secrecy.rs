//! Keys are where they have to be and nowhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portico_tests::files;
use portico_tests::http::{self, Ask};
use portico_tests::portico::Launch;
use portico_tests::scenario::{PROBE, SHOP, Scenario, THINGS};

fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() { found.extend(below(&path)) } else { found.push(path) }
    }
    found
}

fn holds(content: &[u8], key: &str) -> bool {
    content.windows(key.len()).any(|window| window == key.as_bytes())
}

#[test]
fn a_key_is_told_by_reveal_only() {
    let scenario = Scenario::with(|repo| Launch::new(repo.path()).variable("RUST_LOG", "trace,h2=info"));
    let portico = scenario.up();
    let commit = files::grant(&scenario.repo, "echo-small");
    portico.wait_commit(&commit);
    let keys = [scenario.key(SHOP), scenario.key(PROBE)];
    for key in &keys {
        scenario.wait_status(key, 200);
    }
    for _ in 0..7 {
        scenario.status(&keys[0]);
    }
    for key in &keys {
        assert!(!portico.output().contains(key), "Portico printed a key");
        for arguments in [
            ["status"].as_slice(),
            &["access"],
            &["explain", "credential/shop/web-basic"],
            &["explain", "subscription/shop/web-basic"],
        ] {
            let outcome = scenario.launch.run(arguments).transcript();
            assert!(!outcome.contains(key), "{arguments:?} tells a key:\n{outcome}");
        }
        for path in below(&scenario.launch.state()) {
            if path.is_file() {
                let content = fs::read(&path).unwrap_or_default();
                assert!(!holds(&content, key), "{} holds a key in the clear", path.display());
            }
        }
    }
    for path in below(&scenario.launch.state()) {
        let mode = fs::symlink_metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
        // A socket's own mode matters less than its folder's; files and folders are for their owner alone.
        if path.is_file() || path.is_dir() {
            assert_eq!(mode & 0o077, 0, "{} is open to others: {mode:o}", path.display());
        }
    }
}

#[test]
fn envoy_does_not_tell_keys_either() {
    let scenario = Scenario::new();
    let _portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    scenario.status(&key);
    let outcome =
        portico_tests::portico::run_in(scenario.repo.path(), &["render", ".", "--environment", "platform/local"]);
    assert!(outcome.status.success(), "{}", outcome.transcript());
    assert!(!outcome.transcript().contains(&key), "render tells a key");
    let Some(admin) = admin(&scenario) else { return };
    for path in ["/config_dump?include_eds", "/stats", "/clusters", "/listeners", "/server_info"] {
        let answer = admin.ask(path);
        assert!(answer.len() > 2, "{path} says nothing");
        assert!(!answer.contains(&key), "Envoy's {path} tells a key");
    }
}

/// Envoy's administration: a TCP port or a socket file, as its arguments or its configuration say; none is as good.
enum Admin {
    Port(std::net::SocketAddr),
    Socket(PathBuf),
}

impl Admin {
    fn ask(&self, path: &str) -> String {
        match self {
            Admin::Port(address) => http::once(*address, &Ask::get(path)).expect("the administration answers").body,
            Admin::Socket(socket) => {
                use std::io::{Read, Write};
                let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("the socket is there");
                write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").expect("it is sent");
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).expect("it answers");
                String::from_utf8_lossy(&answer).into_owned()
            }
        }
    }
}

fn admin(scenario: &Scenario) -> Option<Admin> {
    use std::os::unix::fs::FileTypeExt;
    let state = scenario.launch.state();
    let socket = below(&state).into_iter().find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains("admin"))
            && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
    });
    if let Some(socket) = socket {
        return Some(Admin::Socket(socket));
    }
    let file = below(&state)
        .into_iter()
        .find(|path| path.is_file() && path.file_name().is_some_and(|name| name.to_string_lossy().contains("admin")))?;
    let text = fs::read_to_string(file).ok()?;
    text.trim().trim_start_matches("http://").parse().ok().map(Admin::Port)
}

#[test]
fn a_wrong_key_is_not_repeated() {
    let scenario = Scenario::new();
    let portico = scenario.up();
    let key = scenario.key(PROBE);
    scenario.wait_status(&key, 200);
    // As good as a key, but for its end.
    let end = if key.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{end}", &key[..key.len() - 1]);
    let answer = scenario.ask(&Ask::get(THINGS).key(&wrong)).expect("the gateway answers");
    assert_eq!(answer.status, 401);
    assert!(!answer.body.contains(&wrong) && !portico.output().contains(&wrong));
}
