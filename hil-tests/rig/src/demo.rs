//! The demo: a box in a process of its own, the robot here, a hang in the middle, a verdict at the end.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use message::Epoch;
use plants::Ur5eConveyor;
use thiserror::Error;

use crate::box_process::BoxProcess;
use crate::box_status::{BoxStatus, Comparison};
use crate::calibration::{CalibrationError, calibrate, calibrate_for};
use crate::canary::Canaries;
use crate::clock::Moment;
use crate::link::{Link, LinkError, Outbox, Watch};
use crate::priority;
use crate::recording::Recording;
use crate::robot::{Hang, Report, Robot};
use crate::screen::Screen;
use crate::site::{Site, SiteError};
use crate::summary::Summary;
use crate::verdict::Verdict;

/// What the demo is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long the robot runs.
    pub duration: Duration,
    /// How long the model hangs, half way through; zero: not at all.
    pub hang: Duration,
    /// The box's program.
    pub genba: PathBuf,
    /// The box's config.
    pub config: PathBuf,
}

/// What the demo left behind.
pub struct Outcome {
    /// The run in figures.
    pub summary: Summary,
    /// The run's books.
    pub recording: Recording,
    /// What it proves.
    pub verdict: Verdict,
}

/// Why there was no run.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The config is of no use.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The arm cannot be loaded.
    #[error(transparent)]
    Arm(#[from] plants::LoadError),
    /// The box's program cannot be started.
    #[error(
        "cannot start {}: {source}; build it with `cargo build --release`, or name it with --genba",
        genba.display()
    )]
    NoBox {
        /// The program.
        genba: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The box is not ready.
    #[error("{what}; it said:\n{said}")]
    NotReady {
        /// What was seen of it.
        what: String,
        /// Its last lines.
        said: String,
    },
    /// The hang could not be measured.
    #[error("{source}; the box said:\n{said}")]
    Calibration {
        /// Why.
        source: CalibrationError,
        /// Its last lines.
        said: String,
    },
    /// The robot's link failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The system refused something.
    #[error(transparent)]
    System(#[from] io::Error),
    /// It was stopped before the run began.
    #[error("stopped before the robot moved")]
    Stopped,
}

impl DemoError {
    /// 1 the box or its link is bad, 2 what was asked for is, 3 nothing was seen, or the machine keeps no time.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Site(_) | Self::Arm(_) | Self::NoBox { .. } => 2,
            Self::Calibration { source: CalibrationError::Unsteady { .. }, .. } | Self::Stopped => 3,
            Self::NotReady { .. } | Self::Calibration { .. } | Self::Link(_) | Self::System(_) => 1,
        })
    }
}

/// Runs the demo; `stop` ends it early.
///
/// # Errors
/// [`DemoError`] where the run could not begin. A run that goes badly is an [`Outcome`].
pub fn demo(options: &Options, stop: &Arc<AtomicBool>) -> Result<Outcome, DemoError> {
    let site = Site::load(&options.config)?.without_camera()?;
    let plant = Ur5eConveyor::load(&site.arm_xml)?;
    let endpoint = format!("tcp/127.0.0.1:{}", free_port()?);
    let mut process = BoxProcess::start(&options.genba, &options.config, &endpoint)
        .map_err(|source| DemoError::NoBox { genba: options.genba.clone(), source })?;
    eprintln!("genba listens on {endpoint}; it measures its margin first");

    let (mut outbox, mut inbox, watch) = Link::open(&endpoint, &site)?.split();
    wait_until_ready(&mut process, &outbox, &watch, stop)?;
    // A page fault or a thread of lower priority must not hold up the robot; without the right to either,
    // the summary names the scheduling class.
    let _ = priority::lock_memory();
    let _ = priority::raise_link(priority::LINK);

    let tolerance = BoxStatus::ask(&options.genba, &options.config, &site).map_or(TOLERANCE, |status| status.margin);
    // Before the calibration: a core that shares its work with a canary's is slower.
    let canaries = Canaries::start(tolerance)?;

    let hang = if site.can_hang && !options.hang.is_zero() {
        let home = plant.observe();
        let mut measure = || {
            let short = calibrate(&mut outbox, &mut inbox, epoch(), &home)?;
            calibrate_for(options.hang, &mut outbox, &mut inbox, epoch(), &home, short)
        };
        // A machine that stands still spoils a measurement, not the demo.
        let measured = measure().or_else(|_| measure()).or_else(|_| measure());
        let calibration = measured.map_err(|source| DemoError::Calibration { source, said: process.said() })?;
        let at_ms = u32::try_from(options.duration.as_millis() / 2).unwrap_or(u32::MAX);
        // the physics observes at even milliseconds
        let asked_ms = u32::try_from(options.hang.as_millis()).unwrap_or(u32::MAX);
        Some(Hang { at_ms: at_ms & !1, asked_ms, iterations: calibration.iterations(options.hang) })
    } else {
        None
    };
    let before = BoxStatus::ask(&options.genba, &options.config, &site).ok();

    let robot =
        Robot { plant, outbox, inbox, epoch: epoch(), duration: options.duration, hang, stop: Arc::clone(stop) };
    let recording = Recording::new(options.duration, site.deadline, tolerance);
    let (mut recording, report) = run(robot, recording, &mut process)?;
    recording.pacing.canaries(canaries.stop());

    let after = BoxStatus::ask(&options.genba, &options.config, &site).ok();
    let canary = recording.pacing.canary(recording.ledger.windows(), site.deadline);
    let (ended, said) = process.stop()?;
    let ended_well = ended.is_some_and(|status| status.success());
    let ledgers = before
        .zip(after)
        .map(|(before, after)| after.ledger.since(before.ledger).compared_with(recording.ledger.totals()));
    let mut verdict = Verdict::of(&recording, &report, &canary);
    if ledgers == Some(Comparison::Differ) {
        verdict = verdict.and_broken(format!("the box's ledger denies what the robot saw: {after:?}"));
    }
    if !ended_well || watch.farewells() == 0 {
        let how = ended.map_or("had to be killed".to_owned(), |status| format!("ended with {status}"));
        verdict = verdict.and_broken(format!("the box {how}, with {} farewells", watch.farewells()));
        eprintln!("the box said:\n{said}");
    }
    let mut summary = Summary::of(&site, &recording, &report, canary, &verdict);
    summary.ledgers = ledgers;
    summary.farewell = ended_well && watch.farewells() > 0;
    Ok(Outcome { summary, recording, verdict })
}

/// How long a box may take to measure its margin and load its models.
pub(crate) const READY: Duration = Duration::from_secs(30);

/// How late the canary may be where the box does not say what margin it keeps: one step of the physics.
const TOLERANCE: Duration = Duration::from_millis(1);

/// Events for half a minute, should the terminal be slow.
const EVENTS: usize = 1 << 16;

/// The robot in its own thread; its events are noted and shown here.
fn run(robot: Robot, mut recording: Recording, process: &mut BoxProcess) -> Result<(Recording, Report), DemoError> {
    let mut screen = Screen::new(robot.duration);
    let stop = Arc::clone(&robot.stop);
    let (events_in, events) = sync_channel(EVENTS);
    let thread = thread::Builder::new().name("robot".into()).spawn(move || robot.run(&events_in))?;
    loop {
        match events.recv_timeout(screen.period()) {
            Ok(event) => recording.note(event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        screen.show(&recording);
        if process.ended()?.is_some() {
            stop.store(true, Ordering::Relaxed);
        }
    }
    screen.last(&recording);
    let report = thread.join().expect("the robot's thread does not panic");
    Ok((recording, report))
}

fn wait_until_ready(
    process: &mut BoxProcess,
    outbox: &Outbox,
    watch: &Watch,
    stop: &AtomicBool,
) -> Result<(), DemoError> {
    let until = Moment::now() + READY;
    while !(watch.is_alive() && outbox.is_heard()) {
        if stop.load(Ordering::Relaxed) {
            return Err(DemoError::Stopped);
        }
        if let Some(status) = process.ended()? {
            return Err(DemoError::NotReady { what: format!("the box ended with {status}"), said: process.said() });
        }
        if Moment::now() > until {
            let what = format!("the box shows no sign of life after {} s", READY.as_secs());
            return Err(DemoError::NotReady { what, said: process.said() });
        }
        (Moment::now() + Duration::from_millis(20)).sleep();
    }
    Ok(())
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A random number: the hasher of each `RandomState` is seeded by the system.
fn epoch() -> Epoch {
    Epoch::new(RandomState::new().build_hasher().finish())
}
