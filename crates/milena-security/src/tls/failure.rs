//! The reasons why a TLS handshake fails, each with the thing to do.

use std::io;

use milena_core::{Error, ErrorKind, Timestamp};
use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerMisbehaved};

use super::certificate::date;

/// The reason why a TLS handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// None of the roots issued the broker's certificate, or a certificate between is missing.
    UnknownCa,
    /// The broker's certificate is for other names.
    WrongName,
    /// The broker's certificate is expired. `None` if the time is unknown.
    Expired(Option<Timestamp>),
    /// The broker's certificate is not valid yet. `None` if the time is unknown.
    NotYetValid(Option<Timestamp>),
    /// The broker's certificate is revoked, or the list that would say so is missing or old.
    Revoked,
    /// The peer does not speak TLS.
    Plaintext,
    /// The peer closed the stream without an answer.
    ClosedByPeer,
    /// The broker refused the client's certificate, or wants one. Holds the name of its alert.
    CertificateRefused(String),
    /// No TLS version, cipher or signature is common to both sides.
    NothingInCommon,
    /// Another reason, in rustls's words.
    Other(String),
}

impl HandshakeFailure {
    /// Reads the reason of an error of a TLS stream. `None` if the stream itself broke.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(inner) => Some(Self::of_rustls(inner)),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Some(Self::ClosedByPeer),
            None => None,
        }
    }

    fn of_rustls(error: &rustls::Error) -> Self {
        use rustls::Error as Tls;
        match error {
            Tls::InvalidCertificate(reason) => Self::of_certificate(reason),
            Tls::InvalidCertRevocationList(_) => Self::Revoked,
            Tls::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            ) => Self::Plaintext,
            Tls::PeerIncompatible(_)
            | Tls::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite)
            | Tls::AlertReceived(
                AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity,
            ) => Self::NothingInCommon,
            Tls::AlertReceived(
                alert @ (AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError),
            ) => Self::CertificateRefused(format!("{alert:?}")),
            other => Self::Other(other.to_string()),
        }
    }

    fn of_certificate(reason: &CertificateError) -> Self {
        use CertificateError as Reason;
        let time = |time: &rustls::pki_types::UnixTime| {
            let millis = i64::try_from(time.as_secs()).ok()?.checked_mul(1_000)?;
            Some(Timestamp::from_millis(millis))
        };
        match reason {
            Reason::UnknownIssuer => Self::UnknownCa,
            Reason::NotValidForName | Reason::NotValidForNameContext { .. } => Self::WrongName,
            Reason::Expired => Self::Expired(None),
            Reason::ExpiredContext { not_after, .. } => Self::Expired(time(not_after)),
            Reason::NotValidYet => Self::NotYetValid(None),
            Reason::NotValidYetContext { not_before, .. } => Self::NotYetValid(time(not_before)),
            Reason::Revoked
            | Reason::UnknownRevocationStatus
            | Reason::ExpiredRevocationList
            | Reason::ExpiredRevocationListContext { .. } => Self::Revoked,
            other => Self::Other(format!("the broker's certificate is refused: {other}")),
        }
    }

    /// Creates the error of a failed handshake, or of a failed first read behind it, with the
    /// broker that is advertised as `host`.
    #[must_use]
    pub fn error(host: &str, error: io::Error) -> Error {
        let failure = Self::of(&error);
        let (kind, text) = match &failure {
            // A closed stream may be a broker that restarts, so another attempt may succeed.
            Some(Self::ClosedByPeer) | None => {
                (ErrorKind::Transport, ErrorText(host, failure.as_ref()))
            }
            Some(_) => (ErrorKind::Security, ErrorText(host, failure.as_ref())),
        };
        Error::new(kind, text.to_string()).with_source(error)
    }

    /// Returns a short name for metrics, such as `unknown_ca`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::UnknownCa => "unknown_ca",
            Self::WrongName => "wrong_name",
            Self::Expired(_) => "expired",
            Self::NotYetValid(_) => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::Plaintext => "plaintext",
            Self::ClosedByPeer => "closed_by_peer",
            Self::CertificateRefused(_) => "certificate_refused",
            Self::NothingInCommon => "nothing_in_common",
            Self::Other(_) => "other",
        }
    }
}

/// The sentence for a host and a reason.
struct ErrorText<'a>(&'a str, Option<&'a HandshakeFailure>);

impl std::fmt::Display for ErrorText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.0;
        let at = |time: &Option<Timestamp>| {
            time.map_or_else(String::new, |time| format!(" ({})", date(time)))
        };
        let Some(failure) = self.1 else {
            return write!(f, "the connection to {host} broke during the TLS handshake");
        };
        match failure {
            HandshakeFailure::UnknownCa => write!(
                f,
                "no trusted authority issued the certificate of {host}: name the file of its \
                 authority (`ssl.ca.location`), or have the broker send the certificates between"
            ),
            HandshakeFailure::WrongName => write!(
                f,
                "the certificate of {host} is for other names: add this name to its subject \
                 alternative names, or advertise a name that it has"
            ),
            HandshakeFailure::Expired(time) => write!(
                f,
                "the certificate of {host} is expired{}: renew it on the broker, or set this \
                 machine's clock",
                at(time)
            ),
            HandshakeFailure::NotYetValid(time) => write!(
                f,
                "the certificate of {host} is not valid yet{}: compare the clocks of both sides",
                at(time)
            ),
            HandshakeFailure::Revoked => write!(
                f,
                "the certificate of {host} is revoked, or no fresh revocation list says that it is \
                 not: renew the certificate or the list (`ssl.crl.location`)"
            ),
            HandshakeFailure::Plaintext => write!(
                f,
                "{host} does not speak TLS on this port: use the port of a TLS listener, or a \
                 `security.protocol` without SSL"
            ),
            HandshakeFailure::ClosedByPeer => write!(
                f,
                "{host} closed the connection during the TLS handshake: check that the listener \
                 speaks TLS and is not at its connection limit"
            ),
            HandshakeFailure::CertificateRefused(alert) => write!(
                f,
                "{host} refused the certificate of this client (alert {alert}): set a certificate \
                 that the broker's authority issued (`ssl.certificate.location`), with its chain"
            ),
            HandshakeFailure::NothingInCommon => write!(
                f,
                "{host} and this client have no TLS version or cipher in common: milena speaks TLS \
                 1.2 and 1.3 only"
            ),
            HandshakeFailure::Other(why) => {
                write!(f, "the TLS handshake with {host} failed: {why}")
            }
        }
    }
}
