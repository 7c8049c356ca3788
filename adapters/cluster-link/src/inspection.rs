//! What the box's credentials are, for who asks before anything is connected. They are read by the functions that each connection
//! reads them by; nothing is sent, and nobody is asked.

use std::{fs, os::unix::fs::MetadataExt, sync::Arc, time::Duration};

use tokio_rustls::rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, UnixTime},
    server::WebPkiClientVerifier,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::{
    config::Mutual,
    credentials::{self, certificates, contents, own, roots},
    error::{CredentialsError, IdentityError},
    identity::{of_rustls, shown, sole_uri},
};

/// What is in the files of a proof by certificates.
#[derive(Debug)]
pub struct Inspection {
    /// The pinned CA's certificates, one at least. That their time is over does not keep a connection of this box from being
    /// made, but servers may hold it against the box.
    pub ca: Result<Vec<Validity>, CredentialsError>,
    /// The box's own certificate.
    pub own: Result<Own, CredentialsError>,
    /// Whether the key can be used, and is the certificate's.
    pub pair: Result<(), CredentialsError>,
    /// The key file's permission bits, where others than its owner may read or write it.
    pub exposed: Option<u32>,
}

/// What the box's own certificate says.
#[derive(Debug)]
pub struct Own {
    /// The one URI that it names: at most 256 printable characters.
    pub uri: Result<String, IdentityError>,
    /// Of it and of what is between it and its CA, together.
    pub validity: Validity,
    /// It names no usage, or that of clients too: servers refuse others.
    pub is_for_clients: bool,
    /// Its chain ends at the pinned CA. Where it does not, servers must trust another one.
    pub is_of_pinned_ca: bool,
}

/// When certificates hold, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub from_s: i64,
    /// Until then.
    pub until_s: i64,
}

impl Mutual {
    /// What is in its files now.
    #[must_use]
    pub fn inspect(&self) -> Inspection {
        Inspection {
            ca: self.ca_validities(),
            own: self.own(),
            pair: self.pair(),
            exposed: fs::metadata(&self.key).ok().map(|key| key.mode() & 0o777).filter(|mode| mode & 0o077 != 0),
        }
    }

    fn ca_validities(&self) -> Result<Vec<Validity>, CredentialsError> {
        let pem = contents(&self.ca)?;
        // What cannot be a CA is refused as it is for a connection.
        roots(&pem, &self.ca)?;
        let found = certificates(&pem, &self.ca)?;
        let unreadable = || CredentialsError::Unreadable(credentials::shown(&self.ca));
        found.iter().map(|der| Ok(validity(&parsed(der).ok_or_else(unreadable)?))).collect()
    }

    fn own(&self) -> Result<Own, CredentialsError> {
        let chain = certificates(&contents(&self.certificate)?, &self.certificate)?;
        let unreadable = || CredentialsError::Unreadable(credentials::shown(&self.certificate));
        let all = chain.iter().map(|der| parsed(der).ok_or_else(unreadable)).collect::<Result<Vec<_>, _>>()?;
        let [leaf, between @ ..] = &all[..] else { unreachable!("`certificates` gives one at least") };
        let usage = leaf.extended_key_usage().map_err(|_| unreadable())?;
        Ok(Own {
            uri: sole_uri(leaf).map(shown),
            validity: between.iter().map(validity).fold(validity(leaf), Validity::and),
            is_for_clients: usage.is_none_or(|usage| usage.value.client_auth || usage.value.any),
            is_of_pinned_ca: self.is_of_pinned_ca(&chain, validity(leaf)),
        })
    }

    /// As a server judges that trusts the pinned CA; but for the time, of which more is said elsewhere.
    fn is_of_pinned_ca(&self, chain: &[CertificateDer<'static>], validity: Validity) -> bool {
        let [leaf, between @ ..] = chain else { return false };
        let Ok(roots) = contents(&self.ca).and_then(|pem| roots(&pem, &self.ca)) else { return false };
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::new(default_provider())).build();
        let then = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(validity.from_s).unwrap_or(0)));
        let judged = verifier.map(|verifier| verifier.verify_client_cert(leaf, between, then));
        judged.is_ok_and(|judged| judged.err().is_none_or(|error| of_rustls(&error) != IdentityError::WrongCa))
    }

    fn pair(&self) -> Result<(), CredentialsError> {
        own(&contents(&self.certificate)?, &contents(&self.key)?, self).map(|_| ())
    }
}

impl Validity {
    /// When both hold.
    fn and(self, other: Self) -> Self {
        Self { from_s: self.from_s.max(other.from_s), until_s: self.until_s.min(other.until_s) }
    }
}

fn parsed<'d>(der: &'d CertificateDer<'_>) -> Option<X509Certificate<'d>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    Validity { from_s: validity.not_before.timestamp(), until_s: validity.not_after.timestamp() }
}
