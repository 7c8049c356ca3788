//! What expires is cancelled where it runs, and recorded so.

use std::{sync::atomic::Ordering, time::Duration};

use cluster_link::{Breaker, HandOffError, Kind, NotSent, Outcome, Security};
use h2::Reason;

use crate::{
    server::{Does, Server},
    world::{LONG, World, config, request, until},
};

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn an_expired_call_is_reset_at_the_server() {
    for does in [Does::Hang, Does::Silence] {
        let server = Server::start(None, Does::Answer);
        let world = World::new(config(&[server.address], Security::Insecure));
        world.ask().expect("an answer");
        server.state.does(does);
        let expired = world.link.infer_blocking(request(SHORT)).expect_err("nobody answers");
        assert!(matches!(expired, HandOffError::Expired { attempts: 1, last: None }), "{expired:?}");
        until("the server is told", || *server.state.resets.lock().expect("no panic") == [Reason::CANCEL]);
        world.holds_against(&[&server.state]);
        assert_eq!(world.gate.outcomes()[1], Some(Outcome::Expired));
        let status = &world.link.status()[0];
        assert!(status.failures.contains(&(Kind::Expired, 1)) && status.in_flight == 0);
        server.state.does(Does::Answer);
        assert!(world.ask().is_ok());
        if does == Does::Hang {
            assert_eq!(server.state.connections.load(Ordering::SeqCst), 1, "the call alone was ended");
        }
    }
}

#[test]
fn who_drops_a_call_cancels_it() {
    let server = Server::start(None, Does::Hang);
    let world = World::new(config(&[server.address], Security::Insecure));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let asked = tokio::spawn({
            let link = world.link.clone();
            async move { link.infer(request(LONG)).await }
        });
        while server.state.calls().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        asked.abort();
        while server.state.resets.lock().expect("no panic").is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(world.gate.outcomes(), [Some(Outcome::Cancelled)]);
    assert_eq!(world.link.status()[0].breaker, Breaker::Closed, "that says nothing about the endpoint");
}

#[test]
fn a_slow_journal_costs_the_call_and_not_the_record() {
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], Security::Insecure));
    world.gate.disk.forget_permits(usize::MAX >> 3);
    let expired = world.link.infer_blocking(request(SHORT)).expect_err("it is not on record");
    assert!(matches!(expired, HandOffError::Expired { .. }), "{expired:?}");
    assert_eq!(world.gate.intents().len(), 0);
    world.gate.disk.add_permits(1);
    until("the intent is durable, and has its outcome", || {
        world.gate.outcomes() == [Some(Outcome::NotSent(NotSent::Expired))]
    });
    assert_eq!(server.state.payload(), 0);
    assert_eq!(world.link.status()[0].breaker, Breaker::Closed, "that is not the endpoint's fault");
    world.gate.disk.add_permits(1);
    assert!(world.ask().is_ok());
    world.holds_against(&[&server.state]);
}

#[test]
fn the_deadline_travels_along() {
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], Security::Insecure));
    world.ask().expect("an answer");
    let micros: u64 = server.state.calls()[0].timeout.trim_end_matches('u').parse().expect("a number");
    assert!(micros > 0 && u128::from(micros) <= LONG.as_micros());
}

#[test]
fn nothing_is_sent_that_cannot_be_in_time() {
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], Security::Insecure));
    for _ in 0..20 {
        world.ask().expect("an answer");
    }
    let usual = world.link.status()[0].round_trip.p50.expect("twenty samples");
    let calls = server.state.calls().len();
    let expired = world.link.infer_blocking(request(usual / 4)).expect_err("there is no time");
    assert!(matches!(expired, HandOffError::Expired { attempts: 0, last: None }), "{expired:?}");
    assert_eq!((server.state.calls().len(), world.gate.intents().len()), (calls, calls));
}
