//! Sets of connections drawn at random, scaled to the edge of what is accepted, and what they send at the worst.
#![allow(dead_code, reason = "no test uses all of them")]

use engine::{
    ConnectionId, Duration,
    schedulability::{Demand, schedulable},
};
use fastrand::Rng;
use simulator::quiet::Release;

pub(crate) const MILLI: u64 = 1_000_000;
pub(crate) const MILLIONTHS: u64 = 1_000_000;
/// How many observations of the fastest connection a run has at most.
const LONG: u64 = 40;

/// One to twelve connections with periods from 4 to 100 ms; due, jitter and execution relative to them.
pub(crate) fn draw(rng: &mut Rng) -> Vec<Demand> {
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
            longest: Duration::from_nanos(execution),
        }
    };
    (0..connections).map(connection).collect()
}

/// The same with each due at most the period less the jitter, so that nothing is superseded.
pub(crate) fn constrained(mut set: Vec<Demand>) -> Vec<Demand> {
    for demand in &mut set {
        let (period, jitter) =
            (demand.min_period.nanos(), demand.arrival_jitter.nanos() % (demand.min_period.nanos() / 2));
        demand.arrival_jitter = Duration::from_nanos(jitter);
        demand.due = Duration::from_nanos(demand.due.nanos().min(period - jitter));
    }
    set
}

pub(crate) fn is_constrained(set: &[Demand]) -> bool {
    set.iter().all(|demand| demand.due.nanos() + demand.arrival_jitter.nanos() <= demand.min_period.nanos())
}

/// Executions scaled up, by bisection, as far as the set is accepted and uses no more than 0.98 of each worker.
pub(crate) fn just_accepted(set: &[Demand], workers: u16) -> Option<Vec<Demand>> {
    just_accepted_at(workers, |scale| scaled(set, scale))
}

/// The same for a set whose executions are not all scaled alike.
pub(crate) fn just_accepted_at(workers: u16, at_scale: impl Fn(u64) -> Vec<Demand>) -> Option<Vec<Demand>> {
    let accepted = |scale: u64| {
        let set = at_scale(scale);
        utilisation(&set) <= 980_000 * u64::from(workers) && schedulable(&set, workers, Duration::ZERO).is_ok()
    };
    let (mut good, mut bad) = (0, 10 * MILLIONTHS);
    while bad - good > 100 {
        let middle = u64::midpoint(good, bad);
        *(if accepted(middle) { &mut good } else { &mut bad }) = middle;
    }
    (good > 0).then(|| at_scale(good))
}

/// The same beside one-offs that take so long.
pub(crate) fn just_accepted_beside(set: &[Demand], workers: u16, one_off: Duration) -> Option<Vec<Demand>> {
    let accepted = |scale: u64| {
        let set = scaled(set, scale);
        utilisation(&set) <= 980_000 * u64::from(workers) && schedulable(&set, workers, one_off).is_ok()
    };
    let (mut good, mut bad) = (0, 10 * MILLIONTHS);
    while bad - good > 100 {
        let middle = u64::midpoint(good, bad);
        *(if accepted(middle) { &mut good } else { &mut bad }) = middle;
    }
    (good > 0).then(|| scaled(set, good))
}

/// In millionths of one worker.
pub(crate) fn utilisation(set: &[Demand]) -> u64 {
    set.iter().map(|demand| demand.execution.nanos() * MILLIONTHS / demand.min_period.nanos()).sum::<u64>().max(1)
}

/// Each execution times so many millionths.
pub(crate) fn scaled(set: &[Demand], scale: u64) -> Vec<Demand> {
    let longer = |nanos: u64| {
        u64::try_from(u128::from(nanos) * u128::from(scale) / u128::from(MILLIONTHS)).expect("within minutes")
    };
    let one = |demand: &Demand| {
        let execution = Duration::from_nanos(longer(demand.execution.nanos()).max(1));
        Demand { execution, longest: execution, ..*demand }
    };
    set.iter().map(one).collect()
}

/// The longest inference begins, and in the same nanosecond everybody begins to send as fast as they may.
pub(crate) fn synchronous(set: &[Demand]) -> Vec<Release> {
    let longest = (0..set.len()).max_by_key(|place| set[*place].execution).expect("a set is not empty");
    let first = Release { at: 0, connection: longest };
    let rest = (0..set.len()).filter(|place| *place != longest).flat_map(|place| fastest(set, place, 0, horizon(set)));
    let mut all: Vec<Release> = rest.chain(fastest(set, longest, 0, horizon(set)).into_iter().skip(1)).collect();
    all.sort_by_key(|release| release.at);
    all.insert(0, first);
    all
}

/// Everybody saves its tolerance for a burst at some time, again and again.
pub(crate) fn bursts(rng: &mut Rng, set: &[Demand]) -> Vec<Release> {
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
pub(crate) fn sporadic(rng: &mut Rng, set: &[Demand]) -> Vec<Release> {
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

/// Arrivals of one connection from `from` on, as fast as its bucket lets them in.
pub(crate) fn fastest(set: &[Demand], place: usize, from: u64, for_long: u64) -> Vec<Release> {
    let (period, jitter) = (set[place].min_period.nanos(), set[place].arrival_jitter.nanos());
    let arrivals = (0..).map(|number: u64| from + (number * period).saturating_sub(jitter));
    arrivals.take_while(|at| *at <= from + for_long).map(|at| Release { at, connection: place }).collect()
}

pub(crate) fn horizon(set: &[Demand]) -> u64 {
    let shortest = set.iter().map(|demand| demand.min_period.nanos()).min().expect("a set is not empty");
    LONG * shortest
}
