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
    let Command::Demo(asked) = Cli::parse().command;
    demo(&asked).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.downcast_ref().map_or(ExitCode::FAILURE, rig::DemoError::exit_code)
    })
}

fn demo(asked: &Demo) -> Result<ExitCode, Box<dyn std::error::Error>> {
    zenoh_link::prepare_process(true)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
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

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
