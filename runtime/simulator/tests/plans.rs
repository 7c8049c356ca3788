//! Robots that play plans are never left without an answer, whatever becomes of the plans, and nobody beside them notices.

use engine::{HandOffFailure, Reason};
use simulator::plans::{PlayOptions, Played, play};

const SEEDS: u64 = 160;
const SECONDS: u64 = 6;
/// Each thing that may happen happens at least this often, or the check could pass by accident.
const AT_LEAST: u64 = 20;

fn all(seeds: std::ops::Range<u64>, options: PlayOptions) -> Played {
    let mut sum = Played::default();
    for seed in seeds {
        sum.add(&play(seed, SECONDS, options).unwrap_or_else(|what| panic!("{what}")));
    }
    sum
}

#[test]
fn each_observation_is_answered_by_the_right_step_of_the_right_plan_or_told_why_not() {
    let played = all(0..SEEDS, PlayOptions::default());
    println!(
        "{} observations, {} steps, {} clamped, {} blended, {} promised by the plan before, {} plans continued",
        played.observations, played.steps, played.clamped, played.blended, played.promised, played.continued
    );
    println!("plans asked, adopted, failed, too late, discarded: {:?}; cleared {}", played.plans, played.cleared);
    println!("the longest time without a plan: {} ms", played.longest_gap / 1_000_000);
    assert_eq!(played.missed, 0);
    for (what, count) in [
        ("clamped", played.clamped),
        ("blended", played.blended),
        ("promised", played.promised),
        ("continued", played.continued),
        ("cleared", played.cleared),
    ] {
        assert!(count >= AT_LEAST, "{what}: {count}");
    }
    assert!(played.plans.iter().all(|count| *count >= AT_LEAST), "{:?}", played.plans);
    let own = [
        Reason::PlanMissing,
        Reason::PlanRanOut,
        Reason::ModelFailed,
        Reason::ActionNotFinite,
        Reason::OutOfRange,
        Reason::TooFast,
    ];
    for reason in own.into_iter().chain(HandOffFailure::ALL.map(HandOffFailure::reason)) {
        assert!(played.of(reason) >= AT_LEAST, "{reason} was given {} times", played.of(reason));
    }
    assert!(played.longest_gap > 2_000_000_000, "an outage outlasts the plans");
}

#[test]
fn robots_beside_plans_are_answered_as_if_there_were_none() {
    for seed in 0..SEEDS {
        let with = play(seed, SECONDS, PlayOptions::default()).unwrap_or_else(|what| panic!("{what}"));
        let without = play(seed, SECONDS, PlayOptions::without_plans()).unwrap_or_else(|what| panic!("{what}"));
        assert_eq!(
            with.others, without.others,
            "seed {seed}: every frame to the others, to the byte and the nanosecond"
        );
        assert!(with.observations > without.observations && without.steps == 0);
    }
    let other = play(SEEDS, SECONDS, PlayOptions::default()).unwrap_or_else(|what| panic!("{what}"));
    let first = play(0, SECONDS, PlayOptions::default()).unwrap_or_else(|what| panic!("{what}"));
    assert_ne!(first.others, other.others, "the hash tells two runs apart");
}
