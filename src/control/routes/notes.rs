//! A word in the audit log, from a program that steers: what it refused to do, and why.

use crate::control::call::Call;
use axum::body::Body;
use axum::http::Response;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

/// `POST /v1/notes`: the request's own line is the note.
pub fn note(mut call: Call) -> Response<Body> {
    match call.json::<Note>() {
        Ok(note) if note.text.trim().is_empty() => call.refuse((400, "the note says nothing: write text".into())),
        Ok(_) => call.answer(&json!({ "noted": true })),
        Err(why) => call.refuse(why),
    }
}
