//! One-off requests: each client's own bounded queue, and replies.

use zenoh::handlers::FifoChannelHandler;
use zenoh::query::Reply;
use zenoh::{Session, Wait};
use zenoh_link::{CLIENT_SLACK, ClientId, Overflowed, PendingQuery};

use crate::station::{MAX_FRAME, PATIENCE, Station, client, clock, free_endpoint, listening, robot, route};

const FIRST: ClientId = ClientId::new(0);
const SECOND: ClientId = ClientId::new(1);

/// What a request said, to keep.
struct Taken {
    at_ns: u64,
    bytes: Option<Vec<u8>>,
    query: PendingQuery,
}

/// The client's oldest request, if there is one, and whether another one is left.
fn take(station: &mut Station, from: ClientId) -> (Option<Taken>, bool) {
    let mut taken = None;
    let left = station.inbox.poll_client(from, |request, query| {
        assert_eq!(request.client, from);
        taken = Some(Taken { at_ns: request.at_ns, bytes: request.bytes.map(<[u8]>::to_vec), query });
    });
    (taken, left)
}

fn take_all(station: &mut Station, from: ClientId) -> Vec<Taken> {
    std::iter::from_fn(|| take(station, from).0).collect()
}

fn ask(session: &Session, key: &str, bytes: Vec<u8>) -> FifoChannelHandler<Reply> {
    session.get(key).payload(bytes).timeout(PATIENCE).wait().unwrap()
}

/// The reply, by whether it is an answer; `None`: the request ended without one.
fn reply(replies: &FifoChannelHandler<Reply>) -> Option<Result<Vec<u8>, Vec<u8>>> {
    let reply = replies.recv_timeout(PATIENCE).ok()??;
    let bytes = match reply.into_result() {
        Ok(sample) => Ok(sample.payload().to_bytes().into_owned()),
        Err(error) => Err(error.payload().to_bytes().into_owned()),
    };
    assert!(replies.recv_timeout(PATIENCE).is_err(), "one reply, and then the end");
    Some(bytes)
}

#[test]
fn request_arrives_with_its_bytes_and_time_and_is_answered() {
    let endpoint = free_endpoint();
    let clients = vec![client("t/a", 4), client("t/b", 4)];
    let mut station = Station::open_with(&listening(&endpoint), vec![route("t/arm")], clients, &[]);
    let asker = robot(&endpoint);
    let before = clock();
    // The second one comes in fragments, since a batch of zenoh's has 64 KiB.
    let frames = [vec![1; 100], (0..=250).cycle().take(MAX_FRAME).collect(), vec![]];
    let replies: Vec<_> = frames.iter().map(|frame| ask(&asker, "t/b/infer", frame.clone())).collect();
    station.await_wakes(3);
    let after = clock();

    assert!(take_all(&mut station, FIRST).is_empty(), "nobody else's");
    let mut last = before;
    for (place, sent) in frames.iter().enumerate() {
        let (taken, left) = take(&mut station, SECOND);
        let taken = taken.unwrap();
        assert_eq!(left, place < 2);
        assert!(last <= taken.at_ns && taken.at_ns <= after);
        assert!(taken.bytes.as_ref() == Some(sent), "{} bytes arrived changed", sent.len());
        last = taken.at_ns;
        match place {
            0 => station.link.reply(taken.query, b"an answer").unwrap(),
            1 => station.link.refuse_query(taken.query, b"a refusal").unwrap(),
            _ => drop(taken.query),
        }
    }
    let replies: Vec<_> = replies.iter().map(reply).collect();
    assert_eq!(replies, [Some(Ok(b"an answer".to_vec())), Some(Err(b"a refusal".to_vec())), None]);
}

#[test]
fn each_client_has_its_own_queue_and_what_finds_it_full_is_counted_unread() {
    let endpoint = free_endpoint();
    let clients = vec![client("t/a", 3), client("t/b", 16)];
    let mut station = Station::open_with(&listening(&endpoint), vec![], clients, &[]);
    let (flooding, calm) = (robot(&endpoint), robot(&endpoint));
    let flood: Vec<_> = (0..100_u8).map(|n| ask(&flooding, "t/a/infer", vec![n])).collect();
    let room = 3 + CLIENT_SLACK;
    // Those that found no room end at once, without a reply and without a wake.
    for replies in flood.iter().skip(room) {
        assert_eq!(reply(replies), None);
    }
    let other = ask(&calm, "t/b/infer", vec![7]);
    station.await_wakes(room + 1);

    let (calms, left) = take(&mut station, SECOND);
    assert_eq!((calms.as_ref().unwrap().bytes.as_deref(), left), (Some(&[7][..]), false));
    station.link.reply(calms.unwrap().query, b"calm").unwrap();
    assert_eq!(reply(&other), Some(Ok(b"calm".to_vec())));

    let mut overflow = Vec::new();
    station.inbox.take_overflow(|what, count| overflow.push((what, count)));
    assert_eq!(overflow, [(Overflowed::Client(FIRST), 100 - room as u64)]);
    let waited = take_all(&mut station, FIRST);
    let oldest: Vec<_> = waited.iter().flat_map(|taken| taken.bytes.clone().unwrap()).collect();
    assert_eq!(oldest, (0..5).collect::<Vec<_>>());
    drop(waited);

    let again = ask(&flooding, "t/a/infer", vec![8]);
    station.await_wakes(room + 2);
    let (taken, _) = take(&mut station, FIRST);
    station.link.reply(taken.unwrap().query, b"room").unwrap();
    assert_eq!(reply(&again), Some(Ok(b"room".to_vec())));
}

#[test]
fn longest_queue_fits() {
    let endpoint = free_endpoint();
    let mut station = Station::open_with(&listening(&endpoint), vec![], vec![client("t/a", 16)], &[]);
    let asker = robot(&endpoint);
    for round in 1..=3 {
        let replies: Vec<_> = (0..30_u8).map(|n| ask(&asker, "t/a/infer", vec![n])).collect();
        for replies in replies.iter().skip(18) {
            assert_eq!(reply(replies), None);
        }
        station.await_wakes(18 * round);
        assert_eq!(take_all(&mut station, FIRST).len(), 18);
    }
}

#[test]
fn oversize_arrives_without_its_bytes() {
    let endpoint = free_endpoint();
    let mut station = Station::open_with(&listening(&endpoint), vec![], vec![client("t/a", 4)], &[]);
    let asker = robot(&endpoint);
    let replies = [MAX_FRAME + 1, 64 << 20].map(|length| ask(&asker, "t/a/infer", vec![0; length]));
    station.await_wakes(2);
    for taken in take_all(&mut station, FIRST) {
        assert_eq!(taken.bytes, None);
        station.link.refuse_query(taken.query, b"too large").unwrap();
    }
    assert_eq!(replies.map(|replies| reply(&replies)), [(); 2].map(|()| Some(Err(b"too large".to_vec()))));
}

#[test]
fn search_over_many_keys_is_nobodys_request() {
    let endpoint = free_endpoint();
    let mut station = Station::open_with(&listening(&endpoint), vec![], vec![client("t/a", 4)], &[]);
    let asker = robot(&endpoint);
    for search in ["t/*/infer", "**"] {
        assert_eq!(reply(&ask(&asker, search, vec![1])), None, "it ended without a reply");
    }
    assert!(take_all(&mut station, FIRST).is_empty());
    station.inbox.take_overflow(|what, _| panic!("{what:?} was counted"));
}

#[test]
fn reply_to_a_client_that_went_away_holds_nobody_up() {
    let endpoint = free_endpoint();
    let clients = vec![client("t/a", 4), client("t/b", 4)];
    let mut station = Station::open_with(&listening(&endpoint), vec![], clients, &[]);
    let (gone, stays) = (robot(&endpoint), robot(&endpoint));
    drop(ask(&gone, "t/a/infer", vec![1]));
    station.await_wakes(1);
    gone.close().wait().unwrap();
    let (taken, _) = take(&mut station, FIRST);
    station.link.reply(taken.unwrap().query, b"to nobody").unwrap();

    let replies = ask(&stays, "t/b/infer", vec![2]);
    station.await_wakes(2);
    let (taken, _) = take(&mut station, SECOND);
    station.link.reply(taken.unwrap().query, b"to somebody").unwrap();
    assert_eq!(reply(&replies), Some(Ok(b"to somebody".to_vec())));
}
