//! One worker: every deadline in the longest busy period, and at each the work that must be done by then.
//!
//! A connection is late in the worst case if and only if at some deadline t, counted from where everybody begins to
//! send as fast as they may, the work with deadlines up to t and the longest inference that began just before with a
//! later one exceed t. Only the first such t must be found, and it lies within the first busy period: beyond its end
//! nothing is left over, and what comes later comes no denser than at its beginning. A one-off that began just before
//! lengthens that busy period: it is work of nobody's deadline that must be done first.

use super::{Asks, Blocker, Demand, Slack, Unschedulable, Utilisation, Violation, blocker};
use crate::{task::ConnectionId, time::Duration};

/// How many connections are looked at, deadlines and rounds together: about a second's work on a small computer. A
/// set of 64 connections that uses 0.999 of a worker needs half of it.
const LOOKS: u64 = 1 << 26;

pub(super) fn test(set: &[Demand], one_off: Duration, utilisation: Utilisation) -> Result<Slack, Unschedulable> {
    let mut looks = Looks::new(set);
    let too_long = Unschedulable::TooLong(utilisation);
    let busy = busy_period(set, one_off.nanos(), &mut looks).ok_or(too_long)?;
    let mut slack: Option<Slack> = None;
    let mut next = deadline_after(set, None);
    while let Some((end, connection)) = next {
        if end > busy && slack.is_some() {
            break;
        }
        looks.spend().ok_or(too_long)?;
        let demand = demand_until(set, end);
        let blocker = blocker(set, one_off, end);
        let held = blocker.map_or(0, |Blocker { execution, .. }| execution.nanos());
        let Some(least) = end.checked_sub(demand.saturating_add(held)) else {
            let (within, demand) = (Duration::from_nanos(end), Duration::from_nanos(demand));
            let late = connection;
            return Err(Unschedulable::Late(Violation { late, within, demand, blocker, workers: 1, utilisation }));
        };
        let here = Slack { least: Duration::from_nanos(least), tightest: connection, utilisation };
        slack = Some(slack.filter(|slack| slack.least <= here.least).unwrap_or(here));
        next = deadline_after(set, Some(end));
    }
    slack.ok_or(Unschedulable::Empty)
}

/// How long the worker is busy if everybody sends as fast as they may and a one-off began just before; `None`: longer
/// than can be found.
fn busy_period(set: &[Demand], one_off: u64, looks: &mut Looks) -> Option<u64> {
    let arrived_before = |span: u64| {
        let work = |demand: &Demand| {
            let one = Asks::from(*demand);
            one.work_within(span.saturating_sub(1))
        };
        set.iter().map(work).fold(one_off, u64::saturating_add)
    };
    let mut span = arrived_before(1);
    loop {
        looks.spend()?;
        match arrived_before(span) {
            u64::MAX => return None,
            same if same == span => return Some(span),
            longer => span = longer,
        }
    }
}

/// The work of the observations whose inferences must end by `end`.
fn demand_until(set: &[Demand], end: u64) -> u64 {
    let work = |demand: &Demand| {
        let one = Asks::from(*demand);
        end.checked_sub(one.end).map_or(0, |span| one.work_within(span))
    };
    set.iter().map(work).fold(0, u64::saturating_add)
}

/// The next latest good end after this one and whose it is: of several at once, that of the one served last.
fn deadline_after(set: &[Demand], last: Option<u64>) -> Option<(u64, ConnectionId)> {
    let next = |demand: &Demand| {
        let one = Asks::from(*demand);
        let passed = last.and_then(|last| last.checked_sub(one.end)).map_or(0, |span| one.arrivals_within(span));
        (one.arrival(passed).saturating_add(one.end), demand.connection)
    };
    let (end, connection) = set.iter().map(next).rev().min_by_key(|(end, _)| *end)?;
    (end < u64::MAX).then_some((end, connection))
}

/// The bound on the work.
struct Looks {
    left: u64,
    each: u64,
}

impl Looks {
    fn new(set: &[Demand]) -> Self {
        Self { left: LOOKS, each: u64::try_from(set.len()).unwrap_or(u64::MAX) }
    }

    /// Looks at each connection once more, if that is still allowed.
    fn spend(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(self.each)?;
        Some(())
    }
}
