//! The design's invariants that are the engine's, one scene each. The simulator finds what nobody thought of;
//! these say what is meant.

mod batches;
mod cluster;
mod freeze;
mod joined;
mod plans;
mod records;
mod results;
mod scene;
mod state;

use engine::{Duration, Event, Reason, Service};

use scene::{ONLY, Said, Scene, WORKER, at, observation};

/// Deadline 8 ms, margin 1 ms: a fallback falls due 7 ms after the arrival.
const DUE_US: u64 = 7_000;

#[test]
fn invariant_3_each_observation_ends_in_exactly_one_outcome() {
    let mut scene = Scene::new();
    scene.observe(0, 1); // begins
    scene.observe(100, 2); // waits
    scene.observe(200, 3); // supersedes 2
    scene.frame(300, b"noise"); // refused
    scene.finish(400, &[0.1]); // the model answers 1, 3 begins
    scene.time(200 + DUE_US); // 3 falls back, having inherited 2's deadline
    let ledger = scene.engine.ledger(ONLY);
    assert_eq!(
        [ledger.received(), ledger.model(), ledger.fallback(), ledger.superseded(), ledger.refused(), ledger.missed()],
        [4, 1, 1, 1, 1, 0]
    );
    assert!(ledger.balances() && ledger.in_flight() == 0);
}

#[test]
fn invariant_4_a_hung_worker_still_gets_its_fallback_out_on_time() {
    let mut scene = Scene::new();
    scene.observe(0, 1);
    assert_eq!(scene.engine.poll_timeout().map(|(at, _)| at), Some(at(DUE_US)), "before the deadline, by the margin");
    assert_eq!(scene.time(DUE_US), [(1, Said::Fallback(Reason::Late))]);
    // The worker hangs on: the next observation cannot start, and is answered on time all the same.
    scene.observe(DUE_US + 1, 2);
    assert_eq!(scene.time(2 * DUE_US + 1), [(2, Said::Fallback(Reason::Unstarted))]);
}

#[test]
fn invariant_4_the_deadline_counts_from_arrival_not_from_admission() {
    let mut scene = Scene::new();
    let frame = observation(1, 7, 0);
    scene.handle(5_000, Event::Frame { connection: ONLY, arrival: at(0), bytes: &frame });
    assert_eq!(scene.engine.poll_timeout().map(|(at, _)| at), Some(at(DUE_US)));
    let late = observation(2, 7, 0);
    let said = scene.handle(20_000, Event::Frame { connection: ONLY, arrival: at(11_000), bytes: &late });
    assert!(said.contains(&(2, Said::Refusal(Reason::ExpiredOnArrival))), "{said:?}");
}

#[test]
fn invariant_5_a_late_result_is_discarded_and_its_slot_kept_until_then() {
    let mut scene = Scene::new();
    scene.observe(0, 1);
    let held = scene.running[0];
    scene.time(DUE_US);
    scene.observe(DUE_US + 1, 2);
    assert_ne!(scene.stored, Some(held), "the slot is the worker's until it returns");
    assert_eq!(scene.finish(DUE_US + 2, &[0.9]), [], "the late result is never sent");
    assert_eq!(scene.engine.ledger(ONLY).discarded(), 1);
}

#[test]
fn invariant_11_the_rate_reference_advances_only_with_what_was_sent() {
    let mut scene = Scene::new();
    scene.observe(0, 1);
    scene.withhold = true;
    assert_eq!(scene.finish(100, &[0.1]), [(1, Said::Refusal(Reason::DeadlinePassed))]);
    scene.withhold = false;
    // Still measured from the start: 0.1 in one step of 10 ms at 10 a second. From a withheld 0.1 it would be 0.2.
    scene.observe(200, 2);
    scene.finish(300, &[1.0]);
    assert!((scene.values[0] - 0.1).abs() < 1e-6, "{:?}", scene.values);
}

#[test]
fn a_newer_epoch_takes_over_at_once_and_the_old_one_is_told() {
    let mut scene = Scene::new();
    scene.observe(0, 5);
    let restarted = observation(1, 8, 0);
    let said = scene.handle(100, Event::Frame { connection: ONLY, arrival: at(100), bytes: &restarted });
    assert_eq!(said, [(5, Said::Refusal(Reason::EpochRetired))]);
    let old = observation(6, 7, 0);
    let said = scene.handle(200, Event::Frame { connection: ONLY, arrival: at(200), bytes: &old });
    assert_eq!(said, [(6, Said::Refusal(Reason::Epoch))]);
}

#[test]
fn eight_epochs_a_second_are_accepted_and_the_ninth_waits_for_the_second_to_pass() {
    let mut scene = Scene::new();
    for epoch in 1..=9 {
        let frame = observation(1, epoch, 0);
        scene.handle(epoch, Event::Frame { connection: ONLY, arrival: at(epoch), bytes: &frame });
    }
    let tenth = observation(1, 10, 0);
    let said = scene.handle(1_000_001, Event::Frame { connection: ONLY, arrival: at(1_000_001), bytes: &tenth });
    assert!(said.contains(&(1, Said::Refusal(Reason::EpochRate))), "the first change was at 2 us: {said:?}");
    let said = scene.handle(1_000_002, Event::Frame { connection: ONLY, arrival: at(1_000_002), bytes: &tenth });
    assert!(!said.contains(&(1, Said::Refusal(Reason::EpochRate))), "a full second later: {said:?}");
}

#[test]
fn a_budget_must_leave_room_and_not_outlast_the_deadline() {
    let mut scene = Scene::new();
    for (sequence, budget_us, reason) in
        [(1, 1_000, Some(Reason::Budget)), (2, 8_001, Some(Reason::Budget)), (3, 1_001, None)]
    {
        let frame = observation(sequence, 7, budget_us);
        let said = scene.handle(sequence, Event::Frame { connection: ONLY, arrival: at(sequence), bytes: &frame });
        assert_eq!(said, reason.map(|reason| (sequence, Said::Refusal(reason))).into_iter().collect::<Vec<_>>());
    }
    assert_eq!(
        scene.engine.poll_timeout().map(|(at, _)| at),
        Some(at(4)),
        "3 us after its arrival and 1 ms before the end"
    );
}

#[test]
fn a_worker_is_blamed_for_its_own_time_only() {
    let mut scene = Scene::new();
    // A small budget: the fallback goes out after 1 ms, the model answers after 3 ms, which is quick enough.
    for sequence in 1..=40 {
        let (begun, frame) = (sequence * 10_000, observation(sequence, 7, 2_000));
        scene.frame(begun, &frame);
        assert_eq!(scene.time(begun + 1_000), [(sequence, Said::Fallback(Reason::Late))]);
        scene.finish(begun + 3_000, &[0.0]);
    }
    assert_eq!(scene.engine.service(WORKER), Service::Active);
    // An inference that takes a whole deadline is the worker's own: 16 within the window quarantine it.
    for sequence in 41..=56 {
        assert_eq!(scene.engine.service(WORKER), Service::Active);
        let begun = sequence * 10_000;
        scene.observe(begun, sequence);
        scene.time(begun + DUE_US);
        scene.finish(begun + DUE_US + 1, &[0.0]);
    }
    assert_eq!(scene.engine.service(WORKER), Service::Quarantined);
}

#[test]
fn a_breach_is_booked_where_it_happened() {
    let mut scene = Scene::new();
    scene.observe(0, 1); // runs
    scene.observe(100, 2); // waits
    let ledger = |scene: &Scene| scene.engine.ledger(ONLY);
    // The engine's thread was held up past both deadlines.
    let (frame, late) = (observation(3, 7, 0), at(9_000));
    scene.withhold = true;
    scene.handle(9_000, Event::Frame { connection: ONLY, arrival: late, bytes: &frame });
    scene.withhold = false;
    assert_eq!((ledger(&scene).missed(), ledger(&scene).superseded()), (2, 0));
    assert_eq!(scene.engine.poll_timeout().map(|(at, _)| at), Some(at(9_000 + DUE_US)), "3 has its whole budget");
}

#[test]
fn an_observation_that_comes_too_soon_changes_nothing() {
    let mut scene = Scene::policed(Duration::from_micros(10_000));
    scene.observe(0, 1); // begins
    assert_eq!(scene.observe(9_999, 2).last(), Some(&(2, Said::Refusal(Reason::Period))));
    assert_eq!(scene.observe(10_000, 2), [], "neither its sequence nor the bucket was touched");
    let ledger = scene.engine.ledger(ONLY);
    assert_eq!((ledger.refused(), ledger.by_reason(Reason::Period), ledger.in_flight()), (1, 1, 1));
    let mut wrong = observation(3, 7, 0);
    wrong[79] ^= 1;
    assert_eq!(scene.frame(10_001, &wrong), [(0, Said::Refusal(Reason::Checksum))], "another fault has its own reason");
}

#[test]
fn a_restart_is_let_in_at_once_and_a_loop_of_restarts_keeps_to_the_period() {
    let mut scene = Scene::policed(Duration::from_micros(10_000));
    scene.observe(0, 1);
    let mut is_let_in = |micros: u64, epoch: u64| {
        let frame = observation(1, epoch, 0);
        let said = scene.handle(micros, Event::Frame { connection: ONLY, arrival: at(micros), bytes: &frame });
        !said.contains(&(1, Said::Refusal(Reason::Period)))
    };
    assert!(is_let_in(1_000, 20), "too soon after its former self, with a fresh bucket");
    assert!(!is_let_in(2_000, 21), "a second fresh bucket within a second");
    assert!(is_let_in(11_000, 22), "a period later it needs none");
    assert!(is_let_in(1_000_500, 23), "nor here");
    assert!(!is_let_in(1_000_999, 24), "not a second since the fresh bucket");
    assert!(is_let_in(1_001_000, 25), "a second since the fresh bucket");
}
