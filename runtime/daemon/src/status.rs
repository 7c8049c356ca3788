//! `genba status`: what a running box has answered so far, over a Unix socket that only its user may open. `genba spool` asks
//! the running box over the same socket; what that may change is its own user's, whoever else was let in.

mod asked;
mod clusters;
mod durable;
pub(crate) mod peer;

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time,
};

pub(crate) use asked::{Asked, ask};
use clusters::{ClustersLine, clusters_line, write_clusters};
use durable::{DurableLine, durable_line, write_durable};
use engine::{Ledger, Reason, ReasonKind, ResetLedger, Row, SampleClock, Service, TABLE};
use message::Status;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use serde::{Deserialize, Serialize};

use crate::{
    access, allocation,
    config::{Config, ModelConfig},
    dead_letters::{Answer, Question, SpoolRefusal},
    durable::Kept,
    hand_off::HandOffs,
    joined::JoinedInput,
    plan::Plan,
    snapshot::{ConnectionSnapshot, Counter, InputSnapshot, RecordSnapshot, Snapshot},
};

/// The longest that a slow reader may hold up the next one.
pub(crate) const PATIENCE: time::Duration = time::Duration::from_secs(2);

/// A box's status, as `--json` prints it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    name: String,
    version: String,
    boot: String,
    uptime_s: u64,
    margin_us: u64,
    scheduling: String,
    connections: Vec<Line>,
    total: Counts,
    /// One-off requests, and queries on topics.
    requests: Requests,
    clients: Vec<ClientLine>,
    /// What joins robots' observations.
    inputs: Vec<InputLine>,
    /// Where each model runs.
    models: Vec<ModelLine>,
    workers: Vec<WorkerLine>,
    records: Vec<RecordLine>,
    /// Where there are clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    hand_offs: Option<ClustersLine>,
    /// Where there is a spool.
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<DurableLine>,
    /// Counted in a build with the feature `count-allocations` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_allocations: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    robot: String,
    task: String,
    epoch: Option<String>,
    unseen_responses: u32,
    measured: bool,
    /// Its timing record no longer holds.
    degraded: bool,
    unschedulable: bool,
    counts: Counts,
    /// Demands that its state or its plan begins anew; only where its model has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    resets: Option<Resets>,
    /// Only where its model gives plans: asked = adopted + failed + too late + discarded + in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    plans: Option<Plans>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Plans {
    asked: u64,
    adopted: u64,
    failed: u64,
    too_late: u64,
    discarded: u64,
    in_flight: u64,
    balances: bool,
    reasons: Vec<ReasonCount>,
    /// The plan that is played; none: the fallback answers.
    current: Option<CurrentPlan>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CurrentPlan {
    id: u64,
    age_us: u64,
    remaining_us: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    received: u64,
    model: u64,
    fallback: u64,
    superseded: u64,
    refused: u64,
    missed: u64,
    in_flight: u64,
    clamped: u64,
    discarded_late_results: u64,
    balances: bool,
    reasons: Vec<ReasonCount>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Resets {
    received: u64,
    accepted: u64,
    refused: u64,
    reasons: Vec<ReasonCount>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ReasonCount {
    number: String,
    name: String,
    kind: String,
    count: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Requests {
    received: u64,
    answered: u64,
    refused: u64,
    expired: u64,
    in_flight: u64,
    discarded_late_results: u64,
    balances: bool,
    reasons: Vec<ReasonCount>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ClientLine {
    client: String,
    task: String,
    requests: Requests,
}

/// A joined input of a robot's task: received = taken + passed over + refused.
#[derive(Debug, Serialize, Deserialize)]
struct InputLine {
    robot: String,
    task: String,
    input: String,
    /// `arrival` or `synchronised`: what a sample's age counts from.
    clock: String,
    max_age_us: u64,
    /// None before the first sample.
    age_us: Option<u64>,
    received: u64,
    taken: u64,
    /// Replaced by a newer one before anybody looked.
    passed_over: u64,
    refused: u64,
    balances: bool,
    reasons: Vec<ReasonCount>,
}

/// What was held against a timing record.
#[derive(Debug, Serialize, Deserialize)]
struct RecordLine {
    model: String,
    worker: String,
    inferences: u64,
    /// Those that took longer than the record's execution time.
    above: u64,
    /// Why it no longer holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    void: Option<String>,
}

/// Where a model runs: all of it.
#[derive(Debug, Serialize, Deserialize)]
struct ModelLine {
    name: String,
    provider: String,
    /// Listed before that one, and why it is not there.
    passed: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WorkerLine {
    name: String,
    service: String,
    inferences: u64,
    /// More than the inferences where one answers several.
    observations: u64,
    largest_batch: u16,
    execution_us: u64,
}

/// What does not change while the box runs.
pub(crate) struct Fixed {
    pub(crate) boot: message::Boot,
    pub(crate) started: time::Instant,
    pub(crate) margin: engine::Duration,
    pub(crate) scheduling: String,
    /// Where there are clusters.
    pub(crate) hand_offs: Option<Arc<HandOffs>>,
    /// Where there is a spool.
    pub(crate) kept: Option<Arc<Kept>>,
}

/// Where a box's socket is unless its config says otherwise: the user's runtime folder, else the system's where this
/// user may write to it, else the temporary folder.
pub(crate) fn default_socket(name: &str) -> PathBuf {
    socket_folder(std::env::var_os("XDG_RUNTIME_DIR"), access::may_write(Path::new("/run")))
        .join(format!("genba-{name}.sock"))
}

fn socket_folder(runtime: Option<OsString>, run_is_writable: bool) -> PathBuf {
    let runtime = runtime.map(PathBuf::from).filter(|folder| folder.is_absolute());
    runtime.unwrap_or_else(|| if run_is_writable { PathBuf::from("/run") } else { std::env::temp_dir() })
}

/// Opens the status socket, for its own user only.
pub(crate) fn listen(socket: &Path) -> Result<UnixListener> {
    clear(socket)?;
    let bound = for_this_user_only(|| UnixListener::bind(socket));
    bound
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot open the status socket {}; choose [box] status_socket", socket.display()))
}

/// Removes the socket of a box that is no more, and nothing else.
fn clear(socket: &Path) -> Result<()> {
    let refused = |what: &str| {
        miette!(
            help = "stop the other box, or give this one another [box] name or status_socket",
            "{what} {}",
            socket.display()
        )
    };
    match fs::symlink_metadata(socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).into_diagnostic().wrap_err_with(|| format!("cannot use {}", socket.display())),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(refused("there is a file that is no socket, and that is not removed:"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(socket) {
        Ok(_) => Err(refused("a box answers already on")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let removed = fs::remove_file(socket).into_diagnostic();
            removed.wrap_err_with(|| format!("cannot remove the socket {}, which nobody serves", socket.display()))
        }
        Err(error) => {
            Err(error).into_diagnostic().wrap_err_with(|| format!("cannot tell who serves {}", socket.display()))
        }
    }
}

/// Makes a file that no other user may ever open, not even before its permissions could be changed.
#[allow(unsafe_code, reason = "libc")]
fn for_this_user_only<T>(make: impl FnOnce() -> T) -> T {
    // SAFETY: takes a number. It holds for the process: no other thread of ours makes files while the box starts.
    let before = unsafe { libc::umask(0o177) };
    let result = make();
    // SAFETY: as above.
    unsafe { libc::umask(before) };
    result
}

/// Answers each connection's question, until the process ends.
pub(crate) fn serve(listener: &UnixListener, plan: &Plan, fixed: &Fixed, counter: &mut Counter) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let _ = stream.set_write_timeout(Some(PATIENCE));
        let text = match asked::read(&mut stream) {
            Some(Asked::Status) => match counter.take() {
                Some(snapshot) => serde_json::to_string(&report(plan, fixed, snapshot)).unwrap_or_default(),
                None => String::new(),
            },
            Some(Asked::DeadLetters(question)) => {
                serde_json::to_string(&dead_letters(&stream, fixed, question)).unwrap_or_default()
            }
            None => continue,
        };
        // A reader that went away needs no answer.
        let _ = stream.write_all(text.as_bytes());
    }
}

/// By the spool alone, whose lock is not the engine's.
fn dead_letters(stream: &UnixStream, fixed: &Fixed, question: Question) -> Answer {
    if !peer::may_change(stream).unwrap_or(false) {
        return Answer::Refused(SpoolRefusal::NotYours);
    }
    fixed.kept.as_ref().map_or(Answer::Refused(SpoolRefusal::NoSpool), |kept| kept.dead_letters(question))
}

/// Asks the running box of a config and prints what it says.
pub(crate) fn print(config: &Path, json: bool) -> Result<ExitCode> {
    let config = Config::load(config)?;
    let socket = &config.status_socket;
    let stream = UnixStream::connect(socket).into_diagnostic().wrap_err_with(|| {
        format!(
            "no box answers on {}; does `genba run` run with this config, as the same user? Where the two see another \
             XDG_RUNTIME_DIR, give the config a [box] status_socket",
            socket.display()
        )
    })?;
    let text = ask(stream, &Asked::Status, PATIENCE).into_diagnostic().wrap_err("the box does not answer")?;
    if text.is_empty() {
        let alarm = Reason::EngineStalled.row();
        return Err(miette!(help = alarm.action, "{}: {}", Reason::EngineStalled, alarm.what));
    }
    let report: Report = serde_json::from_str(&text).into_diagnostic()?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report).into_diagnostic()?);
    } else {
        print!("{}", human(&report));
    }
    Ok(ExitCode::SUCCESS)
}

fn report(plan: &Plan, fixed: &Fixed, snapshot: &Snapshot) -> Report {
    let connections = plan.served().zip(&snapshot.connections).map(|(served, entry)| Line {
        robot: served.robot.name.clone(),
        task: plan.config.tasks[served.task].name.clone(),
        epoch: entry.epoch.map(|epoch| format!("{:016x}", epoch.value())),
        unseen_responses: entry.unseen,
        resets: plan.begins_anew(served.task).then(|| resets(&entry.resets)),
        plans: plan.config.tasks[served.task].plans.map(|_| plans(entry)),
        measured: !entry.marks.contains(Status::UNMEASURED),
        degraded: entry.marks.contains(Status::DEGRADED),
        unschedulable: entry.marks.contains(Status::UNSCHEDULABLE),
        counts: counts(&entry.ledger),
    });
    let workers = plan.config.workers.iter().zip(&snapshot.workers).map(|(worker, entry)| WorkerLine {
        name: worker.name.clone(),
        service: match entry.service {
            Service::Active => "active",
            Service::Spare => "spare",
            Service::Quarantined => "quarantined",
        }
        .to_owned(),
        inferences: entry.work.inferences,
        observations: entry.work.observations,
        largest_batch: entry.work.largest_batch,
        execution_us: entry.work.execution.nanos() / 1_000,
    });
    let clients = plan.clients().zip(&snapshot.clients).map(|(asking, ledger)| ClientLine {
        client: asking.client.name.clone(),
        task: plan.config.tasks[asking.task].name.clone(),
        requests: requests(ledger),
    });
    Report {
        name: plan.config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot: format!("{:016x}", fixed.boot.value()),
        uptime_s: fixed.started.elapsed().as_secs(),
        margin_us: fixed.margin.nanos() / 1_000,
        scheduling: fixed.scheduling.clone(),
        connections: connections.collect(),
        total: counts(&snapshot.total),
        requests: requests(&snapshot.requests),
        clients: clients.collect(),
        inputs: plan.joined().zip(&snapshot.inputs).map(|(one, entry)| input_line(plan, &one, entry)).collect(),
        models: plan.config.models.iter().enumerate().map(|(place, model)| model_line(plan, place, model)).collect(),
        workers: workers.collect(),
        records: snapshot.records.iter().map(|record| record_line(plan, record)).collect(),
        hand_offs: fixed.hand_offs.as_deref().map(clusters_line),
        durable: fixed.kept.as_deref().map(durable_line),
        own_allocations: allocation::count(),
    }
}

fn model_line(plan: &Plan, place: usize, model: &ModelConfig) -> ModelLine {
    ModelLine { name: model.name.clone(), provider: plan.config.place_of(place), passed: model.passed.clone() }
}

fn input_line(plan: &Plan, one: &JoinedInput<'_>, entry: &InputSnapshot) -> InputLine {
    let ledger = &entry.ledger;
    InputLine {
        robot: one.robot.to_owned(),
        task: plan.config.tasks[one.task].name.clone(),
        input: one.input.name.clone(),
        clock: clock_name(one.input.clock).to_owned(),
        max_age_us: one.input.max_age.nanos() / 1_000,
        age_us: entry.age.map(|age| age.nanos() / 1_000),
        received: ledger.received(),
        taken: ledger.taken(),
        passed_over: ledger.passed_over(),
        refused: ledger.refused(),
        balances: ledger.balances(),
        reasons: reasons(|reason| ledger.by_reason(reason)),
    }
}

/// What an age counts from, as the config calls it.
pub(crate) fn clock_name(clock: SampleClock) -> &'static str {
    match clock {
        SampleClock::Arrival => "arrival",
        SampleClock::Synchronised => "synchronised",
    }
}

fn record_line(plan: &Plan, record: &RecordSnapshot) -> RecordLine {
    let model = plan.config.models.get(usize::from(record.model.0)).map(|model| model.name.clone());
    let worker = plan.config.workers.get(usize::from(record.worker.0)).map(|worker| worker.name.clone());
    RecordLine {
        model: model.unwrap_or_default(),
        worker: worker.unwrap_or_default(),
        inferences: record.executions,
        above: record.above,
        void: record.void.map(|reason| reason.to_string()),
    }
}

fn requests(ledger: &engine::RequestLedger) -> Requests {
    Requests {
        received: ledger.received(),
        answered: ledger.answered(),
        refused: ledger.refused(),
        expired: ledger.expired(),
        in_flight: ledger.in_flight(),
        discarded_late_results: ledger.discarded(),
        balances: ledger.balances(),
        reasons: reasons(|reason| ledger.by_reason(reason)),
    }
}

fn resets(ledger: &ResetLedger) -> Resets {
    Resets {
        received: ledger.received(),
        accepted: ledger.accepted(),
        refused: ledger.refused(),
        reasons: reasons(|reason| ledger.by_reason(reason)),
    }
}

fn plans(entry: &ConnectionSnapshot) -> Plans {
    let ledger = &entry.plans;
    Plans {
        asked: ledger.asked(),
        adopted: ledger.adopted(),
        failed: ledger.failed(),
        too_late: ledger.too_late(),
        discarded: ledger.discarded(),
        in_flight: ledger.in_flight(),
        balances: ledger.balances(),
        reasons: reasons(|reason| ledger.by_reason(reason)),
        current: entry.plan.map(|plan| CurrentPlan {
            id: plan.id,
            age_us: plan.age.nanos() / 1_000,
            remaining_us: plan.remaining.nanos() / 1_000,
        }),
    }
}

/// The reasons that something was counted for.
fn reasons(by_reason: impl Fn(Reason) -> u64) -> Vec<ReasonCount> {
    let counted = TABLE.iter().map(|row| (row, by_reason(row.reason))).filter(|(_, count)| *count > 0);
    counted.map(|(row, count)| reason_count(row, count)).collect()
}

fn reason_count(row: &Row, count: u64) -> ReasonCount {
    ReasonCount {
        number: format!("E-{}", row.number),
        name: row.name.to_owned(),
        kind: match row.kind {
            ReasonKind::Refusal => "refused",
            ReasonKind::Fallback => "fallback",
            ReasonKind::Miss => "missed",
            ReasonKind::Alarm => "alarm",
            ReasonKind::Notice => "notice",
            ReasonKind::HandOff => "hand-off",
        }
        .to_owned(),
        count,
    }
}

fn counts(ledger: &Ledger) -> Counts {
    Counts {
        received: ledger.received(),
        model: ledger.model(),
        fallback: ledger.fallback(),
        superseded: ledger.superseded(),
        refused: ledger.refused(),
        missed: ledger.missed(),
        in_flight: ledger.in_flight(),
        clamped: ledger.clamped(),
        discarded_late_results: ledger.discarded(),
        balances: ledger.balances(),
        reasons: reasons(|reason| ledger.by_reason(reason)),
    }
}

fn human(report: &Report) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let Report { name, version, boot, uptime_s, margin_us, scheduling, .. } = report;
    let _ = writeln!(
        text,
        "genba {version}  box {name}  boot {boot}  up {uptime_s} s  margin {margin_us} us  {scheduling}"
    );
    for ModelLine { name, provider, passed } in &report.models {
        let _ = writeln!(text, "model {name}: on {provider}");
        for passed in passed {
            let _ = writeln!(text, "  {passed}");
        }
    }
    for worker in &report.workers {
        let WorkerLine { name, service, inferences, observations, largest_batch, execution_us } = worker;
        let _ = writeln!(
            text,
            "worker {name}: {service}, {inferences} inferences of {observations} observations, at most {largest_batch} \
             at once, {execution_us} us in all"
        );
    }
    text.push('\n');
    let _ = writeln!(
        text,
        "{:<24} {:>10} {:>10} {:>9} {:>10} {:>8} {:>7} {:>9} {:>7}",
        "robot/task", "received", "model", "fallback", "superseded", "refused", "missed", "in flight", "unseen"
    );
    for line in &report.connections {
        let who = format!("{}/{}", line.robot, line.task);
        write_counts(&mut text, &who, &line.counts, &line.unseen_responses.to_string());
    }
    write_counts(&mut text, "total, strays included", &report.total, "");
    write_reasons(&mut text, &report.total.reasons);
    write_resets(&mut text, report);
    write_plans(&mut text, report);
    write_requests(&mut text, report);
    write_inputs(&mut text, &report.inputs);
    if let Some(hand_offs) = &report.hand_offs {
        write_clusters(&mut text, hand_offs);
    }
    if let Some(durable) = &report.durable {
        write_durable(&mut text, durable);
    }
    let ledgers = report.clients.iter().map(|line| &line.requests).chain([&report.requests]);
    let inputs_balance = report.inputs.iter().all(|input| input.balances);
    let plans_balance = report.connections.iter().filter_map(|line| line.plans.as_ref()).all(|plans| plans.balances);
    let hand_offs_balance = plans_balance
        && report.hand_offs.as_ref().is_none_or(ClustersLine::balances)
        && report.durable.as_ref().is_none_or(DurableLine::balances);
    if !report.total.balances
        || !inputs_balance
        || !hand_offs_balance
        || ledgers.into_iter().any(|requests| !requests.balances)
    {
        let _ = writeln!(text, "THE LEDGER DOES NOT BALANCE: report this as a bug");
    }
    for record in &report.records {
        let RecordLine { model, worker, inferences, above, void } = record;
        let void = void.as_ref().map_or(String::new(), |reason| format!("; void: {reason}"));
        let _ = writeln!(text, "record of {model} on {worker}: {above} of {inferences} inferences above it{void}");
    }
    let marked = |what: &str, is_marked: fn(&Line) -> bool| {
        let count = report.connections.iter().filter(|line| is_marked(line)).count();
        if count == 0 {
            String::new()
        } else {
            format!("{count} of {} connections are {what}\n", report.connections.len())
        }
    };
    text += &marked("unmeasured: no timing record holds for them", |line| !line.measured && !line.degraded);
    text += &marked("degraded: their timing record no longer holds", |line| line.degraded);
    text += &marked("unschedulable: their model can be late, or nobody knows", |line| line.unschedulable);
    text
}

fn write_reasons(text: &mut String, reasons: &[ReasonCount]) {
    use std::fmt::Write as _;
    for reason in reasons {
        let _ = writeln!(text, "  {:>10} x {} {} ({})", reason.count, reason.number, reason.name, reason.kind);
    }
}

/// Demands that state begins anew, where there were any.
fn write_resets(text: &mut String, report: &Report) {
    use std::fmt::Write as _;
    for Line { robot, task, resets, .. } in &report.connections {
        if let Some(Resets { received, accepted, refused, reasons }) =
            resets.as_ref().filter(|resets| resets.received > 0)
        {
            let _ =
                writeln!(text, "resets of {robot}/{task}: {received} received, {accepted} accepted, {refused} refused");
            write_reasons(text, reasons);
        }
    }
}

/// What became of plans, where there are any.
fn write_plans(text: &mut String, report: &Report) {
    use std::fmt::Write as _;
    for Line { robot, task, plans, .. } in &report.connections {
        let Some(plans) = plans else { continue };
        let Plans { asked, adopted, failed, too_late, discarded, current, reasons, .. } = plans;
        let current = current.as_ref().map_or("none is played".to_owned(), |plan| {
            format!(
                "plan {} is played, {} ms old, {} ms remain",
                plan.id,
                plan.age_us / 1_000,
                plan.remaining_us / 1_000
            )
        });
        let _ = writeln!(
            text,
            "plans of {robot}/{task}: {asked} asked, {adopted} adopted, {failed} failed, {too_late} too late, {discarded} \
             discarded; {current}"
        );
        write_reasons(text, reasons);
    }
}

/// One-off requests, client by client. Without clients there are only queries on topics, which are refused.
fn write_requests(text: &mut String, report: &Report) {
    use std::fmt::Write as _;
    if report.clients.is_empty() {
        let Requests { received, refused, .. } = report.requests;
        if received > 0 {
            let _ = writeln!(text, "requests: {received} received, {refused} refused");
        }
        return;
    }
    let _ = writeln!(
        text,
        "\n{:<24} {:>10} {:>10} {:>8} {:>8} {:>9}",
        "client/task", "received", "answered", "refused", "expired", "in flight"
    );
    let mut line = |who: &str, requests: &Requests| {
        let Requests { received, answered, refused, expired, in_flight, .. } = requests;
        let _ = writeln!(text, "{who:<24} {received:>10} {answered:>10} {refused:>8} {expired:>8} {in_flight:>9}");
    };
    for ClientLine { client, task, requests } in &report.clients {
        line(&format!("{client}/{task}"), requests);
    }
    line("requests, all queries", &report.requests);
    write_reasons(text, &report.requests.reasons);
}

/// Joined inputs, robot by robot.
fn write_inputs(text: &mut String, inputs: &[InputLine]) {
    use std::fmt::Write as _;
    if inputs.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n{:<32} {:>10} {:>10} {:>11} {:>8}  age",
        "robot/task/input", "received", "taken", "passed over", "refused"
    );
    for line in inputs {
        let InputLine { clock, max_age_us, received, taken, passed_over, refused, reasons, .. } = line;
        let who = format!("{}/{}/{}", line.robot, line.task, line.input);
        let age = line.age_us.map_or("no sample yet".to_owned(), |age| format!("{age} us"));
        let _ = writeln!(
            text,
            "{who:<32} {received:>10} {taken:>10} {passed_over:>11} {refused:>8}  {age} by {clock}, at most {max_age_us} us"
        );
        write_reasons(text, reasons);
    }
}

fn write_counts(text: &mut String, who: &str, counts: &Counts, unseen: &str) {
    use std::fmt::Write as _;
    let Counts { received, model, fallback, superseded, refused, missed, in_flight, .. } = counts;
    let _ = writeln!(
        text,
        "{who:<24} {received:>10} {model:>10} {fallback:>9} {superseded:>10} {refused:>8} {missed:>7} {in_flight:>9} {unseen:>7}"
    );
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("genba-status-{}", std::process::id()));
            fs::create_dir(&folder).expect("a folder of this test's own");
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    // One test, since the mask of new files belongs to the process.
    #[test]
    fn only_the_socket_of_a_dead_box_is_taken_over() {
        let folder = Folder::new();
        let socket = folder.0.join("box.sock");
        drop(listen(&socket).expect("nothing is there"));
        let _listener = listen(&socket).expect("nobody serves it");
        let mode = fs::symlink_metadata(&socket).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = listen(&socket).expect_err("it is served").to_string();
        assert!(error.contains("answers already"), "{error}");

        let file = folder.0.join("notes.txt");
        fs::write(&file, "precious").expect("it can be written");
        let link = folder.0.join("link");
        std::os::unix::fs::symlink(&file, &link).expect("it can be linked");
        for path in [&file, &link, &folder.0] {
            let error = listen(path).expect_err("no socket").to_string();
            assert!(error.contains("no socket"), "{error}");
        }
        assert_eq!(fs::read_to_string(&link).expect("it is there"), "precious");
    }

    #[test]
    fn default_folder_is_the_users_then_the_systems_then_the_temporary_one() {
        let folder = |runtime: &str, writable| socket_folder(Some(runtime.into()), writable);
        assert_eq!(folder("/run/user/1000", true), Path::new("/run/user/1000"));
        assert_eq!(folder("", true), Path::new("/run"));
        assert_eq!(folder("relative", true), Path::new("/run"));
        assert_eq!(socket_folder(None, false), std::env::temp_dir());
    }
}
