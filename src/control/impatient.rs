//! A connection whose other end must take what is written to it: where nothing of it is taken for so long, the connection is over. It costs
//! nothing as long as writes go on. Used for every connection of the API, below TLS, so that what counts is what the network takes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The connection.
pub struct Impatient<S> {
    stream: S,
    most: Duration,
    /// Since a write had to wait.
    over: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    /// A write waits so long at most.
    pub fn new(stream: S, most: Duration) -> Impatient<S> {
        Impatient { stream, most, over: None }
    }

    fn waited<T>(&mut self, done: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.over = None;
            return done;
        }
        let most = self.most;
        let over = self.over.get_or_insert_with(|| Box::pin(sleep(most)));
        ready!(over.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "what was sent is not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, to)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.waited(done, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(cx);
        self.waited(done, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.waited(done, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.waited(done, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn what_nobody_reads_ends() {
        run(async {
            let (near, _far) = duplex(100);
            let mut near = Impatient::new(near, Duration::from_millis(10));
            let e = near.write_all(&[0; 1000]).await.unwrap_err();
            assert_eq!(e.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn what_is_read_goes_through() {
        run(async {
            let (near, mut far) = duplex(100);
            let mut near = Impatient::new(near, Duration::from_secs(600));
            let writing = tokio::spawn(async move { near.write_all(&[7; 100_000]).await });
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            writing.await.unwrap().unwrap();
            assert_eq!(all, vec![7; 100_000]);
        });
    }
}
