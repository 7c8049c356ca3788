//! `genba audit` by the real binary, on a journal that was kept from an earlier version.

use std::{fs, path::Path};

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;
use tests::{command, repository};

/// A copy of the journal that `adapters/journal/tests/golden` holds.
struct Kept {
    folder: TempDir,
}

struct Printed {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Kept {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let golden = repository().join("adapters/journal/tests/golden");
        fs::create_dir(folder.path().join("journal")).expect("the temporary folder can be written");
        for file in ["box.key.pub", "anchor.jsonl"] {
            fs::copy(golden.join(file), folder.path().join(file)).expect("the file can be copied");
        }
        for entry in fs::read_dir(golden.join("journal")).expect("the journal can be listed") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a file has a name");
            fs::copy(&path, folder.path().join("journal").join(name)).expect("the file can be copied");
        }
        Self { folder }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("journal/journal-000001.jsonl")
    }

    fn audit(&self, arguments: &[&str]) -> Printed {
        run(self.folder.path(), arguments)
    }

    fn verify(&self) -> Printed {
        self.audit(&["verify", "journal", "--key", "box.key.pub", "--anchor", "anchor.jsonl"])
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Printed {
    let mut output = command();
    output.arg("audit").args(arguments).env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8").current_dir(folder);
    let output = output.output().expect("genba runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Printed { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn a_journal_that_is_anchored_outside_is_intact() {
    let kept = Kept::new();
    let said = kept.verify();
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{}", said.stdout);
    assert_snapshot!(said.stdout, @r"
    intact
    16 records of box cell-4 hold, in 2 files
    signed up to record 15; 4 heads outside agree, up to record 15; 1 not yet anchored
    ");

    let said = kept.audit(&["verify", "journal", "--key", "box.key.pub", "--anchor", "anchor.jsonl", "--json"]);
    let said: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    assert_eq!((said["finding"]["finding"].as_str(), said["not_anchored"].as_u64()), (Some("intact"), Some(1)));
}

#[test]
fn what_cannot_be_shown_is_said() {
    let kept = Kept::new();
    fs::copy(kept.folder.path().join("box.key.pub"), kept.folder.path().join("journal/box.key.pub")).expect("a copy");
    let said = kept.audit(&["verify", "journal"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(3), ""), "{}", said.stdout);
    assert_snapshot!(said.stdout, @r"
    intact
    16 records of box cell-4 hold, in 2 files
    signed up to record 15; none is anchored
    not claimed: no head that was kept elsewhere vouches for any record: whoever has the box's key can have written all of it anew, and what was cut from its end does not show
    not claimed: the key is the one beside the journal: whoever could write there can have replaced both; give the one that was kept elsewhere
    ");
}

#[test]
fn what_is_not_as_it_was_is_found() {
    let kept = Kept::new();
    let text = fs::read_to_string(kept.file()).expect("the file can be read");
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let found = |text: String| {
        fs::write(kept.file(), text).expect("the file can be written");
        let said = kept.verify();
        assert_eq!(said.code, Some(1), "{}", said.stdout);
        said.stdout.lines().next().unwrap_or_default().to_owned()
    };
    let findings = [
        found(text.replacen("\"payload_bytes\":1000", "\"payload_bytes\":1001", 1)),
        found([&lines[..3], &lines[4..]].concat().concat()),
        found([&lines[..3], &[lines[4], lines[3]][..], &lines[5..]].concat().concat()),
    ];
    assert_snapshot!(findings.join("\n"), @r"
    altered at record 4: its bytes do not have its hash
    altered at record 4: it and all up to record 4 were removed
    altered at record 4: it stands later than its number
    ");
    fs::write(kept.file(), lines[..3].concat()).expect("the file can be written");
    for file in fs::read_dir(kept.folder.path().join("journal")).expect("the folder can be listed") {
        let path = file.expect("an entry").path();
        if path != kept.file() {
            fs::remove_file(path).expect("the file can be removed");
        }
    }
    let said = kept.verify();
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.stdout, @r"
    cut after record 3: a head outside vouches for record 15, which is missing
    3 records of box cell-4 hold, in 1 files
    signed up to record 1; 1 heads outside agree, up to record 1; 2 not yet anchored
    ");
}

#[test]
fn a_month_in_words_and_as_a_table() {
    let kept = Kept::new();
    let said =
        kept.audit(&["report", "journal", "--key", "box.key.pub", "--anchor", "anchor.jsonl", "--month", "2026-11"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), "journal: intact\n"));
    assert_snapshot!(said.stdout, @r"
    Hand-offs of box cell-4 in 2026-11 (UTC)  /  データ提供の記録

    What left the box  /  外部に送信したデータ
      task read-label, image/trade-secret
        to nagoya in jp, 127.0.0.1:8001 as spiffe://factory/jp/triton
        under rule home-only: 3 attempts, 3000 bytes; 3 answered right, 0 not sent; 120 bytes came back

    What was refused  /  拒否した送信
      task read-label to virginia: 1 times denied, image/trade-secret, home-only

    In doubt  /  結果不明
      0 attempts may or may not have arrived; 0 have no outcome yet

    Policies  /  適用した方針
      2026-11-28T23:03:20.000002000Z policy 1 in force, sha256 823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812

    Gaps  /  記録の中断
      1 starts, 0 of them after no orderly close

    Clock  /  時計の精度
      16 records, 0 by a clock that nothing disciplined
      the kernel's bound of error of the others: 120 µs at worst; it went back 0 times
    ");

    let said = kept.audit(&["export", "journal", "--bom", "--output", "november.csv", "--month", "2026-11"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let table = fs::read_to_string(kept.folder.path().join("november.csv")).expect("the table can be read");
    assert!(table.starts_with("\u{feff}n,wall,"));
    let again = kept.audit(&["export", "journal", "--output", "november.csv"]);
    assert_eq!(again.code, Some(1), "a file that is there is not written over");

    let lines = kept.audit(&["export", "journal", "--format", "jsonl"]).stdout;
    assert_eq!(lines.lines().count(), table.lines().count() - 1);
    let none = kept.audit(&["export", "journal", "--month", "2026-10"]).stdout;
    assert_eq!(none.lines().count(), 1, "the head of the table");
}

#[test]
fn what_is_asked_in_a_wrong_way() {
    let kept = Kept::new();
    for arguments in [&["report", "journal", "--month", "2026-13"][..], &["verify"], &["export"]] {
        assert_eq!(kept.audit(arguments).code, Some(2), "{arguments:?}");
    }
    let said = kept.audit(&["export", "elsewhere"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.stderr, @r"
    × the journal elsewhere cannot be read
    ╰─▶ No such file or directory (os error 2)
    ");
    let said = kept.audit(&["verify", "journal"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("--key"), "{}", said.stderr);
}
