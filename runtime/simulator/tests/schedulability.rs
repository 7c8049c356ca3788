//! What the schedulability test accepts is never late on the real engine, and what it refuses can be.
//!
//! A set is drawn at random and its executions scaled until it is just accepted, so that a test that accepts a little
//! too much is caught.

use engine::{
    ConnectionId, Duration, Ledger,
    schedulability::{Blocker, Demand, Unschedulable, Violation, schedulable},
};
use fastrand::Rng;
use simulator::quiet::{Release, late, serve};

const MILLI: u64 = 1_000_000;
const MILLIONTHS: u64 = 1_000_000;
/// Sets of one worker, and of several.
const SETS: u64 = 1_000;
/// How many observations of the fastest connection a run has at most.
const LONG: u64 = 40;

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
        if let (Err(Unschedulable::Late(violation)), true) = (schedulable(&exceeded, 1), is_constrained(&set)) {
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
        match schedulable(&set, 1) {
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
        beyond_one += u64::from(schedulable(&set, 1).is_err());
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
    };
    for (longer, fits) in [(0, true), (1, false)] {
        let set = [demand(0, 2 * MILLI, MILLI / 2), demand(1, 80 * MILLI, 3 * MILLI / 2 - 1 + longer)];
        assert_eq!(schedulable(&set, 1).is_ok(), fits);
        let served = serve(&set, (1, 1), synchronous(&set), |place| set[place].execution.nanos());
        assert_eq!(late(&served) == 0, fits, "{longer} ns longer: {served:?}");
    }
}

/// One to twelve connections with periods from 4 to 100 ms; due, jitter and execution relative to them.
fn draw(rng: &mut Rng) -> Vec<Demand> {
    let connections = rng.u16(1..=12);
    let connection = |place: u16| {
        let period = rng.u64(4 * MILLI..100 * MILLI);
        let longest = period * rng.choice([0, 2, 12]).expect("there are three");
        let jitter = rng.u64(..=longest);
        let due = period * rng.u64(20..=200) / 100;
        // Skewed, so that some inferences are long beside the others.
        let execution = period * rng.u64(1..=100) * rng.u64(1..=100) / 10_000;
        Demand {
            connection: ConnectionId(place),
            min_period: Duration::from_nanos(period),
            arrival_jitter: Duration::from_nanos(jitter),
            due: Duration::from_nanos(due),
            execution: Duration::from_nanos(execution),
        }
    };
    (0..connections).map(connection).collect()
}

/// The same with each due at most the period less the jitter, so that nothing is superseded.
fn constrained(mut set: Vec<Demand>) -> Vec<Demand> {
    for demand in &mut set {
        let (period, jitter) =
            (demand.min_period.nanos(), demand.arrival_jitter.nanos() % (demand.min_period.nanos() / 2));
        demand.arrival_jitter = Duration::from_nanos(jitter);
        demand.due = Duration::from_nanos(demand.due.nanos().min(period - jitter));
    }
    set
}

fn is_constrained(set: &[Demand]) -> bool {
    set.iter().all(|demand| demand.due.nanos() + demand.arrival_jitter.nanos() <= demand.min_period.nanos())
}

/// Executions scaled up, by bisection, as far as the set is accepted and uses no more than 0.98 of each worker.
fn just_accepted(set: &[Demand], workers: u16) -> Option<Vec<Demand>> {
    let accepted = |scale: u64| {
        let set = scaled(set, scale);
        utilisation(&set) <= 980_000 * u64::from(workers) && schedulable(&set, workers).is_ok()
    };
    let (mut good, mut bad) = (0, 10 * MILLIONTHS);
    while bad - good > 100 {
        let middle = u64::midpoint(good, bad);
        *(if accepted(middle) { &mut good } else { &mut bad }) = middle;
    }
    (good > 0).then(|| scaled(set, good))
}

/// In millionths of one worker.
fn utilisation(set: &[Demand]) -> u64 {
    set.iter().map(|demand| demand.execution.nanos() * MILLIONTHS / demand.min_period.nanos()).sum::<u64>().max(1)
}

/// Each execution times so many millionths.
fn scaled(set: &[Demand], scale: u64) -> Vec<Demand> {
    let longer = |nanos: u64| {
        u64::try_from(u128::from(nanos) * u128::from(scale) / u128::from(MILLIONTHS)).expect("within minutes")
    };
    let one = |demand: &Demand| Demand {
        execution: Duration::from_nanos(longer(demand.execution.nanos()).max(1)),
        ..*demand
    };
    set.iter().map(one).collect()
}

/// The longest inference begins, and in the same nanosecond everybody begins to send as fast as they may.
fn synchronous(set: &[Demand]) -> Vec<Release> {
    let longest = (0..set.len()).max_by_key(|place| set[*place].execution).expect("a set is not empty");
    let first = Release { at: 0, connection: longest };
    let rest = (0..set.len()).filter(|place| *place != longest).flat_map(|place| fastest(set, place, 0, horizon(set)));
    let mut all: Vec<Release> = rest.chain(fastest(set, longest, 0, horizon(set)).into_iter().skip(1)).collect();
    all.sort_by_key(|release| release.at);
    all.insert(0, first);
    all
}

/// Everybody saves its tolerance for a burst at some time, again and again.
fn bursts(rng: &mut Rng, set: &[Demand]) -> Vec<Release> {
    let mut all = Vec::new();
    for place in 0..set.len() {
        let mut from = rng.u64(..20 * MILLI);
        for _ in 0..4 {
            let burst = fastest(set, place, from, horizon(set));
            let some = &burst[..burst.len().min(rng.usize(2..=8))];
            all.extend(some);
            // Silent until the bucket is empty again.
            let last = some.last().expect("at least one").at;
            from = last + set[place].min_period.nanos() + set[place].arrival_jitter.nanos() + rng.u64(..5 * MILLI);
        }
    }
    all.sort();
    all
}

/// As a factory would send: with pauses, sometimes early, never too soon.
fn sporadic(rng: &mut Rng, set: &[Demand]) -> Vec<Release> {
    let mut all = Vec::new();
    let end = horizon(set);
    for (place, demand) in set.iter().enumerate() {
        let (period, jitter) = (demand.min_period.nanos(), demand.arrival_jitter.nanos());
        let (mut expected, mut last) = (rng.u64(..period), 0);
        while expected < end {
            let early = rng.u64(..=jitter);
            let pause = if rng.u8(..5) == 0 { rng.u64(..period) } else { 0 };
            let at = last.max((expected + pause).saturating_sub(early));
            all.push(Release { at, connection: place });
            (last, expected) = (at, expected.max(at) + period);
        }
    }
    all.sort();
    all
}

/// The arrivals that the refusal describes, in the order that it describes.
fn worst_case(set: &[Demand], violation: &Violation, execution: impl FnMut(usize) -> u64) -> Ledger {
    let mut all: Vec<(u64, bool, usize)> = Vec::new();
    for (place, demand) in set.iter().enumerate() {
        let blocks = violation.blocker.is_some_and(|Blocker { connection, .. }| connection == demand.connection);
        all.extend(violation.arrivals(*demand).map(|at| (at.nanos(), !blocks, place)));
    }
    all.sort_unstable();
    serve(set, (1, 1), all.into_iter().map(|(at, _, connection)| Release { at, connection }), execution)
}

/// Arrivals of one connection from `from` on, as fast as its bucket lets them in.
fn fastest(set: &[Demand], place: usize, from: u64, for_long: u64) -> Vec<Release> {
    let (period, jitter) = (set[place].min_period.nanos(), set[place].arrival_jitter.nanos());
    let arrivals = (0..).map(|number: u64| from + (number * period).saturating_sub(jitter));
    arrivals.take_while(|at| *at <= from + for_long).map(|at| Release { at, connection: place }).collect()
}

fn horizon(set: &[Demand]) -> u64 {
    let shortest = set.iter().map(|demand| demand.min_period.nanos()).min().expect("a set is not empty");
    LONG * shortest
}
