//! Where `TensorRT`'s engines are kept, so that what takes minutes to build is built once.
//!
//! A folder's name is a digest of everything that an engine is good for: an engine of another model, library, driver,
//! device or setting is never found, so that none is used after an upgrade. What cannot be told apart is not kept.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::options::{Options, told};
use crate::{Kernel, Provider};

/// What is written beside an engine, for people.
const KEY_FILE: &str = "key.txt";

/// What an engine is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Of the ONNX file.
    pub(crate) model: [u8; 32],
    pub(crate) library_version: String,
    /// Of the library's file and of those of its providers beside it.
    pub(crate) library: [u8; 32],
    pub(crate) driver: String,
    pub(crate) device: String,
    pub(crate) provider: String,
    pub(crate) options: String,
}

impl Key {
    /// `None` where driver or device cannot be told: an engine for who knows what is not kept.
    pub(crate) fn of(
        (model, library_version, library): ([u8; 32], &str, [u8; 32]),
        kernel: &Kernel,
        provider: Provider,
        options: &Options,
    ) -> Option<Self> {
        let gpu = kernel.gpus().into_iter().nth(usize::try_from(provider.device()?).ok()?)?;
        Some(Self {
            model,
            library_version: library_version.to_owned(),
            library,
            driver: kernel.driver()?,
            device: format!("{} {}", gpu.name, gpu.uuid.as_deref().unwrap_or("of unknown number")),
            provider: provider.to_string(),
            options: told(options),
        })
    }

    /// One line each.
    fn text(&self) -> String {
        let Self { model, library_version, library, driver, device, provider, options } = self;
        let (model, library) = (hex(model), hex(library));
        format!(
            "model {model}\nlibrary {library_version}\nlibrary's files {library}\ndriver {driver}\ndevice {device}\n\
             provider {provider}\noptions {options}\n"
        )
    }

    /// The name of its folder.
    pub(crate) fn name(&self) -> String {
        hex(&Sha256::digest(self.text()))[..32].to_owned()
    }

    /// Its folder below `engines`, made where it is not there.
    pub(crate) fn folder(&self, engines: &Path) -> io::Result<PathBuf> {
        let folder = engines.join(self.name());
        fs::create_dir_all(&folder)?;
        let note = folder.join(KEY_FILE);
        // Two processes that begin at once write the same.
        if fs::read_to_string(&note).ok().as_deref() != Some(&self.text()) {
            fs::write(note, self.text())?;
        }
        // TensorRT writes engines there; that it can is known now and not after it has built one.
        try_writing(&folder)?;
        Ok(folder)
    }
}

/// The digest of the library and of its providers' files beside it.
pub(crate) fn library_digest(library: &Path) -> io::Result<[u8; 32]> {
    let mut files = vec![library.to_path_buf()];
    let beside = library.parent().map(fs::read_dir).transpose()?.into_iter().flatten().flatten();
    let provider = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libonnxruntime_providers_")
    };
    let mut providers: Vec<_> = beside.map(|entry| entry.path()).filter(provider).collect();
    providers.sort();
    files.append(&mut providers);
    let mut digest = Sha256::new();
    for path in files {
        let mut one = Sha256::new();
        io::copy(&mut File::open(path)?, &mut Writer(&mut one))?;
        digest.update(one.finalize());
    }
    Ok(digest.finalize().into())
}

/// What is written is digested.
struct Writer<'d>(&'d mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a file and removes it.
fn try_writing(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".{}", std::process::id()));
    File::create(&path)?;
    fs::remove_file(path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            model: [1; 32],
            library_version: "1.31.1".into(),
            library: [2; 32],
            driver: "NVIDIA 580.95".into(),
            device: "A GPU GPU-1b".into(),
            provider: "tensorrt:0".into(),
            options: "device_id=0".into(),
        }
    }

    #[test]
    fn whatever_an_engine_is_good_for_has_a_folder_of_its_own() {
        let others = [
            Key { model: [3; 32], ..key() },
            Key { library_version: "1.32.0".into(), ..key() },
            Key { library: [3; 32], ..key() },
            Key { driver: "NVIDIA 590".into(), ..key() },
            Key { device: "A GPU GPU-2c".into(), ..key() },
            Key { provider: "tensorrt:1".into(), ..key() },
            Key { options: "device_id=0 trt_fp16_enable=1".into(), ..key() },
        ];
        let mut names: Vec<_> = others.iter().chain([&key()]).map(Key::name).collect();
        assert_eq!(key().name(), key().name());
        names.sort();
        names.dedup();
        assert_eq!(names.len(), others.len() + 1, "{names:?}");
    }

    #[test]
    fn no_engine_is_kept_for_an_unknown_driver_or_device() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        };
        let of = |provider| {
            let library = ([1; 32], "1.31.1", [2; 32]);
            Key::of(library, &Kernel::below(folder.path()), provider, &vec![("device_id", "0".to_owned())])
        };
        let trt = |device| Provider::TensorRt { device };
        assert_eq!(of(trt(0)), None, "nothing is known");
        write("proc/driver/nvidia/gpus/0000:04:00.0/information", "Model: A GPU\nGPU UUID: GPU-1b\n");
        assert_eq!(of(trt(0)), None, "no driver is known");
        write("proc/driver/nvidia/version", "NVIDIA 580.95\n");
        assert_eq!(of(trt(0)), Some(key()));
        assert_eq!(of(trt(1)), None, "there is no second device");
        assert_eq!(of(Provider::Cpu), None);
    }

    #[test]
    fn a_folder_says_what_it_holds_and_one_that_cannot_be_written_is_told_beforehand() {
        let engines = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = key().folder(engines.path()).expect("it can be made");
        let note = fs::read_to_string(folder.join(KEY_FILE)).expect("it is written");
        assert!(note.contains("driver NVIDIA 580.95\n") && note.contains("options device_id=0\n"), "{note}");
        assert_eq!(key().folder(engines.path()).expect("it is there"), folder);
        let file = engines.path().join("file");
        fs::write(&file, "").expect("it can be written");
        assert!(key().folder(&file).is_err(), "a file is no folder");
    }

    #[test]
    fn another_provider_beside_the_library_is_another_library() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it can be written");
        let library = folder.path().join("libonnxruntime.so.1.31.1");
        write("libonnxruntime.so.1.31.1", "library");
        let alone = library_digest(&library).expect("it can be read");
        write("libother.so", "other");
        assert_eq!(library_digest(&library).expect("it can be read"), alone);
        write("libonnxruntime_providers_cuda.so", "cuda");
        let with = library_digest(&library).expect("it can be read");
        write("libonnxruntime_providers_cuda.so", "newer");
        assert_ne!(with, alone);
        assert_ne!(library_digest(&library).expect("it can be read"), with);
    }
}
