//! Documents that are written, and read again by a YAML parser.

use proptest::prelude::*;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, json};

use super::*;

#[test]
fn lists_and_objects_are_indented() {
    let value = json!([{"topic": "orders", "partitions": [{"id": 0, "replicas": [1, 2]}], "configs": {}}, {"topic": "no"}]);
    let wanted = "- configs: {}\n  partitions:\n    - id: 0\n      replicas:\n        - 1\n        - 2\n  topic: orders\n- topic: \"no\"\n";
    assert_eq!(document(&value), wanted);
    assert_eq!(document(&json!([])), "[]\n");
    assert_eq!(
        document(&json!(["a: b", "5", null])),
        "- \"a: b\"\n- \"5\"\n- null\n"
    );
}

/// Strings that YAML reads as something else when they are not quoted, or that need escapes.
const ODD: &[&str] = &[
    "",
    " ",
    "~",
    "null",
    "Null",
    "NULL",
    "true",
    "False",
    "yes",
    "NO",
    "on",
    "Off",
    "y",
    "N",
    "0",
    "-1",
    "+1",
    "1e3",
    "1.5",
    ".5",
    "0x1f",
    "0o7",
    "0b1",
    "1_000",
    "1:30",
    "-0.0",
    ".inf",
    "-.Inf",
    ".nan",
    "2026-02-17",
    "2026-02-17T09:30:00Z",
    "=",
    "<<",
    "---",
    "...",
    "- a",
    "? a",
    "a: b",
    "a:",
    ":a",
    "a #b",
    "#a",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "[a]",
    "{a}",
    "'a'",
    "\"a\"",
    " a",
    "a ",
    "a\nb\n",
    "\ta",
];

#[test]
fn odd_strings_stay_strings_as_values_items_and_keys() {
    for &odd in ODD {
        let value = json!({"value": odd, odd: [odd, [odd], {odd: odd}]});
        assert_eq!(read(&document(&value)), value, "{odd:?}");
        assert_eq!(read(&document(&json!(odd))), json!(odd), "{odd:?}");
    }
}

#[test]
fn control_bytes_are_written_as_escapes() {
    let controls = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
    let others = ['\u{2028}', '\u{2029}', '\u{feff}', '\u{fffe}', '\u{ffff}'];
    for letter in controls.chain(others) {
        let value = json!([format!("a{letter}b")]);
        let text = document(&value);
        assert!(
            text.trim_end()
                .bytes()
                .all(|byte| (0x20..0x7f).contains(&byte)),
            "{text:?}"
        );
        assert_eq!(read(&text), value, "{letter:?}");
    }
}

proptest! {
    #[test]
    fn any_document_comes_back(value in values()) {
        let text = document(&value);
        prop_assert_eq!(read(&text), value, "{}", text);
    }
}

/// Strings of every kind, with a preference for odd ones.
fn strings() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(ODD).prop_map(str::to_owned),
        "[-a-zA-Z0-9_./]{0,12}",
        "[ \\t\\r\\n:#,\\[\\]{}&*!|>'\"%@`?a~=-]{0,8}",
        proptest::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter),
    ]
}

/// Documents that are nested some levels deep.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        6 => strings().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let pair = (strings(), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..6).prop_map(Value::from),
            proptest::collection::vec(pair, 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Reads a document with one value.
fn read(text: &str) -> Value {
    let events = Parser::new_from_str(text).map(|event| match event {
        Ok((event, _)) => event,
        Err(cause) => panic!("{cause}: {text:?}"),
    });
    let mut events = events.filter(|event| {
        let frame = matches!(event, Event::StreamStart | Event::DocumentStart(_));
        !frame && !matches!(event, Event::Nothing)
    });
    let first = events.next().unwrap();
    let value = node_of(first, &mut events);
    assert!(
        matches!(events.next(), Some(Event::DocumentEnd)),
        "{text:?}"
    );
    assert!(matches!(events.next(), Some(Event::StreamEnd)), "{text:?}");
    value
}

fn node_of<'a>(event: Event<'a>, rest: &mut impl Iterator<Item = Event<'a>>) -> Value {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, 0, None) => plain(&text),
        Event::Scalar(text, _, 0, None) => Value::String(text.into_owned()),
        Event::SequenceStart(0, None) => {
            let mut values = Vec::new();
            loop {
                match rest.next().unwrap() {
                    Event::SequenceEnd => return Value::Array(values),
                    event => values.push(node_of(event, rest)),
                }
            }
        }
        Event::MappingStart(0, None) => {
            let mut pairs = Map::new();
            loop {
                let key = match rest.next().unwrap() {
                    Event::MappingEnd => return Value::Object(pairs),
                    event => node_of(event, rest),
                };
                let Value::String(key) = key else {
                    panic!("{key} is a key")
                };
                let event = rest.next().unwrap();
                let value = node_of(event, rest);
                assert!(pairs.insert(key, value).is_none());
            }
        }
        other => panic!("{other:?}"),
    }
}

/// Reads a word without quotes. It may mean nothing else than a string in YAML 1.1 either, which
/// many programs still read.
fn plain(text: &str) -> Value {
    let lower = text.to_lowercase();
    match &*lower {
        "" | "~" | "null" => return Value::Null,
        "true" | "false" => return Value::Bool(lower == "true"),
        _ => {}
    }
    if let Ok(number) = serde_json::from_str::<serde_json::Number>(text) {
        return Value::Number(number);
    }
    let words = [
        "y", "n", "yes", "no", "on", "off", "=", "<<", ".inf", ".nan",
    ];
    assert!(!words.contains(&&*lower), "{text:?} without quotes");
    assert!(
        text.starts_with(|first: char| first.is_ascii_alphabetic()),
        "{text:?}"
    );
    Value::String(text.to_owned())
}
