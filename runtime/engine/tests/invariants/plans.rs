//! A task with plans: each observation is answered at once by the step of its arrival, and what computes the next plan
//! never holds one up.

use engine::{
    Carries, DeclarationError, Degraded, Duration, Event, Failed, HandOffFailure, InputId, Interpolation, JoinedSpec,
    LimitError, ModelId, Overlap, PlanSpec, Reason, SampleClock, Service, Task, TaskSpec, WallClock,
};
use message::{Address, Epoch, Input, Place, Reset, Sequence, Source, Stamp};

use crate::scene::{CONTRACT, ONLY, Said, Scene, WORKER, at, observation, task};

/// Five steps of 10 ms, of which a twentieth of a second is the timeout.
fn spec() -> PlanSpec {
    PlanSpec {
        period: Duration::from_micros(10_000),
        steps: 5,
        interpolation: Interpolation::Linear,
        overlap: Overlap::Blend(Duration::ZERO),
        refresh: None,
        timeout: Duration::from_micros(50_000),
        retry: Duration::from_micros(5_000),
    }
}

fn planned(plan: PlanSpec) -> TaskSpec<'static> {
    TaskSpec { plan: Some(plan), ..task() }
}

/// Nothing that a step is compared with is changed by the rate limit: a hundredth in 10 ms.
const PLAN: [f32; 5] = [0.0, 0.01, 0.02, 0.03, 0.04];

fn near(scene: &Scene, wanted: f32) -> bool {
    scene.values.iter().all(|value| (value - wanted).abs() < 1e-5)
}

/// An observation at 0 from which a plan was computed by 4 ms.
fn with_plan(plan: PlanSpec) -> Scene {
    let mut scene = Scene::clustered(planned(plan));
    assert_eq!(scene.observe(0, 1), [(1, Said::Fallback(Reason::PlanMissing))]);
    scene.finish(4_000, &PLAN);
    scene
}

#[test]
fn an_observation_is_answered_at_once_and_the_plan_is_asked_beside_it() {
    let mut scene = Scene::clustered(planned(spec()));
    assert_eq!(scene.observe(0, 1), [(1, Said::Fallback(Reason::PlanMissing))]);
    assert_eq!(scene.engine.plan_on(WORKER).map(|member| member.sequence.value()), Some(1));
    assert_eq!(scene.engine.deadline_on(WORKER), Some(at(50_000)));
    assert_eq!(scene.observe(2_000, 2), [(2, Said::Fallback(Reason::PlanMissing))]);
    assert_eq!(scene.engine.plan_ledger(ONLY).asked(), 1, "one at a time");
    assert!(scene.finish(4_000, &PLAN).is_empty(), "a plan that comes answers nothing by itself");
    assert_eq!(scene.observe(10_000, 3), [(3, Said::Action)]);
    assert!(near(&scene, 0.01), "{:?}", scene.values);
    assert_eq!((scene.place, scene.plan), (Some(Place::Cluster), (1, 1)));
    assert_eq!(scene.ages, (10_000, 0), "as old as what it was computed from");
    scene.observe(15_000, 4);
    assert!(near(&scene, 0.015), "{:?}", scene.values);
    assert!(scene.engine.total().balances());
}

#[test]
fn steps_that_have_passed_are_skipped_and_a_plan_that_ran_out_plays_no_more() {
    let mut scene = with_plan(PlanSpec { retry: Duration::SECOND, ..spec() });
    assert_eq!(scene.observe(30_000, 2), [(2, Said::Action)]);
    assert_eq!(scene.plan, (1, 3));
    assert_eq!(scene.observe(49_999, 3), [(3, Said::Action)]);
    assert_eq!(scene.plan, (1, 4));
    assert!(scene.engine.plan_status(ONLY, at(49_999)).is_some());
    assert_eq!(scene.observe(50_000, 4), [(4, Said::Fallback(Reason::PlanRanOut))]);
    assert_eq!(scene.plan, (0, 0));
    assert_eq!(scene.engine.plan_status(ONLY, at(50_000)), None);
}

#[test]
fn the_next_plan_is_asked_for_as_early_as_the_slowest_round_trip_needs() {
    let asked = |micros| {
        // 4 ms and a period of 10 ms: from 36 ms on.
        let mut scene = with_plan(spec());
        scene.observe(micros, 2);
        scene.engine.plan_ledger(ONLY).asked()
    };
    assert_eq!([asked(35_999), asked(36_000)], [1, 2]);
    let refreshed = |micros| {
        let mut scene = with_plan(PlanSpec { refresh: Some(Duration::from_micros(20_000)), ..spec() });
        scene.observe(micros, 2);
        scene.engine.plan_ledger(ONLY).asked()
    };
    assert_eq!([refreshed(19_999), refreshed(20_000)], [1, 2]);
}

#[test]
fn one_plan_fades_into_the_next() {
    let mut scene = with_plan(PlanSpec { overlap: Overlap::Blend(Duration::from_micros(10_000)), ..spec() });
    scene.observe(30_000, 2);
    scene.finish(31_000, &[0.02; 5]);
    scene.observe(36_000, 3);
    assert_eq!(scene.plan, (2, 0));
    assert!(near(&scene, f32::midpoint(0.036, 0.02)), "half of each after half of the blend: {:?}", scene.values);
    scene.observe(41_000, 4);
    assert!(near(&scene, 0.02), "{:?}", scene.values);
}

#[test]
fn what_may_not_be_played_is_no_plan_and_is_asked_again_after_a_pause() {
    type Given = Result<Vec<f32>, Failed>;
    let mut wrong: Vec<(Given, Reason)> = vec![
        (Ok(vec![0.0; 4]), Reason::ModelFailed),
        (Ok(vec![0.0, 0.0, f32::NAN, 0.0, 0.0]), Reason::ActionNotFinite),
        (Ok(vec![0.0, 0.0, 0.0, 0.0, 1.5]), Reason::OutOfRange),
    ];
    wrong.extend(HandOffFailure::ALL.map(|failure| (Err(Failed::HandOff(failure)), failure.reason())));
    for (given, reason) in wrong {
        let mut scene = Scene::clustered(planned(spec()));
        scene.observe(0, 1);
        match &given {
            Ok(values) => scene.finish(4_000, values),
            Err(failed) => scene.fail(4_000, *failed),
        };
        let ledger = scene.engine.plan_ledger(ONLY);
        assert_eq!((ledger.failed(), ledger.by_reason(reason), ledger.balances()), (1, 1, true), "{reason}");
        assert_eq!(scene.observe(8_999, 2), [(2, Said::Fallback(Reason::PlanMissing))]);
        assert_eq!(scene.engine.plan_ledger(ONLY).asked(), 1, "not before the pause is over");
        scene.observe(9_000, 3);
        assert_eq!(scene.engine.plan_ledger(ONLY).asked(), 2);
    }
}

#[test]
fn a_plan_that_comes_too_late_is_counted_and_not_played() {
    let mut scene = Scene::clustered(planned(spec()));
    scene.observe(0, 1);
    scene.finish(50_000, &PLAN);
    assert_eq!(scene.engine.plan_ledger(ONLY).too_late(), 1, "it has run out");
    let mut slow = Scene::clustered(planned(PlanSpec { timeout: Duration::from_micros(10_000), ..spec() }));
    slow.observe(0, 1);
    slow.finish(10_001, &PLAN);
    assert_eq!(slow.engine.plan_ledger(ONLY).too_late(), 1, "it took longer than it may");
    let mut just = Scene::clustered(planned(PlanSpec { timeout: Duration::from_micros(10_000), ..spec() }));
    just.observe(0, 1);
    just.finish(10_000, &PLAN);
    assert_eq!(just.engine.plan_ledger(ONLY).adopted(), 1);
}

#[test]
fn a_new_epoch_clears_the_plan_and_discards_the_one_that_is_computed() {
    let mut scene = with_plan(spec());
    scene.observe(36_000, 2);
    assert_eq!(scene.engine.plan_ledger(ONLY).in_flight(), 1);
    assert_eq!(scene.frame(37_000, &observation(1, 8, 0)), [(1, Said::Fallback(Reason::PlanMissing))]);
    assert_eq!(scene.engine.plan_ledger(ONLY).asked(), 2, "the worker is occupied by the one before");
    scene.finish(38_000, &PLAN);
    assert_eq!(scene.engine.plan_ledger(ONLY).discarded(), 1);
    assert_eq!(scene.frame(39_000, &observation(2, 8, 0)), [(2, Said::Fallback(Reason::PlanMissing))]);
    assert_eq!(scene.engine.plan_ledger(ONLY).asked(), 3);
}

#[test]
fn a_demand_clears_the_plan_from_its_sequence_on() {
    let mut scene = with_plan(spec());
    let (epoch, from_sequence) = (Epoch::new(7), Sequence::new(3).expect("from 1"));
    let reset = Reset { address: Address::new(5), contract: CONTRACT, epoch, from_sequence };
    let mut frame = [0; 128];
    let length = reset.encode(&mut frame).expect("there is room");
    scene.handle(8_000, Event::Reset { connection: ONLY, bytes: Some(&frame[..length]) });
    assert_eq!(scene.observe(10_000, 2), [(2, Said::Action)]);
    assert_eq!(scene.observe(12_000, 3), [(3, Said::Fallback(Reason::PlanMissing))]);
    scene.finish(14_000, &PLAN);
    assert_eq!(scene.observe(16_000, 4), [(4, Said::Action)]);
    assert!(scene.status.contains(message::Status::STATE_RESET));
    scene.observe(18_000, 5);
    assert!(!scene.status.contains(message::Status::STATE_RESET), "only the first says so");
}

#[test]
fn a_worker_that_hangs_over_a_plan_is_given_up_and_the_plan_with_it() {
    let mut scene = Scene::declared_once(planned(PlanSpec { timeout: Duration::SECOND, ..spec() }));
    scene.observe(0, 1);
    scene.time(1_000_000);
    assert_eq!(scene.engine.service(WORKER), Service::Quarantined);
    assert_eq!(scene.engine.plan_ledger(ONLY).discarded(), 1);
    scene.finish(1_100_000, &PLAN);
    let ledger = scene.engine.plan_ledger(ONLY);
    assert_eq!((ledger.discarded(), ledger.balances()), (1, true), "it is counted once");
}

#[test]
fn a_plan_is_computed_on_a_free_worker_and_its_robot_waits_for_none() {
    let other = TaskSpec { model: ModelId(1), ..task() };
    let mut scene = Scene::batching(&[planned(spec()), other], &[]);
    assert_eq!(scene.observe_by(0, 1), [], "the other robot's inference begins");
    assert_eq!(scene.observe_by(100, 0), [(1, Said::Fallback(Reason::PlanMissing))]);
    assert_eq!(scene.engine.plan_ledger(ONLY).asked(), 0, "no worker is free");
    assert_eq!(scene.finish(200, &[0.0]), [(2, Said::Action)]);
    assert_eq!(scene.observe_again(300, 0, 2), [(2, Said::Fallback(Reason::PlanMissing))]);
    assert_eq!(scene.engine.plan_ledger(ONLY).asked(), 1);
    assert_eq!(scene.observe_again(400, 1, 3), [], "it waits for the worker, as behind any inference");
    assert_eq!(scene.finish(500, &PLAN), []);
    assert_eq!(scene.members(), [3], "and begins when the plan is there");
}

#[test]
fn without_its_joined_input_no_plan_is_asked_for_and_the_one_that_is_plays_on() {
    let carries = Carries::Values { address: Address::new(6), values: 2 };
    let max_age = Duration::from_micros(20_000);
    let camera = JoinedSpec { connection: ONLY, carries, max_age, clock: SampleClock::Arrival };
    let mut scene =
        Scene::joining(&[planned(PlanSpec { overlap: Overlap::Blend(Duration::SECOND), ..spec() })], &[], &[camera]);
    assert_eq!(scene.observe(0, 1), [(1, Said::Fallback(Reason::PlanMissing))]);
    assert_eq!(scene.engine.plan_ledger(ONLY).asked(), 0, "no picture has come");
    let sample = Input {
        address: Address::new(6),
        contract: CONTRACT,
        source: Source::new(1),
        sequence: Sequence::new(1).expect("from 1"),
        stamp: Stamp::new(0),
        values: &[0; 8],
    };
    let mut frame = [0; Input::OVERHEAD + 8];
    sample.encode(&mut frame).expect("there is room");
    let wall = WallClock::from_unix_at_origin(0);
    scene.handle(1_000, Event::Sample { input: InputId(0), arrival: at(1_000), wall, bytes: &frame });
    scene.observe(5_000, 2);
    scene.finish(7_000, &PLAN);
    assert_eq!(scene.observe(21_001, 3), [(3, Said::Action)]);
    assert_eq!(scene.ages, (20_001, 0), "the picture is older than the observation");
    assert_eq!(scene.engine.plan_ledger(ONLY).asked(), 1, "it is due, but the picture is too old");
}

#[test]
fn a_plan_that_cannot_be_played_is_no_declaration() {
    let refused = |task| Task::new(task).err();
    assert_eq!(refused(planned(spec())), None);
    let plan = Some(DeclarationError::Plan);
    assert_eq!(refused(planned(PlanSpec { steps: 1, ..spec() })), plan);
    assert_eq!(refused(planned(PlanSpec { steps: u16::MAX, ..spec() })), plan);
    assert_eq!(refused(planned(PlanSpec { period: Duration::ZERO, ..spec() })), plan);
    assert_eq!(refused(planned(PlanSpec { timeout: Duration::ZERO, ..spec() })), plan);
    assert_eq!(refused(TaskSpec { max_gap: Some(Duration::SECOND), ..planned(spec()) }), plan);
    assert_eq!(refused(TaskSpec { degraded: Degraded::Rest, ..planned(spec()) }), plan);
    assert_eq!(Scene::without_room(planned(spec())), Some(LimitError::PlanRoom));
    assert_eq!(Scene::without_room(task()), None, "without plans no room is needed");
}
