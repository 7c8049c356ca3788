//! A request's body, exactly as it is sent: encoded once, and its digest taken of these very bytes.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Instant,
};

use hyper::body::Bytes;
use prost::Message;

use crate::{
    Request,
    proto::{
        InferParameter, ModelInferRequest,
        infer_parameter::ParameterChoice,
        model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    },
};

/// gRPC's prefix of a message: whether it is compressed, and its length.
pub(crate) const PREFIX: usize = 5;

/// A body with its digest.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    body: Bytes,
    digest: [u8; 32],
}

impl Payload {
    /// Without the inputs that are `dropped`.
    ///
    /// # Errors
    /// Why there can be no such body.
    pub(crate) fn encode(request: &Request, dropped: &[Arc<str>], now: Instant) -> Result<Self, &'static str> {
        let mut names = HashSet::new();
        if !request.inputs.iter().all(|input| names.insert(input.name())) {
            return Err("two inputs share a name");
        }
        let message = message(request, dropped, now);
        let length = message.encoded_len();
        let announced = u32::try_from(length).map_err(|_| "more than 4 GiB")?;
        let mut body = Vec::with_capacity(PREFIX + length);
        body.push(0);
        body.extend(announced.to_be_bytes());
        message.encode(&mut body).map_err(|_| "it outgrew its own length")?;
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &body).as_ref());
        Ok(Self { body: body.into(), digest })
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.body.len() as u64
    }

    pub(crate) fn into_body(self) -> Bytes {
        self.body
    }
}

fn message(request: &Request, dropped: &[Arc<str>], now: Instant) -> ModelInferRequest {
    let kept = || request.inputs.iter().filter(|input| !dropped.iter().any(|name| **name == *input.name()));
    let input = |tensor: &crate::Tensor| InferInputTensor {
        name: tensor.name().to_owned(),
        datatype: tensor.datatype().name().to_owned(),
        shape: tensor.shape().iter().map(|extent| i64::from(*extent)).collect(),
    };
    ModelInferRequest {
        model_name: request.model.to_string(),
        model_version: request.version.to_string(),
        id: request.id.to_string(),
        parameters: parameters(request, now),
        inputs: kept().map(input).collect(),
        outputs: request
            .outputs
            .iter()
            .map(|output| InferRequestedOutputTensor { name: output.name.clone() })
            .collect(),
        raw_input_contents: kept().map(|tensor| tensor.bytes().clone()).collect(),
    }
}

/// Triton's names; who does not know them ignores them.
fn parameters(request: &Request, now: Instant) -> BTreeMap<String, InferParameter> {
    let whole = |value| InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(value)) };
    let left = request.deadline.saturating_duration_since(now).as_micros();
    let mut parameters = BTreeMap::from([("timeout".to_owned(), whole(i64::try_from(left).unwrap_or(i64::MAX)))]);
    if let Some(priority) = request.priority {
        parameters.insert("priority".to_owned(), whole(i64::from(priority.get())));
    }
    parameters
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU8, time::Duration};

    use super::*;
    use crate::{HandOffId, Purpose, Tensor};

    fn request(now: Instant) -> Request {
        Request {
            id: HandOffId(7),
            task: "track".into(),
            purpose: Purpose::Task { parent: 3 },
            model: "planner".into(),
            version: "2".into(),
            priority: NonZeroU8::new(1),
            deadline: now + Duration::from_millis(300),
            inputs: vec![
                Tensor::fp32("joints", vec![1, 2], &[1.0, -2.0]).expect("it fits"),
                Tensor::fp32("face", vec![1], &[9.0]).expect("it fits"),
            ],
            outputs: [].into(),
        }
    }

    #[test]
    fn the_body_is_one_message_with_what_travels_along() {
        let now = Instant::now();
        let payload = Payload::encode(&request(now), &[], now).expect("it is encoded");
        let body = payload.clone().into_body();
        assert_eq!(payload.bytes(), body.len() as u64);
        assert_eq!(&payload.digest()[..], ring::digest::digest(&ring::digest::SHA256, &body).as_ref());
        assert_eq!(body[0], 0);
        assert_eq!(body[1..PREFIX], u32::try_from(body.len() - PREFIX).expect("short").to_be_bytes());
        let message = ModelInferRequest::decode(&body[PREFIX..]).expect("it is a message");
        assert_eq!((&*message.model_name, &*message.model_version), ("planner", "2"));
        assert_eq!(message.id, format!("{:032x}", 7));
        let whole = |name: &str| message.parameters[name].parameter_choice.clone();
        assert_eq!(whole("priority"), Some(ParameterChoice::Int64Param(1)));
        assert_eq!(whole("timeout"), Some(ParameterChoice::Int64Param(300_000)));
        assert_eq!(message.raw_input_contents[0][..], [1.0_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat());
    }

    #[test]
    fn a_dropped_input_is_in_no_byte_of_it() {
        let now = Instant::now();
        let without = Payload::encode(&request(now), &["face".into()], now).expect("it is encoded").into_body();
        let with = Payload::encode(&request(now), &[], now).expect("it is encoded").into_body();
        let mark = 9.0_f32.to_le_bytes();
        let holds = |body: &[u8], part: &[u8]| body.windows(part.len()).any(|window| window == part);
        assert!(!holds(&without, b"face") && !holds(&without, &mark));
        assert!(holds(&with, b"face") && holds(&with, &mark), "or the check above could not fail");
    }

    #[test]
    fn an_input_is_there_once() {
        let now = Instant::now();
        let mut twice = request(now);
        twice.inputs.push(twice.inputs[0].clone());
        assert!(Payload::encode(&twice, &[], now).is_err());
    }
}
