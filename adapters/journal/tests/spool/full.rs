//! A disk that is full.

use std::path::Path;
use std::process::Command;

use journal::spool::{Answer, Begin, Outcome, Put, Spool};

use super::{now, open, request, task};

/// A file system of two megabytes.
struct Small<'a>(&'a Path);

impl Small<'_> {
    fn mount(at: &Path) -> Option<Small<'_>> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(at).output().ok()?;
        mount.status.success().then_some(Small(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // Lazily, so that a test that failed with the file open leaves nothing behind.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// The spool's own bounds allow four megabytes: the disk is full first.
#[test]
fn a_full_disk_refuses_what_is_new_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(small) = Small::mount(folder.path()) else {
        println!("skipped: a_full_disk: no right to mount a small file system");
        return;
    };
    let mut spool = open(folder.path()).expect("a new spool");
    let mut stored = 0;
    let mut time = now();
    let refused = loop {
        let request = request(&format!("a/{stored}"), "labels", vec![5; 30_000]);
        match spool.put(&request, time) {
            Ok(Put::Stored(_)) => stored += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    println!("{stored} stored, then: {refused}");
    assert!(stored > 5, "{stored}");
    assert!(spool.ledger().is_balanced(), "{:?}", spool.ledger());
    assert_eq!(spool.ledger().refused, 1);

    // Room elsewhere on the disk is not needed to deliver what is stored: what is freed inside the file is used.
    time.0 += 2_000_000_000;
    deliver_one(&mut spool, "a/0", time);
    deliver_one(&mut spool, "a/1", time);
    let again = request(&format!("a/{stored}"), "labels", vec![5; 30_000]);
    assert!(matches!(spool.put(&again, time), Ok(Put::Stored(_) | Put::Duplicate(_))), "there is room now");
    assert!(spool.ledger().is_balanced(), "{:?}", spool.ledger());

    drop(spool);
    let spool = open(folder.path()).expect("a full disk does not keep it from opening");
    assert_eq!(spool.ledger().carried_over, stored - 1);
    drop(spool);
    drop(small);
}

fn deliver_one(spool: &mut Spool, id: &str, time: journal::spool::Wall) {
    let item = spool.next(&task("labels"), time).expect("readable").expect("the oldest");
    assert_eq!((item.id.as_str(), item.payload), (id, vec![5; 30_000]));
    let Begin::Begun(attempt) = spool.begin(&item.id, time).expect("writable") else { panic!("{id} may begin") };
    assert_eq!(spool.delivered(&attempt, b"read", time).expect("writable"), Outcome::Recorded);
    assert_eq!(spool.answer(&item.id, time).expect("readable"), Answer::Delivered(b"read".to_vec()));
}
