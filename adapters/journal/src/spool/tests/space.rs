//! The file does not grow for ever.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::{Begin, Bounds, Load, Put, Request, Settings, Spool, Wall, disk::open_on};
use super::disk::TestDisk;
use super::{KEY, id, task};

const WAITING_BYTES: u64 = 512 << 10;
const RESULT_BYTES: u64 = 64 << 10;

/// 10,000 requests of all sizes through a spool that holds half a megabyte: the file stays within what its bounds explain,
/// and gives back what it can when it is empty.
#[test]
fn ten_thousand_requests_leave_a_file_of_the_size_of_its_bounds() {
    let disk = TestDisk::default();
    let here = disk.clone();
    let mut now = Wall(1_000_000_000_000);
    let settings = Settings {
        bounds: Bounds {
            waiting: Load { items: 32, bytes: WAITING_BYTES },
            dead: Load { items: 32, bytes: WAITING_BYTES },
            answers: Load { items: 64, bytes: RESULT_BYTES },
            read: 64,
        },
        max_attempts: NonZeroU32::new(3).expect("not zero"),
        keep_answers: Duration::from_mins(1),
    };
    let mut spool = Spool::open_by(Box::new(move || open_on(here.clone())), KEY, settings, now).expect("a new spool");
    let labels = task("labels");
    let mut noise = 1_u64;
    let mut random = move |below: u64| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 33) % below
    };
    let (mut put, mut largest) = (0_u64, 0);
    while put < 10_000 {
        now.0 += 1_000_000_000;
        let size = if random(10) == 0 { random(100 << 10) } else { random(8 << 10) };
        let request = Request {
            id: id(&format!("client/{put}")),
            task: labels.clone(),
            context: Vec::new(),
            payload: vec![7; usize::try_from(size).expect("small")],
            time_to_live: Duration::from_hours(1),
            result_bytes: 1 << 10,
        };
        if let Put::Stored(_) = spool.put(&request, now).expect("the disk is well") {
            put += 1;
        } else {
            // Full: a burst is delivered, so that the file is emptied and filled again and again.
            for _ in 0..random(32) {
                let Some(item) = spool.next(&labels, now).expect("the disk is well") else { break };
                let Begin::Begun(attempt) = spool.begin(&item.id, now).expect("the disk is well") else {
                    panic!("the oldest may begin")
                };
                let result = vec![9; usize::try_from(random(1 << 10)).expect("small")];
                spool.delivered(&attempt, &result, now).expect("the disk is well");
                if random(4) > 0 {
                    spool.acknowledge(&item.id, now).expect("the disk is well");
                }
            }
        }
        largest = largest.max(disk.len());
    }
    let bounds = WAITING_BYTES + RESULT_BYTES;
    println!("bounds {bounds} B, largest file {largest} B: {} %", 100 * largest / bounds);
    assert!(largest < 8 * bounds, "{largest}");
    assert!(spool.ledger().is_balanced(), "{:?}", spool.ledger());

    while let Some(item) = spool.next(&labels, now).expect("the disk is well") {
        spool.reject(&item.id, super::super::ReasonNumber(1), now).expect("the disk is well");
    }
    for letter in spool.dead_letters(None, usize::MAX) {
        spool.purge(letter.position, now).expect("the disk is well");
    }
    spool.compact(now).expect("the disk is well");
    println!("empty and compacted: {} B", disk.len());
    assert!(disk.len() < largest / 4, "{} of {largest}", disk.len());
    now.0 += 3_600_000_000_000;
    assert_eq!(spool.usage().waiting, Load::default());
    assert!(spool.next(&labels, now).expect("it goes on").is_none());
}
