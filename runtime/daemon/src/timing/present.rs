//! What a model would run on now: asked of the machine, never taken from the config alone.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    thread,
};

use miette::{IntoDiagnostic, Result, WrapErr, miette};
use onnx_model::{Kernel, Library, Model, Provider};
use sha2::{Digest, Sha256};

use super::binding::{Binding, CoRunner, Device, EngineThread, LibraryFile};
use crate::{
    config::Priority,
    plan::Plan,
    providers,
    realtime::{self, Class},
};

/// What cannot be found out.
const UNKNOWN: &str = "unknown";

/// What a thread of this process gets.
#[derive(Debug, Clone)]
struct Granted {
    class: Class,
    cores: Vec<usize>,
}

/// This machine, as the threads of a config find it.
pub(crate) struct Present<'p> {
    plan: &'p Plan,
    library: LibraryFile,
    engine: Granted,
    /// In the config's order.
    workers: Vec<Granted>,
    memory_locked: bool,
    cpu: String,
    kernel: String,
}

impl<'p> Present<'p> {
    /// Looks. Threads of its own ask for what the box's threads will ask for.
    pub(crate) fn look(plan: &'p Plan, library: &Library) -> Result<Self> {
        let realtime = &plan.config.realtime;
        let sha256 = digest(library.path()).into_diagnostic();
        let sha256 = sha256.wrap_err_with(|| format!("cannot read {}", library.path().display()))?;
        let granted = |cores, priority| {
            let ask = || realtime::grant(cores, priority);
            let (class, cores) = thread::scope(|scope| scope.spawn(ask).join())
                .map_err(|_| miette!("asking for a scheduling class panicked: report this as a bug"))?;
            Ok(Granted { class, cores })
        };
        let engine = granted(&realtime.engine_cores, realtime.fifo_priority.map(Priority::engine))?;
        let priority = realtime.fifo_priority.map(Priority::worker);
        let workers = plan.config.workers.iter().map(|worker| granted(&worker.cores, priority));
        Ok(Self {
            plan,
            library: LibraryFile { version: library.version().to_owned(), sha256 },
            engine,
            workers: workers.collect::<Result<_>>()?,
            memory_locked: realtime.lock_memory && realtime::may_lock_memory(),
            cpu: cpu(),
            kernel: kernel(),
        })
    }

    /// Whether the system refuses the class that the config asks for, so that what is measured says nothing about a
    /// box that has it.
    pub(crate) fn lacks_rights(&self) -> bool {
        let wanted = self.plan.config.realtime.fifo_priority.is_some();
        let all = self.workers.iter().chain([&self.engine]);
        wanted && all.into_iter().any(|granted| granted.class == Class::Default)
    }

    /// Whether the kernel may take the cores away from a box whose threads keep them busy, and what to do about it.
    pub(crate) fn throttling(&self) -> Option<String> {
        let fifo = |granted: &&Granted| granted.class != Class::Default;
        let workers: Vec<_> = self.workers.iter().filter(fifo).map(|granted| granted.cores.as_slice()).collect();
        let engine = Some(&self.engine).filter(fifo)?;
        realtime::Throttling::now()?.warning(&engine.cores, &workers)
    }

    /// What the times of this model on this worker depend on.
    pub(crate) fn binding(&self, model: usize, worker: usize) -> Binding {
        let (provider, granted) = (self.plan.config.models[model].provider, &self.workers[worker]);
        Binding {
            model_sha256: self.digest(model),
            provider: provider.to_string(),
            device: Device { name: self.device(provider), cores: granted.cores.clone() },
            library: self.library.clone(),
            driver: self.driver(provider),
            session: self.session(model),
            scheduling: granted.class.to_string(),
            engine: EngineThread { scheduling: self.engine.class.to_string(), cores: self.engine.cores.clone() },
            memory_locked: self.memory_locked,
            power_mode: power_mode(&granted.cores),
            co_runners: self.plan.co_runners(worker).into_iter().map(|other| self.co_runner(other)).collect(),
        }
    }

    fn co_runner(&self, worker: usize) -> CoRunner {
        let models = &self.plan.config.workers[worker].models;
        CoRunner {
            models: models.iter().map(|model| self.digest(*model)).collect(),
            providers: models.iter().map(|model| self.plan.config.models[*model].provider.to_string()).collect(),
            cores: self.workers[worker].cores.clone(),
        }
    }

    fn digest(&self, model: usize) -> String {
        hex(&self.plan.manifests[model].digest())
    }

    fn session(&self, model: usize) -> String {
        let declared = &self.plan.config.models[model];
        let largest = providers::largest(declared);
        Model::session_settings(&self.plan.manifests[model], declared.provider, largest)
    }

    fn device(&self, provider: Provider) -> String {
        let Some(device) = provider.device() else { return self.cpu.clone() };
        let gpu = usize::try_from(device).ok().and_then(|device| Kernel::default().gpus().into_iter().nth(device));
        format!("{} beside {}", gpu.map_or_else(|| UNKNOWN.to_owned(), |gpu| gpu.name), self.cpu)
    }

    fn driver(&self, provider: Provider) -> String {
        if provider == Provider::Cpu {
            return self.kernel.clone();
        }
        format!("{}; {}", self.kernel, Kernel::default().driver().unwrap_or_else(|| UNKNOWN.to_owned()))
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
        hex
    })
}

/// The processor's name; of a board, where the kernel names no processor, the board's.
fn cpu() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let board = || line("/proc/device-tree/model");
    field(&cpus, "model name").or_else(board).unwrap_or_else(|| UNKNOWN.to_owned())
}

fn kernel() -> String {
    let part = |name: &str| line(format!("/proc/sys/kernel/{name}")).unwrap_or_else(|| UNKNOWN.to_owned());
    format!("{} {} {}", part("ostype"), part("osrelease"), part("version"))
}

/// The frequency governors of these cores.
fn power_mode(cores: &[usize]) -> String {
    let governor = |core| line(format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"));
    let governors: BTreeSet<_> =
        cores.iter().map(|core| governor(core).unwrap_or_else(|| UNKNOWN.to_owned())).collect();
    governors.into_iter().collect::<Vec<_>>().join(", ")
}

/// The first line of a small file of the kernel's.
fn line(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    // The device tree ends its texts by a zero.
    let line = text.lines().next()?.trim_end_matches('\0').trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// The value of the first line `name: value`.
fn field(text: &str, name: &str) -> Option<String> {
    let values = text.lines().filter_map(|line| line.split_once(':'));
    values.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).next()
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut digest, mut part) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hex(&digest.finalize())),
            read => digest.update(&part[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_is_read_from_the_kernels_list() {
        let list = "processor\t: 0\nmodel\t\t: 207\nmodel name\t: A Processor: 3 GHz\n\nmodel name\t: B\n";
        assert_eq!(field(list, "model name").as_deref(), Some("A Processor: 3 GHz"));
        assert_eq!(field("", "model name"), None);
    }

    #[test]
    fn file_is_digested_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("library");
        fs::write(&path, vec![7; 200_000]).expect("it can be written");
        assert_eq!(digest(&path).expect("it can be read"), hex(&Sha256::digest(vec![7; 200_000])));
    }
}
