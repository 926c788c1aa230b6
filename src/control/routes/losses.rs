//! What a window lacks: the ledger's losses, and times without a recording or a link.

use crate::control::ask::Ask;
use crate::control::call::Call;
use crate::control::job::refusal;
use crate::control::lanes::Lane;
use crate::control::stream::Refusal;
use crate::ledger::missed;
use crate::store::layout::Layout;
use crate::units;
use axum::body::Body;
use axum::http::Response;

/// `POST /v1/losses`.
pub async fn losses(mut call: Call) -> Response<Body> {
    let ask = match call.json::<Ask>() {
        Ok(ask) => ask,
        Err(why) => return call.refuse(why),
    };
    let query = match ask.query(call.shared.engine.store()) {
        Ok(query) => query,
        Err(why) => return call.refuse((400, why)),
    };
    call.work(Lane::Books, move |engine, _| {
        engine.known_names(&query).map_err(|e| refusal(&e))?;
        let now = units::now();
        let since = query.last.map(|last| now.saturating_sub(last)).or(query.since);
        let dir = Layout::new(engine.store()).ledger();
        missed(&dir, since, query.until.unwrap_or(now), &query.classes)
            .map_err(|e| Refusal { status: 500, error: e.to_string() })
    })
    .await
}
