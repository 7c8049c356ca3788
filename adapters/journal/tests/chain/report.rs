//! What an auditor gets.

use std::{fs, path::Path};

use journal::chain::{
    ExportError, Intent, Journal, Latency, Month, Outcome, Peer, PolicyChange, Reader, Settings, export_lines,
    export_table, report,
};

use crate::made::{START_NS, clock, files, intent, lines, policy, refused, settings, small};

const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// Two months: in the first attempts that ended, were refused, and were left open by a process that died; in the second one.
fn two_months(folder: &Path) {
    let (journal, _) = Journal::open(settings(folder)).expect("open");
    journal.commit_policy(policy()).expect("a policy");
    for (hand_off, outcome) in [("a", Outcome::Delivered), ("b", Outcome::NotSent), ("c", Outcome::Delivered)] {
        let receipt = journal.intent(intent(hand_off)).expect("room").wait().expect("a receipt");
        receipt.end(outcome, 40, Latency::default());
    }
    let insecure = Intent { peer: Peer::Insecure {}, rule: "=danger".to_owned(), ..intent("d") };
    std::mem::forget(journal.intent(insecure).expect("room").wait().expect("a receipt"));
    for hand_off in ["e", "f"] {
        journal.refused(refused(hand_off)).expect("room");
    }
    drop(journal);
    // The end of a process that died: without its close and the signature of it.
    let last = files(folder).pop().expect("a file");
    let text = fs::read_to_string(&last).expect("the file");
    let kept: Vec<_> = text.split_inclusive('\n').collect();
    fs::write(&last, kept[..kept.len() - 2].concat()).expect("the file");
    fs::remove_file(folder.join("anchor.jsonl")).expect("the anchor is removed");

    let december = Settings { clock: clock(START_NS + 5 * DAY_NS, false), ..settings(folder) };
    let (journal, in_doubt) = Journal::open(december).expect("open");
    assert_eq!(in_doubt.len(), 1);
    journal.commit_policy(policy()).expect("a policy");
    let receipt = journal.intent(intent("g")).expect("room").wait().expect("a receipt");
    receipt.end(Outcome::Delivered, 40, Latency::default());
    journal.commit_policy(PolicyChange::Withdrawn { why: "audit".to_owned() }).expect("withdrawn");
    journal.close().expect("closed in order");
}

fn of(folder: &Path, month: &str) -> journal::chain::Report {
    let month: Month = month.parse().expect("a month");
    report(Reader::open(files(folder)).expect("files"), month).expect("a chain that is whole")
}

#[test]
fn a_month_sums_up_what_left_and_what_did_not() {
    let folder = tempfile::tempdir().expect("a folder");
    two_months(folder.path());
    let november = of(folder.path(), "2026-11");
    let sums = november.left.iter().map(|left| {
        (left.rule.as_str(), left.attempts, left.payload_bytes, left.not_sent, left.delivered, left.answer_bytes)
    });
    assert_eq!(sums.collect::<Vec<_>>(), [("=danger", 1, 1000, 0, 0, 0), ("home-only", 3, 3000, 1, 2, 120)]);
    assert_eq!(november.left[0].spiffe_id, None);
    assert_eq!(november.refused.iter().map(|refused| refused.count).collect::<Vec<_>>(), [2]);
    assert_eq!((november.in_doubt, november.open, november.starts, november.unclean), (1, 0, 1, 0));
    assert_eq!((november.clock.unsynchronised, november.clock.went_back), (0, 0));

    let december = of(folder.path(), "2026-12");
    assert_eq!((december.left.len(), december.left[0].attempts), (1, 1));
    assert_eq!((december.in_doubt, december.starts, december.unclean), (0, 1, 1));
    assert_eq!(december.policies.len(), 2);
    assert_eq!(december.clock.unsynchronised, december.clock.records);
    assert_eq!(december.clock.longest_gap.as_ref().map(|(seconds, _)| *seconds), Some(5 * 86_400 - 1));

    // A clock that is set back by a day.
    let back = Settings { clock: clock(START_NS + 4 * DAY_NS, true), ..settings(folder.path()) };
    Journal::open(back).expect("open").0.close().expect("closed in order");
    assert_eq!(of(folder.path(), "2026-12").clock.went_back, 1);

    let text = november.to_string();
    for words in ["3 attempts, 3000 bytes; 2 answered right, 1 not sent", "NOBODY WAS ASKED", "2 times denied", "拒否"]
    {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    let empty = of(folder.path(), "2027-01").to_string();
    assert!(empty.contains("nothing") && !empty.contains("home-only"), "{empty}");
}

#[test]
fn an_export_is_whole_and_no_formula() {
    let folder = tempfile::tempdir().expect("a folder");
    two_months(folder.path());
    let open = || Reader::open(files(folder.path())).expect("files");
    let mut all = Vec::new();
    export_lines(open(), None, &mut all).expect("a chain that is whole");
    assert_eq!(String::from_utf8(all).expect("text"), lines(folder.path()).concat());

    let mut table = Vec::new();
    export_table(open(), Some("2026-11".parse().expect("a month")), true, &mut table).expect("a chain that is whole");
    let table = String::from_utf8(table).expect("text");
    let table = table.strip_prefix('\u{feff}').expect("a byte order mark");
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let rule = rows.headers().expect("headers").iter().position(|name| name == "rule").expect("a rule");
    let rows: Vec<_> = rows.records().collect::<Result<_, _>>().expect("rows of one length");
    let rules: Vec<_> = rows.iter().map(|row| &row[rule]).filter(|rule| !rule.is_empty()).collect();
    assert_eq!(rules, ["home-only", "home-only", "home-only", "'=danger", "home-only", "home-only"]);

    let mut december = Vec::new();
    export_table(open(), Some("2026-12".parse().expect("a month")), false, &mut december)
        .expect("a chain that is whole");
    assert!(december.starts_with(b"n,wall,"));
}

#[test]
fn a_damaged_chain_is_not_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    small(folder.path());
    let file = &files(folder.path())[0];
    let mut bytes = fs::read(file).expect("the file");
    let place = bytes.len() - 10;
    bytes[place] ^= 1;
    fs::write(file, bytes).expect("the file");
    let open = || Reader::open(files(folder.path())).expect("files");
    let month = "2026-11".parse().expect("a month");
    assert!(matches!(report(open(), month), Err(ExportError::Damaged { after }) if after > 0));
    assert!(matches!(export_lines(open(), None, Vec::new()), Err(ExportError::Damaged { .. })));
}
