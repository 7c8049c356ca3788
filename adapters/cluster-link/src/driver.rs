//! The thread that drives all links. The daemon makes it, so that its name and its scheduling class are the daemon's.

use std::{convert::Infallible, io};

use tokio::{runtime::Handle, sync::mpsc};

/// Drives every link that is opened on its [`Runtime`], on the thread that calls [`Driver::run`].
pub struct Driver {
    runtime: tokio::runtime::Runtime,
    ended: mpsc::Receiver<Infallible>,
}

/// Where links are opened. Whatever is given to it waits until the driver runs.
#[derive(Clone)]
pub struct Runtime {
    handle: Handle,
    _alive: mpsc::Sender<Infallible>,
}

/// A driver and its runtime.
///
/// # Errors
/// The system gives no more descriptors.
pub fn runtime() -> io::Result<(Driver, Runtime)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let (alive, ended) = mpsc::channel(1);
    let handle = runtime.handle().clone();
    Ok((Driver { runtime, ended }, Runtime { handle, _alive: alive }))
}

impl Driver {
    /// Returns once every [`Runtime`] and every link is dropped. What was on its way then is given up, and recorded so.
    pub fn run(mut self) {
        let ended = self.runtime.block_on(self.ended.recv());
        assert!(ended.is_none(), "nobody can send what does not exist");
    }
}

impl Runtime {
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}
