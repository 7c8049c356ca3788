//! The arm on plans: what a planner is told, the robot's own law, and the planner of `models/ur5e-planner` in virtual time.

use std::path::{Path, PathBuf};

use manifest::Manifest;
use onnx_model::{Library, Model, Provider};
use plants::{JOINTS, Motion, PLAN_ELEMENTS, Push, Ride, Slip, TRACKED_ELEMENTS, Ur5eConveyor};

const STEP_MS: u32 = 20;

#[test]
fn a_planner_is_told_the_joints_the_part_and_where_it_was() {
    let slip = Slip { at_s: 0.1, for_s: 0.1, by_m: [0.01, 0.04] };
    let ride = Ride { slip: Some(slip), ..Ride::calm(Motion::DEMO) };
    let mut plant = arm();
    plant.ride_upset(ride);
    plant.apply(&[0.05, -0.04, 0.03, 0.05, -0.06, 0.08]);
    for _ in 0..250 {
        plant.step();
    }
    let observation = plant.observe_track().map(f64::from);
    let (now, then) = (ride.at(0.25), ride.at(0.25 - 0.18));
    let mut expected = [plant.joints_rad(), plant.joints_rad_s()].concat();
    expected.extend_from_slice(&now.position_m[..2]);
    expected.extend_from_slice(&now.velocity_m_s[..2]);
    expected.extend_from_slice(&[0.04, 0.08, 0.12].map(|lag| ride.at(0.25 - lag).position_m[..2].to_vec()).concat());
    close(&observation[..22], &expected, 1e-6);
    // Before the part slipped.
    close(&observation[22..24], &then.position_m[..2], 1e-6);
    let moves = |of: Ride| of.at(0.25).position_m[1] - of.at(0.25 - 0.18).position_m[1];
    let slipped = moves(ride) - moves(Ride::calm(Motion::DEMO));
    assert!((slipped - 0.04).abs() < 1e-6, "the slip is seen: {slipped} m");
    let long_ago = ride.at(0.25 - 2.4).position_m;
    close(&observation[TRACKED_ELEMENTS - 2..], &long_ago[..2], 1e-6);
}

#[test]
fn the_law_holds_the_joints_where_they_are_and_a_push_moves_them() {
    let held = |push: Option<Push>| {
        let mut plant = arm();
        plant.ride_upset(Ride { push, ..Ride::calm(Motion::DEMO) });
        let start = plant.joints_rad();
        plant.hold(&plant.observe_track()[..PLAN_ELEMENTS].try_into().expect("positions and velocities"));
        let moved = |plant: &Ur5eConveyor| farthest(&plant.joints_rad(), &start);
        let mut most: f64 = 0.0;
        for _ in 0..500 {
            plant.step();
            most = most.max(moved(&plant));
        }
        (most, moved(&plant))
    };
    let (calm, _) = held(None);
    assert!(calm < 1e-4, "it stands: {calm} rad");
    let (pushed, settled) = held(Some(Push { at_ms: 100, for_ms: 100, force_n: [40.0, 0.0, 0.0] }));
    assert!(pushed > 10.0 * calm.max(1e-4), "it gives way: {pushed} rad");
    assert!(settled < 1e-3, "and comes back: {settled} rad");
}

/// In virtual time: each observation's plan is there at once, and its second step is what is gone to.
#[test]
fn the_planner_tracks_the_part() {
    assert!(rms_m(20) < 0.004, "{} m", rms_m(20));
}

/// The negative control: what a naive caller does, which holds a step of its last plan while it waits for the next.
#[test]
fn a_step_that_is_held_for_150_ms_is_not_tracking() {
    assert!(rms_m(150) > 0.015, "{} m", rms_m(150));
}

/// A plan each so many ms, and its second step held meanwhile.
fn rms_m(every_ms: u32) -> f64 {
    let library = Library::find(None).expect("`make native` was run");
    let library = Library::load(&library).expect("it is an ONNX Runtime");
    let manifest = Manifest::load(&models().join("ur5e-planner")).expect("the planner is checked in");
    let mut planner = Model::load(&library, &manifest, Provider::Cpu).expect("the planner loads");
    let mut plant = arm();
    let (mut squares, mut count) = (0.0, 0.0);
    for now_ms in 0..6000 {
        if now_ms % every_ms == 0 {
            planner.observation_mut().copy_from_slice(&plant.observe_track());
            let plan = planner.run().expect("it runs").action();
            let step: [f32; PLAN_ELEMENTS] = plan[PLAN_ELEMENTS..2 * PLAN_ELEMENTS].try_into().expect("a second step");
            if every_ms == STEP_MS { plant.follow(&step, now_ms + STEP_MS) } else { plant.hold(&step) }
        }
        plant.step();
        if now_ms >= 600 {
            squares += plant.error_m().powi(2);
            count += 1.0;
        }
    }
    f64::sqrt(squares / count)
}

fn farthest(joints: &[f64; JOINTS], from: &[f64; JOINTS]) -> f64 {
    joints.iter().zip(from).map(|(joint, from)| (joint - from).abs()).fold(0.0, f64::max)
}

fn close(ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len());
    for (place, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert!((ours - expected).abs() < tolerance, "{place}: {ours} instead of {expected}");
    }
}

fn arm() -> Ur5eConveyor {
    Ur5eConveyor::load(&models().join("ur5e-conveyor/arm.xml")).expect("the arm is checked in")
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}
