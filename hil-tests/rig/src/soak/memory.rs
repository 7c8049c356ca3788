//! How much memory a process has.
//!
//! Read from `/proc/PID/status`, which the kernel keeps counted: `smaps_rollup` would walk every page under the lock
//! that the box's own threads need for memory, and so disturb what is observed. The kernel counts by processor and adds
//! up late, so a size is off by some dozens of pages; so are the free pages that an allocator keeps. The fit bears both.

use std::{fs, io};

/// A process's memory, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All that is in RAM: what is judged.
    pub resident: u32,
    /// What of it is no file's: where a leak of the program's own grows.
    pub anonymous: u32,
}

impl Memory {
    /// Of a running process.
    ///
    /// # Errors
    /// What the system said, or that the process has ended.
    pub fn of(process: u32) -> io::Result<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{process}/status"))?)
            .ok_or_else(|| io::Error::other(format!("the process {process} has no memory: it has ended")))
    }

    fn read(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().strip_suffix("kB")?.trim().parse().ok()
        };
        Some(Self { resident: field("VmRSS:")?, anonymous: field("RssAnon:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_from_the_kernels_page() {
        let status = "Name:\tgenba\nVmPeak:\t  999 kB\nVmRSS:\t  123456 kB\nRssAnon:\t    7890 kB\nRssFile:\t 1 kB\n";
        assert_eq!(Memory::read(status), Some(Memory { resident: 123_456, anonymous: 7_890 }));
        assert_eq!(Memory::read("Name:\tzombie\nState:\tZ (zombie)\n"), None);
        let ours = Memory::of(std::process::id()).expect("this process has memory");
        assert!(ours.resident >= ours.anonymous && ours.anonymous > 0);
    }
}
