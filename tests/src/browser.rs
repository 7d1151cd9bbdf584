//! A browser that runs no scripts: it keeps a cookie, and sends forms with the token of the page it has seen last.

use std::net::SocketAddr;

use crate::http::{self, Answer, Ask};

/// Somebody who looks at a portal. Redirections are not followed.
#[derive(Clone, Debug)]
pub struct Browser {
    portal: SocketAddr,
    cookie: String,
    token: String,
}

impl Browser {
    /// One that was never here.
    pub fn new(portal: SocketAddr) -> Browser {
        Browser { portal, cookie: String::new(), token: String::new() }
    }

    /// Looks at a page.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask(Ask::get(path))
    }

    /// Sends a form.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token.clone();
        self.ask(Ask::method("POST", path).form(&[&[("token", token.as_str())], fields].concat()))
    }

    /// Whether somebody has signed in with it.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn is_signed_in(&mut self) -> bool {
        self.get("/applications").status == 200
    }

    fn ask(&mut self, ask: Ask) -> Answer {
        let ask = if self.cookie.is_empty() { ask } else { ask.header("cookie", &self.cookie) };
        let answer = http::once(self.portal, &ask).unwrap_or_else(|error| panic!("{ask:?}: {error}"));
        if let Some(set) = answer.header("set-cookie") {
            set.split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
        }
        let token = answer.body.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        if let Some(token) = token {
            token.clone_into(&mut self.token);
        }
        answer
    }
}
