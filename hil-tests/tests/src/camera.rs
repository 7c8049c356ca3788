//! A camera beside a robot: publishes samples of a joined input, good ones or whatever bytes it likes.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

use message::{Address, ContractDigest, Input, Sequence, Source, Stamp, put_floats};
use rig::{Moment, Site};
use zenoh::{Session, Wait, pubsub::Publisher, qos::CongestionControl, sample::Locality};

use crate::{
    genba::{Genba, eventually},
    stranger,
};

/// Whoever sends one joined input of one robot.
pub struct Camera {
    publisher: Publisher<'static>,
    // Ends with it.
    _session: Session,
    address: Address,
    contract: ContractDigest,
    source: u64,
    sent: AtomicU64,
}

/// A sample to be.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the message")]
pub struct Shot {
    pub address: Address,
    pub contract: ContractDigest,
    pub source: u64,
    pub sequence: u64,
    pub stamp: u64,
    pub values: Vec<f32>,
}

impl Camera {
    /// Opens a session of its own for this input of a robot.
    ///
    /// # Panics
    /// If the box does not listen.
    #[must_use]
    pub fn connect(genba: &Genba, site: &Site, input: &str) -> Self {
        let stem = site.observation_key.strip_suffix("observation").expect("an observation's key ends so");
        let address = Address::of_input(&site.robot, &site.task, input);
        Self { address, contract: site.contract, ..Self::on(genba, &format!("{stem}input/{input}")) }
    }

    /// Opens a session of its own for whatever is published on this key.
    ///
    /// # Panics
    /// If the box does not listen.
    #[must_use]
    pub fn on(genba: &Genba, key: &str) -> Self {
        let session = zenoh::open(stranger::config(genba.endpoint())).wait().expect("a session opens");
        let publisher = session
            .declare_publisher(key.to_owned())
            .congestion_control(CongestionControl::Block)
            .allowed_destination(Locality::Remote)
            .wait()
            .expect("a publisher is declared");
        eventually("the box listens", || publisher.matching_status().wait().ok()?.matching().then_some(()));
        Self {
            publisher,
            _session: session,
            address: Address::new(0),
            contract: ContractDigest::new([0; 16]),
            source: Moment::now().as_nanos(),
            sent: AtomicU64::new(0),
        }
    }

    /// Starts anew: the same camera, as another source.
    #[must_use]
    pub fn restarted(self) -> Self {
        Self { source: self.source + 1, sent: AtomicU64::new(0), ..self }
    }

    /// Its next good sample.
    ///
    /// # Panics
    /// If the wall clock is before 1970.
    #[must_use]
    pub fn next(&self, values: &[f32]) -> Shot {
        let sequence = self.sent.fetch_add(1, Relaxed) + 1;
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
        let stamp = u64::try_from(unix.as_nanos()).expect("it is before 2554");
        let Self { address, contract, source, .. } = *self;
        Shot { address, contract, source, sequence, stamp, values: values.to_vec() }
    }

    /// Publishes these bytes.
    ///
    /// # Panics
    /// If the session is closed.
    pub fn send(&self, bytes: Vec<u8>) {
        self.publisher.put(bytes).wait().expect("an open session takes everything");
    }

    /// Publishes its next good sample.
    pub fn shoot(&self, values: &[f32]) {
        self.send(self.next(values).bytes());
    }
}

impl Shot {
    /// Its bytes.
    ///
    /// # Panics
    /// If its sequence is 0.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut values = vec![0; self.values.len() * size_of::<f32>()];
        put_floats(&self.values, &mut values).expect("as many bytes as are needed");
        let sample = Input {
            address: self.address,
            contract: self.contract,
            source: Source::new(self.source),
            sequence: Sequence::new(self.sequence).expect("a sequence counts from 1"),
            stamp: Stamp::new(self.stamp),
            values: &values,
        };
        let mut bytes = vec![0; Input::OVERHEAD + values.len()];
        sample.encode(&mut bytes).expect("as many bytes as are needed");
        bytes
    }
}
