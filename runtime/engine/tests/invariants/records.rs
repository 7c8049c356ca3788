//! Timing records: what is marked, what voids one, and what a task does then.

use engine::{Degraded, Duration, Event, Reason, VoidCause};
use message::Status;

use crate::scene::{ONLY, Said, Scene, WORKER};

const DEGRADED: Status = Status::DEGRADED.with(Status::UNMEASURED);

#[test]
fn what_was_not_measured_is_marked_and_what_was_is_not() {
    for (mut scene, unmeasured) in [(Scene::new(), true), (Scene::measured(Degraded::Keep), false)] {
        scene.observe(0, 1);
        scene.finish(100, &[0.0]);
        assert_eq!(scene.status.contains(Status::UNMEASURED), unmeasured);
    }
}

#[test]
fn the_fourth_long_inference_of_a_window_voids_the_record_once() {
    let mut scene = Scene::measured(Degraded::Keep);
    exceed(&mut scene, 3);
    assert_eq!((scene.status.contains(DEGRADED), scene.engine.records()[0].above()), (false, 3));
    exceed(&mut scene, 4);
    assert!(scene.status.contains(DEGRADED), "the model goes on, marked");
    assert_eq!(scene.void, [Reason::RecordExceeded]);
    let record = &scene.engine.records()[0];
    assert_eq!((record.void(), record.above(), record.executions()), (Some(Reason::RecordExceeded), 7, 7));
    scene.handle(100_000, Event::RecordVoid { worker: WORKER, cause: VoidCause::Throttled });
    assert_eq!(scene.void, [Reason::RecordExceeded], "it was void already");
}

#[test]
fn where_a_device_throttles_the_rate_is_lower() {
    let mut scene = Scene::measured(Degraded::LowerRate { factor: 100 });
    scene.observe(0, 1);
    scene.finish(100, &[0.0]);
    scene.handle(200, Event::RecordVoid { worker: WORKER, cause: VoidCause::Throttled });
    assert_eq!(scene.void, [Reason::Throttled]);
    assert_eq!(scene.observe(300, 2), [], "as soon as its old period allows");
    scene.finish(400, &[0.0]);
    assert_eq!(scene.observe(1_299, 3), [(3, Said::Refusal(Reason::Period))]);
    assert!(scene.status.contains(DEGRADED), "a refusal says why, too");
    assert_eq!(scene.observe(1_300, 4), []);
}

#[test]
fn a_task_that_rests_lets_what_began_end_and_begins_nothing() {
    let mut scene = Scene::measured(Degraded::Rest);
    scene.observe(0, 1); // begins
    scene.observe(100, 2); // waits
    let said = scene.handle(200, Event::RecordVoid { worker: WORKER, cause: VoidCause::SettingChanged });
    assert_eq!(said, [], "1 runs, and 2 may not overtake it");
    let said = scene.finish(300, &[0.1]);
    assert_eq!(said, [(1, Said::Action), (2, Said::Fallback(Reason::Resting))]);
    assert_eq!(scene.observe(400, 3), [(3, Said::Fallback(Reason::Resting))], "at once");
    assert!(scene.status.contains(DEGRADED));
    // It holds for 50 ms after the model's last action, and then ramps to rest.
    scene.observe(60_000, 4);
    assert!(scene.values[0] < 0.05, "{:?}", scene.values);
}

/// So many inferences that take 1 ns longer than the record says.
fn exceed(scene: &mut Scene, times: u64) {
    let done = scene.engine.ledger(ONLY).received();
    for sequence in done + 1..=done + times {
        scene.observe(sequence * 1_000, sequence);
        scene.finish_after(sequence * 1_000 + 500, Duration::from_nanos(1_000_001), &[0.0]);
    }
}
