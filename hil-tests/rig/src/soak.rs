//! The soak: a real box under a flood for a long time. Its memory must not grow, and its ledgers must be exact throughout.
//!
//! Each second the box's memory is read and its ledgers are asked for. Timing is not judged: the soak may run beside
//! other work.

mod conduct;
mod deaf;
mod memory;
mod picture;
mod report;
mod slope;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use conduct::{Conduct, Tally};
pub use deaf::hear;
pub use memory::Memory;
pub use picture::picture;
pub use report::{Limit, Report, RobotReport};
pub use slope::{Growth, Size, Slope};

use crate::box_process::BoxProcess;
use crate::box_status::Snapshot;
use crate::clock::Moment;
use crate::demo::{DemoError, READY, free_port};
use crate::site::Site;
use crate::verdict::Verdict;
use conduct::{Ready, Robot};
use deaf::Deaf;
use report::Seen;

/// What the soak is to do.
#[derive(Debug, Clone)]
pub struct SoakOptions {
    /// How long the robots run.
    pub duration: Duration,
    /// So long the memory may grow as it likes: an allocator's pools and the link's buffers fill.
    pub warm_up: Duration,
    /// How much it may grow afterwards.
    pub limit: Limit,
    /// The box's program.
    pub genba: PathBuf,
    /// This program.
    pub rig: PathBuf,
    /// The box's config.
    pub config: PathBuf,
}

/// How often the box is looked at.
const EACH: Duration = Duration::from_secs(1);
/// How long the box may take to answer what is left when the robots have ended.
const SETTLED: Duration = Duration::from_secs(10);

/// Runs the soak; `stop` ends it early.
///
/// # Errors
/// [`DemoError`] where the run could not begin. A run that goes badly is a [`Report`].
pub fn soak(options: &SoakOptions, stop: &AtomicBool) -> Result<(Report, Verdict), DemoError> {
    let sites = Site::load_all(&options.config)?;
    let sites = sites.into_iter().map(Site::without_camera).collect::<Result<Vec<_>, _>>()?;
    let endpoint = format!("tcp/127.0.0.1:{}", free_port()?);
    let mut process = BoxProcess::start(&options.genba, &options.config, &endpoint)
        .map_err(|source| DemoError::NoBox { genba: options.genba.clone(), source })?;
    eprintln!("genba listens on {endpoint}; it measures its margin first");
    let ready = sites.into_iter().map(|site| Ready::connect(&endpoint, site)).collect::<Result<Vec<_>, _>>()?;
    await_ready(&ready, &mut process, stop)?;

    let resting = Arc::new(AtomicBool::new(false));
    let robots = ready.into_iter().map(|robot| robot.start(&resting)).collect::<io::Result<Vec<_>>>()?;
    let deaf = robots.iter().filter(|robot| robot.conduct == Conduct::Deaf);
    let deaf = deaf.map(|robot| Deaf::start(&options.rig, &endpoint, &robot.site.response_key));
    let deaf = deaf.collect::<io::Result<Vec<_>>>()?;
    let mut watch = Watch { options, process, deaf, series: Vec::new(), snapshots: 0, wrong: Vec::new(), boot: None };
    let lasted = watch.run(stop)?;

    resting.store(true, Ordering::Relaxed);
    Ok(watch.end(robots, lasted, stop.load(Ordering::Relaxed))?.report())
}

fn await_ready(ready: &[Ready], process: &mut BoxProcess, stop: &AtomicBool) -> Result<(), DemoError> {
    let until = Moment::now() + READY;
    while !ready.iter().all(Ready::is_served) {
        if stop.load(Ordering::Relaxed) {
            return Err(DemoError::Stopped);
        }
        let ended = process.ended()?.map(|status| format!("the box ended with {status}"));
        let late = (Moment::now() > until).then(|| format!("the box is not ready after {} s", READY.as_secs()));
        if let Some(what) = ended.or(late) {
            return Err(DemoError::NotReady { what, said: process.said() });
        }
        (Moment::now() + Duration::from_millis(20)).sleep();
    }
    Ok(())
}

/// The box while the robots run.
struct Watch<'o> {
    options: &'o SoakOptions,
    process: BoxProcess,
    deaf: Vec<Deaf>,
    series: Vec<(Duration, Memory)>,
    snapshots: u64,
    wrong: Vec<String>,
    boot: Option<String>,
}

impl Watch<'_> {
    /// Looks each second until the time is over; how long it was.
    fn run(&mut self, stop: &AtomicBool) -> Result<Duration, DemoError> {
        let (start, mut screen) = (Moment::now(), Screen::new(self.options.duration));
        let mut due = start;
        loop {
            due = due + EACH;
            due.sleep();
            let at = Moment::now().since(start);
            if let Some(status) = self.process.ended()? {
                self.wrong.push(format!("the box ended with {status} after {} s", at.as_secs()));
                return Ok(at);
            }
            let memory = Memory::of(self.process.id())?;
            self.series.push((at, memory));
            self.look();
            self.deaf.iter_mut().for_each(|deaf| deaf.at(at.as_secs()));
            screen.show(at, memory, &self.wrong);
            if at >= self.options.duration || stop.load(Ordering::Relaxed) {
                screen.end();
                return Ok(at);
            }
        }
    }

    /// Asks for the ledgers and notes what is wrong with them.
    fn look(&mut self) -> Option<Snapshot> {
        match Snapshot::ask(&self.options.genba, &self.options.config) {
            Ok(snapshot) => {
                self.snapshots += 1;
                self.wrong.extend(snapshot.unbalanced().into_iter().map(|what| format!("P6 does not hold: {what}")));
                let boot = self.boot.get_or_insert_with(|| snapshot.boot.clone());
                if *boot != snapshot.boot {
                    self.wrong.push(format!("the box was restarted: boot {}, then {boot}", snapshot.boot));
                }
                Some(snapshot)
            }
            Err(error) => {
                self.wrong.push(format!("the box does not say what it counted: {error}"));
                None
            }
        }
    }

    /// Ends everything, the robots first, so that nothing is in flight.
    fn end(mut self, robots: Vec<Robot>, duration: Duration, stopped: bool) -> Result<Seen, DemoError> {
        // Before they end: a session's own end is no loss.
        let tokens_lost = robots.iter().map(|robot| robot.watch.lost()).sum();
        let ended: Vec<_> = robots.into_iter().map(Robot::end).collect();
        self.deaf.clear();
        let last = self.settled();
        let (mut reports, mut late, mut steady, mut told) = (Vec::new(), Duration::ZERO, None, 0);
        let mut watches = Vec::new();
        for (site, conduct, watch, left) in ended {
            let ledger = last.as_ref().and_then(|last| last.of(&site)).unwrap_or_default();
            reports.push(RobotReport { robot: site.robot, conduct, tally: left.tally, ledger });
            late = late.max(left.late);
            steady = steady.or(left.totals);
            watches.push(watch);
        }
        let (status, said) = self.process.stop()?;
        if !status.is_some_and(|status| status.success()) {
            let how = status.map_or("had to be killed".to_owned(), |status| format!("ended with {status}"));
            self.wrong.push(format!("the box {how}; it said:\n{said}"));
        }
        for watch in watches {
            told += u64::from(watch.farewells() > 0);
        }
        if told < reports.len() as u64 {
            self.wrong.push(format!("{told} of {} robots were told farewell", reports.len()));
        }
        Ok(Seen {
            duration,
            warm_up: self.options.warm_up,
            limit: self.options.limit,
            series: self.series,
            snapshots: self.snapshots,
            wrong: self.wrong,
            stopped,
            tokens_lost,
            late,
            robots: reports,
            steady,
            total: last.map(|last| last.total).unwrap_or_default(),
        })
    }

    /// The ledgers once nothing is in flight, or the last ones.
    fn settled(&mut self) -> Option<Snapshot> {
        let until = Moment::now() + SETTLED;
        loop {
            let snapshot = self.look();
            let open = snapshot.as_ref().is_none_or(|snapshot| snapshot.total.in_flight > 0);
            if !open || Moment::now() > until {
                return snapshot;
            }
            (Moment::now() + Duration::from_millis(50)).sleep();
        }
    }
}

/// The run as it goes: one line in place on a terminal, one each minute elsewhere.
struct Screen {
    in_place: bool,
    duration: Duration,
    shown: Option<Duration>,
}

impl Screen {
    fn new(duration: Duration) -> Self {
        Self { in_place: io::stderr().is_terminal(), duration, shown: None }
    }

    fn show(&mut self, at: Duration, memory: Memory, wrong: &[String]) {
        let pause = if self.in_place { Duration::ZERO } else { Duration::from_mins(1) };
        if self.shown.is_some_and(|last| at < last + pause) {
            return;
        }
        self.shown = Some(at);
        let left = self.duration.saturating_sub(at).as_secs();
        let done = at.as_secs_f64() / self.duration.as_secs_f64();
        let line = format!(
            "{} {}:{:02} left, {:.1} MiB, {} faults",
            bar(done),
            left / 60,
            left % 60,
            f64::from(memory.resident) / 1024.0,
            wrong.len()
        );
        if self.in_place {
            eprint!("\r\x1b[K{line}");
            // A terminal that is gone is no reason to end the run.
            let _ = io::stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    fn end(&self) {
        if self.in_place {
            eprintln!();
        }
    }
}

fn bar(done: f64) -> String {
    const WIDTH: u32 = 30;
    let filled = |place: u32| f64::from(place) < done * f64::from(WIDTH);
    (0..WIDTH).map(|place| if filled(place) { '█' } else { '░' }).collect()
}
