//! The thread of the holds that follow: about once a second each gets what has come. At idle priority, braked as queries are; a hold goes
//! on after a restart where it stood. Started and ended by the server.

use super::brake::Brake;
use super::engine::Engine;
use super::job::{Cancel, Measure};
use crate::hold::{Following, Held, HoldError, Means};
use crate::limits::{HOLD_FOLLOW, HOLD_LAST_NS, HOLD_LATE_NS};
use crate::privilege;
use crate::query::priority;
use crate::units;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Starts it. It ends, after a last round, soon after `ending` is set.
pub fn start(engine: Arc<Engine>, brake: Brake, ending: Cancel) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("holds".into()).spawn(move || {
        privilege::without_capabilities();
        priority::idle();
        match Following::new(engine.store()) {
            Ok(following) => run(following, &engine, &brake, &ending),
            Err(e) => tracing::warn!("holds are not followed: {e}"),
        }
    })
}

/// Says which holds wait: without an API nothing is given to them.
pub fn warn(store: &Path) {
    let names = Held::open(store).and_then(|held| held.following()).unwrap_or_default();
    if !names.is_empty() {
        let names = names.join(", ");
        tracing::warn!(
            "without an API holds do not follow: {names} wait, while the store keeps what comes within its budget"
        );
    }
}

/// All packets before this time can be found, and none of them is late any more.
pub fn settled(engine: &Engine) -> u64 {
    let now = units::now();
    engine.complete_before().min(now).min(now.saturating_sub(HOLD_LATE_NS))
}

fn run(mut following: Following, engine: &Engine, brake: &Brake, ending: &Cancel) {
    // Each kind of trouble is said once, and not each second.
    let mut said = String::new();
    loop {
        let last = ending.cancelled();
        let begun = Instant::now();
        let (ends, limit) = if last { (Cancel::default(), Some(HOLD_LAST_NS)) } else { (ending.clone(), None) };
        let measure = Measure::new(Cancel::default(), ends.clone(), limit, brake.clone());
        // In this order: all packets before that time are in what is looked at afterwards. At the end nothing comes any more.
        let before = if last { engine.complete_before().min(units::now()) } else { settled(engine) };
        let go_on = || !ends.cancelled() && (!last || begun.elapsed() < Duration::from_nanos(HOLD_LAST_NS));
        let mut answers = |query: &_, out: &mut dyn crate::query::PacketSink| engine.answer(query, &measure, out);
        let wrong = following.round(&mut Means { before, answers: &mut answers, go_on: &go_on });
        let text = wrong.iter().map(HoldError::to_string).collect::<Vec<_>>().join("; ");
        if !text.is_empty() && text != said {
            tracing::warn!("a hold that follows: {text}");
        }
        said = text;
        if last {
            return;
        }
        let until = Instant::now() + HOLD_FOLLOW;
        while !ending.cancelled() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
