//! Threads' scheduling, as the tests need it: their own before the box's, and the box's engine held up on purpose.

use std::{
    fs, io,
    os::unix::process::CommandExt,
    process::Command,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use rig::Moment;

/// The canary comes before everything that it watches over.
pub(crate) const CANARY: i32 = 95;
/// The controllers are other machines: nothing of the box runs before them.
pub(crate) const CONTROLLER: i32 = 90;
/// The controllers' links, right below.
pub(crate) const CONTROLLER_LINK: i32 = 89;
/// Above the box, below the canary: what holds up the engine and is no canary's business.
const STALL: i32 = 70;
/// The box's own, from which its config counts down.
pub(crate) const ENGINE: i32 = 50;

/// Gives a thread (0: the caller) this priority of `SCHED_FIFO`; whether the system permitted it.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn fifo(thread: i32, priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` lives through the call.
    unsafe { libc::sched_setscheduler(thread, libc::SCHED_FIFO, &raw const parameters) == 0 }
}

/// Binds a thread (0: the caller) to these cores.
///
/// # Panics
/// If the system refuses.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn bind(thread: i32, cores: &[usize]) {
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores {
        // SAFETY: CPU_SET ignores numbers outside the set.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: `set` is a valid set of the stated size.
    let result = unsafe { libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &raw const set) };
    assert!(result == 0, "cores {cores:?} for thread {thread}: {}", io::Error::last_os_error());
}

/// The cores that this process may use.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn cores() -> Vec<usize> {
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid set of the stated size.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    assert!(result == 0, "a process may read its own affinity");
    let size = usize::try_from(libc::CPU_SETSIZE).expect("the size of a set is positive");
    // SAFETY: CPU_ISSET reads within the set's own size.
    (0..size).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect()
}

/// Whether this process may use `SCHED_FIFO`: without it, nothing can be said about time.
#[must_use]
pub fn real_time_rights() -> bool {
    thread::spawn(|| fifo(0, CANARY)).join().is_ok_and(|granted| granted)
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

/// Puts zenoh's threads of this process below its controllers and before every box.
pub(crate) fn raise_links() {
    let runtimes = ["app-", "acc-", "net-", "rx-", "tx-"];
    for (thread, name) in threads(std::process::id()) {
        if runtimes.iter().any(|runtime| name.starts_with(runtime)) {
            fifo(thread, CONTROLLER_LINK);
        }
    }
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
        let all = threads(process);
        let (thread, _) = all.iter().find(|(_, other)| other == name).expect("the box has a thread of this name");
        let core = *cores().last().expect("a process has a core");
        bind(*thread, &[core]);
        let (spans, wanted) = channel::<Duration>();
        let (finished, done) = channel();
        thread::spawn(move || {
            bind(0, &[core]);
            assert!(fifo(0, STALL), "a stall needs real-time rights");
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
