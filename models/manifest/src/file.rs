//! Reading a file whole, with its size known to be bounded before anything is allocated for it.

use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

use crate::error::Problem;

/// The bytes of the regular file `path`, at most `limit` of them.
pub(crate) fn read(path: &Path, limit: u64, advice: &'static str) -> Result<Vec<u8>, Problem> {
    let unreadable = |source| Problem::Unreadable { path: path.to_path_buf(), source, advice };
    let too_large = |bytes| Problem::TooLarge { path: path.to_path_buf(), bytes, limit };

    // Asked before it is opened: opening a pipe would wait for its writer.
    let found = std::fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(unreadable(Error::new(ErrorKind::InvalidInput, "not a regular file")));
    }
    if found.len() > limit {
        return Err(too_large(found.len()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a file that grew meanwhile is noticed.
    let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let read = read as u64;
    if read > limit {
        return Err(too_large(read));
    }
    Ok(bytes)
}
