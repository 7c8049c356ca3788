//! A controller's demands that its state begins anew: when, from where, and what is wrong with some.

use fastrand::Rng;
use message::{Address, ContractDigest, Epoch, Reset, Sequence};

use crate::report::{Disturbance, Disturbances};

/// The demand of a controller whose next observation has this sequence, or one with a fault.
pub(crate) fn demand(
    rng: &mut Rng,
    seen: &mut Disturbances,
    (address, contract): (Address, ContractDigest),
    (epoch, next): (u64, u64),
) -> Vec<u8> {
    let from = match rng.u8(..4) {
        0 => 1,
        1 => next,
        _ => next + rng.u64(..6),
    };
    let proper = Reset {
        address,
        contract,
        epoch: Epoch::new(epoch),
        from_sequence: Sequence::new(from.max(1)).expect("at least 1"),
    };
    let improper = match rng.u8(..12) {
        0 => Reset { address: Address::new(address.value() ^ rng.u32(1..)), ..proper },
        1 => Reset { contract: ContractDigest::new(contract.bytes().map(|byte| byte ^ rng.u8(1..))), ..proper },
        2 => Reset { epoch: Epoch::new(epoch ^ rng.u64(1..)), ..proper },
        3 => {
            seen.note(Disturbance::ImproperReset);
            let mut frame = encode(&proper);
            let at = rng.usize(..frame.len());
            frame[at] ^= 1 << rng.u8(..8);
            return frame;
        }
        _ => {
            seen.note(Disturbance::ResetDemanded);
            return encode(&proper);
        }
    };
    seen.note(Disturbance::ImproperReset);
    encode(&improper)
}

fn encode(reset: &Reset) -> Vec<u8> {
    let mut frame = vec![0; Reset::OVERHEAD];
    reset.encode(&mut frame).expect("there is room for the whole frame");
    frame
}
