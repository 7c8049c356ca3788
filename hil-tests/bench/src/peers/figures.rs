//! What one turn says, and what several rounds say together.

use serde::Serialize;

use super::ledger::{Counts, Kept, Window};
use super::turn::BoxLedger;
use crate::statistics::Spread;

/// One client's part of one turn.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Side {
    pub(crate) p50_us: Option<f64>,
    /// Only with 10 samples beyond it, as p99.9.
    pub(crate) p99_us: Option<f64>,
    pub(crate) p999_us: Option<f64>,
    /// Of all requests: an action or a fallback came within the deadline, a newer observation's included.
    pub(crate) on_time_share: f64,
    /// Of all requests: the model's own action came within the deadline.
    pub(crate) model_share: f64,
    /// The model's actions within the deadline, a second.
    pub(crate) goodput_hz: f64,
    pub(crate) offered_hz: f64,
    pub(crate) counts: Counts,
    /// Requests not answered in time, and fallbacks, while a core stood still: the machine's.
    pub(crate) excused: Excused,
    /// `on_time_share` and `model_share` of all requests but those.
    pub(crate) judged_on_time: f64,
    pub(crate) judged_model: f64,
}

/// How many requests a standstill of the machine excuses.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Excused {
    pub(crate) not_on_time: u64,
    pub(crate) fell_back: u64,
}

/// One turn.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) control: Side,
    pub(crate) load: Option<Side>,
    pub(crate) of_the_box: Option<BoxLedger>,
    pub(crate) standstills: Standstills,
}

impl Figures {
    /// How many actions and fallbacks came after their deadline, by the clients' clock.
    #[allow(clippy::cast_precision_loss, reason = "the requests of some seconds")]
    pub(crate) fn late(&self) -> f64 {
        let sides = [Some(&self.control), self.load.as_ref()].into_iter().flatten();
        sides.map(|side| side.counts.model_late + side.counts.fallback_late).sum::<u64>() as f64
    }
}

/// How long the cores stood still for threads of the highest priority, for more than a millisecond each time.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Standstills {
    pub(crate) count: usize,
    pub(crate) total_ms: f64,
    pub(crate) longest_ms: f64,
}

impl Standstills {
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of some seconds")]
    pub(crate) fn of(standstills: &[Window]) -> Self {
        let ms = standstills.iter().map(|(from, to)| (to - from) as f64 / 1e6);
        Self { count: standstills.len(), total_ms: ms.clone().sum(), longest_ms: ms.fold(0.0, f64::max) }
    }
}

/// Medians over the rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Summary {
    pub(crate) p50_us: Option<Spread>,
    pub(crate) p99_us: Option<Spread>,
    pub(crate) p999_us: Option<Spread>,
    pub(crate) on_time_share: Spread,
    pub(crate) model_share: Spread,
    pub(crate) goodput_hz: Spread,
    pub(crate) offered_hz: Spread,
    /// Over all rounds.
    pub(crate) excused: u64,
    pub(crate) late: u64,
    pub(crate) errors: u64,
    pub(crate) unanswered: u64,
}

/// Fewer samples than this beyond a quantile do not say where it is.
const BEYOND: f64 = 10.0;

impl Side {
    #[allow(clippy::cast_precision_loss, reason = "the requests of some seconds")]
    pub(crate) fn of(kept: &Kept, standstills: &[Window]) -> Self {
        let Kept { counts, seconds, not_on_time, fell_back, .. } = kept;
        let excused =
            Excused { not_on_time: held_up(not_on_time, standstills), fell_back: held_up(fell_back, standstills) };
        let judged = |count: u64, excused: u64| count as f64 / counts.sent.saturating_sub(excused).max(1) as f64;
        let mut sorted = kept.times_us.clone();
        sorted.sort_by(f64::total_cmp);
        let share = |count: u64| count as f64 / counts.sent.max(1) as f64;
        Self {
            p50_us: quantile(&sorted, 0.5),
            p99_us: quantile(&sorted, 0.99),
            p999_us: quantile(&sorted, 0.999),
            on_time_share: share(counts.on_time()),
            model_share: share(counts.model),
            goodput_hz: counts.model as f64 / seconds,
            offered_hz: counts.sent as f64 / seconds,
            counts: *counts,
            excused,
            judged_on_time: judged(counts.on_time(), excused.not_on_time),
            judged_model: judged(counts.model, excused.not_on_time + excused.fell_back),
        }
    }
}

/// In how many of the windows a core stood still.
fn held_up(windows: &[Window], standstills: &[Window]) -> u64 {
    let overlaps = |(from, to): &Window| standstills.iter().any(|(begun, ended)| begun < to && from < ended);
    windows.iter().filter(|window| overlaps(window)).count() as u64
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
fn quantile(sorted: &[f64], quantile: f64) -> Option<f64> {
    let beyond = sorted.len() as f64 * (1.0 - quantile);
    let place = sorted.len().checked_sub(1)?.min((sorted.len() as f64 * quantile) as usize);
    (beyond >= BEYOND - 1e-6).then(|| sorted[place])
}

impl Summary {
    pub(crate) fn of(rounds: &[Side]) -> Self {
        let spread = |figure: fn(&Side) -> f64| Spread::of(rounds.iter().map(figure));
        let maybe = |figure: fn(&Side) -> Option<f64>| {
            let figures: Vec<f64> = rounds.iter().filter_map(figure).collect();
            (figures.len() == rounds.len()).then(|| Spread::of(figures))
        };
        let sum = |count: fn(&Counts) -> u64| rounds.iter().map(|round| count(&round.counts)).sum();
        Self {
            p50_us: maybe(|round| round.p50_us),
            p99_us: maybe(|round| round.p99_us),
            p999_us: maybe(|round| round.p999_us),
            on_time_share: spread(|round| round.on_time_share),
            model_share: spread(|round| round.model_share),
            goodput_hz: spread(|round| round.goodput_hz),
            offered_hz: spread(|round| round.offered_hz),
            excused: rounds.iter().map(|round| round.excused.not_on_time).sum(),
            late: sum(Counts::late),
            errors: sum(|counts| counts.refused + counts.failed),
            unanswered: sum(|counts| counts.unanswered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_excuses_what_it_overlaps() {
        let standstills = [(100, 200)];
        assert_eq!(held_up(&[(0, 100), (0, 101), (150, 160), (199, 300), (200, 300)], &standstills), 3);
        assert_eq!(held_up(&[(0, 1_000)], &[]), 0);
    }

    #[test]
    fn a_quantile_takes_ten_samples_beyond_it() {
        let sorted: Vec<f64> = (0..1_000).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.99), Some(990.0));
        assert_eq!(quantile(&sorted[..990], 0.99), None);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
