//! How the robots of a soak behave, each on a thread and a session of its own, and what each of them counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use fastrand::Rng;
use message::{Epoch, Sequence};
use plants::OBSERVATION_ELEMENTS;
use serde::Serialize;

use crate::answer::{Answer, Unread, What};
use crate::box_status::BoxLedger;
use crate::clock::Moment;
use crate::ledger::{Ledger, Totals};
use crate::link::{Inbox, Link, LinkError, Outbox, Watch};
use crate::site::Site;

/// How a robot behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conduct {
    /// An observation each 2 ms, with books of each: the one to compare with.
    Steady,
    /// Five observations each millisecond, fifty times what its task allows.
    Flood,
    /// Damaged observations, noise and frames that are far too large.
    Garbage,
    /// A new epoch after each twenty observations, and now and then eight at once.
    Restless,
    /// As its task allows; beside it somebody subscribes to its responses and stops reading.
    Deaf,
}

impl Conduct {
    /// By the first part of a robot's name.
    #[must_use]
    pub fn of(robot: &str) -> Self {
        match robot.split('-').next() {
            Some("flood") => Self::Flood,
            Some("garbage") => Self::Garbage,
            Some("restless") => Self::Restless,
            Some("deaf") => Self::Deaf,
            Some(_) | None => Self::Steady,
        }
    }

    const fn period(self) -> Duration {
        Duration::from_millis(match self {
            Self::Flood => 1,
            Self::Steady | Self::Garbage => 2,
            Self::Restless | Self::Deaf => 10,
        })
    }
}

/// What a robot sent and heard, over all its epochs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Frames handed to the link.
    pub sent: u64,
    /// Frames that the link refused.
    pub unsent: u64,
    /// Answers by the model.
    pub model: u64,
    /// Answers by a fallback.
    pub fallback: u64,
    /// Refusals.
    pub refused: u64,
    /// Refusals because the box was too late.
    pub missed: u64,
    /// Frames that were no response to this robot.
    pub unread: u64,
}

/// What a robot's thread leaves behind.
pub(super) struct Left {
    pub(super) tally: Tally,
    /// Of a steady robot only.
    pub(super) totals: Option<Totals>,
    /// The longest that its loop was late.
    pub(super) late: Duration,
}

/// One robot at work.
pub(super) struct Robot {
    pub(super) site: Site,
    pub(super) conduct: Conduct,
    pub(super) watch: Watch,
    thread: JoinHandle<Left>,
}

/// A connected robot that has not begun.
pub(super) struct Ready {
    site: Site,
    outbox: Outbox,
    inbox: Inbox,
    watch: Watch,
}

/// The arm where the part's ride begins.
const HOME: [f32; OBSERVATION_ELEMENTS] = {
    let mut elements = [0.0; OBSERVATION_ELEMENTS];
    let joints = [-0.8067, -1.1793, 1.6440, -2.0354, -1.571, -0.8067];
    let mut joint = 0;
    while joint < joints.len() {
        elements[joint] = joints[joint];
        joint += 1;
    }
    elements
};

/// After the end, what is still on its way is awaited for this long.
const LINGER: Duration = Duration::from_secs(1);
/// How many observations a restless robot sends in an epoch.
const SHORT_LIFE: u64 = 20;
/// A frame of this many bytes is far too large.
const LARGE: usize = 1 << 18;

impl Ready {
    pub(super) fn connect(endpoint: &str, site: Site) -> Result<Self, LinkError> {
        let (outbox, inbox, watch) = Link::open(endpoint, &site)?.split();
        Ok(Self { site, outbox, inbox, watch })
    }

    /// Whether the box is alive and listens.
    pub(super) fn is_served(&self) -> bool {
        self.watch.is_alive() && self.outbox.is_heard()
    }

    /// Begins, until `stop` is set.
    pub(super) fn start(self, stop: &Arc<AtomicBool>) -> std::io::Result<Robot> {
        let Self { site, outbox, inbox, watch } = self;
        let conduct = Conduct::of(&site.robot);
        let seed = site.robot.bytes().fold(0, |seed, byte| seed * 31 + u64::from(byte));
        let mut acting = Acting {
            conduct,
            deadline: site.deadline,
            outbox,
            inbox,
            random: Rng::with_seed(seed),
            epoch: 0,
            sequence: 0,
            newest: None,
            tally: Tally::default(),
            ledger: (conduct == Conduct::Steady).then(Ledger::default),
        };
        acting.begin_epoch();
        let stop = Arc::clone(stop);
        let thread = thread::Builder::new().name(site.robot.clone()).spawn(move || acting.work(&stop))?;
        Ok(Robot { site, conduct, watch, thread })
    }
}

impl Robot {
    /// Waits for its end, which was asked for.
    ///
    /// # Panics
    /// If its thread panicked.
    pub(super) fn end(self) -> (Site, Conduct, Watch, Left) {
        (self.site, self.conduct, self.watch, self.thread.join().expect("a robot's loop does not panic"))
    }
}

struct Acting {
    conduct: Conduct,
    deadline: Duration,
    outbox: Outbox,
    inbox: Inbox,
    random: Rng,
    epoch: u64,
    sequence: u64,
    newest: Option<Sequence>,
    tally: Tally,
    ledger: Option<Ledger>,
}

impl Acting {
    fn work(mut self, stop: &AtomicBool) -> Left {
        let (period, start) = (self.conduct.period(), Moment::now());
        let mut late = Duration::ZERO;
        let mut due = start;
        while !stop.load(Ordering::Relaxed) {
            due = due + period;
            due.sleep();
            let now = Moment::now();
            late = late.max(now.since(due));
            self.listen();
            self.act();
            // What was held up is not made up for.
            if now.since(due) > period {
                due = now;
            }
        }
        let end = Moment::now() + LINGER;
        while Moment::now() < end {
            (Moment::now() + period).sleep();
            self.listen();
        }
        Left { tally: self.tally, totals: self.ledger.map(|ledger| ledger.totals().clone()), late }
    }

    fn act(&mut self) {
        match self.conduct {
            Conduct::Steady | Conduct::Deaf => self.observe(),
            Conduct::Flood => (0..5).for_each(|_| self.observe()),
            Conduct::Restless => {
                if self.sequence >= SHORT_LIFE {
                    // As many as are accepted in a second, and more.
                    let restarts = if self.random.u8(..) < 16 { 10 } else { 1 };
                    for _ in 1..restarts {
                        self.begin_epoch();
                        self.observe();
                    }
                    self.begin_epoch();
                }
                self.observe();
            }
            Conduct::Garbage => self.litter(),
        }
    }

    fn observe(&mut self) {
        self.sequence += 1;
        let sequence = Sequence::new(self.sequence).expect("it counts from 1");
        if let Ok(at) = self.outbox.send(Epoch::new(self.epoch), sequence, self.newest, &HOME, 0.0) {
            self.tally.sent += 1;
            if let Some(ledger) = &mut self.ledger {
                ledger.sent(at);
            }
        } else {
            self.sequence -= 1;
            self.tally.unsent += 1;
        }
    }

    /// Something that is none, or a valid observation so that there is one to damage.
    fn litter(&mut self) {
        let bytes = match self.random.u16(..1_000) {
            0..100 => return self.observe(),
            _ if self.outbox.last_frame().is_empty() => return self.observe(),
            100..200 => {
                let length = self.random.usize(..300);
                (0..length).map(|_| self.random.u8(..)).collect()
            }
            200..202 => vec![self.random.u8(..); LARGE],
            _ => crate::noise::mutated(self.outbox.last_frame().to_vec(), &mut self.random),
        };
        match self.outbox.send_bytes(bytes) {
            Ok(()) => self.tally.sent += 1,
            Err(_) => self.tally.unsent += 1,
        }
    }

    fn begin_epoch(&mut self) {
        (self.epoch, self.sequence, self.newest) = (self.random.u64(..), 0, None);
    }

    fn listen(&mut self) {
        while let Some(arrival) = self.inbox.poll() {
            match arrival {
                Ok(answer) => self.note(&answer),
                Err(Unread::Malformed | Unread::Stray) => self.tally.unread += 1,
            }
        }
    }

    fn note(&mut self, answer: &Answer) {
        match answer.what {
            What::Model(_) => self.tally.model += 1,
            What::Fallback(..) => self.tally.fallback += 1,
            What::Refusal(reason) if reason.is_miss() => self.tally.missed += 1,
            What::Refusal(_) => self.tally.refused += 1,
        }
        if answer.epoch.value() == self.epoch && answer.what.torque().is_some() {
            self.newest = answer.sequence.max(self.newest);
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.received(answer, self.deadline);
        }
    }
}

impl Tally {
    /// Where the box's ledger denies what this robot saw. What the link lost is denied by neither.
    #[must_use]
    pub fn denied_by(&self, ledger: &BoxLedger) -> Vec<String> {
        let pairs = [
            ("frames were received", ledger.received, self.sent),
            ("answers by the model arrived", self.model, ledger.model),
            ("fallbacks arrived", self.fallback, ledger.fallback),
            ("refusals arrived", self.refused, ledger.refused),
            ("misses arrived", self.missed, ledger.missed),
            ("frames were no response", self.unread, 0),
        ];
        let denied = pairs.iter().filter(|(_, fewer, more)| fewer > more);
        denied.map(|(what, fewer, more)| format!("{fewer} {what}, of {more}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_how_a_robot_behaves() {
        assert_eq!(Conduct::of("flood-2"), Conduct::Flood);
        assert_eq!(Conduct::of("steady"), Conduct::Steady);
        assert_eq!(Conduct::of("ur5e"), Conduct::Steady);
    }

    #[test]
    fn what_the_box_denies_is_named_and_what_the_link_lost_is_not() {
        let tally = Tally { sent: 10, model: 5, refused: 3, ..Tally::default() };
        let ledger = BoxLedger { received: 9, model: 6, refused: 3, ..BoxLedger::default() };
        assert_eq!(tally.denied_by(&ledger), [""; 0]);
        let denied = tally.denied_by(&BoxLedger { received: 11, model: 4, ..ledger });
        assert_eq!(denied, ["11 frames were received, of 10", "5 answers by the model arrived, of 4"]);
    }
}
