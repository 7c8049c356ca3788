//! Messages of every kind, and the means to change a frame and make its CRC hold again.
#![allow(dead_code, reason = "no test uses all of them")]

use crc::{CRC_32_ISCSI, Crc};
use message::{
    Address, Body, Boot, ContractDigest, Epoch, InferBody, InferReply, InferRequest, InferResult, InferStored, Input,
    ModelDigest, Notice, NoticeKind, Observation, Place, ReasonNumber, Reset, Response, Sequence, Source, Stamp,
    Status,
};

/// Frame offsets of the CRCs.
pub(crate) const OBSERVATION_CRC: usize = 64;
pub(crate) const RESPONSE_CRC: usize = 120;
pub(crate) const NOTICE_CRC: usize = 32;
pub(crate) const RESET_CRC: usize = 44;
pub(crate) const REQUEST_CRC: usize = 48;
pub(crate) const REPLY_CRC: usize = 80;
pub(crate) const INPUT_CRC: usize = 52;
pub(crate) const STORED_CRC: usize = 52;

/// Values whose bytes are all different from their neighbours'.
pub(crate) const VALUES: [u8; 9] = [0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9];

/// An observation whose fields all differ.
pub(crate) fn observation() -> Observation<'static> {
    Observation {
        address: Address::new(0x0403_0201),
        contract: ContractDigest::new(counting(0x10)),
        epoch: Epoch::new(0x2827_2625_2423_2221),
        sequence: sequence(0x3837_3635_3433_3231),
        stamp: Stamp::new(0x4847_4645_4443_4241),
        last_response: Sequence::new(0x5857_5655_5453_5251),
        budget_us: 0x6463_6261,
        values: &VALUES,
    }
}

/// A response whose fields all differ.
pub(crate) fn response() -> Response<'static> {
    Response {
        address: Address::new(0x0403_0201),
        contract: ContractDigest::new(counting(0x10)),
        boot: Boot::new(0x2827_2625_2423_2221),
        epoch: Epoch::new(0x3837_3635_3433_3231),
        sequence: Sequence::new(0x4847_4645_4443_4241),
        stamp: Stamp::new(0x5857_5655_5453_5251),
        model: ModelDigest::new(counting(0x80)),
        plan: 0x6867_6665_6463_6261,
        plan_step: 0x7473_7271,
        age_us: 0xa4a3_a2a1,
        input_age_us: 0xb4b3_b2b1,
        status: Status::CLAMPED.with(Status::DEGRADED),
        body: Body::Action { place: Place::Cluster, values: &VALUES },
    }
}

/// The same response with each body that it can have.
pub(crate) fn responses() -> Vec<Response<'static>> {
    let reason = reason(214);
    [
        response().body,
        Body::Action { place: Place::Box, values: &[] },
        Body::Fallback { reason, values: &VALUES },
        Body::Refusal { reason },
    ]
    .into_iter()
    .map(|body| Response { body, ..response() })
    .chain([Response {
        sequence: None,
        model: ModelDigest::NONE,
        status: Status::NONE,
        body: Body::Refusal { reason },
        ..response()
    }])
    .collect()
}

/// A notice whose fields all differ.
pub(crate) fn notice() -> Notice {
    Notice {
        address: Address::new(0x0403_0201),
        boot: Boot::new(0x2827_2625_2423_2221),
        epoch: Epoch::new(0x3837_3635_3433_3231),
        reason: reason(0x4241),
        kind: NoticeKind::Farewell,
    }
}

/// A reset whose fields all differ.
pub(crate) fn reset() -> Reset {
    Reset {
        address: Address::new(0x0403_0201),
        contract: ContractDigest::new(counting(0x10)),
        epoch: Epoch::new(0x2827_2625_2423_2221),
        from_sequence: sequence(0x3837_3635_3433_3231),
    }
}

/// What is said of a stored request, with fields that all differ.
pub(crate) fn stored() -> InferStored {
    InferStored {
        address: Address::new(0x0403_0201),
        boot: Boot::new(0x2827_2625_2423_2221),
        request: 0x3837_3635_3433_3231,
        stamp: Stamp::new(0x4847_4645_4443_4241),
        position: 0x5857_5655_5453_5251,
        time_to_live_ms: 0x6463_6261,
        status: Status::INSECURE.with(Status::DEGRADED),
    }
}

/// A request whose fields all differ.
pub(crate) fn request() -> InferRequest<'static> {
    InferRequest {
        address: Address::new(0x0403_0201),
        contract: ContractDigest::new(counting(0x10)),
        request: 0x2827_2625_2423_2221,
        stamp: Stamp::new(0x3837_3635_3433_3231),
        budget_us: 0x4443_4241,
        values: &VALUES,
    }
}

/// A sample of a joined input whose fields all differ.
pub(crate) fn input() -> Input<'static> {
    Input {
        address: Address::new(0x0403_0201),
        contract: ContractDigest::new(counting(0x10)),
        source: Source::new(0x2827_2625_2423_2221),
        sequence: sequence(0x3837_3635_3433_3231),
        stamp: Stamp::new(0x4847_4645_4443_4241),
        values: &VALUES,
    }
}

/// A reply whose fields all differ.
pub(crate) fn reply() -> InferReply<'static> {
    InferReply {
        address: Address::new(0x0403_0201),
        boot: Boot::new(0x2827_2625_2423_2221),
        request: 0x3837_3635_3433_3231,
        stamp: Stamp::new(0x4847_4645_4443_4241),
        model: ModelDigest::new(counting(0x80)),
        age_us: 0x5453_5251,
        status: Status::INSECURE.with(Status::DEGRADED),
        body: InferBody::Result { place: Place::Cluster, values: &VALUES },
    }
}

/// Results whose fields all differ.
pub(crate) fn result() -> InferResult<'static> {
    let InferReply { address, boot, request, stamp, model, age_us, status, .. } = reply();
    InferResult { address, boot, request, stamp, model, age_us, status, place: Place::Cluster, values: &VALUES }
}

/// The same reply with each body that it can have.
pub(crate) fn replies() -> Vec<InferReply<'static>> {
    [reply().body, InferBody::Result { place: Place::Box, values: &[] }, InferBody::Refusal { reason: reason(214) }]
        .into_iter()
        .map(|body| InferReply { body, ..reply() })
        .collect()
}

pub(crate) fn sequence(value: u64) -> Sequence {
    Sequence::new(value).expect("a sequence of a sample is not 0")
}

pub(crate) fn reason(value: u16) -> ReasonNumber {
    ReasonNumber::new(value).expect("a reason of a sample is not 0")
}

pub(crate) fn observation_frame(observation: &Observation<'_>) -> Vec<u8> {
    let mut frame = vec![0; Observation::OVERHEAD + observation.values.len()];
    let length = observation.encode(&mut frame);
    assert_eq!(length, Ok(frame.len()));
    frame
}

pub(crate) fn response_frame(response: &Response<'_>) -> Vec<u8> {
    let mut frame = vec![0; Response::MAX_FRAME];
    let length = response.encode(&mut frame).expect("the sample fits");
    frame.truncate(length);
    frame
}

pub(crate) fn notice_frame(notice: &Notice) -> Vec<u8> {
    let mut frame = vec![0; Notice::MAX_FRAME];
    let length = notice.encode(&mut frame).expect("the sample fits");
    frame.truncate(length);
    frame
}

pub(crate) fn reset_frame(reset: &Reset) -> Vec<u8> {
    let mut frame = vec![0; Reset::MAX_FRAME];
    let length = reset.encode(&mut frame).expect("the sample fits");
    frame.truncate(length);
    frame
}

pub(crate) fn stored_frame(stored: &InferStored) -> Vec<u8> {
    let mut frame = vec![0; InferStored::OVERHEAD];
    let length = stored.encode(&mut frame).expect("the sample fits");
    frame.truncate(length);
    frame
}

pub(crate) fn request_frame(request: &InferRequest<'_>) -> Vec<u8> {
    let mut frame = vec![0; InferRequest::OVERHEAD + request.values.len()];
    let length = request.encode(&mut frame);
    assert_eq!(length, Ok(frame.len()));
    frame
}

pub(crate) fn result_frame(result: &InferResult<'_>) -> Vec<u8> {
    let mut frame = vec![0; InferResult::OVERHEAD + result.values.len()];
    let length = result.encode(&mut frame);
    assert_eq!(length, Ok(frame.len()));
    frame
}

pub(crate) fn input_frame(input: &Input<'_>) -> Vec<u8> {
    let mut frame = vec![0; Input::OVERHEAD + input.values.len()];
    let length = input.encode(&mut frame);
    assert_eq!(length, Ok(frame.len()));
    frame
}

pub(crate) fn reply_frame(reply: &InferReply<'_>) -> Vec<u8> {
    let mut frame = vec![0; InferReply::MAX_FRAME];
    let length = reply.encode(&mut frame).expect("the sample fits");
    frame.truncate(length);
    frame
}

/// The frame with these bytes at this offset, and a CRC that holds.
pub(crate) fn changed(frame: &[u8], crc_at: usize, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    resealed(frame, crc_at)
}

/// The frame with a CRC that holds.
pub(crate) fn resealed(mut frame: Vec<u8>, crc_at: usize) -> Vec<u8> {
    let crc32c = Crc::<u32>::new(&CRC_32_ISCSI);
    let mut digest = crc32c.digest();
    digest.update(&frame[..crc_at]);
    digest.update(&frame[crc_at + 4..]);
    frame[crc_at..crc_at + 4].copy_from_slice(&digest.finalize().to_le_bytes());
    frame
}

/// Bytes that count upwards from the first.
pub(crate) fn counting<const N: usize>(first: u8) -> [u8; N] {
    let mut next = first;
    [(); N].map(|()| {
        let byte = next;
        next = next.wrapping_add(1);
        byte
    })
}
