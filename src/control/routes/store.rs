//! The store as a whole: what it holds, and whether it is what it was written as. Read by the query threads.

use crate::control::StoreInfo;
use crate::control::call::Call;
use crate::control::job::{refusal, stopped};
use crate::control::lanes::Lane;
use crate::control::stream::Refusal;
use crate::hold::Held;
use crate::index;
use crate::query::pace::Pace;
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
    call.work(Lane::Books, move |engine, measure| {
        let counted = engine.counted(measure).map_err(|e| refusal(&e))?;
        let info = info::info_while(engine.store(), &counted, &|| measure.go_on()).map_err(refused)?;
        let info = info.ok_or_else(|| stopped(measure))?;
        let holds = Held::open(engine.store()).and_then(|held| held.sizes()).ok();
        Ok(StoreInfo::new(Info { running, ..info }, holds))
    })
    .await
}

/// `POST /v1/verify`. It takes as long as it takes to read the store, and ends when whoever asked goes.
pub async fn verify(call: Call) -> Response<Body> {
    call.work_long(Lane::Packets, move |engine, measure| {
        let check = |segment: &Path, path: &Path| index::verify(segment, path).map_err(|e| e.to_string());
        let report = verify::verify_while(engine.store(), &check, &|| measure.go_on()).map_err(refused)?;
        report.ok_or_else(|| stopped(measure))
    })
    .await
}
