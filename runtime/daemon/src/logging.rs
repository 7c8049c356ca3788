//! Logs: for people on a terminal, JSON elsewhere. `GENBA_LOG` sets the level, as in `GENBA_LOG=genba=debug`.
//!
//! Nobody waits for whoever reads them: a thread of their own writes the lines from a bounded queue, and a line that
//! finds it full is dropped and counted.

use std::io::{IsTerminal, stderr};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

const VARIABLE: &str = "GENBA_LOG";
/// zenoh warns that gossip is off at each start; the box keeps it off on purpose.
const LEVELS: &str = "warn,genba=info,zenoh::net::routing=error";
/// How many lines wait for a slow reader: a start writes some dozens, a running box a few a second.
const LINES: usize = 1_024;

/// What keeps the logs going. Dropped, it waits for what is still queued, at most about a second.
pub(crate) struct Logs {
    lost: ErrorCounter,
    _writer: WorkerGuard,
}

impl Logs {
    /// How many lines were dropped so far.
    pub(crate) fn lost(&self) -> usize {
        self.lost.dropped_lines()
    }
}

/// Starts logging to standard error. It starts a thread: see [`zenoh_link::prepare_process`].
pub(crate) fn start() -> Logs {
    let (filter, refused) = filter();
    let lines = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES).thread_name("genba-log");
    let (writer, guard) = lines.finish(stderr());
    let lost = writer.error_counter();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if stderr().is_terminal() {
        logs.with_target(false).init();
    } else {
        logs.json().init();
    }
    if let Some(reason) = refused {
        tracing::warn!("{VARIABLE} is not followed: {reason}. Write it as {LEVELS}, which holds meanwhile");
    }
    Logs { lost, _writer: guard }
}

/// What is logged, and why it is not what was asked for.
fn filter() -> (EnvFilter, Option<String>) {
    let asked = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let parsed = asked.map(|value| match value.to_str() {
        Some(text) => EnvFilter::builder().parse(text).map_err(|error| format!("{text:?}: {error}")),
        None => Err(format!("{} is not UTF-8", value.display())),
    });
    match parsed {
        Some(Ok(filter)) => (filter, None),
        Some(Err(reason)) => (EnvFilter::new(LEVELS), Some(reason)),
        None => (EnvFilter::new(LEVELS), None),
    }
}
