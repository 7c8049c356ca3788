//! Whether an inference can still end in time: asked by both judges, each of the workers as it knows them.

use engine::ModelId;

use crate::scenario::Scenario;

/// The workers in service at an instant, as a judge knows them.
pub(crate) struct Outlook<'s> {
    pub(crate) scenario: &'s Scenario,
    pub(crate) now: u64,
    pub(crate) serving: Vec<Serving>,
}

/// One worker in service.
pub(crate) struct Serving {
    pub(crate) worker: usize,
    /// What it runs, for how many, and since when.
    pub(crate) runs: Option<(ModelId, usize, u64)>,
    /// The models of which its record holds.
    pub(crate) measured: Vec<ModelId>,
}

impl Outlook<'_> {
    /// Whether by the records no worker can end an inference of this model before `due` that begins at `from` at the
    /// earliest, behind so many others.
    pub(crate) fn no_time(&self, model: ModelId, due: u64, from: u64, ahead: u64) -> bool {
        let able: Vec<&Serving> = self.able(model).collect();
        let lengths: Vec<u64> = able.iter().filter_map(|one| self.length(one, model)).collect();
        if able.is_empty() || lengths.len() < able.len() {
            return false;
        }
        let before = ahead * lengths.iter().min().expect("somebody is able");
        able.iter().zip(&lengths).all(|(one, length)| self.free_at(one).max(from) + before + length >= due)
    }

    /// Whether this worker, free now, ends one of this model before `due`, as far as is known.
    pub(crate) fn fits(&self, worker: usize, model: ModelId, due: u64) -> bool {
        let one = self.serving.iter().find(|one| one.worker == worker);
        one.and_then(|one| self.length(one, model)).is_none_or(|length| self.now + length < due)
    }

    /// Whether a worker is free that ends one of this model before `due`, as far as is known.
    pub(crate) fn fits_a_free_one(&self, model: ModelId, due: u64) -> bool {
        self.able(model).any(|one| one.runs.is_none() && self.fits(one.worker, model, due))
    }

    pub(crate) fn has_a_free_one(&self, model: ModelId) -> bool {
        self.able(model).any(|one| one.runs.is_none())
    }

    /// When this worker is free by the record of what it runs.
    pub(crate) fn worker_free_at(&self, worker: usize) -> u64 {
        self.serving.iter().find(|one| one.worker == worker).map_or(self.now, |one| self.free_at(one))
    }

    fn able(&self, model: ModelId) -> impl Iterator<Item = &Serving> {
        self.serving.iter().filter(move |one| self.scenario.workers[one.worker].models.contains(model))
    }

    fn length(&self, one: &Serving, model: ModelId) -> Option<u64> {
        let record = self.scenario.record(one.worker, model).filter(|_| one.measured.contains(&model))?;
        Some(record.execution(1)? + self.scenario.box_plan.overhead)
    }

    fn free_at(&self, one: &Serving) -> u64 {
        let end = one.runs.and_then(|(model, members, since)| {
            let record = self.scenario.record(one.worker, model).filter(|_| one.measured.contains(&model))?;
            Some(since + record.execution(members)?)
        });
        end.unwrap_or(self.now).max(self.now)
    }
}
