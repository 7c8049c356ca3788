//! Of a joined input the newest sample waits, and nobody else waits for it.

use zenoh_link::{InputId, LinkError, Overflowed, Topics};

use crate::station::{Station, clock, free_endpoint, input, listening, publish, robot, route};

const FIRST: InputId = InputId::new(0);
const SECOND: InputId = InputId::new(1);

fn topics() -> Topics {
    Topics { routes: vec![route("t/arm")], inputs: vec![input("t/arm"), input("u/arm")], ..Topics::default() }
}

/// What waits of this input, at most one sample: its bytes, or none of one that is too large.
fn taken(station: &mut Station, id: InputId) -> Vec<Option<Vec<u8>>> {
    let mut taken = Vec::new();
    station.inbox.poll_input(id, |sample| {
        assert_eq!(sample.input, id);
        assert!(sample.at_ns > 0 && sample.at_ns <= clock());
        taken.push(sample.bytes.map(<[u8]>::to_vec));
    });
    taken
}

fn overflow(station: &mut Station) -> Vec<(Overflowed, u64)> {
    let mut overflow = Vec::new();
    station.inbox.take_overflow(|what, count| overflow.push((what, count)));
    overflow
}

#[test]
fn the_newest_sample_waits_and_those_before_it_are_counted() {
    let endpoint = free_endpoint();
    let mut station = Station::open_topics(&listening(&endpoint), topics());
    assert_eq!(station.inbox.inputs(), 2);
    let camera = robot(&endpoint);
    for number in 0..100 {
        publish(&camera, "t/arm/input", format!("{number}").as_bytes());
    }
    publish(&camera, "u/arm/input", b"other");
    publish(&camera, "t/arm/observation", b"frame");
    station.await_wakes(102);
    assert_eq!(station.drain_words(), ["frame 0 frame"], "a flood of samples takes no observation's place");
    assert_eq!(taken(&mut station, FIRST), [Some(b"99".to_vec())]);
    assert_eq!(taken(&mut station, FIRST), []);
    assert_eq!(taken(&mut station, SECOND), [Some(b"other".to_vec())]);
    assert_eq!(overflow(&mut station), [(Overflowed::Input(FIRST), 99)]);
    publish(&camera, "t/arm/input", b"again");
    station.await_wakes(103);
    assert_eq!(taken(&mut station, FIRST), [Some(b"again".to_vec())]);
    assert_eq!(overflow(&mut station), []);
}

#[test]
fn a_sample_that_is_too_large_is_told_and_not_read() {
    let endpoint = free_endpoint();
    let mut station = Station::open_topics(&listening(&endpoint), topics());
    let camera = robot(&endpoint);
    publish(&camera, "t/arm/input", &[7; 101]);
    station.await_wakes(1);
    assert_eq!(taken(&mut station, FIRST), [None]);
    publish(&camera, "t/arm/input", &[7; 100]);
    station.await_wakes(2);
    assert_eq!(taken(&mut station, FIRST), [Some(vec![7; 100])]);
}

#[test]
fn two_uses_of_one_key_are_refused() {
    let settings = listening(&free_endpoint());
    for inputs in [
        vec![input("t/arm"), input("t/arm")],
        vec![zenoh_link::InputKeys { samples: "t/arm/observation".into(), max_frame_bytes: 1 }],
    ] {
        let error = zenoh_link::check(&settings, Topics { inputs, ..topics() }, "alive").expect_err("it is refused");
        assert!(matches!(error, LinkError::Duplicate { .. }), "{error}");
    }
    let wild = zenoh_link::InputKeys { samples: "t/*/input".into(), max_frame_bytes: 1 };
    let error = zenoh_link::check(&settings, Topics { inputs: vec![wild], ..topics() }, "alive").expect_err("refused");
    assert!(matches!(error, LinkError::Wildcard { .. }), "{error}");
}
