//! Invariant 11 over real sockets: what a model remembers of a connection is what was sent there, and nothing else.
//!
//! The model remembers in whole numbers, so every answer is compared to the bit with a reference that knows only what its
//! robot sent and heard.

mod reference;

use std::{
    fs,
    time::{Duration, Instant},
};

use engine::Reason;
use message::{Epoch, Reset, Sequence, Status};
use rig::Site;
use tests::{BoxConfig, Frame, Genba, Said, Stranger, repository};

use reference::{Entry, MAX_GAP, Wrong, verify};

const MODEL: &str = "../hil-tests/tests/models/remember";
/// Iterations that take far longer than the deadline, on any machine.
const HANG: f32 = 150_000.0;
const DEADLINE_US: u64 = 400_000;

/// One robot, and all that it sent and heard.
struct Robot {
    site: Site,
    stranger: Stranger,
    epoch: u64,
    sequence: u64,
    asked: Option<(Vec<f32>, Instant)>,
    entries: Vec<Entry>,
}

impl Robot {
    fn connect(genba: &Genba, name: &str) -> Self {
        let site = genba.site(name);
        let stranger = Stranger::connect(genba, &site);
        Self { site, stranger, epoch: 7, sequence: 0, asked: None, entries: Vec::new() }
    }

    /// Numbers that no other robot and no other round has.
    fn values(&self, robot: u16) -> Vec<f32> {
        let round = u16::try_from(self.sequence).expect("some hundred rounds") + 1;
        let mut values = vec![0.0; 21];
        values[..3].copy_from_slice(&[f32::from(round), f32::from(robot) + 1.0, f32::from(round % 10)]);
        values
    }

    fn ask(&mut self, values: Vec<f32>) {
        self.sequence += 1;
        let frame = Frame { values: values.clone(), ..Frame::of(&self.site, self.epoch, self.sequence) };
        self.asked = Some((values, Instant::now()));
        self.stranger.send(frame.bytes());
    }

    fn hear(&mut self) -> Said {
        let (heard, values) = self.stranger.answer();
        let (asked, sent) = self.asked.take().expect("it asked");
        assert_eq!((heard.epoch, heard.sequence), (self.epoch, Some(self.sequence)));
        let reset = heard.marks.contains(Status::STATE_RESET);
        let (epoch, sequence, said) = (self.epoch, self.sequence, heard.said);
        self.entries.push(Entry::Answer { epoch, sequence, asked, sent, heard: Instant::now(), said, values, reset });
        said
    }

    fn exchange(&mut self, values: Vec<f32>) -> Said {
        self.ask(values);
        self.hear()
    }

    /// So many ordinary rounds.
    fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.exchange(self.values(0));
        }
    }

    fn demand(&mut self, epoch: u64, from: u64) {
        let reset = Reset {
            address: self.site.address(),
            contract: self.site.contract,
            epoch: Epoch::new(epoch),
            from_sequence: Sequence::new(from).expect("from 1"),
        };
        let mut frame = vec![0; Reset::OVERHEAD];
        reset.encode(&mut frame).expect("there is room for the whole frame");
        let key = self.site.observation_key.replace("/observation", "/reset");
        self.stranger.put(&key, frame);
        if epoch == self.epoch {
            self.entries.push(Entry::Demand { from });
        }
    }

    fn restart(&mut self) {
        self.epoch += 1;
        self.sequence = 0;
    }

    fn resets(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Answer { reset: true, .. })).count()
    }
}

fn config() -> BoxConfig {
    BoxConfig { model: MODEL, deadline_us: DEADLINE_US, margin_us: 10_000, hang_ms: 60_000, ..BoxConfig::default() }
}

#[test]
fn hundreds_of_ticks_with_a_hang_an_epoch_and_a_demand_are_exact() {
    let genba = Genba::start(&config());
    let mut robot = Robot::connect(&genba, "steady");
    robot.rounds(150);

    // Its fallbacks repeat the last action, and when it is over the sums go on from there.
    let mut values = robot.values(0);
    values[20] = HANG;
    assert_eq!(robot.exchange(values), Said::Fallback(Reason::Late.row().number));
    let mut bridged = 0;
    while robot.exchange(robot.values(0)) != Said::Action {
        bridged += 1;
        assert!(bridged < 1_000, "the hang does not end");
    }
    robot.rounds(100);

    robot.demand(robot.epoch, robot.sequence + 3);
    robot.demand(robot.epoch + 1, 1);
    robot.rounds(100);

    robot.restart();
    robot.rounds(100);
    verify(&robot.entries, MAX_GAP, None).expect("each answer follows from what was sent before");
    assert_eq!(robot.resets(), 3, "the first, the demand, the restart");
    assert_eq!(genba.settled().resets("steady"), (2, 1, 1));

    for wrong in [Wrong::AdvancesByFallback, Wrong::ForgetsDemand, Wrong::SurvivesEpoch, Wrong::IgnoresFallback] {
        let disagrees = verify(&robot.entries, MAX_GAP, Some(wrong));
        assert!(disagrees.is_err(), "negative control: {wrong:?} explains every answer");
    }
}

#[test]
fn state_begins_anew_after_a_gap_and_after_a_restart_of_the_box() {
    const GAP: Duration = Duration::from_millis(400);
    let copy = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = repository().join("models").join(MODEL);
    let described = fs::read_to_string(folder.join("model.toml")).expect("it is in the tree");
    let shorter = described.replace("max_gap_us = 60000000", "max_gap_us = 400000");
    assert_ne!(shorter, described);
    fs::write(copy.path().join("model.toml"), shorter).expect("the temporary folder can be written");
    fs::copy(folder.join("model.onnx"), copy.path().join("model.onnx")).expect("it is in the tree");
    let mut genba = Genba::start(&BoxConfig { folder: Some(copy.path().to_owned()), ..config() });

    let mut robot = Robot::connect(&genba, "steady");
    for _ in 0..3 {
        robot.rounds(40);
        std::thread::sleep(GAP * 2);
    }
    robot.rounds(40);
    verify(&robot.entries, GAP, None).expect("each answer follows from what was sent before");
    assert!(robot.resets() >= 4, "the first, and one after each pause");
    assert!(verify(&robot.entries, MAX_GAP, None).is_err(), "negative control: a gap is seen");

    genba.signal(9);
    assert_eq!(genba.ended().code(), None, "it was killed");
    genba.restart();
    let mut robot = Robot { epoch: robot.epoch, sequence: robot.sequence, ..Robot::connect(&genba, "steady") };
    robot.rounds(20);
    verify(&robot.entries, GAP, None).expect("nothing of the boot before is left");
}

#[test]
fn each_member_of_a_batch_has_its_own_state_also_where_another_fails() {
    const ROBOTS: [&str; 4] = ["r0", "r1", "r2", "r3"];
    let genba = Genba::start(&BoxConfig {
        measured_s: 4,
        deadline_us: 900_000,
        min_period_us: 10_000,
        arrival_jitter_us: 10_000,
        robots: ROBOTS.to_vec(),
        ..config()
    });
    let mut robots = ROBOTS.map(|robot| Robot::connect(&genba, robot));
    for round in 0..200 {
        for (place, robot) in (0..).zip(&mut robots) {
            let mut values = robot.values(place);
            // Outside the model's table: the batch fails, and each of its members is run once more, alone.
            values[19] = if place == 3 && round % 4 == 1 { 99.0 } else { 0.0 };
            robot.ask(values);
        }
        for (place, robot) in (0..).zip(&mut robots) {
            let fails = place == 3 && round % 4 == 1;
            let said = robot.hear();
            assert!(!fails || said == Said::Fallback(Reason::ModelFailed.row().number), "{said:?}");
        }
        std::thread::sleep(Duration::from_millis(12));
    }
    for robot in &robots {
        verify(&robot.entries, MAX_GAP, None).expect("each answer follows from what its own robot was sent before");
        assert_eq!(robot.resets(), 1);
    }
    let mixed: Vec<Entry> = robots[0].entries[..100].iter().chain(&robots[1].entries[100..]).cloned().collect();
    assert!(verify(&mixed, MAX_GAP, None).is_err(), "negative control: another robot's state is seen");
    let (_, _, largest) = genba.settled().work();
    assert!(largest > 1, "nobody ever waited");
}
