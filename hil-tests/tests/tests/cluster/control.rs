//! What hand-offs cost control: a box answers its robot at 500 Hz, while its client's requests go to a cluster and while they
//! do not. Ledgers are asserted, no time is.
//!
//! `ROUNDS` says how many pairs of blocks there are; `make bench-hand-offs` takes 18.

use std::{
    fmt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rig::{Moment, Quantiles, RoundTrips};
use tests::{
    Account, BoxConfig, ClusterSite, Controller, Counting, Fault, HOME, Outcome, Watched, interpreter, judge, policy,
    real_time_rights, thread_of,
};

/// How long the cluster's model takes: it sleeps, so that its processor time is not what is measured.
const THINKS: Duration = Duration::from_millis(50);
/// How often the client asks: about as often as one can who waits for its answer.
const EVERY: Duration = Duration::from_millis(75);
/// 1,500 observations: fifteen of them are beyond their p99.
const BLOCK: Duration = Duration::from_secs(3);
/// Between two blocks, for what the one before it left to be done.
const PAUSE: Duration = Duration::from_millis(300);
/// So many are handed off while allocations are counted.
const HAND_OFFS: u64 = 20;
/// In `make test`: enough for the counts, little for the times.
const ROUNDS: usize = 3;
/// No probe goes to a server within a run, so nothing leaves in a block without hand-offs.
const NO_PROBE_MS: u64 = 60_000;
/// What the box calls the cluster's model, and its servers too.
const MODEL: &str = "double";

#[test]
fn hand_offs_beside_control_miss_no_deadline_and_agree_with_every_list() {
    let test = "hand-offs beside control";
    let Some(python) = interpreter(test) else { return };
    let site = slow_site(&python, &BoxConfig::default());
    nothing_of_a_hand_off_runs_in_the_class_of_control(&site);
    let controller = Controller::connect(&site.genba, "steady");
    let watched = Watched::beside(&site.genba.status());
    let working = controller.start();
    working.await_more(500);
    let (mut asked, mut rounds) = (0, Vec::new());
    for round in 0..wanted_rounds() {
        rounds.push(Round::measure(&site, round, &mut asked));
    }
    let (account, _controller) = working.stop();
    let machine = watched.stop();
    let records = site.assert_equal_lists(asked, asked);
    assert_eq!(records as u64, asked, "each was sent once");
    tell(test, &rounds, &account, asked);
    let lost = account.lost(&site.genba.settled().of("steady"));
    judge(&account.windows(), lost, &machine).settle(test);
}

/// On the way of an observation, and where an answer of a cluster comes back to the engine.
#[test]
fn a_hand_off_allocates_nothing_where_the_engine_decides() {
    let test = "allocations beside hand-offs";
    let (Some(python), Some(program)) = (interpreter(test), Counting::program(test)) else { return };
    for planted in [false, true] {
        let counting = Some(Counting { program: program.clone(), planted });
        let site = slow_site(&python, &BoxConfig { counting, ..BoxConfig::default() });
        let alone = allocations(&site, || (0..HAND_OFFS).for_each(|_| ask(&site)));
        let working = Controller::connect(&site.genba, "steady").start();
        working.await_more(200);
        let before = working.sent();
        let beside = allocations(&site, || (0..HAND_OFFS).for_each(|_| ask(&site)));
        let observations = working.sent() - before;
        let failing = allocations(&site, || (0..HAND_OFFS).for_each(|_| fail(&site)));
        drop(working.stop());
        let told = format!(
            "{alone} for {HAND_OFFS} hand-offs alone, {beside} for as many beside {observations} observations, {failing} for as \
             many that failed"
        );
        println!("{test}: {told}; {}", if planted { "one was planted for each" } else { "none was planted" });
        if planted {
            assert!(
                alone >= HAND_OFFS && beside >= observations && failing >= HAND_OFFS,
                "the negative control: {told}"
            );
        } else {
            assert_eq!((alone, beside, failing), (0, 0, 0), "{told}");
        }
    }
}

/// A box that nobody probes, and servers that take their time.
fn slow_site(python: &Path, config: &BoxConfig) -> ClusterSite {
    let site = ClusterSite::probed(python, config, NO_PROBE_MS);
    site.servers.iter().for_each(|server| server.fault(MODEL, Fault::Delay(THINKS)));
    site
}

/// Whoever waits for a disk or a network does so in the default class: a lane leaves it only while it brings an answer.
fn nothing_of_a_hand_off_runs_in_the_class_of_control(site: &ClusterSite) {
    let class = |name: &str| policy(thread_of(site.genba.process(), name));
    for bystander in ["genba-tokyo.0", "genba-clusters", "genba-journal", "genba-policy"] {
        assert_eq!(class(bystander), libc::SCHED_OTHER, "{bystander}");
    }
    if real_time_rights() {
        assert_eq!(class("genba-engine"), libc::SCHED_FIFO, "the negative control");
    }
}

/// Asks once, and must be answered rightly.
fn ask(site: &ClusterSite) {
    let outcome = site.asker.ask(&site.question());
    let Outcome::Result { values, .. } = &outcome else { panic!("not answered: {outcome:?}") };
    assert_eq!(*values, [0, 1, 2, 3, 4, 5].map(|joint: usize| HOME[joint] * 2.0), "a wrong answer was handed on");
}

/// Asks once, with no server that could answer.
fn fail(site: &ClusterSite) {
    site.servers.iter().for_each(|server| server.fault(MODEL, Fault::Exception));
    let outcome = site.asker.ask(&site.question());
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
}

/// How often the box allocates meanwhile.
fn allocations(site: &ClusterSite, meanwhile: impl FnOnce()) -> u64 {
    let before = site.genba.status().own_allocations();
    meanwhile();
    site.genba.status().own_allocations() - before
}

fn wanted_rounds() -> usize {
    std::env::var("ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("ROUNDS is a number"))
}

/// Two blocks, one right after the other: they saw the same machine.
struct Round {
    without: Block,
    with: Block,
}

/// A span of the controller's run.
#[derive(Clone, Copy)]
struct Block {
    from: Moment,
    until: Moment,
}

impl Round {
    /// Who comes first changes with each round: a machine that becomes slower or faster favours nobody.
    fn measure(site: &ClusterSite, round: usize, asked: &mut u64) -> Self {
        let mut block = |asks: bool| {
            thread::sleep(PAUSE);
            Block::measure(|| *asked += if asks { ask_at_intervals(site) } else { wait() })
        };
        let first = block(round % 2 == 1);
        let second = block(round.is_multiple_of(2));
        let (without, with) = if round % 2 == 1 { (second, first) } else { (first, second) };
        Self { without, with }
    }
}

impl Block {
    fn measure(meanwhile: impl FnOnce()) -> Self {
        let from = Moment::now();
        meanwhile();
        Self { from, until: Moment::now() }
    }
}

/// Of all observations in these blocks.
fn quantiles(account: &Account, blocks: impl IntoIterator<Item = Block>) -> Quantiles {
    let mut round_trips = RoundTrips::new();
    let taken = blocks.into_iter().flat_map(|block| account.round_trips(block.from, block.until));
    taken.for_each(|taken| round_trips.model(taken));
    round_trips.quantiles()
}

/// Asks at a steady rate until the block is over; how often.
fn ask_at_intervals(site: &ClusterSite) -> u64 {
    let begun = Instant::now();
    let mut asked = 0;
    while begun.elapsed() < BLOCK {
        ask(site);
        asked += 1;
        // Who is behind asks at once.
        thread::sleep((EVERY * asked).saturating_sub(begun.elapsed()));
    }
    asked.into()
}

fn wait() -> u64 {
    thread::sleep(BLOCK);
    0
}

/// The figures, for who reads.
fn tell(test: &str, rounds: &[Round], account: &Account, asked: u64) {
    let of = |block: fn(&Round) -> Block| {
        let each: Vec<Quantiles> = rounds.iter().map(|round| quantiles(account, [block(round)])).collect();
        (each, quantiles(account, rounds.iter().map(block)))
    };
    let ((without, all_without), (with, all_with)) = (of(|round| round.without), of(|round| round.with));
    let totals = account.ledger().totals();
    println!(
        "{test}: {} rounds of {BLOCK:?} without and with, {} observations at 500 Hz, {} answered by a fallback, {} missed; \
         {asked} hand-offs, all delivered, each with its record",
        rounds.len(),
        account.sent(),
        totals.fallback(),
        account.windows().iter().filter(|window| window.missed).count(),
    );
    for (name, quantile) in [("p50", (|found| found.p50_us) as fn(&Quantiles) -> u64), ("p99", |found| found.p99_us)] {
        let figures = |found: &[Quantiles]| Spread::of(found.iter().map(quantile).map(as_f64));
        let ratio = |with: &Quantiles, without: &Quantiles| as_f64(quantile(with)) / as_f64(quantile(without));
        let ratios = Spread::of(with.iter().zip(&without).map(|(with, without)| ratio(with, without)));
        let (of_without, of_with) = (figures(&without), figures(&with));
        println!(
            "{test}: {name} {of_without:.0} us without, {of_with:.0} us with; ratio within a round {ratios:.2}; {} and {} us of all \
             rounds together, ratio {:.2}",
            quantile(&all_without),
            quantile(&all_with),
            ratio(&all_with, &all_without)
        );
    }
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a block of seconds")]
fn as_f64(micros: u64) -> f64 {
    micros as f64
}

/// The median over the rounds, and the rounds that lie farthest from it.
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(rounds: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = rounds.collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        Self { median: f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]), min, max }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, min, max } = self;
        let digits = f.precision().unwrap_or(2);
        write!(f, "{median:.digits$} ({min:.digits$} to {max:.digits$})")
    }
}
