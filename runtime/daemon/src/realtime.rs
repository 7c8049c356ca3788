//! What the operating system is asked for, and what it granted: `SCHED_FIFO`, affinity, locked memory.
//!
//! Nothing is granted in silence and nothing is refused in silence: each answer is one line at the start.

use std::{collections::HashSet, fmt, fs, io};

use zenoh_link::Link;

use crate::config::Realtime;

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

/// Puts the calling thread into the engine's class, on its cores, with precise timers, and says what was granted.
pub(crate) fn prepare_engine(wanted: &Realtime) -> Class {
    bind("engine", &wanted.engine_cores);
    precise_timers();
    wanted.fifo_priority.map_or(Class::Default, |priority| fifo("engine", 0, priority.engine()))
}

/// zenoh's threads, in their scheduling class. zenoh starts them when it needs them.
#[derive(Default)]
pub(crate) struct LinkThreads {
    raised: HashSet<i32>,
}

impl LinkThreads {
    /// Raises those that were not there the last time.
    pub(crate) fn raise(&mut self, wanted: &Realtime) {
        let Some(priority) = wanted.fifo_priority else { return };
        for (thread, name) in Link::threads() {
            if self.raised.insert(thread) {
                fifo(&format!("zenoh {name}"), thread, priority.link());
            }
        }
    }
}

/// Asks for `SCHED_FIFO` for a thread of this process (0: the caller) and says what was granted.
pub(crate) fn fifo(who: &str, thread: i32, priority: i32) -> Class {
    match try_fifo(thread, priority) {
        Ok(()) => {
            tracing::info!("{who}: SCHED_FIFO {priority} granted");
            Class::Fifo(priority)
        }
        Err(error) => {
            tracing::warn!(
                "{who}: SCHED_FIFO {priority} refused ({error}); runs in the default class. \
                 Give the process CAP_SYS_NICE or raise its `rtprio` limit"
            );
            Class::Default
        }
    }
}

/// Changes the calling thread's priority within the class that it was granted.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn change_fifo(priority: i32) {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` is a valid sched_param that lives through the call.
    let result = unsafe { libc::sched_setparam(0, &raw const parameters) };
    debug_assert_eq!(result, 0, "what was granted once is granted again");
}

/// Binds the calling thread to these cores; none: wherever the system likes.
pub(crate) fn bind(who: &str, cores: &[usize]) {
    match try_bind(cores) {
        Ok(()) if cores.is_empty() => {}
        Ok(()) => tracing::info!("{who}: bound to cores {cores:?}"),
        Err(error) => tracing::warn!("{who}: cores {cores:?} refused ({error})"),
    }
}

/// What the calling thread gets of a class (none: the default) and of cores (none: any). Nothing is said: it is asked
/// on behalf of a thread that will ask, and say it, for itself.
pub(crate) fn grant(cores: &[usize], priority: Option<i32>) -> (Class, Vec<usize>) {
    // Where this is refused, the affinity shows it.
    let _ = try_bind(cores);
    let granted = priority.filter(|priority| try_fifo(0, *priority).is_ok());
    (granted.map_or(Class::Default, Class::Fifo), affinity())
}

#[allow(unsafe_code, reason = "libc")]
fn try_fifo(thread: i32, priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` is a valid sched_param that lives through the call.
    let result = unsafe { libc::sched_setscheduler(thread, libc::SCHED_FIFO, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[allow(unsafe_code, reason = "libc")]
fn try_bind(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores {
        // SAFETY: CPU_SET ignores numbers outside the set.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: `set` is a valid set of the stated size; 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The cores that the calling thread may use.
#[allow(unsafe_code, reason = "libc")]
fn affinity() -> Vec<usize> {
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid set of the stated size; 0 is the calling thread.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    assert!(result == 0, "a thread may read its own affinity");
    let size = usize::try_from(libc::CPU_SETSIZE).expect("the size of a set is positive");
    // SAFETY: CPU_ISSET reads within the set's own size.
    (0..size).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect()
}

/// Locks the process's memory, so that no page fault holds up a deadline.
///
/// Only where nothing limits it: under a limit a later allocation would fail, in the middle of serving.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn lock_memory() {
    if !may_lock_memory() {
        tracing::warn!(
            "memory not locked: its amount is limited. Give the process CAP_IPC_LOCK or an unlimited `memlock`"
        );
        return;
    }
    // SAFETY: takes flags only.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if result == 0 {
        tracing::info!("memory locked");
    } else {
        tracing::warn!(
            "memory not locked ({}). Give the process CAP_IPC_LOCK or an unlimited `memlock`",
            io::Error::last_os_error()
        );
    }
}

/// Whether nothing limits how much memory this process may lock.
pub(crate) fn may_lock_memory() -> bool {
    unlimited_lock() || has_ipc_lock(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

#[allow(unsafe_code, reason = "libc")]
fn unlimited_lock() -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit to write to.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    result == 0 && limit.rlim_cur == libc::RLIM_INFINITY
}

/// Whether the process of this `/proc/<pid>/status` may lock as much as it likes.
fn has_ipc_lock(status: &str) -> bool {
    /// linux/capability.h; libc does not name it.
    const CAP_IPC_LOCK: u32 = 14;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    effective.is_some_and(|set| set >> CAP_IPC_LOCK & 1 == 1)
}

/// Asks the kernel not to gather this thread's timers: in the default class they may fire 50 us late otherwise.
#[allow(unsafe_code, reason = "libc")]
fn precise_timers() {
    // SAFETY: PR_SET_TIMERSLACK takes one number and touches only the calling thread.
    let result = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    assert!(result == 0, "every Linux since 2.6.28 has PR_SET_TIMERSLACK");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_is_read_from_the_effective_set() {
        let status = |effective| format!("Name:\tgenba\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\n");
        assert!(has_ipc_lock(&status("0000000000004000")));
        assert!(has_ipc_lock(&status("000001ffffffffff")));
        assert!(!has_ipc_lock(&status("000001ffffffbfff")));
        assert!(!has_ipc_lock(&status("not a number")));
        assert!(!has_ipc_lock(""));
    }
}
