//! How the box's zenoh session is set up, and why.

use zenoh::Config;
use zenoh::config::EndPoint;

use crate::error::LinkError;
use crate::process;

/// The box's part in the zenoh network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Robots connect to the box, or the box to them.
    Peer,
    /// The box connects to one router, which robots connect to as well.
    Client,
    /// The box is the site's router.
    Router,
}

/// What the configuration decides about the session.
///
/// The rest is the same for every box:
/// - No scouting: who talks to the box is written down, not found. No admin space. Shared memory only where
///   there is a camera, and only to receive: its pictures are read where they lie.
/// - A put never waits. A response that finds its robot's queue full is dropped at once
///   (`wait_before_drop` 0), and so is each fragment of a larger message.
/// - Nobody waits for a slow robot, zenoh's own threads included: a message that must not be dropped
///   (a declaration, a reply) and finds the queue full closes that robot's transport at once
///   (`wait_before_close` 0). zenoh's default is to wait 5 s, doubled with each fragment, on the
///   thread that sends. A robot whose transport was closed connects again.
///   A box without robots waits for a second: what it replies with may be larger than its queue.
/// - So the queues are the only slack. Responses have the longest that zenoh offers (16 batches):
///   with one response a batch, [`RESPONSE_QUEUE`] responses while zenoh's sender is held up. Declarations have 4
///   batches of 64 KiB and replies 8. All are allocated when a robot connects, 2.4 MiB each, so
///   that no put has to. The queue belongs to a transport: where many robots share one, as behind a router, a burst
///   of more responses than it holds (all fallbacks at once) loses those beyond.
/// - A frame may have up to 128 MiB, or twice the largest that a route or client accepts: an oversize frame is
///   then counted as that, not lost inside zenoh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The box's part in the network.
    pub mode: Mode,
    /// Endpoints to listen on, such as `tcp/192.168.0.2:7447`. The buffers of a robot's socket can
    /// be set here: `#so_sndbuf=65536`. They bound how many stale responses await a stalled robot.
    pub listen: Vec<String>,
    /// Endpoints to connect to. A client needs one and fails where none answers; otherwise the box
    /// keeps trying in the background.
    pub connect: Vec<String>,
    /// One worker thread for all of zenoh: needs [`prepare_process`](crate::prepare_process).
    pub one_worker: bool,
}

impl Settings {
    /// zenoh's configuration of checked settings; `largest_frame` in bytes. `cameras`: whether there are any;
    /// `robots`: likewise.
    pub(crate) fn to_zenoh(&self, largest_frame: usize, cameras: bool, robots: bool) -> Result<Config, LinkError> {
        let mode = match self.mode {
            Mode::Peer => "\"peer\"",
            Mode::Client => "\"client\"",
            Mode::Router => "\"router\"",
        };
        let max_message = LARGEST_MESSAGE.max(largest_frame.saturating_mul(2));

        let mut config = Config::default();
        for (key, value) in [
            ("mode", mode),
            ("listen/endpoints", &format!("{:?}", self.listen)),
            ("connect/endpoints", &format!("{:?}", self.connect)),
            ("transport/link/rx/max_message_size", &max_message.to_string()),
            ("transport/shared_memory/enabled", &cameras.to_string()),
        ]
        .into_iter()
        .chain(FIXED)
        .chain(if robots { WITH_ROBOTS } else { WITHOUT_ROBOTS })
        {
            config.insert_json5(key, value).map_err(LinkError::Open)?;
        }
        Ok(config)
    }

    /// What can be told without opening anything.
    ///
    /// # Errors
    ///
    /// [`LinkError`] for an endpoint that cannot be read or is of a protocol that this build does not speak, a
    /// client without an endpoint, and one worker without [`prepare_process`](crate::prepare_process).
    pub fn check(&self) -> Result<(), LinkError> {
        for endpoint in self.listen.iter().chain(&self.connect) {
            let read = endpoint.parse::<EndPoint>();
            let read = read.map_err(|source| LinkError::Endpoint { endpoint: endpoint.clone(), source })?;
            if !PROTOCOLS.contains(&read.protocol().as_str()) {
                return Err(LinkError::Protocol { endpoint: endpoint.clone() });
            }
        }
        if self.mode == Mode::Client && self.connect.is_empty() {
            return Err(LinkError::NothingToConnect);
        }
        if self.one_worker && !process::is_prepared() {
            return Err(LinkError::NotPrepared);
        }
        Ok(())
    }
}

/// How many responses of one transport wait at most: the longest queue that zenoh offers.
pub const RESPONSE_QUEUE: usize = 16;

/// What this build's zenoh speaks; a serial line or QUIC would be a feature of the build.
const PROTOCOLS: [&str; 2] = ["tcp", "unixsock-stream"];

/// Room for what is too large by far, such as a camera's picture on a control key.
const LARGEST_MESSAGE: usize = 128 << 20;

/// The same for every box; [`Settings`] says why.
const FIXED: [(&str, &str); 8] = [
    ("scouting/multicast/enabled", "false"),
    ("scouting/gossip/enabled", "false"),
    ("adminspace/enabled", "false"),
    // A frame's time is its arrival on the box's clock.
    ("timestamping/enabled", "false"),
    // Where it is enabled: at once, not with the first picture, and for nothing that the box sends.
    ("transport/shared_memory/mode", "\"init\""),
    ("transport/shared_memory/transport_optimization/enabled", "false"),
    ("transport/link/tx/queue/allocation/mode", "\"init\""),
    // Responses are express; this keeps small declarations together.
    ("transport/link/tx/queue/batching/enabled", "true"),
];

/// Nobody waits for a slow robot.
const WITH_ROBOTS: [(&str, &str); 6] = [
    ("transport/link/tx/queue/congestion_control/drop/wait_before_drop", "0"),
    ("transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments", "0"),
    ("transport/link/tx/queue/congestion_control/block/wait_before_close", "0"),
    ("transport/link/tx/queue/size/real_time", "16"),
    ("transport/link/tx/queue/size/control", "4"),
    ("transport/link/tx/queue/size/data", "8"),
];

/// Whoever asks for results gets more than a queue holds, a piece at a time: the thread that replies waits for it, a second
/// at most. The rest as zenoh has it.
const WITHOUT_ROBOTS: [(&str, &str); 6] = [
    ("transport/link/tx/queue/congestion_control/drop/wait_before_drop", "1000"),
    ("transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments", "1000000"),
    ("transport/link/tx/queue/congestion_control/block/wait_before_close", "1000000"),
    ("transport/link/tx/queue/size/real_time", "16"),
    ("transport/link/tx/queue/size/control", "4"),
    ("transport/link/tx/queue/size/data", "16"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { mode: Mode::Peer, listen: vec!["tcp/127.0.0.1:7447".to_owned()], connect: vec![], one_worker: false }
    }

    #[test]
    fn zenoh_knows_every_setting() {
        for (mode, robots) in [(Mode::Peer, true), (Mode::Router, true), (Mode::Peer, false), (Mode::Router, false)] {
            let config = Settings { mode, ..settings() }.to_zenoh(0, robots, robots).expect("zenoh takes it");
            let by_robots = if robots { WITH_ROBOTS } else { WITHOUT_ROBOTS };
            for (key, value) in FIXED.into_iter().chain(by_robots) {
                assert_eq!(config.get_json(key).expect("known"), value, "{key}");
            }
            assert_eq!(config.get_json("transport/shared_memory/enabled").expect("known"), robots.to_string());
            let listen = config.get_json("listen/endpoints").expect("known");
            assert!(listen.contains("tcp/127.0.0.1:7447"), "{listen}");
        }
    }

    #[test]
    fn bad_endpoint_is_named() {
        for endpoint in ["", "tcp", "127.0.0.1:7447", "tcp/"] {
            let bad = Settings { listen: vec![endpoint.to_owned()], ..settings() };
            let error = bad.check().expect_err("not an endpoint");
            assert!(matches!(&error, LinkError::Endpoint { endpoint: named, .. } if named == endpoint), "{error}");
        }
    }

    #[test]
    fn protocol_that_is_not_built_in_is_named() {
        let unspoken = |endpoint: &str| Settings { connect: vec![endpoint.to_owned()], ..settings() };
        for endpoint in ["udp/127.0.0.1:7447", "quic/127.0.0.1:7447", "carrier-pigeon/coop:1"] {
            let error = unspoken(endpoint).check().expect_err("not built in");
            assert!(matches!(&error, LinkError::Protocol { endpoint: named } if named == endpoint), "{error}");
        }
        unspoken("unixsock-stream//tmp/box").check().expect("built in");
    }

    #[test]
    fn response_queue_is_as_long_as_zenoh_is_told() {
        assert!(WITH_ROBOTS.contains(&("transport/link/tx/queue/size/real_time", RESPONSE_QUEUE.to_string().as_str())));
    }

    #[test]
    fn client_without_endpoint_is_refused() {
        let alone = Settings { mode: Mode::Client, ..settings() };
        assert!(matches!(alone.check(), Err(LinkError::NothingToConnect)));
    }

    #[test]
    fn one_worker_without_preparation_is_refused() {
        let unprepared = Settings { one_worker: true, ..settings() };
        assert!(matches!(unprepared.check(), Err(LinkError::NotPrepared)));
    }
}
