//! The server: accepts, asks the kernel who it is, speaks HTTP. Owns the API's threads (which never read a packet that comes in), the
//! query threads and the audit log. Started and stopped by `record`.

use super::access::{Access, Rights, TOKENS, Tcp};
use super::audit;
use super::brake::{Brake, Load};
use super::caller::{Caller, From, Peer};
use super::clients::Clients;
use super::engine::Engine;
use super::holding;
use super::job::Cancel;
use super::pool::Pool;
use super::reload::{Asked, Refused, Reloads};
use super::routes::router;
use super::shared::Shared;
use super::socket::{self, SocketError};
use super::tls;
use super::tokens::Tokens;
use super::{Limits, Place, SOCKET};
use crate::limits::{
    API_THREADS, ASKS_LONG, CLIENTS_MAX, CLIENTS_REMOTE_MAX, FOLLOWERS_MAX, JOBS_WAITING, MEMORY_THREADS, QUERY_THREADS,
};
use crate::metrics::status::RecorderState;
use crate::privilege;
use crate::query::priority;
use crate::steer::Steering;
use axum::Router;
use axum::extract::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;

/// A request's head must come within this time.
const HEAD: Duration = Duration::from_secs(10);
/// At the end, what is under way may take this long: followers give out what has come, on threads that come last.
const LAST: Duration = Duration::from_secs(10);

/// A running API.
pub struct Server {
    path: PathBuf,
    tcp: Option<SocketAddr>,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts it. `Ok(None)`: it is off, or could not be in the store, which is said and no reason not to record.
    pub fn start(
        place: &Place,
        access: &Access,
        engine: Engine,
        steering: Steering,
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
        match (Server::at(path, access, engine, steering, limits), place) {
            (Err(e @ SocketError::Io { .. }), Place::Store) if access == &Access::default() => {
                tracing::warn!("recording goes on without an API: {e}");
                holding::warn(&store);
                Ok(None)
            }
            (other, _) => other.map(Some),
        }
    }

    fn at(
        path: PathBuf,
        access: &Access,
        engine: Engine,
        steering: Steering,
        limits: Limits,
    ) -> Result<Server, SocketError> {
        let io = |source| SocketError::Io { path: path.clone(), source };
        raise_files();
        let rights = Rights::new(access).map_err(SocketError::Access)?;
        let remote = access.tcp.as_ref().map(Remote::bind).transpose()?;
        let listener = socket::listen(&path, rights.group)?;
        let tokens = access.tcp.as_ref().and_then(|t| t.tokens.clone()).unwrap_or(engine.store().join(TOKENS));
        let (audit, audit_thread) = audit::start(&engine.store().join("audit")).map_err(io)?;
        let shared = Arc::new(Shared {
            pool: Pool::start("query", priority::idle, QUERY_THREADS, JOBS_WAITING).map_err(io)?,
            memory_pool: Pool::start("memory", priority::idle_disk, MEMORY_THREADS, MEMORY_THREADS).map_err(io)?,
            engine: engine.into(),
            steering,
            clients: Clients::new(limits.queries),
            rights,
            tokens: Tokens::new(&tokens),
            limits: RwLock::new(limits),
            reloads: Reloads::default(),
            audit,
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            long_asks: Arc::new(Semaphore::new(ASKS_LONG)),
            brake: Brake::default(),
            ending: Cancel::default(),
            state: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
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
                if let Err(e) = accept(listener, remote, app, all, stopped).await {
                    tracing::warn!("the API does not start: {e}");
                }
            });
            tracing::debug!("the API has ended");
        });
        let holds = holding::start(shared.engine.clone(), shared.brake.clone(), shared.ending.clone()).map_err(io)?;
        let threads = vec![thread.map_err(io)?, holds, audit_thread];
        Ok(Server { path, tcp, shared, stop: Some(stop), threads })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it listens for TCP.
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// How full the recorder's buffers are: questions wait while they are too full.
    pub fn load(&self, load: Load) {
        self.shared.brake.press(load);
    }

    /// What the recorder says of itself, for `/v1/status`.
    pub fn publish(&self, state: RecorderState) {
        *self.shared.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    /// What clients may do from now on; what is under way goes on as it began.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.clients.set_most(limits.queries);
        *self.shared.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// The next reload that somebody asked for.
    pub fn reload_asked(&self) -> Option<Asked> {
        self.shared.reloads.next()
    }

    /// Enters in the audit log what a signal asked for, and what came of it.
    pub fn enter_signal(&self, name: &str, refused: Option<&Refused>) {
        let mut line = audit::Line::new(&Caller::signal(), name.to_owned());
        (line.status, line.error) = refused.map_or((200, None), |(status, why)| (*status, Some(why.clone())));
        self.shared.audit.enter(line);
    }

    /// Ends what is under way and takes the socket away.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(stop) = self.stop.take() else { return };
        socket::remove(&self.path);
        self.shared.ending.cancel();
        self.shared.brake.press(Load::default());
        let _ = stop.send(());
        // The audit's thread ends with the last request; a job that hangs on a disk must not hold up the recorder's end.
        for thread in self.threads.drain(..).take(2) {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// TCP with TLS, before it is served.
struct Remote {
    listener: std::net::TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
}

impl Remote {
    fn bind(tcp: &Tcp) -> Result<Remote, SocketError> {
        let tls = TlsAcceptor::from(tls::server(&tcp.certificate, &tcp.key)?);
        let bound = std::net::TcpListener::bind(tcp.listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let (listener, address) = bound.map_err(|source| SocketError::Tcp { listen: tcp.listen, source })?;
        Ok(Remote { listener, address, tls })
    }
}

async fn accept(
    listener: std::os::unix::net::UnixListener,
    remote: Option<Remote>,
    app: Router,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    if let Some(remote) = remote {
        let listener = TcpListener::from_std(remote.listener)?;
        tokio::spawn(accept_remote(listener, remote.tls, app.clone(), shared.clone()));
    }
    loop {
        // Before the accept: who finds no place waits in the kernel's backlog.
        let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
        let accepted = tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let peer =
                    stream.peer_cred().ok().map(|c| Peer { uid: c.uid(), gid: c.gid(), pid: c.pid().unwrap_or(0) });
                let app = app.clone().layer(Extension(From::Local(Caller::local(peer, &shared.rights))));
                tokio::spawn(async move {
                    serve(stream, app).await;
                    drop(place);
                });
            }
            Err(e) => refused(&e).await,
        }
    }
    // Running answers get their last words.
    let all = u32::try_from(CLIENTS_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(LAST, places.acquire_many(all)).await;
    Ok(())
}

/// Places of its own: who is far away must not keep out who is at the machine.
async fn accept_remote(listener: TcpListener, tls: TlsAcceptor, app: Router, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CLIENTS_REMOTE_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                refused(&e).await;
                continue;
            }
        };
        let (tls, app) = (tls.clone(), app.clone().layer(Extension(From::Remote(address))));
        let ending = shared.ending.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(HEAD, tls.accept(stream)).await {
                Ok(Ok(stream)) if !ending.cancelled() => serve(stream, app).await,
                Ok(Err(e)) => tracing::debug!("API: {address}: no TLS: {e}"),
                _ => {}
            }
            drop(place);
        });
    }
}

async fn refused(e: &std::io::Error) {
    tracing::debug!("API: accept: {e}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .await;
    if let Err(e) = served {
        tracing::debug!("API: {e}");
    }
}

/// As many open files as the system allows: a thousand clients must not take what the store needs.
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
