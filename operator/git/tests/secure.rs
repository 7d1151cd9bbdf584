//! Pushing over HTTPS and SSH: who is let in, and whom we believe.
//!
//! Certificates and host keys that are trusted are a matter of the whole process, so the test starts itself once for each case.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

#[path = "write/stage.rs"]
#[allow(dead_code, reason = "it is shared with other tests")]
mod stage;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portico_git::watch::Auth;
use portico_git::write::{Elsewhere, IdempotencyKey, Proposal, Refused, Request, RequestId, Target, WriteError};

use stage::{Hand, Writing, application, git, put, request};

/// What a case is about, in the environment of the process that carries it out: a URL, who to be, a folder for the copy.
const CASE: &str = "PORTICO_TEST_CASE";

fn main() {
    if let Ok(case) = std::env::var(CASE) {
        carry_out(&case);
    } else {
        let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
        if filters.is_empty() || filters.iter().any(|filter| "secure".contains(filter.as_str())) {
            all();
        }
    }
}

/// Lands one application and says the commit, or why not.
fn carry_out(case: &str) {
    let words: Vec<&str> = case.split(' ').collect();
    let [url, who, copy, name] = words.as_slice() else { panic!("{case}") };
    let auth = match who.split_once(':') {
        Some(("token", token)) => Auth::Token { user: "ann".to_owned(), token: token.to_owned() },
        Some(("key", path)) => Auth::SshKey(path.into()),
        _ => panic!("{who}"),
    };
    let limit = Duration::from_mins(1);
    let elsewhere = Elsewhere { url: (*url).to_owned(), branch: None, copy: copy.into(), auth, limit };
    let writing = Writing::new(Target::Elsewhere(elsewhere), |_: &Proposal<'_>| Vec::new());
    let asked = Request {
        id: RequestId::new(name).expect("an id"),
        once: IdempotencyKey::new(name).expect("a key"),
        ..request(vec![put(&application(name))])
    };
    match writing.submit(&asked) {
        Ok(landed) => println!("landed {}", landed.commit),
        Err(Refused::Rejected { message, .. }) => println!("rejected {}", message.replace('\n', " ")),
        Err(Refused::Failed(error)) => match &*error {
            WriteError::HostKey { .. } => println!("host-key"),
            WriteError::Credentials { .. } => println!("credentials"),
            WriteError::Unreachable { source, .. } => println!("unreachable {}", source.message()),
            other => println!("{other:?}"),
        },
        Err(other) => println!("{other:?}"),
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn all() {
    let hand = Hand::new();
    let bare = hand.bare();
    git(&bare, &["config", "http.receivepack", "true"]);
    let folder = bare.parent().expect("a folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/gitserver");
    let program = Command::new(script).stderr(Stdio::inherit()).output().expect("it starts");
    assert!(program.status.success(), "there is no Git server to test with");
    let program = String::from_utf8(program.stdout).expect("a path");
    let server = Command::new(program.trim()).arg(folder).stdout(Stdio::piped()).spawn();
    let mut server = Server(server.expect("the server starts"));
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says where it is");
    let words: Vec<&str> = line.trim().splitn(3, ' ').collect();
    let [web, shell, host] = words.as_slice() else { panic!("{line}") };
    let access = folder.join("access");

    // Three homes: one that knows the host, one that knows nobody, and one that knows another key of this host.
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    for (home, key) in [("known", Some(*host)), ("nobody", None), ("changed", Some(other))] {
        std::fs::create_dir_all(folder.join(home).join(".ssh")).expect("a folder");
        let line = key.map(|key| format!("[127.0.0.1]:{shell} {key}\n")).unwrap_or_default();
        std::fs::write(folder.join(home).join(".ssh/known_hosts"), line).expect("written");
    }
    let https = format!("https://127.0.0.1:{web}/bare.git");
    let ssh = format!("ssh://git@127.0.0.1:{shell}/bare.git");
    let (user, stranger) = (access.join("user"), access.join("stranger"));
    let (user, stranger) = (format!("key:{}", user.display()), format!("key:{}", stranger.display()));
    let mut number = 0;
    let mut run = |url: &str, who: &str, home: &str, trusted: bool| {
        number += 1;
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        let copy = folder.join(format!("copy-{number}"));
        child.env(CASE, format!("{url} {who} {} a-{number}", copy.display())).env("HOME", folder.join(home));
        let nothing = folder.join("nothing.pem");
        std::fs::write(&nothing, "").expect("written");
        child.env("SSL_CERT_FILE", if trusted { access.join("ca.pem") } else { nothing });
        child.env("SSL_CERT_DIR", folder.join("nothing")).env_remove("SSH_AUTH_SOCK");
        let said = String::from_utf8(child.output().expect("it runs").stdout).expect("text").trim().to_owned();
        println!("{url} as {}, home {home}: {said}", who.split(':').next().unwrap_or_default());
        said
    };
    let landed = |said: &str| {
        assert_eq!(said, format!("landed {}", git(&bare, &["rev-parse", "main"])));
    };
    landed(&run(&https, "token:token", "nobody", true));
    landed(&run(&ssh, &user, "known", false));
    assert_eq!(run(&https, "token:wrong", "nobody", true), "credentials");
    assert_eq!(run(&ssh, &stranger, "known", true), "credentials");
    let said = run(&https, "token:token", "nobody", false);
    assert!(said.starts_with("unreachable") && said.to_lowercase().contains("certificate"), "{said}");
    assert_eq!(run(&ssh, &user, "nobody", true), "host-key");
    assert_eq!(run(&ssh, &user, "changed", true), "host-key");
    let hook = bare.join("hooks/pre-receive");
    std::fs::write(&hook, "#!/bin/sh\necho 'not today' >&2\nexit 1\n").expect("written");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    for said in [run(&https, "token:token", "nobody", true), run(&ssh, &user, "known", true)] {
        assert!(said.starts_with("rejected") && said.contains("not today"), "{said}");
    }
    assert_eq!(git(&bare, &["rev-list", "--count", "main"]), "3", "what was refused is not there");
}
