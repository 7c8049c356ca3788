//! The ONNX Runtime shared library, opened once a process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;
use thiserror::Error;

use crate::contain::{Panicked, contain};
use crate::find::{self, FindError};
use crate::version::version;
use crate::{Graph, GraphError, Provider};

/// An opened ONNX Runtime with its environment: telemetry off, its log in `tracing`.
///
/// A process opens one library; every `Library` of a process is that one.
#[derive(Clone, Debug)]
pub struct Library {
    pub(crate) environment: Environment,
    path: PathBuf,
    version: String,
}

/// Why no ONNX Runtime could be opened.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file is missing, for another processor, or not a shared library.
    #[error("cannot open {}: {reason}; `make native` fetches ONNX Runtime", path.display())]
    Open {
        /// The file that was to be opened.
        path: PathBuf,
        /// What the operating system or the loader said.
        reason: String,
    },
    /// A shared library, but not ONNX Runtime.
    #[error("{} is not ONNX Runtime: it has no OrtGetApiBase", path.display())]
    NotOnnxRuntime {
        /// The file that was opened.
        path: PathBuf,
    },
    /// ONNX Runtime, but older than the interface this program is built for.
    #[error("{} is ONNX Runtime {found}, but 1.{needed_minor} or newer is needed; `make native` fetches one", path.display())]
    TooOld {
        /// The file that was opened.
        path: PathBuf,
        /// The version it says it is.
        found: String,
        /// The lowest minor version of major version 1.
        needed_minor: u32,
    },
    /// The process has opened another file already, and cannot open a second one.
    #[error("{} cannot be opened: this process already runs {}", asked.display(), opened.display())]
    Another {
        /// The file that was asked for.
        asked: PathBuf,
        /// The file that is open.
        opened: PathBuf,
    },
    /// The library was opened and then could not be set up.
    #[error("ONNX Runtime from {} cannot be set up: {reason}", path.display())]
    Environment {
        /// The file that was opened.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The binding panicked while it opened the library.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// What this process has opened so far: the file, and the library once it is set up.
static OPENED: Mutex<Option<(PathBuf, Option<Library>)>> = Mutex::new(None);

impl Library {
    /// Where the library is: `explicit` if given; else the newest `native/lib/libonnxruntime.so*` in
    /// the nearest folder above the running executable; else one of the system's library folders.
    ///
    /// # Errors
    /// [`FindError`] where there is none; its text says what to do.
    pub fn find(explicit: Option<&Path>) -> Result<PathBuf, FindError> {
        find::find(explicit)
    }

    /// Opens the library at `path`, or returns it again where this process has it open already.
    ///
    /// # Errors
    /// [`LoadError`] where the file is not an ONNX Runtime that is new enough, or is not the one this
    /// process has open.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let asked = path
            .canonicalize()
            .map_err(|error| LoadError::Open { path: path.to_path_buf(), reason: error.to_string() })?;
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*opened {
            Some((path, _)) if *path != asked => Err(LoadError::Another { asked, opened: path.clone() }),
            Some((_, Some(library))) => Ok(library.clone()),
            Some((_, None)) | None => {
                contain(|| open(&asked))??;
                let (_, library) = opened.insert((asked.clone(), None));
                Ok(library.insert(contain(|| set_up(&asked))??).clone())
            }
        }
    }

    /// Whether this provider can be used here at all: it is given the smallest of graphs.
    ///
    /// # Errors
    /// What ONNX Runtime said, and what else is known about it.
    pub fn try_provider(&self, provider: Provider) -> Result<(), GraphError> {
        /// Doubles what it gets.
        const GRAPH: &[u8] = include_bytes!("../tests/models/double.onnx");
        Graph::load(self, "try", GRAPH, provider).map(drop)
    }

    /// The version the library says it is, for example `1.31.1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file that was opened, links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> Result<(), LoadError> {
    // The builder is made again in `set_up`; here only its side effect counts.
    ort::init_from(path).map(drop).map_err(|error| match error {
        LoadDynamicError::Dlopen { error, path } => LoadError::Open { path, reason: error.to_string() },
        LoadDynamicError::MissingApi { path } => LoadError::NotOnnxRuntime { path },
        LoadDynamicError::InvalidVersionString => LoadError::NotOnnxRuntime { path: path.to_path_buf() },
        LoadDynamicError::BadVersion { version_str, path } => {
            LoadError::TooOld { path, found: version_str, needed_minor: ort::MINOR_VERSION }
        }
    })
}

fn set_up(path: &Path) -> Result<Library, LoadError> {
    let version = version(path).ok_or_else(|| LoadError::NotOnnxRuntime { path: path.to_path_buf() })?;
    let environment = ort::init()
        .with_name("genba")
        .with_telemetry(false)
        .build()
        .map_err(|error| LoadError::Environment { path: path.to_path_buf(), reason: error.to_string() })?;
    // The binding starts at the most verbose level; every run would then be formatted for a log that drops it.
    environment.set_log_level(LogLevel::Warning);
    Ok(Library { environment, path: path.to_path_buf(), version })
}
