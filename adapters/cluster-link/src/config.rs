//! A cluster as its operator declares it. What is built here can work; what cannot is refused with a reason.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use tokio_rustls::rustls::pki_types::ServerName;

use crate::{
    error::ConfigError,
    tensor::{Output, Tensor},
};

/// A cluster's declaration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name.
    pub cluster: Arc<str>,
    /// Where its operator says that it stands, and under whose law.
    pub jurisdiction: Arc<str>,
    /// Its servers, the preferred one first.
    pub endpoints: Vec<Endpoint>,
    /// How it proves who it is.
    pub security: Security,
    /// Bounds of one request and of all together.
    pub bounds: Bounds,
    /// What is asked while nobody asks.
    pub probe: Probe,
    /// When a failed attempt is followed by another one.
    pub retry: Retry,
}

/// A server of a cluster. Its address is a number: nobody is asked where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    address: SocketAddr,
    name: Option<ServerName<'static>>,
}

impl Endpoint {
    /// `address` is an IP address and a port. With a `server_name` this name is sent in the handshake and must be in
    /// the server's certificate.
    ///
    /// # Errors
    /// Not an IP address and port, or not a name.
    pub fn new(address: &str, server_name: Option<&str>) -> Result<Self, ConfigError> {
        let name = server_name.map(|name| match ServerName::try_from(name.to_owned()) {
            Ok(known @ ServerName::DnsName(_)) => Ok(known),
            Ok(_) | Err(_) => Err(ConfigError::ServerName(name.to_owned())),
        });
        Ok(Self {
            address: address.parse().map_err(|_| ConfigError::Endpoint(address.to_owned()))?,
            name: name.transpose()?,
        })
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn name(&self) -> Option<&ServerName<'static>> {
        self.name.as_ref()
    }
}

/// How box and server prove who they are.
#[derive(Clone, Debug)]
pub enum Security {
    /// Both by a certificate.
    Mutual(Mutual),
    /// Nobody proves anything: plain text, to loopback only, and marked wherever it shows.
    Insecure,
}

/// The files and names of a proof by certificates.
#[derive(Clone, Debug)]
pub struct Mutual {
    /// The only CA whose servers are accepted, in PEM.
    pub ca: PathBuf,
    /// The box's certificate and what is between it and the server's CA, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// Whom a server's certificate may name.
    pub allow: Vec<SpiffeId>,
}

/// An identity: `spiffe://TRUST-DOMAIN/PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId(Arc<str>);

impl SpiffeId {
    /// It as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl FromStr for SpiffeId {
    type Err = ConfigError;

    /// By the SPIFFE standard: a trust domain of lower-case letters, digits, `.`, `-` and `_`; a path of segments of
    /// letters, digits and these, none empty and none of dots alone; at most 2048 bytes.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::SpiffeId(text.to_owned());
        let (domain, path) = text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
        let in_domain = |byte: u8| byte.is_ascii_lowercase() || plain(byte);
        let in_path = |byte: u8| byte.is_ascii_alphabetic() || plain(byte);
        let segment = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(in_path);
        let right = text.len() <= 2048
            && !domain.is_empty()
            && domain.len() <= 255
            && domain.bytes().all(in_domain)
            && path.split('/').all(segment);
        if right { Ok(Self(text.into())) } else { Err(wrong()) }
    }
}

/// What one request, and all together, may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Hand-offs on their way to this cluster.
    pub max_in_flight: usize,
    /// Attempts on their way to one of its endpoints.
    pub max_in_flight_per_endpoint: usize,
    /// The longest answer that is read.
    pub max_answer_bytes: usize,
    /// The longest time to connect and to prove who is who.
    pub connect: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_in_flight: 16,
            max_in_flight_per_endpoint: 8,
            max_answer_bytes: 1 << 20,
            connect: Duration::from_secs(1),
        }
    }
}

/// A request that shows whether an endpoint answers: its values are declared, and nobody's.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The model that is asked.
    pub model: Arc<str>,
    /// Its version; empty: what the server chooses.
    pub version: Arc<str>,
    /// The values.
    pub inputs: Vec<Tensor>,
    /// What the answer must hold.
    pub outputs: Arc<[Output]>,
    /// An endpoint that answered nobody for that long is probed.
    pub period: Duration,
    /// A probe's deadline.
    pub timeout: Duration,
    /// The breaker opens after that many failures one after the other.
    pub failures: u32,
}

/// When a failed attempt is followed by another one: only within the request's deadline, and never after a refusal that
/// would come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// All attempts of a request, the first included.
    pub attempts: u32,
    /// The pause before the same endpoint is asked again; it doubles with each. Another endpoint is asked at once.
    pub pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, pause: Duration::from_millis(5) }
    }
}

impl Config {
    /// Whether it can work. Reads no file.
    ///
    /// # Errors
    /// Says what cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        let addresses: std::collections::HashSet<_> = self.endpoints.iter().map(Endpoint::address).collect();
        if self.endpoints.is_empty() || addresses.len() != self.endpoints.len() {
            return Err(ConfigError::Endpoints);
        }
        match &self.security {
            Security::Mutual(mutual) if mutual.allow.is_empty() => return Err(ConfigError::NobodyAllowed),
            Security::Mutual(_) => {}
            Security::Insecure => {
                if let Some(far) = addresses.into_iter().find(|address| !address.ip().is_loopback()) {
                    return Err(ConfigError::InsecureAddress(far));
                }
            }
        }
        self.bounds.check()?;
        self.probe.check()?;
        bound("attempts", "from 1 to 16", (1..=16).contains(&self.retry.attempts))?;
        bound("pause", "at most 10 s", self.retry.pause <= Duration::from_secs(10))
    }
}

impl Bounds {
    fn check(&self) -> Result<(), ConfigError> {
        bound("max_in_flight", "from 1 to 1024", (1..=1024).contains(&self.max_in_flight))?;
        let per = self.max_in_flight_per_endpoint;
        bound("max_in_flight_per_endpoint", "from 1 to 1024", (1..=1024).contains(&per))?;
        let most = self.max_answer_bytes;
        bound("max_answer_bytes", "from 1 KiB to 1 GiB", (1 << 10..=1 << 30).contains(&most))?;
        bound("connect_ms", "from 1 ms to 1 min", spans(self.connect))
    }
}

impl Probe {
    fn check(&self) -> Result<(), ConfigError> {
        bound("probe.period_ms", "from 1 ms to 1 min", spans(self.period))?;
        bound("probe.timeout_ms", "from 1 ms to 1 min", spans(self.timeout))?;
        bound("probe.failures", "at least 1", self.failures >= 1)?;
        if self.outputs.is_empty() {
            return Err(ConfigError::Probe("without a declared output no answer could be wrong"));
        }
        Ok(())
    }
}

fn spans(time: Duration) -> bool {
    (Duration::from_millis(1)..=Duration::from_mins(1)).contains(&time)
}

fn bound(field: &'static str, must: &'static str, holds: bool) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Bound { field, must }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Datatype, Extent};

    fn config() -> Config {
        Config {
            cluster: "north".into(),
            jurisdiction: "JP".into(),
            endpoints: vec![Endpoint::new("127.0.0.1:8001", None).expect("an address")],
            security: Security::Insecure,
            bounds: Bounds::default(),
            probe: Probe {
                model: "probe".into(),
                version: "".into(),
                inputs: vec![],
                outputs: vec![Output { name: "y".into(), datatype: Datatype::Fp32, shape: vec![Extent::Exactly(1)] }]
                    .into(),
                period: Duration::from_secs(1),
                timeout: Duration::from_millis(100),
                failures: 3,
            },
            retry: Retry::default(),
        }
    }

    #[test]
    fn plain_text_is_for_loopback_only() {
        assert_eq!(config().check(), Ok(()));
        for far in ["192.168.1.4:8001", "0.0.0.0:8001", "[2001:db8::1]:8001"] {
            let far = Endpoint::new(far, None).expect("an address");
            let mixed = Config { endpoints: vec![config().endpoints.remove(0), far.clone()], ..config() };
            assert_eq!(mixed.check(), Err(ConfigError::InsecureAddress(far.address())));
        }
    }

    #[test]
    fn names_are_not_looked_up() {
        for name in ["localhost:8001", "cluster.example:8001", "127.0.0.1", "http://127.0.0.1:8001"] {
            assert_eq!(Endpoint::new(name, None), Err(ConfigError::Endpoint(name.into())));
        }
        assert!(Endpoint::new("[::1]:8001", Some("triton-1.cluster.example")).is_ok());
        assert!(Endpoint::new("[::1]:8001", Some("127.0.0.1")).is_err(), "an address is no name");
        assert!(Endpoint::new("[::1]:8001", Some("a b")).is_err());
    }

    #[test]
    fn spiffe_ids_are_read_strictly() {
        assert!("spiffe://factory.jp/gpu/triton-1".parse::<SpiffeId>().is_ok());
        for wrong in [
            "spiffe://factory.jp",
            "spiffe://factory.jp/",
            "spiffe:///gpu",
            "SPIFFE://factory.jp/gpu",
            "spiffe://Factory.jp/gpu",
            "spiffe://factory.jp/gpu/",
            "spiffe://factory.jp/../gpu",
            "spiffe://factory.jp/gpu?x",
            "spiffe://factory.jp:443/gpu",
            "spiffe://user@factory.jp/gpu",
            "https://factory.jp/gpu",
            "",
        ] {
            assert_eq!(wrong.parse::<SpiffeId>(), Err(ConfigError::SpiffeId(wrong.into())), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let twice = config().endpoints.remove(0);
        assert_eq!(Config { endpoints: vec![], ..config() }.check(), Err(ConfigError::Endpoints));
        assert_eq!(Config { endpoints: vec![twice.clone(), twice], ..config() }.check(), Err(ConfigError::Endpoints));
        let nobody = Mutual { ca: "".into(), certificate: "".into(), key: "".into(), allow: vec![] };
        assert_eq!(Config { security: Security::Mutual(nobody), ..config() }.check(), Err(ConfigError::NobodyAllowed));
        let bounds = Bounds { max_in_flight: 0, ..Bounds::default() };
        assert!(matches!(
            Config { bounds, ..config() }.check(),
            Err(ConfigError::Bound { field: "max_in_flight", .. })
        ));
        let mut silent = config();
        silent.probe.outputs = Arc::new([]);
        assert!(matches!(silent.check(), Err(ConfigError::Probe(_))));
    }
}
