//! The server: accepts, asks the kernel who it is, speaks HTTP. Owns the API's thread (one, which never reads a packet), the
//! query threads and the audit log. Started and stopped by `record`.

use super::audit;
use super::brake::{Brake, Load};
use super::caller::{Caller, Peer};
use super::clients::Clients;
use super::engine::Engine;
use super::job::Cancel;
use super::pool::Pool;
use super::routes::router;
use super::shared::Shared;
use super::socket::{self, SocketError};
use super::{Limits, Place, SOCKET};
use crate::limits::{CLIENTS_MAX, FOLLOWERS_MAX, JOBS_WAITING, QUERY_THREADS};
use axum::Router;
use axum::extract::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};

/// A request's head must come within this time.
const HEAD: Duration = Duration::from_secs(10);
/// At the end, what is under way may take this long.
const LAST: Duration = Duration::from_secs(1);

/// A running API.
pub struct Server {
    path: PathBuf,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts it. `Ok(None)`: it is off, or could not be in the store, which is said and no reason not to record.
    pub fn start(place: &Place, store: &Path, engine: Engine, limits: Limits) -> Result<Option<Server>, SocketError> {
        let path = match place {
            Place::Off => return Ok(None),
            Place::Store => store.join(SOCKET),
            Place::At(path) => path.clone(),
        };
        match (Server::at(path, engine, limits), place) {
            (Err(e), Place::Store) => {
                tracing::warn!("recording goes on without an API: {e}");
                Ok(None)
            }
            (other, _) => other.map(Some),
        }
    }

    fn at(path: PathBuf, engine: Engine, limits: Limits) -> Result<Server, SocketError> {
        let io = |source| SocketError::Io { path: path.clone(), source };
        raise_files();
        let listener = socket::listen(&path)?;
        let (audit, audit_thread) = audit::start(&engine.store().join("audit")).map_err(io)?;
        let shared = Arc::new(Shared {
            pool: Pool::start(QUERY_THREADS, JOBS_WAITING).map_err(io)?,
            engine: engine.into(),
            clients: Clients::new(limits.queries),
            limits,
            audit,
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            brake: Brake::default(),
            ending: Cancel::default(),
            status: Default::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io)?;
        let app = router(shared.clone());
        let thread = std::thread::Builder::new().name("api".into()).spawn(move || {
            runtime.block_on(async move {
                match UnixListener::from_std(listener) {
                    Ok(listener) => accept(listener, app, stopped).await,
                    Err(e) => tracing::warn!("the API does not start: {e}"),
                }
            });
            runtime_end();
        });
        let threads = vec![thread.map_err(io)?, audit_thread];
        Ok(Server { path, shared, stop: Some(stop), threads })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How full the recorder's buffers are: questions wait while they are too full.
    pub fn load(&self, load: Load) {
        self.shared.brake.press(load);
    }

    /// What the recorder says of itself, for `/v1/status`.
    pub fn publish(&self, status: serde_json::Value) {
        *self.shared.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
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
        let api = self.threads.drain(..).next();
        if let Some(api) = api {
            let _ = api.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn runtime_end() {
    tracing::debug!("the API has ended");
}

async fn accept(listener: UnixListener, app: Router, mut stopped: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        // Before the accept: who finds no place waits in the kernel's backlog.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let app = app.clone();
                tokio::spawn(async move {
                    serve(stream, app).await;
                    drop(place);
                });
            }
            Err(e) => {
                tracing::debug!("API: accept: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // Running answers get their last words.
    let all = u32::try_from(CLIENTS_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(LAST, places.acquire_many(all)).await;
}

async fn serve(stream: UnixStream, app: Router) {
    let peer = stream.peer_cred().ok().map(|c| Peer { uid: c.uid(), gid: c.gid(), pid: c.pid().unwrap_or(0) });
    let app = app.layer(Extension(Caller::local(peer)));
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
