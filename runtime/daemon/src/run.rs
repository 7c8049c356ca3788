//! `genba run`: starts the threads, watches over them, and shuts down in order.

use std::{
    collections::HashSet,
    io::Read,
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    thread, time,
};

use engine::Reason;
use heapless::spsc::{Consumer, Queue};
use message::Boot;
use miette::{IntoDiagnostic, Result, WrapErr};
use onnx_model::Library;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use zenoh_link::Link;

use crate::{
    clock,
    config::Config,
    logging, margin,
    plan::{Plan, millis},
    realtime, snapshot, status,
    turn::{REPORTS, Report, Shared, Turn, Wake},
    worker::{self, Slot},
};

/// How often the main thread looks at signals, reports and progress.
const WATCH: time::Duration = time::Duration::from_millis(20);
/// How often it looks for threads that zenoh has started since.
const LOOK_FOR_THREADS: time::Duration = time::Duration::from_secs(1);
/// Without progress for this long the heartbeat is withheld.
const STALLED: time::Duration = time::Duration::from_millis(200);
/// Answers and farewells at a shutdown take milliseconds; a stuck engine must not keep the process.
const DRAIN_PATIENCE: time::Duration = time::Duration::from_secs(5);

/// Serves a config's robots until a signal or until no worker is left.
pub(crate) fn run(config: &Path, listen: Option<String>) -> Result<ExitCode> {
    logging::start();
    let mut config = Config::load(config)?;
    if let Some(endpoint) = listen {
        config.link.listen = vec![endpoint];
    }
    zenoh_link::prepare_process(config.link.one_worker).into_diagnostic()?;
    let signals = Signals::new([SIGTERM, SIGINT]).into_diagnostic()?;
    let plan: &'static Plan = Box::leak(Box::new(Plan::load(config)?));
    let library =
        Library::load(&Library::find(plan.config.onnx_library.as_deref()).into_diagnostic()?).into_diagnostic()?;
    tracing::info!(
        "genba {}: ONNX Runtime {} from {}",
        env!("CARGO_PKG_VERSION"),
        library.version(),
        library.path().display()
    );
    if plan.config.realtime.lock_memory {
        realtime::lock_memory();
    }
    let listener = status::listen(&plan.config.status_socket)?;
    let result = serve(plan, &library, signals, listener);
    let _ = std::fs::remove_file(&plan.config.status_socket);
    end(result?)
}

/// Why the box stopped serving.
#[derive(Clone, Copy)]
enum Ended {
    /// Somebody asked it to.
    Asked,
    /// It cannot serve: the service manager must restart it.
    Failed,
}

fn serve(
    plan: &'static Plan,
    library: &Library,
    signals: Signals,
    listener: std::os::unix::net::UnixListener,
) -> Result<Ended> {
    let wake = Wake::default();
    let workers = worker::start_all(&plan.config, library, &plan.manifests, &wake)?;
    let (class, measured) = margin::measure(plan)?;
    let margin = measured.margin(plan);
    tracing::info!(
        "margin {}: wake-up plus send in the {class} took p50 {}, p99 {} over {} samples; configured at least {}",
        millis(margin),
        millis(measured.p50),
        millis(measured.p99),
        measured.samples,
        millis(plan.config.min_margin),
    );
    let boot = Boot::new(random().into_diagnostic().wrap_err("cannot read /dev/urandom")?);
    let engine = plan.engine(boot, margin)?;
    let shared = Arc::new(Shared::default());
    let (reporting, reports) = Box::leak(Box::new(Queue::<Report, REPORTS>::new())).split();
    let (mut counter, snapshots) = snapshot::exchange(plan, wake.clone());

    // From here on controllers are heard, so nothing slow may follow.
    let woken = wake.clone();
    let waker = move || woken.wake();
    let (routes, strays) = (plan.routes(), plan.strays());
    let (link, inbox) = zenoh_link::open(&plan.config.link, routes, strays, &plan.alive_key(), clock::nanos, waker)
        .into_diagnostic()?;
    let link = Arc::new(link);
    let turn = Turn {
        engine,
        link: Arc::clone(&link),
        workers,
        slots: (0..plan.slots()).map(|_| Some(Slot::with_room(plan.slot_lengths()))).collect(),
        shared: Arc::clone(&shared),
        reports: reporting,
        snapshots,
    };
    let turning = wake.clone();
    let engine = thread::Builder::new().name("genba-engine".to_owned()).spawn(move || {
        realtime::prepare_engine(&plan.config.realtime);
        turning.this_thread();
        turn.run(inbox);
    });
    let engine = engine.into_diagnostic()?;
    let fixed = status::Fixed { boot, started: time::Instant::now(), margin, scheduling: class.to_string() };
    thread::Builder::new()
        .name("genba-status".to_owned())
        .spawn(move || status::serve(&listener, plan, &fixed, &mut counter))
        .into_diagnostic()?;
    link.declare_alive().into_diagnostic()?;
    for (served, keys) in plan.served().zip(plan.routes()) {
        let task = &plan.config.tasks[served.task];
        tracing::info!("{} answers {} within {}", task.name, keys.observation, millis(task.deadline));
    }
    tracing::info!("ready: boot {:016x}, listening on {:?}", boot.value(), plan.config.link.listen);
    let ended = watch(plan, &link, &shared, &wake, reports, signals, &engine);
    stop(link, &shared, engine);
    Ok(ended)
}

/// Takes the heartbeat back and closes the link, which sends what is still queued: the farewells.
fn stop(link: Arc<Link>, shared: &Shared, engine: thread::JoinHandle<()>) {
    let ended = shared.drained.load(Ordering::Acquire) || engine.is_finished();
    if ended && engine.join().is_err() {
        tracing::error!("the engine's thread panicked: report this as a bug");
    }
    if let Err(error) = link.withdraw_alive() {
        tracing::warn!("heartbeat: {error}");
    }
    if let Some(Err(error)) = Arc::into_inner(link).map(Link::close) {
        tracing::warn!("{error}");
    }
    tracing::info!("stopped");
}

/// zenoh's threads in the scheduling class of the config. zenoh starts them when it needs them.
#[derive(Default)]
struct LinkThreads {
    raised: HashSet<i32>,
}

impl LinkThreads {
    fn raise(&mut self, plan: &Plan) {
        let Some(priority) = plan.config.realtime.fifo_priority else { return };
        for (thread, name) in Link::threads() {
            if self.raised.insert(thread) {
                realtime::fifo(&format!("zenoh {name}"), thread, priority.link());
            }
        }
    }
}

/// Signals, reports and the heartbeat, until nothing is left to serve.
fn watch(
    plan: &Plan,
    link: &Link,
    shared: &Shared,
    wake: &Wake,
    mut reports: Consumer<'static, Report>,
    mut signals: Signals,
    engine: &thread::JoinHandle<()>,
) -> Ended {
    let mut code = Ended::Asked;
    let mut draining_since: Option<time::Instant> = None;
    let mut seen = (0, time::Instant::now());
    let mut alive = true;
    let (mut link_threads, mut looked) = (LinkThreads::default(), None);
    loop {
        if looked.is_none_or(|last: time::Instant| last.elapsed() > LOOK_FOR_THREADS) {
            link_threads.raise(plan);
            looked = Some(time::Instant::now());
        }
        if let Some(signal) = signals.pending().next() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            tracing::info!("{name}: no new observations; open ones are answered, controllers get a farewell");
            draining_since.get_or_insert_with(time::Instant::now);
        }
        while let Some(report) = reports.dequeue() {
            if log(plan, report) {
                code = Ended::Failed;
                draining_since.get_or_insert_with(time::Instant::now);
            }
        }
        if let Some(since) = draining_since {
            shared.drain.store(true, Ordering::Release);
            wake.wake();
            if shared.drained.load(Ordering::Acquire) {
                return code;
            }
            if since.elapsed() > DRAIN_PATIENCE {
                tracing::error!("{}: ends without farewells", Reason::EngineStalled);
                return Ended::Failed;
            }
        }
        if engine.is_finished() {
            return Ended::Failed;
        }
        let progress = shared.progress.load(Ordering::Acquire);
        if progress != seen.0 {
            seen = (progress, time::Instant::now());
        }
        let moves = seen.1.elapsed() < STALLED;
        if moves != alive {
            alive = moves;
            heartbeat(link, alive);
        }
        thread::sleep(WATCH);
    }
}

fn heartbeat(link: &Link, alive: bool) {
    let row = Reason::EngineStalled.row();
    let result = if alive {
        tracing::info!("the engine moves again: heartbeat shown");
        link.declare_alive()
    } else {
        tracing::error!("{}: {} {}", Reason::EngineStalled, row.what, row.action);
        link.withdraw_alive()
    };
    if let Err(error) = result {
        tracing::error!("heartbeat: {error}");
    }
}

/// Logs a report; `true`: the process must end.
fn log(plan: &Plan, report: Report) -> bool {
    let worker = |id: engine::WorkerId| plan.config.workers.get(usize::from(id.0)).map_or("?", |worker| &worker.name);
    match report {
        Report::Quarantine { worker: id, reason, spare } => {
            let row = reason.row();
            let successor = spare.map_or("no spare takes over", worker);
            tracing::error!("{reason}: worker {}; successor: {successor}. {} {}", worker(id), row.what, row.action);
        }
        Report::Exit(reason) => {
            let row = reason.row();
            tracing::error!("{reason}: {} {}", row.what, row.action);
            return true;
        }
        Report::Missed { connection, reason } => {
            let served = connection.and_then(|id| plan.served().nth(usize::from(id.0)));
            let who = served.map_or_else(|| "?".to_owned(), |served| served.robot.observation_key.clone());
            let row = reason.row();
            tracing::warn!("{reason}: {who}. {} {}", row.what, row.action);
        }
        Report::NotSent => tracing::warn!("a refusal or notice was not taken by the link"),
    }
    false
}

fn random() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Ends the process at once: a worker that hangs inside a model must not meet the library's destructors.
#[allow(unsafe_code, reason = "std's exit runs destructors")]
fn end(ended: Ended) -> ! {
    let code = match ended {
        Ended::Asked => 0,
        Ended::Failed => 1,
    };
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(code) }
}
