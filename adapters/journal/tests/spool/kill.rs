//! kill -9 at random moments under load. A child has the spool and says on its standard output what was acknowledged to
//! it, each line after the call returned, and what it sends, after the attempt is on disk. The parent is the client and
//! the cluster: it holds what it was told against what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use journal::spool::{Acknowledged, Answer, Begin, Failure, Outcome, Put, ReasonNumber, Request, Spool, Status};

use super::{now, open, request, task};

const FOLDER: &str = "SPOOL_KILL_FOLDER";
const FROM: &str = "SPOOL_KILL_FROM";
const DRAIN: &str = "SPOOL_KILL_DRAIN";
const SEED: &str = "SPOOL_KILL_SEED";
const TASKS: u64 = 3;

/// Before each line of a child; the test harness says things of its own.
const MARK: &str = "@ ";

/// How often: `KILLS`, else 20.
#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_sent_out_of_order_or_after_its_end() {
    let kills = std::env::var("KILLS").map_or(20, |kills| kills.parse().expect("KILLS is a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let seed = RandomState::new().hash_one(0);
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut told = Seen::default();
    for kill in 0..kills {
        let lines = 1 + random.below(80);
        for line in child(folder.path(), told.next(), random.below(u64::MAX), Some(lines)) {
            told.line(&line);
        }
        let spool = open(folder.path()).expect("what was stored opens");
        told.check(&spool, kill);
    }
    for line in child(folder.path(), told.next(), random.below(u64::MAX), None) {
        told.line(&line);
    }
    let spool = open(folder.path()).expect("what was stored opens");
    assert_eq!(spool.ledger().carried_over, 0, "everything is delivered");
    assert_eq!(told.delivered, told.stored, "each once, none lost");
    let again = told.again_after_kill;
    println!("{kills} kills, {} requests, {} attempts, {again} in doubt", told.stored.len(), told.attempts);
    assert!(!told.stored.is_empty() && (kills < 20 || again > 0), "the kills met attempts: seed {seed}");
}

/// What the kills interrupt, when no parent asks for it: one process, to its end.
#[test]
fn load() {
    let Ok(folder) = std::env::var(FOLDER) else {
        let folder = tempfile::tempdir().expect("a folder");
        let mut load = Load::new(folder.path(), 1, 1);
        for _ in 0..30 {
            load.step();
        }
        load.drain();
        assert!(load.spool.ledger().is_balanced() && load.spool.ledger().in_flight == 0, "{:?}", load.spool.ledger());
        return;
    };
    let number = |name| std::env::var(name).expect("the parent says it").parse().expect("a number");
    let mut load = Load::new(Path::new(&folder), number(FROM), number(SEED));
    if number(DRAIN) == 1 {
        return load.drain();
    }
    loop {
        load.step();
    }
}

/// Runs a child and kills it after so many lines; without a number it delivers what is left and ends. Gives its lines.
fn child(folder: &Path, from: u64, seed: u64, kill_after: Option<u64>) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "kill::load", "--nocapture"])
        .env(FOLDER, folder)
        .env(FROM, from.to_string())
        .env(SEED, seed.to_string())
        .env(DRAIN, u64::from(kill_after.is_none()).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test starts");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = Vec::new();
    for line in output.lines() {
        let line = line.expect("text");
        if let Some((_, told)) = line.split_once(MARK) {
            lines.push(told.to_owned());
        }
        if kill_after.is_some_and(|after| lines.len() as u64 == after) {
            // What it has written by then is still read.
            child.kill().expect("it runs");
        }
    }
    let status = child.wait().expect("it ended");
    assert_eq!(status.success(), kill_after.is_none(), "a child ends by its kill, or well: {status}");
    lines
}

/// The child.
struct Load {
    spool: Spool,
    next: u64,
    random: Random,
}

impl Load {
    fn new(folder: &Path, next: u64, seed: u64) -> Load {
        Load { spool: open(folder).expect("what was stored opens"), next, random: Random(seed) }
    }

    fn step(&mut self) {
        if self.random.below(2) == 0 {
            self.put();
        } else {
            self.deliver(self.random.0 % TASKS);
        }
    }

    fn put(&mut self) {
        let put = self.spool.put(&request_of(self.next), now()).expect("the disk is well");
        match put {
            Put::Stored(_) | Put::Duplicate(_) => {
                tell(&format!("stored {}", self.next));
                self.next += 1;
            }
            Put::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    fn deliver(&mut self, of: u64) {
        let Some(item) = self.spool.next(&task_of(of), now()).expect("the disk is well") else { return };
        let number: u64 = item.id.as_str().rsplit('/').next().expect("a part").parse().expect("a number");
        assert_eq!((item.payload, item.context), (request_of(number).payload, request_of(number).context));
        let Begin::Begun(attempt) = self.spool.begin(&item.id, now()).expect("the disk is well") else {
            panic!("the oldest may begin")
        };
        tell(&format!("sent {number} {}", attempt.number()));
        if self.random.below(5) == 0 {
            let failed = self.spool.failed(&attempt, Failure::Transient(ReasonNumber(1)), now());
            assert_eq!(failed.expect("the disk is well"), Outcome::Recorded);
            tell(&format!("failed {number}"));
            return;
        }
        let delivered = self.spool.delivered(&attempt, &number.to_le_bytes(), now()).expect("the disk is well");
        assert_eq!(delivered, Outcome::Recorded);
        tell(&format!("delivered {number}"));
        if self.random.below(2) == 0 {
            let answer = self.spool.answer(&item.id, now()).expect("the disk is well");
            assert_eq!(answer, Answer::Delivered(number.to_le_bytes().to_vec()));
            let read = self.spool.acknowledge(&item.id, now()).expect("the disk is well");
            assert_eq!(read, Acknowledged::Done);
            tell(&format!("read {number}"));
        }
    }

    fn drain(&mut self) {
        while self.spool.ledger().in_flight > 0 {
            (0..TASKS).for_each(|of| self.deliver(of));
        }
    }
}

/// One write, so that a line is told as a whole or not at all.
fn tell(line: &str) {
    let mut output = io::stdout().lock();
    // A parent that is gone kills its child by this.
    output.write_all(format!("{MARK}{line}\n").as_bytes()).expect("the parent reads");
    output.flush().expect("the parent reads");
}

/// What the parent was told.
#[derive(Default)]
struct Seen {
    stored: BTreeSet<u64>,
    /// How often each was sent.
    sent: BTreeMap<u64, u64>,
    /// The last one that was sent, by task.
    last: BTreeMap<u64, u64>,
    /// Sent, and no end of that is known.
    open: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
    attempts: u64,
    again_after_kill: u64,
}

impl Seen {
    /// The first that was not acknowledged: its client puts it again.
    fn next(&self) -> u64 {
        self.stored.last().map_or(1, |last| last + 1)
    }

    fn line(&mut self, line: &str) {
        let mut words = line.split(' ');
        let what = words.next().expect("a word");
        let mut number = || words.next().expect("a number").parse::<u64>().expect("a number");
        match what {
            "stored" => assert!(self.stored.insert(number()), "stored once"),
            "sent" => self.sent(number(), number()),
            "delivered" => {
                let id = number();
                assert!(self.open.remove(&id) && self.delivered.insert(id), "{id} is delivered once, from out");
            }
            "failed" => assert!(self.open.remove(&number()), "it was out"),
            "read" => assert!(self.delivered.contains(&number())),
            other => panic!("{other:?}"),
        }
    }

    /// This is the wire: what arrives here has left the box.
    fn sent(&mut self, id: u64, attempt: u64) {
        self.attempts += 1;
        assert!(!self.delivered.contains(&id), "{id} is sent after its delivery was recorded");
        let before = self.sent.insert(id, attempt).unwrap_or(0);
        // An attempt may be on disk without having been sent; none is sent without being on disk, so none has its number.
        assert!(attempt > before, "attempt {attempt} of {id} after {before}");
        let last = self.last.insert(id % TASKS, id).unwrap_or(0);
        assert!(id >= last, "{id} is sent after {last} of the same task");
        let others = self.open.iter().filter(|open| **open % TASKS == id % TASKS && **open != id);
        assert_eq!(others.count(), 0, "{id} is sent while another one of its task is out");
        self.again_after_kill += u64::from(!self.open.insert(id));
    }

    /// The spool after a kill, against what was told. At most one call was cut: done, and not told.
    fn check(&mut self, spool: &Spool, kill: u64) {
        let (ledger, opening) = (spool.ledger(), spool.opening());
        assert!(ledger.is_balanced(), "kill {kill}: {ledger:?}");
        assert!(opening.lost == 0 && opening.unreadable == 0 && !opening.recounted, "kill {kill}: {opening:?}");
        let mut cut = Vec::new();
        for id in &self.stored {
            let ended = self.delivered.contains(id);
            match spool.status(&request_of(*id).id) {
                Some(Status::Waiting { in_doubt }) if !ended => assert!(!in_doubt || self.sent_or_cut(*id), "{id}"),
                // None: it was read so long ago that its id is forgotten.
                Some(Status::Delivered | Status::Read) | None if ended => {}
                Some(Status::Delivered) if self.open.contains(id) => cut.push(*id),
                other => panic!("kill {kill}: {id} is {other:?}, delivered: {ended}"),
            }
        }
        let told = (self.stored.len() - self.delivered.len()) as u64;
        assert!(cut.len() <= 1, "kill {kill}: deliveries of {cut:?} were cut");
        for id in cut {
            self.open.remove(&id);
            self.delivered.insert(id);
        }
        assert!(ledger.carried_over.abs_diff(told) <= 1, "kill {kill}: {ledger:?}, {told} told");
    }

    /// In doubt is what was sent, and what may have been: its attempt is on disk and the kill came before it was sent. That
    /// is the next one of its task.
    fn sent_or_cut(&self, id: u64) -> bool {
        let of_task = |other: &&u64| **other % TASKS == id % TASKS && !self.delivered.contains(*other);
        self.open.contains(&id) || self.stored.iter().find(of_task) == Some(&id)
    }
}

fn request_of(number: u64) -> Request {
    let bytes = usize::try_from(number * 7919 % 9000).expect("small");
    request(
        &format!("cell/client/{number}"),
        task_of(number % TASKS).as_str(),
        vec![u8::try_from(number % 251).expect("below 256"); bytes],
    )
}

fn task_of(number: u64) -> journal::spool::Task {
    task(&format!("task-{number}"))
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}
