//! The packets of a hold, as its file has them. A query thread reads it and sums it on the way: a file that is not what was held ends with an
//! error.

use super::holds::refused;
use crate::control::Engine;
use crate::control::call::Call;
use crate::control::job::{Measure, refusal};
use crate::control::send::Sending;
use crate::control::stream::{Message, Refusal, last_sent};
use crate::hold::{Held, HoldError};
use crate::query::pace::{Pace, Stopped};
use crate::query::{QueryError, Summary};
use axum::body::{Body, Bytes};
use axum::http::Response;
use std::path::Path;

/// `GET /v1/holds/{name}/packets`.
pub async fn packets(call: Call) -> Response<Body> {
    let name = call.param("name").to_owned();
    let read = move |engine: &Engine, measure: Measure, to: Sending| {
        let mut sent = 0;
        let answer = send(engine.store(), &name, &measure, &to, &mut sent);
        let last = match &answer {
            Ok(summary) => Message::End(Bytes::new(), summary.clone().into()),
            Err(refusal) => Message::Failed(Bytes::new(), refusal.clone()),
        };
        (last_sent(answer, to.send(last)), sent)
    };
    // What is held is given out whole, however long it takes whoever asked.
    call.stream("application/x-pcapng", None, read).await
}

fn send(store: &Path, name: &str, measure: &Measure, to: &Sending, sent: &mut u64) -> Result<Summary, Refusal> {
    let held = Held::open(store).map_err(refused)?;
    let (hold, path) = held.packets(name).map_err(refused)?;
    let stopped = |why| refusal(&QueryError::Stopped(why));
    let mut gone = None;
    let each = &mut |bytes: &[u8]| {
        if !measure.go_on() {
            gone = measure.stopped();
        } else if let Err(why) = to.send(Message::Chunk(Bytes::copy_from_slice(bytes))) {
            gone = Some(why);
        } else {
            *sent += bytes.len() as u64;
        }
        gone.is_none()
    };
    match held.read_out(&hold, &path, each) {
        Err(HoldError::Interrupted) => Err(stopped(gone.unwrap_or(Stopped::Gone))),
        Err(e) => Err(refused(e)),
        Ok(()) => Ok(serde_json::from_value(hold.summary).unwrap_or_default()),
    }
}
