//! sample: a joined input's frame -> its newest sample, or counted as refused. Nobody is told: nobody waits for one.
//!
//! The order of checks is that of an observation. A refused sample takes no source and replaces nothing.

use message::{Input, Stamp};

use crate::{
    decode,
    engine::{Engine, Pending},
    fault::Fault,
    joined::{Carries, InputId, Joined, JoinedSpec, SampleClock, Sampled},
    reason::Reason,
    time::{Duration, Instant, WallClock},
};

/// How far a stamp may lie ahead of the box's wall clock: clocks that NTP keeps in one hall are a few milliseconds apart.
/// What is ahead by less counts as taken when it arrived.
const STAMP_AHEAD: Duration = Duration::from_micros(5_000);

/// One joined input's samples since the boot: received = taken + passed over + refused, in every snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleLedger {
    received: u64,
    taken: u64,
    passed_over: u64,
    refused: u64,
    by_reason: [u64; Reason::COUNT],
}

impl Default for SampleLedger {
    fn default() -> Self {
        Self { received: 0, taken: 0, passed_over: 0, refused: 0, by_reason: [0; Reason::COUNT] }
    }
}

impl SampleLedger {
    /// Samples that reached us, malformed and unread ones included.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Samples that were the newest one for a while.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Samples that a newer one replaced before anybody looked at them.
    #[must_use]
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Samples that were refused.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Refused samples with this reason.
    #[must_use]
    pub fn by_reason(&self, reason: Reason) -> u64 {
        self.by_reason.get(reason.index()).copied().unwrap_or(0)
    }

    /// Whether every received sample has exactly one outcome.
    #[must_use]
    pub fn balances(&self) -> bool {
        let outcomes = [self.taken, self.passed_over, self.refused];
        outcomes.iter().fold(0u64, |sum, count| sum.saturating_add(*count)) == self.received
    }

    /// This ledger and another, summed.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.received = self.received.saturating_add(other.received);
        self.taken = self.taken.saturating_add(other.taken);
        self.passed_over = self.passed_over.saturating_add(other.passed_over);
        self.refused = self.refused.saturating_add(other.refused);
        for (sum, count) in self.by_reason.iter_mut().zip(other.by_reason) {
            *sum = sum.saturating_add(count);
        }
        self
    }

    fn receive(&mut self, count: u64) {
        self.received = self.received.saturating_add(count);
    }

    fn refuse(&mut self, reason: Reason) {
        self.refused = self.refused.saturating_add(1);
        if let Some(counter) = self.by_reason.get_mut(reason.index()) {
            *counter = counter.saturating_add(1);
        }
    }
}

impl Engine<'_> {
    pub(crate) fn sample(&mut self, id: InputId, arrival: Instant, wall: WallClock, bytes: &[u8]) {
        let admitted = self.admit_sample(id, arrival, wall, bytes);
        self.judged(id, admitted);
    }

    pub(crate) fn picture(&mut self, id: InputId, arrival: Instant, wall: WallClock, picture: Result<Stamp, Reason>) {
        let admitted = self.admit_picture(id, arrival, wall, picture);
        self.judged(id, admitted);
    }

    fn judged(&mut self, id: InputId, admitted: Result<(), Reason>) {
        self.input(id).ledger.receive(1);
        match admitted {
            Ok(()) => {
                let ledger = &mut self.input(id).ledger;
                ledger.taken = ledger.taken.saturating_add(1);
                self.push(Pending::StoreSample(id));
            }
            Err(reason) => self.input(id).ledger.refuse(reason),
        }
    }

    /// A sample that nobody looked into, because it is too large.
    pub(crate) fn refuse_unread_sample(&mut self, id: InputId) {
        let ledger = &mut self.input(id).ledger;
        ledger.receive(1);
        ledger.refuse(Reason::TooLarge);
    }

    /// So many samples that newer ones replaced unread.
    pub(crate) fn pass_over_samples(&mut self, id: InputId, count: u64) {
        let uncounted = self.fault.is(Fault::PassedOverUncounted);
        let ledger = &mut self.input(id).ledger;
        ledger.receive(count);
        ledger.passed_over = ledger.passed_over.saturating_add(if uncounted { 0 } else { count });
    }

    /// Takes a sample as its input's newest.
    fn admit_sample(&mut self, id: InputId, arrival: Instant, wall: WallClock, bytes: &[u8]) -> Result<(), Reason> {
        let sample = Input::decode(bytes).map_err(decode::unreadable)?;
        let (spec, now, fault) = (self.peek_input(id).spec, self.now, self.fault);
        let contract = self.task(spec.connection).contract();
        let Carries::Values { address, values } = spec.carries else { return Err(Reason::WrongType) };
        if sample.address != address {
            return Err(Reason::Address);
        }
        if sample.contract != contract {
            return Err(Reason::Contract);
        }
        if sample.values.len() != values.saturating_mul(size_of::<f32>()) {
            return Err(Reason::ValuesLength);
        }
        if !message::floats(sample.values).all(f32::is_finite) && !fault.is(Fault::SampleNotFiniteTaken) {
            return Err(Reason::ObservationNotFinite);
        }
        match self.peek_input(id).senders.judge(sample.source, sample.sequence, now) {
            Err(Reason::Sequence) if fault.is(Fault::OldSampleTaken) => {}
            Err(Reason::SourceRetired) if fault.is(Fault::RetiredSourceTaken) => {}
            verdict => verdict?,
        }
        let age_on_arrival = self.age_on_arrival(spec, sample.stamp, wall.at(arrival))?;
        self.input(id).senders.take(sample.source, sample.sequence, now);
        self.take_as_newest(id, Sampled { arrival, age_on_arrival });
        Ok(())
    }

    /// Takes a picture as its input's newest.
    ///
    /// A camera's message has neither source nor sequence. One that is shown again does not make the input younger: a
    /// driver that repeats its last picture would hide that the camera stands still. By a synchronised clock nothing older
    /// follows either. A stamp of 0 is what a driver without a clock sends.
    fn admit_picture(
        &mut self,
        id: InputId,
        arrival: Instant,
        wall: WallClock,
        picture: Result<Stamp, Reason>,
    ) -> Result<(), Reason> {
        let stamp = picture?;
        let (spec, pictured) = (self.peek_input(id).spec, self.peek_input(id).pictured);
        if spec.carries != Carries::Pictures {
            return Err(Reason::WrongType);
        }
        let age_on_arrival = self.age_on_arrival(spec, stamp, wall.at(arrival))?;
        let repeats = pictured.is_some_and(|last| match spec.clock {
            SampleClock::Synchronised => stamp.value() <= last.value(),
            SampleClock::Arrival => stamp == last && stamp.value() != 0,
        });
        if repeats && !self.fault.is(Fault::RepeatedPictureTaken) {
            return Err(Reason::PictureRepeated);
        }
        self.input(id).pictured = Some(stamp);
        self.take_as_newest(id, Sampled { arrival, age_on_arrival });
        Ok(())
    }

    fn age_on_arrival(&self, spec: JoinedSpec, stamp: Stamp, arrived: u64) -> Result<Duration, Reason> {
        match spec.clock {
            SampleClock::Synchronised if !self.fault.is(Fault::StampIgnored) => age_by_stamp(stamp.value(), arrived),
            SampleClock::Synchronised | SampleClock::Arrival => Ok(Duration::ZERO),
        }
    }

    fn take_as_newest(&mut self, id: InputId, sample: Sampled) {
        let kept = self.fault.is(Fault::OlderSampleKept);
        let input = self.input(id);
        if input.newest.is_none() || !kept {
            input.newest = Some(sample);
        }
    }

    pub(crate) fn input(&mut self, id: InputId) -> &mut Joined {
        self.tables.inputs.get_mut(usize::from(id.0)).expect("an input's id is below the table's length")
    }

    pub(crate) fn peek_input(&self, id: InputId) -> &Joined {
        self.tables.inputs.get(usize::from(id.0)).expect("an input's id is below the table's length")
    }
}

/// How old a sample was when it arrived, by its stamp.
fn age_by_stamp(stamp: u64, arrived: u64) -> Result<Duration, Reason> {
    if stamp > arrived.saturating_add(STAMP_AHEAD.nanos()) {
        return Err(Reason::StampAhead);
    }
    Ok(Duration::from_nanos(arrived.saturating_sub(stamp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_gives_the_age_and_one_too_far_ahead_is_refused() {
        let (noon, ahead) = (1_000_000_000, STAMP_AHEAD.nanos());
        assert_eq!(age_by_stamp(noon - 7, noon), Ok(Duration::from_nanos(7)));
        assert_eq!(age_by_stamp(0, noon), Ok(Duration::from_nanos(noon)), "never younger than it says");
        assert_eq!(age_by_stamp(noon + ahead, noon), Ok(Duration::ZERO));
        assert_eq!(age_by_stamp(noon + ahead + 1, noon), Err(Reason::StampAhead));
    }
}
