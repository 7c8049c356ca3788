//! The link in front of the engine: one bounded queue a key, and what happens to a frame when it is full.

use std::collections::VecDeque;

use crate::{
    input::Input,
    report::{Disturbance, Disturbances},
};

/// How many shed frames the link remembers, so that their senders can be told.
const SHED_REMEMBERED: usize = 4;

pub(crate) struct Ingress {
    capacity: usize,
    queues: Vec<VecDeque<Input>>,
    shed: VecDeque<Input>,
    unseen: Vec<u64>,
    /// Of each joined input only the newest sample waits.
    samples: Vec<Option<Input>>,
    passed_over: Vec<u64>,
    turn: usize,
}

impl Ingress {
    pub(crate) fn new(connections: usize, capacity: usize, inputs: usize) -> Self {
        Self {
            capacity,
            queues: (0..connections).map(|_| VecDeque::new()).collect(),
            shed: VecDeque::new(),
            unseen: vec![0; connections],
            samples: (0..inputs).map(|_| None).collect(),
            passed_over: vec![0; inputs],
            turn: 0,
        }
    }

    /// A frame reached the callback.
    pub(crate) fn arrive(
        &mut self,
        connection: usize,
        arrival: u64,
        bytes: Vec<u8>,
        max_frame: usize,
        seen: &mut Disturbances,
    ) {
        if self.queues[connection].len() < self.capacity {
            // A frame only a little too large gets through, so that the engine's own check is used too.
            let oversize = bytes.len() > max_frame + TOLERATED;
            let input = if oversize {
                Input::Oversize { connection, arrival }
            } else {
                Input::Frame { connection, arrival, bytes }
            };
            self.queues[connection].push_back(input);
            return;
        }
        seen.note(Disturbance::QueueFull);
        if self.shed.len() < SHED_REMEMBERED {
            self.shed.push_back(Input::Shed { connection, arrival, header: message::peek(&bytes) });
        } else {
            seen.note(Disturbance::ShedUnseen);
            self.unseen[connection] += 1;
        }
    }

    /// A sample reached the callback. What waits is replaced: an older sample is no use to anybody.
    pub(crate) fn arrive_sample(&mut self, input: usize, sample: Input, seen: &mut Disturbances) {
        if self.samples[input].replace(sample).is_some() {
            seen.note(Disturbance::SamplePassedOver);
            self.passed_over[input] += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0 && self.samples_waiting() == 0
    }

    /// Samples that the engine was not told of yet.
    pub(crate) fn samples_waiting(&self) -> u64 {
        let waiting = self.samples.iter().flatten().count();
        u64::try_from(waiting).expect("one an input") + self.passed_over.iter().sum::<u64>()
    }

    /// Frames that the engine was not told of yet.
    pub(crate) fn len(&self) -> u64 {
        let queued: usize = self.queues.iter().map(VecDeque::len).sum::<usize>() + self.shed.len();
        u64::try_from(queued).expect("a queue is short") + self.unseen.iter().sum::<u64>()
    }

    /// The next thing to tell the engine, the keys in turn.
    pub(crate) fn take(&mut self) -> Option<Input> {
        if let Some(shed) = self.shed.pop_front() {
            return Some(shed);
        }
        if let Some(connection) = self.unseen.iter().position(|count| *count > 0) {
            let count = std::mem::take(&mut self.unseen[connection]);
            return Some(Input::ShedUnseen { connection: Some(connection), count });
        }
        if let Some(input) = self.passed_over.iter().position(|count| *count > 0) {
            let count = std::mem::take(&mut self.passed_over[input]);
            return Some(Input::SamplesUnseen { input, count });
        }
        let keys = self.queues.len() + self.samples.len();
        for _ in 0..keys {
            self.turn = (self.turn + 1) % keys;
            let next = match self.queues.get_mut(self.turn) {
                Some(queue) => queue.pop_front(),
                None => self.samples[self.turn - self.queues.len()].take(),
            };
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

const TOLERATED: usize = 64;
