//! Which topics a member reads, from its subscription of the consumer protocol.

use super::state::Group;

impl Group {
    /// Whether a member reads `topic`; unknown protocols count as reading everything.
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

/// The topics of a subscription: a version, then an array of strings, the same in all versions.
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
