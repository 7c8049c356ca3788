//! The robot over a real link, against a box whose every answer is known. Nothing is said about time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use message::Epoch;
use plants::Ur5eConveyor;
use rig::{End, Event, Link, Recording, Report, Robot, Site};

mod fake_box;

use fake_box::{FakeBox, Treatment};

#[test]
fn the_robots_books_say_what_the_box_did() {
    let (recording, report, done) = run(Duration::from_secs(1), |sequence| match sequence % 50 {
        10 => Treatment::Fallback(301),
        15 => Treatment::Fallback(302),
        20 => Treatment::Refuse(208),
        30 => Treatment::Refuse(401),
        40 => Treatment::Silence,
        0 => Treatment::Twice,
        _ => Treatment::Model,
    });
    assert_eq!((report.end, report.overflowed), (End::Complete, 0));
    let totals = recording.ledger.totals();
    let count = |treatment| done.iter().filter(|done| **done == treatment).count() as u64;

    assert_eq!(totals.sent, done.len() as u64, "every observation arrived");
    assert_eq!(totals.sent + recording.pacing.skipped, 500, "one every 2 ms");
    assert_eq!(totals.model, count(Treatment::Model) + count(Treatment::Twice));
    assert_eq!(totals.twice, count(Treatment::Twice));
    for (reason, counts) in [(301, &totals.fallbacks), (302, &totals.fallbacks)] {
        assert_eq!(counts[&reason], count(Treatment::Fallback(reason)));
    }
    assert_eq!(totals.refused[&208], count(Treatment::Refuse(208)));
    assert_eq!(totals.missed[&401], count(Treatment::Refuse(401)));
    assert_eq!(totals.superseded + totals.open(), count(Treatment::Silence));
    assert_eq!((totals.out_of_order, totals.unasked, totals.malformed), (0, 0, 0));
    assert_eq!(recording.marks.len() as u64, totals.fallback() + totals.refusals() + totals.misses());
}

#[test]
fn a_box_that_never_answers_leaves_everything_lost() {
    let (recording, _, done) = run(Duration::from_millis(200), |_| Treatment::Silence);
    let totals = recording.ledger.totals();
    assert_eq!((totals.open(), totals.superseded), (done.len() as u64, 0));
    assert!(recording.ledger.windows().all(|window| window.covered_at.is_none()));
}

#[test]
fn what_is_meant_for_another_robot_is_no_answer() {
    let (recording, _, done) = run(Duration::from_millis(200), |_| Treatment::Astray);
    let totals = recording.ledger.totals();
    assert_eq!((totals.model, totals.unasked), (0, done.len() as u64));
}

fn run(duration: Duration, script: fn(u64) -> Treatment) -> (Recording, Report, Vec<Treatment>) {
    let site = site();
    let (fake_box, endpoint) = FakeBox::start(&site, script);
    let (outbox, inbox, watch) = Link::open(&endpoint, &site).expect("the endpoint is fit").split();
    while !outbox.is_heard() {
        std::thread::yield_now();
    }
    assert!(!watch.is_alive(), "this box shows no token");

    let robot = Robot {
        plant: Ur5eConveyor::load(&site.arm_xml).expect("the arm is checked in"),
        outbox,
        inbox,
        epoch: Epoch::new(0x5eed),
        duration,
        hang: None,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let (events_in, events) = sync_channel::<Event>(1 << 16);
    let report = std::thread::spawn(move || robot.run(&events_in)).join().expect("the robot does not panic");
    let mut recording = Recording::new(duration, site.deadline, Duration::from_millis(1));
    for event in events {
        recording.note(event);
    }
    watch.close().expect("it can be closed");
    (recording, report, fake_box.stop())
}

fn site() -> Site {
    let arm_xml = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/ur5e-conveyor/arm.xml");
    let key = |leaf| format!("test/cell/ur5e/track/{leaf}");
    Site {
        robot: "ur5e".into(),
        task: "track".into(),
        model: "script".into(),
        observation_key: key("observation"),
        response_key: key("response"),
        notice_key: key("notice"),
        alive_key: "test/cell/@genba/script/alive".into(),
        contract: message::ContractDigest::new([3; 16]),
        deadline: Duration::from_millis(8),
        can_hang: false,
        needs_camera: false,
        gives_plans: false,
        arm_xml,
    }
}
