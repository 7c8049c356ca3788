//! The run as it goes, on the terminal: redrawn in place, or one line a second where there is none.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::answer::ReasonCode;
use crate::clock::Moment;
use crate::recording::Recording;
use crate::summary::ms;

/// Where the run is shown: standard error, so that standard output stays for the summary.
pub(crate) struct Screen {
    in_place: bool,
    duration: Duration,
    drawn_at: Option<Moment>,
    /// Lines of the last picture, which the next one replaces.
    lines: usize,
}

impl Screen {
    /// Shows a run of this length.
    #[must_use]
    pub(crate) fn new(duration: Duration) -> Self {
        Self { in_place: io::stderr().is_terminal(), duration, drawn_at: None, lines: 0 }
    }

    /// How long to wait for events before looking here again.
    #[must_use]
    pub(crate) fn period(&self) -> Duration {
        if self.in_place { Duration::from_millis(200) } else { Duration::from_secs(1) }
    }

    /// Shows the run if its last picture is old enough.
    pub(crate) fn show(&mut self, recording: &Recording) {
        let now = Moment::now();
        if self.drawn_at.is_some_and(|last| now.since(last) < self.period()) {
            return;
        }
        self.drawn_at = Some(now);
        if self.in_place {
            self.redraw(&picture(recording, self.duration));
        } else {
            eprintln!("{}", line(recording));
        }
    }

    /// Shows the end of the run, whatever was shown last.
    pub(crate) fn last(&mut self, recording: &Recording) {
        self.drawn_at = None;
        self.show(recording);
        eprintln!();
    }

    fn redraw(&mut self, picture: &str) {
        let mut out = String::new();
        if self.lines > 0 {
            write!(out, "\x1b[{}A", self.lines).expect("writing to a String cannot fail");
        }
        for line in picture.lines() {
            // erase what a longer line has left
            writeln!(out, "{line}\x1b[K").expect("writing to a String cannot fail");
        }
        out.push_str("\x1b[J");
        self.lines = picture.lines().count();
        // A terminal that is gone is no reason to end the run.
        let _ = io::stderr().write_all(out.as_bytes());
    }
}

/// The run in a few lines.
#[must_use]
pub(crate) fn picture(recording: &Recording, duration: Duration) -> String {
    let totals = recording.ledger.totals();
    let quantiles = recording.round_trips.quantiles();
    let (now_mm, rms_mm) = errors(recording);
    let mut picture = format!(
        "{}\n\
         tracking error   {now_mm:>9}   RMS {rms_mm}\n\
         by the model     {:>9}\n\
         by a fallback    {:>9}   {}\n\
         superseded       {:>9}\n\
         refused          {:>9}   {}\n\
         missed           {:>9}   {}\n",
        bar(recording.now_ms(), duration),
        totals.model,
        totals.fallback(),
        reasons(&totals.fallbacks),
        totals.superseded,
        totals.refusals(),
        reasons(&totals.refused),
        totals.misses(),
        reasons(&totals.missed),
    );
    let [p50, p99, p999, max] = [quantiles.p50_us, quantiles.p99_us, quantiles.p999_us, quantiles.max_us].map(ms);
    writeln!(picture, "round trip       p50 {p50}   p99 {p99}   p99.9 {p999}   max {max}")
        .expect("writing to a String cannot fail");
    picture
}

fn line(recording: &Recording) -> String {
    let totals = recording.ledger.totals();
    let quantiles = recording.round_trips.quantiles();
    let (now_mm, rms_mm) = errors(recording);
    format!(
        "{:5.1} s  error {now_mm} (RMS {rms_mm})  model {}  fallback {}  superseded {}  refused {}  missed {}  \
         round trip p50 {} p99 {} max {}",
        f64::from(recording.now_ms()) / 1000.0,
        totals.model,
        totals.fallback(),
        totals.superseded,
        totals.refusals(),
        totals.misses(),
        ms(quantiles.p50_us),
        ms(quantiles.p99_us),
        ms(quantiles.max_us),
    )
}

fn errors(recording: &Recording) -> (String, String) {
    let shown = |error: Option<f64>| error.map_or_else(|| "-".to_owned(), |mm| format!("{mm:.2} mm"));
    (shown(recording.tracking.now_mm()), shown(recording.tracking.rms_mm()))
}

fn reasons(counts: &std::collections::BTreeMap<u16, u64>) -> String {
    let shown = counts.iter().map(|(number, count)| format!("{count} × {}", ReasonCode::new(*number)));
    shown.collect::<Vec<_>>().join(", ")
}

fn bar(now_ms: u32, duration: Duration) -> String {
    const WIDTH: u128 = 40;
    let total = duration.as_millis().max(1);
    let now = u128::from(now_ms).min(total);
    let full = now * WIDTH / total;
    let cells: String = (0..WIDTH).map(|cell| if cell < full { '█' } else { '░' }).collect();
    let left = Duration::from_millis(u64::try_from(total - now).unwrap_or(u64::MAX));
    format!("{cells}  {:.0} s left", left.as_secs_f64().ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        let at = |now_ms| bar(now_ms, Duration::from_secs(20));
        assert!(at(0).starts_with('░') && at(0).ends_with("20 s left"), "{}", at(0));
        assert_eq!(at(10_000).matches('█').count(), 20);
        assert!(at(20_000).ends_with("0 s left") && !at(20_000).contains('░'), "{}", at(20_000));
        assert_eq!(at(90_000), at(20_000));
    }

    #[test]
    fn an_empty_run_has_a_picture() {
        let recording = Recording::new(Duration::from_secs(1), Duration::from_millis(8), Duration::from_millis(1));
        assert_eq!(picture(&recording, Duration::from_secs(1)).lines().count(), 8);
        assert!(line(&recording).contains("model 0"));
    }
}
