//! Workers that hand off to a cluster: their answers say so, nothing that they do takes them out of service, and why
//! they give nothing is told as it is.

use engine::{
    Agenda, Connection, ConnectionSpec, Duration, Engine, Failed, HandOffFailure, LimitError, ModelId, ModelSet,
    Record, Service, Settings, SlotId, Tables, Task, TaskId, Worker, WorkerId, WorkerSpec,
};
use message::{Address, Boot, Place, Status};

use crate::scene::{Said, Scene, WORKER, at, record, task};

#[test]
fn an_action_says_where_it_was_computed() {
    let mut cluster = Scene::clustered(task());
    cluster.observe(0, 1);
    assert_eq!(cluster.finish(1_000, &[0.01]), [(1, Said::Action)]);
    assert_eq!(cluster.place, Some(Place::Cluster));
    let mut own = Scene::new();
    own.observe(0, 1);
    assert_eq!(own.finish(1_000, &[0.01]), [(1, Said::Action)]);
    assert_eq!(own.place, Some(Place::Box));
    cluster.observe(2_000, 2);
    assert_eq!(cluster.finish(3_000, &[2.0]).len(), 1);
    assert_eq!(cluster.place, None, "the fallback is nobody's");
}

#[test]
fn each_failure_of_a_hand_off_is_told_in_the_fallback() {
    let mut scene = Scene::clustered(task());
    for (sequence, failure) in (1..).zip(HandOffFailure::ALL) {
        scene.observe(sequence * 10_000, sequence);
        let said = scene.fail(sequence * 10_000 + 500, Failed::HandOff(failure));
        assert_eq!(said, [(sequence, Said::Fallback(failure.reason()))]);
        assert_eq!(scene.engine.total().by_reason(failure.reason()), 1);
    }
    assert!(scene.engine.total().balances());
}

#[test]
fn a_worker_that_hands_off_must_be_back_when_the_fallback_falls_due_and_is_never_quarantined() {
    let hangs = |mut scene: Scene| {
        scene.observe(0, 1);
        assert_eq!(scene.engine.deadline_on(WORKER), Some(at(7_000)), "the deadline less the margin");
        assert_eq!(scene.time(7_000).len(), 1, "the fallback is out");
        assert_eq!(scene.engine.deadline_on(WORKER), None, "nothing waits for it any more");
        scene.time(1_500_000);
        let service = scene.engine.service(WORKER);
        scene.finish(1_600_000, &[0.0]);
        (service, scene.engine.total().discarded())
    };
    assert_eq!(hangs(Scene::clustered(task())), (Service::Active, 1));
    assert_eq!(hangs(Scene::new()), (Service::Quarantined, 1), "one on the box is");
}

#[test]
fn overruns_blame_no_cluster() {
    let overruns = |mut scene: Scene| {
        for sequence in 1..=16 {
            scene.observe(sequence * 20_000, sequence);
            scene.time(sequence * 20_000 + 7_000);
            scene.finish(sequence * 20_000 + 8_000, &[0.0]);
        }
        scene.engine.service(WORKER)
    };
    assert_eq!(overruns(Scene::clustered(task())), Service::Active);
    assert_eq!(overruns(Scene::new()), Service::Quarantined);
}

#[test]
fn a_cluster_has_no_timing_record_and_is_nobodys_spare() {
    let refused = |workers: [(bool, Place); 2], records: Vec<Record>| {
        let models = ModelSet::EMPTY.with(ModelId(0));
        let spec = ConnectionSpec { task: TaskId(0), address: Address::new(5) };
        let tables = Tables {
            tasks: vec![Task::new(task()).expect("a good task")].leak(),
            connections: vec![Connection::new(spec)].leak(),
            agenda: vec![Agenda::default()].leak(),
            clients: &mut [],
            inputs: &mut [],
            workers: Box::leak(Box::new(
                workers.map(|(spare, place)| Worker::new(WorkerSpec { models, spare, place })),
            )),
            records: records.leak(),
            plans: &mut [],
            free_slots: (0..8).map(SlotId).collect::<Vec<_>>().leak(),
        };
        let (margin, hang) = (Duration::from_micros(1_000), Duration::SECOND);
        let settings = Settings {
            boot: Boot::new(1),
            margin,
            max_overruns: 16,
            overrun_window: hang,
            hang,
            overhead: Duration::ZERO,
            status: Status::NONE,
        };
        Engine::new(settings, tables).err()
    };
    let (own, cluster) = ((false, Place::Box), (false, Place::Cluster));
    let refusal = |worker| Some(LimitError::Cluster(WorkerId(worker)));
    assert_eq!(refused([own, cluster], vec![record(0, &[1_000])]), None, "a record of the first");
    assert_eq!(refused([cluster, own], vec![record(0, &[1_000])]), refusal(0));
    assert_eq!(refused([own, (true, Place::Cluster)], Vec::new()), refusal(1));
    assert_eq!(refused([own, (true, Place::Box)], Vec::new()), None);
}
