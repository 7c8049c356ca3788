//! Timing records over many inferences: a healthy worker keeps its record, a slowed one loses it soon.

use engine::{
    ConnectionId, Duration, Executions, ModelId, Reason, Record, RecordSpec, Share, WorkerId, schedulability::Demand,
};
use fastrand::Rng;
use message::Status;
use simulator::quiet::{Release, Served, serve_measured};

const PERIOD: u64 = 1_000_000;
/// What the record declares, in nanoseconds; one inference in a thousand may take longer.
const EXECUTION: u64 = 500_000;
const WINDOW: u32 = 1_000;

#[test]
fn a_healthy_worker_keeps_its_record_for_a_million_inferences() {
    let mut rng = Rng::with_seed(7);
    // As often above as is declared, to the letter.
    let Served { ledger, void, .. } =
        run(1_000_000, |_| if rng.u32(..1_000) == 0 { EXECUTION + 1 } else { rng.u64(400_000..=EXECUTION) });
    assert_eq!((ledger.model(), void), (1_000_000, None));
}

#[test]
fn a_worker_slowed_by_a_fifth_loses_its_record_within_40_inferences() {
    let mut longest = 0;
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let slow_from = rng.u64(..3_000);
        // Within a tenth of its mean, and its record taken at the longest.
        let Served { void, .. } = run(slow_from + 200, |number| {
            let usual = rng.u64(EXECUTION * 9 / 11..=EXECUTION);
            if number >= slow_from { usual * 6 / 5 } else { usual }
        });
        let Some((inferences, Reason::RecordExceeded)) = void else { panic!("seed {seed}: {void:?}") };
        assert!(inferences > slow_from, "seed {seed}: void after {inferences}, before it was slowed");
        longest = longest.max(inferences - slow_from);
    }
    println!("void {longest} inferences after it was slowed, at the latest");
    assert!(longest <= 40);
}

#[test]
fn a_worker_above_four_times_as_often_as_declared_loses_its_record_too() {
    let mut rng = Rng::with_seed(3);
    let Served { void, .. } = run(200_000, |_| EXECUTION + u64::from(rng.u32(..1_000) < 4));
    assert_eq!(void.map(|(_, reason)| reason), Some(Reason::RecordExceeded));
}

/// One connection that is in time whatever happens here; `execution` is asked for each inference by its number.
fn run(inferences: u64, mut execution: impl FnMut(u64) -> u64) -> Served {
    let set = [Demand {
        connection: ConnectionId(0),
        min_period: Duration::from_nanos(PERIOD),
        arrival_jitter: Duration::ZERO,
        due: Duration::from_nanos(PERIOD),
        execution: Duration::from_nanos(EXECUTION),
        longest: Duration::from_nanos(EXECUTION),
    }];
    let above = Share::from_parts_per_million(1_000).expect("a small share");
    let (worker, model) = (WorkerId(0), ModelId(0));
    let spec = RecordSpec { worker, model, executions: Executions::single(set[0].execution), above, window: WINDOW };
    let record = Record::new(spec).expect("a window long enough");
    assert_eq!(record.most_above(), 9);
    let releases = (0..inferences).map(|number| Release { at: number * PERIOD, connection: 0 });
    let mut number = 0;
    serve_measured(&set, (1, 1), (vec![record], Status::NONE), releases, |_| {
        number += 1;
        execution(number - 1)
    })
}
