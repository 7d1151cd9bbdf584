//! Somebody who uses the portal without scripts: pages are read, and forms are sent as they stand there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::http::{self, Answer, Ask};
use crate::wait;

/// A form of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where it is sent to.
    pub action: String,
    /// What it says if nobody changes anything.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// The same with a field that says something else.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Form {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A visitor with a browser's memory for cookies, who knows the token of the page seen last.
#[derive(Clone, Debug)]
pub struct Visitor {
    portal: SocketAddr,
    cookies: BTreeMap<String, String>,
    token: String,
}

impl Visitor {
    /// Somebody who comes for the first time.
    pub fn new(portal: SocketAddr) -> Visitor {
        Visitor { portal, cookies: BTreeMap::new(), token: String::new() }
    }

    /// The same person, with the same cookies, at another address.
    #[must_use]
    pub fn at(&self, portal: SocketAddr) -> Visitor {
        Visitor { portal, ..self.clone() }
    }

    /// Asks for a page; `None` where nobody answers.
    pub fn try_get(&mut self, path: &str) -> Option<Answer> {
        self.send(Ask::get(path))
    }

    /// Asks for a page.
    ///
    /// # Panics
    ///
    /// Without an answer.
    pub fn get(&mut self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|| panic!("nobody answers {path}"))
    }

    /// Asks for a page, and goes where it leads, until it is one that is shown.
    ///
    /// # Panics
    ///
    /// Without an answer.
    pub fn follow(&mut self, path: &str) -> Answer {
        self.try_follow(path).unwrap_or_else(|| panic!("nobody answers {path}"))
    }

    fn try_follow(&mut self, path: &str) -> Option<Answer> {
        let mut answer = self.try_get(path)?;
        for _ in 0..5 {
            let Some(to) = Visitor::leads_to(&answer) else { break };
            answer = self.try_get(&to)?;
        }
        Some(answer)
    }

    /// Sends a form.
    ///
    /// # Panics
    ///
    /// Without an answer within a minute: a repository that hangs takes its time.
    pub fn post(&mut self, form: &Form) -> Answer {
        let ask = Ask::method("POST", &form.action).form(&form.fields).patience(Duration::from_mins(1));
        self.send(ask).unwrap_or_else(|| panic!("nobody answers {}", form.action))
    }

    /// Sends a form that need not stand on a page, with the token of the page seen last.
    ///
    /// # Panics
    ///
    /// Without an answer.
    pub fn send_fields(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = [&[("token", self.token.as_str())], fields].concat();
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.post(&Form { action: path.to_owned(), fields: fields.collect() })
    }

    /// Whether somebody has signed in.
    ///
    /// # Panics
    ///
    /// Without an answer.
    pub fn is_signed_in(&mut self) -> bool {
        self.get("/applications").status == 200
    }

    /// Where an answer leads.
    pub fn leads_to(answer: &Answer) -> Option<String> {
        answer.header("location").filter(|_| (300..400).contains(&answer.status)).map(str::to_owned)
    }

    /// The form of a page that is sent to an address which ends like this.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn form(page: &Answer, action: &str) -> Form {
        let found = forms(&page.body).into_iter().find(|form| form.action.ends_with(action));
        found.unwrap_or_else(|| panic!("no form is sent to {action} by the page ({}):\n{}", page.status, page.body))
    }

    /// Signs in as somebody whom the repository names, where one may choose who one is.
    ///
    /// # Panics
    ///
    /// When that is not how one signs in.
    pub fn sign_in(&mut self, mail: &str) {
        let page = self.get("/sign-in");
        let answer = self.post(&Visitor::form(&page, "/sign-in/local").with("mail", mail));
        assert_eq!(answer.status, 303, "{}", answer.body);
    }

    /// Goes through the steps from a plan to the end, for an application, and returns what the last form is and is answered.
    pub fn subscribe(&mut self, plan: &str, application: &str) -> (Form, Answer) {
        let action = format!("/subscribe/{plan}");
        let mut page = self.get(&action);
        for _ in 0..4 {
            let form = Visitor::form(&page, &action).with("application", application);
            let is_last = page.body.contains("value=\"finish\"");
            let form = form.with("go", if is_last { "finish" } else { "next" });
            page = self.post(&form);
            if is_last {
                return (form, page);
            }
        }
        panic!("there is no end: {}", page.body)
    }

    /// Loads a page until it shows a text.
    ///
    /// # Panics
    ///
    /// When it never does.
    pub fn wait_for(&mut self, path: &str, text: &str) -> Answer {
        let mut last = None;
        let found = wait::within(wait::PATIENCE, || {
            let answer = self.try_follow(path)?;
            let shows = answer.body.contains(text);
            last = Some(answer.clone());
            shows.then_some(answer)
        });
        found.unwrap_or_else(|| panic!("{path} never shows {text:?}: {last:?}"))
    }

    fn send(&mut self, ask: Ask) -> Option<Answer> {
        let answer = http::once(self.portal, &self.known(ask)).ok()?;
        for (_, set) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            if let Some((name, value)) = set.split(';').next().and_then(|pair| pair.split_once('=')) {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let token = answer.body.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        if let Some(token) = token {
            token.clone_into(&mut self.token);
        }
        Some(answer)
    }

    /// A request with what the visitor's browser adds.
    #[must_use]
    pub fn known(&self, ask: Ask) -> Ask {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies.is_empty() { ask } else { ask.header("cookie", &cookies.join("; ")) }
    }
}

/// All forms of a page.
fn forms(page: &str) -> Vec<Form> {
    let parts = page.split("<form").skip(1).map(|part| part.split("</form>").next().unwrap_or(part));
    parts
        .map(|part| {
            let head = part.split('>').next().unwrap_or_default();
            let action = attribute(head, "action").unwrap_or_default();
            let inputs = part.split("<input").skip(1).map(|input| input.split('>').next().unwrap_or_default());
            let said = inputs.filter(|input| {
                let is_chosen = matches!(attribute(input, "type").as_deref(), Some("radio" | "checkbox"));
                !is_chosen || input.contains(" checked")
            });
            let fields = said
                .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default())));
            Form { action, fields: fields.collect() }
        })
        .collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    let text = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    Some(text)
}
