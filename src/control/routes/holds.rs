//! Holds: made, listed, looked at, checked, released, limited. Query threads read the packets; those of holds that follow a thread of its own
//! ([`crate::control::holding`]).

use crate::control::ask_hold::{HoldAsk, HoldsLimitAsk};
use crate::control::call::Call;
use crate::control::caller::Caller;
use crate::control::engine::Engine;
use crate::control::holding::settled;
use crate::control::job::{Measure, refusal, stopped};
use crate::control::lanes::Lane;
use crate::control::role::Role;
use crate::control::stream::Refusal;
use crate::evidence::Manifest;
use crate::hold::{Held, HoldError, HoldLine, Who, Why};
use crate::query::pace::Pace;
use crate::units;
use axum::body::Body;
use axum::http::Response;
use serde::Deserialize;

/// `GET /v1/holds`.
pub async fn list(call: Call) -> Response<Body> {
    // What a hold is about may be an alert, and that has packets in it.
    let whole = call.caller.may("", Role::Packets).is_ok();
    call.work_lines(Lane::Desk, move |engine, _| {
        let mut lines = Held::open(engine.store()).and_then(|held| held.lines()).map_err(refused)?;
        if !whole {
            lines.iter_mut().for_each(HoldLine::hide_alert);
        }
        Ok(lines)
    })
    .await
}

/// `POST /v1/holds`.
pub async fn make(mut call: Call) -> Response<Body> {
    let asked = call.json::<HoldAsk>().and_then(|ask| {
        let (query, until) = ask.query(call.shared.engine.store()).map_err(|why| (400, why))?;
        let terms = ask.terms().map_err(|why| (400, why))?;
        Ok((ask, query, until, terms))
    });
    let (ask, query, until, terms) = match asked {
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
            engine.follow(&query).map_err(|e| refusal(&e))?;
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
        HoldError::Name(_) => 400,
        HoldError::Empty | HoldError::Unknown { .. } => 404,
        HoldError::Exists(_) => 409,
        HoldError::Full { .. } | HoldError::TooLarge { .. } | HoldError::Share { .. } | HoldError::Following => 507,
        HoldError::Busy | HoldError::Interrupted => 503,
        HoldError::Io { .. } | HoldError::Store(_) | HoldError::Evidence(_) | HoldError::Damaged { .. } => 500,
    };
    Refusal { status, error: e.to_string() }
}
