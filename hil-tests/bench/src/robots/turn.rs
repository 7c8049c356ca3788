//! One number of robots' turn: a fresh box, one client process for all robots, nothing left afterwards.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, Result, WrapErr, miette};
use serde::Serialize;
use tempfile::TempDir;

use crate::genba::{Genba, Status};
use crate::peers::{BOX_PRIORITY, BoxLedger, Canary, Kept, Seats, Side, Standstills, log, site, wrong};
use crate::process::{Process, free_endpoint};
use crate::statistics::micros;

/// When robots ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// One after another, all through the period: a worker seldom has several to answer.
    Spread,
    /// All at the same moment: the worker and the link get everything at once.
    InStep,
}

impl Phase {
    pub(crate) const ALL: [Self; 2] = [Self::Spread, Self::InStep];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spread => "spread",
            Self::InStep => "in step",
        })
    }
}

/// Where everything is and runs.
pub(crate) struct Setup {
    pub(crate) genba: PathBuf,
    /// The model, and the timing record.
    pub(crate) work: TempDir,
    pub(crate) seats: Seats,
    pub(crate) seconds: f64,
    pub(crate) short: bool,
    pub(crate) max_batch: Option<u16>,
}

/// What a turn found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) robots: Side,
    pub(crate) of_the_box: BoxLedger,
    pub(crate) standstills: Standstills,
    /// Of one inference, on average.
    pub(crate) batch: f64,
    /// How long the worker was occupied, from the order until the result, for each answer of the model.
    pub(crate) worker_us: f64,
    /// CPU time of the worker's thread for each answer: the inference, and putting the answers.
    pub(crate) worker_cpu_us: Option<f64>,
    /// CPU time of the whole box for each answer.
    pub(crate) cpu_us: f64,
    /// What of the box lies in memory.
    pub(crate) memory_mib: f64,
    /// Counts that are wrong.
    #[serde(skip)]
    pub(crate) wrong: Vec<String>,
}

const TASK: &str = "control";
const MODEL: &str = "crowd";
pub(crate) const RATE_HZ: u16 = 100;
/// One period.
const DEADLINE_US: u64 = 10_000;
/// A zenoh session holds 16 messages of the most urgent kind, and a robot has one of its own in earnest.
const ROBOTS_A_SESSION: u16 = 4;
/// Of the executions that a record promises: it takes 1,000 of each batch size.
const QUANTILE: f64 = 0.99;
/// A record out of few: enough for the counts.
const SHORT_QUANTILE: f64 = 0.9;
const SHORT_MEASURE_S: u64 = 5;
const START: Duration = Duration::from_secs(90);
const END: Duration = Duration::from_secs(20);

impl Setup {
    /// Measures the model, as an operator does before the first start; what `genba check` says of so many robots then.
    pub(crate) fn measure(&self, robots: u16) -> Result<String> {
        let config = self.work.path().join("measure.toml");
        let socket = self.work.path().join("measure.sock");
        fs::write(&config, self.config(robots, &free_endpoint()?, &socket)).into_diagnostic()?;
        let run = |arguments: &[&str]| {
            let mut command = Command::new(&self.genba);
            command.args(arguments).arg("--config").arg(&config);
            self.seats.server().give(&mut command);
            command.output().into_diagnostic().wrap_err_with(|| format!("cannot run {}", self.genba.display()))
        };
        let short = ["measure", "--seconds", &SHORT_MEASURE_S.to_string()];
        let measured = if self.short { run(&short) } else { run(&["measure", "--quick"]) }?;
        // 3: too few samples for some quantile; the box says what it makes of that.
        if !matches!(measured.status.code(), Some(0 | 3)) {
            return Err(miette!("genba measure: {}", String::from_utf8_lossy(&measured.stderr).trim()));
        }
        let checked = run(&["check"])?;
        let told = |line: &&str| ["margin ", "task ", "batches ", "workers "].iter().any(|word| line.starts_with(word));
        let said = String::from_utf8_lossy(&checked.stdout);
        let complaints = String::from_utf8_lossy(&checked.stderr);
        let complaints = complaints.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('{'));
        let lines: Vec<&str> = said.lines().map(str::trim).filter(told).chain(complaints).collect();
        // The record is gone with the run, and so is its place.
        let place = format!(": {}", self.work.path().display());
        let without = lines.iter().map(|line| line.split(&place).next().unwrap_or(line));
        Ok(without.collect::<Vec<_>>().join("\n"))
    }

    fn config(&self, robots: u16, endpoint: &str, socket: &Path) -> String {
        let (work, core) = (self.work.path(), self.seats.servers);
        let realtime = if self.seats.fifo {
            format!("[realtime]\nfifo_priority = {BOX_PRIORITY}\nengine_cores = [{core}]\nlock_memory = true\n")
        } else {
            String::new()
        };
        let quantile = if self.short { SHORT_QUANTILE } else { QUANTILE };
        let period_us = 1_000_000 / u64::from(RATE_HZ);
        let max_batch = self.max_batch.map(|most| format!("max_batch = {most}\n")).unwrap_or_default();
        let names: Vec<String> =
            (0..usize::from(robots)).map(|robot| format!("{{ name = \"{}\" }}", site::robot(robot))).collect();
        format!(
            "[box]\nname = \"bench\"\nkey_prefix = \"{}\"\nstatus_socket = \"{}\"\n\
             [link]\nlisten = [\"{endpoint}\"]\n{realtime}[timing]\nrecords = \"{}\"\n\
             [[model]]\nname = \"{MODEL}\"\nfolder = \"{}\"\n{max_batch}[[worker]]\nname = \"{MODEL}\"\ncores = [{core}]\n\
             [[task]]\nname = \"{TASK}\"\nmodel = \"{MODEL}\"\ndeadline_us = {DEADLINE_US}\nmin_period_us = {period_us}\n\
             arrival_jitter_us = {period_us}\nexecution_quantile = {quantile}\nhold_ms = 1000\nrobots = [{}]\n",
            site::PREFIX,
            socket.display(),
            work.join("timing").display(),
            work.join(MODEL).display(),
            names.join(", ")
        )
    }

    pub(crate) fn turn(&self, robots: u16, phase: Phase) -> Result<Figures> {
        let folder = TempDir::with_prefix("genba-robots-").into_diagnostic()?;
        self.play(robots, phase, folder.path()).wrap_err_with(|| {
            let log = fs::read_to_string(folder.path().join(format!("{TASK}.log"))).unwrap_or_default();
            format!("{robots} robots, {phase}\n{log}")
        })
    }

    fn play(&self, robots: u16, phase: Phase, folder: &Path) -> Result<Figures> {
        let endpoint = free_endpoint()?;
        let config = |socket: &Path| self.config(robots, &endpoint, socket);
        let mut genba = Genba::start_with(&self.genba, config, |command| self.seats.server().give(command))?;
        let client = self.client(robots, phase, &endpoint, folder)?;
        wait_for(&folder.join(format!("{TASK}.ready")), START, &mut genba, &client)?;
        let before = Reading::of(&genba)?;
        fs::write(folder.join("go"), "").into_diagnostic()?;
        let canaries = self.seats.fifo.then(|| [self.seats.servers, self.seats.load].map(Canary::start));
        let left = folder.join(format!("{TASK}.json"));
        wait_for(&left, Duration::from_secs_f64(self.seconds) + END, &mut genba, &client)?;
        let after = Reading::of(&genba)?;
        let standstills: Vec<_> = canaries.into_iter().flatten().flat_map(Canary::end).collect();
        let kept: Kept = serde_json::from_str(&fs::read_to_string(left).into_diagnostic()?).into_diagnostic()?;
        figures(&kept, &before, &after, &standstills)
    }

    fn client(&self, robots: u16, phase: Phase, endpoint: &str, folder: &Path) -> Result<Process> {
        let mut command = Command::new(std::env::current_exe().into_diagnostic()?);
        command.args(["peer-client", "--way", "genba", "--name", TASK, "--task", TASK, "--delay-s", "0"]);
        command.args(["--address", endpoint, "--robots", &robots.to_string()]);
        command.args(["--links", &robots.div_ceil(ROBOTS_A_SESSION).to_string()]);
        command.args(["--rate", &(u32::from(robots) * u32::from(RATE_HZ)).to_string()]);
        command.args(["--seconds", &self.seconds.to_string(), "--deadline-us", &DEADLINE_US.to_string()]);
        command.arg("--folder").arg(folder).arg("--model").arg(self.work.path().join(MODEL));
        command.args((phase == Phase::InStep).then_some("--in-step"));
        self.seats.control().give(&mut command);
        log(&mut command, folder, TASK)?;
        Process::start(&mut command).into_diagnostic()
    }
}

fn wait_for(file: &Path, patience: Duration, genba: &mut Genba, client: &Process) -> Result<()> {
    let begun = Instant::now();
    while !file.exists() {
        genba.is_running()?;
        if client.ended()? == Some(false) {
            return Err(miette!("the client ended"));
        }
        if begun.elapsed() > patience {
            return Err(miette!("no {} within {} s", file.display(), patience.as_secs()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// What a box has used up to now.
struct Reading {
    status: Status,
    cpu_ns: u64,
    worker_cpu_ns: Option<u64>,
    memory_kib: u64,
}

impl Reading {
    fn of(genba: &Genba) -> Result<Self> {
        let process = PathBuf::from(format!("/proc/{}", genba.process.id()));
        let status = fs::read_to_string(process.join("status")).into_diagnostic()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        Ok(Self {
            cpu_ns: genba.process.cpu_ns()?,
            worker_cpu_ns: thread_cpu_ns(&process.join("task"), &format!("genba-{MODEL}")),
            memory_kib: resident.and_then(|kib| kib.parse().ok()).ok_or_else(|| miette!("the box has no VmRSS"))?,
            status: genba.status()?,
        })
    }
}

/// Of the thread with this name; `None` where the kernel does not say.
fn thread_cpu_ns(tasks: &Path, name: &str) -> Option<u64> {
    let mut threads = fs::read_dir(tasks).ok()?.flatten().map(|entry| entry.path());
    let thread = threads.find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name))?;
    fs::read_to_string(thread.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
}

#[allow(clippy::cast_precision_loss, reason = "the answers of some seconds")]
fn figures(kept: &Kept, before: &Reading, after: &Reading, standstills: &[(u64, u64)]) -> Result<Figures> {
    let of_the_box = BoxLedger::between(&before.status, &after.status)?;
    let sum = |count: fn(&crate::peers::Counts) -> u64| count(&kept.counts);
    let mut found_wrong = wrong(&of_the_box, sum);
    if !kept.counts.add_up() {
        found_wrong.push(format!("the client's ledger does not add up: {:?}", kept.counts));
    }
    let (begun, ended) = (before.status.first_worker()?, after.status.first_worker()?);
    let [inferences, observations, execution_us]: [u64; 3] = std::array::from_fn(|place| ended[place] - begun[place]);
    let answers = (of_the_box.model + of_the_box.fallback).max(1) as f64;
    let per_answer = |nanos: u64| micros(nanos) / answers;
    let worker_cpu_ns = after.worker_cpu_ns.zip(before.worker_cpu_ns).map(|(after, before)| after - before);
    let by_model = of_the_box.model.max(1) as f64;
    Ok(Figures {
        robots: Side::of(kept, standstills),
        of_the_box,
        standstills: Standstills::of(standstills),
        batch: observations as f64 / inferences.max(1) as f64,
        worker_us: execution_us as f64 / by_model,
        worker_cpu_us: worker_cpu_ns.map(per_answer),
        cpu_us: per_answer(after.cpu_ns - before.cpu_ns),
        memory_mib: after.memory_kib as f64 / 1024.0,
        wrong: found_wrong,
    })
}
