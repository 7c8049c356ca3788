//! What the reference model expects beside what the engine did.

use engine::{Action, Answer, ConnectionId, ModelId, Origin, Reason, Send, SlotId, Target, WorkerId};
use message::{Address, Body, ContractDigest, ModelDigest, Place, ReasonNumber, Response, Status};

use crate::{
    clock::MICRO,
    input::Key,
    joined::Sample,
    report::{Check, Finding, Verdict},
    scenario::Scenario,
};

/// One action that must come out.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    Store { job: Key },
    StoreSample { input: usize },
    Start { worker: usize, model: ModelId, jobs: Vec<Key> },
    Advance { connection: usize },
    Answer(ExpectedAnswer),
    Notify { connection: usize, epoch: u64 },
    Quarantine { worker: usize, reason: Reason, spare: Option<usize> },
    RecordVoid { worker: usize, model: ModelId, reason: Reason },
    Exit,
    Drained,
}

/// One response that must come out.
#[derive(Debug, Clone)]
pub(crate) struct ExpectedAnswer {
    pub(crate) to: To,
    /// With a deadline comes a ticket.
    pub(crate) deadline: Option<u64>,
    pub(crate) epoch: u64,
    pub(crate) sequence: Option<u64>,
    pub(crate) stamp: u64,
    /// From which its age counts, if it answers a frame.
    pub(crate) arrival: Option<u64>,
    /// The oldest joined sample behind it.
    pub(crate) oldest: Option<Sample>,
    pub(crate) says: Says,
    pub(crate) status: Status,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum To {
    Connection(usize),
    /// By the stray frame's own address and contract.
    Stray {
        address: Address,
        contract: ContractDigest,
    },
    Query,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Says {
    Model { values: Vec<f32>, clamped: bool },
    Fallback { reason: Reason, values: Vec<f32> },
    Refusal { reason: Reason },
}

/// Whose order an action belongs to: what concerns two connections may come out in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Connection(usize),
    /// Refusals stand outside the order of actions and fallbacks.
    Refusals(usize),
    Elsewhere,
    Workers,
    Records,
    Starts,
    Advances,
    End,
}

/// Holds the actions against what was expected. Returns what was expected of each, in the actions' order.
///
/// `whose` names the observation that a slot holds once the actions before it are done.
pub(crate) fn actions(
    mut expected: Vec<Expected>,
    actual: &[Action],
    frame_of: Option<usize>,
    whose: impl Fn(SlotId) -> Option<Key>,
) -> Result<Vec<Expected>, Finding> {
    let mut ordered = Vec::with_capacity(actual.len());
    let mut stored: Option<(SlotId, Key)> = None;
    for action in actual {
        let order = order_of_action(action, frame_of);
        let holds = |slot: SlotId| match stored {
            Some((last, key)) if last == slot => Some(key),
            Some(_) | None => whose(slot),
        };
        // Of one order the next must come; refusals stand outside every order, so any of them may.
        let mut same_order = (0..expected.len()).filter(|place| order_of_expected(&expected[*place]) == order);
        let place = match order {
            Order::Refusals(_) => same_order.find(|place| is_as_expected(&expected[*place], action, holds)),
            Order::Connection(_)
            | Order::Elsewhere
            | Order::Workers
            | Order::Records
            | Order::Starts
            | Order::Advances
            | Order::End => same_order.next(),
        };
        let Some(place) = place else {
            return Err(finding(format!("the engine did {action:?}, expected is {expected:?}")));
        };
        let one = expected.remove(place);
        if !is_as_expected(&one, action, holds) {
            return Err(finding(format!("expected {one:?}, the engine did {action:?}")));
        }
        if let (Expected::Store { job }, Action::Store { slot }) = (&one, action) {
            stored = Some((*slot, *job));
        }
        ordered.push(one);
    }
    match expected.first() {
        None => Ok(ordered),
        Some(missing) => Err(finding(format!("expected {missing:?}, which the engine did not do"))),
    }
}

/// Holds a frame that was put at `at` against what was expected of it.
pub(crate) fn frame(
    expected: &ExpectedAnswer,
    response: &Response<'_>,
    boot: u64,
    at: u64,
    scenario: &Scenario,
) -> Verdict {
    let age = expected.arrival.map_or(0, |arrival| u32::try_from((at - arrival) / MICRO).unwrap_or(u32::MAX));
    let sampled = expected.oldest.map_or(0, |sample| u32::try_from(sample.age(at) / MICRO).unwrap_or(u32::MAX));
    let mut right = response.boot.value() == boot
        && response.epoch.value() == expected.epoch
        && response.sequence.map(message::Sequence::value) == expected.sequence
        && response.stamp.value() == expected.stamp
        && response.status == expected.status
        && (response.plan, response.plan_step) == (0, 0)
        && (response.age_us, response.input_age_us) == (age, age.max(sampled));
    let (address, contract, model) = match expected.to {
        To::Connection(connection) => {
            let plan = &scenario.connections[connection];
            let task = &scenario.tasks[plan.task];
            (plan.address, task.contract, task.model_digest)
        }
        To::Stray { address, contract } => (address, contract, ModelDigest::NONE),
        To::Query => (Address::new(0), ContractDigest::new([0; 16]), ModelDigest::NONE),
    };
    let model = match expected.says {
        Says::Model { .. } => model,
        Says::Fallback { .. } | Says::Refusal { .. } => ModelDigest::NONE,
    };
    right &= (response.address, response.contract, response.model) == (address, contract, model);
    right &= match (&expected.says, response.body) {
        (Says::Model { values, .. }, Body::Action { place: Place::Box, values: bytes }) => {
            same(values, message::floats(bytes))
        }
        (Says::Fallback { reason, values }, Body::Fallback { reason: number, values: bytes }) => {
            number == number_of(*reason) && same(values, message::floats(bytes))
        }
        (Says::Refusal { reason }, Body::Refusal { reason: number }) => number == number_of(*reason),
        (Says::Model { .. } | Says::Fallback { .. } | Says::Refusal { .. }, _) => false,
    };
    Finding::unless(right, Check::Reference, || format!("expected {expected:?}, the frame says {response:?}"))
}

fn is_as_expected(expected: &Expected, actual: &Action, whose: impl Fn(SlotId) -> Option<Key>) -> bool {
    match (expected, actual) {
        (Expected::Store { .. }, Action::Store { .. })
        | (Expected::Exit, Action::Exit { reason: Reason::NoWorkerLeft })
        | (Expected::Drained, Action::Drained) => true,
        (Expected::StoreSample { input }, Action::StoreSample { input: kept }) => *input == usize::from(kept.0),
        (Expected::Start { worker, model, jobs }, Action::StartInference { worker: actual, model: of, slots }) => {
            let right = slots.iter().map(|slot| whose(*slot)).eq(jobs.iter().map(|job| Some(*job)));
            *worker == place(*actual) && model == of && right
        }
        (Expected::Advance { connection }, Action::Advance { connection: actual, .. }) => {
            *connection == usize::from(actual.0)
        }
        (Expected::Answer(answer), Action::Send(send)) => is_the_answer(answer, send),
        (Expected::Notify { connection, epoch }, Action::Notify(notify)) => {
            let mut bytes = [0; message::Notice::MAX_FRAME];
            let length = notify.encode(&mut bytes);
            message::Notice::decode(&bytes[..length]).is_ok_and(|notice| {
                notify.connection() == ConnectionId(u16::try_from(*connection).unwrap_or(u16::MAX))
                    && notice.epoch.value() == *epoch
                    && notice.reason == number_of(Reason::Farewell)
            })
        }
        (
            Expected::Quarantine { worker, reason, spare },
            Action::Quarantine { worker: actual, reason: because, spare: by },
        ) => *worker == place(*actual) && reason == because && *spare == by.map(place),
        (
            Expected::RecordVoid { worker, model, reason },
            Action::RecordVoid { worker: actual, model: of, reason: because },
        ) => *worker == place(*actual) && model == of && reason == because,
        (_, _) => false,
    }
}

fn is_the_answer(expected: &ExpectedAnswer, send: &Send) -> bool {
    let says = match (&expected.says, send.answer()) {
        (Says::Model { values, clamped }, Answer::Guarded(guarded)) => {
            guarded.origin() == Origin::Model { clamped: *clamped } && same(values, guarded.values().iter().copied())
        }
        (Says::Fallback { reason, values }, Answer::Guarded(guarded)) => {
            guarded.origin() == Origin::Fallback(*reason) && same(values, guarded.values().iter().copied())
        }
        (Says::Refusal { reason }, Answer::Refusal(refusal)) => refusal.reason() == *reason,
        (Says::Model { .. } | Says::Fallback { .. }, Answer::Refusal(_))
        | (Says::Refusal { .. }, Answer::Guarded(_)) => false,
    };
    let to = match (expected.to, send.target()) {
        (To::Connection(expected), Target::Connection(actual)) => expected == usize::from(actual.0),
        (To::Stray { .. }, Target::Stray) | (To::Query, Target::Query) => true,
        (To::Connection(_) | To::Stray { .. } | To::Query, _) => false,
    };
    to && says
        && send.deadline().map(engine::Instant::nanos) == expected.deadline
        && send.ticket().is_some() == expected.deadline.is_some()
        && send.sequence().map(message::Sequence::value) == expected.sequence
}

/// Equal to the bit.
fn same(expected: &[f32], actual: impl Iterator<Item = f32>) -> bool {
    expected.iter().map(|value| value.to_bits()).eq(actual.map(f32::to_bits))
}

fn order_of_action(action: &Action, frame_of: Option<usize>) -> Order {
    match action {
        Action::Store { .. } => frame_of.map_or(Order::Elsewhere, Order::Connection),
        Action::StoreSample { .. } => Order::Elsewhere,
        Action::Send(send) => match send.target() {
            Target::Connection(connection) if send.ticket().is_some() => Order::Connection(usize::from(connection.0)),
            Target::Connection(connection) => Order::Refusals(usize::from(connection.0)),
            Target::Stray | Target::Query => Order::Elsewhere,
        },
        Action::Reply(_) | Action::Notify(_) | Action::Drained => Order::End,
        Action::StartInference { .. } => Order::Starts,
        Action::Advance { .. } => Order::Advances,
        Action::Quarantine { .. } | Action::Exit { .. } => Order::Workers,
        Action::RecordVoid { .. } => Order::Records,
    }
}

fn order_of_expected(expected: &Expected) -> Order {
    match expected {
        Expected::Store { job } => Order::Connection(job.connection),
        Expected::StoreSample { .. } => Order::Elsewhere,
        Expected::Answer(answer) => match answer.to {
            To::Connection(connection) if answer.deadline.is_some() => Order::Connection(connection),
            To::Connection(connection) => Order::Refusals(connection),
            To::Stray { .. } | To::Query => Order::Elsewhere,
        },
        Expected::Notify { .. } | Expected::Drained => Order::End,
        Expected::Start { .. } => Order::Starts,
        Expected::Advance { .. } => Order::Advances,
        Expected::Quarantine { .. } | Expected::Exit => Order::Workers,
        Expected::RecordVoid { .. } => Order::Records,
    }
}

fn number_of(reason: Reason) -> ReasonNumber {
    reason.number()
}

fn place(worker: WorkerId) -> usize {
    usize::from(worker.0)
}

fn finding(what: String) -> Finding {
    Finding { check: Check::Reference, what }
}
