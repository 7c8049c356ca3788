//! What goes wrong with a frame before the box has it.

use fastrand::Rng;
use message::{Address, ContractDigest, Observation, Sequence};

use crate::{
    controller::{Identity, encode},
    report::{Disturbance, Disturbances},
};

/// A proper frame made wrong in one way, or an old frame once more.
pub(crate) fn mangle(
    rng: &mut Rng,
    seen: &mut Disturbances,
    identity: Identity,
    frame: &[u8],
    last_frame: &[u8],
) -> Vec<u8> {
    let proper = Observation::decode(frame).expect("a controller's frame is proper before it is mangled");
    let (how, mangled) = match rng.u8(..13) {
        0 => (Disturbance::Truncated, frame[..rng.usize(..frame.len())].to_vec()),
        1 | 2 => (Disturbance::BitFlipped, with_a_bit_flipped(rng, frame)),
        3 => (Disturbance::WrongType, of_another_type(rng, frame)),
        4 => {
            let contract = ContractDigest::new(identity.contract.bytes().map(|byte| byte ^ rng.u8(1..)));
            (Disturbance::WrongContract, encode(&Observation { contract, ..proper }))
        }
        5 => {
            let address = Address::new(identity.address.value() ^ rng.u32(1..));
            (Disturbance::WrongAddress, encode(&Observation { address, ..proper }))
        }
        6 => {
            let values = &proper.values[..rng.usize(..proper.values.len())];
            (Disturbance::ValuesMissing, encode(&Observation { values, ..proper }))
        }
        7 => (Disturbance::ValuesNotFinite, with_a_value_not_finite(rng, &proper)),
        8 => (Disturbance::SequenceZero, with_sequence_zero(frame)),
        9 | 10 if !last_frame.is_empty() => (Disturbance::Duplicated, last_frame.to_vec()),
        11 => (Disturbance::Oversized, larger_than_any(rng, &proper)),
        _ => {
            let back = rng.u64(1..=20);
            let sequence = Sequence::new(proper.sequence.value().saturating_sub(back).max(1)).expect("at least 1");
            (Disturbance::WentBack, encode(&Observation { sequence, ..proper }))
        }
    };
    seen.note(how);
    mangled
}

/// A frame for a robot that the box does not have; some cannot be read, the largest are not handed on at all.
pub(crate) fn stray(rng: &mut Rng, seen: &mut Disturbances, frame: &[u8]) -> Vec<u8> {
    match (rng.u8(..6), Observation::decode(frame)) {
        (0, _) => {
            seen.note(Disturbance::StrayUnreadable);
            Vec::new()
        }
        (1, _) | (_, Err(_)) => {
            seen.note(Disturbance::StrayUnreadable);
            frame[..rng.usize(..=frame.len())].to_vec()
        }
        (_, Ok(proper)) => encode(&Observation { address: Address::new(rng.u32(..)), ..proper }),
    }
}

/// One flipped bit, more often in the fields that have a reason of their own.
fn with_a_bit_flipped(rng: &mut Rng, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let place = match rng.u8(..4) {
        0 => rng.usize(..TYPE_END),
        1 => rng.usize(LENGTH_AT..Observation::OVERHEAD),
        _ => rng.usize(..frame.len()),
    };
    frame[place] ^= 1 << rng.u8(..8);
    frame
}

/// A message that is none, of a type that the box never reads.
fn of_another_type(rng: &mut Rng, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let other = message::Response::TYPE_ID ^ rng.u32(..2);
    frame[ENCAPSULATION_END..TYPE_END].copy_from_slice(&other.to_le_bytes());
    seal(&mut frame);
    frame
}

fn with_a_value_not_finite(rng: &mut Rng, proper: &Observation<'_>) -> Vec<u8> {
    let mut values: Vec<f32> = message::floats(proper.values).collect();
    let place = rng.usize(..values.len());
    values[place] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][rng.usize(..3)];
    let mut bytes = proper.values.to_vec();
    message::put_floats(&values, &mut bytes).expect("as many as before");
    encode(&Observation { values: &bytes, ..*proper })
}

fn with_sequence_zero(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[SEQUENCE_AT..SEQUENCE_AT + size_of::<u64>()].fill(0);
    seal(&mut frame);
    frame
}

fn larger_than_any(rng: &mut Rng, proper: &Observation<'_>) -> Vec<u8> {
    let mut values = proper.values.to_vec();
    values.resize(values.len() + rng.usize(1..400), 0);
    encode(&Observation { values: &values, ..*proper })
}

/// Makes the checksum hold again, so that another fault than the checksum is found.
fn seal(frame: &mut [u8]) {
    let crc = crc32c(frame[..CRC_AT].iter().chain(&frame[CRC_AT + size_of::<u32>()..]));
    frame[CRC_AT..CRC_AT + size_of::<u32>()].copy_from_slice(&crc.to_le_bytes());
}

/// CRC-32C bit by bit, with the reversed polynomial of RFC 3720: written again, so as not to trust the codec.
fn crc32c<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let all = bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 })
    });
    !all
}

// Offsets in a frame, as `ObservationV1.msg` numbers them after the 4 bytes of the encapsulation.
const ENCAPSULATION_END: usize = 4;
const TYPE_END: usize = ENCAPSULATION_END + 4;
const SEQUENCE_AT: usize = ENCAPSULATION_END + 32;
const CRC_AT: usize = ENCAPSULATION_END + 60;
const LENGTH_AT: usize = ENCAPSULATION_END + 64;
