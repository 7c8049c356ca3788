//! What the model `remember` must answer, from nothing but what one robot sent and heard, in their order.

use std::time::{Duration, Instant};

use tests::Said;

/// The model's own.
pub(super) const MAX_GAP: Duration = Duration::from_mins(1);

/// From where the first action is measured.
const START: [f32; 6] = [7.0, 0.0, 0.0, 0.0, 0.0, 0.0];

/// Something that a robot did.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// It demanded that its state begins anew.
    Demand { from: u64 },
    /// It was answered.
    Answer {
        epoch: u64,
        sequence: u64,
        asked: Vec<f32>,
        sent: Instant,
        heard: Instant,
        said: Said,
        values: Vec<f32>,
        /// The answer says that something began anew.
        reset: bool,
    },
}

/// A rule that is not the box's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    AdvancesByFallback,
    ForgetsDemand,
    SurvivesEpoch,
    /// The previous action is the model's last, whatever went out since.
    IgnoresFallback,
}

/// What is remembered.
struct Memory {
    epoch: Option<u64>,
    last: Vec<f32>,
    demanded: Option<u64>,
    kept: Option<Kept>,
}

#[derive(Clone)]
struct Kept {
    sums: [f32; 2],
    /// The third number of the observations before, the oldest first.
    past: [f32; 2],
    angle: f32,
    /// When its last answer may have left: not before its observation, not after it was heard.
    left: (Instant, Instant),
}

/// Whether every answer follows from those before it.
pub(super) fn verify(entries: &[Entry], max_gap: Duration, wrong: Option<Wrong>) -> Result<(), String> {
    let mut memory = Memory { epoch: None, last: START.to_vec(), demanded: None, kept: None };
    for entry in entries {
        match entry {
            Entry::Demand { from } if wrong != Some(Wrong::ForgetsDemand) => memory.demanded = Some(*from),
            Entry::Demand { .. } => {}
            Entry::Answer { .. } => memory.answer(entry, max_gap, wrong).map_err(|why| format!("{entry:?}: {why}"))?,
        }
    }
    Ok(())
}

impl Memory {
    fn answer(&mut self, entry: &Entry, max_gap: Duration, wrong: Option<Wrong>) -> Result<(), String> {
        let Entry::Answer { epoch, sequence, asked, sent, heard, said, values, reset } = entry else { return Ok(()) };
        let first = self.epoch != Some(*epoch);
        if first && wrong != Some(Wrong::SurvivesEpoch) {
            *self = Self { epoch: Some(*epoch), last: START.to_vec(), demanded: None, kept: None };
        }
        self.epoch = Some(*epoch);
        if self.demanded.take_if(|from| sequence >= from).is_some() {
            self.kept = None;
        }
        if *said == Said::Action {
            self.forget_by_gap((*sent, *heard), *reset, max_gap)?;
        }
        let (expected, next) = self.compute(asked, (*sent, *heard), values);
        match said {
            Said::Action if bits(&values[..4]) == bits(&expected) => {
                self.is_reset(*reset, first)?;
                self.follows(values)?;
                self.kept = Some(next);
            }
            Said::Action => return Err(format!("expected {expected:?}")),
            Said::Fallback(_) if self.stands_in(values) && *reset == first => {
                if wrong == Some(Wrong::AdvancesByFallback) {
                    self.kept = Some(next);
                }
            }
            Said::Fallback(_) => return Err(format!("expected {:?} once more, or rest", self.last)),
            Said::Refusal(_) => return Err("a refusal".to_owned()),
        }
        if *said == Said::Action || wrong != Some(Wrong::IgnoresFallback) {
            self.last.clone_from(values);
        }
        Ok(())
    }

    /// The gap runs from a send to a start that this side did not see: what the answer says must be possible.
    fn forget_by_gap(&mut self, of: (Instant, Instant), reset: bool, max_gap: Duration) -> Result<(), String> {
        let Some(Kept { left, .. }) = self.kept else { return Ok(()) };
        let (shortest, longest) = (of.0.saturating_duration_since(left.1), of.1 - left.0);
        if reset && longest <= max_gap {
            return Err(format!("it began anew after {longest:?} at most"));
        }
        if !reset && shortest > max_gap {
            return Err(format!("it did not begin anew after {shortest:?} at least"));
        }
        if reset {
            self.kept = None;
        }
        Ok(())
    }

    /// The first four numbers, and what is remembered after them.
    fn compute(&self, asked: &[f32], left: (Instant, Instant), values: &[f32]) -> ([f32; 4], Kept) {
        let third = asked[2];
        let before = self.kept.as_ref();
        let [sum, other] = before.map_or([0.0; 2], |kept| kept.sums);
        let [oldest, older] = before.map_or([third; 2], |kept| kept.past);
        let sums = [sum + asked[0], other + asked[1]];
        let angle = values[4].atan2(values[5]);
        let number = oldest + 10.0 * older + 100.0 * third;
        ([sums[0], sums[1], self.last[0], number], Kept { sums, past: [older, third], angle, left })
    }

    /// A fallback repeats the last action for a while, then goes to rest, as fast as this model may.
    fn stands_in(&self, values: &[f32]) -> bool {
        bits(values) == bits(&self.last) || bits(values) == [0; 6]
    }

    fn is_reset(&self, reset: bool, first: bool) -> Result<(), String> {
        let fresh = self.kept.is_none();
        if reset == (fresh || first) { Ok(()) } else { Err(format!("fresh: {fresh}")) }
    }

    /// The phase begins with the state and only grows; a turn takes ten minutes.
    fn follows(&self, values: &[f32]) -> Result<(), String> {
        let (sine, cosine) = (values[4], values[5]);
        let on_the_circle = (sine * sine + cosine * cosine - 1.0).abs() < 1e-5;
        let follows = match &self.kept {
            None => bits(&[sine, cosine]) == bits(&[0.0, 1.0]),
            Some(kept) => sine.atan2(cosine) >= kept.angle,
        };
        if on_the_circle && follows { Ok(()) } else { Err(format!("a phase of {sine} and {cosine}")) }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
