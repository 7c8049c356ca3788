//! What this process may do at a path, found out without doing it.

use std::{
    ffi::CString,
    fs,
    io::ErrorKind,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// What becomes of files in a folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Folder {
    /// It is there, and they can be made.
    Writable,
    /// It is not there, and can be made.
    ToBeMade,
    /// This one keeps them from being made.
    Denied(PathBuf),
    /// This is no folder, and stands in the way.
    Blocked(PathBuf),
}

/// Whether this user may write there: to a file, or make files in a folder.
#[allow(unsafe_code, reason = "std cannot ask whether something may be written to")]
pub(crate) fn may_write(path: &Path) -> bool {
    // No path that holds a zero byte leads anywhere.
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path is a C string that lives through the call.
    unsafe { libc::access(path.as_ptr(), libc::W_OK) == 0 }
}

/// What becomes of files in `folder`, by the nearest part of its path that is there.
pub(crate) fn folder(folder: &Path) -> Folder {
    judged(folder, may_write)
}

fn judged(folder: &Path, may_write: impl Fn(&Path) -> bool) -> Folder {
    for at in folder.ancestors() {
        let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        match fs::metadata(at) {
            Ok(found) if !found.is_dir() => return Folder::Blocked(at.to_owned()),
            Ok(_) if !may_write(at) => return Folder::Denied(at.to_owned()),
            Ok(_) if at == folder => return Folder::Writable,
            Ok(_) => return Folder::ToBeMade,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::NotADirectory => {}
            Err(_) => return Folder::Denied(at.to_owned()),
        }
    }
    Folder::Denied(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_or_can_be_made_or_something_is_in_its_way() {
        let there = tempfile::tempdir().expect("a folder");
        assert_eq!(folder(there.path()), Folder::Writable);
        assert_eq!(folder(&there.path().join("not/yet")), Folder::ToBeMade);
        let file = there.path().join("file");
        fs::write(&file, "").expect("writable");
        assert_eq!(folder(&file), Folder::Blocked(file.clone()));
        assert_eq!(folder(&file.join("below")), Folder::Blocked(file));
        // Root, as whom tests may run, is denied nothing.
        let denied = judged(&there.path().join("not/yet"), |path| path != there.path());
        assert_eq!(denied, Folder::Denied(there.path().to_owned()));
    }
}
