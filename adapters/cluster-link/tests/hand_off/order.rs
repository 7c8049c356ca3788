//! Rule, identity, intent, send, outcome: in this order, on one connection, each once.

use std::sync::{Arc, Mutex, atomic::Ordering};

use cluster_link::{
    AttemptFailure, Config, ConnectError, HandOffError, IdentityError, NotSent, Outcome, Retry, Security,
};
use prost::Message;

use crate::{
    gate::Refusal,
    pki::{Ca, Files, Leaf},
    server::{Does, Server, State},
    world::{LONG, World, config, request},
};

/// Who died, and who took the port.
type Swapped = Option<(Arc<State>, Server)>;

#[test]
fn without_a_rule_nobody_is_even_called() {
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], Security::Insecure));
    world.gate.refuses.store(true, Ordering::SeqCst);
    assert_eq!(world.ask().expect_err("it is refused"), HandOffError::Refused(Refusal::Rule));
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 0);
    assert_eq!(world.link.status()[0].attempts, 0);
    world.gate.refuses.store(false, Ordering::SeqCst);
    assert!(world.ask().is_ok(), "or the counts above could not fail");
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn without_a_record_nothing_is_sent() {
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], Security::Insecure));
    world.gate.journal_is_full.store(true, Ordering::SeqCst);
    assert_eq!(world.ask().expect_err("it is refused"), HandOffError::Refused(Refusal::Journal));
    assert_eq!(server.state.payload(), 0);
    world.gate.journal_is_full.store(false, Ordering::SeqCst);
    assert!(world.ask().is_ok());
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 1, "identity came before the record");
    world.holds_against(&[&server.state]);
}

#[test]
fn the_record_is_of_exactly_what_was_sent() {
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], Security::Insecure));
    for _ in 0..3 {
        world.ask().expect("an answer");
    }
    let (intents, calls) = (world.gate.intents(), server.state.calls());
    assert_eq!(server.state.payload(), intents.iter().map(|one| one.bytes).sum::<u64>());
    for (intent, call) in intents.iter().zip(&calls) {
        let digest = ring::digest::digest(&ring::digest::SHA256, &call.body);
        assert_eq!(&intent.digest[..], digest.as_ref());
        assert_eq!(call.message.id, intent.request.id.to_string());
        assert!(call.timeout.ends_with('u'), "{}", call.timeout);
    }
    assert!(world.gate.outcomes().iter().all(|one| matches!(one, Some(Outcome::Answered { bytes: 1.. }))));
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 1, "one connection for all");
    assert!(intents[1].connecting.is_zero() && !intents[0].connecting.is_zero());
    world.holds_against(&[&server.state]);
}

#[test]
fn what_the_rule_drops_does_not_leave() {
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], Security::Insecure));
    *world.gate.dropped.lock().expect("no panic") = vec!["face"];
    let mut asked = request(LONG);
    asked.inputs.push(cluster_link::Tensor::fp32("face", vec![1], &[9.0]).expect("it fits"));
    world.link.infer_blocking(asked).expect("an answer");
    let message = &server.state.calls()[0].message;
    assert_eq!(message.inputs.iter().map(|input| &*input.name).collect::<Vec<_>>(), ["x"]);
    assert_eq!(message.raw_input_contents.len(), 1);
    assert!(message.encode_to_vec().windows(4).all(|four| four != b"face"));
}

/// The server dies after it proved who it is and while the intent is written; another one takes its port.
#[test]
fn a_server_that_is_swapped_before_the_send_gets_nothing() {
    let (ca, theirs) = (Ca::new(), Ca::new());
    let files = Files::new(&ca, &ca);
    let right = Server::start(Some(ca.server(&Leaf::default(), &ca)), Does::Answer);
    let address = right.address;
    let retry = Retry { attempts: 4, ..Retry::default() };
    let world = World::new(Config { retry, ..config(&[address], files.security()) });
    let wrong = theirs.server(&Leaf::default(), &ca);
    let swapped: Arc<Mutex<Swapped>> = Arc::default();
    let swap = Arc::clone(&swapped);
    *world.gate.on_intent.lock().expect("no panic") = Some(Box::new(move |_| {
        let dead = right.kill();
        *swap.lock().expect("no panic") = Some((dead, Server::at(address, Some(wrong), Does::Answer)));
    }));
    let failed = world.ask().expect_err("nobody can answer");
    // The wrong identity opens the breaker, so nobody is asked a third time.
    let HandOffError::InDoubt { why, .. } = failed else {
        panic!("{failed:?}: the first died with something on its way")
    };
    let HandOffError::Failed { attempts: 2, last } = *why else { panic!("{why:?}") };
    assert_eq!(last.why, AttemptFailure::NotSent(NotSent::Connect(ConnectError::Identity(IdentityError::WrongCa))));
    let swapped = swapped.lock().expect("no panic");
    let (dead, imposter) = swapped.as_ref().expect("it was swapped");
    assert_eq!((dead.payload(), imposter.state.payload()), (0, 0));
    assert!(imposter.state.connections.load(Ordering::SeqCst) >= 1, "it was called, and found out");
    assert!(imposter.state.raw() < 8 << 10);
    assert_eq!(world.gate.intents().len(), 1, "the second attempt never came to an intent");
    world.holds_against(&[dead, &imposter.state]);
}

/// The same, but who takes the port is the right one: the second attempt has an intent of its own.
#[test]
fn a_reconnect_is_an_attempt_of_its_own() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    let identity = ca.server(&Leaf::default(), &ca);
    let first = Server::start(Some(Arc::clone(&identity)), Does::Answer);
    let address = first.address;
    let retry = Retry { attempts: 4, ..Retry::default() };
    let world = World::new(Config { retry, ..config(&[address], files.security()) });
    let swapped: Arc<Mutex<Option<Server>>> = Arc::default();
    let swap = Arc::clone(&swapped);
    *world.gate.on_intent.lock().expect("no panic") = Some(Box::new(move |_| {
        drop(first.kill());
        *swap.lock().expect("no panic") = Some(Server::at(address, Some(identity), Does::Answer));
    }));
    let answer = world.ask().expect("the second one answers");
    assert_eq!(answer.attempts, 2);
    let intents = world.gate.intents();
    assert_eq!(intents.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(intents[0].request.id, intents[1].request.id);
    let outcomes = world.gate.outcomes();
    assert!(matches!(outcomes[0], Some(Outcome::NotSent(NotSent::Lost) | Outcome::Failed(_))), "{outcomes:?}");
    assert!(matches!(outcomes[1], Some(Outcome::Answered { .. })));
}
