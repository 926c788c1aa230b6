//! The recorder as it is now: one object, at most a second old, and the part of it that is about classes.

use crate::control::call::Call;
use crate::control::shared::Shared;
use crate::control::status::{Audit, Brake, Status};
use crate::metrics::status::{ProcessMemory, RecorderState};
use axum::body::Body;
use axum::http::Response;
use std::sync::Arc;
use std::time::Duration;

/// `GET /v1/status`.
pub async fn status(call: Call) -> Response<Body> {
    let Some(recorder) = published(&call.shared).await else { return call.refuse(begins()) };
    let shared = &call.shared;
    let (times, waited_seconds) = shared.brake.counts();
    let status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: shared.engine.store().to_owned(),
        recorder: RecorderState::clone(&recorder),
        queries: shared.clients.busy() as u64,
        brake: Brake { on: shared.brake.on(), times, waited_seconds },
        audit: Audit { failing: shared.audit.failing() },
        answering: ProcessMemory::this(),
    };
    call.answer(&status)
}

/// `GET /v1/classes`.
pub async fn classes(call: Call) -> Response<Body> {
    match published(&call.shared).await {
        Some(recorder) => call.answer_lines(&recorder.classes),
        None => call.refuse(begins()),
    }
}

/// What the recorder said last. It says it first when its workers run, a moment after its socket is there.
async fn published(shared: &Shared) -> Option<Arc<RecorderState>> {
    for _ in 0..100 {
        if let Some(state) = shared.capture.state() {
            return Some(state);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shared.capture.state()
}

fn begins() -> (u16, String) {
    (503, "the recorder begins: try again in a moment".into())
}

/// Connections that run, as the recorder said last; `None`: it has not said yet.
pub fn tracked(shared: &Shared) -> Option<u64> {
    shared.capture.state().map(|state| state.counters.connections.tracked)
}
