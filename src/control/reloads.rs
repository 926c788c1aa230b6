//! Reloads that clients ask for: handlers wait here for what comes of theirs. Whoever leads the recording looks for those that were asked for, and
//! answers; here nothing is reloaded.

use crate::limits::RELOADS_WAITING;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;

/// An HTTP status, and JSON or the reason.
type Said = (u16, String);

/// Those that nobody has looked at yet; `None`: nobody will any more.
#[derive(Debug)]
pub struct Reloads(Mutex<Option<VecDeque<Reload>>>);

impl Default for Reloads {
    fn default() -> Reloads {
        Reloads(Mutex::new(Some(VecDeque::new())))
    }
}

/// One that a client waits for, until it is dropped.
#[derive(Debug)]
pub struct Reload(oneshot::Sender<Said>);

impl Reload {
    /// What came of it: its HTTP status, and JSON or the reason.
    pub fn done(self, status: u16, text: String) {
        // He may have gone.
        let _ = self.0.send((status, text));
    }
}

impl Reloads {
    /// Waits as long as it takes. An error: too many wait, or the recording ends before.
    pub async fn ask(&self) -> Result<Said, Said> {
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(waiting) = &mut *waiting else { return Err(ended()) };
            waiting.retain(|reload| !reload.0.is_closed());
            if waiting.len() >= RELOADS_WAITING {
                return Err((503, "other reloads wait: try again in a moment".into()));
            }
            waiting.push_back(Reload(tell));
        }
        told.await.map_err(|_| ended())
    }

    /// The next.
    pub fn next(&self) -> Option<Reload> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.pop_front()
    }

    /// Who waits and who comes is told that the recorder ends.
    pub fn end(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn ended() -> Said {
    (503, "the recorder ends".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(one: &mut Pin<Box<F>>) -> Poll<F::Output> {
        one.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn too_many_do_not_wait_and_each_has_its_answer() {
        let reloads = Reloads::default();
        let mut all: Vec<_> = (0..RELOADS_WAITING).map(|_| Box::pin(reloads.ask())).collect();
        assert!(all.iter_mut().all(|one| poll(one).is_pending()));
        assert!(matches!(poll(&mut Box::pin(reloads.ask())), Poll::Ready(Err((503, _)))));
        reloads.next().unwrap().done(200, "first".into());
        drop(reloads.next().unwrap());
        assert_eq!(poll(&mut all[0]), Poll::Ready(Ok((200, "first".into()))));
        assert_eq!(poll(&mut all[1]), Poll::Ready(Err(ended())));
        // Who has gone takes no place.
        drop(all);
        let mut last = Box::pin(reloads.ask());
        assert!(poll(&mut last).is_pending());
        reloads.end();
        assert_eq!(poll(&mut last), Poll::Ready(Err(ended())));
        assert_eq!(poll(&mut Box::pin(reloads.ask())), Poll::Ready(Err(ended())));
        assert!(reloads.next().is_none());
    }
}
