//! What was encoded is decoded as it was, and any one changed byte is noticed.

mod samples;

use message::{
    Address, Body, Boot, ContractDigest, Epoch, InferBody, InferReply, InferRequest, InferResult, InferStored, Input,
    ModelDigest, Notice, NoticeKind, Observation, Place, Reset, Response, Sequence, Source, Stamp, Status, peek,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use samples::{
    INPUT_CRC, NOTICE_CRC, OBSERVATION_CRC, REPLY_CRC, REQUEST_CRC, RESET_CRC, RESPONSE_CRC, input_frame, notice_frame,
    observation_frame, reason, reply_frame, request_frame, resealed, reset_frame, response_frame, result_frame,
    sequence, stored_frame,
};

proptest! {
    #[test]
    fn an_observation_comes_back(fields in observations(), values in vec(any::<u8>(), 0..300)) {
        let observation = Observation { values: &values, ..fields };
        let frame = observation_frame(&observation);
        prop_assert_eq!(Observation::decode(&frame), Ok(observation));
        let header = peek(&frame).expect("a valid observation has a header");
        prop_assert_eq!(header.epoch, observation.epoch);
        prop_assert_eq!(header.sequence, observation.sequence);
        prop_assert_eq!(header.stamp, observation.stamp);
    }

    #[test]
    fn a_response_comes_back(
        fields in responses(),
        tag in (1_u8..=4, 1_u16..),
        values in vec(any::<u8>(), 0..=Response::MAX_VALUES),
    ) {
        let response = Response { body: body(tag, &values), ..fields };
        let frame = response_frame(&response);
        prop_assert!(frame.len() <= Response::MAX_FRAME);
        prop_assert_eq!(Response::decode(&frame), Ok(response));
    }

    #[test]
    fn a_refusal_without_a_sequence_comes_back(fields in responses(), number in 1_u16..) {
        let body = Body::Refusal { reason: reason(number) };
        let response = Response { sequence: None, body, ..fields };
        let frame = response_frame(&response);
        prop_assert_eq!(Response::decode(&frame), Ok(response));
    }

    #[test]
    fn a_notice_comes_back(notice in notices()) {
        prop_assert_eq!(Notice::decode(&notice_frame(&notice)), Ok(notice));
    }

    #[test]
    fn a_reset_comes_back(reset in resets()) {
        prop_assert_eq!(Reset::decode(&reset_frame(&reset)), Ok(reset));
    }

    #[test]
    fn what_is_said_of_a_stored_request_comes_back(stored in stored()) {
        prop_assert_eq!(InferStored::decode(&stored_frame(&stored)), Ok(stored));
    }

    #[test]
    fn a_request_comes_back(fields in requests(), values in vec(any::<u8>(), 0..300)) {
        let request = InferRequest { values: &values, ..fields };
        let frame = request_frame(&request);
        prop_assert_eq!(InferRequest::decode(&frame), Ok(request));
    }

    #[test]
    fn a_result_comes_back(fields in replies(), values in vec(any::<u8>(), 0..300)) {
        let InferReply { address, boot, request, stamp, model, age_us, status, .. } = fields;
        let place = Place::Box;
        let result = InferResult { address, boot, request, stamp, model, age_us, status, place, values: &values };
        let frame = result_frame(&result);
        prop_assert_eq!(InferResult::decode(&frame), Ok(result));
    }

    #[test]
    fn a_sample_comes_back(fields in inputs(), values in vec(any::<u8>(), 0..300)) {
        let input = Input { values: &values, ..fields };
        let frame = input_frame(&input);
        prop_assert_eq!(Input::decode(&frame), Ok(input));
    }

    #[test]
    fn one_changed_byte_of_a_sample_is_refused(
        fields in inputs(),
        values in vec(any::<u8>(), 0..300),
        at in any::<Index>(),
        flip in 1_u8..,
    ) {
        let mut frame = input_frame(&Input { values: &values, ..fields });
        *at.get_mut(&mut frame) ^= flip;
        prop_assert!(Input::decode(&frame).is_err());
    }

    #[test]
    fn a_reply_comes_back(
        fields in replies(),
        tag in (1_u8..=3, 1_u16..),
        values in vec(any::<u8>(), 0..=InferReply::MAX_VALUES),
    ) {
        let reply = InferReply { body: infer_body(tag, &values), ..fields };
        let frame = reply_frame(&reply);
        prop_assert!(frame.len() <= InferReply::MAX_FRAME);
        prop_assert_eq!(InferReply::decode(&frame), Ok(reply));
    }

    #[test]
    fn one_changed_byte_of_a_request_or_reply_is_refused(
        (request, reply) in (requests(), replies()),
        tag in (1_u8..=3, 1_u16..),
        values in vec(any::<u8>(), 0..300),
        at in any::<Index>(),
        flip in 1_u8..,
    ) {
        let mut frame = request_frame(&InferRequest { values: &values, ..request });
        *at.get_mut(&mut frame) ^= flip;
        prop_assert!(InferRequest::decode(&frame).is_err());
        let mut frame = reply_frame(&InferReply { body: infer_body(tag, &values), ..reply });
        *at.get_mut(&mut frame) ^= flip;
        prop_assert!(InferReply::decode(&frame).is_err());
    }

    #[test]
    fn one_changed_byte_of_an_observation_is_refused(
        fields in observations(),
        values in vec(any::<u8>(), 0..300),
        at in any::<Index>(),
        flip in 1_u8..,
    ) {
        let mut frame = observation_frame(&Observation { values: &values, ..fields });
        *at.get_mut(&mut frame) ^= flip;
        prop_assert!(Observation::decode(&frame).is_err());
        prop_assert_eq!(peek(&frame), None);
    }

    #[test]
    fn one_changed_byte_of_a_response_is_refused(
        fields in responses(),
        tag in (1_u8..=4, 1_u16..),
        values in vec(any::<u8>(), 0..=Response::MAX_VALUES),
        at in any::<Index>(),
        flip in 1_u8..,
    ) {
        let mut frame = response_frame(&Response { body: body(tag, &values), ..fields });
        *at.get_mut(&mut frame) ^= flip;
        prop_assert!(Response::decode(&frame).is_err());
    }

    #[test]
    fn one_changed_byte_of_a_notice_is_refused(
        notice in notices(),
        at in any::<Index>(),
        flip in 1_u8..,
    ) {
        let mut frame = notice_frame(&notice);
        *at.get_mut(&mut frame) ^= flip;
        prop_assert!(Notice::decode(&frame).is_err());
    }

    #[test]
    fn any_bytes_are_refused(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(Observation::decode(&bytes).is_err());
        prop_assert!(Response::decode(&bytes).is_err());
        prop_assert!(Notice::decode(&bytes).is_err());
        prop_assert!(Reset::decode(&bytes).is_err());
        prop_assert!(InferRequest::decode(&bytes).is_err());
        prop_assert!(InferReply::decode(&bytes).is_err());
        prop_assert!(Input::decode(&bytes).is_err());
        prop_assert!(InferResult::decode(&bytes).is_err());
        prop_assert_eq!(peek(&bytes), None);
    }

    /// Behind a CRC that holds, whatever is decoded says the same when it is encoded again.
    #[test]
    fn any_fields_behind_a_proper_crc_are_refused_or_understood(
        bytes in vec(any::<u8>(), 40..300),
        tag in (0_u8..2, 0_u8..5, 0_u8..4).prop_map(|(reason, kind, place)| [reason, 0, kind, place]),
    ) {
        let observation = frame_of(Observation::TYPE_ID, OBSERVATION_CRC, &bytes, tag);
        if let Ok(decoded) = Observation::decode(&observation) {
            prop_assert_eq!(observation_frame(&decoded), &*observation);
        }
        let response = frame_of(Response::TYPE_ID, RESPONSE_CRC, &bytes, tag);
        if let Ok(decoded) = Response::decode(&response) {
            let again = response_frame(&decoded);
            prop_assert_eq!(Response::decode(&again), Ok(decoded));
        }
        let notice = frame_of(Notice::TYPE_ID, NOTICE_CRC, &bytes, tag);
        if let Ok(decoded) = Notice::decode(&notice) {
            prop_assert_eq!(Notice::decode(&notice_frame(&decoded)), Ok(decoded));
        }
        let reset = frame_of(Reset::TYPE_ID, RESET_CRC, &bytes, tag);
        if let Ok(decoded) = Reset::decode(&reset) {
            prop_assert_eq!(Reset::decode(&reset_frame(&decoded)), Ok(decoded));
        }
        let request = frame_of(InferRequest::TYPE_ID, REQUEST_CRC, &bytes, tag);
        if let Ok(decoded) = InferRequest::decode(&request) {
            prop_assert_eq!(request_frame(&decoded), &*request);
        }
        let input = frame_of(Input::TYPE_ID, INPUT_CRC, &bytes, tag);
        if let Ok(decoded) = Input::decode(&input) {
            prop_assert_eq!(input_frame(&decoded), &*input);
        }
        let result = frame_of(InferResult::TYPE_ID, REPLY_CRC, &bytes, tag);
        if let Ok(decoded) = InferResult::decode(&result) {
            let again = result_frame(&decoded);
            prop_assert_eq!(InferResult::decode(&again), Ok(decoded));
        }
        let reply = frame_of(InferReply::TYPE_ID, REPLY_CRC, &bytes, tag);
        if let Ok(decoded) = InferReply::decode(&reply) {
            let again = reply_frame(&decoded);
            prop_assert_eq!(InferReply::decode(&again), Ok(decoded));
        }
    }
}

fn observations() -> impl Strategy<Value = Observation<'static>> {
    (any::<u32>(), any::<[u8; 16]>(), any::<u64>(), 1_u64.., any::<u64>(), any::<u64>(), any::<u32>()).prop_map(
        |(address, contract, epoch, number, stamp, last_response, budget_us)| Observation {
            address: Address::new(address),
            contract: ContractDigest::new(contract),
            epoch: Epoch::new(epoch),
            sequence: sequence(number),
            stamp: Stamp::new(stamp),
            last_response: Sequence::new(last_response),
            budget_us,
            values: &[],
        },
    )
}

fn responses() -> impl Strategy<Value = Response<'static>> {
    let identity = (any::<u32>(), any::<[u8; 16]>(), any::<[u8; 32]>());
    let order = (any::<u64>(), any::<u64>(), 1_u64.., any::<u64>());
    let origin = (any::<u64>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    (identity, order, origin).prop_map(
        |(
            (address, contract, model),
            (boot, epoch, number, stamp),
            (plan, plan_step, age_us, input_age_us, status),
        )| Response {
            address: Address::new(address),
            contract: ContractDigest::new(contract),
            boot: Boot::new(boot),
            epoch: Epoch::new(epoch),
            sequence: Some(sequence(number)),
            stamp: Stamp::new(stamp),
            model: ModelDigest::new(model),
            plan,
            plan_step,
            age_us,
            input_age_us,
            status: Status::from_bits(status),
            body: Body::Refusal { reason: reason(1) },
        },
    )
}

fn notices() -> impl Strategy<Value = Notice> {
    (any::<u32>(), any::<u64>(), any::<u64>(), 1_u16..).prop_map(|(address, boot, epoch, number)| Notice {
        address: Address::new(address),
        boot: Boot::new(boot),
        epoch: Epoch::new(epoch),
        reason: reason(number),
        kind: NoticeKind::Farewell,
    })
}

fn resets() -> impl Strategy<Value = Reset> {
    (any::<u32>(), any::<[u8; 16]>(), any::<u64>(), 1_u64..).prop_map(|(address, contract, epoch, number)| Reset {
        address: Address::new(address),
        contract: ContractDigest::new(contract),
        epoch: Epoch::new(epoch),
        from_sequence: sequence(number),
    })
}

fn stored() -> impl Strategy<Value = InferStored> {
    (any::<u32>(), any::<[u64; 4]>(), any::<u32>(), any::<u32>()).prop_map(|(address, numbers, live, bits)| {
        let [boot, request, stamp, position] = numbers;
        InferStored {
            address: Address::new(address),
            boot: Boot::new(boot),
            request,
            stamp: Stamp::new(stamp),
            position,
            time_to_live_ms: live,
            status: Status::from_bits(bits),
        }
    })
}

fn requests() -> impl Strategy<Value = InferRequest<'static>> {
    (any::<u32>(), any::<[u8; 16]>(), any::<u64>(), any::<u64>(), any::<u32>()).prop_map(
        |(address, contract, request, stamp, budget_us)| InferRequest {
            address: Address::new(address),
            contract: ContractDigest::new(contract),
            request,
            stamp: Stamp::new(stamp),
            budget_us,
            values: &[],
        },
    )
}

fn inputs() -> impl Strategy<Value = Input<'static>> {
    (any::<u32>(), any::<[u8; 16]>(), any::<u64>(), 1_u64.., any::<u64>()).prop_map(
        |(address, contract, source, number, stamp)| Input {
            address: Address::new(address),
            contract: ContractDigest::new(contract),
            source: Source::new(source),
            sequence: sequence(number),
            stamp: Stamp::new(stamp),
            values: &[],
        },
    )
}

fn replies() -> impl Strategy<Value = InferReply<'static>> {
    let origin = (any::<u32>(), any::<u64>(), any::<[u8; 32]>(), any::<u32>(), any::<u32>());
    (origin, any::<u64>(), any::<u64>()).prop_map(|((address, boot, model, age_us, status), request, stamp)| {
        InferReply {
            address: Address::new(address),
            boot: Boot::new(boot),
            request,
            stamp: Stamp::new(stamp),
            model: ModelDigest::new(model),
            age_us,
            status: Status::from_bits(status),
            body: InferBody::Refusal { reason: reason(1) },
        }
    })
}

fn infer_body((which, number): (u8, u16), values: &[u8]) -> InferBody<'_> {
    match which {
        1 => InferBody::Result { place: Place::Box, values },
        2 => InferBody::Result { place: Place::Cluster, values },
        _ => InferBody::Refusal { reason: reason(number) },
    }
}

fn body((which, number): (u8, u16), values: &[u8]) -> Body<'_> {
    let reason = reason(number);
    match which {
        1 => Body::Action { place: Place::Box, values },
        2 => Body::Action { place: Place::Cluster, values },
        3 => Body::Fallback { reason, values },
        _ => Body::Refusal { reason },
    }
}

/// A frame of this type around these bytes, whose length of the values and CRC are right. The four
/// bytes before the CRC, reason, kind and place where a type has them, are the tag.
fn frame_of(type_id: u32, crc_at: usize, bytes: &[u8], tag: [u8; 4]) -> Vec<u8> {
    let values_at = crc_at + 8;
    let mut frame = bytes.to_vec();
    frame.resize(frame.len().max(values_at), 0);
    frame[..4].copy_from_slice(&[0, 1, 0, 0]);
    frame[4..8].copy_from_slice(&type_id.to_le_bytes());
    frame[crc_at - 4..crc_at].copy_from_slice(&tag);
    let length = u32::try_from(frame.len() - values_at).expect("the frame is short");
    frame[crc_at + 4..values_at].copy_from_slice(&length.to_le_bytes());
    resealed(frame, crc_at)
}
