//! Delivers one task's durable requests to its cluster, in order, one at a time, until each is done.
//!
//! Order of an attempt: recorded in the spool; then the link asks the residency policy, and the journal takes its intent;
//! then it is sent. So a policy that was withdrawn since a request was stored holds it, and what nobody recorded is not sent.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use cluster_link::{HandOffId, Purpose, Request};
use engine::{HandOffFailure, Reason};
use journal::spool::{Attempt, Begin, Failure, Item, Outcome, ReasonNumber, SpoolError};
use message::{ContractDigest, InferRequest};
use miette::{IntoDiagnostic, Result, WrapErr};
use sha2::{Digest, Sha256};

use super::{Kept, now};
use crate::{hand_off::Unanswered, lane::Asked, plan::Plan, realtime};

/// After a failure the next attempt waits so long, then twice as long each time, up to the other.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Times to live end without anybody asking.
const LOOK: Duration = Duration::from_secs(1);

/// Contract and number of a request, beside its values.
const CONTEXT_BYTES: usize = 24;

pub(super) fn context(contract: ContractDigest, request: &InferRequest<'_>) -> Vec<u8> {
    let mut context = Vec::with_capacity(CONTEXT_BYTES);
    context.extend_from_slice(&contract.bytes());
    context.extend_from_slice(&request.request.to_le_bytes());
    context
}

/// Starts a task's thread; it is to be woken when something was stored.
pub(super) fn start(plan: &'static Plan, kept: &Arc<Kept>, task: usize) -> Result<thread::Thread> {
    let asked = Asked::new(plan, plan.config.tasks[kept.tasks[task].place].model);
    let timeout = plan.config.tasks[kept.tasks[task].place].deadline;
    let mut deliverer = Deliverer { kept: Arc::clone(kept), task, asked, timeout: timeout.into(), pause: PAUSE };
    let deliver = move || {
        realtime::lower(0);
        loop {
            match deliverer.deliver() {
                Then::Next => {}
                Then::Idle => thread::park_timeout(LOOK),
                // Whoever asks in the meantime makes it no shorter.
                Then::Pause(pause) => thread::sleep(pause),
            }
        }
    };
    let thread = thread::Builder::new().name(format!("genba-out.{task}")).spawn(deliver);
    Ok(thread.into_diagnostic().wrap_err("cannot start a thread that delivers")?.thread().clone())
}

/// What follows an attempt to deliver.
enum Then {
    Next,
    /// Until something is stored.
    Idle,
    Pause(Duration),
}

struct Deliverer {
    kept: Arc<Kept>,
    /// Its place among the tasks that have durable requests.
    task: usize,
    asked: Asked,
    /// Of one attempt.
    timeout: Duration,
    pause: Duration,
}

impl Deliverer {
    /// Delivers the next one if there is one.
    fn deliver(&mut self) -> Then {
        self.try_deliver().unwrap_or_else(|error| {
            tracing::error!("{error}");
            Then::Pause(PAUSE)
        })
    }

    fn try_deliver(&mut self) -> Result<Then, SpoolError> {
        let task = &self.kept.tasks[self.task];
        let next = self.kept.spool().next(&task.name, now())?;
        let Some(item) = next else { return Ok(Then::Idle) };
        let Some((contract, number)) = parse(&item) else {
            self.kept.spool().reject(&item.id, number_of(Reason::WrongType), now())?;
            return Ok(Then::Next);
        };
        if contract != task.contract {
            // The task's model was changed for another one since.
            self.kept.spool().reject(&item.id, number_of(Reason::Contract), now())?;
            return Ok(Then::Next);
        }
        let begun = self.kept.spool().begin(&item.id, now())?;
        let Begin::Begun(attempt) = begun else { return Ok(Then::Next) };
        let answered = self.ask(&item, number);
        let failure = answered.as_ref().err().copied();
        self.report(&attempt, &answered);
        match failure {
            None => {
                self.pause = PAUSE;
                Ok(Then::Next)
            }
            Some(failure) => {
                let reason = failure.failure.reason();
                tracing::warn!("{} {}: {reason}: {}", task.name, item.id, reason.row().what);
                let pause = self.pause;
                self.pause = (pause * 2).min(LONGEST_PAUSE);
                Ok(Then::Pause(pause))
            }
        }
    }

    fn ask(&self, item: &Item, number: u64) -> Result<Vec<u8>, Unanswered> {
        let task = &self.kept.tasks[self.task];
        let numbers: Vec<f32> = message::floats(&item.payload).collect();
        let inputs = self.asked.tensors(&numbers).map_err(|_| Unanswered::known(HandOffFailure::Cluster))?;
        let request = Request {
            id: hand_off_id(item),
            task: task.name.as_str().into(),
            purpose: Purpose::Task { parent: number },
            model: Arc::clone(&self.asked.name),
            version: "".into(),
            priority: None,
            deadline: Instant::now() + self.timeout,
            inputs,
            outputs: Arc::clone(&self.asked.outputs),
        };
        let answer = task.cluster.ask(request)?;
        let mut numbers = Vec::new();
        let wrong = Unanswered::known(HandOffFailure::WrongAnswer);
        self.asked.numbers(&answer, &mut numbers).map_err(|_| wrong)?;
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(wrong);
        }
        Ok(numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    /// Until it is on the disk: what comes next must not begin before.
    fn report(&self, attempt: &Attempt, answered: &Result<Vec<u8>, Unanswered>) {
        loop {
            let reported = match answered {
                Ok(result) => self.kept.spool().delivered(attempt, result, now()),
                Err(failure) => self.kept.spool().failed(attempt, outcome(*failure), now()),
            };
            match reported {
                Ok(Outcome::Recorded | Outcome::ResultTooLarge | Outcome::Stale) => return,
                Ok(Outcome::DeadLetter) => return tracing::error!("{} is a dead letter", attempt.id()),
                Err(error) => {
                    tracing::error!("{error}");
                    thread::sleep(PAUSE);
                }
            }
        }
    }
}

/// What a failure means for the request.
fn outcome(Unanswered { failure, in_doubt }: Unanswered) -> Failure {
    let number = number_of(failure.reason());
    if in_doubt {
        return Failure::InDoubt(number);
    }
    match failure {
        // Nothing left the box.
        HandOffFailure::NoPolicy
        | HandOffFailure::Revoked
        | HandOffFailure::Journal
        | HandOffFailure::Identity
        | HandOffFailure::NoEndpoint
        | HandOffFailure::Overload => Failure::NotSent(number),
        // A rule says no, or nobody declared a class: an operator may retry it after a change.
        HandOffFailure::Denied | HandOffFailure::ClassUndeclared => Failure::Permanent(number),
        HandOffFailure::TimedOut
        | HandOffFailure::WrongAnswer
        | HandOffFailure::Cluster
        | HandOffFailure::SpoolFull
        | HandOffFailure::DeadLetter => Failure::Transient(number),
    }
}

fn number_of(reason: Reason) -> ReasonNumber {
    ReasonNumber(reason.row().number)
}

fn parse(item: &Item) -> Option<(ContractDigest, u64)> {
    let context: &[u8; CONTEXT_BYTES] = item.context.as_slice().try_into().ok()?;
    let (contract, rest) = context.split_first_chunk()?;
    Some((ContractDigest::new(*contract), u64::from_le_bytes(rest.try_into().ok()?)))
}

/// The same for every attempt of a request, also after a restart: by it the other side may know it again.
fn hand_off_id(item: &Item) -> HandOffId {
    let digest: [u8; 32] = Sha256::digest(item.id.as_str().as_bytes()).into();
    let (id, _) = digest.split_first_chunk().expect("32 bytes are more than 16");
    HandOffId(u128::from_le_bytes(*id))
}
