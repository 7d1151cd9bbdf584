use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn set(path: &str, value: Json) -> Op {
    Op::Set(path.parse().expect("a path"), value)
}

fn unset(path: &str) -> Op {
    Op::Unset(path.parse().expect("a path"))
}

fn insert(path: &str, value: Json) -> Op {
    Op::Insert(path.parse().expect("a path"), value)
}

#[track_caller]
fn check(text: &str, op: Op, expected: &str) {
    let found = edited(text, &[op], false);
    assert_eq!(found.as_deref(), Ok(expected), "of:\n{text}");
}

#[test]
fn a_scalar_is_replaced_where_it_stands() {
    check("a: 1 # why\nb: 2\n", set("a", json!(3)), "a: 3 # why\nb: 2\n");
    check("a: 'x'   # why\n", set("a", json!("z")), "a: z   # why\n");
    check("a: \"it's\" # why\n", set("a", json!("on")), "a: \"on\" # why\n");
    check("a:\nb: 2\n", set("a", json!("x")), "a: x\nb: 2\n");
    check("a: # why\nb: 2\n", set("a", json!("x")), "a: x # why\nb: 2\n");
    check("a: ~\nb: 2\n", set("a", json!("x")), "a: x\nb: 2\n");
    check("a: |\n  one\n  two\n\n# c\nb: 2\n", set("a", json!("x")), "a: x\n\n# c\nb: 2\n");
    check("a: >-\n  one\n  two\nb: 2\n", set("a", json!("1\n2\n")), "a: |\n  1\n  2\nb: 2\n");
    check("a: one\n  two # c\nb: 2\n", set("a", json!("x")), "a: x # c\nb: 2\n");
    check("a: 1", set("a", json!(2)), "a: 2");
    check("a: 1 # why\nb: 2\n", set("a", json!({"x": 1})), "a: # why\n  x: 1\nb: 2\n");
    check("a: 1  \nb: 2\n", set("a", json!("x\ny")), "a: |-\n  x\n  y\nb: 2\n");
    check("ä: ö # ü\nb: 2 # é\n", set("b", json!("ß")), "ä: ö # ü\nb: \"ß\" # é\n");
}

#[test]
fn fields_come_at_the_end_and_go_with_their_lines() {
    check("a:\n  b: 1 # c\n\n# d\nz: 1\n", set("a.x", json!(2)), "a:\n  b: 1 # c\n  x: 2\n\n# d\nz: 1\n");
    check("a:\n  b: |\n    t\nz: 1\n", set("a.x", json!(2)), "a:\n  b: |\n    t\n  x: 2\nz: 1\n");
    check("a: 1", set("b", json!({"c": [1, {"d": 2}]})), "a: 1\nb:\n  c:\n    - 1\n    - d: 2");
    check("a: {b: 1}\n", set("a.c", json!({"d": 1})), "a: {b: 1, c: {d: 1}}\n");
    check("a: {}\n", set("a.c", json!(1)), "a:\n  c: 1\n");
    check("a:\nb: 1\n", set("a.c", json!(1)), "a:\n  c: 1\nb: 1\n");
    check("a:\n  b: 1\n  # of c\n  c: 2\n  d: 3\n", unset("a.c"), "a:\n  b: 1\n  # of c\n  d: 3\n");
    check("a:\n  b: 1 # c\nz: 1\n", unset("a.b"), "a: {} # c\nz: 1\n");
    check("a: {b: 1, c: 2, d: 3}\n", unset("a.c"), "a: {b: 1, d: 3}\n");
    check("a: {b: 1, c: 2}\n", unset("a.b"), "a: {c: 2}\n");
    check("a:\n  b:\n    c: 1\n    d: 2\n", set("a.b", json!(1)), "a:\n  b: 1\n");
}

#[test]
fn entries_come_and_go() {
    check("a:\n  - 1\n  - 2 # c\nb: 1\n", set("a[2]", json!(3)), "a:\n  - 1\n  - 2 # c\n  - 3\nb: 1\n");
    check("a:\n- 1\n- 2\nb: 1\n", insert("a[1]", json!({"x": 1, "z": 2})), "a:\n- 1\n- x: 1\n  z: 2\n- 2\nb: 1\n");
    check("a:\n- 1\n", insert("a[0]", json!(0)), "a:\n- 0\n- 1\n");
    check("a: [1, 2]\n", insert("a[0]", json!(0)), "a: [0, 1, 2]\n");
    check("a: [1, 2]\n", set("a[2]", json!("x, y")), "a: [1, 2, \"x, y\"]\n");
    check("a: []\n", set("a[0]", json!(1)), "a:\n  - 1\n");
    check("a:\n  - 1 # one\n  - 2 # two\n", unset("a[0]"), "a:\n  - 2 # two\n");
    check("a:\n  - 1\n", unset("a[0]"), "a: []\n");
    check("a: [1, 2]\n", unset("a[0]"), "a: [2]\n");
    check("l:\n  - a: 1\n    b: 2\n", unset("l[0].a"), "l:\n  - b: 2\n");
    check("l:\n  - a: 1\n    # of b\n    b: 2\n", unset("l[0].a"), "l:\n  - \n    # of b\n    b: 2\n");
    check("l:\n  - a: 1\n    b: 2\n", set("l[0].c", json!(3)), "l:\n  - a: 1\n    b: 2\n    c: 3\n");
}

#[test]
fn line_ends_and_json_stay_as_they_are() {
    check("a:\r\n  b: 1\r\n", set("a.c", json!({"d": 1})), "a:\r\n  b: 1\r\n  c:\r\n    d: 1\r\n");
    let text = "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n";
    let found = edited(text, &[set("a.c", json!([1, "x"]))], true);
    assert_eq!(found.as_deref(), Ok("{\n  \"a\": {\n    \"b\": 1,\n    \"c\": [1,\"x\"]\n  }\n}\n"));
    assert_eq!(
        edited(text, &[set("a.b", json!("y"))], true).as_deref(),
        Ok("{\n  \"a\": {\n    \"b\": \"y\"\n  }\n}\n")
    );
}

#[track_caller]
fn refuses(text: &str, op: Op, expected: &Unable) {
    assert_eq!(edited(text, &[op], false).as_ref(), Err(expected), "of:\n{text}");
}

#[test]
fn what_cannot_be_done_is_said() {
    refuses("a: &x 1\nb: *x\n", set("a", json!(2)), &Unable::Shared { line: 1 });
    refuses("a: &x {c: 1}\nb: *x\n", set("b.c", json!(2)), &Unable::Shared { line: 2 });
    refuses("a: &x\n  c: 1\nb: *x\n", set("a.c", json!(2)), &Unable::Form { line: 2 });
    refuses("a:\n  -\n  - 1\n", set("a[0]", json!(2)), &Unable::Form { line: 2 });
    refuses("a: 1\nb: 2\n", set("a.c", json!(2)), &Unable::NoSuch { line: 1, path: "a.c".to_owned() });
    refuses("a: [1]\n", set("a[2]", json!(2)), &Unable::NoSuch { line: 1, path: "a[2]".to_owned() });
    assert!(matches!(edited("a:\n\tb: 1\n", &[set("a.b", json!(2))], false), Err(Unable::Broken { line: 2, .. })));
    check("? a\n: 1\n", set("a", json!(2)), "? a\n: 2\n");
    check("a: &x 1\nb: *x\nc: 1\n", set("c", json!(2)), "a: &x 1\nb: *x\nc: 2\n");
}

#[test]
fn odd_texts_are_quoted() {
    let odd = [
        "",
        " x",
        "x ",
        "true",
        "Null",
        "yes",
        "1",
        "1.5",
        "0x1f",
        "1e3",
        "2026-01-01",
        "a: b",
        "a #b",
        "- a",
        "*a",
        "&a",
        "'",
        "\"",
        "a\tb",
        "\u{1b}",
        "\u{feff}x",
        "\u{2028}",
        "{}",
        "[",
        "%a",
        "@a",
        "`a",
        "ünï",
        "日本",
        "a\\b",
        "~",
        "=",
        "<<",
        "!a",
        "|",
        ">",
        "?",
        ":",
        ",",
        "\r\n",
        "a\r",
        "\n",
        "\n\n",
        " a\nb",
        "a\n b\n",
        "a\n\nb\n\n",
        "#a\nb",
        "12:30",
        "0o7",
        "1_0",
    ];
    for text in odd {
        let found =
            edited("a:\n  b: 1\n  c: [1]\nz: 1 # z\n", &[set("a.b", json!(text)), set("a.c[0]", json!(text))], false);
        let found = found.unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        assert!(found.ends_with("z: 1 # z\n"), "{found}");
    }
    for text in ["web", "30d", "1h30m", "GET /things", "ann@example.com", "/v1/x", "Echo Basic"] {
        check("a: 1\n", set("a", json!(text)), &format!("a: {text}\n"));
    }
}

/// A value, and one that is like it.
fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        "[a-c]{0,3}".prop_map(Json::from),
        "\\PC{0,8}".prop_map(Json::from),
        "([a-z#: -]{0,4}\n){0,3}[a-z]{0,3}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-e]", inner, 0..4).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// The value as a text, in one of the forms that people use: with comments, empty lines, and parts on one line.
fn text(value: &Json, dice: &mut impl FnMut(usize) -> usize, indent: usize, newline: &str) -> String {
    let space = " ".repeat(indent);
    let mut said = String::new();
    let Json::Object(fields) = value else { panic!("a map") };
    for (name, value) in fields {
        if dice(4) == 0 {
            said.push_str(&format!("{space}# of {name} ä{newline}"));
        }
        if dice(6) == 0 {
            said.push_str(newline);
        }
        let inner = match value {
            Json::Object(map) if !map.is_empty() && dice(4) > 0 => {
                let note = if dice(3) == 0 { " # map" } else { "" };
                let deeper = indent + 1 + dice(3);
                format!("{note}{newline}{}", text(value, dice, deeper, newline))
            }
            Json::Array(list) if !list.is_empty() && dice(3) > 0 => {
                let dashes = " ".repeat(indent + dice(2) * 2);
                let entries =
                    list.iter().map(|entry| format!("{dashes}- {} # e{newline}", emit::inline(&emit::yaml(entry))));
                format!("{newline}{}", entries.collect::<String>())
            }
            Json::String(_) if dice(3) == 0 => {
                format!("{}{newline}", emit::behind(&emit::yaml(value), indent, newline))
            }
            value => format!(" {}{}{newline}", emit::inline(&emit::yaml(value)), ["", " # c", "  "][dice(3)]),
        };
        said.push_str(&format!("{space}{name}:{inner}"));
    }
    said
}

fn comments(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| line.starts_with("# of")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Whatever is changed: the text says what was meant, and lines that are about something else are still there as they were.
    #[test]
    fn only_what_was_meant_changes(old in value(), new in value(), seed in any::<u64>(), crlf in any::<bool>()) {
        let mut state = seed | 1;
        let mut dice = |end: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % end as u64).expect("small")
        };
        let newline = if crlf { "\r\n" } else { "\n" };
        let whole = |value: &Json| json!({"first": {"a": [1, 2], "b": "x"}, "middle": value, "zlast": {"q": "y"}});
        let text = text(&whole(&old), &mut dice, 0, newline);
        prop_assert_eq!(said(&text, false), Ok(whole(&old)), "{}", text);
        let ops = difference(&FieldPath::root(), &whole(&old), &whole(&new));
        let found = match edited(&text, &ops, false) {
            Ok(found) => found,
            Err(error) => return Err(TestCaseError::fail(format!("{error:?}\n{text}\n{ops:?}"))),
        };
        prop_assert_eq!(said(&found, false), Ok(whole(&new)));
        let middle = |text: &str| {
            let start = text.find("middle:").expect("it is there");
            let end = text.find("zlast:").expect("it is there");
            (text[..start].to_owned(), text[end..].to_owned())
        };
        prop_assert_eq!(middle(&found), middle(&text), "around it nothing is different");
        if ops.is_empty() {
            prop_assert_eq!(&found, &text);
        }
        if let [Op::Set(path, value)] = ops.as_slice() {
            // One scalar for another: every comment is still there.
            if at(&whole(&old), path).is_some_and(|old| !old.is_object() && !old.is_array()) && !value.is_object() {
                prop_assert_eq!(comments(&found), comments(&text), "{}\n{}", text, found);
            }
        }
    }
}
