//! Time as lives are measured by it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::request::Wall;

/// The spool's own time: the sum of all forward steps of the wall clock, nanoseconds.
///
/// It never goes back. A wall clock that is set back counts as no time passed, and what follows is counted from there:
/// no life gets longer by it than by the step itself, and none begins anew. A wall clock that is set forward ages
/// everything by that step, since it cannot be told from a box that was switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Moment(u64);

impl Moment {
    pub(super) fn plus(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub(super) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Makes moments of a wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clock {
    moment: Moment,
    wall: u64,
}

impl Clock {
    pub(super) fn new(wall: Wall) -> Clock {
        Clock { moment: Moment::default(), wall: wall.0 }
    }

    pub(super) fn now(&self) -> Moment {
        self.moment
    }

    pub(super) fn advance(&mut self, wall: Wall) {
        self.moment.0 = self.moment.0.saturating_add(wall.0.saturating_sub(self.wall));
        self.wall = wall.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_makes_no_time_and_runs_on() {
        let mut clock = Clock::new(Wall(1_000));
        clock.advance(Wall(1_500));
        assert_eq!(clock.now(), Moment(500));
        clock.advance(Wall(200));
        assert_eq!(clock.now(), Moment(500));
        clock.advance(Wall(250));
        assert_eq!(clock.now(), Moment(550));
        clock.advance(Wall(u64::MAX));
        clock.advance(Wall(0));
        clock.advance(Wall(u64::MAX));
        assert_eq!(clock.now(), Moment(u64::MAX), "and does not overflow");
    }
}
