//! The address of an HTTP resource.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use milena_core::{Error, ErrorKind, Result};

/// The address of an HTTP resource, with the scheme `https` or `http`. It holds no user and no
/// password.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// True for `https`.
    secure: bool,
    /// The host as it stands, with brackets around IPv6.
    host: String,
    /// The port. `None` is that of the scheme.
    port: Option<u16>,
    /// Path and query. Begins with a slash.
    path: String,
}

impl HttpUrl {
    /// Returns true for `https`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the host, without brackets around IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        let bare = self
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        bare.unwrap_or(&self.host)
    }

    /// Returns the IP address, if the host is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// Returns the port, which is 443 or 80 if none was given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.secure { 443 } else { 80 })
    }

    /// Returns path and query, as a request names them.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the text of the header `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Returns the address with another path and query.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `path` does not begin with a slash, or has characters that no
    /// address has.
    pub fn with_path(&self, path: &str) -> Result<Self> {
        let valid = path.starts_with('/') && !path.starts_with("//");
        let parsed = path.parse::<Uri>().ok().filter(|_| valid);
        let path = parsed.and_then(|uri| Some(uri.path_and_query()?.to_string()));
        let path = path.ok_or_else(|| refused("its path is damaged"))?;
        Ok(Self {
            path,
            ..self.clone()
        })
    }

    /// Returns the address that a redirect names. `None` unless it is on the same host, port and
    /// scheme.
    pub(crate) fn redirected(&self, location: &str) -> Option<Self> {
        if location.starts_with('/') {
            return self.with_path(location).ok();
        }
        let target: Self = location.parse().ok()?;
        let same = target.secure == self.secure
            && target.host().eq_ignore_ascii_case(self.host())
            && target.port() == self.port();
        same.then_some(target)
    }
}

impl FromStr for HttpUrl {
    type Err = Error;

    /// Reads an address.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for another scheme than `https` and `http`, without a host, and with a
    /// user or a password. The text does not repeat the address.
    fn from_str(text: &str) -> Result<Self> {
        let uri: Uri = text.parse().map_err(|_| refused("it cannot be read"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(refused("only https addresses are read")),
            None => return Err(refused("it has no scheme")),
        };
        let authority = uri.authority().ok_or_else(|| refused("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused(
                "it has a user or a password in it, which logs may show",
            ));
        }
        if authority.host().is_empty() {
            return Err(refused("it has no host"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            secure,
            host: authority.host().to_owned(),
            port: authority.port_u16(),
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }
}

/// Writes scheme and host. A path or a query may hold what logs should not show.
impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({self})")
    }
}

fn refused(why: &str) -> Error {
    let text = format!("an HTTP address cannot be used: {why}. Write it like https://host/path");
    Error::new(ErrorKind::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_parts() {
        let url: HttpUrl = "https://login.example.com/token?a=b".parse().unwrap();
        assert_eq!(
            (url.host(), url.port(), url.path()),
            ("login.example.com", 443, "/token?a=b")
        );
        assert_eq!(url.authority(), "login.example.com");
        assert_eq!(url.to_string(), "https://login.example.com");
        let url: HttpUrl = "http://[::1]:8080".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.path()), ("::1", 8_080, "/"));
        assert_eq!(url.authority(), "[::1]:8080");
    }

    #[test]
    fn other_schemes_and_passwords_are_refused() {
        for text in [
            "file:///etc/passwd",
            "ftp://a/b",
            "/token",
            "",
            "https://",
            "https://u:hunter2@a/",
        ] {
            let error = text.parse::<HttpUrl>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_redirect_stays_on_its_host() {
        let url: HttpUrl = "https://a.example.com/x".parse().unwrap();
        for there in [
            "/y",
            "https://a.example.com/y",
            "https://A.example.com:443/y",
        ] {
            assert_eq!(url.redirected(there).unwrap().path(), "/y", "{there}");
        }
        for there in [
            "http://a.example.com/y",
            "https://b.example.com/y",
            "//b/y",
            "https://a.example.com:444/y",
            "file:///y",
            "",
        ] {
            assert_eq!(url.redirected(there), None, "{there}");
        }
    }
}
