//! Patterns of topic names.

use std::fmt;
use std::sync::Arc;

/// A pattern of topic names, such as `orders.*` or `*.dead`.
///
/// Each `*` matches any text, also the empty text. Cloning is cheap.
///
/// ```
/// use milena_core::TopicPattern;
///
/// let pattern = TopicPattern::new("orders.*");
/// assert!(pattern.matches("orders.eu") && !pattern.matches("orders"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPattern(Arc<str>);

impl TopicPattern {
    /// Creates a pattern. Every character but `*` matches itself.
    pub fn new(pattern: impl Into<Arc<str>>) -> Self {
        Self(pattern.into())
    }

    /// Returns the text of the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the pattern matches the name.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        meet(self.0.as_bytes(), topic.as_bytes(), false)
    }

    /// Returns true if some name matches both patterns.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        meet(self.0.as_bytes(), other.0.as_bytes(), true)
    }

    /// Returns the number of bytes that match only themselves. Of two patterns that match a name,
    /// the one with more of them is more specific.
    #[must_use]
    pub fn literals(&self) -> usize {
        self.0.bytes().filter(|byte| *byte != STAR).count()
    }
}

/// Returns true if some text matches both. A `*` in `right` is a wildcard only if `wild` is true.
fn meet(left: &[u8], right: &[u8], wild: bool) -> bool {
    let is_star = |byte: &u8| wild && *byte == STAR;
    // `row[j]` is true if the part of `left` read so far and the first `j` bytes of `right` match
    // some common text.
    let mut row = Vec::with_capacity(right.len() + 1);
    row.push(true);
    for byte in right {
        let before = row.last().copied().unwrap_or(false);
        row.push(before && is_star(byte));
    }
    for byte in left {
        let star = *byte == STAR;
        let mut next = Vec::with_capacity(row.len());
        next.push(star && row.first().copied().unwrap_or(false));
        for ((at, other), above) in right.iter().enumerate().zip(row.iter().skip(1)) {
            let (corner, beside) = (row.get(at), next.last());
            let (corner, beside) = (
                corner.copied().unwrap_or(false),
                beside.copied().unwrap_or(false),
            );
            next.push(if star || is_star(other) {
                *above || beside || corner
            } else {
                corner && byte == other
            });
        }
        row = next;
    }
    row.last().copied().unwrap_or(false)
}

impl From<&str> for TopicPattern {
    fn from(pattern: &str) -> Self {
        Self::new(pattern)
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

const STAR: u8 = b'*';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let fits = |pattern: &str, topic: &str| TopicPattern::new(pattern).matches(topic);
        for (pattern, topic) in [
            ("*", ""),
            ("*", "orders"),
            ("orders", "orders"),
            ("orders.*", "orders."),
            ("*.dead", "orders.eu.dead"),
            ("a*b*c", "a-b-b-c"),
        ] {
            assert!(fits(pattern, topic), "{pattern} {topic}");
        }
        for (pattern, topic) in [
            ("orders.*", "orders"),
            ("*.dead", "orders.dead.2"),
            ("a*b", "a"),
            ("", "x"),
        ] {
            assert!(!fits(pattern, topic), "{pattern} {topic}");
        }
    }

    #[test]
    fn patterns_overlap_where_one_name_fits_both() {
        let overlap = |a: &str, b: &str| TopicPattern::new(a).overlaps(&b.into());
        assert!(overlap("orders.*", "*.dead") && overlap("*", "x") && overlap("a*c", "ab*"));
        assert!(overlap("a*", "a") && overlap("", "*"));
        assert!(!overlap("orders.*", "bills.*") && !overlap("*.dead", "*.live"));
    }
}
