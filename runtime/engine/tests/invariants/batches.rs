//! Batches: who comes along, who must not be passed over, and that each member keeps its own answer.

use engine::{Duration, ModelId, Reason, Service, TaskSpec};
use message::Status;

use crate::scene::{Said, Scene, WORKER, task};

/// Due 7 ms after the arrival. One alone takes 1 ms, each further one 200 µs.
const SIZES: [u64; 4] = [1_000, 1_200, 1_400, 1_600];

#[test]
fn a_free_worker_takes_all_that_wait_and_waits_for_none() {
    let mut scene = Scene::batching(&[task(); 6], &[&SIZES]);
    scene.observe_by(0, 5);
    assert_eq!(scene.members(), [6], "it is alone, and starts");
    for connection in [3, 1, 2, 4, 0] {
        scene.observe_by(10 + u64::from(connection), connection);
    }
    scene.finish(1_000, &[0.0]);
    assert_eq!(scene.members(), [1, 2, 3, 4], "by deadline, up to the largest batch");
    assert_eq!(scene.running.len(), 4);
    let outputs: [&[f32]; 4] = [&[0.01], &[0.02], &[f32::NAN], &[]];
    let said = scene.finish_batch(2_600, Duration::from_micros(1_600), &outputs);
    assert_eq!(
        said,
        [
            (1, Said::Action),
            (2, Said::Action),
            (3, Said::Fallback(Reason::ActionNotFinite)),
            (4, Said::Fallback(Reason::ModelFailed)),
        ],
        "to each its own"
    );
    assert_eq!(scene.members(), [5]);
}

#[test]
fn no_member_is_late_for_another_and_one_that_cannot_be_in_time_is_not_started() {
    let short = TaskSpec { deadline: Duration::from_micros(4_401), ..task() };
    // It falls due at 3.402 ms, and a batch of three takes 1.4.
    for (gone, members) in [(2_001, vec![1, 2, 3]), (2_002, vec![1, 2]), (2_402, vec![2, 3, 4])] {
        let mut scene = Scene::batching(&[short, task(), task(), task(), task()], &[&SIZES]);
        scene.observe_by(0, 4);
        for connection in 0..4 {
            scene.observe_by(1, connection);
        }
        let said = scene.finish(gone, &[0.0]);
        assert_eq!(scene.members(), members, "{gone} µs gone");
        let hopeless = said.contains(&(1, Said::Fallback(Reason::NoTimeLeft)));
        assert_eq!(hopeless, !members.contains(&1), "{said:?}");
    }
}

#[test]
fn a_member_that_falls_due_falls_alone() {
    let short = TaskSpec { deadline: Duration::from_micros(5_000), ..task() };
    let mut scene = Scene::batching(&[short, task(), task()], &[&SIZES]);
    scene.observe_by(0, 2);
    scene.observe_by(1, 0);
    scene.observe_by(1, 1);
    scene.finish(1_000, &[0.0]);
    assert_eq!(scene.members(), [1, 2]);
    assert_eq!(scene.time(4_001), [(1, Said::Fallback(Reason::Late))]);
    let said = scene.finish_batch(5_000, Duration::from_micros(4_000), &[&[0.1], &[0.1]]);
    assert_eq!(said, [(2, Said::Action)], "the other is answered");
    let total = scene.engine.total();
    assert_eq!((total.discarded(), total.model(), total.fallback(), total.in_flight()), (1, 2, 1, 0));
    let above = scene.engine.records().iter().map(|record| (record.executions(), record.above()));
    assert!(above.eq([(2, 1)]), "two inferences, and 4 ms is longer than a batch of two takes");
}

#[test]
fn another_model_is_passed_over_only_where_nothing_was_promised_and_nobody_becomes_late() {
    let passed = |status, deadline_us, sizes: &[u64]| {
        let other = TaskSpec { model: ModelId(1), status, deadline: Duration::from_micros(deadline_us), ..task() };
        let head = TaskSpec { deadline: Duration::from_micros(3_000), ..task() };
        let mut scene = Scene::batching(&[head, other, task(), task()], &[&SIZES, sizes]);
        scene.observe_by(0, 3);
        for connection in 0..3 {
            scene.observe_by(1, connection);
        }
        scene.finish(500, &[0.0]);
        scene.members() == [1, 3]
    };
    assert!(!passed(Status::NONE, 7_999, &[1_000]), "it is promised to be in time, whatever else arrives");
    assert!(passed(Status::UNSCHEDULABLE, 7_999, &[1_000]));
    // It falls due 1 µs and its deadline less the margin after the origin; the batch ends at 1.7 ms, and it at 2.7.
    assert!(passed(Status::UNSCHEDULABLE, 3_700, &[1_000]));
    assert!(!passed(Status::UNSCHEDULABLE, 3_699, &[1_000]), "it would be late by the batch");
    assert!(!passed(Status::UNSCHEDULABLE, 3_500, &[1_000]), "it would just be in time without");
    assert!(passed(Status::UNSCHEDULABLE, 3_499, &[1_000]), "it would be late without as well");
}

#[test]
fn what_was_not_measured_runs_alone_and_is_not_passed_over() {
    let mut scene = Scene::batching(&[task(); 3], &[]);
    for connection in [0, 1, 2] {
        scene.observe_by(0, connection);
    }
    scene.finish(500, &[0.0]);
    assert_eq!(scene.members(), [2]);
    let other = TaskSpec { model: ModelId(1), status: Status::UNSCHEDULABLE, ..task() };
    let mut scene = Scene::batching(&[task(), other, task(), task()], &[&SIZES]);
    for connection in [3, 0, 1, 2] {
        scene.observe_by(0, connection);
    }
    scene.finish(500, &[0.0]);
    assert_eq!(scene.members(), [1]);
}

#[test]
fn a_batch_is_one_inference_to_its_worker() {
    let mut scene = Scene::batching(&[task(); 5], &[&SIZES]);
    // 16 overruns quarantine a worker. Four members that fall due in one inference are one overrun.
    for round in 0..15 {
        let begun = round * 20_000;
        scene.observe_again(begun, 4, round + 1);
        for connection in 0..4 {
            scene.observe_again(begun + 1, connection, round + 1);
        }
        scene.finish(begun + 500, &[0.0]);
        assert_eq!(scene.time(begun + 7_001).len(), 4, "all four fall due");
        scene.finish_batch(begun + 7_500, Duration::from_micros(7_000), &[[0.0].as_slice(); 4]);
    }
    assert_eq!((scene.engine.total().discarded(), scene.engine.service(WORKER)), (60, Service::Active));
}
