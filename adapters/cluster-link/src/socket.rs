//! A TCP connection that can be cut from any thread: once [`Wire::cut`] returned, not one byte of it leaves the box.
//!
//! It lies below TLS, so that neither TLS nor HTTP/2 can hold something back and send it later. It counts what passes.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What a [`Socket`] and whoever may cut it share.
pub(crate) struct Wire {
    // Held over each system call, so that a cut waits for the write that is under way, and none begins after it.
    inner: Mutex<Inner>,
    received: AtomicU64,
    written: Arc<AtomicU64>,
}

struct Inner {
    /// `None`: cut.
    stream: Option<TcpStream>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    /// Closes the connection with a reset: what the system has not sent yet is thrown away.
    pub(crate) fn cut(&self) {
        let mut inner = self.lock();
        if let Some(stream) = inner.stream.take() {
            // It fails for a socket that is no longer connected, which sends nothing.
            let _ = stream.set_zero_linger();
            drop(stream);
        }
        let wakers = (inner.reader.take(), inner.writer.take());
        drop(inner);
        [wakers.0, wakers.1].into_iter().flatten().for_each(Waker::wake);
    }

    /// How many bytes came over it.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The link's side of a [`Wire`].
pub(crate) struct Socket(Arc<Wire>);

impl Socket {
    /// What is written is added to `written`.
    pub(crate) fn new(stream: TcpStream, written: Arc<AtomicU64>) -> (Self, Arc<Wire>) {
        let inner = Inner { stream: Some(stream), reader: None, writer: None };
        let wire = Arc::new(Wire { inner: Mutex::new(inner), received: AtomicU64::new(0), written });
        (Self(Arc::clone(&wire)), wire)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.lock().stream = None;
    }
}

fn was_cut() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        let Some(stream) = &mut inner.stream else { return Poll::Ready(Err(was_cut())) };
        let before = buf.filled().len();
        let poll = Pin::new(stream).poll_read(cx, buf);
        if poll.is_pending() {
            inner.reader = Some(cx.waker().clone());
        }
        self.0.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        poll
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        let Some(stream) = &mut inner.stream else { return Poll::Ready(Err(was_cut())) };
        let poll = Pin::new(stream).poll_write(cx, buf);
        match &poll {
            Poll::Pending => inner.writer = Some(cx.waker().clone()),
            Poll::Ready(Ok(written)) => {
                self.0.written.fetch_add(*written as u64, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => {}
        }
        poll
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.lock().stream {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Err(was_cut())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.lock().stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
