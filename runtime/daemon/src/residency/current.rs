//! The policy that is in force, and what happens when its file changes.
//!
//! A change takes this order, so that not one payload byte follows the record of a change that forbids it:
//!
//! 1. no attempt is allowed any more, not even by the old policy;
//! 2. what is being sent is revoked at its socket;
//! 3. the change is recorded, and the record is on the disk;
//! 4. the new policy is in force.
//!
//! An attempt that comes in between is refused and not made to wait: it is asked for by the thread that carries out the
//! revocation. What was allowed before the change and is not yet sent finds that its policy's version is no longer the
//! journal's. A change that cannot be recorded leaves no policy in force, and is tried again.
//!
//! A file that is missing, unreadable or wrong is a policy withdrawn: nothing leaves until there is a good one again.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use engine::residency::{Class, Destination, Why};
use miette::Result;

use super::{
    data::{Datum, data_of},
    file::{self, Policy},
};
use crate::plan::Plan;

/// The policy in force, asked anew for each attempt by threads of the default class.
pub(crate) struct Current {
    path: Option<PathBuf>,
    /// What each task's model is given, in the config's order.
    tasks: Vec<Arc<[Datum]>>,
    /// Name and jurisdiction of each of the config's clusters.
    clusters: Vec<(String, String)>,
    in_force: RwLock<InForce>,
    watch: Mutex<Watch>,
}

/// What an attempt is judged by.
#[derive(Debug, Clone)]
enum InForce {
    Policy(Arc<Policy>),
    /// A change is going on.
    Changing,
    Nothing,
}

/// An attempt may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruled {
    /// Under this rule,
    pub(crate) rule: Arc<str>,
    /// of this version of the policy,
    pub(crate) policy: u64,
    /// without these inputs.
    pub(crate) dropped: Vec<Arc<str>>,
    /// The inputs that are sent, each with its class.
    pub(crate) sent: Vec<(Arc<str>, Class)>,
}

/// An attempt must not go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) refusal: Refusal,
    /// The rule that denies it, or that would allow it but for what is named below.
    pub(crate) rule: Option<Arc<str>>,
    /// The input that must not go.
    pub(crate) input: Option<Arc<str>>,
    /// Its class.
    pub(crate) class: Option<Class>,
    /// The version of the policy that says so.
    pub(crate) policy: Option<u64>,
}

/// Why an attempt must not go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A rule denies it, no rule allows it, or the policy does not list that cluster in that jurisdiction.
    Denied,
    /// Nobody said what an input is.
    ClassUndeclared,
    /// No policy is in force.
    NoPolicy,
    /// The policy is changing.
    Changing,
}

/// What becomes of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// This one is in force.
    Committed {
        version: u64,
        /// SHA-256 of its file.
        digest: [u8; 32],
    },
    /// None is.
    Withdrawn { why: String },
}

/// What a change needs of others.
pub(crate) trait Commits {
    /// Resets what is being sent; not one byte leaves when it has returned.
    fn revoke(&self);

    /// Records the change; it is on the disk when this has returned without an error.
    fn record(&self, change: &Change) -> Result<(), String>;
}

/// What a look at the file has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Looked {
    /// Nothing.
    Unchanged,
    /// A change is in force.
    Changed(Change),
    /// Nothing is in force until it can be recorded. Said at the first time.
    NotRecorded(Change, String),
}

/// What is known of the file.
#[derive(Debug, Default)]
struct Watch {
    /// What it held at the last look.
    seen: Option<Seen>,
    /// What was acted on.
    done: Option<Seen>,
    /// What could not be recorded.
    stuck: Option<Seen>,
    /// The last good policy of this run.
    last: Option<(u64, [u8; 32])>,
}

/// A file's content, to tell whether it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text([u8; 32]),
    Unreadable(String),
}

impl Current {
    /// For the tasks and clusters of a plan. Nothing is in force before the first [`look`](Self::look).
    pub(crate) fn new(plan: &Plan) -> Result<Self> {
        let tasks = plan.config.tasks.iter().map(|task| data_of(task, &plan.manifests[task.model]));
        let clusters = plan.config.clusters.iter().map(|cluster| (cluster.name.clone(), cluster.jurisdiction.clone()));
        Ok(Self::of(plan.config.policy.clone(), tasks.collect::<Result<_>>()?, clusters.collect()))
    }

    pub(super) fn of(path: Option<PathBuf>, tasks: Vec<Arc<[Datum]>>, clusters: Vec<(String, String)>) -> Self {
        Self { path, tasks, clusters, in_force: RwLock::new(InForce::Nothing), watch: Mutex::default() }
    }

    /// Whether a task's request may go to a cluster now. Both are places in the config.
    pub(crate) fn rule(&self, task: usize, cluster: usize) -> Result<Ruled, Denied> {
        self.ask(&self.tasks[task], cluster)
    }

    /// Whether a cluster may be probed now.
    pub(crate) fn probe(&self, cluster: usize) -> Result<Ruled, Denied> {
        self.ask(&[Datum { name: "probe".into(), class: Some(Class::SYNTHETIC) }], cluster)
    }

    /// The version that is in force.
    pub(crate) fn in_force(&self) -> Option<u64> {
        match self.now() {
            InForce::Policy(policy) => Some(policy.version),
            InForce::Changing | InForce::Nothing => None,
        }
    }

    /// Looks whether the file has changed, and puts the change in force. A content counts when two looks have found it, so
    /// that a file which is being written is not taken for a policy; the first one of the process counts at once.
    pub(crate) fn look(&self, commits: &dyn Commits) -> Looked {
        let Some(path) = &self.path else { return Looked::Unchanged };
        let mut watch = self.watch();
        let read = file::read(path);
        let seen = match &read {
            Ok(text) => Seen::Text(file::digest(text)),
            Err(error) => Seen::Unreadable(error.to_string()),
        };
        let before = watch.seen.replace(seen.clone());
        if watch.done.as_ref() == Some(&seen) || before.is_some_and(|before| before != seen) {
            return Looked::Unchanged;
        }
        let policy = read.and_then(|text| Policy::parse(path, &text)).map_err(|error| error.to_string());
        let policy = policy.and_then(|policy| newer(policy, watch.last));
        let change = match &policy {
            Ok(policy) => Change::Committed { version: policy.version, digest: policy.digest },
            Err(why) => Change::Withdrawn { why: why.clone() },
        };
        self.set(InForce::Changing);
        commits.revoke();
        if let Err(why) = commits.record(&change) {
            self.set(InForce::Nothing);
            watch.done = None;
            let again = watch.stuck.replace(seen.clone()) == Some(seen);
            return if again { Looked::Unchanged } else { Looked::NotRecorded(change, why) };
        }
        if let Ok(policy) = &policy {
            watch.last = Some((policy.version, policy.digest));
        }
        self.set(policy.map_or(InForce::Nothing, |policy| InForce::Policy(Arc::new(policy))));
        (watch.done, watch.stuck) = (Some(seen), None);
        Looked::Changed(change)
    }

    fn ask(&self, data: &[Datum], cluster: usize) -> Result<Ruled, Denied> {
        match self.now() {
            InForce::Policy(policy) => {
                let (name, jurisdiction) = &self.clusters[cluster];
                to_cluster(&policy, data, name, jurisdiction)
            }
            InForce::Changing => Err(Denied::by_nobody(Refusal::Changing)),
            InForce::Nothing => Err(Denied::by_nobody(Refusal::NoPolicy)),
        }
    }

    /// Held for the time of a copy, so that nobody who asks waits for a change.
    fn now(&self) -> InForce {
        // Nothing panics while it is held; a value that was set is whole.
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, in_force: InForce) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = in_force;
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Denied {
    fn by_nobody(refusal: Refusal) -> Self {
        Self { refusal, rule: None, input: None, class: None, policy: None }
    }
}

/// What a policy says of these data on their way to a cluster.
pub(super) fn to_cluster(policy: &Policy, data: &[Datum], cluster: &str, jurisdiction: &str) -> Result<Ruled, Denied> {
    let not_listed = Denied { policy: Some(policy.version), ..Denied::by_nobody(Refusal::Denied) };
    judge(policy, data, policy.cluster(cluster, jurisdiction).ok_or(not_listed)?)
}

/// What a policy says of these data on their way there.
pub(super) fn judge(policy: &Policy, data: &[Datum], to: Destination) -> Result<Ruled, Denied> {
    let permit = policy.ask(data, to).map_err(|denied| {
        let (refusal, rule) = match denied.why {
            Why::Rule(rule) => (Refusal::Denied, Some(rule)),
            Why::Undeclared => (Refusal::ClassUndeclared, None),
            Why::NoRule => (Refusal::Denied, None),
            Why::NothingLeft(rule) => (Refusal::Denied, rule),
        };
        Denied {
            refusal,
            rule: rule.map(|rule| Arc::clone(policy.rule(rule))),
            input: denied.field.and_then(|field| policy.datum(field, data)).map(|datum| Arc::clone(&datum.name)),
            class: denied.field.and_then(|field| field.class),
            policy: Some(policy.version),
        }
    })?;
    let (sent, left): (Vec<_>, Vec<_>) = data.iter().partition(|datum| policy.sends(&permit, datum));
    // A permit covers every field that is sent, so each has a class.
    let sent = sent.into_iter().filter_map(|datum| Some((Arc::clone(&datum.name), datum.class?))).collect();
    Ok(Ruled {
        rule: Arc::clone(policy.rule(permit.rule)),
        policy: policy.version,
        dropped: left.into_iter().map(|datum| Arc::clone(&datum.name)).collect(),
        sent,
    })
}

/// Another text needs a higher version: records name the version alone.
fn newer(policy: Policy, last: Option<(u64, [u8; 32])>) -> Result<Policy, String> {
    match last {
        Some((version, digest)) if policy.digest != digest && policy.version <= version => Err(format!(
            "the policy has version {} and another text than version {version}, which was in force: raise its version",
            policy.version
        )),
        Some(_) | None => Ok(policy),
    }
}
