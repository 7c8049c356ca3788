//! P2: nothing is answered twice, sequences grow, one open inference a connection, one farewell.

use message::{Address, ContractDigest, Observation, Response};

use crate::{
    clock::MICRO,
    input::{Input, Key},
    report::{Check, Finding, Verdict},
};

#[derive(Default)]
pub(super) struct Once {
    /// The last accepted of each epoch: an epoch that came back must not go back.
    accepted: Vec<(u64, u64)>,
    put: Vec<(u64, u64)>,
    farewells: u32,
}

impl Once {
    pub(super) fn accept(&mut self, key: Key) -> Verdict {
        grow(&mut self.accepted, key, "accepted")
    }

    pub(super) fn put(&mut self, key: Key) -> Verdict {
        grow(&mut self.put, key, "put")
    }

    /// Whether this observation is of another epoch than the one accepted before it.
    pub(super) fn begins_epoch(&self, key: Key) -> bool {
        self.accepted.last().is_none_or(|(epoch, _)| *epoch != key.epoch)
    }

    /// A frame is refused for its sequence: one not older was accepted of its epoch, the current one.
    pub(super) fn is_old(&self, key: Key) -> Verdict {
        let holds = self.accepted.last().is_some_and(|(epoch, last)| *epoch == key.epoch && key.sequence <= *last);
        Finding::unless(holds, Check::Once, || format!("{key:?} is refused for its sequence, but is new"))
    }

    pub(super) fn farewell(&mut self) -> Verdict {
        self.farewells += 1;
        Finding::unless(self.farewells == 1, Check::Once, || "a second farewell".into())
    }

    /// Whether the controller, if it was heard, was told that the box shuts down.
    pub(super) fn farewell_was_said(&self) -> bool {
        self.accepted.is_empty() || self.farewells == 1
    }
}

/// A refusal echoes the frame that it refuses, or nothing, and says how old it is.
pub(super) fn echoes(now: u64, input: &Input, frame: &Response<'_>) -> Verdict {
    let header = match input {
        Input::Frame { bytes, .. } | Input::Stray { bytes, .. } => message::peek(bytes),
        Input::Shed { header, .. } => *header,
        Input::Oversize { .. }
        | Input::ShedUnseen { .. }
        | Input::Query
        | Input::Request { .. }
        | Input::RequestOversize { .. }
        | Input::RequestsUnseen { .. }
        | Input::Replied { .. }
        | Input::ReplyWithheld { .. }
        | Input::QueriesUnseen { .. }
        | Input::Reset { .. }
        | Input::ResetsShed { .. }
        | Input::Finished { .. }
        | Input::RecordVoid { .. }
        | Input::Sent { .. }
        | Input::Withheld { .. }
        | Input::Sample { .. }
        | Input::Picture { .. }
        | Input::SampleOversize { .. }
        | Input::SamplesUnseen { .. }
        | Input::Timeout
        | Input::Drain => None,
    };
    let arrival = match input {
        Input::Frame { arrival, .. }
        | Input::Oversize { arrival, .. }
        | Input::Shed { arrival, .. }
        | Input::Stray { arrival, .. } => *arrival,
        Input::ShedUnseen { .. }
        | Input::Query
        | Input::Request { .. }
        | Input::RequestOversize { .. }
        | Input::RequestsUnseen { .. }
        | Input::Replied { .. }
        | Input::ReplyWithheld { .. }
        | Input::QueriesUnseen { .. }
        | Input::Reset { .. }
        | Input::ResetsShed { .. }
        | Input::Finished { .. }
        | Input::RecordVoid { .. }
        | Input::Sent { .. }
        | Input::Withheld { .. }
        | Input::Sample { .. }
        | Input::Picture { .. }
        | Input::SampleOversize { .. }
        | Input::SamplesUnseen { .. }
        | Input::Timeout
        | Input::Drain => now,
    };
    let echo = header
        .map_or((0, None, 0), |header| (header.epoch.value(), Some(header.sequence.value()), header.stamp.value()));
    let echoed = (frame.epoch.value(), frame.sequence.map(message::Sequence::value), frame.stamp.value());
    let age = u32::try_from((now - arrival) / MICRO).unwrap_or(u32::MAX);
    Finding::unless(echo == echoed && frame.age_us == age, Check::Once, || {
        format!("a refusal of {echo:?}, {age} µs old, echoes {echoed:?}, {} µs old", frame.age_us)
    })
}

/// A stray is told by its own address and contract, so that its sender knows itself.
pub(super) fn names_the_stray(bytes: &[u8], frame: &Response<'_>) -> Verdict {
    let none = (Address::new(0), ContractDigest::new([0; 16]));
    let its_own = Observation::decode(bytes).map_or(none, |stray| (stray.address, stray.contract));
    Finding::unless(its_own == (frame.address, frame.contract), Check::Once, || {
        format!("a stray of {its_own:?} is refused as {:?}", (frame.address, frame.contract))
    })
}

/// How many epochs are watched: as many as the box remembers, and the current one.
const WATCHED: usize = 17;

fn grow(known: &mut Vec<(u64, u64)>, key: Key, what: &str) -> Verdict {
    let Some(place) = known.iter().position(|(epoch, _)| *epoch == key.epoch) else {
        if known.len() == WATCHED {
            known.remove(0);
        }
        known.push((key.epoch, key.sequence));
        return Ok(());
    };
    let last = std::mem::replace(&mut known[place].1, key.sequence);
    Finding::unless(key.sequence > last, Check::Once, || format!("{key:?} is {what} after {last}"))?;
    Finding::unless(what != "accepted" || place + 1 == known.len(), Check::Once, || {
        format!("{key:?} is {what}, its epoch was retired")
    })
}
