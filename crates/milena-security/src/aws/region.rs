//! The AWS region of a broker.

use std::fmt;

use milena_core::{Error, ErrorKind, Result};

/// An AWS region, such as `eu-central-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Region(String);

impl Region {
    /// Creates a region by its name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for other characters than small letters, digits and hyphens.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(allowed) {
            let text = format!("{name:?} is no AWS region: write it like eu-central-1");
            return Err(Error::new(ErrorKind::Config, text));
        }
        Ok(Self(name))
    }

    /// Returns the region that stands in the name of an MSK broker. `None` for other names, such as
    /// those of a private zone.
    ///
    /// ```
    /// use milena_security::aws::Region;
    ///
    /// let region = Region::of_host("b-1.demo.abcde.c2.kafka.eu-central-1.amazonaws.com");
    /// assert_eq!(region, Some(Region::new("eu-central-1")?));
    /// # Ok::<(), milena_core::Error>(())
    /// ```
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let rest = SUFFIXES
            .iter()
            .find_map(|suffix| host.strip_suffix(suffix))?;
        let (_, label) = rest.rsplit_once('.')?;
        Self::new(label).ok()
    }

    /// Returns the region that a program's environment names: `AWS_REGION`, then
    /// `AWS_DEFAULT_REGION`.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .into_iter()
            .find_map(|name| Self::new(std::env::var(name).ok()?).ok())
    }

    /// Returns `chosen`, or else the region of `host`, or else that of the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if none of them gives one.
    pub fn resolve(chosen: Option<&Self>, host: &str) -> Result<Self> {
        let found = chosen
            .cloned()
            .or_else(|| Self::of_host(host))
            .or_else(Self::of_environment);
        found.ok_or_else(|| {
            let text = format!(
                "the AWS region of {host} is unknown: set the region, or the variable AWS_REGION"
            );
            Error::new(ErrorKind::Config, text)
        })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The suffixes of the names of all partitions of AWS.
const SUFFIXES: [&str; 4] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_the_label_before_the_suffix() {
        for (host, region) in [
            ("b-1.x.kafka.us-east-1.amazonaws.com", Some("us-east-1")),
            (
                "boot-a.x.c1.kafka-serverless.eu-west-1.amazonaws.com.",
                Some("eu-west-1"),
            ),
            (
                "b-1.x.kafka.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            (
                "b-1.x.kafka.us-iso-east-1.c2s.ic.gov",
                Some("us-iso-east-1"),
            ),
            ("kafka.internal", None),
            ("amazonaws.com", None),
            ("", None),
        ] {
            let found = Region::of_host(host);
            assert_eq!(found.as_ref().map(Region::name), region, "{host}");
        }
    }

    #[test]
    fn a_region_with_other_characters_is_refused() {
        for name in ["", "eu/central", "EU", "a.b", "a b"] {
            assert!(Region::new(name).is_err());
        }
    }
}
