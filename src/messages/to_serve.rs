//! Capture's end: whichever serve there is now, and all that is said to it. It never waits. What a serve asked for goes back by the socket that
//! it was asked by, so the next serve never gets an answer of the one before.

use super::document::{self, DocumentKind, Documents};
use super::order::InForce;
use super::report::Report;
use super::request::ListKind;
use super::socket::{Socket, Unsent};
use crate::metrics::status::RecorderState;
use crate::packet::key::Key;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The way to serve.
#[derive(Clone, Debug, Default)]
pub struct ToServe(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    serve: Mutex<Serve>,
    attached: Condvar,
    documents: Mutex<Documents>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Serve {
    socket: Option<Arc<Socket>>,
    /// What each serve is told first.
    classes: Vec<Option<String>>,
    ended: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ToServe {
    /// There is a serve at the other end of this socket from now on. One that there was gets nothing any more.
    pub fn attach(&self, socket: Socket) {
        let mut serve = locked(&self.0.serve);
        let socket = Arc::new(socket);
        // First of all: what it asks about orders names classes.
        self.send(&socket, &Report::Classes(serve.classes.clone()).encode(&[]));
        if let Some(before) = serve.socket.replace(socket) {
            before.close();
        }
        self.0.attached.notify_all();
    }

    /// The serve that there is; waits for one. `None`: the recording ends.
    pub fn serve(&self) -> Option<Arc<Socket>> {
        let waits = |serve: &mut Serve| serve.socket.is_none() && !serve.ended;
        let serve = self.0.attached.wait_while(locked(&self.0.serve), waits).unwrap_or_else(PoisonError::into_inner);
        serve.socket.clone().filter(|_| !serve.ended)
    }

    /// Whether it is the serve that there is.
    pub fn is_there(&self, socket: &Arc<Socket>) -> bool {
        locked(&self.0.serve).socket.as_ref().is_some_and(|now| Arc::ptr_eq(now, socket))
    }

    /// It has ended. False: the recording ends, too.
    pub fn gone(&self, socket: &Arc<Socket>) -> bool {
        let mut serve = locked(&self.0.serve);
        if serve.socket.as_ref().is_some_and(|now| Arc::ptr_eq(now, socket)) {
            serve.socket = None;
        }
        !serve.ended
    }

    /// The recording ends.
    pub fn end(&self) {
        let mut serve = locked(&self.0.serve);
        serve.ended = true;
        if let Some(socket) = &serve.socket {
            socket.close();
        }
        self.0.attached.notify_all();
    }

    /// Messages that found no room, so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    fn send(&self, socket: &Socket, bytes: &[u8]) -> bool {
        let sent = socket.send(bytes, None);
        self.0.dropped.fetch_add(u64::from(sent == Err(Unsent::Full)), Relaxed);
        sent.is_ok()
    }

    /// Answers who asked by this socket; false: it is not told. `keys`: of a look-up what was asked for.
    pub fn answer(&self, socket: &Socket, report: &Report, keys: &[Key]) -> bool {
        self.send(socket, &report.encode(keys))
    }

    /// The classes in force are these from now on.
    pub fn classes(&self, classes: Vec<Option<String>>) {
        let mut serve = locked(&self.0.serve);
        if let Some(socket) = &serve.socket {
            self.send(socket, &Report::Classes(classes.clone()).encode(&[]));
        }
        serve.classes = classes;
    }

    /// What the recorder says of itself.
    pub fn state(&self, state: &RecorderState) {
        self.unasked(DocumentKind::State, |to| serde_json::to_writer(to, state).map_err(io::Error::from));
    }

    /// The metrics page.
    pub fn page(&self, page: &str) {
        self.unasked(DocumentKind::Page, |to| to.write_all(page.as_bytes()));
    }

    /// A list that was asked for.
    pub fn list(&self, socket: &Socket, id: u64, kind: ListKind, list: &[InForce]) {
        let kind = match kind {
            ListKind::Assignments => DocumentKind::Assignments,
            ListKind::Suspensions => DocumentKind::Suspensions,
        };
        self.document(socket, (id, kind), |to| document::write_list(list, to));
    }

    fn unasked(&self, kind: DocumentKind, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let socket = locked(&self.0.serve).socket.clone();
        match socket {
            Some(socket) => self.document(&socket, (0, kind), write),
            None => locked(&self.0.documents).take_back(),
        }
    }

    fn document(
        &self,
        socket: &Socket,
        (id, kind): (u64, DocumentKind),
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) {
        // A long list takes its time; nobody else who has something to say waits for it.
        let sent = match document::make(write) {
            Ok((file, bytes)) => {
                let report = Report::Document { id, kind, bytes }.encode(&[]);
                let mut documents = locked(&self.0.documents);
                socket.send(&report, documents.keep(kind, file).map(|file| file.as_fd()))
            }
            Err(e) => {
                tracing::warn!("a document for whoever asks ({kind:?}): {e}");
                Err(Unsent::Full)
            }
        };
        self.0.dropped.fetch_add(u64::from(sent == Err(Unsent::Full)), Relaxed);
    }
}
