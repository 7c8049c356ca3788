//! The robot in real time: physics at 1 kHz, an observation every second step, the newest torque.
//!
//! Its thread paces itself by absolute sleeps, so that it does not drift, and does nothing but physics
//! and its link: what happens goes out as events, and who keeps the books may be slow. On silence the
//! last torque stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use message::{Epoch, Sequence};
use plants::Ur5eConveyor;

use crate::answer::{Answer, ReasonCode, Unread, What};
use crate::clock::Moment;
use crate::link::{Inbox, Outbox};
use crate::priority::{self, Class};

/// One run of the robot.
pub struct Robot {
    /// The physics, at its start.
    pub plant: Ur5eConveyor,
    /// Where observations go out.
    pub outbox: Outbox,
    /// Where answers come in.
    pub inbox: Inbox,
    /// This start of the robot.
    pub epoch: Epoch,
    /// How long it runs.
    pub duration: Duration,
    /// When the model is made to hang, if at all.
    pub hang: Option<Hang>,
    /// Set by another thread to end the run early.
    pub stop: Arc<AtomicBool>,
}

/// A hang on demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hang {
    /// Milliseconds of simulated time.
    pub at_ms: u32,
    /// How long it is to last.
    pub asked_ms: u32,
    /// What the observation's last element says: how many iterations the model wastes.
    pub iterations: f32,
}

/// What happened, in order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// A step was due at `due` and its thread woke `late`.
    Woke {
        /// When it should have woken.
        due: Moment,
        /// How much later it did.
        late: Duration,
    },
    /// The tool is this far from its target.
    Tracked {
        /// Milliseconds of simulated time.
        now_ms: u32,
        /// Distance in m.
        error_m: f64,
    },
    /// An observation was handed to the link.
    Sent {
        /// Its stamp.
        at: Moment,
    },
    /// The observation that was just sent makes the model hang.
    Hung {
        /// Milliseconds of simulated time.
        now_ms: u32,
        /// For how long.
        asked_ms: u32,
    },
    /// The link refused an observation.
    Unsent,
    /// No observation was sent: the next one was due already.
    Skipped,
    /// A response of this epoch arrived.
    Answered {
        /// The response.
        answer: Answer,
        /// Milliseconds of simulated time.
        now_ms: u32,
    },
    /// A frame arrived that is no answer.
    Unread(Unread),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After its time.
    Complete,
    /// The arm lost the part.
    Lost,
    /// On request.
    Stopped,
}

/// What the robot's thread says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// How the run ended.
    pub end: End,
    /// How its thread was scheduled.
    pub class: Class,
    /// Events and answers that found no room: if there are any, the books are worth nothing.
    pub overflowed: u64,
}

impl Robot {
    /// Runs to the end, in the calling thread; each event goes to `events`, and none is waited for.
    #[must_use]
    pub fn run(self, events: &SyncSender<Event>) -> Report {
        let class = priority::take(priority::ROBOT);
        let steps = u32::try_from(self.duration.as_millis()).unwrap_or(u32::MAX);
        let mut run = Run { robot: self, events, unrecorded: 0, sequence: 0, newest: None, armed: Armed::default() };
        let end = run.steps(steps);
        Report { end, class, overflowed: run.unrecorded + run.robot.inbox.overflowed() }
    }
}

const STEP: Duration = Duration::from_millis(1);
const STEPS_AN_OBSERVATION: u32 = 2;

/// After the last observation, answers are awaited for the deadline and this much.
const LINGER: Duration = Duration::from_millis(100);

/// The hang is asked for this often at most.
const HANG_ATTEMPTS: u8 = 5;

struct Run<'a> {
    robot: Robot,
    events: &'a SyncSender<Event>,
    unrecorded: u64,
    /// The last one that was sent, 0 before the first.
    sequence: u64,
    /// The newest action or fallback seen.
    newest: Option<Sequence>,
    armed: Armed,
}

/// How far the hang is.
#[derive(Default)]
struct Armed {
    attempts: u8,
    /// The observation that asks for it, until it is known whether the model took it.
    asked: Option<Sequence>,
}

impl Run<'_> {
    fn steps(&mut self, steps: u32) -> End {
        let start = Moment::now() + Duration::from_millis(20);
        for step in 0..steps {
            let due = start + STEP * step;
            due.sleep();
            self.emit(Event::Woke { due, late: Moment::now().since(due) });
            self.receive();
            if step.is_multiple_of(STEPS_AN_OBSERVATION) {
                let error_m = self.robot.plant.error_m();
                self.emit(Event::Tracked { now_ms: step, error_m });
                if self.robot.plant.is_lost() {
                    return self.linger(End::Lost);
                }
                self.observe(step, due);
            }
            self.robot.plant.step();
            if self.robot.stop.load(Ordering::Relaxed) {
                return self.linger(End::Stopped);
            }
        }
        self.linger(End::Complete)
    }

    /// Takes what has arrived: the newest torque counts.
    fn receive(&mut self) {
        while let Some(arrival) = self.robot.inbox.poll() {
            match arrival {
                Err(unread) => self.emit(Event::Unread(unread)),
                Ok(answer) if answer.epoch != self.robot.epoch => self.emit(Event::Unread(Unread::Stray)),
                Ok(answer) => self.answered(answer),
            }
        }
    }

    fn answered(&mut self, answer: Answer) {
        self.emit(Event::Answered { answer, now_ms: self.robot.plant.now_ms() });
        let Some(torque) = answer.what.torque() else { return };
        if answer.sequence <= self.newest {
            return;
        }
        self.newest = answer.sequence;
        self.robot.plant.apply(torque);
        if let Some(asked) = self.armed.asked
            && answer.sequence >= Some(asked)
        {
            self.armed.asked = None;
            let hangs = answer.sequence == Some(asked) && is_late(answer.what);
            if hangs {
                self.robot.hang = None;
            }
        }
    }

    /// A robot that overslept sends what it sees now, not what it should have sent.
    fn observe(&mut self, step: u32, due: Moment) {
        if Moment::now() >= due + STEP * STEPS_AN_OBSERVATION {
            self.emit(Event::Skipped);
            return;
        }
        let sequence = Sequence::new(self.sequence + 1).expect("it counts from 1");
        let hang = self.hang_now(step);
        let hang_iterations = hang.map_or(0.0, |hang| hang.iterations);
        let elements = self.robot.plant.observe();
        let sent = self.robot.outbox.send(self.robot.epoch, sequence, self.newest, &elements, hang_iterations);
        let Ok(at) = sent else {
            self.emit(Event::Unsent);
            return;
        };
        self.sequence = sequence.value();
        self.emit(Event::Sent { at });
        if let Some(hang) = hang {
            self.armed.asked = Some(sequence);
            self.armed.attempts += 1;
            self.emit(Event::Hung { now_ms: step, asked_ms: hang.asked_ms });
        }
    }

    /// Asks again if the observation that asked was superseded before the model saw it.
    fn hang_now(&self, step: u32) -> Option<Hang> {
        let may_ask = self.armed.asked.is_none() && self.armed.attempts < HANG_ATTEMPTS;
        self.robot.hang.filter(|hang| may_ask && step >= hang.at_ms)
    }

    fn linger(&mut self, end: End) -> End {
        let until = Moment::now() + LINGER;
        while Moment::now() < until {
            (Moment::now() + STEP).sleep();
            self.receive();
        }
        end
    }

    fn emit(&mut self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.unrecorded += 1;
        }
    }
}

/// Whether the box gave up on the model's own answer.
fn is_late(what: What) -> bool {
    match what {
        What::Fallback(reason, _) => reason == ReasonCode::new(301),
        What::Model(_) | What::Refusal(_) => false,
    }
}
