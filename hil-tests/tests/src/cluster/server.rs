//! A server of a cluster: Triton or `MLServer`, as the tests' Python environment has them.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Authority, Identity};
use crate::{
    genba::{eventually, repository},
    judge::skip,
    scheduling,
};

/// The model that every server has, and that it must answer before it counts as started.
pub(crate) const PROBE: &str = "probe";

/// Whose protocol it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Answers raw, with TLS or without.
    Triton,
    /// Answers raw to whoever asks raw, in plain text only.
    MlServer,
    /// The same server, which answers typed to everybody.
    MlServerTyped,
}

/// What a model does instead of answering rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers rightly.
    None,
    /// It answers so much later.
    Delay(Duration),
    /// One element too many, in one dimension.
    Shape,
    /// The first element is not a number.
    Nan,
    /// 100 MiB of zeros.
    Large,
    /// It fails.
    Exception,
    /// Its process kills itself: Triton's stub of the model, all of `MLServer`.
    Crash,
}

/// One request, as the server wrote it down before it computed anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The request's own id.
    pub id: String,
    /// The bytes of its tensors.
    pub bytes: u64,
    /// On the machine's monotonic clock.
    pub at_ns: u64,
}

/// A running server. It ends with this value.
pub struct Server {
    dialect: Dialect,
    folder: TempDir,
    port: u16,
    /// Who is asked for, and who asks.
    proof: Option<(Identity, PathBuf)>,
    child: Child,
}

/// The interpreter of the clusters' environment, `GENBA_CLUSTERS_PYTHON` or the one that `make test` makes. Without it
/// the test is noted as skipped.
#[must_use]
pub fn interpreter(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("GENBA_CLUSTERS_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| repository().join("native/clusters/bin/python3"));
    if !python.is_file() {
        skip(&format!("SKIPPED: no Triton for this Python: {test}"));
        return None;
    }
    Some(python)
}

impl Server {
    /// Triton with mutual TLS: as `server`, for whoever has a certificate of `authority`. `models` are pairs of a name
    /// and what served.py takes; a `probe` is added.
    #[must_use]
    pub fn triton(python: &Path, server: &Identity, authority: &Authority, models: &[(&str, &str)]) -> Self {
        let proof = Some((server.clone(), authority.certificate()));
        Self::start(python, Dialect::Triton, proof, models)
    }

    /// In plain text.
    #[must_use]
    pub fn plain(python: &Path, dialect: Dialect, models: &[(&str, &str)]) -> Self {
        Self::start(python, dialect, None, models)
    }

    fn start(python: &Path, dialect: Dialect, proof: Option<(Identity, PathBuf)>, models: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let port = free_port();
        let child = spawn(python, dialect, proof.as_ref(), folder.path(), port, models);
        Self { dialect, folder, port, proof, child }
    }

    /// Waits until the probe is answered: as `client`, where it asks for one.
    ///
    /// # Panics
    /// If it never is.
    pub fn await_ready(&mut self, python: &Path, client: Option<&Identity>) {
        let said = self.ask(python, &["ready", PROBE], client);
        assert!(said.status.success(), "{}\n{}", String::from_utf8_lossy(&said.stderr), self.log());
    }

    /// What ask.py says; it has no code of the box.
    ///
    /// # Panics
    /// If the interpreter cannot be run.
    #[must_use]
    pub fn ask(&self, python: &Path, question: &[&str], client: Option<&Identity>) -> Output {
        let mut command = Command::new(python);
        command.arg(script("ask.py")).arg(self.port.to_string()).args(question).stdin(Stdio::null());
        if let (Some(client), Some((_, ca))) = (client, &self.proof) {
            command.args([&client.certificate, &client.key, ca]);
        }
        command.output().expect("the interpreter runs")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// From its next request on, this model does that.
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub fn fault(&self, model: &str, fault: Fault) {
        let text = match fault {
            Fault::None => String::new(),
            Fault::Delay(time) => format!("delay {}", time.as_millis()),
            Fault::Shape => "shape".to_owned(),
            Fault::Nan => "nan".to_owned(),
            Fault::Large => "large".to_owned(),
            Fault::Exception => "exception".to_owned(),
            Fault::Crash => "crash".to_owned(),
        };
        let (path, part) = (self.folder.path().join("faults").join(model), self.folder.path().join("fault"));
        fs::write(&part, text).expect("the folder can be written");
        fs::rename(part, path).expect("the folder can be written");
    }

    /// Every request that this model received.
    ///
    /// # Panics
    /// If it wrote down something else.
    #[must_use]
    pub fn received(&self, model: &str) -> Vec<Received> {
        let text = fs::read_to_string(self.folder.path().join("received").join(model)).unwrap_or_default();
        text.lines().map(Received::read).collect()
    }

    /// Ends it at once, as a power cut would.
    ///
    /// # Panics
    /// If it cannot be.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child of ours can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Ends the process that computes this model at once; the server stays.
    ///
    /// # Panics
    /// If there is none.
    pub fn kill_stub(&self, model: &str) {
        let place = format!("/models/{model}/1/model.py");
        let stubs = self.stubs();
        let stub = stubs.iter().find(|stub| stub.arguments.iter().any(|argument| argument.ends_with(&place)));
        scheduling::signal(stub.expect("each model has a stub").process, libc::SIGKILL);
    }

    /// What it said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn stubs(&self) -> Vec<Stub> {
        let server = self.child.id();
        let tasks = fs::read_dir(format!("/proc/{server}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let ids: Vec<u32> =
            children.flat_map(|ids| ids.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
        ids.into_iter().filter_map(Stub::of).collect()
    }
}

/// A process of a model, which outlives its server for a while.
struct Stub {
    process: u32,
    arguments: Vec<String>,
}

impl Stub {
    fn of(process: u32) -> Option<Self> {
        let line = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let arguments: Vec<String> =
            line.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into()).collect();
        arguments.first().is_some_and(|program| program.ends_with("stub")).then_some(Self { process, arguments })
    }

    /// Nobody removes the memory that a killed server shared with it.
    fn shared_memory(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let regions = self.arguments.iter().filter(|argument| argument.starts_with("triton_python_backend_shm_region"));
        regions.map(|region| Path::new("/dev/shm").join(region))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stubs = self.stubs();
        // Neither fails but where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for stub in stubs {
            // It may have noticed.
            if Stub::of(stub.process).is_some() {
                scheduling::signal(stub.process, libc::SIGKILL);
            }
            stub.shared_memory().for_each(|region| drop(fs::remove_file(region)));
        }
        if thread::panicking() {
            eprintln!("{:?} said:\n{}", self.dialect, self.log());
        }
    }
}

impl Received {
    fn read(line: &str) -> Self {
        let read: Value = serde_json::from_str(line).expect("the server writes JSON");
        let number = |field: &str| read[field].as_u64().expect("the server writes numbers");
        let id = read["id"].as_str().unwrap_or_default().to_owned();
        Self { id, bytes: number("bytes"), at_ns: number("at_ns") }
    }
}

fn spawn(
    python: &Path,
    dialect: Dialect,
    proof: Option<&(Identity, PathBuf)>,
    folder: &Path,
    port: u16,
    models: &[(&str, &str)],
) -> Child {
    let log = File::create(folder.join("log")).expect("the temporary folder can be written");
    let mut command = Command::new(python);
    command.arg(script(match dialect {
        Dialect::Triton => "triton.py",
        Dialect::MlServer | Dialect::MlServerTyped => "mlserver_start.py",
    }));
    command.arg(folder).arg(port.to_string());
    command.args((dialect == Dialect::MlServerTyped).then_some("--typed"));
    if let Some((server, ca)) = proof {
        command.arg("--mutual").args([&server.certificate, &server.key, ca]);
    }
    command.arg(format!("{PROBE}=echo")).args(models.iter().map(|(name, source)| format!("{name}={source}")));
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be cloned")).stderr(log);
    scheduling::end_with_parent(&mut command);
    command.spawn().expect("the interpreter runs")
}

fn script(name: &str) -> PathBuf {
    repository().join("hil-tests/tests/python/cluster").join(name)
}

/// A port that nobody uses, and that no other call of this process was given: a box takes the first of the sixteen that
/// are this process's.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let first = 12_000 + u16::try_from(std::process::id() % 1_000).expect("below 1,000") * 16;
    eventually("a port is free", || {
        let port = first + NEXT.fetch_add(1, Ordering::SeqCst);
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    })
}
