//! The table that gives a type its words, and the error for a word that is not among them.

use crate::{Error, ErrorKind};

/// Gives an enum of a setting its words. Each value has one, and behind `|` may stand others that
/// are read and never written. The order is the one in which texts list the values.
macro_rules! words {
    ($type:ident of $setting:literal { $($value:ident = $word:literal $(| $other:literal)*,)+ }) => {
        impl $type {
            /// All values, in the order in which texts list them.
            pub const ALL: [Self; Self::NAMES.len()] = [$(Self::$value),+];
            /// The words of all values, in the order of [`ALL`](Self::ALL).
            pub const NAMES: [&'static str; [$($word),+].len()] = [$($word),+];
            /// The words of all values, as a text lists them.
            pub const ALLOWED: &'static str = $crate::words::table::listed!($($word),+);

            /// Returns the word of the value.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.name()
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::Error;

            /// Reads a word.
            ///
            /// # Errors
            /// [`ErrorKind::Config`](crate::ErrorKind::Config) with all words, for any other text.
            fn from_str(text: &str) -> $crate::Result<Self> {
                match text {
                    $($word $(| $other)* => Ok(Self::$value),)+
                    _ => Err($crate::words::table::wrong($setting, text, Self::ALLOWED)),
                }
            }
        }
    };
}

/// Joins words as a sentence does, with commas and a last "or".
macro_rules! listed {
    ($only:literal) => { $only };
    ($one:literal, $two:literal) => { concat!($one, " or ", $two) };
    ($first:literal, $($rest:literal),+) => {
        concat!($first, ", ", $crate::words::table::listed!($($rest),+))
    };
}

pub(super) use {listed, words};

/// Returns the error for a text that is none of the words of a setting.
pub(super) fn wrong(setting: &'static str, given: &str, allowed: &str) -> Error {
    let what = format!("`{given}` is not one of {allowed}");
    Error::new(ErrorKind::Config, what).setting(setting)
}
