//! One attempt, in its only order: ruled → proven → cleared → sent. Each type is built of the one before it, in this file
//! alone, and only a [`Cleared`] gives a payload away: none leaves without a permit, a proof of identity and a durable
//! intent for this very connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    Request,
    connection::Connection,
    endpoint::Endpoint,
    error::{AttemptFailure, Failure, NotSent},
    exchange,
    gate::{Attempt, Carried, Ended, Gate, IntentId, Outcome, Permit, Summary},
    revocation::{Epoch, Revocation},
    wire::Payload,
};

/// Why an attempt ended without an answer.
pub(crate) enum Stop<R> {
    /// The gate said no: there is no other attempt.
    Refused(R),
    /// There can be no such body.
    Unsendable(&'static str),
    Failed(AttemptFailure),
}

impl<R> From<NotSent> for Stop<R> {
    fn from(why: NotSent) -> Self {
        Self::Failed(why.into())
    }
}

/// The policy permits it, and its body is what the permit lets through.
pub(crate) struct Ruled {
    carried: Carried,
    payload: Payload,
    epoch: Epoch,
}

impl Ruled {
    pub(crate) fn ask<G: Gate>(
        gate: &G,
        request: &Request,
        endpoint: &Endpoint,
        revocation: &Revocation,
    ) -> Result<Self, Stop<G::Refusal>> {
        // Before the rule: what the policy says after that is newer than this.
        let epoch = revocation.epoch();
        let permit: Permit = gate.rule(request, &endpoint.destination).map_err(Stop::Refused)?;
        let payload = Payload::encode(request, &permit.dropped, Instant::now()).map_err(Stop::Unsendable)?;
        let probe = matches!(request.purpose, crate::Purpose::Probe);
        let carried = Carried { task: Arc::clone(&request.task), probe, permit, to: endpoint.destination.clone() };
        Ok(Self { carried, payload, epoch })
    }

    pub(crate) async fn prove(self, endpoint: &Endpoint) -> Result<Proven, NotSent> {
        let begun = Instant::now();
        let (connection, fresh) = endpoint.connection().await?;
        let connecting = if fresh { begun.elapsed() } else { Duration::ZERO };
        Ok(Proven { ruled: self, connection, connecting })
    }
}

/// It is known who listens.
pub(crate) struct Proven {
    ruled: Ruled,
    connection: Arc<Connection>,
    connecting: Duration,
}

impl Proven {
    /// The intent is recorded in a task of its own: if nobody waits any longer, its outcome still follows.
    pub(crate) async fn clear<G: Gate>(
        self,
        gate: &Arc<G>,
        request: &Request,
        number: u32,
    ) -> Result<Cleared<G>, Stop<G::Refusal>> {
        let Self { ruled, connection, connecting } = self;
        let attempt = Attempt {
            request: Summary::from(request),
            number,
            to: ruled.carried.to.clone(),
            permit: ruled.carried.permit.clone(),
            digest: ruled.payload.digest(),
            bytes: ruled.payload.bytes(),
            peer: connection.peer.clone(),
            connecting,
        };
        let (gate, deadline) = (Arc::clone(gate), request.deadline);
        let (told, hear) = oneshot::channel();
        tokio::spawn(async move {
            let begun = Instant::now();
            let intent = gate.intent(attempt).await;
            let open = intent.map(|id| OpenIntent::new(gate, id, deadline, begun.elapsed()));
            // Dropped where nobody waits, which records that nothing was sent.
            drop(told.send(open));
        });
        match hear.await {
            Ok(Ok(open)) => Ok(Cleared { ruled, connection, open }),
            Ok(Err(refusal)) => Err(Stop::Refused(refusal)),
            // The gate panicked, or the runtime ends.
            Err(_) => Err(NotSent::Cancelled.into()),
        }
    }
}

/// Its intent is durable.
pub(crate) struct Cleared<G: Gate> {
    ruled: Ruled,
    connection: Arc<Connection>,
    open: OpenIntent<G>,
}

/// It was sent, and this is the message that came back.
pub(crate) struct Replied<G: Gate> {
    pub(crate) message: hyper::body::Bytes,
    pub(crate) open: OpenIntent<G>,
}

impl<G: Gate> Cleared<G> {
    /// Sends it on the connection that the intent names, and on no other.
    pub(crate) async fn send(
        self,
        endpoint: &Endpoint,
        revocation: &Revocation,
        deadline: Instant,
    ) -> Result<Replied<G>, AttemptFailure> {
        let Self { ruled: Ruled { carried, payload, epoch }, connection, mut open } = self;
        if Instant::now() >= deadline {
            return Err(open.not_sent(NotSent::Expired));
        }
        let bytes = payload.bytes();
        let begun = revocation.begin(epoch, &connection.cargo, &carried, || {
            let mut sender = connection.sender.clone();
            if sender.is_closed() {
                return None;
            }
            let request = exchange::request(connection.uri.clone(), deadline, payload.into_body());
            Some(sender.try_send_request(request))
        });
        let response = match begun {
            Ok(Some(response)) => response,
            Ok(None) => return Err(open.not_sent(NotSent::Lost)),
            Err(_changed) => return Err(open.not_sent(NotSent::Revoked)),
        };
        open.begin();
        endpoint.let_go(bytes);
        let _silence = Silence { connection: &connection, received: connection.received(), deadline };
        let lost =
            |connection: &Connection| if connection.cargo.was_revoked() { Failure::Revoked } else { Failure::Lost };
        match response.await {
            Ok(response) => match exchange::message(response, endpoint.most_answer_bytes()).await {
                Ok(message) => Ok(Replied { message, open }),
                Err(Failure::Lost) => Err(open.failed(lost(&connection))),
                Err(why) => Err(open.failed(why)),
            },
            Err(mut error) => match error.take_message() {
                // It never left the queue in front of the connection.
                Some(_) if connection.cargo.was_revoked() => Err(open.not_sent(NotSent::Revoked)),
                Some(_) => Err(open.not_sent(NotSent::Lost)),
                None => Err(open.failed(lost(&connection))),
            },
        }
    }
}

/// A connection on which nothing came until a deadline may be one whose network was cut: nothing new is sent on it.
struct Silence<'c> {
    connection: &'c Connection,
    received: u64,
    deadline: Instant,
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        if Instant::now() >= self.deadline && self.connection.received() == self.received {
            self.connection.retire();
        }
    }
}

/// A durable intent that has no outcome yet. It gets exactly one, whatever becomes of the attempt.
pub(crate) struct OpenIntent<G: Gate> {
    gate: Arc<G>,
    id: IntentId,
    deadline: Instant,
    recording: Duration,
    sent: Option<Instant>,
    ended: bool,
}

impl<G: Gate> OpenIntent<G> {
    fn new(gate: Arc<G>, id: IntentId, deadline: Instant, recording: Duration) -> Self {
        Self { gate, id, deadline, recording, sent: None, ended: false }
    }

    fn begin(&mut self) {
        self.sent = Some(Instant::now());
    }

    fn not_sent(mut self, why: NotSent) -> AttemptFailure {
        self.sent = None;
        self.end(Outcome::NotSent(why.clone()));
        why.into()
    }

    pub(crate) fn failed(mut self, why: Failure) -> AttemptFailure {
        self.end(Outcome::Failed(why.clone()));
        why.into()
    }

    /// The round trip of an answer that is as it was declared.
    pub(crate) fn answered(mut self, bytes: u64) -> Duration {
        self.end(Outcome::Answered { bytes })
    }

    fn end(&mut self, outcome: Outcome) -> Duration {
        let round_trip = self.sent.map(|sent| sent.elapsed()).unwrap_or_default();
        self.ended = true;
        self.gate.outcome(self.id, Ended { outcome, recording: self.recording, round_trip });
        round_trip
    }
}

impl<G: Gate> Drop for OpenIntent<G> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let expired = Instant::now() >= self.deadline;
        let outcome = match (self.sent, expired) {
            (Some(_), true) => Outcome::Expired,
            (Some(_), false) => Outcome::Cancelled,
            (None, true) => Outcome::NotSent(NotSent::Expired),
            (None, false) => Outcome::NotSent(NotSent::Cancelled),
        };
        self.end(outcome);
    }
}
