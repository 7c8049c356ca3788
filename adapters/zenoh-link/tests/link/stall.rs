//! A robot that stops reading costs the putting thread and the other robots nothing (invariant 6).
//!
//! Two links run side by side: one with a healthy and a stalled robot, one with a healthy robot
//! only. The puts to both healthy robots are interleaved, so that the machine's noise meets both.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use zenoh::{Session, Wait};
use zenoh_link::{ONE_WORKER, RouteId, Settings};

use crate::child::{Child, await_end_of_input, rerun};
use crate::station::{PATIENCE, Station, eventually, free_endpoint, listening, robot, route};

const RESPONSES: u64 = 20_000;
/// How many responses to a healthy robot are under way at most: a controller waits for its answer.
const WINDOW: u64 = 4;

const HEALTHY: RouteId = RouteId::new(0);
const STALLED: RouteId = RouteId::new(1);

#[test]
fn stopped_robot_costs_nothing() {
    costs_nothing("stoppable reader", |child| child.signal("-STOP"), |child| child.signal("-CONT"));
}

#[test]
fn robot_blocked_in_its_callback_costs_nothing() {
    // Its callback blocks at the first response until its input is closed.
    costs_nothing("reader", |_| (), Child::close_input);
}

#[test]
fn stalled_robots_cost_nothing_with_one_worker() {
    for test in ["stopped_robot_costs_nothing", "robot_blocked_in_its_callback_costs_nothing"] {
        let output = rerun(&format!("stall::{test}")).env("ZENOH_RUNTIME", ONE_WORKER).output().unwrap();
        let words = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && words.contains("1 passed"), "{words}");
    }
}

/// The child's part: a robot that counts its responses and says so at the last. Where `blocks`, its
/// callback blocks at the first one until the input ends.
pub(crate) fn read(endpoint: &str, blocks: bool) {
    let session = robot(&format!("{endpoint}#so_rcvbuf=8192"));
    let received = AtomicU64::new(0);
    let (end, ended) = std::sync::mpsc::channel();
    let _responses = session
        .declare_subscriber("t/stalled/response")
        .callback(move |sample| match sample.payload().len() {
            1 => {
                if received.load(SeqCst) == 0 {
                    println!("\nready");
                    if blocks {
                        await_end_of_input();
                    }
                }
                received.fetch_add(1, SeqCst);
            }
            2 => drop(end.send(received.load(SeqCst))),
            _ => drop(received.fetch_add(1, SeqCst)),
        })
        .wait()
        .unwrap();
    println!("\nreceived {}", ended.recv().unwrap());
}

fn costs_nothing(part: &str, stall: impl Fn(&mut Child), resume: impl Fn(&mut Child)) {
    let endpoints = [free_endpoint(), free_endpoint()];
    let [loaded, alone] = endpoints.each_ref().map(|endpoint| crowded(endpoint));
    let [beside, apart] = endpoints.each_ref().map(|endpoint| Reader::new(endpoint));
    beside.join(&loaded);
    apart.join(&alone);

    let mut child = Child::start(part, &endpoints[0]);
    respond_until(&loaded, 1, || child.hear("ready"));
    stall(&mut child);

    let (mut with, mut without, mut to_stalled) = (vec![], vec![], vec![]);
    for sent in 1..=RESPONSES {
        to_stalled.push(time(|| loaded.link.respond(STALLED, &[0; 150]).unwrap()));
        with.push(time(|| loaded.link.respond(HEALTHY, &[0; 150]).unwrap()));
        without.push(time(|| alone.link.respond(HEALTHY, &[0; 150]).unwrap()));
        beside.await_count(sent.saturating_sub(WINDOW));
        apart.await_count(sent.saturating_sub(WINDOW));
    }
    // Counts, not maxima: every response to a healthy robot arrives.
    beside.await_count(RESPONSES);
    apart.await_count(RESPONSES);

    let [with, without, to_stalled] = [with, without, to_stalled].map(median);
    println!("median put: {with:?} beside, {without:?} alone, {to_stalled:?} to the stalled robot");
    assert!(with < without * 3, "{with:?} beside a stalled robot, {without:?} alone");
    assert!(to_stalled < without * 3, "{to_stalled:?} to a stalled robot, {without:?} alone");

    // It was stalled indeed: most of its responses were dropped.
    resume(&mut child);
    let received = respond_until(&loaded, 2, || child.hear("received "));
    let received: u64 = received.parse().unwrap();
    println!("the stalled robot received {received} of {RESPONSES}");
    assert!(received < RESPONSES / 2, "{received} responses reached the stalled robot");
}

/// A box for a healthy and a stalled robot. Small buffers let the stalled one's socket fill soon.
fn crowded(endpoint: &str) -> Station {
    let settings = Settings {
        one_worker: std::env::var_os("ZENOH_RUNTIME").is_some(),
        ..listening(&format!("{endpoint}#so_sndbuf=8192"))
    };
    Station::open(&settings, vec![route("t/healthy"), route("t/stalled")], &[])
}

/// Sends responses of `length` bytes to the stalled robot until `heard` returns.
fn respond_until(station: &Station, length: usize, heard: impl FnOnce() -> String + Send) -> String {
    std::thread::scope(|scope| {
        let hearing = scope.spawn(heard);
        eventually(|| {
            station.link.respond(STALLED, &[0; 2][..length]).unwrap();
            std::thread::yield_now();
            hearing.is_finished().then_some(())
        });
        hearing.join().unwrap()
    })
}

/// A healthy robot that counts its responses.
struct Reader {
    session: Session,
    count: Arc<(Mutex<u64>, Condvar)>,
}

impl Reader {
    fn new(endpoint: &str) -> Self {
        Self { session: robot(endpoint), count: Arc::default() }
    }

    /// Subscribes, and returns when responses arrive.
    fn join(&self, station: &Station) {
        let count = Arc::clone(&self.count);
        self.session
            .declare_subscriber("t/healthy/response")
            .callback(move |sample| {
                if sample.payload().len() > 1 {
                    *count.0.lock().unwrap() += 1;
                    count.1.notify_all();
                }
            })
            .background()
            .wait()
            .unwrap();
        let first = self.session.declare_subscriber("t/healthy/response").wait().unwrap();
        eventually(|| {
            station.link.respond(HEALTHY, &[0; 1]).unwrap();
            first.recv_timeout(Duration::from_millis(50)).unwrap()
        });
    }

    fn await_count(&self, at_least: u64) {
        let (count, changed) = &*self.count;
        let (count, _) =
            changed.wait_timeout_while(count.lock().unwrap(), PATIENCE, |count| *count < at_least).unwrap();
        assert!(*count >= at_least, "{} of {at_least} responses arrived", *count);
    }
}

fn time(put: impl FnOnce()) -> Duration {
    let start = Instant::now();
    put();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
