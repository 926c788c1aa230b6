//! The server: starts and ends all that the API needs. Owns the API's threads (which never read a packet that comes in), the lanes and the audit
//! log. Started and stopped by `record`, and by `at_rest` for a store into which nobody records.

use super::accept::{Remote, accept};
use super::access::{Access, Rights, TOKENS};
use super::audit::{self, Audit};
use super::brake::Brake;
use super::caller::Caller;
use super::clients::Clients;
use super::engine::Engine;
use super::holding;
use super::job::Cancel;
use super::lanes::Lanes;
use super::reloads::{Reload, Reloads};
use super::routes::router;
use super::shared::Shared;
use super::socket::{self, SocketError};
use super::tls::Identity;
use super::tokens::Tokens;
use super::whereabouts::{self, Whereabouts};
use super::{Limits, Place, SOCKET};
use crate::limits::{API_THREADS, ASKS_LONG, AT_REST_LEAVES, AUDIT_LAST, FOLLOWERS_MAX, FOLLOWERS_PER_USER};
use crate::messages::ToCapture;
use crate::privilege;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// A running API.
pub struct Server {
    path: PathBuf,
    tcp: Option<SocketAddr>,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    /// Told once nobody can connect any more.
    closed: Receiver<()>,
    /// The store's word that this one answers, where there is room for it.
    said: Option<Whereabouts>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts it. `Ok(None)`: it is off, or could not be in the store, which is said and no reason not to record.
    pub fn start(
        place: &Place,
        access: &Access,
        engine: Engine,
        capture: ToCapture,
        limits: Limits,
    ) -> Result<Option<Server>, SocketError> {
        let store = engine.store().to_owned();
        let path = match place {
            Place::Off => {
                holding::warn(&store);
                return Ok(None);
            }
            Place::Store => engine.store().join(SOCKET),
            Place::At(path) => path.clone(),
        };
        let said = say(&store, &path);
        match (Server::at(path, access, engine, capture, limits, said), place) {
            (Err(e @ SocketError::Io { .. }), Place::Store) if access == &Access::default() => {
                tracing::warn!("recording goes on without an API: {e}");
                holding::warn(&store);
                Ok(None)
            }
            (other, _) => other.map(Some),
        }
    }

    /// Starts it about a store at rest, which may be one that is only to be read. Nothing follows, and no hold is let go because its time is over.
    pub fn at_rest(path: PathBuf, access: &Access, store: &Path, limits: Limits) -> Result<Server, SocketError> {
        let said = match Whereabouts::say(store, &path, TURN) {
            Ok(None) => {
                let at = whereabouts::socket_of(store);
                return Err(SocketError::Answered { store: store.to_owned(), at });
            }
            Ok(said) => said,
            Err(e) => {
                let store = store.display();
                tracing::warn!(
                    "{store}: it can't say where it is answered for ({e}): name {} with --api",
                    path.display()
                );
                None
            }
        };
        let nobody = ToCapture::nobody().map_err(|source| SocketError::Io { path: path.clone(), source })?;
        Server::at(path, access, Engine::at_rest(store), nobody, limits, said)
    }

    fn at(
        path: PathBuf,
        access: &Access,
        engine: Engine,
        capture: ToCapture,
        limits: Limits,
        said: Option<Whereabouts>,
    ) -> Result<Server, SocketError> {
        let io = |source| SocketError::Io { path: path.clone(), source };
        raise_files();
        let rights = Rights::new(access).map_err(SocketError::Access)?;
        let remote = access.tcp.as_ref().map(Remote::bind).transpose()?;
        let listener = socket::listen(&path, rights.group)?;
        let tokens = access.tcp.as_ref().and_then(|t| t.tokens.clone()).unwrap_or(engine.store().join(TOKENS));
        let brake = engine.window().map_or_else(Brake::default, |window| Brake::of(window.clone()));
        let audit = match audit::start(&engine.store().join("audit")) {
            Err(e) if engine.is_at_rest() => unaudited(engine.store(), access, e)?,
            started => started.map_err(io)?,
        };
        let shared = Arc::new(Shared {
            lanes: Lanes::start().map_err(io)?,
            engine: engine.into(),
            capture,
            clients: Clients::new(limits.queries),
            rights: RwLock::new(rights.into()),
            tls: RwLock::new(remote.as_ref().map(|r| r.tls.clone())),
            tokens: Tokens::new(&tokens),
            limits: RwLock::new(limits),
            audit,
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            long_asks: Arc::new(Semaphore::new(ASKS_LONG)),
            following: Clients::new(FOLLOWERS_PER_USER),
            reloads: Reloads::default(),
            brake,
            ending: Cancel::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let (tell_closed, closed) = sync_channel(1);
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime =
            runtime.worker_threads(API_THREADS).thread_name("api").on_thread_start(privilege::without_capabilities);
        let runtime = runtime.enable_all().build().map_err(io)?;
        let app = router(shared.clone());
        let tcp = remote.as_ref().map(|r| r.address);
        let all = shared.clone();
        let thread = std::thread::Builder::new().name("api".into()).spawn(move || {
            privilege::without_capabilities();
            runtime.block_on(async move {
                tokio::spawn(all.capture.receive());
                if let Err(e) = accept(listener, remote, app, all, stopped, tell_closed).await {
                    tracing::warn!("the API does not start: {e}");
                }
            });
            tracing::debug!("the API has ended");
        });
        let mut threads = vec![thread.map_err(io)?];
        if !shared.engine.is_at_rest() {
            let holds = holding::start(shared.engine.clone(), shared.brake.clone(), shared.ending.clone());
            threads.push(holds.map_err(io)?);
        }
        Ok(Server { path, tcp, shared, stop: Some(stop), closed, said, threads })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it listens for TCP.
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Questions under way.
    pub fn queries(&self) -> u64 {
        self.shared.clients.busy() as u64
    }

    /// Why the audit log can't be written; an empty text: there is none.
    pub fn unaudited(&self) -> Option<String> {
        if self.shared.audit.is_off() { Some(String::new()) } else { self.shared.audit.failing() }
    }

    /// What clients may do from now on; what is under way goes on as it began.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.clients.set_most(limits.queries);
        *self.shared.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Reads what is new in who may do what, and certificate and key anew. The error says what is wrong; nothing is changed yet.
    pub fn access(&self, access: &Access) -> Result<NewAccess, String> {
        let tls = if self.tcp.is_some() { access.identity()? } else { None };
        Ok(NewAccess { rights: Rights::new(access)?, tls })
    }

    /// Puts it in force: who is connected has the new role with the next request, who connects sees the new certificate. Whether that is another.
    pub fn set_access(&self, new: NewAccess) -> bool {
        *self.shared.rights.write().unwrap_or_else(PoisonError::into_inner) = new.rights.into();
        let Some(tls) = new.tls else { return false };
        let before = self.shared.tls.write().unwrap_or_else(PoisonError::into_inner).replace(tls.clone());
        before.is_none_or(|before| before.chain != tls.chain)
    }

    /// The next reload that a client asks for.
    pub fn reload_asked(&self) -> Option<Reload> {
        self.shared.reloads.next()
    }

    /// What came of a reload that a signal asked for goes into the audit log: HTTP status, and JSON or the reason.
    pub fn signalled(&self, status: u16, text: String) {
        let mut line = audit::Line::new(&Caller::signal(), "SIGHUP".to_owned());
        (line.status, line.error) = (status, (status != 200).then_some(text));
        self.shared.audit.enter(line);
    }

    /// Ends what is under way and takes the socket away.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(stop) = self.stop.take() else { return };
        socket::remove(&self.path);
        // Also those that the brake has stopped.
        self.shared.ending.cancel();
        self.shared.reloads.end();
        let _ = stop.send(());
        // Whoever is next may come once the addresses are free, also while the last answers are given.
        let _ = self.closed.recv_timeout(CLOSES);
        drop(self.said.take());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.shared.tokens.save_use();
        // Its thread ends with the last request; a job that hangs on a disk must not hold up the recorder's end.
        if !self.shared.audit.settle(AUDIT_LAST) {
            tracing::warn!("the audit log is not on the disk: the last lines of it may be missing");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Who may do what from a reload on.
pub struct NewAccess {
    rights: Rights,
    tls: Option<Identity>,
}

/// Nobody can connect any more after this time, unless the machine stands still.
const CLOSES: Duration = Duration::from_secs(2);

/// Who only looks whether a store is answered for has it for a moment.
const TURN: Duration = Duration::from_millis(200);

/// Without an audit log only whom the kernel vouches for is answered.
fn unaudited(store: &Path, access: &Access, why: std::io::Error) -> Result<Audit, SocketError> {
    if access.tcp.is_some() {
        return Err(SocketError::Unaudited { store: store.to_owned(), why });
    }
    tracing::warn!("{}: what is asked is not entered in an audit log: {why}", store.display());
    Ok(Audit::off())
}

/// Has the store of a recorder say where it is answered for; first of all, so that whoever answers for it at rest leaves and its addresses are
/// free. Where it can't, commands find the usual place and what is named to them.
fn say(store: &Path, socket: &Path) -> Option<Whereabouts> {
    match Whereabouts::say(store, socket, AT_REST_LEAVES) {
        Ok(Some(said)) => return Some(said),
        Ok(None) => tracing::warn!("{}: another process answers for the store, and does not end", store.display()),
        Err(e) => tracing::warn!("{}: the store does not say where its API is: {e}", store.display()),
    }
    None
}

/// As many open files as the system allows: a thousand clients must not take what the store needs.
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
