//! Accepts connections: gives each a place or closes it, asks the kernel or TLS who it is, and serves HTTP on it. Never stops accepting because
//! places are taken: who is silent would keep out who speaks. Run by the server on the API's threads.

use super::access::Tcp;
use super::caller::{From, Local};
use super::impatient::Impatient;
use super::peer::{self, Peer};
use super::places::Places;
use super::shared::Shared;
use super::socket::SocketError;
use super::tls::{self, Identity};
use crate::limits::{REQUEST_HEAD, TLS_HANDSHAKE, TOKEN_USE, WRITE_STALLED};
use axum::Router;
use axum::extract::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// At the end, what is under way may take this long: followers give out what has come, on threads that come last.
const LAST: Duration = Duration::from_secs(10);

/// TCP with TLS, before it is served.
pub struct Remote {
    listener: std::net::TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it says of itself.
    pub tls: Identity,
}

impl Remote {
    /// Listens, once certificate and key are right.
    pub fn bind(tcp: &Tcp) -> Result<Remote, SocketError> {
        let tls = tls::server(&tcp.certificate, &tcp.key)?;
        let bound = std::net::TcpListener::bind(tcp.listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let (listener, address) = bound.map_err(|source| SocketError::Tcp { listen: tcp.listen, source })?;
        Ok(Remote { listener, address, tls })
    }
}

/// Until it is stopped, and says so once nobody can connect any more; then running answers get their last words.
pub async fn accept(
    listener: std::os::unix::net::UnixListener,
    remote: Option<Remote>,
    app: Router,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
    closed: SyncSender<()>,
) -> std::io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let places = Places::default();
    let mut over_tcp = None;
    if let Some(remote) = remote {
        let listener = TcpListener::from_std(remote.listener)?;
        over_tcp = Some(tokio::spawn(accept_remote(listener, app.clone(), shared.clone(), places.clone())));
    }
    tokio::spawn(note_use(shared.clone()));
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => local(stream, app.clone(), &shared, &places),
            Err(e) => refused(&e).await,
        }
    }
    drop(listener);
    if let Some(over_tcp) = over_tcp {
        over_tcp.abort();
        // Its socket is closed then.
        let _ = over_tcp.await;
    }
    let _ = closed.try_send(());
    let _ = tokio::time::timeout(LAST, places.empty()).await;
    Ok(())
}

/// Now and then: when tokens were used last.
async fn note_use(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(TOKEN_USE).await;
        let shared = shared.clone();
        let _ = tokio::task::spawn_blocking(move || shared.tokens.save_use()).await;
    }
}

fn local(stream: UnixStream, app: Router, shared: &Shared, places: &Places) {
    let peer = stream.peer_cred().ok().map(|c| Peer { uid: c.uid(), gid: c.gid(), pid: c.pid().unwrap_or(0) });
    let uid = peer.map_or(u32::MAX, |p| p.uid);
    let Some(place) = places.local(uid, shared.rights().is_owner(uid)) else {
        tracing::debug!("API: user {uid} has as many connections as one may");
        tokio::spawn(turn_away(stream));
        return;
    };
    let from = From::Local(Arc::new(Local::of(peer, peer::groups(&stream))));
    let app = app.layer(Extension(from));
    tokio::spawn(async move {
        serve(Impatient::new(stream, WRITE_STALLED), app).await;
        drop(place);
    });
}

/// Says why; in a moment, or not at all.
async fn turn_away(mut stream: UnixStream) {
    let text = super::reply::too_many_connections();
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(text.as_bytes())).await;
}

async fn accept_remote(listener: TcpListener, app: Router, shared: Arc<Shared>, places: Places) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                refused(&e).await;
                continue;
            }
        };
        let Some(place) = places.remote(address.ip()).map(Arc::new) else {
            tracing::debug!("API: {address}: too many connections from there have not said who they are");
            continue;
        };
        let app = app.clone().layer(Extension(From::Remote(address, place.clone())));
        let tls = shared.tls();
        tokio::spawn(async move {
            tokio::select! {
                () = secured(stream, address, tls, app) => {}
                () = place.is_lost() => tracing::debug!("API: {address}: others needed its place before it spoke"),
            }
        });
    }
}

async fn secured(stream: TcpStream, address: SocketAddr, tls: Option<Identity>, app: Router) {
    let Some(tls) = tls else { return };
    let stream = Impatient::new(stream, WRITE_STALLED);
    match tokio::time::timeout(TLS_HANDSHAKE, TlsAcceptor::from(tls.config).accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, app).await,
        Ok(Err(e)) => tracing::debug!("API: {address}: no TLS: {e}"),
        Err(_) => tracing::debug!("API: {address}: TLS took too long"),
    }
}

async fn refused(e: &std::io::Error) {
    tracing::debug!("API: accept: {e}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .await;
    if let Err(e) = served {
        tracing::debug!("API: {e}");
    }
}
