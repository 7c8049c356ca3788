//! What is refused, and as what.

mod samples;

use message::{
    Body, InferBody, InferReply, InferRequest, InferResult, InferStored, Input, Malformed, NoRoom, Notice, Observation,
    Place, Reset, Response, Sequence, Status, peek,
};
use samples::{
    INPUT_CRC, NOTICE_CRC, OBSERVATION_CRC, REPLY_CRC, REQUEST_CRC, RESET_CRC, RESPONSE_CRC, STORED_CRC, VALUES,
    changed, input, input_frame, notice, notice_frame, observation, observation_frame, reason, replies, reply,
    reply_frame, request, request_frame, resealed, reset, reset_frame, response, response_frame, responses, result,
    result_frame, stored, stored_frame,
};

#[test]
fn every_changed_byte_is_refused() {
    let observation = observation_frame(&observation());
    assert!(Observation::decode(&observation).is_ok(), "unchanged");
    for_each_changed_byte(&observation, |frame| Observation::decode(frame).is_err() && peek(frame).is_none());
    for response in responses() {
        let response = response_frame(&response);
        assert!(Response::decode(&response).is_ok(), "unchanged");
        for_each_changed_byte(&response, |frame| Response::decode(frame).is_err());
    }
    let notice = notice_frame(&notice());
    assert!(Notice::decode(&notice).is_ok(), "unchanged");
    for_each_changed_byte(&notice, |frame| Notice::decode(frame).is_err());
    let reset = reset_frame(&reset());
    assert!(Reset::decode(&reset).is_ok(), "unchanged");
    for_each_changed_byte(&reset, |frame| Reset::decode(frame).is_err());
    let stored = stored_frame(&stored());
    assert!(InferStored::decode(&stored).is_ok(), "unchanged");
    for_each_changed_byte(&stored, |frame| InferStored::decode(frame).is_err());
    let request = request_frame(&request());
    assert!(InferRequest::decode(&request).is_ok(), "unchanged");
    for_each_changed_byte(&request, |frame| InferRequest::decode(frame).is_err());
    let input = input_frame(&input());
    assert!(Input::decode(&input).is_ok(), "unchanged");
    for_each_changed_byte(&input, |frame| Input::decode(frame).is_err());
    let result = result_frame(&result());
    assert!(InferResult::decode(&result).is_ok(), "unchanged");
    for_each_changed_byte(&result, |frame| InferResult::decode(frame).is_err());
    for reply in replies() {
        let reply = reply_frame(&reply);
        assert!(InferReply::decode(&reply).is_ok(), "unchanged");
        for_each_changed_byte(&reply, |frame| InferReply::decode(frame).is_err());
    }
}

#[test]
fn every_lost_tail_is_refused() {
    let observation = observation_frame(&observation());
    let response = response_frame(&response());
    let notice = notice_frame(&notice());
    for length in 0..observation.len() {
        let expected = cut(length, Observation::OVERHEAD);
        assert_eq!(Observation::decode(&observation[..length]), Err(expected));
        assert_eq!(peek(&observation[..length]), None);
    }
    for length in 0..response.len() {
        let expected = cut(length, Response::OVERHEAD);
        assert_eq!(Response::decode(&response[..length]), Err(expected));
    }
    for length in 0..notice.len() {
        assert_eq!(Notice::decode(&notice[..length]), Err(Malformed::Truncated));
    }
    let reset = reset_frame(&reset());
    for length in 0..reset.len() {
        assert_eq!(Reset::decode(&reset[..length]), Err(Malformed::Truncated));
    }
    let stored = stored_frame(&stored());
    for length in 0..stored.len() {
        assert_eq!(InferStored::decode(&stored[..length]), Err(Malformed::Truncated));
    }
    let request = request_frame(&request());
    for length in 0..request.len() {
        let expected = cut(length, InferRequest::OVERHEAD);
        assert_eq!(InferRequest::decode(&request[..length]), Err(expected));
    }
    let input = input_frame(&input());
    for length in 0..input.len() {
        assert_eq!(Input::decode(&input[..length]), Err(cut(length, Input::OVERHEAD)));
    }
    let reply = reply_frame(&reply());
    for length in 0..reply.len() {
        let expected = cut(length, InferReply::OVERHEAD);
        assert_eq!(InferReply::decode(&reply[..length]), Err(expected));
    }
}

#[test]
fn every_trailing_byte_is_refused() {
    for padding in 1..=4 {
        let mut observation = observation_frame(&observation());
        observation.resize(observation.len() + padding, 0);
        let observation = resealed(observation, OBSERVATION_CRC);
        assert_eq!(Observation::decode(&observation), Err(Malformed::Length));

        let mut response = response_frame(&response());
        response.resize(response.len() + padding, 0);
        let response = resealed(response, RESPONSE_CRC);
        assert_eq!(Response::decode(&response), Err(Malformed::Length));

        let mut notice = notice_frame(&notice());
        notice.resize(notice.len() + padding, 0);
        let notice = resealed(notice, NOTICE_CRC);
        assert_eq!(Notice::decode(&notice), Err(Malformed::Length));

        let mut reset = reset_frame(&reset());
        reset.resize(reset.len() + padding, 0);
        let reset = resealed(reset, RESET_CRC);
        assert_eq!(Reset::decode(&reset), Err(Malformed::Length));

        let mut stored = stored_frame(&stored());
        stored.resize(stored.len() + padding, 0);
        let stored = resealed(stored, STORED_CRC);
        assert_eq!(InferStored::decode(&stored), Err(Malformed::Length));

        let mut request = request_frame(&request());
        request.resize(request.len() + padding, 0);
        let request = resealed(request, REQUEST_CRC);
        assert_eq!(InferRequest::decode(&request), Err(Malformed::Length));

        let mut input = input_frame(&input());
        input.resize(input.len() + padding, 0);
        assert_eq!(Input::decode(&resealed(input, INPUT_CRC)), Err(Malformed::Length));

        let mut reply = reply_frame(&reply());
        reply.resize(reply.len() + padding, 0);
        let reply = resealed(reply, REPLY_CRC);
        assert_eq!(InferReply::decode(&reply), Err(Malformed::Length));
    }
}

#[test]
fn the_first_fault_is_named() {
    let mut frame = observation_frame(&observation());
    frame[36..44].fill(0);
    let mut frame = resealed(frame, OBSERVATION_CRC);
    assert_eq!(Observation::decode(&frame), Err(Malformed::Sequence));
    frame[72] ^= 1;
    assert_eq!(Observation::decode(&frame), Err(Malformed::Crc));
    frame[68] ^= 1;
    assert_eq!(Observation::decode(&frame), Err(Malformed::Length));
    frame[4] ^= 1;
    assert_eq!(Observation::decode(&frame), Err(Malformed::Type));
    frame[1] = 0;
    assert_eq!(Observation::decode(&frame), Err(Malformed::Encapsulation));
    assert_eq!(Observation::decode(&frame[..71]), Err(Malformed::Truncated));
}

#[test]
fn another_type_is_refused() {
    let observation = observation_frame(&observation());
    let response = response_frame(&Response { body: Body::Refusal { reason: reason(1) }, ..response() });
    assert_eq!(Observation::decode(&response), Err(Malformed::Type));
    assert_eq!(Notice::decode(&observation), Err(Malformed::Type));
    assert_eq!(Notice::decode(&response), Err(Malformed::Type));
    assert_eq!(peek(&response), None);
    let request = request_frame(&request());
    assert_eq!(Observation::decode(&request), Err(Malformed::Truncated), "shorter than an observation");
    let long = InferRequest { values: &[7; 64], ..self::request() };
    assert_eq!(Observation::decode(&request_frame(&long)), Err(Malformed::Type));
    assert_eq!(InferRequest::decode(&observation), Err(Malformed::Type));
    assert_eq!(InferReply::decode(&response), Err(Malformed::Type));
    assert_eq!(InferReply::decode(&result_frame(&result())), Err(Malformed::Type));
    assert_eq!(InferResult::decode(&reply_frame(&reply())), Err(Malformed::Type));
    assert_eq!(Input::decode(&observation), Err(Malformed::Type));
    assert_eq!(Observation::decode(&input_frame(&Input { values: &[7; 64], ..input() })), Err(Malformed::Type));
}

#[test]
fn a_sample_without_a_sequence_or_over_its_bound_is_refused() {
    let frame = changed(&input_frame(&input()), INPUT_CRC, 36, &[0; 8]);
    assert_eq!(Input::decode(&frame), Err(Malformed::Sequence));
    for length in [u32::MAX, 1 << 31, 8] {
        let frame = changed(&input_frame(&input()), INPUT_CRC, 56, &length.to_le_bytes());
        assert_eq!(Input::decode(&frame), Err(Malformed::Length));
    }
    let more = vec![7; Input::MAX_VALUES + 1];
    let mut out = vec![0; Input::OVERHEAD + more.len()];
    assert_eq!(Input { values: &more, ..input() }.encode(&mut out), Err(NoRoom));
}

#[test]
fn results_of_another_kind_or_over_their_bound_are_refused() {
    for (kind, place, expected) in [(2, 1, Malformed::Kind), (1, 0, Malformed::Place), (1, 3, Malformed::Place)] {
        let frame = changed(&result_frame(&result()), REPLY_CRC, 78, &[kind, place]);
        assert_eq!(InferResult::decode(&frame), Err(expected));
    }
    let frame = changed(&result_frame(&result()), REPLY_CRC, 76, &[1, 0]);
    assert_eq!(InferResult::decode(&frame), Err(Malformed::Reason));
    let more = vec![7; InferResult::MAX_VALUES + 1];
    let mut out = vec![0; InferResult::OVERHEAD + more.len()];
    assert_eq!(InferResult { values: &more, ..result() }.encode(&mut out), Err(NoRoom));
}

#[test]
fn values_over_their_bound_are_refused() {
    let most = vec![7; Observation::MAX_VALUES];
    let observation = Observation { values: &most, ..observation() };
    let mut frame = observation_frame(&observation);
    assert_eq!(Observation::decode(&frame), Ok(observation));

    let more = vec![7; Observation::MAX_VALUES + 1];
    frame.push(7);
    let length = Observation { values: &more, ..observation }.encode(&mut frame);
    assert_eq!(length, Err(NoRoom));
    let frame = changed(&frame, OBSERVATION_CRC, 68, &[1, 0, 0, 1]);
    assert_eq!(Observation::decode(&frame), Err(Malformed::Length));
    assert_eq!(peek(&frame), None);

    let frame = changed(&response_frame(&response()), RESPONSE_CRC, 124, &1537_u32.to_le_bytes());
    let mut frame = frame[..Response::OVERHEAD].to_vec();
    frame.resize(Response::MAX_FRAME + 1, 7);
    assert_eq!(Response::decode(&resealed(frame, RESPONSE_CRC)), Err(Malformed::Length));
}

#[test]
fn a_length_of_four_gigabytes_is_refused() {
    for length in [u32::MAX, u32::MAX - 3, 1 << 31] {
        let frame = changed(&observation_frame(&observation()), OBSERVATION_CRC, 68, &length.to_le_bytes());
        assert_eq!(Observation::decode(&frame), Err(Malformed::Length));
    }
}

#[test]
fn a_header_is_read_although_the_values_have_another_length() {
    let sent = observation();
    let frame = changed(&observation_frame(&sent), OBSERVATION_CRC, 68, &[8]);
    assert_eq!(Observation::decode(&frame), Err(Malformed::Length));
    let header = peek(&frame).expect("the CRC holds");
    assert_eq!(header.epoch, sent.epoch);
    assert_eq!(header.sequence, sent.sequence);
    assert_eq!(header.stamp, sent.stamp);
}

#[test]
fn a_header_without_a_sequence_is_not_read() {
    let frame = changed(&observation_frame(&observation()), OBSERVATION_CRC, 36, &[0; 8]);
    assert_eq!(Observation::decode(&frame), Err(Malformed::Sequence));
    assert_eq!(peek(&frame), None);
}

#[test]
fn a_refusal_with_values_is_refused() {
    let fallback = Body::Fallback { reason: reason(214), values: &VALUES };
    let frame = response_frame(&Response { body: fallback, ..response() });
    let frame = changed(&frame, RESPONSE_CRC, KIND, &[3]);
    assert_eq!(Response::decode(&frame), Err(Malformed::RefusalWithValues));
}

#[test]
fn a_response_of_unknown_kind_is_refused() {
    let frame = response_frame(&response());
    for kind in [0, 4, 255] {
        let frame = changed(&frame, RESPONSE_CRC, KIND, &[kind]);
        assert_eq!(Response::decode(&frame), Err(Malformed::Kind));
    }
}

#[test]
fn an_action_with_a_reason_is_refused() {
    let frame = changed(&response_frame(&response()), RESPONSE_CRC, REASON, &[0, 1]);
    assert_eq!(Response::decode(&frame), Err(Malformed::Reason));
}

#[test]
fn an_action_from_nowhere_known_is_refused() {
    for place in [0, 3, 255] {
        let frame = changed(&response_frame(&response()), RESPONSE_CRC, PLACE, &[place]);
        assert_eq!(Response::decode(&frame), Err(Malformed::Place));
    }
}

#[test]
fn a_fallback_or_refusal_needs_a_reason_and_no_place() {
    for body in [Body::Fallback { reason: reason(214), values: &VALUES }, Body::Refusal { reason: reason(214) }] {
        let frame = response_frame(&Response { body, ..response() });
        let without_reason = changed(&frame, RESPONSE_CRC, REASON, &[0, 0]);
        assert_eq!(Response::decode(&without_reason), Err(Malformed::Reason));
        let from_somewhere = changed(&frame, RESPONSE_CRC, PLACE, &[1]);
        assert_eq!(Response::decode(&from_somewhere), Err(Malformed::Place));
    }
}

#[test]
fn only_a_refusal_goes_without_a_sequence() {
    for body in
        [Body::Action { place: Place::Box, values: &VALUES }, Body::Fallback { reason: reason(214), values: &VALUES }]
    {
        let frame = response_frame(&Response { body, ..response() });
        let frame = changed(&frame, RESPONSE_CRC, 44, &[0; 8]);
        assert_eq!(Response::decode(&frame), Err(Malformed::Sequence));

        let response = Response { sequence: None, body, ..response() };
        assert_eq!(response.encode(&mut [0; Response::MAX_FRAME]), Err(NoRoom));
    }
    let frame = response_frame(&Response { body: Body::Refusal { reason: reason(214) }, ..response() });
    let frame = changed(&frame, RESPONSE_CRC, 44, &[0; 8]);
    assert_eq!(Response::decode(&frame).map(|response| response.sequence), Ok(None));
}

#[test]
fn a_notice_of_unknown_kind_or_without_a_reason_is_refused() {
    let frame = notice_frame(&notice());
    assert_eq!(Notice::decode(&changed(&frame, NOTICE_CRC, 30, &[2])), Err(Malformed::Kind));
    assert_eq!(Notice::decode(&changed(&frame, NOTICE_CRC, 28, &[0, 0])), Err(Malformed::Reason));
}

#[test]
fn a_reply_is_what_its_kind_allows() {
    let result = reply_frame(&reply());
    for kind in [0, 3, 255] {
        assert_eq!(InferReply::decode(&changed(&result, REPLY_CRC, 78, &[kind])), Err(Malformed::Kind));
    }
    assert_eq!(InferReply::decode(&changed(&result, REPLY_CRC, 76, &[0, 1])), Err(Malformed::Reason));
    for place in [0, 3, 255] {
        assert_eq!(InferReply::decode(&changed(&result, REPLY_CRC, 79, &[place])), Err(Malformed::Place));
    }
    assert_eq!(InferReply::decode(&changed(&result, REPLY_CRC, 78, &[2])), Err(Malformed::RefusalWithValues));
    let refusal = reply_frame(&InferReply { body: InferBody::Refusal { reason: reason(214) }, ..reply() });
    assert_eq!(InferReply::decode(&changed(&refusal, REPLY_CRC, 76, &[0, 0])), Err(Malformed::Reason));
    assert_eq!(InferReply::decode(&changed(&refusal, REPLY_CRC, 79, &[1])), Err(Malformed::Place));
}

#[test]
fn what_a_later_version_may_set_is_ignored() {
    let frame = changed(&response_frame(&response()), RESPONSE_CRC, 112, &[0xff; 4]);
    let status = Response::decode(&frame).map(|response| response.status);
    assert_eq!(status, Ok(Status::from_bits(u32::MAX)));

    let frame = changed(&notice_frame(&notice()), NOTICE_CRC, 31, &[0xff]);
    assert_eq!(Notice::decode(&frame), Ok(notice()));

    let mut frame = notice_frame(&notice());
    frame.extend([7; Notice::MAX_DETAIL]);
    let frame = changed(&frame, NOTICE_CRC, 36, &1024_u32.to_le_bytes());
    assert_eq!(frame.len(), Notice::MAX_FRAME);
    assert_eq!(Notice::decode(&frame), Ok(notice()));
}

#[test]
fn a_reset_names_a_sequence_and_its_detail_is_passed_over() {
    let frame = reset_frame(&reset());
    assert_eq!(Reset::decode(&changed(&frame, RESET_CRC, 36, &[0; 8])), Err(Malformed::Sequence));
    assert_eq!(Reset::decode(&observation_frame(&observation())), Err(Malformed::Type));
    let mut frame = frame;
    frame.extend([7; Reset::MAX_DETAIL]);
    let frame = changed(&frame, RESET_CRC, 48, &64_u32.to_le_bytes());
    assert_eq!(frame.len(), Reset::MAX_FRAME);
    assert_eq!(Reset::decode(&frame), Ok(reset()));
}

#[test]
fn a_stored_request_is_no_result_and_its_detail_is_passed_over() {
    let mut frame = stored_frame(&stored());
    assert_eq!(InferReply::decode(&frame), Err(Malformed::Truncated));
    frame.extend([7; InferStored::MAX_DETAIL]);
    let frame = changed(&frame, STORED_CRC, 56, &64_u32.to_le_bytes());
    assert_eq!(frame.len(), InferStored::MAX_FRAME);
    assert_eq!(InferStored::decode(&frame), Ok(stored()));
    assert_eq!(InferReply::decode(&frame), Err(Malformed::Type));
    assert_eq!(InferStored::decode(&reply_frame(&reply())), Err(Malformed::Type));
}

#[test]
fn a_message_without_room_leaves_the_buffer_alone() {
    let length = Observation::OVERHEAD + VALUES.len();
    let mut out = vec![0xee; length - 1];
    assert_eq!(observation().encode(&mut out), Err(NoRoom));
    assert_eq!(notice().encode(&mut out[..Notice::OVERHEAD - 1]), Err(NoRoom));
    assert_eq!(reset().encode(&mut out[..Reset::OVERHEAD - 1]), Err(NoRoom));
    assert_eq!(stored().encode(&mut out[..InferStored::OVERHEAD - 1]), Err(NoRoom));
    assert_eq!(response().encode(&mut out), Err(NoRoom));
    assert!(out.iter().all(|byte| *byte == 0xee));

    let too_many = [0; Response::MAX_VALUES + 1];
    let body = Body::Action { place: Place::Box, values: &too_many };
    let mut out = [0xee; 2000];
    assert_eq!(Response { body, ..response() }.encode(&mut out), Err(NoRoom));
    let body = InferBody::Result { place: Place::Box, values: &too_many };
    assert_eq!(InferReply { body, ..reply() }.encode(&mut out), Err(NoRoom));
    assert_eq!(request().encode(&mut out[..InferRequest::OVERHEAD]), Err(NoRoom));
    assert!(out.iter().all(|byte| *byte == 0xee));
}

#[test]
fn zero_is_no_sequence() {
    assert_eq!(Sequence::new(0), None);
    let sent = Observation { last_response: None, ..observation() };
    let frame = observation_frame(&sent);
    assert_eq!(frame[52..60], [0; 8]);
    assert_eq!(Observation::decode(&frame), Ok(sent));
}

/// Frame offsets of a response.
const REASON: usize = 116;
const KIND: usize = 118;
const PLACE: usize = 119;

fn for_each_changed_byte(frame: &[u8], refused: impl Fn(&[u8]) -> bool) {
    let mut frame = frame.to_vec();
    for at in 0..frame.len() {
        for flip in 1..=u8::MAX {
            frame[at] ^= flip;
            assert!(refused(&frame), "byte {at} changed by {flip:#04x} passed");
            frame[at] ^= flip;
        }
    }
}

fn cut(length: usize, overhead: usize) -> Malformed {
    if length < overhead { Malformed::Truncated } else { Malformed::Length }
}
