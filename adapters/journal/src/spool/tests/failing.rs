//! A disk that fails while the process lives on, and values that are not what was stored.

use std::time::Duration;

use super::super::store::Store;
use super::super::{
    Answer, Begin, Outcome, Put, PutRefusal, Retry, Spool, SpoolError, Status, Wall, Why, disk::open_on,
};
use super::disk::{Keep, TestDisk};
use super::{id, open, request, settings, task};

const START: Wall = Wall(1_000_000_000_000);

fn later(seconds: u64) -> Wall {
    Wall(START.0 + seconds * 1_000_000_000)
}

fn begin(spool: &mut Spool, name: &str, now: Wall) -> super::super::Attempt {
    match spool.begin(&id(name), now).expect("the disk is well") {
        Begin::Begun(attempt) => attempt,
        Begin::NotNext => panic!("{name} is not next"),
    }
}

/// At every call at which a put can fail: the put is refused, the ledger adds up, nothing acknowledged is lost, and once
/// the disk is well the same id is stored exactly once.
#[test]
fn a_disk_that_fails_refuses_and_goes_on_when_it_is_well() {
    let mut failures = 0;
    for at in 0..40 {
        let disk = TestDisk::default();
        let mut spool = open(&disk, START).expect("a new spool");
        let first = spool.put(&request("a", "labels", b"first"), START).expect("the disk is well");
        assert!(matches!(first, Put::Stored(_)));
        let out = begin(&mut spool, "a", START);

        disk.fail_after(at);
        let failed = spool.put(&request("b", "labels", &[1; 300]), later(1));
        assert!(spool.ledger().is_balanced(), "{:?}", spool.ledger());
        if failed.is_err() {
            failures += 1;
            assert!(spool.is_failing());
            assert!(matches!(spool.put(&request("c", "labels", b"c"), later(2)), Err(SpoolError::Disk(_))));
            assert!(matches!(spool.put(&request("c", "labels", b"c"), later(2)), Err(SpoolError::Failing)));
            assert_eq!(spool.ledger().refused, 3);
        }

        disk.repair();
        let again = spool.put(&request("b", "labels", &[1; 300]), later(9)).expect("the disk is well again");
        assert!(matches!(again, Put::Stored(_) | Put::Duplicate(Status::Waiting { in_doubt: false })), "{again:?}");
        assert!(spool.ledger().is_balanced(), "{:?}", spool.ledger());
        assert_eq!(spool.usage().waiting.items, 2);
        // The attempt that is out is this process's own: it is not in doubt.
        assert_eq!(spool.status(&id("a")), Some(Status::Out));
        assert_eq!(spool.delivered(&out, b"done", later(9)).expect("the disk is well"), Outcome::Recorded);
        assert_eq!(spool.answer(&id("a"), later(9)).expect("the disk is well"), Answer::Delivered(b"done".to_vec()));
        assert!(spool.ledger().is_balanced(), "{:?}", spool.ledger());
    }
    assert!((3..40).contains(&failures), "each call of a put failed once: {failures}");
}

/// An attempt whose record failed was not sent, but nobody can tell what is on disk: it comes again, in doubt if so.
#[test]
fn an_attempt_that_could_not_be_recorded_does_not_begin() {
    let mut begun_anyway = 0;
    for at in 0..20 {
        let disk = TestDisk::default();
        let mut spool = open(&disk, START).expect("a new spool");
        spool.put(&request("a", "labels", b"first"), START).expect("the disk is well");
        disk.fail_after(at);
        if spool.begin(&id("a"), START).is_ok() {
            continue;
        }
        disk.repair();
        let item = spool.next(&task("labels"), later(5)).expect("the disk is well again").expect("it waits");
        begun_anyway += u32::from(item.in_doubt);
        assert_eq!(item.in_doubt, item.attempts == 1);
        let attempt = begin(&mut spool, "a", later(5));
        assert_eq!(attempt.number(), item.attempts + 1);
        assert!(spool.ledger().is_balanced(), "{:?}", spool.ledger());
    }
    assert!(begun_anyway > 0, "one call fails after everything is written");
}

/// The negative control of every power cut in these tests: they would see a spool that is acknowledged and not on disk.
#[test]
fn a_disk_that_only_says_it_synced_is_seen_to_lose_what_was_stored() {
    let disk = TestDisk::default();
    drop(open(&disk, START).expect("a new spool"));
    for lies in [false, true] {
        let disk = disk.power_cut(|| Keep::Whole);
        let mut spool = open(&disk, START).expect("it opens");
        disk.lie(lies);
        let put = spool.put(&request("a", "labels", b"first"), START).expect("the disk says that it is well");
        assert!(matches!(put, Put::Stored(_)));
        let spool = open(&disk.power_cut(|| Keep::Nothing), START).expect("it opens");
        let expected = if lies { None } else { Some(Status::Waiting { in_doubt: false }) };
        assert_eq!(spool.status(&id("a")), expected);
    }
}

#[test]
fn an_old_attempt_reports_nothing() {
    let disk = TestDisk::default();
    let mut spool = open(&disk, START).expect("a new spool");
    spool.put(&request("a", "labels", b"first"), START).expect("the disk is well");
    let old = begin(&mut spool, "a", START);
    let mut spool = open(&disk.power_cut(|| Keep::Whole), later(1)).expect("it opens");
    assert_eq!(spool.opening().in_doubt, 1);
    let new = begin(&mut spool, "a", later(1));
    assert_eq!(spool.delivered(&old, b"", later(1)).expect("the disk is well"), Outcome::Stale);
    assert_eq!(spool.delivered(&new, b"", later(1)).expect("the disk is well"), Outcome::Recorded);
}

/// Rows are taken from, or laid into, the store below the spool.
fn tamper(disk: &TestDisk, change: impl FnOnce(&redb::WriteTransaction)) -> TestDisk {
    let disk = disk.power_cut(|| Keep::Whole);
    let database = open_on(disk.clone()).expect("it opens");
    let transaction = database.begin_write().expect("one writer");
    change(&transaction);
    transaction.commit().expect("the disk is well");
    drop(database);
    disk.power_cut(|| Keep::Whole)
}

const BODIES: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("bodies");
const STATES: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("states");
const META: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");

fn three() -> (TestDisk, Spool) {
    let disk = TestDisk::default();
    let mut spool = open(&disk, START).expect("a new spool");
    for name in ["a", "b", "c"] {
        spool.put(&request(name, "labels", name.as_bytes()), START).expect("the disk is well");
    }
    (disk, spool)
}

fn swap(transaction: &redb::WriteTransaction, table: redb::TableDefinition<'_, u64, &'static [u8]>) {
    let mut table = transaction.open_table(table).expect("it is there");
    let row = |position: u64| {
        let row = redb::ReadableTable::get(&table, position).expect("readable").expect("there");
        row.value().to_vec()
    };
    let (one, two) = (row(1), row(2));
    table.insert(1, two.as_slice()).expect("writable");
    table.insert(2, one.as_slice()).expect("writable");
}

#[test]
fn swapped_payloads_are_found_and_the_others_go_on() {
    let (disk, _) = three();
    let disk = tamper(&disk, |transaction| swap(transaction, BODIES));
    let mut spool = open(&disk, later(1)).expect("it opens");
    let item = spool.next(&task("labels"), later(1)).expect("the disk is well").expect("the third is whole");
    assert_eq!((item.id, item.payload), (id("c"), b"c".to_vec()));
    let letters = spool.dead_letters(None, 10);
    assert_eq!(letters.iter().map(|letter| letter.why).collect::<Vec<_>>(), [Why::Damaged, Why::Damaged]);
    assert_eq!(spool.answer(&id("a"), later(1)).expect("the disk is well"), Answer::Failed(Why::Damaged));
    assert_eq!(spool.retry(letters[0].position, later(1)).expect("the disk is well"), Retry::Damaged);
    assert!(spool.ledger().is_balanced() && spool.ledger().failed == 2, "{:?}", spool.ledger());
}

#[test]
fn swapped_and_removed_rows_are_found_and_the_others_go_on() {
    let (disk, _) = three();
    let disk = tamper(&disk, |transaction| swap(transaction, STATES));
    let mut spool = open(&disk, later(1)).expect("it opens");
    assert_eq!((spool.opening().carried_over, spool.opening().unreadable, spool.opening().lost), (3, 2, 2));
    assert!(spool.ledger().is_balanced() && spool.ledger().failed == 2, "{:?}", spool.ledger());
    let letters = spool.dead_letters(None, 10);
    assert!(letters.iter().all(|letter| letter.known.is_none() && letter.why == Why::Damaged), "{letters:?}");
    assert_eq!(spool.usage().dead.items, 2);
    assert!(spool.purge(letters[0].position, later(1)).expect("the disk is well"));
    assert!(spool.purge(letters[1].position, later(1)).expect("the disk is well"));
    assert_eq!(spool.usage().dead, super::super::Load::default());
    assert_eq!(spool.next(&task("labels"), later(1)).expect("the disk is well").expect("the third").id, id("c"));

    let disk = tamper(&disk.power_cut(|| Keep::Whole), |transaction| {
        transaction.open_table(STATES).expect("there").remove(3).expect("writable");
    });
    let spool = open(&disk, later(2)).expect("it opens");
    assert_eq!((spool.opening().carried_over, spool.opening().lost), (1, 1));
    assert!(spool.ledger().is_balanced(), "{:?}", spool.ledger());
    let rows = Store::new(open_on(disk.power_cut(|| Keep::Whole)).expect("it opens")).load().expect("readable");
    assert!(rows.bodies.is_empty(), "what belongs to nobody is removed");
}

#[test]
fn counts_that_cannot_be_read_are_made_anew_from_the_rows() {
    let (disk, _) = three();
    let disk = tamper(&disk, |transaction| {
        transaction.open_table(META).expect("there").insert("counters", &b"x"[..]).expect("writable");
    });
    let mut spool = open(&disk, later(1)).expect("it opens");
    assert!(spool.opening().recounted);
    assert!(spool.ledger().is_balanced() && spool.ledger().carried_over == 3, "{:?}", spool.ledger());
    let put = spool.put(&request("d", "labels", b"d"), later(1)).expect("the disk is well");
    assert!(matches!(put, Put::Stored(position) if position.number() == 4), "no position is given twice: {put:?}");
}

#[test]
fn a_wrong_key_changes_nothing() {
    let (disk, _) = three();
    let disk = disk.power_cut(|| Keep::Whole);
    let before = disk.bytes();
    let here = disk.clone();
    let opened = Spool::open_by(Box::new(move || open_on(here.clone())), [1; 32], settings(), later(1));
    assert!(matches!(opened, Err(SpoolError::WrongKey)));
    let spool = open(&disk, later(1)).expect("the right key");
    assert_eq!(spool.ledger().carried_over, 3);
    assert!(!before.is_empty());
}

#[test]
fn a_row_at_a_position_that_was_never_given_is_damage() {
    let (disk, _) = three();
    let disk = tamper(&disk, |transaction| {
        transaction.open_table(STATES).expect("there").insert(u64::MAX, &b"x"[..]).expect("writable");
    });
    assert!(matches!(open(&disk, later(1)), Err(SpoolError::Damaged(_))));
}

#[test]
fn another_format_is_refused_by_its_name() {
    let (disk, _) = three();
    let disk = tamper(&disk, |transaction| {
        transaction.open_table(META).expect("there").insert("format", &b"genba spool 9"[..]).expect("writable");
    });
    assert!(matches!(open(&disk, later(1)), Err(SpoolError::Format(format)) if format == "genba spool 9"));
}

/// Nothing readable is on disk: neither payload nor context, id or task.
#[test]
fn what_is_on_disk_is_encrypted() {
    let disk = TestDisk::default();
    let mut spool = open(&disk, START).expect("a new spool");
    let secrets: [&[u8]; 5] =
        [b"payload-in-the-clear", b"labels-in-the-clear", b"id-in-the-clear", b"context", b"result-in-the-clear"];
    let mut request = request("id-in-the-clear", "labels-in-the-clear", b"payload-in-the-clear");
    request.time_to_live = Duration::from_secs(10);
    spool.put(&request, START).expect("the disk is well");
    let attempt = begin(&mut spool, "id-in-the-clear", START);
    spool.delivered(&attempt, b"result-in-the-clear", START).expect("the disk is well");
    let bytes = disk.bytes();
    let holds = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    assert!(!secrets.into_iter().any(holds));
    assert!(holds(b"genba spool 1"), "the negative control: the format's name is in the clear");
}

#[test]
fn an_operator_that_lets_dead_letters_pile_up_is_told_so() {
    let disk = TestDisk::default();
    let mut spool = open(&disk, START).expect("a new spool");
    for number in 0..7 {
        let name = format!("a{number}");
        assert!(matches!(spool.put(&request(&name, "labels", b"x"), START), Ok(Put::Stored(_))));
        spool.reject(&id(&name), super::super::ReasonNumber(1), START).expect("the disk is well");
    }
    let full = spool.put(&request("b", "labels", b"x"), START).expect("the disk is well");
    assert_eq!(full, Put::Refused(PutRefusal::DeadLettersFull));
    let first = spool.dead_letters(None, 1)[0].position;
    assert!(spool.purge(first, START).expect("the disk is well"));
    assert!(matches!(spool.put(&request("b", "labels", b"x"), START), Ok(Put::Stored(_))));
}

/// A file whose pages are damaged is an error with a name, whichever byte it is: never a panic, and never a payload that
/// was not stored.
#[test]
fn a_damaged_file_is_an_error_or_damaged_items() {
    let (disk, spool) = three();
    drop(spool);
    let whole = disk.power_cut(|| Keep::Whole);
    let length = whole.bytes().len();
    let (mut errors, mut fine) = (0, 0);
    for at in (0..length).step_by(61) {
        let disk = whole.power_cut(|| Keep::Whole);
        disk.alter(|bytes| bytes[at] ^= 0x55);
        let mut spool = match open(&disk, later(1)) {
            Ok(spool) => spool,
            Err(SpoolError::Damaged(_) | SpoolError::Disk(_) | SpoolError::WrongKey | SpoolError::Format(_)) => {
                errors += 1;
                continue;
            }
            Err(error) => panic!("byte {at}: {error}"),
        };
        while let Some(item) = spool.next(&task("labels"), later(1)).expect("what opens can be read") {
            assert_eq!(item.payload, item.id.as_str().as_bytes());
            begin(&mut spool, item.id.as_str(), later(1));
            fine += 1;
        }
    }
    assert!(errors > 0 && fine > 0, "{errors} errors, {fine} payloads");
}
