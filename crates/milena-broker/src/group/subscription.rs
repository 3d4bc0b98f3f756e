//! The topics that a classic member reads, from its subscription.

use super::state::Group;

impl Group {
    /// Returns true if a member reads `topic`. A member whose subscription cannot be read counts as
    /// reading every topic.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        let consumer = self.consumer.as_ref();
        if consumer.is_some_and(|group| group.reads(topic)) {
            return true;
        }
        self.members.iter().any(|member| {
            let metadata = member.metadata(self.protocol.as_deref());
            topics(&metadata).is_none_or(|topics| topics.contains(&topic.as_bytes()))
        })
    }
}

/// Returns the topics of a subscription. All versions have a version number and then an array of
/// strings.
fn topics(metadata: &[u8]) -> Option<Vec<&[u8]>> {
    let (_, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut found = Vec::new();
    for _ in 0..i32::from_be_bytes(*count).max(0) {
        let (len, behind) = rest.split_first_chunk::<2>()?;
        let (name, behind) =
            behind.split_at_checked(usize::try_from(i16::from_be_bytes(*len)).ok()?)?;
        found.push(name);
        rest = behind;
    }
    Some(found)
}
