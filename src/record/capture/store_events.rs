//! The way from the store's keeper to the books. Owns the order of the two: the keeper can wait until what it has told is in the ledger. It
//! never blocks who tells for longer than a moment, and nobody listens any more once the recording has ended.

use crate::limits::ENTER_NS;
use crate::store::event::StoreEvent;
use crate::store::keeper::{EnteredHook, EventHook};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel as unbounded, sync_channel};
use std::time::{Duration, Instant};

enum FromKeeper {
    Event(StoreEvent),
    /// Dropped when all before it is entered.
    Entered(SyncSender<()>),
}

/// What the keeper has told, in order.
pub struct StoreEvents(Receiver<FromKeeper>);

/// The keeper's two ends, and that of the books.
pub fn channel() -> (EventHook, EnteredHook, StoreEvents) {
    within(Duration::from_nanos(ENTER_NS))
}

/// The same with how long the keeper waits.
fn within(patience: Duration) -> (EventHook, EnteredHook, StoreEvents) {
    let (tell, told) = unbounded();
    let ask: Sender<FromKeeper> = tell.clone();
    let on_event = Box::new(move |event| drop(tell.send(FromKeeper::Event(event))));
    let entered = Box::new(move || {
        let (done, is_done) = sync_channel(0);
        if ask.send(FromKeeper::Entered(done)).is_ok() {
            // Nothing is ever sent: it ends when the other side lets go.
            let _ = is_done.recv_timeout(patience);
        }
    });
    (on_event, entered, StoreEvents(told))
}

impl StoreEvents {
    /// The next event; waits until then for one. Who asks for the next has entered the one before.
    pub fn wait(&mut self, until: Instant) -> Option<StoreEvent> {
        loop {
            match self.0.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(FromKeeper::Event(event)) => return Some(event),
                Ok(FromKeeper::Entered(done)) => drop(done),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => {
                    // The keeper is gone; who comes here each round is to have his rounds.
                    std::thread::sleep(until.saturating_duration_since(Instant::now()));
                    return None;
                }
            }
        }
    }
}

impl Iterator for StoreEvents {
    type Item = StoreEvent;

    /// Until the keeper has ended.
    fn next(&mut self) -> Option<StoreEvent> {
        loop {
            match self.0.recv().ok()? {
                FromKeeper::Event(event) => return Some(event),
                FromKeeper::Entered(done) => drop(done),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_goes_on_when_what_he_told_is_entered() {
        let hour = Duration::from_secs(3600);
        let (tell, entered, mut told) = within(hour);
        let (order, happened) = unbounded();
        let keeper = order.clone();
        let thread = std::thread::spawn(move || {
            tell(StoreEvent::SpaceAgain);
            entered();
            let _ = keeper.send("deleted");
        });
        assert_eq!(told.wait(Instant::now() + hour), Some(StoreEvent::SpaceAgain));
        let _ = order.send("entered");
        assert_eq!(told.next(), None);
        thread.join().unwrap();
        drop(order);
        assert_eq!(happened.iter().collect::<Vec<_>>(), ["entered", "deleted"]);
    }

    #[test]
    fn nobody_waits_for_books_that_are_closed() {
        let (tell, entered, told) = channel();
        drop(told);
        tell(StoreEvent::SpaceAgain);
        entered();
    }
}
