//! Holds: made, listed, looked at, checked, released, limited. Query threads read the packets; those of holds that follow a thread of its own
//! ([`crate::control::holding`]).

use super::nobody_records;
use crate::control::ask_hold::{HoldAsk, HoldsLimitAsk};
use crate::control::call::Call;
use crate::control::caller::Caller;
use crate::control::engine::Engine;
use crate::control::holding::settled;
use crate::control::job::{LINES_BYTES, Measure, refusal, stopped};
use crate::control::lanes::Lane;
use crate::control::reply::LINES;
use crate::control::role::Role;
use crate::control::send::Sending;
use crate::control::stream::{Message, Refusal};
use crate::evidence::Manifest;
use crate::hold::{Held, HoldError, HoldLine, Who, Why};
use crate::query::pace::Pace;
use crate::query::{QueryError, Summary};
use crate::shape;
use crate::units;
use axum::body::{Body, Bytes};
use axum::http::Response;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::Path;

/// `GET /v1/holds`.
pub async fn list(call: Call) -> Response<Body> {
    // What a hold is about may be an alert, and that has packets in it.
    let whole = call.caller.may("", Role::Packets).is_ok();
    let time = Some(call.shared.limits().time_ns);
    call.stream(LINES, time, move |engine, measure, to| lines(engine.store(), whole, &measure, &to)).await
}

/// Sends all holds as lines, some KiB at a time: each may be long, and there may be many.
fn lines(store: &Path, whole: bool, measure: &Measure, to: &Sending) -> (Result<Summary, Refusal>, u64) {
    let (mut text, mut sent, mut stopped) = (Vec::new(), 0, None);
    let each = &mut |mut line: HoldLine| {
        if !whole {
            line.hide_alert();
        }
        let _ = shape::Line::new(&line).write(&mut text);
        text.push(b'\n');
        if !measure.go_on() {
            stopped = measure.stopped();
        } else if text.len() >= LINES_BYTES {
            sent += text.len() as u64;
            stopped = to.send(Message::Chunk(std::mem::take(&mut text).into())).err();
        }
        stopped.is_none()
    };
    let listed = Held::open(store).and_then(|held| held.each_line(each)).map_err(refused);
    let answer = match stopped {
        Some(why) => Err(refusal(&QueryError::Stopped(why))),
        None => listed,
    };
    sent += text.len() as u64;
    let last = match &answer {
        Ok(()) => Message::Lines(text.into()),
        Err(refusal) => Message::Failed(Bytes::new(), refusal.clone()),
    };
    let _ = to.send(last);
    (answer.map(|()| Summary::default()), sent)
}

/// `POST /v1/holds`.
pub async fn make(mut call: Call) -> Response<Body> {
    let asked = call.json::<HoldAsk>().and_then(|ask| {
        let (query, until) = ask.query(call.shared.engine.store()).map_err(|why| (400, why))?;
        let terms = ask.terms().map_err(|why| (400, why))?;
        Ok((ask, query, until, terms))
    });
    let (ask, query, until, terms) = match asked {
        Ok((ask, ..)) if ask.follow && call.shared.engine.is_at_rest() => {
            let why = nobody_records(&call.shared);
            return call.refuse(why);
        }
        Ok(asked) => asked,
        Err(why) => return call.refuse(why),
    };
    let who = who(&call.caller);
    // Evidence: it is kept also if whoever asked does not wait for it.
    call.finish(Lane::Keep, move |engine, measure| {
        let held = Held::open(engine.store()).map_err(refused)?;
        let why = Why { reason: &ask.reason, who: &who, about: ask.about.as_ref(), terms };
        let answers = &mut |query: &_, out: &mut dyn crate::query::PacketSink| engine.answer(query, measure, out);
        if ask.follow {
            // What makes no sense is said now, not found out by the thread that follows.
            engine.follow(&query, None).map_err(|e| refusal(&e))?;
            let before = engine.complete_before().min(units::now()).max(settled(engine));
            let hold = held.follow(&query, &ask.name, why, (before, until), answers).map_err(refused)?;
            return Ok(HoldLine::new(hold));
        }
        held.hold_by(&query, &ask.name, why, answers).map(|(hold, _)| HoldLine::new(hold)).map_err(refused)
    })
    .await
}

/// `GET /v1/holds/limit`.
pub async fn sizes(call: Call) -> Response<Body> {
    call.work(Lane::Desk, |engine, _| Held::open(engine.store()).and_then(|held| held.sizes()).map_err(refused)).await
}

/// `PUT /v1/holds`.
pub async fn limit(mut call: Call) -> Response<Body> {
    let limit = match call.json::<HoldsLimitAsk>() {
        Ok(HoldsLimitAsk { limit_bytes }) => limit_bytes,
        Err(why) => return call.refuse(why),
    };
    let who = who(&call.caller);
    call.finish(Lane::Desk, move |engine, _| {
        let held = Held::open(engine.store()).map_err(refused)?;
        held.set_limit(limit, &who).map_err(refused)?;
        held.sizes().map_err(refused)
    })
    .await
}

/// `POST /v1/holds/{name}/check`.
pub async fn check(call: Call) -> Response<Body> {
    let (name, whole) = (call.param("name").to_owned(), call.caller.may("", Role::Packets).is_ok());
    // All of it is read: that may take long.
    call.work_long(Lane::Packets, move |engine, measure| {
        let held = Held::open(engine.store()).map_err(refused)?;
        let (hold, _) = held.packets(&name).map_err(refused)?;
        let checked = held.checked(hold, &|| measure.go_on());
        let mut line =
            checked.map_err(|e| if matches!(e, HoldError::Interrupted) { stopped(measure) } else { refused(e) })?;
        if !whole {
            line.hide_alert();
        }
        Ok(line)
    })
    .await
}

/// Why a hold is let go.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Release {
    reason: String,
}

/// `GET /v1/holds/{name}/manifest`.
pub async fn manifest(call: Call) -> Response<Body> {
    let (name, who) = (call.param("name").to_owned(), who(&call.caller));
    let made = move |engine: &Engine, _: &Measure| {
        let held = Held::open(engine.store()).map_err(refused)?;
        held.manifest(&name, who).map_err(refused)
    };
    call.work_text(Lane::Desk, made, Manifest::to_json).await
}

/// `DELETE /v1/holds/{name}`.
pub async fn release(mut call: Call) -> Response<Body> {
    let release = match call.json::<Release>() {
        Ok(release) if release.reason.trim().is_empty() => {
            return call.refuse((400, "reason is empty: whoever misses the hold later wants to know why".into()));
        }
        Ok(release) => release,
        Err(why) => return call.refuse(why),
    };
    let (name, who) = (call.param("name").to_owned(), who(&call.caller));
    call.finish(Lane::Desk, move |engine, _| {
        let held = Held::open(engine.store()).map_err(refused)?;
        held.release(&name, &release.reason, &who).map(HoldLine::new).map_err(refused)
    })
    .await
}

/// As a hold has it: the kernel's word, or the token's name.
fn who(caller: &Caller) -> Who {
    let host = caller.address.map_or_else(|| Who::me().host, |a| a.ip().to_string());
    Who { uid: caller.peer.map(|p| p.uid), user: caller.name.clone(), host }
}

/// What an error is in HTTP.
pub fn refused(e: HoldError) -> Refusal {
    let status = match &e {
        HoldError::Query(e) => return refusal(e),
        // Evidence that nobody is to change is as it should be.
        HoldError::Io { source, .. } if is_for_readers(source) => 409,
        HoldError::Name(_) => 400,
        HoldError::Empty | HoldError::Unknown { .. } => 404,
        HoldError::Exists(_) => 409,
        HoldError::Full { .. } | HoldError::TooLarge { .. } | HoldError::Share { .. } | HoldError::Following => 507,
        HoldError::Busy | HoldError::Interrupted => 503,
        HoldError::Io { .. } | HoldError::Store(_) | HoldError::Evidence(_) | HoldError::Damaged { .. } => 500,
    };
    Refusal { status, error: e.to_string() }
}

/// The store may be read and no more.
fn is_for_readers(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::brake::Brake;
    use crate::control::job::Cancel;
    use crate::control::send::sending;

    /// However many holds there are, and however long what they are about, a chunk of them is in memory, and who goes gets no more.
    #[test]
    fn holds_are_sent_some_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        crate::store::Store::create_or_open(dir.path(), Default::default()).unwrap().close();
        drop(Held::open(dir.path()).unwrap());
        for n in 0..40 {
            let folder = dir.path().join(format!("held/case-{n:02}"));
            std::fs::create_dir(&folder).unwrap();
            // Half of an alert, which is as long as somebody likes.
            let hold = serde_json::json!({
                "version": 2, "name": "", "reason": "why", "who": {"uid": 0, "user": "root", "host": "here"}, "made": "2026-11-30T12:00:00Z",
                "filter": "udp", "since": null, "until": null, "packets": 1, "wire_bytes": 60, "bytes": 100, "sha256": "", "summary": {},
                "about": {"payload": "x".repeat(50_000)},
            });
            std::fs::write(folder.join("hold.json"), hold.to_string()).unwrap();
        }
        let measure = || Measure::new(Cancel::default(), Cancel::default(), None, Brake::default());
        let ((answer, sent), messages) = said(dir.path(), true, measure());
        let (mut all, mut chunks) = (Vec::new(), 0u32);
        for message in messages {
            let (Message::Chunk(bytes) | Message::Lines(bytes)) = message else { panic!("no lines") };
            assert!(bytes.len() < 2 * LINES_BYTES);
            all.extend(bytes);
            chunks += 1;
        }
        assert!(answer.is_ok() && sent == all.len() as u64);
        let names: Vec<String> = String::from_utf8(all)
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str::<HoldLine>(l).unwrap().name)
            .collect();
        assert_eq!(names, (0..40).map(|n| format!("case-{n:02}")).collect::<Vec<_>>());
        assert!(chunks >= 20, "{chunks}");
        let ((_, short), messages) = said(dir.path(), false, measure());
        assert!(short < 40 * 2000 && !messages.is_empty(), "an alert is for whoever may see packets");

        let gone = Cancel::default();
        gone.cancel();
        let measure = Measure::new(gone, Cancel::default(), None, Brake::default());
        let ((answer, _), messages) = said(dir.path(), true, measure);
        assert!(answer.is_err() && matches!(messages.first(), Some(Message::Failed(..))));
    }

    /// The lines, and what came of them at the other end.
    fn said(store: &Path, whole: bool, measure: Measure) -> ((Result<Summary, Refusal>, u64), Vec<Message>) {
        let (to, mut from) = sending();
        let receive = move || {
            let mut all = Vec::new();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                while let Some(message) = from.recv().await {
                    all.push(message);
                }
            });
            all
        };
        let receiver = std::thread::spawn(receive);
        let answer = lines(store, whole, &measure, &to);
        drop(to);
        (answer, receiver.join().unwrap())
    }
}
