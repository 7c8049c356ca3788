//! The shortest period, by summing: any two observations that were let in are as far apart as the periods between
//! them, less the jitter. A restart may begin the sum anew, once a second.

use crate::{
    clock::SECOND,
    input::Key,
    report::{Check, Disturbance, Disturbances, Finding, Verdict},
    scenario::TaskPlan,
};

#[derive(Default)]
pub(super) struct Period {
    /// The periods of all that were let in since the sum began.
    periods: i128,
    /// Each one's arrival less the periods of those before it: the largest.
    latest: Option<i128>,
    anew_at: Option<u64>,
}

impl Period {
    /// The earliest arrival that is let in, if any is too early.
    pub(super) fn earliest(&self, task: &TaskPlan) -> Option<u64> {
        let earliest = self.latest? + self.periods - i128::from(task.arrival_jitter);
        u64::try_from(earliest).ok()
    }

    /// An observation was let in.
    pub(super) fn let_in(
        &mut self,
        (task, period): (&TaskPlan, u64),
        (key, arrival): (Key, u64),
        begins_epoch: bool,
        seen: &mut Disturbances,
    ) -> Verdict {
        let earliest = self.earliest(task);
        if earliest.is_some_and(|earliest| arrival < earliest) {
            Finding::unless(begins_epoch && self.may_begin_anew(arrival), Check::Period, || {
                format!("{key:?} was let in at {arrival}, before {earliest:?}")
            })?;
            seen.note(Disturbance::LetInAnew);
            *self = Self { anew_at: Some(arrival), ..Self::default() };
        }
        if earliest == Some(arrival) {
            seen.note(Disturbance::LetInAtTheEdge);
        }
        self.latest = self.latest.max(Some(i128::from(arrival) - self.periods));
        self.periods += i128::from(period);
        Ok(())
    }

    /// An observation was refused for its period.
    pub(super) fn refused(
        &self,
        task: &TaskPlan,
        (key, arrival): (Key, u64),
        begins_epoch: bool,
        seen: &mut Disturbances,
    ) -> Verdict {
        let earliest = self.earliest(task);
        let too_soon = earliest.is_some_and(|earliest| arrival < earliest);
        if earliest == Some(arrival + 1) {
            seen.note(Disturbance::RefusedJustBeforeTheEdge);
        }
        if begins_epoch {
            seen.note(Disturbance::RestartTooSoon);
        }
        let may_begin = begins_epoch && self.may_begin_anew(arrival);
        Finding::unless(too_soon && !may_begin, Check::Period, || {
            format!("{key:?} was refused for its period at {arrival}, where {earliest:?} is early enough")
        })
    }

    fn may_begin_anew(&self, arrival: u64) -> bool {
        self.anew_at.is_none_or(|last| arrival >= last + SECOND)
    }
}
