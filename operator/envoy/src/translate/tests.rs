//! What the golden cases do not show: the parts, one by one.

use portico_core::gateway::{ApiPlan, Limit, Operation, Scope};
use portico_core::key::Name;
use portico_crds::Period;

use super::cells::cells;
use super::clusters::Target;
use super::{Invalid, Version, paths, wire};

fn operation(text: &str) -> Operation {
    match text.split_once(' ') {
        Some((method, path)) => Operation { method: Some(method.to_owned()), path: path.to_owned() },
        None => Operation { method: None, path: text.to_owned() },
    }
}

fn methods(methods: &[&str]) -> Scope {
    Scope::Methods(methods.iter().map(|method| (*method).to_owned()).collect())
}

fn operations(operations: &[&str]) -> Scope {
    Scope::Operations(operations.iter().map(|text| operation(text)).collect())
}

/// Cells as text, in order: `GET /path 10 5` for limits of 10 and 5, `-` for no limits, `*` for all, `!` for strict.
fn shown(only: Option<&[&str]>, limits: &[(Scope, u64)]) -> Vec<String> {
    let plan = ApiPlan {
        plan: Name::new("owner", "gold"),
        only: only.map(|only| only.iter().map(|text| operation(text)).collect()),
        limits: (0..)
            .zip(limits)
            .map(|(id, (scope, requests))| Limit {
                id: format!("{id}"),
                alone: false,
                shared: false,
                scope: scope.clone(),
                requests: *requests,
                per: Period::Minute,
            })
            .collect(),
        deprecated: None,
    };
    let show = |cell: &super::cells::Cell<'_>| {
        let limits: Vec<_> = cell.limits.iter().map(|limit| limit.requests.to_string()).collect();
        let limits = if limits.is_empty() { "-".to_owned() } else { limits.join(" ") };
        let strict = if cell.strict { "!" } else { "" };
        let apart = if cell.head_apart { " (head apart)" } else { "" };
        format!("{strict}{} {} {limits}{apart}", cell.method.unwrap_or("*"), cell.path.unwrap_or("*"))
    };
    cells(&plan).iter().map(show).collect()
}

#[test]
fn plans_are_cut_into_cells() {
    type Case<'a> = (&'a str, Option<&'a [&'a str]>, Vec<(Scope, u64)>, &'a [&'a str]);
    let cases: [Case<'_>; 13] = [
        ("nothing said", None, vec![], &["* * -"]),
        ("a limit of the plan", None, vec![(Scope::Plan, 9)], &["* * 9"]),
        ("two periods", None, vec![(Scope::Plan, 9), (Scope::Plan, 99)], &["* * 9 99"]),
        ("a method", None, vec![(Scope::Plan, 9), (methods(&["POST"]), 2)], &["POST * 2", "* * 9"]),
        ("methods together", None, vec![(methods(&["POST", "PUT"]), 2)], &["POST * 2", "PUT * 2", "* * -"]),
        (
            "an operation is closer than a method, a method than the plan",
            None,
            vec![(Scope::Plan, 9), (methods(&["POST"]), 5), (operations(&["POST /refunds"]), 1)],
            &["POST /refunds 1", "* /refunds 9", "POST * 5", "* * 9"],
        ),
        (
            "an operation with any method",
            None,
            vec![(Scope::Plan, 9), (operations(&["/refunds"]), 1)],
            &["* /refunds 1", "* * 9"],
        ),
        (
            "names come before parameters",
            None,
            vec![(operations(&["GET /{id}", "GET /me"]), 1)],
            &["GET /me 1", "* /me -", "GET /{id} 1", "* /{id} -", "* * -"],
        ),
        (
            "a plan of some operations, to the letter",
            Some(&["GET /refunds", "/status"]),
            vec![(Scope::Plan, 9), (methods(&["GET"]), 5)],
            &["!GET /refunds 5", "!GET /status 5", "!* /status 9"],
        ),
        (
            "a limit of an operation that the plan does not include gives nothing",
            Some(&["GET /refunds"]),
            vec![(operations(&["POST /refunds", "GET /other"]), 5)],
            &["!GET /refunds -"],
        ),
        (
            "HEAD goes with GET unless it is named",
            None,
            vec![(methods(&["HEAD"]), 0), (methods(&["GET"]), 5)],
            &["GET * 5 (head apart)", "HEAD * 0 (head apart)", "* * - (head apart)"],
        ),
        (
            "HEAD with a limit of its own is in a plan that includes GET",
            Some(&["GET /refunds", "POST /other"]),
            vec![(Scope::Plan, 9), (methods(&["HEAD"]), 1)],
            &["!POST /other 9 (head apart)", "!GET /refunds 9 (head apart)", "!HEAD /refunds 1 (head apart)"],
        ),
        ("zero", None, vec![(Scope::Plan, 9), (methods(&["DELETE"]), 0)], &["DELETE * 0", "* * 9"]),
    ];
    for (what, only, limits, expected) in cases {
        assert_eq!(shown(only, &limits), expected, "{what}");
    }
}

#[test]
fn templates_are_ordered_by_how_much_they_say() {
    let mut templates = vec!["/{a}", "/b/{c}", "/{a}/x", "/b/c", "/b", "/b/{c}/d", "/", "/b/x{c}"];
    templates.sort_by_key(|template| paths::specificity(template));
    // Templates of different lengths never match the same path.
    assert_eq!(templates, ["/", "/b", "/b/c", "/b/x{c}", "/b/{c}", "/b/{c}/d", "/{a}", "/{a}/x"]);
    let place = |template: &str| templates.iter().position(|one| *one == template);
    assert!(place("/b/c") < place("/b/{c}") && place("/b") < place("/{a}") && place("/b/x{c}") < place("/b/{c}"));
}

#[test]
fn templates_are_patterns() {
    for (base, template, strict, lenient) in [
        ("/", "/", "/", "(?i)/?"),
        ("/pay", "/", "/pay/?", "/pay(?i)/?"),
        ("/pay", "/a/{id}", "/pay/a/[^/]+", "/pay(?i)/a…/[^/]+…/?"),
        ("/", "/a.b:c", r"/a\.b\:c", r"(?i)/a(?:\.|%2E)b(?:\:|%3A)c…/?"),
        ("/v1.0", "/{x}.json", r"/v1\.0/[^/]+\.json", r"/v1\.0(?i)/[^/]+(?:\.|%2E)json…/?"),
        ("/", "/{path*}", "/.+", "(?i)/.+…/?"),
        ("/", "/a/", "/a/", "(?i)/a…/?"),
        ("/", "/open{", "/open(?i:%7B)", r"(?i)/open(?:\{|%7B)…/?"),
        ("/", "/ü b", "/(?i:%C3)(?i:%BC)(?i:%20)b", "(?i)/%C3%BC%20b…/?"),
        ("/", "/%c3%BC%20b", "/(?i:%C3)(?i:%BC)(?i:%20)b", "(?i)/%C3%BC%20b…/?"),
        ("/", "/a%2fb%", "/a(?i:%2F)b(?i:%25)", "(?i)/a%2Fb(?:\\%|%25)…/?"),
    ] {
        assert_eq!(paths::strict(base, template), strict, "{base} {template}");
        let lenient = lenient.replace('…', "(?:(?:;|%3B)[^/]*)?");
        assert_eq!(paths::lenient(base, template), lenient, "{base} {template}");
    }
}

#[test]
fn patterns_take_text_for_itself() {
    for (text, pattern) in [
        ("plain-text_1/2", "plain-text_1/2"),
        (".*+?()[]{}|^$\\", r"\.\*\+\?\(\)\[\]\{\}\|\^\$\\"),
        ("grün ü", r"grün\ ü"),
    ] {
        assert_eq!(wire::escape(text), pattern);
    }
    assert_eq!(wire::literal("100% %REQ(x)%"), "100%% %%REQ(x)%%");
}

#[test]
fn upstreams_are_taken_apart() {
    let target = |url: &str| Target::parse(url).map(|one| (one.secure, one.host, one.port, one.authority, one.path));
    let good = [
        ("http://a", (false, "a", 80, "a", "")),
        ("https://a.example/", (true, "a.example", 443, "a.example", "")),
        ("https://a.example:8443/v1/", (true, "a.example", 8443, "a.example:8443", "/v1")),
        ("http://[::1]:8080/x/y", (false, "::1", 8080, "[::1]:8080", "/x/y")),
        ("http://[fd00::2]", (false, "fd00::2", 80, "[fd00::2]", "")),
        ("http://10.0.0.1:1", (false, "10.0.0.1", 1, "10.0.0.1:1", "")),
    ];
    for (url, (secure, host, port, authority, path)) in good {
        let expected = (secure, host.to_owned(), port, authority.to_owned(), path.to_owned());
        assert_eq!(target(url), Ok(expected), "{url}");
    }
    for url in [
        "ftp://a",
        "a.example",
        "http://",
        "http:///x",
        "http://:80",
        "http://a:0",
        "http://a:65536",
        "http://a:b",
        "http://user@a",
        "http://a/x?y",
        "http://a/#x",
        "http://a b/",
        "http://a%20/",
        "http://[]:1",
        "http://[::1]x",
        "http://[::1]80",
        "http://[fd00",
        "http://a]",
        "http://::1",
        "http://[::1",
    ] {
        assert!(matches!(target(url), Err(Invalid::Upstream { .. })), "{url} gives {:?}", target(url));
    }
}

#[test]
fn versions_survive_a_restart() {
    let version = Version::of(b"content");
    assert_eq!(version, Version::of(b"content"));
    assert_ne!(version, Version::of(b"Content"));
    assert_eq!(Version::parse(&version.to_string()), version);
    // What somebody else said is nothing that we know.
    assert_eq!(Version::parse("not ours"), Version::NOTHING);
}
