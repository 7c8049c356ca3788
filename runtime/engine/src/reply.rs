//! reply: a result in its range or a refusal -> [`Reply`], to the one who sent the one-off request.
//!
//! A result is a [`Ranged`], which only the guard builds and no [`Send`](crate::Send) takes: it is no action. It
//! carries its deadline; the caller reads the clock just before the put, puts or withholds, and reports which.

use message::{Address, Boot, InferBody, InferReply, InferResult, ModelDigest, Place, Status};

use crate::{
    client::Asked,
    guard::{Complete, Ranged},
    respond::{Refusal, Ticket},
    task::{ClientId, MAX_ACTION, SlotId},
    time::Instant,
};

/// What a reply says.
#[derive(Debug)]
pub enum Replied {
    /// The model's action, finite and in the envelope's range.
    Result(Ranged),
    /// The model's results, finite and complete: they lie in the slot.
    Results(Complete),
    /// A refusal.
    Refusal(Refusal),
}

/// A reply to be put before its deadline or withheld.
///
/// Exactly one leaves for each request that was seen: where a result is withheld, a refusal of the same slot follows.
#[derive(Debug)]
pub struct Reply {
    pub(crate) client: ClientId,
    pub(crate) slot: Option<SlotId>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) address: Address,
    pub(crate) boot: Boot,
    pub(crate) model: ModelDigest,
    pub(crate) status: Status,
    /// Where a result was computed.
    pub(crate) place: Place,
    pub(crate) asked: Asked,
    pub(crate) says: Replied,
}

impl Reply {
    /// Whose request it answers.
    #[must_use]
    pub const fn client(&self) -> ClientId {
        self.client
    }

    /// Under which slot the query was kept that it answers; `None`: the query that was just handed in. A reply that is
    /// withheld leaves the query where it is, for the refusal that follows.
    #[must_use]
    pub const fn slot(&self) -> Option<SlotId> {
        self.slot
    }

    /// What to report its outcome with; a refusal's outcome need not be reported.
    #[must_use]
    pub const fn ticket(&self) -> Option<Ticket> {
        self.ticket
    }

    /// From when on it must be withheld; a refusal may leave at any time.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What it is marked with.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// What it says.
    #[must_use]
    pub const fn says(&self) -> &Replied {
        &self.says
    }

    /// The client's number of the request; 0 if it could not be read.
    #[must_use]
    pub const fn request(&self) -> u64 {
        self.asked.request
    }

    /// Writes the results of its slot as a frame, its age as of `now`, to the front of `out` and returns the frame's length.
    ///
    /// # Errors
    /// [`NoRoom`](message::NoRoom) if `out` is too short, or there are more values than a message may have.
    pub fn encode_results(&self, now: Instant, values: &[u8], out: &mut [u8]) -> Result<usize, message::NoRoom> {
        let result = InferResult {
            address: self.address,
            boot: self.boot,
            request: self.asked.request,
            stamp: self.asked.stamp,
            model: self.model,
            age_us: now.since(self.asked.arrival).wire_micros(),
            status: self.status,
            place: self.place,
            values,
        };
        result.encode(out)
    }

    /// Writes it as a frame, its age as of `now`, and returns the frame's length. Results have a frame of their own: see
    /// [`encode_results`](Self::encode_results).
    ///
    /// # Panics
    /// If it has results. An action has at most [`MAX_ACTION`] values, for which the buffer has room.
    pub fn encode(&self, now: Instant, out: &mut [u8; InferReply::MAX_FRAME]) -> usize {
        let mut bytes = [0; MAX_ACTION * size_of::<f32>()];
        let (body, model) = match &self.says {
            Replied::Result(result) => {
                let length = message::put_floats(result.values(), &mut bytes).expect("MAX_ACTION values have room");
                let values = bytes.get(..length).expect("as many bytes as were written");
                (InferBody::Result { place: self.place, values }, self.model)
            }
            Replied::Results(_) => unreachable!("results have a frame of their own"),
            Replied::Refusal(refusal) => (InferBody::Refusal { reason: refusal.reason().number() }, ModelDigest::NONE),
        };
        let reply = InferReply {
            address: self.address,
            boot: self.boot,
            request: self.asked.request,
            stamp: self.asked.stamp,
            model,
            age_us: now.since(self.asked.arrival).wire_micros(),
            status: self.status,
            body,
        };
        reply.encode(out).expect("MAX_FRAME has room for the longest reply")
    }
}
