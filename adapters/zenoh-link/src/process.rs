//! What belongs to the whole process: zenoh's runtimes and their threads.

use crate::error::ThreadsRunning;

/// One worker thread for all of zenoh's runtimes, as zenoh reads it from `ZENOH_RUNTIME`.
///
/// It halves the round trip on one core (measured: 97 µs to 44 µs), at the price that a callback
/// that blocks holds up sending too. The callbacks of this crate never block.
pub const ONE_WORKER: &str =
    "(rx:(handover:app),tx:(handover:app),acc:(handover:app),net:(handover:app),app:(worker_threads:1))";

pub(crate) const VARIABLE: &str = "ZENOH_RUNTIME";

/// Sets how many threads zenoh starts. Call it first thing in `main`.
///
/// zenoh reads the setting once, at its first call. What the operator has put into `ZENOH_RUNTIME`
/// stays as it is.
///
/// # Errors
///
/// [`ThreadsRunning`] if a second thread is there already: the environment is left alone then.
pub fn prepare_process(one_worker: bool) -> Result<(), ThreadsRunning> {
    if !one_worker || is_prepared() {
        return Ok(());
    }
    match tasks().count() {
        1 => {
            #[allow(unsafe_code, reason = "zenoh takes its workers from the environment only")]
            // SAFETY: no other thread exists that could read the environment meanwhile.
            unsafe {
                std::env::set_var(VARIABLE, ONE_WORKER);
            };
            Ok(())
        }
        threads => Err(ThreadsRunning { threads }),
    }
}

pub(crate) fn is_prepared() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
}

/// zenoh's threads, by the names that it gives to its runtimes' workers (`rx-0`, `app-1`).
pub(crate) fn zenoh_threads() -> Vec<(i32, String)> {
    tasks().filter(|(_, name)| is_zenoh(name)).collect()
}

fn tasks() -> impl Iterator<Item = (i32, String)> {
    std::fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        let id = entry.file_name().to_str()?.parse().ok()?;
        // A thread that has ended meanwhile has no name any more.
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((id, name.trim_end().to_owned()))
    })
}

fn is_zenoh(name: &str) -> bool {
    name.split_once('-').is_some_and(|(runtime, number)| {
        ["app", "acc", "tx", "rx", "net"].contains(&runtime) && number.parse::<u32>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_is_left_alone_beside_other_threads() {
        // The test harness itself is a second thread.
        let refused = prepare_process(true).expect_err("there are threads");
        assert!(refused.threads > 1);
        assert!(!is_prepared());
        assert_eq!(prepare_process(false), Ok(()));
    }

    #[test]
    fn zenoh_names_are_told_from_ours() {
        assert!(is_zenoh("rx-0"));
        assert!(is_zenoh("app-12"));
        assert!(!is_zenoh("engine"));
        assert!(!is_zenoh("rx-slow"));
        assert!(!is_zenoh("tokio-runtime-w"));
    }
}
