//! The liveliness token: shown, withdrawn, and gone with the process.

use zenoh::Wait;
use zenoh::handlers::FifoChannelHandler;
use zenoh::pubsub::Subscriber;
use zenoh::sample::{Sample, SampleKind};
use zenoh_link::{Mode, Settings};

use crate::child::Child;
use crate::station::{PATIENCE, Station, bystander, free_endpoint};

#[test]
fn token_is_shown_and_withdrawn() {
    let endpoint = free_endpoint();
    let watcher = bystander(&endpoint);
    let tokens = watcher.liveliness().declare_subscriber("test/alive").wait().unwrap();
    let station = Station::open(&connecting(&endpoint), vec![], &[]);
    for _ in 0..2 {
        station.link.declare_alive().unwrap();
        station.link.declare_alive().unwrap();
        assert_eq!(next(&tokens), SampleKind::Put);
        station.link.withdraw_alive().unwrap();
        station.link.withdraw_alive().unwrap();
        assert_eq!(next(&tokens), SampleKind::Delete);
    }
    station.link.declare_alive().unwrap();
    assert_eq!(next(&tokens), SampleKind::Put);
    station.link.close().unwrap();
    assert_eq!(next(&tokens), SampleKind::Delete, "it goes with the session");
    assert!(tokens.try_recv().unwrap().is_none(), "nothing was shown or withdrawn twice");
}

#[test]
fn token_goes_with_the_process() {
    let endpoint = free_endpoint();
    let watcher = bystander(&endpoint);
    let tokens = watcher.liveliness().declare_subscriber("test/alive").wait().unwrap();
    let mut living = Child::start("alive", &endpoint);
    assert_eq!(next(&tokens), SampleKind::Put);
    living.kill();
    assert_eq!(next(&tokens), SampleKind::Delete);
}

/// The child's part: shows its token until it is killed.
pub(crate) fn live(endpoint: &str) {
    let station = Station::open(&connecting(endpoint), vec![], &[]);
    station.link.declare_alive().unwrap();
    crate::child::await_end_of_input();
}

fn next(tokens: &Subscriber<FifoChannelHandler<Sample>>) -> SampleKind {
    tokens.recv_timeout(PATIENCE).unwrap().unwrap().kind()
}

fn connecting(endpoint: &str) -> Settings {
    Settings { mode: Mode::Peer, listen: vec![], connect: vec![endpoint.to_owned()], one_worker: false }
}
