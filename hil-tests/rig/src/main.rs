//! `genba-rig`: the robot's side of the demo, on the command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};

/// A simulated robot that is controlled through genba, and a verdict on how well.
#[derive(Parser)]
#[command(name = "genba-rig", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Let a robot arm follow a part on a conveyor while genba answers it from another process.
    ///
    /// Half way through, the model is made to hang. Exit code: 0 the promise held, 1 it did not, 2 wrong
    /// usage, 3 this machine could not tell.
    Demo(Demo),
    /// Keep a box under a flood for a long time: its memory must not grow, its ledgers must be exact throughout.
    ///
    /// Beside a steady robot others flood, send garbage, restart and stop reading. Exit code: 0 it held, 1 it did not,
    /// 2 wrong usage, 3 the run was too short to tell.
    Soak(Soak),
    /// Subscribe to a robot's responses until somebody stops this process: a part of the soak.
    #[command(hide = true)]
    Hear { endpoint: String, response_key: String },
}

#[derive(clap::Args)]
struct Soak {
    /// How long the robots run. A sixth of it is warm-up; afterwards memory may grow by less than 1 % an hour.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: u64,
    /// 45 s in place of the minutes: the ledgers, and whether memory runs away. It cannot resolve 1 % an hour.
    #[arg(long, conflicts_with = "minutes")]
    short: bool,
    /// The box's program; else the one beside this program.
    #[arg(long, value_name = "PATH")]
    genba: Option<PathBuf>,
    /// The box's config. Its robots' names say how they behave.
    #[arg(long, value_name = "FILE", default_value = "hil-tests/rig/soak.toml")]
    config: PathBuf,
    /// Write what was found as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the memory over time as one SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Demo {
    /// How long the robot runs.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=3600))]
    seconds: u32,
    /// How long the model hangs half way through; 0: not at all.
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=5000))]
    hang_ms: u32,
    /// The box's program; else the one beside this program.
    #[arg(long, value_name = "PATH")]
    genba: Option<PathBuf>,
    /// The box's config; its first robot is this one.
    #[arg(long, value_name = "FILE", default_value = "runtime/daemon/config/demo.toml")]
    config: PathBuf,
    /// Write the run as one page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the pictures as one SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(asked) => demo(&asked),
        Command::Soak(asked) => soak(&asked),
        Command::Hear { endpoint, response_key } => {
            rig::hear(&endpoint, &response_key).map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.downcast_ref().map_or(ExitCode::FAILURE, rig::DemoError::exit_code)
    })
}

fn demo(asked: &Demo) -> Result<ExitCode, Box<dyn std::error::Error>> {
    zenoh_link::prepare_process(true)?;
    let stop = stop()?;
    let options = rig::Options {
        duration: Duration::from_secs(asked.seconds.into()),
        hang: Duration::from_millis(asked.hang_ms.into()),
        genba: asked.genba.clone().unwrap_or_else(rig::beside_this_program),
        config: asked.config.clone(),
    };
    let outcome = rig::demo(&options, &stop)?;
    if asked.json {
        println!("{}", serde_json::to_string_pretty(&outcome.summary)?);
    } else {
        println!("{}", outcome.summary);
    }
    if let Some(path) = &asked.html {
        write(path, &rig::page(&outcome.summary, &outcome.recording)?)?;
    }
    if let Some(path) = &asked.plot {
        write(path, &rig::plot(&outcome.recording)?)?;
    }
    Ok(outcome.verdict.exit_code())
}

/// The allocator takes 8 MiB and more at a time while its pools fill. A box that loses 100 bytes with each frame of the
/// flood grows by more in the half minute that is judged.
const SHORT_LIMIT: rig::SoakLimit = rig::SoakLimit::Mib(32);

fn soak(asked: &Soak) -> Result<ExitCode, Box<dyn std::error::Error>> {
    zenoh_link::prepare_process(true)?;
    let stop = stop()?;
    let minutes = Duration::from_secs(asked.minutes * 60);
    let (duration, warm_up, limit) = if asked.short {
        (Duration::from_secs(45), Duration::from_secs(15), SHORT_LIMIT)
    } else {
        (minutes, minutes / 6, rig::SoakLimit::PercentPerHour(1.0))
    };
    let options = rig::SoakOptions {
        duration,
        warm_up,
        limit,
        genba: asked.genba.clone().unwrap_or_else(rig::beside_this_program),
        rig: std::env::current_exe()?,
        config: asked.config.clone(),
    };
    let (report, verdict) = rig::soak(&options, &stop)?;
    println!("{report}");
    if asked.short {
        println!("(the short form: ledgers, and whether memory runs away; 1 % an hour takes 20 minutes or more)");
    }
    if let Some(path) = &asked.json {
        write(path, &serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(path) = &asked.plot {
        write(path, &rig::soak_picture(&report)?)?;
    }
    Ok(verdict.exit_code())
}

/// Set by a signal.
fn stop() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
