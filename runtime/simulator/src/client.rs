//! A client: sends one-off requests, at its rate or as a flood, proper and improper ones.

use fastrand::Rng;
use message::{Address, ContractDigest, InferRequest, Stamp};

use crate::{
    clock::MICRO,
    report::{Disturbance, Disturbances},
    scenario::{ClientPlan, Scenario, TaskPlan, between},
};

/// The next request of a client as a frame, and how long until the one after it.
pub(crate) fn ask(
    rng: &mut Rng,
    scenario: &Scenario,
    client: usize,
    (number, now): (u64, u64),
    seen: &mut Disturbances,
) -> (Vec<u8>, u64) {
    let plan = &scenario.clients[client];
    let task = &scenario.tasks[plan.task];
    let mut values: Vec<f32> = (0..task.inputs).map(|_| between(rng, -4.0, 4.0)).collect();
    let (mut address, mut contract, mut budget_us) = (plan.address, task.contract, budget(rng, task, seen));
    let improper = rng.u8(..12) == 0;
    if improper {
        seen.note(Disturbance::ImproperRequest);
        match rng.u8(..6) {
            0 => address = Address::new(address.value() ^ 1),
            1 => contract = ContractDigest::new([0xee; 16]),
            2 => drop(values.pop()),
            3 => values[0] = f32::NAN,
            4 => budget_us = u32::try_from(scenario.box_plan.margin / MICRO).expect("a margin is short"),
            _ => {}
        }
    }
    let mut bytes = vec![0; values.len() * size_of::<f32>()];
    message::put_floats(&values, &mut bytes).expect("there is room for each input");
    let stamp = Stamp::new(now.wrapping_mul(5));
    let request = InferRequest { address, contract, request: number, stamp, budget_us, values: &bytes };
    let mut frame = vec![0; InferRequest::OVERHEAD + bytes.len()];
    request.encode(&mut frame).expect("there is room for the whole frame");
    if improper && rng.u8(..4) == 0 {
        let place = rng.usize(..frame.len());
        frame[place] ^= rng.u8(1..);
        frame.truncate(frame.len() - rng.usize(..2));
    }
    (frame, pause(rng, plan))
}

/// Mostly the whole deadline, sometimes little of it or more than it.
fn budget(rng: &mut Rng, task: &TaskPlan, seen: &mut Disturbances) -> u32 {
    if rng.u8(..3) > 0 {
        return 0;
    }
    seen.note(Disturbance::RequestBudgetVaried);
    let micros = u32::try_from(task.deadline / MICRO).expect("a scenario's deadlines are milliseconds");
    if rng.bool() { rng.u32(1..=micros / 2) } else { rng.u32(1..=2 * micros) }
}

fn pause(rng: &mut Rng, plan: &ClientPlan) -> u64 {
    if plan.floods && rng.u8(..8) > 0 {
        return rng.u64(1..200 * MICRO);
    }
    plan.pause / 2 + rng.u64(..plan.pause)
}
