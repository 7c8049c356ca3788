//! What workers give: a lane to a cluster is back by its deadline, whatever the cluster does.

use engine::{Failed, HandOffFailure};
use fastrand::Rng;
use message::Place;

use super::factory::{Factory, Kind, TaskPlan};
use crate::{
    clock::{MICRO, MILLI},
    scenario::{between, happens},
};

/// How long it takes, and what comes out. `until`: by when a lane must be back. `told`: of a model that continues plans,
/// the rows that it was told and how many are committed.
pub(super) fn gives(
    rng: &mut Rng,
    factory: &Factory,
    (task, place): (&TaskPlan, Place),
    (now, until): (u64, u64),
    told: Option<(&[f32], usize)>,
) -> (u64, Result<Vec<f32>, Failed>) {
    let output = output(rng, factory, task, told);
    if task.kind == Kind::Control {
        // Now and then longer than the fallback waits.
        let took = if rng.u8(..20) == 0 { rng.u64(6..12) * MILLI } else { rng.u64(300..3_000) * MICRO };
        return (took, output);
    }
    let usual = factory.latency / 2 + rng.u64(..=factory.latency);
    let latency = if rng.u8(..10) == 0 { usual + rng.u64(..500 * MILLI) } else { usual };
    if place == Place::Box {
        return (latency, output);
    }
    let left = until.saturating_sub(now);
    if factory.is_cut(now) {
        // Refused at once, or no word at all.
        return if rng.bool() {
            (MILLI.min(left), Err(Failed::HandOff(HandOffFailure::NoEndpoint)))
        } else {
            (left, Err(Failed::HandOff(HandOffFailure::TimedOut)))
        };
    }
    if latency >= left {
        return (left, Err(Failed::HandOff(HandOffFailure::TimedOut)));
    }
    if happens(rng, factory.failing) {
        let failure = HandOffFailure::ALL[rng.usize(..HandOffFailure::ALL.len())];
        return (latency, Err(Failed::HandOff(failure)));
    }
    (latency, output)
}

fn output(
    rng: &mut Rng,
    factory: &Factory,
    task: &TaskPlan,
    told: Option<(&[f32], usize)>,
) -> Result<Vec<f32>, Failed> {
    let (steps, period) = task.plan.map_or((1, 0.01), |plan| (usize::from(plan.steps), plan.period.seconds()));
    let mut at: Vec<f32> = task.elements.iter().map(|element| between(rng, element.min, element.max) * 0.5).collect();
    let mut values = Vec::with_capacity(steps * at.len());
    let (rows, committed) = told.unwrap_or_default();
    for step in 0..steps {
        // It continues from the last row that is committed. What it gives in their place is up to it: here nonsense.
        if committed > 0 && step == committed {
            at.copy_from_slice(&rows[(step - 1) * task.elements.len()..step * task.elements.len()]);
        }
        for (value, element) in at.iter_mut().zip(&task.elements) {
            let most = (element.max_change_per_s * period * 0.8).min(0.5);
            *value = (*value + between(rng, -most, most)).clamp(element.min, element.max);
            values.push(*value);
        }
    }
    if task.kind == Kind::Control || !happens(rng, factory.failing / 4) {
        return Ok(values);
    }
    let place = rng.usize(..values.len());
    match rng.u8(..4) {
        0 => values[place] = f32::NAN,
        1 => values[place] = task.elements[place % task.elements.len()].max + 0.5,
        2 => values.truncate(place),
        _ => return Err(Failed::Model),
    }
    Ok(values)
}
