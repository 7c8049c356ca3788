//! A box's link under test, and robots that speak plain zenoh.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use zenoh::qos::CongestionControl;
use zenoh::{Config, Session, Wait};
use zenoh_link::{Arrival, ClientKeys, Inbox, InputKeys, Link, Mode, Pictures, RouteId, RouteKeys, Settings, Topics};

/// How long an event may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The largest frame of a test's route.
pub(crate) const MAX_FRAME: usize = 1 << 20;

/// An endpoint that nobody uses, below the ports that the kernel gives to outgoing connections.
pub(crate) fn free_endpoint() -> String {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1000).unwrap() * 16;
    loop {
        let port = 12_000 + (first + TAKEN.fetch_add(1, Relaxed)) % 20_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return format!("tcp/127.0.0.1:{port}");
        }
    }
}

pub(crate) fn listening(endpoint: &str) -> Settings {
    Settings { mode: Mode::Peer, listen: vec![endpoint.to_owned()], connect: vec![], one_worker: false }
}

/// The keys of a route below `stem`.
pub(crate) fn route(stem: &str) -> RouteKeys {
    RouteKeys {
        observation: format!("{stem}/observation"),
        response: format!("{stem}/response"),
        notice: format!("{stem}/notice"),
        reset: Some(format!("{stem}/reset")),
        max_frame_bytes: MAX_FRAME,
    }
}

/// A client's key below `stem`.
pub(crate) fn client(stem: &str, queue: usize) -> ClientKeys {
    ClientKeys { infer: format!("{stem}/infer"), max_frame_bytes: MAX_FRAME, queue }
}

/// A joined input's key below `stem`, for samples of 100 bytes at most.
pub(crate) fn input(stem: &str) -> InputKeys {
    InputKeys { samples: format!("{stem}/input"), max_frame_bytes: 100 }
}

/// The box's clock.
pub(crate) fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap()
}

/// What an [`Arrival`] said, to keep.
pub(crate) enum Got {
    Frame { route: RouteId, at_ns: u64, bytes: Vec<u8> },
    Oversize { route: RouteId },
    Shed { route: RouteId, sequence: Option<u64> },
    Reset { route: RouteId, bytes: Option<Vec<u8>> },
    Stray { key: String, bytes: Vec<u8> },
}

impl From<Arrival<'_>> for Got {
    fn from(arrival: Arrival<'_>) -> Self {
        match arrival {
            Arrival::Frame { route, at_ns, bytes } => Self::Frame { route, at_ns, bytes: bytes.to_vec() },
            Arrival::Oversize { route, at_ns: _ } => Self::Oversize { route },
            Arrival::Shed { route, at_ns: _, header } => {
                Self::Shed { route, sequence: header.map(|header| header.sequence.value()) }
            }
            Arrival::Reset { route, bytes } => Self::Reset { route, bytes: bytes.map(<[u8]>::to_vec) },
            Arrival::Stray { key, at_ns: _, bytes } => Self::Stray { key: key.to_owned(), bytes: bytes.to_vec() },
        }
    }
}

impl std::fmt::Display for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frame { route, bytes, .. } => {
                write!(f, "frame {} {}", route.index(), bytes.escape_ascii())
            }
            Self::Oversize { route } => write!(f, "oversize {}", route.index()),
            Self::Shed { route, sequence } => write!(f, "shed {} {sequence:?}", route.index()),
            Self::Reset { route, bytes: None } => write!(f, "reset {} oversize", route.index()),
            Self::Reset { route, bytes: Some(bytes) } => {
                write!(f, "reset {} {}", route.index(), bytes.escape_ascii())
            }
            Self::Stray { key, bytes } => write!(f, "stray {key} {}", bytes.escape_ascii()),
        }
    }
}

/// The link with a count of its wake-ups.
pub(crate) struct Station {
    pub(crate) link: Link,
    pub(crate) inbox: Inbox,
    pub(crate) pictures: Vec<Pictures>,
    woken: Arc<(Mutex<usize>, Condvar)>,
}

impl Station {
    pub(crate) fn open(settings: &Settings, routes: Vec<RouteKeys>, strays: &[&str]) -> Self {
        Self::open_with(settings, routes, vec![], strays)
    }

    pub(crate) fn open_with(
        settings: &Settings,
        routes: Vec<RouteKeys>,
        clients: Vec<ClientKeys>,
        strays: &[&str],
    ) -> Self {
        let strays = strays.iter().map(ToString::to_string).collect();
        Self::open_topics(settings, Topics { routes, clients, strays, ..Topics::default() })
    }

    pub(crate) fn open_topics(settings: &Settings, topics: Topics) -> Self {
        let woken = Arc::new((Mutex::new(0), Condvar::new()));
        let waking = Arc::clone(&woken);
        let wake = move |_| {
            *waking.0.lock().unwrap() += 1;
            waking.1.notify_all();
        };
        let (link, inbox, pictures) = zenoh_link::open(settings, topics, "test/alive", clock, wake).unwrap();
        Self { link, inbox, pictures, woken }
    }

    /// Waits until so many arrivals were announced since the start.
    pub(crate) fn await_wakes(&self, count: usize) {
        let (woken, changed) = &*self.woken;
        let (woken, _) = changed.wait_timeout_while(woken.lock().unwrap(), PATIENCE, |woken| *woken < count).unwrap();
        assert!(*woken >= count, "{} of {count} arrivals", *woken);
    }

    /// One round.
    pub(crate) fn round(&mut self) -> Vec<Got> {
        let mut round = Vec::new();
        self.inbox.poll(|arrival| round.push(arrival.into()));
        round
    }

    /// All that is waiting.
    pub(crate) fn drain(&mut self) -> Vec<Got> {
        let mut all = Vec::new();
        while self.inbox.poll(|arrival| all.push(arrival.into())) {}
        all
    }

    /// All that is waiting, in words.
    pub(crate) fn drain_words(&mut self) -> Vec<String> {
        self.drain().iter().map(ToString::to_string).collect()
    }
}

/// A robot's session: a client of the box at `endpoint`.
pub(crate) fn robot(endpoint: &str) -> Session {
    zenoh::open(robot_config("client", "connect/endpoints", endpoint)).wait().unwrap()
}

/// The same on another machine: its messages come through the socket.
pub(crate) fn far_robot(endpoint: &str) -> Session {
    let mut config = robot_config("client", "connect/endpoints", endpoint);
    config.insert_json5("transport/shared_memory/enabled", "false").unwrap();
    zenoh::open(config).wait().unwrap()
}

/// Another zenoh node that listens on `endpoint`.
pub(crate) fn bystander(endpoint: &str) -> Session {
    zenoh::open(robot_config("peer", "listen/endpoints", endpoint)).wait().unwrap()
}

fn robot_config(mode: &str, endpoints: &str, endpoint: &str) -> Config {
    let mut config = Config::default();
    for (key, value) in [
        ("mode", format!("{mode:?}")),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("scouting/gossip/enabled", "false".to_owned()),
        ("listen/endpoints", "[]".to_owned()),
        (endpoints, format!("[{endpoint:?}]")),
    ] {
        config.insert_json5(key, &value).unwrap();
    }
    config
}

/// Publishes so that the link between robot and box loses nothing.
pub(crate) fn publish(robot: &Session, key: &str, bytes: &[u8]) {
    robot.put(key, bytes).congestion_control(CongestionControl::Block).wait().unwrap();
}

/// Does `attempt` until it gives something: for a declaration that another session must learn of.
pub(crate) fn eventually<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "it did not happen within {PATIENCE:?}");
    }
}
