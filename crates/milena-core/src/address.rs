//! The host and port of a broker.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Error, ErrorKind};

/// A host name or IP address, and a port.
///
/// Read from and written as `host:port`. An IPv6 address is written as `[::1]:9092`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The host name or IP address. IPv6 addresses are stored without brackets.
    host: Arc<str>,
    /// The TCP port. 0 cannot be parsed, only passed to [`Address::new`].
    port: u16,
}

impl Address {
    /// The port that is used when an address names none.
    pub const DEFAULT_PORT: u16 = 9092;

    /// Creates an address from its parts. An IPv6 host may have brackets or not.
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

    /// Returns the host name or IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Address {
    /// Reads a comma-separated list of addresses, the form of `bootstrap.servers`. Ignores blanks,
    /// line ends and empty items. An address that occurs twice is returned once.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for the first item that cannot be used. The error text never holds a
    /// user name or password that stands before an `@`.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Error> {
        if text.contains('@') {
            // Check before splitting at commas, because a password may hold commas. Half of it
            // would otherwise appear in the error text.
            return Err(refuse(text, USERINFO));
        }
        let mut found: Vec<Self> = Vec::new();
        for item in text.split(',').map(str::trim) {
            if item.is_empty() {
                continue;
            }
            let address = item.parse()?;
            if !found.contains(&address) {
                found.push(address);
            }
        }
        Ok(found)
    }

    /// Returns `text` in a form that is safe to show. Replaces everything before the last `@` with
    /// `…`, because it may be a password.
    #[must_use]
    pub fn redacted(text: &str) -> String {
        match text.rsplit_once('@') {
            None => text.trim().escape_debug().to_string(),
            Some((_, host)) => format!("…@{}", host.trim().escape_debug()),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads `host:port`, `host` (port 9092) or `[ipv6]:port`. Each may start with `PLAINTEXT://`.
    ///
    /// Refuses every other protocol. `SASL_SSL://host:9092` asks for encryption, and this client
    /// would connect in clear text.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| refuse(text, why);
        let trimmed = text.trim();
        if trimmed.contains('@') {
            return Err(refuse(USERINFO));
        }
        if let Some(placeholder) = crate::placeholder(trimmed) {
            let why = format!("it holds the placeholder `{placeholder}`, which was not replaced");
            return Err(refuse(&why));
        }
        if trimmed.contains(['"', '\'']) {
            return Err(refuse("it holds quotes, which do not belong there"));
        }
        let rest = match trimmed.split_once("://") {
            Some((protocol, rest)) => {
                speaks(protocol).map_err(|why| refuse(&why))?;
                rest
            }
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
        let odd = |c: char| {
            c.is_whitespace()
                || c.is_control()
                || matches!(c, '/' | '\\' | ',' | ';' | '=' | '?' | '#' | '$')
        };
        if host.contains(odd) {
            return Err(refuse(
                "the host holds a character that is not allowed there",
            ));
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

/// Accepts the protocol before an address if this client supports it. The error says why not.
fn speaks(protocol: &str) -> Result<(), String> {
    match protocol.to_ascii_uppercase().as_str() {
        "PLAINTEXT" => Ok(()),
        "SSL" | "SASL_SSL" | "SASL_PLAINTEXT" => Err(format!(
            "`{protocol}` asks for TLS or SASL, which this version does not support; nothing was sent"
        )),
        "HTTP" | "HTTPS" => Err("that is a web address".to_owned()),
        _ => Err(format!(
            "`{protocol}` is not a supported protocol; only PLAINTEXT is"
        )),
    }
}

/// Creates the error for an address that cannot be used. Removes passwords from `text`.
fn refuse(text: &str, why: &str) -> Error {
    let shown = Address::redacted(text);
    let what = format!("`{shown}` is not a broker address: {why}; write host:port");
    Error::new(ErrorKind::Config, what).setting("bootstrap.servers")
}

const USERINFO: &str = "a name or password before an `@` is not supported";

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
            ("plaintext://[::1]:9094\n", "[::1]:9094"),
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

    #[test]
    fn a_protocol_that_is_not_spoken_is_refused() {
        for (text, why) in [
            ("SASL_SSL://host:9092", "TLS or SASL"),
            ("ssl://host:9092", "TLS or SASL"),
            ("SASL_PLAINTEXT://host:9092", "TLS or SASL"),
            ("kafka://host:9092", "only PLAINTEXT"),
            ("tcp://10.96.0.12:9092", "only PLAINTEXT"),
            ("https://host", "web address"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn what_stands_before_an_at_sign_is_never_shown() {
        for text in [
            "user:hunter2@host:9092",
            "SASL_SSL://user:hunter2@host:9092",
            "a:1,user:hun,hunter2@host:9092",
            "hunter2@",
        ] {
            for error in [
                Address::parse_list(text).unwrap_err(),
                text.parse::<Address>().unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Config);
                for shown in [format!("{error}"), format!("{error:?}")] {
                    assert!(!shown.contains("hunter2"), "{shown}");
                    assert!(!shown.contains("user"), "{shown}");
                }
            }
            assert!(!Address::redacted(text).contains("hunter2"));
        }
    }

    #[test]
    fn quotes_and_placeholders_are_refused_by_name() {
        for (text, why) in [
            ("\"host:9092\"", "quotes"),
            ("'host:9092'", "quotes"),
            ("${BROKERS}", "placeholder `${BROKERS}`"),
            ("{{ .Values.brokers }}", "placeholder"),
            ("%BROKERS%:9092", "placeholder `%BROKERS%`"),
            ("$BROKERS", "placeholder `$BROKERS`"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_list_passes_over_blanks_and_empty_items() {
        let shown = |text: &str| {
            let list = Address::parse_list(text).unwrap();
            list.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown(" a:1 , b:2,,a:1,\n"), ["a:1", "b:2"]);
        assert!(shown(" \n").is_empty());
    }
}
