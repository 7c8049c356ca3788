//! Task by way out: what may leave, where to, and which rule says so. `genba check` prints it.

use std::sync::Arc;

use engine::residency::Destination;
use miette::{Result, miette};
use serde::Serialize;

use super::{
    current::{self, Denied, Refusal, Ruled},
    data::{Datum, data_of},
    file::Policy,
};
use crate::{plan::Plan, timing::hex};

/// Ways out that a policy can name and this build does not have.
const ABSENT: [&str; 4] = ["ROS 2 topics", "metrics", "traces", "recordings"];

/// Every way out of the box, and what each task may send there.
#[derive(Debug, Serialize)]
pub(crate) struct Leaves {
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyFound>,
    ways_out: Vec<String>,
    not_in_this_build: [&'static str; 4],
    tasks: Vec<TaskLeaves>,
    /// What is open although it is denied, and what is asked although it never goes.
    pub(crate) bad: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PolicyFound {
    file: String,
    version: u64,
    sha256: String,
    home: String,
    home_name: String,
}

#[derive(Debug, Serialize)]
struct TaskLeaves {
    task: String,
    /// In the order of the ways out.
    verdicts: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    way_out: String,
    verdict: Verdict,
    /// Which rule allows or denies it; none: no rule does.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Inputs that stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
    /// The input that must not go, and its class.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    says: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Allowed,
    Denied,
    /// No policy says anything.
    Open,
}

/// One way out that this box has.
enum Way<'p> {
    Cluster(usize),
    Router(&'p str),
}

/// What a policy says of a plan's tasks.
pub(crate) fn leaves(plan: &Plan, policy: Option<&Policy>) -> Result<Leaves> {
    let config = &plan.config;
    let routers = config.link.connect.iter().map(|endpoint| Way::Router(endpoint));
    let ways: Vec<_> = (0..config.clusters.len()).map(Way::Cluster).chain(routers).collect();
    let mut bad = Vec::new();
    let mut tasks = Vec::with_capacity(config.tasks.len());
    for task in &config.tasks {
        let data = data_of(task, &plan.manifests[task.model])?;
        let cell = |way: &Way<'_>| cell(plan, policy, &data, way);
        let verdicts: Vec<_> = ways.iter().map(cell).collect();
        for (way, cell) in ways.iter().zip(&verdicts).filter(|(_, cell)| cell.verdict == Verdict::Denied) {
            let (says, name) = (&cell.says, &task.name);
            match way {
                Way::Cluster(place) if config.clusters[*place].models.contains(&task.model) => {
                    bad.push(format!("the task {name} is asked of the {}, and never goes there: {says}", cell.way_out));
                }
                Way::Cluster(_) => {}
                Way::Router(endpoint) => bad.push(format!(
                    "the box connects to {endpoint}, to whom zenoh passes on what is published, {name} too: {says}"
                )),
            }
        }
        tasks.push(TaskLeaves { task: task.name.clone(), verdicts });
    }
    let found = |policy: &Policy| {
        let (home, home_name) = policy.home();
        PolicyFound {
            file: config.policy.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            version: policy.version,
            sha256: hex(&policy.digest),
            home: home.to_owned(),
            home_name: home_name.to_owned(),
        }
    };
    Ok(Leaves {
        policy: policy.map(found),
        ways_out: ways.iter().map(|way| name(plan, way)).collect(),
        not_in_this_build: ABSENT,
        tasks,
        bad,
    })
}

/// Refuses to start with a way out open that the policy denies. One that cannot be read denies them all.
pub(crate) fn refuse_open_ways(plan: &Plan) -> Result<()> {
    let (Some(path), [_, ..]) = (&plan.config.policy, &plan.config.link.connect[..]) else { return Ok(()) };
    let policy = Policy::load(path)?;
    let routers = |cell: &&Cell| {
        cell.verdict == Verdict::Denied && plan.config.link.connect.iter().any(|to| cell.way_out == router(to))
    };
    for task in leaves(plan, Some(&policy))?.tasks {
        if let Some(cell) = task.verdicts.iter().find(routers) {
            return Err(miette!(
                help = "take it out of [link] connect, or allow it by a rule with to = [\"router\"]",
                "the residency policy denies the task {} the {}: {}",
                task.task,
                cell.way_out,
                cell.says
            ));
        }
    }
    Ok(())
}

fn router(endpoint: &str) -> String {
    format!("router {endpoint}")
}

fn name(plan: &Plan, way: &Way<'_>) -> String {
    match way {
        Way::Cluster(place) => {
            let cluster = &plan.config.clusters[*place];
            format!("cluster {} ({})", cluster.name, cluster.jurisdiction)
        }
        Way::Router(endpoint) => router(endpoint),
    }
}

fn cell(plan: &Plan, policy: Option<&Policy>, data: &[Datum], way: &Way<'_>) -> Cell {
    let said = policy.map(|policy| match way {
        Way::Cluster(place) => {
            let cluster = &plan.config.clusters[*place];
            current::to_cluster(policy, data, &cluster.name, &cluster.jurisdiction)
        }
        Way::Router(_) => current::judge(policy, data, Destination::Router),
    });
    let (verdict, says) = match &said {
        None => (Verdict::Open, "open, no policy".to_owned()),
        Some(Ok(ruled)) => (Verdict::Allowed, allowed(ruled)),
        Some(Err(denied)) => (Verdict::Denied, denied_because(denied)),
    };
    let (way_out, text) = (name(plan, way), |name: Arc<str>| name.to_string());
    match said {
        None => Cell { way_out, verdict, rule: None, without: Vec::new(), input: None, class: None, says },
        Some(Ok(Ruled { rule, dropped, .. })) => Cell {
            way_out,
            verdict,
            rule: Some(text(rule)),
            without: dropped.into_iter().map(text).collect(),
            input: None,
            class: None,
            says,
        },
        Some(Err(Denied { rule, input, class, .. })) => Cell {
            way_out,
            verdict,
            rule: rule.map(text),
            without: Vec::new(),
            input: input.map(text),
            class: class.map(|class| class.to_string()),
            says,
        },
    }
}

fn allowed(ruled: &Ruled) -> String {
    if ruled.dropped.is_empty() {
        return format!("allowed by {}", ruled.rule);
    }
    format!("allowed by {} without {}", ruled.rule, ruled.dropped.join(", "))
}

fn denied_because(denied: &Denied) -> String {
    let Denied { refusal, rule, input, class, .. } = denied;
    match (refusal, rule, input, class) {
        (Refusal::NoPolicy | Refusal::Changing, ..) => "denied, no policy".to_owned(),
        (Refusal::ClassUndeclared, _, input, _) => {
            format!("denied, no class: {}", input.as_deref().unwrap_or_default())
        }
        (Refusal::Denied, Some(rule), Some(_), Some(class)) => format!("denied by {rule}: {class}"),
        (Refusal::Denied, None, Some(_), Some(class)) => format!("denied, no rule: {class}"),
        (Refusal::Denied, Some(rule), ..) => format!("denied, nothing is left by {rule}"),
        (Refusal::Denied, None, ..) => "denied, not listed there".to_owned(),
    }
}

impl Leaves {
    /// As it is printed.
    pub(crate) fn lines(&self) -> Vec<String> {
        if self.ways_out.is_empty() {
            return vec![format!(
                "leaves    nothing: no cluster, and it connects to nobody; {} are not in this build",
                ABSENT.join(", ")
            )];
        }
        let mut lines = vec![match &self.policy {
            Some(PolicyFound { file, version, home, home_name, .. }) => {
                format!(
                    "leaves    by version {version} of {file}, home {home} ({home_name}): what no rule allows is denied"
                )
            }
            None => "leaves    what zenoh passes on: no [residency] policy says what may".to_owned(),
        }];
        let heads: Vec<_> = ["task"].into_iter().chain(self.ways_out.iter().map(String::as_str)).collect();
        let row = |task: &'_ TaskLeaves| -> Vec<String> {
            [task.task.clone()].into_iter().chain(task.verdicts.iter().map(|cell| cell.says.clone())).collect()
        };
        let rows: Vec<_> = self.tasks.iter().map(row).collect();
        lines.extend(grid(&heads, &rows));
        lines.push(format!("          {} are not in this build", ABSENT.join(", ")));
        lines.extend(self.bad.iter().map(|bad| format!("denied    {bad}")));
        lines
    }
}

/// Columns as wide as their widest cell, two spaces apart.
fn grid(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..heads.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("          {}", padded.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    let rows = rows.iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    [line(heads)].into_iter().chain(rows).collect()
}
