//! What a start finds.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::*;

/// A chain with two open attempts, ended without a close; its file.
fn left_behind(folder: &Path) -> PathBuf {
    let (journal, in_doubt) = Journal::open(settings(folder)).expect("open");
    assert!(in_doubt.is_empty());
    journal.commit_policy(policy(1)).expect("a policy");
    for hand_off in ["ended", "open-1", "open-2"] {
        let receipt = journal.intent(intent(hand_off)).expect("room").wait().expect("a receipt");
        if hand_off == "ended" {
            receipt.end(Outcome::Delivered, 1, Latency::default());
        } else {
            // As if the process ended here.
            std::mem::forget(receipt);
        }
    }
    drop(journal);
    folder.join("journal/journal-000001.jsonl")
}

#[test]
fn a_line_that_was_cut_anywhere_is_cut_off_kept_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = left_behind(folder.path());
    // Nothing is anchored or signed beyond the last intent.
    let whole = fs::read(&file).expect("the file");
    let text = String::from_utf8(whole.clone()).expect("text");
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let last_intent = lines.iter().rposition(|line| line.contains("\"open-2\"")).expect("the intent");
    let keep: usize = lines[..last_intent].iter().map(|line| line.len()).sum();
    let anchor = fs::read(folder.path().join("anchor.jsonl")).expect("the anchor");
    let first_head = anchor.split_inclusive(|byte| *byte == b'\n').next().expect("a head").to_vec();

    for cut in (1..lines[last_intent].len()).step_by(23).chain([lines[last_intent].len() - 1]) {
        let again = tempfile::tempdir().expect("a folder");
        fs::create_dir(again.path().join("journal")).expect("a folder");
        fs::copy(folder.path().join("box.key"), again.path().join("box.key")).expect("the key");
        fs::write(again.path().join("anchor.jsonl"), &first_head).expect("the anchor");
        let file = again.path().join("journal/journal-000001.jsonl");
        fs::write(&file, &whole[..keep + cut]).expect("the file");

        let (journal, in_doubt) = Journal::open(settings(again.path())).expect("open");
        assert_eq!(in_doubt.iter().map(|open| open.hand_off.as_str()).collect::<Vec<_>>(), ["open-1"], "{cut}");
        drop(journal);
        let aside = fs::read(file.with_added_extension("cut")).expect("what was cut");
        assert_eq!(aside, &whole[keep..keep + cut]);
        let lines = records(again.path());
        let recovered = lines.iter().find_map(|line| {
            let Record::Recovered(recovered) = &line.record else { return None };
            Some(recovered.clone())
        });
        let recovered = recovered.expect("a record of what was cut");
        let told = (recovered.why, recovered.bytes, recovered.records, recovered.cut_sha256);
        assert_eq!(told, (RecoveredWhy::Torn, Some(cut as u64), Some(0), Some(Hash::of(&aside))));
        let verdict = verdict(again.path());
        assert_eq!((verdict.finding, verdict.recoveries, verdict.in_doubt), (Finding::Intact, 1, 1), "{cut}");
    }
}

#[test]
fn damage_before_a_signature_is_no_torn_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = left_behind(folder.path());
    let mut bytes = fs::read(&file).expect("the file");
    bytes[700] ^= 1;
    fs::write(&file, bytes).expect("the file");
    let error = Journal::open(settings(folder.path())).err().expect("a refusal");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_chain_that_is_shorter_than_its_anchor_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = left_behind(folder.path());
    let text = fs::read_to_string(&file).expect("the file");
    let kept: String = text.split_inclusive('\n').take(3).collect();
    fs::write(&file, kept).expect("the file");
    let error = Journal::open(settings(folder.path())).err().expect("a refusal");
    assert!(matches!(error, OpenError::Damaged { after: 3, .. }), "{error}");

    fs::remove_file(&file).expect("the file is removed");
    let error = Journal::open(settings(folder.path())).err().expect("a refusal");
    assert!(matches!(error, OpenError::Damaged { after: 0, .. }), "{error}");
}

#[test]
fn a_chain_needs_its_own_key_and_box() {
    let folder = tempfile::tempdir().expect("a folder");
    left_behind(folder.path());
    let key = folder.path().join("box.key");
    let kept = fs::read(&key).expect("the key");

    fs::remove_file(&key).expect("the key is removed");
    let error = Journal::open(settings(folder.path())).err().expect("a refusal");
    assert!(matches!(error, OpenError::Key(KeyError::Missing { .. })), "{error}");
    assert!(!key.exists(), "no key is made for a chain that has one");

    BoxKey::load(&key, true).expect("another key");
    let error = Journal::open(settings(folder.path())).err().expect("a refusal");
    assert!(matches!(error, OpenError::OtherBox { .. }), "{error}");

    fs::write(&key, kept).expect("the key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its mode");
    let other = Settings { box_id: "cell-5".to_owned(), ..settings(folder.path()) };
    let error = Journal::open(other).err().expect("a refusal");
    assert!(matches!(error, OpenError::OtherBox { .. }), "{error}");
    let (_journal, in_doubt) = Journal::open(settings(folder.path())).expect("with its own key it opens");
    assert_eq!(in_doubt.len(), 2);
    let error = Journal::open(settings(folder.path())).err().expect("a refusal");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
}

#[test]
fn files_follow_each_other_and_carry_what_is_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = || Settings { rotate_bytes: 4096, ..settings(folder.path()) };
    let (journal, _) = Journal::open(small()).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");
    std::mem::forget(journal.intent(intent("open")).expect("room").wait().expect("a receipt"));
    for n in 0..20 {
        let receipt = journal.intent(intent(&n.to_string())).expect("room").wait().expect("a receipt");
        receipt.end(Outcome::Delivered, 1, Latency::default());
    }
    drop(journal);
    let files = list(&folder.path().join("journal")).expect("the folder");
    assert!(files.len() > 3, "{files:?}");
    let (journal, in_doubt) = Journal::open(small()).expect("open");
    assert_eq!(in_doubt.iter().map(|open| open.hand_off.as_str()).collect::<Vec<_>>(), ["open"]);
    drop(journal);
    // It was told once.
    let (journal, in_doubt) = Journal::open(small()).expect("open");
    assert!(in_doubt.is_empty());
    drop(journal);
    assert_eq!(verdict(folder.path()).finding, Finding::Intact);

    // A file that was begun, and not a record of it written.
    let next = folder.path().join("journal/journal-000099.jsonl");
    for torn in ["", "{\"n\":"] {
        fs::write(&next, torn).expect("a file");
        drop(Journal::open(small()).expect("open"));
        assert_eq!(verdict(folder.path()).finding, Finding::Intact, "{torn}");
    }
}

/// A kill between a file's last record and the next file's first.
#[test]
fn a_start_after_an_unfinished_rotation_tells_of_what_is_in_doubt() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = || Settings { rotate_bytes: 4096, ..settings(folder.path()) };
    let (journal, _) = Journal::open(small()).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");
    for n in 0..9 {
        std::mem::forget(journal.intent(intent(&n.to_string())).expect("room").wait().expect("a receipt"));
    }
    drop(journal);
    let files = list(&folder.path().join("journal")).expect("the folder");
    for file in &files[1..] {
        fs::remove_file(file).expect("the file is removed");
    }
    fs::remove_file(folder.path().join("anchor.jsonl")).expect("the anchor is removed");
    let before = records(folder.path());
    assert!(matches!(before.last().map(|line| &line.record), Some(Record::Rotated(_))));
    let open: Vec<_> =
        before.iter().filter(|line| matches!(line.record, Record::Intent(_))).map(|line| line.n).collect();
    assert!(!open.is_empty());

    let (journal, in_doubt) = Journal::open(small()).expect("open");
    assert_eq!(in_doubt.iter().map(|open| open.intent).collect::<Vec<_>>(), open);
    journal.close().expect("closed in order");
    let told = records(folder.path()).into_iter().filter_map(|line| {
        let Record::Opened(opened) = line.record else { return None };
        Some(opened.in_doubt.iter().map(|open| open.intent).collect::<Vec<_>>())
    });
    assert_eq!(told.collect::<Vec<_>>(), [vec![], open]);
    assert_eq!(verdict(folder.path()).finding, Finding::Intact);
}
