//! Responses: JSON, errors, and the body of an answer, whose summary comes as header where the answer is one piece and as trailer
//! where it is a stream. Owns their form; made by the routes.

use super::frames::{FRAMES, FrameKind, frame};
use super::job::Cancel;
use super::send::Receiving;
use super::stream::{Message, Refusal};
use crate::limits::SUMMARY_BYTES;
use crate::query::Summary;
use crate::shape::{self, ErrorAnswer};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Name of the header or trailer with the summary as JSON.
pub const SUMMARY: &str = "retrotap-summary";
/// Name of the header or trailer that says why an answer is cut short: JSON, as an error has it.
pub const ERROR: &str = "retrotap-error";

/// The media type of JSON lines.
pub const LINES: &str = "application/x-ndjson";

/// Why nothing was begun.
pub const BUSY: &str = "more queries wait than the daemon takes: try again later";
/// Why there is no answer.
pub const BROKE: &str = "the query broke off: this is a bug";

/// A text that is JSON.
pub fn json(text: String) -> Response<Body> {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A list: JSON lines.
pub fn lines(text: String) -> Response<Body> {
    ([(header::CONTENT_TYPE, LINES)], text).into_response()
}

/// An error as JSON: `{"format":1,"error":{"kind":...,"message":...,"status":...}}`.
pub fn refuse(status: u16, error: &str) -> Response<Body> {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(shape::text(&ErrorAnswer::of_status(status, error)) + "\n");
    *response.status_mut() = code;
    if status == 401 {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A whole response for who is turned away before a request was read.
pub fn too_many_connections() -> String {
    let why = "too many connections of one user: close some";
    let text = shape::text(&ErrorAnswer::of_status(503, why)) + "\n";
    let head =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
    format!("{head} {}\r\n\r\n{text}", text.len())
}

/// Errors and JSON are ASCII but for what users typed.
fn value(text: &str) -> HeaderValue {
    if let Ok(value) = HeaderValue::from_str(text)
        && text.is_ascii()
    {
        return value;
    }
    let plain: String = text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
    HeaderValue::from_str(&plain).unwrap_or(HeaderValue::from_static("?"))
}

/// An answer in one piece.
pub fn whole(kind: &'static str, bytes: Bytes, summary: &Summary) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(SUMMARY, value(&summary.json_within(SUMMARY_BYTES)));
    response
}

/// The answer: `first` is what came out of the query thread first, the rest comes through `more`.
pub fn answer(kind: &'static str, first: Message, more: Receiving, cancel: CancelOnDrop) -> Response<Body> {
    let framed = kind == FRAMES;
    match first {
        Message::End(bytes, summary) => {
            cancel.disarm();
            whole(kind, bytes, &summary)
        }
        Message::Lines(bytes) => {
            cancel.disarm();
            ([(header::CONTENT_TYPE, kind)], bytes).into_response()
        }
        Message::Failed(_, Refusal { status, error }) => {
            cancel.disarm();
            refuse(status, &error)
        }
        Message::Chunk(_) | Message::Origin(_) | Message::Stands(_) => {
            let stream = Streamed { framed, first: Some(first), more, trailers: None, cancel };
            let mut response = Response::new(Body::new(stream.boxed_unsync()));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(header::TRAILER, HeaderValue::from_static("retrotap-summary, retrotap-error"));
            response
        }
    }
}

/// Cancels a query when the response is dropped before its end: the client has gone.
pub struct CancelOnDrop(Option<Cancel>);

impl CancelOnDrop {
    /// Armed.
    pub fn new(cancel: Cancel) -> CancelOnDrop {
        CancelOnDrop(Some(cancel))
    }

    /// The query is over.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

struct Streamed {
    /// Its body is made of frames.
    framed: bool,
    first: Option<Message>,
    more: Receiving,
    trailers: Option<HeaderMap>,
    cancel: CancelOnDrop,
}

impl Streamed {
    /// Bytes of the body.
    fn data(&self, kind: FrameKind, bytes: Bytes) -> Frame<Bytes> {
        Frame::data(if self.framed { frame(kind, &bytes) } else { bytes })
    }
}

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let message = match self.first.take() {
            Some(first) => Some(first),
            None => match self.more.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(message) => message,
            },
        };
        let (rest, name, text) = match message {
            None => {
                self.cancel.0 = None;
                return Poll::Ready(None);
            }
            // Behind the last lines the channel ends.
            Some(Message::Chunk(bytes) | Message::Lines(bytes)) => {
                return Poll::Ready(Some(Ok(self.data(FrameKind::Packets, bytes))));
            }
            Some(Message::Origin(bytes)) => return Poll::Ready(Some(Ok(self.data(FrameKind::Origin, bytes)))),
            Some(Message::Stands(bytes)) => return Poll::Ready(Some(Ok(self.data(FrameKind::Cursor, bytes)))),
            Some(Message::End(rest, summary)) => (rest, SUMMARY, summary.json_within(SUMMARY_BYTES)),
            Some(Message::Failed(rest, refusal)) => {
                let Refusal { status, error } = refusal;
                (rest, ERROR, shape::text(&ErrorAnswer::of_status(status, error)))
            }
        };
        let mut trailers = HeaderMap::new();
        trailers.insert(name, value(&text));
        self.cancel.0 = None;
        if rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        self.trailers = Some(trailers);
        Poll::Ready(Some(Ok(self.data(FrameKind::Packets, rest))))
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
