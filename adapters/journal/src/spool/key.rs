//! The key file: 32 random bytes that only their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};

use super::error::SpoolError;
use super::vault::KEY_BYTES;

/// The key of a spool: the one in the file, or a new one where neither key nor spool exist.
pub(super) fn load_or_create(key: &Path, spool: &Path) -> Result<[u8; KEY_BYTES], SpoolError> {
    match File::open(key) {
        Ok(file) => load(key, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_absent(spool)? => create(key),
        Err(error) => Err(unopened(key, spool, error)),
    }
}

/// Whether a spool's key is there and is one; `false` where neither spool nor key is there yet. Opens no spool and changes
/// nothing.
///
/// # Errors
/// The key is missing, exposed or no key, or a file cannot be read.
pub fn has_key(key: &Path, spool: &Path) -> Result<bool, SpoolError> {
    match File::open(key) {
        Ok(file) => load(key, file).map(|_| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_absent(spool)? => Ok(false),
        Err(error) => Err(unopened(key, spool, error)),
    }
}

fn unopened(key: &Path, spool: &Path, error: io::Error) -> SpoolError {
    if error.kind() == io::ErrorKind::NotFound {
        SpoolError::KeyMissing { key: key.to_owned(), spool: spool.to_owned() }
    } else {
        SpoolError::File { path: key.to_owned(), source: error }
    }
}

fn load(path: &Path, mut file: File) -> Result<[u8; KEY_BYTES], SpoolError> {
    let wrong = |source| SpoolError::File { path: path.to_owned(), source };
    let metadata = file.metadata().map_err(wrong)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SpoolError::KeyExposed { key: path.to_owned(), mode });
    }
    if metadata.len() != KEY_BYTES as u64 {
        return Err(SpoolError::KeyMalformed { key: path.to_owned(), bytes: metadata.len() });
    }
    let mut key = [0; KEY_BYTES];
    file.read_exact(&mut key).map_err(wrong)?;
    Ok(key)
}

/// Under another name first, and linked when it is whole and on disk: a crash leaves no half a key.
fn create(path: &Path) -> Result<[u8; KEY_BYTES], SpoolError> {
    let wrong = |source| SpoolError::File { path: path.to_owned(), source };
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| SpoolError::Random)?;
    let begun = path.with_added_extension("new");
    match fs::remove_file(&begun) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&begun).map_err(wrong)?;
    file.write_all(&key).and_then(|()| file.sync_all()).map_err(wrong)?;
    fs::hard_link(&begun, path).and_then(|()| fs::remove_file(&begun)).map_err(wrong)?;
    sync_folder(path).map_err(wrong)?;
    Ok(key)
}

/// An empty file is what a crash leaves between the making of a file and the first write to it.
fn is_absent(spool: &Path) -> Result<bool, SpoolError> {
    match fs::metadata(spool) {
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(SpoolError::File { path: spool.to_owned(), source }),
    }
}

/// A new file is there after a crash only when its folder was written too.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
