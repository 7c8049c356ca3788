//! Cameras: pictures as ROS 2 sends them, beside a model that remembers.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use engine::Reason;
use tests::{
    BoxConfig, Camera, Controller, Genba, InputStatus, Picture, Stranger, Watched, compressed, eventually, judge,
};

use super::{CAMERA, PATIENT, Scene, ask, number};

const MODEL: &str = "../hil-tests/tests/models/camera";
const COMPRESSED: &str = "../hil-tests/tests/models/camera-compressed";
const JPEG: &[u8] = include_bytes!("../../../../adapters/image/tests/corpus/420.jpg");
const PNG: &[u8] = include_bytes!("../../../../adapters/image/tests/corpus/rgb.png");
/// 640 by 480 pixels.
const LARGE_JPEG: &[u8] = include_bytes!("../../../../adapters/image/examples/camera.jpg");

fn config(model: &'static str, inputs: &'static str) -> BoxConfig {
    BoxConfig { model, inputs, ..BoxConfig::default() }
}

fn scene(model: &'static str) -> Scene {
    Scene::of(&BoxConfig { deadline_us: 900_000, ..config(model, PATIENT) })
}

/// What the model answers to ones, this colour and so many answers before.
fn answer([red, green, blue]: [u8; 3], count: u16) -> Vec<f32> {
    let seen = [red, green, blue].map(f32::from);
    vec![2.0 + seen[0], 2.0 + seen[1], 2.0 + seen[2], 2.0 + f32::from(count), 2.0, 2.0]
}

#[test]
fn the_newest_picture_joins_and_state_goes_on_beside_it() {
    let mut scene = scene(MODEL);
    assert_eq!(scene.ask().fallback, Some(number(Reason::InputMissing)));
    scene.show_bytes(Picture::plain("rgb8", 1, [10, 20, 30]).message());
    let answered = scene.ask();
    assert_eq!((answered.fallback, answered.values), (None, answer([10, 20, 30], 0)));
    assert!(answered.input_age_us >= answered.age_us, "its age is told");
    scene.show_bytes(Picture::plain("bgr8", 2, [10, 20, 30]).message());
    assert_eq!(scene.ask().values, answer([30, 20, 10], 1), "blue comes first, and the state has advanced");
    assert_eq!(scene.ask().values, answer([30, 20, 10], 2), "the same picture again");
}

#[test]
fn what_is_no_picture_is_counted_by_reason_and_nothing_of_it_is_used() {
    let mut scene = scene(MODEL);
    scene.show_bytes(Picture::plain("rgb8", 7, [10, 20, 30]).message());
    let good = || Picture::plain("rgb8", 8, [99, 99, 99]);
    let short = good().message()[..60].to_vec();
    let large = Picture { width: 641, height: 1, data: vec![0; 641 * 3], ..good() };
    let wrong = [
        (short, Reason::PictureMalformed),
        (compressed("jpeg", 8, JPEG), Reason::PictureMalformed),
        (Picture { encoding: "mono8", data: vec![0; 48], ..good() }.message(), Reason::PictureUnfit),
        (large.message(), Reason::PictureUnfit),
        (vec![0; 1 << 20], Reason::TooLarge),
        (Picture { stamp_ns: 7, ..good() }.message(), Reason::PictureRepeated),
    ];
    let count = wrong.len();
    for (bytes, reason) in wrong {
        let before = scene.input();
        let input = scene.show_bytes(bytes);
        let of = |input: &InputStatus| input.reasons.get(&number(reason)).copied().unwrap_or(0);
        assert_eq!(of(&input), of(&before) + 1, "{reason}: {input:?}");
    }
    let input = scene.input();
    assert_eq!((input.taken, input.refused), (1, u64::try_from(count).expect("a few")), "{input:?}");
    assert_eq!(scene.ask().values, answer([10, 20, 30], 0));
}

#[test]
fn jpeg_and_png_are_decoded_and_a_broken_one_is_told() {
    let mut scene = scene(COMPRESSED);
    scene.show_bytes(compressed("jpeg", 1, JPEG));
    let jpeg = scene.ask().values;
    scene.show_bytes(compressed("png", 2, PNG));
    let png = scene.ask().values;
    for channel in 0..3 {
        let (one, other) = (jpeg[channel], png[channel]);
        assert!(one > 12.0 && (one - other).abs() < 4.0, "the same picture: {one} and {other}");
    }
    let mut broken = JPEG.to_vec();
    let middle = broken.len() / 2;
    broken.truncate(middle);
    let input = scene.show_bytes(compressed("jpeg", 3, &broken));
    assert_eq!(input.reasons.get(&number(Reason::PictureBroken)), Some(&1), "{input:?}");
    assert_eq!(scene.ask().values[..3], png[..3]);
}

#[test]
fn two_robots_share_one_camera() {
    let key = "test/cell/overhead/image";
    let robots = ["left", "right"];
    let genba = Genba::start(&BoxConfig {
        robots: robots.to_vec(),
        camera_key: Some(key),
        deadline_us: 900_000,
        ..config(MODEL, PATIENT)
    });
    let camera = Camera::on(&genba, key);
    let sites = robots.map(|robot| genba.site(robot));
    let strangers = sites.each_ref().map(|site| Stranger::connect(&genba, site));
    for (round, colour) in [(1_u16, [10, 20, 30]), (2, [40, 50, 60])] {
        camera.send(Picture::plain("rgb8", round.into(), colour).message());
        for robot in robots {
            eventually("each has it", || {
                (genba.status().input(robot, "camera").taken == u64::from(round)).then_some(())
            });
        }
        for (stranger, site) in strangers.iter().zip(&sites) {
            assert_eq!(ask(stranger, site, round.into()).values, answer(colour, round - 1), "{}", site.robot);
        }
    }
}

/// A camera sends large pictures faster than any camera, some of them broken, while a controller goes on at 500 Hz.
#[test]
fn a_flood_of_pictures_costs_no_answer() {
    let genba = Genba::start(&config(COMPRESSED, PATIENT));
    let site = genba.site("steady");
    let camera = Camera::connect(&genba, &site, "camera");
    camera.send(compressed("jpeg", 1, LARGE_JPEG));
    eventually("the box has a picture", || (genba.status().input("steady", "camera").taken > 0).then_some(()));
    let controller = Controller::connect(&genba, "steady");
    let watched = Watched::beside(&genba.status());
    let ended = AtomicBool::new(false);
    let (account, sent) = thread::scope(|scope| {
        let working = controller.start();
        let flooding = scope.spawn(|| {
            let mut sent = 1;
            while !ended.load(Ordering::Relaxed) {
                sent += 1;
                let picture = if sent % 4 == 0 { &LARGE_JPEG[..30_000] } else { LARGE_JPEG };
                camera.send(compressed("jpeg", sent, picture));
                thread::sleep(Duration::from_millis(3));
            }
            sent
        });
        working.await_more(1_000);
        ended.store(true, Ordering::Relaxed);
        let (account, _controller) = working.stop();
        (account, flooding.join().expect("it ends"))
    });
    let machine = watched.stop();
    let input = eventually("the box has all", || {
        Some(genba.status().input("steady", "camera")).filter(|input| input.received == sent)
    });
    println!("{sent} pictures beside {} observations: {input:?}", account.sent());
    assert!(input.taken > 20 && input.refused > 0, "{input:?}");
    let totals = account.ledger().totals();
    assert!(totals.model > 0 && account.fallbacks(Reason::InputMissing) == 0, "{totals:?}");
    let lost = account.lost(&genba.settled().of("steady"));
    judge(&account.windows(), lost, &machine).settle("a flood of pictures");
}

/// The state goes on where the model last answered: a fallback in between advances nothing.
#[test]
fn a_camera_that_stalls_falls_back_and_the_state_stays() {
    let mut scene = Scene::of(&BoxConfig { deadline_us: 900_000, ..config(MODEL, CAMERA) });
    let mut stamp = 0;
    // A machine that stands still between the two makes the picture old once more.
    let mut answered = |scene: &mut Scene| {
        eventually("the model answers", || {
            stamp += 1;
            scene.show_bytes(Picture::plain("rgb8", stamp, [1, 2, 3]).message());
            Some(scene.ask()).filter(|answered| answered.fallback.is_none())
        })
    };
    assert_eq!(answered(&mut scene).values, answer([1, 2, 3], 0));
    eventually("it is too old", || scene.input().age_us.filter(|age| *age > 110_000));
    let stale = scene.ask();
    assert_eq!(stale.fallback, Some(number(Reason::InputTooOld)));
    assert!(stale.input_age_us > 110_000, "{stale:?}");
    assert_eq!(answered(&mut scene).values, answer([1, 2, 3], 1));
}
