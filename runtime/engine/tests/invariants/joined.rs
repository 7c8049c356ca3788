//! Joined inputs: the newest sample, if it is not too old; a typed fallback at once otherwise.

use engine::{Carries, Duration, Event, InputId, JoinedSpec, Reason, SampleClock, TaskSpec, WallClock};
use message::{Address, ContractDigest, Input, Sequence, Source, Stamp};

use crate::scene::{CONTRACT, ONLY, Said, Scene, at, task};

const CAMERA: InputId = InputId(0);
const FORCE: InputId = InputId(1);
/// 1 s of Unix time at the origin of the box's clock.
const WALL: WallClock = WallClock::from_unix_at_origin(1_000_000_000);

fn spec(address: u32, max_age_us: u64, clock: SampleClock) -> JoinedSpec {
    let carries = Carries::Values { address: Address::new(address), values: 2 };
    JoinedSpec { connection: ONLY, carries, max_age: Duration::from_micros(max_age_us), clock }
}

/// A camera by arrival whose samples hold for 100 ms, and a force sensor by stamp, 10 ms.
fn scene() -> Scene {
    let inputs = [spec(6, 100_000, SampleClock::Arrival), spec(7, 10_000, SampleClock::Synchronised)];
    Scene::joining(&[task()], &[], &inputs)
}

fn camera() -> Scene {
    Scene::joining(&[task()], &[], &[spec(6, 10_000, SampleClock::Arrival)])
}

fn good() -> Input<'static> {
    Input {
        address: Address::new(6),
        contract: CONTRACT,
        source: Source::new(1),
        sequence: Sequence::new(1).expect("from 1"),
        stamp: Stamp::new(0),
        values: &[0; 8],
    }
}

fn frame(input: &Input<'_>) -> Vec<u8> {
    let mut frame = vec![0; Input::OVERHEAD + input.values.len()];
    input.encode(&mut frame).expect("there is room");
    frame
}

impl Scene {
    fn sample(&mut self, micros: u64, input: InputId, sample: &Input<'_>) -> Vec<(u64, Said)> {
        let bytes = frame(sample);
        self.handle(micros, Event::Sample { input, arrival: at(micros), wall: WALL, bytes: &bytes })
    }

    /// A sample of the camera, and one of the force sensor that was taken so long before.
    fn shoot(&mut self, micros: u64, sequence: u64) {
        let sequence = Sequence::new(sequence).expect("from 1");
        self.sample(micros, CAMERA, &Input { sequence, ..good() });
    }

    fn feel(&mut self, micros: u64, sequence: u64, ago_us: u64) {
        let sequence = Sequence::new(sequence).expect("from 1");
        let stamp = Stamp::new(1_000_000_000 + (micros - ago_us) * 1_000);
        self.sample(micros, FORCE, &Input { address: Address::new(7), sequence, stamp, ..good() });
    }

    fn refused(&self, input: InputId, reason: Reason) -> u64 {
        self.engine.sample_ledger(input).by_reason(reason)
    }
}

#[test]
fn what_is_missing_or_too_old_falls_back_at_once_and_comes_back_with_the_next_sample() {
    let mut scene = scene();
    assert_eq!(scene.observe(0, 1), [(1, Said::Fallback(Reason::InputMissing))]);
    scene.shoot(1_000, 1);
    assert_eq!(scene.observe(2_000, 2), [(2, Said::Fallback(Reason::InputMissing))], "one of two is there");
    scene.feel(3_000, 1, 2_000);
    assert_eq!(scene.observe(4_000, 3), []);
    assert_eq!(scene.finish(5_000, &[0.0]), [(3, Said::Action)]);
    assert_eq!(scene.ages, (4_000, 1_000), "the force sensor's was taken at 1 ms, the camera's came at 1 ms");
    // The force sample was taken at 1 ms: at 11 ms it is as old as it may be, and a nanosecond later it is too old.
    assert_eq!(scene.observe(11_000, 4), []);
    assert_eq!(scene.finish(11_500, &[0.0]), [(4, Said::Action)]);
    assert_eq!(scene.observe(11_501, 5), [(5, Said::Fallback(Reason::InputTooOld))]);
    assert_eq!(scene.ages, (10_501, 0), "the fallback says how old");
    scene.feel(12_000, 2, 0);
    assert_eq!(scene.observe(12_001, 6), []);
    let camera = scene.engine.sample_ledger(CAMERA);
    assert_eq!((camera.received(), camera.taken(), camera.balances()), (1, 1, true));
    assert_eq!(scene.engine.sample_age(CAMERA, at(12_001)), Some(Duration::from_micros(11_001)));
}

#[test]
fn a_sample_that_grew_too_old_behind_a_busy_worker_is_not_run() {
    let mut scene = Scene::joining(&[task(), task()], &[], &[spec(6, 2_000, SampleClock::Arrival)]);
    scene.shoot(0, 1);
    // Another robot's inference runs; its task joins nothing.
    assert_eq!(scene.observe_by(100, 1), []);
    assert_eq!(scene.observe_by(200, 0), [], "it waits, its sample is young");
    let said = scene.finish(2_500, &[0.0]);
    assert_eq!(said, [(2, Said::Action), (1, Said::Fallback(Reason::InputTooOld))]);
    // And one that was renewed meanwhile is.
    assert_eq!(scene.observe_again(3_000, 1, 3), []);
    scene.shoot(3_100, 2);
    assert_eq!(scene.observe_again(3_200, 0, 4), []);
    scene.shoot(5_000, 3);
    assert_eq!(scene.finish(6_000, &[0.0]), [(3, Said::Action)]);
    assert_eq!(scene.members(), [4]);
    assert_eq!(scene.finish(7_000, &[0.0]), [(4, Said::Action)]);
    assert_eq!(scene.ages, (3_800, 3_800), "its own observation is the oldest");
}

#[test]
fn a_fallback_for_an_input_closes_no_open_answer_and_supersedes_in_order() {
    let mut scene = camera();
    scene.shoot(0, 1);
    assert_eq!(scene.observe(4_000, 1), []);
    assert_eq!(scene.observe(7_000, 2), []);
    assert_eq!(scene.observe(8_500, 3), []);
    assert_eq!(scene.finish(8_900, &[0.0]), [(1, Said::Action)]);
    assert_eq!(scene.members(), [3], "the newer one superseded the older");
    // The sample is too old by now, but an answer of its own is open: it waits for that.
    assert_eq!(scene.observe(10_100, 4), []);
    let said = scene.finish(10_200, &[0.0]);
    assert_eq!(said, [(3, Said::Action), (4, Said::Fallback(Reason::InputTooOld))]);
    assert!(scene.engine.ledger(ONLY).balances());
}

#[test]
fn what_is_wrong_with_a_sample_is_counted_and_replaces_nothing() {
    let mut scene = camera();
    scene.shoot(0, 5);
    let twelve = [0; 12];
    let nan = [0, 0, 0xc0, 0x7f, 0, 0, 0, 0];
    for (sample, reason) in [
        (Input { address: Address::new(5), ..good() }, Reason::Address),
        (Input { contract: ContractDigest::new([4; 16]), ..good() }, Reason::Contract),
        (Input { values: &twelve, ..good() }, Reason::ValuesLength),
        (Input { values: &nan, ..good() }, Reason::ObservationNotFinite),
        (Input { sequence: Sequence::new(5).expect("from 1"), ..good() }, Reason::Sequence),
    ] {
        assert_eq!(scene.sample(9_000, CAMERA, &sample), []);
        assert_eq!(scene.refused(CAMERA, reason), 1, "{reason}");
    }
    let mut damaged = frame(&Input { sequence: Sequence::new(6).expect("from 1"), ..good() });
    damaged[40] ^= 1;
    scene.handle(9_000, Event::Sample { input: CAMERA, arrival: at(9_000), wall: WALL, bytes: &damaged });
    scene.handle(9_000, Event::SampleOversize { input: CAMERA });
    scene.handle(9_000, Event::SamplesUnseen { input: CAMERA, count: 3 });
    assert_eq!((scene.refused(CAMERA, Reason::Checksum), scene.refused(CAMERA, Reason::TooLarge)), (1, 1));
    let ledger = scene.engine.sample_ledger(CAMERA);
    let counts = (ledger.received(), ledger.taken(), ledger.passed_over(), ledger.refused());
    assert_eq!((counts, ledger.balances()), ((11, 1, 3, 7), true));
    assert_eq!(scene.sampled, [CAMERA], "only the first was kept");
    assert_eq!(scene.observe(10_001, 1), [(1, Said::Fallback(Reason::InputTooOld))], "nothing made it younger");
    // A restart of the camera takes over at once.
    scene.sample(10_100, CAMERA, &Input { source: Source::new(2), ..good() });
    assert_eq!(scene.observe(10_200, 2), []);
}

#[test]
fn a_stamp_from_the_future_is_refused_and_an_old_one_is_old() {
    let mut scene = scene();
    let ahead = Stamp::new(1_000_000_000 + 10_000_000);
    scene.sample(1_000, FORCE, &Input { address: Address::new(7), stamp: ahead, ..good() });
    assert_eq!(scene.refused(FORCE, Reason::StampAhead), 1);
    scene.shoot(1_000, 1);
    assert_eq!(scene.observe(1_000, 1), [(1, Said::Fallback(Reason::InputMissing))]);
    // A stamp of 0 is fifty years old, not fresh.
    scene.sample(2_000, FORCE, &Input { address: Address::new(7), ..good() });
    assert_eq!(scene.observe(2_000, 2), [(2, Said::Fallback(Reason::InputTooOld))]);
    assert_eq!(scene.ages.0, 1_002_000);
}

#[test]
fn a_task_that_rests_or_a_new_epoch_changes_nothing_about_samples() {
    let mut scene = camera();
    scene.shoot(0, 1);
    assert_eq!(scene.observe(1_000, 1), []);
    let restarted = crate::scene::observation(1, 8, 0);
    assert_eq!(scene.frame(2_000, &restarted), [(1, Said::Refusal(Reason::EpochRetired))]);
    assert_eq!(scene.finish(3_000, &[0.0]), []);
    assert_eq!(scene.members(), [1], "the new epoch's first runs with the sample that is there");
}

#[test]
fn members_of_a_batch_each_have_their_own_samples() {
    let tasks = [task(), task(), task()].map(|task| TaskSpec { inputs: 2, ..task });
    let mut scene = Scene::joining(&tasks, &[&[100, 110, 120]], &[spec(6, 2_000, SampleClock::Arrival)]);
    scene.shoot(0, 1);
    assert_eq!(scene.observe_by(100, 1), []);
    assert_eq!(scene.observe_by(200, 0), []);
    assert_eq!(scene.observe_by(300, 2), []);
    // The first robot's sample has grown too old: it is no member, and the other two are run.
    let said = scene.finish(2_100, &[0.0]);
    assert_eq!(said, [(2, Said::Action), (1, Said::Fallback(Reason::InputTooOld))]);
    assert_eq!(scene.members(), [3]);
}

/// Pictures by arrival, and by stamp.
fn pictures(clock: SampleClock) -> Scene {
    let max_age = Duration::from_micros(100_000);
    Scene::joining(&[task()], &[], &[JoinedSpec { connection: ONLY, carries: Carries::Pictures, max_age, clock }])
}

impl Scene {
    fn show(&mut self, micros: u64, picture: Result<u64, Reason>) {
        let picture = picture.map(Stamp::new);
        self.handle(micros, Event::Picture { input: CAMERA, arrival: at(micros), wall: WALL, picture });
    }
}

#[test]
fn a_picture_that_is_shown_again_makes_nothing_younger() {
    let mut scene = pictures(SampleClock::Arrival);
    scene.show(1_000, Ok(7));
    scene.show(2_000, Ok(7));
    assert_eq!((scene.sampled.len(), scene.refused(CAMERA, Reason::PictureRepeated)), (1, 1));
    // The sender's clock is its own: one that begins anew is one that restarted.
    scene.show(3_000, Ok(5));
    // A driver without a clock sends zeros.
    scene.show(4_000, Ok(0));
    scene.show(5_000, Ok(0));
    assert_eq!((scene.sampled.len(), scene.refused(CAMERA, Reason::PictureRepeated)), (4, 1));

    let mut scene = pictures(SampleClock::Synchronised);
    scene.show(2_000, Ok(1_001_000_000));
    scene.show(3_000, Ok(1_000_999_999));
    scene.show(3_000, Ok(1_001_000_000));
    assert_eq!((scene.sampled.len(), scene.refused(CAMERA, Reason::PictureRepeated)), (1, 2), "never older");
    scene.show(3_000, Ok(1_000_000_000 + 8_000_001));
    assert_eq!(scene.refused(CAMERA, Reason::StampAhead), 1, "5 ms ahead and no more");
    scene.show(3_000, Ok(1_001_000_001));
    assert_eq!(scene.sampled.len(), 2, "what was refused moved nothing");
}

#[test]
fn what_is_no_picture_is_counted_by_its_reason_and_replaces_nothing() {
    let mut scene = pictures(SampleClock::Arrival);
    let reasons = [Reason::TooLarge, Reason::PictureMalformed, Reason::PictureUnfit, Reason::PictureBroken];
    for reason in reasons {
        scene.show(1_000, Err(reason));
        assert_eq!(scene.refused(CAMERA, reason), 1);
    }
    assert!(scene.sampled.is_empty() && scene.engine.sample_ledger(CAMERA).balances());
    scene.sample(2_000, CAMERA, &good());
    assert_eq!(scene.refused(CAMERA, Reason::WrongType), 1, "a frame of values is no picture");
    let mut scene = camera();
    scene.show(1_000, Ok(1));
    assert_eq!((scene.sampled.len(), scene.refused(CAMERA, Reason::WrongType)), (0, 1), "nor the other way round");
}
