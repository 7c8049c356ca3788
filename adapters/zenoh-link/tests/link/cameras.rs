//! Of a camera the newest picture waits, for a thread that is not the engine's.

use zenoh::Wait;
use zenoh::qos::CongestionControl;
use zenoh::shm::ShmProviderBuilder;
use zenoh_link::{CameraId, CameraKeys, LinkError, Overflowed, Topics};

use crate::station::{Station, clock, far_robot, free_endpoint, input, listening, publish, robot, route};

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
    let session = far_robot(&endpoint);
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

/// Where the newest picture lies: the name of the mapping, as the kernel has it.
fn lies_in(station: &mut Station) -> String {
    let received = station.pictures[CAMERA.index()].receive(|picture| {
        let bytes = picture.bytes.expect("it is not too large");
        assert_eq!(bytes.len(), 1 << 20);
        bytes.as_ptr().addr()
    });
    let address = received.expect("a picture waits");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the kernel tells");
    let holds = |line: &&str| {
        let bound = |text: &str| usize::from_str_radix(text, 16).expect("a line begins with addresses");
        let (first, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("and a range");
        (bound(first)..bound(end)).contains(&address)
    };
    let line = maps.lines().find(holds).expect("memory that can be read is mapped");
    line.split_whitespace().nth(5).unwrap_or_default().to_owned()
}

#[test]
fn a_picture_in_shared_memory_is_read_where_it_lies() {
    let endpoint = free_endpoint();
    let mut station = Station::open_topics(&listening(&endpoint), topics());
    let (near, far) = (robot(&endpoint), far_robot(&endpoint));
    let memory = ShmProviderBuilder::default_backend(4 << 20).wait().expect("there is room in /dev/shm");
    let mut picture = memory.alloc(1 << 20).wait().expect("it is a quarter of it");
    picture.fill(1);
    near.put("t/camera", picture).congestion_control(CongestionControl::Block).wait().expect("it is open");
    station.await_wakes(1);
    let found = lies_in(&mut station);
    assert!(found.starts_with("/dev/shm/"), "{found}");
    // The negative control: through the socket it lies in memory of our own.
    publish(&far, "t/camera", &vec![2; 1 << 20]);
    station.await_wakes(2);
    let found = lies_in(&mut station);
    assert!(!found.starts_with("/dev/shm/"), "{found}");
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
