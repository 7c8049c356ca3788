//! A robot that sees its part through a camera alone: physics and pictures, in lockstep with the box.
//!
//! The physics waits for each answer, so that a machine that stands still makes the ride longer, not worse. Time on the
//! box goes on meanwhile: a picture that was young in the physics can be old there, and the ride says how often.

use std::{
    collections::VecDeque,
    iter::successors,
    path::PathBuf,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use message::{Body, Response, Sequence, Status};
use plants::{CameraError, HEIGHT, JOINTS, Motion, NoRenderer, Pose, Ur5eConveyor, WIDTH};
use rig::{Moment, Site};

use crate::{
    camera::Camera,
    frame::Frame,
    genba::{Genba, PATIENCE, eventually, repository},
    picture::Picture,
    stranger::Stranger,
};

/// What becomes of the camera's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// They come at 30 Hz.
    Clear,
    /// None is taken for so long, from these moments on, in ms.
    Stalls(&'static [u32], u32),
    /// The first one comes again and again.
    Blind,
    /// None comes.
    Absent,
}

/// One ride: the part, the camera, and for how long at most.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How the part moves.
    pub motion: Motion,
    /// What is seen of it.
    pub sight: Sight,
    /// In simulated ms. A ride ends earlier where the part is lost.
    pub length_ms: u32,
    /// This start of the controller.
    pub epoch: u64,
}

/// What became of it.
#[derive(Debug)]
pub struct Ride {
    /// Where the arm was so far away that it followed no more.
    pub lost_ms: Option<u32>,
    /// One for each observation.
    pub ticks: Vec<Tick>,
}

/// An observation and its answer.
#[derive(Debug, Clone, Copy)]
pub struct Tick {
    /// In simulated time.
    pub now_ms: u32,
    /// From the tool to the part.
    pub error_mm: f64,
    /// The reason of a fallback.
    pub fallback: Option<u16>,
    /// How old the box says that the picture was.
    pub input_age_us: u32,
    /// What the answer is marked with.
    pub marks: Status,
    /// When the picture before the last one was sent; the last one may still be on its way.
    pub picture_before: Option<Moment>,
    /// When the answer was there.
    pub answered: Moment,
}

/// The model begins without any place: errors count from here.
pub const SETTLED_MS: u32 = 1_000;

impl Ride {
    /// Root of the mean square of the error in mm, of the moments that `which` takes.
    #[must_use]
    pub fn rms_mm(&self, which: impl Fn(&Tick) -> bool) -> f64 {
        let squares = self.ticks.iter().filter(|tick| which(tick)).map(|tick| tick.error_mm * tick.error_mm);
        let (sum, count) = squares.fold((0.0, 0.0), |(sum, count), square| (sum + square, count + 1.0));
        f64::sqrt(sum / count)
    }

    /// The largest error in mm once it has settled.
    #[must_use]
    pub fn max_mm(&self) -> f64 {
        self.ticks.iter().filter(|tick| tick.settled()).map(|tick| tick.error_mm).fold(0.0, f64::max)
    }
}

impl Tick {
    /// Whether the model has had time to find the part.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.now_ms >= SETTLED_MS
    }
}

/// Rides once; an error where this machine can draw no pictures.
///
/// # Errors
/// [`NoRenderer`] says why.
///
/// # Panics
/// If the box does not answer each observation by an action or a fallback.
pub fn ride(genba: &Genba, site: &Site, plan: &Plan) -> Result<Ride, NoRenderer> {
    let (poses, poses_taken) = channel();
    let (pictures_taken, pictures) = channel();
    thread::scope(|scope| {
        scope.spawn(move || draw(&poses_taken, &pictures_taken));
        let opened = pictures.recv().expect("the camera's thread says whether it can draw");
        opened?;
        Ok(Riding::begin(genba, site, plan, Lens { poses, pictures }).finish())
    })
}

/// Draws a picture for each pose. First of all comes a picture of nothing, or why none can be drawn.
fn draw(poses: &Receiver<Pose>, pictures: &Sender<Result<Vec<u8>, NoRenderer>>) {
    let mut camera = match plants::Camera::open(&scene()) {
        Ok(camera) => camera,
        Err(CameraError::NoRenderer(reason)) => return drop(pictures.send(Err(reason))),
        Err(error @ (CameraError::File { .. } | CameraError::NoCamera(_))) => panic!("{error}"),
    };
    // A ride that has ended takes no more.
    let _ = pictures.send(Ok(Vec::new()));
    for pose in poses {
        let _ = pictures.send(Ok(camera.look(&pose).to_vec()));
    }
}

/// The camera's thread, from outside.
struct Lens {
    poses: Sender<Pose>,
    pictures: Receiver<Result<Vec<u8>, NoRenderer>>,
}

/// A ride on its way.
struct Riding<'a> {
    plan: &'a Plan,
    site: &'a Site,
    plant: Ur5eConveyor,
    stranger: Stranger,
    camera: Camera,
    lens: Lens,
    /// When the pictures that are being taken reach the link.
    underway: VecDeque<u32>,
    first: Option<Vec<u8>>,
    sent: [Option<Moment>; 2],
    sequence: u64,
    ticks: Vec<Tick>,
}

const STEP: Duration = Duration::from_millis(1);
const STEPS_AN_OBSERVATION: u32 = 2;
/// From the shutter to the link.
const EXPOSURE_MS: u32 = 8;
const PICTURES_A_SECOND: u32 = 30;

impl<'a> Riding<'a> {
    fn begin(genba: &'a Genba, site: &'a Site, plan: &'a Plan, lens: Lens) -> Self {
        let mut plant = Ur5eConveyor::load(&scene()).expect("the scene holds the arm");
        plant.ride(plan.motion);
        let stranger = Stranger::connect(genba, site);
        let camera = Camera::connect(genba, site, "camera");
        let mut riding = Self {
            plan,
            site,
            plant,
            stranger,
            camera,
            lens,
            underway: VecDeque::new(),
            first: None,
            sent: [None; 2],
            sequence: 0,
            ticks: Vec::new(),
        };
        if plan.sight != Sight::Absent {
            let taken = genba.status().input(&site.robot, "camera").taken;
            riding.expose(0);
            riding.show();
            eventually("the box has a picture", || {
                (genba.status().input(&site.robot, "camera").taken > taken).then_some(())
            });
            // It grew old while it was waited for.
            riding.expose(0);
            riding.show();
        }
        riding
    }

    fn finish(mut self) -> Ride {
        let mut lost_ms = None;
        let starts = successors(Some(Moment::now()), |due| Some((*due + STEP).max(Moment::now())));
        for (now_ms, due) in (0..self.plan.length_ms).zip(starts) {
            due.sleep();
            if self.is_open(now_ms) {
                self.expose(now_ms + EXPOSURE_MS);
            }
            if self.underway.front().is_some_and(|at_ms| *at_ms <= now_ms) {
                self.show();
            }
            if now_ms.is_multiple_of(STEPS_AN_OBSERVATION) {
                self.ask(now_ms);
            }
            if self.plant.is_lost() {
                lost_ms = Some(now_ms);
                break;
            }
            self.plant.step();
        }
        Ride { lost_ms, ticks: self.ticks }
    }

    /// Whether a picture is taken in this millisecond.
    fn is_open(&self, now_ms: u32) -> bool {
        let frames = |ms: u32| ms * PICTURES_A_SECOND / 1_000;
        let due = now_ms > 0 && frames(now_ms) != frames(now_ms - 1);
        let works = match self.plan.sight {
            Sight::Clear | Sight::Blind => true,
            Sight::Stalls(starts, length) => !starts.iter().any(|start| (*start..start + length).contains(&now_ms)),
            Sight::Absent => false,
        };
        due && works
    }

    fn expose(&mut self, shown_at_ms: u32) {
        self.lens.poses.send(self.plant.pose()).expect("the camera's thread lives as long");
        self.underway.push_back(shown_at_ms);
    }

    /// Publishes the oldest picture that is underway.
    fn show(&mut self) {
        self.underway.pop_front();
        let drawn = self.lens.pictures.recv().expect("the camera's thread lives as long");
        let drawn = drawn.expect("a camera that was opened draws");
        let first = self.first.get_or_insert_with(|| drawn.clone());
        let data = if self.plan.sight == Sight::Blind { first.clone() } else { drawn };
        // From ride to ride the stamps of this camera grow: a repeated one would make nothing younger.
        let stamp_ns = Moment::now().as_nanos();
        self.camera.send(Picture { stamp_ns, width: WIDTH, height: HEIGHT, encoding: "rgb8", data }.message());
        self.sent = [self.sent[1], Some(Moment::now())];
    }

    fn ask(&mut self, now_ms: u32) {
        self.sequence += 1;
        let values = self.plant.observe_alone().to_vec();
        self.stranger.send(Frame { values, ..Frame::of(self.site, self.plan.epoch, self.sequence) }.bytes());
        let frame = self.stranger.response(PATIENCE).expect("the box answers");
        let response = Response::decode(&frame).expect("it is a response");
        assert_eq!(response.sequence.map(Sequence::value), Some(self.sequence), "in order");
        let fallback = match response.body {
            Body::Action { .. } => None,
            Body::Fallback { reason, .. } => Some(reason.value()),
            Body::Refusal { reason } => panic!("refused: E-{}", reason.value()),
        };
        let torque: Vec<f32> = message::floats(response.body.values()).collect();
        self.ticks.push(Tick {
            now_ms,
            error_mm: self.plant.error_m() * 1e3,
            fallback,
            input_age_us: response.input_age_us,
            marks: response.status,
            picture_before: self.sent[0],
            answered: Moment::now(),
        });
        let torque: &[f32; JOINTS] = torque.as_slice().try_into().expect("a torque for each joint");
        self.plant.apply(torque);
    }
}

fn scene() -> PathBuf {
    repository().join("models/visual-servo/scene.xml")
}
