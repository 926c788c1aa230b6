//! The connections themselves: JSON lines, sorted and limited, made by the query threads.

use crate::control::ask::Ask;
use crate::control::call::Call;
use crate::control::job::{Cancel, Listing, Measure};
use crate::control::reply::{self, CancelOnDrop};
use axum::body::Body;
use axum::http::Response;
use tokio::sync::mpsc::channel;

/// Chunks that wait for a slow client, at most.
const CHUNKS_WAITING: usize = 4;

/// `POST /v1/connections`.
pub async fn connections(mut call: Call) -> Response<Body> {
    let asked = call.json::<Ask>().and_then(|ask| {
        let query = ask.query(call.shared.engine.store()).map_err(|why| (400, why))?;
        ask.lists().map_err(|why| (400, why))?;
        Ok((ask, query))
    });
    let (ask, query) = match asked {
        Ok(asked) => asked,
        Err(why) => return call.refuse(why),
    };
    let shared = call.shared.clone();
    let Some(place) = shared.clients.enter(&call.caller.name) else {
        let why = shared.clients.full(&call.caller.name);
        return call.refuse((429, why));
    };
    let (cancel, ending) = (Cancel::default(), shared.ending.clone());
    let guard = CancelOnDrop::new(cancel.clone());
    let limits = shared.limits();
    let measure = Measure::new(cancel, ending, Some(limits.time_ns), shared.brake.clone());
    let (to, mut from) = channel(CHUNKS_WAITING);
    let (sort, steering) = (ask.sort.unwrap_or_default(), shared.steering.clone());
    let listing = Listing { query, sort, top: ask.top, steering, measure, most: limits.bytes, to };
    let (engine, ended) = (shared.engine.clone(), call.later());
    let begun = shared.pool.run(move || {
        let (answer, sent) = listing.run(&engine);
        drop(place);
        ended(answer.map(|s| s.packets), sent);
    });
    if !begun {
        return call.refuse((503, reply::BUSY.into()));
    }
    match from.recv().await {
        // Only a query that panicked says nothing.
        None => reply::refuse(500, reply::BROKE),
        Some(first) => reply::answer("application/x-ndjson", first, from, guard),
    }
}
