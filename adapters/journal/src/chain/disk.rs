//! The files that the writer appends to. A trait, since the tests have a disk that fails.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use super::files;

pub(super) trait Disk: Send {
    /// A new file, whose name lasts.
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn Segment>>;
    /// A file that is there, at its end.
    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Segment>>;
    /// Takes away what a failed [`create`](Self::create) left.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

pub(super) trait Segment: Send {
    /// Appends all of it, or fails.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when what was appended is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// The operating system's.
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn Segment>> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        files::sync_folder(path)?;
        Ok(Box::new(file))
    }

    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Segment>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

impl Segment for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // The length is part of what it syncs; times are not.
        self.sync_data()
    }
}
