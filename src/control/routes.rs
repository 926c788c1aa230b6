//! The requests, one function each. Called by the server; what takes longer than a look at a counter goes to the query threads.

use super::ask::Ask;
use super::audit::{Audit, Line};
use super::brake::Brake;
use super::clients::{Clients, Peer};
use super::engine::Engine;
use super::job::{Cancel, Following, Job, Measure};
use super::pool::Pool;
use super::reply::{self, CancelOnDrop};
use super::stream::{Message, Refusal};
use super::{Form, Limits};
use crate::ledger;
use crate::limits::{ASK_BYTES_MAX, FOLLOWERS_MAX};
use crate::query::{Summary, priority};
use crate::store::layout::Layout;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Extension, Request, State, rejection::BytesRejection};
use axum::http::Response;
use axum::routing::{get, post};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::channel;

/// What all requests share.
pub struct Shared {
    /// What answers.
    pub engine: Arc<Engine>,
    /// The query threads.
    pub pool: Pool,
    /// How much is allowed.
    pub limits: Limits,
    /// Who asks how much now.
    pub clients: Clients,
    /// The audit log.
    pub audit: Audit,
    /// What slows questions down.
    pub brake: Brake,
    /// Places for followers.
    pub followers: Arc<Semaphore>,
    /// The recorder ends.
    pub ending: Cancel,
    /// What the recorder says of itself, at most a second old.
    pub status: Mutex<serde_json::Value>,
}

type It = State<Arc<Shared>>;

/// All of them.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/query", post(query))
        .route("/v1/count", post(count))
        .route("/v1/losses", post(losses))
        .route("/v1/status", get(status))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(ASK_BYTES_MAX))
        .with_state(shared)
}

/// The body of a request, read: the error is the response.
type Read = Result<Bytes, BytesRejection>;

async fn query(State(shared): It, Extension(peer): Extension<Peer>, body: Read) -> Response<Body> {
    answer(shared, peer, "POST /v1/query", body, true).await
}

async fn count(State(shared): It, Extension(peer): Extension<Peer>, body: Read) -> Response<Body> {
    answer(shared, peer, "POST /v1/count", body, false).await
}

async fn status(State(shared): It, Extension(peer): Extension<Peer>) -> Response<Body> {
    let mut line = Line::new(peer, "GET /v1/status".into());
    line.status = 200;
    shared.audit.enter(line);
    let (times, waited_ns) = shared.brake.counts();
    let recorder = shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
    reply::json(&serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "store": shared.engine.store(),
        "queries": shared.clients.busy(),
        "brake": { "on": shared.brake.on(), "times": times, "waited_ns": waited_ns }, "recorder": recorder,
    }))
}

async fn nothing(State(shared): It, Extension(peer): Extension<Peer>, request: Request) -> Response<Body> {
    let text = format!("{} {}", request.method(), request.uri().path());
    let why = format!("there is no {text}: see POST /v1/query, /v1/count, /v1/losses and GET /v1/status");
    shared.refuse(Line::new(peer, text), 404, why)
}

async fn wrong_method(State(shared): It, Extension(peer): Extension<Peer>, request: Request) -> Response<Body> {
    let text = format!("{} {}", request.method(), request.uri().path());
    let why = format!("{} takes another method: POST questions, GET /v1/status", request.uri().path());
    shared.refuse(Line::new(peer, text), 405, why)
}

/// Losses of a window: the ledger's entries.
async fn losses(State(shared): It, Extension(peer): Extension<Peer>, body: Read) -> Response<Body> {
    let mut line = Line::new(peer, "POST /v1/losses".into());
    let ask = match shared.ask(&mut line, body) {
        Ok(ask) => ask,
        Err((status, why)) => return shared.refuse(line, status, why),
    };
    let query = match ask.query(shared.engine.store()) {
        Ok(query) => query,
        Err(why) => return shared.refuse(line, 400, why),
    };
    let now = crate::units::now();
    let from = query.last.map_or(query.since.unwrap_or(0), |last| now.saturating_sub(last));
    let dir = Layout::new(shared.engine.store()).ledger();
    match ledger::losses(&dir, from, query.until.unwrap_or(u64::MAX)) {
        Ok(entries) => {
            line.status = 200;
            shared.audit.enter(line);
            reply::json(&entries)
        }
        Err(e) => shared.refuse(line, 500, e.to_string()),
    }
}

/// Packets, or how many there are.
async fn answer(shared: Arc<Shared>, peer: Peer, request: &str, body: Read, packets: bool) -> Response<Body> {
    let started = Instant::now();
    let mut line = Line::new(peer, request.into());
    let ask = match shared.ask(&mut line, body) {
        Ok(ask) => ask,
        Err((status, why)) => return shared.refuse(line, status, why),
    };
    let query = match ask.query(shared.engine.store()) {
        Ok(query) => query,
        Err(why) => return shared.refuse(line, 400, why),
    };
    let Some(place) = shared.clients.enter(peer.uid) else {
        let why = format!(
            "user {} has {} queries under way, as many as are allowed (api.queries): wait for one to end",
            peer.uid, shared.limits.queries
        );
        return shared.refuse(line, 429, why);
    };
    let lasting = match ask.lasting() {
        Ok(lasting) => lasting,
        Err(why) => return shared.refuse(line, 400, why),
    };
    if ask.follow && !packets {
        return shared.refuse(line, 400, "a count has no future: follow is for /v1/query".into());
    }
    let (cancel, ending, bytes) = (Cancel::default(), shared.ending.clone(), shared.limits.bytes);
    let (to, mut from) = channel(CHUNKS_WAITING);
    let guard = CancelOnDrop::new(cancel.clone());
    let (engine, audit) = (shared.engine.clone(), shared.audit.clone());
    let mut entry = line.clone();
    let ended = move |answer: Result<Summary, Refusal>, sent: u64| {
        drop(place);
        entry.bytes = sent;
        entry.took_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match answer {
            Ok(summary) => (entry.status, entry.packets) = (200, summary.packets),
            Err(Refusal { status, error }) => (entry.status, entry.error) = (status, Some(error)),
        }
        audit.enter(entry);
    };
    let form = ask.format;
    let begun = if ask.follow {
        let Ok(seat) = shared.followers.clone().try_acquire_owned() else {
            let why = format!("{FOLLOWERS_MAX} followers are as many as there can be: wait for one to end");
            return shared.refuse(line, 429, why);
        };
        let following = Following { query, form, bytes, lasting, cancel, ending, brake: shared.brake.clone(), to };
        let thread = std::thread::Builder::new().name("follow".into());
        let spawned = thread.spawn(move || {
            priority::idle();
            let (answer, sent) = following.run(&engine);
            drop(seat);
            ended(answer, sent);
        });
        spawned.is_ok()
    } else {
        let measure = Measure::new(cancel, ending, Some(shared.limits.time_ns), shared.brake.clone());
        let job = Job { query, form: packets.then_some(form), bytes, measure, to };
        shared.pool.run(move || {
            let (answer, sent) = job.run(&engine);
            ended(answer, sent);
        })
    };
    if !begun {
        return shared.refuse(line, 503, "more queries wait than the daemon takes: try again later".into());
    }
    match from.recv().await {
        // Only a query that panicked says nothing.
        None => reply::refuse(500, "the query broke off: this is a bug"),
        Some(Message::End(_, summary)) if !packets => {
            guard.disarm();
            reply::json(&summary)
        }
        Some(first) => {
            let kind = match ask.format {
                Form::Pcapng => "application/x-pcapng",
                Form::Pcap => "application/vnd.tcpdump.pcap",
            };
            reply::answer(kind, first, from, guard)
        }
    }
}

/// Chunks of an answer that wait for a slow client, at most.
const CHUNKS_WAITING: usize = 4;

impl Shared {
    /// The question in a body; the error with its status.
    fn ask(&self, line: &mut Line, body: Read) -> Result<Ask, (u16, String)> {
        let body = body.map_err(|e| match e.status().as_u16() {
            413 => (413, format!("the question is longer than {ASK_BYTES_MAX} bytes")),
            status => (status, e.to_string()),
        })?;
        if body.is_empty() {
            return Ok(Ask::default());
        }
        let ask: Ask =
            serde_json::from_slice(&body).map_err(|e| (400, format!("the question is no JSON of ours: {e}")))?;
        line.ask = serde_json::to_value(&ask).ok();
        Ok(ask)
    }

    fn refuse(&self, mut line: Line, status: u16, error: String) -> Response<Body> {
        let response = reply::refuse(status, &error);
        (line.status, line.error) = (status, Some(error));
        self.audit.enter(line);
        response
    }
}
