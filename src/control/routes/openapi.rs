//! The description of the API: `src/control/openapi.json` has the requests, and what is asked; the schemas of the answers are made from their
//! types. `tests/api/openapi.rs` holds it against the table and the answers.

use crate::control::answers::ANSWERS;
use crate::control::call::Call;
use axum::body::Body;
use axum::http::Response;
use serde_json::{Map, Value};
use std::sync::LazyLock;

const REQUESTS: &str = include_str!("../openapi.json");

static DESCRIPTION: LazyLock<String> = LazyLock::new(|| serde_json::to_string(&description()).unwrap_or_default());

/// `GET /v1/openapi.json`.
pub fn openapi(call: Call) -> Response<Body> {
    call.answer_text(DESCRIPTION.clone())
}

/// Requests and schemas.
fn description() -> Value {
    let mut whole: Value = serde_json::from_str(REQUESTS).unwrap_or_default();
    if let Some(schemas) = whole.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        ANSWERS.iter().for_each(|answer| place(schemas, answer.name, answer.schema()));
    }
    whole
}

/// Puts a schema among the others, and beside it the parts that it refers to.
fn place(schemas: &mut Map<String, Value>, name: &str, mut schema: Value) {
    let parts = schema.as_object_mut().and_then(|s| s.remove("$defs"));
    if let Some(Value::Object(parts)) = parts {
        for (name, mut part) in parts {
            refer(&mut part);
            schemas.insert(part_name(&name), part);
        }
    }
    refer(&mut schema);
    schemas.insert(name.to_owned(), schema);
}

/// An object as a part of another has no version: it is not the one that stands alone.
fn part_name(name: &str) -> String {
    if ANSWERS.iter().any(|a| a.name == name) { format!("{name}Part") } else { name.to_owned() }
}

/// References lead to where the parts are now.
fn refer(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(to) if key == "$ref" => {
                        if let Some(name) = to.strip_prefix("#/$defs/") {
                            *to = format!("#/components/schemas/{}", part_name(name));
                        }
                    }
                    value => refer(value),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(refer),
        _ => {}
    }
}
