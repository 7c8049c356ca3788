//! Bounds: what is beyond them is refused at once.

use std::{thread, time::Duration};

use cluster_link::{Bounds, Config, HandOffError, Security};

use crate::{
    server::{Does, Server},
    world::{World, config, request, until},
};

#[test]
fn beyond_the_bound_a_request_is_refused_and_sends_nothing() {
    for bounds in [
        Bounds { max_in_flight: 1, ..Bounds::default() },
        Bounds { max_in_flight_per_endpoint: 1, ..Bounds::default() },
    ] {
        let server = Server::start(None, Does::Silence);
        let world = World::new(Config { bounds, ..config(&[server.address], Security::Insecure) });
        thread::scope(|scope| {
            let first = scope.spawn(|| world.link.infer_blocking(request(Duration::from_secs(5))));
            until("the first is there", || server.state.calls().len() == 1);
            let second = world.ask().expect_err("there is no room");
            assert_eq!(second, HandOffError::TooManyInFlight { most: 1 });
            assert!(!first.is_finished(), "or there was room");
            assert!(matches!(first.join().expect("no panic"), Err(HandOffError::Expired { .. })));
        });
        assert_eq!(server.state.calls().len(), 1);
        world.holds_against(&[&server.state]);
        let third = world.link.infer_blocking(request(Duration::from_millis(50)));
        assert!(matches!(third, Err(HandOffError::Expired { .. })), "the place is free again: {third:?}");
    }
}
