//! A server's process: started, asked for its CPU time, ended with the bench.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, Result, WrapErr, miette};

use crate::measure::{PAUSE, Round, Tally};

/// What zenoh reads from the environment: each process sets its own.
const ZENOH_WORKERS: &str = "ZENOH_RUNTIME";

/// A running process; ends with this value, or with this process.
pub(crate) struct Process {
    child: Child,
    /// Whether it may have started others, which end with it.
    family: bool,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.env_remove(ZENOH_WORKERS);
        end_with_parent(command);
        Ok(Self { child: command.spawn()?, family: false })
    }

    /// One that starts others: it is asked to end before it is made to, and so are they.
    pub(crate) fn start_family(command: &mut Command) -> io::Result<Self> {
        let mut process = Self::start(command.process_group(0))?;
        process.family = true;
        Ok(process)
    }

    /// Whether it ended well; `None` while it runs. Leaves it to be waited for: until then its number is its own.
    pub(crate) fn ended(&self) -> Result<Option<bool>> {
        ended(self.child.id()).into_diagnostic()
    }

    /// An error if it has ended.
    pub(crate) fn is_running(&mut self) -> Result<()> {
        match self.child.try_wait().into_diagnostic()? {
            None => Ok(()),
            Some(status) => Err(miette!("it ended: {status}")),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time that all its threads have used, in nanoseconds.
    ///
    /// The sum of what `/proc/<pid>/stat` calls utime and stime, without rounding to ticks of 10 ms.
    pub(crate) fn cpu_ns(&self) -> Result<u64> {
        let pid = libc::pid_t::try_from(self.child.id()).into_diagnostic()?;
        cpu_ns(pid).into_diagnostic().wrap_err("cannot read a server's CPU time")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.family {
            self.end_family();
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// What is left after it was asked ends the hard way.
    fn end_family(&mut self) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id fits");
        signal(pid, libc::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < GRACE && matches!(self.ended(), Ok(None)) {
            thread::sleep(PAUSE);
        }
        signal(-pid, libc::SIGKILL);
    }
}

/// How long a process has to end after it was asked to.
const GRACE: Duration = Duration::from_secs(4);

/// To a process that this one started and has not waited for, or with a negative number to its group.
#[allow(unsafe_code, reason = "std sends no signal but SIGKILL")]
fn signal(pid: libc::pid_t, number: libc::c_int) {
    // SAFETY: takes numbers only.
    let _ = unsafe { libc::kill(pid, number) };
}

/// A process of this binary that says `ready` and is asked over its standard input.
pub(crate) struct Peer {
    pub(crate) process: Process,
    asking: ChildStdin,
    saying: BufReader<ChildStdout>,
}

impl Peer {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).into_diagnostic()?;
        let asking = process.child.stdin.take().expect("it is piped");
        let saying = BufReader::new(process.child.stdout.take().expect("it is piped"));
        let mut peer = Self { process, asking, saying };
        let mut line = String::new();
        peer.saying.read_line(&mut line).into_diagnostic()?;
        if line.trim() == "ready" { Ok(peer) } else { Err(miette!("a server ended before it was ready")) }
    }

    /// So many runs of the bare session.
    pub(crate) fn round(&mut self, count: usize) -> Result<Round> {
        thread::sleep(PAUSE);
        writeln!(self.asking, "{count}").into_diagnostic()?;
        let mut line = String::new();
        self.saying.read_line(&mut line).into_diagnostic()?;
        let times: Vec<u64> = serde_json::from_str(&line).into_diagnostic().wrap_err("the bare session ended")?;
        // And one that is nobody's.
        let tally = Tally { model: times.len() as u64 + 1, ..Tally::default() };
        Ok(Round { times, tally, cpu_ns: 0 })
    }
}

/// A TCP endpoint of this machine that nobody listens on.
pub(crate) fn free_endpoint() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").into_diagnostic()?;
    Ok(format!("tcp/{}", listener.local_addr().into_diagnostic()?))
}

/// Ends the command's process with the thread that starts it.
#[allow(unsafe_code, reason = "std cannot ask the system to end a child with its parent")]
pub(crate) fn end_with_parent(command: &mut Command) {
    let arrange = || {
        // SAFETY: takes numbers only.
        let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it calls prctl alone, which is safe there; building the error does not allocate.
    unsafe { command.pre_exec(arrange) };
}

/// Whether a child ended well; it stays to be waited for.
#[allow(unsafe_code, reason = "std waits for what it asks about")]
fn ended(pid: u32) -> io::Result<Option<bool>> {
    // SAFETY: plain numbers, for which all zeros is a value.
    let mut found: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `found` is there to write to.
    if unsafe { libc::waitid(libc::P_PID, pid, &raw mut found, options) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: after a call that succeeded it says of a child that ended who it was and how, or holds zeros.
    let (who, status) = unsafe { (found.si_pid(), found.si_status()) };
    Ok((who != 0).then_some(found.si_code == libc::CLD_EXITED && status == 0))
}

#[allow(unsafe_code, reason = "std cannot ask for another process's CPU time")]
fn cpu_ns(pid: libc::pid_t) -> io::Result<u64> {
    let mut clock = 0;
    // SAFETY: `clock` is a clock id to write to.
    match unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } {
        0 => {}
        error => return Err(io::Error::from_raw_os_error(error)),
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec to write to.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let part = |value: libc::c_long| u64::try_from(value).expect("CPU time is not negative");
    Ok(part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn cpu_time_is_that_of_the_process() {
        let begun = Instant::now();
        let own = libc::pid_t::try_from(std::process::id()).expect("a process id fits");
        let before = cpu_ns(own).expect("this process exists");
        while cpu_ns(own).expect("this process exists") - before < 2_000_000 {
            assert!(begun.elapsed() < Duration::from_mins(1), "work takes CPU time");
        }
        let sleeper = Process::start(Command::new("sleep").arg("60")).expect("there is a sleep");
        let slept = sleeper.cpu_ns().expect("it runs");
        assert!(slept < 1_000_000_000, "{slept} ns for starting a sleep");
    }
}
