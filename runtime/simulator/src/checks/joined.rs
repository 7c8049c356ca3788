//! Joined inputs: each sample is counted once and kept if it may be, and a response tells how old its inputs were.

use engine::{Engine, Reason, SampleLedger, TABLE};
use message::{Body, Response};

use super::Open;
use crate::{
    clock::MICRO,
    input::{Input, input_id},
    report::{Check, Finding, Verdict},
};

/// A count of one's own beside the engine's ledgers.
pub(super) struct Samples {
    tallies: Vec<Tally>,
    /// The input whose newest sample this event brings, until it is kept.
    to_keep: Option<usize>,
    /// The input that this event concerns.
    touched: Option<usize>,
}

#[derive(Clone)]
struct Tally {
    received: u64,
    taken: u64,
    passed_over: u64,
    by_reason: [u64; Reason::COUNT],
}

impl Samples {
    pub(super) fn new(inputs: usize) -> Self {
        let none = Tally { received: 0, taken: 0, passed_over: 0, by_reason: [0; Reason::COUNT] };
        Self { tallies: vec![none; inputs], to_keep: None, touched: None }
    }

    /// An event is about to be handed in, and what is to become of its sample.
    pub(super) fn event(&mut self, input: &Input, verdict: Option<Result<usize, Reason>>) {
        self.to_keep = None;
        self.touched = match input {
            Input::Sample { input, .. }
            | Input::Picture { input, .. }
            | Input::SampleOversize { input }
            | Input::SamplesUnseen { input, .. } => Some(*input),
            Input::Frame { .. }
            | Input::Oversize { .. }
            | Input::Shed { .. }
            | Input::ShedUnseen { .. }
            | Input::Stray { .. }
            | Input::Query
            | Input::QueriesUnseen { .. }
            | Input::Reset { .. }
            | Input::ResetsShed { .. }
            | Input::Finished { .. }
            | Input::RecordVoid { .. }
            | Input::Sent { .. }
            | Input::Withheld { .. }
            | Input::Request { .. }
            | Input::RequestOversize { .. }
            | Input::RequestsUnseen { .. }
            | Input::Replied { .. }
            | Input::ReplyWithheld { .. }
            | Input::Timeout
            | Input::Drain => None,
        };
        let Some(tally) = self.touched.map(|input| &mut self.tallies[input]) else { return };
        match (input, verdict) {
            (Input::SamplesUnseen { count, .. }, _) => {
                tally.received += count;
                tally.passed_over += count;
            }
            (_, Some(Ok(input))) => {
                tally.received += 1;
                tally.taken += 1;
                self.to_keep = Some(input);
            }
            (_, refused) => {
                tally.received += 1;
                tally.by_reason[refused.and_then(Result::err).unwrap_or(Reason::TooLarge).index()] += 1;
            }
        }
    }

    /// The engine wants the newest sample of this input kept.
    pub(super) fn kept(&mut self, input: usize) -> Verdict {
        let right = self.to_keep.take() == Some(input);
        Finding::unless(right, Check::Joined, || format!("a sample of input {input} is kept that may not be"))
    }

    /// All actions of an event were taken.
    pub(super) fn settled(&self, engine: &Engine<'_>) -> Verdict {
        Finding::unless(self.to_keep.is_none(), Check::Joined, || {
            format!("a sample of input {:?} is not kept", self.to_keep)
        })?;
        let Some(input) = self.touched else { return Ok(()) };
        let ledger = engine.sample_ledger(input_id(input));
        Finding::unless(self.tallies[input].is(&ledger), Check::Accounts, || {
            format!("input {input}: the engine counts otherwise: {ledger:?}")
        })
    }
}

impl Tally {
    fn is(&self, ledger: &SampleLedger) -> bool {
        let reasons = TABLE.iter().all(|row| ledger.by_reason(row.reason) == self.by_reason[row.reason.index()]);
        let engine = (ledger.received(), ledger.taken(), ledger.passed_over());
        reasons && engine == (self.received, self.taken, self.passed_over) && ledger.balances()
    }
}

/// An action says how old the oldest of its inputs is, and a fallback for one that is too old how old that is.
pub(super) fn tells_its_age(at: u64, open: Option<Open>, frame: &Response<'_>) -> Verdict {
    let concerns = match frame.body {
        Body::Action { .. } => true,
        Body::Fallback { reason, .. } => reason == Reason::InputTooOld.number(),
        Body::Refusal { .. } => false,
    };
    let oldest = open.and_then(|open| open.oldest).filter(|_| concerns);
    let sampled = oldest.map_or(0, |sample| u32::try_from(sample.age(at) / MICRO).unwrap_or(u32::MAX));
    let expected = frame.age_us.max(sampled);
    Finding::unless(frame.input_age_us == expected, Check::Joined, || {
        format!("an input's age of {} us is told, expected is {expected} us: {open:?}", frame.input_age_us)
    })
}
