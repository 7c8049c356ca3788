//! Every promise holds in many random factories, everything that can go wrong really did, and a seed repeats.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use engine::{Reason, ReasonKind};
use simulator::{Disturbance, Options, Report, simulate};

/// How many seeds, unless the variable `SEEDS` says otherwise, as a soak does.
const SEEDS: u64 = 200;
const OBSERVATIONS: u64 = 10_000;
/// Each disturbance and each reason at least this often over all seeds, or the check could pass by accident.
const AT_LEAST: u64 = 20;
/// What only a chain of disturbances leads to, and what the engine decides there: often enough for each of its cases.
const CHAINED: [Disturbance; 4] = [
    Disturbance::ReplacedPastItsDeadline,
    Disturbance::HeldToOneWorker,
    Disturbance::OverrunCounted,
    Disturbance::LateButNotOverrun,
];
const OFTEN: u64 = 1_000;

#[test]
fn every_promise_holds_and_everything_was_exercised() {
    let begun = Instant::now();
    let seeds = std::env::var("SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("SEEDS is a number"));
    let report = in_parallel(0..seeds, |seed| {
        let once = simulate(seed, OBSERVATIONS, Options::default()).unwrap_or_else(|violation| panic!("\n{violation}"));
        if seed % 10 == 0 {
            let again =
                simulate(seed, OBSERVATIONS, Options::default()).unwrap_or_else(|violation| panic!("\n{violation}"));
            assert_eq!(once, again, "seed {seed} does not repeat");
        }
        once
    });
    println!("{seeds} seeds in {:.1} s: {report}", begun.elapsed().as_secs_f32());
    assert!(report.observations >= seeds * OBSERVATIONS);
    for which in Disturbance::ALL {
        let count = report.disturbances.of(which);
        let least = if CHAINED.contains(&which) { OFTEN } else { AT_LEAST };
        assert!(count >= least, "{which:?} happened only {count} times");
    }
    for row in &engine::TABLE {
        let count = report.by_reason(row.reason);
        // What plans and clusters give is exercised by `plans.rs`; the others are the daemon's to see.
        let elsewhere = [
            Reason::PlanMissing,
            Reason::PlanRanOut,
            Reason::EngineStalled,
            Reason::JournalFailing,
            Reason::AnchorFailing,
            Reason::PolicyInvalid,
            Reason::EndpointDown,
            Reason::LinkInsecure,
        ];
        let given_by_engine = row.kind != ReasonKind::HandOff && !elsewhere.contains(&row.reason);
        assert!(!given_by_engine || count >= AT_LEAST, "{} was given only {count} times", row.reason);
    }
}

#[test]
fn a_seed_repeats_line_for_line() {
    for seed in 1_000..1_010 {
        let options = Options { trace: true, ..Options::default() };
        let run = || simulate(seed, 500, options).unwrap_or_else(|violation| panic!("\n{violation}"));
        let (once, again) = (run(), run());
        assert!(once.trace.len() > 500, "a trace has a line for each event and action");
        assert_eq!(once, again, "seed {seed} does not repeat");
        let other = simulate(seed + 100, 500, options).unwrap_or_else(|violation| panic!("\n{violation}"));
        assert_ne!(once.trace_hash, other.trace_hash, "two seeds do the same");
    }
}

/// Runs each seed, on as many threads as there are cores, and sums the reports.
fn in_parallel(seeds: std::ops::Range<u64>, run: impl Fn(u64) -> Report + Sync) -> Report {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Report::default());
    let cores = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        break;
                    }
                    let report = run(seed);
                    sum.lock().expect("a thread that panicked ends the test").add(&report);
                }
            });
        }
    });
    sum.into_inner().expect("every thread has ended well")
}
