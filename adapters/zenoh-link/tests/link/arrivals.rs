//! What reaches the inbox, and how it is answered.

use std::time::Duration;

use message::{Address, ContractDigest, Epoch, Observation, Sequence, Stamp};
use zenoh::Wait;
use zenoh_link::{Overflowed, PutError, ROUTE_CAPACITY, RouteId};

use crate::station::{
    Got, MAX_FRAME, PATIENCE, Station, clock, eventually, free_endpoint, listening, publish, robot, route,
};

#[test]
fn frame_arrives_with_its_bytes_and_time() {
    let endpoint = free_endpoint();
    let mut station = Station::open(&listening(&endpoint), vec![route("t/other"), route("t/arm")], &[]);
    let robot = robot(&endpoint);
    let before = clock();
    // The second one comes in fragments, since a batch of zenoh's has 64 KiB.
    let frames = [vec![1; 100], (0..=250).cycle().take(MAX_FRAME).collect(), vec![]];
    for frame in &frames {
        publish(&robot, "t/arm/observation", frame);
    }
    station.await_wakes(3);
    let after = clock();

    let mut last = before;
    for (got, sent) in station.drain().into_iter().zip(&frames) {
        let Got::Frame { route, at_ns, bytes } = got else { panic!("{got} is no frame") };
        assert_eq!(route, RouteId::new(1));
        assert!(last <= at_ns && at_ns <= after);
        assert!(bytes == *sent, "{} bytes arrived changed", sent.len());
        last = at_ns;
    }
    assert!(station.drain().is_empty());
}

#[test]
fn full_queue_sheds_the_newest_and_counts_every_frame() {
    let endpoint = free_endpoint();
    let mut station = Station::open(&listening(&endpoint), vec![route("t/arm")], &[]);
    let robot = robot(&endpoint);
    for sequence in 1..=100 {
        publish(&robot, "t/arm/observation", &observation(sequence));
    }
    station.await_wakes(100);

    let got = station.drain();
    let frames: Vec<_> = got.iter().filter_map(frame_sequence).collect();
    let sheds: Vec<_> = got.iter().filter_map(shed_sequence).collect();
    let mut overflow = Vec::new();
    station.inbox.take_overflow(|what, count| overflow.push((what, count)));
    assert_eq!(frames, (1..=15).collect::<Vec<_>>());
    assert_eq!(frames.len(), ROUTE_CAPACITY);
    assert_eq!(sheds, (16..16 + 63).collect::<Vec<_>>());
    assert_eq!(overflow, [(Overflowed::Route(RouteId::new(0)), 100 - 15 - 63)]);
    station.inbox.take_overflow(|what, _| panic!("{what:?} was taken"));

    publish(&robot, "t/arm/observation", b"there is room again");
    station.await_wakes(101);
    assert_eq!(station.drain_words(), ["frame 0 there is room again"]);
}

#[test]
fn demands_arrive_in_order_among_the_frames_of_their_route_and_are_counted_apart() {
    let endpoint = free_endpoint();
    let mut station =
        Station::open(&listening(&endpoint), vec![route("t/other"), route("t/arm")], &["t/*/observation"]);
    let robot = robot(&endpoint);
    publish(&robot, "t/arm/observation", b"before");
    publish(&robot, "t/arm/reset", b"anew");
    publish(&robot, "t/arm/observation", b"after");
    publish(&robot, "t/arm/reset", &[0; message::Reset::MAX_FRAME + 1]);
    station.await_wakes(4);
    assert_eq!(station.drain_words(), ["frame 1 before", "reset 1 anew", "frame 1 after", "reset 1 oversize"]);
    for _ in 0..20 {
        publish(&robot, "t/arm/reset", b"again");
    }
    station.await_wakes(24);
    assert_eq!(station.drain_words().len(), ROUTE_CAPACITY);
    let mut overflow = Vec::new();
    station.inbox.take_overflow(|what, count| overflow.push((what, count)));
    assert_eq!(overflow, [(Overflowed::Resets(RouteId::new(1)), 5)]);
}

#[test]
fn oversize_arrives_as_that_up_to_64_mib() {
    let endpoint = free_endpoint();
    let mut station = Station::open(&listening(&endpoint), vec![route("t/arm")], &[]);
    let robot = robot(&endpoint);
    publish(&robot, "t/arm/observation", &vec![0; MAX_FRAME + 1]);
    publish(&robot, "t/arm/observation", &vec![0; 64 << 20]);
    publish(&robot, "t/arm/observation", b"after");
    station.await_wakes(3);
    assert_eq!(station.drain_words(), ["oversize 0", "oversize 0", "frame 0 after"]);
}

#[test]
fn flooded_route_does_not_delay_another() {
    let endpoint = free_endpoint();
    let routes = vec![route("t/flooding"), route("t/calm")];
    let mut station = Station::open(&listening(&endpoint), routes, &["t/*/observation"]);
    let robot = robot(&endpoint);
    for _ in 0..40 {
        publish(&robot, "t/flooding/observation", b"f");
    }
    publish(&robot, "t/stray/observation", b"s");
    publish(&robot, "t/stray/observation", b"s");
    publish(&robot, "t/calm/observation", b"c");
    station.await_wakes(43);

    let first: Vec<_> = station.round().iter().map(ToString::to_string).collect();
    assert_eq!(
        first,
        [
            "frame 0 f",
            "shed 0 None",
            "shed 0 None",
            "shed 0 None",
            "shed 0 None",
            "frame 1 c",
            "stray t/stray/observation s"
        ]
    );
}

#[test]
fn stray_is_answered_on_the_key_beside_its_own() {
    let endpoint = free_endpoint();
    let mut station = Station::open(&listening(&endpoint), vec![route("t/arm/pick")], &["t/*/*/observation"]);
    let robot = robot(&endpoint);
    let responses = robot.declare_subscriber("t/new/pick/response").wait().unwrap();
    publish(&robot, "t/new/pick/observation", b"hello");
    publish(&robot, "t/new/pick/observation", &vec![0; (64 << 10) + 1]);
    station.await_wakes(2);
    assert_eq!(station.drain_words(), ["stray t/new/pick/observation hello", "stray t/new/pick/observation "]);

    let answer = eventually(|| {
        station.link.respond_stray("t/new/pick/observation", b"not configured").unwrap();
        responses.recv_timeout(Duration::from_millis(50)).unwrap()
    });
    assert_eq!(answer.payload().to_bytes().as_ref(), b"not configured");
    for key in ["t/*/pick/observation", "t/new/pick/response", "t/new"] {
        let refused = station.link.respond_stray(key, b"x");
        assert!(matches!(refused, Err(PutError::NotAnObservationKey { .. })), "{key}");
    }
}

#[test]
fn response_and_notice_reach_their_keys() {
    let endpoint = free_endpoint();
    let station = Station::open(&listening(&endpoint), vec![route("t/arm")], &[]);
    let robot = robot(&endpoint);
    let all = robot.declare_subscriber("t/arm/*").wait().unwrap();
    let hear = |put: &dyn Fn()| {
        let sample = eventually(|| {
            put();
            all.recv_timeout(Duration::from_millis(50)).unwrap()
        });
        let heard = (sample.key_expr().to_string(), sample.payload().to_bytes().escape_ascii().to_string());
        while all.try_recv().unwrap().is_some() {}
        heard
    };
    let route = RouteId::new(0);
    let response = hear(&|| station.link.respond(route, b"act").unwrap());
    assert_eq!(response, ("t/arm/response".to_owned(), "act".to_owned()));
    let unknown = station.link.respond(RouteId::new(1), b"act");
    assert!(matches!(unknown, Err(PutError::UnknownRoute(_))));
    // A response that was late is heard before the first notice.
    let notice = eventually(|| {
        let heard = hear(&|| station.link.notify(route, b"farewell").unwrap());
        (heard.0 != "t/arm/response").then_some(heard)
    });
    assert_eq!(notice, ("t/arm/notice".to_owned(), "farewell".to_owned()));
}

#[test]
fn query_on_a_topic_key_gets_a_typed_error() {
    let endpoint = free_endpoint();
    let mut station = Station::open(&listening(&endpoint), vec![route("t/arm")], &[]);
    let robot = robot(&endpoint);
    // A search ends at once and reaches nobody.
    let search = robot.get("t/arm/*").wait().unwrap();
    assert!(search.recv_timeout(PATIENCE).is_err(), "it ended without a reply");

    for (number, key) in ["t/arm/observation", "t/arm/response"].into_iter().enumerate() {
        let replies = robot.get(key).wait().unwrap();
        station.await_wakes(number + 1);
        let query = station.inbox.take_query().unwrap();
        assert!(station.inbox.take_query().is_none(), "one query");
        station.link.refuse_query(query, b"publish instead").unwrap();
        let reply = replies.recv_timeout(PATIENCE).unwrap().unwrap();
        let error = reply.into_result().unwrap_err();
        assert_eq!(error.payload().to_bytes().as_ref(), b"publish instead");
    }
}

#[test]
fn queries_that_nobody_takes_overflow_apart_from_strays() {
    let endpoint = free_endpoint();
    let mut station = Station::open(&listening(&endpoint), vec![route("t/arm")], &["t/*/observation"]);
    let robot = robot(&endpoint);
    let replies: Vec<_> = (0..40).map(|_| robot.get("t/arm/response").wait().unwrap()).collect();
    station.await_wakes(40);
    for _ in 0..50 {
        publish(&robot, "t/stray/observation", b"s");
    }
    station.await_wakes(90);

    let mut overflow = Vec::new();
    station.inbox.take_overflow(|what, count| overflow.push((what, count)));
    assert_eq!(overflow, [(Overflowed::Strays, 50 - 31), (Overflowed::Queries, 40 - 31)]);
    // The newest were dropped and end without a reply, while the oldest still wait for theirs.
    assert!(replies[39].recv_timeout(PATIENCE).is_err());
    assert!(replies[0].try_recv().unwrap().is_none());
    for _ in 0..31 {
        station.link.refuse_query(station.inbox.take_query().unwrap(), b"publish instead").unwrap();
    }
    assert!(replies[0].recv_timeout(PATIENCE).unwrap().is_some());
}

fn observation(sequence: u64) -> Vec<u8> {
    let observation = Observation {
        address: Address::of("arm", "pick"),
        contract: ContractDigest::new([7; 16]),
        epoch: Epoch::new(1),
        sequence: Sequence::new(sequence).unwrap(),
        stamp: Stamp::new(0),
        last_response: None,
        budget_us: 1000,
        values: &[0; 40],
    };
    let mut frame = vec![0; 256];
    let length = observation.encode(&mut frame).unwrap();
    frame.truncate(length);
    frame
}

fn frame_sequence(got: &Got) -> Option<u64> {
    match got {
        Got::Frame { bytes, .. } => Some(message::peek(bytes).unwrap().sequence.value()),
        Got::Oversize { .. } | Got::Shed { .. } | Got::Reset { .. } | Got::Stray { .. } => None,
    }
}

fn shed_sequence(got: &Got) -> Option<u64> {
    match got {
        Got::Shed { sequence, .. } => Some(sequence.unwrap()),
        Got::Oversize { .. } | Got::Frame { .. } | Got::Reset { .. } | Got::Stray { .. } => None,
    }
}
