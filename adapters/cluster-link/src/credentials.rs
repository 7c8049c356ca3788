//! The box's certificate, its key and the pinned CA. They are read again whenever a connection is made; what cannot be read
//! or does not fit refuses the connection and says why.

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

use crate::{
    config::{Endpoint, Mutual, SpiffeId},
    error::CredentialsError,
    identity::{Proof, Verifier},
};

/// No certificate, key or bundle of a pinned CA is longer.
const MOST_BYTES: u64 = 1 << 20;

/// Where they are, and what was read there last.
pub(crate) struct Credentials {
    files: Mutual,
    allow: Arc<[SpiffeId]>,
    last: Mutex<Option<Arc<Material>>>,
}

/// What was read, and works.
pub(crate) struct Material {
    /// Of the files' contents.
    pub(crate) digest: [u8; 32],
    roots: Arc<RootCertStore>,
    own: Arc<SingleCertAndKey>,
}

impl Credentials {
    /// # Errors
    /// Which file cannot be used, and why.
    pub(crate) fn read(files: Mutual) -> Result<Self, CredentialsError> {
        let allow = files.allow.clone().into();
        let credentials = Self { files, allow, last: Mutex::new(None) };
        credentials.current()?;
        Ok(credentials)
    }

    /// As the files are now.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub(crate) fn current(&self) -> Result<Arc<Material>, CredentialsError> {
        let [ca, certificate, key] =
            [contents(&self.files.ca)?, contents(&self.files.certificate)?, contents(&self.files.key)?];
        let digest = digest(&[&ca, &certificate, &key]);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.digest == digest) {
            return Ok(Arc::clone(last));
        }
        let material = Arc::new(Material {
            digest,
            roots: roots(&ca, &self.files.ca)?,
            own: own(&certificate, &key, &self.files)?,
        });
        *last = Some(Arc::clone(&material));
        Ok(material)
    }

    /// For one handshake; what the server proved is laid into `proof`.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub(crate) fn client(
        &self,
        material: &Material,
        endpoint: &Endpoint,
        proof: &Arc<OnceLock<Proof>>,
    ) -> Result<ClientConfig, CredentialsError> {
        let (roots, allow) = (Arc::clone(&material.roots), Arc::clone(&self.allow));
        let verifier = Verifier::new(roots, allow, endpoint.name().cloned(), Arc::clone(proof));
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| CredentialsError::Mismatch(error.to_string().into()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::clone(&material.own) as _);
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.enable_sni = endpoint.name().is_some();
        // A resumed session would skip the judgement of the certificate.
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

pub(crate) fn shown(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

pub(crate) fn contents(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let wrong = |error: std::io::Error| CredentialsError::File { path: shown(path), kind: error.kind() };
    let mut contents = Vec::new();
    File::open(path).map_err(wrong)?.take(MOST_BYTES).read_to_end(&mut contents).map_err(wrong)?;
    Ok(contents)
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

pub(crate) fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let none = || CredentialsError::Pem { path: shown(path), what: "certificate" };
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| none())?;
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

pub(crate) fn roots(ca: &[u8], path: &Path) -> Result<Arc<RootCertStore>, CredentialsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca, path)? {
        roots.add(certificate).map_err(|_| CredentialsError::Pem { path: shown(path), what: "CA certificate" })?;
    }
    Ok(Arc::new(roots))
}

pub(crate) fn own(certificate: &[u8], key: &[u8], files: &Mutual) -> Result<Arc<SingleCertAndKey>, CredentialsError> {
    let chain = certificates(certificate, &files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| CredentialsError::Pem { path: shown(&files.key), what: "private key" })?;
    let pair = CertifiedKey::from_der(chain, key, &default_provider())
        .map_err(|error| CredentialsError::Mismatch(error.to_string().into()))?;
    Ok(Arc::new(SingleCertAndKey::from(pair)))
}
