//! Batches: the earliest deadline and its company, no larger than was measured, and nobody late for another's sake.

use engine::ModelId;
use message::Status;

use super::Open;
use crate::{
    report::{Check, Disturbance, Disturbances, Finding, Verdict},
    scenario::Scenario,
};

/// Judges an inference that begins now: `members` in the order that the engine gave, `others` might have begun too.
pub(super) fn judge(
    scenario: &Scenario,
    now: u64,
    (worker, model): (usize, ModelId),
    members: &[Open],
    mut others: Vec<Open>,
    seen: &mut Disturbances,
) -> Verdict {
    others.sort_by_key(turn);
    let Some(first) = members.first() else {
        return Err(Finding { check: Check::Batches, what: "an inference for nobody".into() });
    };
    let earliest = others.first().is_none_or(|other| first.rank <= other.rank);
    Finding::unless(earliest, Check::Workers, || format!("{first:?} is started before {:?}", others[0]))?;
    let in_order = members.is_sorted_by(|one, next| turn(one) < turn(next));
    Finding::unless(in_order, Check::Batches, || format!("{members:?} are not in order"))?;
    let batch = Batch { scenario, worker, model, begins: now + scenario.box_plan.overhead, members };
    let Some(end) = batch.end(members.len()) else {
        return Finding::unless(members.len() == 1, Check::Batches, || format!("nobody measured {members:?}"));
    };
    if members.len() > 1 {
        seen.note(Disturbance::Batched);
    }
    batch.makes_no_member_late(end)?;
    batch.makes_nobody_late_who_was_passed_over(end, &others, seen)?;
    batch.leaves_nobody_behind(&others, seen)
}

struct Batch<'s> {
    scenario: &'s Scenario,
    worker: usize,
    model: ModelId,
    /// When it would end, if it took no time.
    begins: u64,
    members: &'s [Open],
}

impl Batch<'_> {
    fn makes_no_member_late(&self, end: u64) -> Verdict {
        for (place, open) in self.members.iter().enumerate() {
            // The first may be late anyway, if it is late alone; nobody comes along to be late.
            let asks = place > 0 || self.in_time_after(1, 0, open);
            Finding::unless(end < self.due(open) || !asks, Check::Batches, || {
                format!("{open:?} is late for its company in {:?}, which end at {end}", self.members)
            })?;
        }
        Ok(())
    }

    fn makes_nobody_late_who_was_passed_over(&self, end: u64, others: &[Open], seen: &mut Disturbances) -> Verdict {
        let mut passed = 0;
        for other in others.iter().filter(|other| self.members.iter().any(|member| turn(other) < turn(member))) {
            let task = self.scenario.task_of(other.key.connection);
            let promised = !task.status.contains(Status::UNSCHEDULABLE);
            let measured = self.scenario.record(self.worker, task.model).and_then(|record| record.execution(1));
            let (Some(alone), false) = (measured, promised) else {
                return Err(Finding { check: Check::Batches, what: format!("{other:?} is passed over") });
            };
            seen.note(Disturbance::PassedOver);
            passed += alone + self.scenario.box_plan.overhead;
            let before = self.members.iter().filter(|member| turn(member) < turn(other)).count();
            let asks = self.in_time_after(before, passed, other);
            Finding::unless(end + passed < self.due(other) || !asks, Check::Batches, || {
                format!("{other:?} becomes late behind {:?}, which end at {end}", self.members)
            })?;
        }
        Ok(())
    }

    /// Where nobody was passed over, whoever is next comes along if that makes nobody late.
    fn leaves_nobody_behind(&self, others: &[Open], seen: &mut Disturbances) -> Verdict {
        let size = self.members.len();
        let Some(next) = others.first() else { return Ok(()) };
        let passed_nobody = self.members.iter().all(|member| turn(member) < turn(next));
        let may_join = self.scenario.task_of(next.key.connection).model == self.model && self.end(size + 1).is_some();
        if !passed_nobody || !may_join {
            return Ok(());
        }
        let made_late = |open: &Open| self.in_time_after(size, 0, open) && !self.in_time_after(size + 1, 0, open);
        let late = self.members.iter().any(made_late) || !self.in_time_after(size + 1, 0, next);
        if late {
            seen.note(Disturbance::LeftBehind);
        }
        Finding::unless(late, Check::Batches, || format!("{next:?} is left behind by {:?}", self.members))
    }

    /// Whether one is in time that is answered so long after a batch of so many ends.
    fn in_time_after(&self, members: usize, then: u64, open: &Open) -> bool {
        self.end(members).is_some_and(|end| end + then < self.due(open))
    }

    fn end(&self, members: usize) -> Option<u64> {
        let record = self.scenario.record(self.worker, self.model)?;
        Some(self.begins + record.execution(members)?)
    }

    fn due(&self, open: &Open) -> u64 {
        open.deadline - self.scenario.box_plan.margin
    }
}

/// Whose turn is first: the earliest rank, and of several equal ones the first connection.
fn turn(open: &Open) -> (u64, usize) {
    (open.rank, open.key.connection)
}
