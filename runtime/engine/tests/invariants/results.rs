//! Models that give results and no action: who asks once gets all of them, finite and complete, or a typed refusal.

use engine::{
    Action, Client, ClientId, ClientSpec, Duration, Engine, Event, Failed, Gives, HandOffFailure, Interpolation,
    LimitError, ModelSet, Overlap, PlanSpec, Reason, Replied, Settings, SlotId, Tables, Task, TaskId, TaskSpec, Worker,
    WorkerId, WorkerSpec,
};
use engine::{Agenda, Connection, ConnectionId, ConnectionSpec, slots_needed};
use message::{Address, Boot, InferReply, InferRequest, InferResult, Place, Stamp, Status};

use crate::scene::{CONTRACT, at, task};

const CLIENT: ClientId = ClientId(0);
const ADDRESS: Address = Address::new(9);
const VALUES: usize = 100_000;

fn results() -> TaskSpec<'static> {
    TaskSpec { gives: Gives::Results { values: VALUES }, deadline: Duration::from_micros(50_000), ..task() }
}

fn tables(task: TaskSpec<'static>, connections: usize) -> Tables<'static> {
    let spec = ClientSpec {
        task: TaskId(0),
        address: ADDRESS,
        min_period: Duration::from_micros(1),
        arrival_jitter: Duration::ZERO,
        queue: 4,
    };
    let clients = vec![Client::new(spec)];
    let slots = u16::try_from(slots_needed(connections, &clients, 1, &[])).expect("a few");
    let connection = ConnectionSpec { task: TaskId(0), address: Address::new(5) };
    Tables {
        tasks: vec![Task::new(task).expect("a good task")].leak(),
        connections: (0..connections).map(|_| Connection::new(connection)).collect::<Vec<_>>().leak(),
        agenda: vec![Agenda::default(); connections].leak(),
        clients: clients.leak(),
        inputs: &mut [],
        workers: vec![Worker::new(WorkerSpec {
            models: ModelSet::EMPTY.with(task.model),
            spare: false,
            place: Place::Box,
        })]
        .leak(),
        records: &mut [],
        plans: &mut [],
        free_slots: (0..slots).map(SlotId).collect::<Vec<_>>().leak(),
    }
}

fn settings() -> Settings {
    Settings {
        boot: Boot::new(1),
        margin: Duration::from_micros(1_000),
        max_overruns: 16,
        overrun_window: Duration::SECOND,
        hang: Duration::SECOND,
        overhead: Duration::ZERO,
        status: Status::NONE,
    }
}

/// An engine that runs request 7, and the slot that it runs in.
fn running() -> (Engine<'static>, SlotId) {
    running_at(Place::Box)
}

fn running_at(place: Place) -> (Engine<'static>, SlotId) {
    let models = ModelSet::EMPTY.with(task().model);
    let workers = vec![Worker::new(WorkerSpec { models, spare: false, place })].leak();
    let mut engine = Engine::new(settings(), Tables { workers, ..tables(results(), 0) }).expect("good tables");
    let request = InferRequest {
        address: ADDRESS,
        contract: CONTRACT,
        request: 7,
        stamp: Stamp::new(8),
        budget_us: 0,
        values: &[0; 8],
    };
    let mut frame = vec![0; InferRequest::OVERHEAD + 8];
    request.encode(&mut frame).expect("there is room");
    engine.handle(at(0), Event::Request { client: CLIENT, arrival: at(0), bytes: &frame });
    let actions: Vec<Action> = std::iter::from_fn(|| engine.poll_action()).collect();
    let [Action::Store { slot }, Action::StartInference { .. }] = actions.as_slice() else {
        panic!("it is stored and started: {actions:?}")
    };
    let slot = *slot;
    (engine, slot)
}

/// What becomes of it.
fn ended(outputs: Result<&[f32], Failed>) -> (Engine<'static>, SlotId, engine::Reply) {
    let (mut engine, slot) = running();
    let each = outputs.map(|output| [output]);
    let outputs = each.as_ref().map(|each| &each[..]).map_err(|failed| *failed);
    engine
        .handle(at(10_000), Event::Finished { worker: WorkerId(0), outputs, execution: Duration::from_micros(9_000) });
    let actions: Vec<Action> = std::iter::from_fn(|| engine.poll_action()).collect();
    let Ok([Action::Reply(reply)]) = <[Action; 1]>::try_from(actions) else { panic!("it is answered once") };
    (engine, slot, reply)
}

#[test]
fn all_results_are_handed_over_from_their_slot_before_the_deadline() {
    let (mut engine, slot, reply) = ended(Ok(&vec![0.5; VALUES]));
    assert!(matches!(reply.says(), Replied::Results(_)));
    assert_eq!((reply.slot(), reply.deadline()), (Some(slot), Some(at(50_000))));
    let values = vec![7; VALUES * 4];
    let mut frame = vec![0; InferResult::OVERHEAD + values.len()];
    let length = reply.encode_results(at(11_000), &values, &mut frame).expect("there is room");
    let result = InferResult::decode(&frame[..length]).expect("it is a result");
    assert_eq!((result.request, result.stamp.value(), result.age_us), (7, 8, 11_000));
    assert_eq!((result.address, result.values), (ADDRESS, &values[..]));
    let short = &mut frame[..1_000];
    assert!(reply.encode_results(at(11_000), &values, short).is_err(), "no half of a result");
    engine.handle(at(11_000), Event::Sent { ticket: reply.ticket().expect("it has one"), at: at(11_000) });
    assert_eq!((engine.requests().answered(), engine.requests().in_flight()), (1, 0));
}

#[test]
fn results_say_where_they_were_computed_and_their_worker_is_back_by_their_deadline() {
    for place in [Place::Box, Place::Cluster] {
        let (mut engine, _) = running_at(place);
        assert_eq!(engine.deadline_on(WorkerId(0)), Some(at(50_000)), "a one-off has no margin");
        let values = vec![0.5; VALUES];
        let (outputs, execution): ([&[f32]; 1], _) = ([&values], Duration::from_micros(9_000));
        engine.handle(at(10_000), Event::Finished { worker: WorkerId(0), outputs: Ok(&outputs), execution });
        let Some(Action::Reply(reply)) = engine.poll_action() else { panic!("it is answered") };
        let mut frame = vec![0; InferResult::OVERHEAD + 4];
        let length = reply.encode_results(at(11_000), &[0; 4], &mut frame).expect("there is room");
        assert_eq!(InferResult::decode(&frame[..length]).expect("it is a result").place, place);
    }
}

#[test]
fn a_task_with_plans_has_no_clients() {
    let plan = PlanSpec {
        period: Duration::from_micros(10_000),
        steps: 2,
        interpolation: Interpolation::Hold,
        overlap: Overlap::Blend(Duration::ZERO),
        refresh: None,
        timeout: Duration::SECOND,
        retry: Duration::ZERO,
    };
    let planned = TaskSpec { plan: Some(plan), ..task() };
    assert_eq!(Engine::new(settings(), tables(planned, 0)).err(), Some(LimitError::Client(CLIENT)));
    assert!(Engine::new(settings(), tables(task(), 0)).is_ok(), "without a plan it may have");
}

#[test]
fn results_that_are_not_finite_or_not_all_there_are_refused() {
    let refused = |outputs: Result<&[f32], Failed>| {
        let (_, _, reply) = ended(outputs);
        let mut frame = [0; InferReply::MAX_FRAME];
        let length = reply.encode(at(10_000), &mut frame);
        assert!(InferReply::decode(&frame[..length]).is_ok(), "a refusal is small");
        match reply.says() {
            Replied::Refusal(refusal) => refusal.reason(),
            Replied::Result(_) | Replied::Results(_) => panic!("it is refused"),
        }
    };
    let mut last = vec![0.5; VALUES];
    last[VALUES - 1] = f32::NAN;
    assert_eq!(refused(Ok(&last)), Reason::ActionNotFinite);
    assert_eq!(refused(Ok(&last[1..])), Reason::ModelFailed);
    assert_eq!(refused(Err(Failed::Model)), Reason::ModelFailed);
    for failure in HandOffFailure::ALL {
        assert_eq!(refused(Err(Failed::HandOff(failure))), failure.reason());
    }
}

#[test]
fn no_robot_is_served_by_a_model_without_an_action() {
    let refused = Engine::new(settings(), tables(results(), 1)).err();
    assert_eq!(refused, Some(LimitError::NoAction(ConnectionId(0))));
    assert!(Engine::new(settings(), tables(task(), 1)).is_ok(), "with an action it is");
    assert!(Task::new(TaskSpec { gives: Gives::Results { values: 0 }, ..task() }).is_err(), "nothing is no result");
}
