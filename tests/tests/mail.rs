//! Signing in by a link in a mail, with a real mail server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use portico_tests::http::Answer;
use portico_tests::mailpit::{Mail, Mailpit};
use portico_tests::mutual::Mutual;
use portico_tests::scenario::Scenario;
use portico_tests::visitor::Visitor;
use portico_tests::wait;

const ASKED: &str = "Look into your mail";

/// A portal where people sign in by mail; `more` is what is said of the mail server besides its address.
fn portal(host: &str, port: u16, more: &str) -> Scenario {
    let mut scenario = Scenario::example("acme");
    scenario.launch = scenario.launch.no_envoy();
    write(&scenario, "Acme APIs", &format!("smtp: {{ host: {host}, port: {port}, {more} }}"));
    scenario
}

fn write(scenario: &Scenario, title: &str, mail_link: &str) {
    let url = format!("http://{}", scenario.launch.portal());
    scenario.repo.write(
        "platform/portal.yaml",
        format!(
            "apiVersion: portico.dev/v1alpha1\nkind: Portal\nmetadata: {{ name: acme, namespace: platform }}\nspec:\n  title: {title}\n  \
             url: {url}\n  signIn:\n    mailLink:\n      from: Acme APIs <apis@acme.example>\n      {mail_link}\n"
        ),
    );
    scenario.repo.commit("sign in by mail");
}

/// The same with a mail server that takes everything.
fn plain(mailpit: &Mailpit) -> Scenario {
    portal("127.0.0.1", mailpit.smtp().port(), "tls: None")
}

fn ask(browser: &mut Visitor, mail: &str) -> Answer {
    browser.get("/sign-in");
    browser.send_fields("/sign-in/mail", &[("mail", mail), ("to", "/applications")])
}

/// The mail that is the `count`-th, when it has come.
fn mail(mailpit: &Mailpit, count: usize) -> Mail {
    wait::until("a mail", || mailpit.mails().into_iter().nth(count - 1))
}

/// The address of a link within the portal, and the word in it.
fn parts(link: &str) -> (String, String) {
    let (_, rest) = link.split_once("://").expect("an address");
    let path = rest.find('/').map(|at| rest[at..].to_owned()).expect("a path");
    let word = path.split_once("?link=").expect("a word").1.to_owned();
    (path, word)
}

#[test]
fn a_link_signs_in_once_and_only_in_the_browser_that_asked() {
    let mailpit = Mailpit::start();
    let scenario = plain(&mailpit);
    let portico = scenario.up();
    let at = scenario.launch.portal();

    // What is answered does not tell who is known here.
    let (mut nobody, mut sara) = (Visitor::new(at), Visitor::new(at));
    let unknown = ask(&mut nobody, "nobody@elsewhere.example");
    let known = ask(&mut sara, "Sara@acme.example");
    let said = |answer: &Answer| (answer.status, answer.header("location").map(str::to_owned), answer.body.clone());
    assert_eq!(said(&unknown), said(&known));
    assert_eq!(known.header("location"), Some("/sign-in/mail"));
    assert!(sara.get("/sign-in/mail").body.contains(ASKED));
    let sent = mail(&mailpit, 1);
    assert_eq!(sent.to, "sara@acme.example");
    assert_eq!(sent.from, ("Acme APIs".to_owned(), "apis@acme.example".to_owned()));
    assert_eq!(sent.subject, "Sign in to Acme APIs");
    assert!(sent.text.contains("for 15 minutes") && sent.html.contains("<a href="), "{sent:?}");
    assert!(sent.link().starts_with(&format!("http://{at}/sign-in/mail/open?link=")), "{}", sent.link());
    let (path, word) = parts(sent.link());

    // A link that was passed on signs nobody in, whoever presses what.
    let mut other = Visitor::new(at);
    other.get("/sign-in");
    let page = other.get(&path);
    assert_eq!(page.status, 422);
    assert!(page.body.contains("asked for in another browser"), "{}", page.body);
    let pressed = other.send_fields("/sign-in/mail/open", &[("link", &word)]);
    assert_eq!(pressed.status, 422);
    assert!(!other.is_signed_in());
    // One that was made up.
    for forged in [format!("{path}A"), path[..path.len() - 1].to_owned(), "/sign-in/mail/open".to_owned()] {
        let page = sara.get(&forged);
        assert_eq!(page.status, 422, "{forged}");
        assert!(page.body.contains("was not sent by this portal"), "{forged}: {}", page.body);
    }

    // A program that looks through mails follows links, and uses nothing up.
    for _ in 0..2 {
        let page = sara.get(&path);
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains("sara@acme.example"), "{}", page.body);
    }
    assert!(!sara.is_signed_in(), "looking signs nobody in");
    let mut early = sara.clone();
    sara.get(&path);
    let entered = sara.send_fields("/sign-in/mail/open", &[("link", &word)]);
    assert_eq!((entered.status, entered.header("location")), (303, Some("/applications")), "{}", entered.body);
    assert!(sara.is_signed_in());

    // Used again, by whomever.
    early.get("/sign-in");
    for browser in [&mut sara, &mut early, &mut other] {
        let page = browser.get(&path);
        assert_eq!(page.status, 422);
        assert!(page.body.contains("works once only"), "{}", page.body);
        let pressed = browser.send_fields("/sign-in/mail/open", &[("link", &word)]);
        assert!([403, 422].contains(&pressed.status), "{}", pressed.status);
    }
    assert!(!early.is_signed_in());

    // One that was sent before Portico was started anew: nobody knows any more whether it was used.
    let mut late = Visitor::new(at);
    ask(&mut late, "sara@acme.example");
    let (path, _) = parts(mail(&mailpit, 2).link());
    drop(portico);
    let _portico = scenario.up();
    let page = late.get(&path);
    assert_eq!(page.status, 422);
    assert!(page.body.contains("started anew"), "{}", page.body);
    assert!(sara.is_signed_in(), "who has signed in stays that");
    assert!(mailpit.mails().iter().all(|mail| mail.to == "sara@acme.example"), "somebody unknown gets mail");
}

#[test]
fn old_links_many_mails_and_a_server_that_is_down() {
    let mailpit = Mailpit::start();
    let scenario = plain(&mailpit);
    let portico = scenario.up();
    let at = scenario.launch.portal();
    let smtp = format!("smtp: {{ host: 127.0.0.1, port: {}, tls: None }}", mailpit.smtp().port());
    write(&scenario, "Acme quick", &format!("lifetime: 1s\n      {smtp}"));
    let mut sara = Visitor::new(at);
    wait::until("the Portal's new title", || sara.get("/sign-in").body.contains("Acme quick").then_some(()));
    ask(&mut sara, "sara@acme.example");
    let (path, word) = parts(mail(&mailpit, 1).link());
    thread::sleep(Duration::from_millis(2_100));
    let page = sara.get(&path);
    assert_eq!(page.status, 422);
    assert!(page.body.contains("too old"), "{}", page.body);
    sara.get("/sign-in");
    assert_eq!(sara.send_fields("/sign-in/mail/open", &[("link", &word)]).status, 422);
    assert!(!sara.is_signed_in());

    for bad in
        ["", "sara", "sara@", "a@b@c", "sara@acme.example\r\nBcc: eve@evil.example", "a@acme.example, b@acme.example"]
    {
        assert_eq!(ask(&mut sara, bad).status, 422, "{bad:?}");
    }
    // Known or not, nobody is sent more than a few.
    for address in ["sara@acme.example", "nobody@elsewhere.example"] {
        let statuses: Vec<u16> = (0..7).map(|_| ask(&mut Visitor::new(at), address).status).collect();
        let taken = statuses.iter().filter(|status| **status == 303).count();
        assert_eq!(taken, if address.starts_with("sara") { 4 } else { 5 }, "{statuses:?}");
        assert_eq!(statuses.last(), Some(&429));
    }

    // Everybody is told when no mail can be sent, whoever they are.
    drop(mailpit);
    let down = ["olga@acme.example", "stranger@elsewhere.example"].map(|address| {
        let answer = ask(&mut Visitor::new(at), address);
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.body.contains("mail server of this portal does not answer"), "{}", answer.body);
        answer.body
    });
    assert_eq!(down[0], down[1]);
    wait::until("a line in the log", || portico.output().contains("no mail can be sent").then_some(()));
    assert!(!portico.output().contains("olga@acme.example"), "addresses are in the log");
}

#[test]
fn mails_go_encrypted_to_a_server_that_is_believed_with_a_password() {
    let authority = Mutual::new();
    let identity = authority.gateway("localhost", &authority);
    let mailpit = Mailpit::start_with(&identity, "portal:a-password-of-tests");
    let settings = "tls: StartTls, username: portal, password: { name: portal-mail }";
    let mut scenario = portal("localhost", mailpit.smtp().port(), settings);
    let certificate = identity.authority.clone().into_os_string();
    let secret = scenario.launch.state().join("secrets/platform/portal-mail");
    fs::create_dir_all(&secret).expect("a folder");
    fs::set_permissions(scenario.launch.state(), Permissions::from_mode(0o700)).expect("it is ours");
    fs::write(secret.join("password"), "a-password-of-tests\n").expect("a file");
    let at = scenario.launch.portal();
    {
        let portico = scenario.up();
        assert_eq!(ask(&mut Visitor::new(at), "sara@acme.example").status, 503, "nobody has signed its certificate");
        wait::until("a line in the log", || portico.output().contains("no mail can be sent").then_some(()));
        assert!(!portico.output().contains("a-password-of-tests"), "the password is in the log");
    }
    scenario.launch = scenario.launch.variable("SSL_CERT_FILE", certificate);
    let _portico = scenario.up();
    let mut sara = Visitor::new(at);
    let asked = ask(&mut sara, "sara@acme.example");
    assert_eq!(asked.status, 303, "{}", asked.body);
    let (path, word) = parts(mail(&mailpit, 1).link());
    sara.get(&path);
    assert_eq!(sara.send_fields("/sign-in/mail/open", &[("link", &word)]).status, 303);
    assert!(sara.is_signed_in());
    fs::write(secret.join("password"), "another\n").expect("a file");
    assert_eq!(ask(&mut Visitor::new(at), "sara@acme.example").status, 503, "a wrong password");
}
