//! What the schedulability test accepts is never late on the real engine, and what it refuses can be.
//!
//! A set is drawn at random and its executions scaled until it is just accepted, so that a test that accepts a little
//! too much is caught.

mod sets;

use engine::{
    ConnectionId, Duration, Ledger,
    schedulability::{Blocker, Demand, Unschedulable, Violation, Whose, schedulable},
};
use fastrand::Rng;
use sets::{
    MILLI, MILLIONTHS, bursts, constrained, draw, fastest, is_constrained, just_accepted, scaled, sporadic,
    synchronous, utilisation,
};
use simulator::quiet::{Release, late, serve};

/// Sets of one worker, and of several.
const SETS: u64 = 1_000;

#[test]
fn an_accepted_set_is_never_late_and_five_percent_more_is() {
    let (mut runs, mut accepted, mut tight, mut superseding) = (0, 0, 0, 0);
    for seed in 0..SETS {
        let mut rng = Rng::with_seed(seed);
        let drawn = draw(&mut rng);
        let drawn = if rng.bool() { constrained(drawn) } else { drawn };
        let Some(set) = just_accepted(&drawn, 1) else { continue };
        for releases in [synchronous(&set), bursts(&mut rng, &set), sporadic(&mut rng, &set)] {
            let shorter = rng.u8(..4) == 0;
            let served = serve(&set, (1, rng.u8(1..=4)), releases, |connection| {
                let execution = set[connection].execution.nanos();
                if shorter { rng.u64(1..=execution) } else { execution }
            });
            assert_eq!(late(&served), 0, "seed {seed}: {served:?} of {set:?}");
            assert_eq!(served.model() + served.superseded(), served.received(), "seed {seed}: {set:?}");
            superseding += served.superseded();
            accepted += served.received();
            runs += 1;
        }
        // The negative control: the executions that were declared, exceeded by a twentieth.
        let exceeded = scaled(&set, 1_050_000);
        if let (Err(Unschedulable::Late(violation)), true) =
            (schedulable(&exceeded, 1, Duration::ZERO), is_constrained(&set))
        {
            tight += 1;
            let served = worst_case(&exceeded, &violation, |connection| exceeded[connection].execution.nanos());
            assert!(late(&served) > 0, "seed {seed}: {violation:?} of {exceeded:?} was not late");
            let served = worst_case(&exceeded, &violation, |connection| set[connection].execution.nanos());
            assert_eq!(late(&served), 0, "seed {seed}: what was declared is in time");
        }
    }
    println!(
        "{runs} runs of accepted sets, {accepted} observations, {superseding} superseded; {tight} sets late at 105 %"
    );
    assert!(runs > 1_000 && tight > 100 && superseding > 1_000);
}

#[test]
fn a_refused_set_is_late_as_its_violation_says() {
    let (mut refused, mut blocked, mut overloaded) = (0, 0, 0);
    for seed in 0..2 * SETS {
        let mut rng = Rng::with_seed(seed);
        let drawn = constrained(draw(&mut rng));
        let set = scaled(&drawn, rng.u64(100_000..1_300_000) * MILLIONTHS / utilisation(&drawn));
        let execution = |connection: usize| set[connection].execution.nanos();
        match schedulable(&set, 1, Duration::ZERO) {
            Err(Unschedulable::Late(violation)) => {
                let served = worst_case(&set, &violation, execution);
                assert!(late(&served) > 0, "seed {seed}: {violation:?} of {set:?} was not late");
                refused += 1;
                blocked += u64::from(violation.blocker.is_some());
            }
            Err(Unschedulable::Overloaded(_)) if utilisation(&set) > 1_100_000 => {
                // What is left over grows by a tenth of the time, until it is longer than the longest due.
                let longest = set.iter().map(|demand| demand.due.nanos()).max().expect("a set is not empty");
                let mut releases: Vec<Release> =
                    (0..set.len()).flat_map(|place| fastest(&set, place, 0, 20 * longest)).collect();
                releases.sort();
                let served = serve(&set, (1, 1), releases, execution);
                assert!(late(&served) > 0, "seed {seed}: {set:?} was not late");
                overloaded += 1;
            }
            Ok(_) | Err(_) => {}
        }
    }
    println!("{refused} refused sets were late, {blocked} of them by a blocker, and {overloaded} overloaded ones");
    assert!(refused > 500 && blocked > 400 && refused - blocked > 20 && overloaded > 50);
}

#[test]
fn a_set_that_several_workers_share_is_never_late_where_it_is_accepted() {
    let (mut runs, mut observations, mut beyond_one, mut beyond_all) = (0, 0, 0, 0);
    for seed in 0..SETS {
        let mut rng = Rng::with_seed(seed);
        let drawn = constrained(draw(&mut rng));
        let workers = rng.u16(2..=4);
        let Some(set) = just_accepted(&drawn, workers) else { continue };
        beyond_one += u64::from(schedulable(&set, 1, Duration::ZERO).is_err());
        // The negative control: several workers can be late.
        let thrice = |connection: usize| 3 * set[connection].execution.nanos();
        beyond_all += u64::from(late(&serve(&set, (workers, 1), synchronous(&set), thrice)) > 0);
        for releases in [synchronous(&set), bursts(&mut rng, &set), sporadic(&mut rng, &set)] {
            let served =
                serve(&set, (workers, rng.u8(1..=4)), releases, |connection| set[connection].execution.nanos());
            assert_eq!(late(&served), 0, "seed {seed}: {workers} workers, {set:?}");
            assert_eq!(served.model(), served.received());
            observations += served.received();
            runs += 1;
        }
    }
    println!("{runs} runs on several workers, {observations} observations; {beyond_one} sets were too much for one");
    println!("{beyond_all} of the sets were late with three times the executions");
    assert!(runs > 1_000 && beyond_one > 200 && beyond_all > 200);
}

#[test]
fn a_blocker_is_judged_to_the_nanosecond() {
    let demand = |place, due, execution| Demand {
        connection: ConnectionId(place),
        min_period: Duration::from_nanos(100 * MILLI),
        arrival_jitter: Duration::ZERO,
        due: Duration::from_nanos(due),
        execution: Duration::from_nanos(execution),
        longest: Duration::from_nanos(execution),
    };
    for (longer, fits) in [(0, true), (1, false)] {
        let set = [demand(0, 2 * MILLI, MILLI / 2), demand(1, 80 * MILLI, 3 * MILLI / 2 - 1 + longer)];
        assert_eq!(schedulable(&set, 1, Duration::ZERO).is_ok(), fits);
        let served = serve(&set, (1, 1), synchronous(&set), |place| set[place].execution.nanos());
        assert_eq!(late(&served) == 0, fits, "{longer} ns longer: {served:?}");
    }
}

/// The arrivals that the refusal describes, in the order that it describes.
fn worst_case(set: &[Demand], violation: &Violation, execution: impl FnMut(usize) -> u64) -> Ledger {
    let mut all: Vec<(u64, bool, usize)> = Vec::new();
    for (place, demand) in set.iter().enumerate() {
        let blocks =
            violation.blocker.is_some_and(|Blocker { whose, .. }| whose == Whose::Connection(demand.connection));
        all.extend(violation.arrivals(*demand).map(|at| (at.nanos(), !blocks, place)));
    }
    all.sort_unstable();
    serve(set, (1, 1), all.into_iter().map(|(at, _, connection)| Release { at, connection }), execution)
}
