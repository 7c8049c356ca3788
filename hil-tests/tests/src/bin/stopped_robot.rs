//! A robot that subscribes to its responses, says so, and is then stopped by a test before it can read them.
//!
//!     stopped-robot ENDPOINT RESPONSE_KEY

use zenoh::{Config, Wait};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(endpoint), Some(key)) = (arguments.next(), arguments.next()) else {
        panic!("usage: stopped-robot ENDPOINT RESPONSE_KEY");
    };
    let mut config = Config::default();
    let endpoints = format!("[\"{endpoint}#so_rcvbuf=8192\"]");
    for (name, value) in
        [("mode", "\"client\""), ("connect/endpoints", &endpoints), ("scouting/multicast/enabled", "false")]
    {
        config.insert_json5(name, value).expect("zenoh knows these settings");
    }
    let session = zenoh::open(config).wait().expect("the session opens");
    let responses = session.declare_subscriber(key).wait().expect("the subscriber is declared");
    println!("listening");
    let mut heard = 0_u64;
    while responses.recv().is_ok() {
        heard += 1;
        if heard == 1 {
            println!("heard");
        }
    }
}
