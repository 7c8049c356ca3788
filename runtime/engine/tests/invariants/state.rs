//! Invariant 11: state belongs to a connection and advances only with what was sent.

use engine::{ConnectionId, Duration, Event, Reason};
use message::{Address, ContractDigest, Epoch, Reset, Sequence, Status};

use crate::scene::{ONLY, Said, Scene, observation};

#[test]
fn invariant_11_state_advances_with_what_was_sent_and_says_where_it_began() {
    let mut scene = Scene::remembering(1);
    scene.observe(0, 1);
    let first = scene.running[0];
    scene.finish(1_000, &[0.1]);
    assert!(scene.status.contains(Status::STATE_RESET));
    scene.observe(2_000, 2);
    scene.finish(3_000, &[0.1]);
    assert!(!scene.status.contains(Status::STATE_RESET));
    scene.observe(4_000, 3);
    assert_eq!(scene.began, [(true, 0), (false, 2_000), (false, 4_000)]);
    assert_eq!(scene.advanced.len(), 2);
    assert_eq!(scene.advanced[0], (ONLY, first));
}

#[test]
fn invariant_11_what_was_withheld_advances_nothing() {
    let mut scene = Scene::remembering(1);
    scene.withhold = true;
    scene.observe(0, 1);
    scene.finish(1_000, &[0.1]);
    scene.withhold = false;
    scene.observe(2_000, 2);
    scene.finish(3_000, &[0.1]);
    assert!(scene.status.contains(Status::STATE_RESET), "the first that left");
    assert_eq!(scene.began, [(true, 0), (true, 0)]);
    assert_eq!(scene.advanced.len(), 1);
}

#[test]
fn invariant_11_neither_a_late_result_nor_a_fallback_advances_anything() {
    let mut scene = Scene::remembering(1);
    scene.observe(0, 1);
    assert_eq!(scene.finish(1_000, &[f32::NAN]), [(1, Said::Fallback(Reason::ActionNotFinite))]);
    scene.observe(2_000, 2);
    assert_eq!(scene.time(9_000), [(2, Said::Fallback(Reason::Late))]);
    scene.finish(9_500, &[0.1]);
    scene.observe(10_000, 3);
    assert_eq!(scene.began, [(true, 0), (true, 0), (true, 0)]);
    assert_eq!(scene.advanced, []);
}

#[test]
fn invariant_11_state_is_fresh_in_a_new_epoch_and_after_a_gap() {
    let mut scene = Scene::remembering(1);
    for (micros, epoch) in [(0, 7), (1_000, 7), (2_000, 8), (3_000, 8), (24_000, 8), (25_000, 8)] {
        scene.frame(micros, &observation(micros + 1, epoch, 0));
        scene.finish(micros + 500, &[0.1]);
    }
    let fresh: Vec<bool> = scene.began.iter().map(|(fresh, _)| *fresh).collect();
    assert_eq!(fresh, [true, false, true, false, true, false], "20.5 ms after the last send");
}

#[test]
fn invariant_11_the_answer_of_a_retired_epoch_advances_nothing() {
    let mut scene = Scene::remembering(1);
    scene.observe(0, 1);
    scene.frame(500, &observation(1, 8, 0));
    scene.finish(1_000, &[0.1]); // the old epoch's, discarded; the new epoch's begins
    assert_eq!(scene.advanced, []);
    scene.finish(2_000, &[0.1]);
    assert_eq!(scene.advanced.len(), 1);
    assert_eq!(scene.began, [(true, 0), (true, 0)]);
}

#[test]
fn invariant_11_each_member_of_a_batch_has_a_state_of_its_own() {
    let mut scene = Scene::remembering(3);
    scene.observe_by(0, 0);
    scene.observe_by(100, 1);
    scene.observe_by(200, 2);
    scene.finish(1_000, &[0.1]); // of the first; the others begin together
    let pair = scene.running.clone();
    scene.finish_batch(2_000, Duration::ZERO, &[&[0.1], &[f32::INFINITY]]);
    assert_eq!(scene.advanced[1..], [(ConnectionId(1), pair[0])], "the other was answered by a fallback");
}

#[test]
fn a_demand_takes_effect_from_its_sequence_on() {
    let mut scene = Scene::remembering(1);
    for sequence in 1..=3 {
        scene.observe(sequence * 1_000, sequence);
        if sequence == 1 {
            demand(&mut scene, 7, 3);
        }
        scene.finish(sequence * 1_000 + 500, &[0.1]);
    }
    let fresh: Vec<bool> = scene.began.iter().map(|(fresh, _)| *fresh).collect();
    assert_eq!(fresh, [true, false, true]);
    assert!(scene.status.contains(Status::STATE_RESET));
    assert_eq!(scene.engine.resets(ONLY).accepted(), 1);
}

#[test]
fn a_demand_that_is_not_for_this_controller_is_refused_by_its_reason_and_changes_nothing() {
    let mut scene = Scene::remembering(1);
    demand(&mut scene, 7, 1);
    scene.observe(1_000, 1);
    scene.finish(1_500, &[0.1]);
    demand(&mut scene, 8, 1);
    let proper = reset(7, 1);
    for reset in
        [Reset { address: Address::new(6), ..proper }, Reset { contract: ContractDigest::new([4; 16]), ..proper }]
    {
        let frame = frame_of(&reset);
        scene.handle(1_600, Event::Reset { connection: ONLY, bytes: Some(&frame) });
    }
    let frame = frame_of(&proper);
    scene.handle(1_600, Event::Reset { connection: ONLY, bytes: Some(&frame[1..]) });
    scene.handle(1_600, Event::Reset { connection: ONLY, bytes: None });
    scene.handle(1_600, Event::ResetsShed { connection: ONLY, count: 3 });
    let ledger = scene.engine.resets(ONLY);
    let count = |reason| ledger.by_reason(reason);
    assert_eq!(count(Reason::Epoch), 2, "before the first observation there is no epoch");
    assert_eq!(
        [Reason::Address, Reason::Contract, Reason::Truncated, Reason::TooLarge, Reason::Overload].map(count),
        [1, 1, 1, 1, 3]
    );
    assert_eq!((ledger.received(), ledger.accepted(), ledger.refused()), (9, 0, 9));
    scene.observe(2_000, 2);
    assert_eq!(scene.began, [(true, 0), (false, 1_000)]);
}

fn demand(scene: &mut Scene, epoch: u64, from: u64) {
    let frame = frame_of(&reset(epoch, from));
    scene.handle(1_000, Event::Reset { connection: ONLY, bytes: Some(&frame) });
}

/// As the scene's observations are addressed.
fn reset(epoch: u64, from: u64) -> Reset {
    Reset {
        address: Address::new(5),
        contract: ContractDigest::new([3; 16]),
        epoch: Epoch::new(epoch),
        from_sequence: Sequence::new(from).expect("from 1"),
    }
}

fn frame_of(reset: &Reset) -> Vec<u8> {
    let mut frame = vec![0; Reset::OVERHEAD];
    reset.encode(&mut frame).expect("there is room for the whole frame");
    frame
}
