//! How quick the portal is with a thousand products: its pages, and the way from the last click to a call that works.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use portico_tests::http::{Ask, Connection};
use portico_tests::portico::Launch;
use portico_tests::repo::Repo;
use portico_tests::visitor::Visitor;
use portico_tests::{load, ports, wait};

use crate::table::{Table, count, quantile, time};

const PRODUCTS: usize = 1_000;
/// How long each page is asked for, and by how many at once.
const LONG: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 8;
/// How often somebody subscribes.
const CLICKS: usize = 100;

/// Measures, and says what came of it.
pub(crate) fn run() -> String {
    eprintln!("portal: making the repository");
    let gateway = ports::free();
    let upstream = load::cheap_upstream();
    let repo = Repo::new();
    for (path, text) in files(gateway, upstream) {
        repo.write(&path, text);
    }
    repo.commit("a thousand products");
    let launch = Launch::new(repo.path()).arguments(["--local-sign-in"]);
    let mut portico = launch.start();
    portico.wait_ready_for(Duration::from_mins(5));
    let portal = launch.portal();
    let (mut stranger, mut sara) = (Visitor::new(portal), Visitor::new(portal));
    sara.sign_in("sara@acme.example");

    let mut text = format!("### The portal with {} products, each with a plan\n\n", count(PRODUCTS as u64));
    let mut table = Table::new(["page", "who", "requests a second", "p50", "p99", "the page", "with all it needs"]);
    for path in ["/", "/?q=Product+7", "/apis/own/p-500"] {
        for (who, person) in [("a stranger", &mut stranger), ("a developer", &mut sara)] {
            eprintln!("portal: {path}, {who}");
            let (bytes, whole) = weight(person, path);
            let mut each = ask(portal, person, path);
            #[expect(clippy::cast_precision_loss, reason = "some thousands")]
            let rate = each.len() as f64 / LONG.as_secs_f64();
            table.row([
                format!("`{path}`"),
                who.to_owned(),
                format!("{rate:.0}"),
                time(quantile(&mut each, 0.5)),
                time(quantile(&mut each, 0.99)),
                format!("{} kB", bytes / 1024),
                format!("{} kB", whole / 1024),
            ]);
        }
    }
    text.push_str(&table.markdown());
    eprintln!("portal: subscribing");
    let address = (Ipv4Addr::LOCALHOST, gateway).into();
    let mut clicks: Vec<Duration> = (0..CLICKS).map(|number| subscribe(&mut sara, address, number)).collect();
    text.push_str(
        "### From the last click of subscribing to the first 200 at Envoy, the key being revealed in between\n\n",
    );
    let mut table = Table::new(["times", "p50", "p99", "longest"]);
    table.row([
        CLICKS.to_string(),
        time(quantile(&mut clicks, 0.5)),
        time(quantile(&mut clicks, 0.99)),
        time(quantile(&mut clicks, 1.0)),
    ]);
    text.push_str(&table.markdown());
    text
}

/// The bytes of a page, and with the files that it loads.
fn weight(person: &mut Visitor, path: &str) -> (usize, usize) {
    let page = person.get(path);
    assert_eq!(page.status, 200, "{path}");
    let assets: BTreeSet<&str> = page.body.split('"').filter(|text| text.starts_with("/assets/")).collect();
    let loaded: usize = assets.into_iter().map(|asset| person.get(asset).body.len()).sum();
    (page.body.len(), page.body.len() + loaded)
}

/// Several ask for a page again as soon as they have it.
fn ask(portal: SocketAddr, person: &Visitor, path: &str) -> Vec<Duration> {
    let asks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let request = person.known(Ask::get(path));
            thread::spawn(move || {
                let mut connection = Connection::open(portal).expect("the portal listens");
                let (begun, mut each) = (Instant::now(), Vec::new());
                while begun.elapsed() < LONG {
                    let asked = Instant::now();
                    assert_eq!(connection.send(&request).expect("an answer").status, 200);
                    each.push(asked.elapsed());
                }
                each
            })
        })
        .collect();
    asks.into_iter().flat_map(|ask| ask.join().expect("it ends well")).collect()
}

/// Subscribes with a new application, and calls with its key.
fn subscribe(person: &mut Visitor, gateway: SocketAddr, number: usize) -> Duration {
    let path = format!("/subscribe/own/p-{number}");
    let page = person.get(&path);
    let form = Visitor::form(&page, &path).with("step", "review").with("application", "new").with("go", "finish");
    let form = form.with("title", &format!("App {number}"));
    let ask = |key: &str| Ask::get(&format!("/p-{number}/x")).key(key);
    let begun = Instant::now();
    let answer = person.post(&form);
    assert_eq!(answer.status, 303, "{}", answer.body);
    let to = answer.header("location").expect("a page that follows it");
    let name = to.split("&name=").nth(1).unwrap_or_else(|| panic!("{to}")).to_owned();
    let key = soon("the key", || {
        let shown = person.send_fields(&format!("/credentials/use/{name}/reveal"), &[]);
        (shown.status == 200).then(|| {
            let rest = shown.body.split("<code>").nth(1).expect("a key");
            rest.split('<').next().expect("its end").to_owned()
        })
    });
    let mut connection = Connection::open(gateway).expect("the gateway listens");
    soon("a call", || (connection.send(&ask(&key)).expect("an answer").status == 200).then_some(()));
    begun.elapsed()
}

/// Tries again every other millisecond.
fn soon<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(begun.elapsed() < wait::PATIENCE, "waited for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A repository of products that anybody may subscribe to.
fn files(gateway: u16, upstream: SocketAddr) -> Vec<(String, String)> {
    let head = "apiVersion: portico.dev/v1alpha1\nkind: ";
    let mut files = vec![
        (
            "platform/local.yaml".to_owned(),
            format!(
                "{head}Environment\nmetadata: {{ name: local, namespace: platform }}\nspec:\n  stage: Production\n  gateway:\n    envoy:\n      \
                 listeners: [{{ name: http, address: 127.0.0.1, port: {gateway} }}]\n"
            ),
        ),
        (
            "teams/use/team.yaml".to_owned(),
            format!(
                "{head}Team\nmetadata: {{ name: use, namespace: use }}\nspec:\n  title: Users\n  members:\n    - mail: sara@acme.example\n      \
                 access: {{ teams: Full, credentials: Full }}\n"
            ),
        ),
    ];
    for number in 0..PRODUCTS {
        let (name, folder) = (format!("p-{number}"), format!("products/p-{number}"));
        files.push((
            format!("{folder}/product.yaml"),
            format!(
                "{head}ApiProduct\nmetadata: {{ name: {name}, namespace: own }}\nspec:\n  title: Product {number}\n  description: What number \
                 {number} of many does, in a sentence or two.\n  tags: [many, tag-{}]\n  versions: [{{ name: v1 }}]\n  endpoints:\n    - environment: \
                 {{ name: local, namespace: platform }}\n      basePath: /{name}\n      upstream: {{ url: \"http://{upstream}\" }}\n  consumers: \
                 {{ from: All }}\n",
                number % 20
            ),
        ));
        files.push((
            format!("{folder}/plans/free.yaml"),
            format!(
                "{head}Plan\nmetadata: {{ name: {name}, namespace: own }}\nspec:\n  title: Free\n  products: [{{ name: {name} }}]\n  limits: \
                 [{{ requests: 600, per: Minute }}]\n"
            ),
        ));
    }
    files
}
