//! A real mail server, to see what mails it is given.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::Value;

use crate::cluster::part::{Folder, Part};
use crate::gateway::Identity;
use crate::http::{self, Ask};
use crate::{ports, scripts, wait};

/// The Mailpit to test with: `PORTICO_MAILPIT`, or what `scripts/mailpit` prints.
///
/// # Panics
///
/// When there is none and none can be had.
pub fn binary() -> &'static Path {
    scripts::path("mailpit")
}

/// A running Mailpit. It is gone when it is dropped, and when the process that started it ends.
#[derive(Debug)]
pub struct Mailpit {
    _part: Part,
    _folder: Folder,
    smtp: SocketAddr,
    api: SocketAddr,
}

/// A mail that it was given.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The sender, as `name <address>` has it.
    pub from: (String, String),
    /// The first recipient's address.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl Mailpit {
    /// Starts one that takes everything, and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it printed.
    pub fn start() -> Mailpit {
        Mailpit::begin(&[], None)
    }

    /// The same for those who encrypt after connecting and know a password, `user:password`.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it printed.
    pub fn start_with(identity: &Identity, password: &str) -> Mailpit {
        let Identity { certificate, private_key, authority: _ } = identity;
        let tls = [
            "--smtp-require-starttls".to_owned(),
            "--smtp-tls-cert".to_owned(),
            certificate.display().to_string(),
            "--smtp-tls-key".to_owned(),
            private_key.display().to_string(),
        ];
        Mailpit::begin(&tls, Some(password))
    }

    fn begin(more: &[String], password: Option<&str>) -> Mailpit {
        let folder = Folder::new();
        let (smtp, api) = (ports::free_address(), ports::free_address());
        let mut arguments: Vec<String> =
            ["--smtp", &smtp.to_string(), "--listen", &api.to_string()].map(str::to_owned).to_vec();
        arguments.extend(["--disable-version-check", "--smtp-disable-rdns"].map(str::to_owned));
        arguments.extend(more.iter().cloned());
        if let Some(password) = password {
            let file = folder.path().join("passwords");
            std::fs::write(&file, format!("{password}\n")).expect("a file");
            arguments.extend(["--smtp-auth-file".to_owned(), file.display().to_string()]);
        }
        let programs = binary().parent().expect("a program is in a folder");
        let mut part = Part::start_from(programs, folder.path(), "mailpit", &arguments, &[]);
        let started = wait::within(wait::PATIENCE, || {
            let ended = part.has_ended();
            let listens = || [smtp, api].iter().all(|address| TcpStream::connect(address).is_ok());
            (ended || listens()).then_some(!ended)
        });
        assert!(started == Some(true), "{}", part.complaint());
        Mailpit { _part: part, _folder: folder, smtp, api }
    }

    /// Where it takes mails.
    pub fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// Where it tells of them.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// The mails that it was given so far, oldest first.
    ///
    /// # Panics
    ///
    /// When it does not tell.
    pub fn mails(&self) -> Vec<Mail> {
        let list = self.tell("/api/v1/messages");
        let ids = list["messages"].as_array().expect("a list").iter().rev();
        let ids = ids.map(|message| text(&message["ID"]));
        ids.map(|id| {
            let mail = self.tell(&format!("/api/v1/message/{id}"));
            Mail {
                from: (text(&mail["From"]["Name"]), text(&mail["From"]["Address"])),
                to: text(&mail["To"][0]["Address"]),
                subject: text(&mail["Subject"]),
                text: text(&mail["Text"]),
                html: text(&mail["HTML"]),
            }
        })
        .collect()
    }

    fn tell(&self, path: &str) -> Value {
        let answer = http::once(self.api, &Ask::get(path)).unwrap_or_else(|error| panic!("Mailpit: {path}: {error}"));
        assert_eq!(answer.status, 200, "Mailpit: {path}: {}", answer.body);
        answer.json()
    }
}

impl Mail {
    /// The one link in it, which is the same in both forms.
    ///
    /// # Panics
    ///
    /// When there is none, or the forms differ.
    pub fn link(&self) -> &str {
        let link = self.text.split_whitespace().find(|word| word.starts_with("http")).expect("a link");
        assert!(self.html.contains(&format!("href=\"{link}\"")), "{link} is not in {}", self.html);
        link
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
