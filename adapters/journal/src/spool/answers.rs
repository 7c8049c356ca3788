//! What a client reads, and what an operator does with dead letters.

use std::time::Duration;

use super::record::{End, Phase, Record};
use super::request::{Acknowledged, Answer, DeadLetter, Id, Position, Retry, Status, Wall, Why};
use super::vault::Place;
use super::{Spool, SpoolError};

impl Spool {
    /// What a client is told of its request. It stays until the client says so ([`Spool::acknowledge`]) or its time is over.
    ///
    /// # Errors
    /// The disk's.
    pub fn answer(&mut self, id: &Id, now: Wall) -> Result<Answer, SpoolError> {
        self.catch_up(now)?;
        let Some((position, record)) = self.index.find(id) else { return Ok(Answer::Unknown) };
        match record.phase {
            Phase::Waiting { .. } | Phase::Out { .. } => Ok(Answer::Pending(record.status())),
            Phase::Dead { why, .. } | Phase::Ended { end: End::Failed(why), .. } => Ok(Answer::Failed(why)),
            Phase::Ended { end: End::Expired { in_doubt }, .. } => Ok(Answer::Expired { in_doubt }),
            Phase::Ended { end: End::Delivered { result: None }, .. } => Ok(Answer::ResultTooLarge),
            Phase::Ended { end: End::Delivered { result: Some(_) }, .. } => self.result(position, id),
            Phase::Read { .. } => Ok(Answer::Read),
        }
    }

    /// A client has read its answer: the result goes, the id stays for a while. A dead letter's answer is not final, since
    /// somebody may retry it, so there is nothing to acknowledge yet.
    ///
    /// # Errors
    /// The disk's.
    pub fn acknowledge(&mut self, id: &Id, now: Wall) -> Result<Acknowledged, SpoolError> {
        self.catch_up(now)?;
        let Some((position, record)) = self.index.find(id) else { return Ok(Acknowledged::Unknown) };
        let keep = match record.phase {
            Phase::Ended { keep, .. } => keep,
            Phase::Waiting { .. } | Phase::Out { .. } | Phase::Dead { .. } => return Ok(Acknowledged::Pending),
            Phase::Read { .. } => return Ok(Acknowledged::Done),
        };
        let mut change = self.change();
        match self.settings.bounds.read.checked_sub(1) {
            Some(others) => {
                change.state(position, record.with(Phase::Read { keep }));
                change.remove_result(position);
                self.index.read_beyond(others).for_each(|oldest| change.forget(oldest));
            }
            None => change.forget(position),
        }
        self.write(change)?;
        Ok(Acknowledged::Done)
    }

    /// At most so many dead letters, the oldest first, behind this position.
    #[must_use]
    pub fn dead_letters(&self, after: Option<Position>, most: usize) -> Vec<DeadLetter> {
        let letters = self.index.dead(after.unwrap_or(Position(0))).take(most);
        letters
            .map(|(position, letter)| match letter {
                Ok(record) => dead_letter(position, record),
                Err(bytes) => {
                    DeadLetter { position, known: None, attempts: 0, bytes, in_doubt: false, why: Why::Damaged }
                }
            })
            .collect()
    }

    /// A dead letter is to be delivered after all. It counts as one more request.
    ///
    /// # Errors
    /// The disk's.
    pub fn retry(&mut self, position: Position, now: Wall) -> Result<Retry, SpoolError> {
        self.catch_up(now)?;
        if self.index.unreadable(position) {
            return Ok(Retry::Damaged);
        }
        let Some(record) = self.index.record(position) else { return Ok(Retry::Unknown) };
        let in_doubt = match record.phase {
            Phase::Dead { why: Why::Damaged, .. } => return Ok(Retry::Damaged),
            Phase::Dead { why: Why::Attempts(_) | Why::Rejected(_) | Why::NotSent(_), in_doubt } => in_doubt,
            Phase::Waiting { .. } | Phase::Out { .. } | Phase::Ended { .. } | Phase::Read { .. } => {
                return Ok(Retry::Unknown);
            }
        };
        if !self.index.usage().room_again(&self.settings.bounds, record.body, record.result) {
            return Ok(Retry::Full);
        }
        let mut retried = record.with(Phase::Waiting { in_doubt });
        retried.forgiven = retried.attempts;
        retried.expires = self.now().plus(Duration::from_nanos(retried.time_to_live));
        let mut change = self.change();
        change.state(position, retried);
        change.counters.accepted += 1;
        self.write(change)?;
        Ok(Retry::Waiting)
    }

    /// A dead letter will not be delivered: its bytes go, and its client is told that it failed. `false` where there is none.
    ///
    /// # Errors
    /// The disk's.
    pub fn purge(&mut self, position: Position, now: Wall) -> Result<bool, SpoolError> {
        self.catch_up(now)?;
        let mut change = self.change();
        match self.index.record(position) {
            Some(record) => {
                let Status::Dead(why) = record.status() else { return Ok(false) };
                change.state(position, record.with(Phase::Ended { end: End::Failed(why), keep: self.keep(record) }));
                change.remove_body(position);
            }
            None if self.index.unreadable(position) => change.forget(position),
            None => return Ok(false),
        }
        self.write(change)?;
        Ok(true)
    }

    fn result(&mut self, position: Position, id: &Id) -> Result<Answer, SpoolError> {
        let sealed = self.open_store()?.result(position);
        let sealed = self.note_failure(sealed)?;
        let plain = sealed.and_then(|sealed| self.vault.unseal(Place::Result(position, id), &sealed));
        Ok(plain.map_or(Answer::ResultDamaged, Answer::Delivered))
    }
}

fn dead_letter(position: Position, record: &Record) -> DeadLetter {
    let Phase::Dead { why, in_doubt } = record.phase else { unreachable!("the index lists dead letters only") };
    DeadLetter {
        position,
        known: Some((record.id.clone(), record.task.clone(), Wall(record.stored_at))),
        attempts: record.attempts,
        bytes: record.body,
        in_doubt,
        why,
    }
}
