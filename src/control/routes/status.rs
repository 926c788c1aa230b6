//! The recorder as it is now: one object, at most a second old, and the part of it that is about classes.

use crate::control::call::Call;
use crate::control::shared::Shared;
use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};
use std::sync::PoisonError;

/// `GET /v1/status`.
pub fn status(call: Call) -> Response<Body> {
    let shared = &call.shared;
    let (times, waited_ns) = shared.brake.counts();
    let (state, recorder) = published(shared);
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "store": shared.engine.store(),
        "queries": shared.clients.busy(),
        "brake": { "on": shared.brake.on(), "times": times, "waited_ns": waited_ns },
        "resident_bytes": resident(), "audit": { "failing": shared.audit.failing() }, "state": state, "recorder": recorder,
    });
    call.answer(&status)
}

/// `GET /v1/classes`.
pub fn classes(call: Call) -> Response<Body> {
    let (mut state, _) = published(&call.shared);
    let classes = state.get_mut("classes").map(Value::take).unwrap_or_else(|| json!([]));
    call.answer(&json!({ "classes": classes }))
}

/// What the recorder said last: how it goes, and its account.
fn published(shared: &Shared) -> (Value, Value) {
    let all = shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let of = |key| all.get(key).cloned().unwrap_or(Value::Null);
    (of("state"), of("recorder"))
}

/// Connections that run, as the recorder said last; `None`: it has not said yet.
pub fn tracked(shared: &Shared) -> Option<u64> {
    published(shared).1.pointer("/connections/tracked").and_then(Value::as_u64)
}

/// Memory of this process that is in use, bytes; 0 if the system does not tell.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
