//! `genba`: the box's process. Threads, clock, slot memory, wiring; it performs what the engine decides.
//!
//! The modules stand in the order in which a box starts.

mod batches;
mod cameras;
mod clock;
mod config;
mod joined;
mod margin;
mod plan;
mod providers;
mod realtime;
mod residency;
mod schedulability;
mod state;
mod timing;
mod unserved;

mod conditions;
mod door;
mod lock;
mod perform;
mod samples;
mod turn;
mod worker;

mod dead_letters;
mod durable;
mod hand_off;
mod lane;

mod access;
mod allocation;
mod reports;
mod requests;
mod snapshot;
mod status;

mod audit;
mod check;
mod doctor;
mod logging;
mod measure;
mod run;
mod spool;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Answers every observation by its deadline.
#[derive(Parser)]
#[command(name = "genba", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the robots of a config until SIGTERM or SIGINT.
    Run {
        /// The box's config.
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
        /// Listen here in place of the config's endpoints, such as tcp/127.0.0.1:7447.
        #[arg(long, value_name = "ENDPOINT")]
        listen: Option<String>,
        /// Serve although a model can be late by its timing record: each response of such a task is marked.
        #[arg(long)]
        accept_late: bool,
    },
    /// Check config, models and margins, and print each task's contract: exit 0, or 1 and the reasons.
    Check {
        /// The box's config.
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Verify, export or sum up what a box's journal says of what left it. Needs no box.
    Audit(audit::Arguments),
    /// Say what this machine has of what models run on and hand-offs go by, what is missing and what to do: exit 0, or 1 if
    /// something is.
    Doctor(doctor::Arguments),
    /// Measure how long models take on a config's workers, and write timing records: exit 0, or 3 if inconclusive.
    Measure(measure::Arguments),
    /// Residency policies: what may leave the box.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// List, retry or purge dead letters: durable requests that failed. Asks the running box, or opens its file.
    Spool(spool::Arguments),
    /// Print what a running box has answered so far.
    Status {
        /// The running box's config.
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Print a policy to begin with: deny by default, and what a plant there may want to allow. Not legal advice.
    Template {
        /// Whose law it has in mind.
        #[arg(value_name = "JURISDICTION")]
        template: residency::Template,
    },
}

/// ONNX Runtime's published builds report to their maker from the moment that they are loaded, before anybody can call them
/// to stop it: some seconds after a start they look up a name and post there. `make prove-egress` saw it. They ask this
/// variable first. Nothing of the config can bring it back.
#[allow(unsafe_code, reason = "std changes the process's own environment in no other way")]
fn silence_onnx_runtime() {
    // SAFETY: this is called before any other thread exists that could read the environment.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

fn main() -> ExitCode {
    silence_onnx_runtime();
    // A wrapped path cannot be copied and no program can find it.
    let unwrapped =
        miette::set_hook(Box::new(|_| Box::new(miette::MietteHandlerOpts::new().wrap_lines(false).build())));
    unwrapped.expect("nobody has set one before");
    let result = match Cli::parse().command {
        Command::Run { config, listen, accept_late } => run::run(&config, listen, accept_late),
        Command::Check { config, json } => check::check(&config, json),
        Command::Audit(arguments) => audit::audit(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Measure(arguments) => measure::measure(&arguments),
        Command::Policy { command: PolicyCommand::Template { template } } => {
            print!("{}", template.text());
            Ok(ExitCode::SUCCESS)
        }
        Command::Spool(arguments) => spool::spool(&arguments),
        Command::Status { config, json } => status::print(&config, json),
    };
    result.unwrap_or_else(|report| {
        eprintln!("{report:?}");
        ExitCode::FAILURE
    })
}
