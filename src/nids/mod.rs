//! A NIDS at the wheel: its alerts become commands to the recorder and holds. Owns the rules (which alerts do what), the limits on what a
//! NIDS may set going, the couplings with Suricata and Zeek. Runs beside the daemon, as its client, and may come and go: it must never
//! be needed by a recording. Called by the command line.
//!
//! ```text
//! Suricata -> listen | tail -> lines -> eve -+
//! Zeek <-> zeek (WebSocket) -> frame --------+-> hub: judge (rules, repeats, limits) -> worker -> daemon: suspend, assign
//!                                                                                          -> keeper: find, hold, feed back
//! ```
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod alert;
mod bucket;
mod commands;
mod daemon;
pub mod eve;
mod event;
mod hub;
mod judge;
mod keeper;
pub mod lines;
mod listen;
mod rules;
mod spool;
mod suricata;
mod tail;
mod values;
pub mod zeek;

pub use alert::Alert;
pub use daemon::Daemon;
pub use event::{Counts, Event, Events};
pub use hub::Hub;
pub use listen::{ListenError, Listener};
pub use rules::{Rules, RulesError};
pub use spool::Spool;
pub use suricata::Feed;
pub use tail::Tail;
pub use zeek::{Answers, Zeek};

use crate::limits::NIDS_DRAIN;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Set once: everything ends.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// What a signal sets.
    pub flag: Arc<AtomicBool>,
    over: Arc<OnceLock<Instant>>,
}

impl Stop {
    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Sets it; what is under way and what waits has the rest of [`NIDS_DRAIN`] from the first time.
    pub fn set(&self) {
        self.flag.store(true, Ordering::Relaxed);
        let _ = self.over.set(Instant::now() + NIDS_DRAIN);
    }

    /// Whether what is not done by now is left.
    pub fn is_over(&self) -> bool {
        self.over.get().is_some_and(|over| Instant::now() >= *over)
    }

    /// Waits, at most so long, and not past the end.
    pub fn wait(&self, time: std::time::Duration) {
        let end = std::time::Instant::now() + time;
        while !self.is_set() {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

/// How often a thread that waits looks whether all ends.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);
