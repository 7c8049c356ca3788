//! One worker that serves one model and takes all that wait in one inference: what batches gain, counted.
//!
//! With n connections, a largest batch of at least n, and each due at most T − J, let W be the longest that two batches
//! take one after the other which share n members. If W is less than every due, nobody is late:
//! - Let everybody who waited have come along so far. Whoever waits now arrived while the batch before ran. No
//!   connection is in that batch and waits again: its observations are T − J apart, and that batch and the one before it
//!   took at most W. So all who wait and that batch are at most n, one batch of all of them ends within W of each
//!   arrival, and everybody comes along.
//!
//! A one-off begins only while nobody waits, so at most one runs before a batch, and all who arrive in it come along in
//! that. It must be in time too, all n of them, behind the longest one-off; and then nobody who came along waits again at
//! its end, since they arrived no sooner than the one-off began and their observations are T − J apart.
//!
//! It is sufficient only, but near: the first observation of a burst runs alone, so that the two batches of a worst case
//! share n − 1.

use super::{Asks, Blocker, Demand, Slack, Unschedulable, Utilisation, Violation, Whose};
use crate::{executions::Executions, time::Duration};

/// Whether each of these connections gets its model's answer in time on one worker, because one inference answers all
/// that wait: a set that one by one is too much may be served so.
///
/// They are all connections of the worker's only model. `overhead` is what the box adds to each execution; the
/// executions of the demands are not looked at. `one_off` is the longest one-off on that worker, with what the box adds.
///
/// # Errors
/// [`Unschedulable`] if it does not, or if that cannot be shown.
pub fn schedulable_together(
    set: &[Demand],
    executions: &Executions,
    overhead: Duration,
    one_off: Duration,
) -> Result<Slack, Unschedulable> {
    let utilisation = Utilisation::of(set);
    let ends = || set.iter().map(|demand| (Asks::from(*demand), demand.connection));
    let (tightest, connection) = ends().min_by_key(|(one, _)| one.end).ok_or(Unschedulable::Empty)?;
    let covered = |one: Asks| one.end < one.period.saturating_sub(one.jitter);
    if let Some((_, connection)) = ends().find(|(one, _)| !covered(*one)) {
        return Err(Unschedulable::NotCovered(connection));
    }
    if let Some(demand) = set.get(executions.largest_batch()) {
        return Err(Unschedulable::NotCovered(demand.connection));
    }
    let (first, second) = longest_pair(set.len(), executions, overhead);
    let within = Duration::from_nanos(tightest.end);
    let all = executions.of(set.len()).map_or(Duration::ZERO, |execution| execution.plus(overhead));
    let (pair, behind) = (first.plus(second), all.plus(one_off));
    if let Some(least) = tightest.end.checked_sub(pair.max(behind).nanos()) {
        return Ok(Slack { least: Duration::from_nanos(least), tightest: connection, utilisation });
    }
    let held_up = behind > pair;
    let blocker = held_up.then_some(Blocker { whose: Whose::OneOff, execution: one_off });
    let demand = if held_up { all } else { pair };
    Err(Unschedulable::Late(Violation { late: connection, within, demand, blocker, workers: 1, utilisation }))
}

/// How long two batches take, one after the other, that share so many members: the worst way to share them.
fn longest_pair(members: usize, executions: &Executions, overhead: Duration) -> (Duration, Duration) {
    let takes = |members| executions.of(members).map_or(Duration::ZERO, |execution| execution.plus(overhead));
    let pairs = (0..members).map(|first| (takes(first), takes(members.saturating_sub(first))));
    pairs.max_by_key(|(first, second)| first.plus(*second)).unwrap_or((Duration::ZERO, Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::ConnectionId;

    fn set(connections: u16, due_us: u64) -> [Demand; 4] {
        assert!(connections <= 4);
        let [min_period, due, execution] = [10_000, due_us, 1_000].map(Duration::from_micros);
        [0, 1, 2, 3].map(|place| Demand {
            connection: ConnectionId(place),
            min_period,
            arrival_jitter: Duration::ZERO,
            due,
            execution,
            longest: execution,
        })
    }

    #[test]
    fn two_batches_that_share_all_must_be_in_time() {
        let executions = Executions::new(&[1_000, 1_100, 1_300, 1_900].map(Duration::from_micros)).unwrap();
        let test =
            |due_us| schedulable_together(&set(4, due_us), &executions, Duration::from_micros(50), Duration::ZERO);
        // One and three, with 50 µs each: 1.05 and 1.35 ms; two and two take less.
        assert_eq!(test(2_401).map(|slack| slack.least.nanos()), Ok(999));
        let Err(Unschedulable::Late(violation)) = test(2_400) else { panic!("{:?}", test(2_400)) };
        assert_eq!((violation.within.nanos(), violation.demand.nanos()), (2_399_999, 2_400_000));
        assert!(test(10_000).is_ok());
        assert_eq!(test(10_001), Err(Unschedulable::NotCovered(ConnectionId(0))), "two of one connection at once");
    }

    #[test]
    fn more_than_the_largest_batch_is_not_covered() {
        let executions = Executions::new(&[100, 110, 120].map(Duration::from_micros)).unwrap();
        let refused = schedulable_together(&set(4, 9_000), &executions, Duration::ZERO, Duration::ZERO);
        assert_eq!(refused, Err(Unschedulable::NotCovered(ConnectionId(3))));
        assert!(schedulable_together(&set(4, 9_000)[..3], &executions, Duration::ZERO, Duration::ZERO).is_ok());
        let empty = schedulable_together(&[], &executions, Duration::ZERO, Duration::ZERO);
        assert_eq!(empty, Err(Unschedulable::Empty));
    }

    #[test]
    fn all_must_be_in_time_behind_the_longest_one_off() {
        let executions = Executions::new(&[1_000, 1_100, 1_300, 1_900].map(Duration::from_micros)).unwrap();
        let test = |micros| {
            schedulable_together(&set(4, 2_401), &executions, Duration::from_micros(50), Duration::from_micros(micros))
        };
        assert_eq!(test(450).map(|slack| slack.least.nanos()), Ok(999), "1.95 ms behind 0.45 are the 2.4 of the pair");
        let Err(Unschedulable::Late(violation)) = test(451) else { panic!("{:?}", test(451)) };
        assert_eq!(violation.blocker.map(|blocker| blocker.whose), Some(Whose::OneOff));
        assert_eq!(violation.demand.nanos(), 1_950_000);
    }
}
