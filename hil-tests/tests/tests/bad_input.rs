//! Bad input over the wire: refused with a typed reason, counted, and nothing else is disturbed.

use std::collections::HashMap;

use engine::Reason;
use fastrand::Rng;
use message::{
    Address, Body, Boot, ContractDigest, Epoch, ModelDigest, Observation, Place, Response, Sequence, Stamp, Status,
};
use tests::{Beside, Frame, Heard, Said, Stranger, Tally, eventually};

const EPOCH: u64 = 7;

/// After whatever was sent, a valid observation is still answered by the model.
fn still_answers(stranger: &Stranger, tally: &mut Tally, frame: &Frame) {
    let heard = tally.exchange(stranger, frame.bytes());
    assert_eq!((heard.said, heard.sequence), (Said::Action, Some(frame.sequence)));
}

#[test]
fn truncated_frames() {
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    let whole = Frame::of(&site, EPOCH, 1).bytes();
    for length in 0..whole.len() {
        let reason = if length < Observation::OVERHEAD { Reason::Truncated } else { Reason::WrongLength };
        tally.refused(&stranger, whole[..length].to_vec(), reason, None);
    }
    still_answers(&stranger, &mut tally, &Frame::of(&site, EPOCH, 1));
    beside.finish("truncated frames", &tally);
}

#[test]
fn wrong_lengths() {
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    let frame = Frame::of(&site, EPOCH, 1);
    // The declared length and the checksum that goes with it.
    for declared in [0_u32, 1, 84, 92, u32::MAX] {
        let mut bytes = frame.bytes();
        bytes[Observation::OVERHEAD - 4..Observation::OVERHEAD].copy_from_slice(&declared.to_le_bytes());
        tally.refused(&stranger, tests::resealed(bytes), Reason::WrongLength, Some(1));
    }
    // Fewer and more elements than the contract has.
    for (elements, reason, echoed) in
        [(0, Reason::ValuesLength, Some(1)), (21, Reason::ValuesLength, Some(1)), (23, Reason::TooLarge, None)]
    {
        let values = vec![0.0; elements];
        tally.refused(&stranger, Frame { values, ..frame.clone() }.bytes(), reason, echoed);
    }
    still_answers(&stranger, &mut tally, &frame);
    beside.finish("wrong lengths", &tally);
}

#[test]
fn another_type() {
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    let response = Response {
        address: site.address(),
        contract: site.contract,
        boot: Boot::new(1),
        epoch: Epoch::new(EPOCH),
        sequence: Sequence::new(1),
        stamp: Stamp::new(0),
        model: ModelDigest::NONE,
        plan: 0,
        plan_step: 0,
        age_us: 0,
        input_age_us: 0,
        status: Status::NONE,
        body: Body::Action { place: Place::Box, values: &[0; 24] },
    };
    let mut bytes = vec![0; Response::OVERHEAD + 24];
    response.encode(&mut bytes).expect("as many bytes as are needed");
    tally.refused(&stranger, bytes, Reason::WrongType, None);
    // Big-endian CDR.
    let mut bytes = Frame::of(&site, EPOCH, 1).bytes();
    bytes[1] = 0;
    tally.refused(&stranger, bytes, Reason::Encapsulation, None);
    // A sequence of 0, which the encoder would not write.
    let mut bytes = Frame::of(&site, EPOCH, 1).bytes();
    bytes[36..44].fill(0);
    tally.refused(&stranger, tests::resealed(bytes), Reason::SequenceZero, None);
    still_answers(&stranger, &mut tally, &Frame::of(&site, EPOCH, 1));
    beside.finish("another type", &tally);
}

#[test]
fn observations_that_are_not_finite() {
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    let frame = Frame::of(&site, EPOCH, 1);
    for element in 0..frame.values.len() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = frame.values.clone();
            values[element] = value;
            let bytes = Frame { values, ..frame.clone() }.bytes();
            tally.refused(&stranger, bytes, Reason::ObservationNotFinite, Some(1));
        }
    }
    still_answers(&stranger, &mut tally, &frame);
    beside.finish("observations that are not finite", &tally);
}

/// P2: within one epoch no observation is answered twice.
#[test]
fn sequences_that_go_back_or_come_twice() {
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    let frame = |sequence| Frame::of(&site, EPOCH, sequence).bytes();
    for newest in [10, 20, u64::MAX - 1, u64::MAX] {
        still_answers(&stranger, &mut tally, &Frame::of(&site, EPOCH, newest));
        for old in [newest, newest, newest - 1, 1] {
            tally.refused(&stranger, frame(old), Reason::Sequence, Some(old));
        }
    }
    beside.finish("sequences that go back or come twice", &tally);
}

#[test]
fn old_epochs() {
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    for epoch in 1..=5 {
        still_answers(&stranger, &mut tally, &Frame::of(&site, epoch, 1));
        for old in 1..epoch {
            tally.refused(&stranger, Frame::of(&site, old, 100).bytes(), Reason::Epoch, Some(100));
        }
    }
    still_answers(&stranger, &mut tally, &Frame::of(&site, 5, 2));
    beside.finish("old epochs", &tally);
}

#[test]
fn other_contracts_and_addresses() {
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    let frame = Frame::of(&site, EPOCH, 1);
    for contract in [[0; 16], [0xff; 16]].map(ContractDigest::new) {
        tally.refused(&stranger, Frame { contract, ..frame.clone() }.bytes(), Reason::Contract, Some(1));
    }
    for address in [Address::new(0), Address::of("steady", "track")] {
        tally.refused(&stranger, Frame { address, ..frame.clone() }.bytes(), Reason::Address, Some(1));
    }
    for budget_us in [1, 2_000, 8_001, u32::MAX] {
        tally.refused(&stranger, Frame { budget_us, ..frame.clone() }.bytes(), Reason::Budget, Some(1));
    }
    still_answers(&stranger, &mut tally, &frame);
    still_answers(&stranger, &mut tally, &Frame { budget_us: 8_000, ..Frame::of(&site, EPOCH, 2) });
    beside.finish("other contracts and addresses", &tally);
}

#[test]
fn noise_of_64_mebibytes() {
    const SIZE: usize = 64 << 20;
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    let mut noise = vec![0; SIZE];
    Rng::with_seed(1).fill(&mut noise);
    // At once ...
    tally.refused(&stranger, noise.clone(), Reason::TooLarge, None);
    // ... and in pieces as large as an observation may be at all.
    for piece in noise.chunks(1 << 20) {
        tally.refused(&stranger, piece.to_vec(), Reason::TooLarge, None);
    }
    still_answers(&stranger, &mut tally, &Frame::of(&site, EPOCH, 1));
    beside.finish("64 MiB of noise", &tally);
}

#[test]
fn an_unknown_task() {
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    let unknown = [("/rough/", "/nobody/"), ("/track/", "/juggle/")].map(|(from, to)| rig::Site {
        observation_key: site.observation_key.replacen(from, to, 1),
        response_key: site.response_key.replacen(from, to, 1),
        notice_key: site.notice_key.replacen(from, to, 1),
        ..site.clone()
    });
    for other in &unknown {
        let lost = Stranger::connect(&beside.genba, other);
        for sequence in 1..=100 {
            lost.send(Frame::of(&site, EPOCH, sequence).bytes());
            let Heard { said, sequence: echoed, .. } = lost.hear();
            assert_eq!((said, echoed), (Said::Refusal(Reason::UnknownTask.row().number), Some(sequence)));
        }
        lost.send([1, 2, 3].to_vec());
        assert_eq!(lost.hear().sequence, None);
    }
    let total = beside.genba.settled().total();
    assert_eq!(total.reasons[&Reason::UnknownTask.row().number], 202, "strays are counted: {total:?}");
    still_answers(&stranger, &mut tally, &Frame::of(&site, EPOCH, 1));
    beside.finish("an unknown task", &tally);
}

#[test]
fn a_query_where_a_topic_is_meant() {
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    for key in [&site.observation_key, &site.response_key] {
        let refused = stranger.query(key).expect_err("a topic is no service");
        assert_eq!((refused.said, refused.sequence), (Said::Refusal(Reason::QueryOnTopic.row().number), None));
    }
    assert_eq!(beside.genba.settled().requests(), (2, 2), "requests have a line of their own");
    still_answers(&stranger, &mut tally, &Frame::of(&site, EPOCH, 1));
    beside.finish("a query where a topic is meant", &tally);
}

#[test]
fn ten_thousand_mutations() {
    const SEED: u64 = 20_261_123;
    let beside = Beside::start();
    let (site, stranger, mut tally) = (beside.site(), beside.stranger(), Tally::default());
    let mut random = Rng::with_seed(SEED);
    let mut outcomes: HashMap<Said, u64> = HashMap::new();
    let (mut epoch, mut sequence) = (EPOCH, 0);
    for _ in 0..5_000 {
        let mutant = rig::mutated(Frame::of(&site, epoch, sequence + 1).bytes(), &mut random);
        for frame in [mutant.clone(), tests::resealed(mutant)] {
            let heard = tally.exchange(&stranger, frame);
            *outcomes.entry(heard.said).or_default() += 1;
            // What is still valid may have begun another epoch: the next mutant is of that one.
            if let Said::Action | Said::Fallback(_) = heard.said {
                (epoch, sequence) = (heard.epoch, heard.sequence.expect("an action echoes its sequence"));
                if sequence > u64::MAX / 2 {
                    // A high bit was flipped: nothing could follow for long.
                    (epoch, sequence) = (epoch.wrapping_add(1), 0);
                }
            }
        }
    }
    println!("seed {SEED}: {outcomes:?}");
    assert!(outcomes.contains_key(&Said::Refusal(Reason::Checksum.row().number)), "{outcomes:?}");
    assert!(outcomes.len() > 5, "the mutations reach many reasons: {outcomes:?}");
    assert_eq!(tally.sent, 10_000);
    // The last epochs may have come too fast for one more, for a second.
    eventually("a valid observation is answered", || {
        sequence += 1;
        let heard = tally.exchange(&stranger, Frame::of(&site, epoch, sequence).bytes());
        (heard.said == Said::Action).then_some(())
    });
    beside.finish("ten thousand mutations", &tally);
}
