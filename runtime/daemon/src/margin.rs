//! The margin: how long before its deadline a fallback must fall due.
//!
//! The fallbacks of all connections may fall due together, while a worker is at a send of its own. So it covers the p99
//! of one wake-up and of one send more than there are connections, measured in the scheduling class that the engine's
//! thread runs in, to a real subscriber.

use std::{
    fmt,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread, time,
};

use engine::Duration;
use message::Response;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use zenoh_link::{Link, LinkError, Mode, RouteId, RouteKeys, Settings, Topics};

use crate::{
    clock,
    plan::{Plan, millis},
    realtime::{self, Class, LinkThreads},
};

/// How long is measured at each start and by `check`.
pub(crate) const MEASURED_FOR: time::Duration = time::Duration::from_secs(2);
const PERIOD: time::Duration = time::Duration::from_millis(1);
/// How long the first put may take to arrive: a handshake and a declaration over loopback take milliseconds.
const CONNECTED_WITHIN: time::Duration = time::Duration::from_secs(2);
/// Another program may take the free port before the probe listens there.
const PORTS: usize = 3;
/// The probe's one route.
const ROUTE: RouteId = RouteId::new(0);

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) class: Class,
    /// How late the thread runs after the instant that it slept for.
    pub(crate) wake: Quantiles,
    /// How long one put takes.
    pub(crate) send: Quantiles,
    pub(crate) samples: usize,
    pub(crate) connections: usize,
    floor: Duration,
}

/// Of one thing that was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantiles {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Measured {
    /// The margin: what was measured, or what the config asks for if that is more.
    pub(crate) fn margin(&self) -> Duration {
        let sends = self.send.p99.nanos().saturating_mul(self.sends());
        Duration::from_nanos(self.wake.p99.nanos().saturating_add(sends)).max(self.floor)
    }

    /// One for each connection, and one that is not finished yet.
    fn sends(&self) -> u64 {
        u64::try_from(self.connections).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, wake, send, samples, connections: _, floor } = self;
        write!(
            formatter,
            "{class}: wake-up p50 {wake_p50}, p99 {wake_p99}, plus {sends} x send p50 {send_p50}, p99 {send_p99}; \
             {samples} samples; at least {floor}",
            sends = self.sends(),
            wake_p50 = millis(wake.p50),
            wake_p99 = millis(wake.p99),
            send_p50 = millis(send.p50),
            send_p99 = millis(send.p99),
            floor = millis(*floor),
        )
    }
}

/// Measures on a thread like the engine's, over a loopback link of its own: a box that does not serve yet must not
/// look as if it did.
pub(crate) fn measure(plan: &Plan, link_threads: &mut LinkThreads) -> Result<Measured> {
    let probe = Probe::open(plan).wrap_err("cannot set up the loopback link that the margin is measured on")?;
    // Each put is as long as the longest response.
    let frame = vec![0; Response::OVERHEAD + plan.slot_lengths().action * size_of::<f32>()];
    let measured = probe.await_arrival(&frame).and_then(|()| {
        link_threads.raise(&plan.config.realtime);
        let like_the_engine = || {
            let class = realtime::prepare_engine(&plan.config.realtime);
            (class, wake_and_send(|| drop(probe.near.respond(ROUTE, &frame))))
        };
        thread::scope(|scope| scope.spawn(like_the_engine).join())
            .map_err(|_| miette!("measuring the margin panicked: report this as a bug"))
    });
    probe.close()?;
    let (class, (mut wake, mut send)) = measured?;
    Ok(Measured {
        class,
        wake: quantiles(&mut wake),
        send: quantiles(&mut send),
        samples: wake.len(),
        connections: plan.served().count(),
        floor: plan.config.min_margin,
    })
}

/// Two links of this process that are connected to each other.
struct Probe {
    near: Link,
    far: Link,
    /// How much arrived at the far one.
    arrived: Arc<AtomicU64>,
}

impl Probe {
    fn open(plan: &Plan) -> Result<Self> {
        let keys = plan.probe_keys();
        let response = keys.response.clone();
        let (near, endpoint) = listen(plan, &keys)?;
        let arrived = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&arrived);
        let count = move |_| {
            counting.fetch_add(1, Relaxed);
        };
        let settings = Settings { connect: vec![endpoint], ..alone(plan) };
        let topics = Topics { strays: vec![response], ..Topics::default() };
        match zenoh_link::open(&settings, topics, &plan.alive_key(), clock::nanos, count) {
            // Nobody reads what arrives: it overflows on zenoh's thread.
            Ok((far, _inbox, _pictures)) => Ok(Self { near, far, arrived }),
            Err(error) => {
                near.close().into_diagnostic()?;
                Err(error).into_diagnostic()
            }
        }
    }

    /// Puts until one put arrives.
    fn await_arrival(&self, frame: &[u8]) -> Result<()> {
        let begun = time::Instant::now();
        while self.arrived.load(Relaxed) == 0 {
            if begun.elapsed() > CONNECTED_WITHIN {
                return Err(miette!(
                    help = "is the loopback interface up, and may this process connect to 127.0.0.1 over TCP?",
                    "the margin cannot be measured: nothing arrived over a loopback link within {} s",
                    CONNECTED_WITHIN.as_secs()
                ));
            }
            self.near.respond(ROUTE, frame).into_diagnostic()?;
            thread::sleep(time::Duration::from_millis(5));
        }
        Ok(())
    }

    fn close(self) -> Result<()> {
        let far = self.far.close();
        self.near.close().and(far).into_diagnostic()
    }
}

/// The probe's sending link and where it listens.
fn listen(plan: &Plan, keys: &RouteKeys) -> Result<(Link, String)> {
    let mut refused = None;
    for _ in 0..PORTS {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let endpoint = format!("tcp/{}", free.into_diagnostic()?);
        let settings = Settings { listen: vec![endpoint.clone()], ..alone(plan) };
        let topics = Topics { routes: vec![keys.clone()], ..Topics::default() };
        match zenoh_link::open(&settings, topics, &plan.alive_key(), clock::nanos, |_| {}) {
            Ok((link, _inbox, _pictures)) => return Ok((link, endpoint)),
            Err(error @ LinkError::Listen { .. }) => refused = Some(error),
            Err(error) => return Err(error).into_diagnostic(),
        }
    }
    Err(refused.expect("there was a first attempt")).into_diagnostic()
}

fn alone(plan: &Plan) -> Settings {
    Settings { mode: Mode::Peer, listen: Vec::new(), connect: Vec::new(), one_worker: plan.config.link.one_worker }
}

/// Sleeps and sends on the calling thread, as the engine will: the lateness of each wake-up and the time of each send,
/// in nanoseconds.
fn wake_and_send(mut send: impl FnMut()) -> (Vec<u64>, Vec<u64>) {
    let (mut wakes, mut sends) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let end = clock::nanos() + nanos(MEASURED_FOR);
    while clock::nanos() < end {
        let wanted = clock::nanos() + nanos(PERIOD);
        let woken = loop {
            let now = clock::nanos();
            if now >= wanted {
                break now;
            }
            thread::park_timeout(time::Duration::from_nanos(wanted - now));
        };
        send();
        wakes.push(woken - wanted);
        sends.push(clock::nanos() - woken);
    }
    (wakes, sends)
}

fn quantiles(samples: &mut [u64]) -> Quantiles {
    samples.sort_unstable();
    let at = |percent: usize| {
        let place = (samples.len() * percent / 100).min(samples.len().saturating_sub(1));
        Duration::from_nanos(samples.get(place).copied().unwrap_or(0))
    };
    Quantiles { p50: at(50), p99: at(99) }
}

fn nanos(span: time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margin_covers_a_send_for_each_connection() {
        let both = |micros| Quantiles { p50: Duration::ZERO, p99: Duration::from_micros(micros) };
        let (wake, send) = (both(100), both(30));
        let mut measured =
            Measured { class: Class::Default, wake, send, samples: 2_000, connections: 8, floor: Duration::ZERO };
        assert_eq!(measured.margin(), Duration::from_micros(100 + 9 * 30));
        measured.floor = Duration::from_micros(500);
        assert_eq!(measured.margin(), measured.floor);
    }

    #[test]
    fn quantiles_are_not_below_their_share() {
        let mut samples: Vec<u64> = (1..=1_000).rev().collect();
        let Quantiles { p50, p99 } = quantiles(&mut samples);
        assert_eq!((p50.nanos(), p99.nanos()), (501, 991));
        assert_eq!(quantiles(&mut []).p99, Duration::ZERO);
    }
}
