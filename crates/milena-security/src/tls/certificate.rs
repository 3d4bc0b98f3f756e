//! Certificates in PEM, and the dates in them.

use milena_core::{Result, Timestamp};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;

use super::pem_source::PemSource;
use crate::secret::Secret;

/// Reads all certificates of `pem`, in their order. There is at least one.
pub(crate) fn certificates(pem: &Secret, from: &PemSource) -> Result<Vec<CertificateDer<'static>>> {
    let read: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.expose()).collect();
    let found = read.map_err(|error| from.refused(&format!("its PEM is damaged ({error})")))?;
    if found.is_empty() {
        return Err(from.refused("it has no certificate: it needs \"BEGIN CERTIFICATE\""));
    }
    Ok(found)
}

/// Reads all revocation lists of `pem`. There is at least one.
pub(crate) fn revocation_lists(
    pem: &Secret,
    from: &PemSource,
) -> Result<Vec<CertificateRevocationListDer<'static>>> {
    let read: std::result::Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(pem.expose()).collect();
    let found = read.map_err(|error| from.refused(&format!("its PEM is damaged ({error})")))?;
    if found.is_empty() {
        return Err(from.refused("it has no revocation list: it needs \"BEGIN X509 CRL\""));
    }
    Ok(found)
}

/// The subject of a certificate, and the time in which it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The subject, as RFC 4514 writes it, such as `CN=billing`.
    subject: String,
    /// The first moment at which it is valid.
    not_before: Timestamp,
    /// The last moment at which it is valid.
    not_after: Timestamp,
}

impl Validity {
    /// Reads the dates of `certificate`.
    pub(crate) fn read(certificate: &CertificateDer<'_>, from: &PemSource) -> Result<Self> {
        let certificate = CertificateInner::<Raw>::from_der(certificate)
            .map_err(|error| from.refused(&format!("its certificate cannot be read ({error})")))?;
        let inner = certificate.tbs_certificate;
        let time = |time: x509_cert::time::Time| {
            let millis = i64::try_from(time.to_unix_duration().as_millis());
            Timestamp::from_millis(millis.unwrap_or(i64::MAX))
        };
        Ok(Self {
            subject: inner.subject.to_string(),
            not_before: time(inner.validity.not_before),
            not_after: time(inner.validity.not_after),
        })
    }

    /// Returns the subject, as RFC 4514 writes it.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns the first moment at which the certificate is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns the last moment at which the certificate is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Returns the whole days that are left at `now`. Negative once the certificate is expired.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> i64 {
        let left = self.not_after.to_millis().saturating_sub(now.to_millis());
        left.div_euclid(DAY_MS)
    }

    /// Refuses a certificate that is not valid at `now`.
    pub(crate) fn check(&self, now: Timestamp, from: &PemSource) -> Result<()> {
        let (begins, ends) = (date(self.not_before), date(self.not_after));
        let why = if now > self.not_after {
            format!(
                "its certificate {} expired on {ends}: renew it",
                self.subject
            )
        } else if now < self.not_before {
            format!(
                "its certificate {} is valid from {begins} to {ends}, and the clock shows {}: \
                 compare the clocks",
                self.subject,
                date(now)
            )
        } else {
            return Ok(());
        };
        Err(from.refused(&why))
    }
}

/// Returns a time as a text, such as `2026-08-01T10:11:12Z`.
pub(crate) fn date(time: Timestamp) -> String {
    let seconds = jiff::Timestamp::from_second(time.to_millis().div_euclid(1_000));
    seconds.map_or_else(
        |_| format!("{} ms", time.to_millis()),
        |time| time.to_string(),
    )
}

/// The milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
