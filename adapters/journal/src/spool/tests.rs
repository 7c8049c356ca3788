//! The spool on a disk in memory: against a reference, with a disk that fails at any call, and with power cuts.

mod disk;
mod failing;
mod model;
mod random;
mod space;

use std::num::NonZeroU32;
use std::time::Duration;

use disk::TestDisk;

use super::disk::open_on;
use super::{Bounds, Id, Load, Request, Settings, Spool, SpoolError, Task, Wall};

const KEY: [u8; 32] = [0x5a; 32];

fn settings() -> Settings {
    let load = |items, bytes| Load { items, bytes };
    Settings {
        bounds: Bounds { waiting: load(5, 900), dead: load(7, 1200), answers: load(8, 700), read: 3 },
        max_attempts: NonZeroU32::new(3).expect("not zero"),
        keep_answers: Duration::from_secs(50),
    }
}

fn open(disk: &TestDisk, now: Wall) -> Result<Spool, SpoolError> {
    let disk = disk.clone();
    Spool::open_by(Box::new(move || open_on(disk.clone())), KEY, settings(), now)
}

fn id(text: &str) -> Id {
    Id::new(text).expect("a valid id")
}

fn task(text: &str) -> Task {
    Task::new(text).expect("a valid task")
}

fn request(name: &str, of: &str, payload: &[u8]) -> Request {
    Request {
        id: id(name),
        task: task(of),
        context: b"context".to_vec(),
        payload: payload.to_vec(),
        time_to_live: Duration::from_secs(1000),
        result_bytes: 20,
    }
}
