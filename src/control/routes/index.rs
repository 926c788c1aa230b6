//! What there is to ask.

use super::ROWS;
use crate::control::call::Call;
use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

/// `GET /v1`.
pub fn index(call: Call) -> Response<Body> {
    let request = |r: &super::Row| json!({ "method": r.method, "path": r.path, "role": r.role, "summary": r.summary });
    let requests: Vec<Value> = ROWS.iter().map(request).collect();
    let index = json!({ "version": env!("CARGO_PKG_VERSION"), "you": call.caller, "requests": requests });
    call.answer(&index)
}
