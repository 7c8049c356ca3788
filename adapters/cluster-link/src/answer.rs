//! An answer's message, checked against what was declared. It comes from a network: it is held to its bounds before
//! memory is taken for it, and each fault has its own error.

use hyper::body::Bytes;
use prost::{
    Message,
    encoding::{DecodeContext, WireType, decode_key, skip_field},
};

use crate::{
    Datatype, Output, Request, Tensor,
    error::BadAnswer,
    proto::{InferTensorContents, ModelInferResponse, model_infer_response::InferOutputTensor},
};

/// The declared outputs in their order, and the version of the model that the server named.
///
/// # Errors
/// What is not as it was declared.
pub(crate) fn read(message: Bytes, request: &Request) -> Result<(Vec<Tensor>, String), BadAnswer> {
    bounded(message.clone(), request.outputs.len())?;
    let mut response = ModelInferResponse::decode(message).map_err(|_| BadAnswer::Undecodable)?;
    if response.model_name != *request.model {
        return Err(BadAnswer::OfAnother("model"));
    }
    if !request.version.is_empty() && response.model_version != *request.version {
        return Err(BadAnswer::OfAnother("model's version"));
    }
    if !response.id.is_empty() && response.id != request.id.to_string() {
        return Err(BadAnswer::OfAnother("id"));
    }
    let raw = !response.raw_output_contents.is_empty();
    if response.outputs.len() != request.outputs.len()
        || raw && response.raw_output_contents.len() != response.outputs.len()
    {
        return Err(BadAnswer::Outputs);
    }
    let tensors = request.outputs.iter().map(|declared| {
        let place = response.outputs.iter().position(|output| output.name == declared.name);
        let place = place.ok_or(BadAnswer::Outputs)?;
        let bytes = raw.then(|| std::mem::take(&mut response.raw_output_contents[place]));
        tensor(&mut response.outputs[place], bytes, declared)
    });
    let tensors = tensors.collect::<Result<_, _>>()?;
    Ok((tensors, shown(&response.model_version)))
}

/// An output of two bytes would take hundreds in memory: what nobody declared is not decoded.
fn bounded(mut message: Bytes, outputs: usize) -> Result<(), BadAnswer> {
    let (mut described, mut raw) = (0, 0);
    while !message.is_empty() {
        let (tag, kind) = decode_key(&mut message).map_err(|_| BadAnswer::Undecodable)?;
        if kind == WireType::StartGroup {
            return Err(BadAnswer::Undecodable); // which the protocol has none of
        }
        skip_field(kind, tag, &mut message, DecodeContext::default()).map_err(|_| BadAnswer::Undecodable)?;
        match tag {
            5 => described += 1,
            6 => raw += 1,
            _ => {}
        }
    }
    if described > outputs || raw > outputs { Err(BadAnswer::Outputs) } else { Ok(()) }
}

fn shown(text: &str) -> String {
    crate::identity::shown(text)
}

fn tensor(output: &mut InferOutputTensor, raw: Option<Bytes>, declared: &Output) -> Result<Tensor, BadAnswer> {
    let name = || declared.name.clone();
    if Datatype::named(&output.datatype) != Some(declared.datatype) {
        return Err(BadAnswer::Datatype(name()));
    }
    let shape: Option<Vec<u32>> = output.shape.iter().map(|extent| u32::try_from(*extent).ok()).collect();
    let shape = shape.filter(|shape| {
        shape.len() == declared.shape.len()
            && declared.shape.iter().zip(shape).all(|(wanted, found)| wanted.holds(*found))
    });
    let shape = shape.ok_or_else(|| BadAnswer::Shape(name()))?;
    let contents = output.contents.take().unwrap_or_default();
    let bytes = match raw {
        Some(_) if contents != InferTensorContents::default() => return Err(BadAnswer::Place(name())),
        Some(raw) => raw,
        None => typed(declared.datatype, contents).ok_or_else(|| BadAnswer::Place(name()))?,
    };
    Tensor::new(name(), declared.datatype, shape, bytes).map_err(|why| BadAnswer::Values { name: name(), why })
}

/// The bytes of values that stand in their type's own field; `None` if some stand in another one, or do not fit.
fn typed(datatype: Datatype, mut contents: InferTensorContents) -> Option<Bytes> {
    let bytes = match datatype {
        Datatype::Bool => std::mem::take(&mut contents.bool_contents).into_iter().map(u8::from).collect(),
        Datatype::Int8 => narrow(std::mem::take(&mut contents.int_contents), |value: i8| value.to_le_bytes())?,
        Datatype::Int16 => narrow(std::mem::take(&mut contents.int_contents), |value: i16| value.to_le_bytes())?,
        Datatype::Int32 => narrow(std::mem::take(&mut contents.int_contents), |value: i32| value.to_le_bytes())?,
        Datatype::Int64 => narrow(std::mem::take(&mut contents.int64_contents), |value: i64| value.to_le_bytes())?,
        Datatype::Uint8 => narrow(std::mem::take(&mut contents.uint_contents), |value: u8| value.to_le_bytes())?,
        Datatype::Uint16 => narrow(std::mem::take(&mut contents.uint_contents), |value: u16| value.to_le_bytes())?,
        Datatype::Uint32 => narrow(std::mem::take(&mut contents.uint_contents), |value: u32| value.to_le_bytes())?,
        Datatype::Uint64 => narrow(std::mem::take(&mut contents.uint64_contents), |value: u64| value.to_le_bytes())?,
        Datatype::Fp32 => narrow(std::mem::take(&mut contents.fp32_contents), |value: f32| value.to_le_bytes())?,
        Datatype::Fp64 => narrow(std::mem::take(&mut contents.fp64_contents), |value: f64| value.to_le_bytes())?,
        Datatype::Bytes => {
            let mut all = Vec::new();
            for one in std::mem::take(&mut contents.bytes_contents) {
                all.extend(u32::try_from(one.len()).ok()?.to_le_bytes());
                all.extend(one);
            }
            all
        }
        // The protocol has no field for them: raw only.
        Datatype::Fp16 | Datatype::Bf16 => return None,
    };
    (contents == InferTensorContents::default()).then(|| bytes.into())
}

fn narrow<W, V: TryFrom<W>, const N: usize>(values: Vec<W>, bytes: fn(V) -> [u8; N]) -> Option<Vec<u8>> {
    let mut all = Vec::with_capacity(values.len() * N);
    for value in values {
        all.extend(bytes(V::try_from(value).ok()?));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{Extent, HandOffId, Purpose, TensorError};

    fn request() -> Request {
        let output =
            |name: &str, shape: Extent| Output { name: name.into(), datatype: Datatype::Fp32, shape: vec![shape] };
        Request {
            id: HandOffId(7),
            task: "track".into(),
            purpose: Purpose::Task { parent: 3 },
            model: "planner".into(),
            version: "".into(),
            priority: None,
            deadline: Instant::now(),
            inputs: vec![],
            outputs: [output("plan", Extent::Exactly(2)), output("score", Extent::AtMost(3))].into(),
        }
    }

    /// The outputs in another order than declared.
    fn raw() -> ModelInferResponse {
        let output = |name: &str, extent| InferOutputTensor {
            name: name.into(),
            datatype: "FP32".into(),
            shape: vec![extent],
            contents: None,
        };
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into();
        ModelInferResponse {
            model_name: "planner".into(),
            model_version: "1".into(),
            id: HandOffId(7).to_string(),
            outputs: vec![output("score", 1), output("plan", 2)],
            raw_output_contents: vec![bytes(&[0.5]), bytes(&[1.0, 2.0])],
        }
    }

    fn typed_twin() -> ModelInferResponse {
        let mut answer = raw();
        answer.raw_output_contents.clear();
        for (output, values) in answer.outputs.iter_mut().zip([vec![0.5], vec![1.0, 2.0]]) {
            output.contents = Some(InferTensorContents { fp32_contents: values, ..Default::default() });
        }
        answer
    }

    fn judge(answer: &ModelInferResponse) -> Result<Vec<Tensor>, BadAnswer> {
        read(answer.encode_to_vec().into(), &request()).map(|(tensors, _)| tensors)
    }

    #[test]
    fn raw_and_typed_answers_mean_the_same() {
        let tensors = judge(&raw()).expect("it is as declared");
        assert_eq!(tensors, judge(&typed_twin()).expect("it is as declared"));
        assert_eq!(tensors[0], Tensor::fp32("plan", vec![2], &[1.0, 2.0]).expect("it fits"));
        assert_eq!(tensors[1], Tensor::fp32("score", vec![1], &[0.5]).expect("it fits"));
    }

    #[test]
    fn each_fault_has_its_error() {
        type Fault = fn(&mut ModelInferResponse);
        let faults: [(Fault, BadAnswer); 15] = [
            (|answer| answer.model_name = "other".into(), BadAnswer::OfAnother("model")),
            (|answer| answer.id = "8".into(), BadAnswer::OfAnother("id")),
            (|answer| answer.outputs[0].name = "other".into(), BadAnswer::Outputs),
            (
                |answer| {
                    answer.outputs[0] = answer.outputs[1].clone();
                    answer.raw_output_contents[0] = answer.raw_output_contents[1].clone();
                },
                BadAnswer::Outputs,
            ),
            (|answer| drop(answer.outputs.pop()), BadAnswer::Outputs),
            (|answer| drop(answer.raw_output_contents.pop()), BadAnswer::Outputs),
            (|answer| answer.outputs.push(answer.outputs[0].clone()), BadAnswer::Outputs),
            (|answer| answer.outputs[1].datatype = "FP64".into(), BadAnswer::Datatype("plan".into())),
            (|answer| answer.outputs[1].shape = vec![1], BadAnswer::Shape("plan".into())),
            (|answer| answer.outputs[1].shape = vec![1, 2], BadAnswer::Shape("plan".into())),
            (|answer| answer.outputs[1].shape = vec![-2], BadAnswer::Shape("plan".into())),
            (|answer| answer.outputs[0].shape = vec![4], BadAnswer::Shape("score".into())),
            (
                |answer| answer.raw_output_contents[1] = vec![0; 7].into(),
                BadAnswer::Values { name: "plan".into(), why: TensorError::Length { wanted: 8, found: 7 } },
            ),
            (
                |answer| answer.raw_output_contents[1] = [f32::NAN.to_le_bytes(), [0; 4]].concat().into(),
                BadAnswer::Values { name: "plan".into(), why: TensorError::NotFinite(0) },
            ),
            (
                |answer| {
                    answer.outputs[1].contents =
                        Some(InferTensorContents { fp32_contents: vec![1.0, 2.0], ..Default::default() });
                },
                BadAnswer::Place("plan".into()),
            ),
        ];
        for (place, (fault, why)) in faults.into_iter().enumerate() {
            let mut answer = raw();
            fault(&mut answer);
            assert_eq!(judge(&answer), Err(why), "fault {place}");
        }
        let mut elsewhere = typed_twin();
        elsewhere.outputs[1].contents =
            Some(InferTensorContents { fp64_contents: vec![1.0, 2.0], ..Default::default() });
        assert_eq!(judge(&elsewhere), Err(BadAnswer::Place("plan".into())));
    }

    #[test]
    fn a_version_that_was_asked_for_must_have_answered() {
        let asked = Request { version: "2".into(), ..request() };
        let answer = |version: &str| ModelInferResponse { model_version: version.into(), ..raw() };
        let judge = |version| read(answer(version).encode_to_vec().into(), &asked);
        assert_eq!(judge("1"), Err(BadAnswer::OfAnother("model's version")));
        assert!(judge("2").is_ok());
    }

    #[test]
    fn garbage_is_an_error_and_takes_no_memory() {
        assert_eq!(read(Bytes::from_static(b"\xff\xff\xff"), &request()), Err(BadAnswer::Undecodable));
        let empty_outputs: Vec<u8> = [0x2A, 0x00].repeat(100_000);
        assert_eq!(read(empty_outputs.into(), &request()), Err(BadAnswer::Outputs));
        let behind: Vec<u8> = [raw().encode_to_vec(), vec![0xFF; 9]].concat();
        assert_eq!(read(behind.into(), &request()), Err(BadAnswer::Undecodable));
    }

    #[test]
    fn integers_and_strings_are_read_from_their_own_fields() {
        let ints = InferTensorContents { int_contents: vec![-1, 127], ..Default::default() };
        assert_eq!(typed(Datatype::Int8, ints.clone()).as_deref(), Some(&[0xFF, 0x7F][..]));
        assert_eq!(typed(Datatype::Uint8, ints), None);
        let wide = InferTensorContents { int_contents: vec![128], ..Default::default() };
        assert_eq!(typed(Datatype::Int8, wide), None);
        let strings = InferTensorContents { bytes_contents: vec![Bytes::from_static(b"ab")], ..Default::default() };
        assert_eq!(typed(Datatype::Bytes, strings).as_deref(), Some(&b"\x02\0\0\0ab"[..]));
        assert_eq!(typed(Datatype::Fp16, InferTensorContents::default()), None);
    }
}
