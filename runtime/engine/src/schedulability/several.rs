//! Several workers that serve the same models, alike: a sufficient test, by what keeps one observation waiting.
//!
//! In the manner of Guan, Yi, Gu, Deng and Yu ("New schedulability test conditions for non-preemptive scheduling on
//! multiprocessor platforms", RTSS 2008), shown here for the engine's own rules. Let an observation of connection k
//! arrive, and be the first whose model is late. It did not start within its latest start, so during that whole span x
//! all m workers ran inferences of other connections: together m·x of execution. A connection occupies one worker at
//! most, so each contributes at most x. Each due is at most T − J, so each has at most one open observation at a time,
//! and contributes at most
//! - what it can execute in any span of length x: the worst is one inference that ends as late as it may, begun where
//!   the span begins, followed by others that begin on arrival, as fast as they may arrive;
//! - if its due is longer than that of k: one execution, begun before k arrived or with an earlier deadline;
//! - otherwise: the executions of what can arrive with a deadline between the arrival of k and that of k's own.
//!
//! Batches change nothing about this: one takes no longer than its members one by one, so that a member's share of it
//! is at most its own execution, and none that begins while k waits has a member of a later deadline.
//!
//! A one-off may run on each worker when the observation arrives, and none begins while it waits: each worker loses at
//! most the longest one-off, or the whole span.
//!
//! If these sum to less than m·x, for every k, nobody is late. It is not necessary. More workers than one is no reason
//! to accept what one worker could do: that more workers never hurt under these rules is not shown. A search over
//! 243 552 small sets that one worker holds, in 9.7 million random runs on two and three, found none that they do not.

use super::{Asks, Demand, Slack, Unschedulable, Utilisation, Violation, blocker};
use crate::time::Duration;

pub(super) fn test(
    set: &[Demand],
    workers: u16,
    one_off: Duration,
    utilisation: Utilisation,
) -> Result<Slack, Unschedulable> {
    let covered = |one: Asks| one.end < one.period.saturating_sub(one.jitter);
    if let Some(demand) = set.iter().find(|demand| !covered(Asks::from(**demand))) {
        return Err(Unschedulable::NotCovered(demand.connection));
    }
    let mut slack: Option<Slack> = None;
    for waits in set {
        let least = spare_time(set, waits, (workers, one_off), utilisation)?;
        let here = Slack { least, tightest: waits.connection, utilisation };
        slack = Some(slack.filter(|slack| slack.least <= here.least).unwrap_or(here));
    }
    slack.ok_or(Unschedulable::Empty)
}

/// How much of the workers' time is left over in the span in which this connection's inference must start.
fn spare_time(
    set: &[Demand],
    waits: &Demand,
    (workers, one_off): (u16, Duration),
    utilisation: Utilisation,
) -> Result<Duration, Unschedulable> {
    let own = Asks::from(*waits);
    // Instants at which it may start, both ends included.
    let span = own.end.checked_sub(own.execution).map_or(0, |latest| latest.saturating_add(1));
    let others = set.iter().filter(|other| other.connection != waits.connection);
    let one_offs = one_off.nanos().min(span).saturating_mul(u64::from(workers));
    let demand = others.map(|other| in_the_way(own, Asks::from(*other), span)).fold(one_offs, u64::saturating_add);
    let time = span.saturating_mul(u64::from(workers));
    match time.checked_sub(demand) {
        Some(spare) if spare > 0 => Ok(Duration::from_nanos(spare)),
        Some(_) | None => Err(Unschedulable::Late(Violation {
            late: waits.connection,
            within: Duration::from_nanos(span),
            demand: Duration::from_nanos(demand),
            blocker: blocker(set, one_off, own.end),
            workers,
            utilisation,
        })),
    }
}

/// What another connection can execute at most while one waits.
fn in_the_way(own: Asks, other: Asks, span: u64) -> u64 {
    let by_deadline = if other.end > own.end {
        other.execution
    } else {
        other.work(other.arrivals_within(own.end.saturating_sub(1)))
    };
    span.min(by_deadline).min(executed_within(other, span))
}

/// The most that a connection that is never late executes in any span of this length.
fn executed_within(one: Asks, span: u64) -> u64 {
    let after_the_first = span.saturating_add(one.end).saturating_add(one.jitter).saturating_sub(one.execution);
    let more = match one.periods_in(after_the_first) {
        0 => 0,
        periods => {
            let rest = after_the_first.saturating_sub(periods.saturating_mul(one.period));
            one.work(periods.saturating_sub(1)).saturating_add(rest.min(one.execution))
        }
    };
    one.execution.saturating_add(more)
}
