//! schedulability: whether the model of each connection is in time whatever the controllers do, before the start.
//!
//! One worker is non-preemptive earliest deadline first on one resource. The condition is that of Jeffay, Stanat and
//! Martel ("On non-preemptive scheduling of periodic and sporadic tasks", RTSS 1991) in the form of George, Rivierre
//! and Spuri for any deadlines ("Preemptive and non-preemptive real-time uniprocessor scheduling", INRIA RR-2966,
//! 1996). Several workers that serve the same models get a sufficient test of their own: see `several`.
//!
//! What the engine's rules change in the textbook's condition:
//! - A leaky bucket lets observation k of a burst come at max(0, k·T − J), and its deadline counts from there. So
//!   ⌊(t − D + J) / T⌋ + 1 deadlines lie within t ≥ D, and none before: jitter bunches arrivals, it shortens nothing.
//! - A result at the instant at which the fallback falls due is late: the latest good end is 1 ns earlier.
//! - A worker starts what waits before the engine looks at a frame of the same nanosecond: a blocker blocks for its
//!   whole execution, not for 1 ns less.
//! - A newer observation that supersedes one takes over its deadline and rank, so both together ask for no more than
//!   the older one did alone. A fallback in place of a late result asks for less than the result.
//! - So a burst is worth two inferences, however long: one that runs and one that waits. Of all that arrive within t
//!   and are run, all but the last two have ended within t, one after the other: together at most t + 2·C. That bounds
//!   the work on one worker where the jitter exceeds the period.
//! - A free worker goes by rank, the deadline with the task's longest budget: a shorter budget makes nobody else late.
//!   It may make its own answer late; the promise is for observations that use their whole budget.
//!
//! For one worker the test is therefore sufficient for any deadlines. It is necessary where each deadline is at most
//! T − J, so that nothing is superseded, and no inference answers more than one observation: then the arrivals that a
//! [`Violation`] describes do make its connection late, or one whose deadline is the same.
//!
//! Batches cost what they block, and no more. They are formed in the order of deadlines, pass nobody over whose set
//! was accepted, and take no longer than their members one by one. Take an observation that is late, and the last
//! inference before with a member of a later deadline: when it began, nobody waited with an earlier one who is not in
//! it. From there on only arrivals count, beside this one inference, which took as long as the largest batch at most.
//! What batches gain is not counted: a set that is accepted fits one by one. [`schedulable_together`] counts on them.
//!
//! One-off requests have no deadline that counts here: a free worker begins one only while no observation waits for it.
//! So they cost what they block, as one later inference does: the longest of them began just before, whatever the
//! deadline, and none begins again until nobody waits. That needs no bound on how often clients ask.
//!
//! It does not account for controllers that restart: an epoch that ends leaves an inference running for nobody, and
//! one that begins afresh adds at most 1 + J / T observations a second. Nor for inferences longer than declared,
//! which is what timing records watch. Whatever happens, the fallbacks are in time.
//!
//! It never allocates, recurses or works without a bound.

mod one;
mod several;
mod together;
mod utilisation;

use crate::{
    task::ConnectionId,
    time::{Duration, Instant},
};

pub use together::schedulable_together;
pub use utilisation::Utilisation;

/// What one connection asks of the workers of its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Whose it is.
    pub connection: ConnectionId,
    /// The shortest time between observations, as its task is policed.
    pub min_period: Duration,
    /// How much sooner one may come, as its task is policed.
    pub arrival_jitter: Duration,
    /// From an arrival until its fallback falls due: the task's deadline less the margin.
    pub due: Duration,
    /// The longest execution of one inference for this observation alone, with what the box adds to each.
    pub execution: Duration,
    /// The longest execution of one inference of its model, with what the box adds: that of the largest batch, which is
    /// never larger than the number of the model's connections. Without batches it is `execution`.
    pub longest: Duration,
}

/// By how much a set of demands holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slack {
    /// The time that is left over at the tightest deadline, in the worst case: on several workers, of all together.
    pub least: Duration,
    /// Whose deadline that is.
    pub tightest: ConnectionId,
    /// Of one worker's time; more than 1 is possible with several workers.
    pub utilisation: Utilisation,
}

/// Why a set of demands is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unschedulable {
    /// There is nothing to schedule, or no worker.
    Empty,
    /// More is asked for than the workers' time.
    Overloaded(Utilisation),
    /// A connection's model can be late.
    Late(Violation),
    /// Whether it holds was not found within the bounded work: the set uses nearly all of the worker's time.
    TooLong(Utilisation),
    /// The test does not cover this connection. For several workers, and for all together, each `due` must be at most
    /// `min_period` less `arrival_jitter`; all together must not be more than the largest batch.
    NotCovered(ConnectionId),
}

/// How a connection's model can be late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// Whose model is late.
    pub late: ConnectionId,
    /// On one worker: the time until the end of an inference that would just be in time, counted from where every
    /// connection sends as fast as it may. On several: how long the inference of `late` may wait for a worker. All
    /// together: how long two batches may take.
    pub within: Duration,
    /// How much execution the observations ask for within that time, without the blocker. On one worker, the late
    /// one's too; on several, that of all others at the worst; all together, that of two batches.
    pub demand: Duration,
    /// Whose inference may have begun just before: a one-off, or one with a later deadline in its largest batch; the
    /// longest of them.
    pub blocker: Option<Blocker>,
    /// Of how many workers.
    pub workers: u16,
    /// Of one worker's time.
    pub utilisation: Utilisation,
}

/// An inference that cannot be taken back once it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocker {
    /// Whose it is.
    pub whose: Whose,
    /// How long it holds the worker.
    pub execution: Duration,
}

/// Whose inference holds a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// An observation of this connection.
    Connection(ConnectionId),
    /// A client: a one-off request.
    OneOff,
}

/// Whether each of these connections gets its model's answer in time on so many workers.
///
/// `one_off` is the longest execution of a one-off request on these workers, with what the box adds; zero without
/// clients.
///
/// The workers serve all models of the set, alike, and nothing else. The order of the set is that of the connections'
/// table, which decides between equal deadlines.
///
/// # Errors
/// [`Unschedulable`] if it does not, or if that cannot be shown.
pub fn schedulable(set: &[Demand], workers: u16, one_off: Duration) -> Result<Slack, Unschedulable> {
    let utilisation = Utilisation::of(set);
    if set.is_empty() || workers == 0 {
        return Err(Unschedulable::Empty);
    }
    if utilisation.is_surely_above(workers) {
        return Err(Unschedulable::Overloaded(utilisation));
    }
    if workers == 1 { one::test(set, one_off, utilisation) } else { several::test(set, workers, one_off, utilisation) }
}

impl Violation {
    /// The arrivals that make `late` late on one worker, if every due is at most its period less its jitter: the
    /// blocker's at the origin, be it a one-off's or a connection's, and, handed in after it, everybody's whose deadline counts, as fast as they may.
    ///
    /// The instants are those of one connection, in order; none for a connection that keeps silent.
    pub fn arrivals(&self, demand: Demand) -> impl Iterator<Item = Instant> + use<> {
        let (within, one) = (self.within.nanos(), Asks::from(demand));
        let blocks = self.blocker.is_some_and(|blocker| blocker.whose == Whose::Connection(demand.connection));
        let counted = (0..).map(move |place: u64| one.arrival(place));
        let counted = counted.take_while(move |arrival| arrival.saturating_add(one.end) <= within);
        blocks.then_some(0).into_iter().chain(counted).map(Instant::from_nanos)
    }
}

/// A demand in nanoseconds, with none of the zeros that would divide or never end.
#[derive(Debug, Clone, Copy)]
struct Asks {
    period: u64,
    jitter: u64,
    /// The latest good end of an inference, from its observation's arrival.
    end: u64,
    execution: u64,
    longest: u64,
}

impl From<Demand> for Asks {
    fn from(demand: Demand) -> Self {
        Self {
            period: demand.min_period.nanos().max(1),
            jitter: demand.arrival_jitter.nanos(),
            end: demand.due.nanos().saturating_sub(1),
            execution: demand.execution.nanos().max(1),
            longest: demand.longest.max(demand.execution).nanos().max(1),
        }
    }
}

impl Asks {
    /// When observation `place` of a connection that sends as fast as it may arrives.
    const fn arrival(self, place: u64) -> u64 {
        place.saturating_mul(self.period).saturating_sub(self.jitter)
    }

    /// How many observations arrive in a span of this length that includes both its ends.
    fn arrivals_within(self, span: u64) -> u64 {
        self.periods_in(span.saturating_add(self.jitter)).saturating_add(1)
    }

    /// How many whole periods a span holds.
    fn periods_in(self, span: u64) -> u64 {
        span.checked_div(self.period).unwrap_or(u64::MAX)
    }

    /// The work on one worker of what arrives in a span of this length and is not superseded.
    fn work_within(self, span: u64) -> u64 {
        self.work(self.arrivals_within(span)).min(span.saturating_add(self.work(2)))
    }

    fn work(self, observations: u64) -> u64 {
        observations.saturating_mul(self.execution)
    }
}

/// The longest inference that is a one-off's or answers one with a later end than `end`.
fn blocker(set: &[Demand], one_off: Duration, end: u64) -> Option<Blocker> {
    let later = set.iter().filter(|demand| Asks::from(**demand).end > end);
    let later = later.max_by_key(|demand| Asks::from(**demand).longest).map(|demand| Blocker {
        whose: Whose::Connection(demand.connection),
        execution: Duration::from_nanos(Asks::from(*demand).longest),
    });
    let longer = one_off > later.map_or(Duration::ZERO, |later| later.execution);
    if longer { Some(Blocker { whose: Whose::OneOff, execution: one_off }) } else { later }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: u64 = 1_000;

    /// Period, jitter, due and execution in microseconds, numbered in order.
    fn set<const N: usize>(rows: [[u64; 4]; N]) -> [Demand; N] {
        let mut place = 0..;
        rows.map(|row| {
            let [min_period, arrival_jitter, due, execution] = row.map(Duration::from_micros);
            let connection = ConnectionId(place.next().unwrap());
            Demand { connection, min_period, arrival_jitter, due, execution, longest: execution }
        })
    }

    fn violation(set: &[Demand], workers: u16) -> Violation {
        match schedulable(set, workers, Duration::ZERO) {
            Err(Unschedulable::Late(violation)) => violation,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_burst_is_worth_two_inferences() {
        // Ten periods of jitter: eleven observations may come at once, and the newest supersede each other.
        let burst = |due, execution| schedulable(&set([[2_000, 20_000, due, execution]]), 1, Duration::ZERO).is_ok();
        assert!(burst(6_000, 900));
        assert!(burst(2_001, 1_000), "the second must end before");
        assert!(!burst(2_000, 1_000), "at its due it is late");
    }

    #[test]
    fn a_long_inference_makes_a_short_deadline_late_and_is_named() {
        let set = set([[10_000, 0, 2_000, 500], [100_000, 0, 80_000, 46_000]]);
        let Violation { late, within, demand, blocker, .. } = violation(&set, 1);
        assert_eq!(late, ConnectionId(0));
        assert_eq!((within.nanos(), demand.nanos()), (2_000 * MICRO - 1, 500 * MICRO));
        let execution = Duration::from_micros(46_000);
        assert_eq!(blocker, Some(Blocker { whose: Whose::Connection(ConnectionId(1)), execution }));
        assert!(
            schedulable(&set[..1], 1, Duration::ZERO).is_ok() && schedulable(&set[1..], 1, Duration::ZERO).is_ok(),
            "each on a worker of its own"
        );
    }

    #[test]
    fn a_blocker_fits_to_the_nanosecond() {
        let mut set = set([[10_000, 0, 2_001, 500], [100_000, 0, 80_000, 1_500]]);
        assert_eq!(schedulable(&set, 1, Duration::ZERO).map(|slack| slack.least.nanos()), Ok(MICRO - 1));
        set[1].longest = Duration::from_nanos(1_501 * MICRO - 1);
        assert_eq!(
            schedulable(&set, 1, Duration::ZERO).map(|slack| slack.least.nanos()),
            Ok(0),
            "it ends 1 ns before its fallback"
        );
        set[1].longest = Duration::from_nanos(1_501 * MICRO);
        assert_eq!(violation(&set, 1).late, ConnectionId(0), "a batch blocks as one inference does");
    }

    #[test]
    fn three_thirds_fill_a_worker_exactly_where_deadlines_are_longer() {
        let mut set = set([[3_000, 0, 6_001, 1_000], [3_000, 0, 6_001, 1_000], [3_000, 0, 6_001, 1_000]]);
        assert!(schedulable(&set, 1, Duration::ZERO).is_ok());
        set[2].execution = Duration::from_nanos(1_000 * MICRO + 1);
        let refused = schedulable(&set, 1, Duration::ZERO);
        assert!(matches!(refused, Err(Unschedulable::Overloaded(share)) if share.parts_per_million() == 1_000_000));
    }

    #[test]
    fn jitter_counts_as_a_burst() {
        assert!(schedulable(&set([[10_000, 0, 5_000, 3_000]]), 1, Duration::ZERO).is_ok());
        assert_eq!(violation(&set([[10_000, 9_500, 5_000, 3_000]]), 1).demand, Duration::from_micros(6_000));
    }

    #[test]
    fn nothing_is_left_undecided_for_ever() {
        let full = set([[7_001, 3, 20_000, 3_500], [7_001, 0, 20_000, 3_501]]);
        assert!(
            matches!(schedulable(&full, 1, Duration::ZERO), Err(Unschedulable::TooLong(_))),
            "jitter leaves no idle instant"
        );
        assert_eq!(schedulable(&[], 1, Duration::ZERO), Err(Unschedulable::Empty));
        assert_eq!(schedulable(&full, 0, Duration::ZERO), Err(Unschedulable::Empty));
        let zero = set([[0, 0, 0, 0]]);
        assert!(schedulable(&zero, 1, Duration::ZERO).is_err());
        let largest = Demand { due: Duration::from_nanos(u64::MAX), ..full[0] };
        assert!(
            schedulable(&[Demand { min_period: largest.due, execution: largest.due, ..largest }], 1, Duration::ZERO)
                .is_err()
        );
    }

    #[test]
    fn several_workers_are_one_each_where_they_suffice_and_refuse_what_is_not_covered() {
        let pair = set([[10_000, 0, 2_000, 1_500], [100_000, 0, 80_000, 46_000]]);
        assert!(schedulable(&pair, 1, Duration::ZERO).is_err() && schedulable(&pair, 2, Duration::ZERO).is_ok());
        let three = set([[10_000, 0, 2_000, 1_500], [100_000, 0, 80_000, 46_000], [100_000, 0, 80_000, 46_000]]);
        let Violation { late, within, workers, blocker, .. } = violation(&three, 2);
        assert_eq!((late, within.nanos(), workers), (ConnectionId(0), 500 * MICRO, 2));
        assert_eq!(blocker.map(|blocker| blocker.whose), Some(Whose::Connection(ConnectionId(2))));
        assert!(schedulable(&three, 3, Duration::ZERO).is_ok());
        let long = set([[10_000, 1_000, 9_001, 100]]);
        assert_eq!(schedulable(&long, 2, Duration::ZERO), Err(Unschedulable::NotCovered(ConnectionId(0))));
    }

    #[test]
    fn a_one_off_blocks_every_deadline_and_is_named() {
        let pair = set([[100_000, 0, 5_001, 1_000], [100_000, 0, 12_001, 4_000]]);
        let test = |nanos| schedulable(&pair, 1, Duration::from_nanos(nanos));
        assert!(test(0).is_ok());
        assert_eq!(test(4_001 * MICRO - 1).map(|slack| slack.least.nanos()), Ok(0));
        let Err(Unschedulable::Late(violation)) = test(4_001 * MICRO) else { panic!("it ends at the first's due") };
        let execution = Duration::from_micros(4_001);
        assert_eq!(violation.blocker, Some(Blocker { whose: Whose::OneOff, execution }));
        assert_eq!(violation.late, ConnectionId(0));
    }

    #[test]
    fn a_one_off_lengthens_the_busy_period() {
        // Without it the worker is idle after 10 ms, before the second deadline at 12: with it that is late.
        let pair = set([[100_000, 0, 11_000, 1_000], [100_000, 0, 12_001, 9_000]]);
        assert!(schedulable(&pair, 1, Duration::ZERO).is_ok());
        assert!(schedulable(&pair, 1, Duration::from_micros(2_000)).is_ok());
        let Err(Unschedulable::Late(violation)) = schedulable(&pair, 1, Duration::from_micros(2_001)) else {
            panic!("1 + 9 + 2.001 ms are 12.001")
        };
        assert_eq!((violation.late, violation.within.nanos()), (ConnectionId(1), 12_001 * MICRO - 1));
    }

    #[test]
    fn each_of_several_workers_may_run_a_one_off() {
        let pair = set([[10_000, 0, 2_001, 500], [10_000, 0, 2_001, 500]]);
        let test = |micros| schedulable(&pair, 2, Duration::from_micros(micros));
        assert!(test(0).is_ok() && test(1_000).is_ok());
        let Err(Unschedulable::Late(violation)) = test(2_000) else { panic!("both workers are held") };
        assert_eq!(violation.blocker.map(|blocker| blocker.whose), Some(Whose::OneOff));
    }
}
