//! The inputs that join a task's observations, checked.

use engine::{Duration, MAX_INPUTS, SampleClock};

use super::{
    ConfigError, InputConfig,
    error::File,
    raw::{RawClock, RawInput, RawTask},
};

/// The longest age that a sample may have. One that is older than a minute describes another scene.
const MAX_AGE_MS: u64 = 60_000;

/// The task's joined inputs, with a key for each of its robots: `<prefix>/<robot>/<task>/input/<input>`, or its own.
pub(super) fn check_inputs(file: &File<'_>, prefix: &str, task: &RawTask) -> Result<Vec<InputConfig>, ConfigError> {
    file.unique("input", task.input.iter().map(|input| &input.name))?;
    if let Some(extra) = task.input.get(MAX_INPUTS) {
        let what = format!("more than {MAX_INPUTS} inputs join the task {:?}", task.name.get_ref());
        return Err(file.at(&extra.name, what, "let one sender put several together, or leave some out of the model"));
    }
    if let (Some(first), Some(_)) = (task.input.first(), task.clients.first()) {
        let what = format!("the task {:?} has joined inputs and clients", task.name.get_ref());
        return Err(file.at(
            &first.name,
            what,
            "a one-off request holds one input only: give clients a task of their own",
        ));
    }
    for (name, _) in task.robots.iter().flat_map(|robot| &robot.input_keys) {
        if !task.input.iter().any(|input| input.name.get_ref() == name.get_ref()) {
            let what = format!("no input {:?} joins the task {:?}", name.get_ref(), task.name.get_ref());
            return Err(file.at(name, what, "name an input that a [[task.input]] declares"));
        }
    }
    task.input.iter().map(|input| check_input(file, prefix, task, input)).collect()
}

fn check_input(file: &File<'_>, prefix: &str, task: &RawTask, input: &RawInput) -> Result<InputConfig, ConfigError> {
    let name = file.chunk(&input.name)?;
    let max_age_ms = *input.max_age_ms.get_ref();
    if !(1..=MAX_AGE_MS).contains(&max_age_ms) {
        let what = format!("a sample of {max_age_ms} ms is never young enough, or always");
        return Err(file.at(&input.max_age_ms, what, "choose between 1 ms and 60000 ms"));
    }
    let key = |robot: &super::raw::RawRobot| {
        let own = robot.input_keys.iter().find(|(of, _)| of.get_ref() == input.name.get_ref());
        let usual = || format!("{prefix}/{}/{}/input/{name}", robot.name.get_ref(), task.name.get_ref());
        own.map_or_else(usual, |(_, key)| key.clone())
    };
    Ok(InputConfig {
        keys: task.robots.iter().map(key).collect(),
        max_age: Duration::from_micros(max_age_ms.saturating_mul(1_000)),
        clock: match input.clock {
            RawClock::Arrival => SampleClock::Arrival,
            RawClock::Synchronised => SampleClock::Synchronised,
        },
        name,
    })
}
