//! A camera, or whatever sends a joined input: publishes samples, late, never, wrong, twice, and restarts.

use engine::Reason;
use fastrand::Rng;
use message::{Address, ContractDigest, Input, Sequence, Source, Stamp};

use crate::{
    clock::{MICRO, MILLI, SECOND},
    report::{Disturbance, Disturbances},
    scenario::{JoinedPlan, Scenario, between, happens},
};

/// The Unix time at the origin of the box's virtual clock.
pub(crate) const UNIX_AT_ORIGIN: u64 = 1_700_000_000 * SECOND;

pub(crate) struct Camera {
    source: u64,
    sequence: u64,
    /// Sources that another one took over from, newest last.
    old: Vec<u64>,
    last_frame: Vec<u8>,
    /// The last picture's stamp.
    last_stamp: u64,
    /// Publications left that follow at once.
    hurry: u32,
    /// Restarts left of a loop of restarts.
    loops: u32,
}

/// What a camera shows.
#[derive(Debug)]
pub(crate) enum Shown {
    Frame(Vec<u8>),
    /// Its stamp, or why it becomes no tensor.
    Picture(Result<u64, Reason>),
}

/// What leaves a camera.
pub(crate) struct Shot {
    pub(crate) shown: Shown,
    /// How long it is on its way; `None`: it is lost.
    pub(crate) delay: Option<u64>,
    /// Until the next one.
    pub(crate) pause: u64,
}

impl Camera {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            source: rng.u64(..),
            sequence: 0,
            old: Vec::new(),
            last_frame: Vec::new(),
            last_stamp: 0,
            hurry: 0,
            loops: 0,
        }
    }

    pub(crate) fn shoot(
        &mut self,
        rng: &mut Rng,
        (scenario, plan): (&Scenario, &JoinedPlan),
        now: u64,
        seen: &mut Disturbances,
    ) -> Shot {
        self.maybe_restart(rng, plan, seen);
        let shown = if plan.pictures {
            Shown::Picture(self.picture(rng, plan, now, seen))
        } else {
            Shown::Frame(self.frame(rng, (scenario, plan), now, seen))
        };
        let delay = if happens(rng, plan.lost) {
            seen.note(Disturbance::SampleLost);
            None
        } else if happens(rng, plan.late) {
            seen.note(Disturbance::SampleLate);
            Some(rng.u64(..2 * plan.max_age))
        } else {
            Some(rng.u64(20 * MICRO..200 * MICRO))
        };
        Shot { shown, delay, pause: self.pause(rng, plan, seen) }
    }

    fn maybe_restart(&mut self, rng: &mut Rng, plan: &JoinedPlan, seen: &mut Disturbances) {
        if happens(rng, plan.restart_loop) {
            self.loops = 12;
        }
        if self.loops > 0 || happens(rng, plan.restart) {
            self.loops = self.loops.saturating_sub(1);
            seen.note(Disturbance::CameraRestarted);
            self.old.push(self.source);
            (self.source, self.sequence) = (rng.u64(..), 0);
        }
    }

    fn frame(
        &mut self,
        rng: &mut Rng,
        (scenario, plan): (&Scenario, &JoinedPlan),
        now: u64,
        seen: &mut Disturbances,
    ) -> Vec<u8> {
        self.sequence += 1;
        let mut values: Vec<f32> = (0..plan.values).map(|_| between(rng, -4.0, 4.0)).collect();
        let (mut address, mut contract) = (plan.address, scenario.task_of(plan.connection).contract);
        let (mut source, mut sequence) = (self.source, self.sequence);
        let mut taken = now.saturating_sub(rng.u64(..=plan.max_age / 4)) + UNIX_AT_ORIGIN;
        let wrong = happens(rng, plan.wrong);
        if wrong {
            seen.note(Disturbance::SampleWrong);
            match rng.u8(..9) {
                0 => address = Address::new(address.value() ^ 1),
                1 => contract = ContractDigest::new([0xee; 16]),
                2 => drop(values.pop()),
                3 => values[0] = f32::INFINITY,
                4 => sequence = sequence.saturating_sub(1 + rng.u64(..3)).max(1),
                5 => taken += [5 * MILLI, 6 * MILLI, SECOND][rng.usize(..3)] + plan.max_age / 4,
                6 => taken = rng.u64(..taken),
                7 => {
                    source = self.old.last().copied().unwrap_or(source);
                    sequence += 1_000;
                }
                _ if !self.last_frame.is_empty() => return self.last_frame.clone(),
                _ => {}
            }
        }
        let mut bytes = vec![0; values.len() * size_of::<f32>()];
        message::put_floats(&values, &mut bytes).expect("there is room for each value");
        let sample = Input {
            address,
            contract,
            source: Source::new(source),
            sequence: Sequence::new(sequence).expect("from 1"),
            stamp: Stamp::new(taken),
            values: &bytes,
        };
        let mut frame = vec![0; Input::OVERHEAD + bytes.len()];
        sample.encode(&mut frame).expect("there is room for the whole frame");
        if wrong && rng.u8(..6) == 0 {
            let place = rng.usize(..frame.len());
            frame[place] ^= rng.u8(1..);
            frame.truncate(frame.len() - rng.usize(..3));
        } else if !wrong {
            self.last_frame.clone_from(&frame);
        }
        frame
    }

    fn picture(&mut self, rng: &mut Rng, plan: &JoinedPlan, now: u64, seen: &mut Disturbances) -> Result<u64, Reason> {
        let taken = now.saturating_sub(rng.u64(..=plan.max_age / 4)) + UNIX_AT_ORIGIN;
        let last = std::mem::replace(&mut self.last_stamp, taken);
        if !happens(rng, plan.wrong) {
            return Ok(taken);
        }
        seen.note(Disturbance::PictureWrong);
        match rng.u8(..7) {
            0 => Err(Reason::PictureMalformed),
            1 => Err(Reason::PictureUnfit),
            2 => Err(Reason::PictureBroken),
            // A driver without a clock, and one that goes wrong.
            3 => Ok(0),
            4 => Ok(taken + [5 * MILLI, 6 * MILLI, SECOND][rng.usize(..3)] + plan.max_age / 4),
            5 => Ok(rng.u64(..taken)),
            _ => {
                // It stands still.
                self.last_stamp = last;
                Ok(last)
            }
        }
    }

    fn pause(&mut self, rng: &mut Rng, plan: &JoinedPlan, seen: &mut Disturbances) -> u64 {
        if self.hurry > 0 {
            self.hurry -= 1;
            return rng.u64(1..20 * MICRO);
        }
        if happens(rng, plan.stall) {
            seen.note(Disturbance::CameraStalled);
            return rng.u64(plan.max_age..6 * plan.max_age);
        }
        if happens(rng, plan.flood) {
            seen.note(Disturbance::SampleFlood);
            self.hurry = rng.u32(20..200);
        }
        plan.period / 2 + rng.u64(..plan.period)
    }
}
