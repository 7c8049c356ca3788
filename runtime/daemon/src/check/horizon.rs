//! Whether a plan lasts until the next one comes, by what was measured: of a worker of the box the timing record, of a
//! cluster the round trips of the box that runs with this config, if one does. What a config alone tells is `unserved.rs`'s.

use std::{collections::HashMap, os::unix::net::UnixStream, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    plan::{Plan, millis},
    status::{self, Asked},
    timing::{TaskTiming, Unmeasured},
    unserved,
};

/// The plans of a task run out before the next ones come, more often than once in a thousand or in what the task declares.
#[derive(Serialize)]
pub(super) struct ShortPlan {
    task: String,
    horizon_us: u64,
    /// What that leaves for a plan to come, beside a period and the blend.
    room_us: u64,
    takes_us: u64,
    says: String,
}

impl ShortPlan {
    pub(super) fn says(&self) -> &str {
        &self.says
    }
}

/// What takes how long, at which share.
struct Taken {
    what: String,
    at_most: Duration,
}

/// The tasks whose plans are too short, in the config's order.
pub(super) fn short_plans(plan: &Plan, timings: &[Result<TaskTiming, Unmeasured>]) -> Vec<ShortPlan> {
    let round_trips =
        if plan.config.clusters.is_empty() { HashMap::new() } else { running(&plan.config.status_socket) };
    let judge = |(task, timing): (usize, &Result<TaskTiming, Unmeasured>)| {
        let declared = &plan.config.tasks[task];
        let (plans, given) = (declared.plans?, plan.manifests[declared.model].plan()?);
        let taken = match plan.config.cluster_of(declared.model) {
            Some(cluster) => slowest(&cluster.name, round_trips.get(&cluster.name)?)?,
            None => by_record(timing.as_ref().ok()?),
        };
        let room = unserved::room(declared, plans, given);
        let takes_us = u64::try_from(taken.at_most.as_micros()).unwrap_or(u64::MAX);
        (taken.at_most > Duration::from(room)).then(|| ShortPlan {
            task: declared.name.clone(),
            horizon_us: u64::try_from(given.horizon().as_micros()).unwrap_or(u64::MAX),
            room_us: room.nanos() / 1_000,
            takes_us,
            says: format!(
                "task {}: {} takes up to {}, and a plan of {} ms leaves {} for that, beside a period and the blend: train a model \
                 with a longer horizon, or ask one that is faster or nearer",
                declared.name,
                taken.what,
                millis(engine::Duration::from_micros(takes_us)),
                given.horizon().as_millis(),
                millis(room)
            ),
        })
    };
    timings.iter().enumerate().filter_map(judge).collect()
}

fn by_record(timing: &TaskTiming) -> Taken {
    Taken { what: format!("{} of inferences", timing.quantile), at_most: timing.execution.time }
}

/// What is read of a box's status.
#[derive(Deserialize)]
struct Status {
    hand_offs: Option<Clusters>,
}

#[derive(Deserialize)]
struct Clusters {
    clusters: Vec<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    name: String,
    endpoints: Vec<Measured>,
}

#[derive(Deserialize)]
struct Measured {
    endpoint: String,
    round_trips: u64,
    /// None with fewer than ten round trips beyond it.
    p999_us: Option<u64>,
}

/// Each cluster's endpoints, by the box that runs; none where no box does.
fn running(socket: &Path) -> HashMap<String, Vec<Measured>> {
    let answered = UnixStream::connect(socket).and_then(|stream| status::ask(stream, &Asked::Status, status::PATIENCE));
    let status = answered.ok().and_then(|text| serde_json::from_str::<Status>(&text).ok());
    let clusters = status.and_then(|status| status.hand_offs).map(|all| all.clusters).unwrap_or_default();
    clusters.into_iter().map(|cluster| (cluster.name, cluster.endpoints)).collect()
}

/// Any endpoint may be the one that is left.
fn slowest(cluster: &str, endpoints: &[Measured]) -> Option<Taken> {
    let known = endpoints.iter().filter_map(|one| Some((one, one.p999_us?)));
    let (endpoint, micros) = known.max_by_key(|(_, micros)| *micros)?;
    let Measured { endpoint, round_trips, .. } = endpoint;
    let what = format!("0.999 of the {round_trips} round trips to {endpoint} of {cluster}");
    Some(Taken { what, at_most: Duration::from_micros(micros) })
}
