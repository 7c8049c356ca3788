//! The least of gRPC that Open Inference Protocol's `ModelInfer` takes: unary calls over HTTP/2, headers without
//! compression. Leaner than the library that Triton's users have, so Triton's round trips are no longer than theirs.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// One connection. Its calls are numbered from 1; each ends in one [`Ended`].
pub(crate) struct Channel {
    wire: Arc<Wire>,
    headers: Vec<u8>,
    message: Vec<u8>,
    called: u64,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) at: Instant,
    pub(crate) call: u64,
    /// The output's raw bytes; `None`: an error.
    pub(crate) output: Option<Vec<u8>>,
}

struct Wire {
    stream: Mutex<TcpStream>,
    /// How many bytes of messages the server takes; [`CLOSED`] once it takes none any more.
    window: Mutex<i64>,
    wider: Condvar,
}

/// One float32 input, as a request names it.
pub(crate) struct Input<'a> {
    pub(crate) model: &'a str,
    pub(crate) shape: &'a [u64],
    pub(crate) values: &'a [f32],
    /// Triton's: 1 is the highest.
    pub(crate) priority: Option<u64>,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// What a connection may send before the server says more.
const FIRST_WINDOW: i64 = 65_535;
const CLOSED: i64 = i64::MIN / 2;

impl Channel {
    /// Connects to `127.0.0.1:port`-like addresses; `ended` is called on the reading thread.
    pub(crate) fn open(
        address: &str,
        input: &Input<'_>,
        ended: impl FnMut(Ended) + Send + 'static,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.write_all(PREFACE)?;
        // Window for 2 GiB of answers on each stream and on all: no answer waits for us.
        frame(&mut stream, SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])?;
        let more = u32::try_from(0x7fff_ffff - FIRST_WINDOW).expect("it is positive");
        frame(&mut stream, WINDOW_UPDATE, 0, 0, &more.to_be_bytes())?;
        let reading = stream.try_clone()?;
        let wire =
            Arc::new(Wire { stream: Mutex::new(stream), window: Mutex::new(FIRST_WINDOW), wider: Condvar::new() });
        let shared = Arc::clone(&wire);
        thread::Builder::new().name("grpc".to_owned()).spawn(move || {
            let mut calls = Calls { open: HashMap::new(), ended };
            // Whatever ended it, what is still open stays unanswered.
            let _ = calls.read(io::BufReader::new(reading), &shared);
            shared.widen(CLOSED);
        })?;
        Ok(Self { wire, headers: headers(address), message: request(input), called: 0 })
    }

    /// Calls once more and gives the call's number.
    pub(crate) fn call(&mut self) -> io::Result<u64> {
        self.called += 1;
        let stream_id = u32::try_from(2 * self.called - 1).map_err(io::Error::other)?;
        self.wire.take(self.message.len())?;
        let mut bytes = Vec::with_capacity(self.headers.len() + self.message.len() + 18);
        frame(&mut bytes, HEADERS, END_HEADERS, stream_id, &self.headers)?;
        frame(&mut bytes, DATA, END_STREAM, stream_id, &self.message)?;
        self.wire.write(&bytes)?;
        Ok(self.called)
    }
}

impl Wire {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
    }

    fn acknowledge(&self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame(&mut bytes, kind, ACK, 0, payload)?;
        self.write(&bytes)
    }

    fn widen(&self, by: i64) {
        *self.window.lock().unwrap_or_else(PoisonError::into_inner) += by;
        self.wider.notify_all();
    }

    /// Waits until the server takes so many bytes.
    fn take(&self, bytes: usize) -> io::Result<()> {
        let bytes = i64::try_from(bytes).map_err(io::Error::other)?;
        let window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |window: &mut i64| *window < bytes && *window > CLOSED / 2;
        let mut window = self.wider.wait_while(window, wait).unwrap_or_else(PoisonError::into_inner);
        if *window < bytes {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        *window -= bytes;
        Ok(())
    }
}

struct Calls<F> {
    /// What has come of each open call's answer.
    open: HashMap<u32, Vec<u8>>,
    ended: F,
}

impl<F: FnMut(Ended)> Calls<F> {
    fn read(&mut self, mut stream: impl Read, wire: &Wire) -> io::Result<()> {
        let (mut head, mut payload) = ([0; 9], Vec::new());
        loop {
            stream.read_exact(&mut head)?;
            let [high, middle, low, kind, flags, id @ ..] = head;
            payload.resize(usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low), 0);
            stream.read_exact(&mut payload)?;
            let id = u32::from_be_bytes(id) & 0x7fff_ffff;
            match kind {
                DATA => self.open.entry(id).or_default().extend_from_slice(&payload),
                SETTINGS if flags & ACK == 0 => wire.acknowledge(SETTINGS, &[])?,
                PING if flags & ACK == 0 => wire.acknowledge(PING, &payload)?,
                WINDOW_UPDATE if id == 0 => {
                    let by = payload.first_chunk().copied().map_or(0, u32::from_be_bytes) & 0x7fff_ffff;
                    wire.widen(i64::from(by));
                }
                RESET => self.end(id),
                GO_AWAY => return Ok(()),
                // Headers, trailers and what HTTP/2 may yet invent. The last of a call says that it ended.
                _ => {}
            }
            if (kind == DATA || kind == HEADERS) && flags & END_STREAM != 0 {
                self.end(id);
            }
        }
    }

    /// A call without a whole message is an error, whatever its trailers say.
    fn end(&mut self, id: u32) {
        let at = Instant::now();
        let message = self.open.remove(&id).unwrap_or_default();
        let output = message.get(5..).and_then(raw_output);
        (self.ended)(Ended { at, call: u64::from(id).div_ceil(2), output });
    }
}

fn frame(out: &mut impl Write, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?.to_be_bytes();
    out.write_all(&[length[1], length[2], length[3], kind, flags])?;
    out.write_all(&id.to_be_bytes())?;
    out.write_all(payload)
}

/// HPACK without Huffman codes and without a dynamic table (RFC 7541): literals, and places in the static table.
fn headers(authority: &str) -> Vec<u8> {
    let mut out = vec![0x83, 0x86]; // :method POST, :scheme http
    let mut literal = |name: &[u8], value: &str| {
        out.extend_from_slice(name);
        out.push(u8::try_from(value.len()).expect("a short value"));
        out.extend_from_slice(value.as_bytes());
    };
    literal(&[0x04], "/inference.GRPCInferenceService/ModelInfer"); // :path
    literal(&[0x01], authority); // :authority
    literal(&[0x0f, 31 - 15], "application/grpc"); // content-type
    literal(b"\x00\x02te", "trailers");
    out
}

/// A `ModelInferRequest` behind gRPC's five bytes.
fn request(input: &Input<'_>) -> Vec<u8> {
    let mut tensor = Vec::new();
    block(&mut tensor, 1, b"observation");
    block(&mut tensor, 2, b"FP32");
    let mut shape = Vec::new();
    input.shape.iter().for_each(|side| varint(&mut shape, *side));
    block(&mut tensor, 3, &shape);
    let mut message = Vec::new();
    block(&mut message, 1, input.model.as_bytes());
    if let Some(priority) = input.priority {
        let mut value = vec![2 << 3]; // int64_param
        varint(&mut value, priority);
        let mut entry = Vec::new();
        block(&mut entry, 1, b"priority");
        block(&mut entry, 2, &value);
        block(&mut message, 4, &entry);
    }
    block(&mut message, 5, &tensor);
    let raw: Vec<u8> = input.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    block(&mut message, 7, &raw);
    let mut out = vec![0];
    out.extend_from_slice(&u32::try_from(message.len()).expect("a short message").to_be_bytes());
    out.extend(message);
    out
}

fn block(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}

/// The first of a `ModelInferResponse`'s `raw_output_contents`.
fn raw_output(mut message: &[u8]) -> Option<Vec<u8>> {
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        match key & 7 {
            0 => drop(read_varint(&mut message)?),
            2 => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                if key >> 3 == 6 {
                    return Some(bytes.to_owned());
                }
            }
            _ => return None,
        }
    }
    None
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_found_behind_other_fields() {
        let mut message = Vec::new();
        block(&mut message, 1, b"policy");
        message.extend([3 << 3, 0x96, 0x01]);
        block(&mut message, 6, &[1, 2, 3]);
        assert_eq!(raw_output(&message), Some(vec![1, 2, 3]));
        assert_eq!(raw_output(&message[..message.len() - 1]), None, "cut short");
        assert_eq!(raw_output(&message[..11]), None, "no output");
    }

    #[test]
    fn a_request_says_its_length() {
        let input = Input { model: "m", shape: &[1, 2], values: &[0.0; 2], priority: Some(1) };
        let request = request(&input);
        let length = u32::from_be_bytes(request[1..5].try_into().expect("four bytes"));
        assert_eq!(length as usize, request.len() - 5);
        assert!(request.windows(8).any(|bytes| bytes == b"priority"));
    }

    #[test]
    fn varints_are_read_back() {
        for value in [0, 127, 128, 300, u64::from(u32::MAX)] {
            let mut bytes = Vec::new();
            varint(&mut bytes, value);
            assert_eq!(read_varint(&mut bytes.as_slice()), Some(value));
        }
    }
}
