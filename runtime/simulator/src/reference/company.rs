//! The reference model's batches: who begins together, found by asking of each candidate who would be late with it.

use engine::ModelId;
use message::Status;

use super::Reference;

impl Reference<'_> {
    /// Who of these, in the order of their turns, begins with the first.
    pub(super) fn company(&self, now: u64, (worker, model): (usize, ModelId), order: &[usize]) -> Vec<usize> {
        let (mut members, mut passed) = (vec![order[0]], Vec::new());
        let Some(record) = self.scenario.record(worker, model) else { return members };
        for candidate in &order[1..] {
            let larger = members.len() + 1;
            if record.execution(larger).is_none() {
                break;
            }
            let late = |size: usize, others: &[usize]| {
                let end = now + self.scenario.box_plan.overhead + record.executions[size - 1];
                self.late((worker, end), &members, others)
            };
            if late(larger, &passed) != late(larger - 1, &passed) {
                break;
            }
            let task = self.scenario.task_of(*candidate);
            let in_time =
                now + self.scenario.box_plan.overhead + record.executions[larger - 1] < self.due_of(*candidate);
            let measured = self.scenario.record(worker, task.model).is_some();
            if task.model == model && in_time {
                members.push(*candidate);
            } else if measured && task.status.contains(Status::UNSCHEDULABLE) {
                passed.push(*candidate);
            } else {
                break;
            }
        }
        members
    }

    /// Who is late if the members' inference ends then, and the others run after it, one by one.
    fn late(&self, (worker, end): (usize, u64), members: &[usize], others: &[usize]) -> Vec<usize> {
        let mut late: Vec<usize> =
            members.iter().copied().filter(|connection| end >= self.due_of(*connection)).collect();
        let mut until = end;
        for connection in others {
            let record = self.scenario.record(worker, self.scenario.task_of(*connection).model);
            until += record.expect("only who was measured is passed over").executions[0];
            until += self.scenario.box_plan.overhead;
            if until >= self.due_of(*connection) {
                late.push(*connection);
            }
        }
        late
    }

    fn due_of(&self, connection: usize) -> u64 {
        self.due(self.lines[connection].waiting.as_ref().expect("it waits"))
    }
}
