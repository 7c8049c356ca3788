//! From what is written to types that cannot be wrong; the first thing that is wrong is the error.

use std::ops::RangeInclusive;

use engine::{Degraded, Duration};
use onnx_model::Provider;
use toml::Spanned;

use super::{
    ClientConfig, ClusterConfig, Config, ConfigError, DurableConfig, ModelConfig, Quarantine, RobotConfig, TaskConfig,
    WorkerConfig,
    cluster::{RawCluster, check_clusters},
    error::File,
    joined::check_inputs,
    plans::check_plans,
    raw::{
        RawClient, RawConfig, RawDegraded, RawMode, RawModel, RawProviders, RawQuarantine, RawRobot, RawTask, RawWorker,
    },
    residency::{check_data, check_residency},
    spool::{RawDurable, check_durable, check_spool},
};
use crate::{requests, status, timing::Quantile};

impl RawConfig {
    pub(super) fn check(self, file: &File<'_>) -> Result<Config, ConfigError> {
        let key_prefix = self.this_box.key_prefix;
        let bad_chunk =
            |chunk: &str| chunk.is_empty() || chunk.contains(['*', '$', '?', '#', '@']) || !chunk.is_ascii();
        if key_prefix.get_ref().split('/').any(bad_chunk) {
            let what = format!("{:?} is no key prefix", key_prefix.get_ref());
            return Err(file.at(&key_prefix, what, "write <site>[/<line>]/<cell> in ASCII, without wildcards"));
        }
        let name = file.chunk(&self.this_box.name)?;
        let models = check_models(file, self.model)?;
        let policy = check_residency(file, self.residency, self.cluster.first().map(RawCluster::name))?;
        let (clusters, journal) = check_clusters(file, &models, self.cluster, self.journal)?;
        file.unique("worker", self.worker.iter().map(|worker| &worker.name))?;
        let workers = self.worker.into_iter().map(|worker| check_worker(file, &models, &clusters, worker));
        let workers = workers.collect::<Result<Vec<_>, _>>()?;
        let on_the_box = |task: &&RawTask| {
            let model = models.iter().position(|model| model.name == *task.model.get_ref());
            !clusters.iter().any(|cluster| model.is_some_and(|model| cluster.models.contains(&model)))
        };
        let quarantine = check_quarantine(file, self.quarantine, self.task.iter().filter(on_the_box))?;
        file.unique("task", self.task.iter().map(|task| &task.name))?;
        check_open_requests(file, &self.task)?;
        let is_handed_off = |task: &RawTask| !on_the_box(&task);
        self.task.iter().try_for_each(|task| check_durable(file, task, is_handed_off(task), self.spool.is_some()))?;
        let spool = self.spool.map(|spool| check_spool(file, spool)).transpose()?;
        let tasks = self.task.into_iter().map(|task| check_task(file, key_prefix.get_ref(), &models, task));
        let tasks = tasks.collect::<Result<Vec<_>, _>>()?;
        if clusters.is_empty() && !workers.iter().any(|worker| !worker.spare) || tasks.is_empty() {
            let what = "at least one [[task]] and one [[worker]] that is no spare are needed".to_owned();
            return Err(file.error(0..0, what, Some("see the commented example.toml")));
        }
        let link = zenoh_link::Settings {
            mode: match self.link.mode {
                RawMode::Peer => zenoh_link::Mode::Peer,
                RawMode::Client => zenoh_link::Mode::Client,
                RawMode::Router => zenoh_link::Mode::Router,
            },
            listen: self.link.listen,
            connect: self.link.connect,
            one_worker: self.link.one_zenoh_worker,
        };
        let socket = self.this_box.status_socket.map(|path| file.in_folder(&path));
        Ok(Config {
            path: file.path.to_path_buf(),
            status_socket: socket.unwrap_or_else(|| status::default_socket(&name)),
            name: name.clone(),
            key_prefix: key_prefix.into_inner(),
            link,
            realtime: self.realtime,
            quarantine,
            min_margin: Duration::from_micros(self.timing.margin_us),
            records: file.in_folder(&self.timing.records),
            onnx_library: self.onnx.library.map(|path| file.in_folder(&path)),
            engines: file.in_folder(&self.onnx.engines),
            models,
            workers,
            clusters,
            journal,
            policy,
            spool,
            tasks,
        })
    }
}

fn check_quarantine<'r>(
    file: &File<'_>,
    given: RawQuarantine,
    tasks: impl Iterator<Item = &'r RawTask>,
) -> Result<Quarantine, ConfigError> {
    let default = Quarantine::default();
    if let Some(overruns) = &given.max_overruns
        && !(1..=16).contains(overruns.get_ref())
    {
        return Err(file.at(overruns, "max_overruns must be between 1 and 16".to_owned(), "8 is the default"));
    }
    if let Some(window) = &given.overrun_window_ms
        && *window.get_ref() == 0
    {
        let what = "no overrun falls into a window of 0 ms, so no worker would ever be taken out of service".to_owned();
        return Err(file.at(window, what, "10000 is the default"));
    }
    let hang_ms = given.hang_ms.as_ref().map_or(default.hang_ms, |hang| *hang.get_ref());
    // An inference that still may answer in time is no hang.
    let longest = tasks.map(|task| &task.deadline_us).max_by_key(|deadline| *deadline.get_ref());
    if let Some(deadline) = longest.filter(|deadline| hang_ms.saturating_mul(1_000) < *deadline.get_ref()) {
        let what = format!("hang_ms = {hang_ms} is shorter than the deadline of {} us", deadline.get_ref());
        let help = "a worker would count as hung while its answer can still be in time: let [quarantine] hang_ms be \
                    at least the longest deadline_us";
        return Err(match &given.hang_ms {
            Some(hang) => file.at(hang, what, help),
            None => file.at(deadline, format!("the default {what}"), help),
        });
    }
    let value = |given: Option<Spanned<u64>>, default| given.map_or(default, Spanned::into_inner);
    Ok(Quarantine {
        max_overruns: given.max_overruns.map_or(default.max_overruns, Spanned::into_inner),
        overrun_window_ms: value(given.overrun_window_ms, default.overrun_window_ms),
        hang_ms,
    })
}

fn check_models(file: &File<'_>, models: Vec<RawModel>) -> Result<Vec<ModelConfig>, ConfigError> {
    file.unique("model", models.iter().map(|model| &model.name))?;
    if let Some(extra) = models.get(usize::from(engine::ModelSet::CAPACITY)) {
        return Err(file.at(&extra.name, "a box has at most 32 models".into(), "spread the models over several boxes"));
    }
    let check = |model: RawModel| {
        let providers = check_providers(file, model.provider)?;
        let max_batch = model.max_batch.as_ref().map_or(engine::MAX_BATCH, |most| *most.get_ref());
        if let Some(most) = model.max_batch.filter(|most| !(1..=engine::MAX_BATCH).contains(most.get_ref())) {
            let what = format!("an inference cannot answer {} observations", most.get_ref());
            return Err(file.at(&most, what, "choose between 1 and 64, which is the default"));
        }
        Ok(ModelConfig {
            name: file.chunk(&model.name)?,
            folder: file.in_folder(&model.folder),
            provider: providers[0],
            providers,
            passed: Vec::new(),
            max_batch,
        })
    };
    models.into_iter().map(check).collect()
}

/// At least one, in the order in which they are tried; without the field the processor.
fn check_providers(file: &File<'_>, given: Option<Spanned<RawProviders>>) -> Result<Vec<Provider>, ConfigError> {
    let Some(given) = given else { return Ok(vec![Provider::Cpu]) };
    let span = given.span();
    let named = match given.into_inner() {
        RawProviders::One(one) => vec![Spanned::new(span, one)],
        RawProviders::Several(several) if several.is_empty() => {
            let what = "the model runs nowhere: its list of providers is empty".to_owned();
            return Err(file.error(span, what, Some("name at least one, such as \"cpu\"; nothing else is ever used")));
        }
        RawProviders::Several(several) => several,
    };
    let mut providers = Vec::with_capacity(named.len());
    for text in named {
        let provider: Provider = text.get_ref().parse().map_err(|_| {
            let what = format!("{:?} is no provider", text.get_ref());
            file.at(&text, what, "write \"cpu\", \"cuda:0\" or \"tensorrt:0\"")
        })?;
        if providers.contains(&provider) {
            let what = format!("the provider {provider} is listed twice");
            return Err(file.at(&text, what, "the first that holds the whole model is taken, so each is tried once"));
        }
        providers.push(provider);
    }
    Ok(providers)
}

pub(super) fn find_model(
    file: &File<'_>,
    models: &[ModelConfig],
    name: &Spanned<String>,
) -> Result<usize, ConfigError> {
    models.iter().position(|model| model.name == *name.get_ref()).ok_or_else(|| {
        let known: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
        let what = format!("there is no model {:?}", name.get_ref());
        file.at(name, what, &format!("declare it as a [[model]]; there are: {}", known.join(", ")))
    })
}

fn check_worker(
    file: &File<'_>,
    models: &[ModelConfig],
    clusters: &[ClusterConfig],
    worker: RawWorker,
) -> Result<WorkerConfig, ConfigError> {
    let cluster_of = |model: &usize| clusters.iter().find(|cluster| cluster.models.contains(model));
    let named = match &worker.models {
        None => (0..models.len()).filter(|model| cluster_of(model).is_none()).collect(),
        Some(names) => names.iter().map(|name| find_model(file, models, name)).collect::<Result<Vec<_>, _>>()?,
    };
    for (model, name) in named.iter().zip(worker.models.iter().flatten()) {
        if let Some(cluster) = cluster_of(model) {
            let what = format!("the model {:?} is asked of the cluster {:?}", name.get_ref(), cluster.name);
            return Err(file.at(name, what, "a model has one place: this worker, or that cluster"));
        }
    }
    let name = file.chunk(&worker.name)?;
    Ok(WorkerConfig { name, models: named, spare: worker.spare, cores: worker.cores })
}

fn check_degraded(
    file: &File<'_>,
    degraded: RawDegraded,
    factor: Option<&Spanned<u16>>,
) -> Result<Degraded, ConfigError> {
    match (degraded, factor) {
        (RawDegraded::Keep, None) => Ok(Degraded::Keep),
        (RawDegraded::Rest, None) => Ok(Degraded::Rest),
        (RawDegraded::LowerRate, None) => Ok(Degraded::LowerRate { factor: 2 }),
        (RawDegraded::LowerRate, Some(factor)) if *factor.get_ref() >= 2 => {
            Ok(Degraded::LowerRate { factor: *factor.get_ref() })
        }
        (RawDegraded::LowerRate, Some(factor)) => {
            Err(file.at(factor, "a factor below 2 lowers no rate".to_owned(), "2 is the default"))
        }
        (RawDegraded::Keep | RawDegraded::Rest, Some(factor)) => {
            let what = "a factor without a lower rate".to_owned();
            Err(file.at(factor, what, "write degraded = \"lower-rate\", or leave the factor out"))
        }
    }
}

/// The spans that a deadline or a period may have. The wire's budget and age fields hold 71 minutes; a bound of seconds
/// is no bound of milliseconds.
const SPANS_US: RangeInclusive<u64> = 1..=10_000_000;

fn check_period(file: &File<'_>, period: &Spanned<u64>, who: &str) -> Result<Duration, ConfigError> {
    if SPANS_US.contains(period.get_ref()) {
        return Ok(Duration::from_micros(*period.get_ref()));
    }
    let help = format!("choose between 1 us and 10 s: how often each {who} asks at most");
    Err(file.at(period, format!("a period of {} us is none", period.get_ref()), &help))
}

fn check_task(file: &File<'_>, prefix: &str, models: &[ModelConfig], task: RawTask) -> Result<TaskConfig, ConfigError> {
    let name = file.chunk(&task.name)?;
    if task.robots.is_empty() && task.clients.is_empty() && task.durable.is_empty() {
        return Err(file.at(&task.name, format!("nobody does the task {name:?}"), "name at least one robot or client"));
    }
    if !SPANS_US.contains(task.deadline_us.get_ref()) {
        let what = format!("a deadline of {} us cannot be kept", task.deadline_us.get_ref());
        return Err(file.at(&task.deadline_us, what, "choose between 1 us and 10 s"));
    }
    let deadline = Duration::from_micros(*task.deadline_us.get_ref());
    let degraded = check_degraded(file, task.degraded, task.lower_rate_factor.as_ref())?;
    let quantile = task.execution_quantile.as_ref().map_or(Ok(Quantile::DEFAULT), |given| {
        Quantile::new(*given.get_ref()).ok_or_else(|| {
            let what = format!("{} is no quantile of execution times", given.get_ref());
            file.at(given, what, "write a share from 0.5 to 0.999999 with at most six decimals; 0.999 is the default")
        })
    })?;
    let Pace { min_period, arrival_jitter, hold } = check_pace(file, &task, deadline)?;
    let inputs = check_inputs(file, prefix, &task)?;
    let plans = task.plan.as_ref().map(|plan| check_plans(file, plan)).transpose()?;
    if let (Some(plan), Some(_)) = (&task.plan, task.clients.first()) {
        let what = format!("the task {name:?} plays plans and has clients");
        return Err(file.at(plan, what, "a plan is played to robots: give clients a task of their own"));
    }
    file.unique("robot", task.robots.iter().map(|robot| &robot.name))?;
    file.unique("client", task.clients.iter().map(|client| &client.name))?;
    let key = |given: Option<String>, who: &str, leaf| given.unwrap_or_else(|| format!("{prefix}/{who}/{name}/{leaf}"));
    let robot = |robot: RawRobot| {
        let who = file.chunk(&robot.name)?;
        Ok(RobotConfig {
            observation_key: key(robot.observation_key, &who, "observation"),
            response_key: key(robot.response_key, &who, "response"),
            notice_key: key(robot.notice_key, &who, "notice"),
            reset_key: key(robot.reset_key, &who, "reset"),
            name: who,
        })
    };
    let client = |client: RawClient| {
        let who = file.chunk(&client.name)?;
        let min_period = check_period(file, &client.min_period_us, "client")?;
        Ok(ClientConfig {
            min_period,
            arrival_jitter: client.arrival_jitter_us.map_or(min_period, Duration::from_micros),
            queue: check_queue(file, client.queue.as_ref())?,
            infer_key: key(client.key, &who, "infer"),
            name: who,
        })
    };
    file.unique("client", task.durable.iter().map(|client| &client.name))?;
    let durable = |client: RawDurable| {
        let who = file.chunk(&client.name)?;
        Ok(DurableConfig { infer_key: key(client.key, &who, "infer"), name: who })
    };
    Ok(TaskConfig {
        model: find_model(file, models, &task.model)?,
        deadline,
        min_period,
        arrival_jitter,
        degraded,
        hold,
        execution_quantile: quantile,
        robots: task.robots.into_iter().map(robot).collect::<Result<_, _>>()?,
        clients: task.clients.into_iter().map(client).collect::<Result<_, _>>()?,
        durable: task.durable.into_iter().map(durable).collect::<Result<_, _>>()?,
        plans,
        inputs,
        data: check_data(file, task.data)?,
        name: name.clone(),
    })
}

/// What only robots need of a task.
struct Pace {
    min_period: Duration,
    arrival_jitter: Duration,
    hold: Duration,
}

fn check_pace(file: &File<'_>, task: &RawTask, deadline: Duration) -> Result<Pace, ConfigError> {
    let RawTask { name, min_period_us, arrival_jitter_us, hold_ms, robots, .. } = task;
    if robots.is_empty() {
        let alone = [("min_period_us", min_period_us), ("arrival_jitter_us", arrival_jitter_us), ("hold_ms", hold_ms)];
        if let Some((field, Some(given))) = alone.into_iter().find(|(_, given)| given.is_some()) {
            let what = format!("{field} is for robots, and no robot does the task {:?}", name.get_ref());
            return Err(file.at(given, what, "leave it out; each client has its own min_period_us"));
        }
        // Nobody asks at that period.
        return Ok(Pace { min_period: deadline, arrival_jitter: Duration::ZERO, hold: Duration::ZERO });
    }
    let needed = |given: &Option<Spanned<u64>>, field: &str| {
        given.clone().ok_or_else(|| {
            let what = format!("missing field `{field}`");
            file.at(name, what, "a task that robots do needs min_period_us and hold_ms")
        })
    };
    let min_period = check_period(file, &needed(min_period_us, "min_period_us")?, "robot")?;
    let hold = needed(hold_ms, "hold_ms")?.into_inner();
    Ok(Pace {
        min_period,
        arrival_jitter: arrival_jitter_us.as_ref().map_or(min_period, |given| Duration::from_micros(*given.get_ref())),
        hold: Duration::from_micros(hold.saturating_mul(1_000)),
    })
}

/// A client that asks for some images of a part at once finds room; one that asks ahead of its rate for longer does not.
const DEFAULT_QUEUE: u8 = 4;

fn check_queue(file: &File<'_>, given: Option<&Spanned<u8>>) -> Result<u8, ConfigError> {
    match given {
        Some(queue) if !(1..=engine::MAX_QUEUE).contains(&usize::from(*queue.get_ref())) => {
            let what = format!("a queue of {} requests", queue.get_ref());
            Err(file.at(queue, what, &format!("choose between 1 and {}", engine::MAX_QUEUE)))
        }
        Some(queue) => Ok(*queue.get_ref()),
        None => Ok(DEFAULT_QUEUE),
    }
}

/// Each request that is open needs room for its reply.
fn check_open_requests(file: &File<'_>, tasks: &[RawTask]) -> Result<(), ConfigError> {
    let mut open = 0_usize;
    for client in tasks.iter().flat_map(|task| &task.clients) {
        open = open.saturating_add(requests::open_at_most(usize::from(check_queue(file, client.queue.as_ref())?)));
        if open > requests::OPEN {
            let what = format!("with this client more than {} requests may be open at once", requests::OPEN);
            let help =
                "each client's queue and two more count: choose shorter queues, or spread the clients over boxes";
            return Err(file.at(&client.name, what, help));
        }
    }
    Ok(())
}
