//! The version of an API that both sides speak, found from the broker's range and milena's.

use std::fmt;

use milena_core::{Error, ErrorKind, Result};

use crate::api::ApiKey;

/// Versions of an API, both ends included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VersionRange {
    /// The lowest version.
    pub min: i16,
    /// The highest version.
    pub max: i16,
}

impl VersionRange {
    /// Returns true if `version` lies in the range.
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// Returns the highest version that lies in both ranges. `None` if there is none.
    pub fn highest_common(self, other: Self) -> Option<i16> {
        let highest = self.max.min(other.max);
        (highest >= self.min.max(other.min)).then_some(highest)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// A feature that a cluster has finalised, with its level (KIP-584).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FinalizedFeature {
    /// The feature's name, such as `metadata.version`.
    pub name: String,
    /// The lowest level finalised.
    pub min_level: i16,
    /// The highest level finalised, which is the one in use.
    pub max_level: i16,
}

/// The versions that one broker serves, as its ApiVersions answer listed them.
///
/// # References
/// KIP-35 (ApiVersions), KIP-584 (features).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BrokerVersions {
    /// The range of each API by its wire key, sorted by key. A key is there at most once.
    ranges: Vec<(i16, VersionRange)>,
    /// The features that the cluster has finalised.
    finalized: Vec<FinalizedFeature>,
}

impl BrokerVersions {
    /// Returns the versions of a broker that serves `ranges`, by wire key, and has `finalized`
    /// features.
    ///
    /// If a key occurs twice, its last range counts.
    pub fn new(
        ranges: impl IntoIterator<Item = (i16, VersionRange)>,
        finalized: Vec<FinalizedFeature>,
    ) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.reverse();
        ranges.sort_by_key(|(key, _)| *key);
        ranges.dedup_by_key(|(key, _)| *key);
        Self { ranges, finalized }
    }

    /// Returns the versions of a broker that serves everything that milena speaks. For tests.
    pub fn everything() -> Self {
        let ranges = ApiKey::ALL
            .iter()
            .map(|key| (key.to_wire(), key.supported()));
        Self::new(ranges, Vec::new())
    }

    /// Returns the versions of `api` that the broker serves. `None` if it does not know the API.
    pub fn range(&self, api: ApiKey) -> Option<VersionRange> {
        let at = self
            .ranges
            .binary_search_by_key(&api.to_wire(), |(key, _)| *key)
            .ok()?;
        self.ranges.get(at).map(|(_, range)| *range)
    }

    /// Returns the version to use for `api`, which is the highest that both sides speak.
    ///
    /// Kafka 4 lists Produce from version 0, although it refuses versions below 3 (KAFKA-18659).
    /// This does no harm, since milena's own range starts at 3.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with both ranges if they have no version in common.
    pub fn negotiate(&self, api: ApiKey) -> Result<i16> {
        self.negotiate_within(api, api.supported())
    }

    /// Negotiates as [`negotiate`](Self::negotiate) does, with milena's range narrowed to `ours`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with both ranges if they have no version in common.
    pub fn negotiate_within(&self, api: ApiKey, ours: VersionRange) -> Result<i16> {
        let Some(theirs) = self.range(api) else {
            let what = format!("the broker does not serve {api}");
            return Err(Error::new(ErrorKind::Unsupported, what).api(api.name()));
        };
        theirs.highest_common(ours).ok_or_else(|| {
            let what = format!("the broker serves {api} {theirs}, milena speaks {ours}");
            Error::new(ErrorKind::Unsupported, what).api(api.name())
        })
    }

    /// Returns true if the broker serves a version of `api` that milena speaks.
    pub fn supports(&self, api: ApiKey) -> bool {
        self.negotiate(api).is_ok()
    }

    /// Returns the level in use of a finalised feature. `None` if the cluster has not finalised it.
    pub fn finalized(&self, feature: &str) -> Option<i16> {
        let found = self.finalized.iter().find(|known| known.name == feature)?;
        Some(found.max_level)
    }

    /// Returns every API key that the broker lists, with its range, by ascending key.
    pub fn ranges(&self) -> impl Iterator<Item = (i16, VersionRange)> + '_ {
        self.ranges.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: i16, max: i16) -> VersionRange {
        VersionRange { min, max }
    }

    #[test]
    fn the_highest_common_version_is_used() {
        let broker = BrokerVersions::new([(1, range(4, 11)), (3, range(0, 99))], Vec::new());
        assert_eq!(broker.negotiate(ApiKey::Fetch).unwrap(), 11);
        assert_eq!(
            broker.negotiate(ApiKey::Metadata).unwrap(),
            ApiKey::Metadata.supported().max
        );
    }

    #[test]
    fn produce_listed_from_zero_is_still_sent_at_three_or_above() {
        let broker = BrokerVersions::new([(0, range(0, 2))], Vec::new());
        assert!(broker.negotiate(ApiKey::Produce).is_err());
        let broker = BrokerVersions::new([(0, range(0, 3))], Vec::new());
        assert_eq!(broker.negotiate(ApiKey::Produce).unwrap(), 3);
    }

    #[test]
    fn an_error_names_both_ranges() {
        let broker = BrokerVersions::new([(1, range(0, 2))], Vec::new());
        let error = broker.negotiate(ApiKey::Fetch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(
            text.contains("0 to 2") && text.contains("4 to 17"),
            "{text}"
        );
        assert!(broker.negotiate(ApiKey::Heartbeat).is_err());
    }

    #[test]
    fn a_range_turned_around_is_never_negotiated() {
        let broker = BrokerVersions::new([(1, range(11, 4))], Vec::new());
        assert!(broker.negotiate(ApiKey::Fetch).is_err());
    }
}
