//! Serve's end: all that it asks of capture, and what capture has said last. Owns who waits for which answer. Handlers of requests wait without
//! a thread, query threads with theirs; both give up in time, and when capture ends. It is received where handlers run, so that an answer
//! has no other thread to wake; where there are none, on a thread.

use super::document::{self, DocumentKind};
use super::order::{InForce, Order, OrderedBy};
use super::report::{OrdersTaken, Report};
use super::request::{ListKind, Request, RequestKind};
use super::socket::{Socket, SocketRead, Unsent};
use crate::class::ClassId;
use crate::conn::receipt::LookedUp;
use crate::limits::{CAPTURE_ANSWERS, LOOK_UPS_OF_MESSAGE, LOOK_UPS_UNDER_WAY, MESSAGE_BYTES, TOTALS_NS};
use crate::metrics::status::RecorderState;
use crate::packet::key::Key;
use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind::WouldBlock;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// How long it is until a message is tried again that found no room.
const AGAIN: Duration = Duration::from_millis(1);
/// So many messages are received before others have a turn.
const AT_A_TIME: usize = 16;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Capture has ended.
    #[error("the recorder ends")]
    Ended,
    /// It has not answered in time.
    #[error("the recorder has not answered within {} s: what was ordered may be in force all the same", CAPTURE_ANSWERS.as_secs())]
    Late,
    /// It has said that too many wait.
    #[error("too many wait for the recorder: try again in a moment")]
    Busy,
    /// It has said something else.
    #[error("the recorder has answered something else: this is a bug")]
    Other,
}

/// The way to capture.
#[derive(Clone)]
pub struct ToCapture {
    inner: Arc<Inner>,
    _closing: Arc<Closing>,
}

/// Closes the socket with the last that asks.
struct Closing(Arc<Inner>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.socket.close();
    }
}

struct Inner {
    socket: Socket,
    /// Held by whoever receives.
    buffer: Mutex<Box<[u8; MESSAGE_BYTES]>>,
    waiting: Mutex<Waiters>,
    last: AtomicU64,
    /// Held by whoever asks for a list: one at a time is under way.
    listing: tokio::sync::Mutex<()>,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Waiters {
    ended: bool,
    all: HashMap<u64, Waiter>,
}

struct Waiter {
    /// Of a look-up.
    keys: Arc<[Key]>,
    /// `None`: capture has ended.
    tell: Box<dyn FnOnce(Option<Answer>) + Send>,
}

enum Answer {
    Report(Report),
    Document(DocumentKind, Vec<u8>),
}

/// What capture has said last, unasked.
#[derive(Default)]
struct Said {
    state: Option<Arc<RecorderState>>,
    page: Option<Arc<str>>,
    classes: Arc<[Option<String>]>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A question; who gives up on it is not told any more.
struct Question<'a> {
    inner: &'a Inner,
    id: u64,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        locked(&self.inner.waiting).all.remove(&self.id);
    }
}

impl ToCapture {
    /// Over this socket, whose other end capture has. Nothing comes before it is received.
    pub fn new(socket: Socket) -> ToCapture {
        let inner = Arc::new(Inner {
            socket,
            buffer: Mutex::new(Box::new([0; MESSAGE_BYTES])),
            waiting: Mutex::default(),
            last: AtomicU64::new(0),
            listing: tokio::sync::Mutex::default(),
            said: Mutex::default(),
        });
        ToCapture { _closing: Closing(inner.clone()).into(), inner }
    }

    /// There is no capture: whoever asks is told at once that it has ended.
    pub fn nobody() -> std::io::Result<ToCapture> {
        let (own, _) = Socket::pair()?;
        let to = ToCapture::new(own);
        locked(&to.inner.waiting).ended = true;
        Ok(to)
    }

    /// Receives on a thread of its own, until capture ends or nobody asks any more.
    pub fn receive_on_a_thread(&self) -> std::io::Result<()> {
        let inner = self.inner.clone();
        std::thread::Builder::new().name("reports".into()).spawn(move || {
            crate::privilege::without_capabilities();
            let ending = Ending(inner);
            while !matches!(ending.0.take_in(&mut locked(&ending.0.buffer), usize::MAX), Drained::Gone) {
                ending.0.socket.wait();
            }
        })?;
        Ok(())
    }

    /// Receives as a task, until capture ends or nobody asks any more; a runtime that ends is the same.
    pub fn receive(&self) -> impl Future<Output = ()> + Send + use<> {
        // Also where it never begins.
        let ending = Ending(self.inner.clone());
        async move {
            // Whatever messages are, they wake who waits as a stream's bytes do.
            let stream = || {
                let own = std::os::unix::net::UnixStream::from(ending.0.socket.as_fd().try_clone_to_owned()?);
                own.set_nonblocking(true)?;
                UnixStream::from_std(own)
            };
            let Ok(stream) = stream() else { return };
            while stream.readable().await.is_ok() {
                let gone = stream.try_io(Interest::READABLE, || {
                    match ending.0.take_in(&mut locked(&ending.0.buffer), AT_A_TIME) {
                        // There may be more.
                        Drained::Some => Ok(false),
                        Drained::All => Err(WouldBlock.into()),
                        Drained::Gone => Ok(true),
                    }
                });
                if matches!(gone, Ok(true)) {
                    return;
                }
            }
        }
    }

    /// Orders; capture carries them out until one can't be. At most [`ORDERS_OF_MESSAGE`](crate::limits::ORDERS_OF_MESSAGE).
    pub async fn order(&self, by: &OrderedBy, orders: Vec<Order>) -> Result<OrdersTaken, NoAnswer> {
        match self.ask(RequestKind::Orders { by: by.clone(), orders }).await? {
            Answer::Report(Report::Orders(_, taken)) => Ok(taken),
            _ => Err(NoAnswer::Other),
        }
    }

    /// What is in force.
    pub async fn list(&self, kind: ListKind) -> Result<Vec<InForce>, NoAnswer> {
        let _turn = self.inner.listing.lock().await;
        let wanted = match kind {
            ListKind::Assignments => DocumentKind::Assignments,
            ListKind::Suspensions => DocumentKind::Suspensions,
        };
        match self.ask(RequestKind::List(kind)).await? {
            Answer::Document(kind, bytes) if kind == wanted => document::read_list(&bytes).map_err(|_| NoAnswer::Other),
            _ => Err(NoAnswer::Other),
        }
    }

    /// What the workers know of these connections, in this order; waits for them.
    pub fn look_up(&self, keys: &[Key]) -> Vec<LookedUp> {
        let mut found = vec![LookedUp::Unknown; keys.len()];
        let until = Instant::now() + Duration::from_nanos(TOTALS_NS);
        let (tell, told) = mpsc::channel();
        let mut parts = keys.chunks(LOOK_UPS_OF_MESSAGE).enumerate();
        let mut under_way = HashMap::new();
        loop {
            while under_way.len() < LOOK_UPS_UNDER_WAY
                && let Some((n, part)) = parts.next()
            {
                let tell = tell.clone();
                let Ok(question) = self.question(part.into(), move |answer| drop(tell.send((n, answer)))) else {
                    return found;
                };
                let request = Request { id: question.id, asked: RequestKind::LookUp(part.to_vec()) }.encode();
                under_way.insert(n, question);
                loop {
                    match self.inner.socket.send(&request, None) {
                        Ok(()) => break,
                        Err(Unsent::Full) if Instant::now() < until => std::thread::sleep(AGAIN),
                        Err(_) => return found,
                    }
                }
            }
            if under_way.is_empty() {
                return found;
            }
            let Ok((n, answer)) = told.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                return found;
            };
            under_way.remove(&n);
            match answer {
                Some(Answer::Report(Report::LookedUp(_, part))) => {
                    let places = found.iter_mut().skip(n * LOOK_UPS_OF_MESSAGE);
                    places.zip(part).for_each(|(place, one)| *place = one);
                }
                // Too many wait: of these nobody knows.
                Some(_) => {}
                None => return found,
            }
        }
    }

    /// What the recorder says of itself, a second old at most; `None`: it has said nothing yet.
    pub fn state(&self) -> Option<Arc<RecorderState>> {
        locked(&self.inner.said).state.clone()
    }

    /// The metrics page; `None`: there is none yet. What has come is received first, unless somebody is at it: who else receives may be waiting for
    /// a disk.
    pub fn page(&self) -> Option<Arc<str>> {
        if let Ok(mut buffer) = self.inner.buffer.try_lock() {
            self.inner.take_in(&mut buffer, usize::MAX);
        }
        locked(&self.inner.said).page.clone()
    }

    /// The classes in force, by id; `None`: it is gone.
    pub fn classes(&self) -> Arc<[Option<String>]> {
        locked(&self.inner.said).classes.clone()
    }

    /// The id of a class that is in force.
    pub fn class_id(&self, name: &str) -> Option<ClassId> {
        let at = self.classes().iter().position(|c| c.as_deref() == Some(name))?;
        ClassId::try_from(at).ok()
    }

    /// The name of a class that is in force.
    pub fn class(&self, id: ClassId) -> Option<String> {
        self.classes().get(usize::from(id)).cloned().flatten()
    }

    fn question(
        &self,
        keys: Arc<[Key]>,
        tell: impl FnOnce(Option<Answer>) + Send + 'static,
    ) -> Result<Question<'_>, NoAnswer> {
        let id = self.inner.last.fetch_add(1, Relaxed) + 1;
        let mut waiting = locked(&self.inner.waiting);
        if waiting.ended {
            return Err(NoAnswer::Ended);
        }
        waiting.all.insert(id, Waiter { keys, tell: Box::new(tell) });
        Ok(Question { inner: &self.inner, id })
    }

    async fn ask(&self, asked: RequestKind) -> Result<Answer, NoAnswer> {
        let (tell, told) = oneshot::channel();
        let question = self.question([].into(), move |answer| drop(tell.send(answer)))?;
        let request = Request { id: question.id, asked }.encode();
        let answer = async {
            loop {
                match self.inner.socket.send(&request, None) {
                    Ok(()) => break,
                    Err(Unsent::Full) => tokio::time::sleep(AGAIN).await,
                    Err(Unsent::Gone) => return Err(NoAnswer::Ended),
                }
            }
            match told.await {
                Ok(Some(Answer::Report(Report::Busy(_)))) => Err(NoAnswer::Busy),
                Ok(Some(answer)) => Ok(answer),
                Ok(None) | Err(_) => Err(NoAnswer::Ended),
            }
        };
        tokio::time::timeout(CAPTURE_ANSWERS, answer).await.unwrap_or(Err(NoAnswer::Late))
    }
}

/// Whoever waits is told that nothing comes any more.
struct Ending(Arc<Inner>);

impl Drop for Ending {
    fn drop(&mut self) {
        let left = {
            let mut waiting = locked(&self.0.waiting);
            waiting.ended = true;
            std::mem::take(&mut waiting.all)
        };
        left.into_values().for_each(|waiter| (waiter.tell)(None));
    }
}

fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

/// What was received.
enum Drained {
    /// As many as were to be, and perhaps not all.
    Some,
    /// All that there was.
    All,
    /// Capture has ended.
    Gone,
}

impl Inner {
    /// Receives so many messages at most, in their order. Whoever comes by may do it.
    fn take_in(&self, buffer: &mut [u8; MESSAGE_BYTES], most: usize) -> Drained {
        for _ in 0..most {
            match self.socket.next_with_file(buffer) {
                SocketRead::Message(bytes, file) => self.received(bytes, file),
                SocketRead::Nothing => return Drained::All,
                SocketRead::Gone => return Drained::Gone,
            }
        }
        Drained::Some
    }

    fn received(&self, bytes: &[u8], file: Option<OwnedFd>) {
        let keys = |id| locked(&self.waiting).all.get(&id).map(|waiter| waiter.keys.clone());
        match Report::decode(bytes, keys) {
            Ok(report) => self.take(report, file),
            // Also the answer to a look-up that nobody waits for any more.
            Err(e) => tracing::debug!("from capture: {e}"),
        }
    }

    fn take(&self, report: Report, file: Option<OwnedFd>) {
        match report {
            Report::Classes(classes) => locked(&self.said).classes = classes.into(),
            Report::Orders(id, _) | Report::LookedUp(id, _) | Report::Busy(id) => {
                self.answered(id, Answer::Report(report));
            }
            Report::Document { id, kind, bytes } => {
                let text = file.map(File::from).and_then(|file| document::read(&file, bytes).ok());
                match (text, kind) {
                    // Its memory is taken back: a newer one has come, or nobody has waited so long.
                    (None, _) => {}
                    (Some(text), DocumentKind::State) => match serde_json::from_slice(&text) {
                        Ok(state) => locked(&self.said).state = Some(Arc::new(state)),
                        Err(e) => tracing::warn!("the recorder's state can't be read: {e}"),
                    },
                    (Some(text), DocumentKind::Page) => locked(&self.said).page = Some(text_of(text).into()),
                    (Some(text), _) => self.answered(id, Answer::Document(kind, text)),
                }
            }
        }
    }

    fn answered(&self, id: u64, answer: Answer) {
        let waiter = locked(&self.waiting).all.remove(&id);
        if let Some(waiter) = waiter {
            (waiter.tell)(Some(answer));
        }
    }
}
