//! The simulator can fail: each deliberate fault of the engine is caught, and without one the same seeds pass.
#![cfg(feature = "faults")]

use std::{
    panic,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use engine::Fault;
use simulator::{
    Options, Violation,
    plans::{OF_PLANS, PlayOptions, play},
    simulate,
};

/// A fault must show within this many seeds.
const SEEDS: u64 = 24;
const OBSERVATIONS: u64 = 3_000;
/// How long robots play plans for each seed, in virtual time.
const SECONDS: u64 = 6;

/// What caught one fault: with both judges, and with the promise's checks alone.
struct Caught {
    fault: Fault,
    by_either: Option<Box<Violation>>,
    from_outside: Option<Box<Violation>>,
}

#[test]
fn each_deliberate_fault_is_caught() {
    // A fault may make the engine's own assertions panic, which is one way of being caught: not worth a back trace.
    panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let table = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(&fault) = Fault::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if OF_PLANS.contains(&fault) {
                        continue;
                    }
                    let caught = Caught {
                        fault,
                        by_either: first_violation(Some(fault), true),
                        from_outside: first_violation(Some(fault), false),
                    };
                    table.lock().expect("no thread panics").push(caught);
                }
            });
        }
    });
    let _ = panic::take_hook();
    let mut table = table.into_inner().expect("no thread panicked");
    table.sort_by_key(|caught| Fault::ALL.iter().position(|fault| *fault == caught.fault));
    for Caught { fault, by_either, from_outside } in &table {
        println!("{:28} {:34} {}", format!("{fault:?}"), tell(by_either.as_deref()), tell(from_outside.as_deref()));
    }
    let passed = |caught: &&Caught| caught.by_either.is_none() || caught.from_outside.is_none();
    let missed: Vec<Fault> = table.iter().filter(passed).map(|caught| caught.fault).collect();
    assert!(missed.is_empty(), "nothing caught {missed:?} in {SEEDS} seeds of {OBSERVATIONS} observations");
    assert_eq!(table.len() + OF_PLANS.len(), Fault::ALL.len());
}

#[test]
fn each_fault_of_plans_and_clusters_is_caught() {
    panic::set_hook(Box::new(|_| {}));
    let first =
        |fault| (0..SEEDS).find_map(|seed| play(seed, SECONDS, PlayOptions { fault, ..PlayOptions::default() }).err());
    let caught: Vec<_> = OF_PLANS.iter().map(|fault| (*fault, first(Some(*fault)))).collect();
    let without = first(None);
    let _ = panic::take_hook();
    for (fault, what) in &caught {
        let what = what.as_deref().unwrap_or("-");
        println!("{:28} {}", format!("{fault:?}"), what.chars().take(120).collect::<String>());
    }
    let missed: Vec<_> = caught.iter().filter(|(_, what)| what.is_none()).map(|(fault, _)| *fault).collect();
    assert!(missed.is_empty(), "nothing caught {missed:?} in {SEEDS} seeds of {SECONDS} s");
    assert_eq!(without, None, "without a fault the same seeds pass");
}

#[test]
fn without_a_fault_the_same_seeds_pass() {
    for reference in [true, false] {
        if let Some(violation) = first_violation(None, reference) {
            panic!("\n{violation}");
        }
    }
}

fn first_violation(fault: Option<Fault>, reference: bool) -> Option<Box<Violation>> {
    let options = Options { reference, fault, ..Options::default() };
    (0..SEEDS).find_map(|seed| simulate(seed, OBSERVATIONS, options).err())
}

fn tell(violation: Option<&Violation>) -> String {
    let Some(Violation { seed, step, check, .. }) = violation else { return "-".to_owned() };
    format!("{check:?} (seed {seed}, event {step})")
}
