//! Every way to alter a small journal, each found as what it is.

use std::{fs, path::Path};

use journal::chain::{CutHow, Finding, Hash, How, verify};

use crate::made::{files, key, lines, settings, small, verdict};

/// The journal's lines in one file, which its first record's place allows; the anchor beside it.
struct Doctored {
    folder: tempfile::TempDir,
}

impl Doctored {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let one_file = journal::chain::Settings { rotate_bytes: 1 << 30, ..settings(folder.path()) };
        crate::made::fill(one_file);
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> std::path::PathBuf {
        self.path().join("journal/journal-000001.jsonl")
    }

    fn write(&self, lines: &[String]) {
        fs::write(self.file(), lines.concat()).expect("the file");
    }

    fn finding(&self) -> Finding {
        verdict(self.path(), true).finding
    }
}

/// The control of all below.
#[test]
fn an_untouched_journal_is_intact() {
    let folder = tempfile::tempdir().expect("a folder");
    small(folder.path());
    assert!(files(folder.path()).len() > 1);
    let found = verdict(folder.path(), true);
    assert_eq!(found.finding, Finding::Intact);
    assert_eq!(found.anchored, Some(found.signed));
    assert_eq!(found.not_anchored(), 1, "the last head itself");
    let found = verdict(folder.path(), false);
    assert_eq!((&found.finding, found.anchored, found.not_anchored()), (&Finding::Intact, None, found.last));
}

/// What an earlier version wrote, by a key that is gone.
#[test]
fn a_journal_that_was_kept_is_intact() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let found = verdict(&kept, true);
    assert_eq!((found.finding, found.box_id.as_deref()), (Finding::Intact, Some("cell-4")));
    assert_eq!(found.anchored, Some(found.last - 1));
}

#[test]
fn each_altered_byte_is_found_without_an_anchor_too() {
    let folder = tempfile::tempdir().expect("a folder");
    small(folder.path());
    for file in files(folder.path()) {
        let whole = fs::read(&file).expect("the file");
        for place in 0..whole.len() {
            let mut altered = whole.clone();
            altered[place] ^= 1;
            fs::write(&file, &altered).expect("the file");
            let found = verdict(folder.path(), false).finding;
            assert_ne!(found, Finding::Intact, "byte {place} of {}", file.display());
        }
        fs::write(&file, &whole).expect("the file");
    }
    assert_eq!(verdict(folder.path(), false).finding, Finding::Intact);
}

#[test]
fn a_removed_record_is_named() {
    let doctored = Doctored::new();
    let lines = lines(doctored.path());
    for place in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(place);
        doctored.write(&fewer);
        let n = place as u64 + 1;
        let expected = match lines.len() - place {
            // The last head is anchored nowhere but it signs the one before it, which is.
            1 => Finding::Intact,
            _ => Finding::Altered { n, how: How::Removed { to: n } },
        };
        assert_eq!(doctored.finding(), expected, "{place}");
    }
}

#[test]
fn two_records_in_the_wrong_order_are_named() {
    let doctored = Doctored::new();
    let lines = lines(doctored.path());
    for place in 0..lines.len() - 1 {
        let mut swapped = lines.clone();
        swapped.swap(place, place + 1);
        doctored.write(&swapped);
        let expected = Finding::Altered { n: place as u64 + 1, how: How::Reordered };
        assert_eq!(doctored.finding(), expected);
    }
}

#[test]
fn a_record_that_stands_there_twice_is_named() {
    let doctored = Doctored::new();
    let lines = lines(doctored.path());
    for from in 0..lines.len() {
        for to in from + 1..=lines.len() {
            let mut more = lines.clone();
            more.insert(to, lines[from].clone());
            doctored.write(&more);
            let expected = Finding::Altered { n: from as u64 + 1, how: How::Duplicated };
            assert_eq!(doctored.finding(), expected, "{from} at {to}");
        }
    }
}

#[test]
fn a_cut_at_each_byte_is_told_as_far_as_it_can_be_known() {
    let doctored = Doctored::new();
    let lines = lines(doctored.path());
    let whole = lines.concat();
    let anchored = verdict(doctored.path(), true).anchored.expect("an anchor");
    let mut start = 0;
    for (place, line) in lines.iter().enumerate() {
        let after = place as u64;
        for bytes in 0..line.len() {
            fs::write(doctored.file(), &whole.as_bytes()[..start + bytes]).expect("the file");
            let torn = Finding::Cut { after, how: CutHow::Torn { bytes: bytes as u64 } };
            let expected = if after < anchored {
                Finding::Cut { after, how: CutHow::Anchor(anchored) }
            } else if bytes == 0 {
                Finding::Intact
            } else {
                torn.clone()
            };
            // Each signature of the anchor is checked anew each time, so not at each byte.
            if bytes < 2 || bytes % 29 == 0 || bytes + 1 == line.len() {
                assert_eq!(doctored.finding(), expected, "record {after}, byte {bytes}");
            }
            // Without an anchor a cut between two lines cannot be known, and verify does not say that it is: nothing is
            // anchored. One within a line is.
            let expected = match (after, bytes) {
                (0, 0) => Finding::Empty,
                (_, 0) => Finding::Intact,
                _ => torn,
            };
            let found = verdict(doctored.path(), false);
            assert_eq!((found.finding, found.anchored), (expected, None), "record {after}, byte {bytes}");
        }
        start += line.len();
    }
}

#[test]
fn a_removed_file_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    small(folder.path());
    let all = files(folder.path());
    for (place, file) in all.iter().enumerate() {
        let kept = fs::read(file).expect("the file");
        fs::remove_file(file).expect("the file is removed");
        let found = verdict(folder.path(), false).finding;
        if place + 1 == all.len() {
            assert!(matches!(found, Finding::Cut { how: CutHow::NextFile(_), .. }), "{found}");
        } else {
            assert!(matches!(found, Finding::Altered { how: How::Removed { .. }, .. }), "{found}");
        }
        fs::write(file, kept).expect("the file");
    }
}

/// Rewrites the chain from a record on: the text of that record is altered, and all hashes behind it are made to fit.
fn forge(lines: &[String], from: usize) -> Vec<String> {
    let mut prev: Option<String> = None;
    let mut forged = lines[..from].to_vec();
    for (place, line) in lines.iter().enumerate().skip(from) {
        let (mut hashed, _) = line.rsplit_once(",\"hash\":\"").map(|(a, b)| (a.to_owned(), b)).expect("a hash");
        if place == from {
            hashed = hashed.replacen("\"synchronised\":true", "\"synchronised\":false", 1);
        }
        if let Some(prev) = &prev {
            let at = hashed.find("\"prev\":\"").expect("a link") + 8;
            hashed.replace_range(at..at + 64, prev);
        }
        let hash = Hash::of(hashed.as_bytes()).to_string();
        // Whoever forges makes a head name what it follows, but cannot sign it.
        forged.push(format!("{hashed},\"hash\":\"{hash}\"}}\n"));
        prev = Some(hash);
    }
    forged
}

#[test]
fn a_tail_that_was_written_anew_with_fitting_hashes_is_found() {
    let doctored = Doctored::new();
    let lines = lines(doctored.path());
    let last = verdict(doctored.path(), true).last;
    for from in 0..lines.len() {
        let mut forged = forge(&lines, from);
        doctored.write(&forged);
        let n = from as u64 + 1;
        let found = doctored.finding();
        if n == last {
            // The last record is a head, which vouches for the one before it, and nobody vouches for it: its own time
            // could be forged, and verify says that it is not anchored.
            assert_eq!(found, Finding::Intact);
            assert_eq!(verdict(doctored.path(), true).not_anchored(), 1);
            continue;
        }
        assert!(matches!(found, Finding::Altered { .. } | Finding::BadSignature { .. }), "from {n}: {found}");

        // The heads name the forged hashes.
        let mut prev = String::new();
        for line in &mut forged {
            let (mut hashed, _) = line.rsplit_once(",\"hash\":\"").map(|(a, b)| (a.to_owned(), b)).expect("a hash");
            if !prev.is_empty() {
                let at = hashed.find("\"prev\":\"").expect("a link") + 8;
                hashed.replace_range(at..at + 64, &prev);
                if let Some(at) = hashed.find("\"head\":{") {
                    let at = at + hashed[at..].find("\"hash\":\"").expect("a hash") + 8;
                    hashed.replace_range(at..at + 64, &prev);
                }
            }
            prev = Hash::of(hashed.as_bytes()).to_string();
            *line = format!("{hashed},\"hash\":\"{prev}\"}}\n");
        }
        doctored.write(&forged);
        // The signature tells without an anchor as well, since a head follows within the file.
        let alone = verdict(doctored.path(), false).finding;
        assert!(matches!(alone, Finding::BadSignature { .. }), "from {n}: {alone}");
        let anchored = doctored.finding();
        assert!(matches!(anchored, Finding::BadSignature { .. } | Finding::Altered { how: How::Anchor, .. }));
    }
}

#[test]
fn another_key_and_a_forged_anchor_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    small(folder.path());
    let other = tempfile::tempdir().expect("a folder");
    small(other.path());
    let found = verify(files(folder.path()), key(other.path()), &[]).expect("the files are read").finding;
    assert_eq!(found, Finding::UnknownKey { n: 1 });
    // The anchor of a box of the same name with another key.
    let anchors = [other.path().join("anchor.jsonl")];
    let found = verify(files(folder.path()), key(folder.path()), &anchors).expect("the files are read").finding;
    assert_eq!(found, Finding::BadAnchor { file: anchors[0].clone(), line: 1 });
    // A chain that the box began anew with its own key, beside the anchor of the one before.
    let anchor = folder.path().join("anchor.jsonl");
    fs::copy(&anchor, folder.path().join("kept.jsonl")).expect("a copy");
    fs::remove_file(&anchor).expect("removed");
    fs::remove_dir_all(folder.path().join("journal")).expect("removed");
    crate::made::fill(journal::chain::Settings {
        clock: crate::made::clock(crate::made::START_NS + 1, true),
        ..settings(folder.path())
    });
    assert_eq!(verdict(folder.path(), true).finding, Finding::Intact);
    let kept = [folder.path().join("kept.jsonl")];
    let found = verify(files(folder.path()), key(folder.path()), &kept).expect("the files are read").finding;
    assert!(matches!(found, Finding::Altered { how: How::Anchor, .. }), "{found}");
}

#[test]
fn a_file_of_anything_is_read_in_bounded_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    small(folder.path());
    let file = &files(folder.path())[0];
    fs::write(file, vec![b'x'; 3 << 20]).expect("the file");
    let found = verdict(folder.path(), false).finding;
    assert_eq!(found, Finding::Altered { n: 1, how: How::Form });
}

#[test]
fn a_forged_chain_without_signatures_is_found_by_what_is_missing() {
    let doctored = Doctored::new();
    let all = lines(doctored.path());
    let hash_of = |line: &str| line.rsplit_once(",\"hash\":\"").expect("a hash").1[..64].to_owned();
    let refused = all.iter().find(|line| line.contains("\"refused\"")).expect("a refusal");
    let (_, rest) = refused.split_once(",\"wall_ns\"").expect("the time");
    let (rest, _) = rest.rsplit_once(",\"hash\":\"").expect("a hash");
    let mut forged = vec![all[0].clone()];
    let mut prev = hash_of(&all[0]);
    let mut add = |forged: &mut Vec<String>, count: usize| {
        for _ in 0..count {
            let hashed = format!("{{\"n\":{},\"prev\":\"{prev}\",\"wall_ns\"{rest}", forged.len() + 1);
            prev = Hash::of(hashed.as_bytes()).to_string();
            forged.push(format!("{hashed},\"hash\":\"{prev}\"}}\n"));
        }
    };
    add(&mut forged, 100);
    doctored.write(&forged);
    let found = verdict(doctored.path(), false);
    assert_eq!((&found.finding, found.signed), (&Finding::Intact, 0), "so far none is due, and none is claimed");
    add(&mut forged, 2000);
    doctored.write(&forged);
    let found = verdict(doctored.path(), false).finding;
    assert!(matches!(found, Finding::Altered { how: How::Unsigned, .. }), "{found}");
}
