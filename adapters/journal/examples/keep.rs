//! Keeps a journal under load until it is killed: `keep FOLDER`. Prints `kept N` once attempt N's intent is on the disk.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use journal::chain::{
    ClockQuality, FieldClass, Hash, Intent, Journal, Latency, Outcome, Peer, PolicyChange, Settings, Stamp,
};

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("the folder is the argument"));
    let settings = Settings {
        folder: folder.join("journal"),
        key: folder.join("box.key"),
        box_id: "killed".to_owned(),
        boot: std::process::id().to_string(),
        anchors: vec![folder.join("anchor.jsonl")],
        heads_every: 16,
        rotate_bytes: 32 * 1024,
        capacity: 64,
        retry: Duration::from_millis(10),
        clock: Arc::new(now),
        prepare: Box::new(|| {}),
    };
    let (journal, in_doubt) = Journal::open(settings).expect("the journal opens");
    println!("in-doubt {}", in_doubt.len());
    journal.commit_policy(PolicyChange::Committed { version: 1, digest: Hash::of(b"policy") }).expect("a policy");
    thread::scope(|scope| {
        for sender in 0..4 {
            let journal = &journal;
            scope.spawn(move || send(journal, sender));
        }
    });
}

fn send(journal: &Journal, sender: u32) {
    for count in 0_u64.. {
        let hand_off = format!("{}-{sender}-{count}", std::process::id());
        let receipt = journal.intent(intent(hand_off)).expect("room").wait().expect("a receipt");
        // One call: a line is whole or not there.
        io::stdout().write_all(format!("kept {}\n", receipt.intent()).as_bytes()).expect("whoever kills reads");
        let how = if count % 3 == 0 { Outcome::ConnectionLost } else { Outcome::Delivered };
        receipt.end(how, count, Latency::default());
    }
}

fn intent(hand_off: String) -> Intent {
    Intent {
        hand_off,
        attempt: 1,
        parent: None,
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
        peer: Peer::Insecure {},
    }
}

fn now() -> Stamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let wall_ns = u64::try_from(wall.as_nanos()).expect("before 2554");
    Stamp { wall_ns, monotonic_ns: wall_ns, clock: ClockQuality { synchronised: false, error_us: None } }
}
