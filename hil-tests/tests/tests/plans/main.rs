//! Plans over real sockets, in real time with physics: the box plays them at control rate while their model thinks, and
//! the tool stays on the part where naive callers lose it.

mod cluster;
mod freeze;
mod horizon;

use engine::Reason;
use message::Place;
use plants::{Motion, Push, Ride, Slip, Speed};
use tests::{BoxConfig, Course, Followed, Genba, SETTLED_AFTER_MS, Way, follow, skip};

/// The ride of `models/ur5e-planner/train.py figures`, shorter: the part slips, the arm is pushed, the belt speeds up.
const UPSET: Ride = Ride {
    motion: Motion::DEMO,
    slip: Some(Slip { at_s: 3.0, for_s: 0.15, by_m: [0.01, 0.04] }),
    push: Some(Push { at_ms: 4_500, for_ms: 100, force_n: [25.0, 25.0, 0.0] }),
    speed: Some(Speed { at_s: 5.5, for_s: 0.3, factor: 1.4 }),
};

/// Its steps and their rate are the model's own.
const PLAN: &str = "plan = { interpolation = \"cubic\", blend_ms = 40, refresh_ms = 40 }";

/// What plans of a planner on the box keep to, disturbances and all; the policy on the box keeps to a tenth of it.
const WITHIN_MM: f64 = 8.0;

/// More than this at once, and the machine stood still: a ride says nothing about the box then.
const STALL_MS: u32 = 60;

fn course(way: Way, epoch: u64) -> Course {
    Course { ride: UPSET, way, length_ms: 7_000, ends_lost: true, epoch }
}

/// Each ride is judged by where the tool was; other tests judge time.
fn planner() -> BoxConfig {
    BoxConfig {
        model: "ur5e-planner",
        task_options: PLAN,
        deadline_us: 900_000,
        hold_ms: 10_000,
        ..BoxConfig::default()
    }
}

fn policy() -> BoxConfig {
    BoxConfig { model: "ur5e-conveyor", deadline_us: 900_000, ..BoxConfig::default() }
}

#[test]
fn plans_of_a_local_worker_keep_the_tool_on_the_part_and_each_observation_is_answered() {
    let genba = Genba::start(&planner());
    let ride = ridden(&genba, "plans", &course(Way::Plans, 1));
    each_is_answered_by_the_step_of_its_instant(&ride, Place::Box);
    if stood_still(&ride) {
        return;
    }
    assert_eq!(ride.lost_ms, None);
    assert!(ride.rms_mm(settled) < WITHIN_MM, "{} mm", ride.rms_mm(settled));
}

/// What a robot can have without plans: the policy on the box, and the same one called naively over a slow link.
#[test]
fn beside_a_policy_on_the_box_and_a_naive_caller() {
    let genba = Genba::start(&policy());
    let local = ridden(&genba, "policy on the box", &course(Way::Torques, 1));
    let naive = ridden(&genba, "naive, 50 ms", &course(Way::Naive(50), 2));
    assert_eq!((local.unanswered(), naive.unanswered()), (0, 0));
    assert!(naive.lost_ms.is_some(), "a naive caller loses the part: {} mm", naive.rms_mm(settled));
    if stood_still(&local) {
        return;
    }
    assert_eq!(local.lost_ms, None);
    assert!(local.rms_mm(settled) < WITHIN_MM / 2.0, "{} mm", local.rms_mm(settled));
}

fn ridden(genba: &Genba, name: &str, course: &Course) -> Followed {
    let ride = follow(genba, &genba.site("steady"), course);
    println!(
        "{name}: {:.2} mm RMS, lost: {:?}, {} answers to {} observations, {} fallbacks, {} ms stood still at most",
        ride.rms_mm(settled),
        ride.lost_ms,
        ride.answers.len(),
        ride.sent,
        ride.answers.iter().filter(|answer| answer.fallback.is_some()).count(),
        ride.stalled_ms
    );
    ride
}

fn settled(now_ms: u32) -> bool {
    now_ms >= SETTLED_AFTER_MS
}

/// What no machine excuses: an answer for each observation, plans that follow one another, steps that only go on.
fn each_is_answered_by_the_step_of_its_instant(ride: &Followed, place: Place) {
    assert_eq!(ride.unanswered(), 0);
    assert!(ride.answers.len() as u64 * 100 >= ride.sent * 99, "nearly each has its own: {}", ride.answers.len());
    let played: Vec<_> = ride.answers.iter().filter(|answer| answer.fallback.is_none()).collect();
    assert!(played.len() * 10 > ride.answers.len() * 9, "{} of {}", played.len(), ride.answers.len());
    assert!(played.iter().all(|answer| answer.place == Some(place) && answer.plan.0 > 0), "{:?}", played[0]);
    for pair in played.windows(2) {
        assert!(pair[0].plan <= pair[1].plan, "{:?} before {:?}", pair[0], pair[1]);
    }
    // The first plan takes its round trip; once it is there, none may run out.
    let missing = Reason::PlanMissing.row().number;
    let others = ride.answers.iter().filter_map(|answer| answer.fallback).filter(|reason| *reason != missing).count();
    let begun = ride.answers.iter().skip_while(|answer| answer.fallback == Some(missing));
    assert!(begun.clone().all(|answer| answer.fallback != Some(missing)), "a plan that is there stays there");
    println!("{} fallbacks before the first plan, {others} later", ride.fallbacks(missing));
    if ride.stalled_ms <= STALL_MS {
        assert_eq!(others, 0, "no plan ran out");
    }
    let plans: std::collections::BTreeSet<_> = played.iter().map(|answer| answer.plan.0).collect();
    assert!(plans.len() > 10, "each is renewed: {} plans", plans.len());
}

fn stood_still(ride: &Followed) -> bool {
    let stood_still = ride.stalled_ms > STALL_MS;
    if stood_still {
        skip(&format!("SKIPPED-INCONCLUSIVE: the machine stood still for {} ms", ride.stalled_ms));
    }
    stood_still
}
