//! What timing records are bound to and what may change while the box serves: scheduling classes, cores, locked memory,
//! governors, clocks. Looked at again and again; a worker whose conditions changed loses its records, once.
//!
//! One look is one subject and some system calls, so that the thread that looks is never away for long.

use std::{fmt, fs, path::PathBuf};

use engine::VoidCause;

use crate::{
    config::Priority,
    plan::Plan,
    realtime::{self, Scheduling},
    timing,
};

/// Where the kernel tells about processors.
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Engine,
    Memory,
    /// By its place in the config.
    Worker(usize),
    Core(usize),
}

/// What was seen of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Thread(Scheduling),
    MemoryLocked(bool),
    Core(Core),
}

/// What was seen of a processor's core. What the machine does not tell is `None`, and 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Core {
    governor: Option<String>,
    /// How often it, or the chip that it is on, was too hot.
    throttled: u64,
    highest_khz: Option<u64>,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Whose records are void, by their places in the config; nobody's who lost them before.
    pub(crate) workers: Vec<usize>,
    pub(crate) cause: VoidCause,
    /// For people.
    pub(crate) what: String,
}

/// The kernel's ids of the threads that records are bound to.
#[derive(Debug, Clone)]
pub(crate) struct Threads {
    pub(crate) engine: i32,
    /// In the config's order.
    pub(crate) workers: Vec<i32>,
}

/// Looks at one subject after the other.
pub(crate) struct Conditions {
    threads: Threads,
    /// Between these two a worker changes by itself.
    ranks: Option<Priority>,
    /// In the order in which they are looked at, with what was seen last.
    last: Vec<(Subject, Seen)>,
    next: usize,
    bonds: Bonds,
}

/// Which worker's records are bound to what.
#[derive(Debug, Clone)]
struct Bonds {
    /// Each worker's cores, as they were at first.
    cores: Vec<Vec<usize>>,
    /// Each worker's co-runners.
    co_runners: Vec<Vec<usize>>,
    /// Whether its records are void for a change.
    void: Vec<bool>,
}

impl Conditions {
    /// Looks at everything for the first time.
    pub(crate) fn new(plan: &Plan, threads: Threads) -> Self {
        let ranks = plan.config.realtime.fifo_priority;
        let cores = threads.workers.iter().map(|id| realtime::scheduling(*id).map_or(Vec::new(), |seen| seen.cores));
        let cores: Vec<_> = cores.collect();
        let mut all: Vec<usize> = cores.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        let subjects = [Subject::Engine, Subject::Memory].into_iter();
        let subjects = subjects.chain((0..cores.len()).map(Subject::Worker)).chain(all.into_iter().map(Subject::Core));
        let last = subjects.filter_map(|subject| Some((subject, see(subject, &threads, ranks)?))).collect();
        let (co_runners, void) = ((0..cores.len()).map(|worker| plan.co_runners(worker)), vec![false; cores.len()]);
        let bonds = Bonds { cores, co_runners: co_runners.collect(), void };
        Self { threads, ranks, last, next: 0, bonds }
    }

    /// Looks at the next subject; what has changed about it, where that costs somebody a record.
    pub(crate) fn look(&mut self) -> Option<Changed> {
        self.next = if self.next + 1 < self.last.len() { self.next + 1 } else { 0 };
        let (subject, last) = self.last.get_mut(self.next)?;
        // Who cannot be asked any more has not changed.
        let now = see(*subject, &self.threads, self.ranks)?;
        let (cause, what) = difference(last, &now)?;
        let workers = self.bonds.concerned(*subject, &now);
        *last = now;
        (!workers.is_empty()).then(|| Changed { workers, cause, what: format!("{subject}: {what}") })
    }
}

impl Bonds {
    /// Whose records are void now and were not before.
    fn concerned(&mut self, subject: Subject, now: &Seen) -> Vec<usize> {
        let is_concerned = |worker: usize| match (subject, now) {
            (Subject::Engine | Subject::Memory, _) => true,
            (Subject::Core(core), _) => self.cores[worker].contains(&core),
            // Of a co-runner only the cores matter.
            (Subject::Worker(other), Seen::Thread(now)) => {
                other == worker || self.co_runners[worker].contains(&other) && now.cores != self.cores[other]
            }
            (Subject::Worker(other), Seen::MemoryLocked(_) | Seen::Core(_)) => other == worker,
        };
        let concerned: Vec<_> =
            (0..self.void.len()).filter(|worker| !self.void[*worker] && is_concerned(*worker)).collect();
        for worker in &concerned {
            self.void[*worker] = true;
        }
        concerned
    }
}

fn see(subject: Subject, threads: &Threads, ranks: Option<Priority>) -> Option<Seen> {
    Some(match subject {
        Subject::Engine => Seen::Thread(realtime::scheduling(threads.engine)?),
        Subject::Worker(worker) => {
            let seen = realtime::scheduling(threads.workers[worker])?;
            Seen::Thread(match ranks {
                // While it decides and puts: see `worker.rs`.
                Some(ranks) => seen.with_priority(ranks.engine(), ranks.worker()),
                None => seen,
            })
        }
        Subject::Memory => Seen::MemoryLocked(realtime::is_memory_locked()?),
        Subject::Core(core) => Seen::Core(Core::read(&PathBuf::from(PROCESSORS), core)),
    })
}

/// What has changed, if anything has that a record is bound to.
fn difference(first: &Seen, now: &Seen) -> Option<(VoidCause, String)> {
    if first == now {
        return None;
    }
    let setting = |what: String| Some((VoidCause::SettingChanged, what));
    match (first, now) {
        (Seen::Core(first), Seen::Core(now)) => {
            let hot = now.throttled > first.throttled;
            let lower = matches!((first.highest_khz, now.highest_khz), (Some(first), Some(now)) if now < first);
            if hot {
                return Some((VoidCause::Throttled, "it, or its chip, was too hot".to_owned()));
            }
            if lower {
                let khz = |core: &Core| core.highest_khz.unwrap_or(0);
                return Some((VoidCause::Throttled, format!("highest clock {} kHz, now {}", khz(first), khz(now))));
            }
            let governor = |core: &Core| core.governor.clone().unwrap_or_else(|| "unknown".to_owned());
            if first.governor != now.governor {
                return setting(format!("governor {}, now {}", governor(first), governor(now)));
            }
            (first.highest_khz != now.highest_khz)
                .then(|| (VoidCause::SettingChanged, "another highest clock".to_owned()))
        }
        (Seen::MemoryLocked(_), Seen::MemoryLocked(now)) => {
            setting(if *now { "locked now" } else { "not locked any more" }.to_owned())
        }
        (Seen::Thread(first), Seen::Thread(now)) => setting(format!("{first}, now {now}")),
        (Seen::Core(_) | Seen::MemoryLocked(_) | Seen::Thread(_), _) => None,
    }
}

impl Core {
    fn read(processors: &std::path::Path, core: usize) -> Self {
        let folder = processors.join(format!("cpu{core}"));
        let line = |name: &str| {
            let text = fs::read_to_string(folder.join(name)).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let number = |name: &str| line(name)?.parse().ok();
        let throttled = |of: &str| number(&format!("thermal_throttle/{of}_throttle_count")).unwrap_or(0);
        Self {
            governor: line("cpufreq/scaling_governor"),
            throttled: throttled("core") + throttled("package"),
            highest_khz: number("cpufreq/scaling_max_freq"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => formatter.write_str("the engine's thread"),
            Self::Memory => formatter.write_str("the process's memory"),
            Self::Worker(place) => write!(formatter, "worker {}'s thread", place + 1),
            Self::Core(core) => write!(formatter, "core {core}"),
        }
    }
}

impl fmt::Display for Scheduling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on {}", self.class(), timing::cores(&self.cores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(priority: i32, cores: &[usize]) -> Seen {
        Seen::Thread(Scheduling { policy: libc::SCHED_FIFO, priority, cores: cores.to_vec() })
    }

    fn core() -> Core {
        Core { governor: Some("performance".into()), throttled: 3, highest_khz: Some(2_000) }
    }

    fn cause(first: &Seen, now: &Seen) -> Option<VoidCause> {
        difference(first, now).map(|(cause, _)| cause)
    }

    #[test]
    fn what_has_not_changed_voids_nothing() {
        for seen in [thread(48, &[0, 1]), Seen::MemoryLocked(true), Seen::Core(core()), Seen::Core(Core::default())] {
            assert_eq!(difference(&seen, &seen), None);
        }
    }

    #[test]
    fn settings_are_told_from_a_device_that_slows_down() {
        let setting = Some(VoidCause::SettingChanged);
        assert_eq!(cause(&thread(48, &[0, 1]), &thread(48, &[0])), setting);
        assert_eq!(cause(&thread(48, &[0]), &thread(47, &[0])), setting);
        let default = Seen::Thread(Scheduling { policy: libc::SCHED_OTHER, priority: 0, cores: vec![0] });
        let (_, what) = difference(&thread(48, &[0]), &default).expect("another class");
        assert_eq!(what, "SCHED_FIFO 48 on core 0, now default class on core 0");
        assert_eq!(cause(&Seen::MemoryLocked(true), &Seen::MemoryLocked(false)), setting);

        let first = Seen::Core(core());
        let now = |change: fn(&mut Core)| {
            let mut now = core();
            change(&mut now);
            cause(&first, &Seen::Core(now))
        };
        assert_eq!(now(|core| core.governor = Some("powersave".into())), setting);
        assert_eq!(now(|core| core.highest_khz = Some(3_000)), setting);
        assert_eq!(now(|core| core.throttled = 4), Some(VoidCause::Throttled));
        assert_eq!(now(|core| core.highest_khz = Some(1_000)), Some(VoidCause::Throttled));
    }

    #[test]
    fn a_change_voids_whose_records_are_bound_to_it_and_once() {
        // The second runs beside the first; the third is a spare on the first's core.
        let fresh = || Bonds {
            cores: vec![vec![0], vec![1], vec![0]],
            co_runners: vec![vec![1], vec![0], vec![1]],
            void: vec![false; 3],
        };
        let same = Seen::MemoryLocked(false);
        assert_eq!(fresh().concerned(Subject::Engine, &same), [0, 1, 2]);
        assert_eq!(fresh().concerned(Subject::Core(0), &same), [0, 2]);
        assert_eq!(fresh().concerned(Subject::Core(7), &same), [0; 0]);
        assert_eq!(fresh().concerned(Subject::Worker(1), &thread(48, &[0, 1])), [0, 1, 2], "another co-runner");
        assert_eq!(fresh().concerned(Subject::Worker(1), &thread(40, &[1])), [1], "only its class");
        let mut bonds = fresh();
        assert_eq!(bonds.concerned(Subject::Core(0), &same), [0, 2]);
        assert_eq!(bonds.concerned(Subject::Memory, &same), [1], "the others lost theirs before");
    }

    #[test]
    fn a_core_is_read_as_the_kernel_tells_it() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        assert_eq!(Core::read(folder.path(), 1), Core::default(), "a machine that tells nothing");
        for (name, text) in [
            ("thermal_throttle/core_throttle_count", "1\n"),
            ("thermal_throttle/package_throttle_count", "2\n"),
            ("cpufreq/scaling_governor", "performance\n"),
            ("cpufreq/scaling_max_freq", "2000\n"),
        ] {
            let path = folder.path().join("cpu1").join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        }
        assert_eq!(Core::read(folder.path(), 1), core());
    }
}
