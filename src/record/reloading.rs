//! Clients who wait for a reload, while whoever leads has them read the configuration. Owns the numbers that they are known by there, and the words
//! in which it is said what came of it. Called by the thread on which serve began.

use super::Refused;
use super::serve::Serve;
use crate::config::Changes;
use crate::control::Reload;
use crate::limits::RELOADS_WAITING;
use crate::shape;

/// The number of a signal.
pub const SIGNAL: u32 = 0;

/// Who waits, by number.
pub struct ReloadsAsked {
    waiting: Vec<(u32, Reload)>,
    last: u32,
}

impl Default for ReloadsAsked {
    fn default() -> ReloadsAsked {
        // A serve before this one may have asked, too: what it asked for is nobody's here.
        ReloadsAsked { waiting: Vec::new(), last: std::process::id().wrapping_mul(RELOADS_WAITING as u32) }
    }
}

impl ReloadsAsked {
    /// Asks for those that clients of this serve have asked for, each under a number.
    pub fn ask(&mut self, serve: &Serve, mut ask: impl FnMut(u32)) {
        while self.waiting.len() < RELOADS_WAITING
            && let Some(reload) = serve.reload_asked()
        {
            self.last = self.last.wrapping_add(1).max(SIGNAL + 1);
            self.waiting.push((self.last, reload));
            ask(self.last);
        }
    }

    /// Tells who asked under this number what came of it.
    pub fn answer(&mut self, serve: &Serve, number: u32, done: Result<Changes, Refused>) {
        let (status, text) = done.map_or_else(|refused| refused, |changes| (200, shape::text(&changes) + "\n"));
        if number == SIGNAL {
            serve.signalled(status, text);
        } else if let Some(at) = self.waiting.iter().position(|(n, _)| *n == number) {
            self.waiting.swap_remove(at).1.done(status, text);
        }
    }
}

/// Says it in the log.
pub fn tell(changes: &Changes) {
    changes.changed_in_words().iter().for_each(|w| tracing::info!("reload: {w}"));
    changes.needs_restart_in_words().iter().for_each(|w| tracing::warn!("reload: {w}"));
    changes.unassigned_in_words().iter().for_each(|w| tracing::warn!("reload: {w}"));
    if changes.changed_in_words().is_empty() {
        tracing::info!("reload: nothing has changed");
    }
    for n in &changes.waiting_workers {
        tracing::warn!("reload: worker {n} does not answer: it has the old rules until it does");
    }
}
