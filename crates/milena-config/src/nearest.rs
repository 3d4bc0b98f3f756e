//! Finds the name that was probably meant.

/// Returns the known name nearest to `given` if it is near enough to be a misspelling.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given = plain(given);
    let far = |name: &str| distance(&given, &plain(name));
    let (steps, name) = known.into_iter().map(|name| (far(name), name)).min()?;
    (steps <= given.len().min(name.len()) / 3).then_some(name)
}

/// Returns only the letters and digits of a name, in lower case, so that `Batch-Size` equals
/// `batch_size`.
fn plain(name: &str) -> Vec<u8> {
    let bytes = name.bytes().filter(u8::is_ascii_alphanumeric);
    // Names are short, so a longer text need not be compared completely.
    bytes.take(64).map(|b| b.to_ascii_lowercase()).collect()
}

/// Returns the number of letters that must be inserted, removed or changed.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.iter().enumerate() {
        let mut left = line + 1;
        let mut corner = line;
        for (b, above) in to.iter().zip(row.iter_mut().skip(1)) {
            let changed = corner + usize::from(a != b);
            corner = *above;
            left = changed.min(left + 1).min(*above + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(from.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let known = ["linger", "batch_size", "buffer_memory"];
        assert_eq!(nearest("lingr", known), Some("linger"));
        assert_eq!(nearest("batchSize", known), Some("batch_size"));
        assert_eq!(nearest("bufer.memory", known), Some("buffer_memory"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"abc", b"abc"), 0);
    }
}
