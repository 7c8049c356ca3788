//! Several endpoints: who is asked, who is not, and when again.

use std::{sync::atomic::Ordering, thread, time::Duration};

use cluster_link::{Attempt, Breaker, Config, HandOffError, Purpose, Retry, Security};

use crate::{
    server::{Does, Server},
    world::{World, config, until},
};

fn two(first: &Server, second: &Server) -> World {
    let retry = Retry { attempts: 3, ..Retry::default() };
    World::new(Config { retry, ..config(&[first.address, second.address], Security::Insecure) })
}

fn breaker(world: &World, place: usize) -> Breaker {
    world.link.status()[place].breaker
}

#[test]
fn a_killed_server_costs_no_answer_and_is_asked_again_when_it_is_back() {
    let (first, second) = (Server::start(None, Does::Answer), Server::start(None, Does::Answer));
    let world = two(&first, &second);
    world.gate.refuses_probes.store(false, Ordering::SeqCst);
    let address = first.address;
    assert_eq!(world.ask().expect("an answer").endpoint, address, "the preferred one");
    let dead = first.kill();
    for _ in 0..10 {
        let answer = world.ask().expect("the other one answers");
        assert_eq!(answer.endpoint, second.address);
    }
    until("its breaker is open", || breaker(&world, 0) != Breaker::Closed);
    let back = Server::at(address, None, Does::Answer);
    until("a probe closes it", || breaker(&world, 0) == Breaker::Closed);
    assert_eq!(world.ask().expect("an answer").endpoint, address);
    world.holds_against(&[&dead, &second.state, &back.state]);
}

/// What waits for a server that hangs goes on to the other one as soon as a probe finds that out, long before its deadline.
#[test]
fn an_attempt_is_moved_on_when_its_endpoint_no_longer_answers_probes() {
    let (first, second) = (Server::start(None, Does::Silence), Server::start(None, Does::Answer));
    let mut declared = config(&[first.address, second.address], Security::Insecure);
    declared.retry.attempts = 2;
    declared.probe.timeout = Duration::from_secs(1);
    let world = World::new(declared);
    thread::scope(|scope| {
        let asked = scope.spawn(|| world.ask());
        until("it waits for the first", || !first.state.calls().is_empty());
        world.gate.refuses_probes.store(false, Ordering::SeqCst);
        let answer = asked.join().expect("no panic").expect("the other one answers");
        assert_eq!((answer.endpoint, answer.attempts), (second.address, 2));
    });
    // What is counted on both sides must not grow meanwhile.
    world.gate.refuses_probes.store(true, Ordering::SeqCst);
    let asked = |one: &Attempt| one.request.purpose != Purpose::Probe;
    let intents: Vec<_> = world.gate.intents().into_iter().filter(asked).map(|one| one.to.endpoint).collect();
    assert_eq!(intents, [first.address, second.address], "an intent for each");
    world.holds_against(&[&first.state, &second.state]);
}

/// The twin: with nobody else to ask, it keeps waiting, and takes the answer that comes late.
#[test]
fn an_attempt_stays_where_there_is_no_other_endpoint() {
    let server = Server::start(None, Does::Pause);
    let mut declared = config(&[server.address], Security::Insecure);
    declared.retry.attempts = 2;
    declared.probe.timeout = Duration::from_secs(1);
    let world = World::new(declared);
    thread::scope(|scope| {
        let asked = scope.spawn(|| world.ask());
        until("it waits", || !server.state.calls().is_empty());
        world.gate.refuses_probes.store(false, Ordering::SeqCst);
        until("a probe opens the breaker", || breaker(&world, 0) != Breaker::Closed);
        server.state.does(Does::Answer);
        let answer = asked.join().expect("no panic").expect("its answer came");
        assert_eq!((answer.endpoint, answer.attempts), (server.address, 1));
    });
    world.gate.refuses_probes.store(true, Ordering::SeqCst);
    world.holds_against(&[&server.state]);
}

/// A server whose model died says that it is ready, and refuses every call.
#[test]
fn a_probe_finds_a_server_that_refuses_while_nobody_asks() {
    let (first, second) = (Server::start(None, Does::Answer), Server::start(None, Does::Answer));
    let world = two(&first, &second);
    world.gate.refuses_probes.store(false, Ordering::SeqCst);
    until("both were probed", || [&first, &second].iter().all(|server| !server.state.calls().is_empty()));
    assert!([0, 1].iter().all(|place| breaker(&world, *place) == Breaker::Closed));
    first.state.does(Does::Status(14));
    until("a probe opens the breaker", || breaker(&world, 0) == Breaker::Open);
    let answer = world.ask().expect("an answer");
    assert_eq!((answer.endpoint, answer.attempts), (second.address, 1), "nobody was asked in vain");
    first.state.does(Does::Answer);
    until("a probe closes it", || breaker(&world, 0) == Breaker::Closed);
    let probes = world.gate.intents().into_iter().filter(|one| one.request.purpose == Purpose::Probe);
    assert!(probes.count() >= 4, "probes are on record like everything else");
    world.holds_against(&[&first.state, &second.state]);
}

#[test]
fn bad_answers_in_a_row_open_the_breaker() {
    let server = Server::start(None, Does::Nan);
    let world = World::new(config(&[server.address], Security::Insecure));
    for _ in 0..3 {
        assert!(matches!(world.ask(), Err(HandOffError::Failed { .. })));
    }
    let Err(HandOffError::NoEndpoint { last: Some(last) }) = world.ask() else { panic!("its breaker is open") };
    assert_eq!(last.endpoint, server.address);
    assert_eq!(server.state.calls().len(), 3);
    world.gate.refuses_probes.store(false, Ordering::SeqCst);
    server.state.does(Does::Answer);
    until("a probe closes it", || breaker(&world, 0) == Breaker::Closed);
    assert!(world.ask().is_ok());
}

#[test]
fn a_refusal_that_would_come_again_is_not_repeated() {
    let (first, second) = (Server::start(None, Does::Status(3)), Server::start(None, Does::Answer));
    let world = two(&first, &second);
    let failed = world.ask().expect_err("it is refused");
    assert!(matches!(failed, HandOffError::Failed { attempts: 1, .. }), "{failed:?}");
    assert_eq!((first.state.calls().len(), second.state.calls().len()), (1, 0));
    assert_eq!(breaker(&world, 0), Breaker::Closed, "the server does what it should");
    first.state.does(Does::Status(14));
    assert_eq!(world.ask().expect("an answer").endpoint, second.address, "another refusal is");
}

#[test]
fn attempts_are_bounded() {
    let (first, second) = (Server::start(None, Does::Status(14)), Server::start(None, Does::Status(14)));
    let world = two(&first, &second);
    let failed = world.ask().expect_err("nobody answers");
    assert!(matches!(failed, HandOffError::Failed { attempts: 3, .. }), "{failed:?}");
    assert_eq!((first.state.calls().len(), second.state.calls().len()), (2, 1));
    world.holds_against(&[&first.state, &second.state]);
}

#[test]
fn who_answers_is_not_probed() {
    let server = Server::start(None, Does::Answer);
    let mut often = config(&[server.address], Security::Insecure);
    often.probe.period = Duration::from_secs(30);
    let world = World::new(often);
    world.gate.refuses_probes.store(false, Ordering::SeqCst);
    for _ in 0..50 {
        world.ask().expect("an answer");
    }
    let probes = world.gate.intents().into_iter().filter(|one| one.request.purpose == Purpose::Probe);
    assert!(probes.count() <= 1);
}
