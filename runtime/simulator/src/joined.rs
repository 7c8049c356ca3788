//! What a judge knows of joined inputs: which samples may be taken, how old the newest are, and what is lacking. Asked by
//! both judges, each of what it has seen itself; written from the design, not from the engine.

use std::collections::VecDeque;

use engine::Reason;
use message::{Malformed, Source};

use crate::{
    clock::{MILLI, SECOND},
    input::Input,
    scenario::{JoinedPlan, Scenario},
};

/// All inputs of a box, as one judge has seen them.
pub(crate) struct JoinedInputs<'s> {
    scenario: &'s Scenario,
    inputs: Vec<Seen>,
}

/// One input.
#[derive(Default)]
struct Seen {
    /// The samples that were taken, of the current source and those before it.
    newest: Option<Sample>,
    /// Of the newest picture.
    stamp: Option<u64>,
    source: Option<Source>,
    sequence: u64,
    retired: VecDeque<Source>,
    changes: Vec<u64>,
}

/// A sample that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    arrival: u64,
    age_on_arrival: u64,
}

impl Sample {
    pub(crate) fn age(self, now: u64) -> u64 {
        now - self.arrival + self.age_on_arrival
    }
}

impl<'s> JoinedInputs<'s> {
    pub(crate) fn new(scenario: &'s Scenario) -> Self {
        Self { scenario, inputs: scenario.joined.iter().map(|_| Seen::default()).collect() }
    }

    /// A sample comes: whether it is taken, or why not. `None`: the event brings none that can be read.
    pub(crate) fn arrives(&mut self, now: u64, input: &Input) -> Option<Result<usize, Reason>> {
        if let Input::Sample { input, arrival, wall, bytes } = input {
            let plan = &self.scenario.joined[*input];
            let verdict = self.inputs[*input].take(self.scenario, plan, (now, *arrival, *wall), bytes);
            return Some(verdict.map(|()| *input));
        }
        let Input::Picture { input, arrival, wall, picture } = input else { return None };
        let (synchronised, seen) = (self.scenario.joined[*input].synchronised, &mut self.inputs[*input]);
        let verdict = picture.and_then(|stamp| seen.see(synchronised, *arrival, wall + arrival, stamp));
        Some(verdict.map(|()| *input))
    }

    /// What this connection lacks to be run at `now`.
    pub(crate) fn lacks(&self, now: u64, connection: usize) -> Option<Reason> {
        let own: Vec<(&JoinedPlan, &Seen)> = self.of(connection).collect();
        if own.iter().any(|(_, seen)| seen.newest.is_none()) {
            return Some(Reason::InputMissing);
        }
        let old = own.iter().any(|(plan, seen)| seen.newest.is_some_and(|newest| newest.age(now) > plan.max_age));
        old.then_some(Reason::InputTooOld)
    }

    /// The oldest sample that this connection has at `now`.
    pub(crate) fn oldest(&self, now: u64, connection: usize) -> Option<Sample> {
        self.of(connection).filter_map(|(_, seen)| seen.newest).max_by_key(|newest| newest.age(now))
    }

    fn of(&self, connection: usize) -> impl Iterator<Item = (&JoinedPlan, &Seen)> {
        self.scenario.joined.iter().zip(&self.inputs).filter(move |(plan, _)| plan.connection == connection)
    }
}

impl Seen {
    fn take(
        &mut self,
        scenario: &Scenario,
        plan: &JoinedPlan,
        (now, arrival, wall): (u64, u64, u64),
        bytes: &[u8],
    ) -> Result<(), Reason> {
        let sample = message::Input::decode(bytes).map_err(|malformed| match malformed {
            Malformed::Truncated => Reason::Truncated,
            Malformed::Encapsulation => Reason::Encapsulation,
            Malformed::Type => Reason::WrongType,
            Malformed::Length => Reason::WrongLength,
            Malformed::Crc => Reason::Checksum,
            Malformed::Sequence => Reason::SequenceZero,
            Malformed::Kind | Malformed::Place | Malformed::Reason | Malformed::RefusalWithValues => {
                unreachable!("a sample has neither kind nor place nor reason")
            }
        })?;
        if sample.address != plan.address {
            return Err(Reason::Address);
        }
        if sample.contract != scenario.task_of(plan.connection).contract {
            return Err(Reason::Contract);
        }
        if sample.values.len() != plan.values * 4 {
            return Err(Reason::ValuesLength);
        }
        if message::floats(sample.values).any(|value| !value.is_finite()) {
            return Err(Reason::ObservationNotFinite);
        }
        let sequence = sample.sequence.value();
        let restarts = self.source.is_some_and(|source| source != sample.source);
        if self.retired.contains(&sample.source) {
            return Err(Reason::SourceRetired);
        }
        self.changes.retain(|at| now - at < SECOND);
        if restarts && self.changes.len() >= SOURCES_A_SECOND {
            return Err(Reason::SourceRate);
        }
        if !restarts && sequence <= self.sequence {
            return Err(Reason::Sequence);
        }
        let unix = wall + arrival;
        if plan.synchronised && sample.stamp.value() > unix + STAMP_AHEAD {
            return Err(Reason::StampAhead);
        }
        if restarts {
            self.changes.push(now);
            self.retired.extend(self.source);
            if self.retired.len() > SOURCES_REMEMBERED {
                self.retired.pop_front();
            }
        }
        self.source = Some(sample.source);
        self.sequence = sequence;
        let age_on_arrival = if plan.synchronised { unix.saturating_sub(sample.stamp.value()) } else { 0 };
        self.newest = Some(Sample { arrival, age_on_arrival });
        Ok(())
    }

    /// A picture that became a tensor. `unix`: the box's wall clock at its arrival.
    fn see(&mut self, synchronised: bool, arrival: u64, unix: u64, stamp: u64) -> Result<(), Reason> {
        if synchronised && stamp > unix + STAMP_AHEAD {
            return Err(Reason::StampAhead);
        }
        let newer = match self.stamp {
            None => true,
            Some(last) if synchronised => stamp > last,
            Some(last) => stamp == 0 || stamp != last,
        };
        if !newer {
            return Err(Reason::PictureRepeated);
        }
        self.stamp = Some(stamp);
        let age_on_arrival = if synchronised { unix.saturating_sub(stamp) } else { 0 };
        self.newest = Some(Sample { arrival, age_on_arrival });
        Ok(())
    }
}

const SOURCES_REMEMBERED: usize = 16;
const SOURCES_A_SECOND: usize = 8;
const STAMP_AHEAD: u64 = 5 * MILLI;
