//! The soak's check of memory, on a process that really leaks: this one. A test binary of its own, so that nothing else
//! changes its memory meanwhile.

use std::time::Duration;

use rig::{Growth, Memory, Size, Slope};

const SECONDS: u32 = 1_500;
/// What this process has before it leaks; touched, so that it is in RAM.
const HELD: usize = 256 << 20;

/// Watches this process for 25 minutes that take no time: each second it leaks its share.
fn watched(percent_per_hour: usize) -> Growth {
    let (mut leak, mut owed) = (Vec::new(), 0);
    let series = (0..SECONDS).map(|second| {
        owed += HELD * percent_per_hour / 100 / 3_600;
        // In pieces of a page, as the system counts.
        while owed >= 4096 {
            leak.push(vec![1_u8; 4096]);
            owed -= 4096;
        }
        let memory = Memory::of(std::process::id()).expect("this process has memory");
        Size { at: Duration::from_secs(second.into()), kib: memory.resident }
    });
    let series: Vec<_> = series.collect();
    let slope = Slope::of(&series).expect("it is long enough");
    println!("{percent_per_hour} % an hour: {slope}, {} pages", leak.len());
    slope.against(1.0)
}

/// The negative control, and its twin that holds.
#[test]
fn a_process_that_leaks_two_percent_an_hour_fails_the_check_and_one_that_does_not_passes() {
    let held = std::hint::black_box(vec![1_u8; HELD]);
    assert_eq!(watched(0), Growth::Below);
    assert_eq!(watched(2), Growth::Above);
    drop(held);
}
