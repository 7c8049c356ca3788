//! The journal's folder: `journal-000001.jsonl` and so on, in the order of their numbers.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::hex::Hash;

/// The name of a journal's file.
pub(super) fn name(index: u64) -> String {
    format!("journal-{index:06}.jsonl")
}

/// The number in a name that is a journal's.
pub(super) fn index(file: &str) -> Option<u64> {
    let digits = file.strip_prefix("journal-")?.strip_suffix(".jsonl")?;
    let index = digits.parse().ok()?;
    (name(index) == file).then_some(index)
}

/// The journal's files in a folder, in order.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut indices = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Some(index) = entry?.file_name().to_str().and_then(index) {
            indices.push(index);
        }
    }
    indices.sort_unstable();
    Ok(indices.into_iter().map(|index| folder.join(name(index))).collect())
}

/// The last part of a path, which is a journal file's name.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Makes what happened to names in the folder of `path` last.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// The size and the SHA-256 of what a file holds beyond `keep` bytes, in bounded memory.
pub(super) fn measure_tail(path: &Path, keep: u64) -> io::Result<(u64, Hash)> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(keep))?;
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        bytes += read as u64;
    }
    let mut hash = Hash::ZERO;
    hash.0.copy_from_slice(digest.finish().as_ref());
    Ok((bytes, hash))
}

/// Puts what a file holds beyond `keep` bytes into `NAME.cut`, and takes it from the file. A crash on the way leaves both.
pub(super) fn set_aside(path: &Path, keep: u64) -> io::Result<()> {
    let cut = path.with_added_extension("cut");
    let mut from = File::open(path)?;
    from.seek(SeekFrom::Start(keep))?;
    let mut to = File::create(&cut)?;
    io::copy(&mut from, &mut to)?;
    to.flush()?;
    to.sync_all()?;
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(keep)?;
    file.sync_all()?;
    sync_folder(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_numbers_and_others_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["journal-1000000.jsonl", "journal-000002.jsonl", "journal-000001.jsonl", "journal-3.jsonl"] {
            fs::write(folder.path().join(file), "").expect("a file");
        }
        fs::write(folder.path().join("journal-000001.jsonl.cut"), "").expect("a file");
        let found: Vec<_> = list(folder.path()).expect("a list").iter().map(|path| file_name(path)).collect();
        assert_eq!(found, ["journal-000001.jsonl", "journal-000002.jsonl", "journal-1000000.jsonl"]);
    }

    #[test]
    fn what_is_set_aside_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal-000001.jsonl");
        fs::write(&path, "good\ntorn").expect("a file");
        assert_eq!(measure_tail(&path, 5).expect("a tail"), (4, Hash::of(b"torn")));
        set_aside(&path, 5).expect("the tail is set aside");
        assert_eq!(fs::read(&path).expect("the file"), b"good\n");
        assert_eq!(fs::read(path.with_added_extension("cut")).expect("the tail"), b"torn");
    }
}
