//! `genba check`: everything that `run` would refuse, found beforehand; and each task's contract.

use std::{path::Path, process::ExitCode, thread};

use message::Boot;
use miette::{IntoDiagnostic, Result, miette};
use onnx_model::{Library, Model};
use serde::Serialize;
use zenoh_link::Settings;

use crate::{
    clock,
    config::Config,
    logging, margin,
    plan::{Plan, millis},
    realtime::{self, Class},
};

/// What was found, as `--json` prints it.
#[derive(Serialize)]
struct Found {
    scheduling: String,
    wake_and_send_p50_us: u64,
    wake_and_send_p99_us: u64,
    samples: usize,
    margin_us: u64,
    tasks: Vec<TaskFound>,
}

#[derive(Serialize)]
struct TaskFound {
    task: String,
    model: String,
    model_sha256: String,
    contract: String,
    contract_text: String,
    deadline_us: u64,
    measured: bool,
    robots: Vec<RobotFound>,
}

#[derive(Serialize)]
struct RobotFound {
    robot: String,
    observation_key: String,
    response_key: String,
    notice_key: String,
}

/// Checks a config and prints what was found.
pub(crate) fn check(config: &Path, json: bool) -> Result<ExitCode> {
    logging::start();
    let config = Config::load(config)?;
    zenoh_link::prepare_process(config.link.one_worker).into_diagnostic()?;
    let plan = Plan::load(config)?;
    let library =
        Library::load(&Library::find(plan.config.onnx_library.as_deref()).into_diagnostic()?).into_diagnostic()?;
    for (declared, manifest) in plan.config.models.iter().zip(&plan.manifests) {
        Model::load(&library, manifest, declared.provider).into_diagnostic()?;
    }
    if !json {
        println!("measures the margin for {} s …", margin::MEASURED_FOR.as_secs());
    }
    let (class, measured) = measure(&plan)?;
    let margin = measured.p99.max(plan.config.min_margin);
    plan.engine(Boot::new(0), margin)?;
    let micros = |span: engine::Duration| span.nanos() / 1_000;
    let found = Found {
        scheduling: class.to_string(),
        wake_and_send_p50_us: micros(measured.p50),
        wake_and_send_p99_us: micros(measured.p99),
        samples: measured.samples,
        margin_us: micros(margin),
        tasks: (0..plan.config.tasks.len()).map(|task| task_found(&plan, task)).collect(),
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&found).into_diagnostic()?);
    } else {
        print(&plan, &found, margin);
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures as the engine's thread would, on a link that talks to nobody.
fn measure(plan: &Plan) -> Result<(Class, margin::Measured)> {
    let alone = Settings {
        mode: zenoh_link::Mode::Peer,
        listen: Vec::new(),
        connect: Vec::new(),
        one_worker: plan.config.link.one_worker,
    };
    let (link, _inbox) = zenoh_link::open(&alone, plan.routes(), plan.strays(), &plan.alive_key(), clock::nanos, || {})
        .into_diagnostic()?;
    let realtime = plan.config.realtime.clone();
    let (key, frame) = (plan.probe_key(), [0; 256]);
    let engine = thread::spawn(move || {
        realtime::bind("engine", &realtime.engine_cores);
        realtime::precise_timers();
        let class = realtime.fifo_priority.map_or(Class::Default, |fifo| realtime::fifo("engine", 0, fifo.engine()));
        (class, margin::measure(|| drop(link.respond_stray(&key, &frame))))
    });
    engine.join().map_err(|_| miette!("measuring the margin panicked: report this as a bug"))
}

fn task_found(plan: &Plan, task: usize) -> TaskFound {
    let (declared, contract) = (&plan.config.tasks[task], &plan.contracts[task]);
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let robots = declared.robots.iter().map(|robot| RobotFound {
        robot: robot.name.clone(),
        observation_key: robot.observation_key.clone(),
        response_key: robot.response_key.clone(),
        notice_key: robot.notice_key.clone(),
    });
    TaskFound {
        task: declared.name.clone(),
        model: plan.config.models[declared.model].name.clone(),
        model_sha256: hex(&plan.manifests[declared.model].digest()),
        contract: hex(&contract.digest()),
        contract_text: contract.text().to_owned(),
        deadline_us: declared.deadline.nanos() / 1_000,
        measured: false,
        robots: robots.collect(),
    }
}

fn print(plan: &Plan, found: &Found, margin: engine::Duration) {
    println!(
        "margin    {} (wake-up plus send in the {}: p50 {} us, p99 {} us, {} samples)",
        millis(margin),
        found.scheduling,
        found.wake_and_send_p50_us,
        found.wake_and_send_p99_us,
        found.samples
    );
    for (task, declared) in found.tasks.iter().zip(&plan.config.tasks) {
        println!(
            "task      {}: answered within {}, unmeasured: no timing record",
            task.task,
            millis(declared.deadline)
        );
        println!("model     {} {}", task.model, task.model_sha256);
        println!("contract  {}", task.contract);
        for robot in &task.robots {
            println!("robot     {}: {} -> {}", robot.robot, robot.observation_key, robot.response_key);
        }
    }
    println!("good");
}
