//! All that serve gets from capture, in one place: what is not in [`ForServe`] does not cross the cut. Owns what capture says of itself. In one
//! process serve has it as it is here; between two, each field becomes what its line says, and nothing here waits for anybody.

use super::detail::Facts;
use super::scrape::Board;
use super::statistics::Sample;
use crate::control::Load;
use crate::ledger::Pulse;
use crate::metrics::status::RecorderState;
use crate::recent::Recent;
use crate::steer::Steering;
use crate::store::live::Live;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// What serve gets from capture.
pub struct ForServe {
    /// The segments that are not sealed, how far each can be read, and before which time all can be. Memory that both see.
    pub live: Live,
    /// Recent packets, where they are kept in memory. Memory that both see.
    pub recent: Option<Arc<Recent>>,
    /// Beats when the ledger is written. Memory that both see.
    pub ledger: Arc<Pulse>,
    /// The same of the receipts.
    pub receipts: Arc<Pulse>,
    /// Orders, look-ups, and the totals of connections that run. Messages, with answers.
    pub steering: Steering,
    /// What capture says of itself. The load in memory that both see, the rest as documents.
    pub said: Arc<Said>,
}

/// What capture says of itself: how full it is each round, how it is each second.
#[derive(Debug, Default)]
pub struct Said {
    /// Parts of 1, as the bits of an f64.
    ring: AtomicU64,
    blocks: AtomicU64,
    board: Board,
    state: Mutex<Option<RecorderState>>,
}

impl Said {
    /// How full its buffers are.
    pub fn set_load(&self, load: Load) {
        self.ring.store(load.ring.to_bits(), Relaxed);
        self.blocks.store(load.blocks.to_bits(), Relaxed);
    }

    /// The same as it was said last.
    pub fn load(&self) -> Load {
        let of = |part: &AtomicU64| f64::from_bits(part.load(Relaxed));
        Load { ring: of(&self.ring), blocks: of(&self.blocks) }
    }

    /// What the metrics page is made of.
    pub fn post(&self, facts: &Facts, sample: &Sample) {
        self.board.post(facts, sample);
    }

    /// The metrics page.
    pub fn page(&self) -> String {
        self.board.page()
    }

    /// How it is.
    pub fn set_state(&self, state: RecorderState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    /// How it is, once each time that it is said.
    pub fn take_state(&self) -> Option<RecorderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
