//! The writer on a disk that waits, fills up and fails.

mod disk;
mod failing;
mod opening;
mod order;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::*;

/// A clock that moves by a microsecond whenever it is read.
fn clock() -> Clock {
    let ticks = AtomicU64::new(0);
    Arc::new(move || {
        let now = ticks.fetch_add(1, Ordering::Relaxed) * 1_000;
        let clock = ClockQuality { synchronised: true, error_us: Some(120) };
        Stamp { wall_ns: 1_795_907_000_000_000_000 + now, monotonic_ns: now, clock }
    })
}

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.join("journal"),
        key: folder.join("box.key"),
        box_id: "cell-4".to_owned(),
        boot: "b00t".to_owned(),
        anchors: vec![folder.join("anchor.jsonl")],
        heads_every: 8,
        rotate_bytes: 1 << 30,
        capacity: 256,
        retry: Duration::ZERO,
        clock: clock(),
        prepare: Box::new(|| {}),
    }
}

fn intent(hand_off: &str) -> Intent {
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
        dropped: Vec::new(),
        payload_sha256: Hash::of(b"payload"),
        payload_bytes: 7,
        endpoint: "127.0.0.1:8001".to_owned(),
        cluster: "nagoya".to_owned(),
        jurisdiction: "jp".to_owned(),
        peer: Peer::Proven {
            certificate_sha256: Hash::of(b"certificate"),
            spiffe_id: "spiffe://factory/jp/triton".to_owned(),
        },
    }
}

fn refused(hand_off: &str) -> Refused {
    Refused {
        hand_off: hand_off.to_owned(),
        attempt: 1,
        parent: None,
        task: "read-label".to_owned(),
        cluster: "nagoya".to_owned(),
        endpoint: None,
        reason: RefusedReason::Denied,
        number: Some(601),
        rule: Some("no-faces".to_owned()),
        class: Some("image/personal".to_owned()),
        policy: Some(1),
    }
}

fn policy(version: u64) -> PolicyChange {
    PolicyChange::Committed { version, digest: Hash::of(b"policy") }
}

fn records(folder: &Path) -> Vec<Line> {
    let mut reader = Reader::open(list(&folder.join("journal")).expect("the folder is read")).expect("files");
    let mut lines = Vec::new();
    while let Some(piece) = reader.next_piece().expect("the files are read") {
        match piece {
            Piece::Record { line, .. } => lines.push(*line),
            Piece::Fault { fault, .. } => panic!("{fault:?} after {:?}", lines.last()),
        }
    }
    lines
}

fn outcomes(folder: &Path) -> Vec<(u64, Outcome)> {
    let outcome = |line: Line| {
        let Record::Outcome(ended) = line.record else { return None };
        Some((ended.intent, ended.outcome))
    };
    records(folder).into_iter().filter_map(outcome).collect()
}

fn verdict(folder: &Path) -> Verdict {
    let key = PublicKey::load(&folder.join("box.key.pub")).expect("the public key");
    let files = list(&folder.join("journal")).expect("the folder is read");
    let anchors: Vec<_> = Some(folder.join("anchor.jsonl")).filter(|path| path.exists()).into_iter().collect();
    verify(files, key, &anchors).expect("the files are read")
}
