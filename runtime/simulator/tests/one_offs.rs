//! An accepted set is never late, however many one-off requests there are and whenever they come, and one that is refused
//! for a one-off alone can be. Clients that keep to their rate get their turn beside one that floods.

mod sets;

use engine::{
    ConnectionId, Duration, Executions, ModelId, Record, RecordSpec, Share, WorkerId,
    schedulability::{Blocker, Demand, Unschedulable, Whose, schedulable},
};
use fastrand::Rng;
use message::Status;
use sets::{MILLI, bursts, constrained, draw, just_accepted, just_accepted_beside, sporadic, synchronous};
use simulator::quiet::{Release, Served, late, serve_beside};

const SETS: u64 = 600;
const CLIENTS: u16 = 3;

#[test]
fn an_accepted_set_is_never_late_beside_adversarial_one_offs() {
    let (mut runs, mut observations, mut one_offs, mut late_without) = (0, 0, 0, 0);
    for seed in 0..SETS {
        let mut rng = Rng::with_seed(seed);
        let workers = if rng.u8(..4) == 0 { rng.u16(2..=3) } else { 1 };
        let drawn = draw(&mut rng);
        let drawn = if workers > 1 || rng.bool() { constrained(drawn) } else { drawn };
        let shortest = drawn.iter().map(|demand| demand.due.nanos()).min().expect("a set is not empty");
        let one_off = rng.u64(1..shortest);
        let adversaries = |rng: &mut Rng, set: &[Demand]| [synchronous(set), bursts(rng, set), sporadic(rng, set)];
        if let Some(set) = just_accepted_beside(&drawn, workers, Duration::from_nanos(one_off)) {
            for releases in adversaries(&mut rng, &set) {
                let releases = beside(&set, &releases);
                let served = serve(&set, (workers, one_off), releases, rng.bool());
                assert_eq!(
                    late(&served.ledger),
                    0,
                    "seed {seed}: {workers} workers, {one_off} ns, {served:?} of {set:?}"
                );
                assert!(served.requests.balances());
                observations += served.ledger.received();
                one_offs += served.requests.answered();
                runs += 1;
            }
        }
        // The negative control: what is accepted without one-offs.
        let Some(set) = just_accepted(&drawn, workers) else { continue };
        let mut is_late = |releases: Vec<Release>| {
            let served = serve(&set, (workers, one_off), beside(&set, &releases), false);
            late(&served.ledger) > 0
        };
        late_without += u64::from(adversaries(&mut rng, &set).into_iter().any(&mut is_late));
    }
    println!(
        "{runs} runs, {observations} observations beside {one_offs} one-offs; {late_without} sets are late that were not told of them"
    );
    assert!(runs > 1_000 && one_offs > 20_000 && late_without > 100);
}

#[test]
fn a_set_refused_for_a_one_off_alone_is_late_when_it_begins_just_before() {
    let mut refused = 0;
    for seed in 0..SETS {
        let mut rng = Rng::with_seed(seed);
        let Some(set) = just_accepted(&constrained(draw(&mut rng)), 1) else { continue };
        let shortest = set.iter().map(|demand| demand.due.nanos()).min().expect("a set is not empty");
        let one_off = rng.u64(shortest / 2..2 * shortest);
        let Err(Unschedulable::Late(violation)) = schedulable(&set, 1, Duration::from_nanos(one_off)) else { continue };
        let Some(Blocker { whose: Whose::OneOff, .. }) = violation.blocker else { continue };
        refused += 1;
        let mut all = vec![Release { at: 0, connection: set.len() }];
        let arrivals = |(place, demand): (usize, &Demand)| {
            let arrivals: Vec<_> = violation.arrivals(*demand).collect();
            arrivals.into_iter().map(move |at| Release { at: at.nanos(), connection: place })
        };
        all.extend(set.iter().enumerate().flat_map(arrivals));
        all.sort_by_key(|release| release.at);
        let served = serve(&set, (1, one_off), all.clone(), false);
        assert!(late(&served.ledger) > 0, "seed {seed}: {violation:?} of {set:?} was not late");
        let without: Vec<Release> = all.into_iter().filter(|release| release.connection < set.len()).collect();
        assert_eq!(late(&serve(&set, (1, one_off), without, false).ledger), 0, "seed {seed}: it is the one-off's");
    }
    println!("{refused} sets are late for a one-off alone");
    assert!(refused > 100);
}

#[test]
fn a_client_within_its_rate_gets_its_turn_beside_one_that_floods() {
    let set = [Demand {
        connection: ConnectionId(0),
        min_period: Duration::from_nanos(100 * MILLI),
        arrival_jitter: Duration::ZERO,
        due: Duration::from_nanos(90 * MILLI),
        execution: Duration::from_nanos(MILLI),
        longest: Duration::from_nanos(MILLI),
    }];
    // A one-off takes a millisecond. The first client asks every 10 µs, the second every 5 ms.
    let mut releases: Vec<Release> = (0..50_000).map(|ask| Release { at: ask * 10_000, connection: 1 }).collect();
    releases.extend((0..100).map(|ask| Release { at: ask * 5 * MILLI + 1, connection: 2 }));
    releases.sort();
    let served = serve(&set, (1, MILLI), releases, true);
    // In half a second 500 one-offs are answered. Only the flood is refused, for its queue.
    let refused = served.requests.by_reason(engine::Reason::Overload);
    assert_eq!(refused + served.requests.answered(), served.requests.received());
    let flood = 50_000 - refused;
    assert_eq!(served.requests.answered() - flood, 100, "{:?}", served.requests);
    assert!((390..=410).contains(&flood), "{flood}");
}

/// Before each arrival, and as it comes, each client asks as often as its queue lets it.
fn beside(set: &[Demand], releases: &[Release]) -> Vec<Release> {
    let ask = |at: u64| (0..usize::from(CLIENTS)).map(move |client| Release { at, connection: set.len() + client });
    let each = releases.iter().flat_map(|one| ask(one.at.saturating_sub(1)).chain(ask(one.at)).chain([*one]));
    let mut all: Vec<Release> = each.collect();
    all.sort_by_key(|release| release.at);
    all
}

/// Each connection has a model of its own, measured or not.
fn serve(set: &[Demand], (workers, one_off): (u16, u64), releases: Vec<Release>, measured: bool) -> Served {
    let models = u8::try_from(set.len()).expect("a set is small");
    let takes = |place: usize| set.get(place).map_or(one_off, |demand| demand.execution.nanos());
    let record = |worker: u16, model: u8| {
        let above = Share::from_parts_per_million(1_000).expect("a small share");
        let executions = Executions::single(Duration::from_nanos(takes(usize::from(model))));
        let spec = RecordSpec { worker: WorkerId(worker), model: ModelId(model), executions, above, window: 1_000 };
        Record::new(spec).expect("a window long enough")
    };
    let records = (0..workers).flat_map(|worker| (0..=models).map(move |model| (worker, model)));
    let records = if measured { records.map(|(worker, model)| record(worker, model)).collect() } else { Vec::new() };
    serve_beside(set, (workers, models), CLIENTS, (records, Status::NONE), releases, |members| takes(members[0]))
}
