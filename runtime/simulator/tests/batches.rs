//! Batches on the real engine: what was accepted stays in time with them, and they serve what one by one does not fit.

mod sets;

use engine::{
    ConnectionId, Duration, Executions, ModelId, Record, RecordSpec, Share, WorkerId,
    schedulability::{Demand, Unschedulable, schedulable, schedulable_together},
};
use fastrand::Rng;
use message::Status;
use sets::{MILLI, bursts, constrained, draw, fastest, horizon, just_accepted_at, sporadic, synchronous};
use simulator::quiet::{Release, Served, late, serve_measured};

const MICRO: u64 = MILLI / 1_000;
const SETS: u64 = 600;

/// A set whose connections share models, each with a largest batch and what each member more costs.
struct Drawn {
    demands: Vec<Demand>,
    models: Vec<Model>,
}

#[derive(Clone, Copy)]
struct Model {
    largest: usize,
    /// In percent of one alone.
    more: u64,
}

#[test]
fn an_accepted_set_is_never_late_with_batches_and_without_their_blocking_it_is() {
    let (mut runs, mut observations, mut batched, mut refused, mut late_ones) = (0, 0, 0, 0, 0);
    for seed in 0..SETS {
        let mut rng = Rng::with_seed(seed);
        let drawn = Drawn::new(&mut rng);
        let workers = if rng.u8(..4) == 0 { rng.u16(2..=3) } else { 1 };
        if let Some(set) = just_accepted_at(workers, |scale| drawn.at_scale(scale)) {
            for releases in adversaries(&mut rng, &set) {
                let served = drawn.serve(&set, workers, releases);
                assert_eq!(late(&served.ledger), 0, "seed {seed}: {workers} workers, {served:?} of {set:?}");
                (runs, observations, batched) =
                    (runs + 1, observations + served.ledger.received(), batched + served.batched);
            }
        }
        // The negative control: sets that the blocking of single inferences only would accept.
        let Some(set) = just_accepted_at(1, |scale| alone(drawn.at_scale(scale))) else { continue };
        if schedulable(&drawn.with_blocking(&set), 1, Duration::ZERO).is_ok() {
            continue;
        }
        refused += 1;
        let adversaries = adversaries(&mut rng, &set);
        let is_late = |releases| late(&drawn.serve(&set, 1, releases).ledger) > 0;
        late_ones += u64::from(adversaries.into_iter().any(is_late));
    }
    println!("{runs} runs of accepted sets, {observations} observations, {batched} of them in batches");
    println!("{refused} sets are refused only for what their batches block; {late_ones} of them were late");
    assert!(runs > 1_000 && batched > 20_000 && refused > 100 && late_ones > 50);
}

#[test]
fn a_batch_blocks_to_the_nanosecond() {
    // One millisecond alone and 0.1 ms for each member more, three at most: a batch of three takes 1.2 ms.
    let drawn = Drawn { demands: Vec::new(), models: vec![Model { largest: 3, more: 10 }] };
    for (due, fits) in [(2_200 * MICRO + 1, true), (2_200 * MICRO, false)] {
        let demand = |(place, due)| Demand {
            connection: ConnectionId(place),
            min_period: Duration::from_nanos(100 * MILLI),
            arrival_jitter: Duration::ZERO,
            due: Duration::from_nanos(due),
            execution: Duration::from_nanos(MILLI),
            longest: Duration::from_nanos(1_200 * MICRO),
        };
        let dues = [due, 80 * MILLI, 80 * MILLI, 80 * MILLI, 80 * MILLI];
        let set: Vec<Demand> = (0..).zip(dues).map(demand).collect();
        assert_eq!(schedulable(&set, 1, Duration::ZERO).is_ok(), fits);
        // One runs, three wait for it, and the fifth comes as they begin.
        let at = [(0, 4), (1, 1), (1, 2), (1, 3), (MILLI, 0)];
        let served = drawn.serve(&set, 1, at.map(|(at, connection)| Release { at, connection }).to_vec());
        // What cannot be in time is not started.
        let inferences = if fits { 3 } else { 2 };
        assert_eq!((served.inferences, late(&served.ledger) == 0), (inferences, fits), "due {due}: {served:?}");
    }
}

/// Whom a batch passes over is in time among those who wait. The time that it gives away was promised to later arrivals.
#[test]
fn who_was_promised_to_be_in_time_is_not_passed_over() {
    // Even connections are of one model, whose batch of two takes 2 ms; odd ones of another. Each alone takes 1 ms.
    let soon = [(10, 3), (8, 4), (6, 5), (13, 6)];
    let demand = |place: u16| {
        let due = soon.iter().find(|(connection, _)| *connection == place).map_or(100, |(_, due)| *due);
        Demand {
            connection: ConnectionId(place),
            min_period: Duration::from_nanos(200 * MILLI),
            arrival_jitter: Duration::ZERO,
            due: Duration::from_nanos(due * MILLI + 1),
            execution: Duration::from_nanos(MILLI),
            longest: Duration::from_nanos(if place.is_multiple_of(2) { 2 * MILLI } else { MILLI }),
        }
    };
    let set: Vec<Demand> = (0..14).map(demand).collect();
    assert!(schedulable(&set, 1, Duration::ZERO).is_ok());
    // 2 and 4 begin together, and 13 comes. When they end, 6 may take 12 along, but for 13. Then come 8 and 10.
    let at =
        [0, 1, 1, MILLI, 2 * MILLI - 1, 2 * MILLI, 3 * MILLI, 4 * MILLI].into_iter().zip([0, 2, 4, 13, 6, 12, 8, 10]);
    let releases: Vec<Release> = at.map(|(at, connection)| Release { at, connection }).collect();
    let takes = |members: &[usize]| u64::try_from(members.len()).expect("a batch is small") * MILLI;
    for (status, in_time) in [(Status::NONE, true), (Status::UNSCHEDULABLE, false)] {
        let pair = Executions::new(&[MILLI, 2 * MILLI].map(Duration::from_nanos)).expect("good sizes");
        let records = vec![record(0, 0, pair), record(0, 1, Executions::single(Duration::from_nanos(MILLI)))];
        let served = serve_measured(&set, (1, 2), (records, status), releases.clone(), takes);
        assert_eq!(late(&served.ledger) == 0, in_time, "{served:?}");
    }
}

/// 64 robots at 100 Hz, due 9 ms after each arrival: 375 µs alone is 2.4 of a worker, and 25 µs more for each further one.
#[test]
fn sixty_four_robots_at_100_hz_share_one_worker() {
    let (set, executions) = cell_line(9 * MILLI);
    let Err(Unschedulable::Overloaded(share)) = schedulable(&set, 1, Duration::ZERO) else {
        panic!("one by one is too much")
    };
    assert_eq!(share.parts_per_million(), 2_399_999, "of one worker, rounded down");
    let slack = schedulable_together(&set, &executions, Duration::ZERO, Duration::ZERO).expect("all together fit");
    assert_eq!(slack.least.nanos(), 9 * MILLI - 1 - (700 + 64 * 25) * MICRO);
    let mut rng = Rng::with_seed(1);
    let (together, one_by_one) = (vec![record(0, 0, executions)], Vec::new);
    for releases in [synchronous(&set), sporadic(&mut rng, &set)] {
        let count = u64::try_from(releases.len()).expect("a run is short");
        let served = serve_line(&set, together.iter().map(again).collect(), releases.clone());
        assert_eq!((served.ledger.model(), late(&served.ledger)), (count, 0));
        // The negative control: the same without batches.
        let alone = serve_line(&set, one_by_one(), releases);
        println!(
            "{count} observations: {} inferences answer all; one by one {} of them",
            served.inferences,
            alone.ledger.model()
        );
        assert!(alone.ledger.model() < count / 2);
    }
}

#[test]
fn all_together_is_judged_within_one_member() {
    // The first runs alone, 31 wait for it, and 32 more come as those begin: two batches that share 63.
    let releases: Vec<Release> = (0..64)
        .map(|connection| {
            let at = if connection == 0 {
                0
            } else {
                u64::from(connection < 32) + 375 * MICRO * u64::from(connection >= 32)
            };
            Release { at, connection }
        })
        .collect();
    for (due, accepted, in_time) in [
        (2_300 * MICRO + 1, true, true),
        (2_300 * MICRO, false, true),
        (2_275 * MICRO + 1, false, true),
        (2_275 * MICRO, false, false),
    ] {
        let (set, executions) = cell_line(due);
        assert_eq!(schedulable_together(&set, &executions, Duration::ZERO, Duration::ZERO).is_ok(), accepted, "{due}");
        let served = serve_line(&set, vec![record(0, 0, executions)], releases.clone());
        assert_eq!(late(&served.ledger) == 0, in_time, "due {due}: {served:?}");
    }
}

fn cell_line(due: u64) -> (Vec<Demand>, Executions) {
    let sizes: Vec<Duration> = (1..=64).map(|members| Duration::from_nanos((350 + 25 * members) * MICRO)).collect();
    let executions = Executions::new(&sizes).expect("good sizes");
    let demand = |place| Demand {
        connection: ConnectionId(place),
        min_period: Duration::from_nanos(10 * MILLI),
        arrival_jitter: Duration::ZERO,
        due: Duration::from_nanos(due),
        execution: executions.alone(),
        longest: executions.longest(),
    };
    ((0..64).map(demand).collect(), executions)
}

fn serve_line(set: &[Demand], records: Vec<Record>, releases: Vec<Release>) -> Served {
    let takes = |members: &[usize]| (350 + 25 * u64::try_from(members.len()).expect("a batch is small")) * MICRO;
    serve_measured(set, (1, 1), (records, Status::NONE), releases, takes)
}

impl Drawn {
    fn new(rng: &mut Rng) -> Self {
        let models = rng.usize(1..=3);
        let model = |rng: &mut Rng| Model { largest: rng.usize(1..=8), more: rng.u64(0..=100) };
        let mut demands = draw(rng);
        if rng.bool() {
            demands = constrained(demands);
        }
        Self { demands, models: (0..models).map(|_| model(rng)).collect() }
    }

    /// Executions scaled; connections of one model share one.
    fn at_scale(&self, scale: u64) -> Vec<Demand> {
        let scaled = sets::scaled(&self.demands, scale);
        let own = |(place, demand): (usize, &Demand)| {
            let execution = scaled[place % self.models.len()].execution;
            Demand { execution, longest: execution, ..*demand }
        };
        self.with_blocking(&scaled.iter().enumerate().map(own).collect::<Vec<_>>())
    }

    fn with_blocking(&self, set: &[Demand]) -> Vec<Demand> {
        let own = |(place, demand): (usize, &Demand)| {
            let model = place % self.models.len();
            let of_model = (model..set.len()).step_by(self.models.len()).count();
            let longest = self.takes(demand.execution.nanos(), model, of_model.min(self.models[model].largest));
            Demand { longest: Duration::from_nanos(longest), ..*demand }
        };
        set.iter().enumerate().map(own).collect()
    }

    /// How long a batch takes, if one alone takes so long.
    fn takes(&self, alone: u64, model: usize, members: usize) -> u64 {
        let others = u64::try_from(members).expect("a batch is small") - 1;
        alone + others * (alone * self.models[model].more / 100)
    }

    fn serve(&self, set: &[Demand], workers: u16, releases: Vec<Release>) -> Served {
        let models = u8::try_from(self.models.len()).expect("few models");
        let mut records = Vec::new();
        for worker in 0..workers {
            for (model, plan) in (0u8..).zip(&self.models) {
                let Some(first) = set.get(usize::from(model)) else { continue };
                let takes = |members| self.takes(first.execution.nanos(), usize::from(model), members);
                let sizes: Vec<Duration> = (1..=plan.largest).map(takes).map(Duration::from_nanos).collect();
                records.push(record(worker, model, Executions::new(&sizes).expect("worth their while")));
            }
        }
        serve_measured(set, (workers, models), (records, Status::NONE), releases, |members| {
            let model = members[0] % self.models.len();
            self.takes(set[members[0]].execution.nanos(), model, members.len())
        })
    }
}

fn adversaries(rng: &mut Rng, set: &[Demand]) -> Vec<Vec<Release>> {
    let behind = (0..3).map(|_| behind_a_batch(rng, set)).collect::<Vec<_>>();
    [synchronous(set), bursts(rng, set), sporadic(rng, set)].into_iter().chain(behind).collect()
}

/// One runs, those of longer deadlines wait for it and begin together, and in that instant everybody else comes.
fn behind_a_batch(rng: &mut Rng, set: &[Demand]) -> Vec<Release> {
    let threshold = set[rng.usize(..set.len())].due;
    let (later, sooner): (Vec<usize>, Vec<usize>) = (0..set.len()).partition(|place| set[*place].due > threshold);
    let Some(first) = later.first() else { return synchronous(set) };
    let begins = set[*first].execution.nanos();
    let waiting = later.iter().flat_map(|place| fastest(set, *place, u64::from(place != first), horizon(set)));
    let rest = sooner.iter().flat_map(|place| fastest(set, *place, begins, horizon(set)));
    let mut all: Vec<Release> = waiting.chain(rest).collect();
    all.sort_by_key(|release| release.at);
    all
}

fn alone(set: Vec<Demand>) -> Vec<Demand> {
    set.into_iter().map(|demand| Demand { longest: demand.execution, ..demand }).collect()
}

fn record(worker: u16, model: u8, executions: Executions) -> Record {
    let above = Share::from_parts_per_million(1_000).expect("a small share");
    let (worker, model) = (WorkerId(worker), ModelId(model));
    Record::new(RecordSpec { worker, model, executions, above, window: 1_000 }).expect("a window long enough")
}

fn again(record: &Record) -> Record {
    Record::new(record.spec().clone()).expect("as it was")
}
