//! Which GPU and which driver this machine has, as its kernel tells: nothing of Nvidia's is opened for it.

use std::fs;
use std::path::{Path, PathBuf};

/// A GPU, as the driver lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// What it is called.
    pub name: String,
    /// Its own number, where the driver tells it.
    pub uuid: Option<String>,
}

/// Where a kernel tells about its devices.
#[derive(Clone, Debug)]
pub struct Kernel {
    root: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { root: PathBuf::from("/") }
    }
}

impl Kernel {
    /// The same of a copy of the kernel's files, for tests.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// Every GPU, by its place on the bus, as `nvidia-smi` counts. A Jetson's has no place on a bus: it is the board's.
    #[must_use]
    pub fn gpus(&self) -> Vec<Gpu> {
        let folders = fs::read_dir(self.root.join("proc/driver/nvidia/gpus")).into_iter().flatten().flatten();
        let mut folders: Vec<_> = folders.map(|entry| entry.path()).collect();
        folders.sort();
        let gpus = folders.iter().filter_map(|folder| fs::read_to_string(folder.join("information")).ok());
        let gpus: Vec<_> =
            gpus.filter_map(|told| Some(Gpu { name: field(&told, "Model")?, uuid: uuid(&told) })).collect();
        if gpus.is_empty() { self.board().into_iter().collect() } else { gpus }
    }

    /// The version of the driver's kernel module; of a Jetson, the release of its Linux, which brings the driver.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        self.line("proc/driver/nvidia/version").or_else(|| self.release())
    }

    /// The release of Nvidia's Linux for Jetson; none elsewhere.
    #[must_use]
    pub fn release(&self) -> Option<String> {
        self.line("etc/nv_tegra_release")
    }

    /// A Jetson, whose serial number tells it from others.
    fn board(&self) -> Option<Gpu> {
        self.release()?;
        Some(Gpu { name: self.line("proc/device-tree/model")?, uuid: self.line("proc/device-tree/serial-number") })
    }

    /// The first line of a small file.
    fn line(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        // The device tree ends its texts by a zero.
        let line = text.lines().next()?.trim_end_matches('\0').trim();
        (!line.is_empty()).then(|| line.to_owned())
    }
}

fn uuid(told: &str) -> Option<String> {
    // A driver that hides it writes question marks.
    field(told, "GPU UUID").filter(|uuid| !uuid.contains('?'))
}

/// The value of the first line `name: value`.
fn field(text: &str, name: &str) -> Option<String> {
    let values = text.lines().filter_map(|line| line.split_once(':'));
    values.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &str)]) -> (tempfile::TempDir, Kernel) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        }
        let kernel = Kernel::below(folder.path());
        (folder, kernel)
    }

    #[test]
    fn gpus_are_counted_by_their_place_on_the_bus() {
        let (_folder, kernel) = written(&[
            ("proc/driver/nvidia/gpus/0000:41:00.0/information", "Model: \t\t Second\nGPU UUID: GPU-????\n"),
            ("proc/driver/nvidia/gpus/0000:04:00.0/information", "Model: \t\t First\nIRQ: 1\nGPU UUID: \t GPU-1b\n"),
            ("proc/driver/nvidia/version", "NVRM version: NVIDIA 580.95\nGCC version: 12\n"),
        ]);
        let gpu = |name: &str, uuid: Option<&str>| Gpu { name: name.into(), uuid: uuid.map(str::to_owned) };
        assert_eq!(kernel.gpus(), [gpu("First", Some("GPU-1b")), gpu("Second", None)]);
        assert_eq!(kernel.driver().as_deref(), Some("NVRM version: NVIDIA 580.95"));
    }

    #[test]
    fn a_jetson_is_told_by_its_release() {
        let board = ("proc/device-tree/model", "NVIDIA Jetson AGX Orin\0");
        let release = "# R38 (release), REVISION: 2.1";
        let (_folder, kernel) = written(&[board, ("etc/nv_tegra_release", release)]);
        assert_eq!(kernel.gpus(), [Gpu { name: "NVIDIA Jetson AGX Orin".into(), uuid: None }]);
        assert_eq!(kernel.driver().as_deref(), Some(release));
        let (_folder, other_board) = written(&[board]);
        assert_eq!((other_board.gpus(), other_board.driver()), (vec![], None), "a board of another maker");
    }
}
