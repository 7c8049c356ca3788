//! What must be played, written from the design: of each observation which step of which plan answers it, or why none
//! does, and whether the next plan is asked for with it.

use std::collections::VecDeque;

use engine::{Element, Failed, Interpolation, Overlap, PlanSpec, Reason, TooFast};
use message::Place;

use super::factory::TaskPlan;
use crate::clock::SECOND;

/// One robot that plays plans.
pub(super) struct Player {
    pub(super) epoch: Option<u64>,
    /// The observation that waits for the report of the answer before it.
    pub(super) waiting: Option<Observed>,
    pub(super) sending: Option<Sending>,
    current: Option<Plan>,
    before: Option<Plan>,
    pub(super) asked: Option<Asked>,
    not_before: u64,
    trips: VecDeque<u64>,
    demanded: Option<u64>,
    anew: bool,
    plans: u64,
    last: Option<Last>,
    /// Since when it has no plan.
    without: u64,
    pub(super) counts: Counts,
}

/// Plans of one robot: asked, adopted, failed, too late, discarded.
pub(super) type Counts = [u64; 5];

#[derive(Debug, Clone, Copy)]
pub(super) struct Observed {
    pub(super) sequence: u64,
    pub(super) arrival: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Sending {
    pub(super) epoch: u64,
    pub(super) values: Vec<f32>,
    pub(super) by_plan: bool,
}

struct Last {
    values: Vec<f32>,
    at: u64,
    fallback: bool,
}

#[derive(Clone)]
struct Plan {
    id: u64,
    values: Vec<f64>,
    /// How many of its steps are those of the plan before it.
    promised: u64,
    /// When the observation arrived that those were computed from.
    promised_origin: u64,
    origin: u64,
    adopted: u64,
    place: Place,
}

/// An inference that computes a plan.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) worker: usize,
    pub(super) sequence: u64,
    arrival: u64,
    since: u64,
    wanted: bool,
    /// What its model must be told, where that continues plans.
    pub(super) told: Option<Told>,
}

/// As many rows as a plan has steps, one after the other, and how many are committed.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) rows: Vec<f64>,
    pub(super) committed: usize,
}

/// What must answer an observation.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) sequence: u64,
    pub(super) says: Says,
    pub(super) began_anew: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Says {
    Step {
        plan: u64,
        step: u64,
        origin: u64,
        place: Place,
        values: Vec<f64>,
        limited: bool,
        near_limit: bool,
        blended: bool,
        promised: bool,
    },
    Fallback(Reason),
}

impl Player {
    pub(super) fn new() -> Self {
        Self {
            epoch: None,
            waiting: None,
            sending: None,
            current: None,
            before: None,
            asked: None,
            not_before: 0,
            trips: VecDeque::new(),
            demanded: None,
            anew: false,
            plans: 0,
            last: None,
            without: 0,
            counts: [0; 5],
        }
    }

    /// A frame of this epoch arrived. What the old epoch left is gone.
    pub(super) fn enter(&mut self, epoch: u64) {
        if self.epoch == Some(epoch) {
            return;
        }
        self.epoch = Some(epoch);
        self.waiting = None;
        self.clear();
        self.demanded = None;
        self.anew = false;
        self.last = None;
    }

    pub(super) fn demand(&mut self, from: u64) {
        self.demanded = Some(from);
    }

    /// What answers this observation now. `free`: a worker could compute a plan.
    pub(super) fn play(&mut self, task: &TaskPlan, now: u64, observed: Observed, free: Option<usize>) -> Expected {
        let spec = task.plan.expect("only robots with plans play");
        let Observed { sequence, arrival } = observed;
        let cleared = self.demanded.is_some_and(|from| sequence >= from);
        if cleared {
            self.demanded = None;
            self.clear();
            self.anew = true;
        }
        let says = self.says(task, &spec, now, arrival);
        let by_plan = matches!(says, Says::Step { .. });
        let began_anew = self.last.is_none() || by_plan && self.anew;
        let told = (spec.overlap == Overlap::Freeze).then(|| self.told(task, &spec, arrival));
        let has_own = told.as_ref().is_none_or(|told| told.committed < usize::from(spec.steps));
        if let Some(worker) = free.filter(|_| has_own && self.wants(&spec, now, arrival)) {
            self.asked = Some(Asked { worker, sequence, arrival, since: now, wanted: true, told });
            self.counts[0] += 1;
        }
        Expected { sequence, says, began_anew }
    }

    /// What is played from this instant on, while a plan is computed that begins there.
    fn told(&self, task: &TaskPlan, spec: &PlanSpec, origin: u64) -> Told {
        let (period, steps) = (spec.period.nanos(), u64::from(spec.steps));
        let Some(current) = self.current.as_ref().filter(|current| current.step(spec, origin).is_some()) else {
            return Told { rows: vec![0.0; usize::from(spec.steps) * task.elements.len()], committed: 0 };
        };
        let mut rows = Vec::new();
        let mut covered = 0;
        for instant in (0..steps).map(|row| origin + row * period) {
            let is_played = current.step(spec, instant).is_some();
            covered += usize::from(is_played);
            for (place, element) in task.elements.iter().enumerate() {
                let value = if is_played {
                    current.value(spec, task.elements.len(), place, instant)
                } else {
                    current.values[current.values.len() - task.elements.len() + place]
                };
                rows.push(value.clamp(f64::from(element.min), f64::from(element.max)));
            }
        }
        // Each row that begins before the plan may be there, at the latest.
        let there = origin + self.slowest(spec) + period;
        let needed = (0..steps).take_while(|row| origin + row * period < there).count();
        Told { rows, committed: needed.min(covered) }
    }

    /// The longest that the next plan takes and is still taken.
    fn slowest(&self, spec: &PlanSpec) -> u64 {
        self.trips.iter().max().copied().unwrap_or(0).min(spec.timeout.nanos())
    }

    fn says(&self, task: &TaskPlan, spec: &PlanSpec, now: u64, arrival: u64) -> Says {
        let Some(current) = &self.current else { return Says::Fallback(Reason::PlanMissing) };
        let Some(step) = current.step(spec, arrival) else { return Says::Fallback(Reason::PlanRanOut) };
        let blend = spec.overlap.blend().nanos();
        let since = arrival.saturating_sub(current.adopted);
        let before = self.before.as_ref().filter(|before| since < blend && before.step(spec, arrival).is_some());
        let wanted = task.elements.iter().enumerate().map(|(place, element)| {
            let new = current.value(spec, task.elements.len(), place, arrival);
            let value = match before {
                Some(before) => {
                    let old = before.value(spec, task.elements.len(), place, arrival);
                    let share = seconds(since) / seconds(blend);
                    old * (1.0 - share) + new * share
                }
                None => new,
            };
            value.clamp(f64::from(element.min), f64::from(element.max))
        });
        let wanted: Vec<f64> = wanted.collect();
        let values: Vec<f64> = wanted
            .iter()
            .zip(&task.elements)
            .enumerate()
            .map(|(place, (wanted, element))| {
                let (from, span) = self.from(task, place, now);
                let most = f64::from(element.max_change_per_s) * seconds(span);
                from + (wanted - from).clamp(-most, most)
            })
            .collect();
        let limited = values.iter().zip(&wanted).any(|(value, wanted)| (value - wanted).abs() > ROUNDING);
        let near_limit = wanted.iter().zip(&task.elements).enumerate().any(|(place, (wanted, element))| {
            let (from, span) = self.from(task, place, now);
            (wanted - from).abs() > f64::from(element.max_change_per_s) * seconds(span) - ROUNDING
        });
        let after_fallback = self.last.as_ref().is_some_and(|last| last.fallback);
        if limited && task.too_fast == TooFast::Fallback && !after_fallback {
            return Says::Fallback(Reason::TooFast);
        }
        let older = before.and_then(|before| Some(before.computed(before.step(spec, arrival)?)));
        let (plan, origin, place) = (current.id, older.unwrap_or(current.computed(step)), current.place);
        let (blended, promised) = (before.is_some(), step < current.promised);
        Says::Step { plan, step, origin, place, values, limited, near_limit, blended, promised }
    }

    /// From where an element's change is measured, and over how long.
    pub(super) fn from(&self, task: &TaskPlan, place: usize, now: u64) -> (f64, u64) {
        match &self.last {
            Some(last) => (f64::from(last.values[place]), (now - last.at).min(task.max_step)),
            None => (f64::from(start(&task.elements[place])), task.max_step),
        }
    }

    fn wants(&self, spec: &PlanSpec, now: u64, arrival: u64) -> bool {
        if self.asked.is_some() || now < self.not_before {
            return false;
        }
        let Some(current) = &self.current else { return true };
        let ends = current.origin + spec.period.nanos() * u64::from(spec.steps);
        let lead = self.slowest(spec) + spec.period.nanos() + spec.overlap.blend().nanos();
        let old = spec.refresh.is_some_and(|refresh| arrival >= current.origin + refresh.nanos());
        ends.saturating_sub(arrival) <= lead || old
    }

    /// The answer left at this time.
    pub(super) fn sent(&mut self, at: u64) {
        let Some(Sending { epoch, values, by_plan }) = self.sending.take() else { return };
        if self.epoch == Some(epoch) {
            if by_plan {
                self.anew = false;
            }
            self.last = Some(Last { values, at, fallback: !by_plan });
        }
    }

    /// The inference for a plan ended; returns why it gave none, if it did not.
    pub(super) fn finished(
        &mut self,
        task: &TaskPlan,
        now: u64,
        place: Place,
        output: &Result<Vec<f32>, Failed>,
    ) -> Option<Reason> {
        let asked = self.asked.take().expect("only what was asked for ends");
        let spec = task.plan.expect("only robots with plans ask");
        if !asked.wanted {
            self.counts[4] += 1;
            return None;
        }
        let reason = match output {
            Err(failed) => Some(failed.reason()),
            Ok(values) => fault_of(task, &spec, values),
        };
        if let Some(reason) = reason {
            self.counts[2] += 1;
            self.not_before = now + spec.retry.nanos();
            return Some(reason);
        }
        self.trips.push_back(now - asked.since);
        if self.trips.len() > 16 {
            self.trips.pop_front();
        }
        let ends = asked.arrival + spec.period.nanos() * u64::from(spec.steps);
        if ends <= now || now - asked.since > spec.timeout.nanos() {
            self.counts[3] += 1;
            self.not_before = now + spec.retry.nanos();
            return None;
        }
        self.counts[1] += 1;
        self.not_before = 0;
        self.plans += 1;
        let mut values: Vec<f64> = output.iter().flatten().copied().map(f64::from).collect();
        let promised = asked.told.as_ref().map_or(0, |told| told.committed);
        if let Some(Told { rows, .. }) = asked.told {
            let kept = promised * task.elements.len();
            values[..kept].copy_from_slice(&rows[..kept]);
        }
        let promised = u64::try_from(promised).expect("a plan is short");
        let promising = self.current.as_ref().and_then(|plan| Some(plan.computed(plan.step(&spec, asked.arrival)?)));
        let (origin, promised_origin) = (asked.arrival, promising.unwrap_or(asked.arrival));
        let plan = Plan { id: self.plans, values, promised, promised_origin, origin, adopted: now, place };
        self.before = self.current.replace(plan);
        None
    }

    /// For how long it has had no plan that covers this instant.
    pub(super) fn gap(&mut self, task: &TaskPlan, now: u64) -> u64 {
        let spec = task.plan.expect("only robots with plans play");
        if self.current.as_ref().is_some_and(|plan| plan.step(&spec, now).is_some()) {
            self.without = now;
        }
        now - self.without
    }

    fn clear(&mut self) {
        self.current = None;
        self.before = None;
        if let Some(asked) = &mut self.asked {
            asked.wanted = false;
        }
    }
}

impl Plan {
    /// When the observation arrived that this step was computed from.
    fn computed(&self, step: u64) -> u64 {
        if step < self.promised { self.promised_origin } else { self.origin }
    }

    fn step(&self, spec: &PlanSpec, instant: u64) -> Option<u64> {
        let step = instant.saturating_sub(self.origin) / spec.period.nanos();
        (step < u64::from(spec.steps)).then_some(step)
    }

    fn value(&self, spec: &PlanSpec, elements: usize, element: usize, instant: u64) -> f64 {
        let (period, last) = (spec.period.nanos(), usize::from(spec.steps) - 1);
        let passed = instant.saturating_sub(self.origin);
        let step = usize::try_from(passed / period).expect("a plan is short");
        let share = seconds(passed % period) / seconds(period);
        let of = |step: usize| self.values[step.min(last) * elements + element];
        let (here, next) = (of(step), of(step + 1));
        match spec.interpolation {
            Interpolation::Hold => here,
            Interpolation::Linear => here * (1.0 - share) + next * share,
            Interpolation::Cubic => {
                // Bézier's form of the same curve: a third of each slope away from its step.
                let (leaves, arrives) = ((next - of(step.saturating_sub(1))) / 2.0, (of(step + 2) - here) / 2.0);
                let (second, third, rest) = (here + leaves / 3.0, next - arrives / 3.0, 1.0 - share);
                here * rest.powi(3)
                    + 3.0 * second * rest.powi(2) * share
                    + 3.0 * third * rest * share.powi(2)
                    + next * share.powi(3)
            }
        }
    }
}

/// Rounding of the engine's single precision.
pub(super) const ROUNDING: f64 = 1e-4;

/// Why what came is no plan.
fn fault_of(task: &TaskPlan, spec: &PlanSpec, values: &[f32]) -> Option<Reason> {
    if values.len() != usize::from(spec.steps) * task.elements.len() {
        return Some(Reason::ModelFailed);
    }
    // Of several the one of the first step that has one; within a step what is not finite comes first.
    values.chunks(task.elements.len()).find_map(|step| {
        if step.iter().any(|value| !value.is_finite()) {
            return Some(Reason::ActionNotFinite);
        }
        let outside =
            step.iter().zip(&task.elements).any(|(value, element)| *value < element.min || *value > element.max);
        outside.then_some(Reason::OutOfRange)
    })
}

fn start(element: &Element) -> f32 {
    match element.start {
        engine::Start::Value(value) => value,
        engine::Start::Observation(_) => unreachable!("a factory's tasks start from values"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "spans are short")]
pub(super) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / SECOND as f64
}
