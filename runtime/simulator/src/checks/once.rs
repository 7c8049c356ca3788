//! P2: nothing is answered twice, sequences grow, one open inference a connection, one farewell.

use crate::{
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

/// A refusal echoes the frame that it refuses, or nothing.
pub(super) fn echoes(input: &Input, key: Key) -> Verdict {
    let header = match input {
        Input::Frame { bytes, .. } => message::peek(bytes),
        Input::Shed { header, .. } | Input::Stray { header } => *header,
        Input::Oversize { .. }
        | Input::ShedUnseen { .. }
        | Input::Query
        | Input::Finished { .. }
        | Input::Sent { .. }
        | Input::Withheld { .. }
        | Input::Timeout
        | Input::Drain => None,
    };
    let echo = header.map_or((0, 0), |header| (header.epoch.value(), header.sequence.value()));
    Finding::unless(echo == (key.epoch, key.sequence), Check::Once, || {
        format!("a refusal of {echo:?} echoes {:?}", (key.epoch, key.sequence))
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
