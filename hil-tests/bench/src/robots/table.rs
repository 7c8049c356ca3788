//! The figures as text.

use std::fmt::Write as _;

use super::findings::{Conditions, Found, Row};
use crate::machine::Machine;
use crate::statistics::Spread;

pub(crate) fn write(found: &Found) -> String {
    let mut text = caption(&found.conditions);
    let _ = writeln!(
        text,
        "\n{:<9}{:>7}{:>8}{:>8}{:>10}{:>10}{:>8}{:>6}{:>7}{:>6}{:>9}{:>7}{:>11}{:>11}{:>8}{:>8}",
        "us",
        "robots",
        "p50",
        "p99",
        "on time",
        "by model",
        "fell b.",
        "late",
        "errors",
        "none",
        "excused",
        "batch",
        "worker",
        "its CPU",
        "CPU",
        "MiB"
    );
    for row in &found.rows {
        write_row(&mut text, row);
    }
    if !found.goals.is_empty() {
        let _ = writeln!(text, "\n{:<62}{:>24}  goal", "goals, in each round, lowest - highest", "median");
    }
    for goal in &found.goals {
        let Spread { median, min, max } = goal.found;
        let verdict = if goal.met { "" } else { "   NOT MET" };
        let figure = format!("{median:.3} ({min:.3} - {max:.3})");
        let _ = writeln!(text, "{:<62}{figure:>24}  {}{verdict}", goal.what, goal.wanted);
    }
    text
}

fn caption(conditions: &Conditions) -> String {
    let Conditions { date, commit, machine, command, rounds, seconds, seats, throttling, unthrottled, record, .. } =
        conditions;
    let Machine { cpu, cores, kernel, load } = machine;
    let class = if seats.fifo { "all in SCHED_FIFO" } else { "all in the default class" };
    let throttling = if *unthrottled { format!("-1 for this run, {throttling} before") } else { throttling.clone() };
    let record: Vec<String> = record.lines().map(|line| format!("  {line}")).collect();
    format!(
        "{command}  {date}  {}\n{cpu}, {cores} cores, Linux {kernel}, load {load}\n\
         medians of {rounds} rounds of {seconds} s a turn, all turns interleaved, a fresh box in each; the box on core {}, \
         one client process for\nall robots on core {}, 4 robots a zenoh session; {class}; real-time throttling \
         (sched_rt_runtime_us): {throttling}\n\
         an MLP 48-512-512-512-12 on one worker; each robot at 100 Hz, deadline 10 ms; spread: one after another through \
         the period; in step: all at\nthe same moment\n\
         worker: from the order until the result, of all inferences, for each answer of the model (a lone robot finds \
         it asleep and caches\ncold); its CPU: of the worker's thread, puts included; CPU: of the whole box; batch: \
         observations an inference; excused: not in\ntime, but a core stood still for more than 1 ms meanwhile; all \
         other columns are raw\n\
         served with --accept-late; genba check says of 64 robots, or fewer:\n{}\n",
        commit.as_deref().unwrap_or("no commit"),
        seats.servers,
        seats.load,
        record.join("\n"),
    )
}

fn write_row(text: &mut String, row: &Row) {
    let count = |figure: fn(&super::turn::Figures) -> u64| row.rounds.iter().map(figure).sum::<u64>();
    let quantile = |figure| row.quantile(figure).map_or_else(|| "-".to_owned(), |us| format!("{us:.0}"));
    let worker_cpu = row.quantile(|round| round.worker_cpu_us).map_or_else(|| "-".to_owned(), |us| format!("{us:.1}"));
    let _ = writeln!(
        text,
        "{:<9}{:>7}{:>8}{:>8}{:>9.2}%{:>9.2}%{:>8}{:>6}{:>7}{:>6}{:>9}{:>7.1}{:>11.1}{worker_cpu:>11}{:>8.1}{:>8.0}",
        row.phase.to_string(),
        row.robots,
        quantile(|round| round.robots.p50_us),
        quantile(|round| round.robots.p99_us),
        row.spread(|round| round.robots.on_time_share).median * 100.0,
        row.spread(|round| round.robots.model_share).median * 100.0,
        count(|round| round.robots.counts.fallback),
        count(|round| round.robots.counts.late()),
        count(|round| round.robots.counts.refused + round.robots.counts.failed),
        count(|round| round.robots.counts.unanswered),
        count(|round| round.robots.excused.not_on_time),
        row.spread(|round| round.batch).median,
        row.spread(|round| round.worker_us).median,
        row.spread(|round| round.cpu_us).median,
        row.spread(|round| round.memory_mib).median,
    );
}
