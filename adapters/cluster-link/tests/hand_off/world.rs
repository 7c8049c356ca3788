//! A link with its driver, its gate and its requests, as a test needs them.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::{Duration, Instant},
};

use cluster_link::{
    Answer, AttemptFailure, Bounds, Config, ConnectError, Datatype, Endpoint, Extent, HandOffError, HandOffId, Link,
    NotSent, Output, Probe, Purpose, Request, Retry, Security, Tensor,
};

use crate::{
    gate::{Recorder, Refusal},
    server::{Call, State},
};

/// Long, on a machine where everything else waits too. What must fail at its deadline has another one.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// Long enough that nothing which is not a payload has its length.
pub(crate) const VALUES: u32 = 16 << 10;
pub(crate) const VALUES_BYTES: u64 = 4 * VALUES as u64;

pub(crate) struct World {
    pub(crate) link: Link<Recorder>,
    pub(crate) gate: Arc<Recorder>,
}

pub(crate) fn config(endpoints: &[SocketAddr], security: Security) -> Config {
    let outputs: Arc<[Output]> =
        [Output { name: "y".into(), datatype: Datatype::Fp32, shape: vec![Extent::Exactly(2)] }].into();
    Config {
        cluster: "north".into(),
        jurisdiction: "JP".into(),
        endpoints: endpoints
            .iter()
            .map(|address| Endpoint::new(&address.to_string(), None).expect("an address"))
            .collect(),
        security,
        bounds: Bounds { connect: Duration::from_secs(20), ..Bounds::default() },
        probe: Probe {
            model: "probe".into(),
            version: "".into(),
            inputs: vec![Tensor::fp32("x", vec![2], &[1.0, 2.0]).expect("it fits")],
            outputs,
            period: Duration::from_millis(50),
            timeout: Duration::from_secs(20),
            failures: 3,
        },
        retry: Retry { attempts: 1, pause: Duration::from_millis(1) },
    }
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let (driver, runtime) = cluster_link::runtime().expect("a runtime");
        thread::spawn(move || driver.run());
        let gate = Arc::new(Recorder::new());
        let link = Link::open(&runtime, config, Arc::clone(&gate)).expect("it opens");
        Self { link, gate }
    }

    pub(crate) fn ask(&self) -> Result<Answer, HandOffError<Refusal>> {
        self.link.infer_blocking(request(LONG))
    }

    /// Every intent has its outcome, each call that a server saw has an intent with its very digest, and no server got
    /// more than was recorded.
    pub(crate) fn holds_against(&self, servers: &[&State]) {
        until("each intent has an outcome", || self.gate.is_complete());
        let intents = self.gate.intents();
        let calls: Vec<Call> = servers.iter().flat_map(|server| server.calls()).collect();
        for call in &calls {
            let digest = ring::digest::digest(&ring::digest::SHA256, &call.body);
            let known = intents.iter().any(|one| one.digest[..] == *digest.as_ref());
            assert!(known, "a server got what is not on record");
        }
        let recorded: u64 = intents.iter().map(|one| one.bytes).sum();
        let counted: u64 = servers.iter().map(|server| server.payload()).sum();
        assert!(counted <= recorded, "{counted} bytes came, and {recorded} are on record");
        let let_go: u64 = self.link.status().iter().map(|one| one.payload_bytes).sum();
        assert!(counted <= let_go && let_go <= recorded, "{counted} <= {let_go} <= {recorded}");
    }
}

pub(crate) fn request(within: Duration) -> Request {
    static ID: AtomicU64 = AtomicU64::new(1);
    let values: Vec<f32> = (0..u16::try_from(VALUES).expect("short")).map(f32::from).collect();
    Request {
        id: HandOffId(ID.fetch_add(1, std::sync::atomic::Ordering::Relaxed).into()),
        task: "track".into(),
        purpose: Purpose::Task { parent: 7 },
        model: "planner".into(),
        version: "".into(),
        priority: None,
        deadline: Instant::now() + within,
        inputs: vec![Tensor::fp32("x", vec![VALUES], &values).expect("it fits")],
        outputs: [Output { name: "y".into(), datatype: Datatype::Fp32, shape: vec![Extent::Exactly(2)] }].into(),
    }
}

/// Why a request found no connection.
pub(crate) fn not_connected(world: &World) -> ConnectError {
    let failed = world.ask().expect_err("nobody can answer");
    let HandOffError::Failed { last, .. } = failed else { panic!("{failed:?}") };
    let AttemptFailure::NotSent(NotSent::Connect(why)) = last.why else { panic!("{last:?}") };
    why
}

/// Waits until something is so, which it is sooner or later.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let give_up = Instant::now() + LONG;
    while !so() {
        assert!(Instant::now() < give_up, "it never came true: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
