//! A worker that is busy for 90 % of its time: how many observations the model answers when some inferences take
//! longer than their timing record says.
//!
//! `OBSERVATIONS` says how many are simulated; `make simulate` asks for 10^8. Where everything else goes wrong too is the
//! matter of `seeds.rs`.

mod sets;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use engine::{ConnectionId, Duration, schedulability::Demand, schedulability::schedulable};
use fastrand::Rng;
use sets::{MILLI, utilisation};
use simulator::quiet::{Release, late, serve};

const OBSERVATIONS: u64 = 1_000_000;
/// At once, so that every core has several.
const BOXES: u64 = 16;
/// In millionths of the worker's time.
const LOAD: u64 = 900_000;
/// One inference in so many exceeds its record, by a half.
const ONE_IN: u64 = 1_000;
/// At least so many of a hundred thousand are the model's.
const GOAL: u64 = 99_999;

#[test]
fn at_90_percent_load_99_999_percent_are_the_models() {
    let asked = std::env::var("OBSERVATIONS").map_or(OBSERVATIONS, |text| text.parse().expect("a number"));
    let next = AtomicU64::new(0);
    let run = || {
        let mut sums = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= BOXES {
                return sums;
            }
            sums.push(one_box(seed, asked / BOXES));
        }
    };
    let cores = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let boxes: Vec<Sum> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("every promise holds")).collect()
    });
    let sum = boxes.iter().fold(Sum::default(), |sum, one| sum.plus(*one));
    let load = sum.busy / (sum.span / 1_000_000);
    println!(
        "{} observations in {BOXES} boxes, {}.{:02} % of a worker's time: {} by the model, {} late; {} inferences \
         exceeded their record",
        sum.received,
        load / 10_000,
        load % 10_000 / 100,
        sum.model,
        sum.late,
        sum.exceeded
    );
    assert!((880_000..=920_000).contains(&load), "the load is {load} millionths");
    assert!(sum.received >= asked / BOXES * BOXES && sum.exceeded > sum.received / ONE_IN / 2);
    assert_eq!(sum.model + sum.late, sum.received, "nothing else happens here");
    assert!(u128::from(sum.model) * 100_000 >= u128::from(sum.received) * u128::from(GOAL), "{sum:?}");
}

#[test]
fn negative_control_beyond_its_capacity_a_worker_does_not_answer_everything() {
    let set = scaled_to(&robots(&mut Rng::with_seed(1)), 1_200_000);
    assert!(schedulable(&set, 1, Duration::ZERO).is_err());
    let executions = |place: usize| set[place].execution.nanos();
    let ledger = serve(&set, (1, 1), Periodic::new(&set, 1, 20_000), executions);
    assert!(late(&ledger) > 1_000, "{ledger:?}");
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    received: u64,
    model: u64,
    late: u64,
    busy: u64,
    span: u64,
    exceeded: u64,
}

impl Sum {
    fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            model: self.model + other.model,
            late: self.late + other.late,
            busy: self.busy + other.busy,
            span: self.span + other.span,
            exceeded: self.exceeded + other.exceeded,
        }
    }
}

/// The promises to controllers (P1, P2, P4, P6) are asserted inside, after every event.
fn one_box(seed: u64, observations: u64) -> Sum {
    let mut rng = Rng::with_seed(seed);
    let set = scaled_to(&robots(&mut rng), LOAD);
    assert!(schedulable(&set, 1, Duration::ZERO).is_ok(), "box {seed}: a set that `run` would serve: {set:?}");
    let (mut busy, mut exceeded, mut longest) = (0, 0, 0);
    let releases = Periodic::new(&set, seed, observations).inspect(|release| longest = release.at);
    let execution = |place: usize| {
        let declared = set[place].execution.nanos();
        let exceeds = rng.u64(..ONE_IN) == 0;
        exceeded += u64::from(exceeds);
        let takes = if exceeds { declared + declared / 2 } else { declared };
        busy += takes;
        takes
    };
    let ledger = serve(&set, (1, 1), releases, execution);
    assert!(ledger.balances());
    Sum { received: ledger.received(), model: ledger.model(), late: late(&ledger), busy, span: longest, exceeded }
}

/// Forty robots with periods from 5 to 20 ms, a tenth of it as jitter, and deadlines of the rest.
fn robots(rng: &mut Rng) -> Vec<Demand> {
    let robot = |place: u16| {
        let period = MILLI * rng.choice([5, 8, 10, 20]).expect("there are four");
        let (jitter, execution) = (period / 10, Duration::from_nanos(period));
        Demand {
            connection: ConnectionId(place),
            min_period: Duration::from_nanos(period),
            arrival_jitter: Duration::from_nanos(jitter),
            due: Duration::from_nanos(period - jitter),
            execution,
            longest: execution,
        }
    };
    (0..40).map(robot).collect()
}

/// The same with one execution for all, so that together they ask for this much of the worker's time.
fn scaled_to(set: &[Demand], millionths: u64) -> Vec<Demand> {
    let one = |demand: &Demand, nanos| {
        let execution = Duration::from_nanos(nanos);
        Demand { execution, longest: execution, ..*demand }
    };
    let at = |nanos: u64| set.iter().map(|demand| one(demand, nanos)).collect::<Vec<_>>();
    let nanos = MILLI * millionths / utilisation(&at(MILLI));
    at(nanos)
}

/// Each robot sends in its period, early or late by its jitter, each in its own phase.
struct Periodic<'s> {
    set: &'s [Demand],
    rng: Rng,
    /// The next of each: when, whose, and when it was expected.
    next: BinaryHeap<Reverse<(u64, usize, u64)>>,
    left: u64,
}

impl<'s> Periodic<'s> {
    fn new(set: &'s [Demand], seed: u64, observations: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let first = |(place, demand): (usize, &Demand)| {
            let at = demand.min_period.nanos() + rng.u64(..demand.min_period.nanos());
            Reverse((at, place, at))
        };
        let next = set.iter().enumerate().map(first).collect();
        Self { set, rng, next, left: observations }
    }
}

impl Iterator for Periodic<'_> {
    type Item = Release;

    fn next(&mut self) -> Option<Release> {
        self.left = self.left.checked_sub(1)?;
        let Reverse((at, connection, expected)) = self.next.pop()?;
        let demand = &self.set[connection];
        let expected = expected.max(at) + demand.min_period.nanos();
        let early = self.rng.u64(..=demand.arrival_jitter.nanos());
        self.next.push(Reverse(((expected - early).max(at), connection, expected)));
        Some(Release { at, connection })
    }
}
