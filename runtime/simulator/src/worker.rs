//! Fake workers: how long an inference takes and what comes out, good or bad.

use engine::{Element, Failed};
use fastrand::Rng;

use crate::{
    clock::{MICRO, MILLI, SECOND},
    report::{Disturbance, Disturbances},
    scenario::{BoxPlan, Odds, TaskPlan, between, happens},
};

/// How long an inference of so many members runs that starts at `now`; `None`: for ever. One of them is looked at.
pub(crate) fn duration(
    rng: &mut Rng,
    odds: &Odds,
    seen: &mut Disturbances,
    (task, plan): (&TaskPlan, &BoxPlan),
    (now, due): (u64, u64),
    members: usize,
) -> Option<u64> {
    if happens(rng, odds.hung_forever) {
        seen.note(Disturbance::WorkerHungForever);
        return None;
    }
    if happens(rng, odds.hung_long) {
        seen.note(Disturbance::WorkerHungLong);
        return Some(plan.hang / 2 + rng.u64(..plan.hang + 100 * MILLI));
    }
    if happens(rng, odds.around_due) {
        seen.note(Disturbance::WorkerAroundDue);
        return Some((due + rng.u64(..80 * MICRO)).saturating_sub(now + 60 * MICRO).max(1));
    }
    if happens(rng, odds.slow) {
        seen.note(Disturbance::WorkerSlow);
        return Some(task.deadline * rng.u64(100..250) / 100);
    }
    let alone = task.deadline * rng.u64(10..50) * plan.pace / 10_000 + rng.u64(..MICRO);
    let more = u64::try_from(members).expect("a batch is small") - 1;
    Some(alone + alone * more / 8)
}

/// What the model says: near `last`, unless it misbehaves.
pub(crate) fn output(
    rng: &mut Rng,
    odds: &Odds,
    seen: &mut Disturbances,
    task: &TaskPlan,
    last: &[f32],
) -> Result<Vec<f32>, Failed> {
    let step = seconds(task.max_step.min(task.deadline)) * 0.7;
    let mut values: Vec<f32> =
        task.elements.iter().zip(last).map(|(element, last)| near(rng, element, *last, step)).collect();
    if happens(rng, odds.too_fast) {
        seen.note(Disturbance::OutputTooFast);
        values = task.elements.iter().map(|element| between(rng, element.min, element.max).min(element.max)).collect();
    }
    if !happens(rng, odds.bad_output) {
        return Ok(values);
    }
    let place = rng.usize(..values.len());
    let what = match rng.u8(..5) {
        0 => {
            values[place] = f32::NAN;
            Disturbance::OutputNan
        }
        1 => {
            values[place] = if rng.bool() { f32::INFINITY } else { f32::NEG_INFINITY };
            Disturbance::OutputInfinite
        }
        2 => {
            let Element { min, max, .. } = task.elements[place];
            let beyond = between(rng, 0.001, 100.0);
            values[place] = if rng.bool() { max + beyond } else { min - beyond };
            Disturbance::OutputOutOfRange
        }
        3 => {
            let shorter = rng.usize(..values.len());
            if rng.bool() {
                values.truncate(shorter);
            } else {
                values.push(0.0);
            }
            Disturbance::OutputWrongLength
        }
        _ => {
            seen.note(Disturbance::WorkerFailed);
            return Err(Failed::Model);
        }
    };
    seen.note(what);
    Ok(values)
}

fn near(rng: &mut Rng, element: &Element, last: f32, step: f32) -> f32 {
    let change = element.max_change_per_s * step;
    (last + between(rng, -change, change)).clamp(element.min, element.max)
}

#[allow(clippy::cast_precision_loss, reason = "a fake model's step need not be exact")]
fn seconds(nanos: u64) -> f32 {
    nanos as f32 / SECOND as f32
}
