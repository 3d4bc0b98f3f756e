//! The types of configuration values, with the texts that they accept and the form that is kept.

use milena_core::Codec;

/// The type of a configuration value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `true` or `false`, in any letter case.
    Boolean,
    /// A 32-bit number that is not below this.
    Int(i32),
    /// A 64-bit number that is not below this.
    Long(i64),
    /// A number from 0 to 1.
    Ratio,
    /// A codec by its name, `uncompressed`, or `producer` for the one that the producer chose.
    Compression,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Some of these words, separated by commas.
    ListOf(&'static [&'static str]),
    /// Any text.
    Text,
}

impl Kind {
    /// Returns `value` in the form that a broker keeps and shows. Returns `None` if the type does
    /// not accept it.
    ///
    /// Kafka parses values by their types and returns the parsed value. Blanks around a value are
    /// dropped, and `0.50` is shown as `0.5`.
    pub(crate) fn read(self, value: &str) -> Option<String> {
        let value = value.trim();
        match self {
            Self::Boolean => match () {
                () if value.eq_ignore_ascii_case("true") => Some("true".to_owned()),
                () if value.eq_ignore_ascii_case("false") => Some("false".to_owned()),
                () => None,
            },
            Self::Int(least) => whole(value, least.into(), i32::MAX.into()),
            Self::Long(least) => whole(value, least, i64::MAX),
            Self::Ratio => {
                let read: f64 = value.parse().ok()?;
                // Java writes a double always with a decimal point.
                (0.0..=1.0).contains(&read).then(|| format!("{read:?}"))
            }
            Self::Compression => {
                let codec = |codec: Codec| codec != Codec::None;
                let known =
                    ["uncompressed", "producer"].contains(&value) || value.parse().is_ok_and(codec);
                known.then(|| value.to_owned())
            }
            Self::OneOf(words) => words.contains(&value).then(|| value.to_owned()),
            Self::ListOf(words) => {
                let given: Vec<_> = value.split(',').map(str::trim).collect();
                let known = given.iter().all(|word| words.contains(word));
                known.then(|| given.join(","))
            }
            Self::Text => Some(value.to_owned()),
        }
    }

    /// Returns the type's number in DescribeConfigs.
    pub(crate) fn to_wire(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Text | Self::Compression | Self::OneOf(_) => 2,
            Self::Int(_) => 3,
            Self::Long(_) => 5,
            Self::Ratio => 6,
            Self::ListOf(_) => 7,
        }
    }
}

/// Reads a whole number within these bounds.
fn whole(value: &str, least: i64, most: i64) -> Option<String> {
    let read: i64 = value.parse().ok()?;
    (least..=most).contains(&read).then(|| read.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_as_kafka_shows_them() {
        let policies = Kind::ListOf(&["delete", "compact"]);
        for (kind, given, kept) in [
            (Kind::Ratio, "0.50", "0.5"),
            (Kind::Ratio, "1", "1.0"),
            (Kind::Boolean, "FALSE", "false"),
            (Kind::Boolean, "true ", "true"),
            (Kind::Long(-1), "+3600000", "3600000"),
            (Kind::Int(14), " 1073741824 ", "1073741824"),
            (policies, "compact, delete", "compact,delete"),
        ] {
            assert_eq!(kind.read(given).as_deref(), Some(kept), "{given}");
        }
    }

    #[test]
    fn values_of_another_type_are_refused() {
        for (kind, given) in [
            (Kind::Ratio, "1.5"),
            (Kind::Ratio, "half"),
            (Kind::Boolean, "yes"),
            (Kind::Int(14), "13"),
            (Kind::Int(0), "4294967296"),
            (Kind::Long(-1), "-2"),
            (Kind::ListOf(&["delete", "compact"]), "delete,keep"),
            (Kind::OneOf(&["CreateTime"]), "createtime"),
        ] {
            assert_eq!(kind.read(given), None, "{given}");
        }
    }
}
