//! The two modes: everything in `SCHED_FIFO` on one core, or nothing asked for.

use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How client and servers are scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Everything in `SCHED_FIFO` on one core: the most repeatable.
    FifoOneCore,
    /// The default class, any core.
    Default,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FifoOneCore => "fifo-one-core",
            Self::Default => "default",
        })
    }
}

/// The priority of the client and of every server's threads, as `chrt -f 50` gives it.
pub(crate) const PRIORITY: i32 = 50;

/// The box's `fifo_priority`: its engine runs just above, its link beside and its workers just below
/// [`PRIORITY`], so that zenoh's threads are equal on both sides. Servers that hand over do the same.
pub(crate) const BOX_PRIORITY: i32 = PRIORITY + 1;

/// What a process got.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// `SCHED_FIFO` on this core.
    FifoOn(usize),
    /// The default class, any core.
    Anywhere,
}

impl Place {
    /// Where the mode wants client and servers. Binds the calling thread to the core, but leaves its class alone.
    ///
    /// # Errors
    /// What the system said where it refuses real-time scheduling.
    pub(crate) fn of(mode: Mode) -> io::Result<Self> {
        match mode {
            Mode::Default => Ok(Self::Anywhere),
            Mode::FifoOneCore => {
                let core = last_core()?;
                bind(core)?;
                let place = Self::FifoOn(core);
                place.during(|| ())?;
                Ok(place)
            }
        }
    }

    /// Acts in the mode's scheduling class; what is started meanwhile inherits it.
    ///
    /// Nothing may be waited for with `wait` in there: a kernel that reaps a process at priority 50 spins until the
    /// process's last thread is gone, and if that one has priority 49 on the same core, it spins for ever.
    ///
    /// # Errors
    /// What the system said where it refuses real-time scheduling.
    pub(crate) fn during<R>(self, act: impl FnOnce() -> R) -> io::Result<R> {
        match self {
            Self::Anywhere => Ok(act()),
            Self::FifoOn(_) => {
                fifo(PRIORITY)?;
                let result = act();
                set(libc::SCHED_OTHER, 0)?;
                Ok(result)
            }
        }
    }

    pub(crate) fn core(self) -> Option<usize> {
        match self {
            Self::FifoOn(core) => Some(core),
            Self::Anywhere => None,
        }
    }
}

/// Where another process runs: on this core, in `SCHED_FIFO` if it has a priority.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) core: usize,
    pub(crate) priority: Option<i32>,
    /// Of the default class, the most urgent: nothing else that this machine does takes the core from it.
    pub(crate) most_urgent: bool,
}

impl Seat {
    /// Whoever is started by the command runs there from its first instruction, and so does what it starts.
    #[allow(unsafe_code, reason = "std cannot say where a process runs")]
    pub(crate) fn give(self, command: &mut Command) {
        let arrange = move || {
            bind(self.core)?;
            if self.most_urgent {
                most_urgent()?;
            }
            self.priority.map_or(Ok(()), fifo)
        };
        // SAFETY: between fork and exec it makes a few system calls, which is safe there, and does not allocate.
        unsafe { command.pre_exec(arrange) };
    }
}

/// The first and the last core that this process may use.
pub(crate) fn outer_cores() -> io::Result<(usize, usize)> {
    let cores = usable_cores()?;
    cores.first().copied().zip(cores.last().copied()).ok_or_else(|| io::Error::other("this process may use no core"))
}

/// Gives the calling thread this `SCHED_FIFO` priority.
pub(crate) fn fifo(priority: i32) -> io::Result<()> {
    set(libc::SCHED_FIFO, priority)
}

#[allow(unsafe_code, reason = "std knows no urgency")]
fn most_urgent() -> io::Result<()> {
    // SAFETY: takes numbers only; 0 is the calling process.
    checked(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) })
}

fn set(class: libc::c_int, priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    #[allow(unsafe_code, reason = "std has no scheduling classes")]
    // SAFETY: `parameters` lives through the call; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, class, &raw const parameters) };
    checked(result)
}

/// Interrupts like the first core best.
fn last_core() -> io::Result<usize> {
    Ok(outer_cores()?.1)
}

#[allow(unsafe_code, reason = "std has no affinity")]
fn usable_cores() -> io::Result<Vec<usize>> {
    let mut cores = no_cores();
    // SAFETY: `cores` is a set of the stated size to write to; 0 is the calling thread.
    checked(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut cores) })?;
    let size = libc::CPU_SETSIZE.unsigned_abs() as usize;
    // SAFETY: every number asked for lies within the set.
    Ok((0..size).filter(|core| unsafe { libc::CPU_ISSET(*core, &cores) }).collect())
}

/// Keeps the calling thread on the core.
#[allow(unsafe_code, reason = "std has no affinity")]
pub(crate) fn bind(core: usize) -> io::Result<()> {
    let mut cores = no_cores();
    // SAFETY: the number comes out of a set of this size.
    unsafe { libc::CPU_SET(core, &mut cores) };
    // SAFETY: `cores` is a set of the stated size; 0 is the calling thread.
    checked(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const cores) })
}

#[allow(unsafe_code, reason = "libc gives no constructor")]
fn no_cores() -> libc::cpu_set_t {
    // SAFETY: the set is plain bits, for which all zeros is the empty set.
    unsafe { std::mem::zeroed() }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
