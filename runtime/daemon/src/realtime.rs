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

/// How a thread is scheduled now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scheduling {
    pub(crate) policy: i32,
    /// 0 in the default class.
    pub(crate) priority: i32,
    pub(crate) cores: Vec<usize>,
}

impl Scheduling {
    /// The same, with one priority taken for another.
    pub(crate) fn with_priority(self, taken: i32, for_this: i32) -> Self {
        if self.priority == taken { Self { priority: for_this, ..self } } else { self }
    }

    /// What people know the class by.
    pub(crate) fn class(&self) -> String {
        match self.policy {
            libc::SCHED_FIFO => Class::Fifo(self.priority).to_string(),
            libc::SCHED_OTHER => Class::Default.to_string(),
            other => format!("scheduling policy {other}, priority {}", self.priority),
        }
    }
}

/// How a thread of this process is scheduled; `None`: there is no such thread.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn scheduling(thread: i32) -> Option<Scheduling> {
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` is a valid sched_param to write to.
    let known = unsafe { libc::sched_getparam(thread, &raw mut parameters) } == 0;
    // SAFETY: takes a number.
    let policy = unsafe { libc::sched_getscheduler(thread) };
    let cores = affinity(thread)?;
    // The flag says what a child would inherit.
    let policy = policy & !libc::SCHED_RESET_ON_FORK;
    (known && policy >= 0).then_some(Scheduling { policy, priority: parameters.sched_priority, cores })
}

/// What the kernel grants to all real-time threads of a core together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Throttling {
    pub(crate) runtime_us: u64,
    pub(crate) period_us: u64,
}

impl Throttling {
    /// As it is set now; `None`: real-time threads may run for ever.
    pub(crate) fn now() -> Option<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok();
        Self::read(&read("sched_rt_runtime_us")?, &read("sched_rt_period_us")?)
    }

    /// A runtime of -1 is no limit.
    fn read(runtime_us: &str, period_us: &str) -> Option<Self> {
        let (runtime_us, period_us) = (runtime_us.trim().parse().ok()?, period_us.trim().parse().ok()?);
        (runtime_us < period_us).then_some(Self { runtime_us, period_us })
    }

    /// What it may do to a box whose engine and workers have these cores and real-time classes; `None`: they share no
    /// core.
    pub(crate) fn warning(self, engine: &[usize], workers: &[&[usize]]) -> Option<String> {
        let mut shared: Vec<_> = workers.iter().copied().flatten().filter(|core| engine.contains(core)).collect();
        shared.sort_unstable();
        shared.dedup();
        let cores: Vec<_> = shared.into_iter().map(usize::to_string).collect();
        let Self { runtime_us, period_us } = self;
        let off_ms = (period_us - runtime_us).div_ceil(1_000);
        (!cores.is_empty()).then(|| {
            format!(
                "a worker that keeps a core busy is thrown off it for {off_ms} ms of each {} ms, and with it the engine's \
                 thread, which shares core {} with workers: then no fallback leaves in time (kernel.sched_rt_runtime_us \
                 is {runtime_us} of {period_us}). Set sysctl kernel.sched_rt_runtime_us=-1, or keep the engine on cores \
                 of its own: [realtime] engine_cores, and each [[worker]]'s cores",
                period_us.div_ceil(1_000),
                cores.join(", "),
            )
        })
    }
}

/// The kernel's id of the calling thread.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn this_thread() -> i32 {
    // SAFETY: takes nothing.
    unsafe { libc::gettid() }
}

/// Whether this process has locked memory; `None`: the kernel does not say.
pub(crate) fn is_memory_locked() -> Option<bool> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"))?;
    locked.trim().strip_suffix("kB")?.trim().parse().ok().map(|kib: u64| kib > 0)
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

/// Puts every thread of this process but the caller into the default class: a process that was started in a real-time
/// class gave it to all of them, and one that writes logs must not run before a worker.
pub(crate) fn lower_bystanders() {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ids = threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|thread| *thread != this_thread()).for_each(lower);
}

/// Puts a thread of this process (0: the caller) into the default class, which any thread may do.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn lower(thread: i32) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` is a valid sched_param that lives through the call.
    unsafe { libc::sched_setscheduler(thread, libc::SCHED_OTHER, &raw const parameters) };
}

/// Changes the calling thread's priority within the class that it was granted.
///
/// What was granted once is granted again, unless somebody put the thread into another class since. Then its records
/// are void (`conditions.rs`), and it goes on as it may.
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn change_fifo(priority: i32) {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` is a valid sched_param that lives through the call.
    unsafe { libc::sched_setparam(0, &raw const parameters) };
}

/// Puts the calling thread into `SCHED_FIFO`, for a thread of the default class that is about to work with the engine.
/// Where that is refused, the engine's lock lends it what it needs while somebody waits.
pub(crate) fn become_fifo(priority: i32) {
    let _ = try_fifo(0, priority);
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
    let cores = affinity(0).expect("a thread may read its own affinity");
    (granted.map_or(Class::Default, Class::Fifo), cores)
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

/// The cores that a thread (0: the caller) may use.
#[allow(unsafe_code, reason = "libc")]
fn affinity(thread: i32) -> Option<Vec<usize>> {
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid set of the stated size.
    let result = unsafe { libc::sched_getaffinity(thread, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        return None;
    }
    let size = usize::try_from(libc::CPU_SETSIZE).expect("the size of a set is positive");
    // SAFETY: CPU_ISSET reads within the set's own size.
    Some((0..size).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect())
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

/// What was locked stays so, page for page; what is mapped from now on is locked as it is touched.
///
/// zenoh starts threads whenever it likes and lets them go again. Each has a stack of 2 MiB, which would be filled with
/// zeros and locked as a whole, at the priority of its links, and which the C library keeps afterwards. (A soak's memory
/// grew by just these 2 MiB, a few times an hour.)
#[allow(unsafe_code, reason = "libc")]
pub(crate) fn lock_later_on_fault() {
    if is_memory_locked() != Some(true) {
        return;
    }
    // SAFETY: takes flags only.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result != 0 {
        tracing::warn!("memory of later threads is locked as a whole ({})", io::Error::last_os_error());
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
    fn real_time_throttling_is_warned_of_where_the_engine_shares_a_core() {
        let throttling = Throttling::read("950000\n", "1000000\n").expect("it is on");
        assert_eq!(Throttling::read("-1\n", "1000000\n"), None);
        assert_eq!(Throttling::read("1000000\n", "1000000\n"), None);
        let warning = throttling.warning(&[0, 1], &[&[1], &[0, 1]]).expect("they share both");
        assert!(warning.contains("50 ms of each 1000 ms") && warning.contains("shares core 0, 1 with"), "{warning}");
        assert!(warning.contains("sysctl kernel.sched_rt_runtime_us=-1"), "{warning}");
        assert_eq!(throttling.warning(&[0], &[&[1], &[2, 3]]), None);
    }

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
