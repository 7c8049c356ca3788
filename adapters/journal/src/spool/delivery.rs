//! The way of a request: put, next, begun, and how that ended.

use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::change::Change;
use super::record::{End, Phase, Record};
use super::request::{
    Attempt, Begin, Failure, Id, Item, Outcome, Position, Put, PutRefusal, ReasonNumber, Request, Task, Wall, Why,
};
use super::vault::Place;
use super::{Spool, SpoolError};

impl Spool {
    /// Stores a request. What is [`Put::Stored`] is on disk.
    ///
    /// # Errors
    /// The disk's. The request counts as refused; the next start may find it stored after all, under its id.
    pub fn put(&mut self, request: &Request, now: Wall) -> Result<Put, SpoolError> {
        let put = self.try_put(request, now);
        match put {
            Ok(Put::Stored(_)) => {}
            Ok(Put::Duplicate(_)) => self.duplicates += 1,
            Ok(Put::Refused(_)) | Err(_) => self.refused += 1,
        }
        put
    }

    /// The oldest request of a task, unless one of it is out. To be sent after [`Spool::begin`] only.
    ///
    /// # Errors
    /// The disk's.
    pub fn next(&mut self, task: &Task, now: Wall) -> Result<Option<Item>, SpoolError> {
        self.catch_up(now)?;
        while let Some((position, record)) = self.index.next(task) {
            let record = record.clone();
            if let Some(body) = self.body(position, &record.id)? {
                return Ok(Some(item(position, &record, record.expires.since(self.now()), body)));
            }
            let mut change = self.change();
            bury(&mut change, position, &record, Why::Damaged, was_in_doubt(&record));
            self.write(change)?;
        }
        Ok(None)
    }

    /// Records that an attempt to deliver begins. Send only after it returned [`Begin::Begun`].
    ///
    /// # Errors
    /// The disk's. Send nothing.
    pub fn begin(&mut self, id: &Id, now: Wall) -> Result<Begin, SpoolError> {
        self.catch_up(now)?;
        let Some((position, record)) = self.index.find(id) else { return Ok(Begin::NotNext) };
        if self.index.next(&record.task).is_none_or(|(next, _)| next != position) {
            return Ok(Begin::NotNext);
        }
        let mut begun = record.with(Phase::Out { in_doubt: was_in_doubt(record) });
        begun.attempts = begun.attempts.saturating_add(1);
        let attempt = Attempt { position, id: id.clone(), number: begun.attempts };
        let mut change = self.change();
        change.state(position, begun);
        change.counters.attempts += 1;
        self.write(change)?;
        Ok(Begin::Begun(attempt))
    }

    /// Records that an attempt delivered its request, and keeps the result.
    ///
    /// # Errors
    /// The disk's. Report it again; where that never succeeds the request is in doubt at the next start.
    pub fn delivered(&mut self, attempt: &Attempt, result: &[u8], now: Wall) -> Result<Outcome, SpoolError> {
        self.catch_up(now)?;
        let Some(record) = self.of_attempt(attempt) else { return Ok(Outcome::Stale) };
        let fits = result.len() as u64 <= record.result;
        match record.phase {
            Phase::Out { .. } => {}
            Phase::Ended { end: End::Delivered { result }, .. } => return Ok(recorded(result.is_some())),
            Phase::Waiting { .. } | Phase::Dead { .. } | Phase::Ended { .. } | Phase::Read { .. } => {
                return Ok(Outcome::Stale);
            }
        }
        let end = End::Delivered { result: fits.then_some(result.len() as u64) };
        let ended = record.with(Phase::Ended { end, keep: self.keep(record) });
        let mut change = self.change();
        change.state(attempt.position, ended);
        change.remove_body(attempt.position);
        if fits {
            change.result(attempt.position, self.vault.seal(Place::Result(attempt.position, &attempt.id), result)?);
        }
        change.counters.delivered += 1;
        self.write(change)?;
        Ok(recorded(fits))
    }

    /// Records that an attempt failed. The request comes again, or is a dead letter.
    ///
    /// # Errors
    /// The disk's. Report it again; where that never succeeds the request is in doubt at the next start.
    pub fn failed(&mut self, attempt: &Attempt, failure: Failure, now: Wall) -> Result<Outcome, SpoolError> {
        self.catch_up(now)?;
        let Some(record) = self.of_attempt(attempt) else { return Ok(Outcome::Stale) };
        let before = match record.phase {
            Phase::Out { in_doubt } => in_doubt,
            Phase::Waiting { .. } => return Ok(Outcome::Recorded),
            Phase::Dead { .. } => return Ok(Outcome::DeadLetter),
            Phase::Ended { .. } | Phase::Read { .. } => return Ok(Outcome::Stale),
        };
        let (why, in_doubt) = match failure {
            Failure::NotSent(_) => (None, before),
            Failure::Permanent(reason) => (Some(Why::Rejected(reason)), before),
            Failure::Transient(reason) => (self.spent(record).then_some(Why::Attempts(Some(reason))), before),
            Failure::InDoubt(reason) => (self.spent(record).then_some(Why::Attempts(Some(reason))), true),
        };
        let mut record = record.clone();
        record.forgiven += u32::from(matches!(failure, Failure::NotSent(_)));
        let mut change = self.change();
        match why {
            Some(why) => bury(&mut change, attempt.position, &record, why, in_doubt),
            None => change.state(attempt.position, record.with(Phase::Waiting { in_doubt })),
        }
        self.write(change)?;
        Ok(if why.is_some() { Outcome::DeadLetter } else { Outcome::Recorded })
    }

    /// Records that a request that waits may not be sent (any more): it is a dead letter, with no attempt.
    ///
    /// # Errors
    /// The disk's.
    pub fn reject(&mut self, id: &Id, reason: ReasonNumber, now: Wall) -> Result<Outcome, SpoolError> {
        self.catch_up(now)?;
        let Some((position, record)) = self.index.find(id) else { return Ok(Outcome::Stale) };
        let in_doubt = match record.phase {
            Phase::Waiting { in_doubt } => in_doubt,
            Phase::Dead { .. } => return Ok(Outcome::DeadLetter),
            Phase::Out { .. } | Phase::Ended { .. } | Phase::Read { .. } => return Ok(Outcome::Stale),
        };
        let record = record.clone();
        let mut change = self.change();
        bury(&mut change, position, &record, Why::NotSent(reason), in_doubt);
        self.write(change)?;
        Ok(Outcome::DeadLetter)
    }

    /// Whether a request has had all its attempts.
    pub(super) fn spent(&self, record: &Record) -> bool {
        record.attempts.saturating_sub(record.forgiven) >= self.settings.max_attempts.get()
    }

    fn try_put(&mut self, request: &Request, now: Wall) -> Result<Put, SpoolError> {
        self.catch_up(now)?;
        let digest = digest(request);
        if let Some((_, known)) = self.index.find(&request.id) {
            let same = known.digest == digest;
            return Ok(if same { Put::Duplicate(known.status()) } else { Put::Refused(PutRefusal::IdTaken) });
        }
        let body = request.context.len() as u64 + request.payload.len() as u64;
        if let Err(refusal) = self.index.usage().room(&self.settings.bounds, body, request.result_bytes) {
            return Ok(Put::Refused(refusal));
        }
        let mut change = self.change();
        let position = Position(change.counters.next_position);
        let record = Record {
            id: request.id.clone(),
            task: request.task.clone(),
            digest,
            stored_at: now.0,
            time_to_live: u64::try_from(request.time_to_live.as_nanos()).unwrap_or(u64::MAX),
            expires: self.now().plus(request.time_to_live),
            body,
            result: request.result_bytes,
            attempts: 0,
            forgiven: 0,
            phase: Phase::Waiting { in_doubt: false },
        };
        let plain = join(&request.context, &request.payload);
        change.body(position, self.vault.seal(Place::Body(position, &request.id), &plain)?);
        change.state(position, record);
        change.counters.next_position += 1;
        change.counters.accepted += 1;
        self.write(change)?;
        Ok(Put::Stored(position))
    }

    fn of_attempt(&self, attempt: &Attempt) -> Option<&Record> {
        let record = self.index.record(attempt.position)?;
        (record.id == attempt.id && record.attempts == attempt.number).then_some(record)
    }

    /// None where it is not what was stored.
    fn body(&mut self, position: Position, id: &Id) -> Result<Option<Body>, SpoolError> {
        let sealed = self.open_store()?.body(position);
        let sealed = self.note_failure(sealed)?;
        let plain = sealed.and_then(|sealed| self.vault.unseal(Place::Body(position, id), &sealed));
        Ok(plain.and_then(|plain| part(&plain)))
    }
}

struct Body {
    context: Vec<u8>,
    payload: Vec<u8>,
}

/// Makes a dead letter of what is in flight.
pub(super) fn bury(change: &mut Change, position: Position, record: &Record, why: Why, in_doubt: bool) {
    change.state(position, record.with(Phase::Dead { why, in_doubt }));
    change.counters.failed += 1;
}

fn was_in_doubt(record: &Record) -> bool {
    match record.phase {
        Phase::Waiting { in_doubt } | Phase::Out { in_doubt } | Phase::Dead { in_doubt, .. } => in_doubt,
        Phase::Ended { .. } | Phase::Read { .. } => false,
    }
}

fn recorded(kept: bool) -> Outcome {
    if kept { Outcome::Recorded } else { Outcome::ResultTooLarge }
}

fn item(position: Position, record: &Record, time_left: Duration, body: Body) -> Item {
    Item {
        position,
        id: record.id.clone(),
        attempts: record.attempts,
        in_doubt: was_in_doubt(record),
        stored_at: Wall(record.stored_at),
        time_left,
        context: body.context,
        payload: body.payload,
    }
}

fn digest(request: &Request) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in [request.task.as_str().as_bytes(), &request.context, &request.payload] {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn join(context: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = (context.len() as u64).to_le_bytes();
    [&length, context, payload].concat()
}

fn part(plain: &[u8]) -> Option<Body> {
    let (length, rest) = plain.split_first_chunk()?;
    let (context, payload) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    Some(Body { context: context.to_vec(), payload: payload.to_vec() })
}
