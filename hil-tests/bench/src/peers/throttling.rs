//! The kernel's real-time throttling: threads in `SCHED_FIFO` that use a whole core lose it for a twentieth of each
//! second, all of them together, whatever their priorities.
//!
//! A flooded worker uses its whole core, so a flood measures this setting as well: it is lifted for everybody alike, or
//! for nobody.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// How many microseconds of each second real-time threads may have; -1: all.
const SETTING: &str = "/proc/sys/kernel/sched_rt_runtime_us";
const LIFTED: &str = "-1";

/// What the kernel has now, in its own words.
pub(crate) fn setting() -> String {
    fs::read_to_string(SETTING).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// No throttling while this value lives.
pub(crate) struct Lifted {
    /// A process that restores the setting when its standard input ends: with this value, or with this process, however
    /// that ends. `None`: there was no throttling.
    keeper: Option<Child>,
}

impl Lifted {
    /// # Errors
    /// Whoever may not change the setting.
    pub(crate) fn lift() -> io::Result<Self> {
        Self::lift_in(Path::new(SETTING))
    }

    fn lift_in(setting: &Path) -> io::Result<Self> {
        let before = fs::read_to_string(setting)?;
        let before = before.trim();
        if before == LIFTED {
            return Ok(Self { keeper: None });
        }
        // Not to be told by a terminal to end before it has done its one thing.
        let mut keeper = Command::new("sh");
        keeper.args(["-c", "trap '' INT TERM HUP; read -r _; echo \"$1\" > \"$2\"", "sh", before]).arg(setting);
        let keeper =
            keeper.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let lifted = Self { keeper: Some(keeper) };
        fs::write(setting, LIFTED)?;
        Ok(lifted)
    }
}

impl Drop for Lifted {
    fn drop(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            drop(keeper.stdin.take());
            // It has written, or could not; nobody can do better.
            let _ = keeper.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_before_is_restored() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let setting = folder.path().join("setting");
        for before in ["950000", LIFTED] {
            fs::write(&setting, before).expect("it can be written");
            let lifted = Lifted::lift_in(&setting).expect("it may be changed");
            assert_eq!(fs::read_to_string(&setting).expect("it is there"), LIFTED);
            drop(lifted);
            assert_eq!(fs::read_to_string(&setting).expect("it is there").trim(), before);
        }
    }

    #[test]
    fn who_may_not_change_it_is_told() {
        assert!(Lifted::lift_in(Path::new("/proc/no such setting")).is_err());
    }
}
