//! `docs/json.md`: the rules, and each object with its fields, made from the types. Owns the words of the rules; the rest are the types'.

use super::Described;
use serde_json::{Map, Value};
use std::fmt::Write;

const RULES: &str = "<!-- Made by `cargo xtask docs` from the types that are written; a test holds it against them. -->

# What retrotap says as JSON

One shape for all of it: every command with `--json`, every answer of the API, its headers and trailers, its errors, the audit log.

- **An answer is one object** on one line. **A list is JSON lines**: one object a line, and nothing at all where there is none.
- **The version** is `\"format\": 1`, a field of every answer and of every line. It rises when a field is renamed, goes, or comes to
  mean something else. A new field does not raise it: pass over what you do not know.
- **Time**: a text, RFC 3339 in UTC with nine digits of nanoseconds, `\"2026-11-30T10:00:00.123456789Z\"`. Texts sort as times do.
- **Seconds**: a length of time is a number of seconds; its field ends in `_seconds`.
- **Count**: an integer, a number up to 2^53 = 9007199254740992; above that its decimal text, since JavaScript, jq and many others keep
  numbers as 64-bit floats and would round it without a word. Sizes are bytes, and their fields are `bytes` or end in `_bytes`; `bytes`
  alone are lengths on the wire. All other integers count what their field names.
- **Endpoint**: address and port are two fields, `{\"address\": \"10.1.2.3\", \"port\": 443}`; null where the protocol has none. A
  connection is named by `protocol`, `a` and `b`.
- Ids and sums are texts. What is not known, or does not apply, is null; a field is left out only where its table says *optional*.
- **Errors** are an object with `error`: `{\"format\":1,\"error\":{\"kind\":\"not_found\",\"message\":\"...\",\"status\":404}}`. A command with
  `--json` that fails writes it on standard error as its last line; log lines before it are text (`-q`: none but errors).
  The exit code says the same: 1 done but not whole, 2 wrong arguments, 3 it cannot be done.
- What somebody else gave is passed on as it is, but for its large integers: a hold's `about`, the audit log's `ask`, a configuration's values.

Questions to the API take times as texts (also `13:15`, `-10m`) and lengths of time as seconds or as texts (`\"10m\"`); a number is no time, since
nobody could tell whether it counts seconds, milliseconds or nanoseconds.

`retrotap schema NAME` prints the JSON Schema of an object, and `GET /v1/openapi.json` has those of the API. The CSV of `connections --csv` has
the same fields with the same values; of a field that is an object the columns are `a_address`, `a_port`.

Formats of the store (ledger, receipts, `hold.json`, `orders.json`, `classes.json`, `api.tokens`) are not said and have versions of their own.
";

/// The page about these objects.
pub fn page(all: &[&Described]) -> String {
    let mut out = RULES.to_owned();
    let _ = writeln!(out, "\n| object | one | a list |\n|---|---|---|");
    for d in all {
        let one = [d.commands, d.requests].concat();
        let _ = writeln!(out, "| [{}](#{}) | {} | {} |", d.name, d.name.to_lowercase(), code(&one), code(d.lines));
    }
    for d in all {
        let schema = d.schema();
        let _ = writeln!(out, "\n## {}\n\n{}\n", d.name, prose(&schema));
        let _ = writeln!(out, "| field | type | |\n|---|---|---|");
        let parts = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
        let reader = Reader { parts, named: all.iter().map(|d| d.name).collect() };
        reader.fields(&mut out, "", &schema, 0);
    }
    out
}

fn code(words: &[&str]) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}

/// Types that the rules explain.
const RULED: &[&str] = &["Time", "Seconds", "Count"];
/// No object of ours is deeper.
const DEPTH: usize = 8;

struct Reader<'a> {
    parts: Map<String, Value>,
    named: Vec<&'a str>,
}

impl Reader<'_> {
    /// The fields of an object, those of its parts below them.
    fn fields(&self, out: &mut String, before: &str, schema: &Value, depth: usize) {
        let branches = ["oneOf", "anyOf", "allOf"].iter().filter_map(|k| schema.get(k)?.as_array());
        let fields = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in fields.into_iter().flatten() {
            let kind = self.kind(field);
            let optional = if required.contains(&name.as_str()) { "" } else { ", optional" };
            let about = prose(field);
            let _ = writeln!(out, "| `{before}{name}` | {kind}{optional} | {about} |", kind = kind.word);
            if let Some(part) = kind.part.filter(|_| depth < DEPTH) {
                let list = if kind.list { "[]" } else { "" };
                self.fields(out, &format!("{before}{name}{list}."), &part, depth + 1);
            }
        }
        // One of several kinds of an object: its own fields, and those of what it refers to.
        for branch in branches.flatten().filter(|_| depth < DEPTH) {
            let part = self.referred(branch).map(|(_, part)| part);
            if branch.get("properties").is_none() && part.is_none_or(|p| p.get("properties").is_none()) {
                continue;
            }
            if let Some(about) = Some(prose(branch)).filter(|about| !about.is_empty()) {
                let _ = writeln!(out, "| | | **{about}** |");
            }
            [Some(branch), part].into_iter().flatten().for_each(|p| self.fields(out, before, p, depth + 1));
        }
    }

    fn referred(&self, schema: &Value) -> Option<(String, &Value)> {
        let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        Some((name.to_owned(), self.parts.get(name)?))
    }

    fn kind(&self, schema: &Value) -> FieldKind {
        if let Some((name, part)) = self.referred(schema) {
            return self.of_part(&name, part);
        }
        if let Some(kinds) = schema.get("anyOf").and_then(Value::as_array) {
            let null = kinds.iter().any(|k| k.get("type").is_some_and(|t| t == "null"));
            let mut kinds = kinds.iter().filter(|k| k.get("type").is_none_or(|t| t != "null")).map(|k| self.kind(k));
            let Some(kind) = kinds.next() else { return FieldKind::word("null") };
            return if null { FieldKind { word: format!("{} or null", kind.word), ..kind } } else { kind };
        }
        if let Some(items) = schema.get("items") {
            let kind = self.kind(items);
            return FieldKind { word: format!("list of {}", kind.word), list: true, ..kind };
        }
        if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
            let kind = self.kind(values);
            return FieldKind { word: format!("{} by name", kind.word), ..kind };
        }
        if schema.get("properties").is_some() {
            return FieldKind { part: Some(schema.clone()), ..FieldKind::word("object") };
        }
        match (schema.get("const"), schema.get("enum"), schema.get("type")) {
            (Some(only), ..) => FieldKind::word(&format!("`{only}`")),
            (_, Some(Value::Array(all)), _) => FieldKind::word(&words(all)),
            (_, _, Some(Value::String(kind))) => FieldKind::word(plain(kind)),
            (_, _, Some(Value::Array(kinds))) => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).map(plain).collect();
                FieldKind::word(&kinds.join(" or "))
            }
            _ => FieldKind::word("any"),
        }
    }

    fn of_part(&self, name: &str, part: &Value) -> FieldKind {
        if RULED.contains(&name) {
            return FieldKind::word(name);
        }
        if self.named.contains(&name) {
            return FieldKind::word(&format!("[{name}](#{})", name.to_lowercase()));
        }
        if part.get("properties").is_some() {
            return FieldKind { part: Some(part.clone()), ..FieldKind::word("object") };
        }
        // An enumeration whose words have meanings of their own.
        match part.get("oneOf").and_then(Value::as_array) {
            Some(kinds) if kinds.iter().all(|k| k.get("const").is_some() || k.get("enum").is_some()) => {
                let each = kinds.iter().flat_map(|k| {
                    k.get("const").into_iter().chain(k.get("enum").and_then(Value::as_array).into_iter().flatten())
                });
                FieldKind::word(&words(&each.cloned().collect::<Vec<_>>()))
            }
            Some(_) => FieldKind { part: Some(part.clone()), ..FieldKind::word("object") },
            None => self.kind(part),
        }
    }
}

/// What is said of it, on one line; links of the program's own documentation lead nowhere here.
fn prose(schema: &Value) -> String {
    let about = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    about.replace('\n', " ").replace("[`", "`").replace("`]", "`").replace("`None`", "null")
}

fn words(all: &[Value]) -> String {
    all.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}

fn plain(kind: &str) -> &str {
    match kind {
        "string" => "text",
        "boolean" => "true or false",
        kind => kind,
    }
}

/// What a field holds.
struct FieldKind {
    word: String,
    /// An object's fields.
    part: Option<Value>,
    list: bool,
}

impl FieldKind {
    fn word(word: &str) -> FieldKind {
        FieldKind { word: word.to_owned(), part: None, list: false }
    }
}
