//! Of a camera the newest picture waits, for a thread that is not the engine's.

use zenoh_link::{CameraId, CameraKeys, LinkError, Overflowed, Topics};

use crate::station::{Station, clock, free_endpoint, input, listening, publish, robot, route};

const CAMERA: CameraId = CameraId::new(0);
const LARGEST: usize = 2 << 20;

fn camera(key: &str) -> CameraKeys {
    CameraKeys { pictures: key.to_owned(), max_frame_bytes: LARGEST }
}

fn topics() -> Topics {
    Topics { routes: vec![route("t/arm")], cameras: vec![camera("t/camera")], ..Topics::default() }
}

/// The picture that waits, if one does: its bytes, or none of one that is too large.
fn taken(station: &mut Station) -> Vec<Option<Vec<u8>>> {
    let received = station.pictures[CAMERA.index()].receive(|picture| {
        assert!(picture.at_ns > 0 && picture.at_ns <= clock());
        picture.bytes.map(<[u8]>::to_vec)
    });
    received.into_iter().collect()
}

#[test]
fn the_newest_picture_waits_in_one_piece_and_those_before_it_are_counted() {
    let endpoint = free_endpoint();
    let mut station = Station::open_topics(&listening(&endpoint), topics());
    let session = robot(&endpoint);
    assert_eq!(taken(&mut station), []);
    for number in 0..10 {
        publish(&session, "t/camera", &vec![number; 1 << 20]);
    }
    publish(&session, "t/arm/observation", b"frame");
    station.await_wakes(11);
    assert_eq!(station.drain_words(), ["frame 0 frame"]);
    assert!(taken(&mut station) == [Some(vec![9; 1 << 20])], "the last one, of many fragments");
    assert_eq!(taken(&mut station), []);
    let mut overflow = Vec::new();
    station.inbox.take_overflow(|what, count| overflow.push((what, count)));
    assert_eq!(overflow, [(Overflowed::Camera(CAMERA), 9)]);
}

#[test]
fn a_picture_that_is_too_large_is_told_and_not_read() {
    let endpoint = free_endpoint();
    let mut station = Station::open_topics(&listening(&endpoint), topics());
    let session = robot(&endpoint);
    publish(&session, "t/camera", &vec![7; LARGEST + 1]);
    station.await_wakes(1);
    assert_eq!(taken(&mut station), [None]);
}

#[test]
fn two_uses_of_a_cameras_key_are_refused() {
    let settings = listening(&free_endpoint());
    for twice in [
        Topics { cameras: vec![camera("t/camera"), camera("t/camera")], ..topics() },
        Topics { inputs: vec![input("t/arm")], cameras: vec![camera("t/arm/input")], ..topics() },
        Topics { cameras: vec![camera("t/arm/response")], ..topics() },
    ] {
        let error = zenoh_link::check(&settings, twice, "alive").expect_err("it is refused");
        assert!(matches!(error, LinkError::Duplicate { .. }), "{error}");
    }
}
