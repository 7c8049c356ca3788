//! A robot that follows a part in real time: physics that waits for nobody, observations each 2 ms, and whatever was
//! answered last.
//!
//! The physics keeps up with the clock: where this thread comes late it steps as many milliseconds as have passed, with
//! the answer that it had. So a late answer costs what it would cost a robot.

use std::{collections::VecDeque, time::Duration};

use message::{Body, Place, Response, Sequence};
use plants::{JOINTS, PLAN_ELEMENTS, Ride, Ur5eConveyor};
use rig::{Moment, Site};

use crate::{
    frame::Frame,
    genba::{Genba, PATIENCE, repository},
    scheduling,
    stranger::Stranger,
};

/// What the robot makes of its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Torques, each as soon as it is there: a policy on the box.
    Torques,
    /// A naive caller: it asks, has its answer after so many ms, and holds that until the next one; it asks no sooner.
    Naive(u32),
    /// References of a plan, which the robot's own law follows.
    Plans,
}

/// One ride.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// How the part moves, and what upsets that.
    pub ride: Ride,
    /// What the robot makes of its answers.
    pub way: Way,
    /// In ms.
    pub length_ms: u32,
    /// Whether the ride ends where the part is lost.
    pub ends_lost: bool,
    /// This start of the controller.
    pub epoch: u64,
}

/// What became of it.
#[derive(Debug)]
pub struct Followed {
    /// Where the arm was so far away that it followed no more, at first.
    pub lost_ms: Option<u32>,
    /// Where the tool was in each millisecond, in mm from the part.
    pub errors_mm: Vec<f64>,
    /// How many observations were sent.
    pub sent: u64,
    /// What came, in order.
    pub answers: Vec<Played>,
    /// The most milliseconds that were stepped at once: how late this thread came.
    pub stalled_ms: u32,
}

/// One answer.
#[derive(Debug, Clone, Copy)]
pub struct Played {
    /// The observation that it answers.
    pub sequence: u64,
    /// When that was sent, in ms of the ride.
    pub asked_ms: u32,
    /// The reason of a fallback.
    pub fallback: Option<u16>,
    /// The plan and the step that it is from; 0 of what is from none.
    pub plan: (u64, u32),
    /// Where an action was computed.
    pub place: Option<Place>,
    /// How old the box says that what it was computed from is.
    pub input_age_us: u32,
    /// From the sending to the answer.
    pub round_trip: Duration,
}

/// The arm begins at rest beside a part that moves, or without a plan: errors count from here.
pub const SETTLED_AFTER_MS: u32 = 1_000;

impl Followed {
    /// Root of the mean square of the error in mm, of the milliseconds that `which` takes.
    #[must_use]
    pub fn rms_mm(&self, which: impl Fn(u32) -> bool) -> f64 {
        let errors = (0_u32..).zip(&self.errors_mm).filter(|(now_ms, _)| which(*now_ms));
        let (sum, count) = errors.fold((0.0, 0.0), |(sum, count), (_, error)| (sum + error * error, count + 1.0));
        f64::sqrt(sum / count)
    }

    /// How many observations nothing answered, neither their own response nor a newer one's.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        let newest = self.answers.iter().map(|answer| answer.sequence).max().unwrap_or(0);
        self.sent - newest
    }

    /// Of which reason how many fallbacks came.
    #[must_use]
    pub fn fallbacks(&self, reason: u16) -> usize {
        self.answers.iter().filter(|answer| answer.fallback == Some(reason)).count()
    }
}

/// Rides once.
///
/// # Panics
/// If the box refuses an observation, or answers in another order than that of the observations.
#[must_use]
pub fn follow(genba: &Genba, site: &Site, course: &Course) -> Followed {
    let stranger = Stranger::connect(genba, site);
    std::thread::scope(|scope| {
        let riding = scope.spawn(|| {
            // Without real-time rights the rides are rougher, and the tests that compare say so.
            let _ = rig::raise(0, scheduling::CONTROLLER);
            let _ = rig::raise_link(scheduling::CONTROLLER_LINK);
            Following::begin(site, stranger, course).finish()
        });
        riding.join().expect("the ride ends")
    })
}

/// A ride on its way.
struct Following<'a> {
    site: &'a Site,
    course: &'a Course,
    stranger: Stranger,
    plant: Ur5eConveyor,
    /// When each observation was sent.
    sent: Vec<(u32, Moment)>,
    answers: Vec<Played>,
    /// A naive caller's answers on their way, and when they are there.
    underway: VecDeque<(u32, Vec<f32>)>,
    errors_mm: Vec<f64>,
    lost_ms: Option<u32>,
    stalled_ms: u32,
}

const STEP: Duration = Duration::from_millis(1);
const STEPS_AN_OBSERVATION: u32 = 2;
/// After the last observation, what is still to come is awaited for this long.
const LINGER: Duration = Duration::from_millis(500);

impl<'a> Following<'a> {
    fn begin(site: &'a Site, stranger: Stranger, course: &'a Course) -> Self {
        let arm = repository().join("models/ur5e-conveyor/arm.xml");
        let mut plant = Ur5eConveyor::load(&arm).expect("the arm is checked in");
        plant.ride_upset(course.ride);
        let room = course.length_ms as usize;
        Self {
            site,
            course,
            stranger,
            plant,
            sent: Vec::with_capacity(room),
            answers: Vec::with_capacity(room),
            underway: VecDeque::new(),
            errors_mm: Vec::with_capacity(room),
            lost_ms: None,
            stalled_ms: 0,
        }
    }

    fn finish(mut self) -> Followed {
        let start = Moment::now();
        while self.plant.now_ms() < self.course.length_ms {
            (start + STEP * (self.plant.now_ms() + 1)).sleep();
            while let Some(frame) = self.stranger.response(Duration::ZERO) {
                self.take(&frame);
            }
            self.hand_over();
            let passed = u32::try_from(Moment::now().since(start).as_millis()).expect("a ride is short");
            let behind = passed.saturating_sub(self.plant.now_ms());
            self.stalled_ms = self.stalled_ms.max(behind);
            for _ in 0..behind {
                self.plant.step();
                self.errors_mm.push(self.plant.error_m() * 1e3);
            }
            if self.plant.is_lost() {
                self.lost_ms.get_or_insert(self.plant.now_ms());
                if self.course.ends_lost {
                    break;
                }
            }
            if self.plant.now_ms().is_multiple_of(STEPS_AN_OBSERVATION) || behind > 1 {
                self.ask();
            }
        }
        let end = Moment::now() + LINGER;
        while self.answers.last().map_or(0, |answer| answer.sequence) < self.sent.len() as u64 && Moment::now() < end {
            if let Some(frame) = self.stranger.response(end.since(Moment::now()).min(PATIENCE)) {
                self.take(&frame);
            }
        }
        Followed {
            lost_ms: self.lost_ms,
            errors_mm: self.errors_mm,
            sent: self.sent.len() as u64,
            answers: self.answers,
            stalled_ms: self.stalled_ms,
        }
    }

    fn ask(&mut self) {
        let values = match self.course.way {
            Way::Naive(_) if !self.underway.is_empty() || self.answers.len() < self.sent.len() => return,
            Way::Torques | Way::Naive(_) => self.plant.observe().to_vec(),
            Way::Plans => self.plant.observe_track().to_vec(),
        };
        let sequence = self.sent.len() as u64 + 1;
        self.sent.push((self.plant.now_ms(), Moment::now()));
        self.stranger.send(Frame { values, ..Frame::of(self.site, self.course.epoch, sequence) }.bytes());
    }

    fn take(&mut self, frame: &[u8]) {
        let response = Response::decode(frame).expect("it is a response");
        let sequence = response.sequence.map(Sequence::value).expect("an observation was answered");
        let before = self.answers.last().map_or(0, |answer| answer.sequence);
        assert!(sequence > before, "{sequence} after {before}");
        let (fallback, place) = match response.body {
            Body::Action { place, .. } => (None, Some(place)),
            Body::Fallback { reason, .. } => (Some(reason.value()), None),
            Body::Refusal { reason } => panic!("{sequence} was refused: E-{}", reason.value()),
        };
        let place_of_sent = usize::try_from(sequence - 1).expect("a test's sequences are small");
        let (asked_ms, asked) = self.sent[place_of_sent];
        self.answers.push(Played {
            sequence,
            asked_ms,
            fallback,
            plan: (response.plan, response.plan_step),
            place,
            input_age_us: response.input_age_us,
            round_trip: Moment::now().since(asked),
        });
        let values: Vec<f32> = message::floats(response.body.values()).collect();
        match self.course.way {
            Way::Naive(latency_ms) => self.underway.push_back((asked_ms + latency_ms, values)),
            Way::Torques => self.plant.apply(&torques(&values)),
            Way::Plans => {
                let step: &[f32; PLAN_ELEMENTS] = values.as_slice().try_into().expect("positions and velocities");
                if fallback.is_some() { self.plant.hold(step) } else { self.plant.follow(step, asked_ms) }
            }
        }
    }

    /// What a naive caller waited for.
    fn hand_over(&mut self) {
        let now_ms = self.plant.now_ms();
        while let Some((_, values)) = self.underway.pop_front_if(|(due_ms, _)| *due_ms <= now_ms) {
            self.plant.apply(&torques(&values));
        }
    }
}

fn torques(values: &[f32]) -> [f32; JOINTS] {
    values.try_into().expect("a torque for each joint")
}
