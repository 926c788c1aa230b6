//! Reloads that are asked for through the API: they wait here for the control thread, which does them between its rounds. Owns the
//! queue; the request waits for its answer without a thread.

use crate::config::Changes;
use crate::limits::RELOADS_WAITING;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// Why nothing was changed: an HTTP status and the reason.
pub type Refused = (u16, String);

type Answer = Result<Changes, Refused>;

/// The queue.
#[derive(Debug, Default)]
pub struct Reloads(Mutex<VecDeque<Sender<Answer>>>);

/// One that is to be done.
#[derive(Debug)]
pub struct Asked(Sender<Answer>);

impl Reloads {
    /// Asks for one; what comes of it comes out of the receiver. `None`: too many wait.
    pub(super) fn ask(&self) -> Option<Receiver<Answer>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= RELOADS_WAITING {
            return None;
        }
        let (tell, told) = channel();
        waiting.push_back(tell);
        Some(told)
    }

    /// The next to be done.
    pub(super) fn next(&self) -> Option<Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().map(Asked)
    }
}

impl Asked {
    /// It is done, or refused.
    pub fn done(self, answer: Result<Changes, Refused>) {
        // Whoever asked may have gone.
        let _ = self.0.send(answer);
    }
}
