//! Everything that a run left behind, from its events in order.

use std::time::Duration;

use crate::answer::{Answer, ReasonCode, Unread, What};
use crate::canary::Wake;
use crate::clock::Moment;
use crate::ledger::Ledger;
use crate::pacing::Pacing;
use crate::robot::Event;
use crate::round_trips::RoundTrips;
use crate::tracking::Tracking;

/// A run's books.
pub struct Recording {
    /// From an observation to its answer.
    pub deadline: Duration,
    /// What became of each observation.
    pub ledger: Ledger,
    /// How long the robot waited.
    pub round_trips: RoundTrips,
    /// How well it tracked.
    pub tracking: Tracking,
    /// How well its loop was paced.
    pub pacing: Pacing,
    /// What was no action of the model.
    pub marks: Vec<Mark>,
    /// The model's hang.
    pub hang: Option<HangSeen>,
    now_ms: u32,
    began: Option<Moment>,
}

/// A fallback or refusal, for the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Milliseconds of simulated time.
    pub now_ms: u32,
    /// What it was.
    pub kind: MarkKind,
}

/// What a mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// A fallback.
    Fallback(ReasonCode),
    /// A refusal that is no miss.
    Refused(ReasonCode),
    /// A miss.
    Missed(ReasonCode),
}

/// The model's hang as the robot saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HangSeen {
    /// When the robot asked for it, in milliseconds of simulated time.
    pub from_ms: u32,
    /// How long it was to last.
    pub asked_ms: u32,
    /// When the model first answered a newer observation.
    pub until_ms: Option<u32>,
    /// The observation that asked for it.
    pub sequence: u64,
}

impl HangSeen {
    /// How long the model was silent; for ever if it never came back.
    #[must_use]
    pub fn lasted_ms(&self) -> u32 {
        self.until_ms.map_or(u32::MAX, |until_ms| until_ms.saturating_sub(self.from_ms))
    }
}

impl Recording {
    /// Empty books for a run of this length, whose canary may be this late.
    #[must_use]
    pub fn new(duration: Duration, deadline: Duration, tolerance: Duration) -> Self {
        let observations = usize::try_from(duration.as_millis() / 2 + 1).unwrap_or(usize::MAX);
        Self {
            deadline,
            ledger: Ledger::with_capacity(observations.min(OBSERVATIONS)),
            round_trips: RoundTrips::new(),
            tracking: Tracking::default(),
            pacing: Pacing::new(tolerance),
            marks: Vec::new(),
            hang: None,
            now_ms: 0,
            began: None,
        }
    }

    /// Notes what happened.
    pub fn note(&mut self, event: Event) {
        match event {
            Event::Woke { due, late } => {
                self.began.get_or_insert(due);
                self.pacing.woke(Wake { due, late });
            }
            Event::Tracked { now_ms, error_m } => {
                self.now_ms = now_ms;
                self.tracking.note(now_ms, error_m);
            }
            Event::Sent { at } => self.ledger.sent(at),
            Event::Hung { now_ms, asked_ms } => {
                let sequence = self.ledger.totals().sent;
                self.hang = Some(HangSeen { from_ms: now_ms, asked_ms, until_ms: None, sequence });
            }
            Event::Unsent => self.pacing.unsent += 1,
            Event::Skipped => self.pacing.skipped += 1,
            Event::Answered { answer, now_ms } => self.answered(&answer, now_ms),
            Event::Unread(Unread::Malformed) => self.ledger.malformed(),
            Event::Unread(Unread::Stray) => self.ledger.unasked(),
        }
    }

    /// How far the run is, in milliseconds of simulated time.
    #[must_use]
    pub fn now_ms(&self) -> u32 {
        self.now_ms
    }

    /// When the machine stood still: from and to, in seconds of simulated time.
    pub fn standstills_s(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let began = self.began.unwrap_or(Moment::from_nanos(0));
        let seconds = move |at: Moment| at.since(began).as_secs_f64();
        self.pacing.standstills().map(move |standstill| (seconds(standstill.from), seconds(standstill.to)))
    }

    fn answered(&mut self, answer: &Answer, now_ms: u32) {
        self.ledger.received(answer, self.deadline);
        let round_trip = answer.at.since(answer.sent_at);
        let kind = match answer.what {
            What::Model(_) => {
                self.round_trips.model(round_trip);
                self.back(answer, now_ms);
                return;
            }
            What::Fallback(reason, _) => {
                self.round_trips.fallback(round_trip);
                MarkKind::Fallback(reason)
            }
            What::Refusal(reason) if reason.is_miss() => MarkKind::Missed(reason),
            What::Refusal(reason) => MarkKind::Refused(reason),
        };
        if self.marks.len() < MARKS {
            self.marks.push(Mark { now_ms, kind });
        }
    }

    /// The model answered: a hang that it was in is over.
    fn back(&mut self, answer: &Answer, now_ms: u32) {
        if let Some(hang) = &mut self.hang
            && hang.until_ms.is_none()
            && answer.sequence.is_some_and(|sequence| sequence.value() > hang.sequence)
        {
            hang.until_ms = Some(now_ms);
        }
    }
}

/// Room is made for an hour at most before the run.
const OBSERVATIONS: usize = 1_800_000;

/// More than this nobody can tell apart in a picture.
const MARKS: usize = 100_000;

#[cfg(test)]
mod tests {
    use message::{Epoch, Sequence};

    use super::*;

    fn answer(sequence: u64, what: What) -> Answer {
        Answer {
            at: Moment::from_nanos(9_000_000),
            epoch: Epoch::new(1),
            sequence: Sequence::new(sequence),
            sent_at: Moment::from_nanos(1_000_000),
            age: Duration::from_millis(1),
            what,
        }
    }

    #[test]
    fn a_hang_ends_with_the_models_next_answer_to_something_newer() {
        let mut recording = Recording::new(Duration::from_secs(1), Duration::from_millis(8), Duration::from_millis(1));
        let late = What::Fallback(ReasonCode::new(301), [0.0; 6]);
        for _ in 0..2 {
            recording.note(Event::Sent { at: Moment::from_nanos(0) });
        }
        recording.note(Event::Hung { now_ms: 2, asked_ms: 200 });
        recording.note(Event::Sent { at: Moment::from_nanos(0) });
        for (sequence, what, now_ms) in [(1, What::Model([0.0; 6]), 3), (2, late, 10), (3, What::Model([0.0; 6]), 203)]
        {
            recording.note(Event::Answered { answer: answer(sequence, what), now_ms });
        }
        let hang = recording.hang.expect("there was one");
        assert_eq!((hang.from_ms, hang.until_ms), (2, Some(203)));
        let fallback = MarkKind::Fallback(ReasonCode::new(301));
        assert_eq!(recording.marks, [Mark { now_ms: 10, kind: fallback }]);
        assert_eq!(recording.round_trips.quantiles().count, 3);
    }
}
