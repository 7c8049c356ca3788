//! The ways to the engine: for zenoh's threads, for the workers, and for its own thread, which keeps its time.
//!
//! Both of the first start before there is an engine, so the door is there first.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering},
    thread::{self, Thread},
};

use engine::{Duration, WorkerId};
use zenoh_link::Source;

use crate::{allocation, clock, lock::Lock, perform::Shared, turn::Turn, worker::Bring};

/// The longest sleep: the watchdog expects a step this often.
pub(crate) const HEARTBEAT: Duration = Duration::from_micros(50_000);

/// Leads to the engine, once there is one.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<Behind>);

#[derive(Default)]
struct Behind {
    turn: OnceLock<Lock<Turn>>,
    /// Those that read cameras' pictures, in the link's order.
    cameras: OnceLock<Vec<Thread>>,
    /// The engine's own.
    thread: OnceLock<Thread>,
}

impl Door {
    /// The engine is there.
    pub(crate) fn open(&self, turn: Turn) {
        assert!(self.0.turn.set(Lock::new(turn)).is_ok(), "a box has one engine");
    }

    /// These read what the cameras send.
    pub(crate) fn watched_by(&self, cameras: Vec<Thread>) {
        let cameras = self.0.cameras.get_or_init(|| cameras);
        // What arrived before woke nobody.
        cameras.iter().for_each(Thread::unpark);
    }

    /// One of zenoh's threads put something into the inbox: a frame or a request, or something that only the engine's
    /// thread takes. It waits for nobody.
    pub(crate) fn arrived(&self, source: Source) {
        let turn = || self.0.turn.get()?.try_lock();
        let decided = match source {
            Source::Route(route) => turn().map(|mut turn| allocation::ours(|| turn.arrived(route))),
            Source::Client(client) => turn().map(|mut turn| allocation::ours(|| turn.asked(client))),
            Source::Input(input) => turn().map(|mut turn| allocation::ours(|| turn.sampled(input))),
            Source::Camera(camera) => {
                if let Some(reader) = self.0.cameras.get().and_then(|all| all.get(camera.index())) {
                    reader.unpark();
                }
                return;
            }
            Source::Other => None,
        };
        let wake = decided.unwrap_or(true);
        if wake {
            self.wake();
        }
    }

    /// How a worker brings its results.
    pub(crate) fn way_back(&self, worker: WorkerId) -> Bring {
        let behind = Arc::clone(&self.0);
        Box::new(move |done| {
            let turn = behind.turn.get().expect("a worker gets its orders from the engine");
            allocation::ours(|| turn.lock().finished(worker, done));
        })
    }

    /// Wakes the engine's thread, now or when it next falls asleep.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.0.thread.get() {
            thread.unpark();
        }
    }

    /// The engine's thread: keeps its time until nothing is left to answer after a shutdown was asked for.
    ///
    /// It sleeps no longer than `shortest`, the time from an arrival until its fallback falls due in the most urgent
    /// task: so an arrival in its sleep needs it no earlier, and it is not woken for each.
    pub(crate) fn keep_time(&self, shared: &Shared, shortest: Duration) {
        self.0.thread.set(thread::current()).expect("one thread keeps the engine's time");
        let turn = self.0.turn.get().expect("the engine is there before its thread");
        let longest = HEARTBEAT.min(shortest);
        while !shared.drained.load(Ordering::Acquire) {
            shared.progress.fetch_add(1, Ordering::Release);
            let mut turn = turn.lock();
            let more = allocation::ours(|| turn.everything());
            let now = clock::now();
            let until =
                if more { now } else { turn.next().map_or(now.after(longest), |at| at.min(now.after(longest))) };
            turn.asleep_until = until;
            drop(turn);
            if until > now {
                thread::park_timeout(until.since(now).into());
            }
        }
    }
}
