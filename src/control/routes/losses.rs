//! Losses of a window: the ledger's entries.

use crate::control::ask::Ask;
use crate::control::call::Call;
use crate::control::stream::Refusal;
use crate::ledger::{self, What};
use crate::store::layout::Layout;
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
    call.work(move |engine| {
        let now = crate::units::now();
        let from = query.last.map_or(query.since.unwrap_or(0), |last| now.saturating_sub(last));
        let dir = Layout::new(engine.store()).ledger();
        let until = query.until.unwrap_or(u64::MAX);
        let mut all = ledger::losses(&dir, from, until).map_err(|e| Refusal { status: 500, error: e.to_string() })?;
        // What was lost before it had a class may have been of any.
        let wanted = |class: &String| query.classes.is_empty() || query.classes.contains(class);
        all.retain(|e| !matches!(&e.what, What::Loss { class: Some(class), .. } if !wanted(class)));
        Ok(all)
    })
    .await
}
