//! The box as a child process: started, watched, stopped. It never outlives the rig.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Moment;

/// A running `genba run`.
pub struct BoxProcess {
    child: Child,
    said: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl BoxProcess {
    /// Starts the box; it listens on this endpoint instead of its config's.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(genba: &Path, config: &Path, listen: &str) -> io::Result<Self> {
        let mut command = Command::new(genba);
        command
            .args([Path::new("run"), Path::new("--config"), config, Path::new("--listen"), Path::new(listen)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the rig, which then stops the box.
            .process_group(0)
            // The box decides itself how many threads its zenoh has.
            .env_remove("ZENOH_RUNTIME");
        end_with_parent(&mut command);
        let mut child = command.spawn()?;
        let said = Arc::default();
        let readers = [
            child.stdout.take().map(|out| keep_lines(out, Arc::clone(&said))),
            child.stderr.take().map(|out| keep_lines(out, Arc::clone(&said))),
        ];
        Ok(Self { child, said, readers: readers.into_iter().flatten().collect() })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// What the system said.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// The last lines that it printed.
    #[must_use]
    pub fn said(&self) -> String {
        let lines = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().flat_map(|line| ["  ", line, "\n"]).collect()
    }

    /// Asks it to stop, and kills it if it does not in time; its exit status if it stopped itself.
    ///
    /// # Errors
    /// What the system said.
    pub fn stop(mut self) -> io::Result<(Option<ExitStatus>, String)> {
        self.signal(libc::SIGTERM);
        let until = Moment::now() + PATIENCE;
        let mut status = None;
        while status.is_none() && Moment::now() < until {
            (Moment::now() + Duration::from_millis(10)).sleep();
            status = self.child.try_wait()?;
        }
        if status.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        for reader in self.readers.drain(..) {
            // A reader ends with its pipe; a panic in it has lost lines, no more.
            let _ = reader.join();
        }
        Ok((status, self.said()))
    }

    fn signal(&self, signal: libc::c_int) {
        let Ok(id) = libc::pid_t::try_from(self.id()) else { return };
        #[allow(unsafe_code, reason = "std can only kill")]
        // SAFETY: the child has not been waited for, so the id is still its own.
        unsafe {
            libc::kill(id, signal);
        }
    }
}

impl Drop for BoxProcess {
    fn drop(&mut self) {
        // Neither fails but where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The box that was built with this rig.
#[must_use]
pub fn beside_this_program() -> PathBuf {
    std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("genba"))).unwrap_or("genba".into())
}

/// How long a box may take to say farewell and end.
const PATIENCE: Duration = Duration::from_secs(3);

/// The lines of its log that are kept.
const LINES: usize = 60;

/// The kernel kills the box when the thread that started it ends, however it ends.
pub(crate) fn end_with_parent(command: &mut Command) {
    let request = || {
        #[allow(unsafe_code, reason = "std has no prctl")]
        // SAFETY: PR_SET_PDEATHSIG takes one number and touches only the calling process.
        let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    #[allow(unsafe_code, reason = "only between fork and exec can a child tie itself to its parent")]
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(request);
    }
}

fn keep_lines(out: impl Read + Send + 'static, said: Arc<Mutex<VecDeque<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let mut lines = said.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A box that is a shell script.
    fn scripted(name: &str, body: &str) -> BoxProcess {
        let path = std::env::temp_dir().join(format!("rig-{}-{name}.sh", std::process::id()));
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("a temporary file can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
        let process = BoxProcess::start(&path, Path::new("demo.toml"), "tcp/127.0.0.1:1").expect("it starts");
        while process.said().is_empty() {
            std::thread::yield_now();
        }
        std::fs::remove_file(path).expect("it was written");
        process
    }

    #[test]
    fn a_box_that_stops_on_request_ends_well() {
        let process = scripted("fine", "trap 'echo farewell; exit 0' TERM; echo \"$@\"; while :; do sleep 0.01; done");
        assert_eq!(process.said(), "  run --config demo.toml --listen tcp/127.0.0.1:1\n");
        let (status, said) = process.stop().expect("it can be waited for");
        assert!(status.expect("it stopped itself").success());
        assert!(said.ends_with("farewell\n"), "{said}");
    }

    #[test]
    fn a_box_that_does_not_stop_is_killed() {
        let process = scripted("deaf", "trap '' TERM; echo up; while :; do sleep 0.01; done");
        let id = process.child.id();
        let (status, _) = process.stop().expect("it can be waited for");
        assert_eq!(status, None);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_box_is_not_left_behind() {
        let process = scripted("left", "echo up; while :; do sleep 0.01; done");
        let id = process.child.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}
