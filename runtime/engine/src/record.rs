//! record: whether a model still runs on a worker as its timing record says, and what its tasks do where it does not.
//!
//! A record declares, for each size of a batch, an execution that only a small share of inferences exceeds. Each one
//! that does is counted. In windows of a declared number of inferences, one after the other, more of them than chance
//! explains make the record void for good: as many as a healthy worker would show in one window out of a million at
//! most. That holds as far as the declared share does; an execution estimated from few samples belongs declared with
//! room. A worker that exceeds its record every time is found within 2·[`Record::most_above`] + 1 inferences.
//!
//! The daemon voids a worker's records too, when it sees the device throttle or a setting change.

mod binomial;

use message::Status;

use crate::{
    engine::{Engine, Tables},
    executions::Executions,
    face::VoidCause,
    fault::Fault,
    reason::Reason,
    task::{ConnectionId, Degraded, ModelId, ModelSet, Task, WorkerId},
    time::Duration,
};

/// What was measured of one model on one worker. Without it the model answers one observation at a time there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSpec {
    /// On which worker.
    pub worker: WorkerId,
    /// Which model.
    pub model: ModelId,
    /// The execution that all but `above` of the inferences keep to, for each size of a batch. The largest size is the
    /// largest batch of this model on this worker.
    pub executions: Executions,
    /// The share of inferences that may take longer.
    pub above: Share,
    /// How many inferences a window has.
    pub window: u32,
}

/// A share of inferences: above none, at most half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// From millionths; `None`: it is zero or above half.
    #[must_use]
    pub const fn from_parts_per_million(parts: u32) -> Option<Self> {
        if parts > 0 && parts <= binomial::MILLION / 2 { Some(Self(parts)) } else { None }
    }

    /// In millionths.
    #[must_use]
    pub const fn parts_per_million(self) -> u32 {
        self.0
    }
}

/// One record's state. The daemon allocates a table of them and lends it to the engine.
#[derive(Debug)]
pub struct Record {
    spec: RecordSpec,
    /// How many in a window may exceed the execution.
    most: u32,
    in_window: u32,
    above_in_window: u32,
    executions: u64,
    above: u64,
    void: Option<Reason>,
    told: bool,
}

/// The window is too short to void anything, or longer than a million inferences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowError;

impl core::fmt::Display for WindowError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("a timing record's window is too short to show anything, or above 1000000 inferences")
    }
}

impl core::error::Error for WindowError {}

impl Record {
    /// A record that holds, with its critical count.
    ///
    /// # Errors
    /// [`WindowError`] if even a window of nothing but long executions would not void it.
    pub fn new(spec: RecordSpec) -> Result<Self, WindowError> {
        let most = binomial::most_above(spec.window, spec.above.parts_per_million()).ok_or(WindowError)?;
        let (in_window, above_in_window, executions, above) = (0, 0, 0, 0);
        Ok(Self { spec, most, in_window, above_in_window, executions, above, void: None, told: false })
    }

    /// What was declared.
    #[must_use]
    pub const fn spec(&self) -> &RecordSpec {
        &self.spec
    }

    /// How many executions in one window may be above the declared one.
    #[must_use]
    pub const fn most_above(&self) -> u32 {
        self.most
    }

    /// How many executions were counted.
    #[must_use]
    pub const fn executions(&self) -> u64 {
        self.executions
    }

    /// How many of them were above the one declared for their batch's size.
    #[must_use]
    pub const fn above(&self) -> u64 {
        self.above
    }

    /// Why it is void, if it is.
    #[must_use]
    pub const fn void(&self) -> Option<Reason> {
        self.void
    }

    pub(crate) fn is_of(&self, worker: WorkerId, model: ModelId) -> bool {
        self.spec.worker == worker && self.spec.model == model
    }

    /// Counts an execution, and says whether it voids the record.
    fn count(&mut self, execution: Duration, declared: Duration, most: u32) -> bool {
        let above = execution > declared;
        self.executions = self.executions.saturating_add(1);
        self.above = self.above.saturating_add(u64::from(above));
        self.in_window = self.in_window.saturating_add(1);
        self.above_in_window = self.above_in_window.saturating_add(u32::from(above));
        let exceeded = self.above_in_window > most;
        if self.in_window >= self.spec.window {
            (self.in_window, self.above_in_window) = (0, 0);
        }
        exceeded
    }

    /// The first reason stays.
    fn make_void(&mut self, reason: Reason) {
        self.void = self.void.or(Some(reason));
    }
}

/// What follows from the records for each model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// A worker in service serves it without a record.
    unmeasured: ModelSet,
    /// A worker in service serves it with a record that is void.
    degraded: ModelSet,
}

impl Standing {
    pub(crate) fn of(tables: &Tables<'_>) -> Self {
        let mut standing = Self { unmeasured: ModelSet::EMPTY, degraded: ModelSet::EMPTY };
        for (worker, one) in (0u16..).zip(tables.workers.iter()).filter(|(_, worker)| worker.is_in_service()) {
            for model in ModelSet::all().filter(|model| one.models.contains(*model)) {
                match tables.records.iter().find(|record| record.is_of(WorkerId(worker), model)) {
                    None => standing.unmeasured = standing.unmeasured.with(model),
                    Some(record) if record.void.is_some() => standing.degraded = standing.degraded.with(model),
                    Some(_) => {}
                }
            }
        }
        standing
    }
}

impl Engine<'_> {
    /// An inference ended well: its execution is held against its record, for as many observations as it answered. A
    /// worker out of service is not watched.
    pub(crate) fn watch(&mut self, worker: WorkerId, (model, members): (ModelId, usize), execution: Duration) {
        if !self.worker(worker).is_in_service() {
            return;
        }
        let (one_is_too_many, never) = (self.fault.is(Fault::VoidAtOnce), self.fault.is(Fault::NeverVoid));
        let members = if self.fault.is(Fault::BatchWatchedAsOne) { 1 } else { members };
        let mut records = self.tables.records.iter_mut();
        let Some(record) = records.find(|record| record.is_of(worker, model)) else { return };
        let most = if one_is_too_many { 0 } else { record.most };
        let declared = record.spec.executions.of(members).expect("no batch is larger than its record's largest");
        if record.count(execution, declared, most) && record.void.is_none() && !never {
            record.make_void(Reason::RecordExceeded);
            self.judge_records();
        }
    }

    /// The daemon saw that this worker's records no longer hold.
    pub(crate) fn void_records(&mut self, worker: WorkerId, cause: VoidCause) {
        for record in self.tables.records.iter_mut().filter(|record| record.spec.worker == worker) {
            record.make_void(cause.reason());
        }
        self.judge_records();
    }

    /// Brings up to date what depends on the records and on who is in service.
    pub(crate) fn judge_records(&mut self) {
        self.standing = Standing::of(&self.tables);
        for id in 0..u16::try_from(self.tables.connections.len()).unwrap_or(u16::MAX) {
            self.refresh(ConnectionId(id));
        }
    }

    /// The next void record that nobody was told of; it then was.
    pub(crate) fn next_void(&mut self) -> Option<(WorkerId, ModelId, Reason)> {
        let mut void = self.tables.records.iter_mut().filter(|record| !record.told);
        let (record, reason) = void.find_map(|record| record.void.map(|reason| (record, reason)))?;
        record.told = true;
        Some((record.spec.worker, record.spec.model, reason))
    }

    /// The marks of this task's responses that come from its model's timing.
    pub(crate) fn timing_marks(&self, task: &Task<'_>) -> Status {
        // Nothing waits for the model of a task with plans.
        if task.plan().is_some() {
            Status::NONE
        } else if self.standing.degraded.contains(task.model()) && !self.fault.is(Fault::DegradedUnmarked) {
            Status::UNMEASURED.with(Status::DEGRADED)
        } else if self.standing.unmeasured.contains(task.model()) && !self.fault.is(Fault::UnmeasuredUnmarked) {
            Status::UNMEASURED
        } else {
            Status::NONE
        }
    }

    /// The shortest period that this connection is held to now.
    pub(crate) fn period(&self, id: ConnectionId) -> Duration {
        let task = self.task(id);
        self.period_of(&task, task.min_period())
    }

    /// What a shortest period declared for this task is now.
    pub(crate) fn period_of(&self, task: &Task<'_>, declared: Duration) -> Duration {
        match task.degraded() {
            Degraded::LowerRate { factor } if self.is_degraded(task) && !self.fault.is(Fault::DegradedKeepsRate) => {
                declared.times(factor)
            }
            Degraded::LowerRate { .. } | Degraded::Keep | Degraded::Rest => declared,
        }
    }

    /// Whether this connection's task answers without its model now.
    pub(crate) fn rests(&self, id: ConnectionId) -> bool {
        self.task_rests(&self.task(id))
    }

    pub(crate) fn task_rests(&self, task: &Task<'_>) -> bool {
        task.degraded() == Degraded::Rest && self.is_degraded(task) && !self.fault.is(Fault::RestRuns)
    }

    fn is_degraded(&self, task: &Task<'_>) -> bool {
        self.standing.degraded.contains(task.model())
    }
}

impl VoidCause {
    const fn reason(self) -> Reason {
        match self {
            Self::Throttled => Reason::Throttled,
            Self::SettingChanged => Reason::SettingChanged,
        }
    }
}
