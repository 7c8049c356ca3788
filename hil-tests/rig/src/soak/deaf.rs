//! A robot that subscribes to its responses and then stops reading: a process of its own, which is stopped.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use zenoh::Wait;

use crate::box_process::end_with_parent;
use crate::link::LinkError;

/// Subscribes to these responses, says so, says when the first has come, and reads for ever.
///
/// # Errors
/// [`LinkError`] where zenoh refuses the endpoint or the key.
pub fn hear(endpoint: &str, response_key: &str) -> Result<(), LinkError> {
    let mut config = zenoh::Config::default();
    // Little room, so that who stops reading is soon full.
    let endpoints = format!("[\"{endpoint}#so_rcvbuf=8192\"]");
    for (name, value) in
        [("mode", "\"client\""), ("connect/endpoints", &*endpoints), ("scouting/multicast/enabled", "false")]
    {
        config.insert_json5(name, value)?;
    }
    let session = zenoh::open(config).wait()?;
    let responses = session.declare_subscriber(response_key.to_owned()).wait()?;
    println!("listening");
    let mut heard = false;
    while responses.recv().is_ok() {
        if !heard {
            println!("heard");
        }
        heard = true;
    }
    Ok(())
}

/// The process of a robot that [`hear`]s until it is stopped.
pub(super) struct Deaf {
    child: Child,
    stopped: bool,
}

impl Deaf {
    pub(super) fn start(rig: &Path, endpoint: &str, response_key: &str) -> io::Result<Self> {
        let mut command = Command::new(rig);
        command.args(["hear", endpoint, response_key]).stdin(Stdio::null()).stdout(Stdio::null());
        end_with_parent(&mut command);
        Ok(Self { child: command.spawn()?, stopped: false })
    }

    /// Lets it read or not, as belongs to this second of the run.
    pub(super) fn at(&mut self, second: u64) {
        if self.stopped != is_deaf(second) {
            self.stopped = !self.stopped;
            let signal = if self.stopped { libc::SIGSTOP } else { libc::SIGCONT };
            let Ok(id) = libc::pid_t::try_from(self.child.id()) else { return };
            #[allow(unsafe_code, reason = "std can only kill")]
            // SAFETY: the child has not been waited for, so the id is still its own.
            unsafe {
                libc::kill(id, signal);
            }
        }
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        // Neither fails but where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For four seconds, so that its session outlives it, and for fifteen, so that its lease of ten seconds ends.
fn is_deaf(second: u64) -> bool {
    matches!(second % 30, 3..7 | 10..25)
}
