//! Compares config values the way brokers read them. One value may be written in several ways.

use crate::configs::ConfigKind;

/// Returns true if a broker that was given `wanted` reports `present`.
pub(super) fn is_same(kind: ConfigKind, wanted: &str, present: &str) -> bool {
    // Brokers trim values of every type.
    let (wanted, present) = (wanted.trim(), present.trim());
    wanted == present
        || match kind {
            ConfigKind::Boolean => wanted.eq_ignore_ascii_case(present),
            ConfigKind::Integer | ConfigKind::Double => same_number(wanted, present),
            ConfigKind::List => words(wanted) == words(present),
            ConfigKind::Text => false,
            // A broker before Kafka 2.6 does not send the type, so try every type that the value
            // may have.
            ConfigKind::Unknown => {
                same_number(wanted, present)
                    || (is_boolean(wanted) && wanted.eq_ignore_ascii_case(present))
                    || (wanted.contains(',') && words(wanted) == words(present))
            }
        }
}

/// Returns true if both are the same number.
fn same_number(one: &str, other: &str) -> bool {
    match (one.parse::<i128>(), other.parse::<i128>()) {
        // Compare whole numbers exactly. A double has too few digits for large ones.
        (Ok(one), Ok(other)) => one == other,
        _ => {
            matches!((one.parse::<f64>(), other.parse::<f64>()), (Ok(one), Ok(other)) if one == other)
        }
    }
}

fn is_boolean(word: &str) -> bool {
    word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false")
}

/// Returns the items of a list, sorted and without duplicates.
fn words(list: &str) -> Vec<&str> {
    let words = list.split(',').map(str::trim);
    let mut words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_in_each_of_its_spellings() {
        for (kind, wanted, present) in [
            (ConfigKind::Double, "0.50", "0.5"),
            (ConfigKind::Double, "1", "1.0"),
            (ConfigKind::Integer, "+3600000", "3600000"),
            (ConfigKind::Integer, " 1073741824 ", "1073741824"),
            (ConfigKind::Boolean, "FALSE", "false"),
            (ConfigKind::Boolean, "true ", "true"),
            (ConfigKind::List, "delete, compact", "compact,delete"),
            (ConfigKind::Text, " zstd", "zstd"),
            (ConfigKind::Unknown, "0.50", "0.5"),
            (ConfigKind::Unknown, "compact, delete", "compact,delete"),
        ] {
            assert!(is_same(kind, wanted, present), "{wanted:?} is {present:?}");
        }
    }

    #[test]
    fn other_values_differ() {
        for (kind, wanted, present) in [
            (
                ConfigKind::Integer,
                "9223372036854775807",
                "9223372036854775806",
            ),
            (ConfigKind::Double, "0.5", "0.05"),
            (ConfigKind::Boolean, "true", "false"),
            (ConfigKind::List, "compact", "compact,delete"),
            (ConfigKind::Text, "2.0", "2"),
            (ConfigKind::Text, "ZSTD", "zstd"),
            (ConfigKind::Unknown, "1", ""),
        ] {
            assert!(
                !is_same(kind, wanted, present),
                "{wanted:?} is not {present:?}"
            );
        }
    }
}
