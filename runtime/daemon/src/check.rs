//! `genba check`: what `run` would refuse, found beforehand as far as it can be; and each task's contract.
//!
//! It opens none of the box's own endpoints, so that it can run beside the box. So it cannot find a port or status socket
//! that is in use, a router out of reach, or rights that the service's user lacks and the caller has.

mod horizon;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use horizon::{ShortPlan, short_plans};
use manifest::image::Size;
use message::{Boot, ContractDigest, ModelDigest};
use miette::{IntoDiagnostic, Result};
use onnx_model::{Library, Model};
use serde::Serialize;

use crate::{
    batches::Batches,
    config::Config,
    logging, margin,
    plan::{Plan, millis},
    providers,
    realtime::LinkThreads,
    residency::{self, Leaves, Policy},
    schedulability::{self, Group, Verdict},
    status::clock_name,
    timing::{self, Present, TaskTiming, Unmeasured},
};

/// What was found, as `--json` prints it.
#[derive(Serialize)]
struct Found {
    scheduling: String,
    wake_p50_us: u64,
    wake_p99_us: u64,
    send_p50_us: u64,
    send_p99_us: u64,
    connections: usize,
    samples: usize,
    margin_us: u64,
    warnings: Vec<String>,
    tasks: Vec<TaskFound>,
    schedulability: Vec<GroupFound>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_plans: Vec<ShortPlan>,
    leaves: Leaves,
    good: bool,
}

/// Workers that share models.
#[derive(Serialize)]
struct GroupFound {
    tasks: Vec<String>,
    /// `holds`, `late`, `not-shown`, `unmeasured` or `one-offs`.
    verdict: &'static str,
    says: String,
}

#[derive(Serialize)]
struct TaskFound {
    task: String,
    model: String,
    model_sha256: String,
    /// Where it runs: all of it.
    provider: String,
    /// Listed before that one, and why it is not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passed: Vec<String>,
    contract: String,
    contract_text: String,
    deadline_us: u64,
    measured: bool,
    execution_quantile: String,
    /// The time that this share of inferences takes at most, and the longest pause before one that it holds for.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_pause_us: Option<u64>,
    /// How many observations one inference answers at most, and how long it then takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    largest_batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest_batch_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timing_record: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unmeasured: Option<String>,
    robots: Vec<RobotFound>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clients: Vec<ClientFound>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<InputFound>,
}

/// What joins a robot's observations.
#[derive(Serialize)]
struct InputFound {
    robot: String,
    input: String,
    key: String,
    values: usize,
    /// What its pictures may be, if it is a camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pictures: Option<String>,
    max_age_us: u64,
    clock: &'static str,
}

#[derive(Serialize)]
struct ClientFound {
    client: String,
    infer_key: String,
    min_period_us: u64,
    queue: u8,
    /// Whose robots may find a worker busy with one of its requests: these tasks'.
    may_hold_up: Vec<String>,
}

#[derive(Serialize)]
struct RobotFound {
    robot: String,
    observation_key: String,
    response_key: String,
    notice_key: String,
    /// Where its model has state or gives plans.
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_key: Option<String>,
}

/// Checks a config and prints what was found.
pub(crate) fn check(path: &Path, json: bool) -> Result<ExitCode> {
    let config = Config::load(path)?;
    zenoh_link::prepare_process(config.link.one_worker).into_diagnostic()?;
    let _logs = logging::start();
    let mut plan = Plan::load(config)?;
    plan.check_link()?;
    let policy = plan.config.policy.as_deref().map(Policy::load).transpose()?;
    let leaves = residency::leaves(&plan, policy.as_ref())?;
    let library =
        Library::load(&Library::find(plan.config.onnx_library.as_deref()).into_diagnostic()?).into_diagnostic()?;
    providers::settle(&mut plan, &library)?;
    for (declared, manifest) in plan.config.models.iter().zip(&plan.manifests) {
        if !providers::is_chosen(declared) {
            Model::load(&library, manifest, declared.provider).into_diagnostic()?;
        }
    }
    if !json {
        println!("measures the margin for {} s …", margin::MEASURED_FOR.as_secs());
    }
    let measured = margin::measure(&plan, &mut LinkThreads::default())?;
    let margin = measured.margin();
    let present = Present::look(&plan, &library)?;
    let timings = timing::of_tasks(&plan, &present);
    let batches = Batches::of_models(&plan, &timings);
    let given = (margin, measured.send.p99);
    plan.engine(Boot::new(0), given, plan.records(&timings, &batches)?, &[])?;
    let groups = schedulability::judge(&plan, &timings, &batches, given);
    let in_time = !groups.iter().any(Group::is_refused);
    let short_plans = short_plans(&plan, &timings);
    let good = in_time && short_plans.is_empty() && leaves.bad.is_empty();
    let micros = |span: engine::Duration| span.nanos() / 1_000;
    let found = Found {
        scheduling: measured.class.to_string(),
        wake_p50_us: micros(measured.wake.p50),
        wake_p99_us: micros(measured.wake.p99),
        send_p50_us: micros(measured.send.p50),
        send_p99_us: micros(measured.send.p99),
        connections: measured.connections,
        samples: measured.samples,
        margin_us: micros(margin),
        warnings: plan.warning().into_iter().chain(plan.insecure()).chain(present.throttling()).collect(),
        tasks: timings
            .iter()
            .enumerate()
            .map(|(task, timing)| task_found(&plan, timing, batches[plan.config.tasks[task].model].as_ref(), task))
            .collect(),
        schedulability: groups.iter().map(|group| group_found(&plan, group)).collect(),
        short_plans,
        leaves,
        good,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&found).into_diagnostic()?);
    } else {
        println!("margin    {}: {measured}", millis(margin));
        print(&plan, &found, path);
        println!("{}", verdict(in_time, &found));
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn group_found(plan: &Plan, group: &Group) -> GroupFound {
    let verdict = match group.verdict {
        Verdict::Holds(_) | Verdict::HoldsTogether(..) => "holds",
        Verdict::Late(_) => "late",
        Verdict::NotShown(_) => "not-shown",
        Verdict::Unmeasured => "unmeasured",
        Verdict::OneOffs => "one-offs",
    };
    let tasks = group.tasks.iter().map(|task| plan.config.tasks[*task].name.clone()).collect();
    GroupFound { tasks, verdict, says: group.says(plan) }
}

fn task_found(
    plan: &Plan,
    timing: &Result<TaskTiming, Unmeasured>,
    batches: Option<&Batches>,
    task: usize,
) -> TaskFound {
    let (timing, unmeasured) = match timing {
        Ok(timing) => (Some(timing), None),
        Err(unmeasured) => (None, Some(unmeasured.to_string())),
    };
    let execution = timing.map(|timing| timing.execution);
    let micros = |span: Duration| u64::try_from(span.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
    let (declared, contract) = (&plan.config.tasks[task], &plan.contracts[task]);
    let robots = declared.robots.iter().map(|robot| RobotFound {
        robot: robot.name.clone(),
        observation_key: robot.observation_key.clone(),
        response_key: robot.response_key.clone(),
        notice_key: robot.notice_key.clone(),
        reset_key: plan.begins_anew(task).then(|| robot.reset_key.clone()),
    });
    let clients = declared.clients.iter().map(|client| ClientFound {
        client: client.name.clone(),
        infer_key: client.infer_key.clone(),
        min_period_us: client.min_period.nanos() / 1_000,
        queue: client.queue,
        may_hold_up: plan.shares_workers_with(task).map(|other| plan.config.tasks[other].name.clone()).collect(),
    });
    let inputs = plan.joined().filter(|one| one.task == task).map(|one| InputFound {
        robot: one.robot.to_owned(),
        input: one.input.name.clone(),
        key: one.key.to_owned(),
        values: one.values,
        pictures: one.image.map(|spec| {
            let Size { width, height } = spec.most.size;
            format!("{} up to {width} by {height}", spec.accept)
        }),
        max_age_us: one.input.max_age.nanos() / 1_000,
        clock: clock_name(one.input.clock),
    });
    TaskFound {
        task: declared.name.clone(),
        model: plan.config.models[declared.model].name.clone(),
        model_sha256: ModelDigest::new(plan.manifests[declared.model].digest()).to_string(),
        provider: plan.config.place_of(declared.model),
        passed: plan.config.models[declared.model].passed.clone(),
        contract: ContractDigest::new(contract.digest()).to_string(),
        contract_text: contract.text().to_owned(),
        deadline_us: declared.deadline.nanos() / 1_000,
        measured: timing.is_some(),
        execution_quantile: declared.execution_quantile.to_string(),
        execution_us: execution.map(|execution| micros(execution.time)),
        longest_pause_us: execution.map(|execution| micros(execution.longest_pause)),
        largest_batch: batches.map(|batches| batches.executions.largest_batch()),
        largest_batch_us: batches.map(|batches| batches.executions.longest().nanos().div_ceil(1_000)),
        timing_record: timing.map(|timing| timing.record.clone()),
        unmeasured,
        robots: robots.collect(),
        clients: clients.collect(),
        inputs: inputs.collect(),
    }
}

/// What is known of a task's execution time.
fn measured(task: &TaskFound) -> String {
    let TaskFound { execution_us, longest_pause_us, timing_record, execution_quantile, unmeasured, .. } = task;
    match (execution_us, longest_pause_us, timing_record) {
        (Some(execution), Some(pause), Some(record)) => {
            let millis = |micros: &u64| millis(engine::Duration::from_micros(*micros));
            format!(
                "measured: {execution_quantile} of inferences take at most {}, {}: {}",
                millis(execution),
                if *pause == 0 { "back to back".to_owned() } else { format!("with pauses of up to {}", millis(pause)) },
                record.display()
            )
        }
        _ => format!("unmeasured: {}", unmeasured.as_deref().unwrap_or_default()),
    }
}

fn print(plan: &Plan, found: &Found, config: &Path) {
    for (task, declared) in found.tasks.iter().zip(&plan.config.tasks) {
        println!("task      {}: answered within {}, {}", task.task, millis(declared.deadline), measured(task));
        if !task.measured && plan.config.cluster_of(declared.model).is_none() {
            println!("          to measure it: genba measure --config {} {}", config.display(), task.model);
        }
        if let (Some(members @ 2..), Some(micros)) = (task.largest_batch, task.largest_batch_us) {
            let time = millis(engine::Duration::from_micros(micros));
            println!("batches   up to {members} observations that wait are answered by one inference of {time}");
        }
        println!("model     {} {}", task.model, task.model_sha256);
        if providers::is_chosen(&plan.config.models[declared.model]) {
            println!("provider  {} holds all of {}", task.provider, task.model);
        }
        for passed in &task.passed {
            println!("          {passed}");
        }
        println!("contract  {}", task.contract);
        for robot in &task.robots {
            println!("robot     {}: {} -> {}", robot.robot, robot.observation_key, robot.response_key);
        }
        for InputFound { robot, input, key, values, pictures, max_age_us, clock } in &task.inputs {
            let what = pictures.clone().unwrap_or_else(|| format!("{values} values"));
            let age = millis(engine::Duration::from_micros(*max_age_us));
            println!("input     {robot}: {input} from {key}, {what}, no older than {age} by {clock}");
        }
    }
    for task in &found.tasks {
        for ClientFound { client, infer_key, min_period_us, may_hold_up, .. } in &task.clients {
            let period = millis(engine::Duration::from_micros(*min_period_us));
            let holds = match (&may_hold_up[..], task.execution_us) {
                ([], _) => "no robot shares its workers".to_owned(),
                (others, Some(micros)) => {
                    let time = millis(engine::Duration::from_micros(micros));
                    format!("a request may hold up {} for {time}", others.join(", "))
                }
                (others, None) => format!("how long a request may hold up {} was not measured", others.join(", ")),
            };
            println!("client    {client}: {infer_key}, at most each {period}; {holds}");
        }
    }
    for group in &found.schedulability {
        println!("workers   {}", group.says);
    }
    for plan in &found.short_plans {
        println!("plans     {}", plan.says());
    }
    for line in found.leaves.lines() {
        println!("{line}");
    }
    for warning in &found.warnings {
        println!("warning   {warning}");
    }
}

fn verdict(in_time: bool, found: &Found) -> &'static str {
    if found.good {
        "good"
    } else if !in_time {
        "bad       `genba run` refuses this set; with --accept-late it serves it and marks each response"
    } else if !found.short_plans.is_empty() {
        "bad       plans run out before the next ones come: `genba run` serves them, with fallbacks in between"
    } else {
        "bad       what is denied above is asked for, or open"
    }
}
