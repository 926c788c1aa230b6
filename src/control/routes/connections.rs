//! The connections themselves: JSON lines, sorted and limited, made by the query threads.

use crate::control::ask::Ask;
use crate::control::by_key::may_ask;
use crate::control::call::Call;
use crate::control::job::Listing;
use crate::control::reply::LINES;
use axum::body::Body;
use axum::http::Response;

/// `POST /v1/connections`.
pub async fn connections(mut call: Call) -> Response<Body> {
    let asked = call.json::<Ask>().and_then(|ask| {
        let query = ask.query(call.shared.engine.store()).map_err(|why| (400, why))?;
        ask.lists().map_err(|why| (400, why))?;
        may_ask(&call.caller, &query.filter)?;
        Ok((ask, query))
    });
    let (ask, query) = match asked {
        Ok(asked) => asked,
        Err(why) => return call.refuse(why),
    };
    let limits = call.shared.limits();
    let (sort, top) = (ask.sort.unwrap_or_default(), ask.top);
    let list = move |engine: &_, measure, to| Listing { query, sort, top, measure, most: limits.bytes, to }.run(engine);
    call.stream(LINES, Some(limits.time_ns), list).await
}
