//! Real-time rights: taken where the system permits, stated where it does not.

use std::fmt;
use std::fs;
use std::io;

/// The canaries: nothing runs before them.
pub(crate) const CANARY: Priority = Priority::new(90);

/// The robot's loop. In truth it is another machine: nothing of the box may run before it.
pub(crate) const ROBOT: Priority = Priority::new(85);

/// The robot's link, right below its loop.
pub(crate) const LINK: Priority = Priority::new(84);

/// A priority of `SCHED_FIFO`, 1 to 99.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority(i32);

impl Priority {
    /// # Panics
    /// If the system has no such priority.
    #[must_use]
    pub const fn new(priority: i32) -> Self {
        assert!(priority >= 1 && priority <= 99, "a priority of SCHED_FIFO is 1 to 99");
        Self(priority)
    }
}

/// How a thread is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// First in, first out, before all that is not.
    Fifo(Priority),
    /// Like every other thread: its figures say little about time.
    Default,
}

impl Class {
    /// Whether the thread has real-time rights.
    #[must_use]
    pub fn is_real_time(self) -> bool {
        match self {
            Self::Fifo(_) => true,
            Self::Default => false,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fifo(Priority(priority)) => write!(f, "SCHED_FIFO {priority}"),
            Self::Default => f.write_str("the default scheduling class (no real-time rights)"),
        }
    }
}

/// Gives the calling thread this priority if the system permits.
#[must_use]
pub(crate) fn take(priority: Priority) -> Class {
    // to the system, 0 is the calling thread
    match raise(0, priority) {
        Ok(()) => Class::Fifo(priority),
        Err(_) => Class::Default,
    }
}

/// Gives a thread (0: the caller) this priority.
///
/// # Errors
/// What the system said.
pub fn raise(thread: libc::pid_t, Priority(priority): Priority) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    #[allow(unsafe_code, reason = "std has no scheduling classes")]
    // SAFETY: `parameters` lives through the call.
    let result = unsafe { libc::sched_setscheduler(thread, libc::SCHED_FIFO, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives zenoh's threads of this process this priority, if the system permits; how many there are that took it.
#[must_use]
pub fn raise_link(priority: Priority) -> usize {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads
        .filter(|thread| {
            let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            is_zenoh(name.trim_end())
        })
        .filter_map(|thread| thread.file_name().to_str()?.parse().ok())
        .filter(|id| raise(*id, priority).is_ok())
        .count()
}

/// The cores that this process may use.
///
/// # Errors
/// What the system said.
pub fn cores() -> io::Result<Vec<usize>> {
    #[allow(unsafe_code, reason = "a set of cores is a C structure")]
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    #[allow(unsafe_code, reason = "std has no affinity")]
    // SAFETY: `set` has the stated size and lives through the call; 0 is the calling thread.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let all = 0..size_of::<libc::cpu_set_t>() * 8;
    #[allow(unsafe_code, reason = "a set of cores is a C structure")]
    // SAFETY: each number is inside the set.
    let is_ours = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    Ok(all.filter(is_ours).collect())
}

/// Binds a thread (0: the caller) to these cores.
///
/// # Errors
/// What the system said.
pub fn bind(thread: libc::pid_t, cores: &[usize]) -> io::Result<()> {
    #[allow(unsafe_code, reason = "a set of cores is a C structure")]
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores {
        #[allow(unsafe_code, reason = "a set of cores is a C structure")]
        // SAFETY: CPU_SET ignores numbers outside the set.
        unsafe {
            libc::CPU_SET(*core, &mut set);
        }
    }
    #[allow(unsafe_code, reason = "std has no affinity")]
    // SAFETY: `set` has the stated size and lives through the call.
    let result = unsafe { libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps the process's memory from being paged out, if the system permits.
///
/// # Errors
/// What the system said.
pub fn lock_memory() -> io::Result<()> {
    #[allow(unsafe_code, reason = "std has no mlockall")]
    // SAFETY: the call takes no memory of ours.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// zenoh names its threads `rx-0`, `app-1`.
fn is_zenoh(name: &str) -> bool {
    name.split_once('-').is_some_and(|(runtime, number)| {
        ["app", "acc", "net", "rx", "tx"].contains(&runtime) && number.parse::<u32>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zenoh_threads_are_told_from_ours() {
        assert!(is_zenoh("rx-0") && is_zenoh("app-12"));
        assert!(!is_zenoh("robot") && !is_zenoh("rx-slow"));
    }

    #[test]
    fn the_class_that_was_taken_is_the_one_in_force() {
        let class = std::thread::spawn(|| (take(ROBOT), policy())).join().expect("the thread ends");
        match class {
            (Class::Fifo(_), policy) => assert_eq!(policy, libc::SCHED_FIFO),
            (Class::Default, policy) => assert_ne!(policy, libc::SCHED_FIFO),
        }
    }

    fn policy() -> i32 {
        #[allow(unsafe_code, reason = "std has no scheduling classes")]
        // SAFETY: the call takes no memory of ours.
        unsafe {
            libc::sched_getscheduler(0)
        }
    }
}
