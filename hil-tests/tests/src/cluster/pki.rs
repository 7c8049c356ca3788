//! A jurisdiction's certificate authority, made anew for each test, and what it signs.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use tempfile::TempDir;

/// Signs certificates; P-256, as everything here.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
    /// How many it signed: each has files of its own.
    signed: AtomicUsize,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// PEM.
    pub certificate: PathBuf,
    /// PKCS #8 in PEM.
    pub key: PathBuf,
}

/// For whom a certificate is, and when.
struct Wanted {
    names: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
    time: Time,
}

#[derive(Clone, Copy)]
enum Time {
    /// For as long as any test runs.
    Long,
    /// Over since years.
    Over,
    /// From yesterday on until in so many days.
    Days(u32),
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If its files cannot be written.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority can sign for itself");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("the temporary folder can be written");
        Self { issuer, folder, signed: AtomicUsize::new(0) }
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A server's: its only name is this SPIFFE id.
    #[must_use]
    pub fn server(&self, spiffe: &str) -> Identity {
        self.named(vec![uri(spiffe)], Time::Long)
    }

    /// A server's that Python's gRPC takes too: it wants the address among the names.
    #[must_use]
    pub fn addressed_server(&self, spiffe: &str) -> Identity {
        let address = SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.named(vec![uri(spiffe), address], Time::Long)
    }

    /// A server's whose time is over since years.
    #[must_use]
    pub fn expired_server(&self, spiffe: &str) -> Identity {
        self.named(vec![uri(spiffe)], Time::Over)
    }

    /// A box's.
    #[must_use]
    pub fn client(&self, spiffe: &str) -> Identity {
        self.client_in(spiffe, Time::Long)
    }

    /// A box's whose time is over since years.
    #[must_use]
    pub fn expired_client(&self, spiffe: &str) -> Identity {
        self.client_in(spiffe, Time::Over)
    }

    /// A box's whose time is over in so many days.
    #[must_use]
    pub fn client_for_days(&self, spiffe: &str, days: u32) -> Identity {
        self.client_in(spiffe, Time::Days(days))
    }

    fn client_in(&self, spiffe: &str, time: Time) -> Identity {
        self.sign(Wanted { names: vec![uri(spiffe)], usage: ExtendedKeyUsagePurpose::ClientAuth, time })
    }

    fn named(&self, names: Vec<SanType>, time: Time) -> Identity {
        self.sign(Wanted { names, usage: ExtendedKeyUsagePurpose::ServerAuth, time })
    }

    fn sign(&self, wanted: Wanted) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = wanted.names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![wanted.usage];
        params.use_authority_key_identifier_extension = true;
        match wanted.time {
            Time::Long => {}
            Time::Over => {
                (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
            }
            Time::Days(days) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
                let (now, day) = (date_time_ymd(1970, 1, 1) + now, Duration::from_hours(24));
                (params.not_before, params.not_after) = (now - day, now + day * days);
            }
        }
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority can sign");
        let number = self.signed.fetch_add(1, Ordering::Relaxed);
        let at = |kind: &str| self.folder.path().join(format!("{number}.{kind}"));
        let identity = Identity { certificate: at("pem"), key: at("key") };
        fs::write(&identity.certificate, certificate.pem()).expect("the temporary folder can be written");
        fs::write(&identity.key, key.serialize_pem()).expect("the temporary folder can be written");
        identity
    }
}

fn uri(spiffe: &str) -> SanType {
    SanType::URI(spiffe.try_into().expect("a SPIFFE id is ASCII"))
}
