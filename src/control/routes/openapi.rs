//! The description of the API: `src/control/openapi.json`, as it is. `tests/api/openapi.rs` holds it against the table and the answers.

use crate::control::call::Call;
use axum::body::Body;
use axum::http::Response;

const DESCRIPTION: &str = include_str!("../openapi.json");

/// `GET /v1/openapi.json`.
pub fn openapi(call: Call) -> Response<Body> {
    call.answer_text(200, DESCRIPTION.to_owned())
}
