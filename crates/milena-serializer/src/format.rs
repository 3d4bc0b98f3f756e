//! Functions shared by the codecs that use serde.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, UnitDeserializer};

use milena_core::{Error, ErrorKind};

use crate::codec::{Part, missing};

/// Returns the value for a missing key or a tombstone, which is `None` for an optional type. Other
/// types get an error.
pub(crate) fn null<T: DeserializeOwned>(part: Part, format: &str) -> Result<T, Error> {
    let nothing: UnitDeserializer<ValueError> = ().into_deserializer();
    T::deserialize(nothing).map_err(|_| missing(part, format))
}

/// Creates the error for bytes that do not match the format or the type. It names the path of the
/// wrong field.
pub(crate) fn undecodable<'de, T, D>(part: Part, format: &str, reader: D) -> Error
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de, Error: Send + Sync + 'static>,
{
    let wanted = short(std::any::type_name::<T>());
    let what = format!("the {part} is not {format} of type `{wanted}`");
    let Err(error) = serde_path_to_error::deserialize::<D, T>(reader) else {
        let what = format!("the {part} holds more bytes after its {format}");
        return Error::new(ErrorKind::Decode, what);
    };
    let path = error.path().to_string();
    let what = match path.as_str() {
        "." => what,
        _ => format!("{what}: wrong at `{path}`"),
    };
    let cause = error.into_inner();
    let told = cause.to_string();
    let plain = without_values(&told);
    match shortened(&plain).or((plain != told).then_some(plain)) {
        Some(text) => Error::new(ErrorKind::Decode, what).with_source(text),
        None => Error::new(ErrorKind::Decode, what).with_source(cause),
    }
}

/// Removes the value that serde found from its error text. The text goes into logs and headers,
/// where the content of a record must not appear.
fn without_values(text: &str) -> String {
    let Some((found, expected)) = text.rsplit_once(", expected ") else {
        return text.to_owned();
    };
    for kind in ["invalid type: ", "invalid value: "] {
        if let Some(found) = found.strip_prefix(kind) {
            // serde writes a word for the type, then the value in quotes.
            let word = found.split(['`', '"']).next().unwrap_or_default().trim();
            return format!("{kind}{word}, expected {expected}");
        }
    }
    if found.starts_with("unknown variant ") {
        return format!("unknown variant, expected {expected}");
    }
    text.to_owned()
}

/// Returns the beginning and the end of a long text. An error may quote text of any length from a
/// sender before it names the position. `None` if the text is short enough.
fn shortened(text: &str) -> Option<String> {
    if text.len() <= LONGEST {
        return None;
    }
    let begin = text.floor_char_boundary(LONGEST / 2);
    let end = text.ceil_char_boundary(text.len() - LONGEST / 4);
    let (begin, end) = (text.get(..begin)?, text.get(end..)?);
    Some(format!("{begin} … {end}"))
}

/// The longest error text that is used unchanged, in bytes.
const LONGEST: usize = 400;

/// Creates the error for a value that the format cannot represent.
pub(crate) fn unwritable<T: ?Sized>(
    format: &str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let what = format!(
        "a value of type `{}` cannot be written as {format}",
        std::any::type_name::<T>()
    );
    Error::new(ErrorKind::Config, what).with_source(cause)
}

/// Returns the last segment of a type's path, without generic parameters.
fn short(name: &str) -> &str {
    let base = name.split('<').next().unwrap_or(name);
    base.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_says_is_told_without_the_value_that_it_found() {
        let told = [
            (
                r#"invalid type: string "4111, expected 1111", expected u32 at line 1 column 9"#,
                "invalid type: string, expected u32 at line 1 column 9",
            ),
            (
                "invalid value: integer `300`, expected u8 at line 1 column 3",
                "invalid value: integer, expected u8 at line 1 column 3",
            ),
            (
                "invalid type: map, expected a string",
                "invalid type: map, expected a string",
            ),
            (
                "unknown variant `4111`, expected `card` or `cash` at line 1 column 6",
                "unknown variant, expected `card` or `cash` at line 1 column 6",
            ),
            ("missing field `id`", "missing field `id`"),
            ("EOF while parsing a value", "EOF while parsing a value"),
        ];
        for (text, expected) in told {
            assert_eq!(without_values(text), expected);
        }
    }
}
