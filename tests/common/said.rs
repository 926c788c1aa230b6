//! The one shape of JSON, apart from the product's own code: rules that hold for whatever is said, and schemas as the binary prints them.

use serde_json::Value;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::Command;

/// The largest integer that every reader takes exactly.
const EXACT_MAX: u64 = 1 << 53;
/// Words for people, and what others gave, a question among it: not ours to shape.
const FREE: &[&str] = &[
    "about", "ask", "question", "filter", "no_match", "plan", "idle", "message", "error", "errors", "why", "notes",
    "damaged", "found", "apply", "undo",
];

/// An object that stands alone: the version, and what holds for each of its values.
pub fn check_rules(what: &str, object: &Value) {
    assert_eq!(object["format"], 1, "{what}: no version in {object}");
    walk(what, "", object);
}

fn walk(what: &str, path: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                assert!(!key.ends_with("_ns"), "{what}: {path}.{key} counts nanoseconds");
                if !FREE.contains(&key.as_str()) || value.is_object() && key == "error" {
                    walk(what, &format!("{path}.{key}"), value);
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|v| walk(what, &format!("{path}[]"), v)),
        Value::Number(n) => {
            let size = n.as_u64().or(n.as_i64().map(i64::unsigned_abs));
            assert!(size.is_none_or(|n| n <= EXACT_MAX), "{what}: {path} is {n}: readers would round it");
        }
        Value::String(text) => {
            assert!(!looks_like_time(text) || is_time(text), "{what}: {path} is {text:?}, no time of ours");
            let ends = text.split_whitespace().filter(|w| w.parse::<SocketAddr>().is_ok());
            assert_eq!(ends.count(), 0, "{what}: {path} is {text:?}: address and port in one");
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// 2026-11-30, and more.
fn looks_like_time(text: &str) -> bool {
    let form = |b: (usize, u8)| if matches!(b.0, 4 | 7) { b.1 == b'-' } else { b.1.is_ascii_digit() };
    text.len() > 10 && text.bytes().take(10).enumerate().all(form)
}

/// 2026-11-30T10:00:00.123456789Z.
fn is_time(text: &str) -> bool {
    let form = |(n, b): (usize, u8)| match n {
        4 | 7 => b == b'-',
        10 => b == b'T',
        13 | 16 => b == b':',
        19 => b == b'.',
        29 => b == b'Z',
        _ => b.is_ascii_digit(),
    };
    text.len() == 30 && text.bytes().enumerate().all(form)
}

/// A time as Unix ns.
pub fn unix_ns(time: &Value) -> u64 {
    let text = time.as_str().unwrap_or_else(|| panic!("{time} is no time"));
    retrotap::units::parse_time(text, 0).expect("a time")
}

/// Names of all objects that have a schema.
pub fn names() -> Vec<String> {
    schema_command(&[]).lines().map(str::to_owned).collect()
}

/// Holds an object against its schema, in which nothing is allowed that it does not name, and against the rules.
pub fn check(name: &str, object: &Value) {
    check_rules(name, object);
    let mut schema: Value = serde_json::from_str(&schema_command(&[name])).expect("a schema");
    let mut merged = HashSet::new();
    find_merged(&schema, &mut merged);
    close(&mut schema, &merged);
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let wrong: Vec<String> = validator.iter_errors(object).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?} in {object}");
}

fn schema_command(args: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_retrotap")).arg("schema").args(args).output().expect("the binary runs");
    assert!(ran.status.success(), "schema {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}

/// Definitions that stand for a part of an object which has fields beside them.
fn find_merged(schema: &Value, found: &mut HashSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let (true, Some(Value::String(to))) = (fields.contains_key("properties"), fields.get("$ref")) {
                found.extend(to.strip_prefix("#/$defs/").map(str::to_owned));
            }
            fields.values().for_each(|value| find_merged(value, found));
        }
        Value::Array(all) => all.iter().for_each(|value| find_merged(value, found)),
        _ => {}
    }
}

/// No field that is not described: for tests; whoever reads must pass over new ones. What is merged into an object is closed by that.
fn close(schema: &mut Value, merged: &HashSet<String>) {
    match schema {
        Value::Object(fields) => {
            // Where kinds of an object follow, they have fields too.
            let kinds = ["oneOf", "anyOf", "allOf", "$ref"].iter().any(|k| fields.contains_key(*k));
            if fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
                let key = if kinds { "unevaluatedProperties" } else { "additionalProperties" };
                fields.insert(key.into(), Value::Bool(false));
            }
            for (key, value) in fields {
                match (key.as_str(), value) {
                    // Branches see only their own fields; the object around them is closed.
                    ("oneOf" | "anyOf" | "allOf", _) => {}
                    ("$defs", Value::Object(all)) => {
                        all.iter_mut().filter(|(name, _)| !merged.contains(*name)).for_each(|(_, v)| close(v, merged));
                    }
                    (_, value) => close(value, merged),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|value| close(value, merged)),
        _ => {}
    }
}
