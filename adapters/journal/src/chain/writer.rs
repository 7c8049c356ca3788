//! The one thread that writes the chain. All that waits when it looks goes to the disk with one sync.
//!
//! A write or a sync that failed makes the journal fail closed. What a failed sync left on the disk nobody knows, so that
//! file is never written again: a new one begins with a signed record of what was cut, from the last record that a sync
//! confirmed. Outcomes that were cut with it are written again there.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    anchor::{AnchorStatus, AnchoredHead, Anchors},
    disk::{Disk, Segment},
    error::{Fault, Refusal},
    files,
    hex::{Hash, Hex},
    key::{BoxKey, recovered_text, signed_head},
    line,
    queue::{Item, Queue},
    receipt::{Promise, outcome},
    record::{
        Closed, Continued, Latency, OpenIntent, Outcome, PolicyChange, Record, Recovered, RecoveredWhy, Rotated,
        Unrecorded,
    },
    scan::{Cut, Found, Then},
    stamp::{Clock, Stamp},
};

/// So many items at most share a sync.
const GROUP: usize = 256;
/// So many records at most are written without a sync.
const UNSYNCED: usize = 256;
/// A record that nobody waits for is on the disk after so long at most.
const IDLE_SYNC: Duration = Duration::from_millis(500);

/// How the journal fares.
#[derive(Clone, Debug)]
pub struct Status {
    /// It takes no records: since when, and why.
    pub failing: Option<(Stamp, Fault)>,
    /// The last record that is on the disk.
    pub last: u64,
    /// The file that is being written.
    pub file: PathBuf,
    /// The newest signed head, to be published.
    pub head: Option<AnchoredHead>,
    /// How the anchors fare.
    pub anchors: Vec<AnchorStatus>,
    /// The policy in force.
    pub policy: Option<u64>,
    /// Syncs so far.
    pub syncs: u64,
    /// Intents confirmed so far.
    pub intents: u64,
    /// How often something was cut.
    pub recoveries: u64,
    /// Refusals that are still to be recorded, as a number.
    pub unrecorded: u64,
}

impl Status {
    /// Records that no anchor vouches for yet: all of them without an anchor.
    #[must_use]
    pub fn not_anchored(&self) -> u64 {
        let anchored = self.anchors.iter().filter_map(|anchor| anchor.anchored).max();
        self.last - anchored.unwrap_or(0).min(self.last)
    }
}

pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) clock: Clock,
    pub(super) key: BoxKey,
    pub(super) box_id: String,
    pub(super) folder: PathBuf,
    pub(super) heads_every: u64,
    pub(super) rotate_bytes: u64,
    pub(super) retry: Duration,
    pub(super) disk: Box<dyn Disk>,
    pub(super) anchors: Anchors,
    /// None while the journal fails.
    pub(super) segment: Option<Box<dyn Segment>>,
    pub(super) index: u64,
    /// Written.
    pub(super) written: Point,
    /// Confirmed by a sync.
    pub(super) durable: Point,
    pub(super) since_head: u64,
    pub(super) policy: Option<u64>,
    pub(super) open: BTreeMap<u64, OpenIntent>,
    /// Written, nobody waits, not yet confirmed; or, while the journal fails, to be written again.
    pub(super) notes: Vec<(Stamp, Record)>,
    pub(super) failing: Option<Failing>,
    /// The file that the next recovery follows.
    pub(super) broken: Option<Broken>,
}

/// A file whose end is not to be trusted.
pub(super) struct Broken {
    path: PathBuf,
    /// So many bytes of it are.
    keep: u64,
    /// What a start found beyond.
    torn: Option<Cut>,
}

/// A place in the chain and in its file.
#[derive(Clone, Copy)]
pub(super) struct Point {
    n: u64,
    hash: Hash,
    bytes: u64,
}

pub(super) struct Failing {
    since: Stamp,
    fault: Fault,
    tried: Instant,
}

/// Who waits for a sync.
struct Waiting {
    slot: Promise,
    n: u64,
    /// The intent; none of a policy.
    intent: Option<OpenIntent>,
}

/// However the writer ends, nobody waits for it in vain.
struct LastWord {
    queue: Arc<Queue>,
    status: Arc<Mutex<Status>>,
    /// Its own start: the clock may be why it ends.
    at: Stamp,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        self.queue.abandon();
        if std::thread::panicking() {
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            let fault = Fault::Other { path: "the writer's thread".to_owned(), words: "it ended".to_owned() };
            status.failing.get_or_insert((self.at, fault));
        }
    }
}

impl Point {
    pub(super) const START: Self = Self { n: 0, hash: Hash::ZERO, bytes: 0 };
}

impl Writer {
    /// Takes up the chain where a scan found its end, and writes that it did. Fails into a failing journal.
    pub(super) fn begin(&mut self, found: Found, opened: Record) {
        let Found { n, hash, open, then } = found;
        self.open = open;
        self.notes = vec![((self.clock)(), opened)];
        let at = |bytes| Point { n, hash, bytes };
        (self.written, self.durable) = (at(0), at(0));
        let result = match then {
            Then::Cut { index, cut } => {
                self.index = index - 1;
                self.broken = Some(Broken { path: cut.path.clone(), keep: cut.keep, torn: Some(cut) });
                self.recover()
            }
            Then::Begin(index) => {
                self.index = index;
                self.create().and_then(|()| self.rewrite_notes())
            }
            Then::Append { path, index, bytes } => {
                self.index = index;
                (self.written, self.durable) = (at(bytes), at(bytes));
                let opened = self.disk.open(&path);
                opened.map(|segment| self.segment = Some(segment)).and_then(|()| self.rewrite_notes())
            }
            Then::Continue { path, index } => {
                self.index = index;
                self.continue_after(&files::file_name(&path)).and_then(|()| self.rewrite_notes())
            }
        };
        if let Err(error) = result.and_then(|()| self.sign()) {
            self.fail(&error);
        }
        self.tell();
    }

    /// Writes until the queue is closed and empty; then closes the chain.
    pub(super) fn run(mut self) {
        let at = (self.clock)();
        let _last_word = LastWord { queue: Arc::clone(&self.queue), status: Arc::clone(&self.status), at };
        let mut items = Vec::with_capacity(GROUP);
        while self.queue.take(&mut items, GROUP, self.patience()) {
            if self.failing.as_ref().is_some_and(|failing| failing.tried.elapsed() >= self.retry) {
                self.try_again();
                self.tell();
            }
            self.group(items.drain(..));
            self.tell();
        }
        if self.failing.is_some() {
            self.try_again();
        }
        self.group(std::iter::empty());
        if self.failing.is_none() {
            let closed = self.append((self.clock)(), &Record::Closed(Closed {}));
            if let Err(error) = closed.and_then(|()| self.sign()) {
                self.fail(&error);
            }
        }
        self.tell();
    }

    fn patience(&self) -> Option<Duration> {
        match &self.failing {
            Some(failing) => Some(self.retry.saturating_sub(failing.tried.elapsed()).max(Duration::from_millis(1))),
            None if self.notes.is_empty() => None,
            None => Some(IDLE_SYNC),
        }
    }

    fn try_again(&mut self) {
        if let Err(error) = self.recover().and_then(|()| self.sign()) {
            self.fail(&error);
        }
    }

    /// One group of items: written together, confirmed together.
    fn group(&mut self, items: impl ExactSizeIterator<Item = Item>) {
        let idle = items.len() == 0;
        let mut waiting = Vec::new();
        let mut text = Vec::new();
        for item in items {
            self.one(item, &mut text, &mut waiting);
        }
        if self.failing.is_some() {
            return;
        }
        self.count_refusals(&mut text);
        let sync = idle || !waiting.is_empty() || self.notes.len() > UNSYNCED;
        let result = self.put(&text).and_then(|()| if sync { self.sync() } else { Ok(()) });
        if let Err(error) = &result {
            self.fail(error);
        }
        // Whoever is answered finds the status that belongs to the answer.
        self.tell();
        if result.is_err() {
            let refusal = self.refusal();
            if waiting.iter().any(|waiting| waiting.intent.is_none()) {
                // A withdrawal that did not reach the disk withdraws all the same.
                self.policy = None;
            }
            for Waiting { slot, intent, .. } in waiting {
                self.refuse(slot, intent.is_some(), refusal.clone());
            }
            return;
        }
        for waiting in waiting {
            self.confirm(waiting);
        }
        let due = if self.since_head >= self.heads_every { self.sign() } else { Ok(()) };
        if let Err(error) = due.and_then(|()| self.rotate_if_due()) {
            self.fail(&error);
        }
    }

    fn one(&mut self, item: Item, text: &mut Vec<u8>, waiting: &mut Vec<Waiting>) {
        match item {
            Item::Note { at, record } => {
                if self.failing.is_none() {
                    self.encode(text, at, &record);
                }
                self.notes.push((at, record));
            }
            Item::Intent { at, intent, slot } => {
                if let Err(refusal) = self.allowed(intent.policy) {
                    return self.refuse(slot, true, refusal);
                }
                let (hand_off, attempt) = (intent.hand_off.clone(), intent.attempt);
                let n = self.encode(text, at, &Record::Intent(intent));
                waiting.push(Waiting { slot, n, intent: Some(OpenIntent { intent: n, hand_off, attempt }) });
            }
            Item::Policy { at, change, slot } => {
                self.policy = None;
                if self.failing.is_some() {
                    return self.refuse(slot, false, self.refusal());
                }
                if let PolicyChange::Committed { version, .. } = change {
                    self.policy = Some(version);
                }
                let n = self.encode(text, at, &Record::Policy(change));
                waiting.push(Waiting { slot, n, intent: None });
            }
        }
    }

    /// Refusals that found no room, or a failing journal, are recorded as a number at least.
    fn count_refusals(&mut self, text: &mut Vec<u8>) {
        let refusals = std::mem::take(&mut self.lock_status().unrecorded);
        if refusals > 0 {
            let (at, record) = ((self.clock)(), Record::Unrecorded(Unrecorded { refusals }));
            self.encode(text, at, &record);
            self.notes.push((at, record));
        }
    }

    /// The chain's order is the truth: what was allowed by another policy is refused from that policy's end on.
    fn allowed(&self, named: u64) -> Result<(), Refusal> {
        if self.failing.is_some() {
            return Err(self.refusal());
        }
        match self.policy {
            None => Err(Refusal::NoPolicy),
            Some(in_force) if in_force != named => Err(Refusal::PolicyChanged { named, in_force }),
            Some(_) => Ok(()),
        }
    }

    fn confirm(&mut self, Waiting { slot, n, intent }: Waiting) {
        let Some(intent) = intent else {
            slot.answer(Ok(n));
            return;
        };
        self.open.insert(n, intent);
        self.lock_status().intents += 1;
        if !slot.answer(Ok(n)) {
            self.queue.push_outcome(outcome(&self.clock, n, Outcome::NotSent, 0, Latency::default()));
        }
    }

    fn refuse(&self, slot: Promise, intent: bool, refusal: Refusal) {
        if intent {
            self.queue.release();
        }
        slot.answer(Err(refusal));
    }

    fn refusal(&self) -> Refusal {
        let failing = self.failing.as_ref().expect("only a failing journal refuses for that");
        Refusal::Failing { since: failing.since, fault: failing.fault.clone() }
    }

    /// Adds a record to what will be written, and to the chain.
    fn encode(&mut self, text: &mut Vec<u8>, at: Stamp, record: &Record) -> u64 {
        let n = self.written.n + 1;
        let before = text.len();
        let hash = line::encode(text, n, self.written.hash, at, record);
        let bytes = self.written.bytes + (text.len() - before) as u64;
        self.written = Point { n, hash, bytes };
        self.since_head += 1;
        n
    }

    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.segment.as_mut().expect("a journal that does not fail has a file").append(text)
    }

    fn append(&mut self, at: Stamp, record: &Record) -> io::Result<()> {
        let mut text = Vec::new();
        self.encode(&mut text, at, record);
        self.put(&text)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.segment.as_mut().expect("a journal that does not fail has a file").sync()?;
        self.durable = self.written;
        for (_, record) in self.notes.drain(..) {
            if let Record::Outcome(ended) = &record {
                self.open.remove(&ended.intent);
            } else if let Record::Opened(_) = &record {
                // It has told of those before it as in doubt.
                self.open.clear();
            }
        }
        self.lock_status().syncs += 1;
        Ok(())
    }

    /// Signs what is on the disk, and publishes it. So a signature says that all before it was there.
    fn sign(&mut self) -> io::Result<()> {
        self.sync()?;
        let at = (self.clock)();
        let head = signed_head(&self.key, &self.box_id, self.durable.n, self.durable.hash);
        let anchored = AnchoredHead::of(&self.box_id, &head, at);
        self.append(at, &Record::Head(head))?;
        self.sync()?;
        self.since_head = 0;
        self.anchors.publish(&anchored, at);
        self.lock_status().head = Some(anchored);
        Ok(())
    }

    fn rotate_if_due(&mut self) -> io::Result<()> {
        if self.written.bytes < self.rotate_bytes {
            return Ok(());
        }
        let (from, next) = (files::name(self.index), files::name(self.index + 1));
        self.append((self.clock)(), &Record::Rotated(Rotated { next }))?;
        self.sync()?;
        self.continue_after(&from)?;
        self.sign()
    }

    /// Goes on in a new file, after one that ended in order. Without a sync: at a start there are notes that are not written yet.
    fn continue_after(&mut self, file: &str) -> io::Result<()> {
        self.index += 1;
        self.create()?;
        let open = self.open.values().cloned().collect();
        let record = Record::Continued(Continued { file: file.to_owned(), hash: self.written.hash, open });
        self.append((self.clock)(), &record)
    }

    fn create(&mut self) -> io::Result<()> {
        self.segment = None;
        (self.written.bytes, self.durable.bytes) = (0, 0);
        self.segment = Some(self.disk.create(&self.path())?);
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.folder.join(files::name(self.index))
    }

    /// Begins a new file with a signed record of what was cut.
    fn recover(&mut self) -> io::Result<()> {
        let broken = self.broken.as_ref().expect("what fails has a file");
        let (from, keep) = (broken.path.clone(), broken.keep);
        let record = self.recovered(broken);
        let durable = self.durable;
        self.written = durable;
        self.index += 1;
        let result = self.create().and_then(|()| {
            self.append((self.clock)(), &Record::Recovered(record))?;
            self.rewrite_notes()
        });
        if let Err(error) = result {
            self.segment = None;
            // A file of that name would be in the way of the next try; one that stays is passed over.
            let path = self.path();
            if self.disk.remove(&path).is_ok() || !path.exists() {
                self.index -= 1;
            }
            (self.written, self.durable) = (durable, durable);
            return Err(error);
        }
        self.failing = None;
        self.broken = None;
        self.lock_status().recoveries += 1;
        // What was cut stays in its place if this fails; the signed record says how to read either state.
        let _ = files::set_aside(&from, keep);
        Ok(())
    }

    fn recovered(&self, broken: &Broken) -> Recovered {
        let measured = match &broken.torn {
            Some(cut) => Some((cut.bytes, cut.hash)),
            None => files::measure_tail(&broken.path, broken.keep).ok(),
        };
        let mut recovered = Recovered {
            box_id: self.box_id.clone(),
            file: files::file_name(&broken.path),
            after: self.durable.n,
            hash: self.durable.hash,
            why: if broken.torn.is_some() { RecoveredWhy::Torn } else { RecoveredWhy::Disk },
            bytes: measured.map(|(bytes, _)| bytes),
            records: broken.torn.as_ref().map(|cut| cut.records),
            cut_sha256: measured.map(|(_, hash)| hash),
            open: self.open.values().cloned().collect(),
            signature: Hex([0; 64]),
        };
        recovered.signature = self.key.sign(&recovered_text(&recovered));
        recovered
    }

    /// Writes the notes that the disk did not confirm, each with the time at which it was taken in.
    fn rewrite_notes(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        let notes = std::mem::take(&mut self.notes);
        for (at, record) in &notes {
            self.encode(&mut text, *at, record);
        }
        self.notes = notes;
        self.put(&text)?;
        self.sync()
    }

    fn fail(&mut self, error: &io::Error) {
        let fault = Fault::of(&self.path(), error);
        let since = self.failing.take().map_or_else(|| (self.clock)(), |failing| failing.since);
        self.failing = Some(Failing { since, fault, tried: Instant::now() });
        self.segment = None;
        if self.broken.is_none() {
            self.broken = Some(Broken { path: self.path(), keep: self.durable.bytes, torn: None });
        }
        self.written = self.durable;
        self.since_head = 0;
    }

    fn tell(&self) {
        let mut status = self.lock_status();
        status.failing = self.failing.as_ref().map(|failing| (failing.since, failing.fault.clone()));
        status.last = self.durable.n;
        status.file = self.path();
        status.anchors = self.anchors.status().to_vec();
        status.policy = self.policy;
    }

    fn lock_status(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
