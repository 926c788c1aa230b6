//! SIGINT and SIGTERM: the first asks to stop, the second ends the process at once (the store is recovered at the next
//! start). SIGHUP asks for a reload. Owns the flags; read by the control loop.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What it was asked for.
#[derive(Clone, Debug)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// Takes the signals over, for good.
    pub fn new() -> io::Result<Signals> {
        let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        signal_hook::flag::register(SIGHUP, reload.clone())?;
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag set, the first sets it.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())?;
            signal_hook::flag::register(signal, stop.clone())?;
        }
        Ok(Signals { stop, reload })
    }

    /// It is to stop.
    pub fn stop(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// It is to reload: true once for each time that it was asked, or less often where it was asked twice at once.
    pub fn reload(&self) -> bool {
        self.reload.swap(false, Relaxed)
    }
}
