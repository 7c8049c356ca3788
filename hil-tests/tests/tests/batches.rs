//! Batches over real sockets: robots that ask at the same time share an inference, and each gets its own answer.

use std::{thread, time::Duration};

use tests::{BoxConfig, Frame, Genba, Stranger};

const ROBOTS: [&str; 8] = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"];
const ROUNDS: u16 = 200;
const PERIOD: Duration = Duration::from_millis(12);

/// Everybody asks at once, again and again; how many inferences that took, of how many observations, most at once.
fn rounds(max_batch: usize) -> (u64, u64, u64) {
    let genba = Genba::start(&BoxConfig {
        model: "../hil-tests/tests/models/double",
        max_batch,
        measured_s: 4,
        deadline_us: 900_000,
        min_period_us: 10_000,
        arrival_jitter_us: 10_000,
        robots: ROBOTS.to_vec(),
        ..BoxConfig::default()
    });
    let sites = ROBOTS.map(|robot| genba.site(robot));
    let strangers = sites.each_ref().map(|site| Stranger::connect(&genba, site));
    for round in 1..=ROUNDS {
        let asked = |robot: u16| {
            let mut values = vec![0.0; 21];
            values[..3].copy_from_slice(&[f32::from(robot), f32::from(round), f32::from(robot) * 1_000.0]);
            values
        };
        let frame = |(robot, site)| Frame { values: asked(robot), ..Frame::of(site, 7, round.into()) }.bytes();
        let frames: Vec<_> = (0..).zip(&sites).map(frame).collect();
        for (stranger, frame) in strangers.iter().zip(frames) {
            stranger.send(frame);
        }
        for (robot, stranger) in (0..).zip(&strangers) {
            let twice: Vec<_> = asked(robot)[..6].iter().map(|value| value * 2.0).collect();
            assert_eq!(stranger.values(), twice, "{robot} in round {round}");
        }
        thread::sleep(PERIOD);
    }
    let work = genba.settled().work();
    println!("{max_batch} at most: {} inferences of {} observations, {} at once", work.0, work.1, work.2);
    assert_eq!(work.1, u64::from(ROUNDS) * 8, "each observation is in one inference");
    work
}

#[test]
fn robots_that_ask_at_the_same_time_share_an_inference_and_each_gets_its_own_answer() {
    let (inferences, observations, largest) = rounds(64);
    assert!(inferences < observations && largest > 1, "nobody ever waited: {inferences} of {observations}");
    assert!(largest <= 8, "there are eight robots");
}

#[test]
fn negative_control_without_batches_each_observation_has_an_inference_of_its_own() {
    let (inferences, observations, largest) = rounds(1);
    assert_eq!((inferences, largest), (observations, 1));
}
