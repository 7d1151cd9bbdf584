//! Envoys that are run, die and are left.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portico_envoy::supervisor::{Address, Error, Settings, State, Supervisor, find};
use support::{envoy, free_port, http, name};
use tokio::sync::watch;

fn settings(directory: &Path) -> Settings {
    Settings {
        binary: envoy(),
        environment: name("ops/test"),
        node: "one".to_owned(),
        directory: directory.join("envoy"),
        discovery: Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))),
        admin: Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))),
        concurrency: Some(1),
        max_connections: 100,
    }
}

fn pid(state: &watch::Receiver<State>) -> i32 {
    let State::Running { pid } = *state.borrow() else { panic!("it does not run") };
    pid
}

async fn until(state: &mut watch::Receiver<State>, wanted: impl FnMut(&State) -> bool) -> State {
    let found = tokio::time::timeout(Duration::from_secs(20), state.wait_for(wanted)).await;
    found.expect("in time").unwrap().clone()
}

/// Whether it answers, after a while at most.
async fn answers(settings: &Settings) -> bool {
    let Address::Tcp(admin) = settings.admin else { panic!("a port") };
    for _ in 0..500 {
        if tokio::net::TcpStream::connect(admin).await.is_ok() {
            return http::get(admin, "/ready", &[]).await.status > 0;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_dies_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let supervisor = Supervisor::start(settings.clone()).await.unwrap();
    let mut state = supervisor.state();
    let first = pid(&state);
    assert!(answers(&settings).await);
    assert!(std::process::Command::new("kill").args(["-9", &first.to_string()]).status().unwrap().success());
    let died = until(&mut state, |state| matches!(state, State::Died { .. })).await;
    let State::Died { message } = died else { unreachable!() };
    assert!(!message.is_empty(), "how it ended, or what it said");
    until(&mut state, |state| matches!(state, State::Running { pid } if *pid != first)).await;
    let second = pid(&state);
    assert!(answers(&settings).await);
    supervisor.stop().await.unwrap();
    assert_eq!(*state.borrow(), State::Stopped);
    assert!(!runs(first) && !runs(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_was_left_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let supervisor = Supervisor::start(settings.clone()).await.unwrap();
    let first = pid(&supervisor.state());
    assert!(answers(&settings).await);
    supervisor.leave().await.unwrap();
    assert!(answers(&settings).await, "it goes on");

    let supervisor = Supervisor::start(settings.clone()).await.unwrap();
    assert_eq!(pid(&supervisor.state()), first);
    // Dropped without a word, as by a panic: it is left too.
    drop(supervisor);
    let supervisor = Supervisor::start(settings.clone()).await.unwrap();
    let mut state = supervisor.state();
    assert_eq!(pid(&state), first);
    // One that was taken over is started again as well.
    assert!(std::process::Command::new("kill").args(["-9", &first.to_string()]).status().unwrap().success());
    until(&mut state, |state| matches!(state, State::Running { pid } if *pid != first)).await;
    let second = pid(&state);
    supervisor.leave().await.unwrap();

    // With other settings it is another Envoy.
    let others = Settings { max_connections: 200, ..settings.clone() };
    let supervisor = Supervisor::start(others.clone()).await.unwrap();
    let third = pid(&supervisor.state());
    assert_ne!(third, second);
    assert!(!runs(second));
    assert!(answers(&others).await);
    supervisor.stop().await.unwrap();
    assert!(!runs(third));
    // The record of one that is gone, whose id may be somebody else's by now, is no claim on anybody.
    let stranger = std::process::id();
    let record = serde_json::json!({ "pid": stranger, "started": "1", "settings": "x" }).to_string();
    std::fs::write(settings.directory.join("envoy.json"), record).unwrap();
    let supervisor = Supervisor::start(settings).await.unwrap();
    let fourth = pid(&supervisor.state());
    supervisor.stop().await.unwrap();
    assert!(!runs(fourth));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = PathBuf::from("/nonexistent/envoy");
    let missing = find(Some(&nowhere), None).unwrap_err().to_string();
    assert!(missing.starts_with("there is no Envoy at /nonexistent/envoy; install one"), "{missing}");
    let missing = find(None, Some(directory.path().as_os_str())).unwrap_err().to_string();
    assert!(missing.starts_with("there is no Envoy on the PATH; install one"), "{missing}");
    assert!(find(None, None).is_err());
    // A file that cannot be run is not a program.
    let file = directory.path().join("envoy");
    std::fs::write(&file, "#!/bin/sh\necho 'something is wrong' >&2\nexit 3\n").unwrap();
    assert!(find(None, Some(directory.path().as_os_str())).is_err());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(find(None, Some(directory.path().as_os_str())).unwrap(), file);

    let settings = settings(directory.path());
    let settings = Settings { directory: directory.path().join("files"), ..settings };
    let error = Supervisor::start(Settings { binary: nowhere, ..settings.clone() }).await.unwrap_err();
    assert!(matches!(error, Error::Start { .. }), "{error}");
    let long = directory.path().join("x".repeat(100));
    for settings in [
        Settings { admin: Address::Unix(long.clone()), ..settings.clone() },
        Settings { discovery: Address::Unix(long.clone()), ..settings.clone() },
    ] {
        let error = Supervisor::start(settings).await.unwrap_err();
        assert!(matches!(&error, Error::LongSocket { path } if *path == long), "{error}");
    }
    let open = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9901));
    let error = Supervisor::start(Settings { admin: Address::Tcp(open), ..settings.clone() }).await.unwrap_err();
    assert!(matches!(error, Error::OpenAdmin { address } if address == open), "{error}");
    let error = Supervisor::start(Settings { directory: file.join("below"), ..settings.clone() }).await.unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");

    // A program that starts and ends again is started again, each time after a longer pause.
    let supervisor = Supervisor::start(Settings { binary: file, ..settings }).await.unwrap();
    let mut state = supervisor.state();
    let died = until(&mut state, |state| matches!(state, State::Died { .. })).await;
    assert_eq!(died, State::Died { message: "something is wrong".to_owned() });
    supervisor.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_will_do() {
    let directory = tempfile::tempdir().unwrap();
    let admin = directory.path().join("admin.sock");
    let settings = settings(directory.path());
    let settings = Settings {
        admin: Address::Unix(admin.clone()),
        discovery: Address::Unix(directory.path().join("xds.sock")),
        ..settings
    };
    // The file of an Envoy that was killed is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(&admin).unwrap());
    let supervisor = Supervisor::start(settings).await.unwrap();
    let mut answer = None;
    for _ in 0..500 {
        if let Ok(stream) = tokio::net::UnixStream::connect(&admin).await {
            answer = Some(http::Connection::over(stream).send("GET", "/server_info", &[]).await.unwrap());
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(answer.unwrap().body.contains("ops/test"));
    supervisor.stop().await.unwrap();
}
