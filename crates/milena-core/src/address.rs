//! Where a broker listens: a host and a port.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Error, ErrorKind};

/// A host name or IP address, and a port. Read from and written as `host:port`, IPv6 as `[::1]:9092`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: Arc<str>,
    port: u16,
}

impl Address {
    /// The port that Kafka uses when none is named.
    pub const DEFAULT_PORT: u16 = 9092;

    /// An address by its parts; an IPv6 host may come with or without its brackets.
    pub fn new(host: impl AsRef<str>, port: u16) -> Self {
        let host = host.as_ref();
        let bare = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host);
        Self {
            host: bare.into(),
            port,
        }
    }

    /// The host name or IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads `host:port`, `host` (port 9092) or `[ipv6]:port`; a listener name before it (`PLAINTEXT://`) is passed over.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            Error::new(
                ErrorKind::Config,
                format!("`{text}` is not a broker address: {why}; write host:port"),
            )
            .setting("bootstrap.servers")
        };
        let trimmed = text.trim();
        let rest = match trimmed.split_once("://") {
            Some((scheme, _))
                if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
            {
                return Err(refuse("that is a web address"));
            }
            Some((_, rest)) => rest,
            None => trimmed,
        };
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let (host, after) = bracketed
                .split_once(']')
                .ok_or_else(|| refuse("the bracket is not closed"))?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(refuse("a port must follow the bracket")),
            }
        } else {
            match rest.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => (rest, None), // a bare IPv6 address
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        if host.is_empty() {
            return Err(refuse("the host is missing"));
        }
        if host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | ',')) {
            return Err(refuse("the host holds a character that no host has"));
        }
        let port = match port {
            None => Self::DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(refuse("the port is a number from 1 to 65535")),
            },
        };
        Ok(Self::new(host, port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        for (text, shown) in [
            ("localhost:9093", "localhost:9093"),
            (" kafka ", "kafka:9092"),
            ("[::1]:9094", "[::1]:9094"),
            ("[fe80::1]", "[fe80::1]:9092"),
            ("::1", "[::1]:9092"),
            ("PLAINTEXT://broker-1:19092", "broker-1:19092"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_wrong_form_is_refused_by_name() {
        for text in [
            "",
            ":9092",
            "host:0",
            "host:99999",
            "host:port",
            "[::1",
            "http://host:9092",
            "a,b:1",
            "[::1]x",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
