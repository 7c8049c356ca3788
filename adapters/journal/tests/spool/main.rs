//! The spool on real files: kill -9, disks that are full, keys and files that are not what they should be.

mod files;
mod full;
mod kill;

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journal::spool::{Bounds, Id, Load, Request, Settings, Spool, SpoolError, Task, Wall};

fn settings(bytes: u64) -> Settings {
    let load = Load { items: 1000, bytes };
    Settings {
        bounds: Bounds { waiting: load, dead: load, answers: Load { items: 2000, bytes }, read: 1000 },
        max_attempts: NonZeroU32::new(1_000_000).expect("not zero"),
        keep_answers: Duration::from_hours(1),
    }
}

fn open(folder: &Path) -> Result<Spool, SpoolError> {
    Spool::open(&folder.join("spool.redb"), &folder.join("spool.key"), settings(4 << 20), now())
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    Wall(u64::try_from(since.as_nanos()).expect("before the year 2554"))
}

fn task(name: &str) -> Task {
    Task::new(name).expect("a valid task")
}

fn request(name: &str, of: &str, payload: Vec<u8>) -> Request {
    Request {
        id: Id::new(name).expect("a valid id"),
        task: task(of),
        context: of.as_bytes().to_vec(),
        payload,
        time_to_live: Duration::from_hours(24),
        result_bytes: 64,
    }
}
