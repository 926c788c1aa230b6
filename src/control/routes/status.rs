//! The recorder as it is now.

use crate::control::call::Call;
use axum::body::Body;
use axum::http::Response;
use std::sync::PoisonError;

/// `GET /v1/status`.
pub fn status(call: Call) -> Response<Body> {
    let shared = &call.shared;
    let (times, waited_ns) = shared.brake.counts();
    let recorder = shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let status = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "store": shared.engine.store(),
        "queries": shared.clients.busy(),
        "brake": { "on": shared.brake.on(), "times": times, "waited_ns": waited_ns }, "recorder": recorder,
    });
    call.answer(&status)
}
