//! Whether each model can be in time whatever the controllers do, asked before the first observation.
//!
//! Workers that have a model in common are judged together. Nothing is said of a group with a task that is unmeasured.
//! One-off requests are not judged: a client's may wait. But the longest of them may have just begun on any worker.

use engine::{
    ConnectionId, Duration, Executions,
    schedulability::{Demand, Slack, Unschedulable, Violation, Whose, schedulable, schedulable_together},
};

use crate::{
    batches::Batches,
    plan::{Plan, millis},
    timing::{TaskTiming, Unmeasured},
};

/// Workers that share models, and the tasks that they serve.
pub(crate) struct Group {
    /// By their places in the config, without spares.
    workers: Vec<usize>,
    pub(crate) tasks: Vec<usize>,
    pub(crate) verdict: Verdict,
    one_off: Option<OneOff>,
}

/// The one-off requests that hold a worker for longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OneOff {
    /// Their task, by its place in the config.
    task: usize,
    /// With what the box adds.
    execution: Duration,
}

/// What is known of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every model is in time while executions keep to their records.
    Holds(Slack),
    /// The same, and only because one inference answers all that wait, up to so many.
    HoldsTogether(Slack, usize),
    /// A model can be late.
    Late(Unschedulable),
    /// There is no test for such a group, or it did not come to an end.
    NotShown(Unshown),
    /// A task has no timing record.
    Unmeasured,
    /// No robot's task: requests are promised no time.
    OneOffs,
}

/// Why nothing is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unshown {
    /// The workers do not have all of the group's models, each of them.
    Unequal,
    /// With several workers, a deadline beyond the period.
    LongDeadline(ConnectionId),
    /// The set uses nearly all of the worker's time.
    TooLong,
}

/// Judges each group, with a margin, and what the box adds to an execution: the worker puts the answer itself.
pub(crate) fn judge(
    plan: &Plan,
    timings: &[Result<TaskTiming, Unmeasured>],
    batches: &[Option<Batches>],
    given: (Duration, Duration),
) -> Vec<Group> {
    let grouped = groups(plan).into_iter().map(|(workers, tasks)| {
        let one_off = longest_one_off(plan, timings, &tasks, given.1);
        let execution = one_off.map_or(Duration::ZERO, |one_off| one_off.execution);
        let verdict = verdict(plan, timings, batches, (&workers, &tasks, execution), given);
        Group { workers, tasks, verdict, one_off }
    });
    grouped.collect()
}

impl Group {
    /// Whether the box must not serve it unless it is told to accept that.
    pub(crate) fn is_refused(&self) -> bool {
        match self.verdict {
            Verdict::Late(_) => true,
            Verdict::Holds(_)
            | Verdict::HoldsTogether(..)
            | Verdict::NotShown(_)
            | Verdict::Unmeasured
            | Verdict::OneOffs => false,
        }
    }

    /// Whether its responses are marked.
    pub(crate) fn is_marked(&self) -> bool {
        match self.verdict {
            Verdict::Late(_) | Verdict::NotShown(_) => true,
            Verdict::Holds(_) | Verdict::HoldsTogether(..) | Verdict::Unmeasured | Verdict::OneOffs => false,
        }
    }

    /// In a sentence or two, with the arithmetic and what to do.
    pub(crate) fn says(&self, plan: &Plan) -> String {
        let workers: Vec<_> = self.workers.iter().map(|place| plan.config.workers[*place].name.as_str()).collect();
        let workers = workers.join(", ");
        match self.verdict {
            Verdict::Holds(slack) => format!(
                "{workers}: every model is in time, whatever the controllers do{}; the tightest is {}, with {} to spare; \
                 {} of one worker's time",
                self.behind(plan),
                whose(plan, slack.tightest),
                millis(slack.least),
                percent(slack.utilisation.parts_per_million()),
            ),
            Verdict::HoldsTogether(slack, most) => format!(
                "{workers}: every model is in time, whatever the controllers do{}, because one inference answers up to \
                 {most} that wait; two after each other leave {}, the tightest, {} to spare; one by one they would ask \
                 for {} of its time",
                self.behind(plan),
                whose(plan, slack.tightest),
                millis(slack.least),
                percent(slack.utilisation.parts_per_million()),
            ),
            Verdict::Unmeasured => format!("{workers}: not known: a task has no timing record"),
            Verdict::OneOffs => format!("{workers}: only one-off requests, which are promised no time"),
            Verdict::NotShown(Unshown::Unequal) => {
                format!("{workers}: not shown: give them all the same models, or none in common")
            }
            Verdict::NotShown(Unshown::LongDeadline(id)) => format!(
                "{workers}: not shown: with several workers, {} needs a deadline of at most min_period_us less \
                 arrival_jitter_us, or one worker of its own",
                whose(plan, id)
            ),
            Verdict::NotShown(Unshown::TooLong) => {
                format!("{workers}: not shown: the tasks ask for nearly all of its time; give it less to do")
            }
            Verdict::Late(Unschedulable::Late(violation)) => self.late(plan, &workers, &violation),
            Verdict::Late(Unschedulable::Overloaded(utilisation) | Unschedulable::TooLong(utilisation)) => format!(
                "{workers}: overloaded: the tasks ask for {} of one worker's time; let robots ask less often, or add a \
                 worker",
                percent(utilisation.parts_per_million())
            ),
            Verdict::Late(Unschedulable::Empty | Unschedulable::NotCovered(_)) => format!("{workers}: nothing to do"),
        }
    }

    /// What every model's time was counted with.
    fn behind(&self, plan: &Plan) -> String {
        self.one_off.map_or_else(String::new, |OneOff { task, execution }| {
            let (task, execution) = (&plan.config.tasks[task].name, millis(execution));
            format!(", also behind a one-off request of `{task}`, which holds a worker for {execution}")
        })
    }

    fn late(&self, plan: &Plan, workers: &str, violation: &Violation) -> String {
        let Violation { late, within, demand, blocker, workers: count, utilisation } = *violation;
        let share = percent(utilisation.parts_per_million());
        let who = whose(plan, late);
        let one_off = self.one_off.map_or("?", |one_off| &plan.config.tasks[one_off.task].name);
        let apart = format!("give `{one_off}` a model and a worker of its own");
        if count > 1 {
            let (others, proposal) = match self.one_off {
                Some(OneOff { execution, .. }) => {
                    let execution = millis(execution);
                    (format!("the others, and on each a one-off request of `{one_off}` for {execution},"), apart)
                }
                None => ("the others".to_owned(), "give it a worker of its own".to_owned()),
            };
            return format!(
                "{who} can be late: {others} may keep {workers} busy for {} of the {} that it can wait; {share} of one \
                 worker's time; {proposal}",
                millis(demand),
                millis(within)
            );
        }
        let asked = format!("within {} the observations ask for {} of it ({share})", millis(within), millis(demand));
        let holds = |whose: String, execution, proposal: &str| {
            let execution = millis(execution);
            format!(
                "{who} can be late: {whose} holds worker {workers} for {execution}, and {asked}; {proposal}, or choose a \
                 longer deadline"
            )
        };
        match blocker.map(|blocker| (blocker.whose, blocker.execution)) {
            Some((Whose::Connection(id), execution)) => {
                holds(whose(plan, id), execution, "give it a worker of its own")
            }
            Some((Whose::OneOff, execution)) => holds(format!("a one-off request of `{one_off}`"), execution, &apart),
            None => {
                format!("{who} can be late on worker {workers}: {asked}; let robots ask less often, or add a worker")
            }
        }
    }
}

/// Which of these tasks' one-off requests holds a worker for longest: nothing is batched with one.
fn longest_one_off(
    plan: &Plan,
    timings: &[Result<TaskTiming, Unmeasured>],
    tasks: &[usize],
    overhead: Duration,
) -> Option<OneOff> {
    let asked = tasks.iter().filter(|task| !plan.config.tasks[**task].clients.is_empty());
    let one_offs = asked.filter_map(|&task| {
        let alone = timings[task].as_ref().ok()?.execution.time.as_nanos();
        let execution = u64::try_from(alone).unwrap_or(u64::MAX).saturating_add(overhead.nanos());
        Some(OneOff { task, execution: Duration::from_nanos(execution) })
    });
    one_offs.max_by_key(|one_off| one_off.execution)
}

/// A connection as people know it.
fn whose(plan: &Plan, id: ConnectionId) -> String {
    let served = plan.served().nth(usize::from(id.0));
    served.map_or_else(
        || "?".to_owned(),
        |served| format!("`{}` of {}", plan.config.tasks[served.task].name, served.robot.name),
    )
}

fn percent(parts_per_million: u64) -> String {
    format!("{}.{} %", parts_per_million / 10_000, parts_per_million % 10_000 / 1_000)
}

/// Workers in service that share a task's model, directly or through others, with these tasks.
fn groups(plan: &Plan) -> Vec<(Vec<usize>, Vec<usize>)> {
    let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (place, worker) in plan.config.workers.iter().enumerate().filter(|(_, worker)| !worker.spare) {
        let tasks = plan.config.tasks.iter().enumerate();
        let serves: Vec<usize> = tasks
            .filter(|(_, task)| worker.models.contains(&task.model) && task.plans.is_none())
            .map(|(task, _)| task)
            .collect();
        if serves.is_empty() {
            continue;
        }
        let (joined, mut apart): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(_, tasks)| tasks.iter().any(|task| serves.contains(task)));
        let mut whole = (vec![place], serves);
        for (workers, tasks) in joined {
            whole.0.extend(workers);
            whole.1.extend(tasks);
        }
        whole.0.sort_unstable();
        whole.1.sort_unstable();
        whole.1.dedup();
        apart.push(whole);
        groups = apart;
    }
    groups
}

fn verdict(
    plan: &Plan,
    timings: &[Result<TaskTiming, Unmeasured>],
    batches: &[Option<Batches>],
    (workers, tasks, one_off): (&[usize], &[usize], Duration),
    (margin, overhead): (Duration, Duration),
) -> Verdict {
    if tasks.iter().all(|task| plan.config.tasks[*task].robots.is_empty()) {
        return Verdict::OneOffs;
    }
    if tasks.iter().any(|task| timings[*task].is_err()) {
        return Verdict::Unmeasured;
    }
    let serves_all = |worker: &usize| {
        tasks.iter().all(|task| plan.config.workers[*worker].models.contains(&plan.config.tasks[*task].model))
    };
    let mut set = Vec::new();
    for (connection, served) in (0..).map(ConnectionId).zip(plan.served()).filter(|(_, at)| tasks.contains(&at.task)) {
        let declared = &plan.config.tasks[served.task];
        let Ok(timing) = &timings[served.task] else { return Verdict::Unmeasured };
        let execution = u64::try_from(timing.execution.time.as_nanos()).unwrap_or(u64::MAX);
        let longest =
            batches[declared.model].as_ref().map_or(execution, |batches| batches.executions.longest().nanos());
        set.push(Demand {
            connection,
            min_period: declared.min_period,
            arrival_jitter: declared.arrival_jitter,
            due: Duration::from_nanos(declared.deadline.nanos().saturating_sub(margin.nanos())),
            execution: Duration::from_nanos(execution.saturating_add(overhead.nanos())),
            longest: Duration::from_nanos(longest.saturating_add(overhead.nanos())),
        });
    }
    if !workers.iter().all(serves_all) {
        return Verdict::NotShown(Unshown::Unequal);
    }
    let count = u16::try_from(workers.len()).expect("the engine's table has at most 65535 workers");
    let alone = schedulable(&set, count, one_off);
    if alone.is_err()
        && let Some(executions) = only_model(plan, batches, (workers, tasks))
        && let Ok(slack) = schedulable_together(&set, executions, overhead, one_off)
    {
        return Verdict::HoldsTogether(slack, executions.largest_batch());
    }
    match alone {
        Ok(slack) => Verdict::Holds(slack),
        Err(Unschedulable::NotCovered(connection)) => Verdict::NotShown(Unshown::LongDeadline(connection)),
        Err(Unschedulable::TooLong(_)) => Verdict::NotShown(Unshown::TooLong),
        Err(refused @ (Unschedulable::Empty | Unschedulable::Overloaded(_) | Unschedulable::Late(_))) => {
            Verdict::Late(refused)
        }
    }
}

/// The executions of the one model that robots of a group with one worker ask for.
fn only_model<'b>(
    plan: &Plan,
    batches: &'b [Option<Batches>],
    (workers, tasks): (&[usize], &[usize]),
) -> Option<&'b Executions> {
    let mut models = tasks.iter().map(|task| &plan.config.tasks[*task]).filter(|task| !task.robots.is_empty());
    let model = models.next()?.model;
    let alone = workers.len() == 1 && models.all(|task| task.model == model);
    batches[model].as_ref().filter(|_| alone).map(|batches| &batches.executions)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::{
        config::Config,
        timing::{Execution, Quantile, Scene},
    };

    const MARGIN: Duration = Duration::from_micros(1_000);
    const OVERHEAD: Duration = Duration::from_micros(100);

    /// A robot each 10 ms within 8 ms, and somebody who inspects now and then, with these workers.
    fn plan(workers: &str, robots: &str) -> Plan {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let (arm, camera) = (models.join("ur5e-conveyor"), models.join("ur5e-conveyor-demo"));
        let text = format!(
            "[box]\nname = \"b\"\nkey_prefix = \"a/b\"\n[[model]]\nname = \"arm\"\nfolder = {arm:?}\n[[model]]\nname = \
             \"camera\"\nfolder = {camera:?}\n{workers}\n[[task]]\nname = \"track\"\nmodel = \"arm\"\ndeadline_us = \
             8000\n{robots}\n[[task]]\nname = \"inspect\"\nmodel = \"camera\"\ndeadline_us = 500000\nclients = [{{ name = \
             \"c\", min_period_us = 1000 }}]\n"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("box.toml");
        std::fs::write(&path, text).expect("it can be written");
        Plan::load(Config::load(&path).expect("it is good")).expect("the models are good")
    }

    const ROBOT: &str = "min_period_us = 10000\narrival_jitter_us = 0\nhold_ms = 1\nrobots = [{ name = \"r\" }]";
    const ASKER: &str = "clients = [{ name = \"d\", min_period_us = 1000 }]";

    /// What is said of the first group, where the arm's model takes 2 ms and the camera's so long.
    fn judged(plan: &Plan, camera_us: u64) -> (Verdict, String) {
        let timing = |micros| {
            let (time, longest_pause) = (std::time::Duration::from_micros(micros), std::time::Duration::ZERO);
            let execution = Execution { time, scene: Scene::Alone { pause_us: 0 }, longest_pause };
            Ok(TaskTiming { execution, quantile: Quantile::DEFAULT, batches: Vec::new(), record: PathBuf::new() })
        };
        let timings = [timing(2_000), timing(camera_us)];
        let groups = judge(plan, &timings, &Batches::of_models(plan, &timings), (MARGIN, OVERHEAD));
        (groups[0].verdict, groups[0].says(plan))
    }

    const ONE: &str = "[[worker]]\nname = \"cpu0\"";

    #[test]
    fn robot_must_be_in_time_behind_the_longest_one_off() {
        let plan = plan(ONE, ROBOT);
        // 7 ms until the fallback falls due, 2.1 ms for the arm: 4.9 ms for whatever has just begun.
        let (verdict, says) = judged(&plan, 4_700);
        assert!(matches!(verdict, Verdict::Holds(_)), "{says}");
        assert!(
            says.contains(
                "also behind a one-off request of `inspect`, which holds a worker for 4.800 ms; the tightest"
            ),
            "{says}"
        );
        let (verdict, says) = judged(&plan, 4_900);
        assert!(matches!(verdict, Verdict::Late(_)), "{says}");
        assert!(
            says.starts_with(
                "`track` of r can be late: a one-off request of `inspect` holds worker cpu0 for 5.000 ms, and"
            ),
            "{says}"
        );
        assert!(
            says.ends_with("; give `inspect` a model and a worker of its own, or choose a longer deadline"),
            "{says}"
        );
    }

    #[test]
    fn worker_of_their_own_keeps_one_offs_out_of_the_way() {
        let apart =
            "[[worker]]\nname = \"cpu0\"\nmodels = [\"arm\"]\n[[worker]]\nname = \"cpu1\"\nmodels = [\"camera\"]";
        let (verdict, says) = judged(&plan(apart, ROBOT), 100_000);
        assert!(matches!(verdict, Verdict::Holds(_)) && !says.contains("one-off"), "{says}");
    }

    #[test]
    fn each_of_several_workers_may_run_a_one_off() {
        let two = "[[worker]]\nname = \"cpu0\"\n[[worker]]\nname = \"cpu1\"";
        let (verdict, says) = judged(&plan(two, ROBOT), 100_000);
        assert!(matches!(verdict, Verdict::Late(_)), "{says}");
        let words = "the others, and on each a one-off request of `inspect` for 100.100 ms, may keep cpu0, cpu1 busy";
        assert!(says.contains(words), "{says}");
    }

    #[test]
    fn clients_alone_are_promised_nothing() {
        let (verdict, says) = judged(&plan(ONE, ASKER), 100_000);
        assert_eq!(verdict, Verdict::OneOffs);
        assert_eq!(says, "cpu0: only one-off requests, which are promised no time");
    }
}
