//! A word in the audit log, from a program that steers: what it refused to do, and why.

use crate::control::call::Call;
use axum::body::Body;
use axum::http::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

/// A note was entered.
#[derive(Serialize, JsonSchema)]
pub struct Noted {
    /// It was.
    noted: bool,
}

/// `POST /v1/notes`: the request's own line is the note.
pub fn note(mut call: Call) -> Response<Body> {
    match call.json::<Note>() {
        Ok(note) if note.text.trim().is_empty() => call.refuse((400, "the note says nothing: write text".into())),
        Ok(_) if call.shared.audit.is_off() => {
            call.refuse((503, "there is no audit log: the store can't be written".into()))
        }
        Ok(_) => call.answer(&Noted { noted: true }),
        Err(why) => call.refuse(why),
    }
}
