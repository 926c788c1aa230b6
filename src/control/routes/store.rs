//! The store as a whole: what it holds, and whether it is what it was written as. Read by the query threads.

use crate::control::StoreInfo;
use crate::control::call::Call;
use crate::control::job::{Cancel, Measure};
use crate::control::reply::CancelOnDrop;
use crate::control::stream::Refusal;
use crate::hold::Held;
use crate::index;
use crate::query::pace::{Freely, Pace, Stopped};
use crate::store::info::Info;
use crate::store::{StoreError, info, verify};
use axum::body::Body;
use axum::http::Response;
use std::path::Path;

fn refused(e: StoreError) -> Refusal {
    Refusal { status: 500, error: e.to_string() }
}

/// `GET /v1/info`.
pub async fn info(call: Call) -> Response<Body> {
    let running = super::status::tracked(&call.shared);
    call.work(move |engine| {
        let counted = engine.counted(&Freely).map_err(|e| Refusal { status: 500, error: e.to_string() })?;
        let info = info::info(engine.store(), &counted).map_err(refused)?;
        let holds = Held::open(engine.store()).and_then(|held| held.sizes()).ok();
        Ok(StoreInfo::new(Info { running, ..info }, holds))
    })
    .await
}

/// `POST /v1/verify`. It takes as long as it takes to read the store, and ends when whoever asked goes.
pub async fn verify(call: Call) -> Response<Body> {
    let shared = call.shared.clone();
    let Some(place) = shared.clients.enter(&call.caller.name) else {
        let why = shared.clients.full(&call.caller.name);
        return call.refuse((429, why));
    };
    let cancel = Cancel::default();
    let guard = CancelOnDrop::new(cancel.clone());
    let measure = Measure::new(cancel, shared.ending.clone(), None, shared.brake.clone());
    let reply = call.work(move |engine| {
        let _place = place;
        let check = |segment: &Path, path: &Path| index::verify(segment, path).map_err(|e| e.to_string());
        let report = verify::verify_while(engine.store(), &check, &|| measure.go_on()).map_err(refused)?;
        let stopped = || Refusal { status: 503, error: measure.stopped().unwrap_or(Stopped::Gone).to_string() };
        report.ok_or_else(stopped)
    });
    let reply = reply.await;
    guard.disarm();
    reply
}
