//! Our frames and those of rosbags, an encoder that is not ours and knows only the `.msg` files, are
//! the same bytes. `rosbags_vectors.py` beside this file is its half.

mod samples;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use message::{
    Body, InferBody, InferReply, InferRequest, InferResult, InferStored, Input, Malformed, Notice, NoticeKind,
    Observation, Place, Reset, Response, Sequence, Status,
};
use samples::{
    input, input_frame, notice, notice_frame, observation, observation_frame, reason, replies, reply, reply_frame,
    request, request_frame, reset, reset_frame, response, response_frame, responses, result, result_frame, stored,
    stored_frame,
};

#[test]
fn rosbags_finds_every_field_where_we_say() {
    let facts = rosbags(&msg_folder(), "");
    let found: Vec<&str> = facts.iter().filter_map(|fact| fact.strip_prefix("offset ")).collect();
    assert_eq!(found.join("\n"), OFFSETS.trim());
}

#[test]
fn rosbags_reads_the_constants_that_we_send() {
    let facts = rosbags(&msg_folder(), "");
    let found: BTreeMap<(&str, &str), u32> = facts
        .iter()
        .filter_map(|fact| {
            let ["constant", kind, name, value] = words(fact)[..] else {
                return None;
            };
            Some(((kind, name), value.parse().expect("a number")))
        })
        .collect();
    let [action, cluster, fallback, refusal] = [
        Body::Action { place: Place::Box, values: &[] },
        Body::Action { place: Place::Cluster, values: &[] },
        Body::Fallback { reason: reason(1), values: &[] },
        Body::Refusal { reason: reason(1) },
    ]
    .map(|body| response_frame(&Response { body, ..response() }))
    .map(|frame| (u32::from(frame[118]), u32::from(frame[119])));
    let farewell = notice_frame(&Notice { kind: NoticeKind::Farewell, ..notice() })[30];
    let [result, replied_cluster, refused] = [
        InferBody::Result { place: Place::Box, values: &[] },
        InferBody::Result { place: Place::Cluster, values: &[] },
        InferBody::Refusal { reason: reason(1) },
    ]
    .map(|body| reply_frame(&InferReply { body, ..reply() }))
    .map(|frame| (u32::from(frame[78]), u32::from(frame[79])));
    let sent = BTreeMap::from([
        (("InferReplyV1", "KIND_REFUSAL"), refused.0),
        (("InferReplyV1", "KIND_RESULT"), result.0),
        (("InferReplyV1", "PLACE_BOX"), result.1),
        (("InferReplyV1", "PLACE_CLUSTER"), replied_cluster.1),
        (("InferReplyV1", "PLACE_NOWHERE"), refused.1),
        (("InferReplyV1", "STATUS_CLAMPED"), Status::CLAMPED.bits()),
        (("InferReplyV1", "STATUS_DEGRADED"), Status::DEGRADED.bits()),
        (("InferReplyV1", "STATUS_INSECURE"), Status::INSECURE.bits()),
        (("InferReplyV1", "STATUS_STATE_RESET"), Status::STATE_RESET.bits()),
        (("InferReplyV1", "STATUS_UNMEASURED"), Status::UNMEASURED.bits()),
        (("InferReplyV1", "STATUS_UNSCHEDULABLE"), Status::UNSCHEDULABLE.bits()),
        (("InferReplyV1", "TYPE_ID"), InferReply::TYPE_ID),
        (("InferRequestV1", "TYPE_ID"), InferRequest::TYPE_ID),
        (("InferResultV1", "KIND_RESULT"), result.0),
        (("InferResultV1", "PLACE_BOX"), result.1),
        (("InferResultV1", "PLACE_CLUSTER"), replied_cluster.1),
        (("InferResultV1", "STATUS_CLAMPED"), Status::CLAMPED.bits()),
        (("InferResultV1", "STATUS_DEGRADED"), Status::DEGRADED.bits()),
        (("InferResultV1", "STATUS_INSECURE"), Status::INSECURE.bits()),
        (("InferResultV1", "STATUS_STATE_RESET"), Status::STATE_RESET.bits()),
        (("InferResultV1", "STATUS_UNMEASURED"), Status::UNMEASURED.bits()),
        (("InferResultV1", "STATUS_UNSCHEDULABLE"), Status::UNSCHEDULABLE.bits()),
        (("InferResultV1", "TYPE_ID"), InferResult::TYPE_ID),
        (("InferStoredV1", "STATUS_DEGRADED"), Status::DEGRADED.bits()),
        (("InferStoredV1", "STATUS_INSECURE"), Status::INSECURE.bits()),
        (("InferStoredV1", "TYPE_ID"), InferStored::TYPE_ID),
        (("InputV1", "TYPE_ID"), Input::TYPE_ID),
        (("NoticeV1", "KIND_FAREWELL"), farewell.into()),
        (("NoticeV1", "TYPE_ID"), Notice::TYPE_ID),
        (("ObservationV1", "TYPE_ID"), Observation::TYPE_ID),
        (("ResetV1", "TYPE_ID"), Reset::TYPE_ID),
        (("ResponseV1", "KIND_ACTION"), action.0),
        (("ResponseV1", "KIND_FALLBACK"), fallback.0),
        (("ResponseV1", "KIND_REFUSAL"), refusal.0),
        (("ResponseV1", "PLACE_BOX"), action.1),
        (("ResponseV1", "PLACE_CLUSTER"), cluster.1),
        (("ResponseV1", "PLACE_NOWHERE"), fallback.1),
        (("ResponseV1", "STATUS_CLAMPED"), Status::CLAMPED.bits()),
        (("ResponseV1", "STATUS_DEGRADED"), Status::DEGRADED.bits()),
        (("ResponseV1", "STATUS_INSECURE"), Status::INSECURE.bits()),
        (("ResponseV1", "STATUS_STATE_RESET"), Status::STATE_RESET.bits()),
        (("ResponseV1", "STATUS_UNMEASURED"), Status::UNMEASURED.bits()),
        (("ResponseV1", "STATUS_UNSCHEDULABLE"), Status::UNSCHEDULABLE.bits()),
        (("ResponseV1", "TYPE_ID"), Response::TYPE_ID),
    ]);
    assert_eq!(found, sent);
}

#[test]
fn we_read_and_write_the_frames_of_rosbags() {
    let facts = rosbags(&msg_folder(), "");
    let theirs: Vec<Sample> = facts.iter().filter_map(|fact| Sample::parse(fact, "theirs")).collect();
    assert_eq!(theirs.len(), 360, "40 samples of each type");
    for sample in theirs {
        assert_eq!(sample.fault(), None, "{sample:?}");
    }
}

#[test]
fn rosbags_reads_and_writes_our_frames() {
    let mut ours = Vec::new();
    for length in 0..=17 {
        let values: Vec<u8> = (0..length).collect();
        let sent = Observation { values: &values, ..observation() };
        ours.push(("ObservationV1", observation_frame(&sent)));
        let body = Body::Fallback { reason: reason(214), values: &values };
        ours.push(("ResponseV1", response_frame(&Response { body, ..response() })));
        ours.push(("InferRequestV1", request_frame(&InferRequest { values: &values, ..request() })));
        ours.push(("InputV1", input_frame(&Input { values: &values, ..input() })));
        ours.push(("InferResultV1", result_frame(&InferResult { values: &values, ..result() })));
        let body = InferBody::Result { place: Place::Box, values: &values };
        ours.push(("InferReplyV1", reply_frame(&InferReply { body, ..reply() })));
    }
    for reply in replies() {
        ours.push(("InferReplyV1", reply_frame(&reply)));
    }
    let most = [0xa5; Response::MAX_VALUES];
    let body = Body::Action { place: Place::Cluster, values: &most };
    ours.push(("ResponseV1", response_frame(&Response { body, ..response() })));
    for response in responses() {
        ours.push(("ResponseV1", response_frame(&response)));
    }
    let first = Observation { last_response: None, ..observation() };
    ours.push(("ObservationV1", observation_frame(&first)));
    ours.push(("NoticeV1", notice_frame(&notice())));
    ours.push(("ResetV1", reset_frame(&reset())));
    ours.push(("InferStoredV1", stored_frame(&stored())));

    let lines: Vec<String> = ours.iter().map(|(kind, frame)| format!("{kind} {}", hex(frame))).collect();
    let facts = rosbags(&msg_folder(), &lines.join("\n"));
    let seen: Vec<Sample> = facts.iter().filter_map(|fact| Sample::parse(fact, "ours")).collect();
    assert_eq!(seen.len(), ours.len());
    for (sample, (kind, frame)) in seen.iter().zip(&ours) {
        assert_eq!(sample.kind, *kind);
        assert_eq!(hex(&sample.frame), hex(frame), "rosbags wrote it otherwise");
        assert_eq!(sample.fault(), None, "{sample:?}");
    }
}

/// The comparison notices two fields that changed places, which no length and no CRC gives away.
#[test]
fn swapped_fields_are_noticed() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("swapped-msg");
    fs::create_dir_all(&folder).expect("a folder for the changed .msg file");
    let msg = include_str!("../msg/ObservationV1.msg");
    let swapped = msg
        .replace("uint64 epoch", "uint64 other")
        .replace("uint64 stamp", "uint64 epoch")
        .replace("uint64 other", "uint64 stamp");
    fs::write(folder.join("ObservationV1.msg"), swapped).expect("the changed .msg file is written");
    let facts = rosbags(&folder, "");
    let theirs: Vec<Sample> = facts.iter().filter_map(|fact| Sample::parse(fact, "theirs")).collect();
    assert_eq!(theirs.len(), 40);
    for sample in theirs {
        let differ = sample.fields.get("epoch") != sample.fields.get("stamp");
        let fault = sample.fault().unwrap_or_default();
        assert_eq!(fault.starts_with("epoch "), differ, "{fault} {sample:?}");
    }
    assert!(!facts.iter().any(|fact| fact == "offset ObservationV1 epoch 24 8"));
}

/// Type, field, offset after the encapsulation, bytes. Of a sequence: offset and bytes of its length.
const OFFSETS: &str = "
InferReplyV1 type_id 0 4
InferReplyV1 address 4 4
InferReplyV1 boot 8 8
InferReplyV1 request 16 8
InferReplyV1 stamp 24 8
InferReplyV1 model 32 32
InferReplyV1 age_us 64 4
InferReplyV1 status 68 4
InferReplyV1 reason 72 2
InferReplyV1 kind 74 1
InferReplyV1 place 75 1
InferReplyV1 crc 76 4
InferReplyV1 values 80 4
InferRequestV1 type_id 0 4
InferRequestV1 address 4 4
InferRequestV1 contract 8 16
InferRequestV1 request 24 8
InferRequestV1 stamp 32 8
InferRequestV1 budget_us 40 4
InferRequestV1 crc 44 4
InferRequestV1 values 48 4
InferResultV1 type_id 0 4
InferResultV1 address 4 4
InferResultV1 boot 8 8
InferResultV1 request 16 8
InferResultV1 stamp 24 8
InferResultV1 model 32 32
InferResultV1 age_us 64 4
InferResultV1 status 68 4
InferResultV1 reason 72 2
InferResultV1 kind 74 1
InferResultV1 place 75 1
InferResultV1 crc 76 4
InferResultV1 values 80 4
InferStoredV1 type_id 0 4
InferStoredV1 address 4 4
InferStoredV1 boot 8 8
InferStoredV1 request 16 8
InferStoredV1 stamp 24 8
InferStoredV1 position 32 8
InferStoredV1 time_to_live_ms 40 4
InferStoredV1 status 44 4
InferStoredV1 crc 48 4
InferStoredV1 detail 52 4
InputV1 type_id 0 4
InputV1 address 4 4
InputV1 contract 8 16
InputV1 source 24 8
InputV1 sequence 32 8
InputV1 stamp 40 8
InputV1 crc 48 4
InputV1 values 52 4
NoticeV1 type_id 0 4
NoticeV1 address 4 4
NoticeV1 boot 8 8
NoticeV1 epoch 16 8
NoticeV1 reason 24 2
NoticeV1 kind 26 1
NoticeV1 reserved 27 1
NoticeV1 crc 28 4
NoticeV1 detail 32 4
ObservationV1 type_id 0 4
ObservationV1 address 4 4
ObservationV1 contract 8 16
ObservationV1 epoch 24 8
ObservationV1 sequence 32 8
ObservationV1 stamp 40 8
ObservationV1 last_response 48 8
ObservationV1 budget_us 56 4
ObservationV1 crc 60 4
ObservationV1 values 64 4
ResetV1 type_id 0 4
ResetV1 address 4 4
ResetV1 contract 8 16
ResetV1 epoch 24 8
ResetV1 from_sequence 32 8
ResetV1 crc 40 4
ResetV1 detail 44 4
ResponseV1 type_id 0 4
ResponseV1 address 4 4
ResponseV1 contract 8 16
ResponseV1 boot 24 8
ResponseV1 epoch 32 8
ResponseV1 sequence 40 8
ResponseV1 stamp 48 8
ResponseV1 model 56 32
ResponseV1 plan 88 8
ResponseV1 plan_step 96 4
ResponseV1 age_us 100 4
ResponseV1 input_age_us 104 4
ResponseV1 status 108 4
ResponseV1 reason 112 2
ResponseV1 kind 114 1
ResponseV1 place 115 1
ResponseV1 crc 116 4
ResponseV1 values 120 4
";

/// A frame, and the fields that rosbags says it has.
#[derive(Debug)]
struct Sample {
    kind: String,
    fields: BTreeMap<String, String>,
    frame: Vec<u8>,
}

impl Sample {
    fn parse(fact: &str, whose: &str) -> Option<Self> {
        let [first, kind, fields @ .., frame] = &words(fact)[..] else {
            return None;
        };
        (*first == whose).then(|| Self {
            kind: (*kind).to_owned(),
            fields: fields
                .iter()
                .map(|field| field.split_once('=').expect("a field is name=value"))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            frame: unhex(frame),
        })
    }

    /// The first difference between what rosbags and we see in the frame, or between the frame and
    /// what we write for the same fields.
    fn fault(&self) -> Option<String> {
        let (ours, again) = match self.understood() {
            Ok(understood) => understood,
            Err(malformed) => return Some(malformed.to_string()),
        };
        for (name, ours) in ours {
            let theirs = self.fields.get(name);
            if theirs != Some(&ours) {
                return Some(format!("{name} is {ours}, rosbags says {theirs:?}"));
            }
        }
        (again != self.frame).then(|| format!("we wrote {}", hex(&again)))
    }

    fn understood(&self) -> Result<(Fields, Vec<u8>), Malformed> {
        match &*self.kind {
            "ObservationV1" => {
                Observation::decode(&self.frame).map(|sent| (observation_fields(&sent), observation_frame(&sent)))
            }
            "ResponseV1" => Response::decode(&self.frame).map(|sent| (response_fields(&sent), response_frame(&sent))),
            "NoticeV1" => Notice::decode(&self.frame).map(|sent| (notice_fields(&sent), notice_frame(&sent))),
            "ResetV1" => Reset::decode(&self.frame).map(|sent| (reset_fields(&sent), reset_frame(&sent))),
            "InferStoredV1" => InferStored::decode(&self.frame).map(|sent| (stored_fields(&sent), stored_frame(&sent))),
            "InferRequestV1" => {
                InferRequest::decode(&self.frame).map(|sent| (request_fields(&sent), request_frame(&sent)))
            }
            "InputV1" => Input::decode(&self.frame).map(|sent| (input_fields(&sent), input_frame(&sent))),
            "InferReplyV1" => InferReply::decode(&self.frame).map(|sent| (reply_fields(&sent), reply_frame(&sent))),
            "InferResultV1" => InferResult::decode(&self.frame).map(|sent| (result_fields(&sent), result_frame(&sent))),
            other => panic!("rosbags sent a {other}"),
        }
    }
}

/// The fields as rosbags prints them, apart from the CRC.
type Fields = Vec<(&'static str, String)>;

fn observation_fields(sent: &Observation<'_>) -> Fields {
    vec![
        ("type_id", Observation::TYPE_ID.to_string()),
        ("address", sent.address.value().to_string()),
        ("contract", sent.contract.to_string()),
        ("epoch", sent.epoch.value().to_string()),
        ("sequence", sent.sequence.value().to_string()),
        ("stamp", sent.stamp.value().to_string()),
        ("last_response", sent.last_response.map_or(0, Sequence::value).to_string()),
        ("budget_us", sent.budget_us.to_string()),
        ("values", hex(sent.values)),
    ]
}

fn response_fields(sent: &Response<'_>) -> Fields {
    let (kind, place, reason) = match sent.body {
        Body::Action { place: Place::Box, .. } => (1, 1, 0),
        Body::Action { place: Place::Cluster, .. } => (1, 2, 0),
        Body::Fallback { reason, .. } => (2, 0, reason.value()),
        Body::Refusal { reason } => (3, 0, reason.value()),
    };
    vec![
        ("type_id", Response::TYPE_ID.to_string()),
        ("address", sent.address.value().to_string()),
        ("contract", sent.contract.to_string()),
        ("boot", sent.boot.value().to_string()),
        ("epoch", sent.epoch.value().to_string()),
        ("sequence", sent.sequence.map_or(0, Sequence::value).to_string()),
        ("stamp", sent.stamp.value().to_string()),
        ("model", sent.model.to_string()),
        ("plan", sent.plan.to_string()),
        ("plan_step", sent.plan_step.to_string()),
        ("age_us", sent.age_us.to_string()),
        ("input_age_us", sent.input_age_us.to_string()),
        ("status", sent.status.bits().to_string()),
        ("reason", reason.to_string()),
        ("kind", kind.to_string()),
        ("place", place.to_string()),
        ("values", hex(sent.body.values())),
    ]
}

fn notice_fields(sent: &Notice) -> Fields {
    let kind = match sent.kind {
        NoticeKind::Farewell => 1,
    };
    vec![
        ("type_id", Notice::TYPE_ID.to_string()),
        ("address", sent.address.value().to_string()),
        ("boot", sent.boot.value().to_string()),
        ("epoch", sent.epoch.value().to_string()),
        ("reason", sent.reason.value().to_string()),
        ("kind", kind.to_string()),
        ("reserved", "0".to_owned()),
        ("detail", String::new()),
    ]
}

fn reset_fields(sent: &Reset) -> Fields {
    vec![
        ("type_id", Reset::TYPE_ID.to_string()),
        ("address", sent.address.value().to_string()),
        ("contract", sent.contract.to_string()),
        ("epoch", sent.epoch.value().to_string()),
        ("from_sequence", sent.from_sequence.value().to_string()),
        ("detail", String::new()),
    ]
}

fn stored_fields(sent: &InferStored) -> Fields {
    vec![
        ("type_id", InferStored::TYPE_ID.to_string()),
        ("address", sent.address.value().to_string()),
        ("boot", sent.boot.value().to_string()),
        ("request", sent.request.to_string()),
        ("stamp", sent.stamp.value().to_string()),
        ("position", sent.position.to_string()),
        ("time_to_live_ms", sent.time_to_live_ms.to_string()),
        ("status", sent.status.bits().to_string()),
        ("detail", String::new()),
    ]
}

fn request_fields(sent: &InferRequest<'_>) -> Fields {
    vec![
        ("type_id", InferRequest::TYPE_ID.to_string()),
        ("address", sent.address.value().to_string()),
        ("contract", sent.contract.to_string()),
        ("request", sent.request.to_string()),
        ("stamp", sent.stamp.value().to_string()),
        ("budget_us", sent.budget_us.to_string()),
        ("values", hex(sent.values)),
    ]
}

fn input_fields(sent: &Input<'_>) -> Fields {
    vec![
        ("type_id", Input::TYPE_ID.to_string()),
        ("address", sent.address.value().to_string()),
        ("contract", sent.contract.to_string()),
        ("source", sent.source.value().to_string()),
        ("sequence", sent.sequence.value().to_string()),
        ("stamp", sent.stamp.value().to_string()),
        ("values", hex(sent.values)),
    ]
}

fn reply_fields(sent: &InferReply<'_>) -> Fields {
    let (kind, place, reason) = match sent.body {
        InferBody::Result { place: Place::Box, .. } => (1, 1, 0),
        InferBody::Result { place: Place::Cluster, .. } => (1, 2, 0),
        InferBody::Refusal { reason } => (2, 0, reason.value()),
    };
    vec![
        ("type_id", InferReply::TYPE_ID.to_string()),
        ("address", sent.address.value().to_string()),
        ("boot", sent.boot.value().to_string()),
        ("request", sent.request.to_string()),
        ("stamp", sent.stamp.value().to_string()),
        ("model", sent.model.to_string()),
        ("age_us", sent.age_us.to_string()),
        ("status", sent.status.bits().to_string()),
        ("reason", reason.to_string()),
        ("kind", kind.to_string()),
        ("place", place.to_string()),
        ("values", hex(sent.body.values())),
    ]
}

fn result_fields(sent: &InferResult<'_>) -> Fields {
    let place = match sent.place {
        Place::Box => 1,
        Place::Cluster => 2,
    };
    vec![
        ("type_id", InferResult::TYPE_ID.to_string()),
        ("address", sent.address.value().to_string()),
        ("boot", sent.boot.value().to_string()),
        ("request", sent.request.to_string()),
        ("stamp", sent.stamp.value().to_string()),
        ("model", sent.model.to_string()),
        ("age_us", sent.age_us.to_string()),
        ("status", sent.status.bits().to_string()),
        ("reason", "0".to_owned()),
        ("kind", "1".to_owned()),
        ("place", place.to_string()),
        ("values", hex(sent.values)),
    ]
}

/// What the script says of the `.msg` files in a folder and of our frames.
fn rosbags(msg: &Path, frames: &str) -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("GENBA_TEST_PYTHON").map_or_else(|| here.join("../../native/venv/bin/python3"), PathBuf::from);
    assert!(python.exists(), "{} is missing: run `make native`", python.display());
    let mut child = Command::new(&python)
        .arg(here.join("tests/rosbags_vectors.py"))
        .arg(msg)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    // Dropped after the write, which ends the script's input. It reads all before it prints.
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let written = stdin.write_all(frames.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("python ends");
    assert!(output.status.success(), "rosbags_vectors.py failed; its message is above");
    written.expect("python took the frames");
    let facts = String::from_utf8(output.stdout).expect("the script prints ASCII");
    facts.lines().map(str::to_owned).collect()
}

fn msg_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("msg")
}

fn words(fact: &str) -> Vec<&str> {
    fact.split_whitespace().collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .map(|digit| digit.expect("a frame is in hex"))
        .collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
