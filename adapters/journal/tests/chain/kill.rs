//! kill -9 at random moments. `KILLS` says how often, 20 if it is not set.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use journal::chain::{CutHow, Finding, Journal, Piece, Reader, Record};

use crate::made::{files, settings, verdict};

fn keep() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own file");
    let target = test.parent().and_then(Path::parent).expect("target/release/deps/TEST");
    target.join("examples/keep")
}

/// Kills a writer after it confirmed so many intents; returns all that it confirmed.
fn killed_after(folder: &Path, count: usize) -> BTreeSet<u64> {
    let mut child: Child = Command::new(keep())
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo builds the example with the tests");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    let mut kept = BTreeSet::new();
    while kept.len() < count {
        line.clear();
        assert_ne!(out.read_line(&mut line).expect("it writes"), 0, "it ended by itself");
        kept.extend(confirmed(&line));
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ended");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("what it had written");
    kept.extend(rest.split_inclusive('\n').filter_map(confirmed));
    kept
}

fn confirmed(line: &str) -> Option<u64> {
    line.strip_prefix("kept ")?.strip_suffix('\n')?.parse().ok()
}

/// The numbers of all intents in the chain, and of those that have neither an outcome nor a start after them.
fn intents(folder: &Path) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut all, mut open) = (BTreeSet::new(), BTreeSet::new());
    let mut reader = Reader::open(files(folder)).expect("files");
    while let Some(piece) = reader.next_piece().expect("the files are read") {
        let Piece::Record { line, .. } = piece else { break };
        if let Record::Intent(_) = line.record {
            all.insert(line.n);
            open.insert(line.n);
        } else if let Record::Outcome(ended) = &line.record {
            assert!(open.remove(&ended.intent), "an outcome of an intent that is not open: {}", ended.intent);
        } else if let Record::Opened(opened) = &line.record {
            let told: BTreeSet<_> = opened.in_doubt.iter().map(|open| open.intent).collect();
            assert_eq!(told, open, "a start tells of all that is in doubt, and of nothing else");
            open.clear();
        }
    }
    (all, open)
}

#[test]
fn nothing_that_was_confirmed_is_missing_after_a_kill() {
    let kills: usize = env::var("KILLS").map_or(20, |text| text.parse().expect("KILLS is a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = moments();
    let mut kept = BTreeSet::new();
    let mut torn = 0;
    for kill in 0..kills {
        let count = 1 + random() % 60;
        kept.extend(killed_after(folder.path(), count));
        let found = verdict(folder.path(), true);
        let is_torn = matches!(found.finding, Finding::Cut { how: CutHow::Torn { .. } | CutHow::NextFile(_), .. });
        assert!(is_torn || found.finding == Finding::Intact, "kill {kill} after {count}: {}", found.finding);
        torn += u32::from(is_torn);
        let (all, _) = intents(folder.path());
        let missing: Vec<_> = kept.difference(&all).collect();
        assert!(missing.is_empty(), "kill {kill} after {count}: confirmed and missing: {missing:?}");
    }
    let (_, open) = intents(folder.path());
    let settings = journal::chain::Settings { box_id: "killed".to_owned(), ..settings(folder.path()) };
    let (journal, in_doubt) = Journal::open(settings).expect("it opens");
    let told: BTreeSet<_> = in_doubt.iter().map(|open| open.intent).collect();
    assert!(told.is_superset(&open));
    journal.close().expect("closed in order");
    let found = verdict(folder.path(), true);
    assert_eq!(found.finding, Finding::Intact);
    println!("{kills} kills, {torn} with a torn end, {} records, {} recoveries", found.last, found.recoveries);

    // The control: a confirmed intent that is taken away is missed.
    let file = files(folder.path()).remove(0);
    let text = fs::read_to_string(&file).expect("the file");
    let fewer: String = text.split_inclusive('\n').filter(|line| !line.contains("\"intent\":{\"hand_off\"")).collect();
    fs::write(&file, fewer).expect("the file");
    assert_ne!(verdict(folder.path(), true).finding, Finding::Intact);
    let all = what_is_left(folder.path());
    assert!(kept.difference(&all).next().is_some());
}

fn what_is_left(folder: &Path) -> BTreeSet<u64> {
    let mut all = BTreeSet::new();
    let mut reader = Reader::open(files(folder)).expect("files");
    while let Some(piece) = reader.next_piece().expect("the files are read") {
        if let Piece::Record { line, .. } = piece
            && let Record::Intent(_) = line.record
        {
            all.insert(line.n);
        }
    }
    all
}

/// Moments that differ from run to run; what a failure needs to be looked into is the chain, not the seed.
fn moments() -> impl FnMut() -> usize {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let state = RandomState::new();
    let mut count = 0_u64;
    move || {
        count += 1;
        let mut hasher = state.build_hasher();
        hasher.write_u64(count);
        usize::try_from(hasher.finish() % 1_000_003).expect("small")
    }
}
