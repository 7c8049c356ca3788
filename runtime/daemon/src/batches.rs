//! Which batches of a model its workers run: as large as its timing record, its connections and its config allow.
//!
//! A batch runs at a size that was measured: where fewer wait, the rest of it is idle rows. A size that takes no less
//! than a larger one is left out.

use std::num::NonZeroUsize;

use engine::{Duration, Executions, ExecutionsError};

use crate::{
    plan::Plan,
    timing::{BatchTime, TaskTiming, Unmeasured},
};

/// The sizes beyond one that are measured; in between, a batch runs at the next larger one.
pub(crate) const MEASURED: [usize; 11] = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];

/// What one model's workers run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batches {
    /// Beyond one.
    pub(crate) sizes: Vec<NonZeroUsize>,
    /// Of one observation, of two, and so on up to the largest batch.
    pub(crate) executions: Executions,
}

impl Batches {
    /// What each of the config's models may run; nothing where it has no timing record.
    pub(crate) fn of_models(plan: &Plan, timings: &[Result<TaskTiming, Unmeasured>]) -> Vec<Option<Self>> {
        (0..plan.config.models.len()).map(|model| of_model(plan, timings, model)).collect()
    }

    /// Batches of at most `most` observations, as far as each is worth its while.
    fn new(one: Duration, measured: &[BatchTime], most: usize) -> Self {
        let mut steps: Vec<(NonZeroUsize, Duration)> = Vec::new();
        for batch in measured.iter().rev() {
            let time = engine_time(batch.time).max(one);
            if steps.last().is_none_or(|(_, larger)| time < *larger) {
                steps.push((batch.size, time));
            }
        }
        steps.reverse();
        let mut executions = vec![one];
        let mut sizes = Vec::new();
        for (size, time) in steps {
            for members in executions.len() + 1..=size.get().min(most) {
                executions.push(time);
                if refused_from(&executions).is_some() {
                    return Self { sizes, executions: up_to(&executions, members - 1) };
                }
                if sizes.last() != Some(&size) {
                    sizes.push(size);
                }
            }
        }
        let largest = executions.len();
        Self { sizes, executions: up_to(&executions, largest) }
    }
}

/// The timing of a model's tasks: they may ask for different quantiles, the longest execution is the model's.
pub(crate) fn timing_of<'t>(
    plan: &Plan,
    timings: &'t [Result<TaskTiming, Unmeasured>],
    model: usize,
) -> Option<&'t TaskTiming> {
    let tasks = plan.config.tasks.iter().zip(timings).filter(|(task, _)| task.model == model);
    tasks.filter_map(|(_, timing)| timing.as_ref().ok()).max_by_key(|timing| timing.execution.time)
}

fn of_model(plan: &Plan, timings: &[Result<TaskTiming, Unmeasured>], model: usize) -> Option<Batches> {
    let timing = timing_of(plan, timings, model)?;
    let connections = plan.served().filter(|served| plan.config.tasks[served.task].model == model).count();
    let most = plan.config.models[model].max_batch.min(connections.max(1));
    Some(Batches::new(engine_time(timing.execution.time), &timing.batches, most))
}

fn engine_time(time: std::time::Duration) -> Duration {
    Duration::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

fn refused_from(executions: &[Duration]) -> Option<ExecutionsError> {
    Executions::new(executions).err()
}

fn up_to(executions: &[Duration], members: usize) -> Executions {
    Executions::new(&executions[..members]).expect("each size was tried when it was added")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(one_us: u64, measured: &[(usize, u64)], most: usize) -> (Vec<usize>, Vec<u64>) {
        let batch = |(size, micros): &(usize, u64)| BatchTime {
            size: NonZeroUsize::new(*size).expect("no batch is empty"),
            time: std::time::Duration::from_micros(*micros),
        };
        let measured: Vec<_> = measured.iter().map(batch).collect();
        let Batches { sizes, executions } = Batches::new(Duration::from_micros(one_us), &measured, most);
        let time = |members| executions.of(members).expect("it is within").nanos() / 1_000;
        (sizes.iter().map(|size| size.get()).collect(), (1..=executions.largest_batch()).map(time).collect())
    }

    #[test]
    fn batch_runs_at_the_next_larger_size_that_was_measured() {
        assert_eq!(batches(100, &[(2, 110), (4, 150)], 64), (vec![2, 4], vec![100, 110, 150, 150]));
        assert_eq!(batches(100, &[(2, 110), (4, 150)], 3), (vec![2, 4], vec![100, 110, 150]), "three run as four");
        assert_eq!(batches(100, &[(2, 110), (4, 150)], 2), (vec![2], vec![100, 110]));
        assert_eq!(batches(100, &[(2, 110), (4, 150)], 1), (vec![], vec![100]));
        assert_eq!(batches(100, &[], 8), (vec![], vec![100]));
    }

    #[test]
    fn size_that_is_slower_than_a_larger_one_is_left_out() {
        assert_eq!(batches(100, &[(2, 160), (3, 150), (4, 150)], 4), (vec![4], vec![100, 150, 150, 150]));
        assert_eq!(batches(100, &[(2, 90), (4, 95)], 4), (vec![4], vec![100, 100, 100, 100]), "never below one alone");
    }

    #[test]
    fn batch_that_is_not_worth_its_while_ends_the_list() {
        assert_eq!(batches(100, &[(2, 200), (3, 301), (4, 302)], 4), (vec![2], vec![100, 200]));
        assert_eq!(batches(100, &[(2, 201)], 2), (vec![], vec![100]));
    }
}
