//! Threads' scheduling, as the tests need it: their own before the box's, and the box's engine held up on purpose.

use std::{
    fs, io,
    os::unix::process::CommandExt,
    process::Command,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use rig::{Moment, Priority, bind, cores, raise};

/// The controllers are other machines: nothing of the box runs before them.
pub(crate) const CONTROLLER: Priority = Priority::new(88);
/// The controllers' links, right below.
pub(crate) const CONTROLLER_LINK: Priority = Priority::new(87);
/// Above the box, below the canary: what holds up the engine and is no canary's business.
const STALL: Priority = Priority::new(70);
/// The box's own, from which its config counts down.
pub(crate) const ENGINE: i32 = 50;

/// Whether this process may use `SCHED_FIFO`: without it, nothing can be said about time.
#[must_use]
pub fn real_time_rights() -> bool {
    thread::spawn(|| raise(0, CONTROLLER)).join().is_ok_and(|granted| granted.is_ok())
}

/// A process's threads by id and name.
#[must_use]
pub fn threads(process: u32) -> Vec<(i32, String)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let named = tasks.filter_map(|task| {
        let id = task.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        Some((id, name.trim_end().to_owned()))
    });
    named.collect()
}

/// The kernel kills the command when the thread that started it ends, however it ends.
#[allow(unsafe_code, reason = "std has no such option")]
pub fn end_with_parent(command: &mut Command) {
    let request = || {
        // SAFETY: PR_SET_PDEATHSIG takes one number and touches only the calling process.
        let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: `request` makes one system call and allocates nothing, as must be between fork and exec.
    unsafe { command.pre_exec(request) };
}

/// Sends a process a signal.
///
/// # Panics
/// If there is no such process.
#[allow(unsafe_code, reason = "std can only kill")]
pub fn signal(process: u32, signal: i32) {
    let id = libc::pid_t::try_from(process).expect("a process's id is positive");
    // SAFETY: the call takes two numbers.
    let result = unsafe { libc::kill(id, signal) };
    assert!(result == 0, "signal {signal} to {process}: {}", io::Error::last_os_error());
}

/// The thread of this name.
///
/// # Panics
/// If the process has none.
#[must_use]
pub fn thread_of(process: u32, name: &str) -> i32 {
    let all = threads(process);
    all.iter().find(|(_, other)| other == name).expect("the box has a thread of this name").0
}

/// A thread's scheduling policy, as `libc` counts them.
#[must_use]
#[allow(unsafe_code, reason = "std has no scheduling classes")]
pub fn policy(thread: i32) -> i32 {
    // SAFETY: takes a number.
    unsafe { libc::sched_getscheduler(thread) }
}

/// Puts a thread into another class that everybody may use.
///
/// # Panics
/// If there is no such thread.
#[allow(unsafe_code, reason = "std has no scheduling classes")]
pub fn into_another_class(thread: i32) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` lives through the call.
    let result = unsafe { libc::sched_setscheduler(thread, libc::SCHED_BATCH, &raw const parameters) };
    assert!(result == 0, "{}", io::Error::last_os_error());
}

/// Holds up one thread of another process, and nothing else: it is bound to one core, and on demand a thread
/// of higher priority keeps that core busy. The canary's priority is higher still, so it notices nothing.
pub struct Stall {
    spans: Sender<Duration>,
    done: Receiver<()>,
}

impl Stall {
    /// Prepares to hold up the thread of this name.
    ///
    /// # Panics
    /// If there is no such thread, or without the right to `SCHED_FIFO`.
    #[must_use]
    pub fn of(process: u32, name: &str) -> Self {
        let thread = thread_of(process, name);
        let core = *cores().expect("a process may read its own affinity").last().expect("a process has a core");
        bind(thread, &[core]).expect("a thread of ours can be bound");
        let (spans, wanted) = channel::<Duration>();
        let (finished, done) = channel();
        thread::spawn(move || {
            bind(0, &[core]).expect("a thread of ours can be bound");
            raise(0, STALL).expect("a stall needs real-time rights");
            for span in wanted {
                let end = Moment::now() + span;
                while Moment::now() < end {
                    std::hint::spin_loop();
                }
                // The other side may have gone.
                let _ = finished.send(());
            }
        });
        Self { spans, done }
    }

    /// Holds it up for this long, and returns when it is over.
    ///
    /// # Panics
    /// If the stalling thread has died.
    pub fn hold_up(&self, span: Duration) {
        self.spans.send(span).expect("the stalling thread runs");
        self.done.recv().expect("the stalling thread answers");
    }
}
