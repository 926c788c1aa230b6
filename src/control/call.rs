//! One request from its arrival to its line in the audit log. Made by the table of requests once the caller's role and the body's length
//! are known to be right; handlers take it and answer with it, so that no answer goes unentered.

use super::ask::with_lists_counted;
use super::audit::{Audit, Line};
use super::caller::Caller;
use super::engine::Engine;
use super::job::{Cancel, Measure, stopped};
use super::lanes::Lane;
use super::reply::{self, CancelOnDrop};
use super::send::{Sending, sending};
use super::shared::Shared;
use super::stream::Refusal;
use crate::query::Summary;
use crate::query::pace::{Pace, Stopped};
use crate::shape;
use axum::body::{Body, Bytes};
use axum::http::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;

/// What a request asks of a thread.
#[derive(Clone, Copy)]
struct Terms {
    lane: Lane,
    /// It has the time of a query, or as much as it takes.
    timed: bool,
    /// It is done, also if the client goes.
    finishes: bool,
}

impl Terms {
    fn of(lane: Lane) -> Terms {
        Terms { lane, timed: true, finishes: false }
    }
}

/// A request under way.
pub struct Call {
    /// What all requests share.
    pub shared: Arc<Shared>,
    /// Who asks; it has the role that the request takes.
    pub caller: Caller,
    /// What the audit log will say.
    pub line: Line,
    /// The body, not longer than the table says.
    pub body: Bytes,
    /// Its place among the long questions, if it is one: until it is answered.
    pub long: Option<Arc<OwnedSemaphorePermit>>,
    params: Vec<(String, String)>,
    started: Instant,
}

impl Call {
    /// At its beginning, before it has a body.
    pub fn new(shared: Arc<Shared>, caller: Caller, request: String) -> Call {
        let line = Line::new(&caller, request);
        Call { shared, caller, line, body: Bytes::new(), long: None, params: Vec::new(), started: Instant::now() }
    }

    /// With the parts of its path that have names.
    pub fn with_params(self, params: Vec<(String, String)>) -> Call {
        Call { params, ..self }
    }

    /// The part of the path that the table calls `{name}`.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// The body, which is a JSON object; an empty one is `{}`. It is entered in the log. The error is for whoever asked.
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, (u16, String)> {
        // Else a list would be taken for the fields in their order.
        if self.body.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|b| *b != b'{') {
            return Err((400, "the question is no JSON object".into()));
        }
        let asked = self.any_json()?;
        if let Some(short) = with_lists_counted(&self.line.ask) {
            self.line.ask = short;
        }
        Ok(asked)
    }

    /// The same, also of another kind.
    pub fn any_json<T: DeserializeOwned>(&mut self) -> Result<T, (u16, String)> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        let asked = serde_json::from_slice(body).map_err(|e| (400, format!("the question is no JSON of ours: {e}")))?;
        self.line.ask = std::mem::take(&mut self.body);
        Ok(asked)
    }

    /// Answers with JSON.
    pub fn answer(self, value: &impl Serialize) -> Response<Body> {
        self.answer_text(shape::text(value) + "\n")
    }

    /// Answers with a list: JSON lines, one a thing; nothing where there is none.
    pub fn answer_lines(mut self, things: &[impl Serialize]) -> Response<Body> {
        let text: String = things.iter().map(|thing| shape::text(thing) + "\n").collect();
        self.line.bytes = text.len() as u64;
        self.enter(200, None);
        reply::lines(text)
    }

    /// Answers with a text that is JSON.
    pub fn answer_text(mut self, text: String) -> Response<Body> {
        self.line.bytes = text.len() as u64;
        self.enter(200, None);
        reply::json(text)
    }

    /// Refuses.
    pub fn refuse(self, (status, why): (u16, String)) -> Response<Body> {
        let response = reply::refuse(status, &why);
        self.enter(status, Some(why));
        response
    }

    /// Answers with what a thread of a lane makes: for all that reads files. It ends when the client goes.
    pub async fn work<T: Serialize + Send + 'static>(
        self,
        lane: Lane,
        job: impl FnOnce(&Engine, &Measure) -> Result<T, Refusal> + Send + 'static,
    ) -> Response<Body> {
        self.work_with(Terms::of(lane), job, |call, value| call.answer(&value)).await
    }

    /// The same of what is done, and entered in the log, also if the client goes.
    pub async fn finish<T: Serialize + Send + 'static>(
        self,
        lane: Lane,
        job: impl FnOnce(&Engine, &Measure) -> Result<T, Refusal> + Send + 'static,
    ) -> Response<Body> {
        let terms = Terms { finishes: true, ..Terms::of(lane) };
        self.work_with(terms, job, |call, value| call.answer(&value)).await
    }

    /// As [`work`](Call::work), with as much time as it takes.
    pub async fn work_long<T: Serialize + Send + 'static>(
        self,
        lane: Lane,
        job: impl FnOnce(&Engine, &Measure) -> Result<T, Refusal> + Send + 'static,
    ) -> Response<Body> {
        self.work_with(Terms { timed: false, ..Terms::of(lane) }, job, |call, value| call.answer(&value)).await
    }

    /// As [`work`](Call::work), with what has a text of its own.
    pub async fn work_text<T: Send + 'static>(
        self,
        lane: Lane,
        job: impl FnOnce(&Engine, &Measure) -> Result<T, Refusal> + Send + 'static,
        text: fn(&T) -> String,
    ) -> Response<Body> {
        self.work_with(Terms::of(lane), job, move |call, value| call.answer_text(text(&value))).await
    }

    async fn work_with<T: Send + 'static>(
        self,
        terms: Terms,
        job: impl FnOnce(&Engine, &Measure) -> Result<T, Refusal> + Send + 'static,
        answer: impl FnOnce(Call, T) -> Response<Body> + Send + 'static,
    ) -> Response<Body> {
        let shared = self.shared.clone();
        let place = match shared.lanes.enter(terms.lane, &self.caller.name, &shared.clients) {
            Ok(place) => place,
            Err(why) => return self.refuse((429, why)),
        };
        let cancel = Cancel::default();
        let guard = (!terms.finishes).then(|| CancelOnDrop::new(cancel.clone()));
        let time = terms.timed.then(|| shared.limits().time_ns);
        let measure = Measure::new(cancel, shared.ending.clone(), time, shared.brake.clone());
        let (tell, told) = oneshot::channel();
        // Not `shared` itself: the threads end when the last of it goes, and must not be the last.
        let engine = shared.engine.clone();
        let begun = shared.lanes.of(terms.lane).run(Box::new(move |_| {
            // Who waited for its turn may have gone.
            let done = if measure.go_on() { job(&engine, &measure) } else { Err(stopped(&measure)) };
            drop(place);
            drop(tell.send(done));
        }));
        if begun.is_err() {
            return self.refuse((503, reply::BUSY.into()));
        }
        let answered = tokio::spawn(async move {
            match told.await {
                Ok(Ok(value)) => answer(self, value),
                Ok(Err(Refusal { status, error })) => self.refuse((status, error)),
                // Only what panicked, or waited at the end, says nothing.
                Err(_) => self.refuse((500, reply::BROKE.into())),
            }
        });
        let answered = answered.await.unwrap_or_else(|_| reply::refuse(500, reply::BROKE));
        guard.into_iter().for_each(CancelOnDrop::disarm);
        answered
    }

    /// Answers with what a query thread sends, as it comes, for at most `time_ns`. The job returns what it answered, or why not, and the bytes
    /// that it sent, after its last message.
    pub async fn stream(
        self,
        kind: &'static str,
        time_ns: Option<u64>,
        job: impl FnOnce(&Engine, Measure, Sending) -> (Result<Summary, Refusal>, u64) + Send + 'static,
    ) -> Response<Body> {
        let shared = self.shared.clone();
        let Some(place) = shared.clients.enter(&self.caller.name) else {
            let why = shared.clients.full(&self.caller.name);
            return self.refuse((429, why));
        };
        let cancel = Cancel::default();
        let guard = CancelOnDrop::new(cancel.clone());
        let measure = Measure::new(cancel, shared.ending.clone(), time_ns, shared.brake.clone());
        let (to, mut from) = sending();
        let (engine, ended) = (shared.engine.clone(), self.later());
        let begun = shared.lanes.packets.run(Box::new(move |lane| {
            let (answer, sent) = job(&engine, measure, to.on(lane));
            drop(place);
            ended.done(answer.map(|s| s.packets), sent);
        }));
        if begun.is_err() {
            return self.refuse((503, reply::BUSY.into()));
        }
        match from.recv().await {
            // Only what panicked says nothing.
            None => reply::refuse(500, reply::BROKE),
            Some(first) => reply::answer(kind, first, from, guard),
        }
    }

    /// For a query that ends later than its handler.
    pub fn later(&self) -> Later {
        let (audit, ending) = (self.shared.audit.clone(), self.shared.ending.clone());
        Later { line: Some(self.line.clone()), _long: self.long.clone(), audit, ending, started: self.started }
    }

    fn enter(mut self, status: u16, error: Option<String>) {
        self.line.took_ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        (self.line.status, self.line.error) = (status, error);
        self.shared.audit.enter(self.line);
    }
}

/// The line in the audit log of a query that ends later than its handler: it is entered also if the query panics, or is let go of at the end.
pub struct Later {
    line: Option<Line>,
    /// Its place among the long questions, as long as it takes.
    _long: Option<Arc<OwnedSemaphorePermit>>,
    audit: Audit,
    ending: Cancel,
    started: Instant,
}

impl Later {
    /// What came of it: its packets, and the bytes that were sent.
    pub fn done(mut self, answer: Result<u64, Refusal>, sent: u64) {
        self.enter(answer, sent);
    }

    fn enter(&mut self, answer: Result<u64, Refusal>, sent: u64) {
        let Some(mut line) = self.line.take() else { return };
        line.bytes = sent;
        line.took_ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match answer {
            Ok(packets) => (line.status, line.packets) = (200, packets),
            Err(Refusal { status, error }) => (line.status, line.error) = (status, Some(error)),
        }
        self.audit.enter(line);
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        let refusal = |status, error: String| Err(Refusal { status, error });
        if std::thread::panicking() {
            self.enter(refusal(500, reply::BROKE.to_owned()), 0);
        } else if self.ending.cancelled() {
            self.enter(refusal(503, Stopped::Ending.to_string()), 0);
        }
        // Else its handler has refused it, and entered that.
    }
}
