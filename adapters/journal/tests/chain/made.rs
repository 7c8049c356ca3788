//! Journals to look at.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use journal::chain::{
    Clock, ClockQuality, FieldClass, Hash, Intent, Journal, Latency, Outcome, Peer, PolicyChange, PublicKey, Refused,
    RefusedReason, Settings, Stamp, Verdict, list, verify,
};

/// The 28th of November 2026, 23:03:20 UTC.
pub(crate) const START_NS: u64 = 1_795_907_000_000_000_000;

/// A clock that moves by a microsecond whenever it is read.
pub(crate) fn clock(start_ns: u64, synchronised: bool) -> Clock {
    let ticks = AtomicU64::new(0);
    Arc::new(move || {
        let now = ticks.fetch_add(1, Ordering::Relaxed) * 1_000;
        let clock = ClockQuality { synchronised, error_us: synchronised.then_some(120) };
        Stamp { wall_ns: start_ns + now, monotonic_ns: now, clock }
    })
}

pub(crate) fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.join("journal"),
        key: folder.join("box.key"),
        box_id: "cell-4".to_owned(),
        boot: "b00t".to_owned(),
        anchors: vec![folder.join("anchor.jsonl")],
        heads_every: 4,
        rotate_bytes: 4096,
        capacity: 64,
        retry: Duration::ZERO,
        clock: clock(START_NS, true),
        prepare: Box::new(|| {}),
    }
}

pub(crate) fn intent(hand_off: &str) -> Intent {
    Intent {
        hand_off: hand_off.to_owned(),
        attempt: 1,
        parent: Some(17),
        task: "read-label".to_owned(),
        model: "ocr".to_owned(),
        version: "6".to_owned(),
        data: vec![FieldClass { field: "picture".to_owned(), class: "image/trade-secret".to_owned() }],
        rule: "home-only".to_owned(),
        policy: 1,
        dropped: vec!["operator".to_owned()],
        payload_sha256: Hash::of(hand_off.as_bytes()),
        payload_bytes: 1000,
        endpoint: "127.0.0.1:8001".to_owned(),
        cluster: "nagoya".to_owned(),
        jurisdiction: "jp".to_owned(),
        peer: Peer::Proven {
            certificate_sha256: Hash::of(b"certificate"),
            spiffe_id: "spiffe://factory/jp/triton".to_owned(),
        },
    }
}

pub(crate) fn refused(hand_off: &str) -> Refused {
    Refused {
        hand_off: hand_off.to_owned(),
        attempt: 1,
        parent: None,
        task: "read-label".to_owned(),
        cluster: "virginia".to_owned(),
        endpoint: None,
        reason: RefusedReason::Denied,
        number: Some(601),
        rule: Some("home-only".to_owned()),
        class: Some("image/trade-secret".to_owned()),
        policy: Some(1),
    }
}

pub(crate) fn policy() -> PolicyChange {
    PolicyChange::Committed { version: 1, digest: Hash::of(b"policy") }
}

/// A journal of several files, closed in order: three attempts and a refusal.
pub(crate) fn small(folder: &Path) {
    fill(settings(folder));
}

pub(crate) fn fill(settings: Settings) {
    let (journal, _) = Journal::open(settings).expect("open");
    journal.commit_policy(policy()).expect("a policy");
    for hand_off in ["a", "b", "c"] {
        let receipt = journal.intent(intent(hand_off)).expect("room").wait().expect("a receipt");
        let latency = Latency { connect_us: None, durable_us: Some(900), round_trip_us: Some(45_000) };
        receipt.end(Outcome::Delivered, 40, latency);
    }
    journal.refused(refused("d")).expect("room");
    journal.close().expect("closed in order");
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    list(&folder.join("journal")).expect("the folder is read")
}

pub(crate) fn key(folder: &Path) -> PublicKey {
    PublicKey::load(&folder.join("box.key.pub")).expect("the public key")
}

pub(crate) fn verdict(folder: &Path, anchored: bool) -> Verdict {
    let anchors: Vec<_> = anchored.then(|| folder.join("anchor.jsonl")).into_iter().collect();
    verify(files(folder), key(folder), &anchors).expect("the files are read")
}

/// All lines of a journal, each with its newline.
pub(crate) fn lines(folder: &Path) -> Vec<String> {
    let texts = files(folder).into_iter().map(|file| fs::read_to_string(file).expect("a file"));
    texts.flat_map(|text| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>()).collect()
}
