//! What there is to ask.

use super::{OF_A_RECORDER, ROWS};
use crate::control::call::Call;
use crate::control::caller::Caller;
use axum::body::Body;
use axum::http::Response;
use schemars::JsonSchema;
use serde::Serialize;

/// What the API offers, and to whom.
#[derive(Serialize, JsonSchema)]
pub struct Index<'a> {
    /// Version of the program.
    version: &'static str,
    /// Whoever asks, and what that one may.
    you: &'a Caller,
    /// What there is to ask.
    requests: Vec<RequestLine>,
}

/// A request of the API.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Request")]
pub struct RequestLine {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    method: &'static str,
    /// Where.
    path: &'static str,
    /// The role that it takes.
    role: crate::control::Role,
    /// What it is, in a line.
    summary: &'static str,
}

/// `GET /v1`.
pub fn index(call: Call) -> Response<Body> {
    let request = |r: &super::Row| RequestLine { method: r.method, path: r.path, role: r.role, summary: r.summary };
    let caller = call.caller.clone();
    let at_rest = call.shared.engine.is_at_rest();
    let there = ROWS.iter().filter(|row| !at_rest || !OF_A_RECORDER.contains(&row.path));
    let (version, requests) = (env!("CARGO_PKG_VERSION"), there.map(request).collect());
    call.answer(&Index { version, you: &caller, requests })
}
