//! The canary: sleeps a millisecond at a time on each core, before everything of the box, and notes how late it
//! woke. Where it was late, the machine held up whatever ran there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rig::Moment;

use crate::scheduling;

/// How long it sleeps.
pub(crate) const PERIOD: Duration = Duration::from_millis(1);
/// Room for a minute on each core is made before the run.
const WAKES: usize = 60_000;

/// A canary at work.
pub struct Canary {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Lateness>>,
}

/// How late a canary woke, each time.
#[derive(Debug, Clone)]
pub struct Lateness {
    wakes: Vec<(Moment, Duration)>,
    real_time: bool,
}

impl Canary {
    /// One thread on each core.
    #[must_use]
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let watch = |core| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || watch(core, &stop))
        };
        Self { threads: scheduling::cores().into_iter().map(watch).collect(), stop }
    }

    /// Ends it; what it noted.
    ///
    /// # Panics
    /// If it failed.
    #[must_use]
    pub fn stop(self) -> Lateness {
        self.stop.store(true, Ordering::Relaxed);
        let all = self.threads.into_iter().map(|thread| thread.join().expect("a canary's loop ends"));
        let whole = Lateness { wakes: Vec::new(), real_time: true };
        all.fold(whole, |mut whole, one| {
            whole.wakes.extend(one.wakes);
            whole.real_time &= one.real_time;
            whole
        })
    }
}

fn watch(core: usize, stop: &AtomicBool) -> Lateness {
    scheduling::bind(0, &[core]);
    let real_time = scheduling::fifo(0, scheduling::CANARY);
    let mut wakes = Vec::with_capacity(WAKES);
    while !stop.load(Ordering::Relaxed) {
        let due = Moment::now() + PERIOD;
        due.sleep();
        wakes.push((due, Moment::now().since(due)));
    }
    Lateness { wakes, real_time }
}

impl Lateness {
    /// For a judge's own test.
    #[must_use]
    pub fn of(wakes: Vec<(Moment, Duration)>, real_time: bool) -> Self {
        Self { wakes, real_time }
    }

    /// Whether the canary came before the box.
    #[must_use]
    pub fn is_real_time(&self) -> bool {
        self.real_time
    }

    /// When the canary was held up for longer than this: from when it should have woken to when it did.
    #[must_use]
    pub fn later_than(&self, margin: Duration) -> Vec<(Moment, Moment)> {
        let late = self.wakes.iter().filter(|(_, late)| *late > margin);
        late.map(|(due, late)| (*due, *due + *late)).collect()
    }

    /// The figures, for people.
    #[must_use]
    pub fn figures(&self) -> String {
        let mut sorted: Vec<_> = self.wakes.iter().map(|(_, late)| late.as_micros()).collect();
        sorted.sort_unstable();
        let at = |permille: usize| sorted.get(sorted.len() * permille / 1000).or(sorted.last()).copied().unwrap_or(0);
        let (count, p50, p99, p999, max) = (sorted.len(), at(500), at(990), at(999), at(1000));
        format!("canary of {count} wake-ups late by p50 {p50}, p99 {p99}, p99.9 {p999}, at most {max} us")
    }
}
