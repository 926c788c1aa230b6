//! How an answer goes from the thread that makes it to its connection: through a bounded channel, whose other end is a client that may not read.
//! Owns how long that is waited for: an answer that is not read is ended, and its client told if it reads on.

use super::pool::Threads;
use super::stream::{Message, Refusal};
use crate::limits::{CHUNKS_WAITING, READ_CROWDED, READ_STALLED};
use crate::query::pace::Stopped;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The end that a thread sends by.
#[derive(Clone)]
pub struct Sending {
    to: Sender<Message>,
    unread: Arc<OnceLock<Refusal>>,
    /// Of the thread that sends, if it has one.
    lane: Option<Threads>,
    /// With nobody else waiting, and with somebody.
    patience: [Duration; 2],
}

/// The end of the connection.
pub struct Receiving {
    from: Receiver<Message>,
    unread: Arc<OnceLock<Refusal>>,
    told: bool,
}

/// Both ends.
pub fn sending() -> (Sending, Receiving) {
    let ((to, from), unread) = (channel(CHUNKS_WAITING), Arc::new(OnceLock::new()));
    let patience = [READ_STALLED, READ_CROWDED];
    (Sending { to, unread: unread.clone(), lane: None, patience }, Receiving { from, unread, told: false })
}

/// How often a thread that waits for its client looks whether others wait for it.
const LOOK: Duration = Duration::from_millis(100);

impl Sending {
    /// From a thread of this lane, which others may wait for.
    pub fn on(self, lane: &Threads) -> Sending {
        Sending { lane: Some(lane.clone()), ..self }
    }

    /// Sends, and waits for that as long as a client may take. Once that was too long nothing is sent any more.
    pub fn send(&self, message: Message) -> Result<(), Stopped> {
        if self.unread.get().is_some() {
            return Err(Stopped::Unread);
        }
        let message = match self.to.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(Stopped::Gone),
            Err(TrySendError::Full(message)) => message,
        };
        let _stalled = self.lane.as_ref().map(Threads::stall);
        let begun = Instant::now();
        loop {
            match wait(self.to.reserve(), LOOK) {
                Some(Ok(place)) => {
                    place.send(message);
                    return Ok(());
                }
                Some(Err(_)) => return Err(Stopped::Gone),
                None => {
                    let crowded = self.lane.as_ref().is_some_and(Threads::crowded);
                    let [patience, short] = self.patience;
                    if begun.elapsed() >= if crowded { short } else { patience } {
                        let _ = self.unread.set(unread());
                        return Err(Stopped::Unread);
                    }
                }
            }
        }
    }
}

/// What is said to a client that did not read, and to the audit log.
pub fn unread() -> Refusal {
    Refusal { status: 408, error: Stopped::Unread.to_string() }
}

impl Receiving {
    /// The next.
    pub async fn recv(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The same, for a body. An answer that was ended because nobody read it says so at its end.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let message = std::task::ready!(self.from.poll_recv(cx));
        if message.is_some() || std::mem::replace(&mut self.told, true) {
            return Poll::Ready(message);
        }
        Poll::Ready(self.unread.get().map(|why| Message::Failed(Default::default(), why.clone())))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, at most so long.
fn wait<T>(future: impl Future<Output = T>, most: Duration) -> Option<T> {
    let (mut future, until) = (pin!(future), Instant::now() + most);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return Some(done);
        }
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;

    fn chunk(n: u8) -> Message {
        Message::Chunk(Bytes::from(vec![n]))
    }

    fn received(from: &mut Receiving) -> Option<Message> {
        wait(from.recv(), Duration::from_secs(60)).expect("it comes")
    }

    fn number(message: Option<Message>) -> Option<u8> {
        match message {
            Some(Message::Chunk(bytes)) => Some(bytes[0]),
            _ => None,
        }
    }

    #[test]
    fn who_reads_slowly_gets_all_of_it() {
        let (to, mut from) = sending();
        let sender = thread::spawn(move || (0..200).map(|n| to.send(chunk(n))).filter(Result::is_ok).count());
        for n in 0..200 {
            assert_eq!(number(received(&mut from)), Some(n));
        }
        assert!(received(&mut from).is_none());
        assert_eq!(sender.join().unwrap(), 200);
    }

    #[test]
    fn who_does_not_read_is_told_so_if_it_reads_on() {
        let (mut to, mut from) = sending();
        to.patience = [Duration::from_millis(1); 2];
        let sent = (0..=255).map(|n| to.send(chunk(n))).take_while(Result::is_ok).count();
        assert_eq!(sent, CHUNKS_WAITING);
        assert_eq!(to.send(chunk(0)), Err(Stopped::Unread), "from now on at once");
        drop(to);
        for n in 0..CHUNKS_WAITING {
            assert_eq!(number(received(&mut from)), Some(n as u8));
        }
        match received(&mut from) {
            Some(Message::Failed(rest, refusal)) => assert_eq!((rest.len(), refusal.status), (0, 408)),
            _ => panic!("it is told"),
        }
        assert!(received(&mut from).is_none(), "once");
    }

    #[test]
    fn who_has_gone_ends_it() {
        let (to, from) = sending();
        (0..CHUNKS_WAITING).for_each(|_| to.send(chunk(0)).unwrap());
        let sender = thread::spawn(move || to.send(chunk(0)));
        drop(from);
        assert_eq!(sender.join().unwrap(), Err(Stopped::Gone));
    }
}
