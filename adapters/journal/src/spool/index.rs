//! What is where, in memory: made of the rows at open, and changed with each row that was committed, never otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::bounds::{Load, Usage};
use super::clock::Moment;
use super::record::{End, Phase, Record};
use super::request::{Id, Position, Task};

#[derive(Default)]
pub(super) struct Index {
    records: BTreeMap<Position, Record>,
    ids: HashMap<Id, Position>,
    queues: HashMap<Task, Queue>,
    dead: BTreeSet<Position>,
    read: BTreeSet<Position>,
    timers: BTreeSet<(Moment, Position)>,
    unreadable: BTreeMap<Position, u64>,
    usage: Usage,
}

/// A task's requests in flight.
#[derive(Default)]
struct Queue {
    waiting: BTreeSet<Position>,
    out: Option<Position>,
}

impl Index {
    /// A row as it is now; `None` where it is no more.
    pub(super) fn set(&mut self, position: Position, record: Option<Record>) {
        if let Some(bytes) = self.unreadable.remove(&position) {
            self.usage.dead = self.usage.dead.minus(Load::one(bytes));
        }
        if let Some(before) = self.records.remove(&position) {
            self.take_out(position, &before);
        }
        if let Some(record) = record {
            self.put_in(position, &record);
            self.records.insert(position, record);
        }
    }

    /// A row that cannot be read, with the bytes of its body.
    pub(super) fn set_unreadable(&mut self, position: Position, bytes: u64) {
        assert!(self.unreadable.insert(position, bytes).is_none(), "a row is read once");
        self.usage.dead = self.usage.dead.plus(Load::one(bytes));
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.usage.waiting.items
    }

    pub(super) fn record(&self, position: Position) -> Option<&Record> {
        self.records.get(&position)
    }

    pub(super) fn find(&self, id: &Id) -> Option<(Position, &Record)> {
        let position = *self.ids.get(id)?;
        Some((position, self.records.get(&position).expect("an id stands for a record")))
    }

    /// The oldest of a task, unless one of it is out.
    pub(super) fn next(&self, task: &Task) -> Option<(Position, &Record)> {
        let queue = self.queues.get(task)?;
        let position = if queue.out.is_none() { *queue.waiting.first()? } else { return None };
        Some((position, self.records.get(&position).expect("what waits has a record")))
    }

    /// Tasks that have a next one.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Task> {
        self.queues.iter().filter(|(_, queue)| queue.out.is_none() && !queue.waiting.is_empty()).map(|(task, _)| task)
    }

    pub(super) fn out(&self) -> impl Iterator<Item = (Position, &Record)> {
        let out = self.queues.values().filter_map(|queue| queue.out);
        out.map(|position| (position, self.records.get(&position).expect("what is out has a record")))
    }

    /// Whose time has come, the first of them.
    pub(super) fn due(&self, now: Moment, most: usize) -> impl Iterator<Item = (Position, &Record)> {
        let due = self.timers.range(..=(now, Position(u64::MAX))).take(most);
        due.map(|(_, position)| (*position, self.records.get(position).expect("a timer stands for a record")))
    }

    /// Dead letters that can be read, and the bytes of those that cannot, by position.
    pub(super) fn dead(&self, after: Position) -> impl Iterator<Item = (Position, Result<&Record, u64>)> {
        let after = Position(after.0.saturating_add(1))..;
        let known = self
            .dead
            .range(after.clone())
            .map(|&position| (position, Ok(self.records.get(&position).expect("a dead letter has a record"))));
        let unknown = self.unreadable.range(after).map(|(&position, &bytes)| (position, Err(bytes)));
        let mut all: Vec<_> = known.chain(unknown).collect();
        all.sort_unstable_by_key(|(position, _)| *position);
        all.into_iter()
    }

    pub(super) fn unreadable(&self, position: Position) -> bool {
        self.unreadable.contains_key(&position)
    }

    pub(super) fn unreadable_count(&self) -> u64 {
        self.unreadable.len() as u64
    }

    /// The ids that were read longest ago, so that no more than this many remain.
    pub(super) fn read_beyond(&self, most: u64) -> impl Iterator<Item = Position> {
        let beyond = usize::try_from(self.usage.read.saturating_sub(most)).unwrap_or(usize::MAX);
        self.read.iter().copied().take(beyond)
    }

    pub(super) fn last_position(&self) -> Position {
        let known = self.records.last_key_value().map_or(Position(0), |(position, _)| *position);
        let unknown = self.unreadable.last_key_value().map_or(Position(0), |(position, _)| *position);
        known.max(unknown)
    }

    fn put_in(&mut self, position: Position, record: &Record) {
        self.ids.insert(record.id.clone(), position);
        if let Some(moment) = record.timer() {
            self.timers.insert((moment, position));
        }
        let usage = &mut self.usage;
        match record.phase {
            Phase::Waiting { .. } => {
                usage.waiting = usage.waiting.plus(Load::one(record.body));
                usage.reserved = usage.reserved.saturating_add(record.result);
                self.queues.entry(record.task.clone()).or_default().waiting.insert(position);
            }
            Phase::Out { .. } => {
                usage.waiting = usage.waiting.plus(Load::one(record.body));
                usage.reserved = usage.reserved.saturating_add(record.result);
                self.queues.entry(record.task.clone()).or_default().out = Some(position);
            }
            Phase::Dead { .. } => {
                usage.dead = usage.dead.plus(Load::one(record.body));
                self.dead.insert(position);
            }
            Phase::Ended { end, .. } => usage.ended = usage.ended.plus(Load::one(kept(end))),
            Phase::Read { .. } => {
                usage.read += 1;
                self.read.insert(position);
            }
        }
    }

    fn take_out(&mut self, position: Position, record: &Record) {
        self.ids.remove(&record.id);
        if let Some(moment) = record.timer() {
            self.timers.remove(&(moment, position));
        }
        let usage = &mut self.usage;
        match record.phase {
            Phase::Waiting { .. } | Phase::Out { .. } => {
                usage.waiting = usage.waiting.minus(Load::one(record.body));
                usage.reserved -= record.result;
                let queue = self.queues.get_mut(&record.task).expect("what is in flight stands in its queue");
                queue.waiting.remove(&position);
                queue.out.take_if(|out| *out == position);
                if queue.waiting.is_empty() && queue.out.is_none() {
                    self.queues.remove(&record.task);
                }
            }
            Phase::Dead { .. } => {
                usage.dead = usage.dead.minus(Load::one(record.body));
                self.dead.remove(&position);
            }
            Phase::Ended { end, .. } => usage.ended = usage.ended.minus(Load::one(kept(end))),
            Phase::Read { .. } => {
                usage.read -= 1;
                self.read.remove(&position);
            }
        }
    }
}

fn kept(end: End) -> u64 {
    match end {
        End::Delivered { result } => result.unwrap_or(0),
        End::Expired { .. } | End::Failed(_) => 0,
    }
}
