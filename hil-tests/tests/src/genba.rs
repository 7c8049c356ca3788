//! The box under test: a child process with a folder, a port and a config of its own.

use std::{
    fs,
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rig::{Link, Site, Watch};
use tempfile::TempDir;

use crate::{
    config::{BoxConfig, Counting},
    judge::skip,
    scheduling,
    status::Status,
};

/// How long what must happen may take before a test fails. A box that starts measures its margin for two seconds.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running box.
pub struct Genba {
    folder: TempDir,
    endpoint: String,
    counting: Option<Counting>,
    child: Child,
    watch: Watch,
}

impl Genba {
    /// Starts a box and waits for its heartbeat.
    ///
    /// # Panics
    /// If it does not show one.
    #[must_use]
    pub fn start(config: &BoxConfig) -> Self {
        Self::start_if(config, |_| true).expect("nothing speaks against it")
    }

    /// The same, after something was done with the config that it will have; not at all where that says no.
    ///
    /// # Panics
    /// If it does not show a heartbeat.
    #[must_use]
    pub fn start_if(config: &BoxConfig, prepare: impl FnOnce(&Path) -> bool) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let endpoint = free_endpoint();
        let file = folder.path().join("box.toml");
        config.write(&file, &endpoint);
        if config.measured_s > 0 {
            let seconds = config.measured_s.to_string();
            let measured = command().args(["measure", "--seconds", &seconds, "--config"]).arg(&file).output();
            let measured = measured.expect("genba can be run");
            assert!(measured.status.success(), "{}", String::from_utf8_lossy(&measured.stderr));
        }
        if !prepare(&file) {
            return None;
        }
        let counting = config.counting.clone();
        let child = spawn(folder.path(), counting.as_ref());
        let site = site(folder.path(), "unheard");
        let (_, _, watch) = Link::open(&endpoint, &site).expect("a robot's session opens").split();
        let mut this = Self { folder, endpoint, counting, child, watch };
        this.await_heartbeat();
        Some(this)
    }

    /// Starts it again, as a service manager would, and waits for its heartbeat.
    ///
    /// # Panics
    /// If it still runs, or does not show one.
    pub fn restart(&mut self) {
        let ended = self.child.try_wait().expect("a child can be waited for");
        assert!(ended.is_some(), "the box still runs");
        eventually("the token of the dead box goes", || (!self.watch.is_alive()).then_some(()));
        self.child = spawn(self.folder.path(), self.counting.as_ref());
        self.await_heartbeat();
    }

    /// Where robots connect to.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The config's path.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("box.toml")
    }

    /// Its own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One of its robots' places.
    #[must_use]
    pub fn site(&self, robot: &str) -> Site {
        site(self.folder.path(), robot)
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether its liveliness token is there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.watch.is_alive()
    }

    /// What `genba status --json` says.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn status(&self) -> Status {
        let output = self.ask(&["status", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Status::read(&output.stdout)
    }

    /// The status once nothing is in flight.
    ///
    /// # Panics
    /// If something stays in flight.
    #[must_use]
    pub fn settled(&self) -> Status {
        let is_settled = |status: &Status| status.total().in_flight + status.requests_in_flight() == 0;
        eventually("nothing is in flight", || Some(self.status()).filter(is_settled))
    }

    /// Runs a command of the binary with this box's config.
    ///
    /// # Panics
    /// If it cannot be run.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Output {
        command().args(arguments).arg("--config").arg(self.config()).output().expect("genba can be run")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        scheduling::signal(self.child.id(), signal);
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it does not end.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the box ends", || self.child.try_wait().expect("a child can be waited for"))
    }

    /// What it wrote into its log, over all starts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn await_heartbeat(&mut self) {
        let alive = eventually("the box's heartbeat is there", || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            (ended.is_some() || self.watch.is_alive()).then_some(ended.is_none())
        });
        assert!(alive, "the box ended instead of starting:\n{}", self.log());
    }
}

impl Drop for Genba {
    fn drop(&mut self) {
        // Neither fails but where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let last: Vec<_> = log.lines().rev().take(30).collect();
            eprintln!("the box's last words:");
            last.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// The binary: `GENBA_BIN`, or what was built beside this test.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn command() -> Command {
    let path = std::env::var_os("GENBA_BIN").map_or_else(|| beside("genba"), PathBuf::from);
    assert!(path.is_file(), "there is no {}: run `cargo build --release -p genba` first", path.display());
    of_no_shell(&path)
}

impl Counting {
    /// The program that `make test` builds beside the shipped one; `None`, noted as skipped, where nobody did.
    #[must_use]
    pub fn program(test: &str) -> Option<PathBuf> {
        let path = beside("genba-counting");
        if !path.is_file() {
            skip(&format!("SKIPPED: no box that counts its allocations; `make test` builds one: {test}"));
            return None;
        }
        Some(path)
    }

    fn command(&self) -> Command {
        let mut command = of_no_shell(&self.program);
        if self.planted {
            command.env("GENBA_ALLOCATE", "1");
        }
        command
    }
}

/// Where cargo puts programs.
fn beside(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().and_then(Path::parent).expect("a test lies in a folder");
    folder.join(program)
}

fn of_no_shell(program: &Path) -> Command {
    let mut command = Command::new(program);
    // What the operator's shell says must not change what is tested.
    command.env_remove("ZENOH_RUNTIME").env_remove("GENBA_LOG").stdin(Stdio::null());
    command
}

/// The tree's root.
///
/// # Panics
/// If this crate was moved.
#[must_use]
pub fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("this crate lies two folders below the root")
}

/// Tries until there is something.
///
/// # Panics
/// If there is nothing for too long; `what` says what.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "it did not happen within {PATIENCE:?} that {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An endpoint that nobody uses, below the ports that the kernel gives to outgoing connections.
#[must_use]
pub fn free_endpoint() -> String {
    let first = u16::try_from(std::process::id() % 1_000).expect("below 1,000") * 16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (12_000 + first..32_000).find(free).expect("one port of many is free");
    format!("tcp/127.0.0.1:{port}")
}

fn spawn(folder: &Path, counting: Option<&Counting>) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log"));
    let mut command = counting.map_or_else(command, Counting::command);
    command.arg("run").arg("--config").arg(folder.join("box.toml"));
    command.stdout(Stdio::null()).stderr(log.expect("the temporary folder can be written"));
    scheduling::end_with_parent(&mut command);
    command.spawn().expect("genba can be started")
}

/// The config's first robot, by another name.
fn site(folder: &Path, robot: &str) -> Site {
    let site = Site::load(&folder.join("box.toml")).expect("the test's config is good");
    let key = |key: &str| key.replacen(&format!("/{}/", site.robot), &format!("/{robot}/"), 1);
    Site {
        robot: robot.to_owned(),
        observation_key: key(&site.observation_key),
        response_key: key(&site.response_key),
        notice_key: key(&site.notice_key),
        ..site
    }
}
