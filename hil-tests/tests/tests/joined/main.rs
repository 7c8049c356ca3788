//! Joined inputs over real sockets: the newest sample joins, an old or missing one falls back, and a camera that
//! stalls, floods or restarts takes nobody's answer.

mod pictures;

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use engine::Reason;
use message::{Address, Body, ContractDigest, Response};
use rig::Moment;
use serde_json::Value;
use tests::{
    BoxConfig, Camera, Controller, Frame, Genba, HOME, InputStatus, PATIENCE, Shot, Stranger, Watched, command,
    eventually, judge, repository,
};

const CAMERA: &str = "\n[[task.input]]\nname = \"camera\"\nmax_age_ms = 100\n";
const PATIENT: &str = "\n[[task.input]]\nname = \"camera\"\nmax_age_ms = 60000\n";

fn config(inputs: &'static str) -> BoxConfig {
    BoxConfig { model: "../hil-tests/tests/models/joined", inputs, ..BoxConfig::default() }
}

/// One robot that asks, and its camera.
struct Scene {
    genba: Genba,
    site: rig::Site,
    stranger: Stranger,
    camera: Option<Camera>,
    asked: u64,
}

/// What was answered.
#[derive(Debug, PartialEq)]
struct Answered {
    /// The reason of a fallback.
    fallback: Option<u16>,
    age_us: u32,
    input_age_us: u32,
    values: Vec<f32>,
}

impl Scene {
    fn start(inputs: &'static str) -> Self {
        Self::of(&BoxConfig { deadline_us: 900_000, ..config(inputs) })
    }

    fn of(config: &BoxConfig) -> Self {
        let genba = Genba::start(config);
        let site = genba.site("steady");
        let stranger = Stranger::connect(&genba, &site);
        let camera = Some(Camera::connect(&genba, &site, "camera"));
        Self { genba, site, stranger, camera, asked: 0 }
    }

    fn camera(&self) -> &Camera {
        self.camera.as_ref().expect("there is one but while it restarts")
    }

    fn input(&self) -> InputStatus {
        self.genba.status().input("steady", "camera")
    }

    /// Sends a sample and waits until the box has looked at it.
    fn show(&self, shot: &Shot) -> InputStatus {
        self.show_bytes(shot.bytes())
    }

    fn show_bytes(&self, bytes: Vec<u8>) -> InputStatus {
        let before = self.input().received;
        self.camera().send(bytes);
        eventually("the box has the sample", || Some(self.input()).filter(|input| input.received > before))
    }

    fn ask(&mut self) -> Answered {
        self.asked += 1;
        ask(&self.stranger, &self.site, self.asked)
    }
}

/// Asks with ones in the first six places.
fn ask(stranger: &Stranger, site: &rig::Site, sequence: u64) -> Answered {
    let mut values = vec![0.0; 21];
    values[..6].fill(1.0);
    stranger.send(Frame { values, ..Frame::of(site, 7, sequence) }.bytes());
    let frame = stranger.response(PATIENCE).expect("the box answers");
    let response = Response::decode(&frame).expect("it is a response");
    assert_eq!(response.sequence.map(message::Sequence::value), Some(sequence), "in order");
    let fallback = match response.body {
        Body::Action { .. } => None,
        Body::Fallback { reason, .. } => Some(reason.value()),
        Body::Refusal { reason } => panic!("refused: E-{}", reason.value()),
    };
    Answered {
        fallback,
        age_us: response.age_us,
        input_age_us: response.input_age_us,
        values: message::floats(response.body.values()).collect(),
    }
}

fn number(reason: Reason) -> u16 {
    reason.row().number
}

#[test]
fn the_newest_sample_joins_and_its_age_is_told() {
    let mut scene = Scene::start(PATIENT);
    let missing = scene.ask();
    assert_eq!((missing.fallback, missing.input_age_us), (Some(number(Reason::InputMissing)), missing.age_us));
    let sent = Moment::now();
    scene.show(&scene.camera().next(&[10.0, 20.0]));
    let taken = Moment::now();
    let answered = scene.ask();
    let most = Moment::now().since(sent);
    assert_eq!((answered.fallback, answered.values), (None, vec![12.0, 12.0, 12.0, 12.0, 12.0, 22.0]));
    let told = Duration::from_micros(answered.input_age_us.into());
    assert!(told <= most && answered.input_age_us >= answered.age_us, "{told:?} of {most:?}: {} us", answered.age_us);
    // The same sample again, and older.
    eventually("it grows older", || (Moment::now().since(taken) > Duration::from_millis(50)).then_some(()));
    let again = scene.ask();
    assert!(again.fallback.is_none() && again.input_age_us >= 50_000, "{again:?}");
    // Of many the last one.
    let before = scene.input();
    for number in 1..=100_u8 {
        scene.camera().shoot(&[f32::from(number), -f32::from(number)]);
    }
    let all = eventually("the box has all", || Some(scene.input()).filter(|now| now.received == before.received + 100));
    assert_eq!(all.taken + all.passed_over, before.taken + before.passed_over + 100, "{all:?}");
    assert_eq!(scene.ask().values, [102.0, 102.0, 102.0, 102.0, 102.0, -98.0]);
}

#[test]
fn a_stale_sample_falls_back_and_the_next_one_brings_the_model_back() {
    let mut scene = Scene::start(CAMERA);
    scene.show(&scene.camera().next(&[10.0, 20.0]));
    eventually("it is too old", || scene.input().age_us.filter(|age| *age > 110_000));
    let stale = scene.ask();
    assert_eq!(stale.fallback, Some(number(Reason::InputTooOld)));
    assert!(stale.input_age_us > 110_000 && stale.input_age_us > stale.age_us, "the fallback says how old: {stale:?}");
    // A machine that stands still between the two makes the sample old once more.
    let back = eventually("the model answers", || {
        scene.show(&scene.camera().next(&[1.0, 2.0]));
        Some(scene.ask()).filter(|answered| answered.fallback.is_none())
    });
    assert_eq!(back.values, [3.0, 3.0, 3.0, 3.0, 3.0, 4.0]);
    assert!(back.input_age_us <= 100_000 + back.age_us, "{back:?}");
}

#[test]
fn what_is_wrong_is_counted_by_reason_and_a_restarted_camera_takes_over() {
    let mut scene = Scene::start(PATIENT);
    scene.show(&scene.camera().next(&[10.0, 20.0]));
    let shot = || scene.camera().next(&[99.0, 99.0]);
    let wrong = [
        (Shot { address: Address::of_input("steady", "track", "other"), ..shot() }, Reason::Address),
        (Shot { contract: ContractDigest::new([1; 16]), ..shot() }, Reason::Contract),
        (Shot { values: vec![99.0], ..shot() }, Reason::ValuesLength),
        (Shot { values: vec![99.0; 3], ..shot() }, Reason::TooLarge),
        (Shot { values: vec![f32::NAN, 99.0], ..shot() }, Reason::ObservationNotFinite),
        (Shot { sequence: 1, ..shot() }, Reason::Sequence),
    ];
    for (shot, reason) in wrong {
        let input = scene.show(&shot);
        assert_eq!(input.reasons.get(&number(reason)), Some(&1), "{reason}: {input:?}");
    }
    let mut damaged = scene.camera().next(&[99.0, 99.0]).bytes();
    *damaged.last_mut().expect("it has bytes") ^= 1;
    let input = scene.show_bytes(damaged);
    assert_eq!(input.reasons.get(&number(Reason::Checksum)), Some(&1), "{input:?}");
    assert_eq!((input.taken, input.refused), (1, 7), "{input:?}");
    assert_eq!(scene.ask().values[..2], [12.0, 12.0], "nothing of it was used");

    let old = scene.camera().next(&[99.0, 99.0]);
    scene.camera = scene.camera.take().map(Camera::restarted);
    let input = scene.show(&scene.camera().next(&[30.0, 40.0]));
    assert_eq!(input.taken, 2, "its sequence begins anew");
    assert_eq!(scene.ask().values[..2], [32.0, 32.0]);
    let input = scene.show(&old);
    assert_eq!(input.reasons.get(&number(Reason::SourceRetired)), Some(&1), "{input:?}");
    assert_eq!(scene.ask().values[..2], [32.0, 32.0], "the old instance does not come back");
}

#[test]
fn a_synchronised_clock_counts_from_the_stamp() {
    let inputs = "\n[[task.input]]\nname = \"camera\"\nmax_age_ms = 5000\nclock = \"synchronised\"\n";
    let mut scene = Scene::start(inputs);
    let now = scene.camera().next(&[10.0, 20.0]);
    let ahead = Shot { stamp: now.stamp + 1_000_000_000, ..now.clone() };
    let input = scene.show(&ahead);
    assert_eq!(input.reasons.get(&number(Reason::StampAhead)), Some(&1), "{input:?}");
    scene.show(&Shot { stamp: now.stamp - 60_000_000_000, ..now });
    let old = scene.ask();
    assert_eq!(old.fallback, Some(number(Reason::InputTooOld)), "it has just come, and is a minute old");
    assert!(old.input_age_us >= 60_000_000, "{old:?}");
    let next = scene.camera().next(&[10.0, 20.0]);
    scene.show(&Shot { stamp: next.stamp - 1_000_000_000, ..next });
    let second = scene.ask();
    assert!(second.fallback.is_none() && second.input_age_us >= 1_000_000, "{second:?}");
}

/// The controller goes on at 500 Hz while its camera stalls for longer than its samples hold.
#[test]
fn a_camera_that_stalls_costs_no_answer() {
    let genba = Genba::start(&config(CAMERA));
    let site = genba.site("steady");
    let camera = Camera::connect(&genba, &site, "camera");
    let controller = Controller::connect(&genba, "steady");
    let watched = Watched::beside(&genba.status());
    let (stall, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let (account, _controller) = thread::scope(|scope| {
        let working = controller.start();
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                if !stall.load(Ordering::Relaxed) {
                    camera.shoot(&[0.0, 0.0]);
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        for stalls in [false, true, false, true, false] {
            stall.store(stalls, Ordering::Relaxed);
            working.await_more(200);
        }
        ended.store(true, Ordering::Relaxed);
        working.stop()
    });
    let machine = watched.stop();
    let status = genba.settled();
    let counts = status.of("steady");
    let (fallbacks, totals) = (account.fallbacks(Reason::InputTooOld), account.ledger().totals());
    println!("{} observations: {totals:?}", account.sent());
    // Each stall is 400 ms long, of which the samples hold for 100.
    assert!(fallbacks > 100, "{totals:?}");
    assert!(totals.model > 200, "{totals:?}");
    let lost = account.lost(&counts);
    judge(&account.windows(), lost, &machine).settle("a camera that stalls");
}

/// Somebody floods the joined topic, with good samples and with noise, while controllers go on at 500 Hz.
#[test]
fn a_flood_on_a_joined_topic_costs_no_answer() {
    let genba = Genba::start(&config(PATIENT));
    let site = genba.site("steady");
    let camera = Camera::connect(&genba, &site, "camera");
    let controller = Controller::connect(&genba, "steady");
    camera.shoot(&[0.0, 0.0]);
    eventually("the box has a sample", || (genba.status().input("steady", "camera").taken > 0).then_some(()));
    let watched = Watched::beside(&genba.status());
    let working = controller.start();
    let begun = working.sent();
    let mut flooded = 1;
    while working.sent() < begun + 1_000 {
        for number in 0..50_u8 {
            match number % 4 {
                0 => camera.send(vec![number; 300]),
                1 => camera.send(vec![number; 12]),
                _ => camera.shoot(&[0.0, 0.0]),
            }
            flooded += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    let (account, _controller) = working.stop();
    let machine = watched.stop();
    let input = eventually("the box has all", || {
        Some(genba.status().input("steady", "camera")).filter(|input| input.received == flooded)
    });
    println!("{flooded} samples beside {} observations: {input:?}", account.sent());
    assert!(input.refused > 0 && input.taken > 1, "{input:?}");
    let totals = account.ledger().totals();
    assert!(totals.model > 0 && account.fallbacks(Reason::InputMissing) == 0, "{totals:?}");
    let lost = account.lost(&genba.settled().of("steady"));
    judge(&account.windows(), lost, &machine).settle("a flood on a joined topic");
}

/// A model with a joined input is measured like any other; in a batch each robot has its own camera.
#[test]
fn robots_that_share_an_inference_each_have_their_own_camera() {
    let robots = ["r0", "r1", "r2", "r3"];
    let genba = Genba::start(&BoxConfig {
        measured_s: 4,
        deadline_us: 900_000,
        min_period_us: 10_000,
        arrival_jitter_us: 10_000,
        robots: robots.to_vec(),
        ..config(PATIENT)
    });
    let sites = robots.map(|robot| genba.site(robot));
    let cameras = sites.each_ref().map(|site| Camera::connect(&genba, site, "camera"));
    let strangers = sites.each_ref().map(|site| Stranger::connect(&genba, site));
    for round in 1..=50_u16 {
        for ((robot, camera), name) in (0_u16..).zip(&cameras).zip(&robots) {
            let seen = genba.status().input(name, "camera").taken;
            camera.shoot(&[f32::from(robot * 1_000 + round), f32::from(round)]);
            eventually("it is taken", || (genba.status().input(name, "camera").taken > seen).then_some(()));
        }
        for (stranger, site) in strangers.iter().zip(&sites) {
            stranger.send(Frame { values: HOME.to_vec(), ..Frame::of(site, 7, round.into()) }.bytes());
        }
        for (robot, stranger) in (0_u16..).zip(&strangers) {
            let values = stranger.values();
            let seen = f32::from(robot * 1_000 + round);
            let expected: Vec<f32> = HOME[..5].iter().map(|value| value * 2.0 + seen).collect();
            assert_eq!(values[..5], expected, "{robot} in round {round}");
        }
    }
    let (inferences, observations, largest) = genba.settled().work();
    println!("{inferences} inferences of {observations} observations, {largest} at once");
    assert_eq!(observations, 200);
    assert!(largest > 1, "nothing was batched");
}

#[test]
fn check_says_what_joins_and_what_is_missing() {
    let genba = Genba::start(&config(CAMERA));
    let output = genba.ask(&["check", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let input = &found["tasks"][0]["inputs"][0];
    assert_eq!(input["key"], "test/cell/steady/track/input/camera");
    assert_eq!((input["max_age_us"].as_u64(), input["clock"].as_str()), (Some(100_000), Some("arrival")), "{input}");
    let told = String::from_utf8(genba.ask(&["check"]).stdout).expect("text");
    assert!(told.contains("input     steady: camera from test/cell/steady/track/input/camera"), "{told}");
    let told = String::from_utf8(genba.ask(&["status"]).stdout).expect("text");
    assert!(told.contains("steady/track/camera") && told.contains("no sample yet by arrival"), "{told}");

    let refused = |inputs: &'static str, clients: bool| {
        let file = genba.folder().join("other.toml");
        let text = config(inputs).text("tcp/127.0.0.1:1");
        let clients = if clients { "clients = [{ name = \"a\", min_period_us = 1000 }]\nhold_ms" } else { "hold_ms" };
        fs::write(&file, text.replacen("hold_ms", clients, 1)).expect("the folder can be written");
        let output = command().arg("check").arg("--config").arg(&file).output().expect("genba runs");
        assert!(!output.status.success(), "it is good");
        String::from_utf8(output.stderr).expect("text").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let told = refused("", false);
    assert!(told.contains("\"camera\"") && told.contains("max_age_ms"), "{told}");
    let told = refused("\n[[task.input]]\nname = \"camera\"\n", false);
    assert!(told.contains("missing field `max_age_ms`"), "{told}");
    let told = refused("\n[[task.input]]\nname = \"camera\"\nmax_age_ms = 0\n", false);
    assert!(told.contains("0 ms"), "{told}");
    let other =
        "\n[[task.input]]\nname = \"camera\"\nmax_age_ms = 9\n[[task.input]]\nname = \"radar\"\nmax_age_ms = 9\n";
    let told = refused(other, false);
    assert!(told.contains("joins no input \"radar\""), "{told}");
    let told = refused("", true);
    assert!(told.contains("joins the input \"camera\", which the client a cannot send"), "{told}");
    let told = refused(CAMERA, true);
    assert!(told.contains("has joined inputs and clients"), "{told}");
}

#[test]
fn golden_observations_say_what_joins_them() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let model = folder.path().join("model");
    fs::create_dir(&model).expect("the folder can be written");
    for file in ["model.toml", "model.onnx"] {
        let from = repository().join("hil-tests/tests/models/joined").join(file);
        fs::copy(from, model.join(file)).expect("the model is there");
    }
    let file = folder.path().join("box.toml");
    let config = BoxConfig { folder: Some(model.clone()), ..config(CAMERA) };
    fs::write(&file, config.text("tcp/127.0.0.1:1")).expect("the folder can be written");
    let measure = |golden: &str| {
        fs::write(model.join("golden.json"), golden).expect("the folder can be written");
        let output = command().args(["measure", "--seconds", "2", "--config"]).arg(&file).output();
        let output = output.expect("genba runs");
        let said = String::from_utf8(output.stderr).expect("text");
        (output.status.code(), said.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let zeros = [0.0; 21];
    let (code, said) = measure(&format!("{{\"vectors\": [{{\"observation\": {zeros:?}}}]}}"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no 2 numbers for the joined input \"camera\""), "{said}");
    let joined = "\"joined\": {\"camera\": [1.0, 2.0]}";
    let (code, said) = measure(&format!("{{\"vectors\": [{{\"observation\": {zeros:?}, {joined}}}]}}"));
    // Without the right to SCHED_FIFO the exit code is 3.
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {said}");
}
