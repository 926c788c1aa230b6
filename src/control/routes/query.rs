//! Packets, or how many there are.

use super::nobody_records;
use crate::control::Form;
use crate::control::ask::Ask;
use crate::control::by_key::may_ask;
use crate::control::call::Call;
use crate::control::frames::FRAMES;
use crate::control::job::{self, Cancel, Following, Job, Measure};
use crate::control::pool;
use crate::control::reply::{self, CancelOnDrop};
use crate::control::send::sending;
use crate::control::stream::{Message, Refusal};
use crate::evidence::Asker;
use crate::limits::{FOLLOWERS_MAX, FOLLOWERS_PER_USER};
use crate::query::{Summary, priority};
use crate::shape;
use axum::body::Body;
use axum::http::Response;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `POST /v1/query`.
pub async fn packets(call: Call) -> Response<Body> {
    answer(call, true).await
}

/// `POST /v1/count`.
pub async fn count(call: Call) -> Response<Body> {
    answer(call, false).await
}

async fn answer(mut call: Call, packets: bool) -> Response<Body> {
    let asked = call.json::<Ask>().and_then(|ask| {
        let query = ask.query(call.shared.engine.store()).map_err(|why| (400, why))?;
        let lasting = ask.lasting().map_err(|why| (400, why))?;
        let after = ask.after().map_err(|why| (400, why))?;
        ask.gives_packets().map_err(|why| (400, why))?;
        may_ask(&call.caller, &query.filter)?;
        Ok((ask, query, lasting, after))
    });
    let (ask, query, lasting, after) = match asked {
        Ok((ask, ..)) if ask.manifest && !packets => {
            return call
                .refuse((400, "a count has no packets that come from anywhere: manifest is for /v1/query".into()));
        }
        Ok((ask, ..)) if ask.follow && !packets => {
            return call.refuse((400, "a count has no future: follow is for /v1/query".into()));
        }
        Ok((ask, ..)) if ask.follow && call.shared.engine.is_at_rest() => {
            let why = nobody_records(&call.shared);
            return call.refuse(why);
        }
        Ok(asked) => asked,
        Err(why) => return call.refuse(why),
    };
    let shared = call.shared.clone();
    let Some(place) = shared.clients.enter(&call.caller.name) else {
        let why = shared.clients.full(&call.caller.name);
        return call.refuse((429, why));
    };
    let limits = shared.limits();
    let (cancel, ending, bytes) = (Cancel::default(), shared.ending.clone(), limits.bytes);
    let guard = CancelOnDrop::new(cancel.clone());
    let (engine, enter) = (shared.engine.clone(), call.later());
    let ended = move |answer: Result<u64, Refusal>, sent: u64| {
        drop(place);
        enter.done(answer, sent);
    };
    let form = ask.format;
    let kind = if ask.manifest || ask.cursors { FRAMES } else { kind(form) };
    let origin = ask.manifest.then(|| asker(&call));
    if !ask.follow && !ask.manifest && !shared.brake.of_memory().on() {
        let at_once = || job::at_once(&engine, &query, packets.then_some(form), bytes);
        // A query that panics is a bug; it must not take the API with it.
        match catch_unwind(AssertUnwindSafe(at_once)) {
            Ok(Some((rest, summary))) => {
                ended(Ok(summary.packets), rest.len() as u64);
                guard.disarm();
                return match packets {
                    true => reply::whole(kind, rest, &summary),
                    false => count_of(&summary),
                };
            }
            Ok(None) => {}
            Err(_) => return call.refuse((500, reply::BROKE.into())),
        }
    }
    let (to, mut from) = sending();
    let begun = if ask.follow {
        let Some(own) = shared.following.enter(&call.caller.name) else {
            let why = format!(
                "{} has {FOLLOWERS_PER_USER} followers, as many as one may: wait for one to end",
                call.caller.name
            );
            return call.refuse((429, why));
        };
        let Ok(seat) = shared.followers.clone().try_acquire_owned() else {
            let why = format!("{FOLLOWERS_MAX} followers are as many as there can be: wait for one to end");
            return call.refuse((429, why));
        };
        let (brake, cursors) = (shared.brake.clone(), ask.cursors);
        let following = Following { query, form, after, cursors, bytes, lasting, cancel, ending, brake, origin, to };
        let thread = std::thread::Builder::new().name("follow".into());
        let spawned = thread.spawn(move || {
            priority::idle();
            let (answer, sent) = following.run(&engine);
            drop((seat, own));
            ended(answer.map(|s| s.packets), sent);
        });
        spawned.is_ok()
    } else {
        let brake = if query.memory_only { shared.brake.of_memory() } else { shared.brake.clone() };
        let measure = Measure::new(cancel, ending, Some(limits.time_ns), brake);
        let (lanes, from_memory) = (&shared.lanes, job::memory_finds(&query));
        let job = move |to| Job { query, form: packets.then_some(form), bytes, measure, origin, to };
        let job: pool::Job = Box::new(move |lane| {
            let (answer, sent) = job(to.on(lane)).run(&engine);
            ended(answer.map(|s| s.packets), sent);
        });
        let left = if from_memory { lanes.memory.run(job) } else { Err(job) };
        left.or_else(|job| lanes.packets.run(job)).is_ok()
    };
    if !begun {
        return call.refuse((503, reply::BUSY.into()));
    }
    match from.recv().await {
        // Only a query that panicked says nothing.
        None => reply::refuse(500, reply::BROKE),
        Some(Message::End(_, summary)) if !packets => {
            guard.disarm();
            count_of(&summary)
        }
        Some(first) => reply::answer(kind, first, from, guard),
    }
}

/// Who asks, as the audit log has it.
fn asker(call: &Call) -> Asker {
    let c = &call.caller;
    Asker::new(&c.name, c.peer.map(|p| p.uid), c.address, call.line.time)
}

fn count_of(summary: &Summary) -> Response<Body> {
    reply::json(shape::text(summary) + "\n")
}

/// The media type of an answer.
fn kind(form: Form) -> &'static str {
    match form {
        Form::Pcapng | Form::PcapngFile => "application/x-pcapng",
        Form::Pcap => "application/vnd.tcpdump.pcap",
    }
}
