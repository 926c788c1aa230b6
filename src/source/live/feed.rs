//! The tap's valve: what makes packets come, in one place, so that the first who stops closes it for all. After
//! [`Feed::cut`] nothing more arrives, and the rings can be read empty.

use crate::bpf::attach::Attached;
use crate::source::packet::{PacketSocket, settle};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is open.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// XDP programs, by interface slot.
    pub(super) attached: Vec<(usize, Attached)>,
    /// Packet sockets.
    pub(super) sockets: Vec<PacketSocket>,
    cut: bool,
}

/// The valve.
#[derive(Debug, Default)]
pub struct Feed(Mutex<Open>);

/// Where the kernel does not tell when what was on its way has arrived: a driver's receive loop ends within a time slice.
const SETTLE: Duration = Duration::from_millis(60);

impl Feed {
    /// What is open. A panic of another holder leaves nothing half-done that matters here.
    pub(super) fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the valve and waits until all that was on its way has arrived. Idempotent; whoever comes second waits for
    /// the first.
    pub fn cut(&self) {
        let mut open = self.open();
        if std::mem::replace(&mut open.cut, true) {
            return;
        }
        open.attached.clear();
        for socket in &open.sockets {
            // Fails only on a closed socket.
            let _ = socket.refuse_all();
        }
        if !settle() {
            std::thread::sleep(SETTLE);
        }
    }

    /// True once the valve is closed.
    pub fn is_cut(&self) -> bool {
        self.open().cut
    }
}
