//! Hand-offs: what the box's clusters are asked, under which rule, by which record.
//!
//! Nothing here is for a thread that controls: lanes, the link's thread and the journal's thread run in the default class,
//! and hold no lock of the engine's while they wait. The engine sees a lane as a worker that is back by its deadline.

mod alarms;
mod gate;
mod stamp;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread, time,
};

use cluster_link::{
    Answer, AttemptError, AttemptFailure, Bounds, ConnectError, Datatype, Endpoint, EndpointStatus, Failure,
    HandOffError, HandOffId, Link, Mutual, NotSent, Probe, Request, Retry, Security, Tensor,
};
use engine::{HandOffFailure, HandOffLedger, Reason};
use journal::chain::{self, Journal, OpenIntent};
use manifest::{Dtype, Manifest, Source};
use message::Boot;
use miette::{IntoDiagnostic, Result, WrapErr};

use crate::{
    config::{ClusterConfig, JournalConfig, TaskConfig},
    lane,
    plan::Plan,
    realtime,
    residency::{Change, Current, Looked},
};
use alarms::{Alarms, Said};
use gate::{BoxGate, Refused};

/// A file of the journal is followed by the next one at this size.
const ROTATE_BYTES: u64 = 64 << 20;
/// Records that wait and attempts that are open: twice what all lanes and probes of a box may have, and room for refusals.
const CAPACITY: usize = 1024;
/// A journal that fails tries again this often.
const RETRY: time::Duration = time::Duration::from_secs(1);
/// The breaker of an endpoint opens after so many failures one after the other: one lost answer is no outage.
const FAILURES: u32 = 3;

/// All that is handed off.
pub(crate) struct HandOffs {
    pub(crate) clusters: Vec<Arc<Cluster>>,
    gate: Arc<BoxGate>,
}

/// One cluster and what is on its way there.
pub(crate) struct Cluster {
    pub(crate) config: &'static ClusterConfig,
    link: Link<BoxGate>,
    gate: Arc<BoxGate>,
    ledger: Mutex<HandOffLedger>,
    /// The upper half of each hand-off's id: this boot.
    boot: Boot,
    ids: Arc<AtomicU64>,
}

impl HandOffs {
    /// Opens journal and links; nothing is sent before a policy is in force. Attempts of earlier boots without an outcome are
    /// told in the log: they may have arrived.
    pub(crate) fn open(plan: &'static Plan, kept: &JournalConfig, boot: Boot) -> Result<Self> {
        let (journal, in_doubt) = open_journal(plan, kept, boot)?;
        tell_in_doubt(&in_doubt);
        let policy = Arc::new(Current::new(plan)?);
        let gate = Arc::new(BoxGate::new(plan, journal, policy));
        let (driver, runtime) = cluster_link::runtime().into_diagnostic()?;
        let drive = move || {
            realtime::lower(0);
            driver.run();
        };
        let thread = thread::Builder::new().name("genba-clusters".to_owned()).spawn(drive);
        thread.into_diagnostic().wrap_err("cannot start the thread of the clusters' links")?;
        let ids = Arc::new(AtomicU64::new(1));
        plan.insecure().for_each(|warning| tracing::warn!("{warning}"));
        let mut hand_offs = Self { clusters: Vec::new(), gate: Arc::clone(&gate) };
        // Before a link is there that could be refused anything.
        hand_offs.look();
        for config in &plan.config.clusters {
            let link = Link::open(&runtime, link_config(plan, config)?, Arc::clone(&gate));
            let link = link.into_diagnostic().wrap_err_with(|| format!("cluster {}", config.name))?;
            let ledger = Mutex::new(HandOffLedger::default());
            hand_offs.clusters.push(Arc::new(Cluster {
                config,
                link,
                gate: Arc::clone(&gate),
                ledger,
                boot,
                ids: Arc::clone(&ids),
            }));
        }
        Ok(hand_offs)
    }

    /// Looks whether the policy changed, and commits what did. May wait for the disk.
    pub(crate) fn look(&self) {
        // All of it: what may still go under the new policy is asked for again, and recorded as such.
        let revoke = || {
            for cluster in &self.clusters {
                let _ = cluster.link.revoke(|_| false);
            }
        };
        match self.gate.look(&revoke) {
            Looked::Unchanged => {}
            Looked::Changed(Change::Committed { version, .. }) => tracing::info!("policy {version} is in force"),
            Looked::Changed(Change::Withdrawn { why }) => {
                let row = Reason::PolicyInvalid.row();
                tracing::error!("{}: {why}. {} {}", Reason::PolicyInvalid, row.what, row.action);
            }
            Looked::NotRecorded(_, why) => {
                tracing::error!(
                    "{}: no policy is in force until its change is recorded: {why}",
                    Reason::JournalFailing
                );
            }
        }
    }

    /// Says what began to be wrong since the last look, and what ended.
    fn alarm(&self, alarms: &mut Alarms) {
        let of_cluster = |cluster: &Arc<Cluster>| alarms::of_endpoints(&cluster.config.name, cluster.endpoints());
        let endpoints = self.clusters.iter().flat_map(of_cluster);
        let wrong = alarms::of_journal(&self.journal()).chain(endpoints).collect();
        for said in alarms.changes(wrong) {
            match said {
                Said::Begins(line) => tracing::error!("{line}"),
                Said::Ends(line) => tracing::info!("{line}"),
            }
        }
    }

    /// Writes what waits, signs the last head and closes the journal: nothing leaves any more.
    pub(crate) fn close(&self) {
        if let Err(refusal) = self.gate.journal().close() {
            tracing::error!("{}: the journal was not closed in order: {refusal}", Reason::JournalFailing);
        }
    }

    /// How the journal fares.
    pub(crate) fn journal(&self) -> chain::Status {
        self.gate.journal().status()
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> Option<u64> {
        self.gate.policy().in_force()
    }
}

impl Cluster {
    /// An id that no other hand-off has.
    pub(crate) fn next_id(&self) -> HandOffId {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        HandOffId(u128::from(self.boot.value()) << 64 | u128::from(number))
    }

    /// Hands a request off and waits for the answer, until its deadline at most. Exactly one outcome is counted.
    pub(crate) fn ask(&self, request: Request) -> Result<Answer, Unanswered> {
        let open = self.ledger().request();
        let answered = self.link.infer_blocking(request);
        let mut ledger = self.ledger();
        match answered {
            Ok(answer) => {
                ledger.deliver(open);
                Ok(answer)
            }
            Err(error) => {
                let failure = failure(&error);
                match failure_kind(&error) {
                    Ends::Refused => ledger.refuse(open, failure),
                    Ends::Expired => ledger.expire(open),
                    Ends::Failed => ledger.fail(open, failure),
                }
                drop(ledger);
                tracing::debug!("cluster {}: {error}", self.config.name);
                Err(Unanswered { failure, in_doubt: is_in_doubt(&error) })
            }
        }
    }

    /// How many attempts were recorded for them: each has an intent in the journal.
    pub(crate) fn attempts(&self) -> u64 {
        self.gate.attempts(&self.config.name)
    }

    /// What became of all hand-offs so far.
    pub(crate) fn counts(&self) -> HandOffLedger {
        *self.ledger()
    }

    /// How its endpoints fare.
    pub(crate) fn endpoints(&self) -> Vec<EndpointStatus> {
        self.link.status()
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, HandOffLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often policy and certificates are looked at.
const LOOK: time::Duration = time::Duration::from_millis(100);

/// Looks after the policy and after what goes wrong, in a thread of the default class, as long as the process lives.
pub(crate) fn watch(hand_offs: Arc<HandOffs>) -> Result<()> {
    let watch = move || {
        realtime::lower(0);
        let mut alarms = Alarms::default();
        loop {
            hand_offs.look();
            hand_offs.alarm(&mut alarms);
            thread::sleep(LOOK);
        }
    };
    let thread = thread::Builder::new().name("genba-policy".to_owned()).spawn(watch);
    thread.map(|_| ()).into_diagnostic().wrap_err("cannot start the thread that looks after the policy")
}

/// Why a hand-off has no answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unanswered {
    pub(crate) failure: HandOffFailure,
    /// It may have arrived all the same.
    pub(crate) in_doubt: bool,
}

impl Unanswered {
    /// Of one that did not come so far, or came and was answered.
    pub(crate) const fn known(failure: HandOffFailure) -> Self {
        Self { failure, in_doubt: false }
    }
}

/// How a hand-off without an answer ends in its ledger.
enum Ends {
    Refused,
    Expired,
    Failed,
}

fn failure_kind(error: &HandOffError<Refused>) -> Ends {
    match error {
        HandOffError::Refused(_) | HandOffError::TooManyInFlight { .. } | HandOffError::Unsendable(_) => Ends::Refused,
        HandOffError::Expired { .. } => Ends::Expired,
        HandOffError::NoEndpoint { .. } | HandOffError::Failed { .. } | HandOffError::Closed => Ends::Failed,
        HandOffError::InDoubt { why, .. } => failure_kind(why),
    }
}

/// Whether the cluster may have got it, and nobody heard what it did.
fn is_in_doubt(error: &HandOffError<Refused>) -> bool {
    match error {
        HandOffError::InDoubt { .. } | HandOffError::Expired { .. } => true,
        HandOffError::Failed { last: AttemptError { why, .. }, .. } => {
            matches!(why, AttemptFailure::Sent(Failure::Lost | Failure::Revoked))
        }
        HandOffError::Refused(_)
        | HandOffError::TooManyInFlight { .. }
        | HandOffError::Unsendable(_)
        | HandOffError::NoEndpoint { .. }
        | HandOffError::Closed => false,
    }
}

/// The reason that whoever asked is told.
fn failure(error: &HandOffError<Refused>) -> HandOffFailure {
    match error {
        HandOffError::Refused(refused) => refused.failure,
        HandOffError::TooManyInFlight { .. } => HandOffFailure::Overload,
        HandOffError::NoEndpoint { .. } | HandOffError::Closed => HandOffFailure::NoEndpoint,
        HandOffError::Expired { .. } => HandOffFailure::TimedOut,
        HandOffError::InDoubt { why, .. } => failure(why),
        HandOffError::Unsendable(_) => HandOffFailure::Cluster,
        HandOffError::Failed { last: AttemptError { why, .. }, .. } => match why {
            AttemptFailure::NotSent(NotSent::Connect(ConnectError::Identity(_) | ConnectError::Credentials(_))) => {
                HandOffFailure::Identity
            }
            AttemptFailure::NotSent(NotSent::Revoked) | AttemptFailure::Sent(Failure::Revoked) => {
                HandOffFailure::Revoked
            }
            AttemptFailure::NotSent(_) => HandOffFailure::NoEndpoint,
            AttemptFailure::Sent(Failure::BadAnswer(_)) => HandOffFailure::WrongAnswer,
            AttemptFailure::Sent(_) => HandOffFailure::Cluster,
        },
    }
}

fn open_journal(plan: &Plan, kept: &JournalConfig, boot: Boot) -> Result<(Journal, Vec<OpenIntent>)> {
    let settings = chain::Settings {
        folder: kept.folder.clone(),
        key: kept.key.clone(),
        box_id: plan.config.name.clone(),
        boot: format!("{:016x}", boot.value()),
        anchors: kept.anchors.clone(),
        heads_every: kept.sign_every,
        rotate_bytes: ROTATE_BYTES,
        capacity: CAPACITY,
        retry: RETRY,
        clock: Arc::new(stamp::now),
        prepare: Box::new(|| realtime::lower(0)),
    };
    Journal::open(settings).into_diagnostic().wrap_err("cannot open the journal, without which nothing leaves the box")
}

fn tell_in_doubt(in_doubt: &[OpenIntent]) {
    for intent in in_doubt {
        tracing::warn!(
            "hand-off {} is in doubt: its attempt {} was about to be sent when the box ended (record {})",
            intent.hand_off,
            intent.attempt,
            intent.intent
        );
    }
}

/// A cluster of the config in the link's terms.
fn link_config(plan: &Plan, config: &ClusterConfig) -> Result<cluster_link::Config> {
    let endpoints = config.endpoints.iter().map(|address| Endpoint::new(&address.to_string(), None));
    let security = match &config.identity {
        None => Security::Insecure,
        Some(identity) => Security::Mutual(Mutual {
            ca: identity.ca.clone(),
            certificate: identity.certificate.clone(),
            key: identity.key.clone(),
            allow: identity.spiffe_ids.iter().map(|id| id.parse()).collect::<Result<_, _>>().into_diagnostic()?,
        }),
    };
    let probed = config.probe.model;
    let delivers = |task: &&TaskConfig| !task.durable.is_empty() && config.models.contains(&task.model);
    let together = config.lanes + plan.config.tasks.iter().filter(delivers).count();
    let link = cluster_link::Config {
        cluster: config.name.as_str().into(),
        jurisdiction: config.jurisdiction.as_str().into(),
        endpoints: endpoints.collect::<Result<_, _>>().into_diagnostic()?,
        security,
        bounds: Bounds {
            max_in_flight: together,
            // A probe goes beside them: it must see an endpoint that holds all of them up.
            max_in_flight_per_endpoint: together + 1,
            max_answer_bytes: config.max_answer_bytes,
            ..Bounds::default()
        },
        probe: Probe {
            model: plan.config.models[probed].name.as_str().into(),
            version: "".into(),
            inputs: zeros(&plan.manifests[probed]),
            outputs: lane::outputs(&plan.manifests[probed]),
            period: config.probe.every,
            timeout: config.probe.timeout,
            failures: FAILURES,
        },
        retry: Retry::default(),
    };
    link.check().into_diagnostic().wrap_err_with(|| format!("cluster {}", config.name))?;
    Ok(link)
}

/// A probe's values: nobody's.
fn zeros(manifest: &Manifest) -> Vec<Tensor> {
    let filled = manifest.inputs().iter().filter(|input| match input.source {
        Source::Observation(_)
        | Source::Joined(_)
        | Source::Image(_)
        | Source::CommittedPlan
        | Source::CommittedSteps => true,
        Source::Recurrent(_) | Source::PreviousAction | Source::History { .. } | Source::Phase { .. } => false,
    });
    let tensor = |input: &manifest::Input| {
        let numbers = vec![0.0; input.tensor.elements()];
        lane::tensor(&input.tensor, &numbers).expect("every type holds zero")
    };
    filled.map(tensor).collect()
}

/// A type of the graph in the protocol's terms.
pub(crate) fn datatype(dtype: Dtype) -> Datatype {
    match dtype {
        Dtype::F32 => Datatype::Fp32,
        Dtype::F16 => Datatype::Fp16,
        Dtype::Bf16 => Datatype::Bf16,
        Dtype::I8 => Datatype::Int8,
        Dtype::I16 => Datatype::Int16,
        Dtype::I32 => Datatype::Int32,
        Dtype::I64 => Datatype::Int64,
        Dtype::U8 => Datatype::Uint8,
        Dtype::Bool => Datatype::Bool,
    }
}
