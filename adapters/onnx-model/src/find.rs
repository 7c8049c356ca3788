//! Where ONNX Runtime may lie on this machine.

use std::env::{consts, current_exe};
use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

const FILE: &str = "libonnxruntime.so";

/// Why no ONNX Runtime was found.
#[derive(Debug, Error)]
pub enum FindError {
    /// The configured file is not there.
    #[error("{} is not a file; correct the path in the configuration, or remove it and run `make native`", path.display())]
    NotThere {
        /// The configured path.
        path: PathBuf,
    },
    /// No path is configured and there is none in the usual places.
    #[error(
        "there is no {FILE} in native/lib above the executable nor in {}; run `make native`, or set its path in the configuration",
        list(searched)
    )]
    Nowhere {
        /// The system's folders that were searched.
        searched: Vec<PathBuf>,
    },
}

pub(crate) fn find(explicit: Option<&Path>) -> Result<PathBuf, FindError> {
    if let Some(path) = explicit {
        return if path.is_file() {
            Ok(path.to_path_buf())
        } else {
            Err(FindError::NotThere { path: path.to_path_buf() })
        };
    }
    let executable = current_exe().ok();
    let native = executable.iter().flat_map(|path| path.ancestors().skip(1)).map(|folder| folder.join("native/lib"));
    let system = system_folders();
    match native.chain(system.iter().cloned()).find_map(|folder| newest(&folder)) {
        Some(path) => Ok(path),
        None => Err(FindError::Nowhere { searched: system }),
    }
}

/// Where administrators, vendors and Debian's multiarch put shared libraries.
pub(crate) fn system_folders() -> Vec<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", consts::ARCH);
    ["/usr/local/lib", &multiarch, "/usr/lib64", "/usr/lib"].map(PathBuf::from).to_vec()
}

/// The library with the highest version in its name; one without a version comes last.
fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let versions = entries.filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())));
    versions.filter(|(_, path)| path.is_file()).max().map(|(_, path)| path)
}

/// `1.31.1` of `libonnxruntime.so.1.31.1`; nothing of `libonnxruntime.so`; no version of any other name.
fn version(file: &str) -> Option<Vec<u32>> {
    match file.strip_prefix(FILE)? {
        "" => Some(Vec::new()),
        numbers => numbers.strip_prefix('.')?.split('.').map(|number| number.parse().ok()).collect(),
    }
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{find, newest, version};

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("libonnxruntime.so.1.31.1"), Some(vec![1, 31, 1]));
        assert!(version("libonnxruntime.so.1.9.0") < version("libonnxruntime.so.1.31.1"));
        assert!(version("libonnxruntime.so") < version("libonnxruntime.so.1"));
        for other in ["libonnxruntime_providers_shared.so", "libonnxruntime.so.1.31.1.part", "libonnxruntime.sox"] {
            assert_eq!(version(other), None, "{other} is another file");
        }
    }

    #[test]
    fn the_newest_library_of_a_folder_is_taken() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        assert_eq!(newest(folder.path()), None);
        for file in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.31.1", "libonnxruntime.so", "libother.so.9"] {
            fs::write(folder.path().join(file), "").expect("a file can be written");
        }
        fs::create_dir(folder.path().join("libonnxruntime.so.99")).expect("a folder can be made");
        assert_eq!(newest(folder.path()), Some(folder.path().join("libonnxruntime.so.1.31.1")));
    }

    #[test]
    fn a_configured_path_that_is_missing_is_not_replaced_by_another() {
        let error = find(Some(Path::new("/nowhere/libonnxruntime.so"))).expect_err("there is no such file");
        assert_eq!(
            error.to_string(),
            "/nowhere/libonnxruntime.so is not a file; correct the path in the configuration, \
             or remove it and run `make native`"
        );
    }
}
