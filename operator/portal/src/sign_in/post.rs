//! Sending mail: the server that a Portal names, and the letter that a link comes in.

use std::time::Duration;

use lettre::address::AddressError;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use maud::{DOCTYPE, html};
use portico_crds::{MailLink, Smtp, SmtpTls};

/// So long a mail server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("`spec.signIn.mailLink.from` of the Portal is no address")]
    From(#[source] AddressError),
    #[error("the mail server's name is none that a certificate can be for")]
    Tls(#[source] smtp::Error),
    #[error("the mail server cannot be used")]
    Server(#[source] smtp::Error),
    #[error("the mail server is there and does nothing")]
    Idle,
    #[error("the mail cannot be written")]
    Letter(#[source] lettre::error::Error),
    #[error("the mail server does not take the mail")]
    Taken(#[source] smtp::Error),
    #[error("the mail server has not answered within {}s", 2 * PATIENCE.as_secs())]
    Slow,
}

/// A mail server, and who writes.
#[derive(Debug)]
pub(super) struct Post {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// A letter with a link in it.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) to: Address,
    /// The portal's.
    pub(super) title: String,
    pub(super) link: String,
    /// For how many minutes it works.
    pub(super) minutes: i64,
}

impl Post {
    /// As a Portal says, with the password that its Secret holds.
    pub(super) fn new(settings: &MailLink, password: Option<String>) -> Result<Post, PostError> {
        let MailLink { from, smtp, lifetime: _ } = settings;
        let Smtp { host, port, tls, username, password: _ } = smtp;
        let from = from.parse().map_err(PostError::From)?;
        let tls = match tls {
            SmtpTls::None => Tls::None,
            SmtpTls::StartTls => Tls::Required(TlsParameters::new(host.clone()).map_err(PostError::Tls)?),
            SmtpTls::Tls => Tls::Wrapper(TlsParameters::new(host.clone()).map_err(PostError::Tls)?),
        };
        // It is dangerous without the line about TLS.
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.as_str())
            .port(*port)
            .timeout(Some(PATIENCE))
            .tls(tls);
        if let Some(username) = username {
            server = server.credentials(Credentials::new(username.clone(), password.unwrap_or_default()));
        }
        Ok(Post { server: server.build(), from })
    }

    /// Sees that the server is there and lets us in.
    pub(super) async fn greet(&self) -> Result<(), PostError> {
        let greeted = tokio::time::timeout(2 * PATIENCE, self.server.test_connection()).await;
        let answers = greeted.map_err(|_| PostError::Slow)?.map_err(PostError::Server)?;
        if answers { Ok(()) } else { Err(PostError::Idle) }
    }

    /// Sends a letter.
    pub(super) async fn send(&self, letter: Letter) -> Result<(), PostError> {
        let message = self.message(letter).map_err(PostError::Letter)?;
        let sent = tokio::time::timeout(2 * PATIENCE, self.server.send(message)).await;
        sent.map_err(|_| PostError::Slow)?.map_err(PostError::Taken)?;
        Ok(())
    }

    fn message(&self, letter: Letter) -> Result<Message, lettre::error::Error> {
        let Letter { to, title, link, minutes } = letter;
        let title = title.replace(char::is_control, " ");
        let subject = format!("Sign in to {title}");
        let asked = format!("Somebody, most likely you, wants to sign in to {title}.");
        let open = "Open this link in the browser in which you asked for it:";
        let until = match minutes {
            1 => "It works once, for a minute.".to_owned(),
            minutes => format!("It works once, for {minutes} minutes."),
        };
        let otherwise = "If that was not you, do nothing: nobody comes in without it.";
        let text = format!("{asked}\n\n{open}\n\n{link}\n\n{until} {otherwise}\n");
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head { meta charset="utf-8"; title { (subject) } }
                body {
                    p { (asked) }
                    p { (open) }
                    p { a href=(link) { "Sign in to " (title) } }
                    p { (until) " " (otherwise) }
                }
            }
        };
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .message_id(None)
            .multipart(MultiPart::alternative_plain_html(text, page.into_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_says_the_same_twice_and_takes_no_markup_from_a_title() {
        let from = "Acme APIs <apis@acme.example>".to_owned();
        let smtp = Smtp { host: "mail.acme.example".to_owned(), port: 587, ..Smtp::default() };
        let post = Post::new(&MailLink { from, smtp, lifetime: None }, None).unwrap();
        let letter = Letter {
            to: "ada@acme.example".parse().unwrap(),
            title: "Acme <b>APIs</b>\r\nBcc: eve@evil.example".to_owned(),
            link: "https://portal.acme.example/sign-in/mail/open?link=abc".to_owned(),
            minutes: 15,
        };
        let text = String::from_utf8(post.message(letter).unwrap().formatted()).unwrap().replace("=\r\n", "");
        assert!(text.contains("text/plain") && text.contains("text/html"), "{text}");
        assert_eq!(text.matches("link=3Dabc").count(), 2, "{text}");
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(!head.contains("\nBcc"), "{text}");
        assert!(text.contains("&lt;b&gt;"), "{text}");
    }

    #[test]
    fn a_sender_that_is_none_is_told() {
        let smtp = Smtp { host: "mail.acme.example".to_owned(), port: 587, ..Smtp::default() };
        let made = Post::new(&MailLink { from: "Acme APIs".to_owned(), smtp, lifetime: None }, None);
        assert!(matches!(made, Err(PostError::From(_))), "{made:?}");
    }
}
