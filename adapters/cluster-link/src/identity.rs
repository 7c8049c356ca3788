//! Who listens at the other end: a chain to the pinned CA alone, valid now, for servers, with exactly one URI, which is in
//! the allow-list. There are no public roots, no revocation service, and no resumed session that would skip this.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::{
    config::SpiffeId,
    error::{ConnectError, IdentityError, ShownUri},
};

/// Who listens at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It proved it.
    Proven {
        /// SHA-256 of its certificate.
        fingerprint: [u8; 32],
        /// Whom that names.
        spiffe_id: SpiffeId,
    },
    /// It proved nothing: plain text, on loopback.
    Insecure,
}

/// What a certificate that was accepted says.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) peer: Peer,
    /// Since the Unix epoch.
    pub(crate) expires: Duration,
}

/// Judges a server's certificate, once for each handshake.
pub(crate) struct Verifier {
    roots: Arc<RootCertStore>,
    allow: Arc<[SpiffeId]>,
    name: Option<ServerName<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    proof: Arc<OnceLock<Proof>>,
}

impl Verifier {
    /// What is accepted is laid into `proof`.
    pub(crate) fn new(
        roots: Arc<RootCertStore>,
        allow: Arc<[SpiffeId]>,
        name: Option<ServerName<'static>>,
        proof: Arc<OnceLock<Proof>>,
    ) -> Self {
        let algorithms = tokio_rustls::rustls::crypto::ring::default_provider().signature_verification_algorithms;
        Self { roots, allow, name, algorithms, proof }
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Proof, IdentityError> {
        let parsed = ParsedCertificate::try_from(leaf).map_err(|_| IdentityError::Unreadable)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, between, now, self.algorithms.all)
            .map_err(|error| of_rustls(&error))?;
        if let Some(name) = &self.name {
            verify_server_name(&parsed, name).map_err(|_| IdentityError::WrongName)?;
        }
        let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| IdentityError::Unreadable)?;
        // The chain's judge takes a certificate that names no usage at all for one of a server.
        let usage = certificate.extended_key_usage().map_err(|_| IdentityError::Unreadable)?;
        if !usage.is_some_and(|usage| usage.value.server_auth) {
            return Err(IdentityError::NotForServers);
        }
        let spiffe_id = self.allowed(&certificate)?;
        let expires =
            u64::try_from(certificate.validity().not_after.timestamp()).map_err(|_| IdentityError::Expired)?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, leaf).as_ref());
        Ok(Proof { peer: Peer::Proven { fingerprint, spiffe_id }, expires: Duration::from_secs(expires) })
    }

    fn allowed(&self, certificate: &X509Certificate<'_>) -> Result<SpiffeId, IdentityError> {
        let uri = sole_uri(certificate)?;
        let allowed = self.allow.iter().find(|id| id.as_str() == uri);
        allowed.cloned().ok_or_else(|| IdentityError::NotAllowed(ShownUri(shown(uri))))
    }
}

/// Whom a certificate names.
pub(crate) fn sole_uri<'c>(certificate: &'c X509Certificate<'_>) -> Result<&'c str, IdentityError> {
    let names = certificate.subject_alternative_name().map_err(|_| IdentityError::Unreadable)?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let mut uris = names.iter().filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    let uri = uris.next().ok_or(IdentityError::NoUri)?;
    let more = uris.count();
    if more > 0 { Err(IdentityError::SeveralUris(more + 1)) } else { Ok(uri) }
}

/// At most 256 printable characters of what somebody sent.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|one| !one.is_control()).take(256).collect()
}

impl fmt::Debug for Verifier {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Verifier").field("allow", &self.allow).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let proof = self
            .judge(end_entity, intermediates, now)
            .map_err(|why| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why)))))?;
        // A second handshake on the same configuration would be a bug: each connection has its own.
        self.proof.set(proof).map_err(|_| Error::General("one handshake for each verifier".into()))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Why a handshake failed, by what the TLS library says.
pub(crate) fn of_handshake(error: &std::io::Error) -> ConnectError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => IdentityError::PlainText.into(),
        Some(error) => of_rustls(error).into(),
        None => ConnectError::Unreachable(error.kind()),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "not ours to list to its end: the TLS library adds to it")]
pub(crate) fn of_rustls(error: &Error) -> IdentityError {
    let Error::InvalidCertificate(certificate) = error else {
        return IdentityError::Handshake(shown(&error.to_string()).into());
    };
    match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => IdentityError::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => IdentityError::NotYetValid,
        CertificateError::UnknownIssuer | CertificateError::BadSignature => IdentityError::WrongCa,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            IdentityError::NotForServers
        }
        CertificateError::BadEncoding => IdentityError::Unreadable,
        CertificateError::Other(other) => other
            .0
            .downcast_ref::<IdentityError>()
            .cloned()
            .unwrap_or_else(|| IdentityError::Handshake(shown(&other.to_string()).into())),
        more => IdentityError::Handshake(shown(&more.to_string()).into()),
    }
}
