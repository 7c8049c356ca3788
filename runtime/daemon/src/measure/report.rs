//! What was found, for people and for programs.

use std::{path::PathBuf, time::Duration};

use miette::{IntoDiagnostic, Result};
use serde::Serialize;

use super::setup::Setup;
use crate::{
    plan::Plan,
    timing::{Execution, Quantile, Record, Timed},
};

/// A record, where it is written, and what a task gets out of it.
pub(super) struct Finding {
    pub(super) record: Record,
    pub(super) path: PathBuf,
    /// The highest that a task asks for.
    pub(super) quantile: Quantile,
    /// The system refused the scheduling class that the config asks for.
    pub(super) lacks_rights: bool,
}

/// The same, as `--json` prints it.
#[derive(Serialize)]
struct Printed<'f> {
    model: &'f str,
    worker: &'f str,
    record: PathBuf,
    page: PathBuf,
    execution_quantile: String,
    execution_us: Option<u64>,
    /// The execution time holds for inferences that come at most this long after the last one.
    longest_pause_us: Option<u64>,
    inconclusive: Vec<String>,
}

impl Finding {
    pub(super) fn page(&self) -> PathBuf {
        self.path.with_extension("html")
    }

    pub(super) fn execution(&self) -> Option<Execution> {
        self.record.execution(self.quantile)
    }

    /// The result in a sentence, if there is one.
    pub(super) fn headline(&self) -> Option<String> {
        let Execution { time, scene, longest_pause } = self.execution()?;
        let pauses = match longest_pause {
            Duration::ZERO => "back to back".to_owned(),
            pause => format!("with pauses of up to {}", span(pause)),
        };
        let share = percent(self.quantile);
        Some(format!("{share} % of inferences took at most {}, {pauses} (worst: {scene})", span(time)))
    }

    /// Why this says less than was asked for.
    pub(super) fn inconclusive(&self) -> impl Iterator<Item = String> {
        let rights = self.lacks_rights.then(|| {
            format!(
                "the system refused SCHED_FIFO, so this holds for the class that was granted ({}) and not for a box that \
                 has the right; give the process CAP_SYS_NICE or raise its rtprio limit",
                self.record.binding.scheduling
            )
        });
        let samples = self.execution().is_none().then(|| {
            format!(
                "too few samples for the quantile {}: it takes {} in each scene; measure longer with --seconds, or lower the \
                 task's execution_quantile",
                self.quantile,
                self.quantile.needs()
            )
        });
        rights.into_iter().chain(samples)
    }
}

/// What is about to happen.
pub(super) fn announce(plan: &Plan, setups: &[Setup], whole: Duration) {
    let seconds = whole.as_secs() * setups.len() as u64;
    println!("measures {} of {} for at most about {seconds} s …", count(setups.len(), "set-up"), plan.config.name);
}

/// One finding, for people.
pub(super) fn print(finding: &Finding) {
    let record = &finding.record;
    println!("model     {} {}", record.origin.model, record.binding.model_sha256);
    println!("worker    {}: {}, {}", record.origin.worker, record.binding.scheduling, record.binding.device.name);
    println!(
        "{:<44} {:>9} {}",
        "",
        "samples",
        columns(&Quantile::STATED.map(|quantile| format!("p{}", percent(quantile))))
    );
    for timed in record.scenes() {
        println!("  {:<42} {:>9} {}", timed.scene.to_string(), timed.times_ns.samples(), columns(&quantiles(timed)));
    }
    if let Some(headline) = finding.headline() {
        println!("execution {headline}");
    }
    for reason in finding.inconclusive() {
        println!("inconclusive: {reason}");
    }
    println!("record    {}", finding.path.display());
    println!("page      {}", finding.page().display());
}

/// All findings, for programs.
pub(super) fn print_json(findings: &[Finding]) -> Result<()> {
    let printed: Vec<_> = findings.iter().map(printed).collect();
    println!("{}", serde_json::to_string_pretty(&printed).into_diagnostic()?);
    Ok(())
}

fn printed(finding: &Finding) -> Printed<'_> {
    let micros = |span: Duration| u64::try_from(span.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
    let Finding { record, path, quantile, .. } = finding;
    Printed {
        model: &record.origin.model,
        worker: &record.origin.worker,
        record: path.clone(),
        page: finding.page(),
        execution_quantile: quantile.to_string(),
        execution_us: finding.execution().map(|execution| micros(execution.time)),
        longest_pause_us: finding.execution().map(|execution| micros(execution.longest_pause)),
        inconclusive: finding.inconclusive().collect(),
    }
}

/// A scene's quantiles; those that nobody knows are a dash.
pub(super) fn quantiles(timed: &Timed) -> [String; 5] {
    Quantile::STATED.map(|quantile| timed.times_ns.quantile(quantile).map_or("–".to_owned(), span))
}

/// Three digits and a unit.
pub(super) fn span(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..9.995 => format!("{micros:.2} µs"),
        ..99.95 => format!("{micros:.1} µs"),
        ..999.5 => format!("{micros:.0} µs"),
        ..9_995.0 => format!("{:.2} ms", micros / 1e3),
        ..99_950.0 => format!("{:.1} ms", micros / 1e3),
        ..999_500.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

/// `99.9` of 0.999.
pub(super) fn percent(quantile: Quantile) -> String {
    let digits = format!("{:0<6}", quantile.to_string().trim_start_matches("0."));
    let (whole, rest) = digits.split_at(2);
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
}

pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn columns(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text:>9}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_digits() {
        let shown =
            [1, 12_345, 999_400, 999_600, 105_000_000, 2_000_000_000].map(|nanos| span(Duration::from_nanos(nanos)));
        assert_eq!(shown, ["0.00 µs", "12.3 µs", "999 µs", "1.00 ms", "105 ms", "2.00 s"]);
    }

    #[test]
    fn quantiles_are_called_as_the_field_calls_them() {
        assert_eq!(Quantile::STATED.map(percent), ["50", "90", "99", "99.9", "99.99"]);
    }
}
