//! A microcontroller reads every field at a constant offset, and these are the offsets.

mod samples;

use message::{
    Address, InferReply, InferRequest, InferResult, InferStored, Input, Notice, Observation, Reset, Response,
};
use samples::{
    VALUES, counting, input, input_frame, notice, notice_frame, observation, observation_frame, reply, reply_frame,
    request, request_frame, reset, reset_frame, response, response_frame, stored, stored_frame,
};

#[test]
fn observation_fields_lie_at_constant_offsets() {
    let frame = observation_frame(&observation());
    assert_eq!(frame[..4], [0, 1, 0, 0], "encapsulation");
    assert_eq!(frame[4..8], 0x5e46_0099_u32.to_le_bytes(), "type_id");
    assert_eq!(frame[8..12], [1, 2, 3, 4], "address");
    assert_eq!(frame[12..28], counting::<16>(0x10), "contract");
    assert_eq!(frame[28..36], counting::<8>(0x21), "epoch");
    assert_eq!(frame[36..44], counting::<8>(0x31), "sequence");
    assert_eq!(frame[44..52], counting::<8>(0x41), "stamp");
    assert_eq!(frame[52..60], counting::<8>(0x51), "last_response");
    assert_eq!(frame[60..64], counting::<4>(0x61), "budget_us");
    assert_eq!(frame[68..72], [9, 0, 0, 0], "length of the values");
    assert_eq!(frame[72..], VALUES, "values");
}

#[test]
fn response_fields_lie_at_constant_offsets() {
    let frame = response_frame(&response());
    assert_eq!(frame[..4], [0, 1, 0, 0], "encapsulation");
    assert_eq!(frame[4..8], 0x5794_1ecd_u32.to_le_bytes(), "type_id");
    assert_eq!(frame[8..12], [1, 2, 3, 4], "address");
    assert_eq!(frame[12..28], counting::<16>(0x10), "contract");
    assert_eq!(frame[28..36], counting::<8>(0x21), "boot");
    assert_eq!(frame[36..44], counting::<8>(0x31), "epoch");
    assert_eq!(frame[44..52], counting::<8>(0x41), "sequence");
    assert_eq!(frame[52..60], counting::<8>(0x51), "stamp");
    assert_eq!(frame[60..92], counting::<32>(0x80), "model");
    assert_eq!(frame[92..100], counting::<8>(0x61), "plan");
    assert_eq!(frame[100..104], counting::<4>(0x71), "plan_step");
    assert_eq!(frame[104..108], counting::<4>(0xa1), "age_us");
    assert_eq!(frame[108..112], counting::<4>(0xb1), "input_age_us");
    assert_eq!(frame[112..116], [0b10_1000, 0, 0, 0], "status");
    assert_eq!(frame[116..118], [0, 0], "reason");
    assert_eq!(frame[118], 1, "kind");
    assert_eq!(frame[119], 2, "place");
    assert_eq!(frame[124..128], [9, 0, 0, 0], "length of the values");
    assert_eq!(frame[128..], VALUES, "values");
}

#[test]
fn notice_fields_lie_at_constant_offsets() {
    let frame = notice_frame(&notice());
    assert_eq!(frame[..4], [0, 1, 0, 0], "encapsulation");
    assert_eq!(frame[4..8], 0x61e3_f628_u32.to_le_bytes(), "type_id");
    assert_eq!(frame[8..12], [1, 2, 3, 4], "address");
    assert_eq!(frame[12..20], counting::<8>(0x21), "boot");
    assert_eq!(frame[20..28], counting::<8>(0x31), "epoch");
    assert_eq!(frame[28..30], counting::<2>(0x41), "reason");
    assert_eq!(frame[30], 1, "kind");
    assert_eq!(frame[31], 0, "reserved");
    assert_eq!(frame[36..], [0, 0, 0, 0], "length of the detail");
}

#[test]
fn reset_fields_lie_at_constant_offsets() {
    let frame = reset_frame(&reset());
    assert_eq!(frame[..4], [0, 1, 0, 0], "encapsulation");
    assert_eq!(frame[4..8], 0x5f23_21cb_u32.to_le_bytes(), "type_id");
    assert_eq!(frame[8..12], [1, 2, 3, 4], "address");
    assert_eq!(frame[12..28], counting::<16>(0x10), "contract");
    assert_eq!(frame[28..36], counting::<8>(0x21), "epoch");
    assert_eq!(frame[36..44], counting::<8>(0x31), "from_sequence");
    assert_eq!(frame[48..], [0, 0, 0, 0], "length of the detail");
}

#[test]
fn stored_fields_lie_at_constant_offsets() {
    let frame = stored_frame(&stored());
    assert_eq!(frame[..4], [0, 1, 0, 0], "encapsulation");
    assert_eq!(frame[4..8], 0xb7b5_f2b6_u32.to_le_bytes(), "type_id");
    assert_eq!(frame[8..12], [1, 2, 3, 4], "address");
    assert_eq!(frame[12..20], counting::<8>(0x21), "boot");
    assert_eq!(frame[20..28], counting::<8>(0x31), "request");
    assert_eq!(frame[28..36], counting::<8>(0x41), "stamp");
    assert_eq!(frame[36..44], counting::<8>(0x51), "position");
    assert_eq!(frame[44..48], counting::<4>(0x61), "time_to_live_ms");
    assert_eq!(frame[48..52], [0b10_0100, 0, 0, 0], "status");
    assert_eq!(frame[56..], [0, 0, 0, 0], "length of the detail");
}

#[test]
fn request_fields_lie_at_constant_offsets() {
    let frame = request_frame(&request());
    assert_eq!(frame[..4], [0, 1, 0, 0], "encapsulation");
    assert_eq!(frame[4..8], 0xb8e5_305f_u32.to_le_bytes(), "type_id");
    assert_eq!(frame[8..12], [1, 2, 3, 4], "address");
    assert_eq!(frame[12..28], counting::<16>(0x10), "contract");
    assert_eq!(frame[28..36], counting::<8>(0x21), "request");
    assert_eq!(frame[36..44], counting::<8>(0x31), "stamp");
    assert_eq!(frame[44..48], counting::<4>(0x41), "budget_us");
    assert_eq!(frame[52..56], [9, 0, 0, 0], "length of the values");
    assert_eq!(frame[56..], VALUES, "values");
}

#[test]
fn reply_fields_lie_at_constant_offsets() {
    let frame = reply_frame(&reply());
    assert_eq!(frame[..4], [0, 1, 0, 0], "encapsulation");
    assert_eq!(frame[4..8], 0x9e23_2a06_u32.to_le_bytes(), "type_id");
    assert_eq!(frame[8..12], [1, 2, 3, 4], "address");
    assert_eq!(frame[12..20], counting::<8>(0x21), "boot");
    assert_eq!(frame[20..28], counting::<8>(0x31), "request");
    assert_eq!(frame[28..36], counting::<8>(0x41), "stamp");
    assert_eq!(frame[36..68], counting::<32>(0x80), "model");
    assert_eq!(frame[68..72], counting::<4>(0x51), "age_us");
    assert_eq!(frame[72..76], [0b10_0100, 0, 0, 0], "status");
    assert_eq!(frame[76..78], [0, 0], "reason");
    assert_eq!(frame[78], 1, "kind");
    assert_eq!(frame[79], 2, "place");
    assert_eq!(frame[84..88], [9, 0, 0, 0], "length of the values");
    assert_eq!(frame[88..], VALUES, "values");
}

#[test]
fn input_fields_lie_at_constant_offsets() {
    let frame = input_frame(&input());
    assert_eq!(frame[..4], [0, 1, 0, 0], "encapsulation");
    assert_eq!(frame[4..8], 0xc0bd_816a_u32.to_le_bytes(), "type_id");
    assert_eq!(frame[8..12], [1, 2, 3, 4], "address");
    assert_eq!(frame[12..28], counting::<16>(0x10), "contract");
    assert_eq!(frame[28..36], counting::<8>(0x21), "source");
    assert_eq!(frame[36..44], counting::<8>(0x31), "sequence");
    assert_eq!(frame[44..52], counting::<8>(0x41), "stamp");
    assert_eq!(frame[56..60], [9, 0, 0, 0], "length of the values");
    assert_eq!(frame[60..], VALUES, "values");
}

#[test]
fn sizes_are_those_of_the_wire_format() {
    assert_eq!(Observation::OVERHEAD, 72);
    assert_eq!(Observation::MAX_VALUES, 16_777_216);
    assert_eq!(Response::OVERHEAD, 128);
    assert_eq!(Response::MAX_FRAME, 1664);
    assert_eq!(Notice::OVERHEAD, 40);
    assert_eq!(Notice::MAX_FRAME, 1064);
    assert_eq!(Reset::OVERHEAD, 52);
    assert_eq!(Reset::MAX_FRAME, 116);
    assert_eq!(InferRequest::OVERHEAD, 56);
    assert_eq!(InferRequest::MAX_VALUES, Observation::MAX_VALUES);
    assert_eq!(Input::OVERHEAD, 60);
    assert_eq!(Input::MAX_VALUES, Observation::MAX_VALUES);
    assert_eq!(InferReply::OVERHEAD, 88);
    assert_eq!(InferReply::MAX_FRAME, 1624);
    assert_eq!(InferResult::OVERHEAD, InferReply::OVERHEAD);
    assert_eq!(InferStored::OVERHEAD, 60);
    assert_eq!(InferStored::MAX_FRAME, 124);
    assert_eq!(InferResult::MAX_VALUES, InferRequest::MAX_VALUES);
}

#[test]
fn type_ids_are_those_in_the_msg_files() {
    for (type_id, msg) in [
        (Observation::TYPE_ID, include_str!("../msg/ObservationV1.msg")),
        (Response::TYPE_ID, include_str!("../msg/ResponseV1.msg")),
        (Notice::TYPE_ID, include_str!("../msg/NoticeV1.msg")),
        (Reset::TYPE_ID, include_str!("../msg/ResetV1.msg")),
        (InferRequest::TYPE_ID, include_str!("../msg/InferRequestV1.msg")),
        (Input::TYPE_ID, include_str!("../msg/InputV1.msg")),
        (InferReply::TYPE_ID, include_str!("../msg/InferReplyV1.msg")),
        (InferResult::TYPE_ID, include_str!("../msg/InferResultV1.msg")),
        (InferStored::TYPE_ID, include_str!("../msg/InferStoredV1.msg")),
    ] {
        assert!(msg.contains(&format!("\nuint32 TYPE_ID={type_id}\n")), "{msg}");
        assert!(msg.contains(&format!(", 0x{type_id:08x}.\n")), "{msg}");
    }
}

#[test]
fn an_address_is_the_crc_of_robot_and_task() {
    assert_eq!(Address::of("left-arm", "conveyor").value(), 0xabad_15b3);
    assert_ne!(Address::of("left-arm", "weld"), Address::of("left", "arm-weld"));
    assert_ne!(Address::of("left", "weld"), Address::of("right", "weld"));
    assert_eq!(Address::of_input("left-arm", "conveyor", "camera").value(), 0x4cde_7b89);
    assert_ne!(Address::of_input("left", "weld", "camera"), Address::of("left", "weld"));
}
