//! Who listens is not who must: not one byte of a payload comes to them.

use std::sync::{Arc, atomic::Ordering};

use cluster_link::{Config, ConfigError, ConnectError, Endpoint, HandOffError, IdentityError, Link, Peer, Security};
use rcgen::ExtendedKeyUsagePurpose;
use tokio_rustls::rustls::ServerConfig;

use crate::{
    gate::Recorder,
    pki::{Ca, Files, Leaf, TRITON},
    server::{Does, Rude, Server},
    world::{VALUES_BYTES, World, config, not_connected},
};

/// What a handshake may take, in bytes; a payload takes many times that.
const HANDSHAKE: u64 = 8 << 10;

/// Asks a server with this identity, and sees that it got nothing.
fn refused(files: &Files, tls: Arc<ServerConfig>) -> ConnectError {
    let server = Server::start(Some(tls), Does::Answer);
    let world = World::new(config(&[server.address], files.security()));
    let why = not_connected(&world);
    assert!(server.state.connections.load(Ordering::SeqCst) >= 1, "it was asked");
    assert_eq!(server.state.payload(), 0);
    assert!(server.state.raw() < HANDSHAKE, "{} bytes came", server.state.raw());
    assert_eq!(world.gate.intents().len(), 0, "nothing was to be recorded");
    why
}

#[test]
fn the_right_server_gets_the_payload() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    let server = Server::start(Some(ca.server(&Leaf::default(), &ca)), Does::Answer);
    let world = World::new(config(&[server.address], files.security()));
    let answer = world.ask().expect("an answer");
    assert_eq!(answer.tensors[0].values_fp32().expect("numbers").collect::<Vec<_>>(), [0.0, 1.0]);
    let intents = world.gate.intents();
    assert_eq!(server.state.payload(), intents[0].bytes, "or a count of none could not fail");
    assert!(server.state.raw() > VALUES_BYTES);
    let Peer::Proven { spiffe_id, fingerprint } = &intents[0].peer else { panic!("it was insecure") };
    assert_eq!(spiffe_id.as_str(), TRITON);
    assert_ne!(fingerprint, &[0; 32]);
    assert!(!intents[0].to.insecure);
    world.holds_against(&[&server.state]);
}

#[test]
fn a_server_of_another_ca() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let files = Files::new(&ours, &ours);
    assert_eq!(refused(&files, theirs.server(&Leaf::default(), &ours)), IdentityError::WrongCa.into());
}

#[test]
fn a_certificate_out_of_its_time() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    let valid = |valid| ca.server(&Leaf { valid, ..Leaf::default() }, &ca);
    assert_eq!(refused(&files, valid((-7_200, -3_600))), IdentityError::Expired.into());
    assert_eq!(refused(&files, valid((3_600, 7_200))), IdentityError::NotYetValid.into());
}

#[test]
fn an_identity_that_is_not_allowed() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    let uris = |uris: &[&'static str]| ca.server(&Leaf { uris: uris.to_vec(), ..Leaf::default() }, &ca);
    let elsewhere = "spiffe://factory.us/gpu/triton";
    let why = refused(&files, uris(&[elsewhere]));
    assert!(matches!(&why, ConnectError::Identity(IdentityError::NotAllowed(uri)) if uri.to_string() == elsewhere));
    assert!(matches!(
        refused(&files, uris(&["spiffe://factory.jp/gpu/triton2"])),
        ConnectError::Identity(IdentityError::NotAllowed(_))
    ));
    assert_eq!(refused(&files, uris(&[])), IdentityError::NoUri.into());
    assert_eq!(refused(&files, uris(&[TRITON, elsewhere])), IdentityError::SeveralUris(2).into());
    assert_eq!(refused(&files, uris(&[TRITON, TRITON])), IdentityError::SeveralUris(2).into());
}

#[test]
fn a_certificate_for_something_else() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    let usages = |usages| ca.server(&Leaf { usages, ..Leaf::default() }, &ca);
    assert_eq!(refused(&files, usages(vec![ExtendedKeyUsagePurpose::ClientAuth])), IdentityError::NotForServers.into());
    assert_eq!(refused(&files, usages(vec![])), IdentityError::NotForServers.into());
}

#[test]
fn a_name_counts_where_one_is_declared() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    let named = Leaf { names: vec!["triton-1.factory.jp"], ..Leaf::default() };
    let server = Server::start(Some(ca.server(&named, &ca)), Does::Answer);
    let ask = |name: &str| {
        let endpoint = Endpoint::new(&server.address.to_string(), Some(name)).expect("a name");
        World::new(Config { endpoints: vec![endpoint], ..config(&[server.address], files.security()) })
    };
    assert_eq!(not_connected(&ask("triton-2.factory.jp")), IdentityError::WrongName.into());
    assert_eq!(server.state.payload(), 0);
    assert!(ask("triton-1.factory.jp").ask().is_ok());
}

#[test]
fn a_server_that_speaks_no_tls() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\0\0\0\x04\0\0\0\0\0", b"SSH-2.0-OpenSSH_9.9\r\n"] {
        let server = Rude::start(answer);
        let world = World::new(config(&[server.address], files.security()));
        assert_eq!(not_connected(&world), IdentityError::PlainText.into());
        assert!(server.raw.load(Ordering::SeqCst) < HANDSHAKE);
    }
    // One that is a good server, but for its identity.
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], files.security()));
    assert!(matches!(not_connected(&world), ConnectError::Identity(_) | ConnectError::Unreachable(_)));
    assert_eq!(server.state.payload(), 0);
    assert!(server.state.raw() < HANDSHAKE);
}

#[test]
fn a_server_of_another_protocol() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    // It says why, or hangs up before it did.
    let why = refused(&files, ca.server_of(&Leaf::default(), &ca, b"http/1.1"));
    let told = matches!(why, ConnectError::Identity(IdentityError::Handshake(_)));
    assert!(told || why == ConnectError::Unreachable(std::io::ErrorKind::UnexpectedEof), "{why:?}");
    // What a server says that knows TLS 1.2 alone: a fatal alert, protocol_version.
    let old = Rude::start(b"\x15\x03\x03\0\x02\x02\x46");
    let why = not_connected(&World::new(config(&[old.address], files.security())));
    assert!(matches!(why, ConnectError::Identity(IdentityError::Handshake(_))), "{why:?}");
    assert!(old.raw.load(Ordering::SeqCst) < HANDSHAKE);
}

#[test]
fn a_server_that_does_not_know_the_box_answers_nothing() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let files = Files::new(&ours, &theirs);
    let server = Server::start(Some(ours.server(&Leaf::default(), &ours)), Does::Answer);
    let world = World::new(config(&[server.address], files.security()));
    assert!(matches!(world.ask(), Err(HandOffError::Failed { .. })));
    assert_eq!(server.state.payload(), 0, "its TLS ended before a call");
    world.holds_against(&[&server.state]);
}

#[test]
fn plain_text_stays_on_the_box() {
    let (_driver, runtime) = cluster_link::runtime().expect("a runtime");
    let far = "192.0.2.1:8001".parse().expect("an address");
    let opened = Link::open(&runtime, config(&[far], Security::Insecure), Arc::new(Recorder::new()));
    assert_eq!(opened.err(), Some(ConfigError::InsecureAddress(far)));
    let server = Server::start(None, Does::Answer);
    let world = World::new(config(&[server.address], Security::Insecure));
    assert!(world.ask().is_ok());
    let intent = &world.gate.intents()[0];
    assert_eq!((&intent.peer, intent.to.insecure), (&Peer::Insecure, true));
    assert_eq!(world.link.status()[0].peer, Some(Peer::Insecure));
}
