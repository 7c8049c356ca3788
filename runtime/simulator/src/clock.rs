//! Virtual time: a clock that jumps from one happening to the next, in an order that the seed alone decides.

use std::{cmp::Ordering, collections::BinaryHeap};

/// A microsecond of virtual time, which counts nanoseconds.
pub(crate) const MICRO: u64 = 1_000;
/// A millisecond of virtual time.
pub(crate) const MILLI: u64 = 1_000 * MICRO;
/// A second of virtual time.
pub(crate) const SECOND: u64 = 1_000 * MILLI;

/// What will happen, and when; happenings of one instant happen in the order they were scheduled.
///
/// On a coarse grid happenings coincide to the nanosecond, which shows what is decided at the very boundary.
pub(crate) struct Timeline<T> {
    now: u64,
    grid: u64,
    serial: u64,
    heap: BinaryHeap<Entry<T>>,
}

struct Entry<T> {
    at: u64,
    serial: u64,
    what: T,
}

impl<T> Timeline<T> {
    pub(crate) fn starting_at(now: u64, grid: u64) -> Self {
        Self { now: now.next_multiple_of(grid), grid, serial: 0, heap: BinaryHeap::new() }
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// `what` happens at the first point of the grid from `at` on, or now if that has passed.
    pub(crate) fn schedule(&mut self, at: u64, what: T) {
        self.serial += 1;
        self.heap.push(Entry { at: at.max(self.now).next_multiple_of(self.grid), serial: self.serial, what });
    }

    /// The next happening; the clock jumps to it.
    pub(crate) fn advance(&mut self) -> Option<T> {
        let Entry { at, what, .. } = self.heap.pop()?;
        self.now = at;
        Some(what)
    }
}

impl<T> Entry<T> {
    fn key(&self) -> (u64, u64) {
        (self.at, self.serial)
    }
}

/// The heap's greatest entry is the earliest.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn happenings_come_in_order_of_time_and_then_of_scheduling() {
        let mut timeline = Timeline::starting_at(5, 1);
        for (at, what) in [(9, 'c'), (7, 'a'), (9, 'd'), (1, 'p'), (7, 'b')] {
            timeline.schedule(at, what);
        }
        let order: Vec<(u64, char)> =
            std::iter::from_fn(|| timeline.advance().map(|what| (timeline.now(), what))).collect();
        assert_eq!(order, [(5, 'p'), (7, 'a'), (7, 'b'), (9, 'c'), (9, 'd')]);
    }

    #[test]
    fn on_a_coarse_grid_happenings_coincide() {
        let mut timeline = Timeline::starting_at(8, 10);
        for (at, what) in [(14, 'b'), (19, 'c'), (10, 'a')] {
            timeline.schedule(at, what);
        }
        let times: Vec<u64> = std::iter::from_fn(|| timeline.advance().map(|_| timeline.now())).collect();
        assert_eq!(times, [10, 20, 20]);
    }
}
