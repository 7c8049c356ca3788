//! One policy, one worker, and ever more robots at 100 Hz: who is answered in time, and what an answer costs.
//!
//! The modules stand in the order in which a run uses them.

mod turn;

mod findings;
mod picture;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use miette::{IntoDiagnostic, Result, WrapErr, miette};

use self::findings::{Conditions, Found, MANY};
use self::turn::{Phase, Setup};
use crate::peers::{Seats, throttling};
use crate::progress::Progress;
use crate::scheduling::{self, Place};
use crate::{NOTHING_SAID, genba, machine};

/// Measures a box with 1 to 128 robots at 100 Hz on one policy and one worker.
///
/// Exits with 0 if every count is as it must be, 1 if one is wrong, 3 if this machine did not let the figures compare. A
/// figure that is not what it should be is told, and changes nothing about that.
#[derive(Debug, Args)]
pub(crate) struct Robots {
    /// At most 20 s: two sizes, once, for the counts.
    #[arg(long)]
    short: bool,
    /// Where all figures are kept.
    #[arg(long, value_name = "FILE", default_value = "robots.json")]
    json: PathBuf,
    /// Where the picture is drawn.
    #[arg(long, value_name = "FILE", default_value = "robots.svg")]
    svg: PathBuf,
    /// Rounds, in each of which every number of robots has its turn.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Of each turn.
    #[arg(long)]
    seconds: Option<f64>,
    /// This many robots; may be given more than once.
    #[arg(long = "robots", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    sizes: Vec<u16>,
    /// At most so many observations an inference; 1: none together.
    #[arg(long, value_name = "N")]
    max_batch: Option<u16>,
    /// Where this user may, lift the kernel's real-time throttling meanwhile; it is restored however this ends.
    #[arg(long)]
    unthrottled: bool,
    /// Python, for the model: it needs no package.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// The box's program; by default the one beside this program.
    #[arg(long, value_name = "FILE")]
    genba: Option<PathBuf>,
}

const SIZES: [u16; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
const SHORT_SIZES: [u16; 2] = [1, 16];
const ROUNDS: u16 = 3;
const SECONDS: f64 = 4.0;
const SHORT_SECONDS: f64 = 1.0;

impl Robots {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let otherwise: &[u16] = if self.short { &SHORT_SIZES } else { &SIZES };
        let sizes = if self.sizes.is_empty() { otherwise.to_vec() } else { self.sizes.clone() };
        let rounds = self.rounds.unwrap_or(if self.short { 1 } else { ROUNDS });
        let seconds = self.seconds.unwrap_or(if self.short { SHORT_SECONDS } else { SECONDS });
        let throttled = throttling::setting();
        let lifted = self.unthrottled.then(throttling::Lifted::lift).and_then(Result::ok);
        let setup = self.setup(seconds)?;
        let largest = *sizes.iter().max().expect("some size was chosen");
        let record = setup.measure(largest.min(MANY))?;
        let mut findings = Found::new(Conditions {
            date: machine::now(),
            commit: machine::commit(),
            machine: machine::Machine::this(),
            command: self.command(rounds, seconds),
            rounds: 0,
            seconds,
            times_count: !self.short,
            seats: setup.seats,
            throttling: throttled,
            unthrottled: lifted.is_some(),
            record,
        });
        let turns: Vec<(u16, Phase)> =
            sizes.iter().flat_map(|robots| Phase::ALL.map(|phase| (*robots, phase))).collect();
        let mut progress = Progress::new("robots", turns.len() * usize::from(rounds));
        for round in 0..rounds {
            for place in 0..turns.len() {
                // In each round another is first.
                let shift = usize::from(round) * turns.len() / usize::from(rounds);
                let (robots, phase) = turns[(place + shift) % turns.len()];
                findings.add(robots, phase, setup.turn(robots, phase));
                progress.step();
            }
            // A run that is cut off keeps what it has.
            findings.sum_up(round + 1);
            self.keep(&findings)?;
        }
        progress.end();
        drop(lifted);
        print!("{}", table::write(&findings));
        println!("\nall figures: {}   picture: {}", self.json.display(), self.svg.display());
        Ok(verdict(&findings))
    }

    fn command(&self, rounds: u16, seconds: f64) -> String {
        let mut command = format!("genba-bench robots --rounds {rounds} --seconds {seconds}");
        let most = self.max_batch.map(|most| format!(" --max-batch {most}"));
        command.push_str(most.as_deref().unwrap_or(""));
        command.push_str(if self.unthrottled { " --unthrottled" } else { "" });
        command
    }

    fn setup(&self, seconds: f64) -> Result<Setup> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let work = tempfile::TempDir::with_prefix("genba-robots-").into_diagnostic()?;
        let mut command = Command::new(&self.python);
        command.arg(root.join("peers/models.py")).arg(work.path()).arg("--crowd");
        let done =
            command.output().into_diagnostic().wrap_err_with(|| format!("cannot run {}", self.python.display()))?;
        if !done.status.success() {
            return Err(miette!("the model cannot be written: {}", String::from_utf8_lossy(&done.stderr).trim()));
        }
        let (load, servers) = scheduling::outer_cores().into_diagnostic()?;
        let fifo = Place::FifoOn(servers).during(|| ()).is_ok();
        Ok(Setup {
            genba: self.genba.clone().map_or_else(genba::beside_this_program, Ok)?,
            work,
            seats: Seats { servers, load, fifo, most_urgent: false },
            seconds,
            short: self.short,
            max_batch: self.max_batch,
        })
    }

    fn keep(&self, findings: &Found) -> Result<()> {
        let text = serde_json::to_string_pretty(findings).into_diagnostic()? + "\n";
        for (path, text) in [(&self.json, text), (&self.svg, picture::draw(findings)?)] {
            fs::write(path, text).into_diagnostic().wrap_err_with(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Says what is wrong and turns it into an exit code.
fn verdict(findings: &Found) -> ExitCode {
    for line in &findings.bad {
        println!("BAD           {line}");
    }
    for line in &findings.inconclusive {
        println!("inconclusive  {line}");
    }
    match (findings.bad.is_empty(), findings.inconclusive.is_empty()) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(NOTHING_SAID),
        (true, true) => {
            let missed = findings.goals.iter().filter(|goal| !goal.met).count();
            println!("good: the ledgers add up; {missed} of {} goals not met", findings.goals.len());
            ExitCode::SUCCESS
        }
    }
}
