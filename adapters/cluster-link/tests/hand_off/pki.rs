//! A test's own certificates.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cluster_link::{Mutual, Security};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};

pub(crate) const TRITON: &str = "spiffe://factory.jp/gpu/triton";

/// A CA.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// What a leaf says.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) uris: Vec<&'static str>,
    pub(crate) names: Vec<&'static str>,
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
    /// From now, in seconds.
    pub(crate) valid: (i64, i64),
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            uris: vec![TRITON],
            names: vec![],
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth],
            valid: (-3_600, 3_600),
        }
    }
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA"))
    }

    /// Certificate and key, in PEM.
    pub(crate) fn issue(&self, leaf: &Leaf) -> (String, String) {
        let mut params = CertificateParams::default();
        let uri = |uri: &&str| SanType::URI((*uri).try_into().expect("ASCII"));
        let name = |name: &&str| SanType::DnsName((*name).try_into().expect("ASCII"));
        params.subject_alt_names = leaf.uris.iter().map(uri).chain(leaf.names.iter().map(name)).collect();
        params.extended_key_usages.clone_from(&leaf.usages);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let at = |from_now: i64| {
            let seconds = now.checked_add_signed(from_now).expect("after 1970");
            date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
        };
        (params.not_before, params.not_after) = (at(leaf.valid.0), at(leaf.valid.1));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server that has this leaf, and accepts boxes of `clients` only.
    pub(crate) fn server(&self, leaf: &Leaf, clients: &Ca) -> Arc<ServerConfig> {
        self.server_of(leaf, clients, b"h2")
    }

    pub(crate) fn server_of(&self, leaf: &Leaf, clients: &Ca, protocol: &[u8]) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(leaf);
        let mut roots = RootCertStore::empty();
        roots.add(clients.0.der().clone()).expect("a CA");
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let certificates = vec![PemObject::from_pem_slice(certificate.as_bytes()).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect("a version")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(certificates, key)
            .expect("a pair");
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

/// The box's files.
pub(crate) struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    /// The box's certificate is of `own`; servers must be of `pinned`.
    pub(crate) fn new(pinned: &Ca, own: &Ca) -> Self {
        let files = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::write(files.path("ca.pem"), pinned.pem()).expect("written");
        files.renew(own);
        files
    }

    pub(crate) fn renew(&self, own: &Ca) {
        let leaf = Leaf {
            uris: vec!["spiffe://factory.jp/box/cell-1"],
            usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
            ..Leaf::default()
        };
        let (certificate, key) = own.issue(&leaf);
        fs::write(self.path("box.pem"), certificate).expect("written");
        fs::write(self.path("box.key"), key).expect("written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }

    pub(crate) fn security(&self) -> Security {
        Security::Mutual(Mutual {
            ca: self.path("ca.pem"),
            certificate: self.path("box.pem"),
            key: self.path("box.key"),
            allow: vec![TRITON.parse().expect("an id")],
        })
    }
}
