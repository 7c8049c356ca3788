//! The network between box and cluster: a relay that delays, holds back, cuts and counts what passes.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::server::free_port;

/// A relay on a port of its own. It ends with this value, and so do its connections.
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    ended: AtomicBool,
    to_server: AtomicU64,
    to_box: AtomicU64,
    connections: AtomicU64,
}

struct State {
    server: SocketAddr,
    each_way: Duration,
    held: bool,
    open: Vec<TcpStream>,
}

/// What was read, and when it may be written.
type Chunk = (Instant, Vec<u8>);

impl Wire {
    /// To this server, without any delay.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).expect("a free port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = State { server, each_way: Duration::ZERO, held: false, open: Vec::new() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
            to_server: AtomicU64::new(0),
            to_box: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let accepting = shared.clone();
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// Where the box connects to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is read from now on takes so much longer; half of it each way.
    pub fn delay(&self, round_trip: Duration) {
        self.shared.state().each_way = round_trip / 2;
    }

    /// Nothing passes any more, and nobody is told: a cable that was pulled.
    pub fn cut(&self) {
        self.shared.state().held = true;
    }

    /// What was held back passes, and whatever comes after it.
    pub fn heal(&self) {
        self.shared.state().held = false;
        self.shared.changed.notify_all();
    }

    /// Closes every connection; new ones go to this server.
    pub fn turn_to(&self, server: SocketAddr) {
        let mut state = self.shared.state();
        state.server = server;
        state.close_all();
    }

    /// Bytes from the box, as they passed: of whatever layer.
    #[must_use]
    pub fn to_server(&self) -> u64 {
        self.shared.to_server.load(Ordering::SeqCst)
    }

    /// Bytes to the box.
    #[must_use]
    pub fn to_box(&self) -> u64 {
        self.shared.to_box.load(Ordering::SeqCst)
    }

    /// How often somebody connected.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let mut state = self.shared.state();
        state.held = false;
        state.close_all();
        drop(state);
        self.shared.changed.notify_all();
        // The one who accepts waits for somebody.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once nothing is held back.
    fn await_healed(&self) {
        let state = self.state();
        drop(self.changed.wait_while(state, |state| state.held).unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn close_all(&mut self) {
        for stream in self.open.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for from_box in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(from_box) = from_box else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        // Whoever connects while the cable is out gets no further than this relay.
        let shared = shared.clone();
        thread::spawn(move || relay(from_box, &shared));
    }
}

fn relay(from_box: TcpStream, shared: &Arc<Shared>) {
    shared.await_healed();
    let server = shared.state().server;
    // A server that is gone refuses; so does this end.
    let Ok(from_server) = TcpStream::connect(server) else { return };
    for stream in [&from_box, &from_server] {
        stream.set_nodelay(true).expect("a TCP stream has this option");
        let kept = stream.try_clone().expect("a stream can be cloned");
        shared.state().open.push(kept);
    }
    let (to_server, to_box) = (clone(&from_server), clone(&from_box));
    pump(from_box, to_server, shared, |shared| &shared.to_server);
    pump(from_server, to_box, shared, |shared| &shared.to_box);
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a stream can be cloned")
}

/// One way: reads at once, writes when it is time.
fn pump(mut from: TcpStream, to: TcpStream, shared: &Arc<Shared>, count: fn(&Shared) -> &AtomicU64) {
    let (sender, receiver) = channel();
    let reading = shared.clone();
    thread::spawn(move || read(&mut from, &sender, &reading));
    let writing = shared.clone();
    thread::spawn(move || write(to, &receiver, &writing, count));
}

fn read(from: &mut TcpStream, chunks: &Sender<Chunk>, shared: &Shared) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let due = Instant::now() + shared.state().each_way;
        if chunks.send((due, buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn write(mut to: TcpStream, chunks: &Receiver<Chunk>, shared: &Shared, count: fn(&Shared) -> &AtomicU64) {
    for (due, bytes) in chunks {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        shared.await_healed();
        // Before: whoever reads them may ask at once.
        count(shared).fetch_add(bytes.len() as u64, Ordering::SeqCst);
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // Its reader has ended: the other side hears of that.
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each byte with the same.
    fn mirror(difference: u8) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection can be accepted");
                thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        let _ = stream.write_all(&[byte[0] + difference]);
                    }
                });
            }
        });
        address
    }

    fn ask(stream: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
        stream.write_all(&[byte])?;
        let mut answer = [0];
        stream.read_exact(&mut answer).map(|()| answer[0])
    }

    #[test]
    fn what_passes_is_counted_and_delayed() {
        let wire = Wire::to(mirror(0));
        let mut stream = TcpStream::connect(wire.address()).expect("a relay listens");
        assert_eq!(ask(&mut stream, 3).expect("an answer"), 3);
        wire.delay(Duration::from_millis(80));
        let begun = Instant::now();
        assert_eq!(ask(&mut stream, 4).expect("an answer"), 4);
        assert!(begun.elapsed() >= Duration::from_millis(80), "both ways were delayed");
        assert_eq!((wire.to_server(), wire.to_box(), wire.connections()), (2, 2, 1));
    }

    #[test]
    fn a_cut_holds_everything_back_until_it_is_healed() {
        let wire = Wire::to(mirror(0));
        let mut stream = TcpStream::connect(wire.address()).expect("a relay listens");
        assert_eq!(ask(&mut stream, 3).expect("an answer"), 3);
        wire.cut();
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a stream has this option");
        let silent = ask(&mut stream, 4).expect_err("nothing passes").kind();
        assert!(matches!(silent, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silent}");
        assert_eq!(wire.to_server(), 1);
        wire.heal();
        stream.set_read_timeout(None).expect("a stream has this option");
        let mut answer = [0];
        stream.read_exact(&mut answer).expect("what was held back comes");
        assert_eq!((answer, wire.to_server()), ([4], 2));
    }

    #[test]
    fn it_can_be_turned_to_another_server() {
        let wire = Wire::to(mirror(0));
        let mut stream = TcpStream::connect(wire.address()).expect("a relay listens");
        assert_eq!(ask(&mut stream, 3).expect("an answer"), 3);
        wire.turn_to(mirror(10));
        assert!(ask(&mut stream, 3).is_err(), "the old connection is closed");
        let mut stream = TcpStream::connect(wire.address()).expect("a relay listens");
        assert_eq!(ask(&mut stream, 3).expect("an answer"), 13);
    }
}
