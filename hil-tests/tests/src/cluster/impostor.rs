//! A server that is not what the box should talk to: it counts what it is told, and never computes anything.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::{Authority, Identity, server::free_port};

/// What it shows to whoever connects.
pub enum Mask<'a> {
    /// Plain text: it proves nothing.
    Plain,
    /// TLS with this identity, and it wants to see one of this authority.
    Tls(&'a Identity, &'a Authority),
}

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes it and says nothing.
    Silent,
    /// It sends whoever asks to this address.
    Redirect(SocketAddr),
}

/// A listener. It ends with this value.
pub struct Impostor {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    tls: Option<Arc<ServerConfig>>,
    behaviour: Behaviour,
    heard: Mutex<Vec<Heard>>,
    ended: AtomicBool,
}

/// What one connection brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Heard {
    /// Bytes above TLS, or, without it, all.
    bytes: u64,
    /// Those of them that are in HTTP/2's DATA frames.
    payload: u64,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

impl Impostor {
    /// Listens.
    ///
    /// # Panics
    /// If no port is free, or the identity's files cannot be read.
    #[must_use]
    pub fn start(mask: &Mask<'_>, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).expect("a free port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let tls = match mask {
            Mask::Plain => None,
            Mask::Tls(identity, authority) => Some(Arc::new(server(identity, &authority.certificate()))),
        };
        let shared = Arc::new(Shared { tls, behaviour, heard: Mutex::default(), ended: AtomicBool::new(false) });
        let accepting = shared.clone();
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often somebody connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.heard().len()
    }

    /// Bytes above TLS, or, in plain text, all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.heard().iter().map(|heard| heard.bytes).sum()
    }

    /// Bytes of requests: what is in HTTP/2's DATA frames.
    #[must_use]
    pub fn payload(&self) -> u64 {
        self.shared.heard().iter().map(|heard| heard.payload).sum()
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // The one who accepts waits for somebody.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn server(identity: &Identity, ca: &Path) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("a CA's file is PEM")).expect("a CA is a trust anchor");
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build();
    let chain = vec![CertificateDer::from_pem_file(&identity.certificate).expect("a certificate's file is PEM")];
    let key = PrivateKeyDer::from_pem_file(&identity.key).expect("a key's file is PEM");
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("ring has them").with_client_cert_verifier(clients.expect("there is a CA"));
    let mut config = builder.with_single_cert(chain, key).expect("key and certificate belong together");
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let place = {
            let mut heard = shared.heard();
            heard.push(Heard::default());
            heard.len() - 1
        };
        let shared = shared.clone();
        // A connection ends as its client likes: there is nothing to do about it.
        thread::spawn(move || drop(attend(stream, &shared, place)));
    }
}

fn attend(stream: TcpStream, shared: &Shared, place: usize) -> io::Result<()> {
    let note = |bytes: usize, payload: usize| {
        let heard = &mut shared.heard()[place];
        heard.bytes += bytes as u64;
        heard.payload += payload as u64;
    };
    match &shared.tls {
        None => converse(stream, shared.behaviour, note),
        Some(config) => {
            let session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            converse(StreamOwned::new(session, stream), shared.behaviour, note)
        }
    }
}

/// The least of HTTP/2: settings, and a redirection of each request.
fn converse(mut stream: impl Read + Write, behaviour: Behaviour, note: impl Fn(usize, usize)) -> io::Result<()> {
    write_frame(&mut stream, SETTINGS, 0, 0, &[])?;
    let mut preface = [0; PREFACE.len()];
    for byte in &mut preface {
        // One by one, so that all that came is counted, also where it is no HTTP/2.
        stream.read_exact(std::slice::from_mut(byte))?;
        note(1, 0);
    }
    if preface != *PREFACE {
        let mut rest = [0; 1 << 12];
        loop {
            match stream.read(&mut rest)? {
                0 => return Ok(()),
                length => note(length, 0),
            }
        }
    }
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut body = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut body)?;
        note(head.len() + body.len(), if kind == DATA { body.len() } else { 0 });
        if kind == SETTINGS && flags & ACK == 0 {
            write_frame(&mut stream, SETTINGS, ACK, 0, &[])?;
        }
        if let (HEADERS, Behaviour::Redirect(to)) = (kind, behaviour) {
            write_frame(&mut stream, HEADERS, END_HEADERS | END_STREAM, u32::from_be_bytes(id), &redirection(to))?;
        }
    }
}

fn write_frame(stream: &mut impl Write, kind: u8, flags: u8, id: u32, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(id.to_be_bytes());
    frame.extend(body);
    stream.write_all(&frame)?;
    stream.flush()
}

/// HPACK, without its tables but for two names: `:status` 307 and `location`.
fn redirection(to: SocketAddr) -> Vec<u8> {
    let place = format!("https://{to}/inference.GRPCInferenceService/ModelInfer");
    let mut block = vec![0x08, 3];
    block.extend(b"307");
    // Literal without indexing, name 46 of the static table: beyond the 15 that four bits hold.
    block.extend([0x0f, 46 - 15, u8::try_from(place.len()).expect("a short address")]);
    block.extend(place.as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConfig, ClientConnection};

    use super::*;

    /// A request as a client would send it: preface, settings, headers that say nothing, seven bytes of data.
    fn request() -> Vec<u8> {
        let mut request = PREFACE.to_vec();
        write_frame(&mut request, SETTINGS, 0, 0, &[]).expect("a vector can be written");
        write_frame(&mut request, HEADERS, END_HEADERS, 1, &[0x83]).expect("a vector can be written");
        write_frame(&mut request, DATA, END_STREAM, 1, b"payload").expect("a vector can be written");
        request
    }

    fn client(authority: &Authority, identity: &Identity) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(authority.certificate()).expect("a CA's file is PEM");
        roots.add(ca).expect("a CA is a trust anchor");
        let chain = vec![CertificateDer::from_pem_file(&identity.certificate).expect("a certificate's file is PEM")];
        let key = PrivateKeyDer::from_pem_file(&identity.key).expect("a key's file is PEM");
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("ring has them").with_root_certificates(roots);
        builder.with_client_auth_cert(chain, key).expect("key and certificate belong together")
    }

    #[test]
    fn a_request_is_counted_in_plain_text_and_redirected() {
        let elsewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let impostor = Impostor::start(&Mask::Plain, Behaviour::Redirect(elsewhere));
        let mut stream = TcpStream::connect(impostor.address()).expect("it listens");
        stream.write_all(&request()).expect("it reads");
        let mut answer = vec![0; 9 + 9 + 9 + redirection(elsewhere).len()];
        stream.read_exact(&mut answer).expect("settings, their acknowledgement, the redirection");
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("307") && text.contains("https://127.0.0.1:7/"), "{text}");
        drop(stream);
        let counted = || (impostor.payload() == 7).then(|| impostor.bytes());
        assert_eq!(crate::eventually("the data is counted", counted), request().len() as u64);
    }

    #[test]
    fn behind_tls_only_what_was_said_through_it_counts() {
        let authority = Authority::new("test");
        let identity = authority.addressed_server("spiffe://test.jp/gpu/one");
        let impostor = Impostor::start(&Mask::Tls(&identity, &authority), Behaviour::Silent);
        let config = Arc::new(client(&authority, &authority.client("spiffe://test.jp/box/one")));
        let name = "127.0.0.1".try_into().expect("an address");
        let session = ClientConnection::new(config, name).expect("the config is good");
        let stream = TcpStream::connect(impostor.address()).expect("it listens");
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("the handshake goes on");
        }
        assert_eq!((impostor.connections(), impostor.bytes()), (1, 0), "the handshake is none of it");
        stream.write_all(&request()).expect("it reads");
        stream.flush().expect("it reads");
        let counted = || (impostor.payload() == 7).then(|| impostor.bytes());
        assert_eq!(crate::eventually("the data is counted", counted), request().len() as u64);
    }

    #[test]
    fn who_speaks_tls_to_plain_text_has_sent_no_payload() {
        let authority = Authority::new("test");
        let impostor = Impostor::start(&Mask::Plain, Behaviour::Silent);
        let config = Arc::new(client(&authority, &authority.client("spiffe://test.jp/box/one")));
        let name = "127.0.0.1".try_into().expect("an address");
        let mut session = ClientConnection::new(config, name).expect("the config is good");
        let mut stream = TcpStream::connect(impostor.address()).expect("it listens");
        assert!(session.complete_io(&mut stream).is_err(), "HTTP/2's settings are no TLS");
        drop(stream);
        crate::eventually("the greeting is counted", || (impostor.bytes() > 100).then_some(()));
        assert_eq!(impostor.payload(), 0);
    }
}
