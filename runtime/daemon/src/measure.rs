//! `genba measure`: how long each model takes on the workers that the config declares, as records and as pages.
//!
//! It must never run beside the box that it measures for: each would disturb the other.

mod breath;
mod budget;
mod campaign;
mod driver;
mod observations;
mod page;
mod plot;
mod progress;
mod report;
mod session;
mod setup;

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use miette::{IntoDiagnostic, Report, Result, WrapErr, miette};
use onnx_model::Library;

use self::{
    campaign::{Campaign, Measured},
    report::Finding,
    setup::{Setup, setups},
};
use crate::{
    config::Config,
    logging,
    plan::Plan,
    providers, realtime,
    timing::{self, Origin, Present, Record},
};

/// What is asked for on the command line.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The model: its name in the config, or its folder. Default: every model of a worker.
    #[arg(value_name = "MODEL")]
    model: Option<String>,
    /// The box's config.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Take about half a minute for each model and worker, not 5 min: pauses of more than 1 ms get few samples.
    #[arg(long)]
    quick: bool,
    /// Take about this long for each model and worker.
    #[arg(long, value_name = "N", conflicts_with = "quick", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write records and pages here, not into the config's [timing] records.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Long enough for 10,000 inferences 10 ms apart, alone and beside busy workers.
const WHOLE: Duration = Duration::from_mins(5);
/// Long enough for 10,000 that are 1 ms apart, alone and beside busy workers.
const QUICK: Duration = Duration::from_secs(33);
/// Without a right, or without enough samples, nothing is certain.
const INCONCLUSIVE: u8 = 3;
const USAGE: u8 = 2;

/// Measures, writes records and pages, and says what was found.
pub(crate) fn measure(arguments: &Arguments) -> Result<ExitCode> {
    let config = Config::load(&arguments.config)?;
    refuse_beside(&config)?;
    let logs = logging::start();
    let mut plan = Plan::load(config)?;
    let library =
        Library::load(&Library::find(plan.config.onnx_library.as_deref()).into_diagnostic()?).into_diagnostic()?;
    if plan.config.realtime.lock_memory {
        realtime::lock_memory();
    }
    providers::settle(&mut plan, &library)?;
    let present = Present::look(&plan, &library)?;
    let setups = match setups(&plan, &present, arguments.model.as_deref()) {
        Ok(setups) => setups,
        Err(nothing) => {
            eprintln!("{:?}", Report::new(nothing));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let folder = arguments.out.as_ref().unwrap_or(&plan.config.records);
    let unwritable = || format!("cannot write into {}; choose another folder with --out", folder.display());
    fs::create_dir_all(folder).into_diagnostic().wrap_err_with(unwritable)?;
    let whole = if arguments.quick { QUICK } else { arguments.seconds.map_or(WHOLE, Duration::from_secs) };
    if !arguments.json {
        report::announce(&plan, &setups, whole);
    }
    let measured = match (Campaign { plan: &plan, library: &library, setups: &setups, whole }).run() {
        Ok(measured) => measured,
        Err(report) => {
            eprintln!("{report:?}");
            drop(logs);
            end_at_once();
        }
    };
    let mut findings = Vec::new();
    for (setup, measured) in setups.into_iter().zip(measured) {
        let finding = found(&plan, setup, measured, present.lacks_rights(), folder);
        let page = page::page(&finding).into_diagnostic()?;
        finding.record.write(&finding.path).into_diagnostic().wrap_err_with(unwritable)?;
        timing::write_whole(&finding.page(), &page).into_diagnostic().wrap_err_with(unwritable)?;
        if !arguments.json {
            report::print(&finding);
        }
        findings.push(finding);
    }
    if arguments.json {
        report::print_json(&findings)?;
    }
    let inconclusive = findings.iter().any(|finding| finding.inconclusive().next().is_some());
    Ok(if inconclusive { ExitCode::from(INCONCLUSIVE) } else { ExitCode::SUCCESS })
}

fn found(plan: &Plan, setup: Setup, measured: Measured, lacks_rights: bool, folder: &Path) -> Finding {
    let Measured { inputs, took, scenes } = measured;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let origin = Origin {
        model: plan.config.models[setup.model].name.clone(),
        worker: plan.config.workers[setup.worker].name.clone(),
        genba: env!("CARGO_PKG_VERSION").to_owned(),
        // A clock before 1970 is one that nobody has set.
        at_unix_s: now.map_or(0, |since| since.as_secs()),
        took_s: took.as_secs(),
        inputs,
    };
    let path = folder.join(timing::file_name(&origin.model, &setup.binding));
    let record = Record::new(origin, setup.binding, scenes);
    Finding { record, path, quantile: setup.quantile, lacks_rights }
}

fn refuse_beside(config: &Config) -> Result<()> {
    if UnixStream::connect(&config.status_socket).is_err() {
        return Ok(());
    }
    Err(miette!(
        help = "stop the box, measure, and start it again: each would disturb the other's timing",
        "a box with this config is running: it answers on {}",
        config.status_socket.display()
    ))
}

/// Ends the process with exit code 1: a worker that hangs inside a model must not meet the library's destructors.
#[allow(unsafe_code, reason = "std's exit runs destructors")]
fn end_at_once() -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(1) }
}
