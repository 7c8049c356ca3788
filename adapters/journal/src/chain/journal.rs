//! The journal as the box has it: opened once, asked from many threads, written by one.

use std::{
    fs::{self, File, TryLockError},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    anchor::{Anchors, newest},
    disk::{Disk, RealDisk},
    error::{OpenError, Refusal},
    files,
    key::{BoxKey, PublicKey},
    line::MAX_RECORD,
    queue::{Item, Queue},
    receipt::{Pending, Promise, Slot},
    record::{Intent, OpenIntent, Opened, PolicyChange, Record, Refused},
    scan::scan,
    stamp::Clock,
    writer::{Point, Status, Writer},
};

/// The most that a journal may have waiting and open: their list must fit a line.
const MAX_CAPACITY: usize = 1024;
/// Files smaller than this would hold little but their own beginnings and ends.
const MIN_ROTATE: u64 = 4096;

/// How a journal is kept.
pub struct Settings {
    /// Its folder, which is made if it is not there.
    pub folder: PathBuf,
    /// The file with the box's key, which is made at the first start.
    pub key: PathBuf,
    /// The box's name: 1 to 128 printable ASCII characters.
    pub box_id: String,
    /// This start of the box, likewise.
    pub boot: String,
    /// Files that signed heads are copied to.
    pub anchors: Vec<PathBuf>,
    /// A head is signed after so many records, 1 to 1,000,000.
    pub heads_every: u32,
    /// A file of so many bytes is followed by the next, at least 4096.
    pub rotate_bytes: u64,
    /// Records that wait and attempts that are open together, 4 to 1024.
    pub capacity: usize,
    /// A failing journal tries again after so long.
    pub retry: Duration,
    /// Reads the box's clocks.
    pub clock: Clock,
    /// Called first on the writer's thread, for instance to give it its scheduling class.
    pub prepare: Box<dyn FnOnce() + Send>,
}

/// The audit chain, open for writing. Its methods lock and may wait: never call them from a thread that controls.
pub struct Journal {
    queue: Arc<Queue>,
    status: Arc<Mutex<Status>>,
    clock: Clock,
    public: PublicKey,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as the journal is open.
    lock: File,
}

impl Journal {
    /// Opens the chain, or begins one. What was torn is cut, set aside and told in a signed record. On a disk that takes no
    /// records it opens as a failing one. Returns the attempts of earlier starts that are without an outcome as well: in doubt.
    ///
    /// # Errors
    ///
    /// Every [`OpenError`].
    pub fn open(settings: Settings) -> Result<(Self, Vec<OpenIntent>), OpenError> {
        Self::open_on(Box::new(RealDisk), settings)
    }

    pub(super) fn open_on(disk: Box<dyn Disk>, settings: Settings) -> Result<(Self, Vec<OpenIntent>), OpenError> {
        check(&settings)?;
        let Settings { folder, key, box_id, boot, anchors, heads_every, .. } = settings;
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |source| OpenError::File { path, source }
        };
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse { folder: folder.clone() },
            TryLockError::Error(source) => OpenError::File { path: lock_path, source },
        })?;
        let paths = files::list(&folder).map_err(failed(&folder))?;
        let key = BoxKey::load(&key, paths.is_empty())?;
        let public = key.public();
        let mut anchored = Vec::new();
        for path in &anchors {
            // An anchor that cannot be read is alarmed when its next head cannot be written.
            anchored.extend(newest(path, &box_id, public).ok().flatten());
        }
        let found = scan(&paths, &box_id, &key, &anchored)?;
        let in_doubt: Vec<_> = found.open.values().cloned().collect();
        let queue = Arc::new(Queue::new(settings.capacity));
        let status = Arc::new(Mutex::new(first_status(&folder)));
        let anchors = Anchors::new(&anchors, &folder);
        let mut writer = Writer {
            queue: Arc::clone(&queue),
            status: Arc::clone(&status),
            clock: Arc::clone(&settings.clock),
            key,
            box_id: box_id.clone(),
            folder,
            heads_every: u64::from(heads_every),
            rotate_bytes: settings.rotate_bytes,
            retry: settings.retry,
            disk,
            anchors,
            segment: None,
            index: 1,
            written: Point::START,
            durable: Point::START,
            since_head: 0,
            policy: None,
            open: std::collections::BTreeMap::new(),
            notes: Vec::new(),
            failing: None,
            broken: None,
        };
        let opened = Opened { box_id, boot, public_key: public.0, heads_every, in_doubt: in_doubt.clone() };
        writer.begin(found, Record::Opened(opened));
        let prepare = settings.prepare;
        let thread = thread::Builder::new().name("genba-journal".to_owned()).spawn(move || {
            prepare();
            writer.run();
        });
        let thread = thread.map_err(OpenError::Thread)?;
        let journal = Self { queue, status, clock: settings.clock, public, writer: Mutex::new(Some(thread)), lock };
        Ok((journal, in_doubt))
    }

    /// Asks for an attempt to be recorded. Nothing may be sent before the [`Pending`] gives its receipt.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`], [`Refusal::Form`] or [`Refusal::Closed`] at once; the others come through the [`Pending`].
    pub fn intent(&self, intent: Intent) -> Result<Pending, Refusal> {
        let named = (1..=128).contains(&intent.hand_off.len()) && printable(&intent.hand_off);
        let record = Record::Intent(Box::new(intent));
        if !named || !fits(&record) {
            return Err(Refusal::Form);
        }
        let Record::Intent(intent) = record else { unreachable!("it was made an intent above") };
        let slot = Arc::new(Slot::default());
        self.queue.push_intent(Item::Intent { at: (self.clock)(), intent, slot: Promise(Arc::clone(&slot)) })?;
        Ok(Pending::new(slot, Arc::clone(&self.queue), Arc::clone(&self.clock)))
    }

    /// Records that nothing was sent, and why. Does not wait.
    ///
    /// # Errors
    ///
    /// If it could not be taken. That is counted, and the number is recorded as soon as the journal takes records.
    pub fn refused(&self, refused: Refused) -> Result<(), Refusal> {
        let record = Record::Refused(Box::new(refused));
        let result = if fits(&record) { self.not_failing() } else { Err(Refusal::Form) };
        let result = result.and_then(|()| self.queue.push_other(Item::Note { at: (self.clock)(), record }));
        if result.is_err() {
            self.lock_status().unrecorded += 1;
        }
        result
    }

    /// Puts a policy in force, or none, from the record on that is on the disk when this returns. An intent that was allowed by
    /// another one is refused from then on, whenever it was asked for.
    ///
    /// # Errors
    ///
    /// If it could not be recorded. Then no policy is in force.
    pub fn commit_policy(&self, change: PolicyChange) -> Result<u64, Refusal> {
        if !fits(&Record::Policy(change.clone())) {
            return Err(Refusal::Form);
        }
        let slot = Arc::new(Slot::default());
        self.queue.push_other(Item::Policy { at: (self.clock)(), change, slot: Promise(Arc::clone(&slot)) })?;
        slot.wait()
    }

    /// How it fares.
    #[must_use]
    pub fn status(&self) -> Status {
        self.lock_status().clone()
    }

    /// Records that wait, attempts that are open, and the room for both.
    #[must_use]
    pub fn load(&self) -> (usize, usize, usize) {
        (self.queue.waiting(), self.queue.open_attempts(), self.queue.capacity())
    }

    /// The key that signs the heads.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Writes what waits, signs the last head, anchors it and ends the writer; whoever else closes it waits for that as well.
    /// What is asked for later is [`Refusal::Closed`]. Attempts that are still open will be in doubt at the next start.
    ///
    /// # Errors
    ///
    /// If the journal was failing to the end.
    pub fn close(&self) -> Result<Status, Refusal> {
        self.finish();
        let status = self.status();
        match status.failing {
            Some((since, fault)) => Err(Refusal::Failing { since, fault }),
            None => Ok(status),
        }
    }

    fn finish(&self) {
        self.queue.close();
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.take() {
            // A writer that died has left that in the status.
            let _ = writer.join();
            // What cannot be unlocked is unlocked with the process.
            let _ = self.lock.unlock();
        }
    }

    fn not_failing(&self) -> Result<(), Refusal> {
        match &self.lock_status().failing {
            Some((since, fault)) => Err(Refusal::Failing { since: *since, fault: fault.clone() }),
            None => Ok(()),
        }
    }

    fn lock_status(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.finish();
    }
}

fn check(settings: &Settings) -> Result<(), OpenError> {
    let name = |text: &str| (1..=128).contains(&text.len()) && printable(text);
    let what = if !name(&settings.box_id) {
        "box name must be 1 to 128 printable ASCII characters"
    } else if !name(&settings.boot) {
        "boot id must be 1 to 128 printable ASCII characters"
    } else if !(1..=1_000_000).contains(&settings.heads_every) {
        "heads_every must be 1 to 1000000"
    } else if settings.rotate_bytes < MIN_ROTATE {
        "rotate_bytes must be at least 4096"
    } else if !(4..=MAX_CAPACITY).contains(&settings.capacity) {
        "capacity must be 4 to 1024"
    } else {
        return Ok(());
    };
    Err(OpenError::Setting { what })
}

fn printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn fits(record: &Record) -> bool {
    serde_json::to_vec(record).is_ok_and(|text| text.len() <= MAX_RECORD)
}

fn first_status(folder: &std::path::Path) -> Status {
    Status {
        failing: None,
        last: 0,
        file: folder.to_owned(),
        head: None,
        anchors: Vec::new(),
        policy: None,
        syncs: 0,
        intents: 0,
        recoveries: 0,
        unrecorded: 0,
    }
}
