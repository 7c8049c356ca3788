//! One line on a terminal, nothing elsewhere.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What is being measured, and until when at the latest.
pub(super) struct Progress {
    now: Mutex<(String, Instant)>,
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { now: Mutex::new((String::new(), Instant::now())), shown: stderr().is_terminal() }
    }

    /// Something else begins. `ends` is the end of everything.
    pub(super) fn begin(&self, what: String, ends: Instant) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = (what, ends);
    }

    /// Draws the line anew.
    pub(super) fn draw(&self) {
        let (what, ends) = &*self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shown && !what.is_empty() {
            let left = ends.saturating_duration_since(Instant::now()) + Duration::from_millis(500);
            eprint!("\r\x1b[K{what}, at most {} s left", left.as_secs());
            // A line that is not drawn is no loss.
            let _ = stderr().flush();
        }
    }

    /// Clears it.
    pub(super) fn end(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
