//! `prepare_process` in a process of one thread: all of zenoh then has one worker.

use std::time::{Duration, Instant};

use zenoh_link::{Link, Mode, ONE_WORKER, Settings, Topics, open, prepare_process};

const NAME: &str = "process_is_prepared_before_its_second_thread";

fn main() {
    let asked = |word| std::env::args().any(|argument| argument == word);
    if asked("--list") {
        // cargo-nextest asks for the tests, and apart from them for the ignored ones.
        if !asked("--ignored") {
            println!("{NAME}: test");
        }
        return;
    }

    prepare_process(true).expect("there is one thread");
    assert_eq!(std::env::var("ZENOH_RUNTIME").as_deref(), Ok(ONE_WORKER));

    let settings = Settings { mode: Mode::Peer, listen: vec![], connect: vec![], one_worker: true };
    let (link, _inbox, _pictures) =
        open(&settings, Topics::default(), "alive", || 0, |_| ()).expect("the session opens");
    // A worker names itself a moment after it was started.
    let patience = Instant::now() + Duration::from_secs(30);
    while Link::threads().is_empty() {
        assert!(Instant::now() < patience, "zenoh has no threads");
    }
    let threads = Link::threads();
    assert!(threads.iter().all(|(_, name)| name.starts_with("app-")), "{threads:?}");
    assert!(prepare_process(true).is_ok(), "what is set stays");
    link.close().expect("the session ends");
    println!("{NAME} ... ok");
}
