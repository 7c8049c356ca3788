//! What a client asks, and is told: stored, a result, or a refusal with its reason.
//!
//! The same request again is not stored twice: it is told how the first one fares. Without values it only asks that; and
//! with a budget of 1 us as well it says that the answer was read.

use engine::{HandOffFailure, Reason};
use journal::spool::{Acknowledged, Answer, Id, Put, PutRefusal, Request, SpoolError, Why};
use message::{
    InferBody, InferReply, InferRequest, InferResult, InferStored, ModelDigest, Place, ReasonNumber, Stamp, Status,
};

use super::{Client, Kept, Task, now};

/// A budget by which a client without values says that it has read the answer.
const READ_US: u32 = 1;

/// A reply's frame.
pub(super) enum Answered {
    Reply(Vec<u8>),
    Refusal(Vec<u8>),
}

impl Kept {
    /// One request of one client; none: it was too large to be read.
    pub(super) fn answer(&self, client: usize, bytes: Option<&[u8]>) -> Answered {
        let client = &self.clients[client];
        let unreadable = (0, Stamp::new(0));
        let Some(bytes) = bytes else { return self.refusal(client, unreadable, Reason::TooLarge.number()) };
        let request = match InferRequest::decode(bytes) {
            Ok(request) => request,
            Err(malformed) => {
                return self.refusal(client, unreadable, engine::unreadable(malformed).number());
            }
        };
        let asked = (request.request, request.stamp);
        match self.take(client, &request) {
            Ok(frame) => Answered::Reply(frame),
            Err(reason) => self.refusal(client, asked, reason),
        }
    }

    fn take(&self, client: &Client, request: &InferRequest<'_>) -> Result<Vec<u8>, ReasonNumber> {
        let task = &self.tasks[client.task];
        if request.request == 0 {
            return Err(Reason::SequenceZero.number());
        }
        let id = Id::new(&format!("{}/{}/{}", client.name, task.name, request.request));
        let id = id.expect("the config's check: names are short chunks of keys");
        let asks = request.values.is_empty() && self.spool().status(&id).is_some();
        let values = if asks { 0 } else { task.inputs };
        engine::proper(request, client.address, task.contract, values).map_err(Reason::number)?;
        if asks && request.budget_us == READ_US {
            return self.read(client, request, &id);
        }
        if !asks {
            self.store(task, request, &id)?;
        }
        self.told(client, request, &id)
    }

    fn store(&self, task: &Task, request: &InferRequest<'_>, id: &Id) -> Result<(), ReasonNumber> {
        let stored = Request {
            id: id.clone(),
            task: task.name.clone(),
            context: super::deliver::context(task.contract, request),
            payload: request.values.to_vec(),
            time_to_live: self.config.time_to_live,
            result_bytes: task.result_bytes as u64,
        };
        let put = self.spool().put(&stored, now());
        match put.map_err(|error| failing(&error))? {
            Put::Stored(_) | Put::Duplicate(_) => Ok(()),
            Put::Refused(PutRefusal::WaitingFull | PutRefusal::DeadLettersFull | PutRefusal::AnswersFull) => {
                Err(HandOffFailure::SpoolFull.reason().number())
            }
            Put::Refused(PutRefusal::TooLarge) => Err(Reason::TooLarge.number()),
            // Its number was used for something else.
            Put::Refused(PutRefusal::IdTaken) => Err(Reason::Sequence.number()),
        }
    }

    /// How a request fares that is known.
    fn told(&self, client: &Client, request: &InferRequest<'_>, id: &Id) -> Result<Vec<u8>, ReasonNumber> {
        let task = &self.tasks[client.task];
        let mut spool = self.spool();
        let answer = spool.answer(id, now()).map_err(|error| failing(&error))?;
        match answer {
            Answer::Pending(_) => {
                let position = spool.position(id).map_or(0, journal::spool::Position::number);
                Ok(self.stored(client, request, position))
            }
            Answer::Delivered(values) => Ok(self.result(client, task, request, &values)),
            Answer::Expired { .. } => Err(HandOffFailure::TimedOut.reason().number()),
            Answer::Failed(Why::NotSent(number)) => {
                Err(ReasonNumber::new(number.0).unwrap_or(HandOffFailure::DeadLetter.reason().number()))
            }
            Answer::Failed(Why::Attempts(_) | Why::Rejected(_) | Why::Damaged)
            | Answer::ResultTooLarge
            | Answer::ResultDamaged => Err(HandOffFailure::DeadLetter.reason().number()),
            // It was read, and said so: the number is used up.
            Answer::Read | Answer::Unknown => Err(Reason::Sequence.number()),
        }
    }

    fn read(&self, client: &Client, request: &InferRequest<'_>, id: &Id) -> Result<Vec<u8>, ReasonNumber> {
        let mut spool = self.spool();
        let position = spool.position(id).map_or(0, journal::spool::Position::number);
        match spool.acknowledge(id, now()).map_err(|error| failing(&error))? {
            Acknowledged::Done | Acknowledged::Pending => Ok(self.stored(client, request, position)),
            Acknowledged::Unknown => Err(Reason::Sequence.number()),
        }
    }

    fn stored(&self, client: &Client, request: &InferRequest<'_>, position: u64) -> Vec<u8> {
        let stored = InferStored {
            address: client.address,
            boot: self.boot,
            request: request.request,
            stamp: request.stamp,
            position,
            time_to_live_ms: u32::try_from(self.config.time_to_live.as_millis()).unwrap_or(u32::MAX),
            status: self.tasks[client.task].status,
        };
        let mut frame = vec![0; InferStored::OVERHEAD];
        let length = stored.encode(&mut frame).expect("OVERHEAD has room for a frame without detail");
        frame.truncate(length);
        frame
    }

    fn result(&self, client: &Client, task: &Task, request: &InferRequest<'_>, values: &[u8]) -> Vec<u8> {
        let result = InferResult {
            address: client.address,
            boot: self.boot,
            request: request.request,
            stamp: request.stamp,
            model: task.model,
            // From its arrival, which was perhaps in an earlier boot: nobody measured that.
            age_us: u32::MAX,
            status: task.status,
            place: Place::Cluster,
            values,
        };
        let mut frame = vec![0; InferResult::OVERHEAD + values.len()];
        let length = result.encode(&mut frame).expect("the manifest bounds the results of a model");
        frame.truncate(length);
        frame
    }

    fn refusal(&self, client: &Client, (request, stamp): (u64, Stamp), reason: ReasonNumber) -> Answered {
        let reply = InferReply {
            address: client.address,
            boot: self.boot,
            request,
            stamp,
            model: ModelDigest::NONE,
            age_us: 0,
            status: Status::NONE,
            body: InferBody::Refusal { reason },
        };
        let mut frame = vec![0; InferReply::OVERHEAD];
        let length = reply.encode(&mut frame).expect("a refusal has no values");
        frame.truncate(length);
        Answered::Refusal(frame)
    }
}

/// A disk that fails refuses what is new.
fn failing(error: &SpoolError) -> ReasonNumber {
    tracing::error!("{error}");
    HandOffFailure::SpoolFull.reason().number()
}
