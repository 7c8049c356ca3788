//! joined: inputs that come from topics of their own. One topic triggers an inference, its observations; each joined
//! input contributes its newest sample, if that is not too old.
//!
//! Nobody waits for a sample: without one, or with one that is too old, the fallback answers at once. That is asked when
//! an observation is admitted and could start, and again whenever a worker of its model is free, so that nothing is run
//! with an older sample than declared. What an inference runs with is chosen as it starts.
//!
//! A sample's age counts from its arrival, or, where its input's clock is declared as synchronised with the box's, from
//! its stamp. The box's wall clock is asked once, at the arrival; from there on the monotonic clock counts, so that a
//! wall clock that is set meanwhile makes no sample older or younger.

use heapless::Deque;
use message::{Address, Sequence, Source, Stamp};

use crate::{
    connection::push_newest,
    engine::Engine,
    fault::Fault,
    reason::Reason,
    sample::SampleLedger,
    task::ConnectionId,
    time::{Duration, Instant},
};

/// The most joined inputs of one connection. Each start looks at all of them.
pub const MAX_INPUTS: usize = 4;

const RETIRED_SOURCES: usize = 16;
const SOURCE_CHANGES_A_SECOND: usize = 8;

/// Which joined input of which connection, by its place in the table handed to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InputId(pub u16);

/// By which clock a sample's age counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleClock {
    /// From its arrival at the box: how long it was on its way is not in it.
    Arrival,
    /// From its stamp, which its sender took from a clock that is synchronised with the box's wall clock.
    Synchronised,
}

/// What the samples of an input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Frames of `InputV1`, which the engine reads.
    Values {
        /// What they are addressed to.
        address: Address,
        /// How many f32 values each has.
        values: usize,
    },
    /// A camera's pictures, which are read elsewhere: that takes longer than anybody may wait for the engine.
    Pictures,
}

/// One joined input of one connection.
#[derive(Debug, Clone, Copy)]
pub struct JoinedSpec {
    /// Whose it is.
    pub connection: ConnectionId,
    /// What its samples are.
    pub carries: Carries,
    /// No inference runs with a sample that is older when it starts.
    pub max_age: Duration,
    /// By which clock that is.
    pub clock: SampleClock,
}

/// One joined input's state. The daemon allocates a table of them and lends it to the engine.
#[derive(Debug)]
pub struct Joined {
    pub(crate) spec: JoinedSpec,
    pub(crate) newest: Option<Sampled>,
    pub(crate) senders: Senders,
    /// The stamp of the newest picture.
    pub(crate) pictured: Option<Stamp>,
    pub(crate) ledger: SampleLedger,
}

impl Joined {
    /// An input of which no sample has come.
    #[must_use]
    pub fn new(spec: JoinedSpec) -> Self {
        Self { spec, newest: None, senders: Senders::default(), pictured: None, ledger: SampleLedger::default() }
    }
}

/// When a sample was taken, as far as the box knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sampled {
    pub(crate) arrival: Instant,
    /// How old it was on its arrival.
    pub(crate) age_on_arrival: Duration,
}

impl Sampled {
    pub(crate) fn age(self, now: Instant) -> Duration {
        self.age_on_arrival.plus(now.since(self.arrival))
    }
}

/// Where a connection's inputs lie in the table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Places {
    pub(crate) first: u16,
    pub(crate) count: u16,
}

/// Who sends an input's samples, and how far it has come.
#[derive(Debug, Default)]
pub(crate) struct Senders {
    source: Option<Source>,
    retired: Deque<Source, RETIRED_SOURCES>,
    changes: Deque<Instant, SOURCE_CHANGES_A_SECOND>,
    last_sequence: u64,
}

impl Senders {
    /// Whether a sample of this source and sequence may be taken. It holds for a source what holds for a controller's
    /// epoch: a new one takes over, a retired one does not come back, and only so many come within a second.
    pub(crate) fn judge(&self, source: Source, sequence: Sequence, now: Instant) -> Result<(), Reason> {
        if self.source == Some(source) {
            return if sequence.value() > self.last_sequence { Ok(()) } else { Err(Reason::Sequence) };
        }
        if self.retired.iter().any(|retired| *retired == source) {
            return Err(Reason::SourceRetired);
        }
        let recent = self.changes.iter().filter(|change| now.since(**change) < Duration::SECOND).count();
        if recent >= SOURCE_CHANGES_A_SECOND { Err(Reason::SourceRate) } else { Ok(()) }
    }

    /// This sample was taken.
    pub(crate) fn take(&mut self, source: Source, sequence: Sequence, now: Instant) {
        if let Some(old) = self.source.filter(|old| *old != source) {
            push_newest(&mut self.retired, old);
            push_newest(&mut self.changes, now);
        }
        self.source = Some(source);
        self.last_sequence = sequence.value();
    }
}

impl Engine<'_> {
    /// The joined inputs of this connection.
    pub(crate) fn joined_of(&self, id: ConnectionId) -> &[Joined] {
        let Places { first, count } = self.peek(id).joined;
        let places = usize::from(first)..usize::from(first).saturating_add(usize::from(count));
        self.tables.inputs.get(places).expect("Engine::new found them there")
    }

    /// Why the model cannot be run for this connection now.
    pub(crate) fn lacks(&self, id: ConnectionId) -> Option<Reason> {
        let joined = self.joined_of(id);
        if joined.iter().any(|input| input.newest.is_none()) && !self.fault.is(Fault::InputMissingRuns) {
            return Some(Reason::InputMissing);
        }
        let too_old = |input: &Joined| input.newest.is_some_and(|newest| newest.age(self.now) > input.spec.max_age);
        let looked_at = if self.fault.is(Fault::FirstInputOnly) { 1 } else { MAX_INPUTS };
        let any = joined.iter().take(looked_at).any(too_old) && !self.fault.is(Fault::InputTooOldRuns);
        any.then_some(Reason::InputTooOld)
    }

    /// Whose observation would be started now, but lacks an input.
    pub(crate) fn lacking(&self) -> Option<(ConnectionId, Reason)> {
        if self.tables.inputs.is_empty() || self.fault.is(Fault::InputsJudgedOnArrivalOnly) {
            return None;
        }
        let waiting = (0u16..).zip(self.tables.agenda.iter()).filter(|(_, entry)| entry.startable != Instant::NEVER);
        let mut turns = waiting.filter(|(_, entry)| self.has_free_worker(entry.model));
        turns.find_map(|(id, _)| Some((ConnectionId(id), self.lacks(ConnectionId(id))?)))
    }

    /// The oldest of the samples that this connection has now.
    pub(crate) fn oldest_sample(&self, id: ConnectionId) -> Option<Sampled> {
        let samples = self.joined_of(id).iter().filter_map(|input| input.newest);
        samples.max_by_key(|sample| sample.age(self.now))
    }
}

/// The first input that cannot be served: of nobody, out of the order of the connections, or one too many.
pub(crate) fn unfit(inputs: &[Joined], connections: usize) -> Option<InputId> {
    let (mut before, mut count) = (0, 0_usize);
    let mut specs = (0u16..).zip(inputs.iter().map(|input| input.spec));
    let unfit = specs.find(|(_, spec)| {
        count = if spec.connection.0 == before { count.saturating_add(1) } else { 1 };
        let in_order = spec.connection.0 >= before && usize::from(spec.connection.0) < connections;
        before = spec.connection.0;
        let empty = matches!(spec.carries, Carries::Values { values: 0, .. });
        !in_order || count > MAX_INPUTS || empty || spec.max_age == Duration::ZERO
    });
    unfit.map(|(id, _)| InputId(id))
}

/// Where this connection's inputs lie.
pub(crate) fn places(inputs: &[Joined], connection: ConnectionId) -> Places {
    let own = |input: &Joined| input.spec.connection == connection;
    let first = inputs.iter().position(own).unwrap_or(0);
    let count = inputs.iter().filter(|input| own(input)).count();
    let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    Places { first: short(first), count: short(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carries(values: usize) -> Carries {
        Carries::Values { address: Address::new(1), values }
    }

    fn spec(connection: u16) -> JoinedSpec {
        JoinedSpec {
            connection: ConnectionId(connection),
            carries: carries(2),
            max_age: Duration::from_micros(10),
            clock: SampleClock::Arrival,
        }
    }

    fn sequence(value: u64) -> Sequence {
        Sequence::new(value).unwrap()
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn inputs_are_found_by_connection_and_what_cannot_be_served_is_named() {
        let table = [0, 0, 2].map(|connection| Joined::new(spec(connection)));
        assert_eq!(unfit(&table, 3), None);
        let found = [0, 1, 2].map(|connection| places(&table, ConnectionId(connection)));
        assert_eq!(found.map(|places| (places.first, places.count)), [(0, 2), (0, 0), (2, 1)]);
        let refused = |specs: &[JoinedSpec]| {
            let table: heapless::Vec<_, 8> = specs.iter().map(|spec| Joined::new(*spec)).collect();
            unfit(&table, 3).map(|id| id.0)
        };
        assert_eq!(refused(&[spec(1), spec(0)]), Some(1), "out of order");
        assert_eq!(refused(&[spec(3)]), Some(0), "of nobody");
        assert_eq!(refused(&[spec(1); 5]), Some(4), "one too many");
        assert_eq!(refused(&[spec(1); 4]), None);
        assert_eq!(refused(&[JoinedSpec { carries: carries(0), ..spec(0) }]), Some(0));
        assert_eq!(refused(&[JoinedSpec { max_age: Duration::ZERO, ..spec(0) }]), Some(0));
    }

    #[test]
    fn a_new_source_takes_over_and_a_retired_one_does_not_come_back() {
        let mut senders = Senders::default();
        let (first, second) = (Source::new(1), Source::new(2));
        assert_eq!(senders.judge(first, sequence(5), at(0)), Ok(()));
        senders.take(first, sequence(5), at(0));
        assert_eq!(senders.judge(first, sequence(5), at(1)), Err(Reason::Sequence));
        assert_eq!(senders.judge(first, sequence(6), at(1)), Ok(()));
        assert_eq!(senders.judge(second, sequence(1), at(2)), Ok(()), "a restart begins anew");
        senders.take(second, sequence(1), at(2));
        assert_eq!(senders.judge(first, sequence(100), at(3)), Err(Reason::SourceRetired));
    }

    #[test]
    fn eight_sources_a_second_and_no_more() {
        let mut senders = Senders::default();
        for source in 0..=8 {
            assert_eq!(senders.judge(Source::new(source), sequence(1), at(source)), Ok(()));
            senders.take(Source::new(source), sequence(1), at(source));
        }
        assert_eq!(senders.judge(Source::new(9), sequence(1), at(9)), Err(Reason::SourceRate));
        assert_eq!(senders.judge(Source::new(8), sequence(2), at(9)), Ok(()), "the current one goes on");
        assert_eq!(senders.judge(Source::new(9), sequence(1), at(1_001)), Ok(()));
    }
}
