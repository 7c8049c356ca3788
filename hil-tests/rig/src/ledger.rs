//! The robot's own ledger: what became of each observation that it sent.
//!
//! sent = by the model + by fallback + refused + missed + superseded + lost. Nothing here comes from
//! the box but its answers; the box's figures are compared with these, not copied.

use std::collections::BTreeMap;
use std::time::Duration;

use message::Sequence;
use serde::Serialize;

use crate::answer::{Answer, ReasonCode, What};
use crate::clock::Moment;

/// The account of one epoch. Sequences count from 1 without a gap.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    /// The newest sequence that an action or fallback answered, 0 before the first.
    newest: usize,
    totals: Totals,
}

/// How many observations ended how, and what should not have come at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Observations handed to the link.
    pub sent: u64,
    /// Answered by the model.
    pub model: u64,
    /// Answered by a fallback, by reason number.
    pub fallbacks: BTreeMap<u16, u64>,
    /// Refused, by reason number; misses apart.
    pub refused: BTreeMap<u16, u64>,
    /// Refused because the box was too late to be allowed to act, by reason number.
    pub missed: BTreeMap<u16, u64>,
    /// Without an answer of their own, but followed by a newer action or fallback.
    pub superseded: u64,
    /// Responses to an observation that already had one.
    pub twice: u64,
    /// Actions and fallbacks that were not newer than the last one.
    pub out_of_order: u64,
    /// Responses to nothing that was sent in this epoch.
    pub unasked: u64,
    /// Responses that could not be read.
    pub malformed: u64,
    /// Responses whose age, by the box's own clock, was over the deadline.
    pub over_age: u64,
}

/// What is known of one observation.
#[derive(Debug, Clone, Copy)]
struct Entry {
    sent_at: Moment,
    /// Whether a response carried its sequence.
    answered: bool,
    /// Whether it was refused, so that nothing is owed for it.
    refused: bool,
    /// Whether the box said that it was too late.
    missed: bool,
    /// When an action or fallback with this or a newer sequence came.
    covered_at: Option<Moment>,
}

/// From an observation's sending to the first action or fallback for it or a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When the observation was sent.
    pub sent_at: Moment,
    /// When it, or a newer one, was answered.
    pub covered_at: Option<Moment>,
    /// Whether the box said that it was too late for an answer.
    pub missed: bool,
}

impl Ledger {
    /// An account with room for this many observations.
    #[must_use]
    pub fn with_capacity(observations: usize) -> Self {
        Self { entries: Vec::with_capacity(observations), ..Self::default() }
    }

    /// Notes that the next observation was sent.
    pub fn sent(&mut self, at: Moment) {
        self.entries.push(Entry { sent_at: at, answered: false, refused: false, missed: false, covered_at: None });
        self.totals.sent += 1;
    }

    /// Notes a response of this epoch.
    pub fn received(&mut self, answer: &Answer, deadline: Duration) {
        if answer.age > deadline && answer.what.torque().is_some() {
            self.totals.over_age += 1;
        }
        let Some(place) = answer.sequence.and_then(place) else {
            return self.unreadable(answer.what);
        };
        let Some(entry) = self.entries.get_mut(place) else {
            self.totals.unasked += 1;
            return;
        };
        if entry.answered {
            self.totals.twice += 1;
            return;
        }
        entry.answered = true;
        if place < self.newest {
            // it was taken for superseded
            self.totals.superseded -= 1;
        }
        match answer.what {
            What::Model(_) => self.totals.model += 1,
            What::Fallback(reason, _) => count(&mut self.totals.fallbacks, reason),
            What::Refusal(reason) => {
                (entry.refused, entry.missed) = (!reason.is_miss(), reason.is_miss());
                self.refused(reason);
                return;
            }
        }
        self.covered(place, answer.at);
    }

    /// Notes a frame that is no response.
    pub fn malformed(&mut self) {
        self.totals.malformed += 1;
    }

    /// Notes a response to another robot, contract or epoch.
    pub fn unasked(&mut self) {
        self.totals.unasked += 1;
    }

    /// The figures so far.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The windows of all observations that were not refused, in order.
    pub fn windows(&self) -> impl Iterator<Item = Window> + '_ {
        self.entries.iter().filter(|entry| !entry.refused).map(|entry| Window {
            sent_at: entry.sent_at,
            covered_at: entry.covered_at,
            missed: entry.missed,
        })
    }

    fn refused(&mut self, reason: ReasonCode) {
        let totals = &mut self.totals;
        count(if reason.is_miss() { &mut totals.missed } else { &mut totals.refused }, reason);
    }

    /// A refusal of a frame that could not be read discharges no observation: that one stays lost.
    fn unreadable(&mut self, what: What) {
        match what {
            What::Refusal(_) => self.totals.malformed += 1,
            What::Model(_) | What::Fallback(..) => self.totals.unasked += 1,
        }
    }

    /// An action or fallback came for this place: all older ones need no answer any more.
    fn covered(&mut self, place: usize, at: Moment) {
        let through = place + 1;
        if through <= self.newest {
            self.totals.out_of_order += 1;
            return;
        }
        for entry in &mut self.entries[self.newest..through] {
            entry.covered_at = Some(at);
            if !entry.answered {
                self.totals.superseded += 1;
            }
        }
        self.newest = through;
    }
}

impl Totals {
    /// Answered by a fallback, for whatever reason.
    #[must_use]
    pub fn fallback(&self) -> u64 {
        self.fallbacks.values().sum()
    }

    /// Refused, for whatever reason; misses apart.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Missed, for whatever cause.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.missed.values().sum()
    }

    /// Without any answer yet; at the end of a run, lost.
    #[must_use]
    pub fn open(&self) -> u64 {
        let ended = self.model + self.fallback() + self.refusals() + self.misses() + self.superseded;
        self.sent.checked_sub(ended).expect("each observation ends once")
    }
}

fn count(counts: &mut BTreeMap<u16, u64>, reason: ReasonCode) {
    *counts.entry(reason.number()).or_default() += 1;
}

fn place(sequence: Sequence) -> Option<usize> {
    usize::try_from(sequence.value() - 1).ok()
}

#[cfg(test)]
mod tests {
    use message::Epoch;
    use proptest::prelude::*;

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(8);

    fn answer(sequence: u64, at_ms: u64, what: What) -> Answer {
        Answer {
            at: Moment::from_nanos(at_ms * 1_000_000),
            epoch: Epoch::new(1),
            sequence: Sequence::new(sequence),
            sent_at: Moment::from_nanos(0),
            age: Duration::from_millis(1),
            what,
        }
    }

    fn model() -> What {
        What::Model([0.0; 6])
    }

    fn fallback(reason: u16) -> What {
        What::Fallback(ReasonCode::new(reason), [0.0; 6])
    }

    fn refusal(reason: u16) -> What {
        What::Refusal(ReasonCode::new(reason))
    }

    fn ledger(sent: u64) -> Ledger {
        let mut ledger = Ledger::with_capacity(8);
        for n in 0..sent {
            ledger.sent(Moment::from_nanos(n * 2_000_000));
        }
        ledger
    }

    #[test]
    fn each_observation_ends_once() {
        let mut ledger = ledger(8);
        for answer in [
            answer(1, 1, model()),
            answer(4, 9, fallback(301)),
            answer(3, 10, refusal(208)),
            answer(5, 11, refusal(401)),
            answer(7, 14, model()),
        ] {
            ledger.received(&answer, DEADLINE);
        }
        let totals = ledger.totals();
        assert_eq!((totals.model, totals.fallback(), totals.refusals(), totals.misses()), (2, 1, 1, 1));
        assert_eq!(totals.superseded, 2, "2 and 6 were followed by a newer answer");
        assert_eq!(totals.open(), 1, "8 has none");
        assert_eq!((totals.twice, totals.out_of_order, totals.unasked), (0, 0, 0));
        assert_eq!(totals.fallbacks, BTreeMap::from([(301, 1)]));
    }

    #[test]
    fn a_window_ends_with_the_first_action_or_fallback_that_is_as_new() {
        let mut ledger = ledger(4);
        for answer in [answer(1, 3, refusal(208)), answer(3, 9, fallback(301)), answer(2, 10, refusal(401))] {
            ledger.received(&answer, DEADLINE);
        }
        let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
        let windows: Vec<_> = ledger.windows().collect();
        let window = |sent_ms, covered_at, missed| Window { sent_at: at(sent_ms), covered_at, missed };
        // nothing is owed for 1, which was refused
        assert_eq!(windows, [window(2, Some(at(9)), true), window(4, Some(at(9)), false), window(6, None, false)]);
    }

    #[test]
    fn what_should_not_have_come_is_counted_and_changes_nothing() {
        let mut ledger = ledger(4);
        ledger.received(&answer(2, 5, model()), DEADLINE);
        let before = ledger.totals().clone();
        ledger.received(&answer(2, 6, model()), DEADLINE);
        ledger.received(&answer(2, 6, refusal(208)), DEADLINE);
        ledger.received(&answer(9, 6, model()), DEADLINE);
        ledger.received(&answer(0, 6, refusal(105)), DEADLINE);
        let after = ledger.totals();
        assert_eq!((after.twice, after.unasked, after.malformed), (2, 1, 1));
        assert_eq!((after.model, after.superseded, after.open()), (before.model, before.superseded, before.open()));
    }

    #[test]
    fn an_older_action_after_a_newer_one_is_out_of_order() {
        let mut ledger = ledger(3);
        ledger.received(&answer(3, 5, model()), DEADLINE);
        ledger.received(&answer(1, 6, model()), DEADLINE);
        let totals = ledger.totals();
        assert_eq!((totals.out_of_order, totals.model, totals.superseded, totals.open()), (1, 2, 1, 0));
    }

    #[test]
    fn an_action_that_the_box_handed_over_too_late_is_seen() {
        let mut ledger = ledger(2);
        let late = |sequence, what| Answer { age: DEADLINE + Duration::from_micros(1), ..answer(sequence, 9, what) };
        ledger.received(&late(1, refusal(401)), DEADLINE);
        assert_eq!(ledger.totals().over_age, 0, "a refusal may be late");
        ledger.received(&late(2, model()), DEADLINE);
        assert_eq!(ledger.totals().over_age, 1);
    }

    proptest! {
        /// Whatever comes in whatever order, the account balances (`open` panics if it does not).
        #[test]
        fn the_account_always_balances(
            sent in 0..20_u64,
            answers in prop::collection::vec((0..25_u64, 0..5_u8), 0..60),
        ) {
            let mut ledger = ledger(sent);
            for (n, (sequence, kind)) in answers.into_iter().enumerate() {
                let what = match kind {
                    0 | 1 => model(),
                    2 => fallback(301),
                    3 => refusal(208),
                    _ => refusal(401),
                };
                ledger.received(&answer(sequence, n as u64, what), DEADLINE);
                let open = ledger.totals().open();
                let unended = ledger.entries.iter().filter(|entry| !entry.answered && entry.covered_at.is_none());
                prop_assert_eq!(open, unended.count() as u64);
            }
        }
    }
}
