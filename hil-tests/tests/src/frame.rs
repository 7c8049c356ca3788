//! Frames as a stranger writes them: right at first, then wrong in one way.

use crc::{CRC_32_ISCSI, Crc};
use message::{Address, ContractDigest, Epoch, Observation, Sequence, Stamp, put_floats};
use rig::{Moment, Site};

use crate::controller::HOME;

/// An observation to be.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Robot and task.
    pub address: Address,
    /// The contract.
    pub contract: ContractDigest,
    /// The controller's start.
    pub epoch: u64,
    /// At least 1.
    pub sequence: u64,
    /// In microseconds; 0 for the task's deadline.
    pub budget_us: u32,
    /// The elements.
    pub values: Vec<f32>,
}

impl Frame {
    /// A valid observation of this robot.
    #[must_use]
    pub fn of(site: &Site, epoch: u64, sequence: u64) -> Self {
        let mut values = HOME.to_vec();
        values.push(0.0);
        Self { address: site.address(), contract: site.contract, epoch, sequence, budget_us: 0, values }
    }

    /// Its bytes.
    ///
    /// # Panics
    /// If its sequence is 0.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut values = vec![0; self.values.len() * size_of::<f32>()];
        put_floats(&self.values, &mut values).expect("as many bytes as are needed");
        let observation = Observation {
            address: self.address,
            contract: self.contract,
            epoch: Epoch::new(self.epoch),
            sequence: Sequence::new(self.sequence).expect("a sequence counts from 1"),
            stamp: Stamp::new(Moment::now().as_nanos()),
            last_response: None,
            budget_us: self.budget_us,
            values: &values,
        };
        let mut bytes = vec![0; Observation::OVERHEAD + values.len()];
        observation.encode(&mut bytes).expect("as many bytes as are needed");
        bytes
    }
}

/// Where `ObservationV1` has its checksum, counted from the frame's start.
const CRC_AT: usize = 64;

/// The frame with a checksum that holds, whatever it says; unchanged where it has no room for one.
#[must_use]
pub fn resealed(mut frame: Vec<u8>) -> Vec<u8> {
    if let Some((before, rest)) = frame.split_at_checked(CRC_AT)
        && let Some((_, after)) = rest.split_at_checked(size_of::<u32>())
    {
        let algorithm = Crc::<u32>::new(&CRC_32_ISCSI);
        let mut digest = algorithm.digest();
        digest.update(before);
        digest.update(after);
        let crc = digest.finalize().to_le_bytes();
        frame[CRC_AT..CRC_AT + crc.len()].copy_from_slice(&crc);
    }
    frame
}
