//! A plan that is asked for with what is played meanwhile: its model is told that, and that is played.

use engine::{
    Duration, Element, Envelope, Event, Gives, Interpolation, Overlap, PlanSpec, Reason, Start, TaskSpec, TooFast,
};
use message::{Address, Epoch, Reset, Sequence};

use crate::scene::{CONTRACT, ONLY, Said, Scene, WORKER, observation, task};

const PERIOD_US: u64 = 10_000;
const STEPS: u16 = 8;

/// Eight steps of 10 ms. The next is asked for when 20 ms have passed, or with what a round trip of 4 ms and a step take.
fn spec() -> PlanSpec {
    PlanSpec {
        period: Duration::from_micros(PERIOD_US),
        steps: STEPS,
        interpolation: Interpolation::Linear,
        overlap: Overlap::Freeze,
        refresh: Some(Duration::from_micros(20_000)),
        timeout: Duration::from_micros(70_000),
        retry: Duration::from_micros(5_000),
    }
}

/// One element that the rate limit never changes, so that what is played is what the plan says.
fn frozen(plan: PlanSpec) -> TaskSpec<'static> {
    let element = Element { min: -1.0, max: 1.0, max_change_per_s: 1e6, rest: 0.0, start: Start::Value(0.0) };
    let max_step = Duration::from_micros(PERIOD_US);
    let envelope = Envelope::new(vec![element].leak(), TooFast::Clamp, max_step).expect("a good element");
    TaskSpec { plan: Some(plan), gives: Gives::Action(envelope), ..task() }
}

/// Not a straight line, so that a row that is shifted is another.
const FIRST: [f32; 8] = [0.0, 0.5, 0.1, 0.7, 0.2, 0.9, 0.3, 0.6];

/// An observation at 0 from which a plan was computed by 4 ms.
fn with_plan(plan: PlanSpec) -> Scene {
    let mut scene = Scene::clustered(frozen(plan));
    scene.observe(0, 1);
    assert_eq!(scene.committed, Some((vec![0.0; 8], 0)), "there is no plan yet");
    scene.finish(4_000, &FIRST);
    scene
}

#[track_caller]
fn told(scene: &Scene, rows: [f64; 8], steps: u16) {
    let (found, count) = scene.committed.as_ref().expect("its plans freeze");
    assert_eq!(*count, steps);
    let near = found.iter().zip(rows).all(|(found, row)| (f64::from(*found) - row).abs() < 1e-6);
    assert!(near, "{found:?} and not {rows:?}");
}

#[track_caller]
fn plays(scene: &mut Scene, (micros, sequence): (u64, u64), wanted: f64) {
    assert_eq!(scene.observe(micros, sequence), [(sequence, Said::Action)]);
    assert!((f64::from(scene.values[0]) - wanted).abs() < 1e-6, "{:?} and not {wanted}", scene.values);
}

#[test]
fn rows_are_what_is_played_period_by_period_then_what_is_left_then_the_last_step() {
    let mut scene = with_plan(spec());
    scene.observe(19_999, 2);
    assert_eq!(scene.engine.committed_on(WORKER), None, "nothing is computed");
    scene.observe(25_000, 3);
    told(&scene, [0.4, 0.45, 0.55, 0.6, 0.45, 0.6, 0.6, 0.6], 2);
}

/// Each interpolation at each phase, computed here by other means.
#[test]
fn rows_are_those_of_an_independent_computation() {
    let step = |place: u64| f64::from(FIRST[usize::try_from(place.min(7)).expect("a plan is short")]);
    let value = |interpolation, micros: u64| {
        let (place, share) = (micros / PERIOD_US, f64::from(u32::try_from(micros % PERIOD_US).expect("short")) / 1e4);
        if place >= u64::from(STEPS) {
            return step(7);
        }
        let (here, next) = (step(place), step(place + 1));
        match interpolation {
            Interpolation::Hold => here,
            Interpolation::Linear => here * (1.0 - share) + next * share,
            Interpolation::Cubic => {
                // Bézier's form: a third of each slope away from its step, cut off at the range.
                let (leaves, arrives) = ((next - step(place.saturating_sub(1))) / 2.0, (step(place + 2) - here) / 2.0);
                let (second, third, rest) = (here + leaves / 3.0, next - arrives / 3.0, 1.0 - share);
                let bent = 3.0 * second * rest.powi(2) * share + 3.0 * third * rest * share.powi(2);
                (here * rest.powi(3) + bent + next * share.powi(3)).clamp(-1.0, 1.0)
            }
        }
    };
    for interpolation in [Interpolation::Hold, Interpolation::Linear, Interpolation::Cubic] {
        for micros in (20_000..80_000).step_by(777) {
            let mut scene = with_plan(PlanSpec { interpolation, ..spec() });
            scene.observe(micros, 2);
            let rows = std::array::from_fn(|row| value(interpolation, micros + PERIOD_US * row as u64));
            let left = u16::try_from((80_000 - micros).div_ceil(PERIOD_US)).expect("a plan is short");
            told(&scene, rows, left.min(2));
        }
    }
}

#[test]
fn as_much_is_committed_as_the_longest_round_trip_and_a_period_take_and_no_more_than_there_is() {
    let committed = |trips_us: &[u64], micros| {
        let mut scene = Scene::clustered(frozen(PlanSpec { retry: Duration::from_micros(1), ..spec() }));
        scene.observe(0, 1);
        let (mut now, mut sequence) = (0, 1);
        for trip in trips_us {
            scene.finish(now + trip, &FIRST);
            (now, sequence) = (now + trip + 20_000, sequence + 1);
            scene.observe(now, sequence);
        }
        // The last was computed from the observation that is answered at `now`.
        scene.finish(now + trips_us[0], &FIRST);
        scene.observe(now + micros, sequence + 1);
        scene.committed.expect("its plans freeze").1
    };
    assert_eq!(committed(&[4_000], 20_000), 2, "1.4 periods");
    assert_eq!(committed(&[10_000], 20_000), 2, "two periods and no more");
    assert_eq!(committed(&[10_001], 20_000), 3);
    assert_eq!(committed(&[4_000, 31_000, 4_000], 20_000), 5, "the longest that is remembered");
    assert_eq!(committed(&[4_000, 31_000, 4_000], 50_000), 3, "30 ms are left");
    assert_eq!(committed(&[4_000, 31_000, 4_000], 79_999), 1);
    assert_eq!(committed(&[4_000, 31_000, 4_000], 80_000), 0, "it has run out");
}

#[test]
fn what_was_promised_is_played_whatever_the_model_gave_there_and_then_its_own() {
    let mut scene = with_plan(spec());
    scene.observe(20_000, 2);
    told(&scene, [0.1, 0.7, 0.2, 0.9, 0.3, 0.6, 0.6, 0.6], 2);
    plays(&mut scene, (22_000, 3), 0.22);
    scene.finish(24_000, &[-0.9, -0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]);
    for (sequence, micros, wanted) in [
        (4, 25_000, 0.4),
        (5, 30_000, 0.7),
        // From the last row that was promised to the first of its own.
        (6, 35_000, 0.6),
        (7, 39_999, 0.500_02),
    ] {
        plays(&mut scene, (micros, sequence), wanted);
        assert_eq!(scene.plan, (2, u32::try_from(micros / PERIOD_US - 2).expect("a plan is short")));
    }
    // The next continues from this one, as it is played.
    scene.observe(40_000, 8);
    told(&scene, [0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0], 2);
    assert_eq!(scene.engine.plan_ledger(ONLY).adopted(), 2);
}

#[test]
fn a_second_plan_within_what_the_first_promised_promises_the_same() {
    let mut scene = with_plan(PlanSpec { refresh: Some(Duration::from_micros(1)), ..spec() });
    scene.observe(20_000, 2);
    scene.finish(21_000, &[-0.9, -0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]);
    scene.observe(25_000, 3);
    told(&scene, [0.4, 0.6, 0.45, 0.35, 0.25, 0.15, 0.05, 0.0], 2);
    scene.finish(26_000, &[-0.8, -0.8, -0.7, 0.0, 0.0, 0.0, 0.0, 0.0]);
    plays(&mut scene, (30_000, 4), 0.5);
    plays(&mut scene, (35_000, 5), 0.6);
    plays(&mut scene, (45_000, 6), -0.7);
}

#[test]
fn a_plan_that_comes_later_than_it_promised_is_played_from_where_it_is() {
    let mut scene = with_plan(spec());
    scene.observe(20_000, 2);
    plays(&mut scene, (44_000, 3), 0.48);
    scene.finish(45_000, &[-0.9, -0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]);
    plays(&mut scene, (45_000, 4), 0.45);
    assert_eq!(scene.plan, (2, 2));
}

/// What was promised is older than the plan that keeps it.
#[test]
fn a_step_is_as_old_as_what_it_was_computed_from() {
    let mut scene = with_plan(spec());
    scene.observe(20_000, 2);
    scene.finish(24_000, &[-0.9, -0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]);
    plays(&mut scene, (39_000, 3), 0.52);
    assert_eq!(scene.ages.0, 39_000, "promised by the first plan");
    plays(&mut scene, (40_000, 4), 0.5);
    assert_eq!(scene.ages.0, 20_000, "of the second plan's own");
    scene.finish(41_000, &[0.0; 8]);
    plays(&mut scene, (45_000, 5), 0.45);
    assert_eq!(scene.ages.0, 25_000, "promised by the second plan");
    scene.observe(60_000, 6);
    assert_eq!(scene.ages.0, 20_000, "of the third plan's own");
}

/// Else the next plan would be the old one alone, resampled, whatever its model gave.
#[test]
fn no_plan_is_asked_for_that_would_have_no_step_of_its_own() {
    let mut scene = Scene::clustered(frozen(PlanSpec { refresh: Some(Duration::from_micros(1)), ..spec() }));
    scene.observe(0, 1);
    scene.finish(65_000, &FIRST);
    scene.observe(66_000, 2);
    assert!(scene.committed.as_ref().is_some_and(|(_, steps)| *steps == 2), "{:?}: what is left", scene.committed);
    scene.finish(67_000, &FIRST);
    let asked = scene.engine.plan_ledger(ONLY);
    scene.observe(70_000, 3);
    assert_eq!(scene.engine.plan_ledger(ONLY), asked, "all eight would be committed");
    scene.observe(76_000, 4);
    assert_eq!(scene.committed.as_ref().map(|(_, steps)| *steps), Some(7), "one is its own");
}

#[test]
fn a_plan_that_gave_nothing_leaves_the_one_that_is_played_as_it_was() {
    let mut scene = with_plan(spec());
    scene.observe(20_000, 2);
    scene.finish(24_000, &[0.0; 7]);
    plays(&mut scene, (25_000, 3), 0.4);
    plays(&mut scene, (60_000, 4), 0.3);
    assert_eq!(scene.plan, (1, 6));
    told(&scene, [0.3, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6], 2);
}

#[test]
fn what_is_promised_need_not_be_right_but_it_must_be_a_plan() {
    let mut scene = with_plan(spec());
    scene.observe(20_000, 2);
    scene.finish(24_000, &[f32::NAN, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]);
    assert_eq!(scene.engine.plan_ledger(ONLY).by_reason(Reason::ActionNotFinite), 1);
}

#[test]
fn nothing_is_committed_after_a_new_epoch_a_demand_or_a_plan_that_ran_out() {
    let nothing = Some((vec![0.0; 8], 0));
    let mut restarted = with_plan(spec());
    restarted.frame(20_000, &observation(1, 8, 0));
    assert_eq!(restarted.committed, nothing);

    let mut demanded = with_plan(spec());
    let (epoch, from_sequence) = (Epoch::new(7), Sequence::new(2).expect("from 1"));
    let reset = Reset { address: Address::new(5), contract: CONTRACT, epoch, from_sequence };
    let mut frame = [0; 128];
    let length = reset.encode(&mut frame).expect("there is room");
    demanded.handle(8_000, Event::Reset { connection: ONLY, bytes: Some(&frame[..length]) });
    demanded.observe(20_000, 2);
    assert_eq!(demanded.committed, nothing);

    let mut over = with_plan(spec());
    over.observe(80_000, 2);
    assert_eq!(over.committed, nothing);
    over.finish(84_000, &FIRST);
    plays(&mut over, (85_000, 3), 0.25);
}

#[test]
fn what_a_restart_interrupts_is_promised_to_nobody() {
    let mut scene = with_plan(spec());
    scene.observe(20_000, 2);
    scene.frame(21_000, &observation(1, 8, 0));
    scene.finish(24_000, &[0.5; 8]);
    assert_eq!(scene.engine.plan_ledger(ONLY).discarded(), 1);
    scene.frame(25_000, &observation(2, 8, 0));
    assert_eq!(scene.committed, Some((vec![0.0; 8], 0)));
    scene.finish(29_000, &FIRST);
    assert_eq!(scene.frame(35_000, &observation(3, 8, 0)), [(3, Said::Action)]);
    assert!((scene.values[0] - 0.5).abs() < 1e-6, "{:?}", scene.values);
}

#[test]
fn who_blends_is_told_nothing() {
    let mut scene = Scene::clustered(frozen(PlanSpec { overlap: Overlap::Blend(Duration::ZERO), ..spec() }));
    scene.observe(0, 1);
    scene.finish(4_000, &FIRST);
    scene.observe(20_000, 2);
    assert_eq!((scene.engine.plan_ledger(ONLY).in_flight(), &scene.committed), (1, &None));
}
