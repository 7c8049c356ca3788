//! What the operating system is asked for, and what it granted: `SCHED_FIFO`, affinity, locked memory.
//!
//! Nothing is granted in silence and nothing is refused in silence: each answer is one line at the start.

use std::{fmt, io};

/// A scheduling class, as it was really granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `SCHED_FIFO` with this priority.
    Fifo(i32),
    /// The default, time-shared class.
    Default,
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fifo(priority) => write!(formatter, "SCHED_FIFO {priority}"),
            Self::Default => formatter.write_str("default class"),
        }
    }
}

/// Asks for `SCHED_FIFO` for a thread of this process (0: the caller) and says what was granted.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn fifo(who: &str, thread: i32, priority: i32) -> Class {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` is a valid sched_param that lives through the call.
    let result = unsafe { libc::sched_setscheduler(thread, libc::SCHED_FIFO, &raw const parameters) };
    if result == 0 {
        tracing::info!("{who}: SCHED_FIFO {priority} granted");
        Class::Fifo(priority)
    } else {
        let error = io::Error::last_os_error();
        tracing::warn!(
            "{who}: SCHED_FIFO {priority} refused ({error}); runs in the default class. \
             Give the process CAP_SYS_NICE or raise its `rtprio` limit"
        );
        Class::Default
    }
}

/// Binds the calling thread to these cores; none: wherever the system likes.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn bind(who: &str, cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores {
        // SAFETY: CPU_SET ignores numbers outside the set.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: `set` is a valid set of the stated size; 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if result == 0 {
        tracing::info!("{who}: bound to cores {cores:?}");
    } else {
        tracing::warn!("{who}: cores {cores:?} refused ({})", io::Error::last_os_error());
    }
}

/// Locks the process's memory, so that no page fault holds up a deadline.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn lock_memory() {
    // SAFETY: takes flags only.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if result == 0 {
        tracing::info!("memory locked");
    } else {
        tracing::warn!(
            "memory not locked ({}). Give the process CAP_IPC_LOCK or raise its `memlock` limit",
            io::Error::last_os_error()
        );
    }
}

/// Asks the kernel not to gather this thread's timers: in the default class they may fire 50 us late otherwise.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn precise_timers() {
    // SAFETY: PR_SET_TIMERSLACK takes one number and touches only the calling thread.
    let result = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    assert!(result == 0, "every Linux since 2.6.28 has PR_SET_TIMERSLACK");
}
