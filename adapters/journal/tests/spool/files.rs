//! The files of a spool: whose they are, and what is said where they are not right.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use journal::spool::{Put, SpoolError, has_key};

use super::{open, request};

#[test]
fn a_new_spool_and_its_key_belong_to_their_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, spool) = (folder.path().join("spool.key"), folder.path().join("spool.redb"));
    assert!(matches!(has_key(&key, &spool), Ok(false)), "both are to be made");
    assert!(!key.exists() && !spool.exists(), "and are not made by asking");
    drop(open(folder.path()).expect("a new spool"));
    assert!(matches!(has_key(&key, &spool), Ok(true)));
    for file in ["spool.redb", "spool.key"] {
        let metadata = fs::metadata(folder.path().join(file)).expect("it is there");
        assert_eq!(metadata.mode() & 0o777, 0o600, "{file}");
    }
    let files: Vec<_> = fs::read_dir(folder.path()).expect("readable").collect();
    assert_eq!(files.len(), 2, "{files:?}");
}

#[test]
fn a_spool_without_its_key_is_not_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path()).expect("a new spool");
    assert!(matches!(spool.put(&request("a", "labels", vec![1]), super::now()), Ok(Put::Stored(_))));
    drop(spool);
    let (key, away) = (folder.path().join("spool.key"), folder.path().join("away"));
    fs::rename(&key, &away).expect("writable");
    assert!(matches!(open(folder.path()), Err(SpoolError::KeyMissing { .. })));
    assert!(matches!(has_key(&key, &folder.path().join("spool.redb")), Err(SpoolError::KeyMissing { .. })));
    assert!(!key.exists(), "no key was made");

    fs::write(&key, [0; 31]).and_then(|()| fs::set_permissions(&key, Permissions::from_mode(0o600))).expect("writable");
    assert!(matches!(open(folder.path()), Err(SpoolError::KeyMalformed { bytes: 31, .. })));
    fs::write(&key, [0; 32]).expect("writable");
    assert!(matches!(open(folder.path()), Err(SpoolError::WrongKey)));

    fs::rename(&away, &key).expect("writable");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).expect("ours");
    assert!(matches!(open(folder.path()), Err(SpoolError::KeyExposed { mode: 0o640, .. })));
    assert!(matches!(has_key(&key, &folder.path().join("spool.redb")), Err(SpoolError::KeyExposed { .. })));
    fs::set_permissions(&key, Permissions::from_mode(0o400)).expect("ours");
    assert_eq!(open(folder.path()).expect("the right key").ledger().carried_over, 1);
}

#[test]
fn a_crash_while_the_key_was_made_leaves_no_half_key() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("spool.key.new"), [7; 5]).expect("writable");
    fs::write(folder.path().join("spool.redb"), []).expect("writable");
    drop(open(folder.path()).expect("a new spool"));
    drop(open(folder.path()).expect("the same one"));
    assert_eq!(fs::metadata(folder.path().join("spool.key")).expect("there").len(), 32);
}

#[test]
fn a_spool_has_one_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = open(folder.path()).expect("a new spool");
    assert!(matches!(open(folder.path()), Err(SpoolError::Busy)));
    drop(first);
    open(folder.path()).expect("nobody has it");
}

#[test]
fn a_file_that_is_no_spool_or_is_cut_is_damaged_and_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path()).expect("a new spool");
    for number in 0..20 {
        let put = spool.put(&request(&format!("a/{number}"), "labels", vec![3; 20_000]), super::now());
        assert!(matches!(put, Ok(Put::Stored(_))));
    }
    drop(spool);
    let path = folder.path().join("spool.redb");
    let whole = fs::read(&path).expect("readable");

    for length in [1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).expect("writable");
        assert!(matches!(open(folder.path()), Err(SpoolError::Damaged(_))), "cut at {length}");
        assert_eq!(fs::read(&path).expect("readable").len(), length, "cut at {length}");
    }
    fs::write(&path, "#!/bin/sh\necho no spool\n".repeat(500)).expect("writable");
    assert!(matches!(open(folder.path()), Err(SpoolError::Damaged(_))));

    fs::write(&path, &whole).expect("writable");
    assert_eq!(open(folder.path()).expect("the negative control").ledger().carried_over, 20);
}
