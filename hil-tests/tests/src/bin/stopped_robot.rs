//! A robot that subscribes to its responses, says so, and is then stopped by a test before it can read them.
//!
//!     stopped-robot ENDPOINT RESPONSE_KEY

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(endpoint), Some(key)) = (arguments.next(), arguments.next()) else {
        panic!("usage: stopped-robot ENDPOINT RESPONSE_KEY");
    };
    rig::hear(&endpoint, &key).expect("the session opens");
}
