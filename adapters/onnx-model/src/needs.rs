//! What a provider needs of Nvidia's libraries, and which of it this machine has.
//!
//! What is needed is read out of the provider's own file, so that it is right for a vendor's build as well.

use std::collections::HashSet;
use std::env;
use std::ffi::{CStr, CString};
use std::fs;
use std::path::PathBuf;

use crate::elf;
use crate::find::system_folders;
use crate::{Library, Provider};

/// A shared library that a provider opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The file's name, with the major version that it must have.
    pub library: String,
    /// What it is part of.
    pub part: Part,
    /// Whether it is there.
    pub found: Found,
}

/// What is installed as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The kernel's module and the library that belongs to it.
    Driver,
    /// The CUDA toolkit's libraries.
    Cuda,
    /// cuDNN.
    Cudnn,
    /// `TensorRT`.
    TensorRt,
}

/// Whether a library is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The loader opens it.
    Opens,
    /// The loader finds no file of this name, but these of other versions.
    Missing {
        /// Files of the same library with another version.
        others: Vec<PathBuf>,
    },
    /// The loader finds it and cannot open it.
    Broken {
        /// What it said.
        reason: String,
    },
}

/// What the provider's own file does not name, because it is opened later.
const LATER: [(&str, &str, &str); 3] = [
    ("libcudart.so.13", "libcudnn.so.9", "libcufft.so.12"),
    ("libcudart.so.12", "libcudnn.so.9", "libcufft.so.11"),
    ("libcudart.so.11", "libcudnn.so.8", "libcufft.so.10"),
];

impl Library {
    /// The file of this provider beside the library; the processor has none.
    #[must_use]
    pub fn provider_file(&self, provider: Provider) -> Option<PathBuf> {
        let name = match provider {
            Provider::Cpu => return None,
            Provider::Cuda { .. } => "libonnxruntime_providers_cuda.so",
            Provider::TensorRt { .. } => "libonnxruntime_providers_tensorrt.so",
        };
        Some(self.path().with_file_name(name)).filter(|path| path.is_file())
    }

    /// Everything of Nvidia's that this provider opens, and whether it is there; nothing of a provider that the library
    /// does not bring. Each library is opened for it, so a process that asks should do nothing else.
    #[must_use]
    pub fn needs(&self, provider: Provider) -> Vec<Need> {
        let Some(own) = self.provider_file(provider).and_then(|file| elf::needed(&file)) else { return Vec::new() };
        let later = LATER.iter().find(|(cuda, ..)| own.iter().any(|name| name == cuda));
        let later = later.iter().flat_map(|(_, cudnn, cufft)| [*cudnn, *cufft]).map(str::to_owned);
        let mut names: Vec<_> = own.iter().cloned().chain(later).collect();
        let mut told = HashSet::new();
        names.retain(|name| told.insert(name.clone()));
        let need = |library: String| Some(Need { part: part(&library)?, found: found(&library), library });
        names.into_iter().filter_map(need).collect()
    }
}

/// What to add to ONNX Runtime's own words where it could not open a library, if anything is known.
pub(crate) fn hint(said: &str) -> Option<String> {
    let library = missing_in(said)?;
    let part = part(library)?;
    let others = other_versions(library, &folders());
    Some(match others.first() {
        Some(other) => format!(
            "{library} is missing, and {} is another major version of {}: this ONNX Runtime takes {} only; `genba doctor` says what to install",
            other.display(),
            part.name(),
            major(library).unwrap_or("its own"),
        ),
        None => {
            format!("{library}, of {}, is not where the loader looks; `genba doctor` says what to install", part.name())
        }
    })
}

impl Part {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Driver => "the Nvidia driver",
            Self::Cuda => "CUDA",
            Self::Cudnn => "cuDNN",
            Self::TensorRt => "TensorRT",
        }
    }
}

impl Need {
    /// The major version that the file's name asks for.
    #[must_use]
    pub fn major(&self) -> Option<&str> {
        major(&self.library)
    }
}

/// `None` for what every Linux has.
fn part(library: &str) -> Option<Part> {
    let stem = library.split_once(".so").map_or(library, |(stem, _)| stem);
    match stem {
        "libcuda" => Some(Part::Driver),
        "libcudart" | "libcublas" | "libcublasLt" | "libcurand" | "libcufft" | "libnvrtc" | "libnvJitLink" => {
            Some(Part::Cuda)
        }
        "libcudnn" => Some(Part::Cudnn),
        "libnvinfer" | "libnvinfer_plugin" | "libnvonnxparser" => Some(Part::TensorRt),
        _ => None,
    }
}

fn major(library: &str) -> Option<&str> {
    library.split_once(".so.").map(|(_, version)| version.split('.').next().unwrap_or(version))
}

/// `libx.so.1` of `… libx.so.1: cannot open shared object file …`, as glibc says it.
fn missing_in(said: &str) -> Option<&str> {
    let (before, _) = said.split_once(": cannot open shared object file")?;
    before.rsplit([' ', ':']).next().filter(|name| name.contains(".so"))
}

#[allow(unsafe_code, reason = "whether a library opens is known only after it was opened")]
fn found(library: &str) -> Found {
    let Ok(name) = CString::new(library) else { return Found::Missing { others: Vec::new() } };
    // SAFETY: the name is a C string. What the library does when it is opened is Nvidia's, and what the provider would
    // make it do as well.
    if !unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) }.is_null() {
        return Found::Opens;
    }
    // SAFETY: it takes nothing, and returns null or a C string that is copied before the next call of this thread.
    let reason = unsafe { libc::dlerror() };
    let reason = if reason.is_null() {
        String::new()
    } else {
        // SAFETY: it is not null.
        unsafe { CStr::from_ptr(reason) }.to_string_lossy().into_owned()
    };
    if missing_in(&reason) == Some(library) {
        Found::Missing { others: other_versions(library, &folders()) }
    } else {
        Found::Broken { reason }
    }
}

/// Where the loader looks, as far as that is known: those of the environment, and the usual ones.
fn folders() -> Vec<PathBuf> {
    let environment = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let named = env::split_paths(&environment).filter(|folder| folder.is_absolute()).collect();
    [named, system_folders(), vec![PathBuf::from("/usr/local/cuda/lib64")]].concat()
}

/// Files of the same library with another version in their names.
fn other_versions(library: &str, folders: &[PathBuf]) -> Vec<PathBuf> {
    let Some((stem, _)) = library.split_once(".so.") else { return Vec::new() };
    let wanted = major(library);
    let another = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let version = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix(".so."));
        version.is_some() && major(name) != wanted
    };
    let files = |folder: &PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut others: Vec<_> = folders.iter().flat_map(files).filter(another).collect();
    others.sort();
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Failed to load library /a/libonnxruntime_providers_tensorrt.so with error: libnvinfer.so.10: \
                        cannot open shared object file: No such file or directory";

    #[test]
    fn the_library_that_is_missing_is_found_in_what_was_said() {
        assert_eq!(missing_in(SAID), Some("libnvinfer.so.10"));
        assert_eq!(missing_in("CUDA failure 100: no CUDA-capable device is detected"), None);
        assert_eq!(hint("the graph is invalid"), None);
        let hint = hint(SAID).expect("it is one of Nvidia's");
        assert_eq!(
            hint,
            "libnvinfer.so.10, of TensorRT, is not where the loader looks; `genba doctor` says what to install"
        );
    }

    #[test]
    fn another_major_version_is_found_and_the_same_one_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for name in
            ["libnvinfer.so.11", "libnvinfer.so.10.13.2", "libnvinfer_plugin.so.11", "libnvinfer.so", "libother.so.1"]
        {
            fs::write(folder.path().join(name), "").expect("it can be written");
        }
        let others = other_versions("libnvinfer.so.10", &[folder.path().to_path_buf(), PathBuf::from("/nowhere")]);
        assert_eq!(others, [folder.path().join("libnvinfer.so.11")]);
    }

    #[test]
    fn each_library_is_part_of_what_is_installed_as_one() {
        let parts = [("libcuda.so.1", Part::Driver), ("libcublasLt.so.13", Part::Cuda), ("libcudnn.so.9", Part::Cudnn)];
        for (library, of) in parts {
            assert_eq!(part(library), Some(of), "{library}");
        }
        assert_eq!(part("libnvonnxparser.so.10"), Some(Part::TensorRt));
        assert_eq!(part("libc.so.6"), None);
        assert_eq!(major("libnvinfer.so.10.13"), Some("10"));
    }

    #[test]
    fn what_opens_is_told_from_what_is_missing() {
        assert_eq!(found("libc.so.6"), Found::Opens);
        assert_eq!(found("libnowhere.so.1"), Found::Missing { others: vec![] });
    }
}
