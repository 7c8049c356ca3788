//! Durable requests: stored before they are answered, delivered to their task's cluster in order, their results kept
//! until they are read.
//!
//! The engine has no part in them: nobody waits for them within milliseconds, and storing waits for a disk. They have
//! threads of the default class, `genba-spool` that answers and one `genba-out.N` for each task that delivers, and a lock
//! of their own, which no thread that controls takes.

mod asked;
mod deliver;

use std::{
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::sync_channel},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use journal::spool::{self, Ledger, Opening, Spool, Usage, Wall};
use message::{Address, Boot, ContractDigest, InferRequest, ModelDigest, Status};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use zenoh_link::{DurableKeys, Durables, Link};

use crate::{
    config::SpoolConfig,
    dead_letters::{self, Answer, Question},
    hand_off::{Cluster, HandOffs},
    plan::Plan,
    realtime,
};
use asked::Answered;

/// The spool, and who sends to it.
pub(crate) struct Kept {
    config: &'static SpoolConfig,
    spool: Mutex<Spool>,
    boot: Boot,
    clients: Vec<Client>,
    tasks: Vec<Task>,
}

/// One client of one task.
struct Client {
    name: String,
    address: Address,
    /// Its place among the tasks here.
    task: usize,
}

/// One task with durable requests.
struct Task {
    /// Its place in the config.
    place: usize,
    name: spool::Task,
    contract: ContractDigest,
    /// How many numbers a request has.
    inputs: usize,
    /// The most bytes of a result.
    result_bytes: usize,
    model: ModelDigest,
    status: Status,
    cluster: Arc<Cluster>,
}

impl Kept {
    /// Opens the spool; may take as long as reading its file. What waited in it is told in the log.
    pub(crate) fn open(
        plan: &'static Plan,
        config: &'static SpoolConfig,
        hand_offs: &HandOffs,
        boot: Boot,
    ) -> Result<Self> {
        for folder in [&config.file, &config.key].into_iter().filter_map(|path| path.parent()) {
            fs::create_dir_all(folder)
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let opened = Spool::open(&config.file, &config.key, config.settings, now());
        let spool = opened.into_diagnostic().wrap_err_with(|| format!("cannot open {}", config.file.display()))?;
        let found = spool.opening();
        tracing::info!("spool: {} requests wait, {} of them in doubt", found.carried_over, found.in_doubt);
        if let Some(losses) = losses(found) {
            tracing::error!("{losses}");
        }
        let durable = plan.config.tasks.iter().enumerate().filter(|(_, task)| !task.durable.is_empty());
        let (mut clients, mut tasks) = (Vec::new(), Vec::new());
        for (place, task) in durable {
            let manifest = &plan.manifests[task.model];
            let cluster = hand_offs.clusters.iter().find(|cluster| cluster.config.models.contains(&task.model));
            let cluster = cluster.expect("the config's check: a durable task's model is a cluster's");
            for client in &task.durable {
                let address = Address::of(&client.name, &task.name);
                clients.push(Client { name: client.name.clone(), address, task: tasks.len() });
            }
            tasks.push(Task {
                place,
                name: spool::Task::new(&task.name).expect("the config's check: a name is a short chunk of a key"),
                contract: ContractDigest::new(plan.contracts[place].digest()),
                inputs: manifest.observation_values(),
                result_bytes: manifest.results().1 * size_of::<f32>(),
                model: ModelDigest::new(manifest.digest()),
                status: if cluster.config.identity.is_none() { Status::INSECURE } else { Status::NONE },
                cluster: Arc::clone(cluster),
            });
        }
        Ok(Self { config, spool: Mutex::new(spool), boot, clients, tasks })
    }

    /// What became of all durable requests since this boot, and what is held.
    pub(crate) fn counts(&self) -> (Ledger, Usage) {
        let spool = self.spool();
        (spool.ledger(), spool.usage())
    }

    /// What an operator asks of the dead letters. What changed is told in the log.
    pub(crate) fn dead_letters(&self, question: Question) -> Answer {
        let answer = dead_letters::answer(&mut self.spool(), question, now());
        match (question, &answer) {
            (Question::Retry(position), Answer::Waiting) => {
                tracing::info!("dead letter {position} waits to be delivered: its operator retries it");
            }
            (Question::Purge(position), Answer::Purged) => {
                tracing::info!("dead letter {position} is gone: its operator purged it");
            }
            (Question::ListBehind(_) | Question::Retry(_) | Question::Purge(_), _) => {}
        }
        answer
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        // A thread that panicked left it as its last commit did: memory follows the disk.
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a spool that was opened has lost: told once, by who opens it first.
pub(crate) fn losses(found: Opening) -> Option<String> {
    let Opening { unreadable, lost, recounted, .. } = found;
    let any = unreadable > 0 || lost > 0 || recounted;
    any.then(|| format!("spool: {unreadable} rows cannot be read, {lost} requests are lost"))
}

/// Listens to the clients, and delivers, as long as the process lives.
pub(crate) fn start(plan: &'static Plan, kept: &Arc<Kept>, link: &Arc<Link>) -> Result<()> {
    let deliverers = (0..kept.tasks.len()).map(|task| deliver::start(plan, kept, task)).collect::<Result<Vec<_>>>()?;
    let keys: Vec<_> = plan
        .config
        .tasks
        .iter()
        .flat_map(|task| {
            let max_frame_bytes =
                InferRequest::OVERHEAD + plan.manifests[task.model].observation_values() * size_of::<f32>();
            task.durable.iter().map(move |client| DurableKeys { infer: client.infer_key.clone(), max_frame_bytes })
        })
        .collect();
    let (giving, given) = sync_channel(1);
    let (serving, link_of) = (Arc::clone(kept), Arc::clone(link));
    let serve = move || {
        realtime::lower(0);
        let Ok(durables) = given.recv() else { return };
        serve(&serving, &link_of, durables, &deliverers);
    };
    let thread = thread::Builder::new().name("genba-spool".to_owned()).spawn(serve);
    let thread = thread.into_diagnostic().wrap_err("cannot start the thread of durable requests")?;
    let wake = {
        let thread = thread.thread().clone();
        move || thread.unpark()
    };
    let durables = link.serve_durables(&keys, wake).into_diagnostic()?;
    giving.send(durables).map_err(|_| miette!("the thread of durable requests ended at once"))?;
    for key in keys {
        tracing::info!("durable requests on {}", key.infer);
    }
    Ok(())
}

fn serve(kept: &Kept, link: &Link, mut durables: Durables, deliverers: &[thread::Thread]) {
    let mut dropped = 0;
    loop {
        let Some((answered, query)) = durables.receive(|asked| kept.answer(asked.client, asked.bytes)) else {
            if durables.dropped() > dropped {
                dropped = durables.dropped();
                tracing::warn!("{dropped} durable requests found no room to wait and were not read");
            }
            thread::park();
            continue;
        };
        let put = match &answered {
            Answered::Reply(frame) => link.reply(query, frame),
            Answered::Refusal(frame) => link.refuse_query(query, frame),
        };
        if let Err(error) = put {
            tracing::debug!("a durable request's reply: {error}");
        }
        deliverers.iter().for_each(thread::Thread::unpark);
    }
}

/// The box's wall clock.
pub(crate) fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Wall(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
