//! The arm against an independent calculation, against itself, and under its policy.

use std::path::{Path, PathBuf};

use manifest::Manifest;
use onnx_model::{Library, Model, Provider};
use plants::{Motion, OBSERVATION_ELEMENTS, Ur5eConveyor, target_at};

mod kinematics;

use kinematics::Pose;

#[test]
fn it_starts_at_rest_on_the_target() {
    let plant = arm();
    assert_eq!(plant.now_ms(), 0);
    assert!(plant.error_m() < 2e-6, "{} m off", plant.error_m());
    assert!(!plant.is_lost());
    let observation = plant.observe();
    assert_eq!(observation[6..12], [0.0; 6], "it is at rest");
    assert!(observation[12..].iter().all(|error| error.abs() < 1e-5), "{observation:?}");
}

/// Each group of the observation against kinematics written down from the maker's DH table, in a
/// state that is far from the start.
#[test]
fn the_observation_is_what_a_calculation_by_hand_gives() {
    let mut plant = arm();
    plant.apply(&[0.05, -0.04, 0.03, 0.05, -0.06, 0.08]);
    for _ in 0..200 {
        plant.step();
    }
    let observation = plant.observe().map(f64::from);
    let (joints, velocities) = (plant.joints_rad(), plant.joints_rad_s());
    close("joint positions", &observation[..6], &joints, 1e-6);
    close("joint velocities", &observation[6..12], &velocities, 1e-6);

    let pose = Pose::of(joints);
    let target = target_at(0.2);
    let position = [0, 1, 2].map(|axis| 10.0 * (target.position_m[axis] - pose.tool_m[axis]));
    assert!(position.iter().any(|error| error.abs() > 0.05), "nothing to see: {position:?}");
    close("position error", &observation[12..15], &position, 1e-6);

    let tool_m_s = Pose::velocity_m_s(joints, velocities);
    let velocity = [0, 1, 2].map(|axis| target.velocity_m_s[axis] - tool_m_s[axis]);
    close("velocity error", &observation[15..18], &velocity, 1e-6);

    let orientation = pose.turn_to_down().map(|sine| 3.0 * sine);
    assert!(orientation.iter().any(|error| error.abs() > 0.05), "nothing to see: {orientation:?}");
    close("orientation error", &observation[18..], &orientation, 1e-6);
}

/// What the robot knows by itself: the same kinematics, and nothing that tells where the part is.
#[test]
fn what_the_robot_knows_alone_does_not_depend_on_the_part() {
    let moved = |motion| {
        let mut plant = arm();
        plant.ride(motion);
        plant.apply(&[0.05, -0.04, 0.03, 0.05, -0.06, 0.08]);
        for _ in 0..200 {
            plant.step();
        }
        plant
    };
    let plant = moved(Motion::DEMO);
    let observation = plant.observe_alone().map(f64::from);
    let (joints, velocities) = (plant.joints_rad(), plant.joints_rad_s());
    let pose = Pose::of(joints);
    close("joint positions", &observation[..6], &joints, 1e-6);
    close("joint velocities", &observation[6..12], &velocities, 1e-6);
    close("tool position", &observation[12..15], &pose.tool_m, 1e-6);
    close("tool velocity", &observation[15..18], &Pose::velocity_m_s(joints, velocities), 1e-6);
    close("orientation error", &observation[18..21], &pose.turn_to_down().map(|sine| 3.0 * sine), 1e-6);
    close("clock", &observation[21..], &[0.2], 1e-6);

    let other = moved(Motion { reach_m: 0.2, ..Motion::DEMO });
    assert_ne!(other.observe().map(f32::to_bits), plant.observe().map(f32::to_bits), "the part is elsewhere");
    assert_eq!(other.observe_alone().map(f32::to_bits), plant.observe_alone().map(f32::to_bits));
    assert_ne!(other.pose().part_m.map(f64::to_bits), plant.pose().part_m.map(f64::to_bits), "a camera can see that");
}

#[test]
fn the_same_inputs_give_the_same_states_bit_for_bit() {
    let run = |plant: &mut Ur5eConveyor| -> Vec<[u32; OBSERVATION_ELEMENTS]> {
        let mut seen = Vec::new();
        for step in 0..500_u16 {
            let swing = (f32::from(step) * 0.05).sin() * 0.1;
            plant.apply(&[swing, -swing, swing, -swing, swing, -swing]);
            plant.step();
            seen.push(plant.observe().map(f32::to_bits));
        }
        seen
    };
    let mut plant = arm();
    let first = run(&mut plant);
    plant.reset();
    assert_eq!(run(&mut plant), first, "after a reset");
    assert_eq!(run(&mut arm()), first, "in another instance");
}

#[test]
fn torque_zero_makes_the_arm_float() {
    let mut plant = arm();
    let before = plant.joints_rad();
    for _ in 0..1000 {
        plant.step();
    }
    close("joints", &plant.joints_rad(), &before, 1e-3);
    assert_eq!(plant.now_ms(), 1000);
    assert!(plant.error_m() > 0.05, "the part rode away");
}

#[test]
fn an_arm_that_swings_away_is_lost() {
    let mut plant = arm();
    plant.apply(&[1.0; 6]);
    let lost = (0..2000).any(|_| {
        plant.step();
        plant.is_lost()
    });
    assert!(lost);
}

/// In virtual time, with the policy two milliseconds away.
#[test]
fn the_policy_tracks_the_part() {
    assert!(rms_m(2) < 0.001, "{} m", rms_m(2));
}

/// The negative control: the physics has a cliff.
#[test]
fn twenty_milliseconds_are_too_late() {
    assert!(rms_m(20) > 0.005, "{} m", rms_m(20));
}

#[test]
fn another_file_is_refused() {
    let missing = Ur5eConveyor::load(Path::new("nowhere/arm.xml")).err().expect("no such file");
    assert!(missing.to_string().starts_with("nowhere/arm.xml: "), "{missing}");
}

fn rms_m(latency_ms: usize) -> f64 {
    let library = Library::find(None).expect("`make native` was run");
    let library = Library::load(&library).expect("it is an ONNX Runtime");
    let manifest = Manifest::load(&folder()).expect("the policy is checked in");
    let mut policy = Model::load(&library, &manifest, Provider::Cpu).expect("the policy loads");

    let mut plant = arm();
    let mut in_flight = std::collections::VecDeque::new();
    let (mut squares, mut count) = (0.0, 0.0);
    for now_ms in 0..6000 {
        if now_ms % 2 == 0 {
            policy.observation_mut().copy_from_slice(&plant.observe());
            let torque: [f32; 6] = policy.run().expect("it runs").action().try_into().expect("six torques");
            in_flight.push_back((now_ms + latency_ms, torque));
            if now_ms >= 600 {
                squares += plant.error_m().powi(2);
                count += 1.0;
            }
        }
        while let Some((_, torque)) = in_flight.pop_front_if(|(due_ms, _)| *due_ms <= now_ms) {
            plant.apply(&torque);
        }
        plant.step();
    }
    f64::sqrt(squares / count)
}

fn close(what: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(expected) {
        assert!((ours - expected).abs() < tolerance, "{what}: {ours} instead of {expected}");
    }
}

fn arm() -> Ur5eConveyor {
    Ur5eConveyor::load(&folder().join("arm.xml")).expect("the arm is checked in")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/ur5e-conveyor")
}
