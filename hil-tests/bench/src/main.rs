//! `genba-bench`: the round trip through the box beside what it is made of and beside naive servers, in one
//! run, interleaved, each in a process of its own. It asserts counts, never a time.
//!
//! The modules stand in the order in which a run uses them.

mod measure;
mod scheduling;
mod subject;

mod allocations;
mod traffic;
mod way;

mod client;
mod genba;
mod process;
mod server;

mod findings;
mod machine;
mod progress;
mod report;
mod statistics;

mod gpu;
mod peers;
mod robots;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Parser, Subcommand};
use manifest::Manifest;
use miette::{IntoDiagnostic, Result, WrapErr, miette};

use crate::findings::Outcome;
use crate::measure::{FEWEST_ROUNDS, Measure};
use crate::report::{ModeReport, Report};
use crate::scheduling::Mode;
use crate::server::Server;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Measures the round trip through the box, side by side with its parts and with naive servers.
///
/// Exits with 0 if every count is as it must be, 1 if not, 3 if the figures compare nothing on this machine.
#[derive(Parser)]
#[command(name = "genba-bench", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Other>,
    #[command(flatten)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Other {
    /// genba beside what others would put in its place: Triton, dora, Python, naive servers.
    Peers(peers::Peers),
    /// The tests that need a GPU, and the shipped models on each provider: one report.
    Gpu(gpu::Gpu),
    /// One policy and one worker for 1 to 128 robots.
    Robots(robots::Robots),
    #[command(hide = true)]
    PeerServer(peers::Naive),
    #[command(hide = true)]
    PeerClient(peers::Client),
    #[command(hide = true)]
    Server(Server),
    #[command(hide = true)]
    Measure(Measure),
}

#[derive(clap::Args)]
struct Bench {
    /// At most a minute: enough for the counts, little for the times.
    #[arg(long)]
    short: bool,
    /// Where all figures are kept.
    #[arg(long, value_name = "FILE", default_value = "bench.json")]
    json: PathBuf,
    /// Measure this mode only; may be given twice.
    #[arg(long = "mode", value_name = "MODE")]
    modes: Vec<Mode>,
    /// Rounds, in each of which every subject has its turn.
    #[arg(long, value_parser = clap::value_parser!(u16).range(FEWEST_ROUNDS as i64..))]
    rounds: Option<u16>,
    /// Round trips of each subject in each round.
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..))]
    round_trips: Option<u32>,
    /// The model's folder, with golden.json beside model.toml.
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// The box's program; by default the one beside this program.
    #[arg(long, value_name = "FILE")]
    genba: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => cli.bench.run(),
        Some(Other::Gpu(gpu)) => gpu.run(),
        Some(Other::Peers(peers)) => peers.run(),
        Some(Other::Robots(robots)) => robots.run(),
        Some(Other::PeerServer(server)) => server.run().map(|()| ExitCode::SUCCESS),
        Some(Other::PeerClient(client)) => client.run().map(|()| ExitCode::SUCCESS),
        Some(Other::Server(server)) => server.run().map(|()| ExitCode::SUCCESS),
        Some(Other::Measure(measure)) => measure.run().and_then(|outcome| {
            println!("{}", serde_json::to_string(&outcome).into_diagnostic()?);
            Ok(ExitCode::SUCCESS)
        }),
    };
    result.unwrap_or_else(|report| {
        eprintln!("{report:?}");
        ExitCode::FAILURE
    })
}

/// A run's size.
struct Size {
    rounds: u16,
    round_trips: u32,
    /// For each mode.
    budget_s: u64,
}

/// At most four minutes: p99.9 of a round has 20 samples beyond it.
const FULL: Size = Size { rounds: 7, round_trips: 20_000, budget_s: 110 };
const SHORT: Size = Size { rounds: 3, round_trips: 1_000, budget_s: 25 };
/// Inconclusive.
pub(crate) const NOTHING_SAID: u8 = 3;

impl Bench {
    fn run(self) -> Result<ExitCode> {
        let folder = self.model.clone().unwrap_or_else(shipped_model);
        let manifest = Manifest::load(&folder).into_diagnostic()?;
        let (request_bytes, response_bytes) = traffic::lengths(&manifest);
        let both = vec![Mode::FifoOneCore, Mode::Default];
        let chosen = if self.modes.is_empty() { both } else { self.modes.clone() };
        let size = self.size();
        let mut report = Report {
            date: machine::now(),
            commit: machine::commit(),
            machine: machine::Machine::this(),
            command: format!("genba-bench --rounds {} --round-trips {}", size.rounds, size.round_trips),
            model: format!("{} {}", manifest.name(), manifest.version()),
            request_bytes,
            response_bytes,
            modes: Vec::new(),
        };
        for mode in chosen {
            let outcome = self.measure(mode, &size, &folder).wrap_err_with(|| format!("mode {mode}"))?;
            report.modes.push(ModeReport { mode, outcome });
        }
        print!("{}", report.table());
        let text = serde_json::to_string_pretty(&report).into_diagnostic()?;
        fs::write(&self.json, text + "\n")
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}; name another file with --json", self.json.display()))?;
        println!("\nall figures: {}", self.json.display());
        Ok(verdict(&report))
    }

    fn size(&self) -> Size {
        let size = if self.short { SHORT } else { FULL };
        Size {
            rounds: self.rounds.unwrap_or(size.rounds),
            round_trips: self.round_trips.unwrap_or(size.round_trips),
            budget_s: size.budget_s,
        }
    }

    /// In a process of its own: what a mode asks of the system ends with it.
    fn measure(&self, mode: Mode, size: &Size, model: &Path) -> Result<Outcome> {
        let genba = self.genba.clone().map_or_else(genba::beside_this_program, Ok)?;
        let mut command = Command::new(std::env::current_exe().into_diagnostic()?);
        command.args(["measure", "--mode", &mode.to_string()]);
        command.args(["--rounds", &size.rounds.to_string(), "--round-trips", &size.round_trips.to_string()]);
        command.args(["--budget-s", &size.budget_s.to_string(), "--model"]).arg(model).arg("--genba").arg(genba);
        process::end_with_parent(&mut command);
        let said = command.stderr(Stdio::inherit()).output().into_diagnostic()?;
        if !said.status.success() {
            return Err(miette!("measuring ended with {}", said.status));
        }
        serde_json::from_slice(&said.stdout).into_diagnostic()
    }
}

/// Says what is wrong and turns it into an exit code.
fn verdict(report: &Report) -> ExitCode {
    let (bad, inconclusive) = (report.bad(), report.inconclusive());
    for line in &bad {
        println!("BAD           {line}");
    }
    for line in &inconclusive {
        println!("inconclusive  {line}");
    }
    match (bad.is_empty(), inconclusive.is_empty()) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(NOTHING_SAID),
        (true, true) => {
            println!("good: no allocation of ours, every request answered");
            ExitCode::SUCCESS
        }
    }
}

fn shipped_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/ur5e-conveyor")
}
