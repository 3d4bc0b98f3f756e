//! A TLS configuration of a client, ready to connect.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::builder::TlsBuilder;
use super::failure::HandshakeFailure;
use super::identity::Identity;

/// A TLS configuration of a client. A clone shares it.
#[derive(Clone)]
pub struct TlsConfig {
    /// The configuration as rustls reads it.
    client: Arc<ClientConfig>,
    /// The client's own certificate. `None` shows none.
    identity: Option<Arc<Identity>>,
}

impl TlsConfig {
    pub(crate) fn new(client: Arc<ClientConfig>, identity: Option<Identity>) -> Self {
        Self {
            client,
            identity: identity.map(Arc::new),
        }
    }

    /// Starts the settings of a configuration: roots of the system, no certificate of the client,
    /// names checked, TLS 1.2 and 1.3.
    #[must_use]
    pub fn builder() -> TlsBuilder {
        TlsBuilder::default()
    }

    /// Returns the configuration as rustls reads it.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// Returns true if `other` is this configuration or a clone of it.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }

    /// Returns the client's own certificate. `None` if it shows none.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// Returns the name that the certificate of `host` must have. `host` is the advertised name or
    /// IP address of the broker. A dot at its end and brackets around IPv6 are cut.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `host` is neither a DNS name nor an IP address.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>> {
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        // A scope such as %eth0 belongs to this machine and stands in no certificate.
        let unscoped = bare.split_once('%').map_or(bare, |(address, _)| address);
        if let Ok(address) = unscoped.parse::<IpAddr>() {
            return Ok(ServerName::from(address));
        }
        let name = bare.strip_suffix('.').unwrap_or(bare).to_owned();
        ServerName::try_from(name).map_err(|error| {
            let text = format!("{host:?} is neither a DNS name nor an IP address, as TLS needs it");
            Error::new(ErrorKind::Config, text).with_source(error)
        })
    }

    /// Shakes hands with the broker that is advertised as `host`, over `stream`.
    ///
    /// Waits without a deadline. In TLS 1.3 a broker refuses the client's certificate only in its
    /// first answer. Give a failed first read to [`HandshakeFailure::error`] too.
    ///
    /// # Errors
    /// [`ErrorKind::Security`] with the thing to do, as [`HandshakeFailure`] tells it, and
    /// [`ErrorKind::Transport`] if the stream broke.
    ///
    /// # Cancel safety
    /// If the future is dropped, the stream is closed.
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.server_name(host)?;
        let connector = TlsConnector::from(self.client_config());
        let shaken = connector.connect(name, stream).await;
        shaken.map_err(|error| HandshakeFailure::error(host, error))
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
