//! A gate that keeps a record of everything, and refuses on demand.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use cluster_link::{Attempt, Destination, Ended, Gate, IntentId, Outcome, Permit, Purpose, Request};
use tokio::sync::Semaphore;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no rule")]
    Rule,
    #[error("no journal")]
    Journal,
}

type Hook = Box<dyn FnOnce(&Attempt) + Send>;

pub(crate) struct Recorder {
    pub(crate) refuses: AtomicBool,
    pub(crate) refuses_probes: AtomicBool,
    pub(crate) journal_is_full: AtomicBool,
    pub(crate) dropped: Mutex<Vec<&'static str>>,
    pub(crate) on_intent: Mutex<Option<Hook>>,
    /// An intent takes one of these to become durable.
    pub(crate) disk: Semaphore,
    pub(crate) rules: AtomicU64,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    intents: Vec<Attempt>,
    outcomes: HashMap<u64, Ended>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            refuses: AtomicBool::new(false),
            refuses_probes: AtomicBool::new(true),
            journal_is_full: AtomicBool::new(false),
            dropped: Mutex::default(),
            on_intent: Mutex::default(),
            disk: Semaphore::new(Semaphore::MAX_PERMITS),
            rules: AtomicU64::new(0),
            record: Mutex::default(),
        }
    }

    pub(crate) fn intents(&self) -> Vec<Attempt> {
        self.record.lock().expect("no panic").intents.clone()
    }

    /// In the order of the intents; `None`: none yet.
    pub(crate) fn outcomes(&self) -> Vec<Option<Outcome>> {
        let record = self.record.lock().expect("no panic");
        (0..record.intents.len() as u64).map(|id| record.outcomes.get(&id).map(|ended| ended.outcome.clone())).collect()
    }

    pub(crate) fn is_complete(&self) -> bool {
        let record = self.record.lock().expect("no panic");
        record.intents.len() == record.outcomes.len()
    }
}

impl Gate for Recorder {
    type Refusal = Refusal;

    fn rule(&self, request: &Request, _to: &Destination) -> Result<Permit, Refusal> {
        self.rules.fetch_add(1, Ordering::SeqCst);
        let probe = request.purpose == Purpose::Probe;
        if self.refuses.load(Ordering::SeqCst) || probe && self.refuses_probes.load(Ordering::SeqCst) {
            return Err(Refusal::Rule);
        }
        let dropped = self.dropped.lock().expect("no panic").iter().map(|name| (*name).into()).collect();
        Ok(Permit { rule: "all".into(), policy: "1".into(), dropped })
    }

    async fn intent(&self, attempt: Attempt) -> Result<IntentId, Refusal> {
        let hook = self.on_intent.lock().expect("no panic").take();
        if let Some(hook) = hook {
            hook(&attempt);
        }
        self.disk.acquire().await.expect("never closed").forget();
        if self.journal_is_full.load(Ordering::SeqCst) {
            return Err(Refusal::Journal);
        }
        let mut record = self.record.lock().expect("no panic");
        record.intents.push(attempt);
        Ok(IntentId(record.intents.len() as u64 - 1))
    }

    fn outcome(&self, intent: IntentId, ended: Ended) {
        let mut record = self.record.lock().expect("no panic");
        assert!(intent.0 < record.intents.len() as u64, "an outcome of no intent");
        let twice = record.outcomes.insert(intent.0, ended);
        assert!(twice.is_none(), "a second outcome of one intent");
    }
}
