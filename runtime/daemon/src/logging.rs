//! Logs: for people on a terminal, JSON elsewhere. `GENBA_LOG` sets the level, as in `GENBA_LOG=genba=trace`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// zenoh warns that gossip is off at each start; the box keeps it off on purpose.
const LEVELS: &str = "warn,genba=info,zenoh::net::routing=error";

/// Starts logging to standard error.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("GENBA_LOG").unwrap_or_else(|_| EnvFilter::new(LEVELS));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        logs.with_target(false).init();
    } else {
        logs.json().init();
    }
}
