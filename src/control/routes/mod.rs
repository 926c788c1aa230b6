//! The requests: one table, from which the router, the check of roles, the texts of 404 and 405 and the test of the description are made.
//! A request is a row here and a function in a file of its group; what takes longer than a look at a counter goes to the query threads
//! ([`Call::work`]).

mod connections;
mod held;
mod holds;
mod index;
mod losses;
mod notes;
mod openapi;
mod orders;
mod query;
mod reload;
mod status;
mod store;

pub use index::Index;
pub use notes::Noted;
pub use orders::AssignedCount;

use super::call::Call;
use super::caller::{Caller, From};
use super::role::Role;
use super::shared::Shared;
use crate::limits::{ASK_BYTES_MAX, ASK_LONG_BYTES_MAX, ASKS_LONG, NOTE_BYTES_MAX, ORDERS_BYTES_MAX};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Extension, RawPathParams, Request, State};
use axum::http::{HeaderValue, Response, header};
use axum::routing::{MethodFilter, on};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A request of the API.
#[derive(Clone, Copy)]
pub struct Row {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Parts in braces are given to the handler by name.
    pub path: &'static str,
    /// Who may.
    pub role: Role,
    /// Longest body, bytes.
    pub body: usize,
    /// What does it.
    pub handler: fn(Call) -> Answer,
    /// What it is, in a line.
    pub summary: &'static str,
}

/// A response on its way.
pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// All requests, those of one path together.
pub const ROWS: &[Row] = &[
    Row {
        method: "GET",
        path: "/v1",
        role: Role::Statistics,
        body: 0,
        handler: |call| Box::pin(ready(index::index(call))),
        summary: "what there is to ask, and what you may",
    },
    Row {
        method: "GET",
        path: "/v1/openapi.json",
        role: Role::Statistics,
        body: 0,
        handler: |call| Box::pin(ready(openapi::openapi(call))),
        summary: "the description of this API, OpenAPI 3.1",
    },
    Row {
        method: "POST",
        path: "/v1/query",
        role: Role::Packets,
        body: ASK_LONG_BYTES_MAX,
        handler: |call| Box::pin(query::packets(call)),
        summary: "the packets, pcapng or pcap, as they are found",
    },
    Row {
        method: "POST",
        path: "/v1/count",
        role: Role::Connections,
        body: ASK_LONG_BYTES_MAX,
        handler: |call| Box::pin(query::count(call)),
        summary: "the summary alone",
    },
    Row {
        method: "POST",
        path: "/v1/connections",
        role: Role::Connections,
        body: ASK_LONG_BYTES_MAX,
        handler: |call| Box::pin(connections::connections(call)),
        summary: "the connections themselves, JSON lines, sorted and limited",
    },
    Row {
        method: "POST",
        path: "/v1/holds",
        role: Role::Control,
        body: ASK_LONG_BYTES_MAX,
        handler: |call| Box::pin(holds::make(call)),
        summary: "keeps packets beyond every budget, those that come too if it follows",
    },
    Row {
        method: "GET",
        path: "/v1/holds",
        role: Role::Connections,
        body: 0,
        handler: |call| Box::pin(holds::list(call)),
        summary: "what is held, JSON lines: by whom, since when and why",
    },
    Row {
        method: "PUT",
        path: "/v1/holds",
        role: Role::Control,
        body: ASK_BYTES_MAX,
        handler: |call| Box::pin(holds::limit(call)),
        summary: "how much all holds may take together, from now on",
    },
    Row {
        method: "GET",
        path: "/v1/holds/limit",
        role: Role::Connections,
        body: 0,
        handler: |call| Box::pin(holds::sizes(call)),
        summary: "how much all holds take together, and may",
    },
    Row {
        method: "GET",
        path: "/v1/holds/{name}/packets",
        role: Role::Packets,
        body: 2,
        handler: |call| Box::pin(held::packets(call)),
        summary: "the packets of a hold, pcapng, as they were held",
    },
    Row {
        method: "GET",
        path: "/v1/holds/{name}/manifest",
        role: Role::Packets,
        body: 2,
        handler: |call| Box::pin(holds::manifest(call)),
        summary: "what is known of the packets of a hold: question, store, segments with their sums, what is missing, SHA-256",
    },
    Row {
        method: "POST",
        path: "/v1/holds/{name}/check",
        role: Role::Connections,
        body: 2,
        handler: |call| Box::pin(holds::check(call)),
        summary: "whether the packets of a hold are those that were held, by their SHA-256",
    },
    Row {
        method: "DELETE",
        path: "/v1/holds/{name}",
        role: Role::Control,
        body: ASK_BYTES_MAX,
        handler: |call| Box::pin(holds::release(call)),
        summary: "lets go of a hold",
    },
    Row {
        method: "POST",
        path: "/v1/losses",
        role: Role::Statistics,
        body: ASK_BYTES_MAX,
        handler: |call| Box::pin(losses::losses(call)),
        summary: "what the window lacks: packets lost, by second, cause, place and class; times without a recording or a link",
    },
    Row {
        method: "GET",
        path: "/v1/info",
        role: Role::Statistics,
        body: 0,
        handler: |call| Box::pin(store::info(call)),
        summary: "what the store holds, by class",
    },
    Row {
        method: "POST",
        path: "/v1/verify",
        role: Role::Packets,
        body: 2,
        handler: |call| Box::pin(store::verify(call)),
        summary: "reads all of the store and names what is broken; it takes its time, and ends when you go",
    },
    Row {
        method: "POST",
        path: "/v1/notes",
        role: Role::Control,
        body: NOTE_BYTES_MAX,
        handler: |call| Box::pin(ready(notes::note(call))),
        summary: "a word in the audit log",
    },
    Row {
        method: "POST",
        path: "/v1/reload",
        role: Role::Control,
        body: 2,
        handler: |call| Box::pin(reload::reload(call)),
        summary: "reads the configuration's file again and puts in force what can change while recording",
    },
    Row {
        method: "GET",
        path: "/v1/status",
        role: Role::Statistics,
        body: 0,
        handler: |call| Box::pin(status::status(call)),
        summary: "the recorder: rates, what is kept and lost, classes, queries under way, counters as in record --json",
    },
    Row {
        method: "GET",
        path: "/v1/classes",
        role: Role::Statistics,
        body: 0,
        handler: |call| Box::pin(status::classes(call)),
        summary: "the storage classes, JSON lines: what each holds, and how long that lasts at the present rate",
    },
    Row {
        method: "POST",
        path: "/v1/assignments",
        role: Role::Control,
        body: ORDERS_BYTES_MAX,
        handler: |call| Box::pin(orders::assign(call)),
        summary: "give the connections of an address or net a class for a time; one, or a list",
    },
    Row {
        method: "GET",
        path: "/v1/assignments",
        role: Role::Connections,
        body: 0,
        handler: |call| Box::pin(orders::assignments(call)),
        summary: "the assignments that are in force, JSON lines",
    },
    Row {
        method: "DELETE",
        path: "/v1/assignments",
        role: Role::Control,
        body: ASK_BYTES_MAX,
        handler: |call| Box::pin(orders::unassign(call)),
        summary: "take the assignment of an address or net back",
    },
    Row {
        method: "POST",
        path: "/v1/suspensions",
        role: Role::Control,
        body: ASK_BYTES_MAX,
        handler: |call| Box::pin(orders::suspend(call)),
        summary: "store a connection, or all of an address, past its cutoff for a time; or keep it from ending by being idle",
    },
    Row {
        method: "GET",
        path: "/v1/suspensions",
        role: Role::Connections,
        body: 0,
        handler: |call| Box::pin(orders::suspensions(call)),
        summary: "the suspensions that are in force, JSON lines",
    },
    Row {
        method: "DELETE",
        path: "/v1/suspensions",
        role: Role::Control,
        body: ASK_BYTES_MAX,
        handler: |call| Box::pin(orders::resume(call)),
        summary: "take a suspension back",
    },
];

/// What only a recorder that runs can answer or do. About a store at rest it is refused.
const OF_A_RECORDER: &[&str] = &["/v1/status", "/v1/classes", "/v1/assignments", "/v1/suspensions", "/v1/reload"];

/// Why what takes a recorder is refused.
pub fn nobody_records(shared: &Shared) -> (u16, String) {
    let store = shared.engine.store().display();
    (503, format!("nobody records into {store}: what takes a recorder is not to be had (retrotap record)"))
}

/// A request's body must come within this time.
const BODY: Duration = Duration::from_secs(30);

type It = State<Arc<Shared>>;
type Who = Extension<From>;

/// The table as a router.
pub fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new();
    for row in ROWS {
        let filter = match row.method {
            "GET" => MethodFilter::GET,
            "PUT" => MethodFilter::PUT,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        };
        let handler = move |State(shared): It, Extension(from): Who, params: RawPathParams, request: Request| {
            enter(row, shared, from, params, request)
        };
        router = router.route(row.path, on(filter, handler));
    }
    router.fallback(nothing).method_not_allowed_fallback(wrong_method).with_state(shared)
}

/// Nobody gets past this who may not ask, and nothing that is too long.
async fn enter(
    row: &'static Row,
    shared: Arc<Shared>,
    from: From,
    params: RawPathParams,
    request: Request,
) -> Response<Body> {
    let text = text(&request);
    let caller = Caller::of(from, request.headers(), &shared);
    let may = caller.may(&text, row.role);
    let mut call = Call::new(shared, caller, text)
        .with_params(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    if let Err(why) = may {
        return close(call.refuse(why));
    }
    if let Some(why) = call.shared.audit.failing().filter(|_| row.role > Role::Statistics) {
        let why = format!("the audit log cannot be written ({why}): until it can, only statistics are answered");
        return close(call.refuse((503, why)));
    }
    if call.shared.engine.is_at_rest() && OF_A_RECORDER.contains(&row.path) {
        let why = nobody_records(&call.shared);
        return close(call.refuse(why));
    }
    // What does not say how long it is may be long.
    if row.body == ASK_LONG_BYTES_MAX && request.body().size_hint().upper().is_none_or(|l| l > ASK_BYTES_MAX as u64) {
        match call.shared.long_asks.clone().try_acquire_owned() {
            Ok(place) => call.long = Some(place.into()),
            Err(_) => {
                let why = format!(
                    "{ASKS_LONG} questions of more than {ASK_BYTES_MAX} bytes are being answered: come again when one of them is"
                );
                drain(request, row.body).await;
                return close(call.refuse((503, why)));
            }
        }
    }
    match body(request, row.body).await {
        Ok(body) => call.body = body,
        Err(why) => return close(call.refuse(why)),
    }
    (row.handler)(call).await
}

/// Reads a body that nobody wants, so that who sends it comes to read why.
async fn drain(request: Request, most: usize) {
    let mut body = Limited::new(request.into_body(), most);
    let all = async { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} };
    let _ = tokio::time::timeout(BODY, all).await;
}

/// The body. One that says it is too long is not read, and of others not more than may be.
async fn body(request: Request, most: usize) -> Result<Bytes, (u16, String)> {
    let long = (413, format!("the body is longer than the {most} bytes that {} takes", text(&request)));
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|l| l > most as u64) {
        return Err(long);
    }
    match tokio::time::timeout(BODY, Limited::new(request.into_body(), most).collect()).await {
        Err(_) => Err((408, format!("the body did not come within {} s", BODY.as_secs()))),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(e)) if e.downcast_ref::<LengthLimitError>().is_some() => Err(long),
        Ok(Err(e)) => Err((400, format!("the body broke off: {e}"))),
    }
}

/// What is left of a body that is not read can't be told from the next request.
fn close(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn text(request: &Request) -> String {
    format!("{} {}", request.method(), request.uri().path())
}

async fn nothing(State(shared): It, Extension(from): Who, request: Request) -> Response<Body> {
    let text = text(&request);
    let caller = Caller::of(from, request.headers(), &shared);
    // Who may nothing is not told what there is.
    let why = caller.may(&text, Role::Statistics).err().unwrap_or_else(|| {
        let all: Vec<String> = ROWS.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
        (404, format!("there is no {text}: see {}", all.join(", ")))
    });
    close(Call::new(shared, caller, text).refuse(why))
}

async fn wrong_method(State(shared): It, Extension(from): Who, request: Request) -> Response<Body> {
    let text = text(&request);
    let caller = Caller::of(from, request.headers(), &shared);
    let why = caller.may(&text, Role::Statistics).err().unwrap_or_else(|| {
        (405, format!("there is no {text}: {} takes {}", request.uri().path(), methods(request.uri().path())))
    });
    close(Call::new(shared, caller, text).refuse(why))
}

/// The methods that a path takes.
fn methods(path: &str) -> String {
    let same = |row: &&Row| {
        row.path.split('/').count() == path.split('/').count()
            && row.path.split('/').zip(path.split('/')).all(|(a, b)| a.starts_with('{') || a == b)
    };
    ROWS.iter().filter(same).map(|r| r.method).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_the_table_once() {
        for (n, a) in ROWS.iter().enumerate() {
            assert!(ROWS[n + 1..].iter().all(|b| (a.method, a.path) != (b.method, b.path)), "{} {}", a.method, a.path);
            assert!(["GET", "POST", "PUT", "DELETE"].contains(&a.method), "{}", a.method);
            assert!(a.path.starts_with("/v1") && !a.summary.is_empty(), "{}", a.path);
        }
        assert_eq!(methods("/v1/status"), "GET");
        assert!(OF_A_RECORDER.iter().all(|path| ROWS.iter().any(|row| row.path == *path)));
    }
}
