//! What the config asks for, with its models loaded: contracts, keys, and the engine's tables.

use engine::{
    Agenda, Client, ClientSpec, Connection, ConnectionSpec, Duration, Element, Engine, Envelope, Gives, Interpolation,
    ModelId, ModelSet, PlanSpec, Reason, Record, RecordSpec, Settings, SlotId, Start, Tables, Task, TaskId, TaskSpec,
    TooFast, Worker, WorkerId, WorkerSpec,
};
use manifest::{Contract, Manifest};
use message::{Address, Boot, ContractDigest, InferRequest, ModelDigest, Observation, Place, Status};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use zenoh_link::{ClientKeys, RouteKeys, Topics};

use crate::{
    batches::{self, Batches},
    config::{self, ClientConfig, Config, RobotConfig, WorkerConfig},
    joined,
    perform::Tasks,
    state::Layout,
    timing::{TaskTiming, Unmeasured},
    unserved::{self, handed_off, may_wait, played, served},
    worker::SlotLengths,
};

/// A config with its models.
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) manifests: Vec<Manifest>,
    /// One for each task.
    pub(crate) contracts: Vec<Contract>,
}

/// One connection, in the order of the engine's table and the link's routes.
pub(crate) struct Served<'p> {
    pub(crate) robot: &'p RobotConfig,
    /// Its task's place in the config.
    pub(crate) task: usize,
}

/// One client's task, in the order of the engine's table and the link's clients.
pub(crate) struct Asking<'p> {
    pub(crate) client: &'p ClientConfig,
    /// Its task's place in the config.
    pub(crate) task: usize,
}

impl Plan {
    /// Loads and checks the manifests of a config's models.
    pub(crate) fn load(mut config: Config) -> Result<Self> {
        let manifests = config.models.iter().map(|model| Manifest::load(&model.folder).into_diagnostic());
        let manifests = manifests.collect::<Result<Vec<_>>>()?;
        let robots = config.tasks.iter().any(|task| !task.robots.is_empty());
        manifests.iter().try_for_each(|manifest| served(manifest, robots))?;
        for cluster in &config.clusters {
            cluster.models.iter().try_for_each(|model| handed_off(&manifests[*model], &cluster.name))?;
        }
        for task in config.tasks.iter().filter(|task| !task.durable.is_empty()) {
            may_wait(manifest_of(&manifests, task.model), &task.name)?;
        }
        played(&config, &manifests)?;
        for task in &mut config.tasks {
            joined::arrange(task, manifest_of(&manifests, task.model))?;
        }
        let contracts = config.tasks.iter().map(|task| Contract::new(&task.name, manifest_of(&manifests, task.model)));
        let contracts = contracts.collect::<Result<Vec<_>, _>>().into_diagnostic()?;
        Ok(Self { config, manifests, contracts })
    }

    /// The connections: each task's robots, in the config's order.
    pub(crate) fn served(&self) -> impl Iterator<Item = Served<'_>> {
        let tasks = self.config.tasks.iter().enumerate();
        tasks.flat_map(|(task, declared)| declared.robots.iter().map(move |robot| Served { robot, task }))
    }

    /// Who asks now and then: each task's clients, in the config's order.
    pub(crate) fn clients(&self) -> impl Iterator<Item = Asking<'_>> {
        let tasks = self.config.tasks.iter().enumerate();
        tasks.flat_map(|(task, declared)| declared.clients.iter().map(move |client| Asking { client, task }))
    }

    /// The link's clients.
    pub(crate) fn client_keys(&self) -> Vec<ClientKeys> {
        let keys = |asking: Asking<'_>| ClientKeys {
            infer: asking.client.infer_key.clone(),
            max_frame_bytes: InferRequest::OVERHEAD + self.inputs(asking.task) * size_of::<f32>(),
            queue: usize::from(asking.client.queue),
        };
        self.clients().map(keys).collect()
    }

    /// The link's routes, one for each connection.
    pub(crate) fn routes(&self) -> Vec<RouteKeys> {
        let route = |served: Served<'_>| RouteKeys {
            observation: served.robot.observation_key.clone(),
            response: served.robot.response_key.clone(),
            notice: served.robot.notice_key.clone(),
            reset: self.begins_anew(served.task).then(|| served.robot.reset_key.clone()),
            max_frame_bytes: Observation::OVERHEAD + self.inputs(served.task) * size_of::<f32>(),
        };
        self.served().map(route).collect()
    }

    /// All that the link listens to.
    pub(crate) fn topics(&self) -> Topics {
        let (routes, clients, inputs) = (self.routes(), self.client_keys(), self.input_keys());
        Topics { routes, clients, inputs, cameras: self.camera_keys(), strays: self.strays() }
    }

    /// What else is listened to, so that a robot or task that is not configured is told.
    fn strays(&self) -> Vec<String> {
        vec![format!("{}/*/*/observation", self.config.key_prefix)]
    }

    /// The key of the liveliness token.
    pub(crate) fn alive_key(&self) -> String {
        format!("{}/@genba/{}/alive", self.config.key_prefix, self.config.name)
    }

    /// The keys of the link that only this process sees, for measuring how long a send takes.
    pub(crate) fn probe_keys(&self) -> RouteKeys {
        let key = |leaf| format!("{}/@genba/{}/probe/{leaf}", self.config.key_prefix, self.config.name);
        RouteKeys {
            observation: key("observation"),
            response: key("response"),
            notice: key("notice"),
            reset: None,
            max_frame_bytes: 0,
        }
    }

    /// Checks the link's settings and keys as far as that can be done without opening it.
    pub(crate) fn check_link(&self) -> Result<()> {
        zenoh_link::check(&self.config.link, self.topics(), &self.alive_key()).into_diagnostic()
    }

    /// What is not refused but may break the promise.
    pub(crate) fn warning(&self) -> Option<String> {
        let (connections, queue) = (self.served().count(), zenoh_link::RESPONSE_QUEUE);
        let shared = match self.config.link.mode {
            zenoh_link::Mode::Peer => false,
            zenoh_link::Mode::Client | zenoh_link::Mode::Router => connections > queue,
        };
        shared.then(|| {
            format!(
                "{connections} connections may share one transport, whose queue holds {queue} responses: of a burst \
                 of more, such as all fallbacks at once, zenoh drops those beyond. Let robots connect to the box \
                 themselves ([link] mode = \"peer\"), or spread them over several boxes"
            )
        })
    }

    /// Whom the box asks although nobody proves anything.
    pub(crate) fn insecure(&self) -> impl Iterator<Item = String> + '_ {
        let clusters = self.config.clusters.iter().filter(|cluster| cluster.identity.is_none());
        clusters.map(|cluster| {
            let reason = Reason::LinkInsecure;
            format!(
                "{reason}: cluster {}: insecure = true. {} {}",
                cluster.name,
                reason.row().what,
                reason.row().action
            )
        })
    }

    /// The longest deadline of a task.
    pub(crate) fn longest_deadline(&self) -> Duration {
        self.config.tasks.iter().map(|task| task.deadline).max().unwrap_or(Duration::ZERO)
    }

    /// From an arrival until its fallback falls due, in the most urgent task.
    pub(crate) fn shortest_wait(&self, margin: Duration) -> Duration {
        let deadlines = self.config.tasks.iter().map(|task| task.deadline).min();
        Duration::from_nanos(deadlines.unwrap_or(margin).nanos().saturating_sub(margin.nanos()))
    }

    /// The workers that serve while this one does, by their places: all but the spares. A spare serves in the place
    /// of the first one that it can stand in for.
    pub(crate) fn co_runners(&self, worker: usize) -> Vec<usize> {
        let workers = &self.config.workers;
        let stands_in =
            |other: &usize| workers[*other].models.iter().all(|model| workers[worker].models.contains(model));
        let mut others: Vec<_> =
            (0..workers.len()).filter(|other| *other != worker && !workers[*other].spare).collect();
        if workers[worker].spare
            && let Some(place) = others.iter().position(stands_in)
        {
            others.remove(place);
        }
        others
    }

    /// The tasks of robots that share a worker with this task, by their places, itself among them if robots do it.
    pub(crate) fn shares_workers_with(&self, task: usize) -> impl Iterator<Item = usize> {
        let tasks = &self.config.tasks;
        let model = tasks[task].model;
        let shares = move |other: &usize| {
            let both =
                |worker: &WorkerConfig| worker.models.contains(&model) && worker.models.contains(&tasks[*other].model);
            !tasks[*other].robots.is_empty() && self.config.workers.iter().any(both)
        };
        (0..tasks.len()).filter(shares)
    }

    /// How many slots the engine needs.
    pub(crate) fn slots(&self, clients: &[Client], records: &[Record]) -> usize {
        engine::slots_needed(self.served().count(), clients, self.config.workers_and_lanes(), records)
    }

    /// The longest observation, action or results, and state, in f32 values.
    pub(crate) fn slot_lengths(&self) -> SlotLengths {
        let longest = |length: fn(&Manifest) -> usize| self.manifests.iter().map(length).max().unwrap_or(0);
        SlotLengths {
            observation: longest(Manifest::observation_values),
            given: longest(gives),
            state: longest(|manifest| Layout::of(manifest).given()),
            next: longest(|manifest| Layout::of(manifest).kept()),
        }
    }

    /// The engine over tables that live as long as the process. `overhead` is what the box adds to an execution; `marked`
    /// tells which tasks' models may be late.
    pub(crate) fn engine(
        &self,
        boot: Boot,
        (margin, overhead): (Duration, Duration),
        records: Vec<Record>,
        marked: &[usize],
    ) -> Result<Engine<'static>> {
        let mark = |task: usize| {
            let cluster = self.config.cluster_of(self.config.tasks[task].model);
            let insecure = cluster.is_some_and(|cluster| cluster.identity.is_none());
            let late = if marked.contains(&task) { Status::UNSCHEDULABLE } else { Status::NONE };
            if insecure { late.with(Status::INSECURE) } else { late }
        };
        let tasks = (0..self.config.tasks.len()).map(|task| self.engine_task(task, mark(task)));
        let tasks = tasks.collect::<Result<Vec<_>>>()?;
        for (task, declared) in tasks.iter().zip(&self.config.tasks) {
            if task.deadline() <= margin {
                return Err(miette!(
                    help = "choose a longer deadline_us, give the box real-time rights so that the margin shrinks, or let it \
                            serve fewer robots",
                    "task {}: its deadline of {} us leaves no room before the margin of {} us",
                    declared.name,
                    task.deadline().nanos() / 1_000,
                    margin.nanos() / 1_000,
                ));
            }
        }
        let connection = |served: Served<'_>| {
            let task = task_id(served.task)?;
            let address = Address::of(&served.robot.name, &self.config.tasks[served.task].name);
            Ok(Connection::new(ConnectionSpec { task, address }))
        };
        let connections = self.served().map(connection).collect::<Result<Vec<_>>>()?;
        let clients = self.engine_clients()?;
        let workers = self.config.workers.iter().map(|worker| {
            let models = worker.models.iter().fold(ModelSet::EMPTY, |set, model| set.with(model_id(*model)));
            Worker::new(WorkerSpec { models, spare: worker.spare, place: Place::Box })
        });
        let lanes = self.config.clusters.iter().flat_map(|cluster| {
            let models = cluster.models.iter().fold(ModelSet::EMPTY, |set, model| set.with(model_id(*model)));
            (0..cluster.lanes).map(move |_| Worker::new(WorkerSpec { models, spare: false, place: Place::Cluster }))
        });
        let slots = u16::try_from(self.slots(&clients, &records))
            .into_diagnostic()
            .wrap_err("more than 65535 slots are needed")?;
        let quarantine = self.config.quarantine;
        let settings = Settings {
            boot,
            margin,
            overhead,
            max_overruns: quarantine.max_overruns,
            overrun_window: Duration::from_micros(quarantine.overrun_window_ms.saturating_mul(1_000)),
            hang: Duration::from_micros(quarantine.hang_ms.saturating_mul(1_000)),
            status: Status::NONE,
        };
        let plans = vec![0.0; engine::plan_room(&tasks, &connections)];
        let tables = Tables {
            tasks: tasks.leak(),
            plans: plans.leak(),
            agenda: vec![Agenda::default(); connections.len()].leak(),
            connections: connections.leak(),
            clients: clients.leak(),
            inputs: self.engine_inputs()?.leak(),
            workers: workers.chain(lanes).collect::<Vec<_>>().leak(),
            records: records.leak(),
            free_slots: (0..slots).map(SlotId).collect::<Vec<_>>().leak(),
        };
        Engine::new(settings, tables).into_diagnostic()
    }

    /// The engine's clients, none of which has asked for anything.
    pub(crate) fn engine_clients(&self) -> Result<Vec<Client>> {
        let client = |asking: Asking<'_>| {
            let ClientConfig { name, min_period, arrival_jitter, queue, .. } = asking.client;
            Ok(Client::new(ClientSpec {
                task: task_id(asking.task)?,
                address: Address::of(name, &self.config.tasks[asking.task].name),
                min_period: *min_period,
                arrival_jitter: *arrival_jitter,
                queue: *queue,
            }))
        };
        self.clients().map(client).collect()
    }

    /// What is watched at run time: each measured model on each worker that has it.
    pub(crate) fn records(
        &self,
        timings: &[Result<TaskTiming, Unmeasured>],
        batches: &[Option<Batches>],
    ) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for (model, batches) in batches.iter().enumerate() {
            let (Some(timing), Some(batches)) = (batches::timing_of(self, timings, model), batches) else { continue };
            for (worker, _) in (0..).zip(&self.config.workers).filter(|(_, worker)| worker.models.contains(&model)) {
                let record = Record::new(RecordSpec {
                    worker: WorkerId(worker),
                    model: model_id(model),
                    executions: batches.executions.clone(),
                    above: timing.quantile.above(),
                    window: timing.quantile.window(),
                });
                records.push(record.into_diagnostic()?);
            }
        }
        Ok(records)
    }

    fn engine_task(&self, place: usize, status: Status) -> Result<Task<'static>> {
        let declared = &self.config.tasks[place];
        let manifest = manifest_of(&self.manifests, declared.model);
        let gives = match manifest.envelope() {
            Some(limits) => {
                envelope(manifest, limits).map(Gives::Action).wrap_err_with(|| format!("task {}", declared.name))?
            }
            None => Gives::Results { values: gives(manifest) },
        };
        let max_gap = manifest.state().map(|state| u64::try_from(state.max_gap.as_nanos()).map(Duration::from_nanos));
        let max_gap = max_gap.transpose().into_diagnostic()?;
        let contract = ContractDigest::new(self.contracts[place].digest());
        let task = Task::new(TaskSpec {
            contract,
            model: model_id(declared.model),
            model_digest: ModelDigest::new(manifest.digest()),
            inputs: self.inputs(place),
            deadline: declared.deadline,
            min_period: declared.min_period,
            arrival_jitter: declared.arrival_jitter,
            hold: declared.hold,
            gives,
            degraded: declared.degraded,
            max_gap,
            plan: self.plan_spec(place),
            status,
        });
        task.into_diagnostic().wrap_err_with(|| format!("task {}", declared.name))
    }

    /// How this task's plans are asked for and played, where its model gives plans.
    pub(crate) fn plan_spec(&self, task: usize) -> Option<PlanSpec> {
        let declared = &self.config.tasks[task];
        let given = manifest_of(&self.manifests, declared.model).plan()?;
        let plans = declared.plans.expect("Plan::load checks that it is played");
        let room = unserved::room(declared, plans, given);
        // A worker of the box that took longer would count as hung.
        let hang = Duration::from_micros(self.config.quarantine.hang_ms.saturating_mul(1_000));
        let longest = if self.config.cluster_of(declared.model).is_some() { room } else { room.min(hang) };
        Some(PlanSpec {
            period: Duration::from_nanos(1_000_000_000 / u64::from(given.rate_hz)),
            steps: u16::try_from(given.steps).expect("manifest::MAX_PLAN_STEPS is below 2^16"),
            interpolation: match plans.interpolation {
                config::Interpolation::Hold => Interpolation::Hold,
                config::Interpolation::Linear => Interpolation::Linear,
                config::Interpolation::Cubic => Interpolation::Cubic,
            },
            overlap: plans.overlap,
            refresh: plans.refresh,
            timeout: plans.timeout.unwrap_or(longest),
            retry: plans.retry,
        })
    }

    /// Whether a controller may demand that this task begins anew: where its model has state or gives plans.
    pub(crate) fn begins_anew(&self, task: usize) -> bool {
        let manifest = manifest_of(&self.manifests, self.config.tasks[task].model);
        manifest.state().is_some() || manifest.plan().is_some()
    }

    /// Whose task each connection and client has.
    pub(crate) fn tasks(&self) -> Tasks {
        Tasks {
            of_connection: self.served().map(|served| served.task).collect(),
            of_client: self.clients().map(|asking| asking.task).collect(),
        }
    }

    /// How the state of each model lies in memory.
    pub(crate) fn layouts(&self) -> Vec<Layout> {
        self.manifests.iter().map(Layout::of).collect()
    }

    /// The state of each connection, as it is before anything was sent.
    pub(crate) fn states(&self, layouts: &[Layout]) -> Vec<Box<[f32]>> {
        let model = |served: Served<'_>| self.config.tasks[served.task].model;
        self.served().map(|served| layouts[model(served)].nothing()).collect()
    }

    fn inputs(&self, task: usize) -> usize {
        manifest_of(&self.manifests, self.config.tasks[task].model).observation_values()
    }
}

/// A span in milliseconds, for people.
pub(crate) fn millis(span: Duration) -> String {
    let micros = span.nanos() / 1_000;
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}

fn task_id(place: usize) -> Result<TaskId> {
    Ok(TaskId(u16::try_from(place).into_diagnostic().wrap_err("more than 65535 tasks")?))
}

pub(crate) fn model_id(place: usize) -> ModelId {
    ModelId(u8::try_from(place).expect("the config's check allows 32 models"))
}

/// How many numbers a model gives: those of its action, or else of its results.
fn gives(manifest: &Manifest) -> usize {
    match manifest.action() {
        Some(_) => manifest.output_elements().len() * manifest.plan().map_or(1, |plan| plan.steps),
        None => manifest.results().1,
    }
}

fn envelope(manifest: &Manifest, limits: manifest::Envelope) -> Result<Envelope<'static>> {
    let elements: Vec<_> = manifest.output_elements().iter().map(engine_element).collect();
    let too_fast = match limits.too_fast {
        manifest::TooFast::Clamp => TooFast::Clamp,
        manifest::TooFast::Fallback => TooFast::Fallback,
    };
    let max_step = u64::try_from(limits.max_step.as_nanos()).into_diagnostic()?;
    Envelope::new(elements.leak(), too_fast, Duration::from_nanos(max_step)).into_diagnostic()
}

fn manifest_of(manifests: &[Manifest], model: usize) -> &Manifest {
    &manifests[model]
}

pub(crate) fn engine_element(element: &manifest::OutputElement) -> Element {
    let start = match element.start {
        manifest::Start::Value(value) => Start::Value(value),
        manifest::Start::Observation(index) => {
            Start::Observation(u32::try_from(index.as_usize()).expect("manifest::MAX_INPUT_ELEMENTS is below 2^32"))
        }
    };
    let manifest::OutputElement { min, max, max_change_per_s, rest, .. } = *element;
    Element { min, max, max_change_per_s, rest, start }
}
