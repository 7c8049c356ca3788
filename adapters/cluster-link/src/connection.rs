//! One connection to one server that proved who it is: TCP to the pinned address, TLS, identity, HTTP/2, in this order.
//! It is never made again behind anyone's back: when it ends, what it carried fails.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http_body_util::Full;
use hyper::{
    Uri,
    body::Bytes,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Handle,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{
    config::{Bounds, Endpoint},
    credentials::Credentials,
    error::{ConnectError, IdentityError},
    gate::Carried,
    identity::{Peer, of_handshake},
    socket::{Socket, Wire},
};

/// A connection that carried that many different permits takes no more of them.
const MOST_CARRIED: usize = 64;
/// How long a connection that nobody needs any longer may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// A live connection, as far as anybody knows.
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    pub(crate) uri: Uri,
    pub(crate) sender: SendRequest<Full<Bytes>>,
    pub(crate) cargo: Arc<Cargo>,
    /// Since the Unix epoch.
    expires: Option<Duration>,
    /// Of the credentials that it was made with.
    credentials: Option<[u8; 32]>,
    retired: AtomicBool,
    runtime: Handle,
}

/// What a connection carried, for as long as a byte of it may lie in a buffer: it outlives the connection's last user.
pub(crate) struct Cargo {
    wire: Arc<Wire>,
    all: Mutex<Vec<Carried>>,
    revoked: AtomicBool,
}

impl Cargo {
    /// Notes what the connection is about to carry.
    pub(crate) fn carry(&self, carried: &Carried) {
        let mut all = self.lock();
        if !all.contains(carried) {
            all.push(carried.clone());
        }
    }

    /// Cuts the connection if it ever carried something that no longer holds.
    pub(crate) fn revoke(&self, holds: &mut impl FnMut(&Carried) -> bool) -> bool {
        let kept = self.lock().iter().all(holds);
        if !kept {
            self.revoked.store(true, Ordering::Release);
            self.wire.cut();
        }
        !kept
    }

    pub(crate) fn was_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Carried>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Without credentials it is plain text.
    ///
    /// # Errors
    /// Why there is none. Nothing of a payload was sent.
    pub(crate) async fn open(
        endpoint: &Endpoint,
        credentials: Option<&Credentials>,
        bounds: &Bounds,
        written: Arc<AtomicU64>,
    ) -> Result<Self, ConnectError> {
        let connecting = async {
            let unreachable = |error: std::io::Error| ConnectError::Unreachable(error.kind());
            let stream = TcpStream::connect(endpoint.address()).await.map_err(unreachable)?;
            stream.set_nodelay(true).map_err(unreachable)?;
            let (socket, wire) = Socket::new(stream, written);
            let Some(credentials) = credentials else {
                let sender = http2(socket, bounds).await?;
                return Ok(Self::new(endpoint, (Peer::Insecure, None, None), sender, wire));
            };
            let material = credentials.current()?;
            let proof = Arc::new(OnceLock::new());
            let connector = TlsConnector::from(Arc::new(credentials.client(&material, endpoint, &proof)?));
            let name = endpoint.name().cloned().unwrap_or(ServerName::IpAddress(endpoint.address().ip().into()));
            let tls = connector.connect(name, socket).await.map_err(|error| of_handshake(&error))?;
            if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                return Err(ConnectError::NotHttp2);
            }
            let proof = proof.get().ok_or_else(|| IdentityError::Handshake("no certificate was judged".into()))?;
            let sender = http2(tls, bounds).await?;
            let identity = (proof.peer.clone(), Some(proof.expires), Some(material.digest));
            Ok(Self::new(endpoint, identity, sender, wire))
        };
        tokio::time::timeout(bounds.connect, connecting).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    fn new(
        endpoint: &Endpoint,
        (peer, expires, credentials): (Peer, Option<Duration>, Option<[u8; 32]>),
        sender: SendRequest<Full<Bytes>>,
        wire: Arc<Wire>,
    ) -> Self {
        let scheme = if credentials.is_some() { "https" } else { "http" };
        let authority = match endpoint.name() {
            Some(ServerName::DnsName(name)) => format!("{}:{}", name.as_ref(), endpoint.address().port()),
            Some(_) | None => endpoint.address().to_string(),
        };
        let uri = format!("{scheme}://{authority}/inference.GRPCInferenceService/ModelInfer");
        Self {
            peer,
            uri: uri.parse().expect("a host name or an address, and a port, make a URI"),
            sender,
            cargo: Arc::new(Cargo { wire, all: Mutex::new(Vec::new()), revoked: AtomicBool::new(false) }),
            expires,
            credentials,
            retired: AtomicBool::new(false),
            runtime: Handle::current(),
        }
    }

    /// Whether something new may be sent on it.
    pub(crate) fn is_live(&self) -> bool {
        let expired = self.has_expired();
        let full = self.cargo.lock().len() >= MOST_CARRIED;
        let retired = self.retired.load(Ordering::Relaxed) || self.cargo.was_revoked();
        !(expired || full || retired || self.sender.is_closed())
    }

    /// Whether its server's certificate has expired, or the box's own files are others now. Files that cannot be used
    /// end no connection: they make no new one.
    pub(crate) fn is_outdated(&self, credentials: Option<&Credentials>) -> bool {
        let other = credentials.is_some_and(|now| now.current().is_ok_and(|now| Some(now.digest) != self.credentials));
        other || self.has_expired()
    }

    /// A certificate is good to the end of its last second.
    fn has_expired(&self) -> bool {
        self.expires.is_some_and(|expires| since_epoch().as_secs() > expires.as_secs())
    }

    /// Nothing new is sent on it; what is on its way may end.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// How many bytes the server sent.
    pub(crate) fn received(&self) -> u64 {
        self.cargo.wire.received()
    }
}

impl Drop for Connection {
    /// Whoever used it is done. HTTP/2 says goodbye by itself, if the way is still there.
    fn drop(&mut self) {
        let cargo = Arc::clone(&self.cargo);
        self.runtime.spawn(async move {
            tokio::time::sleep(FAREWELL).await;
            cargo.wire.cut();
        });
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// HTTP/2 with windows that let no server send more than an answer for each call.
async fn http2<I>(io: I, bounds: &Bounds) -> Result<SendRequest<Full<Bytes>>, ConnectError>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let window = u32::try_from(bounds.max_answer_bytes).unwrap_or(u32::MAX).clamp(1 << 16, 1 << 20);
    let calls = u32::try_from(bounds.max_in_flight_per_endpoint).unwrap_or(u32::MAX);
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .initial_connection_window_size(window.saturating_mul(calls).min(1 << 24))
        .max_header_list_size(1 << 14)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|_| ConnectError::NotHttp2)?;
    // Its end shows in `sender`, and in each call that it carried.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
