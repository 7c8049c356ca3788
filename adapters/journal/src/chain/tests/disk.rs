//! A disk that does what a test says.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender},
    },
};

use crate::chain::disk::{Disk, RealDisk, Segment};

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Nothing,
    /// So many more bytes fit.
    Full(usize),
    /// A sync fails, and what was written since the last one is gone.
    Sync,
    ReadOnly,
}

/// Shared with the test.
#[derive(Clone)]
pub(super) struct Control(Arc<Mutex<State>>);

struct State {
    wrong: Wrong,
    /// Each sync tells the one, and waits for the other.
    gate: Option<(Sender<()>, Receiver<()>)>,
}

pub(super) struct Stubborn(pub(super) Control);

struct StubbornSegment {
    real: Box<dyn Segment>,
    path: std::path::PathBuf,
    synced: u64,
    control: Control,
}

impl Control {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { wrong: Wrong::Nothing, gate: None })))
    }

    pub(super) fn set(&self, wrong: Wrong) {
        self.0.lock().expect("not poisoned").wrong = wrong;
    }

    pub(super) fn gate(&self, entered: Sender<()>, leave: Receiver<()>) {
        self.0.lock().expect("not poisoned").gate = Some((entered, leave));
    }

    fn wrong(&self) -> Wrong {
        self.0.lock().expect("not poisoned").wrong
    }
}

fn read_only() -> io::Error {
    io::Error::from(io::ErrorKind::ReadOnlyFilesystem)
}

impl Stubborn {
    fn segment(&self, real: Box<dyn Segment>, path: &Path) -> io::Result<Box<dyn Segment>> {
        let synced = fs::metadata(path)?.len();
        Ok(Box::new(StubbornSegment { real, path: path.to_owned(), synced, control: self.0.clone() }))
    }
}

impl Disk for Stubborn {
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn Segment>> {
        if self.0.wrong() == Wrong::ReadOnly {
            return Err(read_only());
        }
        let real = RealDisk.create(path)?;
        self.segment(real, path)
    }

    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Segment>> {
        if self.0.wrong() == Wrong::ReadOnly {
            return Err(read_only());
        }
        let real = RealDisk.open(path)?;
        self.segment(real, path)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        if self.0.wrong() == Wrong::ReadOnly { Err(read_only()) } else { RealDisk.remove(path) }
    }
}

impl Segment for StubbornSegment {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.control.0.lock().expect("not poisoned");
        match &mut state.wrong {
            Wrong::ReadOnly => Err(read_only()),
            Wrong::Full(left) if *left < bytes.len() => {
                self.real.append(&bytes[..*left])?;
                *left = 0;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            Wrong::Full(left) => {
                *left -= bytes.len();
                self.real.append(bytes)
            }
            Wrong::Nothing | Wrong::Sync => self.real.append(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.control.wrong() == Wrong::Sync {
            // As a kernel does that has thrown the pages away: some of them had reached the disk.
            let length = fs::metadata(&self.path)?.len();
            let file = fs::OpenOptions::new().write(true).open(&self.path)?;
            file.set_len(self.synced + (length - self.synced) / 2)?;
            return Err(io::Error::other("the device lost a write"));
        }
        let gate = self.control.0.lock().expect("not poisoned").gate.take();
        if let Some((entered, leave)) = gate {
            entered.send(()).expect("the test waits for it");
            // Once the test has dropped its end no further sync waits.
            if leave.recv().is_ok() {
                self.control.gate(entered, leave);
            }
        }
        self.real.sync()?;
        self.synced = fs::metadata(&self.path)?.len();
        Ok(())
    }
}
