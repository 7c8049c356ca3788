//! A policy that changes mid-send: not one byte leaves after the change.

use std::{sync::atomic::Ordering, thread, time::Duration};

use cluster_link::{Config, Failure, HandOffError, NotSent, Outcome, Retry, Security, Tensor};

use crate::{
    gate::Refusal,
    server::{Does, Server},
    world::{LONG, World, config, request, until},
};

/// More than the system keeps in the buffers of two sockets.
const LARGE: u32 = 8 << 20;

fn large() -> cluster_link::Request {
    let mut asked = request(LONG);
    asked.inputs = vec![Tensor::fp32("x", vec![LARGE], &vec![1.0; LARGE as usize]).expect("it fits")];
    asked
}

#[test]
fn what_is_being_sent_is_cut_at_the_socket() {
    for withdrawn in [true, false] {
        let server = Server::start(None, Does::Answer);
        server.state.pause_at.store(200_000, Ordering::SeqCst);
        let retry = Retry { attempts: 3, ..Retry::default() };
        let world = World::new(Config { retry, ..config(&[server.address], Security::Insecure) });
        let (result, sent) = thread::scope(|scope| {
            let asked = scope.spawn(|| world.link.infer_blocking(large()));
            until("it is being sent", || server.state.raw() >= 200_000);
            // From here the server reads nothing, and what the box wrote fills the buffers in between.
            let written = || world.link.status()[0].socket_bytes;
            until("the buffers are full", || {
                let before = written();
                thread::sleep(Duration::from_millis(100));
                written() == before
            });
            world.gate.refuses.store(withdrawn, Ordering::SeqCst);
            let cut = world.link.revoke(|carried| {
                assert_eq!((&*carried.task, &*carried.permit.rule, carried.probe), ("track", "all", false));
                !withdrawn
            });
            assert_eq!(cut, usize::from(withdrawn));
            let sent = written();
            server.state.resume();
            (asked.join().expect("no panic"), sent)
        });
        if withdrawn {
            assert_eq!(result.expect_err("it is withdrawn"), HandOffError::Refused(Refusal::Rule));
            until("the server sees the end", || server.state.ended.load(Ordering::SeqCst) == 1);
            assert_eq!(world.link.status()[0].socket_bytes, sent, "nothing was written after the change");
            assert!(server.state.raw() <= sent && server.state.calls().is_empty());
            assert_eq!(world.gate.outcomes(), [Some(Outcome::Failed(Failure::Revoked))]);
        } else {
            result.expect("or the cut above was none");
            assert!(server.state.payload() > u64::from(LARGE) * 4);
            assert_eq!(server.state.connections.load(Ordering::SeqCst), 1);
        }
        world.holds_against(&[&server.state]);
    }
}

/// Between the rule and the send lies the journal. What was ruled before a change is ruled again after it.
#[test]
fn what_was_ruled_before_a_change_is_not_sent_after_it() {
    for withdrawn in [true, false] {
        let server = Server::start(None, Does::Answer);
        let retry = Retry { attempts: 2, ..Retry::default() };
        let world = World::new(Config { retry, ..config(&[server.address], Security::Insecure) });
        world.gate.disk.forget_permits(usize::MAX >> 3);
        let result = thread::scope(|scope| {
            let asked = scope.spawn(|| world.ask());
            until("it waits for the journal", || server.state.connections.load(Ordering::SeqCst) == 1);
            world.gate.refuses.store(withdrawn, Ordering::SeqCst);
            assert_eq!(world.link.revoke(|_| !withdrawn), 0, "nothing was sent yet");
            world.gate.disk.add_permits(2);
            asked.join().expect("no panic")
        });
        let not_sent = Some(Outcome::NotSent(NotSent::Revoked));
        if withdrawn {
            assert_eq!(result.expect_err("it is withdrawn"), HandOffError::Refused(Refusal::Rule));
            assert_eq!(world.gate.outcomes(), [not_sent]);
            assert_eq!(server.state.payload(), 0);
        } else {
            assert_eq!(result.expect("it still holds").attempts, 2);
            assert_eq!(world.gate.outcomes()[0], not_sent);
        }
        world.holds_against(&[&server.state]);
    }
}

#[test]
fn a_connection_that_carried_it_once_is_cut_as_well() {
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], Security::Insecure));
    world.ask().expect("an answer");
    assert_eq!(world.link.revoke(|_| true), 0);
    assert_eq!(world.link.revoke(|_| false), 1);
    until("the server sees the end", || server.state.ended.load(Ordering::SeqCst) == 1);
    world.ask().expect("a new connection, by a new rule");
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 2);
}
