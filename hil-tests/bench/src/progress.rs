//! A bar on a terminal, nothing elsewhere.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

/// How far a mode has come.
pub(crate) struct Progress {
    what: String,
    steps: usize,
    done: usize,
    begun: Option<Instant>,
    shown: bool,
}

const WIDTH: usize = 30;

impl Progress {
    /// Something that takes so many steps of about the same length.
    pub(crate) fn new(what: impl Display, steps: usize) -> Self {
        let progress = Self { what: what.to_string(), steps, done: 0, begun: None, shown: stderr().is_terminal() };
        progress.show("starting the servers");
        progress
    }

    /// One more step is done.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let left = self.steps.saturating_sub(self.done);
        // The first step began before the clock.
        let seconds = begun.elapsed().as_secs_f64() / f64::from(u32::try_from(self.done).unwrap_or(u32::MAX))
            * f64::from(u32::try_from(left).unwrap_or(u32::MAX));
        self.show(&format!("about {seconds:.0} s left"));
    }

    /// Clears the line.
    pub(crate) fn end(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }

    fn show(&self, note: &str) {
        if self.shown {
            let full = (self.done * WIDTH / self.steps.max(1)).min(WIDTH);
            let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH - full));
            eprint!("\r\x1b[K{:<14} [{bar}] {note}", self.what);
            // A bar that is not drawn is no loss.
            let _ = stderr().flush();
        }
    }
}
