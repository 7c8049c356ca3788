//! Servers that answer inside zenoh's callback.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use manifest::Manifest;
use message::Response;
use miette::{Result, miette};
use zenoh::{Config, Wait};
use zenoh_link::{Arrival, Inbox, Link};

use super::answerer::Answerer;
use super::{ROUTE, Server, until_the_bench_ends};

/// Through the box's own link.
pub(super) fn serve_tuned(server: &Server, manifest: &Manifest) -> Result<()> {
    let answerer = Answerer::of(server.subject, manifest)?;
    let opened: Arc<OnceLock<Mutex<Opened>>> = Arc::default();
    let woken = Arc::clone(&opened);
    // The link wakes on zenoh's thread, at the end of its callback: here the frame is taken out at once.
    let (link, inbox) = server.open_link(manifest, move || {
        if let Some(opened) = woken.get() {
            opened.lock().unwrap_or_else(PoisonError::into_inner).answer();
        }
    })?;
    let _ = opened.set(Mutex::new(Opened { link, inbox, answerer }));
    until_the_bench_ends();
    Ok(())
}

struct Opened {
    link: Link,
    inbox: Inbox,
    answerer: Answerer,
}

impl Opened {
    fn answer(&mut self) {
        let Self { link, inbox, answerer } = self;
        inbox.poll(|arrival| {
            if let Arrival::Frame { bytes, .. } = arrival {
                let mut reply = [0; Response::MAX_FRAME];
                let length = answerer.answer(bytes, &mut reply);
                // A put that failed shows as an observation without an answer.
                let _ = link.respond(ROUTE, &reply[..length]);
            }
        });
    }
}

/// Through zenoh as it comes: only scouting is off, and the endpoint given.
pub(super) fn serve_default(server: &Server, manifest: &Manifest) -> Result<()> {
    let answerer = Mutex::new(Answerer::of(server.subject, manifest)?);
    let zenoh = |error: zenoh::Error| miette!("zenoh: {error}");
    let mut config = Config::default();
    for (key, value) in [
        ("mode", "\"peer\""),
        ("listen/endpoints", &format!("{:?}", [server.endpoint()?])),
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
    ] {
        config.insert_json5(key, value).map_err(zenoh)?;
    }
    let session = zenoh::open(config).wait().map_err(zenoh)?;
    let keys = server.subject.route(0);
    let publisher = session.declare_publisher(keys.response).wait().map_err(zenoh)?;
    let _receiving = session
        .declare_subscriber(keys.observation)
        .callback(move |sample| {
            let mut reply = [0; Response::MAX_FRAME];
            let mut answerer = answerer.lock().unwrap_or_else(PoisonError::into_inner);
            let length = answerer.answer(&sample.payload().to_bytes(), &mut reply);
            let _ = publisher.put(&reply[..length]).wait();
        })
        .wait()
        .map_err(zenoh)?;
    until_the_bench_ends();
    Ok(())
}
