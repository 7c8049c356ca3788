//! Certificates that change, break and expire while the link is open.

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
};

use cluster_link::{ConnectError, CredentialsError, IdentityError, Peer};

use crate::{
    pki::{Ca, Files, Leaf},
    server::{Does, Server},
    world::{World, config, not_connected, until},
};

#[test]
fn a_renewed_certificate_makes_a_new_connection() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    let server = Server::start(Some(ca.server(&Leaf::default(), &ca)), Does::Answer);
    let world = World::new(config(&[server.address], files.security()));
    for _ in 0..3 {
        world.ask().expect("an answer");
    }
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 1);
    files.renew(&ca);
    until("the old connection is given up", || world.link.status()[0].peer.is_none());
    until("it ends", || server.state.ended.load(Ordering::SeqCst) == 1);
    world.ask().expect("an answer");
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn another_pinned_ca_counts_at_once() {
    let (ca, next) = (Ca::new(), Ca::new());
    let files = Files::new(&ca, &ca);
    let server = Server::start(Some(ca.server(&Leaf::default(), &ca)), Does::Answer);
    let world = World::new(config(&[server.address], files.security()));
    world.ask().expect("an answer");
    let sent = server.state.payload();
    fs::write(files.path("ca.pem"), next.pem()).expect("written");
    until("the old connection is given up", || world.link.status()[0].peer.is_none());
    assert_eq!(not_connected(&world), IdentityError::WrongCa.into());
    assert_eq!(server.state.payload(), sent);
}

#[test]
fn files_that_cannot_be_used_make_no_connection_and_end_none() {
    let (ca, other) = (Ca::new(), Ca::new());
    let files = Files::new(&ca, &ca);
    let identity = ca.server(&Leaf::default(), &ca);
    let server = Server::start(Some(Arc::clone(&identity)), Does::Answer);
    let world = World::new(config(&[server.address], files.security()));
    world.ask().expect("an answer");
    let key = fs::read(files.path("box.key")).expect("read");
    fs::write(files.path("box.key"), "no key").expect("written");
    for _ in 0..3 {
        world.ask().expect("the connection that is there goes on");
    }
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 1);
    let address = server.address;
    drop(server.kill());
    let _again = Server::at(address, Some(identity), Does::Answer);
    until("its end was seen", || world.link.status()[0].peer.is_none());
    let why = not_connected(&world);
    assert!(matches!(why, ConnectError::Credentials(CredentialsError::Pem { .. })), "{why:?}");
    fs::write(files.path("box.key"), other.issue(&Leaf::default()).1).expect("written");
    let why = not_connected(&world);
    assert!(matches!(why, ConnectError::Credentials(CredentialsError::Mismatch(_))), "{why:?}");
    fs::remove_file(files.path("ca.pem")).expect("removed");
    assert!(matches!(not_connected(&world), ConnectError::Credentials(CredentialsError::File { .. })));
    fs::write(files.path("ca.pem"), ca.pem()).expect("written");
    fs::write(files.path("box.key"), key).expect("written");
    world.ask().expect("the files work again, and their failures were not the endpoint's");
}

#[test]
fn a_connection_ends_with_its_servers_certificate() {
    let ca = Ca::new();
    let files = Files::new(&ca, &ca);
    let soon = Leaf { valid: (-3_600, 8), ..Leaf::default() };
    let server = Server::start(Some(ca.server(&soon, &ca)), Does::Answer);
    let world = World::new(config(&[server.address], files.security()));
    world.ask().expect("it is valid for some seconds");
    assert!(matches!(world.link.status()[0].peer, Some(Peer::Proven { .. })));
    until("it is given up", || world.link.status()[0].peer.is_none());
    let sent = server.state.payload();
    assert_eq!(not_connected(&world), IdentityError::Expired.into());
    assert_eq!(server.state.payload(), sent);
}
