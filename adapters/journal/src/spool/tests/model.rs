//! The reference: what the spool's documents say, over a plain list, without a disk.

use std::time::Duration;

use super::super::{
    Acknowledged, Answer, DeadLetter, Failure, Id, Ledger, Outcome, Position, PutRefusal, ReasonNumber, Request, Retry,
    Settings, Status, Task, Wall, Why,
};

#[derive(Clone)]
pub(super) struct Model {
    settings: Settings,
    /// The spool's time and the wall clock it was made of, now and at the last commit.
    clock: (u64, u64),
    committed: (u64, u64),
    entries: Vec<Entry>,
    next: u64,
    pub(super) ledger: Ledger,
}

#[derive(Clone)]
struct Entry {
    position: u64,
    request: Request,
    stored_at: Wall,
    expires: u64,
    attempts: u32,
    forgiven: u32,
    doubt: bool,
    stage: Stage,
}

#[derive(Clone, PartialEq)]
enum Stage {
    Waiting,
    Out,
    Dead(Why),
    Delivered { result: Option<Vec<u8>>, keep: u64 },
    Expired { keep: u64 },
    Failed { why: Why, keep: u64 },
    Read { keep: u64 },
}

/// What the reference says of a put.
#[derive(Debug, PartialEq)]
pub(super) enum Put {
    Stored,
    Duplicate(Status),
    Refused(PutRefusal),
}

impl Model {
    pub(super) fn new(settings: Settings, now: Wall) -> Model {
        let clock = (0, now.0);
        Model { settings, clock, committed: clock, entries: Vec::new(), next: 1, ledger: empty() }
    }

    /// The process ended, however, and a new one opened what was committed.
    pub(super) fn restart(&mut self, now: Wall) {
        self.clock = self.committed;
        self.ledger = Ledger { carried_over: self.in_flight(), ..empty() };
        for entry in &mut self.entries {
            if entry.stage == Stage::Out {
                entry.doubt = true;
                let spent = entry.attempts - entry.forgiven >= self.settings.max_attempts.get();
                entry.stage = if spent { Stage::Dead(Why::Attempts(None)) } else { Stage::Waiting };
                self.ledger.failed += u64::from(spent);
            }
        }
        self.commit();
        self.pass(now);
    }

    pub(super) fn pass(&mut self, now: Wall) {
        self.clock = (self.clock.0 + now.0.saturating_sub(self.clock.1), now.0);
        let (moment, keep) = (self.clock.0, self.clock.0 + self.kept());
        let before = self.entries.len();
        let mut changed = false;
        for entry in &mut self.entries {
            if entry.stage == Stage::Waiting && entry.expires <= moment {
                entry.stage = Stage::Expired { keep };
                self.ledger.expired += 1;
                changed = true;
            }
        }
        self.entries.retain(|entry| match entry.stage {
            Stage::Delivered { keep, .. }
            | Stage::Expired { keep }
            | Stage::Failed { keep, .. }
            | Stage::Read { keep } => keep > moment,
            Stage::Waiting | Stage::Out | Stage::Dead(_) => true,
        });
        if changed || self.entries.len() != before {
            self.commit();
        }
    }

    pub(super) fn put(&mut self, request: &Request, now: Wall) -> Put {
        if let Some(known) = self.entries.iter().find(|entry| entry.request.id == request.id) {
            let same = (&known.request.task, &known.request.context, &known.request.payload)
                == (&request.task, &request.context, &request.payload);
            if same {
                self.ledger.duplicates += 1;
                return Put::Duplicate(known.status());
            }
            return self.refuse(PutRefusal::IdTaken);
        }
        if let Err(refusal) = self.room(request) {
            return self.refuse(refusal);
        }
        self.entries.push(Entry {
            position: self.next,
            request: request.clone(),
            stored_at: now,
            expires: self.clock.0 + nanos(request.time_to_live),
            attempts: 0,
            forgiven: 0,
            doubt: false,
            stage: Stage::Waiting,
        });
        self.next += 1;
        self.ledger.requested += 1;
        self.commit();
        Put::Stored
    }

    /// The id and payload that are next, how often they were sent, and whether in doubt.
    pub(super) fn next(&self, task: &Task) -> Option<(Id, Vec<u8>, u32, bool)> {
        let mut of_task = self.entries.iter().filter(|entry| entry.request.task == *task);
        if of_task.clone().any(|entry| entry.stage == Stage::Out) {
            return None;
        }
        let entry = of_task.find(|entry| entry.stage == Stage::Waiting)?;
        Some((entry.request.id.clone(), entry.request.payload.clone(), entry.attempts, entry.doubt))
    }

    /// The number of the attempt that begins.
    pub(super) fn begin(&mut self, id: &Id) -> Option<u32> {
        let task = self.find(id)?.request.task.clone();
        if self.next(&task).is_none_or(|(next, ..)| next != *id) {
            return None;
        }
        let entry = self.find(id)?;
        entry.stage = Stage::Out;
        entry.attempts += 1;
        let number = entry.attempts;
        self.ledger.attempts += 1;
        self.commit();
        Some(number)
    }

    /// Of the attempt that is out.
    pub(super) fn delivered(&mut self, id: &Id, result: &[u8]) -> Outcome {
        let (now, keep) = (self.clock.0, self.clock.0 + self.kept());
        let Some(entry) = self.find(id).filter(|entry| entry.stage == Stage::Out) else { return Outcome::Stale };
        let fits = result.len() as u64 <= entry.request.result_bytes;
        let keep = keep.max(entry.expires).max(now);
        entry.stage = Stage::Delivered { result: fits.then(|| result.to_vec()), keep };
        self.ledger.delivered += 1;
        self.commit();
        if fits { Outcome::Recorded } else { Outcome::ResultTooLarge }
    }

    /// Of the attempt that is out.
    pub(super) fn failed(&mut self, id: &Id, failure: Failure) -> Outcome {
        let most = self.settings.max_attempts.get();
        let Some(entry) = self.find(id).filter(|entry| entry.stage == Stage::Out) else { return Outcome::Stale };
        let spent = entry.attempts - entry.forgiven >= most;
        let why = match failure {
            Failure::NotSent(_) => None,
            Failure::Permanent(reason) => Some(Why::Rejected(reason)),
            Failure::Transient(reason) | Failure::InDoubt(reason) => spent.then_some(Why::Attempts(Some(reason))),
        };
        entry.doubt |= matches!(failure, Failure::InDoubt(_));
        entry.forgiven += u32::from(matches!(failure, Failure::NotSent(_)));
        entry.stage = why.map_or(Stage::Waiting, Stage::Dead);
        self.ledger.failed += u64::from(why.is_some());
        self.commit();
        if why.is_some() { Outcome::DeadLetter } else { Outcome::Recorded }
    }

    pub(super) fn reject(&mut self, id: &Id, reason: ReasonNumber) -> Outcome {
        let Some(entry) = self.find(id) else { return Outcome::Stale };
        match entry.stage {
            Stage::Dead(_) => return Outcome::DeadLetter,
            Stage::Waiting => entry.stage = Stage::Dead(Why::NotSent(reason)),
            Stage::Out
            | Stage::Delivered { .. }
            | Stage::Expired { .. }
            | Stage::Failed { .. }
            | Stage::Read { .. } => return Outcome::Stale,
        }
        self.ledger.failed += 1;
        self.commit();
        Outcome::DeadLetter
    }

    pub(super) fn answer(&self, id: &Id) -> Answer {
        let Some(entry) = self.entries.iter().find(|entry| entry.request.id == *id) else { return Answer::Unknown };
        match &entry.stage {
            Stage::Waiting | Stage::Out => Answer::Pending(entry.status()),
            Stage::Dead(why) | Stage::Failed { why, .. } => Answer::Failed(*why),
            Stage::Delivered { result: Some(result), .. } => Answer::Delivered(result.clone()),
            Stage::Delivered { result: None, .. } => Answer::ResultTooLarge,
            Stage::Expired { .. } => Answer::Expired { in_doubt: entry.doubt },
            Stage::Read { .. } => Answer::Read,
        }
    }

    pub(super) fn acknowledge(&mut self, id: &Id) -> Acknowledged {
        let most = self.settings.bounds.read;
        let Some(entry) = self.find(id) else { return Acknowledged::Unknown };
        let keep = match entry.stage {
            Stage::Delivered { keep, .. } | Stage::Expired { keep } | Stage::Failed { keep, .. } => keep,
            Stage::Read { .. } => return Acknowledged::Done,
            Stage::Waiting | Stage::Out | Stage::Dead(_) => return Acknowledged::Pending,
        };
        // The oldest of those that were there before it go.
        let read = |entry: &Entry| matches!(entry.stage, Stage::Read { .. });
        if self.entries.iter().filter(|entry| read(entry)).count() as u64 >= most {
            let oldest = self.entries.iter().position(read).expect("counted above");
            self.entries.remove(oldest);
        }
        self.find(id).expect("it was not read yet").stage = Stage::Read { keep };
        self.commit();
        Acknowledged::Done
    }

    pub(super) fn retry(&mut self, position: Position) -> Retry {
        let Some(at) = self.entries.iter().position(|entry| entry.position == position.number()) else {
            return Retry::Unknown;
        };
        let Stage::Dead(_) = self.entries[at].stage else { return Retry::Unknown };
        let bounds = self.settings.bounds;
        let (body, result) = (self.entries[at].body(), self.entries[at].request.result_bytes);
        let (items, bytes) = self.sum(Entry::in_flight, Entry::body);
        let full = items + 1 > bounds.waiting.items
            || bytes + body > bounds.waiting.bytes
            || self.results() + result > bounds.answers.bytes;
        if full {
            return Retry::Full;
        }
        let now = self.clock.0;
        let entry = &mut self.entries[at];
        entry.stage = Stage::Waiting;
        entry.forgiven = entry.attempts;
        entry.expires = now + nanos(entry.request.time_to_live);
        self.ledger.requested += 1;
        self.commit();
        Retry::Waiting
    }

    pub(super) fn purge(&mut self, position: Position) -> bool {
        let keep = self.clock.0 + self.kept();
        let entry = self.entries.iter_mut().find(|entry| entry.position == position.number());
        let dead = entry.and_then(|entry| if let Stage::Dead(why) = entry.stage { Some((entry, why)) } else { None });
        let Some((entry, why)) = dead else { return false };
        entry.stage = Stage::Failed { why, keep: keep.max(entry.expires) };
        self.commit();
        true
    }

    pub(super) fn status(&self, id: &Id) -> Option<Status> {
        self.entries.iter().find(|entry| entry.request.id == *id).map(Entry::status)
    }

    pub(super) fn dead_letters(&self) -> Vec<DeadLetter> {
        let letters = self.entries.iter().filter_map(|entry| {
            let Stage::Dead(why) = entry.stage else { return None };
            Some(DeadLetter {
                position: Position::from_number(entry.position),
                known: Some((entry.request.id.clone(), entry.request.task.clone(), entry.stored_at)),
                attempts: entry.attempts,
                bytes: entry.body(),
                in_doubt: entry.doubt,
                why,
            })
        });
        letters.collect()
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.sum(Entry::in_flight, Entry::body).0
    }

    /// With what is in flight now.
    pub(super) fn ledger(&self) -> Ledger {
        Ledger { in_flight: self.in_flight(), ..self.ledger }
    }

    pub(super) fn refuse(&mut self, refusal: PutRefusal) -> Put {
        self.ledger.requested += 1;
        self.ledger.refused += 1;
        Put::Refused(refusal)
    }

    fn room(&self, request: &Request) -> Result<(), PutRefusal> {
        let bounds = self.settings.bounds;
        let body = (request.context.len() + request.payload.len()) as u64;
        if body > bounds.waiting.bytes.min(bounds.dead.bytes) || request.result_bytes > bounds.answers.bytes {
            return Err(PutRefusal::TooLarge);
        }
        let (waiting, waiting_bytes) = self.sum(Entry::in_flight, Entry::body);
        if waiting + 1 > bounds.waiting.items || waiting_bytes + body > bounds.waiting.bytes {
            return Err(PutRefusal::WaitingFull);
        }
        let (dead, dead_bytes) = self.sum(|entry| matches!(entry.stage, Stage::Dead(_)), Entry::body);
        if waiting + dead + 1 > bounds.dead.items || waiting_bytes + dead_bytes + body > bounds.dead.bytes {
            return Err(PutRefusal::DeadLettersFull);
        }
        let (unread, _) = self.sum(|entry| !matches!(entry.stage, Stage::Read { .. }), Entry::body);
        if unread + 1 > bounds.answers.items || self.results() + request.result_bytes > bounds.answers.bytes {
            return Err(PutRefusal::AnswersFull);
        }
        Ok(())
    }

    /// Bytes of results, and of what is set aside for them.
    fn results(&self) -> u64 {
        let here = |entry: &Entry| {
            let Stage::Delivered { result: Some(result), .. } = &entry.stage else { return 0 };
            result.len() as u64
        };
        self.sum(Entry::in_flight, |entry| entry.request.result_bytes).1 + self.sum(|_| true, here).1
    }

    fn sum(&self, which: impl Fn(&Entry) -> bool, bytes: impl Fn(&Entry) -> u64) -> (u64, u64) {
        let entries = self.entries.iter().filter(|entry| which(entry));
        entries.fold((0, 0), |(items, sum), entry| (items + 1, sum + bytes(entry)))
    }

    fn find(&mut self, id: &Id) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.request.id == *id)
    }

    fn commit(&mut self) {
        self.committed = self.clock;
    }

    fn kept(&self) -> u64 {
        nanos(self.settings.keep_answers)
    }
}

impl Entry {
    fn status(&self) -> Status {
        match self.stage {
            Stage::Waiting => Status::Waiting { in_doubt: self.doubt },
            Stage::Out => Status::Out,
            Stage::Dead(why) => Status::Dead(why),
            Stage::Delivered { .. } => Status::Delivered,
            Stage::Expired { .. } => Status::Expired { in_doubt: self.doubt },
            Stage::Failed { why, .. } => Status::Failed(why),
            Stage::Read { .. } => Status::Read,
        }
    }

    fn in_flight(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::Out)
    }

    fn body(&self) -> u64 {
        (self.request.context.len() + self.request.payload.len()) as u64
    }
}

fn empty() -> Ledger {
    Ledger {
        carried_over: 0,
        requested: 0,
        delivered: 0,
        refused: 0,
        expired: 0,
        failed: 0,
        in_flight: 0,
        duplicates: 0,
        attempts: 0,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("the tests' times are short")
}
