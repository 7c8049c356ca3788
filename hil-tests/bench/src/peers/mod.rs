//! genba beside what others would put in its place, in one run, interleaved: the same ONNX files, the same clients,
//! the same cores.
//!
//! The modules stand in the order in which a run uses them.

mod contestant;
mod scene;
pub(crate) mod site;

mod grpc;
mod ledger;

mod client;
mod naive;

mod canary;
mod servers;
pub(crate) mod throttling;
mod turn;

mod figures;
mod findings;
pub(crate) mod picture;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use miette::{IntoDiagnostic, Result, WrapErr, miette};

pub(crate) use canary::Canary;
pub(crate) use client::Client;
pub(crate) use figures::{Side, Standstills};
pub(crate) use findings::{Goal, wrong};
pub(crate) use ledger::{Counts, Kept};
pub(crate) use naive::Naive;
pub(crate) use turn::{BOX_PRIORITY, BoxLedger, Seats, log};

use self::contestant::Contestant;
use self::findings::{Conditions, Found};
use self::scene::{Capacity, Scene};
use self::turn::Setup;
use crate::progress::Progress;
use crate::scheduling::{self, Place};
use crate::{NOTHING_SAID, genba, machine};

/// Measures genba beside its peers.
///
/// Exits with 0 if every count is as it must be, 1 if one is wrong, 3 if this machine did not let the figures compare. A
/// ratio that is not what it should be is told, and changes nothing about that.
#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// At most a minute: genba, a naive Rust server and Python, once, for the counts.
    #[arg(long)]
    short: bool,
    /// Where all figures are kept.
    #[arg(long, value_name = "FILE", default_value = "peers.json")]
    json: PathBuf,
    /// Where the picture is drawn.
    #[arg(long, value_name = "FILE", default_value = "peers.svg")]
    svg: PathBuf,
    /// Rounds, in each of which everybody has a turn at every scene.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Of the control client in each turn; p99 takes 10 beyond it at 100 Hz.
    #[arg(long)]
    seconds: Option<f64>,
    /// Measure this one only; may be given more than once.
    #[arg(long = "contestant", value_name = "NAME")]
    contestants: Vec<Contestant>,
    /// Measure this scene only; may be given more than once.
    #[arg(long = "scene", value_name = "NAME")]
    scenes: Vec<Scene>,
    /// Where this user may, lift the kernel's real-time throttling meanwhile, for everybody alike; it is restored however
    /// this ends.
    #[arg(long)]
    unthrottled: bool,
    /// Run everybody in the default class, as where there are no real-time rights.
    #[arg(long)]
    default_class: bool,
    /// Python with the packages of peers/requirements.txt.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Where the models are, or are written to.
    #[arg(long, value_name = "FOLDER")]
    models: Option<PathBuf>,
    /// The box's program; by default the one beside this program.
    #[arg(long, value_name = "FILE")]
    genba: Option<PathBuf>,
}

const ROUNDS: u16 = 3;
/// 1,020 requests of the control client: 10 lie beyond the p99.
const SECONDS: f64 = 10.2;
const SHORT_SECONDS: f64 = 3.0;
const SHORT_SCENES: [Scene; 2] = [Scene::Idle, Scene::Flood5x];

impl Peers {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let contestants = chosen(&self.contestants, if self.short { &Contestant::SHORT } else { &Contestant::ALL });
        let scenes = chosen(&self.scenes, if self.short { &SHORT_SCENES } else { &Scene::ALL });
        let rounds = self.rounds.unwrap_or(if self.short { 1 } else { ROUNDS });
        let throttling = throttling::setting();
        let lifted = self.unthrottled.then(throttling::Lifted::lift).and_then(Result::ok);
        let setup = self.setup(&scenes)?;
        let mut findings = Found::new(Conditions {
            date: machine::now(),
            commit: machine::commit(),
            machine: machine::Machine::this(),
            command: self.command(rounds, setup.seconds),
            rounds: 0,
            throttling,
            unthrottled: lifted.is_some(),
            seconds: setup.seconds,
            times_count: !self.short,
            seats: setup.seats,
            capacity: setup.capacity,
        });
        let turns = turns(&contestants, &scenes);
        let mut progress = Progress::new("peers", turns.len() * usize::from(rounds));
        for round in 0..rounds {
            for place in 0..turns.len() {
                // In each round somebody else is first.
                let shift = usize::from(round) * turns.len() / usize::from(rounds);
                let (contestant, scene) = turns[(place + shift) % turns.len()];
                findings.add(contestant, scene, setup.turn(contestant, scene));
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
        let mut command = format!("genba-bench peers --rounds {rounds} --seconds {seconds}");
        for (given, option) in [(self.unthrottled, " --unthrottled"), (self.default_class, " --default-class")] {
            command.push_str(if given { option } else { "" });
        }
        command
    }

    fn setup(&self, scenes: &[Scene]) -> Result<Setup> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let absolute = |path: PathBuf| std::path::absolute(path).into_diagnostic();
        let native = root.join("../../native");
        let own = native.join(if self.short { "peers-short" } else { "peers" }).join("bin/python3");
        let python = absolute(self.python.clone().unwrap_or(own))?;
        if !python.is_file() {
            return Err(miette!(
                "there is no {}: `make bench-peers` and `make test` fetch it, --python names another",
                python.display()
            ));
        }
        let models = absolute(self.models.clone().unwrap_or_else(|| native.join("peers-models")))?;
        let scripts = root.join("peers");
        let heavy = scenes.contains(&Scene::Neighbour);
        write_models(&python, &scripts, &models, heavy)?;
        let (load, servers) = scheduling::outer_cores().into_diagnostic()?;
        // Asks for the right alone; the class is the children's.
        let fifo = !self.default_class && Place::FifoOn(servers).during(|| ()).is_ok();
        let seats = Seats { servers, load, fifo, most_urgent: false };
        Ok(Setup {
            genba: self.genba.clone().map_or_else(genba::beside_this_program, Ok)?,
            capacity: Capacity {
                dense_hz: capacity(&models.join("dense"), seats)?,
                resnet_hz: if heavy { capacity(&models.join("resnet"), seats)? } else { 0.0 },
            },
            python,
            scripts,
            models,
            seats,
            seconds: self.seconds.unwrap_or(if self.short { SHORT_SECONDS } else { SECONDS }),
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

fn chosen<T: Copy>(given: &[T], otherwise: &[T]) -> Vec<T> {
    if given.is_empty() { otherwise.to_vec() } else { given.to_vec() }
}

/// Scene by scene, and in it one contestant after another: what is compared is not far apart in time.
fn turns(contestants: &[Contestant], scenes: &[Scene]) -> Vec<(Contestant, Scene)> {
    let all = scenes.iter().flat_map(|scene| contestants.iter().map(|contestant| (*contestant, *scene)));
    all.filter(|(contestant, scene)| contestant.takes_part(*scene)).collect()
}

fn write_models(python: &Path, scripts: &Path, models: &Path, heavy: bool) -> Result<()> {
    let mut command = Command::new(python);
    command.arg(scripts.join("models.py")).arg(models).args(heavy.then_some("--resnet"));
    let done = command.output().into_diagnostic()?;
    let complaint = || miette!("the models cannot be written: {}", String::from_utf8_lossy(&done.stderr).trim());
    if done.status.success() { Ok(()) } else { Err(complaint()) }
}

/// How many inferences a second the bare session does where the servers run.
fn capacity(model: &Path, seats: Seats) -> Result<f64> {
    let mut command = Command::new(std::env::current_exe().into_diagnostic()?);
    command.args(["peer-server", "bare"]).arg(format!("task={}", model.display()));
    seats.server().give(&mut command);
    let said = command.output().into_diagnostic()?;
    let text = String::from_utf8_lossy(&said.stdout);
    text.trim()
        .parse()
        .map_err(|_| miette!("{} does not run: {}", model.display(), String::from_utf8_lossy(&said.stderr)))
}

/// Says what is wrong and turns it into an exit code.
fn verdict(findings: &Found) -> ExitCode {
    for line in &findings.bad {
        println!("BAD           {line}");
    }
    for line in &findings.void {
        println!("void          {line}");
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
