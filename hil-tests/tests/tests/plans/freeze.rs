//! Plans that continue each other: the model is told what is played while it computes, and that is played whatever it gives
//! in the place of it.
//!
//! The model draws one straight line in time, plan after plan, and gives nonsense for the steps that it was told. When an
//! observation arrived the robot does not know, but it lies between its sending and its answer: so does each step's place
//! on the line, and no machine excuses another.

use std::{
    fs,
    process::Output,
    thread,
    time::{Duration, Instant},
};

use engine::Reason;
use message::{Body, Epoch, Place, Reset, Response, Sequence};
use rig::Site;
use tempfile::TempDir;
use tests::{BoxConfig, Frame, Genba, PATIENCE, Stranger, command, free_endpoint, skip};

const CONTINUES: &str = "../hil-tests/tests/models/continue";
const FROZEN: &str = "plan = { interpolation = \"linear\", freeze = true, refresh_ms = 40 }";
/// How far the line goes in a second: a step of the model is one.
const RATE_HZ: f64 = 50.0;
/// Sums of single precision.
const ROUNDING: f64 = 0.01;
const OBSERVATIONS: u64 = 1_000;
const EPOCH: u64 = 7;
const PAUSE: Duration = Duration::from_millis(3);
/// The last step of a plan lasts for its period, so a line that was drawn to its end bends there. It is, at the earliest,
/// where a plan took this many of its 50 steps to come, or this many were played of it, with a machine that stood still.
const LATE_STEP: u32 = 15;
const OLD_STEP: u32 = 31;

fn config(model: &'static str, task_options: &'static str) -> BoxConfig {
    BoxConfig { model, task_options, deadline_us: 900_000, hold_ms: 60_000, ..BoxConfig::default() }
}

/// A step of a plan, as the robot got it.
#[derive(Debug, Clone, Copy)]
struct Step {
    sent: Instant,
    heard: Instant,
    plan: u64,
    place: u32,
    line: f64,
    plans: f64,
    committed: f64,
}

/// A robot, and what it got: steps without a fallback in between.
struct Robot {
    site: Site,
    stranger: Stranger,
    sequence: u64,
    runs: Vec<Vec<Step>>,
}

impl Robot {
    fn connect(genba: &Genba) -> Self {
        let site = genba.site("steady");
        let stranger = Stranger::connect(genba, &site);
        Self { site, stranger, sequence: 0, runs: vec![Vec::new()] }
    }

    fn asks(&mut self, observations: u64) {
        for _ in 0..observations {
            self.ask();
            thread::sleep(PAUSE);
        }
    }

    fn ask(&mut self) {
        self.sequence += 1;
        let sent = Instant::now();
        let frame = Frame { values: vec![1.0; 21], ..Frame::of(&self.site, EPOCH, self.sequence) };
        self.stranger.send(frame.bytes());
        let frame = self.stranger.response(PATIENCE).expect("the box answers");
        let (heard, response) = (Instant::now(), Response::decode(&frame).expect("it is a response"));
        let values: Vec<f64> = message::floats(response.body.values()).map(f64::from).collect();
        match response.body {
            Body::Action { place, .. } => {
                assert_eq!(place, Place::Box);
                let [line, plans, committed, ..] = values[..] else { panic!("{values:?}") };
                let (plan, place) = (response.plan, response.plan_step);
                let step = Step { sent, heard, plan, place, line, plans, committed };
                self.runs.last_mut().expect("there is one").push(step);
            }
            Body::Fallback { reason, .. } => {
                let own = [Reason::PlanMissing, Reason::PlanRanOut].map(|reason| reason.row().number);
                assert!(own.contains(&reason.value()), "E-{}", reason.value());
                self.runs.push(Vec::new());
            }
            Body::Refusal { reason } => panic!("{} was refused: E-{}", self.sequence, reason.value()),
        }
    }

    /// It demands that its plan is cleared for what it asks next.
    fn demand(&self) {
        let reset = Reset {
            address: self.site.address(),
            contract: self.site.contract,
            epoch: Epoch::new(EPOCH),
            from_sequence: Sequence::new(self.sequence + 1).expect("from 1"),
        };
        let mut frame = vec![0; Reset::OVERHEAD];
        reset.encode(&mut frame).expect("there is room for the whole frame");
        self.stranger.put(&self.site.observation_key.replace("/observation", "/reset"), frame);
    }

    /// What it got, if that says anything: what was never to be played is never excused.
    fn judged(mut self) -> Option<Vec<Vec<Step>>> {
        self.runs.retain(|run| !run.is_empty());
        let mut steps = self.runs.iter().flatten();
        let nonsense = steps.find(|step| step.line < 0.0 || step.plans < 0.0 || step.committed < 0.0);
        assert!(nonsense.is_none(), "what the model gave for a committed step was played: {nonsense:?}");
        if self.runs.iter().any(|run| stood_still(run)) {
            skip("SKIPPED-INCONCLUSIVE: the machine stood still for as long as a plan lasts");
            return None;
        }
        self.runs.iter().for_each(|run| goes_on(run));
        Some(self.runs)
    }
}

#[test]
fn plans_go_on_from_what_was_played_and_nothing_else_is_played() {
    let genba = Genba::start(&config(CONTINUES, FROZEN));
    let mut robot = Robot::connect(&genba);
    robot.asks(OBSERVATIONS);
    let Some(runs) = robot.judged() else { return };
    let longest = runs.iter().max_by_key(|run| run.len()).expect("plans were played");
    let (first, last) = (longest.first().expect("it has steps"), longest.last().expect("it has steps"));
    let plans = last.plan - first.plan;
    println!("{} runs; the longest has {} steps of {plans} plans: {last:?}", runs.len(), longest.len());
    assert!(plans >= 10, "one plan followed another");
    assert!(last.plans > 10.0, "each was computed from the one before it");
    assert!(last.committed >= 1.0, "its model was told how much is committed");
}

#[test]
fn after_a_demand_nothing_is_committed_and_a_new_line_begins() {
    let genba = Genba::start(&config(CONTINUES, FROZEN));
    let mut robot = Robot::connect(&genba);
    robot.asks(OBSERVATIONS / 5);
    robot.demand();
    robot.asks(OBSERVATIONS / 5);
    assert_eq!(genba.status().resets("steady"), (1, 1, 0));
    let Some(runs) = robot.judged() else { return };
    let (before, after) = (&runs[0], &runs[1]);
    let (last, first) = (before.last().expect("it has steps"), after.first().expect("it has steps"));
    assert!(last.plans > 1.0 && last.plan < first.plan, "{last:?}, {first:?}");
    assert!((first.plans - 1.0).abs() + first.committed < ROUNDING, "its model was told of no plan: {first:?}");
}

fn stood_still(run: &[Step]) -> bool {
    let is_late = |pair: &[Step]| pair[0].plan < pair[1].plan && pair[1].place > LATE_STEP;
    run[0].place > LATE_STEP || run.windows(2).any(is_late) || run.iter().any(|step| step.place > OLD_STEP)
}

/// One line from the first step to the last, over all plans.
fn goes_on(run: &[Step]) {
    for pair in run.windows(2) {
        let [before, after] = pair else { unreachable!("two at a time") };
        let (least, most) = (after.sent - before.heard, after.heard - before.sent);
        let moved = after.line - before.line;
        let bounds = (least.as_secs_f64() * RATE_HZ - ROUNDING)..=(most.as_secs_f64() * RATE_HZ + ROUNDING);
        assert!(bounds.contains(&moved), "{moved} is not within {bounds:?}: {before:?}, {after:?}");
    }
}

/// What a config is told, by `check`.
fn refusal(model: &'static str, plan: &'static str) -> String {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let file = folder.path().join("box.toml");
    fs::write(&file, config(model, plan).text(&free_endpoint())).expect("the folder can be written");
    let output = command().current_dir(folder.path()).args(["check", "--config", "box.toml"]).output();
    let Output { status, stderr, .. } = output.expect("genba can be run");
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_model_that_is_not_told_cannot_be_frozen_and_one_that_is_must_be() {
    let line = {
        let text = config(CONTINUES, FROZEN).text("");
        1 + text.lines().position(|line| line.starts_with("plan =")).expect("it is written there")
    };
    let untold = refusal("ur5e-planner", FROZEN);
    let wanted =
        format!("box.toml:{line}: task track: its plans freeze, and its model is not told what is played meanwhile");
    assert!(untold.contains(&wanted), "{untold}");
    let unfrozen = refusal(CONTINUES, "plan = { interpolation = \"linear\", blend_ms = 40 }");
    let wanted =
        format!("box.toml:{line}: task track: its model continues the plan that is played, and that does not freeze");
    assert!(unfrozen.contains(&wanted), "{unfrozen}");
    let both = refusal(CONTINUES, "plan = { interpolation = \"linear\", freeze = true, blend_ms = 40 }");
    assert!(both.contains(&format!("box.toml:{line}: a plan is frozen and blended")), "{both}");
    let held = refusal(CONTINUES, "plan = { interpolation = \"hold\", freeze = true }");
    assert!(held.contains(&format!("box.toml:{line}: a plan is frozen and holds its steps")), "{held}");
}
