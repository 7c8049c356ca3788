//! The figures as text: one table a scene.

use std::fmt::Write as _;

use super::figures::Summary;
use super::findings::{Conditions, Found, Row};
use super::scene::Scene;
use crate::machine::Machine;
use crate::statistics::Spread;

pub(crate) fn write(found: &Found) -> String {
    let mut text = caption(&found.conditions);
    for scene in Scene::ALL {
        let rows: Vec<&Row> = found.rows.iter().filter(|row| row.scene == scene).collect();
        if !rows.is_empty() {
            let _ = writeln!(text, "\n== {scene}: {}", scene.what());
            write_scene(&mut text, &rows);
        }
    }
    if !found.goals.is_empty() {
        let _ = writeln!(text, "\n{:<58}{:>24}  goal", "goals, in each round, lowest - highest", "median");
    }
    for goal in &found.goals {
        let Spread { median, min, max } = goal.found;
        let verdict = if goal.met { "" } else { "   NOT MET" };
        let figure = format!("{median:.3} ({min:.3} - {max:.3})");
        let _ = writeln!(text, "{:<58}{figure:>24}  {}{verdict}", goal.what, goal.wanted);
    }
    text
}

fn caption(conditions: &Conditions) -> String {
    let Conditions {
        date, commit, machine, command, rounds, throttling, unthrottled, seconds, seats, capacity, ..
    } = conditions;
    let Machine { cpu, cores, kernel, load } = machine;
    let class = if seats.fifo { "all in SCHED_FIFO" } else { "all in the default class" };
    let throttling = if *unthrottled { format!("-1 for this run, {throttling} before") } else { throttling.clone() };
    format!(
        "{command}  {date}  {}\n{cpu}, {cores} cores, Linux {kernel}, load {load}\n\
         medians of {rounds} rounds of at most {seconds} s a turn, all turns interleaved, fresh servers in each; servers \
         on core {}, clients\non core {}, {class}; real-time throttling (sched_rt_runtime_us): {throttling}\n\
         the worker's capacity, of the bare session there: dense {:.0}/s, resnet {:.1}/s; one observation an \
         inference, for everybody\n\
         Triton is the build in nvidia-pytriton 0.7.0, its python backend on onnxruntime, on CPU; dora's nodes are \
         Python's, its\ncontrol input has a queue of 1, as a control loop wants the newest only; Python servers are in \
         SCHED_FIFO as all\nothers, which their users seldom do and which makes them quicker; in floods all peers' \
         servers are in the default class (nice -20), as each did better\nthere or no worse: in SCHED_FIFO what takes requests in \
         starves what answers (clients and genba stay in SCHED_FIFO)\n\
         clients: Rust for genba, naive, python-zenoh (zenoh) and Triton (gRPC); Python for dora, and for genba beside \
         it; the same loop\n\
         flood: of genba, 20 robots' observations in control connections of their own, each by a response of its own \
         or a newer one's;\nof the others as many requests from as many robots, each by itself; deadlines: control \
         10 ms, flood 100 ms, neighbour 1 s\n\
         excused: not in time, but a core stood still for more than 1 ms meanwhile; all other columns are raw\n",
        commit.as_deref().unwrap_or("no commit"),
        seats.servers,
        seats.load,
        capacity.dense_hz,
        capacity.resnet_hz,
    )
}

fn write_scene(text: &mut String, rows: &[&Row]) {
    let load = rows.iter().any(|row| row.load.is_some());
    let _ = write!(
        text,
        "{:<18}{:>9}{:>9}{:>9}{:>10}{:>10}{:>6}{:>7}{:>6}{:>8}",
        "us", "p50", "p99", "p99.9", "on time", "by model", "late", "errors", "none", "excused"
    );
    let heading = if load { "  | load: asked/s  model in time/s  on time     late   errors     none" } else { "" };
    let _ = writeln!(text, "{heading}");
    for row in rows {
        let Summary { p50_us, p99_us, p999_us, on_time_share, model_share, .. } = row.control;
        let Summary { late, errors, unanswered, excused, .. } = row.control;
        let _ = write!(
            text,
            "{:<18}{:>9}{:>9}{:>9}{:>9.2}%{:>9.2}%{late:>6}{errors:>7}{unanswered:>6}{excused:>8}",
            row.contestant.name(),
            micros(p50_us),
            micros(p99_us),
            micros(p999_us),
            on_time_share.median * 100.0,
            model_share.median * 100.0,
        );
        if let Some(Summary { offered_hz, goodput_hz, on_time_share, late, errors, unanswered, .. }) = row.load {
            let _ = write!(
                text,
                "  | {:>13.0}{:>17.0}{:>8.1}%{late:>9}{errors:>9}{unanswered:>9}",
                offered_hz.median,
                goodput_hz.median,
                on_time_share.median * 100.0,
            );
        }
        text.push('\n');
    }
}

/// `-` where there are too few samples.
fn micros(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), |Spread { median, .. }| format!("{median:.0}"))
}
