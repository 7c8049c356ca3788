//! `genba run`: starts the threads, watches over them, and shuts down in order.

use std::{
    io::Read,
    os::unix::net::UnixListener,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{self, Ordering},
        mpsc::sync_channel,
    },
    thread, time,
};

use engine::{Reason, VoidCause, WorkerId};
use heapless::{
    Deque,
    spsc::{Consumer, Producer, Queue},
};
use message::Boot;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use onnx_model::Library;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use zenoh_link::Link;

use crate::{
    batches::Batches,
    cameras, clock,
    conditions::{Conditions, Threads},
    config::Config,
    door::Door,
    durable::{self, Kept},
    hand_off::{self, HandOffs},
    lane,
    logging::{self, Logs},
    margin,
    perform::{Performer, Shared},
    plan::{Plan, millis},
    providers,
    realtime::{self, LinkThreads},
    reports::{REPORTS, Report, Reporter},
    requests::{self, Replier},
    residency,
    schedulability::{self, Group},
    snapshot,
    state::States,
    status,
    timing::{self, Present},
    turn::Turn,
    worker::{self, Desk, Slot},
};

/// How often the main thread looks at signals, reports and progress.
const WATCH: time::Duration = time::Duration::from_millis(20);
/// How often it looks for threads that zenoh has started since.
const LOOK_FOR_THREADS: time::Duration = time::Duration::from_secs(1);
/// How many workers that lose their records wait for the engine's thread; further ones wait here.
const VOIDS: usize = 16;
/// Without progress for this long the heartbeat is withheld.
const STALLED: time::Duration = time::Duration::from_millis(200);
/// What a shutdown may take beyond the longest deadline, by which everything is answered: farewells take milliseconds.
const FAREWELLS_WITHIN: time::Duration = time::Duration::from_secs(1);

/// Serves a config's robots until a signal or until no worker is left.
pub(crate) fn run(config: &Path, listen: Option<String>, accept_late: bool) -> Result<ExitCode> {
    let mut config = Config::load(config)?;
    if let Some(endpoint) = listen {
        config.link.listen = vec![endpoint];
    }
    zenoh_link::prepare_process(config.link.one_worker).into_diagnostic()?;
    let logs = logging::start();
    let mut plan = Plan::load(config)?;
    plan.check_link()?;
    residency::refuse_open_ways(&plan)?;
    if let Some(warning) = plan.warning() {
        tracing::warn!("{warning}");
    }
    let library =
        Library::load(&Library::find(plan.config.onnx_library.as_deref()).into_diagnostic()?).into_diagnostic()?;
    tracing::info!(
        "genba {}: ONNX Runtime {} from {}",
        env!("CARGO_PKG_VERSION"),
        library.version(),
        library.path().display()
    );
    providers::settle(&mut plan, &library)?;
    let plan: &'static Plan = Box::leak(Box::new(plan));
    if plan.config.realtime.lock_memory {
        realtime::lock_memory();
    }
    // Whatever is there by now is no worker, no link and not the engine.
    realtime::lower_bystanders();
    let listener = status::listen(&plan.config.status_socket)?;
    let result = serve(plan, &library, listener, &logs, accept_late);
    let _ = std::fs::remove_file(&plan.config.status_socket);
    let ended = result?;
    // Writes what is still queued.
    drop(logs);
    end(ended)
}

/// Why the box stopped serving.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Somebody asked it to.
    Asked,
    /// It cannot serve: the service manager must restart it.
    Failed,
}

fn serve(
    plan: &'static Plan,
    library: &Library,
    listener: UnixListener,
    logs: &Logs,
    accept_late: bool,
) -> Result<Ended> {
    let door = Door::default();
    let present = Present::look(plan, library)?;
    if let Some(warning) = present.throttling() {
        tracing::warn!("{warning}");
    }
    let timings = timing::of_tasks(plan, &present);
    let batches = Batches::of_models(plan, &timings);
    let sizes = |model: usize| batches[model].as_ref().map_or_else(Vec::new, |batches| batches.sizes.clone());
    let mut desks = worker::start_all(&plan.config, library, &plan.manifests, &sizes, |worker| door.way_back(worker))?;
    let mut link_threads = LinkThreads::default();
    let measured = margin::measure(plan, &mut link_threads)?;
    let margin = measured.margin();
    tracing::info!("margin {}: {measured}", millis(margin));
    let boot = Boot::new(random().into_diagnostic().wrap_err("cannot read /dev/urandom")?);
    let given = (margin, measured.send.p99);
    let marked = marked(plan, &schedulability::judge(plan, &timings, &batches, given), accept_late)?;
    let records = plan.records(&timings, &batches)?;
    let slots = plan.slots(&plan.engine_clients()?, &records);
    let engine = plan.engine(boot, given, records, &marked)?;
    let shared = Arc::new(Shared::default());
    let (reporting, reports) = Box::leak(Box::new(Queue::<Report, REPORTS>::new())).split();
    let queues = plan.clients().map(|asking| usize::from(asking.client.queue));
    let (requests, replier) = requests::exchange(slots, queues, thread::current());
    let (voiding, voids) = Box::leak(Box::new(Queue::<(WorkerId, VoidCause), VOIDS>::new())).split();
    let (mut counter, snapshots) = snapshot::exchange(plan, &engine, door.clone());
    let watched = !engine.records().is_empty();
    let worker_ids: Vec<_> = desks.iter().map(|desk| desk.kernel_id).collect();
    let ways_out = WaysOut::open(plan, boot, &door, &mut desks)?;
    // Until here nobody is served, so a signal just ends the process.
    let signals = Signals::new([SIGTERM, SIGINT]).into_diagnostic()?;

    let readers = cameras::readers(plan)?;

    // From here on controllers are heard, so nothing slow may follow.
    let entrance = door.clone();
    let arrived = move |source| entrance.arrived(source);
    let opened = zenoh_link::open(&plan.config.link, plan.topics(), &plan.alive_key(), clock::nanos, arrived);
    let (link, inbox, pictures) = opened.into_diagnostic()?;
    let link = Arc::new(link);
    let performer = Performer {
        engine,
        link: Arc::clone(&link),
        workers: desks,
        slots: (0..slots).map(|_| Some(Slot::with_room(plan.slot_lengths()))).collect(),
        samples: plan.samples(),
        tasks: plan.tasks(),
        states: States::new(plan),
        shared: Arc::clone(&shared),
        reports: reporting,
        requests,
        held: Deque::new(),
        may_put: true,
    };
    let (cameras, watching) = cameras::start(readers, pictures, &door)?;
    door.open(Turn::new(inbox, performer, snapshots, cameras, plan.received(), voids));
    door.watched_by(watching);
    let (turning, shown) = (door.clone(), Arc::clone(&shared));
    let (prepared, when_prepared) = sync_channel(1);
    let engine = thread::Builder::new().name("genba-engine".to_owned()).spawn(move || {
        realtime::prepare_engine(&plan.config.realtime);
        let _ = prepared.send(realtime::this_thread());
        turning.keep_time(&shown, plan.shortest_wait(margin));
    });
    let engine = engine.into_diagnostic()?;
    let closing = ways_out.hand_offs.clone();
    let fixed = status::Fixed {
        boot,
        started: time::Instant::now(),
        margin,
        scheduling: measured.class.to_string(),
        hand_offs: ways_out.hand_offs.clone(),
        kept: ways_out.kept.clone(),
    };
    let status = thread::Builder::new().name("genba-status".to_owned()).spawn(move || {
        realtime::lower(0);
        status::serve(&listener, plan, &fixed, &mut counter);
    });
    status.into_diagnostic()?;
    ways_out.start(plan, &link)?;
    realtime::lock_later_on_fault();
    // After the last thread that would inherit it. This thread takes zenoh's locks, which a put waits for.
    if let Some(priority) = plan.config.realtime.fifo_priority {
        realtime::fifo("main", 0, priority.link());
    }
    link.declare_alive().into_diagnostic()?;
    tell_ready(plan, boot);
    let reporter = Reporter::new(plan, logs);
    let engine_id = when_prepared.recv().into_diagnostic().wrap_err("the engine's thread ended at once")?;
    let watch = Watch {
        plan,
        link: &link,
        shared: &shared,
        door,
        engine: &engine,
        reporter,
        reports,
        replier,
        link_threads,
        conditions: watched.then(|| Conditions::new(plan, Threads { engine: engine_id, workers: worker_ids })),
        void: Vec::new(),
        voiding,
    };
    let ended = watch.run(signals);
    stop(&link, &shared, engine, closing.as_deref());
    Ok(ended)
}

/// What leaves the box, and what waits for that.
struct WaysOut {
    hand_offs: Option<Arc<HandOffs>>,
    kept: Option<Arc<Kept>>,
}

impl WaysOut {
    /// Opens journal, links and spool, and adds the clusters' lanes to the workers.
    fn open(plan: &'static Plan, boot: Boot, door: &Door, desks: &mut Vec<Desk>) -> Result<Self> {
        let hand_offs = plan.config.journal.as_ref().map(|journal| HandOffs::open(plan, journal, boot)).transpose()?;
        let hand_offs = hand_offs.map(Arc::new);
        // Probes begin with the links, long before the box is ready: what they go by is looked after from then on.
        hand_offs.clone().map_or(Ok(()), hand_off::watch)?;
        for cluster in hand_offs.iter().flat_map(|hand_offs| &hand_offs.clusters) {
            let first = desks.len();
            let mut workers = (first..).map(|worker| WorkerId(u16::try_from(worker).expect("the engine has as many")));
            let way_back = || door.way_back(workers.next().expect("there is no end of numbers"));
            desks.extend(lane::start_all(plan, cluster, way_back)?);
        }
        let spool = plan.config.spool.as_ref().zip(hand_offs.as_ref());
        let kept = spool.map(|(config, hand_offs)| Kept::open(plan, config, hand_offs, boot)).transpose()?;
        Ok(Self { hand_offs, kept: kept.map(Arc::new) })
    }

    /// Listens to durable requests.
    fn start(self, plan: &'static Plan, link: &Arc<Link>) -> Result<()> {
        self.kept.map_or(Ok(()), |kept| durable::start(plan, &kept, link))
    }
}

/// Says what is listened to, and that it is.
fn tell_ready(plan: &Plan, boot: Boot) {
    for (served, keys) in plan.served().zip(plan.routes()) {
        let task = &plan.config.tasks[served.task];
        tracing::info!("{} answers {} within {}", task.name, keys.observation, millis(task.deadline));
    }
    for one in plan.joined() {
        let task = &plan.config.tasks[one.task];
        let max_age = millis(one.input.max_age);
        tracing::info!("{} is joined by {} from {}, no older than {max_age}", task.name, one.input.name, one.key);
    }
    for (asking, keys) in plan.clients().zip(plan.client_keys()) {
        let task = &plan.config.tasks[asking.task];
        tracing::info!(
            "{} answers requests on {}, each within {} at most",
            task.name,
            keys.infer,
            millis(task.deadline)
        );
    }
    tracing::info!("ready: boot {:016x}, listening on {:?}", boot.value(), plan.config.link.listen);
}

/// The tasks whose models may be late: refused, unless that is accepted. Says what is known of each group of workers.
fn marked(plan: &Plan, groups: &[Group], accept_late: bool) -> Result<Vec<usize>> {
    let mut marked = Vec::new();
    for group in groups {
        let says = group.says(plan);
        if group.is_refused() && !accept_late {
            return Err(miette!(
                help = "change the config as `genba check` proposes, or serve it marked with --accept-late",
                "{says}"
            ));
        }
        if group.is_marked() {
            tracing::warn!("{says}; each response is marked unschedulable");
            marked.extend(&group.tasks);
        } else {
            tracing::info!("{says}");
        }
    }
    Ok(marked)
}

/// Takes the heartbeat back and closes the link, which sends what is still queued: the farewells.
fn stop(link: &Link, shared: &Shared, engine: thread::JoinHandle<()>, hand_offs: Option<&HandOffs>) {
    let ended = shared.drained.load(Ordering::Acquire) || engine.is_finished();
    if ended && engine.join().is_err() {
        tracing::error!("the engine's thread panicked: report this as a bug");
    }
    if let Err(error) = link.withdraw_alive() {
        tracing::warn!("heartbeat: {error}");
    }
    if let Err(error) = link.close() {
        tracing::warn!("{error}");
    }
    if let Some(hand_offs) = hand_offs {
        hand_offs.close();
    }
    tracing::info!("stopped");
}

/// The main thread while the box serves: signals, reports, replies to queries and the heartbeat.
///
/// It must never answer in the engine's place.
struct Watch<'w> {
    plan: &'w Plan,
    link: &'w Link,
    shared: &'w Shared,
    door: Door,
    engine: &'w thread::JoinHandle<()>,
    reporter: Reporter<'w>,
    reports: Consumer<'static, Report>,
    replier: Replier,
    link_threads: LinkThreads,
    /// `None`: no record to hold them against.
    conditions: Option<Conditions>,
    /// Who lost their records, and the way to the engine.
    void: Vec<(WorkerId, VoidCause)>,
    voiding: Producer<'static, (WorkerId, VoidCause)>,
}

impl Watch<'_> {
    /// Watches until nothing is left to serve.
    fn run(mut self, mut signals: Signals) -> Ended {
        let patience = time::Duration::from(self.plan.longest_deadline()) + FAREWELLS_WITHIN;
        let mut code = Ended::Asked;
        let mut draining_since: Option<time::Instant> = None;
        let mut heart = Heart { progress: 0, moved: time::Instant::now(), shown: true };
        let mut looked = None;
        loop {
            if looked.is_none_or(|last: time::Instant| last.elapsed() > LOOK_FOR_THREADS) {
                self.link_threads.raise(&self.plan.config.realtime);
                looked = Some(time::Instant::now());
            }
            if let Some(signal) = signals.pending().next() {
                let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
                tracing::info!("{name}: no new observations; open ones are answered, controllers get a farewell");
                draining_since.get_or_insert_with(time::Instant::now);
            }
            if let Some(reason) = self.shared.exit.get()
                && code == Ended::Asked
            {
                tracing::error!("{reason}: {} {}", reason.row().what, reason.row().action);
                code = Ended::Failed;
                draining_since.get_or_insert_with(time::Instant::now);
            }
            self.take_reports();
            self.look_at_conditions();
            if let Some(since) = draining_since {
                self.shared.drain.store(true, Ordering::Release);
                self.door.wake();
                if since.elapsed() > patience && !self.drained() {
                    tracing::error!("{}: ends without farewells", Reason::EngineStalled);
                    return Ended::Failed;
                }
            }
            // In this order: the engine's thread says that it has drained before it ends.
            let ended = self.engine.is_finished();
            atomic::fence(Ordering::Acquire);
            if self.drained() || ended {
                self.take_reports();
                self.reply();
                return if self.drained() { code } else { Ended::Failed };
            }
            heart.beat(self.link, self.shared.progress.load(Ordering::Acquire));
            self.rest();
        }
    }

    fn drained(&self) -> bool {
        self.shared.drained.load(Ordering::Acquire)
    }

    fn take_reports(&mut self) {
        // As many as the queue holds: it may be filled faster than they are taken.
        for _ in 0..REPORTS {
            let Some(report) = self.reports.dequeue() else { break };
            self.reporter.take(report);
        }
        self.reporter.say();
    }

    /// What timing records are bound to: one of it at a time, so that this thread is never away for long.
    fn look_at_conditions(&mut self) {
        if let Some(changed) = self.conditions.as_mut().and_then(Conditions::look) {
            tracing::warn!("{}", changed.what);
            let ids =
                changed.workers.into_iter().map(|place| WorkerId(u16::try_from(place).expect("as in the engine")));
            self.void.extend(ids.map(|worker| (worker, changed.cause)));
        }
        while let Some(void) = self.void.pop() {
            // The engine raises the alarm: it knows which records there are.
            if let Err(void) = self.voiding.enqueue(void) {
                self.void.push(void);
                break;
            }
            self.door.wake();
        }
    }

    /// Until it looks at everything again: replies, each as soon as it is there.
    fn rest(&mut self) {
        let until = time::Instant::now() + WATCH;
        loop {
            self.reply();
            let left = until.saturating_duration_since(time::Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    fn reply(&mut self) {
        // As many as may be open: they may be handed over faster than they are sent.
        for _ in 0..requests::OPEN {
            let Some(sent) = self.replier.send(self.link) else { return };
            if sent.is_err() {
                self.reporter.take(Report::NotSent);
            }
            // There is room for one that waits in the link.
            self.door.wake();
        }
    }
}

/// What the watchdog knows of the engine's progress.
struct Heart {
    progress: u64,
    moved: time::Instant,
    shown: bool,
}

impl Heart {
    /// Withholds the heartbeat while the engine stands still.
    fn beat(&mut self, link: &Link, progress: u64) {
        if progress != self.progress {
            (self.progress, self.moved) = (progress, time::Instant::now());
        }
        let moves = self.moved.elapsed() < STALLED;
        if moves != self.shown {
            self.shown = moves;
            heartbeat(link, moves);
        }
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
