//! SIGINT and SIGTERM: the first asks to stop, the second ends the process at once (the store is recovered at the next
//! start). Owns the flag; read by the control loop.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether it was asked to stop.
#[derive(Clone, Debug)]
pub struct Signals(Arc<AtomicBool>);

impl Signals {
    /// Takes the two signals over, for good.
    pub fn new() -> io::Result<Signals> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag set, the first sets it.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())?;
            signal_hook::flag::register(signal, stop.clone())?;
        }
        Ok(Signals(stop))
    }

    /// A signal has come.
    pub fn stop(&self) -> bool {
        self.0.load(Relaxed)
    }
}
