//! The addresses that may be asked without encryption.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use milena_core::{Error, ErrorKind, Result};

use super::url::HttpUrl;

/// The addresses that may be asked without encryption. None by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlainAddresses {
    /// True for addresses of this machine.
    pub(crate) loopback: bool,
    /// True for the fixed addresses at which AWS serves credentials.
    pub(crate) aws: bool,
}

impl PlainAddresses {
    /// Returns those of `found` that may be asked for `url`.
    ///
    /// # Errors
    /// [`ErrorKind::Security`] if there is none.
    pub(crate) fn allowed(self, url: &HttpUrl, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>> {
        if url.is_secure() {
            return Ok(found);
        }
        // The addresses of AWS count only when they stand in the URL, not when a name leads there.
        let aws = self.aws && url.ip().is_some_and(|ip| AWS.contains(&ip));
        let mut allowed = found;
        allowed.retain(|address| aws || (self.loopback && address.ip().is_loopback()));
        if !allowed.is_empty() {
            return Ok(allowed);
        }
        let text = format!(
            "{url} is not asked, since http sends secrets in clear: use https, or allow http for this machine"
        );
        Err(Error::new(ErrorKind::Security, text))
    }
}

/// The fixed addresses at which AWS serves credentials: instances, containers, and pods, each with
/// IPv4 and IPv6.
const AWS: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(plain: PlainAddresses, url: &str, found: &str) -> bool {
        let found = vec![SocketAddr::new(found.parse().unwrap(), 80)];
        plain.allowed(&url.parse().unwrap(), found).is_ok()
    }

    #[test]
    fn without_encryption_only_chosen_addresses_are_asked() {
        let none = PlainAddresses::default();
        let loopback = PlainAddresses {
            loopback: true,
            ..none
        };
        let aws = PlainAddresses { aws: true, ..none };
        assert!(allowed(none, "https://example.com", "192.0.2.1"));
        assert!(!allowed(none, "http://localhost", "127.0.0.1"));
        assert!(allowed(loopback, "http://localhost", "127.0.0.1"));
        assert!(allowed(loopback, "http://localhost", "::1"));
        assert!(!allowed(loopback, "http://localhost", "192.0.2.1"));
        assert!(!allowed(
            loopback,
            "http://169.254.169.254",
            "169.254.169.254"
        ));
        assert!(allowed(aws, "http://169.254.169.254", "169.254.169.254"));
        assert!(allowed(aws, "http://[fd00:ec2::254]", "fd00:ec2::254"));
        assert!(!allowed(aws, "http://169.254.169.253", "169.254.169.253"));
        assert!(!allowed(
            aws,
            "http://metadata.example.com",
            "169.254.169.254"
        ));
        assert!(!allowed(aws, "http://localhost", "127.0.0.1"));
    }
}
