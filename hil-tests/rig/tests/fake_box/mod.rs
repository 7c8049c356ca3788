//! A box that answers by a script: what it sends is known, so the robot's books can be checked.

use std::sync::{Arc, Mutex};

use message::{
    Address, Body, Boot, ContractDigest, ModelDigest, Observation, Place, ReasonNumber, Response, Stamp, Status,
    put_floats,
};
use zenoh::qos::CongestionControl;
use zenoh::sample::Sample;
use zenoh::{Config, Session, Wait};

use rig::Site;

/// How the box treats one observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    Model,
    Fallback(u16),
    Refuse(u16),
    Silence,
    Twice,
    /// To another robot's address.
    Astray,
}

/// A scripted box and what it did.
pub(crate) struct FakeBox {
    session: Session,
    done: Arc<Mutex<Vec<Treatment>>>,
}

impl FakeBox {
    /// Listens on a free port; the script says how each sequence is treated.
    pub(crate) fn start(site: &Site, script: fn(u64) -> Treatment) -> (Self, String) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let endpoint = format!("tcp/127.0.0.1:{}", port.expect("a port is free").port());
        let session = zenoh::open(config(&endpoint)).wait().expect("it can listen");
        let done = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&done);
        let publisher = session
            .declare_publisher(site.response_key.clone())
            // so that what was sent arrives
            .congestion_control(CongestionControl::Block)
            .express(true)
            .wait()
            .expect("the key is fit");
        let address = site.address();
        let contract = site.contract;
        let answer = move |sample: Sample| {
            let frame = sample.payload().to_bytes();
            let observation = Observation::decode(&frame).expect("the robot sends observations");
            assert_eq!((observation.address, observation.contract), (address, contract));
            let treatment = script(observation.sequence.value());
            noted.lock().expect("nobody panics with it").push(treatment);
            for frame in answers(&observation, treatment) {
                publisher.put(frame).wait().expect("it can be put");
            }
        };
        session
            .declare_subscriber(site.observation_key.clone())
            .callback(answer)
            .background()
            .wait()
            .expect("the key is fit");
        (Self { session, done }, endpoint)
    }

    /// What it did, and ends.
    pub(crate) fn stop(self) -> Vec<Treatment> {
        self.session.close().wait().expect("it can be closed");
        self.done.lock().expect("nobody panics with it").clone()
    }
}

fn answers(observation: &Observation<'_>, treatment: Treatment) -> Vec<Vec<u8>> {
    let mut values = [0; 24];
    put_floats(&[0.0; 6], &mut values).expect("there is room");
    let reason = |number| ReasonNumber::new(number).expect("no reason is 0");
    let model = Body::Action { place: Place::Box, values: &values };
    let astray = Address::of("another", "robot");
    let (address, bodies) = match treatment {
        Treatment::Model => (observation.address, vec![model]),
        Treatment::Fallback(number) => {
            (observation.address, vec![Body::Fallback { reason: reason(number), values: &values }])
        }
        Treatment::Refuse(number) => (observation.address, vec![Body::Refusal { reason: reason(number) }]),
        Treatment::Silence => (observation.address, vec![]),
        Treatment::Twice => (observation.address, vec![model, model]),
        Treatment::Astray => (astray, vec![model]),
    };
    bodies.into_iter().map(|body| encode(observation, address, observation.contract, body)).collect()
}

fn encode(observation: &Observation<'_>, address: Address, contract: ContractDigest, body: Body<'_>) -> Vec<u8> {
    let response = Response {
        address,
        contract,
        boot: Boot::new(7),
        epoch: observation.epoch,
        sequence: Some(observation.sequence),
        stamp: Stamp::new(observation.stamp.value()),
        model: ModelDigest::NONE,
        plan: 0,
        plan_step: 0,
        age_us: 100,
        input_age_us: 100,
        status: Status::NONE,
        body,
    };
    let mut frame = vec![0; Response::MAX_FRAME];
    let length = response.encode(&mut frame).expect("there is room");
    frame.truncate(length);
    frame
}

fn config(endpoint: &str) -> Config {
    let mut config = Config::default();
    for (key, value) in [
        ("mode", "\"peer\""),
        ("listen/endpoints", &format!("{:?}", [endpoint])),
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
    ] {
        config.insert_json5(key, value).expect("zenoh knows it");
    }
    config
}
